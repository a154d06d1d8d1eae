// SPDX-License-Identifier: GPL-2.0

#include <linux/preempt.h>
#include <linux/sched.h>

__rust_helper void rust_helper_preempt_disable(void)
{
	preempt_disable();
}

__rust_helper void rust_helper_preempt_enable(void)
{
	preempt_enable();
}

__rust_helper int rust_helper_preempt_disable_on_cpu(unsigned int cpu)
{
	return preempt_disable_on_cpu(cpu);
}
