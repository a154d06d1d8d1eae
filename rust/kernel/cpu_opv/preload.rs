// SPDX-License-Identifier: GPL-2.0

//! Operands that are loaded before the vector runs.
//!
//! Operands that a vector only loads from need no pin if they are loaded before it stores anything,
//! through their addresses in user space: should that fault then nothing has changed, and the
//! vector can be started over. Its operations then take them from here, in the order in which they
//! were loaded.

use super::{
    op::Operand,
    user, //
};
use crate::{
    error::{
        code::*,
        Result, //
    },
    uaccess::nofault::{
        self,
        Width, //
    }, //
};
use core::cell::Cell;

/// The size of an integer here, whatever its width.
const WORD: usize = size_of::<u64>();

/// Operands that have been loaded.
pub(super) struct Preloaded {
    room: [u8; Self::ROOM],
    /// How much of the room has been filled.
    filled: usize,
    /// How much of the room has been taken since.
    taken: Cell<usize>,
}

impl Preloaded {
    /// The room for operands, in bytes.
    pub(super) const ROOM: usize = 16 * WORD;

    #[inline]
    pub(super) fn new() -> Self {
        Self {
            room: [0; Self::ROOM],
            filled: 0,
            taken: Cell::new(0),
        }
    }

    /// Loads an operand.
    ///
    /// Context: Any. Does not sleep.
    ///
    /// # Errors
    ///
    /// - [`EFAULT`]: the operand is not present.
    /// - [`ENOMEM`]: there is no room for it.
    #[inline]
    pub(super) fn load(&mut self, operand: &Operand) -> Result {
        let room = self.room.get_mut(self.filled..).ok_or(ENOMEM)?;
        let (ptr, len) = (user::ptr(operand.addr), operand.len as usize);

        self.filled += match Width::from_bytes(len) {
            Some(width) => {
                let word = room.first_chunk_mut::<WORD>().ok_or(ENOMEM)?;
                *word = nofault::load(ptr, width)?.to_ne_bytes();
                word.len()
            }
            None => {
                let bytes = room.get_mut(..len).ok_or(ENOMEM)?;
                nofault::copy_from(bytes, ptr)?;
                bytes.len()
            }
        };

        Ok(())
    }

    /// Takes the next operand, which is an integer.
    #[inline]
    pub(super) fn integer(&self) -> Option<u64> {
        self.bytes(WORD)?
            .first_chunk()
            .map(|&bytes| u64::from_ne_bytes(bytes))
    }

    /// Takes the next operand, which is of `len` bytes and not an integer.
    #[inline]
    pub(super) fn bytes(&self, len: usize) -> Option<&[u8]> {
        let start = self.taken.get();
        let bytes = self.room.get(start..self.filled)?.get(..len)?;

        self.taken.set(start + len);
        Some(bytes)
    }
}
