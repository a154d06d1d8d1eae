/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * What others suffer.  Each measurement fills report->values; more is worse.  Its
 * lengths are for a clock that counts instructions.
 */
#ifndef MEASURE_H
#define MEASURE_H

#include <sys/prctl.h>
#include <sys/wait.h>

#include "adversary.h"

#define NR_WAKEUPS	300
#define WAKEUP_NS	500000
#define SHARE_NS	100000000
#define ACCOUNTING_US	100000
#define PINS_NS		300000000
#define NR_PAGES	1000
#define NR_SPACES	3
#define NR_CPUSETS	10
#define NR_AFFINITIES	10

static double us_since(uint64_t start)
{
	return (now_ns() - start) / 1e3;
}

static int by_size(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* How late a real-time thread wakes up: in 99 of 100 cases at most, and at worst. */
static void measure_wakeups(enum role role)
{
	struct sched_attr fifo = {
		.sched_policy = SCHED_FIFO,
		.sched_priority = 50,
	};
	struct sched_attr other = { .sched_policy = SCHED_OTHER };
	double late[NR_WAKEUPS];
	uint64_t at;

	set_affinity(0, CPUS(role));
	if (set_policy(&fifo))
		die("SCHED_FIFO is refused: are you root?");
	for (int i = 0; i < NR_WAKEUPS; i++) {
		struct timespec when;

		at = now_ns() + WAKEUP_NS;
		when = (struct timespec){ at / 1000000000, at % 1000000000 };
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &when, NULL);
		late[i] = us_since(at);
	}
	set_policy(&other);
	set_affinity(0, CPUS(OBSERVER));
	qsort(late, NR_WAKEUPS, sizeof(*late), by_size);
	report->values[0] = late[NR_WAKEUPS * 99 / 100];
	report->values[1] = late[NR_WAKEUPS - 1];
}

static void measure_wakeups_there(void)
{
	measure_wakeups(TARGET);
}

static void measure_wakeups_elsewhere(void)
{
	measure_wakeups(OBSERVER);
}

static double seconds_of(clockid_t clock)
{
	struct timespec time;

	if (clock_gettime(clock, &time))
		die("clock_gettime: %s", strerror(errno));
	return time.tv_sec + time.tv_nsec / 1e9;
}

static double seconds_of_process(pid_t pid)
{
	clockid_t clock;

	if (clock_getcpuclockid(pid, &clock))
		die("clock_getcpuclockid: no process %d", pid);
	return seconds_of(clock);
}

/* How long a thread takes for a second of work beside the attackers. */
static void measure_share(void)
{
	uint64_t start;
	double had;

	set_affinity(0, CPUS(TARGET));
	start = now_ns();
	had = seconds_of(CLOCK_THREAD_CPUTIME_ID);
	while (now_ns() - start < SHARE_NS)
		;
	had = seconds_of(CLOCK_THREAD_CPUTIME_ID) - had;
	report->values[0] = us_since(start) / 1e6 / had;
	set_affinity(0, CPUS(OBSERVER));
}

/* Threads that take what is left of the attackers' CPUs, so that these never idle. */
static pid_t fillers;

static void *fill_run(void *arg)
{
	struct sched_attr idle = { .sched_policy = SCHED_IDLE };

	if (run_pinned((long)arg) || set_policy(&idle))
		exit(1);
	for (;;)
		__asm__ volatile ("" : : : "memory");
	return NULL;
}

static void start_fillers(cpu_set_t cpus)
{
	pthread_t thread;

	fillers = fork();
	if (fillers < 0)
		die("fork: %s", strerror(errno));
	if (fillers)
		return;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (long cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, &cpus) &&
		    pthread_create(&thread, NULL, fill_run, (void *)cpu))
			exit(1);
	for (;;)
		pause();
}

static void end_fillers(void)
{
	if (waitpid(fillers, NULL, WNOHANG))
		die("the threads that fill the CPUs have ended");
	kill(fillers, SIGKILL);
	if (waitpid(fillers, NULL, 0) != fillers)
		die("waitpid: %s", strerror(errno));
}

/* How long the attackers' CPUs are not there for others, a second that is accounted. */
static void measure_accounting(void)
{
	uint64_t start = now_ns();
	double taken, paid, left;

	paid = seconds_of_process(report->pid);
	left = seconds_of_process(fillers);
	usleep(ACCOUNTING_US);
	taken = us_since(start) / 1e6 * CPU_COUNT(&report->cpus);
	paid = seconds_of_process(report->pid) - paid;
	left = seconds_of_process(fillers) - left;
	report->values[0] = (taken - left) / paid;
}

