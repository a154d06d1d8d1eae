// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The binary interface, as `include/uapi/linux/cpu_opv.h` has it.
//!
//! The names are those of the header. Pointers are 64 bits wide in every ABI.
//!
//! # Examples
//!
//! One operation of each kind, which programs make by [`Op`](crate::Op) instead:
//!
//! ```
//! use cpu_opv::sys::*;
//!
//! let mut words = [1u64, 1, 0];
//! let [a, b, c] = [0, 1, 2].map(|i| (&raw mut words[i]) as u64);
//! let vec = [
//!     (CPU_COMPARE_EQ_OP, cpu_op_u {
//!         compare_op: compare_op { a, b, expect_fault_a: 0, expect_fault_b: 0 },
//!     }),
//!     (CPU_MEMCPY_OP, cpu_op_u {
//!         memcpy_op: memcpy_op { dst: c, src: a, expect_fault_dst: 0, expect_fault_src: 0 },
//!     }),
//!     (CPU_ADD_OP, cpu_op_u { arithmetic_op: arithmetic_op { p: a, count: 1, expect_fault_p: 0 } }),
//!     (CPU_OR_OP, cpu_op_u { bitwise_op: bitwise_op { p: b, mask: 6, expect_fault_p: 0 } }),
//!     (CPU_LSHIFT_OP, cpu_op_u { shift_op: shift_op { p: c, bits: 4, expect_fault_p: 0 } }),
//! ]
//! .map(|(op, u)| cpu_op { op, len: 8, u });
//! // SAFETY: The operands are words that nobody else has.
//! let ret = unsafe { cpu_opv(vec.as_ptr(), vec.len() as i32, 0, 0) };
//! if ret == 0 {
//!     assert_eq!(words, [2, 7, 16]);
//! }
//! ```

#![allow(non_camel_case_types, non_upper_case_globals)]

use core::ffi::{c_int, c_long};

use crate::error::Error;

/// The number of the system call, on every architecture that Rust has.
pub const SYS_cpu_opv: c_long = 600;

/// Compares, and stops the vector unless the operands are equal.
pub const CPU_COMPARE_EQ_OP: i32 = 0;
/// Compares, and stops the vector unless the operands differ.
pub const CPU_COMPARE_NE_OP: i32 = 1;
/// Copies.
pub const CPU_MEMCPY_OP: i32 = 2;
/// Adds to an integer.
pub const CPU_ADD_OP: i32 = 3;
/// Sets bits of an integer.
pub const CPU_OR_OP: i32 = 4;
/// Keeps bits of an integer.
pub const CPU_AND_OP: i32 = 5;
/// Flips bits of an integer.
pub const CPU_XOR_OP: i32 = 6;
/// Shifts an integer left.
pub const CPU_LSHIFT_OP: i32 = 7;
/// Shifts an integer right, filling with zeroes.
pub const CPU_RSHIFT_OP: i32 = 8;
/// Is a full memory barrier.
pub const CPU_MB_OP: i32 = 9;
/// Copies, ordered after all loads and stores before it.
pub const CPU_MEMCPY_RELEASE_OP: i32 = 10;
/// Adds to an integer, ordered after all loads and stores before it.
pub const CPU_ADD_RELEASE_OP: i32 = 11;
/// The number of operations.
pub const NR_CPU_OPS: i32 = 12;

/// Returns the number of operations that the kernel has.
pub const CPU_OP_NR_FLAG: c_int = 1 << 0;
/// Returns the maximum number of operations in a vector.
pub const CPU_OP_VEC_LEN_MAX_FLAG: c_int = 1 << 1;

/// Maximum number of operations in a vector.
pub const CPU_OP_VEC_LEN_MAX: usize = 16;
/// Size of the arguments of an operation.
pub const CPU_OP_ARG_LEN_MAX: usize = 24;
/// Maximum length of one comparison or copy.
pub const CPU_OP_DATA_LEN_MAX: usize = 4096;
/// The length that the limit on the sum allows for one copy.
pub const CPU_OP_MEMCPY_EXPECT_LEN: usize = 4096;
/// The length that the limit on the sum allows for each other operation.
pub const CPU_OP_EXPECT_LEN: usize = 8;
/// Maximum sum of the lengths of the operations of a vector.
pub const CPU_OP_VEC_DATA_LEN_MAX: usize =
    CPU_OP_MEMCPY_EXPECT_LEN + (CPU_OP_VEC_LEN_MAX - 1) * CPU_OP_EXPECT_LEN;

/// Arguments of a comparison.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct compare_op {
    /// First operand.
    pub a: u64,
    /// Second operand.
    pub b: u64,
    /// Whether `a` may be inaccessible.
    pub expect_fault_a: u8,
    /// Whether `b` may be inaccessible.
    pub expect_fault_b: u8,
}

/// Arguments of a copy.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct memcpy_op {
    /// Where to copy to.
    pub dst: u64,
    /// Where to copy from.
    pub src: u64,
    /// Whether `dst` may be inaccessible.
    pub expect_fault_dst: u8,
    /// Whether `src` may be inaccessible.
    pub expect_fault_src: u8,
}

