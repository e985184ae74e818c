# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# net.sh - what tests of network cards share: two cards wired together, ours and a peer; sourced after tap.sh.
#
# The peer is a virtio-net with the kernel's driver, in the network namespace `peer`, at 10.0.0.2 and fd00::2. Ours is
# driven by drivers/e1000 or drivers/pcnet as interface nic0 at 10.0.0.1 and fd00::1, here. Owns both, and the driver's
# process; the hard part is to know when something has happened: a link, a filter, the end of a process.

nic_driver=drivers/e1000/e1000
nic_port=--tap # or --net: what nic0 is
NET_DIR=$(mktemp -d)
driver_pid=
peer_name= # while it is in its namespace
flow=() # processes that make traffic

# net_card MODEL: sets what the lab has of this card: device peer qdev address driver
# shellcheck disable=SC2034  # for who sources this
net_card() {
	case $1 in
	82540EM) device=00:04.0 peer=00:05.0 qdev=nic0 address=52:54:00:00:00:04 driver=e1000 ;;
	pcnet) device=00:17.0 peer=00:18.0 qdev=nic3 address=52:54:00:00:00:17 driver=pcnet32 nic_driver=drivers/pcnet/pcnet ;;
	82574L) device=00:06.0 peer=00:07.0 qdev=nic1 address=52:54:00:00:00:06 driver=e1000e ;;
	*) bail "no such model: $1" ;;
	esac
}

