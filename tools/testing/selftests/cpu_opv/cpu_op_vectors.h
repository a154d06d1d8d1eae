/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * Vectors for what per-CPU data are used for.
 */
#ifndef CPU_OP_VECTORS_H
#define CPU_OP_VECTORS_H

#include <sys/types.h>

#include "cpu-op.h"

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

#endif /* CPU_OP_VECTORS_H */
