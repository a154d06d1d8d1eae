// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Per-CPU counters and per-CPU linked lists, worked on by threads from their
 * own CPU and from the others, through cpu_opv() alone: there is no lock, no
 * atomic instruction and no restartable sequence on the shared data. In the
 * middle one CPU goes offline and comes back, while its data stay in use.
 *
 * In the end each counter and each list is held against what the threads
 * noted privately for the calls that succeeded. The exit status is 0 only
 * when all of it agrees.
 */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "cpu-op.h"

#define READ_ONCE(x)		(*(const volatile __typeof__(x) *)&(x))
#define WRITE_ONCE(x, v)	(*(volatile __typeof__(x) *)&(x) = (v))

#define NODES_PER_THREAD	32
#define CPU_NONE		(-1)
/* However busy a list is, a comparison cannot fail so often in a row by chance. */
#define RETRIES_MAX		100000
#define STUCK_AFTER_SECONDS	120

#define ARRAY_SIZE(x)	(sizeof(x) / sizeof((x)[0]))

typedef unsigned long long u64;

/* A node that no list holds belongs to one thread, which alone touches it. */
struct node {
	struct node *next;
	/* The CPU whose list the node was pushed on, or CPU_NONE. */
	int listed_on;
	/* How often the final count met the node. */
	int met;
};

/* The shared data. Only cpu_opv() writes it while the threads run. */
struct cpu_data {
	u64 counter;
	u64 length;
	struct node *head;
} __attribute__((aligned(128)));

/* What one thread did to the data of one CPU. */
struct tally {
	u64 adds;
	u64 pushes;
	u64 pops;
	u64 retries;
	u64 calls_own;
	u64 calls_other;
	u64 calls_offline;
};

struct worker {
	pthread_t thread;
	u64 random;
	struct tally *tally;
	struct node *stock[NODES_PER_THREAD];
	int nr_stock;
	/* What went wrong, or an empty string. */
	char error[160];
};

static struct cpu_data data[CPU_SETSIZE];
static int cpus[CPU_SETSIZE];
static int nr_cpus;
static struct worker *workers;
static int nr_workers;
static struct node *nodes;
static int nr_nodes;
static struct timespec start;
static sig_atomic_t stop;
static sig_atomic_t interrupted;
static int offline_cpu = CPU_NONE;
static bool live;
static bool failed;

