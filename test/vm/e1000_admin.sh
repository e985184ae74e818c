#!/bin/bash
# SPDX-License-Identifier: MIT
#
# e1000_admin.sh MODEL KIND [OPTION...]: the interface that the sample network driver serves, in the hands of an
# administrator: VLANs, ethtool, MTU, down and up, with a connection at work, full both ways, whose every byte is compared
# (stream.py); other network namespaces, deletion, unbinding, with floods of pings, which need not survive that. MODEL:
# 82540EM or 82574L; KIND: intx, msi, msix; OPTION: the driver's.

# shellcheck source-path=SCRIPTDIR/../..
# shellcheck disable=SC2317  # check and within call functions by their names
cd "$(dirname "$0")/../.." || exit
. test/vm/tap.sh
. test/vm/net.sh
trap net_cleanup EXIT

model=${1:-82540EM} kind=${2:-intx}
net_card "$model"
nic_port=--net
options=(--irq="$kind" --stats=600 "${@:3}")

# ---- a connection at work

statistic() { cat "/sys/class/net/nic0/statistics/$1"; }
statistic_more_than() { at_least "$(statistic "$1")" $(($2 + 1)); }

# flow_start ADDRESS: of the peer
flow_start() {
	peer python3 test/vm/stream.py listen "$1" >"$NET_DIR/listener" 2>&1 &
	flow=($!)
	within 60 peer grep -q ':138A 0*:0000 0A' /proc/net/tcp || return
	python3 test/vm/stream.py connect "$1" >"$NET_DIR/connector" 2>&1 &
	flow+=($!)
	flow_moves
}

# More comes and goes, in data: acknowledgements alone would not be so much.
flow_moves() {
	local in out

	in=$(statistic rx_bytes) out=$(statistic tx_bytes)
	within 60 statistic_more_than rx_bytes $((in + 300000)) && within 60 statistic_more_than tx_bytes $((out + 300000))
}

# In order: what one side has sent, the other has received.
flow_end() {
	local status=0 here=() there=()

	kill "${flow[1]}"
	wait "${flow[1]}" || status=1
	wait "${flow[0]}" || status=1
	flow=()
	cat "$NET_DIR/connector" "$NET_DIR/listener"
	read -ra here <"$NET_DIR/connector"
	read -ra there <"$NET_DIR/listener"
	[ "$status" = 0 ] && equal "${here[1]} ${here[3]}" "${there[3]} ${there[1]}"
}

# Do it, and the connection goes on.
through() { "$@" && flow_moves; }

# ---- what is told and set

# feature_is NAME STATE
feature_is() { equal "$(ethtool -k nic0 | sed -n "s/^$1: \(on\|off\).*/\1/p")" "$2"; }
refused() { # PATTERN COMMAND...
	local pattern=$1

	shift
	! "$@" >"$NET_DIR/refused" 2>&1 && contains "$NET_DIR/refused" "$pattern"
}

peer_setup "$peer"
check "bind" udrv bind --lazy "$device" || bail "nothing to drive"
head -c 2000000 /dev/urandom >"$NET_DIR/file"
check "an interface comes up" nic_up "${options[@]}" "$device" || bail "no interface"
copies=
feature_is tcp-segmentation-offload on >/dev/null || copies=1
[ -z "$copies" ] || note "packets are copied"
largest=9000 # MTU
[ -z "$copies" ] || largest=2000

check "ethtool: its queues" contains <(ethtool -l nic0) '^Combined:\s+[12]$'
check "ethtool: its rings" contains <(ethtool -g nic0) '^RX:\s+256$'
check "rings cannot be set" refused 'not supported' ethtool -G nic0 rx 512
check "nor queues" refused 'not supported' ethtool -L nic0 combined 1
check "nor the speed" refused 'not supported' ethtool -s nic0 speed 100 duplex full autoneg off
check "nor moderation" refused 'not supported' ethtool -C nic0 rx-usecs 10
check "an MTU beyond the card's is refused" refused 'mtu greater than device maximum' ip link set nic0 mtu $((largest + 1))

# ---- VLAN: tags put in and taken out by the card, and not

