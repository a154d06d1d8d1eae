// SPDX-License-Identifier: GPL-2.0

//! Pinning the pages of a plan.
//!
//! The pins are what keeps the operations from a page fault, and from the wrong memory: see
//! [`mm::gup`](kernel::mm::gup) for why they are pins and not references. Pages to write are pinned
//! first, since this may replace them, and a page that is pinned for reading afterwards is the
//! current one.
//!
//! It stays the current one if it is anonymous memory, or if the mapping is shared or not writable.
//! Otherwise it is the zero page or the page of a file in a private mapping that is writable. The
//! first store of any thread to its address replaces it, so it is pinned for writing instead: this
//! replaces it at once. To pin every page for writing would be simpler, but the comparison of a
//! file would then mark it dirty and allocate its blocks.
//!
//! Pinning one page can sleep for as long as another thread wants, with a userfaultfd. Pages that
//! are pinned already would stay so for as long. Hence a first attempt takes what is present. If
//! that is not all then its pins are released, everything is made present, and a second attempt
//! takes what is not present any more, too.

use super::{
    exec::View,
    loaded::Loaded,
    op::{
        Access,
        Operand,
        Vector, //
    },
    plan::{
        self,
        Plan,
        Share, //
    },
    reach,
    run::{
        self,
        Outcome, //
    },
    user, //
};
use crate::{
    cpu::CpuId,
    mm::{
        gup::{
            self,
            Faults,
            PinnedPage,
            PinnedPages,
            Slot, //
        },
        virt::flags, //
    },
    page::PAGE_SIZE,
    prelude::*, //
};

/// How often a vector is started over because of a fault before it is given a way to run without.
/// One more time than none is enough, unless memory is taken away as fast as it is made present.
pub(super) const ATTEMPTS: usize = 2;

/// The pages of a plan, pinned.
pub(super) struct Pinned<'a> {
    plan: Plan<'a>,
    /// The pages in the order of the plan. If all that is only read is loaded ahead then they are
    /// those that are written.
    pages: PinnedPages<'a>,
    loaded: Option<Loaded>,
}

/// Why the pages of a plan were not pinned.
enum Failure {
    /// The page at this address is not accessible.
    Fault(usize),
    /// The page at this address has to be pinned for writing.
    ReadOnly(usize),
    /// The system call fails.
    Error(Error),
}

/// Why not all that is only read was loaded ahead.
enum NotLoaded {
    /// It is not present.
    Fault,
    /// A part of an operand is pinned, and the rest of it is not.
    Part,
}

/// How memory is accessed that is only read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reads {
    /// It is loaded before the vector runs, if that is possible.
    Ahead,
    /// Its pages are pinned.
    Pinned,
}

/// Runs a vector on its pages, pinned in the room that `slots` gives.
///
/// Context: Process context. May sleep.
///
/// # Errors
///
/// - [`EFAULT`], or [`EAGAIN`] if the caller is prepared for it: an operand is not accessible.
/// - [`ENOMEM`]: there is no memory.
/// - Those of [`reach::reach`].
pub(super) fn run(
    vector: Vector<'_>,
    plan: Plan<'_>,
    slots: &mut [Slot],
    cpu: CpuId,
) -> Result<Outcome> {
    let mut pinned = Pinned {
        plan,
        pages: PinnedPages::new(slots),
        loaded: None,
    };

    for _ in 0..ATTEMPTS {
        pinned.pin(vector, Reads::Ahead)?;

        let reached = reach::reach(cpu)?;
        match pinned.load(vector) {
            Ok(()) => return pinned.run(vector),
            Err(NotLoaded::Part) => break,
            Err(NotLoaded::Fault) => {}
        }
        drop(reached);

        pinned.pages.clear();
        fault_in(vector)?;
    }

    pinned.pages.clear();
    pinned.pin(vector, Reads::Pinned)?;
    let _reached = reach::reach(cpu)?;
    pinned.run(vector)
}

impl Pinned<'_> {
    /// Returns the page at the address `page`, if it is pinned.
    #[inline]
    pub(super) fn page(&self, page: usize) -> Option<PinnedPage<'_>> {
        let index = self.plan.all().iter().position(|&known| known == page)?;
        self.pages.get(index)
    }

    /// Runs the operations.
    #[inline]
    fn run(&self, vector: Vector<'_>) -> Result<Outcome> {
        let mut view = View::new(self);
        Ok(run::run(vector, &mut view)?)
    }

    /// Returns what was loaded ahead.
    #[inline]
    pub(super) fn loaded(&self) -> Option<&Loaded> {
        self.loaded.as_ref()
    }

    /// Pins the pages.
    fn pin(&mut self, vector: Vector<'_>, reads: Reads) -> Result {
        let mut faults = Faults::Refuse;

        // Every turn but two makes a page of the plan one for writing, so there are not many.
        loop {
            let Err(failure) = self.attempt(vector, reads, faults) else {
                return Ok(());
            };
            self.pages.clear();

            match failure {
                Failure::ReadOnly(page) => self.plan.upgrade(page),
                Failure::Fault(_) if faults == Faults::Refuse => {
                    fault_in(vector)?;
                    faults = Faults::Handle;
                }
                Failure::Fault(page) => return Err(fault(operand_in(vector, page))),
                Failure::Error(error) => return Err(error),
            }
        }
    }

    fn attempt(&mut self, vector: Vector<'_>, reads: Reads, faults: Faults) -> Result<(), Failure> {
        pin_list(
            self.plan.writes(),
            gup::Access::Write,
            faults,
            &mut self.pages,
        )?;

        if reads == Reads::Pinned || !self.can_load(vector) {
            pin_list(
                self.plan.reads(),
                gup::Access::Read,
                faults,
                &mut self.pages,
            )?;
        }

        check(&self.plan, &self.pages)
    }

    /// Returns whether what is only read can be loaded before the vector runs, as long as each
    /// operand is either pinned or not.
    ///
    /// No operation may store to it before the one that reads it. None does at the same address, if
    /// no part of it is in a page that is written, nor at any other one, if those pages are
    /// anonymous: they are at one address only while they are pinned. And no barrier may order it
    /// after what comes before.
    #[inline]
    fn can_load(&self, vector: Vector<'_>) -> bool {
        self.plan.reads().is_empty()
            || self.plan.read_len() <= Loaded::ROOM
                && !vector.reads_behind_barrier()
                && self.pages.iter().all(|page| page.is_anon())
    }

    /// Loads what is not pinned.
    #[inline]
    fn load(&mut self, vector: Vector<'_>) -> Result<(), NotLoaded> {
        if self.pages.len() == self.plan.all().len() {
            return Ok(());
        }

        let loaded = self.loaded.insert(Loaded::new());
        vector.try_for_each_operand(|operand, access| {
            if access == Access::Write {
                return Ok(());
            }
            let start = user::untagged(operand.addr);
            match self.plan.written(start, operand.len as usize) {
                Share::All => Ok(()),
                Share::None => loaded.load(&operand).map_err(|_| NotLoaded::Fault),
                Share::Part => Err(NotLoaded::Part),
            }
        })
    }
}

