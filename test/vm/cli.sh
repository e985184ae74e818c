#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The command udrv, in a guest with the device sets `all` and `hotplug` and without an IOMMU: every command, every
# refusal. (What it does with an IOMMU is rootless.sh's.)
#
# A refusal must be one sentence that begins with "udrv", names what was wrong, ends with a full stop, and comes with
# the exit status that udrv(1) documents. Everything else is judged by what it did to the system, not by what it said.
# Nothing waits for time to pass: background commands are waited for by what they print.

number=0
failed=0

ok() {
	number=$((number + 1))
	echo "ok $number - $1"
}

not_ok() {
	number=$((number + 1))
	failed=$((failed + 1))
	echo "not ok $number - $1"
	shift
	printf '%s\n' "$@" | sed 's/^/# /'
}

# check NAME STATUS PATTERN COMMAND...: run it; its status, and an extended regular expression in what it printed.
check() {
	local name=$1 want=$2 pattern=$3
	shift 3
	output=$("$@" 2>&1 </dev/null)
	local status=$?
	if [ $status -eq "$want" ] && grep -Eq -- "$pattern" <<<"$output"; then
		ok "$name"
	else
		not_ok "$name" "command: $*" "status $status, wanted $want; wanted to see: $pattern" "$output"
	fi
}

# refused NAME STATUS PATTERN COMMAND...: as check, and the last line is a sentence of udrv's.
refused() {
	local name=$1
	check "$@"
	if ! tail -n 1 <<<"$output" | grep -Eq '^udrv( [a-z]+)?: .*[.?)]$'; then
		not_ok "$name: one sentence" "$output"
	fi
}

# holds NAME COMMAND...: a command that must succeed.
holds() {
	local name=$1
	shift
	if output=$("$@" 2>&1); then
		ok "$name"
	else
		not_ok "$name" "command: $*" "$output"
	fi
}

driver_of() {
	local link
	link=$(readlink "/sys/bus/pci/devices/0000:$1/driver") && basename "$link"
}

has_driver() { # ADDRESS DRIVER; "" for none
	[ "$(driver_of "$1")" = "$2" ]
}

interface_of() {
	basename "$(echo "/sys/bus/pci/devices/0000:$1/net/"*)"
}

as_nobody() {
	setpriv --reuid 65534 --regid 65534 --clear-groups "$@"
}

# Run in a mount namespace of its own after preparing it: in_namespace 'mount ...' COMMAND...
in_namespace() {
	local prepare=$1
	shift
	# shellcheck disable=SC2016  # expanded by the inner shell
	unshare --mount sh -c "set -e
$prepare"'
exec "$@"' sh "$@"
}

edu=00:02.0 edu2=00:03.0 e1000=00:04.0 serial=00:08.0 testdev=00:09.0 ivshmem=00:0a.0 nvme=00:0b.0 port=00:11.0
behind=01:00.0

# ---- the command itself ----

check "help" 0 '^Usage: udrv COMMAND' udrv help
check "version" 0 '^udrv [0-9]+\.[0-9]+\.[0-9]+$' udrv --version
check "no command: usage, status 2" 2 '^Usage: udrv COMMAND' udrv
refused "unknown command" 2 "no command 'lst'.*udrv help" udrv lst
for command in list bind unbind info read write irq reset revoke; do
	check "$command --help" 0 "^Usage: udrv $command" udrv $command --help
done
for command in bind unbind info read write irq reset revoke; do
	more=()
	[ $command != read ] || more=(bar0)
	[ $command != write ] || more=(bar0 1)
	check "$command without an address" 2 "^Usage: udrv $command" udrv $command
	check "$command with an unknown option" 2 "unrecognized option" udrv $command --nonsense $edu
	refused "$command: bad address" 2 "'4' is no PCI address.*00:04.0" udrv $command 4 "${more[@]}"
	refused "$command: no such device, near matches" 3 "no PCI device 00:0d.0: did you mean 00:0[0-9a-f].0" \
		udrv $command 00:0d.0 "${more[@]}"
