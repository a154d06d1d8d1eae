// SPDX-License-Identifier: GPL-2.0

//! What holds for every vector.

use super::{
    interpret::{interpret, Memory, Outcome},
    model::{self, End, Op, PAGE_SIZE},
    op::{Operand, Vector},
    page::{self, pieces},
    plan::{Error, Plan, Share, MAX_PAGES, OPERAND_PAGES},
};
use crate::{mm::gup::Access, uaccess::nofault::Width};
use proptest::{collection::vec, prelude::*, sample::select};
use std::{collections::BTreeMap, ops::Range};

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

/// Memory from address zero on, with a hole.
struct Bytes {
    bytes: Vec<u8>,
    hole: Range<u64>,
    barriers: usize,
}

struct Fault;

impl Bytes {
    fn area(&self, addr: u64, len: usize) -> Result<Range<usize>, Fault> {
        let area = addr..addr + len as u64;

        if area.clone().any(|addr| self.hole.contains(&addr)) {
            Err(Fault)
        } else {
            Ok(area.start as usize..area.end as usize)
        }
    }
}

impl Memory for Bytes {
    type Fault = Fault;

    fn load(&mut self, addr: u64, width: Width) -> Result<u64, Fault> {
        let area = self.area(addr, width.bytes())?;
        Ok(model::integer(&self.bytes[area]) as u64)
    }

    fn store(&mut self, addr: u64, width: Width, value: u64) -> Result<(), Fault> {
        let area = self.area(addr, width.bytes())?;
        model::set_integer(&mut self.bytes[area], value.into());
        Ok(())
    }

    fn equal(&mut self, a: u64, b: u64, len: usize) -> Result<bool, Fault> {
        let (a, b) = (self.area(a, len)?, self.area(b, len)?);
        Ok(self.bytes[a] == self.bytes[b])
    }

    fn copy(&mut self, dst: u64, src: u64, len: usize) -> Result<(), Fault> {
        let dst = self.area(dst, len)?;
        let src = self.area(src, len)?;
        self.bytes.copy_within(src, dst.start);
        Ok(())
    }

    fn barrier(&mut self) {
        self.barriers += 1;
    }
}

/// Returns each page of a vector, with whether it is written, by way of each byte.
fn pages(ops: &[Op], bias: u64) -> BTreeMap<u128, bool> {
    let mut pages = BTreeMap::new();

    for operand in ops.iter().flat_map(Op::operands) {
        for offset in 0..u128::from(operand.len) {
            let addr = u128::from(operand.addr) + u128::from(bias) + offset;
            *pages.entry(addr / PAGE_SIZE * PAGE_SIZE).or_default() |= operand.written;
        }
    }
    pages
}

/// What is added to the addresses of a vector: nothing, or what takes the memory to the end of the
/// address space.
fn bias() -> impl Strategy<Value = u64> {
    select(vec![0, 1 << 46, 0u64.wrapping_sub(MEMORY)])
}

