#!/bin/bash
# SPDX-License-Identifier: MIT
#
# e1000_driver.sh MODEL KIND: the sample network driver on a real link: frames, counters, death (the rest is
# e1000_control.sh's). MODEL: 82540EM or 82574L; KIND: intx, msi, msix.
#
# Its peer is a virtio-net with the kernel's driver in another network namespace; everything that judges (ping, iperf3,
# nc, sha256sum, the interface's own counters) was written by others.

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
# The mode is the machine's: bind would make a lazy domain strict.
check "bind" udrv bind --lazy "$device" || bail "nothing to drive"
head -c 8000000 /dev/urandom >"$NET_DIR/file"

# ---- the interface, and frames through it

check "an interface comes up" nic_up --irq="$kind" "$device" || bail "no interface"
check "with the card's address" equal "$(cat /sys/class/net/nic0/address)" "$address"
check "with $kind interrupts" grep -q "udrv-$device-$kind" /proc/interrupts
carries 10 4 6
# TCP hides frames that never arrive: it sends them again.
sent_once() {
	local sent again

	read -r sent again < <(awk '
		$1 == "Tcp:" && header { print $out, $again }
		$1 == "Tcp:" { for (i = header = 1; i <= NF; i++) { if ($i == "OutSegs") out = i; if ($i == "RetransSegs") again = i } }
		' /proc/net/snmp)
	note "$again of $sent segments sent again"
	at_most $((again * 20)) "$sent"
}
check "less than one segment of 20 had to be sent again" sent_once
check "iperf3 to the peer" iperf
check "iperf3 from the peer" iperf --reverse
check "iperf3 both ways at once" iperf --bidir
check "iperf3 by UDP, in datagrams that need fragments" iperf_udp --bitrate 20M --length 4000

check "ends on SIGINT with status 0" driver_end INT
check "and was quiet" is_empty "$NET_DIR/err"
check "its interface is gone with it" test ! -e /sys/class/net/nic0

# ---- counters: the card's, the driver's and the interface's agree

check "with checksums but without segmentation" nic_up --stats=3600 --offload=csum --irq="$kind" "$device"
check "a file each way" transfer "$NET_DIR/file" out 4
check "over IPv6 too" transfer "$NET_DIR/file" in 6
check "iperf3 without offloads of its peer" iperf
ip link set nic0 down # nobody sends any more; what was sent is through when a second has passed without a frame
quiet() { local a; a=$(received); sleep 1; equal "$(received)" "$a"; }
within 40 quiet
in=$(received) out=$(cat /sys/class/net/nic0/statistics/tx_packets)
driver_end INT
note "$(cat "$NET_DIR/out")"
check "all that the card received was taken" equal "$(counter rx_frames)" "$(counter card_rx)"
check "and given to the interface, or dropped while it was down" \
	equal "$(($(counter port_pushed) + $(counter port_dropped)))" "$(counter rx_frames)"
check "which counted the same" equal "$(counter port_pushed)" "$in"
check "all that the interface sent was taken" equal "$(counter port_pulled)" "$out"
check "and sent by the card" equal "$(counter tx_frames) $(counter card_tx)" "$out $out"
check "no frame was broken" equal "$(counter rx_errors) $(counter card_crc)" "0 0"

# ---- killed under traffic: the interface was there before it, and stays

ip tuntap add dev nic0 mode tap vnet_hdr
killed() {
	local client

	for _ in 1 2 3; do
		nic_up --irq="$kind" "$device" || return
		ping_all 5 -i 0.02 10.0.0.2 || return
		iperf3 --client 10.0.0.2 --time 30 --bidir >/dev/null 2>&1 &
		client=$!
		within 30 more_than /sys/class/net/nic0/statistics/rx_packets 1000 || return
		driver_end KILL
		kill -9 "$client"
		{ wait "$client"; } 2>/dev/null
		file_is "/sys/class/udrv/pci-$device/bus_master" 0 || return
		file_is "/sys/class/udrv/pci-$device/owner" 0 || return
	done
}
check "killed under traffic and started again, three times" killed
check "starts once more" nic_up --irq="$kind" "$device"
check "20 pings, none lost" ping_all 20 -i 0.02 10.0.0.2
within 120 peer sh -c '! ss -Htn state established "( sport = :5201 )" | grep -q .' # the server has noticed
check "iperf3 again" iperf
check "iperf3 again, from the peer" iperf --reverse

driver_end INT
ip link del nic0

# ---- the kernel's own driver takes the card back

check "unbind" udrv unbind "$device"
kernel_has_it() { equal "$(basename "$(readlink "/sys/bus/pci/devices/0000:$device/driver")")" "$driver"; }
check "the kernel's driver has the card" within 30 kernel_has_it
udevadm settle --timeout=120 # it has its last name then
own=$(interface_of "$device")
addresses "$own"
check "and a link" within 30 has_carrier "$own"
check "and is answered" within 30 ping_all 3 -i 0.05 10.0.0.2
# Another card may get the same address after this.
ip link set "$own" down
ip addr flush dev "$own"
finish
