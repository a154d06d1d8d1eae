/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A model of preempt_disable_on_cpu() (kernel/sched/core.c), checked by spin.
 *
 * One task calls it for CPU X. The stopper of the task's CPU moves it to X, narrows
 * its mask (p->cpus_ptr = {X}, p->nr_cpus_allowed = 1), and marks it as arriving. The
 * load balancer leaves such a task alone, but whoever takes X away from it (a new
 * affinity mask, CPU hotplug) widens the mask again and moves it like any other task.
 * Around it, at any
 * moment and in any order: changes of its affinity, a CPU that goes down and comes up,
 * the load balancer, preemption, and a tracing program that disables migration in the
 * task's context, also where that context holds the lock of a runqueue.
 *
 * Not in the model: the timer of a throttled deadline task, the look for the reason why
 * the task cannot be sent, and two changes of the mask together with hotplug.
 *
 * What is an atomic block here is one section under p->pi_lock and rq->lock there,
 * or one step of the task or of a queue of stop works. The comment of each names its
 * function. Between two of them anything may happen.
 *
 * What is checked, over all interleavings:
 * - The task is never lost: while it is runnable it is queued on an online CPU, and
 *   it returns from the call, unless X is kept busy for ever by others.
 * - It does not run on a CPU outside its mask once the change of that mask is over.
 * - 0 is returned on X alone, with preemption disabled and the mask wide.
 * - It tries again only for an event: each attempt but the first has its own.
 *   Once arrived it is moved away from X only by an event that excludes X.
 * - Nobody waits for an arriving task to run: X may get busy at any moment, from
 *   when on the task is never picked there; all changes and hotplug still end.
 * - While the task runs and its migration is not disabled, it can be disabled and
 *   enabled without a lock: the mask is wide, or the task is arriving.
 *
 * All that disturbs the task is finite, and so is every execution. What must
 * happen in the end is checked where nothing else can happen any more: see init.
 *
 * -DWITHOUT=HOOK leaves one of these hooks out. The check then has to fail.
 */

/* do_set_cpus_allowed(): a mask without X cancels the arrival. */
#define HOOK_MASK_CANCELS 1
/* select_fallback_rq(): likewise where X is not active any more. */
#define HOOK_FALLBACK_CANCELS 2
/* preempt_disable_on_cpu(): the task widens its mask when it runs. */
#define HOOK_CALLER_WIDENS 3
/* arrive_cpu_stop(): p->nr_cpus_allowed is 1, for RT and DL push and for wake-ups. */
#define HOOK_ARRIVE_ONE 4
/* set_cpus_allowed_common(): a new mask with X leaves it so. */
#define HOOK_MASK_KEEPS_ONE 5
/* end_arrival(): the number of CPUs is that of the mask again. */
#define HOOK_END_COUNTS 6
/* arrive_cpu_stop(): what it refuses. */
#define HOOK_ARRIVE_RQ 7
#define HOOK_ARRIVE_QUEUED 8
#define HOOK_ARRIVE_DISABLED 9
#define HOOK_ARRIVE_MASK 10
#define HOOK_ARRIVE_ACTIVE 11
/* migration_cpu_stop(): a task that is elsewhere is compared with its cpus_mask. */
#define HOOK_CHASE_MASK 12
/* __set_cpus_allowed_ptr_locked(): migrate_enable() widens though no CPU of the mask is online. */
#define HOOK_ENABLE_WIDENS 13
/* migrate_enable(): it leaves an arriving task bound. */
#define HOOK_ENABLE_LEAVES 14
/* migration_cpu_stop(): it cancels the arrival of a task that ran when its mask changed. */
#define HOOK_STOP_CANCELS 15
/* cancel_arrival(): not while the task runs. */
#define HOOK_CANCEL_STOPPED 16
/* end_arrival(): in a migrate_disable() section the mask stays narrow. */
#define HOOK_END_NARROW 17

#ifndef WITHOUT
#define WITHOUT 0
#endif
#define HOOK_0 0
#define PASTE(a, b) a ## b
#define NUMBER(hook) PASTE(HOOK_, hook)
#define with(hook) (NUMBER(WITHOUT) != HOOK_ ## hook)

#define when(condition, statement) if :: condition -> statement :: else fi

/* How often each disturbance happens at most. */
#ifndef CHANGES
#define CHANGES 2
#endif
#ifndef HOTPLUG
#define HOTPLUG 1
#endif
#define MOVES 1
#define PREEMPTIONS 1
#define PROBES 1
byte moves, preemptions, probes;

