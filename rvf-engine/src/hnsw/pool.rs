//! [`Pool`]: the nearest nodes that a walk has met, sorted, and which of them it has expanded.
//!
//! Dead nodes are kept while they are nearer than the ef-th live one: a walk passes through them and does not return them.

/// A node of the pool as one number: distance, then node, then its flags, so that sorting numbers sorts by distance and
/// breaks ties by node. Nodes have 30 bits: links of more would not fit into a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key(u64);

const EXPANDED: u64 = 1;
const DEAD: u64 = 2;

impl Key {
    #[inline(always)]
    fn new(distance: f32, node: u32, dead: bool) -> Self {
        let flags = if dead { DEAD } else { 0 };
        Self(u64::from(ordered(distance)) << 32 | u64::from(node) << 2 | flags)
    }

    fn node(self) -> u32 {
        (self.0 as u32) >> 2
    }

    fn distance(self) -> f32 {
        distance((self.0 >> 32) as u32)
    }

    fn has(self, flag: u64) -> bool {
        self.0 & flag != 0
    }
}

/// The bits of a float in an order that is that of the numbers.
#[inline(always)]
fn ordered(distance: f32) -> u32 {
    let bits = distance.to_bits();
    if bits >> 31 == 1 { !bits } else { bits | 1 << 31 }
}

fn distance(ordered: u32) -> f32 {
    f32::from_bits(if ordered >> 31 == 1 { ordered & !(1 << 31) } else { !ordered })
}

/// Puts `key` before all others; the last falls out. A few are moved one by one: a call would cost more.
#[inline(always)]
fn shift_in(keys: &mut [Key], key: Key) {
    if keys.len() > FEW {
        let last = keys.len() - 1;
        keys.copy_within(..last, 1);
        keys[0] = key;
        return;
    }
    let mut carried = key;
    for key in keys {
        std::mem::swap(key, &mut carried);
    }
}

/// Keys that are compared one by one rather than by halves.
const FEW: usize = 128;

#[derive(Debug, Default)]
pub(super) struct Pool {
    keys: Vec<Key>,
    /// No key before this is unexpanded.
    cursor: usize,
    ef: usize,
    live: usize,
    bound: f32,
    /// Where the nearest node is no nearer than this, only so many are expanded.
    narrow: (f32, usize),
    /// Only so many of the nearest are expanded.
    first: usize,
    /// How many are asked for, how much farther than the last of them a node may be and be expanded, and how many of the nearest are kept
    /// however far they are.
    reach: (usize, f32, usize),
}

impl Pool {
    /// Empties the pool; it is to keep the `ef` nearest live nodes.
    pub(super) fn begin(&mut self, ef: usize) {
        self.keys.clear();
        self.cursor = 0;
        self.ef = ef.max(1);
        self.live = 0;
        self.bound = f32::INFINITY;
        self.narrow = (f32::INFINITY, usize::MAX);
        self.first = usize::MAX;
        self.reach = (0, f32::INFINITY, 0);
    }

    /// Only the nearest one is expanded: the way there.
    pub(super) fn approach(&mut self) {
        self.first = 1;
    }

    /// From now on others are expanded, too.
    pub(super) fn arrive(&mut self) {
        self.first = usize::MAX;
    }

    /// Nodes more than `slack` farther than the `k`-th nearest live one are not expanded, nor taken in where they are not among the `kept`
    /// nearest.
    pub(super) fn stop_beyond(&mut self, k: usize, slack: f32, kept: usize) {
        self.reach = (k.max(1), slack, kept.max(k).max(1));
    }

    /// Until a node nearer than `wanted` is met, only the `few` nearest are expanded.
    pub(super) fn narrow(&mut self, wanted: f32, few: usize) {
        self.narrow = (wanted, few);
    }

    /// The share of the nearest nodes in the pool, of so many at most, that are live: 0 of none.
    pub(super) fn live_share(&self, nearest: usize) -> f64 {
        let keys = self.keys.get(..nearest).unwrap_or(&self.keys);
        keys.iter().filter(|key| !key.has(DEAD)).count() as f64 / keys.len().max(1) as f64
    }

    /// Makes room for `ef` live nodes, of which there were to be fewer.
    pub(super) fn widen(&mut self, ef: usize) {
        self.ef = ef.max(self.ef);
        if self.live < self.ef {
            self.bound = f32::INFINITY;
        }
    }

    /// A node at this distance or farther cannot enter.
    #[inline(always)]
    pub(super) fn bound(&self) -> f32 {
        self.bound
    }

    /// Takes in a node that is nearer than the bound and was not taken in before.
    #[inline(always)]
    pub(super) fn insert(&mut self, distance: f32, node: u32, dead: bool) {
        let key = Key::new(distance, node, dead);
        let at = self.place_of(key);
        self.cursor = self.cursor.min(at);
        if !dead && self.live == self.ef && self.keys.len() == self.ef {
            // Full, and nothing but live nodes: the farthest makes room.
            shift_in(&mut self.keys[at..], key);
            self.bound = self.keys.last().map_or(f32::INFINITY, |last| last.distance());
            self.tighten();
            return;
        }
        self.keys.insert(at, key);
        self.live += usize::from(!dead);
        if self.live > self.ef {
            self.shrink();
        }
        if self.live == self.ef {
            self.bound = self.keys.last().map_or(f32::INFINITY, |last| last.distance());
        }
        self.tighten();
    }

