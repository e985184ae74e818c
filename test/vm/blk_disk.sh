#!/bin/bash
# SPDX-License-Identifier: MIT
#
# blk_disk.sh - the RAM disks, in C and in Python, under the tools that people put on disks: fio with verification, a
# file system with a tree of files, fsck, lsblk, blkdiscard. What they say when they are refused.

# shellcheck source-path=SCRIPTDIR/../..
# shellcheck disable=SC2317  # check and within call functions by their names
cd "$(dirname "$0")/../.." || exit
. test/vm/tap.sh

ram=drivers/ram/ram
python=libudrv/python/ram_disk.py
said=$(mktemp) work=$(mktemp -d)

refused() { ! "$@" >"$said" 2>&1; }
lives() { kill -0 "$driver"; }
disk_there() { [ -b "/dev/$disk" ] && lsblk -dno NAME "/dev/$disk" >/dev/null && udevadm settle; }
disk_gone() { [ ! -e "/dev/$disk" ]; }

# start NAME COMMAND...: a driver, and its disk.
start() {
	disk=$1
	shift
	"$@" >"$said" 2>&1 &
	driver=$!
	within 60 disk_there
}

# ends STATUS
ends() {
	kill -TERM "$driver" || return
	wait "$driver"
	local status=$?
	within 60 disk_gone && equal "$status" "$1"
}

# Written at random, each place once, and read back: fio_verifies BYTES DIRECT BLOCK...
fio_verifies() {
	local bytes=$1 direct=$2 block

	shift 2
	for block; do
		fio --name=verify --filename="/dev/$disk" --size="$bytes" --rw=randwrite --bs="$block" --ioengine=libaio \
			--iodepth=16 --direct="$direct" --verify=crc32c --verify_fatal=1 --verify_state_save=0 || return
	done
}

tree_is_kept() {
	mkfs.ext4 -q "/dev/$disk" && mount "/dev/$disk" "$work" || return
	cp -a module libudrv drivers "$work" && sync && umount "$work" || return
	echo 3 >/proc/sys/vm/drop_caches
	mount "/dev/$disk" "$work" || return
	for part in module libudrv drivers; do
		diff -r "$part" "$work/$part" || return
	done
	rm -r "${work:?}/module" && fstrim "$work" && umount "$work" && fsck.ext4 -fn "/dev/$disk"
}

first_mib_is_zero() { cmp -n 1048576 "/dev/$disk" /dev/zero; }

check "C: no such option" refused $ram --colour
check "C: it says how" contains "$said" 'usage: ram'
check "C: no megabytes" refused $ram many
check "C: no name for it" refused $ram --name=sda
check "C: it says what a name is" contains "$said" '"udrv" and up to 20 small letters'
check "C: without the right" refused setpriv --bounding-set=-sys_admin --inh-caps=-sys_admin $ram
check "C: it says which" contains "$said" 'CAP_SYS_ADMIN'

check "C: a disk" start udrvram $ram --name=udrvram 96
check "C: it says so" contains "$said" '^/dev/udrvram: 96 MiB$'
check "C: lsblk" equal "$(lsblk -bdno SIZE,TYPE,RO,LOG-SEC /dev/udrvram | xargs)" "100663296 disk 0 512"
check "C: another one of this name is refused" refused $ram --name=udrvram
check "C: the module stays" refused rmmod udrv
check "C: fio, direct" fio_verifies 8m 1 512 4k 52k 1m
check "C: fio, by the page cache" fio_verifies 8m 0 4k 100k
check "C: a tree of files in ext4" tree_is_kept
check "C: blkdiscard" blkdiscard /dev/udrvram
check "C: what was discarded is zero" first_mib_is_zero
check "C: it still lives" lives
check "C: it ends, with its disk" ends 0

check "Python: a disk" start udrvpy python3 $python 64 udrvpy
check "Python: it says so" contains "$said" '^/dev/udrvpy: 64 MiB$'
check "Python: fio, direct" fio_verifies 4m 1 4k 64k
check "Python: it ends, with its disk" ends 143

check "killed: a disk" start udrvram $ram --name=udrvram 64
mkfs.ext4 -q /dev/udrvram && mount /dev/udrvram "$work"
kill -9 "$driver"
check "killed: its disk goes, mounted as it is" within 60 disk_gone
check "killed: what is asked of it fails" refused touch "$work/file"
umount "$work"
rm -rf "$work" "$said"
finish
