//! [`MaxFlow`]: the most that flows from one node to another, and the cheapest cut between them.
//!
//! ```text
//! while the sink is reached over arcs with room:
//!     level(node) = arcs from the source
//!     while a path goes up one level with each arc: fill it
//! ```
//! (Dinic 1970.) Departures: (1) A path is looked for from the source again after each that was filled; dead ends are remembered, so that a
//! round still looks at each arc once. (2) No tolerance: an arc has room or has none. The narrowest arc of a path loses exactly what it had
//! (x - x is 0 in floating point, too) and gets room back in the next round at the earliest, so a round fills at most as many paths as there
//! are arcs, and there are fewer rounds than nodes. That holds however sums are rounded; a tolerance would only make small capacities vanish
//! beside large ones.

/// This capacity and all above it, infinity too, bound nothing. It is finite, so that no difference is undefined.
pub(crate) const NO_BOUND: f64 = 1e100;

/// No arc, and no level.
const NONE: u32 = u32::MAX;

/// One direction of an arc; the other one stands beside it, at the index with the last bit turned.
#[derive(Clone, Copy, Debug)]
struct Arc {
    to: u32,
    /// The next arc out of the same node.
    next: u32,
    /// What may still flow.
    room: f64,
}

/// A network of directed arcs with capacities, and a flow in it.
#[derive(Clone, Debug)]
pub(crate) struct MaxFlow {
    arcs: Vec<Arc>,
    /// By node: its first arc, the one to be tried next, its level.
    first: Vec<u32>,
    current: Vec<u32>,
    level: Vec<u32>,
    /// Nodes of a search, arcs of a path: kept for their memory.
    queue: Vec<u32>,
    path: Vec<u32>,
}

impl MaxFlow {
    /// A network without arcs.
    pub(crate) fn new(nodes: usize) -> Self {
        let none = vec![NONE; nodes];
        Self {
            arcs: Vec::new(),
            first: none.clone(),
            current: none.clone(),
            level: none,
            queue: Vec::new(),
            path: Vec::new(),
        }
    }

    /// Adds an arc; tells its number. `None`, and nothing is added, where an end is no node or the capacity is no number of 0 or more.
    pub(crate) fn join(&mut self, from: usize, to: usize, capacity: f64) -> Option<usize> {
        let is_sound = from < self.first.len() && to < self.first.len() && capacity >= 0.0;
        let number = u32::try_from(self.arcs.len()).ok().filter(|number| *number < NONE - 1)?;
        if !is_sound {
            return None;
        }
        for (at, from, to, room) in [(number, from, to, capacity.min(NO_BOUND)), (number + 1, to, from, 0.0)] {
            self.arcs.push(Arc { to: to as u32, next: self.first[from], room });
            self.first[from] = at;
        }
        Some(number as usize)
    }

    /// Takes the bound from an arc. What flows stays.
    pub(crate) fn unbind(&mut self, arc: usize) {
        if let Some(arc) = self.arcs.get_mut(arc) {
            arc.room = NO_BOUND;
        }
    }

    /// Adds to the flow until no more fits; tells what was added: the whole flow at the first call. It is [`NO_BOUND`] or more where no arc on
    /// the way is bounded, and 0 from a node to itself.
    pub(crate) fn fill(&mut self, source: usize, sink: usize) -> f64 {
        if source == sink || source.max(sink) >= self.first.len() {
            return 0.0;
        }
        let mut sum = 0.0;
        while self.reaches(source, sink) {
            self.current.copy_from_slice(&self.first);
            while self.find_path(source, sink) {
                sum += self.fill_path();
            }
        }
        sum
    }

    /// After [`Self::fill`]: which nodes stand on the source's side of a minimum cut, the smallest such side: what its last search, in vain,
    /// reached. Arcs that leave it are full.
    pub(crate) fn source_side(&self) -> Vec<bool> {
        self.level.iter().map(|level| *level != NONE).collect()
    }

    /// Sets the levels; whether the sink has one.
    fn reaches(&mut self, source: usize, sink: usize) -> bool {
        self.level.fill(NONE);
        self.level[source] = 0;
        self.queue.clear();
        self.queue.push(source as u32);
        let mut done = 0;
        while let Some(&node) = self.queue.get(done) {
            done += 1;
            let mut at = self.first[node as usize];
            while let Some(arc) = self.arcs.get(at as usize) {
                if arc.room > 0.0 && self.level[arc.to as usize] == NONE {
                    self.level[arc.to as usize] = self.level[node as usize] + 1;
                    if arc.to as usize == sink {
                        return true;
                    }
                    self.queue.push(arc.to);
                }
                at = arc.next;
            }
        }
        false
    }