done
check "too many arguments" 2 'Too many arguments' udrv info $edu $edu2
refused "no device, nothing near" 3 "no PCI device 77:1c.5: 'udrv list" udrv info 77:1c.5
refused "output that cannot be written" 1 'could not be written' sh -c "udrv list >/dev/full"

# ---- before the module is there ----

if lsmod | grep -q '^udrv '; then
	holds "rmmod" rmmod udrv
fi
for command in info reset revoke irq "read bar0" "write bar0 1"; do
	# shellcheck disable=SC2086  # words
	set -- $command
	verb=$1
	shift
	refused "$verb: module not loaded" 7 "module udrv is not loaded.*udrv bind $edu" udrv "$verb" $edu "$@"
done
refused "unbind: module not loaded" 7 "not loaded.*nothing to undo" udrv unbind $edu
check "list without the module" 0 "^$edu " udrv list

# Other modules are not there, either: depmod has nothing to read.
modules=/lib/modules/$(uname -r)
mount -t tmpfs none "$modules"
touch "$modules"/modules.{order,builtin}
depmod
refused "bind: module not installed" 7 "not installed for this kernel, $(uname -r | sed 's,[+.],\\&,g'): run 'make install'" udrv bind $edu
printf 'not a module' >"$modules/udrv.ko"
depmod 2>/dev/null
refused "bind: module that does not load" 7 "could not be loaded \(.+\).*dmesg" udrv bind $edu
umount "$modules"
holds "nothing was bound" has_driver $edu ""

# ---- who may ----

refused "bind: not root" 6 "needs root: run 'sudo udrv bind $edu'" as_nobody udrv bind $edu
refused "bind: read-only /sys" 6 "read-only.*on the host" in_namespace "mount -o remount,bind,ro /sys" udrv bind $edu

# ---- bind ----

check "bind loads the module and binds" 0 "^$edu is bound to udrv: /dev/udrv/pci-$edu\$" udrv bind $edu
said=$output
holds "bind says what is next" grep -q "^Next: 'sudo udrv info $edu'" <<<"$said"
holds "bind says who may drive it" grep -q "^It is not confined, because no IOMMU translates its DMA: only root" <<<"$said"
holds "driver is udrv" has_driver $edu udrv
holds "node is there when bind returns" test -c /dev/udrv/pci-$edu
check "bind again: nothing to do" 0 'bound to udrv already' udrv bind 0000:$edu
holds "and says who may drive it" grep -q "^It is not confined, because no IOMMU" <<<"$output"
check "bind by node name" 0 'bound to udrv already' udrv bind pci-$edu
refused "bind: a bridge" 1 'is a bridge.*behind it' udrv bind $port
refused "bind: the host bridge" 8 'mainboard' udrv bind 00:00.0
refused "bind: the mainboard's" 8 'mainboard.*--force' udrv bind 00:1f.0
refused "bind: persist without driverctl" 1 "not installed: 'sudo apt install driverctl'" \
	env PATH=/nonexistent "$(command -v udrv)" bind --persist $edu2
holds "and nothing was bound" has_driver $edu2 ""
check "bind: waits for the node" 0 "is bound to udrv: /dev/udrv/pci-$edu2\$" in_namespace "
	mount -t tmpfs dev /dev
	mknod /dev/null c 1 3
	{
		until [ -e /sys/class/udrv/pci-$edu2/dev ]; do :; done
		mkdir /dev/udrv
		mknod /dev/udrv/pci-$edu2 c \$(tr : ' ' </sys/class/udrv/pci-$edu2/dev)
	} &" udrv bind $edu2
refused "bound, but no node" 1 'no node for it in /dev/udrv: mount a devtmpfs' \
	in_namespace 'mount -t tmpfs none /dev/udrv' udrv info $edu2
check "unbind the second" 0 "$edu2 has no driver now: the kernel knows none" udrv unbind $edu2

# ---- what the system would miss ----

