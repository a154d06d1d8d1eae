// SPDX-License-Identifier: GPL-2.0

//! CPU hotplug.
//!
//! C header: [`include/linux/cpuhplock.h`](srctree/include/linux/cpuhplock.h)

use super::CpuId;
use crate::{
    bindings,
    types::NotThreadSafe, //
};

/// Evidence that no CPU goes online or offline.
///
/// # Invariants
///
/// The CPU hotplug lock is held for reading by the current task while instances of this guard
/// exist.
#[must_use = "CPUs come and go again when the guard is dropped"]
pub struct ReadGuard(NotThreadSafe);

/// Keeps CPUs from going online or offline until the guard is dropped, unless one is about to.
///
/// There is no way to wait for it: a reader that sleeps is given the lock before it runs, and keeps
/// it until it has its turn.
///
/// Context: Any. Does not sleep. Preemption should be disabled, so that others do not wait for the
/// task to have its turn.
///
/// # Examples
///
/// ```
/// use kernel::{
///     cpu::{
///         hotplug,
///         CpuId, //
///     },
///     preempt, //
/// };
///
/// let preempt = preempt::disable();
/// if let Some(guard) = hotplug::try_read_lock() {
///     assert!(guard.is_online(CpuId::current()));
/// }
/// drop(preempt);
/// ```
#[inline]
pub fn try_read_lock() -> Option<ReadGuard> {
    // SAFETY: An FFI call with no additional requirements.
    let is_locked = unsafe { bindings::cpus_read_trylock() } != 0;

    // INVARIANT: The lock was just acquired.
    is_locked.then(|| ReadGuard(NotThreadSafe))
}

impl ReadGuard {
    /// Returns whether `cpu` is online, which it stays or not for the life of the guard.
    #[inline]
    pub fn is_online(&self, cpu: CpuId) -> bool {
        // SAFETY: By the type invariant of `CpuId`, `cpu` is a valid CPU number.
        unsafe { bindings::cpu_online(cpu.as_u32()) }
    }
}

impl Drop for ReadGuard {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: By the type invariant, the current task holds the lock for this guard.
        unsafe { bindings::cpus_read_unlock() };
    }
}

/// Returns whether `cpu` may ever be online.
#[inline]
pub fn is_possible(cpu: CpuId) -> bool {
    // SAFETY: By the type invariant of `CpuId`, `cpu` is a valid CPU number.
    unsafe { bindings::cpu_possible(cpu.as_u32()) }
}
