// SPDX-License-Identifier: GPL-2.0

#include <linux/sched.h>

__rust_helper void rust_helper_migrate_enable(void)
{
	migrate_enable();
}

__rust_helper int rust_helper_migrate_disable_on_cpu(unsigned int cpu)
{
	return migrate_disable_on_cpu(cpu);
}
