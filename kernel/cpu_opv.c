// SPDX-License-Identifier: GPL-2.0
/*
 * Entry of the cpu_opv() system call, whose body is rust/kernel/cpu_opv.rs
 */

#include <linux/build_bug.h>
#include <linux/cpu_opv.h>
#include <linux/spinlock.h>
#include <linux/stddef.h>
#include <linux/syscalls.h>

/*
 * One layout serves every ABI, so that the system call needs no compat entry:
 * the user-space structures of all of them must look like this one.
 */
static_assert(sizeof(struct cpu_op) == 32);
static_assert(offsetof(struct cpu_op, op) == 0);
static_assert(offsetof(struct cpu_op, len) == 4);
static_assert(offsetof(struct cpu_op, u) == 8);
static_assert(sizeof_field(struct cpu_op, u) == CPU_OP_ARG_LEN_MAX);

static_assert(offsetof(struct cpu_op, u.compare_op.a) == 8);
static_assert(offsetof(struct cpu_op, u.compare_op.b) == 16);
static_assert(offsetof(struct cpu_op, u.compare_op.expect_fault_a) == 24);
static_assert(offsetof(struct cpu_op, u.compare_op.expect_fault_b) == 25);

static_assert(offsetof(struct cpu_op, u.memcpy_op.dst) == 8);
static_assert(offsetof(struct cpu_op, u.memcpy_op.src) == 16);
static_assert(offsetof(struct cpu_op, u.memcpy_op.expect_fault_dst) == 24);
static_assert(offsetof(struct cpu_op, u.memcpy_op.expect_fault_src) == 25);

static_assert(offsetof(struct cpu_op, u.arithmetic_op.p) == 8);
static_assert(offsetof(struct cpu_op, u.arithmetic_op.count) == 16);
static_assert(offsetof(struct cpu_op, u.arithmetic_op.expect_fault_p) == 24);

static_assert(offsetof(struct cpu_op, u.bitwise_op.p) == 8);
static_assert(offsetof(struct cpu_op, u.bitwise_op.mask) == 16);
static_assert(offsetof(struct cpu_op, u.bitwise_op.expect_fault_p) == 24);

static_assert(offsetof(struct cpu_op, u.shift_op.p) == 8);
static_assert(offsetof(struct cpu_op, u.shift_op.bits) == 16);
static_assert(offsetof(struct cpu_op, u.shift_op.expect_fault_p) == 20);

/*
 * Excludes vectors for offline CPUs from each other.  It is defined here since
 * only C can initialize a lock at compile time.
 */
DEFINE_RAW_SPINLOCK(cpu_opv_offline_lock);

/**
 * sys_cpu_opv - Run a vector of operations on a CPU
 *
 * @vec: Vector of operations on the memory of the caller.
 * @cnt: Number of operations in @vec.
 * @cpu: CPU to run the vector on.
 * @flags: Zero to run the vector, or one of &enum cpu_op_flags to query a
 *         property of the system call instead.
 *
 * The operations run with preemption disabled, so they are atomic against all
 * other threads on @cpu.
 *
 * It fails with one of these errors. No operation has taken effect then:
 *
 * - %-EINVAL: an operation or its length is not valid, the lengths add up to
 *   more than %CPU_OP_VEC_DATA_LEN_MAX, or @cnt, @cpu or @flags is not valid.
 * - %-EFAULT: @vec or an operand is not accessible.
 * - %-EAGAIN: an operand is not accessible and its expect_fault member is set.
 * - %-EBUSY: @cpu is online but not active.
 * - %-ENOMEM: there is not enough memory.
 * - %-EINTR: a fatal signal is pending.
 *
 * Return: Zero if all operations have run; one plus the index of the comparison
 * that stopped the vector, after the operations before it have run; the value
 * asked for by @flags; or a negative error code.
 */
SYSCALL_DEFINE4(cpu_opv, struct cpu_op __user *, vec, int, cnt, int, cpu,
		int, flags)
{
	return rust_cpu_opv(vec, cnt, cpu, flags);
}
