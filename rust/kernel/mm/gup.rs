// SPDX-License-Identifier: GPL-2.0

//! Pinned user pages.
//!
//! The kernel may touch the contents of a user page through a mapping of its own only while it
//! holds a pin, [`FOLL_PIN`], of the page. A plain reference, `FOLL_GET`, keeps the page allocated
//! but not at its address, and `fork()` does not see it:
//!
//! - The process forks while a page is referenced for writing. Its next store replaces the page,
//!   which parent and child shared until then, by a copy. A store of the kernel goes to the old
//!   page: the process loses it, and the child sees it although the child was there before.
//! - A page that is shared with a child is referenced for reading. Another thread stores to the
//!   page, so that the process has a copy. The kernel reads the old page, that is, a value that is
//!   no longer there.
//!
//! A pin makes `fork()` copy the page for the child at once, and a pin for reading first replaces
//! an anonymous page that is shared. What it does not prevent is that another thread unmaps, remaps
//! or truncates the memory. The page is then no longer that of the address, but it is still the
//! caller's until it is unpinned.
//!
//! There are pages that a pin for reading does not make safe against a replacement by a copy: the
//! zero page, and the page of a file, both in a private mapping that is writable. Those who need
//! the page to be the current one have to pin it for writing, see [`PinnedPage::is_anon`].
//!
//! C source: [`mm/gup.c`](srctree/mm/gup.c)
//!
//! Reference: <https://docs.kernel.org/core-api/pin_user_pages.html>
//!
//! [`FOLL_PIN`]: srctree/Documentation/core-api/pin_user_pages.rst

use crate::{
    bindings,
    error::{
        code::*,
        to_result,
        Result, //
    },
    ffi::{
        c_int,
        c_void, //
    },
    page::PAGE_SIZE,
    types::NotThreadSafe,
    uaccess::UserPtr, //
};
use core::marker::PhantomData;

/// Room for one page in the array that a set of pages is kept in.
pub type Slot = usize;

/// What is done to the contents of pinned pages.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// They are only read.
    Read,
    /// They are written, and may be read.
    Write,
}

/// What happens if a page to pin is not present, or not in the way that it is needed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Faults {
    /// The page is made present.
    Handle,
    /// The pin fails.
    Refuse,
}

/// User pages of the current process, pinned.
///
/// They are unpinned when this is dropped. Those that were pinned for writing are marked dirty
/// then, without which a page that user space has given up with `MADV_FREE` could lose what was
/// written.
///
/// # Invariants
///
/// The first `len` elements of `slots` are valid pages that are pinned, by a pin each that this
/// value owns. The first `nr_writes` of them are pinned for writing, the others for reading.
pub struct PinnedPages<'a> {
    slots: &'a mut [Slot],
    nr_writes: usize,
    len: usize,
    _task: NotThreadSafe,
}

impl<'a> PinnedPages<'a> {
    /// Returns a set without a page, with room for as many pages as there are `slots`.
    #[inline]
    pub fn new(slots: &'a mut [Slot]) -> Self {
        // INVARIANT: There is no page yet.
        Self {
            slots,
            nr_writes: 0,
            len: 0,
            _task: NotThreadSafe,
        }
    }