vlan_up() { # ADDRESS COMMAND... LINK
	local address=$1

	shift
	"${@:1:$#-1}" ip link add link "${@: -1}" name v5 type vlan id 5 && "${@:1:$#-1}" ip addr add "$address/24" dev v5 &&
		"${@:1:$#-1}" ip link set v5 up
}
# Beside a connection at work a ping may be lost.
answered() { within 60 ping -q -n -c 1 -W 5 "$@"; }
vlan_carries() { # WHAT
	check "$1: a ping is answered" answered 10.5.0.2
	check "$1: one of full length" answered -s 1472 -M "do" 10.5.0.2
	check "$1: one in fragments" answered -s 8000 10.5.0.2
	check "$1: one beside the VLAN" answered 10.0.0.2
	check "$1: the connection goes on" flow_moves
}
tags() { echo "$(counter rx_tags) $(counter tx_tags)"; }

check "a VLAN at the peer" vlan_up 10.5.0.2 peer wire
check "and here" vlan_up 10.5.0.1 nic0
check "the card does the tags" feature_is rx-vlan-offload on
check "a connection over the VLAN, full both ways" flow_start 10.5.0.2
vlan_carries "VLAN by the card"
check "the driver ends" driver_end INT
check "its card took tags out" at_least "$(counter rx_tags)" 100
check "and put them in" at_least "$(counter tx_tags)" 100
check "ethtool without a driver: tags are not the card's" ethtool -K nic0 rxvlan off
check "in neither direction" feature_is tx-vlan-offload off
check "the next driver" nic_up "${options[@]}" "$device"
vlan_carries "VLAN not by the card"
check "the driver ends" driver_end INT
check "its card saw to no tag" equal "$(tags)" "0 0"
check "a driver again" nic_up "${options[@]}" "$device"
check "tags are the card's again, under traffic" through ethtool -K nic0 rxvlan on
check "in both directions" feature_is tx-vlan-offload on
check "outgoing ones not" through ethtool -K nic0 txvlan off
check "none" through ethtool -K nic0 rxvlan off
check "all" through ethtool -K nic0 rxvlan on txvlan on
check "every byte was the right one" flow_end
ip link del v5

# ---- offloads

mean_bytes() { # rx|tx COMMAND...: of what is received, or sent, by it
	local way=$1 packets bytes

	shift
	packets=$(statistic "${way}_packets") bytes=$(statistic "${way}_bytes")
	"$@" >/dev/null || return
	echo $((($(statistic "${way}_bytes") - bytes) / ($(statistic "${way}_packets") - packets)))
}
ip_received() { awk '$1 == "Ip:" { if (header) print $4; header = 1 }' /proc/net/snmp; }
# Per cent of received frames that reached IP one by one.
ip_share() { # COMMAND...
	local packets ip

	packets=$(received) ip=$(ip_received)
	"$@" >/dev/null || return
	echo $((($(ip_received) - ip) * 100 / ($(received) - packets)))
}
# Not when frames are lost all the time, as where a processor is away for long: then again.
longer_than_the_mtu() { at_least "$(mean_bytes tx transfer "$NET_DIR/file" out 4)" 1515; }
put_together() { at_most "$(ip_share transfer "$NET_DIR/file" in 4)" 80; }
toggled=(tx rx gro)
if [ -z "$copies" ]; then
	toggled+=(sg tso)
	check "TSO: packets leave that are longer than the MTU" within 60 longer_than_the_mtu
	ethtool -K nic0 tso off >/dev/null
	check "off: none" at_most "$(mean_bytes tx transfer "$NET_DIR/file" out 4)" 1514
	ethtool -K nic0 tso on >/dev/null
fi
check "GRO: frames are put together" within 60 put_together
ethtool -K nic0 gro off >/dev/null
check "off: they are not" at_least "$(ip_share transfer "$NET_DIR/file" in 4)" 99
ethtool -K nic0 gro on >/dev/null

check "a connection, full both ways" flow_start 10.0.0.2
for feature in "${toggled[@]}"; do
	check "ethtool -K $feature off under traffic" through ethtool -K nic0 "$feature" off
	check "on" through ethtool -K nic0 "$feature" on
