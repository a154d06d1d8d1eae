// SPDX-License-Identifier: GPL-2.0

//! All operations and pairs of operations at whose lengths and places something changes.

use super::{
    model::{self, Op, PAGE_SIZE, SUM_MAX},
    op::{Operand, RawOp, Vector},
    plan::{Error, Plan},
};
use std::{num::NonZero, thread};

const P: u64 = PAGE_SIZE as u64;

/// All types of operations, and what is beside them.
fn codes() -> impl Iterator<Item = i32> + Clone {
    (-1..=12).chain([i32::MIN, i32::MAX, 1 << 8, 1 << 16])
}

fn op(op: i32, len: u32, first: u64, second: u64) -> Op {
    Op {
        op,
        len,
        first,
        second,
        expect_faults: [0; 2],
        fill: 0,
    }
}

fn is_valid(ops: &[Op]) -> bool {
    let raw = model::raw(ops);

    Vector::new(&raw).is_ok()
}

/// Runs `f` on all of `items`, in as many threads as there are CPUs.
fn each<T: Sync>(items: &[T], f: impl Fn(&T) + Sync) {
    let nr_threads = thread::available_parallelism().map_or(1, NonZero::get);

    thread::scope(|scope| {
        for part in items.chunks(items.len().div_ceil(nr_threads)) {
            scope.spawn(|| part.iter().for_each(&f));
        }
    });
}

#[test]
fn all_lengths_and_shifts_of_one_operation() {
    let lens = (0..=2 * 4096 + 1).chain((3..32).flat_map(|bit| {
        let power = 1u32 << bit;
        [power - 1, power, power + 1, power + 8]
    }));
    let lens: Vec<_> = lens.chain([u32::MAX - 1, u32::MAX]).collect();

    each(&lens, |&len| {
        for code in codes() {
            // Only the low half is a count.
            let counts = (0..=66).chain([255, 256, 264, 1 << 31, u32::MAX.into(), 1 << 32]);
            for second in counts {
                let op = [op(code, len, 0, second)];
                assert_eq!(is_valid(&op), model::is_valid(&op), "{op:?}");
            }
        }
    });
}

#[test]
fn all_lengths_of_two_areas() {
    let lens: Vec<_> = (0..=4097).collect();

    each(&lens, |&len| {
        let mut raw = model::raw(&[op(2, len, 0, 0), op(1, 0, 0, 0)]);
        for second in 0..=4097 {
            raw[1].len = second;
            let expected = len <= 4096 && second <= 4096 && len + second <= SUM_MAX;
            assert_eq!(
                Vector::new(&raw).is_ok(),
                expected,
                "lengths {len}, {second}"
            );
        }
    });
}

#[test]
fn all_types_of_two_operations() {
    const LENS: [u32; 19] = [
        0,
        1,
        2,
        3,
        4,
        7,
        8,
        9,
        16,
        119,
        120,
        121,
        4088,
        4095,
        4096,
        4097,
        4216,
        1 << 31,
        u32::MAX,
    ];
    let all = || codes().flat_map(|code| LENS.map(|len| op(code, len, 0, 7)));
    let first: Vec<_> = all().collect();

    each(&first, |first| {
        for second in all() {
            let ops = [first.clone(), second];
            assert_eq!(is_valid(&ops), model::is_valid(&ops), "{ops:?}");
        }
    });
}

#[test]
fn sums_at_the_limit_of_any_number_of_operations() {
    for nr_ops in 1..=18usize {
        // Integers, and an area that brings the sum to the limit, at each place.
        for place in 0..nr_ops {
            for sum in SUM_MAX - 9..=SUM_MAX + 9 {
                for integer in [1, 2, 4, 8] {
                    let mut ops = vec![op(3, integer, 0, 0); nr_ops];
                    ops[place] = op(10, sum - integer * (nr_ops as u32 - 1), 0, 0);
                    assert_eq!(is_valid(&ops), model::is_valid(&ops), "{ops:?}");
                }
            }
        }
    }
}

/// An operation, and its pages: a bit for each of the address space that is touched, or written.
#[derive(Debug)]
struct Touching {
    op: Op,
    raw: RawOp,
    touched: u64,
    written: u64,
}

impl Touching {
    /// Finds the pages by way of each byte.
    fn new(op: Op) -> Self {
        let (mut touched, mut written) = (0, 0);

        for operand in op.operands() {
            for offset in 0..u64::from(operand.len) {
                let page = 1 << ((operand.addr + offset) / P);
                touched |= page;
                written |= if operand.written { page } else { 0 };
            }
        }
        Self {
            raw: op.raw(),
            op,
            touched,
            written,
        }
    }
}

/// Returns the addresses of the pages that have a bit.
fn pages(mut bits: u64, bias: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let page = (bits != 0).then(|| (u64::from(bits.trailing_zeros()) * P).wrapping_add(bias));
        bits &= bits.wrapping_sub(1);
        page.map(|page| page as usize)
    })
}

/// Operations of each kind of access, with all lengths and places that matter.
fn operations() -> Vec<Touching> {
    const AREA_LENS: [u32; 9] = [0, 1, 2, 7, 8, 9, 4088, 4095, 4096];
    // Each in one of two pages, and one in the third.
    let offsets = [0, 1, 8, P - 9, P - 8, P - 7, P - 2, P - 1];
    let places = || {
        let pairs = (0..2).flat_map(move |page| offsets.map(|offset| page * P + offset));
        pairs.chain([2 * P])
    };
    let areas = [0, 2].into_iter().flat_map(|code| {
        AREA_LENS.into_iter().flat_map(move |len| {
            places().flat_map(move |a| places().map(move |b| op(code, len, a, b)))
        })
    });
    let integers = [1, 2, 4, 8].into_iter().flat_map(|len| {
        let places = places().chain((P - 8..P + 8).chain([3 * P - 4]));
        places.map(move |p| op(3, len, p, 1))
    });

    let all = areas.chain(integers).chain([op(9, 0, 0, 0)]);
    all.map(Touching::new).collect()
}

#[test]
fn plans_of_two_operations_have_each_page_and_no_other() {
    const PAGES: u64 = 4;
    let all = operations();

    // From address zero, and to the end of the address space.
    for bias in [0, 0u64.wrapping_sub(PAGES * P)] {
        let start = |operand: &Operand| Some(operand.addr.wrapping_add(bias) as usize);
        each(&all, |first| {
            for second in &all {
                let raw = [first.raw, second.raw];
                let vector = Vector::new(&raw);
                let is_valid = first.op.len + second.op.len <= SUM_MAX;
                assert_eq!(vector.is_ok(), is_valid, "{first:?}, {second:?}");
                let Ok(vector) = vector else { continue };

                let touched = first.touched | second.touched;
                let written = first.written | second.written;
                let nr = touched.count_ones() as usize;
                let mut room = [usize::MAX; PAGES as usize];
                // There is no room for a page too many.
                let plan = Plan::new(vector, start, &mut room[..nr], || None);
                let is_right = plan.is_ok_and(|plan| {
                    plan.writes().iter().copied().eq(pages(written, bias))
                        && plan
                            .reads()
                            .iter()
                            .copied()
                            .eq(pages(touched & !written, bias))
                });
                assert!(is_right, "{first:?}, {second:?}");

                if let Some(less) = nr.checked_sub(1) {
                    let plan = Plan::new(vector, start, &mut room[..less], || None);
                    let is_refused = plan.is_err_and(|error| error == Error::NoRoom);
                    assert!(is_refused, "{first:?}, {second:?}");
                }
            }
        });
    }
}
