/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
#ifndef _UAPI_LINUX_CPU_OPV_H
#define _UAPI_LINUX_CPU_OPV_H

/*
 * Per-CPU-atomic operation vectors.
 *
 * long cpu_opv(struct cpu_op *vec, int cnt, int cpu, int flags);
 *
 * Documentation/userspace-api/cpu_opv.rst describes the system call.
 */

#include <linux/types.h>
#include <linux/types_32_64.h>

/* Maximum number of operations in a vector. */
#define CPU_OP_VEC_LEN_MAX		16

/* Size of the arguments of an operation, in bytes. */
#define CPU_OP_ARG_LEN_MAX		24

/* Maximum length of one comparison or copy, in bytes. */
#define CPU_OP_DATA_LEN_MAX		4096

/*
 * A vector runs with preemption disabled, so the sum of the lengths of its
 * operations is limited.  The limit allows for one long copy, and a short
 * operation in each other place of the vector.
 */
#define CPU_OP_MEMCPY_EXPECT_LEN	4096
#define CPU_OP_EXPECT_LEN		8
#define CPU_OP_VEC_DATA_LEN_MAX \
	(CPU_OP_MEMCPY_EXPECT_LEN + \
	 (CPU_OP_VEC_LEN_MAX - 1) * CPU_OP_EXPECT_LEN)

/**
 * enum cpu_op_flags - Flags of the system call
 * @CPU_OP_NR_FLAG: Return the number of operation types that the kernel
 *	supports.  The other arguments are ignored.
 * @CPU_OP_VEC_LEN_MAX_FLAG: Return the maximum number of operations in a
 *	vector.  The other arguments are ignored.
 *
 * Without a flag the vector is run.  The flags exclude each other.  The system
 * call fails with EINVAL on any other bit.
 */
enum cpu_op_flags {
	CPU_OP_NR_FLAG		= (1U << 0),
	CPU_OP_VEC_LEN_MAX_FLAG	= (1U << 1)
};

/**
 * enum cpu_op_type - Operation types
 * @CPU_COMPARE_EQ_OP: Go on if the operands are equal, else stop the vector.
 *	Takes 0 to CPU_OP_DATA_LEN_MAX bytes; zero bytes are equal.
 * @CPU_COMPARE_NE_OP: Go on if the operands differ, else stop the vector.
 *	Takes 0 to CPU_OP_DATA_LEN_MAX bytes; zero bytes do not differ.
 * @CPU_MEMCPY_OP: Copy.  Takes 0 to CPU_OP_DATA_LEN_MAX bytes.  If the operands
 *	overlap, the content of the destination is unspecified.
 * @CPU_ADD_OP: Add a count to an integer of 1, 2, 4 or 8 bytes, wrapping.
 * @CPU_OR_OP: Or a mask into an integer of 1, 2, 4 or 8 bytes.
 * @CPU_AND_OP: And a mask into an integer of 1, 2, 4 or 8 bytes.
 * @CPU_XOR_OP: Xor a mask into an integer of 1, 2, 4 or 8 bytes.
 * @CPU_LSHIFT_OP: Shift an integer of 1, 2, 4 or 8 bytes left.
 * @CPU_RSHIFT_OP: Shift an integer of 1, 2, 4 or 8 bytes right, filling with
 *	zeroes.
 * @CPU_MB_OP: Full memory barrier.  The length must be zero.
 * @CPU_MEMCPY_RELEASE_OP: As CPU_MEMCPY_OP, ordered after all loads and stores
 *	before it.
 * @CPU_ADD_RELEASE_OP: As CPU_ADD_OP, ordered after all loads and stores before
 *	it.
 * @NR_CPU_OPS: The number of operation types of this header.
 */
enum cpu_op_type {
	CPU_COMPARE_EQ_OP	= 0,
	CPU_COMPARE_NE_OP	= 1,
	CPU_MEMCPY_OP		= 2,
	CPU_ADD_OP		= 3,
	CPU_OR_OP		= 4,
	CPU_AND_OP		= 5,
	CPU_XOR_OP		= 6,
	CPU_LSHIFT_OP		= 7,
	CPU_RSHIFT_OP		= 8,
	CPU_MB_OP		= 9,
	CPU_MEMCPY_RELEASE_OP	= 10,
	CPU_ADD_RELEASE_OP	= 11,

	NR_CPU_OPS		= 12
};

/**
 * struct cpu_op - One operation of a vector
 * @op: The operation, one of enum cpu_op_type.
 * @len: The length of each operand, in bytes.
 * @u: The arguments of the operation.
 * @u.compare_op: Arguments of CPU_COMPARE_EQ_OP and CPU_COMPARE_NE_OP.  a and b
 *	are the addresses of the operands.
 * @u.compare_op.expect_fault_a: Whether a may be inaccessible, see below.
 * @u.compare_op.expect_fault_b: Whether b may be inaccessible, see below.
 * @u.memcpy_op: Arguments of CPU_MEMCPY_OP and CPU_MEMCPY_RELEASE_OP.  dst is
 *	the address to copy to, src the address to copy from.
 * @u.memcpy_op.expect_fault_dst: Whether dst may be inaccessible, see below.
 * @u.memcpy_op.expect_fault_src: Whether src may be inaccessible, see below.
 * @u.arithmetic_op: Arguments of CPU_ADD_OP and CPU_ADD_RELEASE_OP.  p is the
 *	address of the integer.
 * @u.arithmetic_op.count: The addend, truncated to the length.
 * @u.arithmetic_op.expect_fault_p: Whether p may be inaccessible, see below.
 * @u.bitwise_op: Arguments of CPU_OR_OP, CPU_AND_OP and CPU_XOR_OP.  p is the
 *	address of the integer.
 * @u.bitwise_op.mask: The mask, truncated to the length.
 * @u.bitwise_op.expect_fault_p: Whether p may be inaccessible, see below.
 * @u.shift_op: Arguments of CPU_LSHIFT_OP and CPU_RSHIFT_OP.  p is the address
 *	of the integer.
 * @u.shift_op.bits: How far to shift, less than the width of the integer.
 * @u.shift_op.expect_fault_p: Whether p may be inaccessible, see below.
 * @u.__padding: Gives the arguments of every operation the same size.
 *
 * When an operand cannot be accessed, the system call fails with EFAULT, or
 * with EAGAIN if the expect_fault member of that operand is not zero.  Either
 * way no operation of the vector has run.
 *
 * Bytes of @u that the operation does not use are ignored.
 */
struct cpu_op {
	__s32 op;
	__u32 len;
	union {
		struct {
			LINUX_FIELD_u32_u64(a);
			LINUX_FIELD_u32_u64(b);
			__u8 expect_fault_a;
			__u8 expect_fault_b;
		} compare_op;
		struct {
			LINUX_FIELD_u32_u64(dst);
			LINUX_FIELD_u32_u64(src);
			__u8 expect_fault_dst;
			__u8 expect_fault_src;
		} memcpy_op;
		struct {
			LINUX_FIELD_u32_u64(p);
			__s64 count;
			__u8 expect_fault_p;
		} arithmetic_op;
		struct {
			LINUX_FIELD_u32_u64(p);
			__u64 mask;
			__u8 expect_fault_p;
		} bitwise_op;
		struct {
			LINUX_FIELD_u32_u64(p);
			__u32 bits;
			__u8 expect_fault_p;
		} shift_op;
		char __padding[CPU_OP_ARG_LEN_MAX];
	} u;
};

#endif /* _UAPI_LINUX_CPU_OPV_H */
