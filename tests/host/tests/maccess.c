// SPDX-License-Identifier: GPL-2.0
/*
 * The loads and comparisons of mm/maccess.c, on this machine, as a kernel has them
 * whose machine does not access integers that are not aligned, or does.
 *
 * The file "added.c" is what the series adds to mm/maccess.c.  EFFICIENT and
 * BIG_ENDIAN are what the kernel's configuration says.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;

#define __user
#define EXPORT_SYMBOL_GPL(name)

#define IS_ENABLED(option)	ENABLED_##option
#define ENABLED_CONFIG_HAVE_EFFICIENT_UNALIGNED_ACCESS	EFFICIENT
#define ENABLED_CONFIG_CPU_BIG_ENDIAN			BIG_ENDIAN

#define ARRAY_SIZE(array)	(sizeof(array) / sizeof((array)[0]))
#define IS_ALIGNED(x, size)	(((x) & ((typeof(x))(size) - 1)) == 0)
#define OPTIMIZER_HIDE_VAR(var)	asm volatile("" : "+r"(var))
#define min(a, b)		((a) < (b) ? (a) : (b))

static bool is_power_of_2(unsigned long n)
{
	return n && !(n & (n - 1));
}

/* User memory: what lies in this area is accessible, and all else faults. */
#define ROOM	256
static u8 room[3 * ROOM] __attribute__((aligned(ROOM)));
static u8 *const first = room + ROOM, *const end = room + 2 * ROOM;
static int nr_unaligned;
/* Integers and areas that were accessed. */
static size_t nr_accesses;

static bool access_ok(const void *ptr, size_t size)
{
	return true;
}

static bool is_there(const void *ptr, size_t size)
{
	nr_accesses++;
	nr_unaligned += !IS_ALIGNED((unsigned long)ptr, size);
	return (const u8 *)ptr >= first && (const u8 *)ptr + size <= end;
}

#define unsafe_get_user(x, ptr, label)					\
do {									\
	if (!is_there(ptr, sizeof(*(ptr))))				\
		goto label;						\
	memcpy(&(x), ptr, sizeof(x));					\
} while (0)

#define unsafe_put_user(x, ptr, label)					\
do {									\
	typeof(*(ptr)) __x = (x);					\
									\
	if (!is_there(ptr, sizeof(*(ptr))))				\
		goto label;						\
	memcpy(ptr, &__x, sizeof(__x));					\
} while (0)

/* Balanced, or a test would end with page faults disabled. */
static int nr_disabled;

static void pagefault_disable(void)
{
	nr_disabled++;
}

static void pagefault_enable(void)
{
	nr_disabled--;
}

/* It ends with the block that it is in. */
#define guard(name)	guard_##name
static void guard_pagefault(void)
{
}

#define scoped_user_read_access_size(ptr, size, label)			\
	if (!access_ok(ptr, size))					\
		goto label;						\
	else
#define scoped_user_write_access_size	scoped_user_read_access_size
#define user_read_access_begin		access_ok
#define user_read_access_end()
#define user_write_access_begin		access_ok
#define user_write_access_end()

static unsigned long __copy_from_user_inatomic(void *to, const void *from,
					       size_t size)
{
	nr_accesses++;
	if ((const u8 *)from < first || (const u8 *)from + size > end)
		return size;
	memcpy(to, from, size);
	return 0;
}

#include "added.c"

static int nr_failed;

#define EXPECT(condition, ...)						\
do {									\
	if (!(condition)) {						\
		printf("line %d: %s: ", __LINE__, #condition);		\
		printf(__VA_ARGS__);					\
		nr_failed++;						\
	}								\
} while (0)

/* The integer of these bytes in the byte order that the kernel is built for. */
static unsigned long integer(const u8 *bytes, size_t size)
{
	unsigned long value = 0;

	for (size_t i = 0; i < size; i++) {
		size_t from_top = BIG_ENDIAN ? i : size - 1 - i;

		value = value << 8 | bytes[from_top];
	}
	return value;
}

/* A place for the value between others, which stay as they are. */
static int load(unsigned long *value, const void *src, size_t size)
{
	const unsigned long other = (unsigned long)0xa5a5a5a5a5a5a5a5ULL;
	unsigned long places[9];
	int ret;

	memset(places, 0xa5, sizeof(places));
	ret = load_user_nofault(&places[4], src, size);
	for (int i = 0; i < 9; i++)
		EXPECT(i == 4 || places[i] == other, "%zu bytes\n", size);
	*value = places[4];
	return ret;
}

/* What is loaded as an integer has the byte order of this machine. */
static bool has_known_value(const void *ptr, size_t size)
{
	return BIG_ENDIAN == (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__) ||
	       (!EFFICIENT && !IS_ALIGNED((unsigned long)ptr, size));
}

static void test_load(void)
{
	for (size_t size = 0; size <= 40; size++) {
		bool is_size = is_power_of_2(size) && size <= sizeof(long);

		for (u8 *src = first - 8; src < end + 8; src++) {
			bool is_in = src >= first && src + size <= end;
			unsigned long value;
			int ret = load(&value, src, size);

			if (ret)
				EXPECT(!value, "%zu bytes\n", size);
			if (!is_size)
				EXPECT(ret == -EINVAL, "%zu bytes: %d\n", size, ret);
			else
				EXPECT(ret == (is_in ? 0 : -EFAULT), "%zu bytes: %d\n", size, ret);
			if (!ret && is_size && has_known_value(src, size))
				EXPECT(value == integer(src, size), "%zu bytes: %lx\n", size, value);
		}
	}
}

static void test_store(void)
{
	for (size_t size = 0; size <= 40; size++) {
		bool is_size = is_power_of_2(size) && size <= sizeof(long);

		for (u8 *dst = first; dst < end; dst++) {
			int ret = store_user_nofault(dst, integer(dst, sizeof(u8)), size);
			bool is_ok = is_size && IS_ALIGNED((unsigned long)dst, size);

			EXPECT(ret == (is_ok ? 0 : -EINVAL), "%zu bytes: %d\n", size, ret);
		}
	}
}

static void test_memcmp(void)
{
	for (size_t at = 0; at < 9; at++) {
		for (size_t size = 0; size < 100; size++) {
			u8 *a = first + at, *b = end - 100;

			memcpy(b, a, size);
			nr_accesses = 0;
			EXPECT(memcmp_user_nofault(a, b, size) == 0, "%zu at %zu\n", size, at);
			/* By words or copies, apart from the end. */
			EXPECT(nr_accesses <= 2 * (size / sizeof(long) + sizeof(long)),
			       "%zu bytes at %zu: %zu accesses\n", size, at, nr_accesses);
			if (!size)
				continue;
			b[size - 1] ^= 0x80;
			EXPECT(memcmp_user_nofault(a, b, size) == 1, "%zu at %zu\n", size, at);
			b[size - 1] ^= 0x80;
			/* All that is there is equal, and the last byte is not there. */
			b = end - (size - 1);
			memcpy(b, a, size - 1);
			EXPECT(memcmp_user_nofault(a, b, size) == -EFAULT, "%zu at %zu\n", size, at);
			EXPECT(memcmp_user_nofault(b, a, size) == -EFAULT, "%zu at %zu\n", size, at);
		}
	}
}

int main(void)
{
	for (size_t i = 0; i < sizeof(room); i++)
		room[i] = 0x80 + 37 * i;
	test_load();
	test_memcmp();
	test_store();
	EXPECT(!nr_disabled, "%d\n", nr_disabled);
	if (!EFFICIENT)
		EXPECT(!nr_unaligned, "%d\n", nr_unaligned);
	return nr_failed != 0;
}