/* CPU 0 is always there. Either of the others may go down, X is one of them. */
#define NR_CPUS 3
#define X 1
#define ALL 7
#define bit(c) (1 << (c))

byte cpu_active = ALL, cpu_online = ALL;
/* cpu_dying(): the CPU that is not active is on its way down. */
bool dying;
/* Others keep X for themselves from now on. */
bool busy;

/* ---- the task ---------------------------------------------------------------- */

/* task_cpu(), cpus_mask */
byte cpu, mask = ALL;
/* cpus_ptr: &cpus_mask, or the mask of that CPU alone */
#define WIDE NR_CPUS
byte narrow = WIDE;
/* nr_cpus_allowed is 1 whatever cpus_mask has */
bool one;
/* MDF_ARRIVING: implies a narrow mask */
bool arriving;
/* migration_disabled */
byte disabled;
/* migration_pending: the number of that change */
byte pending;
/* on_rq, on_cpu; a task that sleeps is queued as long as its dequeue is delayed. */
bool queued = true, running, asleep;
/* TASK_WAKING: on a wake list of its CPU. TASK_ON_RQ_MIGRATING: between two runqueues. */
bool waking, migrating;
bool preempt_off;
/* A tracing program runs in its context, with the lock of another CPU's runqueue held. */
bool traced, locked;

/* is_cpu_allowed(): under pi_lock */
#define cpus_ptr (narrow == WIDE -> mask : bit(narrow))
#define allowed(c) (cpus_ptr & (disabled -> cpu_online : cpu_active) & bit(c))

/* struct set_affinity_pending of each change; stop: its stop work is in use */
typedef set_affinity_pending {
	bool stop, done;
	byte dest, refs
};
set_affinity_pending pend[CHANGES + 1];

/* struct cpu_stop_done of the call */
mtype = { NONE, OK, EAGAIN, EINVAL, EBUSY, EINTR };
bool done;
mtype ret = NONE;

/* ---- what only the check knows ----------------------------------------------- */

/* Something has happened since the last attempt began. */
bool disturbed = true;
/* The task was moved to X, and nothing has taken that away since. */
bool arrived;
/* Who set the mask, as long as that change is not over. */
byte setter;
/* See __migrate_task(). */
bool stranded;
/* How many changes have begun; how many have not ended, hotplug included. */
byte started, unfinished;
bool returned;

/* ---- stop works -------------------------------------------------------------- */

mtype = { ARRIVE, MIGRATE, PUSH };
chan works[NR_CPUS] = [CHANGES + 2] of { mtype, byte };
/* The stopper of this CPU is between two steps. */
bool stopping[NR_CPUS];
/* Sections with preemption disabled that are to queue a work. */
byte queueing;

/* Any CPU of a mask that is not empty */
inline any_of(set, c)
{
	if
	:: set & bit(0) -> c = 0
	:: set & bit(1) -> c = 1
	:: set & bit(2) -> c = 2
	fi
}

/* A tracing program may run here, where migrate_enable() must not take the lock of the runqueue. */
#define free_to_trace (disabled || narrow == WIDE || arriving && with(ENABLE_LEAVES))

/* end_arrival(): under pi_lock and rq->lock */
inline end_arrival()
{
	when(with(END_COUNTS), one = false);
	when(!disabled || !with(END_NARROW), narrow = WIDE);
	arriving = false
}

/* cancel_arrival(): likewise */
inline cancel_arrival()
{
	if
	:: arriving && (!running || !with(CANCEL_STOPPED)) -> end_arrival(); arrived = false
	:: else
	fi
}

/* __schedule(), migrate_disable_switch(): under rq->lock */
inline switch_out()
{
	assert(free_to_trace);
	running = false;
	when(disabled && narrow == WIDE, narrow = cpu)
}

inline complete_pending()
{
	pend[pending].done = true;
	pending = 0;
	disturbed = true
}

/* select_fallback_rq(): under pi_lock, and rq->lock while it changes a mask */
inline select_fallback_rq(c)
{
	if
	:: with(FALLBACK_CANCELS) && arriving && !running -> cancel_arrival()
	:: else
	fi;
	/* set_cpus_allowed_force() */
	when(!(allowed(0) || allowed(1) || allowed(2)), mask = ALL);
	/* BUG() */
	assert(allowed(0) || allowed(1) || allowed(2));
	if
	:: allowed(0) -> c = 0
	:: allowed(1) -> c = 1
	:: allowed(2) -> c = 2
	fi
}