interface=$(interface_of $e1000)
ip link set "$interface" up
ip addr add 192.0.2.2/24 dev "$interface"
ip route add default via 192.0.2.1 dev "$interface"
refused "bind: the default route" 8 "default route leaves through it \($interface\).*--force" udrv bind $e1000
ip route del default
ip -6 route add default dev "$interface"
refused "bind: the default route of IPv6" 8 "default route leaves through it \($interface\)" udrv bind $e1000
ip -6 route del default
ip link add link "$interface" name vlan7 type vlan id 7
ip link add bridge7 type bridge
ip link set vlan7 master bridge7
ip link set vlan7 up
ip link set bridge7 up
ip addr add 198.51.100.2/24 dev bridge7
ip route add default via 198.51.100.1 dev bridge7
refused "bind: through a bridge and a VLAN" 8 'default route leaves through it \(bridge7\)' udrv bind $e1000
holds "its driver was left alone" has_driver $e1000 e1000
check "bind --force" 0 "^$e1000 is bound" udrv bind --force $e1000
holds "driver is udrv now" has_driver $e1000 udrv
check "unbind gives it back" 0 "^$e1000 is back with e1000\.\$" udrv unbind $e1000
holds "its driver has it" has_driver $e1000 e1000
ip link del bridge7

disk=/dev/nvme0n1
holds "mkfs" mkfs.ext4 -q "$disk"
mkdir -p "/tmp/a mount"
mount "$disk" "/tmp/a mount"
refused "bind: a mounted disk" 8 'file system on it is mounted at /tmp/a mount\. .*--force' udrv bind $nvme
umount "/tmp/a mount"
holds "mkswap" mkswap -q "$disk"
holds "swapon" swapon "$disk"
refused "bind: swap" 8 "swaps to it \($disk\)" udrv bind $nvme
swapoff "$disk"
holds "its driver was left alone" has_driver $nvme nvme
check "bind once nothing is mounted" 0 "^$nvme is bound" udrv bind $nvme

# ---- list ----

check "list has a heading" 0 '^ADDRESS +DRIVER +NODE +GROUP +TIER +INTERRUPTS +OWNER +DEVICE$' udrv list
check "list shows the tier" 0 "^$edu +udrv +/dev/udrv/pci-$edu +- +trusted +INTx" udrv list
check "list: no tier where udrv has no say" 0 "^$e1000 +e1000 +- +- +- +INTx" udrv list
check "list shows driver and node" 0 "^$edu +udrv +/dev/udrv/pci-$edu .*INTx MSI 1 +- .*1234:11e8" udrv list
check "list shows names" 0 "^$e1000 +e1000 .*Intel Corporation 82540EM.*8086:100e" udrv list
check "list shows MSI-X" 0 "^$ivshmem .* MSI-X 128 " udrv list
list=$(udrv list)
holds "list: no bridge" sh -c "! printf '%s' '$list' | grep -q '^$port '"
check "list --all: bridges" 0 "^$port " udrv list --all
check "list --bound" 0 "^$edu +udrv" udrv list --bound
list=$(udrv list --bound)
holds "list --bound: nothing else" sh -c "! printf '%s' '$list' | grep -q '^$e1000 '"
check "list without root: MSI is not known, and said so" 0 "^$ivshmem .* MSI\? " as_nobody udrv list
cat >/tmp/list.py <<'PYTHON'
import json, os, sys
devices = {d["address"]: d for d in json.load(sys.stdin)}
edu, nic, ivshmem = (devices["0000:00:%s.0" % slot] for slot in ("02", "04", "0a"))
assert edu["driver"] == "udrv" and edu["node"] == "/dev/udrv/pci-00:02.0", edu
assert edu["vendor_id"] == "1234" and edu["device_id"] == "11e8" and edu["class"] == "00ff00", edu
assert edu["tier"] == "trusted" and edu["trusted_because"] == "no IOMMU translates its DMA", edu
assert nic["tier"] is None and nic["trusted_because"] is None, nic
assert edu["intx"] is True and edu["msi"] == 1 and edu["msix"] == 0, edu
assert nic["driver"] == "e1000" and nic["node"] is None and nic["owner"] is None, nic
assert nic["vendor"] == "Intel Corporation" and "82540EM" in nic["device"], nic
assert ivshmem["msix"] == 128 and ivshmem["msi"] == 0 and ivshmem["intx"] is False, ivshmem
owner = int(sys.argv[1])
assert (edu["owner"] or {}).get("pid", 0) == owner, edu
if owner:
    assert edu["owner"]["command"] == "cli.sh" and edu["owner"]["irq"] == "none", edu