# The interface of a PCI device (with or without a virtio device between), under the name that udev gives it.
interface_of() {
	local path

	udevadm settle --timeout=120
	for path in "/sys/bus/pci/devices/0000:$1"/{virtio*/,}net/*; do
		[ ! -e "$path" ] || basename "$path"
	done
}

peer() { ip netns exec peer "$@"; }

# peer_setup ADDRESS
peer_setup() {
	local name

	name=$(interface_of "$1")
	[ -n "$name" ] || bail "there is no network interface on $1"
	(
		set -e
		ip netns add peer
		ip link set "$name" netns peer
		ip -n peer link set "$name" name wire
		ip -n peer link set lo up
		ip -n peer addr add 10.0.0.2/24 dev wire
		ip -n peer addr add fd00::2/64 dev wire nodad
		ip -n peer link set wire up
		ip netns exec peer iperf3 --server --daemon --pidfile "$NET_DIR/iperf3.pid" >/dev/null
	) || bail "cannot set the peer up"
	peer_name=$name
}

# addresses INTERFACE: ours, and up
addresses() {
	ip addr replace 10.0.0.1/24 dev "$1" && ip addr replace fd00::1/64 dev "$1" nodad && ip link set "$1" up
}

# The carrier, and the queues that the kernel sets up for it: in a work item that holds rtnl, as the last command waits for.
has_carrier() {
	file_is "/sys/class/net/$1/carrier" 1 && file_is "/sys/class/net/$1/operstate" up && ip link set "$1" up
}
no_carrier() { file_is "/sys/class/net/$1/carrier" 0; }

# driver_start OPTION... DEVICE: the driver in the background; what it says is in $NET_DIR/out and err.
driver_start() {
	$nic_driver "$@" >"$NET_DIR/out" 2>"$NET_DIR/err" &
	driver_pid=$!
}

driver_runs() { kill -0 "$driver_pid"; }

# driver_end SIGNAL: its exit status. (The shell says "Killed" of a background process on its own stderr.)
driver_end() {
	local status=0

	kill "-$1" "$driver_pid" || return
	{ wait "$driver_pid"; } 2>/dev/null || status=$?
	driver_pid=
	return "$status"
}

driver_over() { ! driver_runs; }
# The driver (--net) ends by itself, and says why.
driver_gave_up() {
	local status=0

	within 30 driver_over || return
	wait "$driver_pid" || status=$?
	driver_pid=
	equal "$status" 1 && contains "$NET_DIR/err" '^e1000: the interface nic0: '
}

# nic_up OPTION... DEVICE: the driver as nic0, with addresses, up to the point where frames go through.
nic_up() {
	driver_start $nic_port nic0 "$@"
	if ! within 30 test -e /sys/class/net/nic0 || ! addresses nic0 || ! within 30 has_carrier nic0; then
		cat "$NET_DIR/err"
		return 1
	fi
}

# The last value of a counter in the driver's statistics.
counter() { tail -n 1 "$NET_DIR/out" | tr ' ' '\n' | sed -n "s/^$1=//p"; }
received() { cat "/sys/class/net/nic0/statistics/rx_packets"; }

# Answers to pings that have reached this machine, IPv4 and IPv6. ping itself waits for the last one only twice as long
# as the slowest took so far: too short here, where a processor may be away for longer.
answers() {
	awk '$1 == "Icmp:" { for (i = 2; i <= NF; i++) if (header) { if (name[i] == "InEchoReps") sum += $i }
			else name[i] = $i; header = 1 }
		$1 == "Icmp6InEchoReplies" { sum += $2 }
		END { print sum + 0 }' /proc/net/snmp /proc/net/snmp6
}
answers_from() { at_least "$(answers)" "$1"; }

# ping_all COUNT OPTION... TARGET: every one is answered
ping_all() {
	local count=$1 before said

	shift
	before=$(answers)
	said=$(ping -q -n -c "$count" "$@")
	within 15 answers_from $((before + count)) || { echo "$said"; return 1; }
}

# iperf_json OPTION...: "MEGABITS-PER-SECOND MOST LEAST": the two are bytes that arrived, the one way and the other. Not for
# ever: a connection that stands still fails.
iperf_json() {
	timeout 200 iperf3 --client 10.0.0.2 --connect-timeout 15000 --json "$@" |
		python3 -c 'import json, sys
ways = [way for name, way in json.load(sys.stdin)["end"].items() if name.startswith("sum_received")]
arrived = [way["bytes"] for way in ways]
print(round(ways[0]["bits_per_second"] / 1e6, 1), max(arrived), min(arrived))'
}

# An emulated machine is as fast as its neighbours let it be: amounts, not rates, are asked for.
iperf_mib=16 udp_seconds=2
[[ $(uname -r) != *debug* ]] || iperf_mib=2 udp_seconds=8

# iperf OPTION...: TCP, until so much was sent, one way at least; half of it must have arrived (the rest is still on its way),
# and something each way.
iperf() {
	local said rate most least

	said=$(iperf_json --bytes "${iperf_mib}M" --window 256K "$@") || return
	read -r rate most least <<<"$said"
	echo "$rate Mbit/s, $most and $least bytes"
	at_least "$most" $((iperf_mib << 19)) && at_least "$least" 1
}

# iperf_udp OPTION...: what is lost is lost, but something arrives
iperf_udp() {
	local said rate most

	said=$(iperf_json --time "$udp_seconds" --udp "$@") || return
	read -r rate most _ <<<"$said"
	echo "$rate Mbit/s, $most bytes"
	at_least "$most" $((1 << 17))
}

# carries TIMES VERSION...: pings of all kinds, none lost, and files both ways, equal. A check for each.
carries() {
	local times=$1 version

	shift
	check "$((10 * times)) pings, none lost" ping_all $((10 * times)) -i 0.02 10.0.0.2
	check "$((5 * times)) pings of full length, none lost" ping_all $((5 * times)) -i 0.02 -s 1472 -M "do" 10.0.0.2
	check "pings over IPv6, none lost" ping_all $((2 * times)) -i 0.02 fd00::2
	check "fragmented pings of 20000 bytes, none lost" ping_all "$times" -i 0.05 -s 20000 10.0.0.2
	for version; do
		check "a file to the peer, IPv$version, equal" transfer "$NET_DIR/file" out "$version"
		check "a file from the peer, IPv$version, equal" transfer "$NET_DIR/file" in "$version"
	done
}

# taken_over DRIVER-OPTION... -- IPERF3-OPTION...: its driver (--net) is killed three times under iperf3, which goes on. An
# amount, not a time: however long the kills take, there is more to come after the last one. A small window: what is on its
# way at the end does not count as received.
taken_over() {
	local client before dropped status=0 options=()

	dropped=$(cat /sys/class/net/nic0/statistics/tx_dropped)
	while [ "$1" != -- ]; do
		options+=("$1")
		shift
	done
	shift
	iperf3 --client 10.0.0.2 --bytes 16M --bitrate 16M --window 256K --json "$@" >"$NET_DIR/iperf3.out" 2>&1 &
	client=$!
	for _ in 1 2 3; do
		before=$(received)
		within 30 more_than /sys/class/net/nic0/statistics/rx_packets $((before + 50)) || break
		driver_end KILL
		file_is /sys/class/net/nic0/carrier 1 || { echo "the carrier is gone"; break; }
		driver_start --net nic0 "${options[@]}" "$device"
	done
	wait "$client" || status=$?
	python3 -c 'import json, sys; end = json.load(sys.stdin)["end"]["sum_received"]
print(end["bytes"], "bytes in", round(end["seconds"], 1), "s"); sys.exit(end["bytes"] < 15e6)' <"$NET_DIR/iperf3.out" || status=1
	# What is sent meanwhile waits.
	file_is /sys/class/net/nic0/statistics/tx_dropped "$dropped" || status=1
	return "$status"
}

# more_than_the_rings COUNT: so many datagrams, sent while the driver does not run, arrive when it does. Nothing comes back
# that would wake it, no answer of the neighbour's either: it has to wake up for the rest by itself.
more_than_the_rings() {
	local receiver status=0

	ip neigh replace 10.0.0.2 lladdr "$(peer cat /sys/class/net/wire/address)" nud permanent dev nic0 || return
	tc qdisc replace dev nic0 root pfifo limit "$1" || return # others drop what has waited for long
	peer python3 -c 'import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, 33, 1 << 22) # SO_RCVBUFFORCE
s.bind(("10.0.0.2", 5001))
s.settimeout(20)
count = 0
while count < int(sys.argv[1]):
    s.recv(2048)
    count += 1
    print(count, flush=True)' "$1" >"$NET_DIR/datagrams" 2>&1 &
	receiver=$!
	within 20 peer grep -q ':1389 0*:0000 07' /proc/net/udp || return
	kill -STOP "$driver_pid"
	python3 -c 'import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, 32, 1 << 22) # SO_SNDBUFFORCE
for i in range(int(sys.argv[1])):
    s.sendto(b"x" * 100, ("10.0.0.2", 5001))' "$1"
	kill -CONT "$driver_pid"
	wait "$receiver" || status=$?
	tc qdisc del dev nic0 root
	ip neigh del 10.0.0.2 dev nic0
	[ "$status" = 0 ] || tail -n 3 "$NET_DIR/datagrams"
	return "$status"
}

# overrun COUNT: so many frames from the peer while the driver does not run, and it goes on when it does.
overrun() {
	kill -STOP "$driver_pid"
	burst "$1" 10.0.0.1
	kill -CONT "$driver_pid"
	ping_all 20 -i 0.02 10.0.0.2
}

tx_stalls() { ethtool -S nic0 | sed -n 's/^ *tx_stalls: //p'; }
tx_stalled() { at_least "$(tx_stalls)" "$1"; }

# stalled BAR REGISTER=VALUE...: these stop the card behind its driver's back, with packets to send. The driver is told, and
# starts it again. Linux lets nobody at a driver's registers, unless it was booted with iomem=relaxed.
stalled() {
	local before

	grep -qw iomem=relaxed /proc/cmdline || { note "not without iomem=relaxed"; return 0; }
	before=$(tx_stalls)
	python3 -c 'import mmap, os, sys
device, bar = sys.argv[1], int(sys.argv[2])
with open(f"/sys/bus/pci/devices/0000:{device}/resource") as f:
    base = int(f.readlines()[bar].split()[0], 16)
with mmap.mmap(os.open("/dev/mem", os.O_RDWR), 4096, offset=base & ~4095) as page:
    with memoryview(page).cast("I") as words:
        for write in sys.argv[3:]:
            register, value = (int(word, 0) for word in write.split("="))
            words[(base % 4096 + register) // 4] = value' "$device" "$@" || return
	ping -q -n -c 3 -i 0.1 -W 1 10.0.0.2 && { echo "it goes on all the same"; return 1; }
	within 60 tx_stalled $((before + 1)) || return
	within 30 ping -q -n -c 1 -W 1 10.0.0.2
}

# Traffic both ways that nobody looks at; flow_cut ends it.
flood() {
	ping -f -q -n 10.0.0.2 >/dev/null 2>&1 &
	flow=($!)
	ip netns exec peer ping -f -q -n 10.0.0.1 >/dev/null 2>&1 &
	flow+=($!)
	within 60 more_than /sys/class/net/nic0/statistics/rx_packets $(($(received) + 100))
}

flow_cut() {
	[ ${#flow[@]} = 0 ] && return
	kill -KILL "${flow[@]}"
	{ wait "${flow[@]}"; } 2>/dev/null
	flow=()
}

# transfer FILE: over TCP as it is, compared by its hash. IN: from the peer, OUT: to the peer; 4 or 6
transfer() {
	local file=$1 way=$2 version=$3 to address listener status=0 from_ns=() to_ns=()

	case $way in
	out) to_ns=(ip netns exec peer) ;;
	in) from_ns=(ip netns exec peer) ;;
	esac
	case $way$version in
	out4) address=10.0.0.2 ;;
	out6) address=fd00::2 ;;
	in4) address=10.0.0.1 ;;
	in6) address=fd00::1 ;;
	esac
	to=$NET_DIR/copy
	"${to_ns[@]}" nc "-$version" -l 5000 >"$to" </dev/null &
	listener=$!
	# It listens when /proc/net/tcp says so: state 0A, port 0x1388.
	within 60 "${to_ns[@]}" grep -q ':1388 0*:0000 0A' /proc/net/tcp /proc/net/tcp6 || status=1
	[ "$status" = 1 ] || "${from_ns[@]}" timeout 60 nc -N "$address" 5000 <"$file" >/dev/null || status=1
	[ "$status" = 0 ] || kill "$listener"
	wait "$listener" || status=1
	[ "$status" = 0 ] || { echo "the transfer failed"; return 1; }
	equal "$(sha256sum <"$to")" "$(sha256sum <"$file")"
}

# burst COUNT ADDRESS...: frames from the peer to somebody (an entry in its neighbour table); no answer is expected
burst() { peer ping -q -n -c "$1" -i 0.01 -W 1 "$2" >/dev/null; true; }

# As it was before, for the next one in this boot.
net_cleanup() {
	flow_cut
	[ -z "$driver_pid" ] || driver_end KILL
	[ ! -e "$NET_DIR/iperf3.pid" ] || kill "$(tr -d '\0' <"$NET_DIR/iperf3.pid")"
	if [ -n "$peer_name" ]; then
		ip -n peer link set wire down
		ip -n peer link set wire name "$peer_name"
		ip -n peer link set "$peer_name" netns 1
		ip netns del peer
		peer_name=
	fi
	rm -rf "$NET_DIR"
}