/* Page faults, fork() of a process that has these pages, and unmapping them. */
static void measure_memory(void)
{
	size_t len = NR_PAGES * PAGE_LEN;

	for (int i = 0; i < NR_SPACES; i++) {
		char *p = mmap(NULL, len, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		uint64_t start;
		pid_t pid;

		if (p == MAP_FAILED)
			die("mmap: %s", strerror(errno));
		madvise(p, len, MADV_NOHUGEPAGE);
		start = now_ns();
		for (size_t at = 0; at < len; at += PAGE_LEN)
			p[at] = 1;
		report->values[0] += us_since(start) / NR_SPACES;

		start = now_ns();
		pid = fork();
		if (!pid)
			_exit(0);
		report->values[1] += us_since(start) / NR_SPACES;
		if (pid < 0 || waitpid(pid, NULL, 0) != pid)
			die("fork: %s", strerror(errno));

		start = now_ns();
		munmap(p, len);
		report->values[2] += us_since(start) / NR_SPACES;
	}
}

static void measure_hotplug(void)
{
	uint64_t start = now_ns();

	if (set_online(role_cpu[SPARE], false) ||
	    set_online(role_cpu[SPARE], true))
		die("CPU %d does not go down and come up", role_cpu[SPARE]);
	report->values[0] = us_since(start);
}

static struct cpusets cpusets;

static void write_cpuset_or_die(const char *file, const char *text)
{
	int ret = write_cpuset(&cpusets, CPUSET, file, text);

	if (ret)
		die("%s of a cpuset: %s", file, strerror(-ret));
}

static void set_cpuset(cpu_set_t cpus)
{
	char text[CPU_LIST_SIZE];

	print_cpus(&cpus, text);
	write_cpuset_or_die("cpuset.cpus", text);
}

/* The CPUs that the attackers are left, from one change to the next. */
static cpu_set_t some_of_them(int i)
{
	return i % 2 ? report->cpus : CPUS(HOME, SPARE);
}

static void measure_cpuset(void)
{
	char text[20];
	uint64_t start;

	set_cpuset(report->cpus);
	snprintf(text, sizeof(text), "%d", report->pid);
	write_cpuset_or_die("cgroup.procs", text);
	start = now_ns();
	for (int i = 0; i < NR_CPUSETS; i++)
		set_cpuset(some_of_them(i));
	report->values[0] = us_since(start) / NR_CPUSETS;
}

static void measure_affinity(void)
{
	uint64_t start = now_ns();

	for (int i = 0; i < NR_AFFINITIES; i++)
		for (int t = 0; t < report->nr_attackers; t++)
			set_affinity(report->tids[t], some_of_them(i));
	report->values[0] = us_since(start) / NR_AFFINITIES / report->nr_attackers;
}

static long pinned_pages(void)
{
	long n, sum = 0;
	char name[64];
	FILE *file;

	if (write_file("/proc/sys/vm/stat_refresh", "1"))
		die("/proc/sys/vm/stat_refresh cannot be written");
	file = fopen("/proc/vmstat", "r");
	if (!file)
		die("/proc/vmstat: %s", strerror(errno));
	while (fscanf(file, "%63s %ld", name, &n) == 2) {
		if (!strcmp(name, "nr_foll_pin_acquired"))
			sum += n;
		if (!strcmp(name, "nr_foll_pin_released"))
			sum -= n;
	}
	fclose(file);
	return sum;
}

/* How many pages the kernel can neither reclaim nor migrate, at the worst moment. */
static void measure_pins(void)
{
	uint64_t start = now_ns();

	do {
		double pages = pinned_pages() +
			       __atomic_load_n(&report->pages, __ATOMIC_RELAXED);

		if (pages > report->values[0])
			report->values[0] = pages;
		usleep(5000);
	} while (now_ns() - start < PINS_NS);
}

static void prepare_measurements(void)
{
	int ret = open_cpusets(&cpusets);

	if (ret)
		die("cpusets of cgroup v2: %s", strerror(-ret));
}

static void end_measurements(void)
{
	close_cpusets(&cpusets);
}

#endif /* MEASURE_H */
