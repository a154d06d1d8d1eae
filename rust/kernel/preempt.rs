// SPDX-License-Identifier: GPL-2.0

//! Disabling preemption.
//!
//! C headers: [`include/linux/preempt.h`](srctree/include/linux/preempt.h),
//! [`include/linux/sched.h`](srctree/include/linux/sched.h)

use crate::{
    bindings,
    cpu::CpuId,
    error::{
        to_result,
        Result, //
    },
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

/// Moves the current task to `cpu`, and disables preemption there until the guard is dropped.
///
/// The affinity of the task is obeyed, and not changed. The task competes for `cpu` by its own
/// policy and priority. Nobody waits for it meanwhile, as long as it holds nothing that others want.
///
/// Context: Process context, preemption and migration enabled. Sleeps until the task runs on `cpu`,
/// which takes as long as the tasks that come first there want it. What follows as above.
///
/// # Errors
///
/// - [`EINVAL`]: the task is not allowed on `cpu`, which is online.
/// - [`EBUSY`]: `cpu` is online but not active, and is not about to change.
/// - [`ENODEV`]: `cpu` is offline.
/// - [`EINTR`]: a fatal signal is pending.
///
/// [`EINVAL`]: crate::error::code::EINVAL
/// [`EBUSY`]: crate::error::code::EBUSY
/// [`ENODEV`]: crate::error::code::ENODEV
/// [`EINTR`]: crate::error::code::EINTR
///
/// # Examples
///
/// ```
/// use kernel::{
///     cpu::CpuId,
///     preempt, //
/// };
///
/// // The CPU that the test has just run on is most likely still there.
/// let cpu = CpuId::current();
/// let guard = preempt::disable_on(cpu)?;
/// assert_eq!(CpuId::current(), cpu);
/// drop(guard);
/// # Ok::<(), Error>(())
/// ```
pub fn disable_on(cpu: CpuId) -> Result<Guard> {
    // SAFETY: Any CPU number may be passed.
    to_result(unsafe { bindings::preempt_disable_on_cpu(cpu.as_u32()) })?;

    // INVARIANT: Preemption was just disabled.
    Ok(Guard(NotThreadSafe))
}

impl Drop for Guard {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: By the type invariant, preemption was disabled for this guard.
        unsafe { bindings::preempt_enable() };
    }
}
