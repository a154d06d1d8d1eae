// SPDX-License-Identifier: GPL-2.0

//! Access to pinned memory.
//!
//! User space and other CPUs may load from and store to the memory at the same time, so there is no
//! reference to it here: integers are accessed by volatile loads and stores, which is what
//! `READ_ONCE()` and `WRITE_ONCE()` are, everything else by the kernel's own functions in C. An
//! atomic load would ask for each store of the kernel to be atomic, and what another vector or
//! `read()` copies to the memory is not.

use super::{
    fault::Miss,
    interpret::Memory,
    page::{
        page_of,
        pieces,
        to_page_end,
        Recent, //
    },
    pin::Pinned,
    preload::Preloaded,
    user, //
};
use crate::{
    bindings,
    mm::gup::{
        MappedPage,
        PinnedPage, //
    },
    page::PAGE_SIZE,
    uaccess::nofault::Width, //
};
use core::ptr;

/// Where an area is that is loaded from.
enum Source<'a> {
    /// In pinned pages, from this address of user space on.
    Pages(usize),
    /// Here, loaded before.
    Bytes(&'a [u8]),
}

/// Pinned pages, as the operations of a vector see them.
///
/// A plan that was pinned has all that its vector accesses, so nothing is missing here.
///
/// # Invariants
///
/// The page in `recent`, if there is one, is mapped at `start`, and stays so while `mapped` is
/// there.
pub(super) struct View<'a> {
    pinned: &'a Pinned<'a>,
    /// Where in the plan the last page is. The next one is often the same, or the one behind it.
    index: usize,
    /// The page of the last integer. The next one is often in the same.
    recent: Recent,
    start: *mut u8,
    /// No other mapping is made while this one is replaced.
    mapped: Option<MappedPage<'a>>,
}

impl<'a> View<'a> {
    #[inline]
    pub(super) fn new(pinned: &'a Pinned<'a>) -> Self {
        // INVARIANT: There is no page.
        Self {
            pinned,
            index: 0,
            recent: Recent::NONE,
            start: ptr::null_mut(),
            mapped: None,
        }
    }

    /// Returns the pinned page in which the address `addr` lies, which has no tag.
    #[inline]
    fn page(&mut self, addr: usize) -> Option<PinnedPage<'a>> {
        let (page, index) = self.pinned.page(page_of(addr), self.index)?;