PYTHON
holds "list --json" sh -c "udrv list --json | python3 /tmp/list.py 0"

# ---- info ----

check "info: a memory BAR" 0 'BAR 0 +1 MiB of memory, at offset 0x[0-9a-f]+ \(write-combining' udrv info $edu
check "info: the tier" 0 'tier +trusted: no IOMMU translates its DMA$' udrv info $edu
check "info: interrupts" 0 'interrupts +INTx \(can share its line\), MSI 1' udrv info $edu
check "info: config" 0 'config +256 bytes at offset 0x' udrv info $edu
check "info: IOMMU or not" 0 "DMA +$([ -e /sys/bus/pci/devices/0000:$edu/iommu_group ] &&
	echo 'translated by an IOMMU' || echo 'not translated')" udrv info $edu
check "info: the MSI-X table" 0 'BAR 0 .*64 bits.*0x2000 to 0x3fff not mappable' udrv info $nvme
refused "info: not bound, another driver" 4 "its driver is e1000: 'sudo udrv bind $e1000'" udrv info $e1000
refused "info: not bound, no driver" 4 "is not bound to udrv: 'sudo udrv bind $edu2'" udrv info $edu2
refused "info: not root" 6 'needs root.*sudo' as_nobody udrv info $edu
refused "info: root without CAP_SYS_RAWIO" 6 'needs root \(CAP_SYS_RAWIO\), because no IOMMU translates its DMA: run' \
	setpriv --bounding-set -sys_rawio --inh-caps -sys_rawio udrv info $edu

# ---- read and write ----

udrv bind $serial >/dev/null
check "read a register" 0 '^0x010000ed$' udrv read $edu bar0
check "read: offset, width" 0 '^0x11e8$' udrv read $edu CONFIG+2 2
check "read: several" 0 '^bar0\+0x0004: 0x[0-9a-f]{8}$' udrv read $edu bar0 -n 2
check "write" 0 '^$' udrv write $edu bar0+4 0x12345678
check "and read back" 0 '^0xedcba987$' udrv read $edu bar0+0x4
check "read: a port" 0 '^0x60$' udrv read $serial bar0+5 1
check "write: a port" 0 '^$' udrv write $serial bar0+7 0xa5 1
check "and read back" 0 '^0xa5$' udrv read $serial bar0+7 1
check "read: config space of any device" 0 '^0x100e8086$' udrv read $e1000 config
check "read: the first 64 bytes without root" 0 '^0x100e8086$' as_nobody udrv read $e1000 config+0
check "write: config, and not for long" 0 "goes back to what it was.*setpci -s $edu" udrv write $edu config+0x0c 0x10 1
check "and read back" 0 '^0x00$' udrv read $edu config+0x0c 1
refused "write: config that is not a driver's" 1 'no bit that a driver may write: udrv\(4\)' udrv write $edu config+0x10 0
refused "write: the MSI-X table" 1 "is the MSI-X table's" udrv write $nvme bar0+0x2000 0
refused "read: bad register" 2 "'foo\+4' is no register: write it like bar0\+0x10" udrv read $edu foo+4
refused "read: bad offset" 2 "'bar0\+x' is no register" udrv read $edu bar0+x
refused "read: no such BAR" 2 'has no bar1: it has bar0' udrv read $edu bar1
refused "read: bad width" 2 "'3' is no width: it is 1, 2, 4 or 8" udrv read $edu bar0 3
refused "read: bad count" 2 "'0' is no number of registers" udrv read $edu bar0 -n 0
refused "read: misaligned" 2 'bar0\+0x3 is not a multiple of the width, 4 bytes: use bar0\+0x0' udrv read $edu bar0+3
refused "read: out of bounds" 2 'bar0 has 0x100000 bytes, the last 4-byte register is bar0\+0xffffc' \
	udrv read $edu bar0+0x100000