    /// Looks for a path that goes up one level with each arc.
    fn find_path(&mut self, source: usize, sink: usize) -> bool {
        self.path.clear();
        let mut node = source;
        while node != sink {
            let at = self.current[node];
            if let Some(arc) = self.arcs.get(at as usize) {
                let to = arc.to as usize;
                if arc.room > 0.0 && self.level[to] == self.level[node] + 1 {
                    self.path.push(at);
                    node = to;
                } else {
                    self.current[node] = arc.next;
                }
            } else {
                // A dead end: back, and past the arc that led here.
                let Some(last) = self.path.pop() else { return false };
                node = self.arcs[last as usize ^ 1].to as usize;
                self.current[node] = self.arcs[last as usize].next;
            }
        }
        true
    }

    /// Fills the path that was found; tells how much it took.
    fn fill_path(&mut self) -> f64 {
        let narrowest = self.path.iter().map(|at| self.arcs[*at as usize].room).fold(f64::INFINITY, f64::min);
        for &at in &self.path {
            self.arcs[at as usize].room -= narrowest;
            self.arcs[at as usize ^ 1].room += narrowest;
        }
        narrowest
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    type Arcs = Vec<(usize, usize, f64)>;

    fn network(nodes: usize, arcs: &Arcs) -> MaxFlow {
        let mut network = MaxFlow::new(nodes);
        arcs.iter().for_each(|(from, to, capacity)| assert!(network.join(*from, *to, *capacity).is_some()));
        network
    }

    /// Capacities of arcs that leave a side.
    fn cut(arcs: &Arcs, is_inside: impl Fn(usize) -> bool) -> f64 {
        arcs.iter().filter(|(from, to, _)| is_inside(*from) && !is_inside(*to)).map(|arc| arc.2.min(NO_BOUND)).sum()
    }

    /// Capacities of very unlike sizes; some are 0, some do not bound.
    fn capacity(random: &mut Random) -> f64 {
        let size = [1e-9, 1e-3, 1.0, 1.0, 1e6][random.below(5)];
        match random.below(12) {
            0 => 0.0,
            1 => f64::INFINITY,
            _ => size * (random.below(1000) + 1) as f64 / 7.0,
        }
    }

    /// Catches a search that does not take flow back, a path that is not filled, and a side that is not that of the cut.
    #[test]
    fn flow_is_the_cheapest_of_all_cuts() {
        let mut random = Random(11);
        for round in 0..600 {
            let nodes = 2 + random.below(9);
            let arcs: Arcs = (0..random.below(nodes * 4))
                .map(|_| (random.below(nodes), random.below(nodes), capacity(&mut random)))
                .collect();
            let cheapest = (0..1u32 << nodes)
                .filter(|side| side & 1 == 1 && side >> (nodes - 1) & 1 == 0)
                .map(|side| cut(&arcs, |node| side >> node & 1 == 1))
                .fold(f64::INFINITY, f64::min);
            let mut network = network(nodes, &arcs);
            let flow = network.fill(0, nodes - 1);
            assert!((flow - cheapest).abs() <= 1e-12 * cheapest, "round {round}: {flow} {cheapest}");
            assert_eq!(network.fill(0, nodes - 1), 0.0, "round {round}");
            if flow < NO_BOUND {
                let side = network.source_side();
                assert!(side[0] && !side[nodes - 1], "round {round}");
                let sum = cut(&arcs, |node| side[node]);
                assert!((flow - sum).abs() <= 1e-12 * flow, "round {round}: {flow} {sum}");
            }
        }
    }

    /// A path that must be taken back; then more room, which only adds.
    #[test]
    fn flow_goes_on_from_what_flows() {
        let arcs = vec![(0, 1, 1.0), (0, 2, 1.0), (1, 2, 1.0), (1, 3, 1.0), (2, 3, 1.0)];
        let mut network = network(4, &arcs);
        assert_eq!(network.fill(0, 3), 2.0);
        network.unbind(0);
        assert_eq!(network.fill(0, 3), 0.0);
        network.unbind(6);
        assert_eq!(network.fill(0, 3), NO_BOUND);
    }

    #[test]
    fn what_is_no_network_is_refused() {
        let mut network = MaxFlow::new(2);
        assert!(network.join(0, 2, 1.0).is_none() && network.join(2, 0, 1.0).is_none());
        assert!(network.join(0, 1, -1.0).is_none() && network.join(0, 1, f64::NAN).is_none());
        network.unbind(7);
        assert_eq!((network.fill(0, 0), network.fill(0, 5), network.fill(0, 1)), (0.0, 0.0, 0.0));
        assert_eq!(network.source_side(), [true, false]);
    }
}
