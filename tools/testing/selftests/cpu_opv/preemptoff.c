// SPDX-License-Identifier: GPL-2.0
/*
 * How long a vector disables preemption: the longest vector there is, with what
 * it works on in the cache and not, and all vectors of a command that is run.
 *
 * The kernel's own events tell it, at both ends of each section: needs root,
 * CONFIG_PREEMPT_TRACER and CONFIG_HIST_TRIGGERS, and the helpers of Rust code
 * out of line.  What the first event takes is in the section, so that of a vector
 * without operations is printed, too.
 *
 * Usage: preemptoff [COMMAND [ARGUMENT]...]
 */

#include <signal.h>
#include <sys/mount.h>
#include <sys/wait.h>

#include "cpu_opv_cpus.h"

#define NR_HOT		10000
#define NR_COLD		200
/* What is larger than any cache, unless the C library knows how large they are. */
#define CACHE_LEN	(64UL << 20)
#define CACHE_LINE_LEN	64

#define TRACEFS		"/sys/kernel/tracing"
#define DISABLE		TRACEFS "/events/preemptirq/preempt_disable/trigger"
#define ENABLE		TRACEFS "/events/preemptirq/preempt_enable/trigger"
#define SYNTHETIC	TRACEFS "/synthetic_events"
#define SECTION		"cpu_opv_section u64 time"
#define SECTIONS	TRACEFS "/events/synthetic/cpu_opv_section"
#define TIMES		"hist:keys=time:size=65536"
/* That many are told apart. */
#define NR_TIMES	65536

struct time {
	uint64_t ns;
	uint64_t count;
};

static struct time times[NR_TIMES];

static void die(const char *what)
{
	perror(what);
	exit(KSFT_FAIL);
}

static void write_or_die(const char *path, const char *text)
{
	int ret = write_file(path, text);

	if (ret) {
		fprintf(stderr, "%s: %s: %s\n", path, text, strerror(-ret));
		exit(KSFT_FAIL);
	}
}

/*
 * Where a function of the kernel is, as an offset from the start of its text,
 * and where the next one is.
 */
static bool find_function(const char *name, long *start, long *end)
{
	unsigned long addr, stext = 0, first = 0, next = ULONG_MAX;
	FILE *file = fopen("/proc/kallsyms", "r");
	char symbol[512];

	if (!file)
		return false;
	while (fscanf(file, "%lx %*c %511s%*[^\n]", &addr, symbol) == 2) {
		if (!strcmp(symbol, "_stext"))
			stext = addr;
		else if (!strcmp(symbol, name))
			first = addr;
	}
	rewind(file);
	while (fscanf(file, "%lx %*c %*s%*[^\n]", &addr) == 1)
		if (addr > first && addr < next)
			next = addr;
	fclose(file);
	*start = first - stext;
	*end = next - stext;
	return stext && first;
}

static struct {
	const char *path;
	char text[400];
} triggers[3];

static int nr_triggers;

static void set_trigger(const char *path, const char *text)
{
	write_or_die(path, text);
	triggers[nr_triggers].path = path;
	snprintf(triggers[nr_triggers].text, sizeof(triggers[0].text), "!%s",
		 text);
	nr_triggers++;
}

/* A trigger for the sections of which a function makes an end. */
static void set_trigger_of(const char *function, const char *path,
			   const char *hist)
{
	long start, end;
	char text[400];

	if (!find_function(function, &start, &end)) {
		fprintf(stderr, "%s() is not in /proc/kallsyms\n", function);
		exit(KSFT_FAIL);
	}
	snprintf(text, sizeof(text),
		 "hist:keys=common_cpu:%s:clock=mono if caller_offs >= %ld && caller_offs < %ld",
		 hist, start, end);
	set_trigger(path, text);
}

static void stop_tracing(void)
{
	while (nr_triggers--)
		write_file(triggers[nr_triggers].path,
			   triggers[nr_triggers].text);
	write_file(SYNTHETIC, "!" SECTION);
}

/*
 * Only Rust code calls these two functions, and of that only cpu_opv() in what
 * is run here.  A section ends on the CPU where it starts.
 */
static void start_tracing(void)
{
	write_or_die(SYNTHETIC, SECTION);
	atexit(stop_tracing);
	set_trigger(SECTIONS "/trigger", TIMES);
	set_trigger_of("rust_helper_preempt_disable", DISABLE,
		       "start=common_timestamp");
	set_trigger_of("rust_helper_preempt_enable", ENABLE,
		       "time=common_timestamp-$start:onmatch(preemptirq.preempt_disable).cpu_opv_section($time)");
}

static int by_time(const void *a, const void *b)
{
	const struct time *x = a, *y = b;

	return (x->ns > y->ns) - (x->ns < y->ns);
}

