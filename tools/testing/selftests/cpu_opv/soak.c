// SPDX-License-Identifier: GPL-2.0
/*
 * Everything at once, for as long as one likes: vectors, restartable sequences
 * and other threads of all kinds, while CPUs come and go.
 *
 * Usage: soak [MINUTES [live]]    live: one line that is written over
 */

#include <linux/membarrier.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

#include "cpu_opv_rseq.h"

#define NR_NODES	100
#define MAX_WORKERS	8

static struct percpu any, limit, policy, masked, shared, lists, stepped;
/* Of those that do not count, and of the one that has CPUs go down. */
static struct percpu none, plugged;
static struct node nodes[NR_NODES];
static struct percpu *stepped_memory;
static unsigned long masked_ran;

/* A step: the longest vector. */
static int limit_step(struct worker *worker)
{
	const size_t len = CPU_OP_MEMCPY_EXPECT_LEN;
	char dst[LIMIT_DST_LEN], src[LIMIT_SRC_LEN];
	int cpu = random_cpu(&worker->percpu->cpus, &worker->random);
	struct cpu_op vec[CPU_OP_VEC_LEN_MAX];
	int ret;

	limit_vector(vec, dst, src, &worker->percpu->of[cpu].count);
	fill_random(src, sizeof(src), worker->done);
	ret = run_on(vec, CPU_OP_VEC_LEN_MAX, cpu);
	if (!ret && memcmp(dst + LIMIT_DST, src + LIMIT_SRC, len))
		ret = -EILSEQ;
	return ret;
}

/* A step: a vector, and then a rest: these threads do not have to give way. */
static int increment_and_rest_step(struct worker *worker)
{
	int ret = increment_step(worker);

	usleep(300);
	return ret;
}

/* A step: a vector of a thread that changes its own affinity. */
static int masked_step(struct worker *worker)
{
	cpu_set_t set = random_cpus(&worker->percpu->cpus, &worker->random);
	int ret;

	/* There may be no CPU of the set online. */
	if (sched_setaffinity(0, sizeof(set), &set) && errno != EINVAL)
		return -errno;
	ret = increment_step(worker);
	if (!ret)
		__atomic_fetch_add(&masked_ran, 1, __ATOMIC_RELAXED);
	return ret == -EINVAL ? 0 : ret;
}

static int remask_step(struct worker *worker);

/* A step: wait for the vectors and the sequences on a CPU. */
static int empty_vector_step(struct worker *worker)
{
	return run_on(NULL, 0, random_cpu(&worker->percpu->cpus,
					  &worker->random));
}

static int membarrier(int cmd)
{
	return syscall(__NR_membarrier, cmd, 0, 0) ? -errno : 0;
}

/* A step: abort all sequences. */
static int membarrier_step(struct worker *worker)
{
	return membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ);
}

static int step_and_exit(void *worker)
{
	_exit(increment_step(worker) ? 1 : 0);
}

/* A step: a child runs a vector in the memory of its parent, which waits. */
static int vfork_step(struct worker *worker)
{
	uint64_t stack[1024];
	int status;
	pid_t child = clone(step_and_exit, stack + ARRAY_SIZE(stack),
			    CLONE_VM | CLONE_VFORK | SIGCHLD, worker);

	if (child < 0)
		return -errno;
	if (waitpid(child, &status, 0) != child)
		return -errno;
	return status ? -ECHILD : 0;
}

/* A step: processes come and go, which share memory for copy-on-write. */
static int fork_step(struct worker *worker)
{
	int status;
	pid_t child = fork();

	if (child < 0)
		return -errno;
	if (!child)
		_exit(increment_step(worker) ? 1 : 0);
	if (waitpid(child, &status, 0) != child)
		return -errno;
	return status ? -ECHILD : 0;
}

/* What the stepped process does. */
static void add_for_ever(struct percpu *percpu)
{
	for (;;) {
		int cpu = rseq_cpu_start();
		intptr_t *count = &percpu->of[cpu].shared;

		if (rseq_addv(RSEQ_MO_RELAXED, RSEQ_PERCPU_CPU_ID, count, 1,
			      cpu) && opv_addv(count, 1, cpu))
			_exit(1);
		__atomic_fetch_add(&percpu->of[cpu].count, 1, __ATOMIC_RELAXED);
	}
}

