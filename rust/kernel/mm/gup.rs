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
//! the page to be the current one can tell by [`is_any_replaceable`], and [`fault_in`] has
//! made such a page anonymous.
//!
//! A page that is pinned can be neither migrated nor reclaimed, so a task must not wait while it
//! holds a pin. Hence pins are taken here only from what the page tables grant at once, and what
//! they do not grant is made present before, without a pin that lasts.
//!
//! # Examples
//!
//! ```
//! use kernel::{
//!     mm::gup::{
//!         Access,
//!         PinnedPages,
//!         Slot, //
//!     },
//!     page::PAGE_SIZE,
//! };
//!
//! /// Loads the first byte of the page in which `addr` lies, if the page is present. The current
//! /// task has user memory.
//! fn first_byte(addr: usize) -> Result<u8> {
//!     let mut slots = [Slot::EMPTY];
//!     let mut pages = PinnedPages::new(&mut slots);
//!
//!     pages.pin(&[addr & !(PAGE_SIZE - 1)], Access::Read)?;
//!     let page = pages.get(0).ok_or(EFAULT)?;
//!     // SAFETY: The page is mapped as a whole. Others may write to it, hence the volatile load.
//!     Ok(page.with_mapped(|start| unsafe { start.read_volatile() }))
//! }
//!
//! let mut slots = [Slot::EMPTY];
//! let mut pages = PinnedPages::new(&mut slots);
//! pages.pin(&[], Access::Write)?;
//! assert!(pages.is_empty() && pages.get(0).is_none());
//! # let _ = first_byte;
//! # Ok::<(), Error>(())
//! ```
//!
//! C source: [`mm/gup.c`](srctree/mm/gup.c)
//!
//! Reference: <https://docs.kernel.org/core-api/pin_user_pages.html>
//!
//! [`FOLL_PIN`]: srctree/Documentation/core-api/pin_user_pages.rst

use super::{
    virt::{
        flags,
        vm_flags_t, //
    },
    MmWithUser, //
};
use crate::{
    bindings,
    error::{
        code::*,
        to_result,
        Result, //
    },
    ffi::{
        c_int,
        c_uint,
        c_void, //
    },
    types::NotThreadSafe,
    uaccess::{
        untagged_addr,
        UserPtr, //
    }, //
};
use core::{
    marker::PhantomData,
    ptr,
    slice, //
};

/// Room for one page in the array that a set of pages is kept in.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub struct Slot(*mut bindings::page);

impl Slot {
    /// Room without a page.
    pub const EMPTY: Self = Self(ptr::null_mut());

    /// Returns words as room for as many pages.
    #[inline]
    pub fn in_words(words: &mut [usize]) -> &mut [Self] {
        let (ptr, len) = (words.as_mut_ptr(), words.len());

        // SAFETY: A slot is a pointer, which has the layout of a word, and any word is a valid one:
        // only those that pages were put into are used.
        unsafe { slice::from_raw_parts_mut(ptr.cast::<Self>(), len) }
    }
}

/// What is done to user memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// It is only loaded from.
    Read,
    /// It is stored to, and may be loaded from.
    Write,
}

impl Access {
    #[inline]
    fn gup_flags(self) -> c_uint {
        match self {
            Self::Read => 0,
            Self::Write => bindings::FOLL_WRITE,
        }
    }
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

    /// Pins the pages in which these addresses lie, and adds them to the set in order, if all of
    /// them are present in the way that `access` needs.
    ///
    /// If only some are, then these are in the set after the failure. [`fault_in`] makes a page
    /// present.
    ///
    /// Pages for writing come before pages for reading.
    ///
    /// Context: Any in which the current task has user memory. Does not sleep.
    ///
    /// # Errors
    ///
    /// - [`EFAULT`]: a page is not present, or is not one that may be pinned.
    /// - [`ENOMEM`]: there is no room in the set.
    /// - [`EINVAL`]: pages for writing come after pages for reading.
    #[inline]
    pub fn pin(&mut self, addrs: &[usize], access: Access) -> Result {
        if addrs.is_empty() {
            return Ok(());
        }

        let flags = access.gup_flags();
        // SAFETY: There is room for as many pages as there are addresses. Any address may be
        // passed.
        let pin = |nr, pages| unsafe {
            bindings::pin_user_pages_fast_only(addrs.as_ptr(), nr, flags, pages)
        };
        // SAFETY: That function pins as many pages as it returns.
        unsafe { self.pin_by(addrs.len(), access, pin) }
    }

