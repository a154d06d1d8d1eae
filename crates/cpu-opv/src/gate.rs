// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The gate, by which who holds the lock keeps sequences and vectors away.
//!
//! [`tier`](crate::tier) argues why that is enough. This file is compiled twice: here, and by
//! `tests/library/loom`, which runs it in all interleavings that the memory model allows. So it
//! takes its atomics from `crate::sync`, and what the kernel does from its caller.

use crate::sync::{fence, AtomicU32, Ordering};

/// Closes the gate. When this returns no sequence and no vector of the process is on its way, and
/// none begins before [`open`].
///
/// `fence_sequences` aborts the sequences that are on their way. `calls` has the flag of each
/// thread that may call cpu_opv(), and is called when the gate is closed.
pub(crate) fn close<'a, E, Calls: Iterator<Item = &'a AtomicU32>>(
    gate: &AtomicU32,
    fence_sequences: impl FnOnce() -> Result<(), E>,
    calls: impl FnOnce() -> Calls,
    pause: impl Fn(),
) -> Result<(), E> {
    gate.store(1, Ordering::Relaxed);
    // ORDERING: Pairs with the fence in `enter()`: either the call is seen here, or the closed gate
    // is seen there.
    fence(Ordering::SeqCst);
    fence_sequences()?;
    for calling in calls() {
        // ORDERING: Pairs with the store in `leave()`.
        while calling.load(Ordering::Acquire) != 0 {
            pause();
        }
    }
    Ok(())
}

/// Opens the gate.
pub(crate) fn open(gate: &AtomicU32) {
    // ORDERING: Pairs with the load of the gate in each sequence and in `enter()`: who sees that it
    // is open again sees what was stored while it was closed.
    gate.store(0, Ordering::Release);
}

/// Says that the thread is about to call cpu_opv(), and returns whether it may. Signals are blocked.
pub(crate) fn enter(gate: &AtomicU32, calling: &AtomicU32) -> bool {
    calling.store(1, Ordering::Relaxed);
    // ORDERING: Pairs with the fence in `close()`.
    fence(Ordering::SeqCst);
    // ORDERING: Pairs with the store in `open()`.
    gate.load(Ordering::Acquire) == 0
}

/// Says that the call is over.
pub(crate) fn leave(calling: &AtomicU32) {
    // ORDERING: Pairs with the load in `close()`: who sees it sees what the vector has stored.
    calling.store(0, Ordering::Release);
}
