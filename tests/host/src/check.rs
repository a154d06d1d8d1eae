// SPDX-License-Identifier: GPL-2.0

//! Compares the modules with the models. Every difference is a panic.

use super::{
    interpret::{interpret, Memory, Outcome},
    model::{self, pages_of, End, Op, PAGE_SIZE},
    op::{Operand, RawOp, Vector},
    page::{self, Recent},
    plan::{Error, Plan, Share, MAX_PAGES, OPERAND_PAGES},
};
use crate::{mm::gup::Access, uaccess::nofault::Width};
use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};

/// Checks which vectors are valid, and what a valid one says of itself.
pub(crate) fn vector<'a>(raw: &'a [RawOp], ops: &[Op]) -> Option<Vector<'a>> {
    let vector = Vector::new(raw);
    assert_eq!(vector.is_ok(), model::is_valid(ops), "valid or not");
    let vector = vector.ok()?;

    assert_eq!((vector.len(), vector.ops().count()), (ops.len(), ops.len()));
    for index in 0..=ops.len() {
        let rest = ops.get(index + 1..).unwrap_or_default();
        let after = vector.after(index);
        assert_eq!((after.len(), operands(after)), (rest.len(), stated(rest)));
    }
    let all = stated(ops);
    assert_eq!(operands(vector), all);
    assert_eq!(vector.nr_operands(), all.len());

    let is_one_access =
        |op: &Op| [1, 2, 4, 8].contains(&op.len) && op.first % u64::from(op.len) == 0;
    let stores = |op: &Op| op.operands().iter().any(|operand| operand.written);
    let mut stores = (0..).zip(ops).filter(|(_, op)| stores(op));
    let stores_last = match (stores.next(), stores.next()) {
        (None, _) => true,
        (Some((index, op)), None) => index + 1 == ops.len() && is_one_access(op),
        _ => false,
    };
    assert_eq!(vector.stores_last(), stores_last);

    let reads = |op: &Op| op.operands().iter().any(|operand| !operand.written);
    let mut behind = ops.iter().skip_while(|op| !matches!(op.op, 9..=11));
    assert_eq!(vector.reads_behind_barrier(), behind.any(reads));

    Some(vector)
}

/// Returns the operands of a vector as it lists them.
fn operands(vector: Vector<'_>) -> Vec<model::Operand> {
    let mut operands = Vec::new();
    let result: Result<(), ()> = vector.try_for_each_operand(|operand, access| {
        operands.push(as_model(operand, access));
        Ok(())
    });

    assert_eq!(result, Ok(()));
    operands
}

/// Returns the operands of a vector as the program states them.
fn stated(ops: &[Op]) -> Vec<model::Operand> {
    ops.iter().flat_map(Op::operands).collect()
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

/// Memory from address zero on, with a hole.
struct Bytes<'a> {
    bytes: Vec<u8>,
    hole: &'a Range<u64>,
    accesses: Vec<model::Access>,
}

struct Fault;

impl Bytes<'_> {
    fn area(&self, addr: u64, len: usize) -> Result<Range<usize>, Fault> {
        if len == 0 {
            return Ok(0..0);
        }
        let end = addr.checked_add(len as u64).ok_or(Fault)?;
        let is_apart = self.hole.is_empty() || end <= self.hole.start || self.hole.end <= addr;

        if end <= self.bytes.len() as u64 && is_apart {
            Ok(addr as usize..end as usize)
        } else {
            Err(Fault)
        }
    }
}

impl Memory for Bytes<'_> {
    type Fault = Fault;

    fn load(&mut self, addr: u64, width: Width) -> Result<u64, Fault> {
        let len = width.bytes();
        self.accesses.push(model::Access::Load(addr, len as u32));
        let area = self.area(addr, len)?;
        let mut bytes = [0; 8];
        bytes[..len].copy_from_slice(&self.bytes[area]);

        let value = width.value_of(bytes);
        assert_eq!(u128::from(value), model::integer(&bytes[..len]));
        assert_eq!(width.is_aligned(addr as usize), addr % len as u64 == 0);
        Ok(value)
    }

    fn store(&mut self, addr: u64, width: Width, value: u64) -> Result<(), Fault> {
        let len = width.bytes();
        self.accesses.push(model::Access::Store(addr, len as u32));
        let area = self.area(addr, len)?;
        let mut bytes = [0; 8];
        model::set_integer(&mut bytes[..len], value.into());

        assert_eq!(width.bytes_of(value)[..len], bytes[..len]);
        self.bytes[area].copy_from_slice(&bytes[..len]);
        Ok(())
    }

    fn equal(&mut self, a: u64, b: u64, len: usize) -> Result<bool, Fault> {
        self.accesses.push(model::Access::Compare(a, b, len as u32));
        let (a, b) = (self.area(a, len)?, self.area(b, len)?);
        Ok(self.bytes[a] == self.bytes[b])
    }

    fn copy(&mut self, dst: u64, src: u64, len: usize) -> Result<(), Fault> {
        self.accesses
            .push(model::Access::Copy(dst, src, len as u32));
        let dst = self.area(dst, len)?;
        let src = self.area(src, len)?;
        self.bytes.copy_within(src, dst.start);
        Ok(())
    }

    fn barrier(&mut self) {
        self.accesses.push(model::Access::Barrier);
    }
}

