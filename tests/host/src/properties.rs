// SPDX-License-Identifier: GPL-2.0

//! What holds for every vector.

use super::{
    check::{self, Space},
    model::{self, Op, PAGE_SIZE},
    op::Vector,
    page,
    plan::MAX_PAGES,
};
use crate::uaccess::nofault::Width;
use proptest::{collection::vec, prelude::*, sample::select};

/// The memory of these tests, from address zero on.
const MEMORY: u64 = 4 * PAGE_SIZE as u64;

/// The longest operand.
const LEN_MAX: u64 = 4096;

const INTEGERS: [u32; 4] = [1, 2, 4, 8];

/// An address in the memory, at which an operand of any length fits: often close to others, or to
/// the end of a page.
fn addr() -> impl Strategy<Value = u64> {
    prop_oneof![
        0..MEMORY - LEN_MAX,
        0..32u64,
        (1..3u64, -32..32i64)
            .prop_map(|(page, offset)| (page * LEN_MAX).wrapping_add_signed(offset)),
    ]
}

fn expect_faults() -> impl Strategy<Value = [u8; 2]> {
    prop_oneof![Just([0, 0]), any::<[u8; 2]>()]
}

/// An operation that is valid by itself.
fn valid_op() -> impl Strategy<Value = Op> {
    let area_len = prop_oneof![
        8 => 0..=16u32,
        2 => 0..=600u32,
        1 => 0..=4096u32,
    ];
    let area = (select(&[0, 1, 2, 10]), area_len, addr());
    let by = prop_oneof![any::<u64>(), 0..4u64, Just(u64::MAX)];
    let update = (select(&[3, 4, 5, 6, 11]), select(&INTEGERS), by);
    let shift = select(&INTEGERS).prop_flat_map(|len| {
        let bits = (0..8 * u64::from(len), any::<u32>());
        (
            select(&[7, 8]),
            Just(len),
            bits.prop_map(|(bits, rest)| bits | u64::from(rest) << 32),
        )
    });
    let barrier = (Just(9), Just(0), any::<u64>());

    let kinds = prop_oneof![4 => area, 4 => update, 2 => shift, 1 => barrier];
    (kinds, addr(), expect_faults(), any::<i8>()).prop_map(
        |((op, len, second), first, expect_faults, fill)| Op {
            op,
            len,
            first,
            second,
            expect_faults,
            fill,
        },
    )
}

/// A valid vector.
fn valid_vector() -> impl Strategy<Value = Vec<Op>> {
    vec(valid_op(), 0..=16).prop_map(|mut ops| {
        // Only areas can exceed the limit of the sum.
        while !model::is_valid(&ops) {
            for op in ops.iter_mut().filter(|op| op.takes_areas()) {
                op.len /= 2;
            }
        }
        ops
    })
}

/// An operation that is wrong in a few ways or none.
fn any_op() -> impl Strategy<Value = Op> {
    let code = prop_oneof![0..12, -3..15, any::<i32>()];
    let len = prop_oneof![0..10u32, 4090..4100u32, any::<u32>()];
    let second = prop_oneof![0..70u64, any::<u64>()];

    (valid_op(), 0..12u32, code, len, second).prop_map(|(mut op, which, code, len, second)| {
        match which {
            0 => op.op = code,
            1 => op.len = len,
            2 => op.second = second,
            _ => {}
        }
        op
    })
}

/// A vector that is wrong in a few ways or none, often at a limit.
fn any_vector() -> impl Strategy<Value = Vec<Op>> {
    let ops = prop_oneof![
        4 => vec(valid_op(), 0..=18),
        2 => vec(any_op(), 0..=18),
        1 => vec(any_op(), 1),
    ];

    (ops, prop::option::of(4210..4220u32)).prop_map(|(mut ops, sum)| {
        let rest = |ops: &[Op]| {
            ops.iter()
                .skip(1)
                .fold(0u32, |sum, op| sum.saturating_add(op.len))
        };
        let rest = rest(&ops);

        // Gives the vector a certain sum of lengths, if its first operation takes any length.
        if let (Some(sum), Some(first)) = (sum, ops.first_mut()) {
            if first.takes_areas() {
                first.len = sum.saturating_sub(rest);
            }
        }
        ops
    })
}

