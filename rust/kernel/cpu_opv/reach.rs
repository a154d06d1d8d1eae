// SPDX-License-Identifier: GPL-2.0

//! Reaching the CPU.
//!
//! A vector that is run with preemption disabled on its CPU excludes the other threads there. While
//! a CPU is offline there are none, but other calls may be for it, and it may come online. So those
//! run where they are, one at a time, and keep the CPU from coming online.
//!
//! Lock order: the lock for offline CPUs nests in the hotplug lock.

use super::offline;
use crate::{
    cpu::{
        hotplug,
        migrate,
        CpuId, //
    },
    preempt,
    prelude::*, //
};

/// Evidence that what runs is atomic against all threads that run on a CPU, and against all others
/// that have this evidence for the same CPU.
#[must_use = "it ends when this is dropped"]
pub(super) struct Reached {
    // Fields are dropped in order.
    _preempt: preempt::Guard,
    _hold: Hold,
}

/// What keeps preemption from being enough, or from being needed.
enum Hold {
    /// The task is on its CPU already.
    None,
    /// The task has been moved to its CPU.
    Moved { _migrate: migrate::Guard },
    /// The CPU is offline.
    Offline {
        _exclusive: offline::Exclusive,
        _hotplug: hotplug::ReadGuard,
    },
}

/// Makes what follows atomic on `cpu`.
///
/// Context: Process context. May sleep before it returns; what follows must not.
///
/// Always in line: there is next to nothing to do on the CPU that the task is on.
///
/// # Errors
///
/// - [`EINVAL`]: the task is not allowed on `cpu`, which is online.
/// - [`EBUSY`]: `cpu` is online but not active.
/// - [`EINTR`]: a fatal signal is pending.
#[inline(always)]
pub(super) fn reach(cpu: CpuId) -> Result<Reached> {
    let preempt = preempt::disable();
    if CpuId::current() == cpu {
        return Ok(Reached {
            _preempt: preempt,
            _hold: Hold::None,
        });
    }
    drop(preempt);

    reach_other(cpu)
}

/// Makes what follows atomic on a CPU that the task is not on.
fn reach_other(cpu: CpuId) -> Result<Reached> {
    let hold = match migrate::disable_on(cpu) {
        Ok(migrate) => Hold::Moved { _migrate: migrate },
        Err(error) => not_moved(cpu, error)?,
    };

    Ok(Reached {
        _preempt: preempt::disable(),
        _hold: hold,
    })
}

/// Returns what to hold after an attempt to move the task to `cpu` has failed.
///
/// While the CPU is offline the affinity of the task is of no consequence: nothing runs there, and
/// the kernel takes such a CPU away from tasks by itself. If it is online by now then the failure
/// may be of a time when it was not, so it takes a second attempt to tell.
fn not_moved(cpu: CpuId, error: Error) -> Result<Hold> {
    if error == EINTR {
        return Err(error);
    }

    let hotplug = hotplug::read_lock();
    if hotplug.is_online(cpu) {
        migrate::disable_on(cpu).map(|migrate| Hold::Moved { _migrate: migrate })
    } else {
        Ok(Hold::Offline {
            _exclusive: offline::lock(),
            _hotplug: hotplug,
        })
    }
}