/// Checks what a valid vector returns, how it accesses memory, and what it leaves there.
///
/// Copies may overlap: both memories copy as if by a buffer.
pub(crate) fn run(vector: Vector<'_>, ops: &[Op], contents: Vec<u8>, hole: &Range<u64>) {
    let mut left = contents.clone();
    let (end, accesses) = model::run(ops, &mut left, hole);

    let mut memory = Bytes {
        bytes: contents,
        hole,
        accesses: Vec::new(),
    };
    let found = match interpret(vector, &mut memory) {
        Ok(Outcome::Completed) => End::Returned(0),
        Ok(Outcome::Stopped(index)) => End::Returned(1 + index),
        Err(Fault) => End::Faulted,
    };

    assert_eq!(found, end, "how it ends");
    let made = memory.accesses.len();
    // The operation that faults does not get further than the operand that does.
    assert_eq!(Some(&memory.accesses[..]), accesses.get(..made), "accesses");
    assert!(
        found == End::Faulted || made == accesses.len(),
        "all accesses"
    );
    if memory.bytes != left {
        let differs = (0..left.len()).find(|&addr| memory.bytes[addr] != left[addr]);
        panic!("the memory differs afterwards, first at {differs:x?}");
    }
}

/// The address space of a plan.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Space {
    /// What is added to the addresses of a vector.
    pub(crate) bias: u64,
    /// Where user memory ends, a multiple of the size of a page.
    pub(crate) limit: u128,
}

impl Space {
    /// Returns the address at which an area starts, if it is in user memory as a whole.
    pub(crate) fn start(&self, addr: u64, len: u32) -> Option<u128> {
        let start = u128::from(addr.wrapping_add(self.bias));

        (start + u128::from(len) <= self.limit).then_some(start)
    }
}

/// What there has to be instead of a plan.
#[derive(Debug, PartialEq, Eq)]
enum NoPlan {
    OutOfRange(model::Operand),
    NoRoom,
}

/// Returns each page of a vector, with whether it is written, and for how many pages there has to
/// be room first.
fn pages(ops: &[Op], space: &Space, room: usize) -> Result<BTreeMap<u128, bool>, NoPlan> {
    let mut pages = BTreeMap::new();

    for operand in stated(ops) {
        let Some(start) = space.start(operand.addr, operand.len) else {
            return Err(NoPlan::OutOfRange(operand));
        };
        for page in pages_of(start, operand.len) {
            *pages.entry(page).or_default() |= operand.written;
            if pages.len() > room {
                return Err(NoPlan::NoRoom);
            }
        }
    }
    Ok(pages)
}