    /// Pins a page, by a walk of the page tables that makes it present.
    ///
    /// Context: Process context. May sleep. The memory map lock must not be held.
    fn pin_slow(&mut self, addr: usize, access: Access) -> Result {
        // A page that is set up for the balancing of NUMA nodes counts as absent for the fast walk.
        let flags = access.gup_flags() | bindings::FOLL_HONOR_NUMA_FAULT;

        // SAFETY: There is room for as many pages as that. Any address may be passed.
        let pin = |nr, pages| unsafe { bindings::pin_user_pages_fast(addr, nr, flags, pages) };
        // SAFETY: That function pins as many pages as it returns.
        unsafe { self.pin_by(1, access, pin) }
    }

    /// Pins pages by a function of C, which gets their number and the room for them, and returns
    /// how many it has pinned, or an error.
    ///
    /// # Safety
    ///
    /// It must have pinned as many pages for `access` as it returns, no more than the number that
    /// it gets, and their pointers must be in the room.
    #[inline(always)]
    unsafe fn pin_by(
        &mut self,
        nr_pages: usize,
        access: Access,
        pin: impl FnOnce(c_int, *mut *mut bindings::page) -> c_int,
    ) -> Result {
        if access == Access::Write && self.nr_writes != self.len {
            return Err(EINVAL);
        }

        let end = self.len.checked_add(nr_pages).ok_or(ENOMEM)?;
        let room = self.slots.get_mut(self.len..end).ok_or(ENOMEM)?;
        let nr = c_int::try_from(nr_pages).map_err(|_| ENOMEM)?;
        // A [`Slot`] has the layout of a page pointer.
        let ret = pin(nr, room.as_mut_ptr().cast());
        to_result(ret)?;

        // CAST: It is not negative.
        let nr_pinned = ret as usize;
        // INVARIANT: That many more pages were just pinned for `access`, and there is no page for
        // reading before one for writing.
        self.len += nr_pinned;
        if access == Access::Write {
            self.nr_writes = self.len;
        }

        if nr_pinned == nr_pages {
            Ok(())
        } else {
            Err(EFAULT)
        }
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
        let &Slot(page) = self.slots.get(..self.len)?.get(index)?;

        // INVARIANT: By the type invariant, the page stays pinned while `self` is borrowed.
        Some(PinnedPage(page, PhantomData))
    }

    /// Returns the pages in the order in which they were pinned.
    #[inline]
    pub fn iter(&self) -> impl Iterator<Item = PinnedPage<'_>> {
        let slots = self.slots.get(..self.len).unwrap_or_default();

        // INVARIANT: By the type invariant, the page stays pinned while `self` is borrowed.
        slots
            .iter()
            .map(|&Slot(page)| PinnedPage(page, PhantomData))
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
    /// An anonymous page that is pinned is not replaced by a copy.
    #[inline]
    pub fn is_anon(self) -> bool {
        // SAFETY: By the type invariant, this is a valid page.
        unsafe { bindings::PageAnon(self.0) }
    }

    /// Returns whether the hardware has lost the contents of the page.
    #[inline]
    pub fn is_hwpoison(self) -> bool {
        // SAFETY: By the type invariant, this is a valid page.
        unsafe { bindings::is_page_hwpoison(self.0) }
    }

