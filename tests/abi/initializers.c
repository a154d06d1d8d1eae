/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The ways in which C programs fill in operations: with the macro, and on their
 * own account as far as all ABIs allow.
 */

#include <linux/cpu_opv.h>

int with_macro(struct cpu_op *vec, char *a, const char *b, unsigned long len);
int without_macro(struct cpu_op *vec, char *a, const char *b);

int with_macro(struct cpu_op *vec, char *a, const char *b, unsigned long len)
{
	struct cpu_op ops[] = {
		[0] = {
			.op = CPU_COMPARE_NE_OP,
			.len = len,
			LINUX_FIELD_u32_u64_INIT_ONSTACK(.u.compare_op.a, a),
			LINUX_FIELD_u32_u64_INIT_ONSTACK(.u.compare_op.b, b),
			.u.compare_op.expect_fault_a = 0,
			.u.compare_op.expect_fault_b = 1,
		},
		[1] = {
			.op = CPU_MEMCPY_OP,
			.len = len,
			LINUX_FIELD_u32_u64_INIT_ONSTACK(.u.memcpy_op.dst, a),
			LINUX_FIELD_u32_u64_INIT_ONSTACK(.u.memcpy_op.src,
							 b + 1),
			.u.memcpy_op.expect_fault_dst = 0,
			.u.memcpy_op.expect_fault_src = 1,
		},
		[2] = {
			.op = CPU_ADD_OP,
			.len = len,
			LINUX_FIELD_u32_u64_INIT_ONSTACK(.u.arithmetic_op.p, a),
			.u.arithmetic_op.count = -1,
			.u.arithmetic_op.expect_fault_p = 0,
		},
		[3] = {
			.op = CPU_XOR_OP,
			.len = len,
			LINUX_FIELD_u32_u64_INIT_ONSTACK(.u.bitwise_op.p, a),
			.u.bitwise_op.mask = ~0ULL,
			.u.bitwise_op.expect_fault_p = 0,
		},
		[4] = {
			.op = CPU_LSHIFT_OP,
			.len = len,
			LINUX_FIELD_u32_u64_INIT_ONSTACK(.u.shift_op.p, a),
			.u.shift_op.bits = 3,
			.u.shift_op.expect_fault_p = 0,
		},
		[5] = {
			.op = CPU_MB_OP,
		},
	};
	int i;

	for (i = 0; i < 6; i++)
		vec[i] = ops[i];
	return 6;
}

int without_macro(struct cpu_op *vec, char *a, const char *b)
{
	struct cpu_op ops[] = {
		[0] = {
			.op = CPU_MEMCPY_OP,
			.len = 8,
			.u.memcpy_op.dst = (unsigned long)a,
			.u.memcpy_op.src = (unsigned long)b,
		},
		[1] = {
			.op = CPU_ADD_RELEASE_OP,
			.len = 8,
			.u.arithmetic_op.p = (unsigned long)a,
			.u.arithmetic_op.count = 1,
		},
	};

	vec[0] = ops[0];
	vec[1] = ops[1];
	return 2;
}