__attribute__((format(printf, 1, 2)))
static void fail(const char *format, ...)
{
	va_list args;

	failed = true;
	fflush(stdout);
	fputs("FAILED: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
}

static void die(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	exit(EXIT_FAILURE);
}

__attribute__((format(printf, 2, 3)))
static void worker_error(struct worker *worker, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(worker->error, sizeof(worker->error), format, args);
	va_end(args);
	WRITE_ONCE(stop, 1);
}

/* The xorshift generator: the threads should work, not wait for rand()'s lock. */
static u64 next_random(struct worker *worker)
{
	worker->random ^= worker->random << 13;
	worker->random ^= worker->random >> 7;
	worker->random ^= worker->random << 17;
	return worker->random;
}

/*
 * Run a vector and count the call. Return 0 when all of it has run and a
 * positive value when a comparison stopped it. Anything else stops the
 * demonstration: no operand can fault, and what passes by itself the kernel
 * waits out, so there is no errno to be expected.
 */
static int execute(struct worker *worker, const char *what, struct cpu_op *vec, int cnt, int cpu)
{
	struct tally *tally = &worker->tally[cpu];
	bool offline = READ_ONCE(offline_cpu) == cpu;
	bool own = cpu_op_get_current_cpu() == cpu;
	int ret = cpu_opv(vec, cnt, cpu, 0);

	if (ret < 0)
		worker_error(worker, "%s, CPU %d: cpu_opv() failed: %s", what, cpu,
			     strerror(errno));
	else if (ret > cnt || (ret && vec[ret - 1].op != CPU_COMPARE_EQ_OP))
		worker_error(worker, "%s, CPU %d: cpu_opv() returned %d, no comparison's place",
			     what, cpu, ret);

	/* Offline means: from before the call until after it. */
	if (offline && READ_ONCE(offline_cpu) == cpu)
		tally->calls_offline++;
	else if (own)
		tally->calls_own++;
	else
		tally->calls_other++;
	return ret;
}

static void add(struct worker *worker, int cpu)
{
	struct cpu_data *shared = &data[cpu];
	struct cpu_op vec[] = {
		cpu_op_arithmetic(CPU_ADD_OP, &shared->counter, 1, sizeof(shared->counter)),
	};

	if (!execute(worker, "add", vec, ARRAY_SIZE(vec), cpu))
		worker->tally[cpu].adds++;
}

/*
 * The vector itself reads the head of the list, so there is nothing that could
 * have changed meanwhile, nothing to compare, and never a reason to try again.
 */
static void push(struct worker *worker, int cpu)
{
	struct cpu_data *shared = &data[cpu];
	struct node *node = worker->stock[worker->nr_stock - 1];
	struct cpu_op vec[] = {
		cpu_op_memcpy(CPU_MEMCPY_OP, &node->next, &shared->head, sizeof(node)),
		cpu_op_memcpy(CPU_MEMCPY_OP, &shared->head, &node, sizeof(node)),
		cpu_op_arithmetic(CPU_ADD_OP, &shared->length, 1, sizeof(shared->length)),
	};

	node->listed_on = cpu;
	if (execute(worker, "push", vec, ARRAY_SIZE(vec), cpu))
		return;
	worker->nr_stock--;
	worker->tally[cpu].pushes++;
}

/*
 * The address of the head's next pointer is an operand, so the head has to be
 * read beforehand and compared in the vector. The next pointer itself is read
 * by the vector, after the comparison. So it does not matter whether the node
 * was popped and pushed back meanwhile (the ABA problem): if the node is the
 * head now, its next pointer is the right one now. Nodes are never freed while
 * the threads run, so that the operand always exists.
 */
static void pop(struct worker *worker, int cpu)
{
	struct cpu_data *shared = &data[cpu];
	struct tally *tally = &worker->tally[cpu];

	for (int retries = 0; retries < RETRIES_MAX && !READ_ONCE(stop); retries++) {
		struct node *node = READ_ONCE(shared->head);

		if (!node)
			return;

		struct cpu_op vec[] = {
			cpu_op_compare(CPU_COMPARE_EQ_OP, &shared->head, &node, sizeof(node)),
			cpu_op_memcpy(CPU_MEMCPY_OP, &shared->head, &node->next, sizeof(node)),
			cpu_op_arithmetic(CPU_ADD_OP, &shared->length, -1, sizeof(shared->length)),
		};
		int ret = execute(worker, "pop", vec, ARRAY_SIZE(vec), cpu);

		if (ret < 0)
			return;
		if (ret > 0) {
			tally->retries++;
			continue;
		}

		tally->pops++;
		if (node->listed_on != cpu)
			worker_error(worker, "pop, CPU %d: the node was not on that list", cpu);
		node->listed_on = CPU_NONE;
		worker->stock[worker->nr_stock++] = node;
		return;
	}
	if (!READ_ONCE(stop))
		worker_error(worker, "pop, CPU %d: the comparison failed %d times in a row", cpu,
			     RETRIES_MAX);
}

static void *work(void *arg)
{
	struct worker *worker = arg;

	while (!READ_ONCE(stop)) {
		u64 random = next_random(worker);
		int cpu = random & 1 ? cpu_op_get_current_cpu() : cpus[(random >> 8) % nr_cpus];

		if (random & 2)
			add(worker, cpu);
		else if (random & 4 && worker->nr_stock)
			push(worker, cpu);
		else if (worker->nr_stock < NODES_PER_THREAD)
			pop(worker, cpu);
	}
	return NULL;
}

static void tally_add(struct tally *sum, const struct tally *tally)
{
	sum->adds += READ_ONCE(tally->adds);
	sum->pushes += READ_ONCE(tally->pushes);
	sum->pops += READ_ONCE(tally->pops);
	sum->retries += READ_ONCE(tally->retries);
	sum->calls_own += READ_ONCE(tally->calls_own);
	sum->calls_other += READ_ONCE(tally->calls_other);
	sum->calls_offline += READ_ONCE(tally->calls_offline);
}

static struct tally sum_of_workers(int cpu)
{
	struct tally sum = { 0 };

	for (int i = 0; i < nr_workers; i++)
		tally_add(&sum, &workers[i].tally[cpu]);
	return sum;
}

static u64 calls_of(const struct tally *tally)
{
	return tally->calls_own + tally->calls_other + tally->calls_offline;
}

static double seconds_since_start(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec - start.tv_sec + (now.tv_nsec - start.tv_nsec) / 1e9;
}

static void show_progress(void)
{
	u64 calls = 0, retries = 0;
	char cpu_state[32] = "all CPUs online";

	for (int i = 0; i < nr_cpus; i++) {
		struct tally sum = sum_of_workers(cpus[i]);

		calls += calls_of(&sum);
		retries += sum.retries;
	}
	if (offline_cpu != CPU_NONE)
		snprintf(cpu_state, sizeof(cpu_state), "CPU %d offline", offline_cpu);
	printf("%s%6.1f s %10llu calls %8llu retries   %s%s", live ? "\r\033[K" : "",
	       seconds_since_start(), calls, retries, cpu_state, live ? "" : "\n");
	fflush(stdout);
}

/* Let the threads work, showing how far they are, unless something stops them. */
static void let_work(double seconds)
{
	double step = live ? 0.1 : 1.0;
	double end = seconds_since_start() + seconds;
	double left;

	while (!READ_ONCE(stop) && (left = end - seconds_since_start()) > 0) {
		double pause = left < step ? left : step;
		struct timespec ts = { .tv_sec = pause, .tv_nsec = (pause - (time_t)pause) * 1e9 };

		nanosleep(&ts, NULL);
		show_progress();
	}
}

static void online_path(char *path, size_t size, int cpu)
{
	snprintf(path, size, "/sys/devices/system/cpu/cpu%d/online", cpu);
}

/*
 * Choose the CPU that goes offline: the last one that can. Return CPU_NONE and
 * say why when this step has to be left out.
 */
static int choose_hotplug_cpu(bool wanted)
{
	const char *reason;
	char path[64];

	if (!wanted) {
		reason = "--no-hotplug was given";
	} else if (nr_cpus < 2) {
		reason = "it takes two CPUs";
	} else if (geteuid()) {
		reason = "only root may take a CPU offline";
	} else {
		for (int i = nr_cpus - 1; i >= 0; i--) {
			online_path(path, sizeof(path), cpus[i]);
			if (!access(path, W_OK))
				return cpus[i];
		}
		reason = "this kernel lets no CPU go offline (CONFIG_HOTPLUG_CPU, writable /sys)";
	}
	printf("The CPU hotplug step is skipped: %s.\n", reason);
	return CPU_NONE;
}

static bool set_online(int cpu, bool online)
{
	char path[64];
	int fd;

	online_path(path, sizeof(path), cpu);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, online ? "1" : "0", 1) != 1) {
		fail("cannot take CPU %d %s: %s: %s", cpu, online ? "online" : "offline", path,
		     strerror(errno));
		if (fd >= 0)
			close(fd);
		return false;
	}
	close(fd);
	return true;
}

