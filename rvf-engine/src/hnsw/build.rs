//! [`build`]: inserts nodes batch by batch, twice. See `mod.rs` for the algorithm and its departures.

use super::cells::Pivots;
use super::rows::Rows;
use super::scorer::Scorer;
use super::select::{Candidate, Selector};
use super::walk::{Entry, Links, Scratch, Walk, is_set};
use super::{NO_LINK, heal, parallel, reach, twins};
use crate::kernel::{KernelError, Kernels};
use crate::random::Random;
use std::collections::HashSet;
use std::ops::ControlFlow;
use zerocopy::byteorder::little_endian::U32;

/// How a graph is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Params {
    /// Links that a new node chooses at most.
    pub(crate) m: usize,
    /// Links that a node has at most; at least `m`, at least 4.
    pub(crate) degree: usize,
    /// Nodes that a new node chooses its links from.
    pub(crate) ef_construction: usize,
    /// Order of insertion and choice of pivots.
    pub(crate) seed: u64,
    /// Threads; they do not change the result.
    pub(crate) threads: usize,
}

/// How nodes are inserted.
#[derive(Clone, Copy)]
struct Pass {
    /// Nodes that links are chosen from, and how many are chosen at most.
    ef: usize,
    most: usize,
}

impl Params {
    /// The first links of a node, which may change: half the work.
    fn draft(&self) -> Pass {
        Pass { ef: (self.ef_construction / 2).max(self.m), most: self.m }
    }

    /// Its links once all nodes are there.
    fn last(&self) -> Pass {
        Pass { ef: self.ef_construction, most: (self.m + self.m / 2).min(self.degree) }
    }
}

/// Told how many nodes are linked, of how many; may stop the work.
pub(crate) type Progress<'a> = &'a mut dyn FnMut(u64, u64) -> ControlFlow<()>;

/// The graph of before, to be carried on.
#[derive(Clone, Debug)]
pub(crate) struct Kept<'a> {
    /// Its links, over its own nodes.
    pub(crate) links: Links<'a>,
    /// For each of its nodes the node that it is now; [`NO_LINK`] if it is gone.
    pub(crate) becomes: Vec<u32>,
}

/// Nodes that are inserted last, and who looks at the graph before they are: so recall can be measured for queries that are like
/// its rows and that it does not know. A walk around a node that was inserted is no such measure: its neighbours were linked by
/// way of it.
pub(crate) struct Trial<'t, T> {
    pub(crate) held: &'t [u32],
    pub(crate) look: &'t mut dyn FnMut(Links<'_>, &Pivots<T>),
}

/// A graph.
#[derive(Clone, Debug)]
pub(crate) struct Built<T> {
    /// `degree` slots a node.
    pub(crate) links: Vec<U32>,
    pub(crate) pivots: Pivots<T>,
    /// Nodes that a walk can reach: the live ones.
    pub(crate) linked: u32,
}

/// Why a graph was not built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stopped {
    /// The progress callback wished so.
    Interrupted,
    /// A row is not finite.
    Kernel(KernelError),
}

impl From<KernelError> for Stopped {
    fn from(error: KernelError) -> Self {
        Stopped::Kernel(error)
    }
}

/// Nodes of the largest batch, and the share of what was inserted that a batch is at most, above the smallest.
const MOST_A_BATCH: usize = 2048;
const BATCH_SHARE: usize = 8;
const LEAST_A_BATCH: usize = 32;

/// One node in so many, the first, is not inserted a second time: when it was inserted little lay near it, so it links far, and
/// queries unlike all rows need such links. (Measured on 3,000 rows in 20 clusters and such queries, ef 64: recall 0.95 to 0.99 where
/// one in 16 or one in 4 is left alone, 0.85 to 0.97 where none is; for queries like the rows it makes no difference.)
const FAR_LINKED: usize = 8;

/// What a graph is built over.
#[derive(Clone, Copy)]
pub(crate) struct Ground<'g, S: Scorer> {
    pub(crate) scorer: &'g S,
    pub(crate) kernels: Kernels,
    pub(crate) rows: &'g Rows<'g, S::Row>,
    /// A bit a node, set for those that are left out.
    pub(crate) dead: &'g [u64],
}

