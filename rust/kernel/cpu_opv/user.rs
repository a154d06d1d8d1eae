// SPDX-License-Identifier: GPL-2.0

//! What user space passes: the vector, and addresses; the order of accesses to its memory.

use super::op::{
    Operand,
    RawOp,
    VEC_LEN_MAX, //
};
use crate::{
    bindings,
    prelude::*,
    uaccess::{
        access_ok,
        untagged_addr,
        UserSlice, //
    },
    uapi, //
};
use core::{
    mem::MaybeUninit,
    slice, //
};

/// Room for a vector as user space lays it out.
pub(super) struct RawVec([MaybeUninit<RawOp>; VEC_LEN_MAX]);

impl RawVec {
    #[inline]
    pub(super) fn new() -> Self {
        Self([const { MaybeUninit::uninit() }; VEC_LEN_MAX])
    }

    /// Copies `cnt` operations in, once: what user space writes to them later has no effect.
    ///
    /// Context: Process context. May sleep.
    ///
    /// # Errors
    ///
    /// - [`EINVAL`]: `cnt` is not the length of a vector.
    /// - [`EFAULT`]: a part of the vector is not accessible.
    #[inline]
    pub(super) fn copy_in(&mut self, vec: UserPtr, cnt: c_int) -> Result<&[RawOp]> {
        let ops = usize::try_from(cnt)
            .ok()
            .and_then(|cnt| self.0.get_mut(..cnt))
            .ok_or(EINVAL)?;
        let (ptr, nr) = (ops.as_mut_ptr(), ops.len());
        let len = nr * size_of::<RawOp>();

        // SAFETY: These are the bytes of `ops`, which is borrowed for the life of the slice.
        let bytes = unsafe { slice::from_raw_parts_mut(ptr.cast::<MaybeUninit<u8>>(), len) };
        UserSlice::new(vec, len).reader().read_raw(bytes)?;

        // SAFETY: All bytes of `ops` have just been written, and a `RawOp` has neither padding nor
        // invalid values.
        Ok(unsafe { slice::from_raw_parts(ptr.cast::<RawOp>(), nr) })
    }
}

/// Returns the pointer to the operand at an address, which may have a tag.
#[inline]
pub(super) fn ptr(addr: u64) -> UserPtr {
    // CAST: Operands whose address does not fit have no start, see below, and get no further.
    UserPtr::from_addr(addr as usize)
}

/// Returns an address without its tag.
#[inline]
pub(super) fn untagged(addr: u64) -> usize {
    // CAST: As above.
    untagged_addr(UserPtr::from_addr(addr as usize))
}

/// Returns the address without a tag at which an operand starts, if it lies in the range of user
/// addresses.
#[inline]
pub(super) fn start(operand: &Operand) -> Option<usize> {
    let addr = usize::try_from(operand.addr).ok()?;
    let ptr = UserPtr::from_addr(addr);

    access_ok(ptr, operand.len as usize).then(|| untagged_addr(ptr))
}

/// Orders all accesses to the memory of user space before against all those after.
///
/// Calls the helper itself, because its abstraction has not the same signature in all kernels that
/// this is for.
#[inline]
pub(super) fn full_barrier() {
    // SAFETY: An FFI call with no additional requirements.
    unsafe { bindings::smp_mb() };
}

// The layout of an operation is that of the C structure, whose union is three words.
static_assert!(size_of::<RawOp>() == size_of::<uapi::cpu_op>());
static_assert!(align_of::<RawOp>() >= align_of::<uapi::cpu_op>());
static_assert!(core::mem::offset_of!(RawOp, op) == core::mem::offset_of!(uapi::cpu_op, op));
static_assert!(core::mem::offset_of!(RawOp, len) == core::mem::offset_of!(uapi::cpu_op, len));
static_assert!(core::mem::offset_of!(RawOp, args) == core::mem::offset_of!(uapi::cpu_op, u));