static void print_calls(struct tally *total)
{
	puts("\nCalls, by the CPU whose data they worked on");
	printf("%5s %14s %14s %14s %12s\n", "CPU", "from that CPU", "from another",
	       "while offline", "retries");
	for (int i = 0; i < nr_cpus; i++) {
		struct tally sum = sum_of_workers(cpus[i]);

		printf("%5d %14llu %14llu %14llu %12llu\n", cpus[i], sum.calls_own,
		       sum.calls_other, sum.calls_offline, sum.retries);
		if (!calls_of(&sum))
			fail("no call worked on the data of CPU %d", cpus[i]);
		tally_add(total, &sum);
	}
	printf("%5s %14llu %14llu %14llu %12llu\n", "all", total->calls_own,
	       total->calls_other, total->calls_offline, total->retries);
}

static void check_counters(void)
{
	u64 all_found = 0, all_expected = 0;

	puts("\nCounters");
	printf("%5s %14s %14s\n", "CPU", "expected", "found");
	for (int i = 0; i < nr_cpus; i++) {
		int cpu = cpus[i];
		u64 expected = sum_of_workers(cpu).adds;
		u64 found = data[cpu].counter;

		printf("%5d %14llu %14llu\n", cpu, expected, found);
		if (found != expected)
			fail("the counter of CPU %d is off by %+lld", cpu,
			     (long long)(found - expected));
		all_expected += expected;
		all_found += found;
	}
	printf("%5s %14llu %14llu\n", "all", all_expected, all_found);
}

/* Walk a list and mark its nodes. A list that runs in circles ends the walk. */
static u64 count_nodes(int cpu)
{
	u64 count = 0;

	for (struct node *node = data[cpu].head; node; node = node->next) {
		node->met++;
		if (++count > (u64)nr_nodes)
			break;
	}
	return count;
}

