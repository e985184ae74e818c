/* SPDX-License-Identifier: MIT */
/*
 * ring.pml - the barriers of a ring, for spin: module/ring.h and the inline functions of libudrv_net.h
 *
 * Two threads hand ITEMS items through a ring of ENTRIES entries. What a thread does is a set of loads and stores, and it
 * does them in any order that nothing forbids: acquire (nothing that follows comes before it), release (nothing that
 * precedes comes after it), and what holds of every processor: stores to one place, and loads of one place, stay in order,
 * and a store does not overtake the load that decided on it. Memory itself is one: what is stored is seen by all at once,
 * as on Arm and x86.
 *
 * With all barriers no order lets a consumer take an entry for what it is not. Without one of them (-DNO_...) there is such
 * an order: run sees to it that spin finds it, so that the model is known to be able to.
 */
#define ITEMS 4
#define ENTRIES 2

byte entries[ENTRIES]; /* an item's number, from 1 */
byte produced, consumed;

/* What the producer has done for each item: seen room, written the entry, published. */
bool room[ITEMS], written[ITEMS], published[ITEMS];
/* What the consumer has: seen the item, read the entry, released it. */
bool seen[ITEMS], read[ITEMS], released[ITEMS];
byte got[ITEMS];

/* All of what[0] to what[i - 1]. */
#define ALL_BEFORE(what, i)						\
	((i < 1 || what[0]) && (i < 2 || what[1]) && (i < 3 || what[2]) && (i < 4 || what[3]))

/* The entry's use before that. */
#define BEFORE(what, i) (i < ENTRIES || what[(i + ITEMS - ENTRIES) % ITEMS])

#ifdef NO_PRODUCER_ACQUIRE
#define PRODUCER_ACQUIRE(i) true
#else
#define PRODUCER_ACQUIRE(i) ALL_BEFORE(room, i + 1)
#endif
#ifdef NO_PRODUCER_RELEASE
#define PRODUCER_RELEASE(i) true
#else
#define PRODUCER_RELEASE(i) ALL_BEFORE(written, i + 1)
#endif
#ifdef NO_CONSUMER_ACQUIRE
#define CONSUMER_ACQUIRE(i) true
#else
#define CONSUMER_ACQUIRE(i) ALL_BEFORE(seen, i + 1)
#endif
#ifdef NO_CONSUMER_RELEASE
#define CONSUMER_RELEASE(i) true
#else
#define CONSUMER_RELEASE(i) ALL_BEFORE(read, i + 1)
#endif

/* udrv_ring_used(): smp_load_acquire(consumed). */
inline see_room(i)
{
	atomic {
		!room[i] && ALL_BEFORE(room, i) && i - consumed < ENTRIES ->
		room[i] = true
	}
}

inline write_entry(i)
{
	atomic {
		!written[i] && BEFORE(written, i) && PRODUCER_ACQUIRE(i) ->
		entries[i % ENTRIES] = i + 1;
		written[i] = true
	}
}

/* udrv_ring_publish(): smp_store_release(produced). */
inline publish(i)
{
	atomic {
		!published[i] && ALL_BEFORE(published, i) && room[i] && PRODUCER_RELEASE(i) ->
		produced = i + 1;
		published[i] = true
	}
}

/* udrv_ring_count(): __ATOMIC_ACQUIRE. */
inline see_item(i)
{
	atomic {
		!seen[i] && ALL_BEFORE(seen, i) && produced > i ->
		seen[i] = true
	}
}

inline read_entry(i)
{
	atomic {
		!read[i] && BEFORE(read, i) && CONSUMER_ACQUIRE(i) ->
		got[i] = entries[i % ENTRIES];
		read[i] = true
	}
}

/* udrv_ring_consume(): __ATOMIC_RELEASE. */
inline release(i)
{
	atomic {
		!released[i] && ALL_BEFORE(released, i) && seen[i] && CONSUMER_RELEASE(i) ->
		consumed = i + 1;
		released[i] = true
	}
}

active proctype producer()
{
	do
	:: ALL_BEFORE(published, ITEMS) && ALL_BEFORE(written, ITEMS) -> break
	:: see_room(0) :: see_room(1) :: see_room(2) :: see_room(3)
	:: write_entry(0) :: write_entry(1) :: write_entry(2) :: write_entry(3)
	:: publish(0) :: publish(1) :: publish(2) :: publish(3)
	od
}

active proctype consumer()
{
	do
	:: ALL_BEFORE(released, ITEMS) && ALL_BEFORE(read, ITEMS) -> break
	:: see_item(0) :: see_item(1) :: see_item(2) :: see_item(3)
	:: read_entry(0) :: read_entry(1) :: read_entry(2) :: read_entry(3)
	:: release(0) :: release(1) :: release(2) :: release(3)
	od;
	assert(got[0] == 1 && got[1] == 2 && got[2] == 3 && got[3] == 4)
}
