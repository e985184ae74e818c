#!/bin/bash
# SPDX-License-Identifier: MIT
#
# e1000_control.sh MODEL KIND: what the sample network driver does beside moving frames (that is e1000_driver.sh): filters,
# address, link, refusals, --dump. MODEL: 82540EM or 82574L; KIND: intx, msi, msix. The same peer and judges.

# shellcheck source-path=SCRIPTDIR/../..
# shellcheck disable=SC2317  # check and within call functions by their names
cd "$(dirname "$0")/../.." || exit
. test/vm/tap.sh
. test/vm/net.sh
trap net_cleanup EXIT

model=${1:-82540EM} kind=${2:-intx}
net_card "$model"

modprobe tun || bail "no tun"
peer_setup "$peer"
check "bind" udrv bind "$device" || bail "nothing to drive"

# ---- filters: frames that are not ours arrive only when asked for

modes() { grep -c 'receive: ' "$NET_DIR/err"; }
modes_more_than() { [ "$(modes)" -gt "$1" ]; }

# The driver has seen a change: one more line about its filters than before.
mode_changes() {
	local before

	before=$(modes)
	"$@" && within 30 modes_more_than "$before"
}

# Of 60 frames to this address, none (fewer than 30 of anything) or all arrive.
filtered() {
	local before

	before=$(received)
	burst 60 "$1"
	ping_all 1 10.0.0.2 || return # what was sent before it has been received by now
	at_most $(($(received) - before)) 30
}
let_in() {
	local before

	before=$(received)
	burst 60 "$1"
	within 30 more_than /sys/class/net/nic0/statistics/rx_packets $((before + 59))
}

check "starts, telling what it does" nic_up --verbose --irq="$kind" "$device"
ip -n peer route add 239.0.0.0/8 dev wire
ip -n peer neigh add 10.0.0.77 lladdr 52:54:00:99:99:99 dev wire

group=01:00:5e:01:02:03
check "a multicast group that nobody joined is filtered" filtered 239.1.2.3
check "a group is joined" mode_changes ip maddr add $group dev nic0
check "and let in" let_in 239.1.2.3
check "another group is not" filtered 239.7.7.7
check "allmulticast is seen" mode_changes ip link set nic0 allmulticast on
check "and lets the other group in" let_in 239.7.7.7
check "allmulticast goes" mode_changes ip link set nic0 allmulticast off
check "and the other group with it" filtered 239.7.7.7
check "a group is left" mode_changes ip maddr del $group dev nic0
check "and filtered again" filtered 239.1.2.3
check "somebody else's frames are filtered" filtered 10.0.0.77
check "promiscuous mode is seen" mode_changes ip link set nic0 promisc on
check "and lets them in" let_in 10.0.0.77
check "promiscuous mode goes" mode_changes ip link set nic0 promisc off
check "and they with it" filtered 10.0.0.77
check "another address is taken over" mode_changes ip link set nic0 address 52:54:00:99:99:99
ip -n peer neigh flush dev wire
check "and answers" ping_all 5 -i 0.02 10.0.0.2
check "the first address comes back" mode_changes ip link set nic0 address "$address"
ip -n peer neigh flush dev wire
check "and answers too" ping_all 5 -i 0.02 10.0.0.2

# ---- the link

lab monitor set_link "$qdev" off
check "the link goes: the interface loses its carrier" within 30 no_carrier nic0
lab monitor set_link "$qdev" on
check "the link comes back" within 30 has_carrier nic0
check "and carries frames" ping_all 5 -i 0.02 10.0.0.2
check "ends on SIGTERM with status 0" driver_end TERM

# ---- refusals say what to do

refused() { ! $nic_driver "$@" >/dev/null 2>"$NET_DIR/refused"; }
ip tuntap add dev nic0 mode tap vnet_hdr
check "starts on an interface that is there" nic_up --irq="$kind" "$device"
check "a second driver is refused" refused --dump "$device"
check "and told why" contains "$NET_DIR/refused" "e1000: $device: in use"
driver_end INT
check "the interface that was there before stays" test -e /sys/class/net/nic0
check "without a carrier" no_carrier nic0
ip link del nic0
check "a device that is not bound is refused" refused --dump 00:05.0
check "and told what to do" contains "$NET_DIR/refused" 'udrv bind'
[ "$model" != 82540EM ] || check "MSI on a card without it is refused" refused --dump --irq=msi "$device"
check "two ports are refused" refused --dump --tap nic0 "$device"
check "and told so" contains "$NET_DIR/refused" "give one of"

# ---- without an interface

driver_start --dump --irq="$kind" "$device"
check "--dump sees the link" within 30 contains "$NET_DIR/out" '^link up$'
ip -n peer neigh replace 10.0.0.1 lladdr "$address" dev wire
burst 3 10.0.0.1
check "--dump shows a ping" within 30 contains "$NET_DIR/out" \
	"52:54:00:00:00:0[57] > $address, IPv4 \\(0x0800\\), length 98, 10.0.0.2 > 10.0.0.1 ICMP"
check "--dump ends on SIGINT with status 0" driver_end INT

# ---- without a word of where to

the_only_interface() { set -- "/sys/bus/pci/devices/0000:$device/net/"*; [ $# = 1 ] && [ -e "$1" ] && basename "$1"; }
driver_start --irq="$kind" "$device"
check "it is an interface by itself" within 30 the_only_interface
own=$(the_only_interface)
check "it ends" driver_end INT
driver_start --verbose --irq="$kind" "$device"
check "and takes the same one over" within 30 contains "$NET_DIR/err" "interface $own, taken over"
check "and it is the only one" the_only_interface
driver_end INT
ip -n peer neigh flush dev wire nud permanent
check "unbind" udrv unbind "$device"
finish
