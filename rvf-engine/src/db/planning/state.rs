//! What planning learned as tensors: committed with the store, reset and read again like any other segment. A branch, whose graphs are others, begins anew.

use super::super::Db;
use super::super::learning::tensors;
use super::adaptive::AdaptivePlanner;
use super::arms::Arm;
use crate::learn::{DagAttention, Tensor, Tensors};
use crate::search::Strategy;
use crate::store::Edit;
use crate::store::Snapshot;
use crate::{Error, Result};
use rvf_format::Kind;

/// Version of the state: one of another is left alone.
const VERSION: f32 = 1.0;
/// Numbers of an arm.
const OF_ARM: usize = 9;

impl AdaptivePlanner {
    /// What was learned, by name: as `spec/learning.md` says.
    pub fn to_tensors(&self) -> Tensors {
        let (mut all, inner) = (Tensors::default(), self.lock());
        let graphs: Vec<f32> = graphs(self.snapshot()).into_iter().flat_map(|id| pieces::<4>(id, 16)).collect();
        all.put("plan.version", &[1], vec![VERSION]);
        all.put("plan.graphs", &[graphs.len() / 4, 4], graphs);
        let audited = inner.templates.iter().filter(|(_, template)| template.audits > 0);
        let asked = audited.map(|(key, template)| (*key, template.bandit.to_state(), numbers(&template.arms)));
        let kept = inner.kept.iter().map(|(key, bandit)| (*key, bandit.clone(), Vec::new()));
        for (place, (key, bandit, arms)) in asked.chain(kept).enumerate() {
            let name = |part: &str| format!("plan.template.{place}.{part}");
            all.put(&name("key"), &[8], pieces::<8>(key, 8).to_vec());
            all.put(&name("bandit"), &[bandit.len()], bandit);
            if !arms.is_empty() {
                all.put(&name("arms"), &[arms.len() / OF_ARM, OF_ARM], arms);
            }
        }
        for (name, tensor) in inner.attend.attention.to_tensors().iter() {
            all.put(&format!("plan.attention.{name}"), &tensor.shape, tensor.values.clone());
        }
        all
    }

    /// Takes over what was committed for the same graphs; what is not understood is begun anew.
    pub(super) fn restore(&self) -> Result<()> {
        let Some((all, _)) = tensors(self.snapshot(), Kind::POLICY_KERNEL)? else { return Ok(()) };
        if !fits(&all, self.snapshot()) {
            return Ok(());
        }
        let mut inner = self.lock();
        for place in 0.. {
            let name = |part: &str| format!("plan.template.{place}.{part}");
            let (Some(key), Some(state)) = (all.get(&name("key"), &[8]), all.tensor(&name("bandit"))) else { break };
            inner.kept.insert(whole(key, 8), state.values.clone());
        }
        let mut attention = Tensors::default();
        for (name, tensor) in all.iter() {
            if let Some(name) = name.strip_prefix("plan.attention.") {
                attention.put(name, &tensor.shape, tensor.values.clone());
            }
        }
        if let Some(attention) = DagAttention::from_tensors(&attention) {
            inner.attend.attention = attention;
        }
        Ok(())
    }
}

impl Db {
    /// Commits what a planner has learned, in place of what was committed before. Returns the epoch. Nothing that a search finds depends on it.
    ///
    /// # Errors
    /// [`Error::OtherSnapshot`] where the graphs of the index are others than the planner saw; those of a commit.
    pub fn adopt_planner(&mut self, planner: &AdaptivePlanner) -> Result<u64> {
        let snapshot = self.snapshot();
        let same = snapshot.root().file_id == planner.snapshot().root().file_id;
        if !same || graphs(&snapshot) != graphs(planner.snapshot()) {
            return Err(Error::OtherSnapshot);
        }
        let all = planner.to_tensors();
        let shape = |tensor: &Tensor| tensor.shape.iter().map(|axis| *axis as u32).collect::<Vec<u32>>();
        let shapes: Vec<Vec<u32>> = all.iter().map(|(_, tensor)| shape(tensor)).collect();
        let named = all.iter().zip(&shapes).map(|((name, tensor), shape)| (name, &shape[..], &tensor.values[..]));
        let edit = Edit::plan(&snapshot, named);
        Ok(self.store.commit(&edit)?.epoch())
    }

    /// Forgets what planning has learned. Returns the newest epoch; where there is nothing to forget, nothing is committed.
    ///
    /// # Errors
    /// Those of a commit.
    pub fn reset_planner(&mut self) -> Result<u64> {
        let snapshot = self.snapshot();
        if !snapshot.has_learned(Kind::POLICY_KERNEL) {
            return Ok(snapshot.epoch());
        }
        let edit = Edit::plan(&snapshot, []);
        Ok(self.store.commit(&edit)?.epoch())
    }
}

/// The ids of the segments of the graphs.
fn graphs(snapshot: &Snapshot) -> Vec<u64> {
    snapshot.graphs().iter().map(|graph| graph.entry.segment_id.get()).collect()
}

/// Whether a state is of this version and of these graphs.
fn fits(all: &Tensors, snapshot: &Snapshot) -> bool {
    let of = graphs(snapshot);
    // A tensor without values is not kept.
    let kept = if of.is_empty() { Some(&[][..]) } else { all.get("plan.graphs", &[of.len(), 4]) };
    let is_same = kept.is_some_and(|kept| kept.chunks_exact(4).map(|id| whole(id, 16)).eq(of.iter().copied()));
    all.number("plan.version") == Some(VERSION) && is_same
}

/// A whole number in pieces of so many bits, lowest first: each is a float without rounding.
fn pieces<const N: usize>(number: u64, bits: u32) -> [f32; N] {
    std::array::from_fn(|piece| (number >> (piece as u32 * bits) & ((1 << bits) - 1)) as f32)
}

fn whole(pieces: &[f32], bits: u32) -> u64 {
    pieces.iter().rev().fold(0, |number, piece| number << bits | (*piece as u64 & ((1 << bits) - 1)))
}

fn numbers(arms: &[Arm]) -> Vec<f32> {
    let of_arm = |arm: &Arm| -> [f32; OF_ARM] {
        let Some(settings) = arm.settings else { return [0.0; OF_ARM] };
        let strategy = match settings.strategy {
            None => 0.0,
            Some(Strategy::OneByOne) => 1.0,
            Some(Strategy::TwoHops) => 2.0,
            Some(Strategy::Walk) => 3.0,
        };
        let count = |count: usize| count.min(1 << 20) as f32;
        let slack = if settings.slack.is_finite() { settings.slack } else { -1.0 };
        [
            count(settings.ef),
            count(settings.reranked),
            count(settings.probed),
            count(settings.approach),
            count(settings.links),
            slack,
            f32::from(u8::from(settings.warmth.begins())),
            strategy,
            f32::from(arm.family),
        ]
    };
    arms.iter().flat_map(of_arm).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_survive_in_pieces() {
        for number in [0, 1, 0xFFFF, 0x1234_5678_9ABC_DEF0, u64::MAX] {
            assert_eq!((whole(&pieces::<4>(number, 16), 16), whole(&pieces::<8>(number, 8), 8)), (number, number));
        }
    }
}
