/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A scheduler for sched_ext that sends each thread that may run anywhere to
 * the next CPU.
 *
 * The kernel ends a scheduler that sends a thread to a CPU where that may not
 * run. So whatever binds a thread has to be visible where this one looks.
 */
#include <scx/common.bpf.h>

/* What 6.12 calls scx_bpf_dispatch() has another name since 6.13. */
#if __has_include(<scx/enums.bpf.h>)
#define scx_bpf_dispatch scx_bpf_dsq_insert
#endif

char _license[] SEC("license") = "GPL";

void BPF_STRUCT_OPS(anywhere_enqueue, struct task_struct *p, u64 enq_flags)
{
	u32 nr_cpus = scx_bpf_nr_cpu_ids();
	s32 cpu = scx_bpf_task_cpu(p);

	if (p->nr_cpus_allowed == nr_cpus && !p->migration_disabled)
		cpu = (cpu + 1) % nr_cpus;
	scx_bpf_dispatch(p, SCX_DSQ_LOCAL_ON | cpu, SCX_SLICE_DFL, enq_flags);
}

SCX_OPS_DEFINE(anywhere_ops,
	       .enqueue = (void *)anywhere_enqueue,
	       .name = "anywhere");
