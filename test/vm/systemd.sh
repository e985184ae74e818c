# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# What tests of drivers' units have in common: systemd as process 1 of a PID namespace, with no units but ours and those
# that they depend on, which are empty. Set $unit; call manager_end at the end.

units=/run/udrv-units
manager=

manager_start() {
	local target

	make -s -C drivers install UNITDIR="$units" >/dev/null || return
	for target in basic sysinit shutdown multi-user local-fs-pre; do
		printf '[Unit]\nDescription=%s\nDefaultDependencies=no\nAllowIsolate=yes\n' "$target" >"$units/$target.target"
	done
	SYSTEMD_UNIT_PATH=/etc/systemd/system:$units container=lab SYSTEMD_LOG_TARGET=console SYSTEMD_COLORS=0 \
		setsid unshare --pid --fork --kill-child --mount --mount-proc \
		/lib/systemd/systemd --system --unit=multi-user.target </dev/null &
	manager=$!
	within 60 systemctl is-active multi-user.target
}

manager_end() { [ -z "$manager" ] || { kill -KILL "$manager"; wait "$manager"; } 2>/dev/null; }

# From the manager's own namespaces: it refuses whom it cannot see.
systemctl() { nsenter --target "$(pgrep --parent "$manager")" --pid --mount systemctl "$@"; }

is_state() { equal "$(systemctl show --property ActiveState --value "$unit")" "$1"; }
restarted() { at_least "$(systemctl show --property NRestarts --value "$unit")" "$1" && is_state active; }