/* try_to_wake_up(): under pi_lock */
inline wake_up(c)
{
	if
	/* ttwu_runnable(): the delayed dequeue is called off. */
	:: asleep && queued -> asleep = false
	:: asleep && !queued ->
		asleep = false;
		/* select_task_rq() */
		if
		:: (one || disabled) && narrow != WIDE -> c = narrow
		:: else -> any_of(mask, c)
		fi;
		when(!allowed(c), select_fallback_rq(c));
		cpu = c;
		if
		:: queued = true
		/* ttwu_queue_wakelist() */
		:: cpu_active & bit(c) -> waking = true
		fi
	:: else
	fi
}

/* arrive_cpu_stop(): under pi_lock and the locks of both runqueues in turn */
#define not_now(c) (with(ARRIVE_RQ) && cpu != c || with(ARRIVE_QUEUED) && !queued || \
	with(ARRIVE_DISABLED) && disabled)
#define excluded (with(ARRIVE_MASK) && !(mask & bit(X)))
#define inactive (with(ARRIVE_ACTIVE) && !(cpu_active & bit(X)))
inline arrive_cpu_stop(c, r)
{
	if
	:: not_now(c) -> r = EAGAIN
	:: !not_now(c) && excluded -> r = EINVAL
	:: !not_now(c) && !excluded && inactive -> r = EBUSY
	:: else ->
		assert(!running && !disabled && !waking && !migrating);
		r = OK;
		cpu = X;
		queued = true;
		one = with(ARRIVE_ONE);
		narrow = X;
		arriving = true;
		arrived = true
	fi
}

/* migration_cpu_stop() for change @i: under pi_lock and rq->lock */
inline migration_cpu_stop(c, i, chase)
{
	/* flush_smp_call_function_queue() */
	when(waking && cpu == c, waking = false; queued = true);
	assert(pending == i);
	when(with(STOP_CANCELS) && cpu == c && (disabled || !(mask & bit(c))), cancel_arrival());
	if
	:: cpu == c && disabled
	:: cpu == c && !disabled ->
		complete_pending();
		if
		/* __migrate_task(): as upstream, it stays where it is if @dest has become inactive. */
		:: !(mask & bit(c)) && queued && allowed(pend[i].dest) -> cpu = pend[i].dest
		:: !(mask & bit(c)) && queued && !allowed(pend[i].dest) -> stranded = true
		:: else
		fi
	:: cpu != c && ((with(CHASE_MASK) -> mask : cpus_ptr) & bit(cpu)) -> complete_pending()
	:: else -> chase = true
	fi;
	pend[i].stop = chase
}

/* __balance_push_cpu_stop(): under pi_lock, and rq->lock for the move */
inline balance_push_cpu_stop(c, dest)
{
	/* Even a task that has been moved meanwhile, and may have arrived, is widened. */
	arrived = false;
	disturbed = true;
	select_fallback_rq(dest);
	when(cpu == c && queued && allowed(dest), cpu = dest)
}

/* cpu_stopper_thread(): nothing of a lower class runs on its CPU meanwhile. */
proctype stopper(byte c)
{
	mtype work, r;
	byte i, dest;
	bool chase;

	do
	:: atomic {
		len(works[c]) && !(running && cpu == c && preempt_off) ->
		works[c]?work(i);
		when(running && cpu == c, switch_out());
		if
		:: work == ARRIVE -> arrive_cpu_stop(c, r)
		:: work == MIGRATE -> migration_cpu_stop(c, i, chase)
		:: work == PUSH -> balance_push_cpu_stop(c, dest)
		fi;
		dest = 0;
		when(work != ARRIVE && !chase, goto next);
		stopping[c] = true;
		queueing = queueing + chase
	   }
	   atomic {
		!migrating ->
		if
		/* cpu_stop_signal_done() */
		:: work == ARRIVE -> ret = r; done = true; wake_up(dest)
		/* stop_one_cpu_nowait() */
		:: else -> works[cpu]!MIGRATE(i); queueing--
		fi;
		stopping[c] = false;
next:		work = 0; r = 0; i = 0; dest = 0; chase = false
	   }
	od
}

/* ---- changes of the affinity ------------------------------------------------- */

