// SPDX-License-Identifier: GPL-2.0

//! Arithmetic of addresses and pages.
//!
//! Pure logic, which is also compiled and tested outside the kernel.

use crate::page::PAGE_SIZE;

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

/// Returns the first and the last page of an area that is not empty, no longer than a page, and
/// does not go on beyond the end of the address space. There is none between them.
#[inline]
pub(super) fn ends(start: usize, len: usize) -> (usize, usize) {
    let last = start.wrapping_add(len.wrapping_sub(1));

    (page_of(start), page_of(last))
}

/// Returns the pages of an area as above, each with the offset of its first byte in the area.
#[inline]
pub(super) fn pages(start: usize, len: usize) -> impl Iterator<Item = (usize, usize)> {
    let (first, last) = ends(start, len);
    let second = (last != first).then(|| (last, to_page_end(start)));

    core::iter::once((first, 0)).chain(second)
}

/// Splits two areas of one length where either goes on in another page. Returns the offset and the
/// length of each pair of pieces.
#[inline]
pub(super) fn pieces(a: usize, b: usize, len: usize) -> impl Iterator<Item = (usize, usize)> {
    let mut done = 0;

    core::iter::from_fn(move || {
        let offset = done;
        let piece = (len - offset)
            .min(to_page_end(a.wrapping_add(offset)))
            .min(to_page_end(b.wrapping_add(offset)));

        done += piece;
        (piece != 0).then_some((offset, piece))
    })
}

/// The page that an area was in, or none. Its address is one as user space has it, which may
/// have a tag.
pub(super) struct Recent {
    start: u64,
    /// The size of the page, or 0 if there is none.
    len: u64,
}

impl Recent {
    pub(super) const NONE: Self = Self { start: 0, len: 0 };

    /// Returns the page in which `addr` lies.
    #[inline]
    pub(super) fn page_of(addr: u64) -> Self {
        Self {
            start: addr & !(PAGE_SIZE as u64 - 1),
            len: PAGE_SIZE as u64,
        }
    }

    /// Returns where in the page `addr` lies, if it does.
    #[inline]
    pub(super) fn offset(&self, addr: u64) -> Option<usize> {
        let offset = addr.wrapping_sub(self.start);

        // CAST: It is less than the size of a page.
        (offset < self.len).then_some(offset as usize)
    }

    /// Returns whether the whole of an area is in the page.
    #[inline]
    pub(super) fn has(&self, addr: u64, len: u32) -> bool {
        self.offset(addr)
            .is_some_and(|offset| offset as u64 + u64::from(len) <= self.len)
    }
}

#[macros::kunit_tests(rust_cpu_opv_page)]
mod tests {
    use super::*;

    const P: usize = PAGE_SIZE;
    /// The last page of the address space.
    const LAST: usize = usize::MAX - (P - 1);

    #[test]
    fn recent_page_has_what_is_within_it() {
        let start = 2 * P as u64;
        let recent = Recent::page_of(start + 17);

        for (addr, offset) in [
            (start - 1, None),
            (start, Some(0)),
            (start + 17, Some(17)),
            (start + P as u64 - 1, Some(P - 1)),
            (start + P as u64, None),
            (0, None),
            (u64::MAX, None),
        ] {
            assert_eq!((addr, recent.offset(addr)), (addr, offset));
            assert_eq!((addr, Recent::NONE.offset(addr)), (addr, None));
        }
        for (addr, len, has) in [
            (start, P as u32, true),
            (start + P as u64 - 8, 8, true),
            (start + P as u64 - 7, 8, false),
            (start + 1, P as u32, false),
            (start - 1, 2, false),
            (u64::MAX, 1, false),
        ] {
            assert_eq!((addr, len, recent.has(addr, len)), (addr, len, has));
            assert_eq!((addr, len, Recent::NONE.has(addr, len)), (addr, len, false));
        }
    }

    #[test]
    fn addresses_have_a_page_and_a_distance_to_its_end() {
        for (addr, page, to_end) in [
            (0, 0, P),
            (1, 0, P - 1),
            (P - 1, 0, 1),
            (P, P, P),
            (usize::MAX, LAST, 1),
        ] {
            assert_eq!((page_of(addr), to_page_end(addr)), (page, to_end));
        }
    }

    #[test]
    fn areas_are_in_one_page_or_two() {
        for (start, len, first, second) in [
            (0, 1, 0, None),
            (P - 1, 1, 0, None),
            (P, P, P, None),
            (P - 1, 2, 0, Some((P, 1))),
            (3 * P - 7, 8, 2 * P, Some((3 * P, 7))),
            (P + 1, P, P, Some((2 * P, P - 1))),
            (usize::MAX, 1, LAST, None),
            (LAST - 1, 2, LAST - P, Some((LAST, 1))),
        ] {
            let mut found = pages(start, len);

            assert_eq!(found.next(), Some((first, 0)));
            assert_eq!(found.next(), second);
            assert_eq!(found.next(), None);
        }
    }

    #[test]
    fn pieces_end_where_either_page_does() {
        for (a, b, len, expected) in [
            (0, 0, 0, &[][..]),
            (0, P, P, &[(0, P)]),
            (1, P, P, &[(0, P - 1), (P - 1, 1)]),
            (P, 1, P, &[(0, P - 1), (P - 1, 1)]),
            (1, P + 2, P, &[(0, P - 2), (P - 2, 1), (P - 1, 1)]),
            (P - 4, 2 * P - 4, 8, &[(0, 4), (4, 4)]),
            (P - 3, 2 * P - 5, 8, &[(0, 3), (3, 2), (5, 3)]),
        ] {
            assert!(pieces(a, b, len).eq(expected.iter().copied()));
        }
    }
}
