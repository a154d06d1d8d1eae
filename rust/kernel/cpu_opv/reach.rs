// SPDX-License-Identifier: GPL-2.0

//! Reaching the CPU.
//!
//! A vector that is run with preemption disabled on its CPU excludes the other threads there. While
//! a CPU is offline there are none, but other calls may be for it, and it may come online. So those
//! run where they are, one at a time, and keep the CPU from coming online.
//!
//! A task that waits for its CPU, or for a lock here, holds nothing that others want. The locks for
//! offline CPUs are held only while preemption is disabled, so that others wait for no longer than
//! a vector takes. Lock order: the lock for offline CPUs nests in the hotplug lock.

use super::offline;
use crate::{
    cpu::{
        hotplug,
        CpuId, //
    },
    preempt,
    prelude::*, //
};

/// Evidence that what runs is atomic against all threads that run on a CPU, and against all others
/// that have this evidence for the same CPU.
///
/// Preemption is disabled while it exists.
#[must_use = "it ends when this is dropped"]
pub(super) struct Reached {
    // Fields are dropped in order: a reschedule that is due finds nothing held.
    _offline: Option<Offline>,
    _preempt: preempt::Guard,
}

/// What keeps a CPU offline, and other calls for it from running.
struct Offline {
    _exclusive: offline::Exclusive,
    _hotplug: hotplug::ReadGuard,
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
            _offline: None,
            _preempt: preempt,
        });
    }
    drop(preempt);

    reach_other(cpu)
}

/// Makes what follows atomic on a CPU that the task is not on.
fn reach_other(cpu: CpuId) -> Result<Reached> {
    loop {
        match preempt::disable_on(cpu) {
            Ok(preempt) => {
                return Ok(Reached {
                    _offline: None,
                    _preempt: preempt,
                })
            }
            Err(error) if error == ENODEV => {
                if let Some(reached) = reach_offline(cpu)? {
                    return Ok(reached);
                }
            }
            Err(error) => return Err(error),
        }
    }
}

/// Makes what follows atomic on a CPU that is offline. Returns nothing if it may no longer be.
///
/// The affinity of the task is of no consequence: nothing runs there, and the kernel takes such a
/// CPU away from tasks by itself.
fn reach_offline(cpu: CpuId) -> Result<Option<Reached>> {
    while !current!().fatal_signal_pending() {
        let preempt = preempt::disable();
        let Some(hotplug) = hotplug::try_read_lock() else {
            // A CPU comes or goes: look again, which waits for that.
            return Ok(None);
        };

        if hotplug.is_online(cpu) {
            return Ok(None);
        }
        if let Some(exclusive) = offline::try_lock() {
            return Ok(Some(Reached {
                _offline: Some(Offline {
                    _exclusive: exclusive,
                    _hotplug: hotplug,
                }),
                _preempt: preempt,
            }));
        }
    }

    Err(EINTR)
}
