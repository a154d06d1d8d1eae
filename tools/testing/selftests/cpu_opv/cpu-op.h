/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * Helpers for programs that use the cpu_opv() system call.
 */
#ifndef CPU_OP_H
#define CPU_OP_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <asm/unistd.h>
#include <linux/cpu_opv.h>

#ifndef __NR_cpu_opv
# ifdef __alpha__
#  define __NR_cpu_opv	710
# else
#  define __NR_cpu_opv	600
# endif
#endif

#ifdef __cplusplus
extern "C" {
#endif

/**
 * cpu_op_compare() - Describe a comparison
 * @type:	CPU_COMPARE_EQ_OP or CPU_COMPARE_NE_OP.
 * @a:		First operand.
 * @b:		Second operand.
 * @len:	Length of each operand in bytes, 0 to CPU_OP_DATA_LEN_MAX.
 *
 * Return: The operation.
 */
static inline struct cpu_op cpu_op_compare(enum cpu_op_type type, const void *a,
					   const void *b, uint32_t len)
{
	struct cpu_op op;

	memset(&op, 0, sizeof(op));
	op.op = type;
	op.len = len;
	LINUX_FIELD_u32_u64_INIT_ONSTACK(op.u.compare_op.a, a);
	LINUX_FIELD_u32_u64_INIT_ONSTACK(op.u.compare_op.b, b);
	return op;
}

/**
 * cpu_op_memcpy() - Describe a copy
 * @type:	CPU_MEMCPY_OP or CPU_MEMCPY_RELEASE_OP.
 * @dst:	Where to copy to.
 * @src:	Where to copy from; must not overlap @dst.
 * @len:	Length in bytes, 0 to CPU_OP_DATA_LEN_MAX.
 *
 * Return: The operation.
 */
static inline struct cpu_op cpu_op_memcpy(enum cpu_op_type type, void *dst,
					  const void *src, uint32_t len)
{
	struct cpu_op op;

	memset(&op, 0, sizeof(op));
	op.op = type;
	op.len = len;
	LINUX_FIELD_u32_u64_INIT_ONSTACK(op.u.memcpy_op.dst, dst);
	LINUX_FIELD_u32_u64_INIT_ONSTACK(op.u.memcpy_op.src, src);
	return op;
}

/**
 * cpu_op_arithmetic() - Describe an addition
 * @type:	CPU_ADD_OP or CPU_ADD_RELEASE_OP.
 * @p:		The integer.
 * @count:	What to add; only the low @len bytes count.
 * @len:	Size of the integer in bytes: 1, 2, 4 or 8.
 *
 * Return: The operation.
 */
static inline struct cpu_op cpu_op_arithmetic(enum cpu_op_type type, void *p,
					      int64_t count, uint32_t len)
{
	struct cpu_op op;

	memset(&op, 0, sizeof(op));
	op.op = type;
	op.len = len;
	LINUX_FIELD_u32_u64_INIT_ONSTACK(op.u.arithmetic_op.p, p);
	op.u.arithmetic_op.count = count;
	return op;
}

/**
 * cpu_op_bitwise() - Describe a bitwise operation
 * @type:	CPU_OR_OP, CPU_AND_OP or CPU_XOR_OP.
 * @p:		The integer.
 * @mask:	The other operand; only the low @len bytes count.
 * @len:	Size of the integer in bytes: 1, 2, 4 or 8.
 *
 * Return: The operation.
 */
static inline struct cpu_op cpu_op_bitwise(enum cpu_op_type type, void *p,
					   uint64_t mask, uint32_t len)
{
	struct cpu_op op;

	memset(&op, 0, sizeof(op));
	op.op = type;
	op.len = len;
	LINUX_FIELD_u32_u64_INIT_ONSTACK(op.u.bitwise_op.p, p);
	op.u.bitwise_op.mask = mask;
	return op;
}

/**
 * cpu_op_shift() - Describe a logical shift
 * @type:	CPU_LSHIFT_OP or CPU_RSHIFT_OP.
 * @p:		The integer.
 * @bits:	By how many bits; less than the width of the integer.
 * @len:	Size of the integer in bytes: 1, 2, 4 or 8.
 *
 * Return: The operation.
 */
static inline struct cpu_op cpu_op_shift(enum cpu_op_type type, void *p,
					 uint32_t bits, uint32_t len)
{
	struct cpu_op op;

	memset(&op, 0, sizeof(op));
	op.op = type;
	op.len = len;
	LINUX_FIELD_u32_u64_INIT_ONSTACK(op.u.shift_op.p, p);
	op.u.shift_op.bits = bits;
	return op;
}

/**
 * cpu_op_mb() - Describe a full memory barrier
 *
 * Return: The operation.
 */
static inline struct cpu_op cpu_op_mb(void)
{
	struct cpu_op op;

	memset(&op, 0, sizeof(op));
	op.op = CPU_MB_OP;
	return op;
}

/**
 * cpu_opv() - Run a vector of operations on a CPU with preemption disabled
 * @vec:	The operations.
 * @cnt:	How many, 0 to CPU_OP_VEC_LEN_MAX.
 * @cpu:	Number of the CPU.
 * @flags:	0, or one of enum cpu_op_flags to ask for a limit instead.
 *
 * Return: 0 if all operations ran, 1 + the index of the comparison that stopped
 * the vector, or the limit that @flags asked for.  On error -1, and errno is
 * set: no operation has taken effect.
 */
int cpu_opv(struct cpu_op *vec, int cnt, int cpu, int flags);

/**
 * cpu_op_available() - Tell whether the kernel has the system call
 *
 * Return: 1 if it has, else 0.
 */
int cpu_op_available(void);

/**
 * cpu_op_get_current_cpu() - Get the number of the CPU that the caller runs on
 *
 * The caller may have been moved to another one by the time this returns.
 * Aborts the program if the number is not available.
 *
 * Return: The number of the CPU.
 */
int cpu_op_get_current_cpu(void);

#ifdef __cplusplus
}
#endif

#endif /* CPU_OP_H */