fn as_model(operand: Operand, access: Access) -> model::Operand {
    let Operand {
        addr,
        len,
        expect_fault,
    } = operand;

    model::Operand {
        addr,
        len,
        expect_fault,
        written: access == Access::Write,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn vector_is_valid_where_the_contract_says_so(ops in any_vector()) {
        let raw = model::raw(&ops);

        prop_assert_eq!(Vector::new(&raw).is_ok(), model::is_valid(&ops));
    }

    #[test]
    fn vector_has_the_operands_that_it_was_given(ops in valid_vector()) {
        let raw = model::raw(&ops);
        let vector = Vector::new(&raw).unwrap();

        let expected: Vec<_> = ops.iter().flat_map(Op::operands).collect();
        let mut found = Vec::new();
        let result: Result<(), ()> = vector.try_for_each_operand(|operand, access| {
            found.push(as_model(operand, access));
            Ok(())
        });
        prop_assert_eq!((result, found), (Ok(()), expected));

        prop_assert_eq!(vector.ops().count(), ops.len());

        let is_one_access = |op: &Op| {
            INTEGERS.contains(&op.len) && op.first % u64::from(op.len) == 0
        };
        let mut stores = (0..).zip(&ops).filter(|(_, op)| op.operands().iter().any(|o| o.written));
        let stores_last = match (stores.next(), stores.next()) {
            (None, _) => true,
            (Some((index, op)), None) => index + 1 == ops.len() && is_one_access(op),
            _ => false,
        };
        prop_assert_eq!(vector.stores_last(), stores_last);
    }

    #[test]
    fn run_does_what_the_contract_says(
        ops in valid_vector(),
        contents in contents(),
        hole in prop_oneof![Just((0, 0)), (addr(), 0..64u64)],
    ) {
        let ops: Vec<_> = ops.into_iter().map(Op::without_overlap).collect();
        let hole = hole.0..hole.0 + hole.1;
        let mut expected = contents.clone();
        let (end, barriers) = model::run(&ops, &mut expected, &hole);

        let raw = model::raw(&ops);
        let mut memory = Bytes { bytes: contents, hole, barriers: 0 };
        let found = match interpret(Vector::new(&raw).unwrap(), &mut memory) {
            Ok(Outcome::Completed) => End::Returned(0),
            Ok(Outcome::Stopped(index)) => End::Returned(1 + index),
            Err(Fault) => End::Faulted,
        };

        prop_assert_eq!(found, end);
        prop_assert_eq!(memory.barriers, barriers);
        prop_assert!(memory.bytes == expected);
    }

    #[test]
    fn plan_lists_each_page_once(
        ops in valid_vector(),
        bias in bias(),
        room in 0..=MAX_PAGES,
        more_room in prop::option::of(0..=MAX_PAGES),
    ) {
        let raw = model::raw(&ops);
        let start = |operand: &Operand| Some(operand.addr.wrapping_add(bias) as usize);
        let expected = pages(&ops, bias);

        let mut room = vec![0; room];
        let mut more_room = more_room.map(|more| vec![0; room.len().max(more)]);
        let has_room = room.len().max(more_room.as_ref().map_or(0, Vec::len)) >= expected.len();
        let more_room = more_room.as_deref_mut();
        let plan = match Plan::new(Vector::new(&raw).unwrap(), start, &mut room, || more_room) {
            Err(Error::NoRoom) => {
                prop_assert!(!has_room);
                return Ok(());
            }
            plan => plan.unwrap(),
        };
        prop_assert!(has_room);
        prop_assert!(plan.writes().is_sorted() && plan.reads().is_sorted());

        let writes = plan.writes().iter().map(|&page| (page as u128, true));
        let reads = plan.reads().iter().map(|&page| (page as u128, false));
        prop_assert_eq!(writes.chain(reads).collect::<BTreeMap<_, _>>(), expected.clone());
        prop_assert_eq!(plan.all().len(), expected.len());
        prop_assert_eq!([plan.writes(), plan.reads()].concat(), plan.all());

        let reads = || ops.iter().flat_map(Op::operands).filter(|operand| !operand.written && operand.len != 0);
        let is_outside = |operand: &model::Operand| {
            (0..u128::from(operand.len)).any(|offset| {
                let addr = u128::from(operand.addr) + u128::from(bias) + offset;
                !expected[&(addr / PAGE_SIZE * PAGE_SIZE)]
            })
        };
        let room = |operand: model::Operand| operand.len.max(8) as usize;
        let outside: usize = reads().filter(is_outside).map(room).sum();
        let all: usize = reads().map(room).sum();
        prop_assert!((outside..=all).contains(&plan.read_len()));
    }

    #[test]
    fn access_and_share_follow_what_is_written(
        ops in valid_vector(),
        bias in bias(),
        areas in vec((addr(), 1..=LEN_MAX), 1..8),
    ) {
        let raw = model::raw(&ops);
        let mut room = [0; MAX_PAGES];
        let start = |operand: &Operand| Some(operand.addr.wrapping_add(bias) as usize);
        let plan = Plan::new(Vector::new(&raw).unwrap(), start, &mut room, || None).unwrap();
        let expected = pages(&ops, bias);

        let nr_operands = ops.iter().flat_map(Op::operands).filter(|operand| operand.len != 0).count();
        prop_assert_eq!(Vector::new(&raw).unwrap().nr_operands(), nr_operands);
        prop_assert!(plan.all().len() <= OPERAND_PAGES * nr_operands);
        for (&page, &written) in &expected {
            let access = if written { Access::Write } else { Access::Read };
            prop_assert_eq!(plan.access(page as usize), access);
            for from in 0..=plan.all().len() {
                let index = plan.find(page as usize, from);
                prop_assert_eq!(index.map(|index| plan.all()[index]), Some(page as usize));
            }
        }
        let writes = plan.writes().iter().map(|&page| (page as u128, true));
        let reads = plan.reads().iter().map(|&page| (page as u128, false));
        prop_assert_eq!(writes.chain(reads).collect::<BTreeMap<_, _>>(), expected.clone());
        prop_assert_eq!(plan.all().len(), expected.len());

        for (addr, len) in areas {
            let start = addr + bias;
            let is_written = |offset: u64| {
                let addr = u128::from(start) + u128::from(offset);
                expected.get(&(addr / PAGE_SIZE * PAGE_SIZE)) == Some(&true)
            };
            let share = match (0..len).filter(|&offset| is_written(offset)).count() as u64 {
                0 => Share::None,
                written if written == len => Share::All,
                _ => Share::Part,
            };
            prop_assert_eq!(plan.written(start as usize, len as usize), share);
        }
    }

    #[test]
    fn operand_that_is_out_of_range_makes_no_plan(
        ops in valid_vector(),
        limit in (0..=MEMORY / LEN_MAX).prop_map(|pages| pages * LEN_MAX),
    ) {
        let is_in_range = |addr: u64, len: u32| addr + u64::from(len) <= limit;
        let start = |operand: &Operand| {
            is_in_range(operand.addr, operand.len).then_some(operand.addr as usize)
        };
        let raw = model::raw(&ops);
        let mut room = [0; MAX_PAGES];

        let operands: Vec<_> = ops.iter().flat_map(Op::operands).collect();
        match Plan::new(Vector::new(&raw).unwrap(), start, &mut room, || None) {
            Ok(_) => {
                let mut operands = operands.iter();
                prop_assert!(operands.all(|operand| is_in_range(operand.addr, operand.len)));
            }
            Err(Error::OutOfRange(operand)) => {
                prop_assert!(!is_in_range(operand.addr, operand.len));
                let is_operand = |access| operands.contains(&as_model(operand, access));
                prop_assert!(is_operand(Access::Read) || is_operand(Access::Write));
            }
            Err(error) => panic!("{error:?}"),
        }
    }

    #[test]
    fn pieces_are_whole_and_within_a_page(a in addr(), b in addr(), len in 0..=LEN_MAX) {
        let mut done = 0;

        for (offset, piece) in pieces(a as usize, b as usize, len as usize) {
            prop_assert_eq!(offset, done);
            for start in [a as usize + offset, b as usize + offset] {
                prop_assert_eq!(start / PAGE_SIZE as usize, (start + piece - 1) / PAGE_SIZE as usize);
            }
            done += piece;
        }
        prop_assert_eq!(done, len as usize);
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
