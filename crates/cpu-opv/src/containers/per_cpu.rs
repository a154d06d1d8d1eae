// SPDX-License-Identifier: GPL-2.0 OR MIT

//! One of each for every CPU.

use core::ffi::c_int;

use crate::tier::{current_cpu, nr_cpus};

/// No CPU writes to the cache lines of another one's value, those that are fetched with a line
/// included.
#[derive(Debug)]
#[repr(align(128))]
struct Padded<T>(T);

/// A value for every CPU that the system can have, those that are offline included.
///
/// # Examples
///
/// ```
/// use cpu_opv::{Ops, PerCpu};
/// use std::sync::atomic::{AtomicUsize, Ordering};
///
/// let hits = PerCpu::new(|_| AtomicUsize::new(0));
/// let (cpu, mine) = hits.current();
/// Ops::private().add(mine, 1, cpu)?;
/// let sum: usize = hits.iter().map(|(_, hits)| hits.load(Ordering::Relaxed)).sum();
/// assert_eq!(sum, 1);
/// assert!(hits.get(cpu).is_some() && hits.get(-1).is_none());
/// # Ok::<(), cpu_opv::Error>(())
/// ```
#[derive(Debug)]
pub struct PerCpu<T> {
    // One for each number of a CPU.
    of: Box<[Padded<T>]>,
}

impl<T> PerCpu<T> {
    /// Makes a value for every CPU.
    pub fn new(mut make: impl FnMut(c_int) -> T) -> Self {
        PerCpu {
            of: (0..nr_cpus()).map(|cpu| Padded(make(cpu))).collect(),
        }
    }

    /// Returns the value of a CPU, if there can be a CPU of this number.
    pub fn get(&self, cpu: c_int) -> Option<&T> {
        let cpu = usize::try_from(cpu).ok()?;

        self.of.get(cpu).map(|padded| &padded.0)
    }

    /// Returns the number and the value of the CPU that the thread runs on. It may run on another
    /// one by now, which costs an operation time and does no harm.
    pub fn current(&self) -> (c_int, &T) {
        let cpu = current_cpu();

        (cpu, &self.of[cpu as usize].0)
    }

    /// Returns the values of all CPUs with their numbers.
    pub fn iter(&self) -> impl Iterator<Item = (c_int, &T)> {
        (0..).zip(self.of.iter().map(|padded| &padded.0))
    }
}

impl<T: Default> Default for PerCpu<T> {
    fn default() -> Self {
        Self::new(|_| T::default())
    }
}
