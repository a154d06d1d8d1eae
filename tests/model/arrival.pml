/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A model of preempt_disable_on_cpu() (kernel/sched/core.c), checked by spin.
 *
 * One task calls it for CPU X. The stopper of the task's CPU moves it to X and
 * narrows its mask: p->cpus_ptr = {X}. A narrow mask without a disabled migration
 * is the state "arriving": the load balancer leaves such a task alone, but whoever
 * takes X away from it (a new affinity mask, CPU hotplug) widens the mask again and
 * moves it like any other task. Around it, at any moment and in any order: changes
 * of its affinity, a CPU that goes down and comes up, the load balancer, preemption,
 * and a tracing program that disables migration in the task's context.
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
 *
 * All that disturbs the task is finite, and so is every execution. What must
 * happen in the end is checked where nothing else can happen any more: see init.
 *
 * -DWITHOUT=HOOK leaves one of these hooks out. The check then has to fail.
 */

/* set_cpus_allowed_common(): a mask without X widens the mask of an arriving task. */
#define HOOK_MASK_WIDENS 1
/* select_fallback_rq(): likewise where X is not active any more. */
#define HOOK_FALLBACK_WIDENS 2
/* preempt_disable_on_cpu(): the task widens its mask when it runs. */
#define HOOK_CALLER_WIDENS 3
/* is_migration_disabled() holds for a narrow mask: load balancer, RT and DL push. */
#define HOOK_BALANCER_LEAVES 4
/* The same in select_task_rq(). */
#define HOOK_WAKEUP_STAYS 5
/* is_cpu_allowed() tests the count: an arriving task needs an active CPU. */
#define HOOK_ALLOWED_COUNTS 6
/* __set_cpus_allowed_ptr_locked() tests the count: likewise. */
#define HOOK_VALID_COUNTS 7
/* balance_push() tests the count: an arriving task is pushed. */
#define HOOK_PUSH_COUNTS 8
/* arrive_cpu_stop(): what it refuses. */
#define HOOK_ARRIVE_RQ 9
#define HOOK_ARRIVE_QUEUED 10
#define HOOK_ARRIVE_DISABLED 11
#define HOOK_ARRIVE_PENDING 12
#define HOOK_ARRIVE_MASK 13
#define HOOK_ARRIVE_ACTIVE 14
/* migration_cpu_stop(): a task that is elsewhere is compared with its cpus_mask. */
#define HOOK_CHASE_MASK 15
/* __set_cpus_allowed_ptr_locked(): migrate_enable() widens though no CPU of the mask is online. */
#define HOOK_ENABLE_WIDENS 16

#ifndef WITHOUT
#define WITHOUT 0
#endif
#define HOOK_0 0
#define PASTE(a, b) a ## b
#define NUMBER(hook) PASTE(HOOK_, hook)
#define with(hook) (NUMBER(WITHOUT) != HOOK_ ## hook)

/* CPU 0 is always there. Either of the others may go down, X is one of them. */
#define NR_CPUS 3
#define X 1
#define ALL 7
#define bit(c) (1 << (c))

/* How often each disturbance happens at most. */
#ifndef CHANGES
#define CHANGES 2
#endif
#ifndef MOVES
#define MOVES 1
#endif
#ifndef PREEMPTIONS
#define PREEMPTIONS 1
#endif
#ifndef PROBES
#define PROBES 1
#endif
#ifndef HOTPLUG
#define HOTPLUG 1
#endif
byte moves, preemptions, probes;	/* how often they still do */

byte cpu_active = ALL, cpu_online = ALL;
bool dying;			/* the CPU that is not active is on its way down */
bool busy;			/* other tasks keep X for themselves from now on */

/* ---- the task ---------------------------------------------------------------- */