/// Builds a graph over the nodes of the ground that are not dead, carrying on the graph of before where there is one.
///
/// # Errors
/// [`Stopped`].
pub(crate) fn build<S: Scorer>(
    ground: Ground<'_, S>,
    kept: Option<Kept<'_>>,
    params: &Params,
    trial: Trial<'_, S::Row>,
    progress: Progress<'_>,
) -> Result<Built<S::Row>, Stopped>
where
    S::Row: bytemuck::NoUninit,
{
    let Ground { scorer, kernels, rows, dead } = ground;
    let live: Vec<u32> = (0..rows.len()).filter(|node| !is_set(dead, *node)).collect();
    let (unique, twins) = twins::part(rows, &live);
    let mut shuffled = unique.clone();
    Random(params.seed).shuffle(&mut shuffled);
    let held: HashSet<u32> = trial.held.iter().copied().collect();
    // Pivots are the first: none of those that are held back.
    shuffled.sort_by_key(|node| held.contains(node));
    let pivots = Pivots::choose(scorer, kernels, rows, &shuffled, &[])?;
    let mut builder = Builder::new(scorer, kernels, rows, params)?;
    let inserted = match kept {
        Some(kept) => heal::carry_on(&mut builder, &kept, &unique)?,
        None => vec![false; rows.len() as usize],
    };
    let waiting: Vec<u32> = shuffled.iter().copied().filter(|node| !inserted[*node as usize]).collect();
    let (first, last) = waiting.split_at(waiting.partition_point(|node| !held.contains(node)));
    let mut told = Told { halves: 2 * (unique.len() - waiting.len()), total: live.len(), progress };
    // What this build has inserted counts: a graph that is carried on may know nothing like the new nodes, which must then find
    // each other.
    builder.insert_all(params.draft(), &pivots, first, 0, &mut told)?;
    builder.cut_all(&unique)?;
    let far = first.len().div_ceil(FAR_LINKED);
    builder.insert_all(params.last(), &pivots, &first[far..], first.len() - far, &mut told)?;
    builder.cut_all(&unique)?;
    // With the links of twins: what a search of now would find.
    (trial.look)(Links::new(&builder.finished(&twins), params.degree), &pivots);
    builder.insert_all(params.last(), &pivots, last, first.len(), &mut told)?;
    builder.cut_all(&unique)?;
    let mut built = Built { links: builder.finished(&twins), pivots, linked: live.len() as u32 };
    reach::make_sure(&mut built, scorer, kernels, rows, &shuffled, &live, params)?;
    told.halves = 2 * told.total;
    told.tell().map(|()| built)
}

/// How far a build is, and who is told.
struct Told<'p> {
    /// Nodes that were inserted, by each of the two passes.
    halves: usize,
    total: usize,
    progress: Progress<'p>,
}

impl Told<'_> {
    fn tell(&mut self) -> Result<(), Stopped> {
        match (self.progress)((self.halves / 2).min(self.total) as u64, self.total as u64) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(Stopped::Interrupted),
        }
    }
}

/// A graph while it is built: lists with slack.
pub(super) struct Builder<'b, S: Scorer> {
    pub(super) kernels: Kernels,
    pub(super) rows: &'b Rows<'b, S::Row>,
    scorer: &'b S,
    pub(super) params: &'b Params,
    /// `room` slots a node.
    slots: Vec<U32>,
    room: usize,
    pub(super) workers: Vec<Worker<'b, S>>,
}

/// What a thread keeps.
pub(super) struct Worker<'b, S: Scorer> {
    pub(super) selector: Selector<'b, S>,
    query: S::Query,
    scratch: Scratch,
}