/// Checks that a plan has each page, and no other, and what it says of them.
///
/// `areas` are further areas to ask it about, by address and length.
pub(crate) fn plan(
    vector: Vector<'_>,
    ops: &[Op],
    space: &Space,
    room: usize,
    more_room: Option<usize>,
    areas: &[(u64, u32)],
) {
    let start = |operand: &Operand| {
        let start = space.start(operand.addr, operand.len)?;
        Some(usize::try_from(start).expect("the limit is that of addresses"))
    };
    let mut first_room = vec![usize::MAX; room];
    let mut second_room = more_room.map(|more| vec![usize::MAX; more]);
    let second_room = second_room.as_deref_mut();
    let mut asked = false;
    let found = Plan::new(vector, start, &mut first_room, || {
        asked = true;
        second_room
    });

    let expected = pages(ops, space, room.max(more_room.unwrap_or(0)));
    let (plan, pages) = match (found, expected) {
        (Ok(plan), Ok(pages)) => (plan, pages),
        (Ok(_), Err(expected)) => panic!("a plan instead of {expected:?}"),
        (Err(error), expected) => {
            let found = match error {
                Error::NoRoom => NoPlan::NoRoom,
                Error::OutOfRange(operand) => {
                    // The error does not tell what was to be done to it.
                    let written = match &expected {
                        Err(NoPlan::OutOfRange(operand)) => operand.written,
                        _ => false,
                    };
                    let access = if written { Access::Write } else { Access::Read };
                    NoPlan::OutOfRange(as_model(operand, access))
                }
            };
            assert_eq!(Err(found), expected, "why there is no plan");
            return;
        }
    };
    assert_eq!(asked, pages.len() > room, "more room was asked for");

    let listed = |write: bool| {
        let pages = pages.iter().filter(move |&(_, &written)| written == write);
        pages.map(|(&page, _)| page as usize).collect::<Vec<_>>()
    };
    assert_eq!(plan.writes(), listed(true), "pages to write, by address");
    assert_eq!(plan.reads(), listed(false), "pages to read, by address");
    assert_eq!(plan.all(), [plan.writes(), plan.reads()].concat());
    let most = MAX_PAGES.min(OPERAND_PAGES * stated(ops).len());
    assert!(plan.all().len() <= most);

    read_len(&plan, ops, space, &pages);
    for (index, &page) in plan.all().iter().enumerate() {
        let is_written = pages[&(page as u128)];
        assert_eq!(plan.access(page) == Access::Write, is_written);
        for near in 0..=plan.all().len() + 1 {
            assert_eq!(plan.find(page, near), Some(index));
        }
    }

    let operands = stated(ops).into_iter();
    let operands = operands.map(|operand| (operand.addr, operand.len));
    for (addr, len) in operands.chain(areas.iter().copied()) {
        if let Some(start) = space.start(addr, len).filter(|_| len != 0) {
            area(&plan, start, len, &pages);
        }
    }
}

/// Checks for how much a plan has room to load what is only read.
fn read_len(plan: &Plan<'_>, ops: &[Op], space: &Space, pages: &BTreeMap<u128, bool>) {
    let reads = || {
        let operands = stated(ops).into_iter();
        operands.filter(|operand| !operand.written)
    };
    let is_outside = |operand: &model::Operand| {
        let start = space.start(operand.addr, operand.len);
        let start = start.expect("there is a plan");
        pages_of(start, operand.len).any(|page| !pages[&page])
    };
    let room = |operand: model::Operand| operand.len.max(8) as usize;
    let outside: usize = reads().filter(is_outside).map(room).sum();
    let all: usize = reads().map(room).sum();

    assert!((outside..=all).contains(&plan.read_len()));
}

/// Checks what a plan says of an area, which need not be one of its vector.
fn area(plan: &Plan<'_>, start: u128, len: u32, pages: &BTreeMap<u128, bool>) {
    let is_written = |page| pages.get(&page).copied().unwrap_or(false);
    let nr_written = pages_of(start, len)
        .filter(|&page| is_written(page))
        .count();
    let share = match nr_written {
        0 => Share::None,
        written if written == pages_of(start, len).count() => Share::All,
        _ => Share::Part,
    };
    assert_eq!(plan.written(start as usize, len as usize), share);

    let mut expected = Vec::new();
    for page in pages_of(start, len) {
        let index = plan.find(page as usize, 0);
        assert_eq!(index.is_some(), pages.contains_key(&page));
        expected.push((page as usize, page.saturating_sub(start) as usize));
    }
    let found: Vec<_> = page::pages(start as usize, len as usize).collect();
    assert_eq!(found, expected, "pages of an area");

    let addr = start as u64;
    let is_in_page = pages_of(start, len).count() == 1;
    assert_eq!(Recent::page_of(addr).has(addr, len), is_in_page);
}

/// Checks that two areas are split where either goes on in another page, and only there.
pub(crate) fn pieces(a: u64, b: u64, len: u32) {
    let mut ends = BTreeSet::from([u128::from(len)]);
    for addr in [a, b].map(u128::from) {
        let page_ends = pages_of(addr, len).map(|page| page + PAGE_SIZE - addr);
        ends.extend(page_ends.filter(|&end| end < len.into()));
    }
    let mut start = 0;
    let pieces = ends.into_iter().map(|end| {
        let piece = (start as usize, (end - start) as usize);
        start = end;
        piece
    });
    let expected: Vec<_> = pieces.filter(|&(_, len)| len != 0).collect();

    let found: Vec<_> = page::pieces(a as usize, b as usize, len as usize).collect();
    assert_eq!(found, expected, "pieces");
}