    /// Pins `nr_pages` adjacent pages from the one in which `addr` lies, and adds them to the set
    /// in order.
    ///
    /// If only some of the pages can be pinned, then these are in the set after the failure: the
    /// length of the set tells which page it was.
    ///
    /// Pages for writing come before pages for reading, because a pin for writing may replace a
    /// page by a copy, so that an earlier pin for reading would be of the wrong page.
    ///
    /// Context: Process context. May sleep, with [`Faults::Handle`] for as long as the handler of a
    /// userfaultfd wants. The memory map lock must not be held.
    ///
    /// # Errors
    ///
    /// - [`EFAULT`]: a page is not accessible, or is not one that may be pinned.
    /// - [`EINTR`]: a fatal signal is pending.
    /// - [`ENOMEM`]: there is no memory, or no room in the set.
    /// - [`EINVAL`]: pages for writing come after pages for reading.
    ///
    /// A fatal signal may show as [`EFAULT`], too.
    pub fn pin(&mut self, addr: usize, nr_pages: usize, access: Access, faults: Faults) -> Result {
        if access == Access::Write && self.nr_writes != self.len {
            return Err(EINVAL);
        }

        let write = match access {
            Access::Read => 0,
            Access::Write => bindings::FOLL_WRITE,
        };
        let nofault = match faults {
            Faults::Handle => 0,
            Faults::Refuse => bindings::FOLL_NOFAULT,
        };
        let end = self.len.checked_add(nr_pages).ok_or(ENOMEM)?;
        let mut addr = addr;

        // Where only some are pinned at once, the next turn tells why.
        while self.len < end {
            let room = self.slots.get_mut(self.len..end).ok_or(ENOMEM)?;
            let nr = c_int::try_from(room.len()).map_err(|_| ENOMEM)?;

            // SAFETY: `room` has space for `nr` page pointers, since a [`Slot`] has the layout of
            // one. Any address may be passed.
            let ret = unsafe {
                bindings::pin_user_pages_fast(addr, nr, write | nofault, room.as_mut_ptr().cast())
            };
            let nr_pinned = match to_result(ret) {
                Err(error) if error == EINTR || error == ENOMEM => return Err(error),
                _ => usize::try_from(ret).unwrap_or(0),
            };
            if nr_pinned == 0 {
                return Err(EFAULT);
            }

            // INVARIANT: That many more pages were just pinned for `access`, and there is no page
            // for reading before one for writing.
            self.len += nr_pinned;
            if access == Access::Write {
                self.nr_writes = self.len;
            }
            addr = addr.wrapping_add(nr_pinned * PAGE_SIZE);
        }

        Ok(())
    }

    /// Returns the number of pages in the set.
    #[inline]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Returns whether there is no page in the set.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Returns the page of an index, in the order in which they were pinned.
    #[inline]
    pub fn get(&self, index: usize) -> Option<PinnedPage<'_>> {
        let &slot = self.slots.get(..self.len)?.get(index)?;

        // INVARIANT: By the type invariant, the page stays pinned while `self` is borrowed.
        Some(PinnedPage(slot as *mut bindings::page, PhantomData))
    }

    /// Returns the pages in the order in which they were pinned.
    #[inline]
    pub fn iter(&self) -> impl Iterator<Item = PinnedPage<'_>> {
        let slots = self.slots.get(..self.len).unwrap_or_default();

        // INVARIANT: By the type invariant, the page stays pinned while `self` is borrowed.
        slots
            .iter()
            .map(|&slot| PinnedPage(slot as *mut bindings::page, PhantomData))
    }

    /// Unpins all pages.
    ///
    /// Context: Process context. May sleep.
    #[inline]
    pub fn clear(&mut self) {
        for page in self.iter().take(self.nr_writes) {
            page.flush_dcache();
        }

        let pages: *mut *mut bindings::page = self.slots.as_mut_ptr().cast();
        let (nr_writes, nr_reads) = (self.nr_writes, self.len - self.nr_writes);
        // INVARIANT: There is no page from here on.
        self.nr_writes = 0;
        self.len = 0;

        if nr_writes != 0 {
            // SAFETY: By the type invariant, this value owned a pin of each of these pages.
            unsafe { bindings::unpin_user_pages_dirty_lock(pages, nr_writes, true) };
        }
        if nr_reads != 0 {
            // SAFETY: By the type invariant, there are that many pages after those for writing, and
            // this value owned a pin of each.
            unsafe { bindings::unpin_user_pages(pages.add(nr_writes), nr_reads) };
        }
    }
}

impl Drop for PinnedPages<'_> {
    #[inline]
    fn drop(&mut self) {
        self.clear();
    }
}

/// A user page that is pinned.
///
/// # Invariants
///
/// It is a valid page that stays pinned for `'a`.
#[derive(Clone, Copy)]
pub struct PinnedPage<'a>(*mut bindings::page, PhantomData<&'a Slot>);

impl<'a> PinnedPage<'a> {
    /// Returns whether the page is anonymous memory of the process.
    ///
    /// An anonymous page that is pinned is not replaced by a copy. Another one may be, in a private
    /// mapping that is writable, if it was pinned for reading.
    #[inline]
    pub fn is_anon(self) -> bool {
        // SAFETY: By the type invariant, this is a valid page.
        unsafe { bindings::PageAnon(self.0) }
    }