/* A step: a process is stepped until it has added something. */
static int single_step(struct worker *worker)
{
	struct percpu *percpu = stepped_memory;
	unsigned long sum = sum_counts(percpu);
	int status, ret = 0;
	pid_t child = fork();

	if (child < 0)
		return -errno;
	if (!child) {
		ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		raise(SIGSTOP);
		add_for_ever(percpu);
	}
	do {
		if (waitpid(child, &status, 0) != child)
			return -errno;
		if (!WIFSTOPPED(status))
			return -ECHILD;
		if (ptrace(PTRACE_SINGLESTEP, child, NULL, NULL))
			ret = -errno;
	} while (!ret && sum_counts(percpu) == sum);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	return ret;
}

static const struct sched_attr fifo = {
	.size = sizeof(fifo),
	.sched_policy = SCHED_FIFO,
	.sched_priority = 1,
};

static const struct sched_attr rr = {
	.size = sizeof(rr),
	.sched_policy = SCHED_RR,
	.sched_priority = 2,
};

static const struct sched_attr deadline = {
	.size = sizeof(deadline),
	.sched_policy = SCHED_DEADLINE,
	.sched_runtime = 2000000,
	.sched_deadline = 50000000,
	.sched_period = 50000000,
};

static const struct sched_attr idle = {
	.size = sizeof(idle),
	.sched_policy = SCHED_IDLE,
};

static const struct sched_attr batch = {
	.size = sizeof(batch),
	.sched_policy = SCHED_BATCH,
};

static const struct sched_attr nice_19 = {
	.size = sizeof(nice_19),
	.sched_nice = 19,
};

static struct job {
	const char *name;
	int nr;
	struct worker model;
	struct worker workers[MAX_WORKERS];
} jobs[] = {
	{ "vectors", 6, { increment_step, &any } },
	{ "empty vectors", 1, { empty_vector_step, &any } },
	{ "vfork", 1, { vfork_step, &any } },
	{ "limit", 2, { limit_step, &limit } },
	{ "fifo", 1, { increment_and_rest_step, &policy, .attr = &fifo } },
	{ "rr", 1, { increment_and_rest_step, &policy, .attr = &rr } },
	{ "deadline", 1, { increment_and_rest_step, &policy,
			   .attr = &deadline } },
	{ "idle", 1, { increment_step, &policy, .attr = &idle } },
	{ "batch", 1, { increment_step, &policy, .attr = &batch } },
	{ "nice 19", 1, { increment_step, &policy, .attr = &nice_19 } },
	{ "affinity", 2, { masked_step, &masked } },
	{ "their affinity", 1, { remask_step, &none } },
	{ "count: sequences", 4, { rseq_count_step, &shared,
				   .start = rseq_register_current_thread } },
	{ "count: vectors", 2, { opv_count_step, &shared } },
	{ "list: sequences", 4, { rseq_list_step, &lists,
				  .start = rseq_register_current_thread } },
	{ "list: vectors", 2, { opv_list_step, &lists } },
	{ "membarrier", 1, { membarrier_step, &none } },
	{ "forks", 1, { fork_step, &none } },
	{ "single-stepped", 1, { single_step, &stepped } },
	{ "busy", 4, { busy_step, &none } },
	{ "hotplug", 1, { hotplug_step, &plugged } },
};

static struct job *const end_of_jobs = jobs + ARRAY_SIZE(jobs);

/* A step: another thread, which changes its affinity, has it changed. */
static int remask_step(struct worker *worker)
{
	cpu_set_t set = random_cpus(&masked.cpus, &worker->random);
	struct job *job = jobs;
	pid_t tid;

	while (job->model.percpu != &masked)
		job++;
	tid = __atomic_load_n(&job->workers[next_random(&worker->random) %
					    job->nr].tid, __ATOMIC_ACQUIRE);
	/* It may not have started.  There may be no CPU of the set online. */
	if (tid && sched_setaffinity(tid, sizeof(set), &set) && errno != EINVAL)
		return -errno;
	return 0;
}

static struct percpu *const all_data[] = {
	&any, &limit, &policy, &masked, &shared, &lists, &stepped, &none,
	&plugged,
};

/* What the threads of a job have done, and how many have failed. */
static unsigned long job_done(const struct job *job, int *failed)
{
	unsigned long done = 0;

	for (int i = 0; i < job->nr; i++) {
		done += __atomic_load_n(&job->workers[i].done,
					__ATOMIC_RELAXED);
		*failed += !!__atomic_load_n(&job->workers[i].error,
					     __ATOMIC_RELAXED);
	}
	return done;
}

static unsigned long data_done(const struct percpu *percpu)
{
	unsigned long done = 0;
	int failed;

	for (struct job *job = jobs; job < end_of_jobs; job++)
		if (job->model.percpu == percpu &&
		    job->model.step != empty_vector_step)
			done += job_done(job, &failed);
	return done;
}

