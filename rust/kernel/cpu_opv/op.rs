// SPDX-License-Identifier: GPL-2.0

//! Decoding of a vector of operations.
//!
//! What user space passed becomes a [`Vector`] only if all of it is valid, and the operations of a
//! [`Vector`] are seen as [`Op`]s only, so that nothing after this step meets an invalid one.
//!
//! Pure logic, which is also compiled and tested outside the kernel.

use crate::uapi;

/// The maximum number of operations in a vector.
pub(super) const VEC_LEN_MAX: usize = uapi::CPU_OP_VEC_LEN_MAX as usize;

/// The maximum length of a comparison or copy, in bytes.
const DATA_LEN_MAX: u32 = uapi::CPU_OP_DATA_LEN_MAX;

/// The maximum sum of the lengths of a vector, in bytes.
const VEC_DATA_LEN_MAX: u32 = uapi::CPU_OP_VEC_DATA_LEN_MAX;

/// An operation as user space lays it out, `struct cpu_op`, not validated.
///
/// The arguments are three words in each kind of operation: one or two addresses, or an address and
/// an integer, then the `expect_fault` bytes. A shift count takes half a word, and the byte that
/// follows it is in the same word.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub(super) struct RawOp {
    pub(super) op: i32,
    pub(super) len: u32,
    pub(super) args: [u64; 3],
}

/// The vector is not valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Invalid;

/// An area of user memory that an operation works on. Nothing is known about its address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Operand {
    pub(super) addr: u64,
    pub(super) len: u32,
    /// Whether the caller is prepared for the area to be inaccessible.
    pub(super) expect_fault: bool,
}

/// What an operation does to an operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// Loads from it only.
    Read,
    /// Stores to it, and may load from it.
    Write,
}

/// The size of an integer, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Width {
    One = 1,
    Two = 2,
    Four = 4,
    Eight = 8,
}

impl Width {
    /// Returns the width of an integer of `len` bytes, if there is one.
    #[inline]
    pub(super) fn from_len(len: u32) -> Option<Self> {
        match len {
            1 => Some(Self::One),
            2 => Some(Self::Two),
            4 => Some(Self::Four),
            8 => Some(Self::Eight),
            _ => None,
        }
    }

    /// Returns the size in bytes.
    #[inline]
    pub(super) fn bytes(self) -> usize {
        self as usize
    }

    /// Returns the number of bits.
    #[inline]
    pub(super) fn bits(self) -> u32 {
        self as u32 * u8::BITS
    }

    /// Returns the integer that memory has as the first of `bytes`, zero-extended. The other bytes
    /// must be zero.
    #[inline]
    pub(super) fn from_bytes(self, bytes: [u8; 8]) -> u64 {
        if cfg!(target_endian = "big") {
            u64::from_be_bytes(bytes) >> (u64::BITS - self.bits())
        } else {
            u64::from_le_bytes(bytes)
        }
    }

    /// Returns the bytes of an integer, whose low bits are those of `value`, as memory has them.
    #[inline]
    pub(super) fn to_bytes(self, value: u64) -> impl Iterator<Item = u8> {
        let bytes = if cfg!(target_endian = "big") {
            (value << (u64::BITS - self.bits())).to_be_bytes()
        } else {
            value.to_le_bytes()
        };

        bytes.into_iter().take(self.bytes())
    }

    /// Returns whether an integer at `addr` is naturally aligned.
    #[inline]
    pub(super) fn is_aligned(self, addr: usize) -> bool {
        addr & (self.bytes() - 1) == 0
    }
}

/// How an integer in memory is replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Update {
    Add(u64),
    Or(u64),
    And(u64),
    Xor(u64),
    /// The count is less than the width of the integer.
    LeftShift(u32),
    /// The count is less than the width of the integer.
    RightShift(u32),
}

impl Update {
    /// Returns what replaces `value`, which is zero-extended. The bits beyond the width of the
    /// integer are unspecified in the result.
    #[inline]
    pub(super) fn apply(self, value: u64) -> u64 {
        match self {
            Self::Add(count) => value.wrapping_add(count),
            Self::Or(mask) => value | mask,
            Self::And(mask) => value & mask,
            Self::Xor(mask) => value ^ mask,
            Self::LeftShift(bits) => value.wrapping_shl(bits),
            Self::RightShift(bits) => value.wrapping_shr(bits),
        }
    }
}

/// A valid operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Op {
    /// Stops the vector unless the operands, of one length, are equal, or are not.
    Compare {
        a: Operand,
        b: Operand,
        equal: bool,
    },
    /// Copies between operands of one length.
    Copy {
        dst: Operand,
        src: Operand,
        release: bool,
    },
    /// Replaces an integer.
    Update {
        p: Operand,
        width: Width,
        update: Update,
        release: bool,
    },
    /// Full memory barrier.
    Barrier,
}