refused "read: far out of bounds" 2 'out of bounds' udrv read $edu bar0+0xfffffffffffffffc
refused "read: beyond 64 bits" 2 'is no register' udrv read $edu bar0+0x10000000000000000
refused "read: over the end" 2 'out of bounds' udrv read $edu bar0+0xffffc 4 -n 2
refused "read: 8 bytes of a port" 2 'by 1, 2 or 4 bytes' udrv read $serial bar0 8
refused "read: 8 bytes of config" 2 'by 1, 2 or 4 bytes' udrv read $edu config 8
refused "read: config out of bounds" 2 'config has 0x100 bytes, the last 2-byte register is config\+0xfe' \
	udrv read $edu config+0x100 2
refused "read: config far out of bounds" 2 'out of bounds' udrv read $edu config+0x100000000
refused "read: config misaligned" 2 'not a multiple of the width, 2 bytes' udrv read $edu config+1 2
refused "read: config past 64 bytes without root" 6 'shown to root only.*sudo' as_nobody udrv read $e1000 config+0x40
refused "read: not bound" 4 'is not bound' udrv read $e1000 bar0
refused "write: bad value" 2 "'1x' is no value" udrv write $edu bar0+4 1x
refused "write: a value that does not fit" 2 '0x100 does not fit into a width of 1' udrv write $edu bar0+4 0x100 1
refused "write: out of bounds" 2 'out of bounds' udrv write $edu bar0+0x100000 0
refused "write: config out of bounds" 2 'config has 0x100 bytes' udrv write $edu config+0x100 0
refused "write: misaligned" 2 'not a multiple' udrv write $edu bar0+2 0
check "write without a value" 2 '^Usage: udrv write' udrv write $edu bar0

# ---- irq ----

raise="-w bar0+0x60=1" ack="-a bar0+0x64=1"
# shellcheck disable=SC2086  # words
{
	check "irq: INTx" 0 '^vector 0 count 1 time [0-9]+\.[0-9]{9}$' udrv irq $edu -n 1 $raise $ack
	check "irq: the level stays, each wait takes one" 0 '3 interrupts\.' udrv irq $edu -n 3 -t 30 $raise
	udrv write $edu bar0+0x64 1
	check "irq: MSI" 0 '^vector 0 count 1' udrv irq $edu -k msi -m -n 1 -t 30 $raise $ack
	check "irq: the best there is" 0 'waiting for MSI, 1 vector' udrv irq $edu -m -n 1 -t 30 $raise $ack
	refused "irq: none came" 9 '0 of 1 interrupts came in time.*--write' udrv irq $edu -n 1 -t 0.1
	check "irq: a time and no count" 0 '0 interrupts\.' udrv irq $edu -t 0.1
}
udrv bind $ivshmem >/dev/null
check "irq: MSI-X, its vectors, all there are" 0 'waiting for MSI-X, 128 vectors' udrv irq $ivshmem -k msix -m -t 0
check "irq: MSI-X, which vector" 0 '^vector 5 count 1' udrv irq $ivshmem -k msix -m -n 1 -t 30 -w bar0+12=0x10005
check "irq: some vectors" 0 'waiting for MSI-X, 3 vectors' udrv irq $ivshmem -k msix -v 3 -m -t 0
refused "irq: more vectors than there are" 1 'fewer MSI-X vectors.*udrv info' udrv irq $ivshmem -k msix -v 129 -m
refused "irq: bad kind" 2 "'foo' is no kind of interrupt: it is intx, msi or msix" udrv irq $edu -k foo
refused "irq: bad count" 2 "'0' is no count" udrv irq $edu -n 0
refused "irq: bad vectors" 2 "'9999' is no number of vectors" udrv irq $edu -v 9999
refused "irq: bad time" 2 "'soon' is no time" udrv irq $edu -t soon
refused "irq: bad write" 2 "'bar0' is no write: write it like bar0\+0x60=1" udrv irq $edu -w bar0
refused "irq: bad write, register" 2 "'bar=' is no|'bar' is no register" udrv irq $edu -w bar=1
refused "irq: bad write, value" 2 "'one' is no value" udrv irq $edu -a bar0=one
refused "irq: MSI without bus mastering" 2 'need --bus-master' udrv irq $edu -k msi
udrv bind $testdev >/dev/null
refused "irq: a device without interrupts" 1 "has no INTx: 'udrv info $testdev'" udrv irq $testdev
refused "irq: write out of bounds" 2 'out of bounds' udrv irq $edu -w bar0+0x100000=1
refused "irq: not bound" 4 'is not bound' udrv irq $e1000

