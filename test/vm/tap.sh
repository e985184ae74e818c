# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# tap.sh - TAP for tests written in shell; sourced by them.
#
# A test is a named command: `check NAME COMMAND...` passes when the command exits 0; what it printed follows a failure
# as comments. `finish` prints the plan and ends with the right status; a script that ends otherwise has no plan, and
# counts as failed. The hard part is to wait without sleeping for luck: `within SECONDS COMMAND...` asks again until the
# command holds.

set -uo pipefail

tap_count=0 tap_failed=0 tap_said=$(mktemp)

# check NAME COMMAND... In this shell: a command may start processes and set variables.
check() {
	local name=$1 status=0

	shift
	tap_count=$((tap_count + 1))
	"$@" >"$tap_said" 2>&1 || status=$?
	if [ "$status" = 0 ]; then
		echo "ok $tap_count - $name"
	else
		echo "not ok $tap_count - $name # exit status $status of: $*"
		tail -n 40 "$tap_said" | sed 's/^/# /'
		tap_failed=$((tap_failed + 1))
	fi
	return "$status"
}

# within SECONDS COMMAND...: 0 as soon as the command holds; else what it said last, which is after the time was over.
within() {
	local end=$((SECONDS + $1)) over said

	shift
	while over=$((SECONDS >= end)); ! said=$("$@" 2>&1); do
		if [ "$over" = 1 ]; then
			echo "not within the time: $*"
			printf '%s\n' "$said"
			return 1
		fi
		sleep 0.1
	done
}

note() { printf '# %s\n' "$*"; }

bail() {
	echo "Bail out! $*"
	exit 1
}

finish() {
	rm -f "$tap_said"
	echo "1..$tap_count"
	[ "$tap_failed" = 0 ]
	exit
}

# Small predicates, to be given to check and within.
equal() { [ "$1" = "$2" ] || { echo "'$1' is not '$2'"; return 1; }; }
at_least() { [ "$1" -ge "$2" ] || { echo "$1 is less than $2"; return 1; }; }
at_most() { [ "$1" -le "$2" ] || { echo "$1 is more than $2"; return 1; }; }
file_is() { equal "$(cat "$1" 2>&1)" "$2"; }
more_than() { [ "$(cat "$1")" -gt "$2" ] || { echo "$1 is $(cat "$1"), not more than $2"; return 1; }; }
contains() { grep -qE -- "$2" "$1" || { echo "no '$2' in:"; cat "$1"; return 1; }; }
is_empty() { [ ! -s "$1" ] || { cat "$1"; return 1; }; }
