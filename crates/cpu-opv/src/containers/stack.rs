// SPDX-License-Identifier: GPL-2.0 OR MIT

//! A stack of a list for every CPU.

use core::ffi::c_int;
use core::fmt;
use core::marker::PhantomData;
use core::ptr::NonNull;

use super::PerCpu;
use crate::{
    error::Error,
    percpu::{Link, List, Ops},
    tier::current_cpu,
};

// INVARIANT: A link on a list of a stack is the first field of such a node, which came from a box.
// Whoever has taken it from the list owns it.
#[repr(C)]
struct Node<T> {
    link: Link,
    value: T,
}

/// A pool of values: each CPU has a list of its own, and any thread may take from any of them.
///
/// # Examples
///
/// ```
/// let pool = cpu_opv::Stack::new();
/// pool.push(vec![0u8; 64]).unwrap();
/// pool.push(vec![0u8; 64]).unwrap();
/// assert!(pool.pop()?.is_some());
/// // Another CPU's as well:
/// let left: usize = (0..cpu_opv::nr_cpus())
///     .map(|cpu| pool.take_all(cpu).unwrap().count())
///     .sum();
/// assert_eq!(left, 1);
/// pool.push_to(vec![1], 0).unwrap();
/// assert_eq!(pool.pop_from(0)?, Some(vec![1]));
/// # Ok::<(), cpu_opv::Error>(())
/// ```
pub struct Stack<T> {
    lists: PerCpu<List>,
    values: PhantomData<Box<Node<T>>>,
}

// SAFETY: A value goes from the thread that pushes it to the one that takes it. No two have it.
unsafe impl<T: Send> Send for Stack<T> {}
// SAFETY: As above.
unsafe impl<T: Send> Sync for Stack<T> {}

impl<T> Default for Stack<T> {
    fn default() -> Self {
        Stack {
            lists: PerCpu::default(),
            values: PhantomData,
        }
    }
}

impl<T> fmt::Debug for Stack<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stack").finish_non_exhaustive()
    }
}

impl<T> Stack<T> {
    /// Returns an empty stack.
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts a value on the list of the current CPU.
    ///
    /// # Errors
    ///
    /// Those of [`Ops`] that have no cause in the operands, and the value.
    pub fn push(&self, value: T) -> Result<(), (T, Error)> {
        self.push_to(value, current_cpu())
    }

    /// Puts a value on the list of a CPU.
    ///
    /// # Errors
    ///
    /// As for [`push`](Stack::push), and [`Error::Cpu`] if there can be no such CPU.
    pub fn push_to(&self, value: T, cpu: c_int) -> Result<(), (T, Error)> {
        let Some(list) = self.lists.get(cpu) else {
            return Err((value, Error::Cpu));
        };
        let link = Link::new();
        let node = Box::into_raw(Box::new(Node { link, value }));

        // INVARIANT: The link is the first field of a node that came from a box.
        // SAFETY: The node is not null. Nobody else has it, and it stays until it is taken.
        match unsafe { Ops::private().push(list, NonNull::new_unchecked(node.cast()), cpu) } {
            Ok(()) => Ok(()),
            // SAFETY: It came from a box, and is not on the list.
            Err(error) => Err((unsafe { Box::from_raw(node) }.value, error)),
        }
    }

    /// Takes a value from the list of the current CPU, or else from that of another one.
    ///
    /// # Errors
    ///
    /// Those of [`Ops`] that have no cause in the operands.
    pub fn pop(&self) -> Result<Option<T>, Error> {
        let cpu = current_cpu();

        if let Some(value) = self.pop_from(cpu)? {
            return Ok(Some(value));
        }
        for (other, list) in self.lists.iter() {
            // A look costs little, and an operation for another CPU much.
            if other != cpu && !list.is_empty() {
                if let Some(value) = self.pop_from(other)? {
                    return Ok(Some(value));
                }
            }
        }
        Ok(None)
    }

    /// Takes a value from the list of a CPU.
    ///
    /// # Errors
    ///
    /// As for [`pop`](Stack::pop), and [`Error::Cpu`] if there can be no such CPU.
    pub fn pop_from(&self, cpu: c_int) -> Result<Option<T>, Error> {
        let list = self.lists.get(cpu).ok_or(Error::Cpu)?;

        Ok(Ops::private().pop(list, cpu)?.map(|link| {
            // SAFETY: By the invariant of nodes, it is a box that this thread has taken.
            unsafe { Box::from_raw(link.cast::<Node<T>>().as_ptr()) }.value
        }))
    }

    /// Takes all values from the list of a CPU.
    ///
    /// # Errors
    ///
    /// As for [`pop_from`](Stack::pop_from).
    pub fn take_all(&self, cpu: c_int) -> Result<Taken<T>, Error> {
        let list = self.lists.get(cpu).ok_or(Error::Cpu)?;

        Ok(Taken {
            first: Ops::private().take_all(list, cpu)?,
            values: PhantomData,
        })
    }
}

impl<T> Drop for Stack<T> {
    fn drop(&mut self) {
        for (_, list) in self.lists.iter() {
            drop(Taken::<T> {
                first: list.first(),
                values: PhantomData,
            });
        }
    }
}

/// The values that were taken from a list.
///
/// # Examples
///
/// ```
/// let pool = cpu_opv::Stack::new();
/// pool.push_to("first", 0).unwrap();
/// pool.push_to("second", 0).unwrap();
/// assert_eq!(pool.take_all(0)?.collect::<Vec<_>>(), ["second", "first"]);
/// # Ok::<(), cpu_opv::Error>(())
/// ```
pub struct Taken<T> {
    first: Option<NonNull<Link>>,
    values: PhantomData<Box<Node<T>>>,
}

// SAFETY: The values are this thread's, and may be another's.
unsafe impl<T: Send> Send for Taken<T> {}

impl<T> fmt::Debug for Taken<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Taken").finish_non_exhaustive()
    }
}

impl<T> Iterator for Taken<T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        let link = self.first?;
        // SAFETY: By the invariant of nodes, it is a box that this thread has taken.
        let node = unsafe { Box::from_raw(link.cast::<Node<T>>().as_ptr()) };

        self.first = node.link.next();
        Some(node.value)
    }
}

impl<T> Drop for Taken<T> {
    fn drop(&mut self) {
        self.for_each(drop);
    }
}