done

# ---- MTU; down and up

for mtu in 576 1500; do
	check "MTU $mtu under traffic" through ip link set nic0 mtu "$mtu"
done
# Longer frames than Ethernet's, which the card puts into several buffers.
both_mtu() { ip link set nic0 mtu "$1" && peer ip link set wire mtu "$1"; }
check "MTU $largest under traffic, at both ends" through both_mtu "$largest"
check "a ping of its length" answered -s $((largest - 28)) -M "do" 10.0.0.2
check "one in fragments" answered -s 30000 10.0.0.2
next_driver() {
	driver_end KILL
	driver_start --net nic0 "${options[@]}" "$device"
}
down_and_up() { ip link set nic0 down && addresses nic0; }
driver_of_the_down() { ip link set nic0 down && next_driver && addresses nic0; }
check "down and up under traffic" through down_and_up
check "once more" through down_and_up
check "down, its driver is killed, another one comes, and up" through driver_of_the_down
check "every byte was the right one" flow_end

# On average: the last one of what is written at once is shorter.
long=$((largest * 4 / 5))
check "a file to the peer, in long frames" at_least "$(mean_bytes tx transfer "$NET_DIR/file" out 4)" "$long"
check "a file from the peer, likewise" at_least "$(mean_bytes rx transfer "$NET_DIR/file" in 4)" "$long"
if [ -z "$copies" ]; then
	ethtool -K nic0 tso off >/dev/null
	check "without segmentation by the card, too" at_least "$(mean_bytes tx transfer "$NET_DIR/file" out 6)" "$long"
	ethtool -K nic0 tso on >/dev/null
fi
check "a connection in long frames, full both ways" flow_start 10.0.0.2
check "its driver is killed, another one comes" through next_driver
check "MTU 1500 at both ends" through both_mtu 1500
check "every byte was the right one" flow_end

# ---- in another network namespace

away() { ip netns exec away "$@"; }
away_addresses() { away ip addr add 10.0.0.1/24 dev nic0 && away ip link set lo up && away ip link set nic0 up; }
away_carries() { within 60 away ping -q -n -c 1 -W 2 10.0.0.2 && away ping -q -n -c 20 -i 0.02 -W 30 10.0.0.2; }

ip netns add away
check "traffic both ways" flood
check "the interface is moved to another namespace, under traffic" ip link set nic0 netns away
flow_cut
check "with an address there" away_addresses
check "20 pings there, none lost" away_carries
next_driver
check "its driver is killed, another one takes over from here: 20 pings, none lost" away_carries
check "there is no second one" test ! -e /sys/class/net/nic0
check "it comes back" ip -n away link set nic0 netns 1
check "with addresses" addresses nic0
check "20 pings, none lost" ping_all 20 -i 0.02 10.0.0.2
check "it is moved again" ip link set nic0 netns away
check "and the namespace ends" ip netns del away
check "the driver gives up" driver_gave_up
check "there is no interface" test ! -e /sys/class/net/nic0

# ---- deleted; unbound

check "a driver makes a new one" nic_up "${options[@]}" "$device"
check "traffic both ways" flood
check "ip link del" ip link del nic0
flow_cut
check "the driver gives up" driver_gave_up
check "a driver makes a new one" nic_up "${options[@]}" "$device"
check "20 pings, none lost" ping_all 20 -i 0.02 10.0.0.2
check "traffic both ways" flood
check "unbind, under traffic" udrv unbind --force "$device"
flow_cut
check "the driver gives up" driver_gave_up
check "there is no interface" test ! -e /sys/class/net/nic0
check "bind" udrv bind --lazy "$device"
check "a driver makes a new one" nic_up "${options[@]}" "$device"
check "20 pings, none lost" ping_all 20 -i 0.02 10.0.0.2
check "nothing that made no sense came from the driver" \
	equal "$(ethtool -S nic0 | sed -n 's/^ *queue_._\(rx\|tx_done\)_errors: //p' | tr -d '0\n')" ""
check "ends on SIGINT with status 0" driver_end INT
check "and was quiet" is_empty "$NET_DIR/err"
check "unbind" udrv unbind "$device"
finish
