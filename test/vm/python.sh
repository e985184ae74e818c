#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The script that needs nothing but os, fcntl, struct and mmap, in a guest with the device sets `edu` and `serial`.
# Its exit status is checked both ways: it must fail where a step does.

raw=libudrv/python/raw.py
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

echo "1..$number"
[ $failed -eq 0 ]
