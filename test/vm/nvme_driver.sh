#!/bin/bash
# SPDX-License-Identifier: MIT
#
# nvme_driver.sh - the NVMe driver: a real disk, under the tools that people put on disks, and the death of its driver
#
#   nvme_driver.sh [--takeovers N] [--short] [option of the driver...]
#
# What was written is compared byte by byte, by fio, by a file system's files, and over N deaths of the driver (5) by
# disk_stress, which knows of each sector what was acknowledged last. --short leaves out what takes long.

# shellcheck source-path=SCRIPTDIR/../..
# shellcheck disable=SC2317  # check and within call functions by their names
cd "$(dirname "$0")/../.." || exit
. test/vm/tap.sh

takeovers=5 short=
while [ $# -gt 0 ]; do
	case $1 in
	--takeovers) takeovers=$2; shift 2 ;;
	--short) short=1; shift ;;
	*) break ;;
	esac
done
options=("$@")

disk=udrvnvme group=''
path=/dev/$disk
. test/vm/nvme.sh
work=$(mktemp -d)
said=$work/said counters=$work/counters
mkdir "$work/mnt"

cleanup() {
	[ -z "$driver" ] || kill -KILL "$driver" 2>/dev/null
	mountpoint -q "$work/mnt" && umount -l "$work/mnt"
}
trap cleanup EXIT

