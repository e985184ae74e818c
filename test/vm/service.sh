#!/bin/bash
# SPDX-License-Identifier: MIT
#
# service.sh: the network driver as a service of systemd: it starts with its card, again when it dies or hangs, and ends
# with the card. systemd is process 1 of a PID namespace here, with no units but those below.

# shellcheck source-path=SCRIPTDIR/../..
# shellcheck disable=SC2317  # check and within call functions by their names
cd "$(dirname "$0")/../.." || exit
. test/vm/tap.sh
. test/vm/net.sh

net_card 82540EM
unit=udrv-e1000@$device.service
units=/run/udrv-units
manager=

cleanup() {
	[ -z "$manager" ] || { kill -KILL "$manager"; wait "$manager"; } 2>/dev/null
	net_cleanup
}
trap cleanup EXIT

# Nothing of the system's own is started: all that a service depends on is empty.
manager_start() {
	local target

	make -s -C drivers install UNITDIR="$units" >/dev/null || return
	for target in basic sysinit shutdown multi-user; do
		printf '[Unit]\nDescription=%s\nDefaultDependencies=no\n' "$target" >"$units/$target.target"
	done
	SYSTEMD_UNIT_PATH=/etc/systemd/system:$units container=lab SYSTEMD_LOG_TARGET=console SYSTEMD_COLORS=0 \
		setsid unshare --pid --fork --kill-child --mount --mount-proc \
		/lib/systemd/systemd --system --unit=multi-user.target </dev/null &
	manager=$!
	within 60 systemctl is-active multi-user.target
}

# From the manager's own namespaces: it refuses whom it cannot see.
systemctl() { nsenter --target "$(pgrep --parent "$manager")" --pid --mount systemctl "$@"; }

is_state() { equal "$(systemctl show --property ActiveState --value "$unit")" "$1"; }
restarted() { at_least "$(systemctl show --property NRestarts --value "$unit")" "$1" && is_state active; }
# It is there, and goes through: what waits for the driver meanwhile is not lost.
goes_on() { within 60 restarted "$1" && ping -q -n -c 3 -i 0.2 -W 20 10.0.0.2; }

peer_setup "$peer"
check "systemd runs" manager_start || bail "no service manager"
check "the service is enabled" systemctl enable "$unit"
check "and waits for its card" is_state inactive
check "bind" udrv bind --lazy "$device" || bail "nothing to drive"
check "it starts with that" within 60 is_state active || { systemctl status "$unit" | sed 's/^/# /'; bail "no service"; }
nic=$(interface_of "$device")
check "with an interface" test -n "$nic"
addresses "$nic"
check "which has a link" within 30 has_carrier "$nic"
check "and packets go through" ping -q -n -c 3 -i 0.2 -W 20 10.0.0.2
index=$(cat "/sys/class/net/$nic/ifindex")

systemctl kill --kill-whom=main --signal=KILL "$unit"
check "killed, it is started again" goes_on 1
# What systemd hears of one that hangs: nothing.
systemctl kill --kill-whom=main --signal=STOP "$unit"
check "one that hangs is killed, and started again" goes_on 2
systemctl kill --kill-whom=main --signal=INT "$unit"
check "so is one that ends by itself" goes_on 3
check "the interface is the same one" equal "$(cat "/sys/class/net/$nic/ifindex")" "$index"

check "unbind, at work" udrv unbind --force "$device"
check "the service ends with its card" within 60 is_state inactive
check "bind" udrv bind --lazy "$device"
check "and begins with it" within 60 is_state active
check "stopped by hand, it stays so" systemctl stop "$unit"
check "which is no failure" is_state inactive
check "unbind" udrv unbind "$device"
finish