static u64 check_lists(void)
{
	u64 all_pushes = 0, all_pops = 0, all_found = 0;

	puts("\nLists");
	printf("%5s %14s %14s %14s %12s %12s\n", "CPU", "pushed", "popped", "expected left",
	       "found", "length kept");
	for (int i = 0; i < nr_cpus; i++) {
		int cpu = cpus[i];
		struct tally sum = sum_of_workers(cpu);
		u64 expected = sum.pushes - sum.pops;
		u64 found = count_nodes(cpu);
		u64 length = data[cpu].length;

		printf("%5d %14llu %14llu %14lld %12llu %12lld\n", cpu, sum.pushes, sum.pops,
		       expected, found, length);
		if (found != expected)
			fail("the list of CPU %d has %llu nodes instead of %lld", cpu, found,
			     (long long)expected);
		if (length != expected)
			fail("the length kept for the list of CPU %d is off by %+lld", cpu,
			     (long long)(length - expected));
		all_pushes += sum.pushes;
		all_pops += sum.pops;
		all_found += found;
	}
	printf("%5s %14llu %14llu %14lld %12llu\n", "all", all_pushes, all_pops,
	       all_pushes - all_pops, all_found);
	return all_found;
}

/* Each node must be in one place: on one list or with one thread. */
static void check_nodes(u64 on_lists)
{
	u64 held = 0, lost = 0, twice = 0;

	for (int i = 0; i < nr_workers; i++) {
		held += workers[i].nr_stock;
		for (int j = 0; j < workers[i].nr_stock; j++)
			workers[i].stock[j]->met++;
	}
	for (int i = 0; i < nr_nodes; i++) {
		lost += nodes[i].met == 0;
		twice += nodes[i].met > 1;
	}
	printf("\n%d nodes: %llu on lists, %llu with threads, %llu lost, %llu in two places.\n",
	       nr_nodes, on_lists, held, lost, twice);
	if (lost || twice)
		fail("%llu nodes were lost, %llu are in two places", lost, twice);
}

static void find_cpus(void)
{
	cpu_set_t allowed;

	if (sched_getaffinity(0, sizeof(allowed), &allowed))
		die("sched_getaffinity");
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, &allowed))
			cpus[nr_cpus++] = cpu;
}

static void require_cpu_opv(void)
{
	int nr_ops = cpu_opv(NULL, 0, 0, CPU_OP_NR_FLAG);

	if (nr_ops < 0 && errno == ENOSYS) {
		fprintf(stderr, "This kernel has no cpu_opv system call (number %d).\n"
			"Boot one that has the series applied and CONFIG_CPU_OPV=y.\n",
			__NR_cpu_opv);
		exit(EXIT_FAILURE);
	}
	if (nr_ops < 0)
		die("cpu_opv(CPU_OP_NR_FLAG)");
	if (nr_ops < NR_CPU_OPS) {
		fprintf(stderr, "This kernel's cpu_opv has %d operations, this program needs %d.\n",
			nr_ops, NR_CPU_OPS);
		exit(EXIT_FAILURE);
	}
}

static void set_up_workers(void)
{
	nr_nodes = nr_workers * NODES_PER_THREAD;
	nodes = calloc(nr_nodes, sizeof(*nodes));
	workers = calloc(nr_workers, sizeof(*workers));
	if (!nodes || !workers)
		die("calloc");
	for (int i = 0; i < nr_workers; i++) {
		struct worker *worker = &workers[i];

		worker->random = 0x9e3779b97f4a7c15 * (i + 1);
		worker->tally = calloc(CPU_SETSIZE, sizeof(*worker->tally));
		if (!worker->tally)
			die("calloc");
		for (int j = 0; j < NODES_PER_THREAD; j++) {
			struct node *node = &nodes[i * NODES_PER_THREAD + j];

			node->listed_on = CPU_NONE;
			worker->stock[worker->nr_stock++] = node;
		}
	}
}

static void start_workers(void)
{
	clock_gettime(CLOCK_MONOTONIC, &start);
	for (int i = 0; i < nr_workers; i++) {
		errno = pthread_create(&workers[i].thread, NULL, work, &workers[i]);
		if (errno)
			die("pthread_create");
	}
}

static void join_workers(void)
{
	WRITE_ONCE(stop, 1);
	for (int i = 0; i < nr_workers; i++)
		pthread_join(workers[i].thread, NULL);
	if (live)
		putchar('\n');
	for (int i = 0; i < nr_workers; i++)
		if (workers[i].error[0])
			fail("thread %d, %s", i, workers[i].error);
}

static void on_interrupt(int sig)
{
	(void)sig;
	WRITE_ONCE(interrupted, 1);
	WRITE_ONCE(stop, 1);
}

/* A thread inside the kernel may never come back, so nothing waits for it here. */
static void on_alarm(int sig)
{
	static const char message[] =
		"\nFAILED: the time is long over: a system call or the CPU hotplug hangs.\n";

	(void)sig;
	/* Written or not, there is nothing more to do. */
	(void)!write(STDERR_FILENO, message, sizeof(message) - 1);
	_exit(EXIT_FAILURE);
}

