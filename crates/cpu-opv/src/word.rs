// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The words that operations work on.

use core::sync::atomic::{
    AtomicI16, AtomicI32, AtomicI8, AtomicIsize, AtomicPtr, AtomicU16, AtomicU32, AtomicU8,
    AtomicUsize,
};
#[cfg(target_pointer_width = "64")]
use core::sync::atomic::{AtomicI64, AtomicU64};

mod sealed {
    pub trait Sealed {}
}

/// An atomic type that the kernel accesses by one load and one store.
///
/// The 64-bit types are words on 64-bit targets only: a 32-bit kernel accesses them in two halves.
pub trait Word: sealed::Sealed + Sync {
    /// The type of the values.
    type Value: Copy;

    /// The size in bytes.
    const BYTES: usize = size_of::<Self::Value>();

    /// Returns the value as the low bits of an integer.
    fn to_bits(value: Self::Value) -> u64;

    /// Returns the value that the low bits of an integer are.
    fn from_bits(bits: u64) -> Self::Value;
}

/// A [`Word`] that is an integer.
pub trait Integer: Word {}

/// A [`Word`] that the per-CPU operations work on: of 32 bits, or of the size of a pointer.
pub trait PerCpuWord: Word {}

macro_rules! integer {
    ($($atomic:ident $value:ident;)*) => {$(
        impl sealed::Sealed for $atomic {}

        impl Word for $atomic {
            type Value = $value;

            fn to_bits(value: $value) -> u64 {
                value as u64
            }

            fn from_bits(bits: u64) -> $value {
                bits as $value
            }
        }

        impl Integer for $atomic {}
    )*};
}

integer! {
    AtomicU8 u8;
    AtomicI8 i8;
    AtomicU16 u16;
    AtomicI16 i16;
    AtomicU32 u32;
    AtomicI32 i32;
    AtomicUsize usize;
    AtomicIsize isize;
}
#[cfg(target_pointer_width = "64")]
integer! {
    AtomicU64 u64;
    AtomicI64 i64;
}

impl<T> sealed::Sealed for AtomicPtr<T> {}

impl<T> Word for AtomicPtr<T> {
    type Value = *mut T;

    fn to_bits(value: *mut T) -> u64 {
        value.expose_provenance() as u64
    }

    fn from_bits(bits: u64) -> *mut T {
        core::ptr::with_exposed_provenance_mut(bits as usize)
    }
}

impl PerCpuWord for AtomicU32 {}
impl PerCpuWord for AtomicI32 {}
impl PerCpuWord for AtomicUsize {}
impl PerCpuWord for AtomicIsize {}
impl<T> PerCpuWord for AtomicPtr<T> {}
#[cfg(target_pointer_width = "64")]
impl PerCpuWord for AtomicU64 {}
#[cfg(target_pointer_width = "64")]
impl PerCpuWord for AtomicI64 {}

/// Returns the address of a word or of other memory, as the kernel takes it.
pub(crate) fn address<T: ?Sized>(operand: *const T) -> u64 {
    operand.cast::<u8>().expose_provenance() as u64
}