impl Op {
    /// Decodes one operation, by itself.
    #[inline]
    fn decode(raw: &RawOp) -> Result<Self, Invalid> {
        let op = u32::try_from(raw.op).map_err(|_| Invalid)?;

        match op {
            uapi::cpu_op_type_CPU_COMPARE_EQ_OP => Self::compare(raw, true),
            uapi::cpu_op_type_CPU_COMPARE_NE_OP => Self::compare(raw, false),
            uapi::cpu_op_type_CPU_MEMCPY_OP => Self::copy(raw, false),
            uapi::cpu_op_type_CPU_MEMCPY_RELEASE_OP => Self::copy(raw, true),
            uapi::cpu_op_type_CPU_ADD_OP => Self::update(raw, Update::Add, false),
            uapi::cpu_op_type_CPU_ADD_RELEASE_OP => Self::update(raw, Update::Add, true),
            uapi::cpu_op_type_CPU_OR_OP => Self::update(raw, Update::Or, false),
            uapi::cpu_op_type_CPU_AND_OP => Self::update(raw, Update::And, false),
            uapi::cpu_op_type_CPU_XOR_OP => Self::update(raw, Update::Xor, false),
            uapi::cpu_op_type_CPU_LSHIFT_OP => Self::shift(raw, Update::LeftShift),
            uapi::cpu_op_type_CPU_RSHIFT_OP => Self::shift(raw, Update::RightShift),
            uapi::cpu_op_type_CPU_MB_OP if raw.len == 0 => Ok(Self::Barrier),
            _ => Err(Invalid),
        }
    }

    #[inline]
    fn compare(raw: &RawOp, equal: bool) -> Result<Self, Invalid> {
        let (a, b) = Self::two_operands(raw)?;
        Ok(Self::Compare { a, b, equal })
    }

    #[inline]
    fn copy(raw: &RawOp, release: bool) -> Result<Self, Invalid> {
        let (dst, src) = Self::two_operands(raw)?;
        Ok(Self::Copy { dst, src, release })
    }

    #[inline]
    fn update(raw: &RawOp, update: fn(u64) -> Update, release: bool) -> Result<Self, Invalid> {
        let [addr, value, tail] = raw.args;
        let [expect_fault, ..] = tail.to_ne_bytes();

        Self::integer(raw, addr, expect_fault, update(value), release)
    }

    #[inline]
    fn shift(raw: &RawOp, update: fn(u32) -> Update) -> Result<Self, Invalid> {
        let [addr, tail, _] = raw.args;
        let [b0, b1, b2, b3, expect_fault, ..] = tail.to_ne_bytes();
        let bits = u32::from_ne_bytes([b0, b1, b2, b3]);

        match Width::from_len(raw.len) {
            Some(width) if bits < width.bits() => {
                Self::integer(raw, addr, expect_fault, update(bits), false)
            }
            _ => Err(Invalid),
        }
    }

    #[inline]
    fn integer(
        raw: &RawOp,
        addr: u64,
        expect_fault: u8,
        update: Update,
        release: bool,
    ) -> Result<Self, Invalid> {
        Ok(Self::Update {
            p: Operand {
                addr,
                len: raw.len,
                expect_fault: expect_fault != 0,
            },
            width: Width::from_len(raw.len).ok_or(Invalid)?,
            update,
            release,
        })
    }

    #[inline]
    fn two_operands(raw: &RawOp) -> Result<(Operand, Operand), Invalid> {
        if raw.len > DATA_LEN_MAX {
            return Err(Invalid);
        }

        let [first, second, tail] = raw.args;
        let [expect_fault_first, expect_fault_second, ..] = tail.to_ne_bytes();
        let operand = |addr, expect_fault| Operand {
            addr,
            len: raw.len,
            expect_fault: expect_fault != 0,
        };

        Ok((
            operand(first, expect_fault_first),
            operand(second, expect_fault_second),
        ))
    }

    /// Returns the operand that is stored to, if any.
    #[inline]
    pub(super) fn stores_to(self) -> Option<Operand> {
        match self {
            Self::Copy { dst: operand, .. } | Self::Update { p: operand, .. } => {
                Some(operand).filter(|operand| operand.len != 0)
            }
            Self::Compare { .. } | Self::Barrier => None,
        }
    }

    /// Returns the operands that take memory, in the order in which user space lists them.
    #[inline]
    pub(super) fn operands(self) -> impl Iterator<Item = (Operand, Access)> {
        let operands = match self {
            Self::Compare { a, b, .. } => [Some((a, Access::Read)), Some((b, Access::Read))],
            Self::Copy { dst, src, .. } => [Some((dst, Access::Write)), Some((src, Access::Read))],
            Self::Update { p, .. } => [Some((p, Access::Write)), None],
            Self::Barrier => [None, None],
        };

        operands
            .into_iter()
            .flatten()
            .filter(|(operand, _)| operand.len != 0)
    }
}

/// A valid vector of operations.
///
/// # Invariants
///
/// Each element decodes.
#[derive(Clone, Copy)]
pub(super) struct Vector<'a>(&'a [RawOp]);

impl<'a> Vector<'a> {
    /// Validates a vector.
    pub(super) fn new(raw: &'a [RawOp]) -> Result<Self, Invalid> {
        if raw.len() > VEC_LEN_MAX {
            return Err(Invalid);
        }

        let mut sum = 0u32;
        for op in raw {
            Op::decode(op)?;
            sum = sum.checked_add(op.len).ok_or(Invalid)?;
        }
        if sum > VEC_DATA_LEN_MAX {
            return Err(Invalid);
        }

        // INVARIANT: Each element was just decoded.
        Ok(Self(raw))
    }

    /// Returns the operations in order.
    #[inline]
    pub(super) fn ops(self) -> impl Iterator<Item = Op> + 'a {
        // By the type invariant, this passes over nothing.
        self.0.iter().filter_map(|raw| Op::decode(raw).ok())
    }

    /// Returns the operands of all operations, in order.
    #[inline]
    pub(super) fn operands(self) -> impl Iterator<Item = (Operand, Access)> + 'a {
        self.ops().flat_map(Op::operands)
    }
}
