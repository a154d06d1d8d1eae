/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The binary interface of cpu_opv(), as assertions that stop the compiler.
 *
 * EXPECT_LP64, EXPECT_LITTLE_ENDIAN_32 or EXPECT_BIG_ENDIAN_32 says what kind
 * of ABI this is compiled for.  The headers have to find that out themselves.
 */

#include <linux/cpu_opv.h>
#include <linux/cpu_opv.h>
#include <linux/types_32_64.h>

/* Both C90 and C++98 have this, unlike a static assertion. */
#define CONCAT(a, b)		a ## b
#define NAME(line)		CONCAT(assertion_in_line_, line)
#define ASSERT(condition)	extern char NAME(__LINE__)[(condition) ? 1 : -1]

#define OFFSET(member)		__builtin_offsetof(struct cpu_op, member)
#define SIZE(member)		sizeof(((struct cpu_op *)0)->member)

/*
 * A member and its place in bytes from the start of the operation.  As macro
 * arguments, so that each takes one line and is named by its line.
 */
#define AT(member, offset, size) \
	ASSERT(OFFSET(member) == (offset) && SIZE(member) == (size))

#if defined(EXPECT_LP64)
#define POINTER_AT(member, offset)	AT(member, offset, 8)
#elif defined(EXPECT_LITTLE_ENDIAN_32)
#define POINTER_AT(member, offset) \
	ASSERT(OFFSET(member) == (offset) && SIZE(member) == 4 && \
	       OFFSET(member ## _padding) == (offset) + 4 && \
	       SIZE(member ## _padding) == 4)
#elif defined(EXPECT_BIG_ENDIAN_32)
#define POINTER_AT(member, offset) \
	ASSERT(OFFSET(member) == (offset) + 4 && SIZE(member) == 4 && \
	       OFFSET(member ## _padding) == (offset) && \
	       SIZE(member ## _padding) == 4)
#else
#error "No kind of ABI has been chosen."
#endif

ASSERT(sizeof(struct cpu_op) == 32);
ASSERT(sizeof(struct cpu_op[CPU_OP_VEC_LEN_MAX]) == 512);

AT(op, 0, 4);
AT(len, 4, 4);
AT(u, 8, 24);
AT(u.__padding, 8, 24);

POINTER_AT(u.compare_op.a, 8);
POINTER_AT(u.compare_op.b, 16);
AT(u.compare_op.expect_fault_a, 24, 1);
AT(u.compare_op.expect_fault_b, 25, 1);

POINTER_AT(u.memcpy_op.dst, 8);
POINTER_AT(u.memcpy_op.src, 16);
AT(u.memcpy_op.expect_fault_dst, 24, 1);
AT(u.memcpy_op.expect_fault_src, 25, 1);

POINTER_AT(u.arithmetic_op.p, 8);
AT(u.arithmetic_op.count, 16, 8);
AT(u.arithmetic_op.expect_fault_p, 24, 1);

POINTER_AT(u.bitwise_op.p, 8);
AT(u.bitwise_op.mask, 16, 8);
AT(u.bitwise_op.expect_fault_p, 24, 1);

POINTER_AT(u.shift_op.p, 8);
AT(u.shift_op.bits, 16, 4);
AT(u.shift_op.expect_fault_p, 20, 1);

/* Signedness shows in a type that holds -1. */
ASSERT((__typeof__(((struct cpu_op *)0)->op))-1 < 0);
ASSERT((__typeof__(((struct cpu_op *)0)->len))-1 > 0);
ASSERT((__typeof__(((struct cpu_op *)0)->u.arithmetic_op.count))-1 < 0);
ASSERT((__typeof__(((struct cpu_op *)0)->u.bitwise_op.mask))-1 > 0);
ASSERT((__typeof__(((struct cpu_op *)0)->u.shift_op.bits))-1 > 0);

ASSERT(CPU_COMPARE_EQ_OP == 0);
ASSERT(CPU_COMPARE_NE_OP == 1);
ASSERT(CPU_MEMCPY_OP == 2);
ASSERT(CPU_ADD_OP == 3);
ASSERT(CPU_OR_OP == 4);
ASSERT(CPU_AND_OP == 5);
ASSERT(CPU_XOR_OP == 6);
ASSERT(CPU_LSHIFT_OP == 7);
ASSERT(CPU_RSHIFT_OP == 8);
ASSERT(CPU_MB_OP == 9);
ASSERT(CPU_MEMCPY_RELEASE_OP == 10);
ASSERT(CPU_ADD_RELEASE_OP == 11);
ASSERT(NR_CPU_OPS == 12);

ASSERT(CPU_OP_NR_FLAG == 1);
ASSERT(CPU_OP_VEC_LEN_MAX_FLAG == 2);

ASSERT(CPU_OP_VEC_LEN_MAX == 16);
ASSERT(CPU_OP_ARG_LEN_MAX == 24);
ASSERT(CPU_OP_DATA_LEN_MAX == 4096);
ASSERT(CPU_OP_MEMCPY_EXPECT_LEN == 4096);
ASSERT(CPU_OP_EXPECT_LEN == 8);
ASSERT(CPU_OP_VEC_DATA_LEN_MAX == 4216);

/* The macro for pointers, on members and as part of a larger expression. */
void store_pointers(struct cpu_op *op, char *a, const void *b);

void store_pointers(struct cpu_op *op, char *a, const void *b)
{
	LINUX_FIELD_u32_u64_INIT_ONSTACK(op->u.compare_op.a, a + 1);
	LINUX_FIELD_u32_u64_INIT_ONSTACK(op->u.compare_op.b, b);
}
