// SPDX-License-Identifier: GPL-2.0

//! The pages that a vector touches.
//!
//! Operands often share pages, and pinning a page costs more than all else in a call, so a page is
//! listed once however many operands lie in it. A page that any operation stores to is listed for
//! writing. That is not only cheaper than a second pin for reading: two pins of one page for
//! different access may even be of different memory, the one for reading of a page that the one for
//! writing has replaced by a copy.
//!
//! Pure logic, which is also compiled and tested outside the kernel.

use super::op::{
    Access,
    Operand,
    Vector, //
};
use crate::page::PAGE_SIZE;

/// The number of pages that are listed without an allocation.
pub(super) const INLINE_PAGES: usize = 8;

/// Why there is no plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Error {
    /// An operand is outside of user memory.
    OutOfRange(Operand),
    /// There are more pages than room. This many would suffice.
    NeedsRoom(usize),
}

/// The user pages of a vector, by address.
#[derive(Debug)]
pub(super) struct Plan<'a> {
    /// The pages to write, then the pages only to read. No page is listed twice.
    pages: &'a mut [usize],
    nr_writes: usize,
}

impl<'a> Plan<'a> {
    /// Lists the pages of `vector` in `room`.
    ///
    /// `start` returns the address at which an operand starts, without a tag, if the whole of it is
    /// in user memory.
    pub(super) fn new(
        vector: Vector<'_>,
        start: impl Fn(&Operand) -> Option<usize>,
        room: &'a mut [usize],
    ) -> Result<Self, Error> {
        let mut list = List { room, len: 0 };

        list.add(vector, Access::Write, &start)?;
        let nr_writes = list.len;
        list.add(vector, Access::Read, &start)?;

        let List { room, len } = list;
        let pages = room.get_mut(..len).unwrap_or_default();
        Ok(Self { pages, nr_writes })
    }

    /// Returns the pages that are written.
    #[inline]
    pub(super) fn writes(&self) -> &[usize] {
        self.pages.get(..self.nr_writes).unwrap_or_default()
    }

    /// Returns the pages that are only read.
    #[inline]
    pub(super) fn reads(&self) -> &[usize] {
        self.pages.get(self.nr_writes..).unwrap_or_default()
    }

    /// Returns the pages that are written, followed by those that are only read.
    #[inline]
    pub(super) fn all(&self) -> &[usize] {
        self.pages
    }

    /// Returns the position of a page in the list of all.
    #[inline]
    pub(super) fn position(&self, page: usize) -> Option<usize> {
        self.pages.iter().position(|&known| known == page)
    }

    /// Returns how much of an area is in pages that are written.
    #[inline]
    pub(super) fn written(&self, start: usize, len: usize) -> Share {
        let is_written = |page| self.writes().contains(&page);
        let mut pages = pages(start, len);

        match (pages.next().map(is_written), pages.next().map(is_written)) {
            (Some(true), None | Some(true)) => Share::All,
            (Some(false), None | Some(false)) => Share::None,
            _ => Share::Part,
        }
    }

    /// Makes a page that is only read one that is written.
    pub(super) fn upgrade(&mut self, page: usize) {
        let reads = self.pages.get_mut(self.nr_writes..).unwrap_or_default();

        if let Some((first, rest)) = reads.split_first_mut() {
            if *first != page {
                let Some(read) = rest.iter_mut().find(|read| **read == page) else {
                    return;
                };
                core::mem::swap(first, read);
            }
            self.nr_writes += 1;
        }
    }
}

/// A share of an area.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Share {
    All,
    Part,
    None,
}

/// A list that grows in the room given.
struct List<'a> {
    room: &'a mut [usize],
    len: usize,
}

impl List<'_> {
    /// Adds the pages of the operands of one kind of access.
    #[inline]
    fn add(
        &mut self,
        vector: Vector<'_>,
        access: Access,
        start: impl Fn(&Operand) -> Option<usize>,
    ) -> Result<(), Error> {
        for (operand, _) in vector.operands().filter(|(_, this)| *this == access) {
            let start = start(&operand).ok_or(Error::OutOfRange(operand))?;
            for page in pages(start, operand.len as usize) {
                self.insert(page)
                    .map_err(|Full| Error::NeedsRoom(room_for(vector)))?;
            }
        }
        Ok(())
    }

    #[inline]
    fn insert(&mut self, page: usize) -> Result<(), Full> {
        if !self.room.iter().take(self.len).any(|&known| known == page) {
            *self.room.get_mut(self.len).ok_or(Full)? = page;
            self.len += 1;
        }
        Ok(())
    }
}

struct Full;

/// Returns the address of the page in which `addr` lies.
#[inline]
pub(super) fn page_of(addr: usize) -> usize {
    addr & !(PAGE_SIZE - 1)
}

/// Returns how many bytes there are from `addr` to the end of its page.
#[inline]
pub(super) fn to_page_end(addr: usize) -> usize {
    PAGE_SIZE - addr % PAGE_SIZE
}

/// Returns the pages of an area that is not empty, no longer than a page, and does not go on beyond
/// the end of the address space.
#[inline]
pub(super) fn pages(start: usize, len: usize) -> impl Iterator<Item = usize> {
    let first = page_of(start);
    let last = page_of(start.wrapping_add(len.wrapping_sub(1)));

    core::iter::once(first).chain((last != first).then_some(last))
}

/// Returns how many pages the vector touches at most.
fn room_for(vector: Vector<'_>) -> usize {
    vector.operands().count() * 2
}
