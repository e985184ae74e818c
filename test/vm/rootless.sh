#!/bin/bash
# SPDX-License-Identifier: MIT
#
# rootless.sh - drivers without root: a user of the group udrv, without any capability, drives what the IOMMU confines and
# nothing else. With an IOMMU, lazy or strict, and the device sets edu, e1000 and group.
#
# Owns two users. What `udrv bind` does to the type of a group's domain is tested here too, because it needs an IOMMU. The
# hard part is the group of two devices: before Linux 6.5 its type cannot be changed, so that with a lazy IOMMU its
# devices are never confined there.

# shellcheck source-path=SCRIPTDIR/../..
# shellcheck disable=SC2317  # check and within call functions by their names
cd "$(dirname "$0")/../.." || exit
. test/vm/tap.sh
. test/vm/net.sh

edu=00:02.0 left=01:02.0 right=01:03.0
out=$(mktemp) err=$(mktemp)
holder=

end() {
	[ -z "$holder" ] || kill "$holder"
	net_cleanup
	rm -f "$out" "$err"
	userdel alice
	userdel bob
}

type_of() { readlink -f "/sys/bus/pci/devices/0000:$1/iommu_group/type"; }
type_is() { file_is "$(type_of "$1")" "$2"; }
tier_is() { equal "$(udrv list | awk -v address="$1" '$1 == address { print $5 }')" "$2"; }

# as USER COMMAND...: a member of the groups that root has put it into, with nothing that root has. 8 MiB of memory
# may be locked, as everywhere.
as() {
	local user=$1

	shift
	setpriv --reuid "$user" --regid "$user" --init-groups --bounding-set=-all --inh-caps=-all --ambient-caps=-all \
		--no-new-privs prlimit --memlock=8388608 "$@"
}

# said STATUS PATTERN COMMAND...: it ends so, and says so, on either output.
said() {
	local want=$1 pattern=$2 status=0

	shift 2
	"$@" >"$out" 2>&1 || status=$?
	contains "$out" "$pattern" || return
	equal "$status" "$want" || { cat "$out"; return 1; }
}

# open_error USER DEVICE: the name of what open() fails with, "none" if it does not
open_error() {
	as "$1" python3 -c 'import errno, os, sys
try:
    os.open("/dev/udrv/pci-" + sys.argv[1], os.O_RDWR)
    print("none")
except OSError as error:
    print(errno.errorcode[error.errno])' "$2"
}
opens_with() { equal "$(open_error "$1" "$2")" "$3"; }

runs_edu() { # USER DEVICE OPTION...
	local user=$1 device=$2

	shift 2
	as "$user" drivers/edu/edu "$@" --dma-bits=32 "$device" >"$out" 2>"$err" || { cat "$err"; return 1; }
	equal "$(wc -l <"$out") $(wc -c <"$err")" "6 0"
}

