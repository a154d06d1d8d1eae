/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * Helpers for programs that use the cpu_opv() system call.
 */
#ifndef CPU_OP_H
#define CPU_OP_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <asm/unistd.h>
#include <linux/cpu_opv.h>

#ifndef __NR_cpu_opv
# ifdef __alpha__
#  define __NR_cpu_opv	710
# else
#  define __NR_cpu_opv	600
# endif
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
	return (struct cpu_op) {
		.op = type,
		.len = len,
		LINUX_FIELD_u32_u64_INIT_ONSTACK(.u.compare_op.a, a),
		LINUX_FIELD_u32_u64_INIT_ONSTACK(.u.compare_op.b, b),
	};
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
	return (struct cpu_op) {
		.op = type,
		.len = len,
		LINUX_FIELD_u32_u64_INIT_ONSTACK(.u.memcpy_op.dst, dst),
		LINUX_FIELD_u32_u64_INIT_ONSTACK(.u.memcpy_op.src, src),
	};
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
	return (struct cpu_op) {
		.op = type,
		.len = len,
		LINUX_FIELD_u32_u64_INIT_ONSTACK(.u.arithmetic_op.p, p),
		.u.arithmetic_op.count = count,
	};
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
	return (struct cpu_op) {
		.op = type,
		.len = len,
		LINUX_FIELD_u32_u64_INIT_ONSTACK(.u.bitwise_op.p, p),
		.u.bitwise_op.mask = mask,
	};
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
	return (struct cpu_op) {
		.op = type,
		.len = len,
		LINUX_FIELD_u32_u64_INIT_ONSTACK(.u.shift_op.p, p),
		.u.shift_op.bits = bits,
	};
}

/**
 * cpu_op_mb() - Describe a full memory barrier
 *
 * Return: The operation.
 */
