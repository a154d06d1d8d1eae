// SPDX-License-Identifier: GPL-2.0 OR MIT

#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cpu-op.h"

int cpu_opv(struct cpu_op *vec, int cnt, int cpu, int flags)
{
	return syscall(__NR_cpu_opv, vec, cnt, cpu, flags);
}

int cpu_op_available(void)
{
	return cpu_opv(NULL, 0, 0, CPU_OP_NR_FLAG) >= 0;
}

int cpu_op_get_current_cpu(void)
{
	int cpu = sched_getcpu();

	if (cpu < 0) {
		perror("sched_getcpu");
		abort();
	}
	return cpu;
}
