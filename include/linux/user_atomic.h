/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Atomic operations on user memory that do not fault, in line, for callers to
 * which the call of a function costs too much. cmpxchg_user_nofault() has their
 * description.
 */
#ifndef _LINUX_USER_ATOMIC_H
#define _LINUX_USER_ATOMIC_H

#include <linux/align.h>
#include <linux/errno.h>
#include <linux/types.h>
#include <linux/uaccess.h>

#ifdef CONFIG_HAVE_USER_ATOMICS
#include <asm/futex.h>

static __always_inline int __cmpxchg_user_nofault(u32 *prev, u32 __user *ptr,
						  u32 old, u32 new)
{
	int ret;

	if (!IS_ALIGNED((unsigned long)ptr, sizeof(*ptr)))
		return -EINVAL;

	pagefault_disable();
	ret = futex_atomic_cmpxchg_inatomic(prev, ptr, old, new);
	pagefault_enable();

	return ret;
}
#else
static inline int __cmpxchg_user_nofault(u32 *prev, u32 __user *ptr, u32 old,
					 u32 new)
{
	return IS_ALIGNED((unsigned long)ptr, sizeof(*ptr)) ? -EOPNOTSUPP :
							      -EINVAL;
}
#endif

#endif