    /// Returns whether the hardware has lost the contents of the page.
    #[inline]
    pub fn is_hwpoison(self) -> bool {
        // SAFETY: By the type invariant, this is a valid page.
        unsafe { bindings::PageHWPoison(self.0) }
    }

    /// Runs `f` on the address of the page in the kernel, with the page mapped there.
    ///
    /// The address is valid while `f` runs. See [`MappedPage::as_ptr`] for what `f` may do with it.
    ///
    /// Context: Any. `f` runs with what [`kmap_local_page()`] disables, and must not sleep where
    /// its caller must not.
    ///
    /// [`kmap_local_page()`]: srctree/include/linux/highmem.h
    #[inline]
    pub fn with_mapped<T>(self, f: impl FnOnce(*mut u8) -> T) -> T {
        // SAFETY: The mappings that `f` makes end within it.
        let mapped = unsafe { self.map() };
        f(mapped.as_ptr())
    }

    /// Maps the page in the kernel, for the current task.
    ///
    /// Context: Any. What [`kmap_local_page()`] disables stays so until the value is dropped.
    ///
    /// # Safety
    ///
    /// Mappings nest: one that is made later has to be dropped earlier.
    ///
    /// [`kmap_local_page()`]: srctree/include/linux/highmem.h
    #[inline]
    pub unsafe fn map(self) -> MappedPage<'a> {
        // SAFETY: By the type invariant, this is a valid page.
        let addr = unsafe { bindings::kmap_local_page(self.0) };

        // INVARIANT: The page was just mapped, and the caller takes care of the order.
        MappedPage {
            addr,
            _page: self,
            _task: NotThreadSafe,
        }
    }

    #[inline]
    fn flush_dcache(self) {
        // SAFETY: By the type invariant, this is a valid page.
        unsafe { bindings::flush_dcache_page(self.0) };
    }
}

/// A user page that is pinned, and mapped in the kernel.
///
/// # Invariants
///
/// The page is mapped at `addr`, and is the last one that the task has mapped when this is dropped.
pub struct MappedPage<'a> {
    addr: *mut c_void,
    _page: PinnedPage<'a>,
    _task: NotThreadSafe,
}

impl MappedPage<'_> {
    /// Returns the address of the page in the kernel.
    ///
    /// It is valid for [`PAGE_SIZE`] bytes, and by the current task only. User space and other CPUs
    /// may load from and store to the memory at any time, so that there must never be a reference
    /// to it.
    #[inline]
    pub fn as_ptr(&self) -> *mut u8 {
        self.addr.cast()
    }
}

impl Drop for MappedPage<'_> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: By the type invariant.
        unsafe { bindings::kunmap_local(self.addr) };
    }
}

/// Makes user memory present for reading.
///
/// It may be gone again at any time after.
///
/// Context: Process context. May sleep, for as long as the handler of a userfaultfd wants. The
/// memory map lock must not be held.
///
/// # Errors
///
/// - [`EFAULT`]: a part of it is not accessible, or a fatal signal is pending.
pub fn fault_in_readable(addr: UserPtr, len: usize) -> Result {
    // SAFETY: Any address may be passed.
    match unsafe { bindings::fault_in_readable(addr.as_const_ptr().cast(), len) } {
        0 => Ok(()),
        _ => Err(EFAULT),
    }
}

/// Makes user memory present for writing, without changing its contents.
///
/// It may be gone again at any time after.
///
/// Context: Process context. May sleep, for as long as the handler of a userfaultfd wants. The
/// memory map lock must not be held.
///
/// # Errors
///
/// - [`EFAULT`]: a part of it is not accessible, or a fatal signal is pending.
pub fn fault_in_safe_writeable(addr: UserPtr, len: usize) -> Result {
    // SAFETY: Any address may be passed.
    match unsafe { bindings::fault_in_safe_writeable(addr.as_const_ptr().cast(), len) } {
        0 => Ok(()),
        _ => Err(EFAULT),
    }
}

// The C side fills an array of slots with page pointers.
const _: () = assert!(size_of::<Slot>() == size_of::<*mut bindings::page>());
