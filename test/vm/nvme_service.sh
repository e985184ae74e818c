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

path='' # not before it is there
. test/vm/nvme.sh
nvme_first
unit=udrv-nvme@$device.service
work=$(mktemp -d)

cleanup() {
	mountpoint -q "$work" && umount -l "$work"
	manager_end
}
trap cleanup EXIT

disk_comes() {
	path=/dev/$(basename "/sys/bus/pci/devices/0000:$device/block"/*)
	disk_there
}
# The next driver has it: a read of the disk itself.
answers() { dd if="$path" of=/dev/null bs=4k count=1 iflag=direct; }
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

property() { systemctl show --property "$1" --value "$unit"; }

# One of its threads stops, as a tracer does that.
hangs_in_a_thread() {
	local thread tracer status=0

	thread=$(find "/proc/$(driver_pid)/task" -mindepth 1 -maxdepth 1 -printf '%f\n' | sort -n | tail -n 1)
	[ "$thread" != "$(driver_pid)" ] || { echo "it has one thread only"; return 1; }
	python3 - "$thread" <<-'END' &
		import ctypes, os, sys
		libc, thread = ctypes.CDLL(None), int(sys.argv[1])
		if libc.ptrace(0x4206, thread, None, None) or libc.ptrace(0x4207, thread, None, None):  # SEIZE, INTERRUPT
		    sys.exit("cannot stop it")
		while os.WIFSTOPPED(os.waitpid(thread, 0x40000000)[1]):  # __WALL
		    pass
	END
	tracer=$!
	goes_on 6 || status=1
	wait "$tracer" || status=1
	return "$status"
}

# It has told that it is alive when it would have been given up otherwise.
told_later() { at_least $(($(property WatchdogTimestampMonotonic) - $(property ActiveEnterTimestampMonotonic))) 7000000; }
lives_on() { within 30 told_later && equal "$(property NRestarts)" 6; }

# A driver that hangs is not waited for as long as the unit does.
mkdir -p "$units/$unit.d"
printf '[Service]\nWatchdogSec=6\n' >"$units/$unit.d/test.conf"
check "systemd runs" manager_start || bail "no service manager"
check "the service is enabled" systemctl enable "$unit"
check "and waits for its controller" is_state inactive
check "bind" udrv bind "$device" || bail "nothing to drive"
check "it starts with that" within 60 is_state active || { systemctl status "$unit" | sed 's/^/# /'; bail "no service"; }
check "with a disk" within 60 disk_comes
disk_comes # in this shell
check "a file system on it" mkfs.ext4 -q "$path"
check "mounted" mount "$path" "$work"
check "killed three times under fio, it is started again, and fio goes on" verifies
systemctl kill --kill-whom=main --signal=TERM "$unit"
check "so is one that ends by itself" goes_on 4

# What systemd hears of it: nothing.
systemctl kill --kill-whom=main --signal=STOP "$unit"
check "one that hangs is killed, and started again" goes_on 5
check "so is one of whose threads one hangs" hangs_in_a_thread
check "it lives on without anything to do" lives_on

pid=$(driver_pid)
check "another target" systemctl isolate local-fs-pre.target
check "and a shutdown" systemctl start shutdown.target
check "leave it" is_state active
check "as it is" equal "$(driver_pid)" "$pid"
check "it answers" answers
check "systemd's last signal is not for it" equal "$(first_word "$pid")" "@udrv-nvme"
check "it comes before file systems" contains <(systemctl show --property Before "$unit") 'local-fs-pre.target'

check "unmount" umount "$work"
check "fsck" fsck.ext4 -fn "$path"
check "unbind, at work" udrv unbind --force "$device"
check "the service ends with its controller" within 60 is_state inactive
check "and the disk with it" within 20 test ! -e "$path"
rm -rf "$work" "$work.said"
finish