/// Pins the pages of a list in as few calls as there are runs of adjacent ones.
fn pin_list(
    list: &[usize],
    access: gup::Access,
    faults: Faults,
    pages: &mut PinnedPages<'_>,
) -> Result<(), Failure> {
    let mut rest = list;

    while let Some(&start) = rest.first() {
        let next = |page: &usize| page.checked_add(PAGE_SIZE);
        let adjacent = rest.iter().zip(core::iter::successors(Some(start), next));
        let nr_pages = adjacent.take_while(|(&page, next)| page == *next).count();
        let before = pages.len();

        pages
            .pin(start, nr_pages, access, faults)
            .map_err(|error| {
                let unpinned = rest.get(pages.len() - before).unwrap_or(&start);
                if error == EFAULT {
                    Failure::Fault(*unpinned)
                } else {
                    Failure::Error(error)
                }
            })?;
        rest = rest.get(nr_pages..).unwrap_or_default();
    }

    Ok(())
}

/// Checks that the pinned pages are there, and are the ones that stay at their addresses.
fn check(plan: &Plan<'_>, pages: &PinnedPages<'_>) -> Result<(), Failure> {
    let nr_writes = plan.writes().len();

    for (index, (&addr, page)) in plan.all().iter().zip(pages.iter()).enumerate() {
        if page.is_hwpoison() {
            return Err(Failure::Fault(addr));
        }
        if index >= nr_writes && !page.is_anon() && is_private_writable(addr)? {
            return Err(Failure::ReadOnly(addr));
        }
    }

    Ok(())
}

/// Returns whether a store of the process to `addr` replaces a page that is not anonymous.
fn is_private_writable(addr: usize) -> Result<bool, Failure> {
    let task = current!();
    let mm = task.mm().ok_or(Failure::Fault(addr))?;
    let map = mm.mmap_read_lock_killable().map_err(Failure::Error)?;
    let vma = map.vma_lookup(addr).ok_or(Failure::Fault(addr))?;

    Ok(vma.flags() & (flags::SHARED | flags::WRITE) == flags::WRITE)
}

/// Makes the memory of all operands present.
///
/// Context: Process context. May sleep. No page may be pinned, for it may take forever.
///
/// # Errors
///
/// - [`EFAULT`], or [`EAGAIN`] if the caller is prepared for it: an operand is not accessible.
/// - [`ENOMEM`]: there is no memory.
/// - [`EINTR`]: a fatal signal is pending.
#[cold]
pub(super) fn fault_in(vector: Vector<'_>) -> Result {
    vector.try_for_each_operand(|operand, access| {
        let addr = user::ptr(operand.addr);
        let len = operand.len as usize;
        let start = user::start(&operand).ok_or_else(|| fault(Some(operand)))?;

        match access {
            Access::Read => gup::fault_in_readable(addr, len),
            Access::Write => gup::fault_in_safe_writeable(addr, len),
        }
        .or_else(|_| {
            // This does not tell a lack of memory from that of access. A pin does.
            let access = match access {
                Access::Read => gup::Access::Read,
                Access::Write => gup::Access::Write,
            };
            plan::pages(start, len).try_for_each(|page| {
                PinnedPages::new(&mut [0]).pin(page, 1, access, Faults::Handle)
            })
        })
        .map_err(|error| {
            if error == EFAULT {
                fault(Some(operand))
            } else {
                error
            }
        })
    })
}

/// Returns the first operand that has a part in the page at the address `page`.
fn operand_in(vector: Vector<'_>, page: usize) -> Option<Operand> {
    let search = vector.try_for_each_operand(|operand, _| {
        let start = user::untagged(operand.addr);
        if plan::pages(start, operand.len as usize).any(|this| this == page) {
            Err(operand)
        } else {
            Ok(())
        }
    });

    search.err()
}

/// Returns the error for an operand that is not accessible.
pub(super) fn fault(operand: Option<Operand>) -> Error {
    match operand {
        _ if current!().fatal_signal_pending() => EINTR,
        Some(operand) if operand.expect_fault => EAGAIN,
        _ => EFAULT,
    }
}
