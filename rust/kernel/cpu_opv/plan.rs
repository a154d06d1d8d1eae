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

use super::{
    op::{
        Operand,
        Vector,
        VEC_LEN_MAX, //
    },
    page::{
        ends,
        Recent, //
    },
};
use crate::mm::gup::Access;

/// The number of pages that are listed without an allocation.
pub(super) const INLINE_PAGES: usize = 8;

/// The number of pages that an operand can be in, since it is no longer than a page.
pub(super) const OPERAND_PAGES: usize = 2;

/// The number of pages that there can be: an operation has two operands at most.
pub(super) const MAX_PAGES: usize = OPERAND_PAGES * 2 * VEC_LEN_MAX;

/// Why there is no plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Error {
    /// An operand is outside of user memory.
    OutOfRange(Operand),
    /// There are more pages than room.
    NoRoom,
}

/// The user pages of a vector, by address.
#[derive(Debug)]
pub(super) struct Plan<'a> {
    /// The pages to write, then the pages only to read, both by address. No page is listed twice.
    pages: &'a mut [usize],
    nr_writes: usize,
    read_len: usize,
}

impl<'a> Plan<'a> {
    /// Lists the pages of `vector` in `room`, or in what `more_room` returns if that is not enough.
    ///
    /// `start` returns the address at which an operand starts, without a tag, if the whole of it is
    /// in user memory, which is made of whole pages.
    #[inline]
    pub(super) fn new(
        vector: Vector<'_>,
        start: impl Fn(&Operand) -> Option<usize>,
        room: &'a mut [usize],
        more_room: impl FnOnce() -> Option<&'a mut [usize]>,
    ) -> Result<Self, Error> {
        let mut list = List {
            room,
            more_room: Some(more_room),
            len: 0,
            written: 0,
            read_len: 0,
        };
        // Operations that follow each other are often on one page.
        let mut written = Recent::NONE;

        vector.try_for_each_operand(|operand, access| {
            if written.has(operand.addr, operand.len) {
                return Ok(());
            }
            let start = start(&operand).ok_or(Error::OutOfRange(operand))?;
            list.add_operand(start, operand.len as usize, access)
                .map_err(|Full| Error::NoRoom)?;
            if access == Access::Write {
                written = Recent::page_of(operand.last());
            }
            Ok(())
        })?;

        Ok(list.plan())
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

    /// Returns where in the list the page at the address `page` is. The page at the index `near`
    /// and the one behind it are looked at first: an operand is often in the page of the one
    /// before, or goes on in the next page.
    #[inline]
    pub(super) fn find(&self, page: usize, near: usize) -> Option<usize> {
        match self.pages.get(near..) {
            Some(&[known, ..]) if known == page => Some(near),
            Some(&[_, next, ..]) if next == page => Some(near + 1),
            _ => self.search(page),
        }
    }

    #[inline(never)]
    fn search(&self, page: usize) -> Option<usize> {
        match self.reads().binary_search(&page) {
            Ok(index) => Some(self.nr_writes + index),
            Err(_) => self.writes().binary_search(&page).ok(),
        }
    }

    /// Returns what is done to the page at the address `page`.
    #[inline]
    pub(super) fn access(&self, page: usize) -> Access {
        match self.writes().binary_search(&page) {
            Ok(_) => Access::Write,
            Err(_) => Access::Read,
        }
    }

    /// Returns for how many bytes there has to be room if all operands are loaded that are only
    /// read: at least for those outside of the pages that are written, a word for each integer.
    #[inline]
    pub(super) fn read_len(&self) -> usize {
        self.read_len
    }

    /// Returns how much of an area is in pages that are written.
    #[inline]
    pub(super) fn written(&self, start: usize, len: usize) -> Share {
        let (first, last) = ends(start, len);
        let is_written = |page| self.access(page) == Access::Write;

        match is_written(first) {
            share if first != last && is_written(last) != share => Share::Part,
            true => Share::All,
            false => Share::None,
        }
    }
}

/// A plan in the making.
struct List<'a, F> {
    /// The pages, by address.
    room: &'a mut [usize],
    /// What returns a larger room, unless it has been called.
    more_room: Option<F>,
    len: usize,
    /// A bit for each of them that is written.
    written: u64,
    read_len: usize,
}