#define WIDE NR_CPUS
byte cpu;			/* task_cpu() */
byte mask = ALL;		/* cpus_mask */
byte narrow = WIDE;		/* cpus_ptr: &cpus_mask, or the mask of that CPU */
byte disabled;			/* migration_disabled */
bool queued = true;		/* on_rq */
bool running;			/* on_cpu */
bool asleep;			/* a sleeping task is queued while its dequeue is delayed */
bool waking;			/* TASK_WAKING, on a wake list of its CPU */
bool migrating;			/* TASK_ON_RQ_MIGRATING, between two runqueues */
bool preempt_off;
bool traced;			/* a tracing program runs in its context */
byte pending;			/* migration_pending: whose, 0: none */

#define cpus_ptr (narrow == WIDE -> mask : bit(narrow))
#define arriving (narrow != WIDE && !disabled)
#define is_migration_disabled (disabled || narrow != WIDE)
#define counts(hook) (disabled || (!with(hook) && narrow != WIDE))

/* is_cpu_allowed(), under pi_lock */
#define allowed(c) (cpus_ptr & (counts(ALLOWED_COUNTS) -> cpu_online : cpu_active) & bit(c))

/* struct set_affinity_pending of each change */
typedef set_affinity_pending {
	bool stop;		/* its stop work is in use */
	bool done;
	byte dest;
	byte refs
};
set_affinity_pending pend[CHANGES + 1];

/* struct cpu_stop_done of the call */
mtype = { NONE, OK, EAGAIN, EINVAL, EBUSY, EINTR };
bool done;
mtype ret = NONE;

/* ---- what only the check knows ----------------------------------------------- */

bool disturbed = true;		/* something has happened since the last attempt began */
bool arrived;			/* moved to X, and nothing has taken it away since */
byte setter;			/* who set the mask; 0: that change is over */
bool stranded;			/* see __migrate_task() */
byte started, unfinished;	/* how many changes have begun, how many and hotplug not ended */
bool returned;

/* ---- stop works -------------------------------------------------------------- */

mtype = { ARRIVE, MIGRATE, PUSH };
chan works[NR_CPUS] = [CHANGES + 2] of { mtype, byte };
bool stopping[NR_CPUS];		/* the stopper of this CPU is between two steps */
byte queueing;			/* sections with preemption disabled that will queue a work */

/* A mask's CPUs, one of them; the mask is not empty. */
inline any_of(set, c)
{
	if
	:: (set) & bit(0) -> c = 0
	:: (set) & bit(1) -> c = 1
	:: (set) & bit(2) -> c = 2
	fi
}

/* __schedule(), migrate_disable_switch(): under rq->lock */
inline switch_out()
{
	running = false;
	if
	:: disabled && narrow == WIDE -> narrow = cpu
	:: else
	fi
}

inline complete_pending()
{
	pend[pending].done = true;
	pending = 0;
	disturbed = true
}

