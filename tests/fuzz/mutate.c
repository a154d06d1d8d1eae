// SPDX-License-Identifier: GPL-2.0
/*
 * Mutations of whole operations, besides those of bytes that libFuzzer makes by
 * itself: an operation that is taken out or put in leaves the others as they are.
 */
#include <string.h>

#include "fuzz.h"

#define HEADER	4
#define RECORD	8

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned int seed);
size_t LLVMFuzzerCustomCrossOver(const uint8_t *a, size_t a_size, const uint8_t *b, size_t b_size, uint8_t *out,
				 size_t max_size, unsigned int seed);

static unsigned int next(unsigned int *seed)
{
	*seed = *seed * 1103515245 + 12345;
	return *seed >> 16;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned int seed)
{
	size_t nr = size < HEADER ? 0 : (size - HEADER) / RECORD;
	uint8_t *from = data + HEADER + (nr ? next(&seed) % nr : 0) * RECORD;
	uint8_t *to = data + HEADER + (nr ? next(&seed) % nr : 0) * RECORD;
	uint8_t record[RECORD];

	switch (nr ? next(&seed) % 14 : 13) {
	/* Take one out. */
	case 0:
		memmove(from, from + RECORD, data + size - from - RECORD);
		return size - RECORD;
	/* Repeat one. */
	case 1:
		if (size + RECORD > max_size)
			break;
		memcpy(record, from, RECORD);
		memmove(to + RECORD, to, data + size - to);
		memcpy(to, record, RECORD);
		return size + RECORD;
	/* Copy one. */
	case 2:
		memmove(to, from, RECORD);
		return size;
	/* Give one the operand of another. */
	case 3:
		memcpy(to + (next(&seed) & 1 ? 2 : 5), from + (next(&seed) & 1 ? 2 : 5), 3);
		return size;
	/* Change one byte of one. */
	case 4:
	case 5:
	case 6:
		to[next(&seed) % RECORD] = next(&seed);
		return size;
	/* Change the call. */
	case 7:
		data[next(&seed) % HEADER] = next(&seed);
		return size;
	/* Let an operand of one cross the start of a page. */
	case 8:
		to += next(&seed) & 1 ? 2 : 5;
		to[1] = 0x40 | next(&seed) % 16;
		to[2] = -1 - (int)(next(&seed) % 32);
		return size;
	}
	return LLVMFuzzerMutate(data, size, max_size);
}

/* Takes the first operations of one input, and the last of another. */
size_t LLVMFuzzerCustomCrossOver(const uint8_t *a, size_t a_size, const uint8_t *b, size_t b_size, uint8_t *out,
				 size_t max_size, unsigned int seed)
{
	size_t a_nr = a_size < HEADER ? 0 : (a_size - HEADER) / RECORD;
	size_t b_nr = b_size < HEADER ? 0 : (b_size - HEADER) / RECORD;
	size_t first = HEADER + next(&seed) % (a_nr + 1) * RECORD;
	size_t skipped = HEADER + next(&seed) % (b_nr + 1) * RECORD;

	if (a_size < HEADER || b_size < HEADER || first + b_size - skipped > max_size)
		return 0;
	memcpy(out, a, first);
	memcpy(out + first, b + skipped, b_size - skipped);
	return first + b_size - skipped;
}
