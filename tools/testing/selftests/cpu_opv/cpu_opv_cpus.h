/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the tests share that run vectors on many CPUs from many threads.
 */
#ifndef CPU_OPV_CPUS_H
#define CPU_OPV_CPUS_H

#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>

#include <linux/sched/types.h>

#include "cpu_opv_test.h"

static inline struct cpu_op count_op(uint64_t *count)
{
	return cpu_op_arithmetic(CPU_ADD_OP, count, 1, sizeof(*count));
}

/* Read a list of CPUs such as 0-3,8 into a set.  It may be empty. */
static inline int read_cpus(const char *name, cpu_set_t *set)
{
	char path[100];
	int first, last, ret;
	FILE *file;

	CPU_ZERO(set);
	snprintf(path, sizeof(path), "/sys/devices/system/cpu/%s", name);
	file = fopen(path, "r");
	if (!file)
		return -1;
	while ((ret = fscanf(file, "%d-%d", &first, &last)) >= 1) {
		if (ret == 1)
			last = first;
		for (; first <= last; first++)
			CPU_SET(first, set);
		if (fgetc(file) != ',')
			break;
	}
	fclose(file);
	return 0;
}

static inline int run_pinned(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	return sched_setaffinity(0, sizeof(set), &set);
}

static inline int nth_cpu(const cpu_set_t *cpus, int nth)
{
	int cpu;

	for (cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, cpus) && nth-- == 0)
			break;
	return cpu;
}

static inline int random_cpu(const cpu_set_t *cpus, uint64_t *state)
{
	return nth_cpu(cpus, next_random(state) % CPU_COUNT(cpus));
}

/* A set of some of the CPUs, of one at least. */
static inline cpu_set_t random_cpus(const cpu_set_t *cpus, uint64_t *state)
{
	uint64_t bits = next_random(state);
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(random_cpu(cpus, state), &set);
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, cpus) && bits >> (cpu % 64) & 1)
			CPU_SET(cpu, &set);
	return set;
}

static inline uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000ULL + now.tv_nsec;
}

/* Write to a file of sysfs or of a cgroup.  Returns 0 or the negative error. */
static inline int write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	int ret = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) < 0)
		ret = -errno;
	close(fd);
	return ret;
}

static inline int set_online(int cpu, bool online)
{
	char path[100];

	snprintf(path, sizeof(path), "/sys/devices/system/cpu/cpu%d/online",
		 cpu);
	return write_file(path, online ? "1" : "0");
}

/* The CPUs that can go down, or none. */
static inline cpu_set_t unpluggable_cpus(void)
{
	cpu_set_t set;

	read_cpus("online", &set);
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, &set) && set_online(cpu, true))
			CPU_CLR(cpu, &set);
	/* One at least has to stay. */
	CPU_CLR(0, &set);
	return set;
}

static inline void set_all_online(const cpu_set_t *cpus)
{
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, cpus))
			set_online(cpu, true);
}

/* Room for a list of all CPUs. */
#define CPU_LIST_SIZE	(CPU_SETSIZE * 5)

/* Write a set the way that a cpuset wants it. */
static inline void print_cpus(const cpu_set_t *set, char text[CPU_LIST_SIZE])
{
	text[0] = '\0';
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, set))
			text += sprintf(text, "%d,", cpu);
}

/* The names of two cpusets, and of that which they are in. */
#define CPUSET		"cpu_opv_test"
#define OTHER_CPUSET	"cpu_opv_test_other"
#define ROOT_CPUSET	"."

struct cpusets {
	/* Where version 2 of cgroups is mounted. */
	char root[32];
	bool enabled;
};

static inline void cpuset_path(const struct cpusets *cpusets, const char *name,
			       const char *file, char path[100])
{
	snprintf(path, 100, "%s/%s/%s", cpusets->root, name, file);
}

static inline int write_cpuset(const struct cpusets *cpusets, const char *name,
			       const char *file, const char *text)
{
	char path[100];

	cpuset_path(cpusets, name, file, path);
	return write_file(path, text);
}

