#!/bin/bash
# SPDX-License-Identifier: MIT
#
# nvme_tools.sh: the NVMe driver's disk under the tools that people put on disks: partitions, a volume group, a mapping of
# the device mapper, a swap area in use; what is on them outlives the driver's death.

# shellcheck source-path=SCRIPTDIR/../..
# shellcheck disable=SC2317  # check and within call functions by their names
cd "$(dirname "$0")/../.." || exit
. test/vm/tap.sh

disk=udrvtools
path=/dev/$disk
. test/vm/nvme.sh
work=$(mktemp -d)
said=$work/said
mkdir "$work/part" "$work/lv"

cleanup() {
	mountpoint -q "$work/part" && umount -l "$work/part"
	mountpoint -q "$work/lv" && umount -l "$work/lv"
	[ -z "$driver" ] || kill -KILL "$driver" 2>/dev/null
}
trap cleanup EXIT

drive() {
	drivers/nvme/nvme --name "$disk" "$device" >"$said" 2>&1 &
	driver=$!
	within 60 disk_there
}
tree() { lsblk -rno NAME,TYPE "$path" | sort | xargs; }
# What was written is there when the caches are empty.
fill() { cp -a module drivers "$1" && sync -f "$1"; }
is_full() { echo 3 >/proc/sys/vm/drop_caches; diff -r module "$1/module" && diff -r drivers "$1/drivers"; }
lvm_quiet() { "$@" >"$said" 2>&1 || { cat "$said"; return 1; }; }
# udev has links to it, which lead there.
linked() { equal "$(readlink -f "/dev/disk/$1")" "$2"; }
tag_of() { blkid -p -o value -s "$2" "$1"; }
swap_used_kib() { awk -v p="${path}3" '$1 == p {print $4}' /proc/swaps; }

# A process with more memory than its cgroup has: most of it is on the disk. It looks at all of it when it is told to.
swapped_out() {
	local group word

	memory_cgroup udrv-swap 24M || return
	coproc swapper {
		echo "$BASHPID" >"$group/cgroup.procs" && exec python3 -c 'import sys
memory = bytearray(40 << 20)
for at in range(0, len(memory), 4096):
    memory[at:at + 8] = at.to_bytes(8, "little")
print("filled", flush=True)
sys.stdin.readline()
wrong = sum(memory[at:at + 8] != at.to_bytes(8, "little") for at in range(0, len(memory), 4096))
print(wrong, "wrong", flush=True)'
	}
	swapper_pid=$!
	read -r -t 120 -u "${swapper[0]}" word && equal "$word" filled && at_least "$(swap_used_kib)" 16000
}
comes_back() {
	local word

	echo look >&"${swapper[1]}"
	read -r -t 120 -u "${swapper[0]}" word && equal "$word" "0 wrong" && wait "$swapper_pid"
}

# The disk that the kernel's driver makes.
kernel_disk() { compgen -G "/sys/bus/pci/devices/0000:$device/nvme/nvme*/nvme*n*"; }
# udev reads the disk $1 until it is waited for, and meanwhile its controller is taken: a warning of the kernel's fails the run.
slow_reader() {
	mkdir -p /run/udev/rules.d || return
	cat >"$work/reader" <<-EOF || return
		#!/bin/sh
		exec <"\$1"
		touch "$work/reads"
		until pgrep -f "[u]devadm settle"; do sleep 0.05; done
		touch "$work/read"
	EOF
	chmod +x "$work/reader"
	echo "ACTION==\"change\", KERNEL==\"nvme*n1\", PROGRAM=\"$work/reader \$devnode\"" >"$rule"
	udevadm control --reload && udevadm trigger --action=change "$1" && within 20 test -e "$work/reads"
}

nvme_first
rule=/run/udev/rules.d/99-slow.rules
check "the kernel's disk" within 60 kernel_disk
check "udev reads it" slow_reader "$(kernel_disk)"
check "bind" udrv bind "$device" || bail "nothing to drive"
check "after udev has read it" test -e "$work/read"
rm "$rule"
udevadm control --reload
check "a disk" drive || bail "no disk"
check "blkdiscard" blkdiscard "$path"
check "hdparm -t" contains <(hdparm -t "$path" 2>&1) 'Timing buffered disk reads: .* MB/sec'
check "dd" dd if="$path" of=/dev/null bs=1M count=64 iflag=direct

check "parted: three partitions" parted -s "$path" mklabel gpt mkpart files ext4 1MiB 80MiB mkpart volumes 80MiB 200MiB \
	mkpart swap linux-swap 200MiB 100%
udevadm settle
check "lsblk has them" equal "$(tree)" "$disk disk ${disk}1 part ${disk}2 part ${disk}3 part"
check "the first: ext4" mkfs.ext4 -q -L udrvlabel "${path}1"
udevadm settle
serial=$(cat "/sys/block/$disk/serial")
check "the disk by its id" linked "by-id/udrv-$serial" "$path"
check "its partition" linked "by-id/udrv-$serial-part2" "${path}2"
check "a file system by its UUID" linked "by-uuid/$(tag_of "${path}1" UUID)" "${path}1"
check "by its label" linked by-label/udrvlabel "${path}1"
check "a partition by its name" linked by-partlabel/files "${path}1"
check "by its UUID" linked "by-partuuid/$(tag_of "${path}3" PART_ENTRY_UUID)" "${path}3"
check "lsblk has the id" equal "$(lsblk -dno SERIAL "$path")" "$serial"
check "mounted, by its label, as fstab may have it" mount "LABEL=udrvlabel" "$work/part"
check "filled" fill "$work/part"

check "the second: pvcreate" lvm_quiet pvcreate "${path}2"
check "vgcreate" lvm_quiet vgcreate udrvgroup "${path}2"
check "lvcreate, in two pieces" lvm_quiet lvcreate --yes --extents 10 --name volume udrvgroup
check "lvextend" lvm_quiet lvextend --extents +15 udrvgroup/volume
check "ext4 on it" mkfs.ext4 -q /dev/udrvgroup/volume
check "mounted" mount /dev/udrvgroup/volume "$work/lv"
check "filled" fill "$work/lv"

check "the third: mkswap" mkswap "${path}3"
check "swapon" swapon "${path}3"
check "a process whose memory is there" swapped_out

check "a driver that is killed" die
check "and the next one" drive
check "the partitions are the same" equal "$(tree)" \
	"udrvgroup-volume lvm $disk disk ${disk}1 part ${disk}2 part ${disk}3 part"
check "the first has its files" is_full "$work/part"
check "the volume, too" is_full "$work/lv"

check "so has the process" comes_back
check "swapoff" swapoff "${path}3"
check "unmount" umount "$work/part" "$work/lv"
check "fsck" fsck.ext4 -fn "${path}1"
check "fsck of the volume" fsck.ext4 -fn /dev/udrvgroup/volume
check "vgremove" lvm_quiet vgremove --yes udrvgroup
check "pvremove" lvm_quiet pvremove --yes "${path}2"
check "dmsetup: half of it, turned round" lvm_quiet dmsetup create udrvmap <<<"0 204800 linear $path 204800
204800 204800 linear $path 0"
check "is the disk's own data" cmp -n 104857600 -i 0:104857600 /dev/mapper/udrvmap "$path"
check "dmsetup remove" lvm_quiet dmsetup remove udrvmap
check "the driver lives" kill -0 "$driver"
check "and ends" die
check "unbind" udrv unbind "$device"
check "takes it all away" within 20 test ! -e "$path" -a ! -e "${path}1"
rm -rf "$work"
finish