struct Full;

impl<'a, F: FnOnce() -> Option<&'a mut [usize]>> List<'a, F> {
    /// Adds the pages of an operand.
    ///
    /// Out of line: most operands are in a page that has just been added, and get no further than
    /// the caller.
    #[inline(never)]
    fn add_operand(&mut self, start: usize, len: usize, access: Access) -> Result<(), Full> {
        let (first, last) = ends(start, len);

        self.add(first, access)?;
        if last != first {
            self.add(last, access)?;
        }
        if access == Access::Read {
            // The few lengths are limited, so this does not wrap.
            self.read_len = self.read_len.wrapping_add(len.max(size_of::<u64>()));
        }
        Ok(())
    }

    /// Adds a page, unless it is listed already.
    #[inline]
    fn add(&mut self, page: usize, access: Access) -> Result<(), Full> {
        let pages = self.room.get(..self.len).unwrap_or_default();
        // Operations often go from one page to the next.
        let index = match pages.last() {
            Some(&last) if page < last => pages.binary_search(&page),
            Some(&last) if page == last => Ok(self.len.wrapping_sub(1)),
            _ => Err(self.len),
        };
        let index = match index {
            Ok(index) => index,
            Err(index) => {
                self.insert(index, page)?;
                index
            }
        };
        if access == Access::Write {
            self.written |= Self::bit(index);
        }

        Ok(())
    }

    /// Inserts a page, which is not written as far as is known.
    #[inline]
    fn insert(&mut self, index: usize, page: usize) -> Result<(), Full> {
        let below = Self::bit(index).wrapping_sub(1);

        if self.len == self.room.len() {
            self.grow()?;
        }
        *self.room.get_mut(self.len).ok_or(Full)? = page;
        last_to_first(self.room.get_mut(index..=self.len).unwrap_or_default());
        self.written = self.written & below | (self.written & !below) << 1;
        self.len += 1;
        Ok(())
    }

    /// Goes on in a larger room.
    #[cold]
    fn grow(&mut self) -> Result<(), Full> {
        let more_room = self.more_room.take().ok_or(Full)?;
        let room = more_room().ok_or(Full)?;

        for (to, &from) in room.iter_mut().zip(self.room.iter()) {
            *to = from;
        }
        self.room = room;
        Ok(())
    }

    /// Puts the pages that are written before the others.
    #[inline]
    fn plan(self) -> Plan<'a> {
        let pages = self.room.get_mut(..self.len).unwrap_or_default();
        // The first of them are in place already.
        let mut nr_writes = self.written.trailing_ones() as usize;
        let mut moving = self.written & self.written.wrapping_add(1);

        while moving != 0 {
            let index = moving.trailing_zeros() as usize;
            last_to_first(pages.get_mut(nr_writes..=index).unwrap_or_default());
            nr_writes += 1;
            moving &= moving - 1;
        }

        Plan {
            pages,
            nr_writes,
            read_len: self.read_len,
        }
    }

    #[inline]
    fn bit(index: usize) -> u64 {
        const { assert!(MAX_PAGES <= u64::BITS as usize) };
        // CAST: There are no more than that many pages.
        1u64.wrapping_shl(index as u32)
    }
}

impl Operand {
    /// Returns the address of its last byte.
    #[inline]
    fn last(&self) -> u64 {
        let end = self.addr.wrapping_add(u64::from(self.len));

        end.wrapping_sub(1)
    }
}

