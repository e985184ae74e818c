/* SPDX-License-Identifier: MIT */
/*
 * wait.pml - a sleep that nobody forgets, for spin: udrv_waiter_wake() and turn_wait(), irq_wake() and irq_sleep()
 *
 * One side has work and then looks whether somebody sleeps; the other says that it is going to sleep and then looks
 * whether there is work. Between the two steps of each there is a full barrier; without it a processor may do them the
 * other way round (a store that waits in its buffer). What stops a transmit queue and starts it again (tx_stop(),
 * tx_wake()) is the same, with "stopped" for "sleeps" and "room" for "work".
 *
 * ROUNDS times there is work. A sleeper that stays asleep with work to do is an end that spin does not accept.
 */
#define ROUNDS 3

byte work;	  /* pieces of it there ever were */
bool asleep;	  /* set_current_state(TASK_INTERRUPTIBLE); a wake-up sets it back */

active proctype waker()
{
	bool saw;
	byte round;

	do
	:: round == ROUNDS -> break
	:: else ->
		if
		:: work++; saw = asleep
#ifdef NO_WAKER_BARRIER
		:: saw = asleep; work++
#endif
		fi;
		if
		:: saw -> asleep = false
		:: else
		fi;
		round++
	od
}

active proctype sleeper()
{
	byte done, seen;

	do
	:: done == ROUNDS -> break
	:: else ->
		if
		:: asleep = true; seen = work
#ifdef NO_SLEEPER_BARRIER
		:: seen = work; asleep = true
#endif
		fi;
		if
		:: seen > done -> asleep = false
		:: else -> !asleep /* schedule() */
		fi;
		done = (seen > done -> seen : done)
	od
}