impl<'b, S: Scorer> Builder<'b, S> {
    fn new(
        scorer: &'b S,
        kernels: Kernels,
        rows: &'b Rows<'b, S::Row>,
        params: &'b Params,
    ) -> Result<Self, KernelError> {
        let room = params.degree + params.degree / 2;
        let worker = || -> Result<Worker<'b, S>, KernelError> {
            let selector = Selector::new(scorer, kernels, rows)?;
            Ok(Worker { selector, query: scorer.blank(rows.width())?, scratch: Scratch::default() })
        };
        let workers = (0..params.threads.max(1)).map(|_| worker()).collect::<Result<_, _>>()?;
        let slots = vec![U32::new(NO_LINK); rows.len() as usize * room];
        Ok(Self { kernels, rows, scorer, params, slots, room, workers })
    }

    /// Sets the links of a node; more than there is room for are left out.
    pub(super) fn put(&mut self, node: u32, links: &[u32]) {
        let start = node as usize * self.room;
        for (at, slot) in self.slots[start..start + self.room].iter_mut().enumerate() {
            slot.set(links.get(at).copied().unwrap_or(NO_LINK));
        }
    }

    /// Inserts nodes batch by batch, on top of `new` that this build has inserted before.
    fn insert_all(
        &mut self,
        pass: Pass,
        pivots: &Pivots<S::Row>,
        nodes: &[u32],
        mut new: usize,
        told: &mut Told<'_>,
    ) -> Result<(), Stopped> {
        let mut rest = nodes;
        while !rest.is_empty() {
            told.tell()?;
            let size = (new / BATCH_SHARE).clamp(LEAST_A_BATCH, MOST_A_BATCH).min(rest.len());
            let (batch, after) = rest.split_at(size);
            self.insert(pass, pivots, batch)?;
            (rest, new) = (after, new + size);
            told.halves += size;
        }
        Ok(())
    }

    /// Inserts a batch: all search the graph of before, then links are added both ways.
    fn insert(&mut self, pass: Pass, pivots: &Pivots<S::Row>, batch: &[u32]) -> Result<(), KernelError> {
        let chosen = self.choose(pass, pivots, batch)?;
        let mut back: Vec<(u32, u32)> = Vec::new();
        for (node, links) in batch.iter().zip(&chosen) {
            self.put(*node, links);
            back.extend(links.iter().map(|target| (*target, *node)));
        }
        back.sort_unstable();
        let groups: Vec<&[(u32, u32)]> = back.chunk_by(|a, b| a.0 == b.0).collect();
        self.link_back(&groups)
    }

    /// The links of each node of a batch: diverse ones of those that a walk finds and those that the node has already, by the
    /// pass before or because a pivot can be found before it is inserted.
    fn choose(&mut self, pass: Pass, pivots: &Pivots<S::Row>, batch: &[u32]) -> Result<Vec<Vec<u32>>, KernelError> {
        let (scorer, kernels, rows) = (self.scorer, self.kernels, self.rows);
        let links = Links::new(&self.slots, self.room);
        let entry = Entry { nodes: &pivots.nodes, offsets: &pivots.offsets, rows: &pivots.rows };
        parallel::map(&mut self.workers, batch.len(), |worker, item| {
            let node = batch[item];
            scorer.set(&mut worker.query, rows.row(node))?;
            let scratch = &mut worker.scratch;
            kernels.run(&worker.query, Walk::new(rows, links, entry, pass.ef, scratch));
            let mut found: Vec<Candidate> = worker.scratch.found().filter(|(_, other)| *other != node).collect();
            let own: Vec<u32> = links.of(node, rows.len()).collect();
            if !own.is_empty() {
                let own = own.into_iter().chain(found.iter().map(|(_, other)| *other)).collect::<Vec<_>>();
                found = worker.selector.measured(node, &own)?;
            }
            worker.selector.diverse(&found, pass.most)
        })
    }

    /// Adds links to the first of each pair of a group from the second ones; cuts lists that have no room.
    fn link_back(&mut self, groups: &[&[(u32, u32)]]) -> Result<(), KernelError> {
        let (rows, room, degree) = (self.rows, self.room, self.params.degree);
        let links = Links::new(&self.slots, room);
        let lists = parallel::map(&mut self.workers, groups.len(), |worker, item| {
            let group = groups[item];
            let target = group[0].0;
            let mut list: Vec<u32> = links.of(target, rows.len()).collect();
            for (_, node) in group {
                if !list.contains(node) {
                    list.push(*node);
                }
            }
            if list.len() <= room {
                return Ok(list);
            }
            let candidates = worker.selector.measured(target, &list)?;
            worker.selector.diverse(&candidates, degree)
        })?;
        for (group, list) in groups.iter().zip(lists) {
            self.put(group[0].0, &list);
        }
        Ok(())
    }

    /// Cuts every list of `nodes` to the degree.
    fn cut_all(&mut self, nodes: &[u32]) -> Result<(), KernelError> {
        let (rows, degree) = (self.rows, self.params.degree);
        let links = Links::new(&self.slots, self.room);
        let long: Vec<u32> =
            nodes.iter().copied().filter(|node| links.of(*node, rows.len()).nth(degree).is_some()).collect();
        let lists = parallel::map(&mut self.workers, long.len(), |worker, item| {
            let list: Vec<u32> = links.of(long[item], rows.len()).collect();
            let candidates = worker.selector.measured(long[item], &list)?;
            worker.selector.diverse(&candidates, degree)
        })?;
        for (node, list) in long.iter().zip(lists) {
            self.put(*node, &list);
        }
        Ok(())
    }

    /// The lists, `degree` slots a node, with the links of twins.
    fn finished(&self, twins: &[twins::Twins]) -> Vec<U32> {
        let degree = self.params.degree;
        let mut links: Vec<U32> =
            self.slots.chunks_exact(self.room).flat_map(|slots| &slots[..degree]).copied().collect();
        for (node, mut list) in twins.iter().flat_map(twins::Twins::links) {
            let slots = &mut links[node as usize * degree..][..degree];
            list.extend(slots.iter().map(|slot| slot.get()).filter(|link| *link != NO_LINK));
            for (slot, link) in slots.iter_mut().zip(list) {
                slot.set(link);
            }
        }
        links
    }
}
