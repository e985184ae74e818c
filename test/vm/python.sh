#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The scripts that show Python: raw.py, which needs nothing but os, fcntl, struct and mmap, in a guest with the device sets
# `edu` and `serial` (its exit status is checked both ways: it must fail where a step does); and echo_net.py, a network
# interface with nothing behind it.

raw=libudrv/python/raw.py
echo_net=libudrv/python/echo_net.py
number=0
failed=0

# check NAME STATUS PATTERN COMMAND...: run it; its status, and an extended regular expression in what it printed.
check() {
	local name=$1 want=$2 pattern=$3 output status
	shift 3
	output=$("$@" 2>&1 </dev/null)
	status=$?
	number=$((number + 1))
	if [ $status -eq "$want" ] && grep -Eq -- "$pattern" <<<"$output"; then
		echo "ok $number - $name"
	else
		failed=$((failed + 1))
		echo "not ok $number - $name"
		printf '%s\n' "command: $*" "status $status, wanted $want; wanted to see: $pattern" "$output" | sed 's/^/# /'
	fi
}

check "bind edu" 0 'is bound' udrv bind 00:02.0
check "bind another device" 0 'is bound' udrv bind 00:09.0
check "it imports four modules" 0 '^fcntl mmap os struct $' sh -c \
	"sed -n 's/^import //p; s/^from \([a-z]*\) import.*/\1/p' $raw | sort | tr '\n' ' '"
check "identification, interrupt, acknowledge" 0 '^ok: acknowledged: no further interrupt$' python3 $raw /dev/udrv/pci-00:02.0
check "and again: it left the device in order" 0 '^ok: read: vector 0, 1 interrupt' python3 $raw /dev/udrv/pci-00:02.0
check "another device: it says so and fails" 1 '^FAILED: ' python3 $raw /dev/udrv/pci-00:09.0
check "no argument: usage" 1 'usage: raw.py /dev/udrv/' python3 $raw
check "no such node" 1 'FileNotFoundError' python3 $raw /dev/udrv/pci-00:1e.7
check "unbind" 0 'has no driver' udrv unbind 00:02.0
check "unbind the other" 0 'has no driver' udrv unbind 00:09.0

# The interface is there when the script says so. Its end is a kill: nothing of it may need the script's help.
exec {said}< <(exec python3 $echo_net toy0 10.1.0.2 2>&1)
toy=$!
check "an interface of a script" 0 '^toy0: 10\.1\.0\.2 answers$' timeout 60 head -n 1 "/dev/fd/$said"
check "it gets an address" 0 '' ip addr add 10.1.0.1/24 dev toy0
check "it is up" 0 '' ip link set toy0 up
# With a deadline, ping waits until all are answered, however long this machine takes for one.
check "ping: the script answers" 0 ' 5 received' ping -n -c 5 -i 0.2 -w 60 10.1.0.2
check "ping: large ones" 0 ' 5 received' ping -n -c 5 -i 0.2 -w 60 -s 1472 10.1.0.2
check "for one address, and no other" 1 ' 0 received' ping -n -c 1 -W 1 10.1.0.3
check "its neighbour is who the script says" 0 'lladdr 02:00:00:00:00:02' ip neigh show 10.1.0.2 dev toy0
check "without a mistake in the rings" 0 '^ *queue_0_rx_errors: 0$' ethtool -S toy0
check "another one of this name is refused" 1 'FileExistsError' python3 $echo_net toy0 10.1.0.4
kill -KILL "$toy"
{ wait "$toy"; } 2>/dev/null
check "killed, it is gone" 1 'does not exist' ip link show toy0
check "no argument: usage again" 1 'usage: echo_net.py INTERFACE' python3 $echo_net

echo "1..$number"
[ $failed -eq 0 ]