static inline struct cpu_op cpu_op_mb(void)
{
	return (struct cpu_op) { .op = CPU_MB_OP };
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
 * set: then no operation has run.
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
 * Aborts the program if the number cannot be had.
 *
 * Return: The number of the CPU.
 */
int cpu_op_get_current_cpu(void);

/*
 * Each function below runs one vector on @cpu and is atomic with respect to the
 * other threads on that CPU.  Each returns 0 when it has done all that its name
 * says, a positive value when a comparison failed, with nothing stored (except
 * where noted), and -1 with errno set when cpu_opv() failed.
 *
 * In the names v is a value of the size of a pointer, eq and ne are the
 * condition under which the function goes on, and mb and release mean that the
 * last store comes after a full barrier, or is a store-release.
 */

/**
 * cpu_op_cmpxchg() - Compare and exchange
 * @v:		What to exchange.
 * @expect:	The value to compare it with.
 * @old:	Where to put the value that was found, also if it is not the
 *		expected one.
 * @_new:	The value to store.
 * @len:	Length of each in bytes, 0 to CPU_OP_DATA_LEN_MAX.
 * @cpu:	Number of the CPU.
 *
 * Return: As described above.
 */
int cpu_op_cmpxchg(void *v, void *expect, void *old, void *_new, size_t len,
		   int cpu);

/**
 * cpu_op_add() - Add to an integer
 * @v:		The integer.
 * @count:	What to add.
 * @len:	Size of the integer in bytes: 1, 2, 4 or 8.
 * @cpu:	Number of the CPU.
 *
 * Return: As described above.
 */
int cpu_op_add(void *v, int64_t count, size_t len, int cpu);

/**
 * cpu_op_add_release() - Add to an integer, with release ordering
 * @v:		The integer.
 * @count:	What to add.
 * @len:	Size of the integer in bytes: 1, 2, 4 or 8.
 * @cpu:	Number of the CPU.
 *
 * Return: As described above.
 */
int cpu_op_add_release(void *v, int64_t count, size_t len, int cpu);

/**
 * cpu_op_addv() - Add to an integer of the size of a pointer
 * @v:		The integer.
 * @count:	What to add.
 * @cpu:	Number of the CPU.
 *
 * Return: As described above.
 */
int cpu_op_addv(intptr_t *v, int64_t count, int cpu);

/**
 * cpu_op_cmpeqv_storev() - Store if a value is the expected one
 * @v:		The value.
 * @expect:	What it has to be.
 * @newv:	What to store in @v.
 * @cpu:	Number of the CPU.
 *
 * Return: As described above.
 */
int cpu_op_cmpeqv_storev(intptr_t *v, intptr_t expect, intptr_t newv, int cpu);

/**
 * cpu_op_cmpnev_storeoffp_load() - Pop from a list
 * @v:		Points at the head of the list.
 * @expectnot:	The head of an empty list.
 * @voffp:	Offset in bytes from the head to its pointer to the next element.
 * @load:	Where to put the old head, after the vector has run.
 * @cpu:	Number of the CPU.
 *
 * Return: As described above; 1 if @v is @expectnot.  The error EAGAIN means
 * that the head could not be read: it may have been freed by another thread
 * after this one had loaded its address.
 */
int cpu_op_cmpnev_storeoffp_load(intptr_t *v, intptr_t expectnot, off_t voffp,
				 intptr_t *load, int cpu);

/**
 * cpu_op_cmpeqv_storev_storev() - Store twice if a value is the expected one
 * @v:		The value.
 * @expect:	What it has to be.
 * @v2:		Where to store first.
 * @newv2:	What to store there.
 * @newv:	What to store in @v afterwards.
 * @cpu:	Number of the CPU.
 *
 * Return: As described above.
 */
int cpu_op_cmpeqv_storev_storev(intptr_t *v, intptr_t expect, intptr_t *v2,
				intptr_t newv2, intptr_t newv, int cpu);
int cpu_op_cmpeqv_storev_mb_storev(intptr_t *v, intptr_t expect, intptr_t *v2,
				   intptr_t newv2, intptr_t newv, int cpu);
int cpu_op_cmpeqv_storev_storev_release(intptr_t *v, intptr_t expect,
					intptr_t *v2, intptr_t newv2,
					intptr_t newv, int cpu);

/**
 * cpu_op_cmpeqv_cmpeqv_storev() - Store if two values are the expected ones
 * @v:		The first value.
 * @expect:	What it has to be.
 * @v2:		The second value.
 * @expect2:	What it has to be.
 * @newv:	What to store in @v.
 * @cpu:	Number of the CPU.
 *
 * Return: As described above: 1 if the first value differs, 2 if the second
 * does.
 */
int cpu_op_cmpeqv_cmpeqv_storev(intptr_t *v, intptr_t expect, intptr_t *v2,
				intptr_t expect2, intptr_t newv, int cpu);

/**
 * cpu_op_cmpeqv_memcpy_storev() - Copy and store if a value is the expected one
 * @v:		The value.
 * @expect:	What it has to be.
 * @dst:	Where to copy to.
 * @src:	Where to copy from.
 * @len:	Length of the copy in bytes, 0 to CPU_OP_DATA_LEN_MAX.
 * @newv:	What to store in @v afterwards.
 * @cpu:	Number of the CPU.
 *
 * Return: As described above.
 */
int cpu_op_cmpeqv_memcpy_storev(intptr_t *v, intptr_t expect, void *dst,
				void *src, size_t len, intptr_t newv, int cpu);
int cpu_op_cmpeqv_memcpy_mb_storev(intptr_t *v, intptr_t expect, void *dst,
				   void *src, size_t len, intptr_t newv,
				   int cpu);
int cpu_op_cmpeqv_memcpy_storev_release(intptr_t *v, intptr_t expect, void *dst,
					void *src, size_t len, intptr_t newv,
					int cpu);

#endif /* CPU_OP_H */