/// Bytes of which each is one of few, so that comparisons can go either way.
fn contents() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 1..=8)
        .prop_map(|bytes| bytes.into_iter().cycle().take(MEMORY as usize).collect())
}

/// What is added to the addresses of a vector: nothing, or what takes the memory to the end of the
/// address space.
fn bias() -> impl Strategy<Value = u64> {
    select(vec![0, 1 << 46, 0u64.wrapping_sub(MEMORY)])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn vector_is_valid_where_the_contract_says_so(ops in any_vector()) {
        let raw = model::raw(&ops);

        prop_assert_eq!(check::vector(&raw, &ops).is_some(), model::is_valid(&ops));
    }

    #[test]
    fn vector_has_the_operands_that_it_was_given(ops in valid_vector()) {
        let raw = model::raw(&ops);

        prop_assert!(check::vector(&raw, &ops).is_some());
    }

    #[test]
    fn run_does_what_the_contract_says(
        ops in valid_vector(),
        contents in contents(),
        hole in prop_oneof![Just((0, 0)), (addr(), 0..64u64)],
    ) {
        let raw = model::raw(&ops);

        check::run(Vector::new(&raw).unwrap(), &ops, contents, &(hole.0..hole.0 + hole.1));
    }

    #[test]
    fn plan_lists_each_page_once(
        ops in valid_vector(),
        bias in bias(),
        room in 0..=MAX_PAGES,
        more_room in prop::option::of(0..=MAX_PAGES),
    ) {
        let raw = model::raw(&ops);
        let space = Space { bias, limit: 1 << 64 };

        check::plan(Vector::new(&raw).unwrap(), &ops, &space, room, more_room, &[]);
    }

    #[test]
    fn access_and_share_follow_what_is_written(
        ops in valid_vector(),
        bias in bias(),
        areas in vec((addr(), 1..=LEN_MAX as u32), 1..8),
    ) {
        let raw = model::raw(&ops);
        let space = Space { bias, limit: 1 << 64 };

        check::plan(Vector::new(&raw).unwrap(), &ops, &space, MAX_PAGES, None, &areas);
    }

    #[test]
    fn operand_that_is_out_of_range_makes_no_plan(
        ops in valid_vector(),
        pages in 0..=MEMORY / LEN_MAX,
    ) {
        let raw = model::raw(&ops);
        let space = Space { bias: 0, limit: u128::from(pages) * PAGE_SIZE };

        check::plan(Vector::new(&raw).unwrap(), &ops, &space, MAX_PAGES, None, &[]);
    }

    #[test]
    fn pieces_are_whole_and_within_a_page(a in addr(), b in addr(), len in 0..=LEN_MAX) {
        check::pieces(a, b, len as u32);
    }

    #[test]
    fn integers_are_laid_out_as_memory_has_them(len in select(&INTEGERS), value in any::<u64>()) {
        let len = len as usize;
        let width = Width::from_bytes(len).unwrap();
        let mut expected = [0; 8];
        model::set_integer(&mut expected[..len], value.into());

        prop_assert_eq!(&width.bytes_of(value)[..len], &expected[..len]);
        prop_assert_eq!(u128::from(width.value_of(expected)), model::integer(&expected[..len]));
    }

    #[test]
    fn pages_of_an_area_are_those_of_its_bytes(start in 0..0x4000usize, len in 1..=0x1000usize) {
        let mut expected: Vec<_> = (0..len).map(|offset| ((start + offset) & !0xfff, offset)).collect();

        expected.dedup_by_key(|(page, _)| *page);
        prop_assert_eq!(page::pages(start, len).collect::<Vec<_>>(), expected);
    }
}