        self.index = index;
        Some(page)
    }

    /// Returns the address in the kernel of the byte that user space has at `addr`, valid until the
    /// next one is asked for. The rest of its page follows that byte.
    ///
    /// Returns nothing if the page is not pinned.
    #[inline]
    fn locate(&mut self, addr: u64) -> Option<*mut u8> {
        match self.recent.offset(addr) {
            // SAFETY: By the type invariant, the page is mapped as a whole, and the offset is less
            // than its size.
            Some(offset) => Some(unsafe { self.start.add(offset) }),
            None => self.locate_elsewhere(addr),
        }
    }

    #[inline(never)]
    fn locate_elsewhere(&mut self, addr: u64) -> Option<*mut u8> {
        let page = self.page(user::untagged(addr))?;

        // INVARIANT: There is no page until the next one is mapped.
        self.recent = Recent::NONE;
        self.mapped = None;
        // SAFETY: The mappings that areas need end before the next integer is located, and there is
        // no other one here.
        let mapped = unsafe { page.map() };
        self.start = mapped.as_ptr();
        self.mapped = Some(mapped);
        // INVARIANT: It was just mapped there.
        self.recent = Recent::page_of(addr);

        // SAFETY: The page is mapped as a whole, and the offset is less than its size.
        Some(unsafe { self.start.add(addr as usize % PAGE_SIZE) })
    }

    /// Returns where the bytes of an operand are.
    #[inline]
    fn source(&mut self, addr: u64, len: usize) -> Result<Source<'a>, Miss> {
        let addr = user::untagged(addr);

        match self.pinned.preloaded() {
            Some(preloaded) if len != 0 && self.page(addr).is_none() => {
                preloaded.bytes(len).map(Source::Bytes).ok_or(Miss)
            }
            _ => Ok(Source::Pages(addr)),
        }
    }

    /// Runs `f` on the address in the kernel of the byte that user space has at `addr`. The rest of
    /// its page follows that byte.
    #[inline]
    fn with_mapped<T>(
        &mut self,
        addr: usize,
        f: impl FnOnce(&mut Self, *mut u8) -> T,
    ) -> Result<T, Miss> {
        let page = self.page(addr).ok_or(Miss)?;

        // SAFETY: The page is mapped as a whole, and the offset is less than its size.
        Ok(page.with_mapped(|start| f(self, unsafe { start.add(addr % PAGE_SIZE) })))
    }

    /// Runs `f` on the address in the kernel of the byte at `offset` of `source`. The rest of its
    /// page, or of what was loaded, follows that byte.
    #[inline]
    fn with_source<T>(
        &mut self,
        source: &Source<'_>,
        offset: usize,
        f: impl FnOnce(&mut Self, *mut u8) -> T,
    ) -> Result<T, Miss> {
        match source {
            Source::Pages(addr) => self.with_mapped(addr + offset, f),
            Source::Bytes(bytes) => {
                let rest = bytes.get(offset..).ok_or(Miss)?;
                Ok(f(self, rest.as_ptr().cast_mut()))
            }
        }
    }

    /// Runs `f` on each piece of an integer that may reach into a second page: where in the integer
    /// the piece begins, its address in the kernel, and its length.
    #[inline]
    fn for_each_piece(
        &mut self,
        addr: u64,
        width: Width,
        mut f: impl FnMut(usize, *mut u8, usize),
    ) -> Result<(), Miss> {
        let (len, in_page) = (width.bytes(), to_page_end(addr as usize));

        f(0, self.locate(addr).ok_or(Miss)?, len.min(in_page));
        if in_page < len {
            let second = addr.wrapping_add(in_page as u64);
            f(in_page, self.locate(second).ok_or(Miss)?, len - in_page);
        }
        Ok(())
    }

    /// Loads an integer that is not aligned.
    #[inline(never)]
    fn load_bytes(&mut self, addr: u64, width: Width) -> Result<u64, Miss> {
        let mut bytes = [0; size_of::<u64>()];
        let to = bytes.as_mut_ptr();

        self.for_each_piece(addr, width, |offset, from, len| {
            // SAFETY: A piece is within an integer, and within a page that is mapped.
            unsafe { bindings::memcpy(to.add(offset).cast(), from.cast(), len) };
        })?;

        Ok(width.value_of(bytes))
    }

    /// Stores an integer that is not aligned.
    #[inline(never)]
    fn store_bytes(&mut self, addr: u64, width: Width, value: u64) -> Result<(), Miss> {
        let bytes = width.bytes_of(value);
        let from = bytes.as_ptr();

        self.for_each_piece(addr, width, |offset, to, len| {
            // SAFETY: A piece is within an integer, and within a page that is mapped.
            unsafe { bindings::memcpy(to.cast(), from.add(offset).cast(), len) };
        })
    }
}