/// Arguments of an addition.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct arithmetic_op {
    /// The integer.
    pub p: u64,
    /// What to add.
    pub count: i64,
    /// Whether `p` may be inaccessible.
    pub expect_fault_p: u8,
}

/// Arguments of a bitwise operation.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct bitwise_op {
    /// The integer.
    pub p: u64,
    /// The other operand.
    pub mask: u64,
    /// Whether `p` may be inaccessible.
    pub expect_fault_p: u8,
}

/// Arguments of a shift.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct shift_op {
    /// The integer.
    pub p: u64,
    /// By how many bits.
    pub bits: u32,
    /// Whether `p` may be inaccessible.
    pub expect_fault_p: u8,
}

/// The arguments of an operation.
#[derive(Clone, Copy)]
#[repr(C)]
pub union cpu_op_u {
    /// Of [`CPU_COMPARE_EQ_OP`] and [`CPU_COMPARE_NE_OP`].
    pub compare_op: compare_op,
    /// Of [`CPU_MEMCPY_OP`] and [`CPU_MEMCPY_RELEASE_OP`].
    pub memcpy_op: memcpy_op,
    /// Of [`CPU_ADD_OP`] and [`CPU_ADD_RELEASE_OP`].
    pub arithmetic_op: arithmetic_op,
    /// Of [`CPU_OR_OP`], [`CPU_AND_OP`] and [`CPU_XOR_OP`].
    pub bitwise_op: bitwise_op,
    /// Of [`CPU_LSHIFT_OP`] and [`CPU_RSHIFT_OP`].
    pub shift_op: shift_op,
    /// Gives all of them one size.
    pub padding: [u8; CPU_OP_ARG_LEN_MAX],
}

/// One operation of a vector.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct cpu_op {
    /// The operation.
    pub op: i32,
    /// The length of each operand, in bytes.
    pub len: u32,
    /// The arguments.
    pub u: cpu_op_u,
}

impl cpu_op {
    fn new(op: i32, len: usize, u: cpu_op_u) -> Self {
        cpu_op {
            op,
            // CAST: A length that does not fit is refused anyway.
            len: u32::try_from(len).unwrap_or(u32::MAX),
            u,
        }
    }

    /// Describes a comparison.
    pub(crate) fn compare(op: i32, a: u64, b: u64, len: usize) -> Self {
        let compare_op = compare_op {
            a,
            b,
            expect_fault_a: 0,
            expect_fault_b: 0,
        };

        Self::new(op, len, cpu_op_u { compare_op })
    }

    /// Describes a copy.
    pub(crate) fn memcpy(op: i32, dst: u64, src: u64, len: usize) -> Self {
        let memcpy_op = memcpy_op {
            dst,
            src,
            expect_fault_dst: 0,
            expect_fault_src: 0,
        };

        Self::new(op, len, cpu_op_u { memcpy_op })
    }

    /// Describes an addition.
    pub(crate) fn arithmetic(op: i32, p: u64, count: i64, len: usize) -> Self {
        let arithmetic_op = arithmetic_op {
            p,
            count,
            expect_fault_p: 0,
        };

        Self::new(op, len, cpu_op_u { arithmetic_op })
    }

    /// Describes a bitwise operation.
    pub(crate) fn bitwise(op: i32, p: u64, mask: u64, len: usize) -> Self {
        let bitwise_op = bitwise_op {
            p,
            mask,
            expect_fault_p: 0,
        };

        Self::new(op, len, cpu_op_u { bitwise_op })
    }

    /// Describes a shift.
    pub(crate) fn shift(op: i32, p: u64, bits: u32, len: usize) -> Self {
        let shift_op = shift_op {
            p,
            bits,
            expect_fault_p: 0,
        };

        Self::new(op, len, cpu_op_u { shift_op })
    }

    /// Describes a full memory barrier.
    pub(crate) fn barrier() -> Self {
        let padding = [0; CPU_OP_ARG_LEN_MAX];

        Self::new(CPU_MB_OP, 0, cpu_op_u { padding })
    }
}

const _: () = assert!(size_of::<cpu_op>() == 32);
const _: () = assert!(core::mem::offset_of!(cpu_op, u) == 8);

/// Makes the system call: returns what the C function does, `-1` with `errno` set on error.
///
/// # Safety
///
/// `vec` points to `cnt` operations. Each operand is memory that may be accessed so, and nothing
/// else accesses it in a way that races with that.
pub unsafe fn cpu_opv(vec: *const cpu_op, cnt: c_int, cpu: c_int, flags: c_int) -> c_long {
    // SAFETY: The caller vouches for the operands; what cannot be accessed is refused.
    unsafe { libc::syscall(SYS_cpu_opv, vec, cnt, cpu, flags) }
}

/// Runs a vector: returns 0, or 1 + the index of the comparison that stopped it.
///
/// # Safety
///
/// As for [`cpu_opv`].
pub(crate) unsafe fn call(vec: &[cpu_op], cpu: c_int) -> Result<usize, Error> {
    // SAFETY: As the caller vouches.
    match unsafe { cpu_opv(vec.as_ptr(), vec.len() as c_int, cpu, 0) } {
        -1 => Err(Error::last()),
        ret => Ok(ret as usize),
    }
}
