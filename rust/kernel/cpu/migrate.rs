// SPDX-License-Identifier: GPL-2.0

//! Moving the current task to a CPU.
//!
//! C header: [`include/linux/sched.h`](srctree/include/linux/sched.h)

use super::CpuId;
use crate::{
    bindings,
    error::{
        to_result,
        Result, //
    },
    types::NotThreadSafe, //
};

/// Evidence that the current task stays on its CPU.
///
/// Unlike a [`preempt::Guard`](crate::preempt::Guard), it lets other tasks run there.
///
/// # Invariants
///
/// Migration of the current task is disabled, once for each guard, while instances of this guard
/// exist.
#[must_use = "the task may be moved again when the guard is dropped"]
pub struct Guard(NotThreadSafe);

/// Moves the current task to `cpu` and keeps it there until the guard is dropped.
///
/// The affinity of the task is respected, and not changed. The guard keeps `cpu` online, so what
/// follows should be short, must not acquire the CPU hotplug lock, and must not wait for a task
/// that may.
///
/// Context: Process context, migration enabled. Sleeps until the task runs on `cpu`, which takes as
/// long as the tasks that come first there want it.
///
/// # Errors
///
/// - [`EINVAL`]: the task is not allowed on `cpu`.
/// - [`EBUSY`]: `cpu` is not active: it is offline, or on its way up or down. Those who have to
///   tell these apart can try again with a [`hotplug::ReadGuard`](super::hotplug::ReadGuard).
/// - [`EINTR`]: a fatal signal is pending.
///
/// [`EINVAL`]: crate::error::code::EINVAL
/// [`EBUSY`]: crate::error::code::EBUSY
/// [`EINTR`]: crate::error::code::EINTR
pub fn disable_on(cpu: CpuId) -> Result<Guard> {
    // SAFETY: Any CPU number may be passed.
    to_result(unsafe { bindings::migrate_disable_on_cpu(cpu.as_u32()) })?;

    // INVARIANT: Migration was just disabled.
    Ok(Guard(NotThreadSafe))
}

impl Drop for Guard {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: By the type invariant, migration was disabled for this guard.
        unsafe { bindings::migrate_enable() };
    }
}