/* __set_cpus_allowed_ptr() with each of the masks */
proctype change(byte me)
{
	byte new, valid, dest, rq, on;
	bool stop;

	/* __set_cpus_allowed_ptr_locked(), affine_move_task(): under pi_lock and rq->lock */
	atomic {
		!migrating && started == me - 1 ->
		started++;
		select(new : 1 .. ALL);
		valid = new & (disabled -> cpu_online : cpu_active);
		when(new == mask || !valid, goto out);
		any_of(valid, dest);
		disturbed = true;

		/* do_set_cpus_allowed() */
		when(with(MASK_CANCELS) && !(new & bit(cpu)), cancel_arrival());
		mask = new;
		one = arriving && one && with(MASK_KEEPS_ONE);
		setter = me;
		stranded = false;

		if
		:: mask & bit(cpu) ->
			when(pending && !pend[pending].stop, complete_pending());
			goto out
		:: else
		fi;
		when(!pending, pending = me);
		on = pending;
		pend[on].dest = dest;
		pend[on].refs++;
		if
		:: running || waking ->
			rq = cpu;
			stop = !pend[on].stop;
			pend[on].stop = true;
			queueing = queueing + stop
		:: !running && !waking && !disabled ->
			/* move_queued_task() */
			when(queued, cpu = dest);
			when(!pend[on].stop, complete_pending())
		:: else
		fi;
		new = 0; valid = 0; dest = 0;
		when(pend[on].done, goto over);
		when(!stop, goto wait)
	}
	/* stop_one_cpu_nowait() */
	atomic { works[rq]!MIGRATE(on); queueing--; rq = 0; stop = false }
wait:	atomic {
		/* wait_for_completion() */
		pend[on].done ->
over:		assert(on != me || !pend[me].stop);
		pend[on].refs--;
		when(!pend[on].refs, pend[on].done = false; pend[on].dest = 0);
out:		when(setter == me, setter = 0);
		new = 0; valid = 0; dest = 0; rq = 0; on = 0;
		unfinished--
	}
}

/* ---- CPU hotplug -------------------------------------------------------------- */

proctype hotplug()
{
	byte c;

	/* sched_cpu_deactivate(): by a thread of that CPU, which is not the task then */
	atomic {
		if
		:: c = 1
		:: c = 2
		fi;
		!(running && cpu == c && preempt_off) && !stopping[c] && !len(works[c]) ->
		disturbed = true;
		when(running && cpu == c, switch_out());
		cpu_active = cpu_active & ~bit(c);
		dying = true
	}
	/* synchronize_rcu(), balance_hotplug_wait() */
	!((queued || waking || migrating || disabled) && cpu == c);
	/* take_cpu_down(), sched_cpu_dying(): stop_machine() waits for preemption to be enabled */
	atomic {
		!preempt_off && !queueing && !stopping[c] && !len(works[c]) ->
		assert(!((queued || waking || migrating || disabled) && cpu == c));
		cpu_online = cpu_online & ~bit(c);
		dying = false
	}
	if
	:: atomic { disturbed = true; cpu_online = cpu_online | bit(c) }
	   /* sched_cpu_activate() */
	   cpu_active = cpu_active | bit(c)
	:: true
	fi;
	unfinished--
}

/* ---- the scheduler ------------------------------------------------------------ */

/* balance_push(): a CPU on its way down pushes the task away, unless it is pinned. */
#define falling (dying && !(cpu_active & bit(cpu)))
#define pushed (falling && !disabled)

/* Whatever may happen to the task while it does nothing itself */
proctype scheduler()
{
	byte set;

	do
	/* __schedule() picks the task: under rq->lock */
	:: atomic {
		queued && !running && !stopping[cpu] && !len(works[cpu]) &&
		(asleep || pushed || disabled || !(busy && cpu == X)) ->
		if
		/* The delayed dequeue */
		:: asleep -> queued = false
		:: !asleep && pushed -> works[cpu]!PUSH(0)
		:: !asleep && !pushed -> running = true
		:: !asleep && !pushed && !disabled && cpu == X -> busy = true
		fi
	   }
	/* sched_ttwu_pending(): under rq->lock */
	:: atomic { waking -> waking = false; queued = true }
	/* Preemption, which is sure to come where tasks are pushed away */
	:: atomic {
		running && !preempt_off && (preemptions || falling && !disabled) ->
		when(preemptions, preemptions--);
		switch_out()
	   }
	/* RT and DL push and pull, which look at cpus_mask: under the lock of the one runqueue, then of the other */
	:: atomic {
		queued && !running && moves && !disabled && !one &&
		(mask & cpu_active & ~bit(cpu)) ->
		moves--;
		disturbed = true;
		set = mask & cpu_active & ~bit(cpu);
		any_of(set, cpu);
		set = 0;
		queued = false;
		migrating = true
	   }
	:: atomic { migrating -> migrating = false; queued = true }
	od
}

/* ---- in the context of the task ------------------------------------------------ */

