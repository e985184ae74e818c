#!/bin/bash
# SPDX-License-Identifier: MIT
#
# bench_iperf.sh [ROUNDS [SECONDS]]: TCP through one card, an 82540EM: with the kernel's e1000 and with ours, in turn, in one
# boot, on as many processors as there are. Prints `figure NAME SIDE MBIT/S...`, one number for each round, and `done`.

# shellcheck source-path=SCRIPTDIR/../..
cd "$(dirname "$0")/../.." || exit
. test/vm/tap.sh
. test/vm/net.sh
trap net_cleanup EXIT

rounds=${1:-5} seconds=${2:-5}
net_card 82540EM
nic_port=--net
declare -A send receive

die() { echo "bench_iperf: $*" >&2; exit 1; }

# rate SECONDS OPTION...: megabits for each second
rate() {
	local said

	said=$(iperf_json --time "$@") && LC_ALL=C printf '%.0f\n' "${said%% *}"
}

# measure SIDE: both directions
measure() {
	# A first one that does not count: neighbours, caches, the window's growth.
	rate 1 >/dev/null || die "$1: iperf3 failed"
	send[$1]+="	$(rate "$seconds")" || die "$1: iperf3 failed"
	receive[$1]+="	$(rate "$seconds" --reverse)" || die "$1: iperf3 failed"
}

peer_setup "$peer"
for ((round = 0; round < rounds; round++)); do
	udevadm settle --timeout=60
	nic=$(interface_of "$device")
	[ -n "$nic" ] || die "the kernel's driver makes no interface"
	if ! addresses "$nic" || ! within 60 has_carrier "$nic"; then die "the kernel's driver has no link"; fi
	measure kernel
	ip link set "$nic" down
	udrv bind --lazy "$device" || die "cannot bind $device"
	nic_up "$device" || die "no interface"
	measure udrv
	driver_end INT || die "the driver failed"
	udrv unbind "$device" || die "cannot unbind $device"
done
for side in kernel udrv; do
	printf 'figure\tiperf-send\t%s%s\n' "$side" "${send[$side]}"
	printf 'figure\tiperf-receive\t%s%s\n' "$side" "${receive[$side]}"
done
echo 'done'
