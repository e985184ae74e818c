// SPDX-License-Identifier: MIT
/*
 * memory_state.c - for tests in shell: "before" notes how much memory the kernel uses, "after"
 * compares
 *
 * The note is in the file UDRV_MEMORY; UDRV_ROUNDS is how often something was done between the two.
 * See memory.h for what is compared.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>

#include "memory.h"
#include "tap.h"

static struct memory_state state, noted;

static FILE *note(const char *mode)
{
	FILE *file;

	REQUIRE(getenv("UDRV_MEMORY"));
	file = fopen(getenv("UDRV_MEMORY"), mode);
	REQUIRE(file);
	return file;
}

static void before(void)
{
	FILE *file = note("w");

	memory_read(&state);
	REQUIRE_EQ(fwrite(&state, sizeof(state), 1, file), 1);
	REQUIRE_EQ(fclose(file), 0);
}

static void after(void)
{
	FILE *file = note("r");

	REQUIRE_EQ(fread(&noted, sizeof(noted), 1, file), 1);
	fclose(file);
	REQUIRE(getenv("UDRV_ROUNDS"));
	memory_check(&noted, strtoul(getenv("UDRV_ROUNDS"), NULL, 10));
}

int main(int argc, char **argv)
{
	static const struct tap_test tests[] = { TAP_TEST(before), TAP_TEST(after) };

	return TAP_MAIN(argc, argv, tests, NULL);
}
