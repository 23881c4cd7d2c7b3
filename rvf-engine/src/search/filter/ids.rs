//! One test over the ids of records.

use super::eval::Ground;
use super::tri::{Tri, all};
use crate::Result;
use crate::filter::{Literal, Op, Operand, TestKind};
use crate::store::Snapshot;
use rvf_format::payload::vec::IdRef;

/// Of which records the test of the id holds.
pub(super) fn test_ids(ground: &Ground<'_>, kind: &TestKind) -> Result<Tri> {
    let mut yes = vec![0u64; (ground.count as usize).div_ceil(64)];
    let single = match kind {
        TestKind::Compare(Op::Eq, literal) => Some(vec![&literal.value]),
        TestKind::In(literals) => Some(literals.iter().map(|literal| &literal.value).collect()),
        _ => None,
    };
    match (single, ground.part) {
        // Looked up, not compared.
        (Some(literals), Some(part)) => {
            for id in literals.into_iter().filter_map(id_of) {
                find(ground.snapshot, part, id, &mut yes)?;
            }
        }
        _ => {
            for position in 0..ground.count {
                let Some(at) = ground.row(position) else { continue };
                let operand = match ground.snapshot.id_of(at)? {
                    IdRef::U64(number) => Operand::IdNumber(number),
                    IdRef::Str(text) => Operand::IdText(text),
                };
                if kind.eval(operand) == Some(true) {
                    super::set(&mut yes, position, true);
                }
            }
        }
    }
    // An id is never null.
    Ok(Tri::among(all(ground.count), yes))
}

fn find(snapshot: &Snapshot, part: u32, id: IdRef<'_>, yes: &mut [u64]) -> Result<()> {
    for row in snapshot.view(part)?.find(id) {
        super::set(yes, row, true);
    }
    Ok(())
}

/// The id that a literal is equal to, if it can be one.
fn id_of(literal: &Literal) -> Option<IdRef<'_>> {
    match literal {
        Literal::Str(text) => Some(IdRef::Str(text)),
        Literal::U64(number) => Some(IdRef::U64(*number)),
        Literal::I64(number) => u64::try_from(*number).ok().map(IdRef::U64),
        // 2^64 is the first that is too large.
        Literal::F64(number) if number.fract() == 0.0 && (0.0..18_446_744_073_709_551_616.0).contains(number) => {
            Some(IdRef::U64(*number as u64))
        }
        Literal::F64(_) | Literal::Bool(_) => None,
    }
}
