/* SPDX-License-Identifier: MIT */
/*
 * tap.h - test programs that print TAP, and that cannot lose a failure
 *
 * A program is a table of test functions. Each runs in a process of its own, so that a crash, a hang
 * or a descriptor left open is that test's failure and nobody else's. Inside, tap_step() names what
 * is being looked at: a step is one point of the subtest, and all checks until the next step belong
 * to it. A check that holds is silent; one that does not prints file, line and values, and the test
 * goes on; the REQUIRE ones end the test.
 *
 * Checks may be made from threads and from forked children of a test: the counts are shared.
 */
#ifndef TAP_H
#define TAP_H

#include <stdbool.h>
#include <stddef.h>

struct tap_test {
	const char *name;
	void (*run)(void);
	unsigned int timeout_s; /* 0: 120 */
};

#define TAP_TEST(function) { #function, function, 0 }
#define TAP_TEST_LONG(function, seconds) { #function, function, seconds }

/*
 * Runs the tests (those named in argv, else all) and prints the plan. @after, if any, runs after each
 * of them, in the same place as the test's own checks: what must hold whatever was tested.
 * "-l" lists the names. Returns what main() should.
 */
int tap_main(int argc, char **argv, const struct tap_test *tests, size_t count, void (*after)(void));
#define TAP_MAIN(argc, argv, tests, after) \
	tap_main(argc, argv, tests, sizeof(tests) / sizeof((tests)[0]), after)

void tap_step(const char *format, ...) __attribute__((format(printf, 1, 2)));
void tap_note(const char *format, ...) __attribute__((format(printf, 1, 2)));
void tap_skip(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

/* Behind the macros. */
enum tap_op { TAP_EQ, TAP_NE, TAP_LT, TAP_LE, TAP_GT, TAP_GE };
bool tap_check(bool holds, const char *file, int line, const char *text);
bool tap_compare(enum tap_op op, long long left, long long right, const char *file, int line,
		 const char *left_text, const char *right_text);
bool tap_result(long long result, int error, int wanted, const char *file, int line,
		const char *text);
bool tap_strings(const char *left, const char *right, const char *file, int line,
		 const char *left_text);
bool tap_memory(const void *left, const void *right, size_t length, const char *file, int line,
		const char *text);
void tap_end(void) __attribute__((noreturn));

#define CHECK(condition) tap_check(condition, __FILE__, __LINE__, #condition)

#define TAP_COMPARE(op, left, right)                                                              \
	tap_compare(op, (long long)(left), (long long)(right), __FILE__, __LINE__, #left, #right)
#define CHECK_EQ(left, right) TAP_COMPARE(TAP_EQ, left, right)
#define CHECK_NE(left, right) TAP_COMPARE(TAP_NE, left, right)
#define CHECK_LT(left, right) TAP_COMPARE(TAP_LT, left, right)
#define CHECK_LE(left, right) TAP_COMPARE(TAP_LE, left, right)
#define CHECK_GT(left, right) TAP_COMPARE(TAP_GT, left, right)
#define CHECK_GE(left, right) TAP_COMPARE(TAP_GE, left, right)

/* A call that returns -1 and sets errno. OK: it did not; ERROR: it did, with this errno. */
#define TAP_RESULT(call, wanted)                                                                  \
	({                                                                                        \
		errno = 0;                                                                        \
		long long tap_value = (long long)(call);                                          \
		tap_result(tap_value, errno, wanted, __FILE__, __LINE__, #call);                  \
	})
#define CHECK_OK(call) TAP_RESULT(call, 0)
#define CHECK_ERROR(call, wanted) TAP_RESULT(call, wanted)

#define CHECK_STR(left, right) tap_strings(left, right, __FILE__, __LINE__, #left)
#define CHECK_MEM(left, right, length) \
	tap_memory(left, right, length, __FILE__, __LINE__, #left " == " #right)

#define REQUIRE(condition) do { if (!CHECK(condition)) tap_end(); } while (0)
#define REQUIRE_EQ(left, right) do { if (!CHECK_EQ(left, right)) tap_end(); } while (0)
#define REQUIRE_OK(call) do { if (!CHECK_OK(call)) tap_end(); } while (0)

#endif