refused() { ! "$@" >"$said" 2>&1; }
disk_gone() { [ ! -e "$path" ]; }
# Reads and writes that the disk has completed.
completed() { awk '{print $1 + $5 + $12 + $16}' "/sys/block/$disk/stat"; }
has_completed() { at_least "$(completed)" "$1"; }
# How often the driver's threads have slept.
sleeps() { awk '/^voluntary/ {n += $2} END {print n}' /proc/"$driver"/task/*/status; }
counter() { sed -n "s/.*\b$1=\([0-9]*\).*/\1/p" "$counters" | tail -n 1; }

# drive [OPTION...]: the driver; its disk is there.
# shellcheck disable=SC2120  # mostly without options
drive() {
	# shellcheck disable=SC2016  # for the inner shell
	bash -c '[ -z "$0" ] || echo $$ >"$0/cgroup.procs" || exit; exec "$@"' "$group" \
		drivers/nvme/nvme --name "$disk" --stats 3600 "${options[@]}" "$@" "$device" >>"$counters" 2>>"$work/err" &
	driver=$!
	within 60 disk_there
}

fio_runs() { fio --filename="$path" --ioengine=libaio --name=job --minimal "$@" >"$said" 2>&1 || { tail -n 20 "$said"; return 1; }; }

# Each place once, and read back: fio_verifies BYTES DIRECT DEPTH BLOCK...
fio_verifies() {
	local bytes=$1 direct=$2 depth=$3 block

	shift 3
	for block; do
		fio_runs --size="$bytes" --rw=randwrite --bs="$block" --iodepth="$depth" --direct="$direct" \
			--verify=crc32c --verify_fatal=1 --verify_state_save=0 || return
	done
}

tree_is_kept() {
	mkfs.ext4 -q "$path" && mount "$path" "$work/mnt" || return
	cp -a module libudrv drivers test "$work/mnt" && sync && umount "$work/mnt" || return
	echo 3 >/proc/sys/vm/drop_caches
	mount "$path" "$work/mnt" || return
	for part in module libudrv drivers test; do
		diff -r "$part" "$work/mnt/$part" || return
	done
	rm -r "$work/mnt/module" && fstrim "$work/mnt" && umount "$work/mnt" && fsck.ext4 -fn "$path"
}

# As often as is said, under load: killed, started again, and something was completed by the new one.
stressed() {
	local stress before n

	rm -f "$work/enough"
	test/vm/disk_stress --until "$work/enough" "$path" 8 64 >"$said" 2>&1 &
	stress=$!
	within 60 has_completed $(($(completed) + 200)) || return
	for ((n = 0; n < takeovers; n++)); do
		die && drive || return
		before=$(completed)
		within 60 has_completed $((before + 100)) || return
	done
	touch "$work/enough"
	wait "$stress" || { cat "$said"; return 1; }
	note "$takeovers takeovers: $(cat "$said")" >&3
}

# Driver and writer in one memory cgroup, which has room for a part of what is written: to get memory the kernel has to write
# dirty pages to the very disk.
tight_memory() {
	memory_cgroup udrv-tight 40M || return
	die && drive || return
	mkfs.ext4 -q "$path" && mount "$path" "$work/mnt" || return
	# shellcheck disable=SC2016  # for the inner shell
	bash -c 'echo $$ >"$0/cgroup.procs" || exit; exec "$@"' "$group" \
		fio --name=tight --directory="$work/mnt" --size=150m --rw=write --bs=64k --ioengine=psync --end_fsync=1 \
		--verify=crc32c --verify_fatal=1 --verify_state_save=0 >"$said" 2>&1 || { cat "$said"; return 1; }
	umount "$work/mnt" && fsck.ext4 -fn "$path" || return
	note "$(grep -E '^(max|oom_kill) ' "$group/memory.events" | xargs)" >&3
	contains "$group/memory.events" '^max [1-9]' && contains "$group/memory.events" '^oom_kill 0'
}

mounted_and_killed() {
	local fio n before

	mkfs.ext4 -q "$path" && mount "$path" "$work/mnt" || return
	fio --name=verify --directory="$work/mnt" --size=24m --rw=randwrite --bs=4k-64k --ioengine=libaio --iodepth=16 \
		--direct=1 --verify=crc32c --verify_fatal=1 --verify_state_save=0 --loops=3 >"$said" 2>&1 &
	fio=$!
	for n in 1 2 3; do
		before=$(completed)
		within 60 has_completed $((before + 50)) || return
		die && drive || return
	done
	wait "$fio" || { cat "$said"; return 1; }
	umount "$work/mnt" && fsck.ext4 -fn "$path"
}

# Stopped, it answers nothing; a request waits for as long as that takes.
waits() { [ "$(awk '{print $1}' "/sys/block/$disk/inflight")" != 0 ]; }
stopped_and_woken() {
	kill -STOP "$driver" || return
	dd if="$path" of=/dev/null bs=4k count=1 iflag=direct 2>"$said" &
	local reader=$!
	within 20 waits || return
	kill -CONT "$driver"
	wait "$reader" || { cat "$said"; return 1; }
}

# One that hangs is not waited for: its controller is taken from it, and what it had not done is the next one's.
revoked() {
	local hangs=$driver reader

	kill -STOP "$hangs" || return
	dd if="$path" of=/dev/null bs=4k count=1 iflag=direct 2>"$said" &
	reader=$!
	within 20 waits && udrv revoke "$device" && drive || return
	wait "$reader" || { cat "$said"; return 1; }
	kill -KILL "$hangs" && ! wait "$hangs" 2>/dev/null
}

zeroes_of() { blkdiscard --zeroout --offset 1048576 --length 1048576 "$path" && cmp -i 1048576:0 -n 1048576 "$path" /dev/zero; }
# The interrupts of each queue arrive where its requests come from: no other CPU has to be woken. Without interrupt
# remapping an interrupt moves when it comes next: so there is one first.
steered() {
	local queue irq cpus

	for queue in 0 1; do
		irq=$(awk -F: -v name="udrv-$device-msix-$((queue + 1))" '$0 ~ name "$" {print $1 + 0}' /proc/interrupts)
		cpus=$(cat "/sys/block/$disk/mq/$queue/cpu_list")
		taskset -c "$cpus" dd if="$path" of=/dev/null bs=4k count=1 iflag=direct 2>"$said" || return
		equal "$(cat "/proc/irq/$irq/effective_affinity_list")" "$cpus" || return
	done
}
queue_limit() { equal "$(cat "/sys/block/$disk/queue/$1")" "$2"; }

exec 3>&1
nvme_first

check "no such option" refused drivers/nvme/nvme --colour "$device"
check "it says how" contains "$said" 'usage: nvme'
check "a number that is none" refused drivers/nvme/nvme --queues many "$device"
check "it says so" contains "$said" 'many is no number from 1 to 16'
check "not bound: refused" refused drivers/nvme/nvme "$device"
check "bind" udrv bind "$device" || bail "nothing to drive"
drivers/nvme/nvme --info "$device" >"$said"
check "info: its model" contains "$said" '^model: QEMU NVMe Ctrl'
check "info: its health" contains "$said" '^temperature: [1-9][0-9] C'
check "a name that is none" refused drivers/nvme/nvme --name sda "$device"
check "it says what a name is" contains "$said" '"udrv" and up to 20 small letters'

check "a disk" drive || bail "no disk"
check "it says so" contains "$counters" "^$path: 256 MiB$"
check "lsblk" equal "$(lsblk -bdno SIZE,TYPE,RO,LOG-SEC "$path" | xargs)" "268435456 disk 0 512"
check "it has a write cache" queue_limit write_cache "write back"
check "and FUA" queue_limit fua 1
check "the kernel's own driver sees nothing of it" test ! -e /dev/nvme0
check "a second driver is refused" refused drivers/nvme/nvme --name udrvb "$device"
check "it says who has it" contains "$said" 'in use|busy'
check "in its process's interrupts" grep -q "udrv-$device-msix-1" /proc/interrupts

check "a queue's interrupts arrive where its requests come from" steered

check "fio, direct, 512 bytes, depth 4" fio_verifies 1m 1 4 512
check "fio, direct, 4 KiB, depth 1" fio_verifies 2m 1 1 4k
check "fio, direct, 4 KiB and others, depth 32" fio_verifies 16m 1 32 4k 52k
check "fio, direct, 1 MiB, depth 64" fio_verifies 64m 1 64 1m
check "fio, by the page cache" fio_verifies 16m 0 8 4k 100k
check "fio, two jobs, reads and writes mixed, all sizes" fio_runs --size=64m --rw=randrw --bsrange=512-1m --bs_unaligned=0 \
	--blockalign=512 --iodepth=16 --direct=1 --numjobs=2 --offset_increment=64m --io_size=24m --fdatasync=20
check "a tree of files in ext4, and fsck" tree_is_kept
check "blkdiscard" blkdiscard "$path"
check "zeroes" zeroes_of
[ -n "$short" ] || check "ext4, fio with verification, the driver killed three times: no error, and fsck" mounted_and_killed
check "a tight memory cgroup, with dirty pages on the disk" tight_memory
check "killed $takeovers times under load: every sector is what was acknowledged" stressed
check "stopped for a while: its requests wait" stopped_and_woken
check "one that hangs loses its controller, and the next one does what it had not" revoked
check "ends on SIGINT with status 0" ends INT 0
check "no command failed" equal "$(counter errors) $(counter retries)" "0 0"
check "the disk stays" disk_there
check "the next one, with another number of queues, is refused" refused drivers/nvme/nvme --queues 1 --timeout 99 "$device"
check "it says what to do" contains "$said" "start it as it was, or 'udrv unbind'"
check "as it was, it is taken" drive
check "data is there" fio_verifies 1m 1 4 4k
check "ends on SIGTERM with status 0" ends TERM 0
# Options of its own process: the disk is as it was made.
for poll in --poll=100 --poll; do
	check "$poll: taken over" drive $poll
	slept=$(sleeps)
	check "$poll: fio" fio_verifies 1m 1 8 4k
	slept=$(($(sleeps) - slept))
	case $poll in
	--poll) check "$poll: it never slept" equal "$slept" 0 ;;
	*) check "$poll: it slept" at_least "$slept" 1 ;;
	esac
	check "$poll: ends" ends INT 0
done
check "nothing was said on stderr" is_empty "$work/err"
check "unbind" udrv unbind "$device"
check "takes the disk away" within 20 disk_gone
rm -rf "$work"
finish
