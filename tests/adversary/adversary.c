// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * What threads without privileges do to others by cpu_opv(), beside what they do
 * without it.  Both are measured in turn, some rounds each; the median counts.
 *
 * Prints "ready", and a line for each value: what it is, its unit, what the attackers do without
 * the call, the value without it, and with it; separated by tabs.
 *
 * Needs root, for those who suffer, four CPUs, of which the third can go down, and
 * CONFIG_CPUSETS for cgroup v2.
 *
 * Usage: adversary ROUNDS [WORD]...    only measurements whose first name has a WORD
 */

#define _GNU_SOURCE
#include "attack.h"
#include "measure.h"

#define MAX_ROUNDS	99

#define GAP_NS		30000000
#define MAX_GAP_US	1000
#define SLICES_NS	20000000000

struct trial {
	const char *unit;
	const char *names[NR_VALUES];
	const struct attack *without, *with;
	void (*measure)(void);
	/* The attackers are on the target alone. */
	bool there;
	/* The CPUs of the attackers have other work to do. */
	bool filled;
	/* Measured in the attackers' own process. */
	bool inside;
};

static const struct trial trials[] = {
	{
		"us", { "wake-up of a FIFO thread beside them, 99 %",
			"wake-up of a FIFO thread beside them, longest" },
		&files_there, &vectors_there, measure_wakeups_there, .there = true,
	},
	{
		"us", { "the same wake-up, 99 %", "the same wake-up, longest" },
		&timers_there, &vectors_there, measure_wakeups_there, .there = true,
	},
	{
		"us", { "wake-up on a CPU that they come to, 99 %",
			"wake-up on a CPU that they come to, longest" },
		&moves_around, &vectors_around, measure_wakeups_there, .filled = true,
	},
	{
		"us", { "wake-up on a CPU that they stay off, 99 %",
			"wake-up on a CPU that they stay off, longest" },
		&moves_around, &vectors_around, measure_wakeups_elsewhere, .filled = true,
	},
	{
		"us", { "1000 page faults of another process",
			"fork of another process",
			"munmap of another process" },
		&splices_around, &vectors_around, measure_memory, .filled = true,
	},
	{
		"us", { "1000 page faults of their own process",
			"fork of their own process",
			"munmap of their own process" },
		&splices_around, &vectors_around, measure_memory, .filled = true,
		.inside = true,
	},
	{
		"us", { "hotplug" },
		&moves_around, &vectors_around, measure_hotplug, .filled = true,
	},
	{
		"us", { "hotplug while they queue" },
		&moves_queued, &vectors_queued, measure_hotplug, .filled = true,
	},
	{
		"us", { "change of their cpuset" },
		&moves_around, &vectors_around, measure_cpuset, .filled = true,
	},
	{
		"us", { "change of their cpuset while they queue" },
		&moves_queued, &vectors_queued, measure_cpuset, .filled = true,
	},
	{
		"us", { "change of their affinity" },
		&moves_around, &vectors_around, measure_affinity, .filled = true,
	},
	{
		"us", { "change of their affinity while they queue" },
		&moves_queued, &vectors_queued, measure_affinity, .filled = true,
	},
	{
		"pages", { "memory that can be neither reclaimed nor moved" },
		&many_pipes, &many_vectors, measure_pins, .there = true,
	},
	{
		"s", { "time of their CPU for a second accounted" },
		&busy_there, &vectors_there, measure_accounting, .there = true,
		.filled = true,
	},
	{
		"s", { "time of their CPUs for a second accounted" },
		&moves_around, &vectors_around, measure_accounting, .filled = true,
	},
	{
		"s", { "a second of work beside them" },
		&busy_there, &vectors_there, measure_share, .there = true,
	},
	{
		"s", { "a second of work where they come and go" },
		&moves_around, &vectors_around, measure_share, .filled = true,
	},
};

static void attack(const struct trial *trial, const struct attack *attack)
{
	cpu_set_t cpus = trial->there ? CPUS(TARGET) : CPUS(HOME, SPARE, TARGET);

	if (trial->filled)
		start_fillers(cpus);
	start_attack(attack, cpus, trial->inside ? trial->measure : NULL);
	if (!trial->inside)
		trial->measure();
	end_attack();
	if (trial->filled)
		end_fillers();
}

/* How long a CPU waits for the others at worst, in a while. */
static double longest_gap(void)
{
	uint64_t start = now_ns(), last = start;
	double longest = 0;

	while (last - start < GAP_NS) {
		double gap = us_since(last);

		last = now_ns();
		if (gap > longest)
			longest = gap;
	}
	return longest;
}

/* See scripts/adversary: who reads that all is ready lets QEMU run slices of each CPU. */
static void wait_for_slices(void)
{
	uint64_t start = now_ns();

	printf("ready\n");
	start_fillers(CPUS(HOME, SPARE));
	set_affinity(0, CPUS(TARGET));
	while (longest_gap() > MAX_GAP_US)
		if (now_ns() - start > SLICES_NS)
			die("the CPUs do not run at the same time");
	set_affinity(0, CPUS(OBSERVER));
	end_fillers();
}

static double median(double *values, int nr)
{
	qsort(values, nr, sizeof(*values), by_size);
	return (values[(nr - 1) / 2] + values[nr / 2]) / 2;
}

static void run_trial(const struct trial *trial, int rounds)
{
	static double without[NR_VALUES][MAX_ROUNDS], with[NR_VALUES][MAX_ROUNDS];

	for (int round = 0; round < rounds; round++) {
		attack(trial, trial->without);
		for (int i = 0; i < NR_VALUES; i++)
			without[i][round] = report->values[i];
		attack(trial, trial->with);
		for (int i = 0; i < NR_VALUES; i++)
			with[i][round] = report->values[i];
	}
	for (int i = 0; i < NR_VALUES && trial->names[i]; i++)
		printf("%s\t%s\t%s\t%f\t%f\n", trial->names[i], trial->unit,
		       trial->without->what, median(without[i], rounds),
		       median(with[i], rounds));
	fflush(stdout);
}

static bool is_wanted(const struct trial *trial, char **words)
{
	if (!*words)
		return true;
	while (*words)
		if (strstr(trial->names[0], *words++))
			return true;
	return false;
}

int main(int argc, char **argv)
{
	int rounds = argc > 1 ? atoi(argv[1]) : 0, nr = 0;
	cpu_set_t cpus;

	if (rounds < 1 || rounds > MAX_ROUNDS)
		die("usage: adversary ROUNDS [WORD]...");
	if (!cpu_op_available())
		die("the kernel has no cpu_opv()");
	if (read_cpus("online", &cpus) || CPU_COUNT(&cpus) < NR_ROLES)
		die("needs %d CPUs", NR_ROLES);
	for (int i = 0; i < NR_ROLES; i++)
		role_cpu[i] = nth_cpu(&cpus, i);
	report = mmap(NULL, sizeof(*report), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (report == MAP_FAILED)
		die("mmap: %s", strerror(errno));
	set_affinity(0, CPUS(OBSERVER));
	wait_for_slices();
	prepare_measurements();
	for (size_t i = 0; i < ARRAY_SIZE(trials); i++) {
		if (!is_wanted(&trials[i], argv + 2))
			continue;
		run_trial(&trials[i], rounds);
		nr++;
	}
	end_measurements();
	if (!nr)
		die("no measurement has any of these words in its name");
	return 0;
}