/// Moves the last of these pages to the first place. The others move up, in order.
#[inline]
fn last_to_first(pages: &mut [usize]) {
    let mut moving = pages.last().copied().unwrap_or_default();

    for place in pages {
        core::mem::swap(place, &mut moving);
    }
}

/// A share of an area.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Share {
    All,
    Part,
    None,
}

#[macros::kunit_tests(rust_cpu_opv_plan)]
mod tests {
    use super::{
        super::op::{
            RawOp,
            VEC_LEN_MAX, //
        },
        *, //
    };
    use crate::page::PAGE_SIZE;
    use crate::uapi::{
        cpu_op_type_CPU_ADD_OP as ADD,
        cpu_op_type_CPU_COMPARE_EQ_OP as COMPARE_EQ,
        cpu_op_type_CPU_MB_OP as MB,
        cpu_op_type_CPU_MEMCPY_OP as MEMCPY, //
    };

    const P: usize = PAGE_SIZE;
    /// The last page of the address space.
    const LAST: usize = usize::MAX - (P - 1);

    fn compare(a: usize, b: usize, len: u32) -> RawOp {
        raw(COMPARE_EQ, len, a, b)
    }

    fn copy(dst: usize, src: usize, len: u32) -> RawOp {
        raw(MEMCPY, len, dst, src)
    }

    fn add(p: usize, len: u32) -> RawOp {
        raw(ADD, len, p, 1)
    }

    fn raw(op: u32, len: u32, first: usize, second: usize) -> RawOp {
        RawOp {
            op: op as i32,
            len,
            args: [first as u64, second as u64, 0],
        }
    }

    fn anywhere(operand: &Operand) -> Option<usize> {
        usize::try_from(operand.addr).ok()
    }

