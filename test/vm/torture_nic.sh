#!/bin/bash
# SPDX-License-Identifier: MIT
#
# torture_nic.sh MODEL [ROUNDS]: the sample network driver is killed under traffic and started again, ROUNDS times (5).
#
# Two floods of pings, from here and from the peer, go on all the time. In each round the driver starts, frames go both
# ways, and it is killed in the middle of them. In the end every ping is answered again, and the kernel uses as much
# memory as after the first rounds. The kernel's log is the lab's to judge.

# shellcheck source-path=SCRIPTDIR/../..
# shellcheck disable=SC2317  # check and within call functions by their names
cd "$(dirname "$0")/../.." || exit
. test/vm/tap.sh
. test/vm/net.sh

model=${1:-82540EM} rounds=${2:-5} warm_up=3
net_card "$model"
nic_port=--net
export UDRV_MEMORY=$NET_DIR/memory UDRV_ROUNDS=$rounds
floods=()

end_floods() {
	local flood

	for flood in "${floods[@]}"; do
		kill "$flood"
		{ wait "$flood"; } 2>/dev/null
	done
	floods=()
}
trap 'end_floods; net_cleanup' EXIT

flood() {
	ping -f -q -n 10.0.0.2 >/dev/null 2>&1 &
	floods+=($!)
	ip netns exec peer ping -f -q -n 10.0.0.1 >/dev/null 2>&1 &
	floods+=($!)
}

# Reading it starts no process: 200 rounds of them would be the most of the work.
attribute_is() {
	local value

	read -r value <"/sys/class/udrv/pci-$device/$1"
	equal "$value" "$2"
}

killed() {
	local round rx tx

	for ((round = 0; round < $1; round++)); do
		driver_start --net nic0 "$device"
		within 30 has_carrier nic0 || { cat "$NET_DIR/err"; return 1; }
		rx=$(received) tx=$(cat /sys/class/net/nic0/statistics/tx_packets)
		within 30 more_than /sys/class/net/nic0/statistics/rx_packets $((rx + 100)) || return
		within 30 more_than /sys/class/net/nic0/statistics/tx_packets $((tx + 100)) || return
		driver_end KILL
		equal $? 137 || return
		attribute_is bus_master 0 && attribute_is owner 0 && attribute_is dma_streaming 0 || return
	done
}

as_it_was() {
	local status=0

	test/vm/memory_state after >"$NET_DIR/after" || status=1
	cat "$NET_DIR/after"
	grep "rounds:" "$NET_DIR/after" >&3
	return "$status"
}
exec 3>&1 # check keeps what its command says

peer_setup "$peer"
check "bind" udrv bind "$device" || bail "nothing to drive"
check "an interface, which stays" nic_up "$device"
driver_end KILL
flood
check "$warm_up rounds to warm up" killed "$warm_up"
end_floods
check "memory is noted" test/vm/memory_state before
flood
check "killed under traffic and started again, $rounds times" killed "$rounds"
end_floods
check "memory is as it was" as_it_was
check "starts once more" nic_up "$device"
check "20 pings, none lost" ping_all 20 -i 0.02 10.0.0.2
check "ends on SIGINT with status 0" driver_end INT
check "unbind" udrv unbind "$device"
finish