# In the background, until it says that it waits; then end it, in two ways.
start_irq() {
	exec {from}< <(exec udrv irq $edu 2>&1)
	pid=$!
	IFS= read -r line <&"$from"
}
start_irq
check "irq runs in the background" 0 'waiting for INTx' echo "$line"
check "list shows the owner" 0 "^$edu .* udrv \($pid\)" udrv list
holds "SIGINT" kill -INT $pid
wait $pid
status=$?
check "irq: SIGINT ends it well" 0 '0 interrupts\.' echo "$(cat <&"$from")"
holds "irq: SIGINT, status 0" test $status -eq 0
start_irq
check "unbind --force while it is open" 0 'has no driver now' udrv unbind --force $edu
wait $pid
status=$?
check "irq: the device is gone" 0 'is gone, it was unplugged or unbound' echo "$(cat <&"$from")"
holds "irq: gone, status 1" test $status -eq 1
udrv bind $edu >/dev/null

# ---- reset ----

check "reset" 0 "^$nvme was reset" udrv reset $nvme
refused "reset: there is none" 1 'has no reset.*its own registers' udrv reset $edu
refused "reset: not bound" 4 'is not bound' udrv reset $e1000

# ---- revoke ----

refused "revoke: not bound" 4 "its driver is e1000: 'sudo udrv bind $e1000'" udrv revoke $e1000
refused "revoke: not root" 6 "needs root: run 'sudo udrv revoke $edu'" as_nobody udrv revoke $edu
refused "revoke: read-only /sys" 6 "read-only.*on the host" in_namespace "mount -o remount,bind,ro /sys" udrv revoke $edu
check "revoke: nobody has it" 0 "^Nobody had $edu open" udrv revoke $edu
start_irq
check "revoke: taken, and from whom" 0 "^$edu was taken from udrv \(pid $pid\)" udrv revoke $edu
wait $pid
status=$?
check "revoke: it is gone for its driver" 0 'is gone, it was unplugged or unbound' echo "$(cat <&"$from")"
holds "revoke: which ends, status 1" test $status -eq 1
# A driver that does not look, or cannot: its descriptor stays open, and dead.
exec {held}<>/dev/udrv/pci-$edu
check "revoke: from one that hangs" 0 "^$edu was taken from cli.sh \(pid $$\)" udrv revoke $edu
holds "still bound" has_driver $edu udrv
check "and another can open it" 0 '^0x010000ed$' udrv read $edu bar0
check "revoke: nobody has it any more" 0 "^Nobody had $edu open" udrv revoke $edu
exec {held}>&-

# ---- busy ----

exec {held}<>/dev/udrv/pci-$edu
busy="in use by cli.sh \(pid $$\).*kill $$"
refused "info: busy" 5 "$busy" udrv info $edu
check "info: busy, shows what it can" 5 "in use by +cli.sh \(pid $$\)" udrv info $edu
refused "read: busy" 5 "$busy" udrv read $edu bar0
refused "write: busy" 5 "$busy" udrv write $edu bar0 0
refused "irq: busy" 5 "$busy" udrv irq $edu
refused "reset: busy" 5 "$busy" udrv reset $edu
refused "unbind: busy" 5 "$busy.*--force" udrv unbind $edu
refused "bind --persist: busy" 5 "$busy" udrv bind --persist $edu
check "read: config of a busy device" 0 '^0x11e81234$' udrv read $edu config
holds "list --json: the owner" sh -c "udrv list --json | python3 /tmp/list.py $$"
exec {held}>&-
check "not busy any more" 0 'in use by +nobody' udrv info $edu

