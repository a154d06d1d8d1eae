// SPDX-License-Identifier: GPL-2.0 OR MIT

//! A counter of a part for every CPU.

use core::sync::atomic::{AtomicIsize, Ordering};

use super::PerCpu;
use crate::{error::Error, percpu::Ops};

/// A counter to which every CPU adds without an atomic instruction, and without the cache line of
/// another one.
///
/// # Examples
///
/// ```
/// let requests = cpu_opv::Counter::new();
/// requests.add(3)?;
/// requests.add(-1)?;
/// assert_eq!(requests.sum(), 2);
/// assert_eq!(requests.drain()?, 2);
/// assert_eq!(requests.sum(), 0);
/// # Ok::<(), cpu_opv::Error>(())
/// ```
#[derive(Debug, Default)]
pub struct Counter {
    parts: PerCpu<AtomicIsize>,
}

impl Counter {
    /// Returns a counter of zero.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds to the counter, wrapping.
    ///
    /// # Errors
    ///
    /// Those of [`Ops`] that have no cause in the operands.
    pub fn add(&self, count: isize) -> Result<(), Error> {
        let (cpu, part) = self.parts.current();

        Ops::private().add(part, count, cpu)
    }

    /// Returns the sum of all parts. What is added meanwhile may be in it or not.
    pub fn sum(&self) -> isize {
        self.parts
            .iter()
            .map(|(_, part)| part.load(Ordering::Relaxed))
            .fold(0, isize::wrapping_add)
    }

    /// Sets the parts to zero, one after the other, and returns the sum of what they were. What is
    /// added meanwhile is in this sum or stays for the next: nothing is lost or counted twice.
    ///
    /// # Errors
    ///
    /// As for [`add`](Counter::add). What was drained so far is in the counter again then, unless
    /// that fails, too.
    pub fn drain(&self) -> Result<isize, Error> {
        let mut sum = 0isize;

        for (cpu, part) in self.parts.iter() {
            match Ops::private().swap(part, 0, cpu) {
                Ok(old) => sum = sum.wrapping_add(old),
                Err(error) => {
                    self.add(sum)?;
                    return Err(error);
                }
            }
        }
        Ok(sum)
    }
}
