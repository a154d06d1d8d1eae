/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _LINUX_CPU_OPV_H
#define _LINUX_CPU_OPV_H

#include <linux/compiler_types.h>
#include <linux/spinlock_types.h>
#include <uapi/linux/cpu_opv.h>

/* Held while operations for a CPU that is offline run on another. */
extern raw_spinlock_t cpu_opv_offline_lock;

/* The body of the system call, written in Rust. */
long rust_cpu_opv(struct cpu_op __user *vec, int cnt, int cpu, int flags);

#endif /* _LINUX_CPU_OPV_H */