    /// Returns whether this is the page of zeros that untouched memory shares.
    #[inline]
    fn is_zero(self) -> bool {
        // SAFETY: By the type invariant, this is a valid page.
        unsafe { bindings::is_zero_page(self.0) }
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
    /// It is valid for the size of a page, and by the current task only. User space and other CPUs
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

/// Returns whether a store of the process to one of these addresses, where it has these pages,
/// would replace the page by a copy, although it is pinned for reading.
///
/// Pages of one mapping are best passed one after the other.
///
/// Context: Any. Does not sleep.
///
/// # Errors
///
/// - [`EAGAIN`]: another task changes the mappings of `mm`.
/// - [`EFAULT`]: there is no mapping at an address any more.
pub fn is_any_replaceable<'a>(
    mm: &MmWithUser,
    pages: impl Iterator<Item = (usize, PinnedPage<'a>)>,
) -> Result<bool> {
    let mut pages = pages.filter(|(_, page)| !page.is_anon()).peekable();
    if pages.peek().is_none() {
        return Ok(false);
    }

    let map = mm.mmap_read_trylock().ok_or(EAGAIN)?;
    let mut known = 0..0;
    for (addr, _) in pages {
        if !known.contains(&addr) {
            let vma = map.vma_lookup(addr).ok_or(EFAULT)?;
            if is_private_writable(vma.flags()) {
                return Ok(true);
            }
            known = vma.start()..vma.end();
        }
    }

    Ok(false)
}

/// Makes the page at `addr` present in the way that a pin for `access` needs it, without changing
/// its contents. No pin lasts.
///
/// It may be gone again at any time after.
///
/// A page that a pin for reading would not keep at its address is replaced by an anonymous one, as
/// the first store to it would do. Nobody sees that: the contents are the same, and a userfaultfd
/// for write protection is not told. A pin for writing would do that as well, but it would also be
/// an access that the process did not make.
///
/// A stack grows for it, as for an access of the process.
///
/// Context: Process context. May sleep, for as long as the handler of a userfaultfd wants. Nothing
/// may be pinned, and the memory map lock must not be held.
///
/// # Errors
///
/// - [`EFAULT`]: the page is not accessible, or is not one that may be pinned.
/// - [`EINTR`]: a fatal signal is pending.
/// - [`ENOMEM`]: there is no memory.
///
/// A fatal signal may show as [`EFAULT`], too.
pub fn fault_in(mm: &MmWithUser, addr: UserPtr, access: Access) -> Result {
    let start = untagged_addr(addr);

    if mm.mmap_read_lock_killable()?.vma_lookup(start).is_none() {
        // GUP does not make a stack grow, and complains where one could.
        fault_in_readable(addr, 1)?;
    }

    let mut slot = [Slot::EMPTY];
    let mut pages = PinnedPages::new(&mut slot);
    match pages.pin_slow(start, access) {
        Ok(()) => {}
        Err(error) if error == EINTR || error == ENOMEM => return Err(error),
        Err(_) => return Err(EFAULT),
    }

    let page = pages.get(0).ok_or(EFAULT)?;
    if page.is_hwpoison() {
        return Err(EFAULT);
    }
    let (is_anon, is_zero) = (page.is_anon(), page.is_zero());
    drop(pages);

    if access == Access::Read && !is_anon {
        make_anon(mm, start, is_zero)
    } else {
        Ok(())
    }
}

/// Replaces the page at `addr` by an anonymous one with the same contents, if the first store to it
/// would do so, or in any private mapping if it `is_zero`: the fast walk grants no zero page.
fn make_anon(mm: &MmWithUser, addr: usize, is_zero: bool) -> Result {
    let map = mm.mmap_read_lock_killable()?;
    let flags = map.vma_lookup(addr).ok_or(EFAULT)?.flags();

    let is_private = flags & flags::SHARED == 0;
    if !is_private || !(is_zero || is_private_writable(flags)) {
        return Ok(());
    }

    let flags = bindings::fault_flag_FAULT_FLAG_UNSHARE;
    let mut was_unlocked = false;
    // SAFETY: The memory map lock is held, and again when this returns. Any address may be passed.
    to_result(unsafe { bindings::fixup_user_fault(mm.as_raw(), addr, flags, &mut was_unlocked) })
}

/// Returns whether a store through a mapping with these flags replaces a page that is not
/// anonymous.
#[inline]
fn is_private_writable(flags: vm_flags_t) -> bool {
    flags & (flags::SHARED | flags::WRITE) == flags::WRITE
}

/// Makes user memory present for loads through its address.
///
/// It may be gone again at any time after.
///
/// Context: Process context. May sleep, for as long as the handler of a userfaultfd wants. The
/// memory map lock must not be held.
///
/// # Errors
///
/// - [`EFAULT`]: a part of it is not accessible, there is no memory, or a fatal signal is pending.
pub fn fault_in_readable(addr: UserPtr, len: usize) -> Result {
    // SAFETY: Any address may be passed.
    match unsafe { bindings::fault_in_readable(addr.as_const_ptr().cast(), len) } {
        0 => Ok(()),
        _ => Err(EFAULT),
    }
}

// The C side fills an array of slots with page pointers.
const _: () = assert!(size_of::<Slot>() == size_of::<*mut bindings::page>());