    /// Plans a vector. There is no error if it is not valid.
    fn plan<'a>(raw: &[RawOp], room: &'a mut [usize]) -> Result<Plan<'a>, Option<Error>> {
        let vector = Vector::new(raw).map_err(|_| None)?;
        Plan::new(vector, anywhere, room, || None).map_err(Some)
    }

    /// Returns whether the plan of a vector is these pages to write and these only to read.
    fn is_planned(raw: &[RawOp], writes: &[usize], reads: &[usize]) -> bool {
        let mut room = [0; 16];

        plan(raw, &mut room).is_ok_and(|plan| plan.writes() == writes && plan.reads() == reads)
    }

    #[test]
    fn empty_vectors_and_operands_have_no_pages() {
        assert!(is_planned(&[], &[], &[]));
        assert!(is_planned(&[raw(MB, 0, P, P)], &[], &[]));
        assert!(is_planned(
            &[compare(P, 3 * P - 1, 0), copy(P, 3 * P, 0)],
            &[],
            &[]
        ));
    }

    #[test]
    fn destinations_are_to_write_and_sources_only_to_read() {
        assert!(is_planned(
            &[compare(2 * P + 5, 4 * P, 3)],
            &[],
            &[2 * P, 4 * P]
        ));
        assert!(is_planned(&[copy(4 * P + 5, 2 * P, 3)], &[4 * P], &[2 * P]));
        assert!(is_planned(&[add(3 * P - 1, 1)], &[2 * P], &[]));
    }

    #[test]
    fn operands_across_a_page_boundary_have_two_pages() {
        assert!(is_planned(&[add(2 * P - 8, 8)], &[P], &[]));
        assert!(is_planned(&[add(2 * P - 7, 8)], &[P, 2 * P], &[]));
        assert!(is_planned(&[add(2 * P - 1, 8)], &[P, 2 * P], &[]));
        assert!(is_planned(&[add(2 * P, 8)], &[2 * P], &[]));
        assert!(is_planned(
            &[copy(2 * P - 1, 4 * P - 2, 2)],
            &[P, 2 * P],
            &[3 * P]
        ));
        assert!(is_planned(
            &[compare(P + 1, 5 * P - 2, 3)],
            &[],
            &[P, 4 * P, 5 * P]
        ));
    }

    #[test]
    fn page_is_listed_once() {
        assert!(is_planned(&[add(P, 8); VEC_LEN_MAX], &[P], &[]));
        assert!(is_planned(
            &[compare(P, P + 64, 64); VEC_LEN_MAX],
            &[],
            &[P]
        ));
        assert!(is_planned(&[compare(P, 2 * P - 4, 8)], &[], &[P, 2 * P]));
    }

    #[test]
    fn page_that_is_read_and_written_is_to_write() {
        assert!(is_planned(&[copy(P, P + 8, 8)], &[P], &[]));
        assert!(is_planned(
            &[compare(P, 3 * P, 8), add(P, 8)],
            &[P],
            &[3 * P]
        ));
        assert!(is_planned(
            &[add(3 * P, 8), compare(P, 3 * P, 8)],
            &[3 * P],
            &[P]
        ));
        assert!(is_planned(
            &[copy(2 * P - 1, 3 * P - 1, 4)],
            &[P, 2 * P],
            &[3 * P]
        ));
    }

    #[test]
    fn address_space_may_be_used_to_its_ends() {
        assert!(is_planned(&[add(0, 8)], &[0], &[]));
        assert!(is_planned(&[add(usize::MAX, 1)], &[LAST], &[]));
        assert!(is_planned(&[add(usize::MAX - 7, 8)], &[LAST], &[]));
        assert!(is_planned(&[add(LAST - 1, 8)], &[LAST - P, LAST], &[]));
    }

    #[test]
    fn pages_are_where_operands_start_without_their_tags() {
        let untagged = |operand: &Operand| anywhere(operand).map(|addr| addr & (16 * P - 1));
        let mut room = [0; 4];
        let vector = [add(18 * P - 1, 8), compare(33 * P, P, 8)];

        let plan =
            Vector::new(&vector).map(|vector| Plan::new(vector, untagged, &mut room, || None));
        assert!(matches!(plan, Ok(Ok(plan)) if plan.all() == [P, 2 * P]));
    }

    #[test]
    fn first_operand_out_of_range_is_named() {
        let below_4_pages = |operand: &Operand| anywhere(operand).filter(|addr| *addr < 4 * P);
        let operand = |addr: usize, len| Operand {
            addr: addr as u64,
            len,
            expect_fault: false,
        };

        for (raw, expected) in [
            (compare(4 * P, P, 3), operand(4 * P, 3)),
            (compare(P, 5 * P, 3), operand(5 * P, 3)),
            (copy(6 * P, P, 8), operand(6 * P, 8)),
            (copy(P, 7 * P, 8), operand(7 * P, 8)),
            (add(LAST, 1), operand(LAST, 1)),
        ] {
            let mut room = [0; 4];
            let vector = [add(P, 1), compare(9 * P, 9 * P, 0), raw];
            let plan = Vector::new(&vector)
                .map(|vector| Plan::new(vector, below_4_pages, &mut room, || None));
            assert!(matches!(plan, Ok(Err(Error::OutOfRange(operand))) if operand == expected));
        }
    }

    #[test]
    fn room_is_for_what_is_only_read() -> Result<(), Option<Error>> {
        for (vector, expected) in [
            (&[compare(P, 2 * P, 1)][..], 16),
            (&[compare(P, 2 * P, 8), compare(P, P, 9)], 34),
            (&[copy(P, 2 * P, 100), add(3 * P, 8)], 100),
            // A page that has just been written is not loaded from ahead.
            (&[add(P, 8), copy(P, P + 8, 8), compare(P, P + 8, 8)], 0),
            (&[add(P, 8), compare(P, 2 * P, 4)], 8),
            (&[compare(2 * P - 4, 2 * P, 8), add(P, 8)], 16),
            (&[add(P, 8), compare(2 * P - 4, 2 * P - 8, 8)], 8),
        ] {
            let mut room = [0; 4];
            assert_eq!(plan(vector, &mut room)?.read_len(), expected);
        }
        Ok(())
    }

    #[test]
    fn plan_needs_room_for_each_page() {
        let vector = [copy(P - 1, 3 * P - 1, 2), compare(P, 5 * P, 3)];
        let mut room = [0; 8];

        for len in 0..room.len() {
            let listed = plan(&vector, &mut room[..len]).map(|plan| plan.all().len());
            let expected = if len < 5 {
                Err(Some(Error::NoRoom))
            } else {
                Ok(5)
            };
            assert_eq!((len, listed), (len, expected));
        }
        assert!(plan(&[], &mut []).is_ok());
    }

    #[test]
    fn room_for_the_maximum_suffices() -> Result<(), Option<Error>> {
        let mut room = [0; MAX_PAGES];
        let mut vector = [copy(0, 0, 0); VEC_LEN_MAX];
        for (index, op) in vector.iter_mut().enumerate() {
            let first_end = (4 * index + 1) * P;
            *op = copy(first_end - 1, first_end + 2 * P - 1, 2);
        }

        let plan = plan(&vector, &mut room)?;
        assert_eq!(plan.all().len(), MAX_PAGES);
        Ok(())
    }

    #[test]
    fn pages_are_listed_by_address() -> Result<(), Option<Error>> {
        let mut room = [0; 4];
        let plan = plan(&[copy(3 * P, P, 8), add(3 * P - 1, 2)], &mut room)?;

        assert_eq!(plan.all(), &[2 * P, 3 * P, P]);
        Ok(())
    }

    #[test]
    fn plan_goes_on_in_a_larger_room() {
        let vector = [compare(5 * P, 3 * P, 8), copy(4 * P, P, 8), add(3 * P, 8)];
        let vector = Vector::new(&vector);

        for len in 0..4 {
            let (mut room, mut more, mut nr_calls) = ([0; 4], [0; 4], 0);
            let more = more.as_mut_slice();
            let plan = vector.map(|vector| {
                Plan::new(vector, anywhere, &mut room[..len], || {
                    nr_calls += 1;
                    Some(more)
                })
            });
            assert!(matches!(plan, Ok(Ok(plan)) if plan.all() == [3 * P, 4 * P, P, 5 * P]));
            assert_eq!((len, nr_calls), (len, 1));
        }
    }

    #[test]
    fn pages_are_found_near_any_index() -> Result<(), Option<Error>> {
        let mut room = [0; 4];
        let plan = plan(&[copy(3 * P, P, 8), add(3 * P - 1, 2)], &mut room)?;

        for near in 0..=plan.all().len() {
            for (page, index, access) in [
                (2 * P, Some(0), Access::Write),
                (3 * P, Some(1), Access::Write),
                (P, Some(2), Access::Read),
                (0, None, Access::Read),
                (4 * P, None, Access::Read),
            ] {
                assert_eq!((page, near, plan.find(page, near)), (page, near, index));
                assert_eq!((page, plan.access(page)), (page, access));
            }
        }
        assert_eq!(plan.find(P, plan.all().len() + 1), Some(2));
        Ok(())
    }

    #[test]
    fn share_of_an_area_that_is_written() -> Result<(), Option<Error>> {
        let mut room = [0; 4];
        let plan = plan(&[add(3 * P - 4, 8), compare(P, 4 * P, 8)], &mut room)?;

        for (start, len, share) in [
            (2 * P, 1, Share::All),
            (4 * P - 1, 1, Share::All),
            (3 * P - 1, 2, Share::All),
            (2 * P - 1, 1, Share::None),
            (4 * P, 8, Share::None),
            (6 * P - 1, 2, Share::None),
            (2 * P - 1, 2, Share::Part),
            (4 * P - 7, 8, Share::Part),
        ] {
            assert_eq!((start, len, plan.written(start, len)), (start, len, share));
        }
        Ok(())
    }
}