/* select_fallback_rq(), under pi_lock; it takes rq->lock to change a mask */
inline select_fallback_rq(c)
{
	if
	:: with(FALLBACK_WIDENS) && arriving ->
		arrived = arrived && (cpu_active & bit(narrow));
		narrow = WIDE
	:: else
	fi;
	if
	:: allowed(0) || allowed(1) || allowed(2)
	:: else ->
		/* set_cpus_allowed_force() */
		mask = ALL
	fi;
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
	:: asleep && queued ->
		/* ttwu_runnable(): the delayed dequeue is called off */
		asleep = false
	:: asleep && !queued ->
		asleep = false;
		/* select_task_rq() */
		if
		:: !disabled && (narrow == WIDE || !with(WAKEUP_STAYS)) -> any_of(mask, c)
		:: else -> c = narrow
		fi;
		if
		:: allowed(c)
		:: else -> select_fallback_rq(c)
		fi;
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
inline arrive_cpu_stop(c, r)
{
	if
	:: with(ARRIVE_RQ) && cpu != c -> r = EAGAIN
	:: with(ARRIVE_QUEUED) && !queued -> r = EAGAIN
	:: with(ARRIVE_DISABLED) && is_migration_disabled -> r = EAGAIN
	:: with(ARRIVE_PENDING) && pending -> r = EAGAIN
	:: else ->
		if
		:: with(ARRIVE_MASK) && !(mask & bit(X)) -> r = EINVAL
		:: else ->
			if
			:: with(ARRIVE_ACTIVE) && !(cpu_active & bit(X)) -> r = EBUSY
			:: else ->
				assert(!running && !disabled && !waking && !migrating);
				r = OK;
				cpu = X;
				queued = true;
				narrow = X;
				arrived = true
			fi
		fi
	fi
}

/* migration_cpu_stop() for a change of the affinity: under pi_lock and rq->lock */
inline migration_cpu_stop(c, i, chase)
{
	if
	:: waking && cpu == c ->
		/* flush_smp_call_function_queue() */
		waking = false;
		queued = true
	:: else
	fi;
	assert(pending == i);
	if
	:: cpu == c && is_migration_disabled
	:: cpu == c && !is_migration_disabled ->
		complete_pending();
		if
		:: !(mask & bit(c)) && queued ->
			/*
			 * __migrate_task(): where the CPU has become inactive meanwhile
			 * the task stays where it is, and so it is upstream.
			 */
			if
			:: allowed(pend[i].dest) -> cpu = pend[i].dest; disturbed = true
			:: else -> stranded = true
			fi
		:: else
		fi
	:: cpu != c ->
		if
		:: (with(CHASE_MASK) -> mask : cpus_ptr) & bit(cpu) -> complete_pending()
		:: else -> chase = true
		fi
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
	if
	:: cpu == c && queued && allowed(dest) -> cpu = dest
	:: else
	fi
}

/* cpu_stopper_thread(): nothing of a lower class runs on its CPU meanwhile */
proctype stopper(byte c)
{
	mtype work, r;
	byte i, dest;
	bool chase;

end:	do
	:: atomic {
		len(works[c]) > 0 && !(running && cpu == c && preempt_off) ->
		works[c]?work, i;
		if
		:: running && cpu == c -> switch_out()
		:: else
		fi;
		if
		:: work == ARRIVE -> arrive_cpu_stop(c, r)
		:: work == MIGRATE -> migration_cpu_stop(c, i, chase)
		:: work == PUSH -> balance_push_cpu_stop(c, dest)
		fi;
		dest = 0;
		if
		:: work == ARRIVE || chase ->
			stopping[c] = true;
			queueing = queueing + chase
		:: else -> goto next
		fi
	   }
	   atomic {
		!migrating ->
		if
		:: work == ARRIVE ->
			/* cpu_stop_signal_done() */
			ret = r;
			done = true;
			wake_up(dest)
		:: else ->
			/* stop_one_cpu_nowait() */
			works[cpu]!MIGRATE, i;
			queueing--
		fi;
		stopping[c] = false;
next:		work = 0; r = 0; i = 0; dest = 0; chase = false
	   }
	od
}

/* ---- changes of the affinity ------------------------------------------------- */

/* __set_cpus_allowed_ptr(): one of all nonempty masks */
proctype change(byte me)
{
	byte new, valid, dest, rq, on;
	bool stop;

	/* __set_cpus_allowed_ptr_locked(), affine_move_task(): under pi_lock and rq->lock */
	atomic {
		!migrating && started == me - 1 ->
		started++;
		select(new : 1 .. ALL);
		valid = new & (counts(VALID_COUNTS) -> cpu_online : cpu_active);
		if
		:: new == mask || !valid -> goto out
		:: else
		fi;
		any_of(valid, dest);
		disturbed = true;

		/* set_cpus_allowed_common() */
		if
		:: with(MASK_WIDENS) && arriving && !(new & bit(narrow)) ->
			narrow = WIDE;
			arrived = false
		:: else
		fi;
		mask = new;
		setter = me;
		stranded = false;

		if
		:: mask & bit(cpu) ->
			if
			:: pending && !pend[pending].stop -> complete_pending()
			:: else
			fi;
			goto out
		:: else
		fi;
		if
		:: !pending -> pending = me
		:: else
		fi;
		on = pending;
		pend[on].dest = dest;
		pend[on].refs++;
		if
		:: running || waking ->
			rq = cpu;
			stop = !pend[on].stop;
			pend[on].stop = true;
			queueing = queueing + stop
		:: else ->
			if
			:: !is_migration_disabled ->
				if
				/* move_queued_task() */
				:: queued -> cpu = dest
				:: else
				fi;
				if
				:: !pend[on].stop -> complete_pending()
				:: else
				fi
			:: else
			fi
		fi;
		new = 0; valid = 0; dest = 0;
		if
		:: pend[on].done -> goto end
		:: !pend[on].done && !stop -> goto wait
		:: else
		fi
	}
	/* stop_one_cpu_nowait() */
	atomic { works[rq]!MIGRATE, on; queueing--; rq = 0; stop = false }
wait:	atomic {
		/* wait_for_completion() */
		pend[on].done ->
end:		assert(on != me || !pend[me].stop);
		pend[on].refs--;
		if
		:: !pend[on].refs -> pend[on].done = false; pend[on].dest = 0
		:: else
		fi;
out:		if
		:: setter == me -> setter = 0
		:: else
		fi;
		new = 0; valid = 0; dest = 0; rq = 0; on = 0;
		unfinished--
	}
}

/* ---- CPU hotplug -------------------------------------------------------------- */

proctype hotplug()
{
	byte c;

	/* sched_cpu_deactivate(): by a thread of that CPU */
	atomic {
		if
		:: c = 1
		:: c = 2
		fi;
		!(running && cpu == c && preempt_off) && !stopping[c] && len(works[c]) == 0 ->
		disturbed = true;
		if
		:: running && cpu == c -> switch_out()
		:: else
		fi;
		cpu_active = cpu_active & ~bit(c);
		dying = true
	}
	/* synchronize_rcu(), balance_hotplug_wait() */
	!((queued || waking || migrating || disabled) && cpu == c);
	/* take_cpu_down(), sched_cpu_dying(): in stop_machine(), no CPU has preemption disabled */
	atomic {
		!preempt_off && !queueing && !stopping[c] && len(works[c]) == 0 ->
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

/* balance_push(): the CPU is on its way down, and the task is not pinned there */
#define pushes (dying && !(cpu_active & bit(cpu)) && !counts(PUSH_COUNTS))

/* Whatever may happen to the task while it does nothing itself. */
proctype scheduler()
{
	byte dest;

end:	do
	/* __schedule() picks the task, balance_push() */
	:: atomic {
		queued && !running && !stopping[cpu] && len(works[cpu]) == 0 &&
		(asleep || pushes || disabled || !(busy && cpu == X)) ->
		if
		/* the delayed dequeue */
		:: asleep -> queued = false
		:: !asleep && pushes -> works[cpu]!PUSH, 0
		:: !asleep && !pushes -> running = true
		:: !asleep && !pushes && !disabled && cpu == X -> busy = true
		fi
	   }
	/* sched_ttwu_pending(): under rq->lock */
	:: atomic { waking -> waking = false; queued = true }
	/* Preemption, which comes for sure on a CPU that pushes its tasks away */
	:: atomic {
		running && !preempt_off && (preemptions || dying && !(cpu_active & bit(cpu)) && !disabled) ->
		preemptions = (preemptions -> preemptions - 1 : 0);
		switch_out()
	   }
	/* The load balancer: under the lock of the one runqueue, then of the other */
	:: atomic {
		queued && !running && moves && !disabled && !(narrow != WIDE && with(BALANCER_LEAVES)) &&
		(mask & cpu_active & ~bit(cpu)) ->
		moves--;
		disturbed = true;
		dest = mask & cpu_active & ~bit(cpu);
		any_of(dest, cpu);
		dest = 0;
		queued = false;
		migrating = true
	   }
	:: atomic { migrating -> migrating = false; queued = true }
	od
}

/* ---- in the context of the task ------------------------------------------------- */

/* It runs, and where it may. */
#define RUN(who) running && traced == who -> \
	assert((cpu_online & bit(cpu)) && ((mask & bit(cpu)) || setter || stranded))

/* migrate_enable(), with preemption disabled */
inline migrate_enable(who, off, queue)
{
	/* ___migrate_enable(), affine_move_task(): under pi_lock and rq->lock */
	atomic {
		RUN(who);
		off = preempt_off;
		preempt_off = true;
		if
		:: narrow != WIDE && (with(ENABLE_WIDENS) || (mask & cpu_online)) ->
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
		if
		/* stop_one_cpu_nowait() */
		:: queue -> works[cpu]!MIGRATE, pending; queue = false
		:: else
		fi;
		disabled = 0;
		preempt_off = off;
		off = false
	}
}

/* A program that disables migration, at any moment; nested in another such section it would do nothing. */
proctype tracing()
{
	bool off, queue;

end:	do
	:: atomic {
		running && probes && !disabled ->
		probes--;
		traced = true;
		disabled = 1;
		disturbed = true;
		arrived = false
	   }
	   migrate_enable(true, off, queue);
	   atomic { RUN(true); traced = false }
	od
}

proctype preempt_disable_on_cpu()
{
	byte c;
	bool off, queue;

again:	atomic {
		RUN(false);
		preempt_off = true;
		if
		:: narrow != WIDE && with(CALLER_WIDENS) -> disabled = 1
		:: else -> goto wide
		fi
	}
	migrate_enable(false, off, queue);
	atomic {
		RUN(false);
wide:		if
		:: cpu == X -> ret = OK; goto out
		:: else
		fi;
		/* Once arrived, only what excludes X takes the task away from there. */
		assert(!arrived);
		preempt_off = false
	}
	atomic {
		RUN(false);
		/* fatal_signal_pending() */
		if
		:: ret = EINTR; goto out
		:: c = cpu
		fi;
		assert(disturbed);
		disturbed = false
	}
	/* cpu_stop_queue_work() */
	atomic {
		RUN(false);
		if
		:: cpu_online & bit(c) -> works[c]!ARRIVE, 0
		:: else -> c = 0; goto again
		fi
	}
	/* cond_resched(): the stopper of this CPU comes first; wait_for_completion() */
	atomic {
		running && !traced && !(c == cpu && len(works[c]) > 0) ->
		c = 0;
		if
		:: done -> goto completed
		:: else ->
			asleep = true;
			if
			:: queued = false
			/* sched_delayed */
			:: true
			fi;
			switch_out()
		fi
	}
	atomic {
		RUN(false);
completed:	assert(done);
		done = false;
		if
		:: ret == OK || ret == EAGAIN && !pending -> ret = NONE; goto again
		:: ret == EAGAIN && pending -> ret = NONE
		:: else -> goto out
		fi
	}
	/* It tries again as long as a change is pending, for whose end it does not wait. */
	atomic { running && !traced && !pending -> disturbed = true; goto again }
out:	atomic {
		RUN(false);
		assert(narrow == WIDE);
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

	atomic {
		select(moves : 0 .. MOVES);
		select(preemptions : 0 .. PREEMPTIONS);
		select(probes : 0 .. PROBES);
		for (i : 0 .. NR_CPUS - 1) { run stopper(i) }
		select(unfinished : 0 .. CHANGES);
		for (i : 1 .. unfinished) { run change(i) }
		i = 0;
		if
		:: HOTPLUG -> unfinished++; run hotplug()
		:: true
		fi;
		any_of(mask, cpu);
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
		assert(!returned || narrow == WIDE)
	}
}
