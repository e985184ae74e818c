#!/bin/bash
# SPDX-License-Identifier: MIT
#
# edu_driver.sh - the sample driver of edu, as a person would run it: whole lines, exit status, and what it says when
# the device is not there or somebody has it.

# shellcheck source-path=SCRIPTDIR/../..
# shellcheck disable=SC2317  # check and within call functions by their names
cd "$(dirname "$0")/../.." || exit
. test/vm/tap.sh

EDU=drivers/edu/edu
node=/sys/class/udrv/pci-00:02.0
out=$(mktemp) err=$(mktemp)

runs() { "$EDU" "$@" >"$out" 2>"$err" || { cat "$err"; return 1; }; }
fails() { ! "$EDU" "$@" >"$out" 2>"$err"; }

# Other tests of this boot may have left it bound.
[ ! -e "$node" ] || udrv unbind 00:02.0 >/dev/null
check "unbound: refused" fails 00:02.0
check "unbound: it says what to do" contains "$err" "edu: 00:02.0: .*udrv bind"
# The mode is the machine's: bind would make a lazy domain strict.
check "bind" udrv bind --lazy 00:02.0

for kind in INTx MSI; do
	option=()
	[ "$kind" = INTx ] || option=(--msi)
	check "$kind: runs" runs "${option[@]}" --dma-bits=32 00:02.0
	check "$kind: identification" contains "$out" '^identification: 0x010000ed, version 1\.0$'
	check "$kind: liveness" contains "$out" '^liveness: wrote 0x12345678, read 0xedcba987$'
	check "$kind: factorial" contains "$out" '^factorial: 12! = 479001600, '
	check "$kind: interrupt" contains "$out" "^interrupt: $kind, raised, handled after [0-9]+ us, read\$"
	check "$kind: consistent DMA" contains "$out" '^DMA, consistent memory: 4095 bytes .* equal$'
	check "$kind: streaming DMA" contains "$out" '^DMA, streaming memory: 4095 bytes .* equal$'
	check "$kind: six lines and no complaint" equal "$(wc -l <"$out") $(wc -c <"$err")" "6 0"
done

driver_runs() { kill -0 "$1" 2>/dev/null; }

# Killed in the middle of its DMA, at the worst time: the next one must work at once.
killed() {
	local pid bytes

	for _ in 1 2 3; do
		"$EDU" --dma-bits=32 00:02.0 >"$out" 2>"$err" &
		pid=$!
		# It is in a transfer, of 100 ms, when it has the memory. Read without starting a process, to be in time.
		bytes=0
		while [ "$bytes" = 0 ] && driver_runs "$pid"; do read -r bytes <"$node/dma_consistent"; done
		at_least "$bytes" 1 || return
		kill -9 "$pid"
		{ wait "$pid"; } 2>/dev/null
		file_is "$node/bus_master" 0 || return
		file_is "$node/dma_consistent" 0 || return
		runs --dma-bits=32 00:02.0 || return
	done
}
check "killed during DMA and started again, three times" killed

exec 8<>/dev/udrv/pci-00:02.0
check "in use: refused" fails 00:02.0
check "in use: it says so" contains "$err" 'edu: 00:02.0: in use'
exec 8>&-
check "no argument: usage" fails
check "unbind" udrv unbind 00:02.0
rm -f "$out" "$err"
finish
