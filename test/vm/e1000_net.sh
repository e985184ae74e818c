#!/bin/bash
# SPDX-License-Identifier: MIT
#
# e1000_net.sh MODEL KIND [OPTION...]: the sample network driver as a network interface of the kernel's, without TAP:
# frames, what the system sees of it, and the death of its driver with connections open. MODEL: 82540EM or 82574L; KIND:
# intx, msi, msix; OPTION: the driver's, as --queues=2.

# shellcheck source-path=SCRIPTDIR/../..
# shellcheck disable=SC2317  # check and within call functions by their names
cd "$(dirname "$0")/../.." || exit
. test/vm/tap.sh
. test/vm/net.sh
trap net_cleanup EXIT

model=${1:-82540EM} kind=${2:-intx}
options=(--irq="$kind" "${@:3}")
queues=1
for option in "${@:3}"; do [[ $option != --queues=* ]] || queues=${option#*=}; done
net_card "$model"
nic_port=--net

peer_setup "$peer"
check "bind" udrv bind --lazy "$device" || bail "nothing to drive"
head -c 8000000 /dev/urandom >"$NET_DIR/file"

# ---- the interface, and frames through it

check "an interface comes up" nic_up "${options[@]}" "$device" || bail "no interface"
check "with the card's address" equal "$(cat /sys/class/net/nic0/address)" "$address"
check "with $kind interrupts" grep -q "udrv-$device-$kind" /proc/interrupts
carries 10 4 6
check "iperf3 to the peer" iperf
check "iperf3 from the peer" iperf --reverse
check "iperf3 both ways at once" iperf --bidir
check "iperf3 by UDP, in datagrams that need fragments" iperf_udp --bitrate 20M --length 4000
check "1000 datagrams at once, more than the rings hold" more_than_the_rings 1000
check "400 pings from the peer at once, and it goes on" overrun 400
check "its transmitter is stopped, and started again" stalled 0 0x400=0
check "20 pings, none lost" ping_all 20 -i 0.02 10.0.0.2

# ---- what the system sees

check "it is the device's" equal "$(basename "$(readlink /sys/class/net/nic0/device)")" "0000:$device"
check "ethtool: the driver" grep -q "^driver: udrv" <(ethtool -i nic0)
check "ethtool: the link" contains <(ethtool nic0 | xargs) 'Speed: 1000Mb/s Duplex: Full'
check "ethtool: queues" contains <(ethtool -l nic0) "^Combined:\s+$queues\$"
check "ethtool: rings" grep -q "RX:.*256" <(ethtool -g nic0)
check "ip: its kind" grep -q "udrv" <(ip -d link show nic0)
# In words, a number for each queue.
stat_of() { ethtool -S nic0 | sed -n "s/^ *queue_[0-9]_$1: //p" | xargs; }
check "nothing that made no sense came from the driver" equal "$(stat_of "\(rx\|tx_done\)_errors" | tr -d ' 0')" ""
each_at_least() { local n; for n in $1; do at_least "$n" "$2" || return; done; }
if [ "$queues" -gt 1 ]; then
	check "iperf3, sixteen connections" iperf --parallel 16 --window 32K
	check "each queue sends and receives" each_at_least "$(stat_of '[rt]x_packets')" 100
fi

# ---- the driver is killed with a connection open, and started again

# What the system has at the interface.
tc qdisc replace dev nic0 root pfifo limit 5000
ip route add 198.51.100.0/24 via 10.0.0.2 dev nic0
ip neigh replace 10.0.0.99 lladdr 52:54:00:00:00:99 nud permanent dev nic0
index=$(cat /sys/class/net/nic0/ifindex)
check "killed three times under iperf3, which goes on" taken_over "${options[@]}" --
check "and from the peer" taken_over "${options[@]}" -- --reverse
check "the interface is the same one" equal "$(cat /sys/class/net/nic0/ifindex)" "$index"
check "with its addresses" grep -q "10.0.0.1/24" <(ip addr show nic0)
check "its routes" contains <(ip route show dev nic0) '^198.51.100.0/24 via 10.0.0.2'
check "its neighbours" contains <(ip neigh show dev nic0) '^10.0.0.99 lladdr 52:54:00:00:00:99 PERMANENT'
check "its queueing discipline" contains <(tc qdisc show dev nic0) 'pfifo .*root .*limit 5000p'
tc qdisc del dev nic0 root
check "20 pings, none lost" ping_all 20 -i 0.02 10.0.0.2

# ---- a driver that does not sleep, or not at once; of two queues each polls

interrupts() { awk '/udrv-/ { for (i = 2; $i ~ /^[0-9]+$/; i++) sum += $i } END { print sum + 0 }' /proc/interrupts; }
next_driver() { driver_end INT && driver_start --net nic0 "$@" "${options[@]}" "$device" && within 30 has_carrier nic0; }
if [ "$queues" -gt 1 ]; then
	check "a driver that looks for 200 us before it sleeps" next_driver --poll=200
	carries 2 4
	check "iperf3 both ways at once" iperf --bidir
	check "a driver that never sleeps" next_driver --poll
	before=$(interrupts)
	carries 2 4
	check "without an interrupt" equal "$(interrupts)" "$before"
	check "sees its link go" lab monitor set_link "$qdev" off
	check "and tells" within 20 no_carrier nic0
	check "sees it come" lab monitor set_link "$qdev" on
	check "and tells" within 20 has_carrier nic0
	check "a driver that sleeps" next_driver
fi

# ---- without a driver

driver_end KILL
check "the carrier is held for a while" file_is /sys/class/net/nic0/carrier 1
check "and dropped when nobody comes" within 20 no_carrier nic0
check "a driver is welcome all the same" nic_up "${options[@]}" "$device"
check "20 pings, none lost" ping_all 20 -i 0.02 10.0.0.2
check "ends on SIGINT with status 0" driver_end INT
check "and was quiet" is_empty "$NET_DIR/err"
check "the interface is still there" test -e /sys/class/net/nic0
check "unbind" udrv unbind "$device"
check "takes it away" within 20 test ! -e /sys/class/net/nic0
finish
