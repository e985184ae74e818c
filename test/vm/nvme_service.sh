#!/bin/bash
# SPDX-License-Identifier: MIT
#
# nvme_service.sh: the NVMe driver as a service of systemd: it starts with its controller, and again when it dies, with
# what is mounted in use; a shutdown leaves it to the end.

# shellcheck source-path=SCRIPTDIR/../..
# shellcheck disable=SC2317  # check and within call functions by their names
cd "$(dirname "$0")/../.." || exit
. test/vm/tap.sh
. test/vm/systemd.sh

device=$(lspci -Dd ::0108 | awk 'NR == 1 {print $1}')
device=${device#0000:}
unit=udrv-nvme@$device.service
work=$(mktemp -d)

cleanup() {
	mountpoint -q "$work" && umount -l "$work"
	manager_end
}
trap cleanup EXIT

# The disk's name, once udev has looked at it.
disk_of() { basename "$(echo "/sys/bus/pci/devices/0000:$device/block"/*)"; }
disk_there() { [ -b "/dev/$(disk_of)" ] && udevadm settle; }
# The next driver has it: a read of the disk itself.
answers() { dd if="$disk" of=/dev/null bs=4k count=1 iflag=direct; }
goes_on() { within 60 restarted "$1" && answers; }
first_word() { tr '\0' '\n' <"/proc/$1/cmdline" | head -n 1; }
driver_pid() { pgrep --full "^@udrv-nvme $device"; }

verifies() {
	local fio n

	fio --name=verify --directory="$work" --size=16m --rw=randwrite --bs=4k-64k --ioengine=libaio --iodepth=8 --direct=1 \
		--verify=crc32c --verify_fatal=1 --verify_state_save=0 --loops=2 >"$work.said" 2>&1 &
	fio=$!
	for n in 1 2 3; do
		systemctl kill --kill-whom=main --signal=KILL "$unit" && goes_on "$n" || return
	done
	wait "$fio" || { cat "$work.said"; return 1; }
}

# An earlier test's, perhaps.
[ ! -e "/dev/udrv/pci-$device" ] || udrv unbind "$device"
check "systemd runs" manager_start || bail "no service manager"
check "the service is enabled" systemctl enable "$unit"
check "and waits for its controller" is_state inactive
check "bind" udrv bind "$device" || bail "nothing to drive"
check "it starts with that" within 60 is_state active || { systemctl status "$unit" | sed 's/^/# /'; bail "no service"; }
check "with a disk" within 60 disk_there
disk=/dev/$(disk_of)
check "a file system on it" mkfs.ext4 -q "$disk"
check "mounted" mount "$disk" "$work"
check "killed three times under fio, it is started again, and fio goes on" verifies
systemctl kill --kill-whom=main --signal=TERM "$unit"
check "so is one that ends by itself" goes_on 4

pid=$(driver_pid)
check "another target" systemctl isolate local-fs-pre.target
check "and a shutdown" systemctl start shutdown.target
check "leave it" is_state active
check "as it is" equal "$(driver_pid)" "$pid"
check "it answers" answers
check "systemd's last signal is not for it" equal "$(first_word "$pid")" "@udrv-nvme"
check "it is mounted before all else" contains <(systemctl show --property Before "$unit") 'local-fs-pre.target'

check "unmount" umount "$work"
check "fsck" fsck.ext4 -fn "$disk"
check "unbind, at work" udrv unbind --force "$device"
check "the service ends with its controller" within 60 is_state inactive
check "and the disk with it" within 20 test ! -e "$disk"
rm -rf "$work" "$work.said"
finish
