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
//! first store of any thread to its address replaces it, so it counts as not present, and
//! [`fault`](super::fault) has it replaced by an anonymous page before the next attempt.
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
        Access,
        PinnedPage,
        PinnedPages,
        Slot, //
    },
    page::PAGE_SIZE,
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
    /// Whether what is only read has to be pinned, as far as it is known.
    pins_reads: bool,
}

impl<'a> Pinned<'a> {
    /// Returns the pages of `plan`, of which none is pinned yet, with `room` for the pins.
    #[inline]
    pub(super) fn new(vector: Vector<'_>, plan: &'a Plan<'a>, room: &'a mut [Slot]) -> Self {
        Self {
            plan,
            pages: PinnedPages::new(room),
            preloaded: None,
            pins_reads: !plan.reads().is_empty()
                && (plan.read_len() > Preloaded::ROOM || vector.reads_behind_barrier()),
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
        pin_list(self.plan.writes(), Access::Write, &mut self.pages)?;
        if !self.plan.reads().is_empty() {
            self.pins_reads = self.pins_reads || !self.preload(vector)?;
            if self.pins_reads {
                self.preloaded = None;
                pin_list(self.plan.reads(), Access::Read, &mut self.pages)?;
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

    /// Returns the page at the address `page`, if it is pinned, and its index in the plan, from
    /// which the next one is best searched for.
    #[inline]
    pub(super) fn page(&self, page: usize, from: usize) -> Option<(PinnedPage<'_>, usize)> {
        let index = self.plan.find(page, from)?;

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

        if !self.pages.iter().all(|page| page.is_anon()) {
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

    /// Checks that the pages are there, and are the ones that stay at their addresses.
    #[inline]
    fn check(&self) -> Result<(), Miss> {
        let nr_writes = self.plan.writes().len();

        for (index, (&addr, page)) in self.plan.all().iter().zip(self.pages.iter()).enumerate() {
            if page.is_hwpoison() || index >= nr_writes && is_replaceable(page, addr)? {
                return Err(Miss);
            }
        }

        Ok(())
    }
}

/// Why not all that is only read was loaded before.
enum NotPreloaded {
    /// It is not present.
    NotPresent,
    /// A part of an operand is pinned, and the rest of it is not.
    Part,
}

/// Returns whether a store of the process to `addr` replaces `page`, which it has there.
#[inline]
fn is_replaceable(page: PinnedPage<'_>, addr: usize) -> Result<bool, Miss> {
    let task = current!();
    let mm = task.mm().ok_or(Miss)?;

    Ok(page.is_replaceable(mm, addr)?)
}

/// Pins the pages of a list in as few calls as there are runs of adjacent ones.
#[inline]
fn pin_list(list: &[usize], access: Access, pages: &mut PinnedPages<'_>) -> Result {
    let mut rest = list;

    while let Some(&start) = rest.first() {
        let next = |page: &usize| page.checked_add(PAGE_SIZE);
        let adjacent = rest.iter().zip(core::iter::successors(Some(start), next));
        let nr_pages = adjacent.take_while(|(&page, next)| page == *next).count();

        pages.pin(start, nr_pages, access)?;
        rest = rest.get(nr_pages..).unwrap_or_default();
    }

    Ok(())
}