/* The time that so much of all sections at most take. */
static uint64_t percentile(int nr, uint64_t count, double percent)
{
	uint64_t sum = 0;
	int i;

	for (i = 0; i < nr - 1; i++) {
		sum += times[i].count;
		if (sum >= count * percent / 100)
			break;
	}
	return times[i].ns;
}

/* Print a row of the table, and start over. */
static void print_sections(const char *name)
{
	FILE *file = fopen(SECTIONS "/hist", "r");
	unsigned long long ns, nr_of_ns, dropped;
	uint64_t count = 0;
	char line[500];
	int nr = 0;

	if (!file)
		die(SECTIONS "/hist");
	while (fgets(line, sizeof(line), file)) {
		if (nr < NR_TIMES && sscanf(line, "{ time: %llu } hitcount: %llu", &ns,
					    &nr_of_ns) == 2) {
			times[nr++] = (struct time) { ns, nr_of_ns };
			count += nr_of_ns;
		}
		if (sscanf(line, " Dropped: %llu", &dropped) == 1 && dropped) {
			fprintf(stderr, "%s: %llu sections are missing\n", name,
				dropped);
			exit(KSFT_FAIL);
		}
	}
	fclose(file);
	if (!count) {
		fprintf(stderr, "%s: the kernel has seen no section\n", name);
		exit(KSFT_FAIL);
	}
	qsort(times, nr, sizeof(*times), by_time);
	printf("%-18s %10llu %10llu %10llu %10llu\n", name,
	       (unsigned long long)count,
	       (unsigned long long)percentile(nr, count, 50),
	       (unsigned long long)percentile(nr, count, 99),
	       (unsigned long long)times[nr - 1].ns);
	fflush(stdout);
	write_or_die(SECTIONS "/trigger", TIMES ":clear");
}

static void run_or_die(struct cpu_op *vec, int cnt)
{
	int ret = run(vec, cnt);

	if (ret) {
		fprintf(stderr, "cpu_opv() returned %d\n", ret);
		exit(KSFT_FAIL);
	}
}

/* Take what is in the caches out of them. */
static void evict(char *memory, size_t len)
{
	for (size_t i = 0; i < len; i += CACHE_LINE_LEN)
		__atomic_fetch_add(&memory[i], 1, __ATOMIC_RELAXED);
}

static void measure_limit(void)
{
	static char dst[LIMIT_DST_LEN], src[LIMIT_SRC_LEN];
	long len = 2 * sysconf(_SC_LEVEL3_CACHE_SIZE);
	struct cpu_op vec[CPU_OP_VEC_LEN_MAX];
	static uint64_t count;
	char *caches;

	if (len <= 0)
		len = CACHE_LEN;
	caches = mmap(NULL, len, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (caches == MAP_FAILED)
		die("mmap");

	limit_vector(vec, dst, src, &count);
	for (int i = 0; i < NR_HOT; i++)
		run_or_die(vec, 0);
	print_sections("no operation");
	for (int i = 0; i < NR_HOT; i++)
		run_or_die(vec, CPU_OP_VEC_LEN_MAX);
	print_sections("the limit, hot");
	for (int i = 0; i < NR_COLD; i++) {
		evict(caches, len);
		run_or_die(vec, CPU_OP_VEC_LEN_MAX);
	}
	print_sections("the limit, cold");
}

/* Returns the status of the command. */
static int measure_command(char **command)
{
	int status;
	pid_t child = fork();

	if (child < 0)
		die("fork");
	if (!child) {
		/* The table is the only output. */
		dup2(STDERR_FILENO, STDOUT_FILENO);
		execvp(command[0], command);
		perror(command[0]);
		_exit(127);
	}
	/* It tells the command alone to end. */
	signal(SIGINT, SIG_IGN);
	if (waitpid(child, &status, 0) != child)
		die("waitpid");
	print_sections(command[0]);
	return WIFEXITED(status) ? WEXITSTATUS(status) : KSFT_FAIL;
}

int main(int argc, char **argv)
{
	mount("none", TRACEFS, "tracefs", 0, NULL);
	if (!cpu_op_available() || access(DISABLE, W_OK) ||
	    access(SYNTHETIC, W_OK)) {
		fprintf(stderr, "needs root, CPU_OPV, PREEMPT_TRACER, HIST_TRIGGERS\n");
		return KSFT_SKIP;
	}
	start_tracing();
	printf("%-18s %10s %10s %10s %10s\n", "preemption off, ns", "sections",
	       "median", "99 %", "longest");
	measure_limit();
	return argc > 1 ? measure_command(argv + 1) : KSFT_PASS;
}