/* It runs, and where it may. */
#define RUN(who) running && traced == who -> \
	assert((cpu_online & bit(cpu)) && ((mask & bit(cpu)) || setter || stranded) && free_to_trace)

/* migrate_enable() */
inline migrate_enable(off, queue)
{
	/* ___migrate_enable(), affine_move_task(): under pi_lock and rq->lock */
	atomic {
		RUN(true);
		off = preempt_off;
		preempt_off = true;
		if
		:: narrow != WIDE && !(arriving && with(ENABLE_LEAVES)) && (with(ENABLE_WIDENS) || (mask & cpu_online)) ->
			assert(!locked);
			narrow = WIDE;
			if
			:: pending && !pend[pending].stop && (mask & bit(cpu)) -> complete_pending()
			:: pending && !pend[pending].stop && !(mask & bit(cpu)) -> pend[pending].stop = true; queue = true
			:: else -> assert(pending || (mask & bit(cpu)) || stranded)
			fi
		:: else
		fi
	}
	atomic {
		/* stop_one_cpu_nowait() */
		when(queue, works[cpu]!MIGRATE(pending); queue = false);
		disabled = 0;
		preempt_off = off;
		off = false
	}
}

/* A program that disables migration, at any moment; within such a section it changes nothing. */
proctype tracing()
{
	bool off, queue;

	do
	:: atomic {
		running && probes && !disabled ->
		probes--;
		traced = true;
		disabled = 1;
		disturbed = true;
		if
		:: !preempt_off -> locked = true; preempt_off = true
		:: true
		fi
	   }
	   migrate_enable(off, queue);
	   atomic {
		RUN(true);
		when(locked, locked = false; preempt_off = false);
		traced = false
	   }
	od
}

/* The call; what ends it early is a fatal signal. */
proctype preempt_disable_on_cpu()
{
	byte c;

again:	atomic {
		RUN(false);
		preempt_off = true;
		/* end_arrival(): under pi_lock and rq->lock */
		when(arriving && with(CALLER_WIDENS), end_arrival());
		when(cpu == X, ret = OK; goto out);
		/* Once arrived, only what excludes X takes the task away from there. */
		assert(!arrived);
		preempt_off = false
	}
	/* fatal_signal_pending(); the CPU to stop */
	atomic {
		RUN(false);
		if
		:: ret = EINTR; goto out
		:: c = cpu
		fi;
		/* Each attempt but the first has a cause. */
		assert(disturbed);
		disturbed = false
	}
	/* cpu_stop_queue_work(), or -ENOENT */
	atomic {
		RUN(false);
		if
		:: cpu_online & bit(c) -> works[c]!ARRIVE(0)
		:: else -> c = 0; goto again
		fi
	}
	/* cond_resched(): the stopper of this CPU comes first; wait_for_completion() */
	atomic {
		running && !traced && !(c == cpu && len(works[c])) ->
		c = 0;
		when(done, goto completed);
		asleep = true;
		if
		:: queued = false
		/* sched_delayed */
		:: true
		fi;
		switch_out()
	}
	atomic {
		RUN(false);
completed:	assert(done);
		done = false;
		if
		:: ret == OK || ret == EAGAIN -> ret = NONE; goto again
		:: else -> goto out
		fi
	}
out:	atomic {
		RUN(false);
		assert(narrow == WIDE && !one);
		assert((ret == OK) == preempt_off);
		assert(ret != OK || cpu == X);
		returned = true;
		/* What comes later is not of the call. */
		moves = 0; preemptions = 0; probes = 0
	}
	atomic { running && !traced -> preempt_off = false }
}

init
{
	byte i;

	/* Less may happen than is allowed, so that what did not happen cannot help. */
	atomic {
		select(moves : 0 .. MOVES);
		select(preemptions : 0 .. PREEMPTIONS);
		select(probes : 0 .. PROBES);
		select(unfinished : 0 .. CHANGES);
		any_of(mask, cpu);
		for (i : 0 .. NR_CPUS - 1) { run stopper(i) }
		for (i : 1 .. unfinished) { run change(i) }
		i = 0;
		if
		:: HOTPLUG -> unfinished++; run hotplug()
		:: true
		fi;
		run scheduler();
		run tracing();
		run preempt_disable_on_cpu()
	}
	/* Nothing else can happen any more. */
	atomic {
		timeout ->
		/* Nobody waits for the task. */
		assert(!unfinished && !pending);
		/* It has returned, or X has no time for it. */
		assert(returned || (queued && !running && cpu == X && busy));
		assert(queued && (cpu_online & bit(cpu)));
		assert(!returned || (narrow == WIDE && !one && !arriving))
	}
}
