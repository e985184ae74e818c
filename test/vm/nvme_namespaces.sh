#!/bin/bash
# SPDX-License-Identifier: MIT
#
# nvme_namespaces.sh: a controller with two namespaces, of other blocks each: two disks of one driver, which both stay when
# it is killed. There is nothing behind them (device set `nvme-two`): what is read is zero.

# shellcheck source-path=SCRIPTDIR/../..
# shellcheck disable=SC2317  # check and within call functions by their names
cd "$(dirname "$0")/../.." || exit
. test/vm/tap.sh

device=00:0e.0 path=/dev/udrvtwoa said=$(mktemp)
. test/vm/nvme.sh
trap '[ -z "$driver" ] || kill -KILL "$driver"; rm -f "$said"' EXIT

disks_there() { disk_there && [ -b /dev/udrvtwob ] && lsblk -dno NAME /dev/udrvtwob >/dev/null; }
drive() {
	drivers/nvme/nvme --name udrvtwo "$device" >"$said" 2>&1 &
	driver=$!
	within 60 disks_there
}
blocks() { lsblk -bdno SIZE,LOG-SEC "/dev/udrvtwo$1" | xargs; }
fio_runs() {
	fio --filename="/dev/udrvtwo$1" --name=job --rw=randrw --bs=4k --iodepth=8 --ioengine=libaio --direct=1 --size=2m --minimal
}
small_refused() { ! dd if=/dev/udrvtwob of=/dev/null bs=512 count=1 iflag=direct; }

check "bind" udrv bind "$device" || bail "nothing to drive"
check "two disks" drive || bail "no disks"
check "the first: blocks of 512 bytes" equal "$(blocks a)" "67108864 512"
check "the second: blocks of 4,096" equal "$(blocks b)" "67108864 4096"
check "of which no part is read" small_refused
check "fio on the first" fio_runs a
check "fio on the second" fio_runs b
check "killed" die
check "the next driver takes both" drive
check "fio on the first" fio_runs a
check "fio on the second" fio_runs b
check "killed" die
check "unbind" udrv unbind "$device"
check "takes both away" within 20 test ! -e /dev/udrvtwoa -a ! -e /dev/udrvtwob
finish