static int parse_number(const char *option, const char *text, int max)
{
	char *end;
	long value = strtol(text, &end, 10);

	if (end == text || *end || value < 1 || value > max) {
		fprintf(stderr, "%s takes a number from 1 to %d, not '%s'.\n", option, max, text);
		exit(EXIT_FAILURE);
	}
	return value;
}

static void usage(const char *name)
{
	printf("Usage: %s [OPTION]...\n"
	       "Work on per-CPU counters and lists through cpu_opv() and check every result.\n\n"
	       "  -s, --seconds=N     how long the threads work (8)\n"
	       "  -t, --threads=N     how many threads work (two for each CPU)\n"
	       "  -n, --no-hotplug    take no CPU offline\n"
	       "  -l, --live          rewrite the line of progress, as on a terminal\n"
	       "  -h, --help          show this help\n\n"
	       "The exit status is 0 when all results are exact, otherwise 1.\n", name);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "seconds", required_argument, NULL, 's' },
		{ "threads", required_argument, NULL, 't' },
		{ "no-hotplug", no_argument, NULL, 'n' },
		{ "live", no_argument, NULL, 'l' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	struct tally total = { 0 };
	struct utsname kernel;
	bool hotplug = true;
	int seconds = 8;
	int hotplug_cpu;
	int option;

	live = isatty(STDOUT_FILENO);
	while ((option = getopt_long(argc, argv, "s:t:nlh", options, NULL)) != -1) {
		switch (option) {
		case 's':
			seconds = parse_number("--seconds", optarg, 86400);
			break;
		case 't':
			nr_workers = parse_number("--threads", optarg, 1024);
			break;
		case 'n':
			hotplug = false;
			break;
		case 'l':
			live = true;
			break;
		case 'h':
			usage(argv[0]);
			return EXIT_SUCCESS;
		default:
			fprintf(stderr, "Try '%s --help'.\n", argv[0]);
			return EXIT_FAILURE;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "What is '%s'? Try '%s --help'.\n", argv[optind], argv[0]);
		return EXIT_FAILURE;
	}

	setvbuf(stdout, NULL, _IOLBF, 0);
	signal(SIGINT, on_interrupt);
	signal(SIGTERM, on_interrupt);
	signal(SIGALRM, on_alarm);
	require_cpu_opv();
	find_cpus();
	if (!nr_workers)
		nr_workers = 2 * nr_cpus;
	set_up_workers();

	uname(&kernel);
	printf("cpu_opv on Linux %s: %d threads on %d CPU%s for %d s.\n"
	       "Each CPU has a counter and a linked list. Each thread works on those of the CPU\n"
	       "it runs on and on those of every other CPU, through cpu_opv() alone: no lock, no\n"
	       "atomic instruction, no restartable sequence.\n", kernel.release, nr_workers,
	       nr_cpus, nr_cpus == 1 ? "" : "s", seconds);
	if (nr_cpus == 1)
		puts("There is only one CPU to run on, so no call comes from another CPU.");
	hotplug_cpu = choose_hotplug_cpu(hotplug);
	putchar('\n');

	alarm(seconds + STUCK_AFTER_SECONDS);
	start_workers();
	let_work(seconds / 3.0);
	if (hotplug_cpu != CPU_NONE && !stop && set_online(hotplug_cpu, false)) {
		WRITE_ONCE(offline_cpu, hotplug_cpu);
		let_work(seconds / 3.0);
		WRITE_ONCE(offline_cpu, CPU_NONE);
		set_online(hotplug_cpu, true);
	} else {
		let_work(seconds / 3.0);
	}
	let_work(seconds / 3.0);
	join_workers();
	alarm(0);

	print_calls(&total);
	check_counters();
	check_nodes(check_lists());
	if (nr_cpus > 1 && !total.calls_other)
		fail("no call came from another CPU");
	if (hotplug_cpu != CPU_NONE && !total.calls_offline)
		fail("no call worked on the data of CPU %d while it was offline", hotplug_cpu);
	if (interrupted)
		fail("interrupted before the end");
	if (failed) {
		fputs("\nFAILED: see the lines above.\n", stderr);
		return EXIT_FAILURE;
	}

	printf("\nProved: each of %llu additions, %llu pushes and %llu pops took effect exactly\n"
	       "once; no node was lost, and none was handed out twice", total.adds, total.pushes,
	       total.pops);
	if (nr_cpus > 1)
		printf(",\nthough %llu calls came from another CPU", total.calls_other);
	if (hotplug_cpu != CPU_NONE)
		printf(" and %llu found CPU %d offline", total.calls_offline, hotplug_cpu);
	puts(".");
	return EXIT_SUCCESS;
}
