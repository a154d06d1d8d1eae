// SPDX-License-Identifier: GPL-2.0 OR MIT

//! A ring buffer of one CPU.

use core::cell::UnsafeCell;
use core::ffi::c_int;
use core::fmt;
use core::mem::MaybeUninit;
use core::sync::atomic::{AtomicUsize, Ordering};

use crate::{error::Error, percpu::Ops, sys::CPU_OP_DATA_LEN_MAX};

/// Set in the state of a slot that was reserved and given up.
const DISCARDED: usize = 1 << (usize::BITS - 1);

// A position counts the records from the start, and the slot of a position is its remainder by the
// number of slots.
//
// INVARIANT: `tail <= head <= tail + N`. The record of a position from `tail` to `head` belongs to
// who has reserved it until the state of its slot is one more than the position; then it is what
// was written, until `tail` is past it. Every other record is free.
#[repr(C)]
struct Slot<T> {
    state: AtomicUsize,
    record: UnsafeCell<MaybeUninit<T>>,
}

/// A ring buffer of `N` records, of one CPU: threads reserve records and commit them, those on that
/// CPU without an atomic instruction, and any thread takes them in the order in which they were
/// reserved.
///
/// It can be in memory that processes share. One of them makes it there, of [`Ops::shared`], and a
/// record has to mean the same to all of them.
///
/// # Examples
///
/// ```
/// use cpu_opv::{Ops, PerCpu, Ring};
///
/// let trace = PerCpu::new(|cpu| Ring::<(u32, u32), 64>::new(Ops::private(), cpu));
/// let (_, ring) = trace.current();
/// if let Some(reserved) = ring.reserve()? {
///     reserved.commit((1, 2));
/// }
/// assert_eq!(ring.pop()?, Some((1, 2)));
/// assert_eq!(ring.pop()?, None);
/// # Ok::<(), cpu_opv::Error>(())
/// ```
#[repr(C)]
pub struct Ring<T, const N: usize> {
    // All operations are of one kind and for one CPU.
    ops: Ops,
    cpu: c_int,
    head: AtomicUsize,
    tail: AtomicUsize,
    slots: [Slot<T>; N],
}

// SAFETY: By the invariant, a record is one thread's at a time.
unsafe impl<T: Copy + Send, const N: usize> Sync for Ring<T, N> {}

impl<T, const N: usize> fmt::Debug for Ring<T, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ring")
            .field("head", &self.head)
            .field("tail", &self.tail)
            .finish_non_exhaustive()
    }
}

impl<T: Copy, const N: usize> Ring<T, N> {
    /// Returns an empty ring buffer of a CPU.
    pub const fn new(ops: Ops, cpu: c_int) -> Self {
        const {
            assert!(N.is_power_of_two(), "positions wrap around");
            assert!(
                size_of::<T>() <= CPU_OP_DATA_LEN_MAX,
                "a record is copied by one operation"
            );
        }
        Ring {
            ops,
            cpu,
            head: AtomicUsize::new(0),
            tail: AtomicUsize::new(0),
            slots: [const {
                Slot {
                    state: AtomicUsize::new(0),
                    record: UnsafeCell::new(MaybeUninit::uninit()),
                }
            }; N],
        }
    }

    fn slot(&self, position: usize) -> &Slot<T> {
        &self.slots[position % N]
    }

    /// Reserves the next record, if one is free.
    ///
    /// # Errors
    ///
    /// Those of [`Ops`].
    pub fn reserve(&self) -> Result<Option<Reserved<'_, T>>, Error> {
        loop {
            let position = self.head.load(Ordering::Relaxed);
            // ORDERING: Pairs with the store of `pop()`: who sees that the record is free comes
            // after who has copied it.
            let tail = self.tail.load(Ordering::Acquire);

            if position.wrapping_sub(tail) >= N {
                return Ok(None);
            }
            // INVARIANT: `tail` does not go back, so the record is still free.
            let next = position.wrapping_add(1);
            if self
                .ops
                .compare_store(&self.head, position, next, self.cpu)?
                .is_ok()
            {
                return Ok(Some(Reserved {
                    slot: self.slot(position),
                    committed: next & !DISCARDED,
                }));
            }
        }
    }

    /// Takes the oldest record, if there is one and it was committed.
    ///
    /// # Errors
    ///
    /// Those of [`Ops`].
    pub fn pop(&self) -> Result<Option<T>, Error> {
        loop {
            let position = self.tail.load(Ordering::Relaxed);
            let slot = self.slot(position);
            let next = position.wrapping_add(1);
            let mut record = MaybeUninit::<T>::uninit();
            // ORDERING: Pairs with the store of `commit()`: who sees it sees the record.
            let state = slot.state.load(Ordering::Acquire);

            if state & !DISCARDED != next & !DISCARDED {
                return Ok(None);
            }
            // SAFETY: While `tail` is this position, the record is committed, and nobody writes to
            // it. To write to it a thread has to see another `tail`, which only an operation for
            // this CPU stores.
            let done = unsafe {
                self.ops.compare_copy_store(
                    &self.tail,
                    position,
                    record.as_mut_ptr().cast(),
                    slot.record.get().cast_const().cast(),
                    size_of::<T>(),
                    next,
                    self.cpu,
                )
            }?;
            if done.is_ok() && state & DISCARDED == 0 {
                // SAFETY: It was copied from a record that was committed.
                return Ok(Some(unsafe { record.assume_init() }));
            }
        }
    }
}

/// A record that was reserved. Those behind it wait until it is committed or dropped.
///
/// # Examples
///
/// ```
/// use cpu_opv::{Ops, Ring};
///
/// let ring = Ring::<u32, 4>::new(Ops::private(), 0);
/// let (first, second) = (ring.reserve()?.unwrap(), ring.reserve()?.unwrap());
/// second.commit(2);
/// assert_eq!(ring.pop()?, None);
/// drop(first);
/// assert_eq!(ring.pop()?, Some(2));
/// # Ok::<(), cpu_opv::Error>(())
/// ```
#[must_use = "the record is discarded when it is dropped"]
pub struct Reserved<'a, T> {
    slot: &'a Slot<T>,
    committed: usize,
}

impl<T> fmt::Debug for Reserved<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reserved").finish_non_exhaustive()
    }
}

impl<T: Copy> Reserved<'_, T> {
    /// Writes the record and lets it be taken.
    pub fn commit(self, record: T) {
        // SAFETY: By the invariant, the record is this thread's alone.
        unsafe { (*self.slot.record.get()).write(record) };
        // ORDERING: Pairs with the load of `pop()`.
        self.slot.state.store(self.committed, Ordering::Release);
        core::mem::forget(self);
    }
}

impl<T> Drop for Reserved<'_, T> {
    fn drop(&mut self) {
        // ORDERING: Pairs with the load of `pop()`.
        self.slot
            .state
            .store(self.committed | DISCARDED, Ordering::Release);
    }
}
