/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * Marks in the instruction stream, which do nothing and which the profiler
 * recognises by their bytes.
 */
#ifndef MARK_H
#define MARK_H

#define MARK_START	"\x0f\x1f\x80\x6f\x70\x76\x01"
#define MARK_STOP	"\x0f\x1f\x80\x6f\x70\x76\x02"
#define MARK_LEN	7

/* nopl with a displacement that no compiler makes. */
static inline void mark_start(void)
{
	asm volatile("nopl 0x0176706f(%%rax)" : : : "memory");
}

static inline void mark_stop(void)
{
	asm volatile("nopl 0x0276706f(%%rax)" : : : "memory");
}

#endif
