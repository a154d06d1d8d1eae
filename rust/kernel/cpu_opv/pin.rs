// SPDX-License-Identifier: GPL-2.0

//! Pinning the pages of a plan.
//!
//! The pins are what keeps the operations from a page fault, and from the wrong memory: see
//! [`mm::gup`](kernel::mm::gup) for why they are pins and not references.
//!
//! A page that is pinned for reading stays the one at its address if it is anonymous memory, or if
//! the mapping is shared or not writable. Otherwise it is the page of a file in a private mapping
//! that is writable. The first store of any thread to its address replaces it, and what is loaded
//! from the old page afterwards is as if it had been loaded when the page was pinned. That is too
//! early if a barrier comes before the load, or a store of the vector to the file. So such a page
//! counts as not present then, and [`fault`](super::fault) has it replaced by an anonymous page
//! before the next attempt.
//!
//! The pages are pinned when the CPU has been reached: a task that waits for its CPU holds no pin,
//! and a vector sees each change of a mapping that was complete before. So there is nothing here
//! that sleeps.

use super::{
    fault::Miss,
    op::Vector,
    plan::{
        Plan,
        Share, //
    },
    preload::Preloaded,
    reach::Reached,
    user, //
};
use crate::{
    mm::gup::{
        self,
        Access,
        PinnedPage,
        PinnedPages,
        Slot, //
    },
    prelude::*, //
};

/// The pages of a plan, pinned.
///
/// They are unpinned when it is dropped, which may sleep.
pub(super) struct Pinned<'a> {
    plan: &'a Plan<'a>,
    /// The pages in the order of the plan. If all that is only read has been loaded before then
    /// they are those that are written.
    pages: PinnedPages<'a>,
    preloaded: Option<Preloaded>,
    /// Whether a barrier comes before the load of something that is only read.
    has_ordered_reads: bool,
    /// Whether what is only read has to be pinned, as far as it is known.
    pins_reads: bool,
}

impl<'a> Pinned<'a> {
    /// Returns the pages of `plan`, of which none is pinned yet, with `room` for the pins.
    #[inline]
    pub(super) fn new(vector: Vector<'_>, plan: &'a Plan<'a>, room: &'a mut [Slot]) -> Self {
        let has_reads = !plan.reads().is_empty();
        let has_ordered_reads = has_reads && vector.reads_behind_barrier();

        Self {
            plan,
            pages: PinnedPages::new(room),
            preloaded: None,
            has_ordered_reads,
            pins_reads: has_ordered_reads || has_reads && plan.read_len() > Preloaded::ROOM,
        }
    }

    /// Pins the pages, or loads from those that are only read. There must be no pins from an
    /// attempt before.
    ///
    /// What is pinned when this fails stays so.
    ///
    /// Context: Does not sleep.
    #[inline]
    pub(super) fn pin(&mut self, _on: &Reached, vector: Vector<'_>) -> Result<(), Miss> {
        self.pages.pin(self.plan.writes(), Access::Write)?;
        if !self.plan.reads().is_empty() {
            self.pins_reads = self.pins_reads || !self.preload(vector)?;
            if self.pins_reads {
                self.preloaded = None;
                self.pages.pin(self.plan.reads(), Access::Read)?;
            }
        }

        self.check()
    }

    /// Unpins the pages.
    ///
    /// Context: Process context. May sleep.
    #[inline]
    pub(super) fn unpin(&mut self) {
        self.pages.clear();
    }

    /// Returns for what the page at the address `page` is pinned, or nothing if it is not, as far
    /// as attempts have shown.
    pub(super) fn access(&self, page: usize) -> Option<Access> {
        match self.plan.access(page) {
            Access::Write => Some(Access::Write),
            Access::Read => self.pins_reads.then_some(Access::Read),
        }
    }

    /// Returns the page at the address `page`, if it is pinned, and its index in the plan, `near`
    /// which the next one often is.
    #[inline]
    pub(super) fn page(&self, page: usize, near: usize) -> Option<(PinnedPage<'_>, usize)> {
        let index = self.plan.find(page, near)?;

        Some((self.pages.get(index)?, index))
    }

    /// Returns what was loaded before.
    #[inline]
    pub(super) fn preloaded(&self) -> Option<&Preloaded> {
        self.preloaded.as_ref()
    }

    /// Loads what is only read before the vector runs, so that it needs no pin, if each operand is
    /// either pinned or not. Returns whether it is loaded.
    ///
    /// There has to be room for it, and no barrier may order it after what comes before. No
    /// operation may store to it before the one that reads it. None does at the same address, if no
    /// part of it is in a page that is written, nor at any other one, if those pages are anonymous:
    /// they are at one address only while they are pinned.
    #[inline]
    fn preload(&mut self, vector: Vector<'_>) -> Result<bool, Miss> {
        let plan = self.plan;

        if !self.writes_are_anon() {
            return Ok(false);
        }

        let preloaded = self.preloaded.insert(Preloaded::new());
        let result = vector.try_for_each_operand(|operand, access| {
            if access == Access::Write {
                return Ok(());
            }
            let start = user::untagged(operand.addr);
            match plan.written(start, operand.len as usize) {
                Share::All => Ok(()),
                Share::None => preloaded
                    .load(&operand)
                    .map_err(|_| NotPreloaded::NotPresent),
                Share::Part => Err(NotPreloaded::Part),
            }
        });

        match result {
            Ok(()) => Ok(true),
            Err(NotPreloaded::NotPresent) => Err(Miss),
            Err(NotPreloaded::Part) => Ok(false),
        }
    }

    /// Checks that the contents of the pages are there, and if it matters that the pages are the
    /// ones that stay at their addresses.
    #[inline]
    fn check(&self) -> Result<(), Miss> {
        if self.pages.iter().any(|page| page.is_hwpoison()) {
            return Err(Miss);
        }

        if self.pins_reads && (self.has_ordered_reads || !self.writes_are_anon()) {
            self.check_reads()
        } else {
            Ok(())
        }
    }

    /// Returns whether the pages that are written are anonymous: no other address shows them then.
    #[inline]
    fn writes_are_anon(&self) -> bool {
        let mut writes = self.pages.iter().take(self.plan.writes().len());

        writes.all(|page| page.is_anon())
    }

    #[inline(never)]
    fn check_reads(&self) -> Result<(), Miss> {
        let reads = self.plan.all().iter().copied().zip(self.pages.iter());
        let reads = reads.skip(self.plan.writes().len());
        let task = current!();

        match gup::is_any_replaceable(task.mm().ok_or(Miss)?, reads)? {
            true => Err(Miss),
            false => Ok(()),
        }
    }
}

/// Why not all that is only read was loaded before.
enum NotPreloaded {
    /// It is not present.
    NotPresent,
    /// A part of an operand is pinned, and the rest of it is not.
    Part,
}
