// SPDX-License-Identifier: GPL-2.0

//! Disabling preemption.
//!
//! C header: [`include/linux/preempt.h`](srctree/include/linux/preempt.h)

use crate::{
    bindings,
    types::NotThreadSafe, //
};

/// Evidence that preemption is disabled.
///
/// While it exists the task stays on its CPU, and no other task runs there. Interrupts do.
///
/// # Invariants
///
/// Preemption is disabled, once for each guard, while instances of this guard exist.
#[must_use = "preemption is enabled again when the guard is dropped"]
pub struct Guard(NotThreadSafe);

/// Disables preemption until the guard is dropped. Nests.
///
/// Context: Any. What follows must not sleep, nor allocate memory in a way that sleeps, and on
/// `PREEMPT_RT` it must not acquire a spinlock either.
///
/// # Examples
///
/// ```
/// use kernel::{
///     cpu::CpuId,
///     preempt, //
/// };
///
/// let guard = preempt::disable();
/// assert_eq!(CpuId::current(), CpuId::current());
/// drop(guard);
/// ```
#[inline]
pub fn disable() -> Guard {
    // SAFETY: An FFI call with no additional requirements.
    unsafe { bindings::preempt_disable() };
    // INVARIANT: Preemption was just disabled.
    Guard(NotThreadSafe)
}

impl Drop for Guard {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: By the type invariant, preemption was disabled for this guard.
        unsafe { bindings::preempt_enable() };
    }
}