impl Memory for View<'_> {
    type Fault = Miss;

    #[inline]
    fn load(&mut self, addr: u64, width: Width) -> Result<u64, Miss> {
        match self.locate(addr) {
            None => self
                .pinned
                .preloaded()
                .and_then(Preloaded::integer)
                .ok_or(Miss),
            // SAFETY: The integer is aligned, and thus in the page that is mapped.
            Some(ptr) if width.is_aligned(ptr as usize) => Ok(unsafe { load(ptr, width) }),
            Some(_) => self.load_bytes(addr, width),
        }
    }

    #[inline]
    fn store(&mut self, addr: u64, width: Width, value: u64) -> Result<(), Miss> {
        let ptr = self.locate(addr).ok_or(Miss)?;

        if width.is_aligned(ptr as usize) {
            // SAFETY: The integer is aligned, and thus in the page that is mapped.
            unsafe { store(ptr, width, value) };
            Ok(())
        } else {
            self.store_bytes(addr, width, value)
        }
    }

    #[inline]
    fn update(&mut self, addr: u64, width: Width, f: impl FnOnce(u64) -> u64) -> Result<(), Miss> {
        let ptr = self.locate(addr).ok_or(Miss)?;

        if width.is_aligned(ptr as usize) {
            // SAFETY: The integer is aligned, and thus in the page that is mapped.
            let value = unsafe { load(ptr, width) };
            // SAFETY: As above.
            unsafe { store(ptr, width, f(value)) };
            Ok(())
        } else {
            let value = self.load_bytes(addr, width)?;
            self.store_bytes(addr, width, f(value))
        }
    }

    fn equal(&mut self, a: u64, b: u64, len: usize) -> Result<bool, Miss> {
        let (from_a, from_b) = (self.source(a, len)?, self.source(b, len)?);

        for (offset, len) in pieces(user::untagged(a), user::untagged(b), len) {
            let equal = self.with_source(&from_a, offset, |view, a| {
                view.with_source(&from_b, offset, |_, b| {
                    // SAFETY: Each piece is in a page that is mapped, or in what was loaded.
                    unsafe { bindings::memcmp(a.cast(), b.cast(), len) == 0 }
                })
            })??;

            if !equal {
                return Ok(false);
            }
        }

        Ok(true)
    }

    fn copy(&mut self, dst: u64, src: u64, len: usize) -> Result<(), Miss> {
        let (to, from) = (user::untagged(dst), self.source(src, len)?);

        for (offset, len) in pieces(to, user::untagged(src), len) {
            self.with_mapped(to + offset, |view, to| {
                view.with_source(&from, offset, |_, from| {
                    // SAFETY: Each piece is in a page that is mapped, or in what was loaded. If
                    // they overlap then the result is unspecified, but nothing beyond it is
                    // written.
                    unsafe { bindings::memcpy(to.cast(), from.cast(), len) };
                })
            })??;
        }

        Ok(())
    }

    #[inline]
    fn barrier(&mut self) {
        user::full_barrier();
    }
}

/// Loads an integer.
///
/// # Safety
///
/// `ptr` must be aligned for it, and valid for loads.
#[inline]
unsafe fn load(ptr: *mut u8, width: Width) -> u64 {
    // The most frequent width is told by one comparison.
    match width.bytes() {
        // SAFETY: By the contract of this function.
        8.. => unsafe { ptr.cast::<u64>().read_volatile() },
        // SAFETY: By the contract of this function.
        4.. => u64::from(unsafe { ptr.cast::<u32>().read_volatile() }),
        // SAFETY: By the contract of this function.
        2.. => u64::from(unsafe { ptr.cast::<u16>().read_volatile() }),
        // SAFETY: By the contract of this function.
        _ => u64::from(unsafe { ptr.read_volatile() }),
    }
}

/// Stores the low bits of `value` as an integer.
///
/// # Safety
///
/// `ptr` must be aligned for it, and valid for stores.
#[inline]
unsafe fn store(ptr: *mut u8, width: Width, value: u64) {
    // CAST: The bits beyond the width are to be dropped.
    match width.bytes() {
        // SAFETY: By the contract of this function.
        8.. => unsafe { ptr.cast::<u64>().write_volatile(value) },
        // SAFETY: By the contract of this function.
        4.. => unsafe { ptr.cast::<u32>().write_volatile(value as u32) },
        // SAFETY: By the contract of this function.
        2.. => unsafe { ptr.cast::<u16>().write_volatile(value as u16) },
        // SAFETY: By the contract of this function.
        _ => unsafe { ptr.write_volatile(value as u8) },
    }
}