# hold USER DEVICE: a process of this user that has the device open and waits for an interrupt; held: it got this error.
hold() {
	exec {held}< <(exec setpriv --reuid "$1" --regid "$1" --init-groups --bounding-set=-all --inh-caps=-all \
		python3 -c 'import errno, sys, udrv
with udrv.open(sys.argv[1]) as dev:
    print("confined" if dev.confined else "trusted", flush=True)
    try:
        dev.irq.wait()
    except OSError as error:
        print(errno.errorcode[error.errno])' "$2")
	holder=$!
	IFS= read -r line <&"$held" && equal "$line" confined
}
held_got() {
	local line

	IFS= read -r -t 60 line <&"$held"
	equal "${line-nothing}" "$1" || return
	exec {held}<&-
	holder=
}
let_go() {
	kill "$holder" && tail --pid="$holder" -f /dev/null
	exec {held}<&-
	holder=
}

give_to_uio() {
	echo uio_pci_generic >"/sys/bus/pci/devices/0000:$1/driver_override" &&
		echo "0000:$1" >/sys/bus/pci/drivers_probe &&
		equal "$(basename "$(readlink "/sys/bus/pci/devices/0000:$1/driver")")" uio_pci_generic
}
take_from_uio() {
	echo "0000:$1" >/sys/bus/pci/drivers/uio_pci_generic/unbind && echo >"/sys/bus/pci/devices/0000:$1/driver_override"
}

[ -e "$(type_of $edu)" ] || bail "there is no IOMMU"
[ -e "$(type_of $left)" ] || bail "the device set group is not there"
default=$(cat "$(type_of $edu)")
lazy=
[ "$default" = DMA ] || lazy=1
new=
[ "$(printf '%s\n' 6.5 "$(uname -r)" | sort -V | head -n 1)" != 6.5 ] || new=1
note "domains are of type $default"

trap end EXIT
for user in alice bob; do useradd --no-create-home --groups udrv $user || bail "no user $user"; done
for module in tun uio_pci_generic; do modprobe "$module" || bail "no $module"; done
peer_setup 00:05.0

# ---- who alice is

no_capability() { ! grep '^Cap' /proc/self/status | grep -v '0000000000000000$'; }
export -f no_capability
check "alice has no capability" as alice bash -c no_capability
check "she is in the group udrv, which owns nodes" as alice bash -c 'id -nG | grep -qw udrv'

# ---- a device that is not confined is not hers, whatever its node admits

if [ "$lazy" ]; then
	check "bind --lazy" said 0 '^It is not confined, because its IOMMU domain is lazy' udrv bind --lazy $edu
	check "leaves the domain lazy" type_is $edu DMA-FQ
	check "lazy: EPERM" opens_with alice $edu EPERM
	check "lazy: udrv says why, and what to do" said 6 \
		'^udrv: opening 00:02.0 needs root \(CAP_SYS_RAWIO\), because its IOMMU domain is lazy \(unbind it and bind it again' \
		as alice udrv info $edu
	check "unbind" udrv unbind $edu
	check "the domain is as it was" type_is $edu DMA-FQ
fi
echo identity >"$(type_of $edu)"
check "bind --lazy, domain of type identity" said 0 '^It is not confined, because no IOMMU' udrv bind --lazy $edu
check "identity: EPERM" opens_with alice $edu EPERM
check "identity: udrv says why" said 6 'needs root \(CAP_SYS_RAWIO\), because no IOMMU translates its DMA' as alice udrv info $edu
check "identity: a driver says where to look" said 1 "not permitted: a device that no IOMMU confines \\('udrv info'" \
	as alice drivers/edu/edu $edu
check "identity: root's all the same" udrv info $edu
check "list: trusted" tier_is $edu trusted
check "unbind again" udrv unbind $edu

# ---- bind makes it strict, unbind makes it what it was

check "bind" said 0 '^It is confined: whoever may open the node' udrv bind $edu
check "the domain is strict" type_is $edu DMA
check "the node is root's and the group's" equal "$(stat -c '%a %U %G' /dev/udrv/pci-$edu)" "660 root udrv"
check "list: confined, for her too" said 0 "^$edu +udrv .* confined +INTx" as alice udrv list
check "info: confined" said 0 'tier +confined' as alice udrv info $edu
for kind in intx msi; do
	options=()
	[ "$kind" = intx ] || options=(--msi)
	check "alice runs edu, $kind" runs_edu alice $edu "${options[@]}"
done
check "nobody, not in the group: EACCES" equal \
	"$(setpriv --reuid 65534 --regid 65534 --clear-groups python3 -c 'import os
try: os.open("/dev/udrv/pci-00:02.0", os.O_RDWR)
except PermissionError as error: print(error.errno)')" 13
check "nobody: udrv says how to get into it" said 6 "adduser USER udrv" \
	setpriv --reuid 65534 --regid 65534 --clear-groups udrv info $edu
check "alice cannot take it from anybody" said 6 "needs root: run 'sudo udrv revoke $edu'" as alice udrv revoke $edu
check "she holds it" hold alice $edu
check "bob does not get it meanwhile" said 5 "in use by python3 \\(pid $holder\\)" as bob udrv info $edu
check "root takes it from her" said 0 "^$edu was taken from python3 \\(pid $holder\\)" udrv revoke $edu
check "her read ends" held_got ENODEV
check "bob has it at once" runs_edu bob $edu
check "unbind" udrv unbind $edu
check "the domain is of type identity, as it was" type_is $edu identity
check "nothing is noted any more" test -z "$(ls /run/udrv)"
echo auto >"$(type_of $edu)"

# A bind that fails at the last step: something else has the device's registers.
if [ "$lazy" ]; then
	bind_fails() {
		# shellcheck disable=SC2016  # for the inner shell
		unshare --mount sh -ec 'mount -t tmpfs none /sys/bus/pci/drivers/udrv; ! udrv bind "$0"' "$edu"
	}
	check "a bind that fails" bind_fails
	check "leaves the domain as it was" type_is $edu DMA-FQ
	check "and nothing noted" test -z "$(ls /run/udrv)"
fi

# ---- a network card

net_card 82540EM
check "bind the network card" said 0 '^It is confined' udrv bind "$device"
check "its domain is strict" type_is "$device" DMA
ip tuntap add dev nic0 mode tap vnet_hdr user alice
nic_driver="setpriv --reuid alice --regid alice --init-groups --bounding-set=-all --inh-caps=-all --no-new-privs
	prlimit --memlock=8388608 $nic_driver"
check "alice's driver, on a TAP interface made for her" nic_up "$device"
its_capabilities() { equal "$(sed -n 's/^CapEff:\s*//p; s/^Uid:\s*//p' "/proc/$driver_pid/status" | xargs)" "$1"; }
alice=$(id -u alice)
check "it is alice's and has no capability" its_capabilities "$alice $alice $alice $alice 0000000000000000"
check "100 pings to the peer, none lost" ping_all 100 -i 0.02 10.0.0.2
check "50 pings of full length, none lost" ping_all 50 -i 0.02 -s 1472 -M "do" 10.0.0.2
check "20 pings from the peer, none lost" peer ping -q -n -c 20 -i 0.05 -W 30 10.0.0.1
check "over IPv6" ping_all 10 -i 0.05 fd00::2
head -c 1000000 /dev/urandom >"$NET_DIR/file"
check "a file to the peer, equal" transfer "$NET_DIR/file" out 4
check "a file from the peer, equal" transfer "$NET_DIR/file" in 4
check "it ends on SIGINT with status 0" driver_end INT
check "and was quiet" is_empty "$NET_DIR/err"
ip link del nic0

# ---- the same card as an interface of the kernel's: made once with CAP_NET_ADMIN, driven without

nic_port=--net alices=$nic_driver
check "alice alone makes no interface" said 1 'not permitted.*CAP_NET_ADMIN' as alice drivers/e1000/e1000 --net nic0 "$device"
nic_driver="setpriv --reuid alice --regid alice --init-groups --inh-caps=-all,+net_admin --ambient-caps=-all,+net_admin
	prlimit --memlock=8388608 drivers/e1000/e1000"
check "a driver of hers that begins with CAP_NET_ADMIN does" nic_up "$device"
driver_end KILL
nic_driver=$alices
check "it is killed, and one without it takes over" nic_up "$device"
check "it is alice's and has no capability" its_capabilities "$alice $alice $alice $alice 0000000000000000"
check "its packets are copied: no segmentation by the card" contains <(ethtool -k nic0) '^tcp-segmentation-offload: off'
check "100 pings to the peer, none lost" ping_all 100 -i 0.02 10.0.0.2
check "50 pings of full length, none lost" ping_all 50 -i 0.02 -s 1472 -M "do" 10.0.0.2
check "20 pings from the peer, none lost" peer ping -q -n -c 20 -i 0.05 -W 30 10.0.0.1
check "a file to the peer, equal" transfer "$NET_DIR/file" out 4
check "a file from the peer, equal" transfer "$NET_DIR/file" in 4
check "killed three times under iperf3, which goes on" taken_over --
check "it ends on SIGINT with status 0" driver_end INT
check "and was quiet" is_empty "$NET_DIR/err"
check "bob does not get her interface" said 1 'not permitted' as bob drivers/e1000/e1000 --net nic0 "$device"
ip link set nic0 down

# In a namespace of one's own nobody's help is needed.
in_own_namespace() {
	# shellcheck disable=SC2016  # for the inner shell
	as "$1" unshare --user --map-root-user --net bash -c '. test/vm/tap.sh
		drivers/e1000/e1000 --net own0 "$0" &
		within 30 ip link set own0 up && ip addr add 10.0.0.1/24 dev own0 &&
			within 30 ping -q -n -c 1 -W 2 10.0.0.2 && ping -q -n -c 20 -i 0.2 -W 30 10.0.0.2
		status=$?
		kill $! && wait $! || status=1
		exit $status' "$device"
}
check "bob has one in a namespace of his own: 20 pings, none lost" in_own_namespace bob
only_alices() { equal "$(ls "/sys/bus/pci/devices/0000:$device/net")" nic0; }
check "it goes with the namespace" within 30 only_alices
ip link del nic0
check "unbind the network card" udrv unbind "$device"
check "its domain is as it was" type_is "$device" "$default"

# ---- a group of two: it is one user's, and no other driver's

check "bind one of a group" said 0 '^01:02.0 is bound' udrv bind $left
if [ "$lazy" ] && [ -z "$new" ]; then
	check "its type cannot be changed: bind says why" contains "$out" \
		'^It is not confined, because its IOMMU domain is lazy \(before Linux 6.5 .* boot with iommu.strict=1\)'
	check "so it is not alice's" said 6 'because its IOMMU domain is lazy \(before Linux 6.5' as alice udrv info $left
	check "unbind one of a group" udrv unbind $left
	finish
fi
check "it is confined" contains "$out" '^It is confined'
check "alice runs edu on it" runs_edu alice $left

check "the other device gets another driver" give_to_uio $right
check "the first is confined no longer" tier_is $left trusted
check "and not alice's: EPERM" opens_with alice $left EPERM
check "udrv says which device is to blame" said 6 \
	'because another driver has a device of its IOMMU group \(01:03.0, driver uio_pci_generic\): run' as alice udrv info $left
if [ "$lazy" ]; then
	check "unbind while the other has a driver" udrv unbind $left
	check "from strict to lazy goes then too" type_is $left DMA-FQ
	check "bind while the other has a driver" said 0 \
		'^It is not confined, because its IOMMU domain is lazy \(and stays so while 01:03.0 of its group has a driver, uio' \
		udrv bind $left
	take_from_uio $right
	check "unbind and bind, now that it has none" udrv unbind $left
	check "it is confined again" said 0 '^It is confined' udrv bind $left
else
	take_from_uio $right
fi
check "without that driver it is confined" tier_is $left confined
check "and alice's again" runs_edu alice $left

check "alice has it open" hold alice $left
check "the other device gets another driver, meanwhile" give_to_uio $right
check "nobody has the first open now" file_is /sys/class/udrv/pci-$left/owner 0
check "alice's read has ended" held_got ENODEV
check "and it is not hers" opens_with alice $left EPERM
take_from_uio $right

check "bind the other one" said 0 '^It is confined' udrv bind $right
check "alice has the first open" hold alice $left
check "bob does not get the other: EBUSY" opens_with bob $right EBUSY
check "udrv says who has which" said 5 "another user drives $left, of the same IOMMU group as $right \\(python3, pid $holder\\)" \
	as bob udrv info $right
check "alice does" runs_edu alice $right
let_go
check "bob gets it afterwards" runs_edu bob $right
check "unbind the first" udrv unbind $left
check "the domain stays strict under the other" type_is $right DMA
check "unbind the other" udrv unbind $right
check "and is as it was" type_is $right "$default"
finish