static int start_jobs(const cpu_set_t *possible)
{
	for (size_t i = 0; i < ARRAY_SIZE(all_data); i++)
		all_data[i]->cpus = *possible;
	plugged.cpus = unpluggable_cpus();
	if (!CPU_COUNT(&plugged.cpus))
		printf("without hotplug: needs root, CONFIG_HOTPLUG_CPU and two CPUs\n");
	fill_lists(&lists, nodes, NR_NODES);
	for (struct job *job = jobs; job < end_of_jobs; job++) {
		if (job->model.step == hotplug_step && !CPU_COUNT(&plugged.cpus))
			job->nr = 0;
		if (job->model.step == membarrier_step &&
		    membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_RSEQ))
			job->nr = 0;
		if (start_workers(job->workers, job->nr, job->model)) {
			perror(job->name);
			return -1;
		}
	}
	return 0;
}

static void stop_jobs(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(all_data); i++)
		stop_workers(all_data[i]);
	for (struct job *job = jobs; job < end_of_jobs; job++)
		for (int i = 0; i < job->nr; i++)
			pthread_join(job->workers[i].thread, NULL);
}

/* A line that tells what has happened so far.  Returns how much has failed. */
static int live_line(uint64_t seconds, bool live)
{
	unsigned long done = 0;
	int failed = 0;

	for (struct job *job = jobs; job < end_of_jobs; job++)
		if (job->model.step != busy_step)
			done += job_done(job, &failed);
	printf("%s%3u:%02u  %lu steps, %lu sequences aborted, %d failed%s",
	       live ? "\r" : "", (unsigned int)seconds / 60,
	       (unsigned int)seconds % 60, done,
	       __atomic_load_n(&nr_aborts, __ATOMIC_RELAXED), failed,
	       live ? "" : "\n");
	fflush(stdout);
	return failed;
}

static int print_jobs(void)
{
	int failures = 0;

	printf("\n%-18s %7s %12s\n", "", "threads", "steps");
	for (struct job *job = jobs; job < end_of_jobs; job++) {
		int failed = 0;

		printf("%-18s %7d %12lu", job->name, job->nr,
		       job_done(job, &failed));
		for (int i = 0; i < job->nr; i++)
			if (job->workers[i].error)
				printf("  error %d", job->workers[i].error);
		printf("\n");
		failures += failed;
	}
	return failures;
}

static int print_total(const char *name, unsigned long expected,
		       unsigned long found)
{
	printf("%-18s %12lu %12lu  %s\n", name, expected, found,
	       expected == found ? "as expected" : "WRONG");
	return expected != found;
}

static int print_totals(void)
{
	int wrong = 0;

	printf("\n%-18s %12s %12s\n", "", "expected", "found");
	wrong += print_total("vectors", data_done(&any), sum_counts(&any));
	wrong += print_total("limit", (CPU_OP_VEC_LEN_MAX - 1) *
			     data_done(&limit), sum_counts(&limit));
	wrong += print_total("policies", data_done(&policy),
			     sum_counts(&policy));
	wrong += print_total("affinity", masked_ran, sum_counts(&masked));
	wrong += print_total("counters", data_done(&shared),
			     sum_shared(&shared));
	wrong += print_total("nodes on lists", NR_NODES,
			     empty_lists(&lists, NR_NODES + 1));
	return wrong;
}

int main(int argc, char **argv)
{
	double minutes = argc > 1 ? atof(argv[1]) : 1;
	bool live = argc > 2 && !strcmp(argv[2], "live");
	uint64_t start = now_ns(), seconds = 0;
	cpu_set_t possible;
	int wrong;

	if (!cpu_op_available() || !have_rseq()) {
		fprintf(stderr, "needs CONFIG_CPU_OPV and CONFIG_RSEQ\n");
		return KSFT_SKIP;
	}
	stepped_memory = mmap(NULL, sizeof(*stepped_memory),
			      PROT_READ | PROT_WRITE,
			      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (stepped_memory == MAP_FAILED || use_all_cpus(&any) ||
	    read_cpus("possible", &possible)) {
		perror("soak");
		return KSFT_FAIL;
	}
	if (start_jobs(&possible))
		return KSFT_FAIL;
	while (seconds < minutes * 60 && !live_line(seconds, live)) {
		sleep(live ? 1 : 10);
		seconds = (now_ns() - start) / 1000000000;
	}
	stop_jobs();
	live_line(seconds, live);
	set_all_online(&plugged.cpus);

	wrong = print_jobs();
	wrong += print_totals();
	printf("\n%s\n", wrong ? "FAILED" : "passed");
	return wrong ? KSFT_FAIL : KSFT_PASS;
}
