#!/bin/bash
# SPDX-License-Identifier: MIT
#
# nvme_locks.sh - two queues of a disk share no lock
#
# Each queue has a reader, a driver's thread and a CPU of its own. The kernel's tracer counts the spin locks, read-write
# locks, mutexes and semaphores that are taken meanwhile: which, on which CPU, and by whose call. Of those that were taken in
# a call of the module's, its own and what the kernel takes for it, none may be taken from both CPUs, but now and then: a
# process that wakes another, moves it, or wants memory. With one queue for both readers there has to be such a lock: else
# nothing would be seen.

# shellcheck source-path=SCRIPTDIR/../..
# shellcheck disable=SC2317  # check and within call functions by their names
cd "$(dirname "$0")/../.." || exit
. test/vm/tap.sh

disk=udrvlocks
path=/dev/$disk
. test/vm/nvme.sh
work=$(mktemp -d)
said=$work/said
trace=/sys/kernel/tracing
reads=2048 # of each reader
lock_functions=(_raw_spin_{lock{,_irq,_irqsave,_bh},trylock{,_bh}} _raw_{read,write}_{lock{,_irq,_irqsave,_bh},trylock}
	mutex_lock{,_interruptible,_killable,_io} mutex_trylock down_{read,write}{,_killable} down_{read,write}_trylock)
histogram='hist:keys=lock.hex,common_cpu,stacktrace:size=32768'

cleanup() { [ -z "$driver" ] || kill -KILL "$driver" 2>/dev/null; }
trap cleanup EXIT

# drive QUEUES: each queue's thread on the CPU that the queue's requests come from. The first is the process's own.
drive() {
	local queues=$1 queue=0 thread

	drivers/nvme/nvme --name "$disk" --queues "$queues" "$device" >"$said" 2>&1 &
	driver=$!
	within 60 disk_there || return
	for thread in $(printf '%s\n' "/proc/$driver/task/"* | sort -t / -k 5n); do
		taskset -pc "$(tr -d ' ' <"/sys/block/$disk/mq/$queue/cpu_list")" "${thread##*/}" || return
		queue=$((queue + 1))
	done
	equal "$queue" "$queues"
}

# A reader on each CPU.
read_all() {
	fio --filename="$path" --name=reader --size=64m --rw=randread --bs=4k --io_size="$((reads * 4))k" --iodepth=8 --direct=1 \
		--ioengine=libaio --numjobs=2 --cpus_allowed=0,1 --cpus_allowed_policy=split --minimal
}

trace_begin() {
	local function

	mountpoint -q "$trace" || mount -t tracefs none "$trace" || return
	for function in "${lock_functions[@]}"; do
		echo "p:udrvlocks/$function $function lock=%di:x64" >>"$trace/kprobe_events" || return
	done
	for function in "${lock_functions[@]}"; do
		echo "$histogram" >"$trace/events/udrvlocks/$function/trigger" || return
	done
}

# To $work/seen; whatever was not counted would be missed.
trace_end() {
	local function

	for function in "${lock_functions[@]}"; do
		cat "$trace/events/udrvlocks/$function/hist" || return
		echo "!$histogram" >"$trace/events/udrvlocks/$function/trigger" || return
	done >"$work/seen"
	echo >"$trace/kprobe_events" || return
	awk -v all="${#lock_functions[@]}" '/Dropped:/ {tables++; dropped += $2} END {exit tables != all || dropped}' "$work/seen"
}

# "CPU-0 CPU-1 LOCK CALLS": how often each lock was taken, on which CPU, in the module's calls. What is below an interrupt's
# entry is somebody else's. To $work/locks.
count_locks() {
	awk '
		/^[{] lock:/ { lock = substr($3, 1, 16); cpu = $5 + 0; calls = ""; ours = below = 0; next }
		/^[}] hitcount:/ {
			if (ours) { times[lock, cpu] += $3; all[lock] += $3; if ($3 > most[lock]) { most[lock] = $3; by[lock] = calls } }
			next
		}
		/^ *asm_/ { below = 1 }
		lock != "" && !below && !ours {
			name = $1
			sub(/[+].*/, "", name)
			if (calls != "" || name ~ /^(_raw_|mutex_|down_)/) calls = calls " " name # before that it is the tracer
			ours = /\[udrv\]/
		}
		END { for (lock in all) print times[lock, 0] + 0, times[lock, 1] + 0, lock by[lock] }
	' "$work/seen" | sort -rn >"$work/locks"
	head -n 20 "$work/locks"
}

counted() { trace_begin && read_all && trace_end && count_locks; }

# Locks that both CPUs have taken for one request in fifty, or more often.
shared() { awk -v least=$((reads / 50)) '$1 >= least && $2 >= least' "$work/locks"; }
shares() { shared | grep ' _raw_spin_lock queue_rq$' || { head -n 20 "$work/locks"; return 1; }; }
shares_none() { equal "$(shared)" ''; }
# taken_on CPU CALL: a lock that the module takes there itself, for each request.
taken_on() { awk -v cpu="$1" -v call="$2" -v least="$reads" '$4 ~ /^_raw_spin/ && $5 == call && $(cpu + 1) >= least {found = 1} END {exit !found}' "$work/locks"; }

nvme_first
check "bind" udrv bind "$device" || bail "nothing to drive"

check "one queue" drive 1 || bail "no disk"
check "one queue: what both readers do is counted" counted
check "one queue: a lock of the module's is taken from both CPUs" shares
check "one queue: ends" ends INT 0
check "its disk goes" udrv unbind "$device"

check "bind again" udrv bind "$device"
check "two queues" drive 2 || bail "no disk"
check "two queues: what both readers do is counted" counted
for cpu in 0 1; do
	check "two queues: a lock of the module's is taken on CPU $cpu" taken_on "$cpu" queue_rq
done
check "two queues share no lock" shares_none
note "of $(wc -l <"$work/locks") locks; the one that both took most: $(awk '{least = $1 < $2 ? $1 : $2; if (least >= most) {most = least; line = $0}} END {print line}' "$work/locks")"
check "two queues: ends" ends INT 0
check "unbind" udrv unbind "$device"
rm -rf "$work"
finish