    /// Lowers the bound to what can still be of use: what is in reach only draws nearer.
    #[inline(always)]
    fn tighten(&mut self) {
        let (k, slack, kept) = self.reach;
        if slack < f32::INFINITY && self.live == self.keys.len() && self.live >= kept {
            let reach = self.keys[k - 1].distance() + slack;
            self.bound = self.bound.min(reach.max(self.keys[kept - 1].distance()));
        }
    }

    /// How many keys are smaller. All are looked at where they are few: without a branch, several at a time.
    #[inline(always)]
    fn place_of(&self, key: Key) -> usize {
        if self.keys.len() > FEW {
            return self.keys.partition_point(|other| *other < key);
        }
        let mut smaller = 0;
        for other in &self.keys {
            smaller += u64::from(other.0 < key.0);
        }
        smaller as usize
    }

    /// Drops the farthest until `ef` live nodes are left, and the last of them is the last of all.
    fn shrink(&mut self) {
        while self.live > self.ef {
            let dropped = self.keys.pop();
            self.live -= usize::from(dropped.is_some_and(|key| !key.has(DEAD)));
        }
        while self.keys.last().is_some_and(|last| last.has(DEAD)) {
            self.keys.pop();
        }
    }

    /// The nearest node that was not expanded yet; it counts as expanded from now on.
    #[inline(always)]
    pub(super) fn expand(&mut self) -> Option<u32> {
        let after = self.keys.get(self.cursor..)?;
        let skip = after.iter().position(|key| !key.has(EXPANDED))?;
        self.cursor += skip;
        let (wanted, few) = self.narrow;
        if self.cursor >= few && self.keys[0].distance() >= wanted {
            return None;
        }
        if self.cursor >= self.first || self.is_beyond(self.keys[self.cursor].distance()) {
            return None;
        }
        let key = &mut self.keys[self.cursor];
        key.0 |= EXPANDED;
        self.cursor += 1;
        Some(key.node())
    }

    /// Whether a node is too far to lead to any that are asked for.
    #[inline(always)]
    fn is_beyond(&self, distance: f32) -> bool {
        let (k, slack, _) = self.reach;
        if slack == f32::INFINITY || self.live < k {
            return false;
        }
        let all_live = self.live == self.keys.len();
        let last =
            if all_live { self.keys.get(k - 1) } else { self.keys.iter().filter(|key| !key.has(DEAD)).nth(k - 1) };
        last.is_some_and(|last| distance > last.distance() + slack)
    }

    /// The live nodes, nearest first, with their distances.
    pub(super) fn live(&self) -> impl Iterator<Item = (f32, u32)> + '_ {
        self.keys.iter().filter(|key| !key.has(DEAD)).map(|key| (key.distance(), key.node()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_keep_their_order_as_numbers() {
        let values = [f32::NEG_INFINITY, -1e30, -1.0, -1e-40, -0.0, 0.0, 1e-40, 0.5, 1.0, 3e38, f32::INFINITY];
        assert!(values.windows(2).all(|pair| ordered(pair[0]) < ordered(pair[1])));
        assert!(values.iter().all(|value| distance(ordered(*value)).to_bits() == value.to_bits()));
    }

    #[test]
    fn the_nearest_live_nodes_stay_and_dead_ones_do_not_count() {
        let mut pool = Pool::default();
        pool.begin(2);
        pool.insert(5.0, 1, false);
        assert_eq!(pool.bound(), f32::INFINITY);
        pool.insert(4.0, 2, true);
        pool.insert(6.0, 3, false);
        assert_eq!(pool.bound(), 6.0);
        pool.insert(1.0, 4, false);
        assert_eq!(pool.bound(), 5.0);
        pool.insert(0.5, 5, false);
        // The dead node behind the second live one is gone with it.
        assert_eq!((pool.bound(), pool.keys.len()), (1.0, 2));
        assert_eq!(pool.live().collect::<Vec<_>>(), [(0.5, 5), (1.0, 4)]);
    }

    #[test]
    fn nodes_are_expanded_nearest_first_and_once() {
        let mut pool = Pool::default();
        pool.begin(3);
        pool.insert(2.0, 1, false);
        pool.insert(3.0, 2, true);
        assert_eq!(pool.expand(), Some(1));
        pool.insert(1.0, 3, false);
        assert_eq!([pool.expand(), pool.expand(), pool.expand()], [Some(3), Some(2), None]);
    }

    #[test]
    fn a_way_expands_the_nearest_alone_and_what_is_far_beyond_is_left() {
        let mut pool = Pool::default();
        pool.begin(9);
        (1..8u32).for_each(|node| pool.insert(node as f32, node, node == 2));
        pool.approach();
        assert_eq!([pool.expand(), pool.expand()], [Some(1), None]);
        pool.arrive();
        // The second nearest live one is the third: what is farther than 4.5 is left.
        pool.stop_beyond(2, 1.5, 2);
        let expanded: Vec<u32> = std::iter::from_fn(|| pool.expand()).collect();
        assert_eq!(expanded, [2, 3, 4]);
        // Fewer than are asked for: nothing is left.
        pool.stop_beyond(7, 0.0, 7);
        assert_eq!(pool.expand(), Some(5));
        // What is out of reach is not taken in, but as one of those that are kept.
        let mut pool = Pool::default();
        pool.begin(9);
        pool.stop_beyond(2, 1.5, 3);
        (1..4u32).for_each(|node| pool.insert(node as f32, node, false));
        assert_eq!(pool.bound(), 3.5);
        pool.stop_beyond(2, 0.5, 3);
        pool.insert(2.5, 9, false);
        assert_eq!(pool.bound(), 2.5);
    }
}
