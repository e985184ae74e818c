# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# What prepare and build share: where the cache is, which kernels there are, how an entry gets into the cache. An entry
# is a directory whose name ends in the hash of everything it is made from. It is built under a temporary name and
# renamed when it is complete, under a lock: an interrupted run leaves nothing that a later one would believe, and two
# runs at once build it once.

set -euo pipefail

# shellcheck disable=SC2034  # for those who source this
LAB=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
UDRV_CACHE=${UDRV_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/udrv}
export UDRV_CACHE LC_ALL=C.UTF-8

# Kernels by the name they have on the command line: the Debian release they run on, the suite they come from.
# Names are upstream versions, so that a kernel update in Debian is picked up without a change here. `debug` is built from
# Debian's source of 6.1, to look for mistakes: see debug-kernel.
LAB_KERNELS="6.1 6.12 7.3 debug"

kernel_release_of() {
	case $1 in
	6.1|6.12|debug) echo bookworm ;;
	7.3) echo trixie ;;
	*) die "no kernel '$1' here; there are: $LAB_KERNELS" ;;
	esac
}

kernel_suite_of() {
	case $1 in
	6.1) echo bookworm ;;
	6.12) echo bookworm-backports ;;
	7.3) echo trixie-backports ;;
	*) die "no kernel '$1' here; there are: $LAB_KERNELS" ;;
	esac
}

say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }
die() { say "$*"; exit 1; }

hash_of() { sha256sum | cut -c1-16; }

# Run the calling script again as root (chroot and mounts need it), for the same cache.
need_root() {
	[ "$(id -u)" = 0 ] && return
	command -v sudo >/dev/null || die "must be root (chroot, mounts), and there is no sudo"
	mkdir -p "$UDRV_CACHE"  # the caller's: test/run keeps its logs there
	exec sudo UDRV_CACHE="$UDRV_CACHE" UDRV_GCOV="${UDRV_GCOV-}" TMPDIR="${TMPDIR:-/tmp}" "$0" "$@"
}

# cache_entry KIND/NAME: take the lock of this entry for the rest of the (sub)shell. Returns 1 if the entry is there.
# Else sets `entry_tmp`, an empty directory to fill, to be handed to cache_commit.
cache_begin() {
	local path=$UDRV_CACHE/$1 lock

	[ -e "$path" ] && return 1
	mkdir -p "${path%/*}" "$UDRV_CACHE/lock"
	lock=$UDRV_CACHE/lock/${1//\//,}
	exec 9>"$lock"
	if ! flock -n 9; then
		say "waiting for another run that makes $1"
		flock 9
	fi
	[ -e "$path" ] && return 1
	entry_tmp=$path.tmp
	rm -rf --one-file-system "$entry_tmp"
	mkdir -p "$entry_tmp"
}

cache_commit() {
	mv -T "$entry_tmp" "$UDRV_CACHE/$1"
	exec 9>&-
}

# image_of TREE FILE: an ext4 image of a tree. No journal, no spare room: it is only ever mounted read-only.
image_of() {
	local kib inodes

	kib=$(du -sk --apparent-size "$1" | cut -f1)
	inodes=$(find "$1" -printf . | wc -c)
	# Small files round up to a block; extents, directories and inode tables need their share too.
	# mke2fs spreads inodes evenly over its groups and may drop some: leave it room.
	kib=$((kib * 106 / 100 + inodes * 3 + 8192))
	rm -f "$2"
	mke2fs -q -t ext4 -b 4096 -O ^has_journal -m 0 -N $((inodes + inodes / 8 + 1024)) -d "$1" "$2" "${kib}k" >/dev/null
}

# mount_layers DIR UPPER LOWER...: DIR becomes an overlay (topmost lower first) with what a chroot needs inside.
# Only inside a private mount namespace (unshare -m): nothing has to be unmounted then, however the run ends.
mount_layers() {
	local dir=$1 upper=$2 lower

	shift 2
	lower=$(IFS=:; echo "$*")
	mkdir -p "$dir" "$upper" "$upper.work"
	mount -t overlay udrv -o "lowerdir=$lower,upperdir=$upper,workdir=$upper.work" "$dir" ||
		die "no overlay in $upper: if this is inside an overlay itself (a container), put UDRV_CACHE on another disk"
	mount -t proc proc "$dir/proc"
	mount -t sysfs -o ro sysfs "$dir/sys"
	mount --bind /dev "$dir/dev"
	mount -t tmpfs -o mode=1777 tmp "$dir/tmp"
	mount -t tmpfs -o mode=755 run "$dir/run"
}
