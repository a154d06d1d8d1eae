// SPDX-License-Identifier: GPL-2.0

//! The lock of calls for offline CPUs.

use crate::{
    bindings,
    types::NotThreadSafe, //
};
use core::ptr::addr_of_mut;

/// Evidence that no other call for an offline CPU runs.
///
/// # Invariants
///
/// The current task holds the lock while an instance exists.
pub(super) struct Exclusive(NotThreadSafe);

/// Keeps other calls for an offline CPU from running, if none runs.
///
/// It is a raw spinlock: preemption is disabled while it is held, so that whoever holds it runs, and
/// for no longer than a vector takes.
///
/// Context: Any. Does not sleep.
pub(super) fn try_lock() -> Option<Exclusive> {
    let lock = addr_of_mut!(bindings::cpu_opv_offline_lock);
    // SAFETY: It is a static variable of C, which is initialised when it is defined.
    let is_locked = unsafe { bindings::raw_spin_trylock(lock) } != 0;

    // INVARIANT: The lock was just acquired.
    is_locked.then(|| Exclusive(NotThreadSafe))
}

impl Drop for Exclusive {
    fn drop(&mut self) {
        let lock = addr_of_mut!(bindings::cpu_opv_offline_lock);

        // SAFETY: By the type invariant, the current task holds the lock.
        unsafe { bindings::raw_spin_unlock(lock) };
    }
}
