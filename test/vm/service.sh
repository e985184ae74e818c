#!/bin/bash
# SPDX-License-Identifier: MIT
#
# service.sh: the network driver as a service of systemd: it starts with its card, again when it dies or hangs, and ends
# with the card.

# shellcheck source-path=SCRIPTDIR/../..
# shellcheck disable=SC2317  # check and within call functions by their names
cd "$(dirname "$0")/../.." || exit
. test/vm/tap.sh
. test/vm/net.sh
. test/vm/systemd.sh

net_card 82540EM
unit=udrv-e1000@$device.service

cleanup() {
	manager_end
	net_cleanup
}
trap cleanup EXIT

# It is there, and goes through: what waits for the driver meanwhile is not lost.
goes_on() { within 60 restarted "$1" && ping -q -n -c 3 -i 0.2 -W 20 10.0.0.2; }

peer_setup "$peer"
check "systemd runs" manager_start || bail "no service manager"
check "the service is enabled" systemctl enable "$unit"
check "and waits for its card" is_state inactive
check "bind" udrv bind --lazy "$device" || bail "nothing to drive"
check "it starts with that" within 60 is_state active || { systemctl status "$unit" | sed 's/^/# /'; bail "no service"; }
nic=$(interface_of "$device")
check "with an interface" test -n "$nic"
addresses "$nic"
check "which has a link" within 30 has_carrier "$nic"
check "and packets go through" ping -q -n -c 3 -i 0.2 -W 20 10.0.0.2
index=$(cat "/sys/class/net/$nic/ifindex")

systemctl kill --kill-whom=main --signal=KILL "$unit"
check "killed, it is started again" goes_on 1
# What systemd hears of one that hangs: nothing.
systemctl kill --kill-whom=main --signal=STOP "$unit"
check "one that hangs is killed, and started again" goes_on 2
systemctl kill --kill-whom=main --signal=INT "$unit"
check "so is one that ends by itself" goes_on 3
check "the interface is the same one" equal "$(cat "/sys/class/net/$nic/ifindex")" "$index"

check "unbind, at work" udrv unbind --force "$device"
check "the service ends with its card" within 60 is_state inactive
check "bind" udrv bind --lazy "$device"
check "and begins with it" within 60 is_state active
check "stopped by hand, it stays so" systemctl stop "$unit"
check "which is no failure" is_state inactive
check "unbind" udrv unbind "$device"
finish
