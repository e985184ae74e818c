#!/bin/bash
# SPDX-License-Identifier: MIT
#
# pcnet.sh: the network driver in one file, for another family of cards: frames both ways, by either way to acknowledge
# interrupts, and the death of its driver with connections open. What the interface itself does is in e1000_net.sh.

# shellcheck source-path=SCRIPTDIR/../..
cd "$(dirname "$0")/../.." || exit
. test/vm/tap.sh
. test/vm/net.sh
trap net_cleanup EXIT

net_card pcnet
nic_port=--net

peer_setup "$peer"
check "bind" udrv bind --lazy "$device" || bail "nothing to drive"
head -c 2000000 /dev/urandom >"$NET_DIR/file"

check "an interface comes up" nic_up --stats=600 "$device" || bail "no interface"
check "with the card's address" equal "$(cat /sys/class/net/nic0/address)" "$address"
check "with intx interrupts" grep -q "udrv-$device-intx" /proc/interrupts
check "ethtool: neither speed nor duplex mode is known" contains <(ethtool nic0 | xargs) 'Speed: Unknown! Duplex: Unknown!'
carries 5 4
check "iperf3 to the peer" iperf
check "iperf3 from the peer" iperf --reverse
check "1000 datagrams at once, more than the rings hold" more_than_the_rings 1000
check "400 pings from the peer at once, and it goes on" overrun 400
check "killed three times under iperf3, which goes on" taken_over --stats=600 --
check "and from the peer" taken_over --stats=600 -- --reverse
check "ends on SIGINT with status 0" driver_end INT
check "no frame was bad" equal "$(counter rx_errors) $(counter tx_errors)" "0 0"
check "and was quiet" is_empty "$NET_DIR/err"

# ---- where the handler does not acknowledge, as for a driver without the right to it

check "a driver without an acknowledge program takes over" nic_up --no-ack --stats=600 "$device"
check "it does so itself" grep -q "udrv-$device-intx" /proc/interrupts
carries 5 4
check "ends on SIGINT with status 0" driver_end INT
check "no frame was bad" equal "$(counter rx_errors) $(counter tx_errors)" "0 0"
check "nothing that made no sense came from the driver" \
	equal "$(ethtool -S nic0 | sed -n 's/^ *queue_0_\(rx\|tx_done\)_errors: //p' | xargs)" "0 0"
check "unbind" udrv unbind "$device"
check "takes the interface away" within 20 test ! -e /sys/class/net/nic0
finish
