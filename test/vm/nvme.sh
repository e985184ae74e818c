# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# What tests of the NVMe driver have in common. Before it is sourced, $path is its disk; $driver is the driver's process, or
# empty.

driver=''

# The first controller of this machine, in nobody's hands but the kernel's: an earlier test may have left it bound.
nvme_first() {
	device=$(lspci -Dd ::0108 | awk 'NR == 1 {print $1}')
	device=${device#0000:}
	[ -n "$device" ] || bail "no NVMe controller in this machine"
	[ ! -e "/dev/udrv/pci-$device" ] || udrv unbind "$device"
}

# shellcheck disable=SC2154  # $path is the caller's
disk_there() { [ -b "$path" ] && lsblk -dno NAME "$path" >/dev/null && udevadm settle; }

# memory_cgroup NAME LIMIT: $group is a new one.
memory_cgroup() {
	mountpoint -q /sys/fs/cgroup || mount -t cgroup2 none /sys/fs/cgroup || return
	echo +memory >/sys/fs/cgroup/cgroup.subtree_control || return
	group=/sys/fs/cgroup/$1
	mkdir "$group" && echo "$2" >"$group/memory.max"
}

die() {
	kill -KILL "$driver" || return
	! wait "$driver" 2>/dev/null
	driver=''
}

# ends SIGNAL STATUS: the driver does, by it, and with that
ends() {
	kill -s "$1" "$driver" || return
	wait "$driver"
	local status=$?
	driver=''
	equal "$status" "$2"
}