# ---- persist, unbind ----

saved=/etc/driverctl.d/pci-0000:$e1000
check "bind --persist" 0 "^$e1000 is bound" udrv bind --persist $e1000
holds "driverctl has it" grep -qx udrv "$saved"
holds "and it is bound" has_driver $e1000 udrv
check "unbind what is persistent" 0 "is back with e1000" udrv unbind $e1000
holds "driverctl has forgotten it" test ! -e "$saved"
check "bind, then --persist" 0 "^$edu is bound" udrv bind --persist $edu
holds "driverctl has it" grep -qx udrv /etc/driverctl.d/pci-0000:$edu
check "unbind what the kernel has no driver for" 0 'the kernel knows none' udrv unbind $edu
holds "driverctl has forgotten it" test ! -e /etc/driverctl.d/pci-0000:$edu
holds "no override is left" grep -qx '(null)' /sys/bus/pci/devices/0000:$edu/driver_override

# A driverctl that takes the old driver away and then fails: what was begun must be undone.
mkdir /tmp/failing
cat >/tmp/failing/driverctl <<'SCRIPT'
#!/bin/sh
case $1 in
--help) exit 0 ;;
set-override) echo "$2" >"/sys/bus/pci/devices/$2/driver/unbind" ;;
esac
echo "driverctl: no such luck" >&2
exit 1
SCRIPT
chmod +x /tmp/failing/driverctl
refused "bind --persist: driverctl fails" 1 'driverctl failed \(driverctl: no such luck\): try without' \
	env PATH="/tmp/failing:$PATH" udrv bind --persist $e1000
holds "its driver is back" has_driver $e1000 e1000
holds "no override is left" grep -qx '(null)' /sys/bus/pci/devices/0000:$e1000/driver_override
echo udrv >/etc/driverctl.d/pci-0000:$ivshmem
refused "unbind: driverctl fails" 1 'would bind 00:0a.0 again at the next boot \(driverctl: no such luck\)' \
	env PATH="/tmp/failing:$PATH" udrv unbind $ivshmem
holds "and it is still bound" has_driver $ivshmem udrv
rm /etc/driverctl.d/pci-0000:$ivshmem

refused "unbind: not bound" 4 'is not bound to udrv \(its driver: none\): there is nothing to undo' udrv unbind $edu
refused "unbind: another driver's" 4 'its driver: e1000' udrv unbind $e1000
refused "unbind: not root" 6 "run 'sudo udrv unbind $ivshmem'" as_nobody udrv unbind $ivshmem
check "unbind --leave" 0 'has no driver now\.$' udrv unbind --leave $nvme
holds "and nobody has it" has_driver $nvme ""
echo 1234 11e8 >/sys/bus/pci/drivers/udrv/new_id
holds "new_id binds" has_driver $edu2 udrv
holds "behind a port too" has_driver $behind udrv
refused "unbind: bound by new_id" 1 "went straight back.*'echo 1234 11e8 .*remove_id'" udrv unbind $edu2
echo 1234 11e8 >/sys/bus/pci/drivers/udrv/remove_id
check "unbind after remove_id" 0 'has no driver now' udrv unbind $edu2
check "unbind behind a port" 0 'has no driver now' udrv unbind $behind
udrv unbind $edu >/dev/null
rmmod nvme
check "a driver that is not loaded is loaded" 0 'is bound' udrv bind $nvme
check "and has the device back" 0 "^$nvme is back with nvme" udrv unbind $nvme
check "the serial port goes back" 0 'is back with serial' udrv unbind $serial
for address in $testdev $ivshmem; do
	check "unbind $address" 0 'has no driver now' udrv unbind "$address"
done
holds "nothing is bound at the end" test -z "$(find /sys/bus/pci/drivers/udrv -name '0000:*')"

echo "1..$number"
[ $failed -eq 0 ]