static const char * const cpuset_names[] = { CPUSET, OTHER_CPUSET };

/* To be called when the threads that were in there have ended. */
static inline void close_cpusets(const struct cpusets *cpusets)
{
	char path[100];

	for (size_t i = 0; i < ARRAY_SIZE(cpuset_names); i++) {
		cpuset_path(cpusets, cpuset_names[i], "", path);
		rmdir(path);
	}
	if (cpusets->enabled)
		write_cpuset(cpusets, ROOT_CPUSET, "cgroup.subtree_control",
			     "-cpuset");
	umount(cpusets->root);
	rmdir(cpusets->root);
}

static inline int make_cpusets(struct cpusets *cpusets)
{
	char path[100];
	int ret;

	if (mount("cgroup2", cpusets->root, "cgroup2", 0, NULL))
		return -errno;
	/* Another mount may have it, of version 1. */
	ret = write_cpuset(cpusets, ROOT_CPUSET, "cgroup.subtree_control",
			   "+cpuset");
	if (ret)
		return ret;
	cpusets->enabled = true;
	for (size_t i = 0; i < ARRAY_SIZE(cpuset_names); i++) {
		cpuset_path(cpusets, cpuset_names[i], "", path);
		if (mkdir(path, 0755) && errno != EEXIST)
			return -errno;
	}
	return 0;
}

static inline int open_cpusets(struct cpusets *cpusets)
{
	int ret;

	snprintf(cpusets->root, sizeof(cpusets->root), "/tmp/cpu_opv.XXXXXX");
	if (!mkdtemp(cpusets->root))
		return -errno;
	ret = make_cpusets(cpusets);
	if (ret)
		close_cpusets(cpusets);
	return ret;
}

struct node {
	struct node *next;
	bool taken;
};

/* Data of the CPUs, each in cache lines of its own. */
struct percpu {
	struct {
		/* Two counters that are incremented together, by vectors. */
		uint64_t count;
		uint64_t twin;
		/* A counter and a list that restartable sequences share. */
		intptr_t shared;
		intptr_t head;
		char pad[96];
	} of[CPU_SETSIZE];
	/* The CPUs to work on, and whether to end that. */
	cpu_set_t cpus;
	bool stop;
};

/*
 * Increment by several operations that are one only if nothing else works on
 * the counters meanwhile.  Returns 1 if these differ, which they never do
 * between vectors.
 */
static inline int increment(struct percpu *percpu, int cpu)
{
	uint64_t *count = &percpu->of[cpu].count;
	uint64_t *twin = &percpu->of[cpu].twin;
	uint64_t tmp;
	struct cpu_op vec[] = {
		cpu_op_compare(CPU_COMPARE_EQ_OP, count, twin, sizeof(tmp)),
		cpu_op_memcpy(CPU_MEMCPY_OP, &tmp, count, sizeof(tmp)),
		count_op(&tmp),
		cpu_op_memcpy(CPU_MEMCPY_OP, count, &tmp, sizeof(tmp)),
		count_op(twin),
	};

	return run_on(vec, ARRAY_SIZE(vec), cpu);
}

/* Work on all CPUs that this thread may run on, the isolated ones included. */
static inline int use_all_cpus(struct percpu *percpu)
{
	cpu_set_t online;

	if (read_cpus("online", &online) ||
	    sched_setaffinity(0, sizeof(online), &online))
		return -1;
	return sched_getaffinity(0, sizeof(percpu->cpus), &percpu->cpus);
}

/*
 * Work on those only that are not isolated: deadline threads have no bandwidth
 * on the others.
 */
static inline int leave_isolated_cpus(struct percpu *percpu)
{
	cpu_set_t isolated;

	if (read_cpus("isolated", &isolated))
		return -1;
	CPU_AND(&isolated, &isolated, &percpu->cpus);
	CPU_XOR(&percpu->cpus, &percpu->cpus, &isolated);
	return 0;
}

