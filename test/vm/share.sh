#!/bin/bash
# SPDX-License-Identifier: MIT
#
# share.sh - two devices on one INTx line, both at work: none may lose an interrupt, none may be given the other's.
#
# Three pairs: edu through udrv beside a network card with the kernel's driver; both through udrv; the card through udrv
# beside a serial port with the kernel's driver. The hard part is to see a loss: 100,000 interrupts of edu are counted
# exactly (irq_count), pings go on being answered, what the serial port sends comes back byte for byte.
# Device sets: share, e1000, serial.

# shellcheck source-path=SCRIPTDIR/../..
# shellcheck disable=SC2317  # check and within call functions by their names
cd "$(dirname "$0")/../.." || exit
. test/vm/tap.sh
. test/vm/net.sh
trap net_cleanup EXIT

# The lines of /proc/interrupts, but for the counts.
line_has() { grep -E "$1" /proc/interrupts | grep -qE "$2" || { cat /proc/interrupts; return 1; }; }
no_complaint() { ! dmesg | grep -iE 'nobody cared|disabling irq|spurious'; }

# traffic_beside INTERFACE COMMAND...: iperf3 both ways and a ping from before the command begins until it has ended.
# All three must be well, and afterwards ten pings of ten be answered.
traffic_beside() {
	local packets=/sys/class/net/$1/statistics/rx_packets client pinger before sent began status=0

	shift
	began=$(cat "$packets")
	# The window keeps fewer frames on their way than the card has buffers: when it runs out of them, because nobody
	# had time for it, it drops frames, and pings among them.
	iperf3 --client 10.0.0.2 --time 1000 --bidir --window 64K >"$NET_DIR/iperf" 2>&1 &
	client=$!
	within 30 more_than "$packets" $((began + 500)) || status=1
	before=$(answers)
	ping -q -n -i 0.01 10.0.0.2 >"$NET_DIR/ping" 2>&1 &
	pinger=$!
	"$@" || status=1
	kill -INT "$pinger"
	wait "$pinger"
	# It must have been there to the end.
	kill "$client" || { echo "iperf3 ended early"; status=1; }
	{ wait "$client"; } 2>/dev/null
	echo "packets received: $(($(cat "$packets") - began))"
	cat "$NET_DIR/iperf"
	cat "$NET_DIR/ping"
	sent=$(sed -nE 's/^([0-9]+) packets transmitted.*/\1/p' "$NET_DIR/ping")
	# The emulated card drops a frame now and then when its ring is full. That is no interrupt lost: one that is stops
	# the traffic for good, and then not even what comes after it is answered.
	at_least "$sent" 20 && within 30 answers_from $((before + sent * 9 / 10)) || status=1
	ping_all 10 -i 0.05 10.0.0.2 || status=1
	return "$status"
}

count() {
	UDRV_EDU=00:10.0 UDRV_NO_SKIP=1 test/vm/irq_count >"$NET_DIR/count" 2>&1 || { cat "$NET_DIR/count"; return 1; }
	contains "$NET_DIR/count" '^ok 1 '
}

modprobe tun || bail "no tun"

# ---- edu through udrv, the card with the kernel's driver

peer_setup 00:15.0
nic=$(interface_of 00:14.0)
addresses "$nic"
check "edu is bound to udrv" udrv bind 00:10.0
check "the kernel's driver has the card" within 30 has_carrier "$nic"
check "it is answered" within 30 ping_all 3 -i 0.05 10.0.0.2
exec 8<>/dev/udrv/pci-00:10.0
cat <&8 >/dev/null & # a read that waits: it sets INTx up
reader=$!
exec 8>&-
check "they share a line" within 30 line_has "$nic" "udrv-00:10\.0-intx"
{ kill "$reader" && wait "$reader"; } 2>/dev/null
check "100,000 interrupts of edu beside the card's traffic: counts exact, traffic goes on" traffic_beside "$nic" count
check "nobody complained" no_complaint

ip link set "$nic" down

# ---- both through udrv

check "the card is bound to udrv" udrv bind 00:14.0
check "the sample driver brings it up" nic_up --irq=intx 00:14.0
check "it is answered" within 30 ping_all 3 -i 0.05 10.0.0.2
check "100,000 interrupts of edu beside the sample driver's traffic" traffic_beside nic0 count
check "nobody complained" no_complaint
check "the driver ends" driver_end INT

# ---- the card through udrv, a serial port with the kernel's driver

net_cleanup
NET_DIR=$(mktemp -d)
peer_setup 00:05.0
# Newer kernels have two more directories between.
tty=/dev/$(basename "$(find /sys/bus/pci/devices/0000:00:08.0/ -name 'ttyS*' -print -quit)")
check "the card is bound to udrv" udrv bind 00:04.0
check "the sample driver brings it up" nic_up --irq=intx 00:04.0
stty -F "$tty" raw -echo 115200
head -c 40000 /dev/urandom >"$NET_DIR/sent"

serial() {
	local reader status=0

	exec 7<>"$tty"
	head -c 40000 <&7 >"$NET_DIR/back" &
	reader=$!
	line_has udrv-00:04.0-intx "ttyS" || status=1
	timeout 120 cat "$NET_DIR/sent" >&7 || status=1
	within 60 sh -c "! kill -0 $reader" || status=1
	exec 7>&-
	cmp "$NET_DIR/sent" "$NET_DIR/back" || status=1
	return "$status"
}
check "40,000 bytes through the serial port come back equal beside the card's traffic" traffic_beside nic0 serial
check "nobody complained" no_complaint
check "the driver ends" driver_end INT
for device in 00:04.0 00:10.0 00:14.0; do
	check "$device is given back" udrv unbind $device
done
finish
