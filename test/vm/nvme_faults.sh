#!/bin/bash
# SPDX-License-Identifier: MIT
#
# nvme_faults.sh: what a disk may do to its driver. It is pulled out with requests on their way: what waits fails in a moment,
# the driver ends, and nothing is left; the same by unbinding. It becomes so slow that commands are aborted, and the
# controller is reset: no request fails. An NVMe controller in the empty root port of the device set `hotplug`.
# UDRV_PULLS: how often it is pulled out (1).

# shellcheck source-path=SCRIPTDIR/../..
# shellcheck disable=SC2317  # check and within call functions by their names
cd "$(dirname "$0")/../.." || exit
. test/vm/tap.sh

device=02:00.0 disk=udrvhot load='' plugged=''
path=/dev/$disk sysfs=/sys/bus/pci/devices/0000:$device
. test/vm/nvme.sh
work=$(mktemp -d)

cleanup() {
	[ -z "$driver" ] || kill -KILL "$driver"
	[ -z "$plugged" ] || lab monitor device_del hotnvme
	rm -rf "$work"
}
trap cleanup EXIT

# On the bus's list, too (see hotplug.c).
there() { [ -e "$sysfs/power" ]; }
gone() { [ ! -e "$sysfs" ]; }
disk_gone() { [ ! -e "$path" ] && [ ! -e "/sys/block/$disk" ]; }
completed() { awk '{print $1 + $5}' "/sys/block/$disk/stat"; }
has_completed() { at_least "$(completed)" "$1"; }
ended() { ! kill -0 "$1" 2>/dev/null; }

# Its blocks are the monitor's to make, for each card anew: they go with it.
plug() {
	lab monitor "drive_add 0 if=none,id=hotdisk,driver=null-co,size=268435456,read-zeroes=on" &&
		within 60 lab monitor device_add nvme,id=hotnvme,bus=rp1,addr=00.0,drive=hotdisk,serial=hot || return
	plugged=1
	within 60 there
}
pull() {
	lab monitor device_del hotnvme && within 60 gone && plugged=
}

drive() {
	drivers/nvme/nvme --name "$disk" "$@" "$device" >"$work/out" 2>"$work/err" &
	driver=$!
	within 60 disk_there
}
# With and without the page cache.
loaded() {
	local before

	before=$(completed)
	fio --filename="$path" --ioengine=libaio --allow_file_create=0 --time_based --runtime=300 --size=256m --rw=randrw --bsrange=4k-256k --iodepth=16 \
		--name=direct --direct=1 --name=buffered --direct=0 >"$work/fio" 2>&1 &
	load=$!
	within 60 has_completed $((before + 500))
}
load_failed() {
	within 60 ended "$load" || return
	! wait "$load" && contains "$work/fio" 'Input/output error|No such device'
}
driver_gave_up() {
	within 30 ended "$driver" || return
	local status=0
	wait "$driver" || status=$?
	driver=''
	equal "$status" 1 && contains "$work/err" 'No such device|is gone'
}

# Operations of its blocks for each second; 0: as many as there are.
allow() { lab monitor "block_set_io_throttle hotdisk 0 0 0 $1 0 0"; }
says() { contains "$work/err" "$1"; }
slow() {
	allow 2 || return
	fio --filename="$path" --ioengine=libaio --size=2m --rw=randread --bs=4k --iodepth=32 --name=slow --direct=1 >"$work/fio" 2>&1 &
	load=$!
	within 60 says 'is late: abort' && within 60 says 'is late: reset'
}
load_is_done() {
	wait "$load" || { cat "$work/fio"; return 1; }
}

# What the kernel's driver said when a controller was taken from it before it had begun (6.1, bind.c's nvme_settle()).
interrupted() { dmesg | grep -c 'Removing after probe failure'; }
before=$(interrupted)

for ((round = 1; round <= ${UDRV_PULLS:-1}; round++)); do
	check "plugged in ($round)" plug || bail "no controller"
	check "bind" udrv bind --lazy "$device" || bail "nothing to drive"
	check "a disk" drive || bail "no disk"
	check "requests on their way" loaded
	check "pulled out" pull
	check "what waits fails, and fio ends" load_failed
	check "the driver gives up" driver_gave_up
	check "there is no disk" within 20 disk_gone
	check "nor a node" test ! -e "/dev/udrv/pci-$device"
done

check "plugged in, to be slow" plug || bail "no controller"
check "bind" udrv bind --lazy "$device"
check "a disk, with a second for each request" drive --timeout 1 || bail "no disk"
check "commands are aborted, and the controller is reset" slow
check "as quick as before" allow 0
check "no request failed" load_is_done
check "it is the same driver" kill -0 "$driver"
check "requests on their way" loaded
check "unbound" tee "$sysfs/driver/unbind" <<<"0000:$device"
check "what waits fails, and fio ends" load_failed
check "the driver gives up" driver_gave_up
check "there is no disk" within 20 disk_gone
check "pulled out" pull
check "the kernel's driver was never interrupted at its beginning" equal "$(interrupted)" "$before"
finish
