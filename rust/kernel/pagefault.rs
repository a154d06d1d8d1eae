// SPDX-License-Identifier: GPL-2.0

//! Disabling page faults.
//!
//! C header: [`include/linux/uaccess.h`](srctree/include/linux/uaccess.h)

use crate::{
    bindings,
    types::NotThreadSafe, //
};

/// Evidence that page faults are disabled.
///
/// While it exists, an access to user memory that is not present fails instead of sleeping until it
/// is. Disabling preemption alone does not give this: where the kernel does not count preemption,
/// the fault handler cannot tell.
///
/// # Invariants
///
/// Page faults are disabled, once for each guard, while instances of this guard exist.
#[must_use = "page faults are enabled again when the guard is dropped"]
pub struct Guard(NotThreadSafe);

/// Disables page faults until the guard is dropped. Nests.
///
/// Context: Any. Does not disable preemption.
#[inline]
pub fn disable() -> Guard {
    // SAFETY: An FFI call with no additional requirements.
    unsafe { bindings::pagefault_disable() };
    // INVARIANT: Page faults were just disabled.
    Guard(NotThreadSafe)
}

impl Drop for Guard {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: By the type invariant, page faults were disabled for this guard.
        unsafe { bindings::pagefault_enable() };
    }
}