static inline uint64_t sum_counts(const struct percpu *percpu)
{
	uint64_t sum = 0;

	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
		sum += percpu->of[cpu].count;
	return sum;
}

static inline cpu_set_t set_of(const int *role_cpu, const int *roles, int nr)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	while (nr--)
		CPU_SET(role_cpu[roles[nr]], &set);
	return set;
}

/* The set of the CPUs with these roles.  The test has their numbers in role_cpu. */
#define CPUS(...) \
	set_of(role_cpu, (const int []){ __VA_ARGS__ }, \
	       sizeof((const int []){ __VA_ARGS__ }) / sizeof(int))

/* A thread that does the same step again and again. */
struct worker {
	/* Returns 0 or what was wrong. */
	int (*step)(struct worker *worker);
	struct percpu *percpu;
	/* What its thread does before the first step: returns 0, or sets errno. */
	int (*start)(void);
	/* How many steps to do.  Without a limit it ends when it is told to. */
	unsigned long limit;
	/* The scheduling policy, if not that of the creator. */
	const struct sched_attr *attr;
	uint64_t random;
	unsigned long done;
	unsigned long failed;
	/* What was wrong last. */
	int error;
	pid_t tid;
	pthread_t thread;
};

static inline int set_policy(const struct sched_attr *attr)
{
	return syscall(__NR_sched_setattr, 0, attr, 0) ? -errno : 0;
}

static inline bool stopped(struct percpu *percpu)
{
	return __atomic_load_n(&percpu->stop, __ATOMIC_ACQUIRE);
}

static inline void *worker_run(void *arg)
{
	struct worker *worker = arg;
	unsigned long steps = 0;

	__atomic_store_n(&worker->tid, syscall(__NR_gettid), __ATOMIC_RELEASE);
	if (worker->attr) {
		worker->error = set_policy(worker->attr);
		worker->failed = !!worker->error;
	}
	if (!worker->error && worker->start && worker->start()) {
		worker->error = -errno;
		worker->failed = 1;
	}
	while (!worker->error && !stopped(worker->percpu) &&
	       (!worker->limit || steps++ < worker->limit)) {
		worker->error = worker->step(worker);
		if (!worker->error)
			__atomic_fetch_add(&worker->done, 1, __ATOMIC_RELAXED);
		else
			worker->failed++;
	}
	return NULL;
}

/* Start threads, all of the same kind. */
static inline int start_workers(struct worker *workers, int nr,
				struct worker model)
{
	for (int i = 0; i < nr; i++) {
		workers[i] = model;
		workers[i].random = i;
		errno = pthread_create(&workers[i].thread, NULL, worker_run,
				       &workers[i]);
		if (errno)
			return -1;
	}
	return 0;
}

/* Wait for threads.  Returns how many steps they have done. */
static inline unsigned long join_workers(struct __test_metadata *_metadata,
					 struct worker *workers, int nr)
{
	unsigned long done = 0;

	for (int i = 0; i < nr; i++) {
		pthread_join(workers[i].thread, NULL);
		EXPECT_EQ(0, workers[i].error) {
			TH_LOG("thread %d after %lu steps", i, workers[i].done);
		}
		done += workers[i].done;
	}
	return done;
}

static inline void stop_workers(struct percpu *percpu)
{
	__atomic_store_n(&percpu->stop, true, __ATOMIC_RELEASE);
}

/* A step: a vector for any of the CPUs. */
static inline int increment_step(struct worker *worker)
{
	return increment(worker->percpu, random_cpu(&worker->percpu->cpus,
						    &worker->random));
}

/* A step: occupy the CPU for a while. */
static inline int busy_step(struct worker *worker)
{
	for (int i = 0; i < 1000; i++)
		next_random(&worker->random);
	return 0;
}

/* A step: have one of the CPUs go down and come up. */
static inline int hotplug_step(struct worker *worker)
{
	int cpu = random_cpu(&worker->percpu->cpus, &worker->random);
	int ret = set_online(cpu, false);

	return set_online(cpu, true) ?: ret;
}

#endif /* CPU_OPV_CPUS_H */
