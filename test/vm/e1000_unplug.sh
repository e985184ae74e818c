#!/bin/bash
# SPDX-License-Identifier: MIT
#
# e1000_unplug.sh: a card is pulled out with frames on their way, and plugged in again. An 82574L in the empty root port of
# the device set `hotplug`, on the wire of the set `e1000e`.

# shellcheck source-path=SCRIPTDIR/../..
# shellcheck disable=SC2317  # check and within call functions by their names
cd "$(dirname "$0")/../.." || exit
. test/vm/tap.sh
. test/vm/net.sh

net_card 82574L
device=02:00.0
nic_port=--net
sysfs=/sys/bus/pci/devices/0000:$device
plugged=
trap '[ -z "$plugged" ] || pull; net_cleanup; lab monitor netdev_del hot' EXIT

# On the bus's list, too (see hotplug.c).
there() { [ -e "$sysfs/power" ]; }
gone() { [ ! -e "$sysfs" ]; }
plug() {
	# Refused for as long as the old one is not quite gone.
	within 60 lab monitor device_add e1000e,id=hotnic,bus=rp1,addr=00.0,netdev=hot,mac=52:54:00:00:00:77 || return
	plugged=1
	within 60 there
}
pull() {
	lab monitor device_del hotnic && within 60 gone && plugged=
}

peer_setup "$peer"
check "a wire for it" lab monitor netdev_add hubport,id=hot,hubid=2 || bail "no wire"
for round in 1 2 3; do
	check "plugged in ($round)" plug || bail "no card"
	# Not the kernel's own driver.
	check "bind" udrv bind --lazy "$device" || bail "nothing to drive"
	check "an interface comes up" nic_up --queues="$((round % 2 + 1))" "$device" || bail "no interface"
	check "20 pings, none lost" ping_all 20 -i 0.02 10.0.0.2
	check "frames both ways" flood
	check "pulled out" pull
	flow_cut
	check "the driver gives up" driver_gave_up
	check "there is no interface" test ! -e /sys/class/net/nic0
	check "nor a node" test ! -e "/dev/udrv/pci-$device"
done
finish
