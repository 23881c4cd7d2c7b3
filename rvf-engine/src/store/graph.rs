//! [`Graph`]: one INDEX segment of a snapshot, with the codes that it walks on.

use super::rows::{Fault, RowId};
use super::snapshot::Snapshot;
use crate::Result;
use crate::hnsw::{RunTable, Scratch, Warm};
use crate::kernel::Op;
use crate::quant::{Codec, Projection, Sq4, Sq8};
use rvf_format::manifest::ManifestEntry;
use rvf_format::payload::index::{CODE_STORED, IndexView};
use rvf_format::payload::quant::{CODE_SQ4, QuantView};
use rvf_format::{Clause, Error, Kind};
use std::sync::{Mutex, OnceLock};

/// One INDEX segment of a snapshot. Parsed when first touched: in the time that its runs take, whatever its nodes are.
#[derive(Debug)]
pub struct Graph {
    /// Its entry in the manifest.
    pub entry: ManifestEntry,
    /// The entry of its codes, where it has any.
    pub(crate) quant: Option<ManifestEntry>,
    /// Of the file that it stands in.
    pub(crate) depth: u32,
    view: OnceLock<std::result::Result<GraphView, Fault>>,
}

/// A graph in place.
#[derive(Debug)]
pub(crate) struct GraphView {
    pub(crate) index: IndexView,
    pub(crate) quant: Option<QuantView>,
    /// Which run a node is in.
    pub(crate) table: RunTable,
    /// The part of each run.
    pub(crate) parts: Vec<u32>,
    /// A bit a node, set where its row is dead; empty if none is.
    pub(crate) dead: Vec<u64>,
    /// Nodes whose rows are live.
    pub(crate) live: u32,
    scratches: Mutex<Vec<Scratch>>,
    warm: OnceLock<Warm>,
}

impl Graph {
    fn new(entry: ManifestEntry, quant: Option<ManifestEntry>, depth: u32) -> Self {
        Self { entry, quant, depth, view: OnceLock::new() }
    }

    /// The same graph as a branch sees it: which of its rows are live is the branch's.
    pub(super) fn inherited(&self) -> Self {
        Self::new(self.entry, self.quant, self.depth)
    }

    /// The graphs of a file's space 0, by their first row.
    pub(super) fn all(live: &[ManifestEntry], depth: u32) -> Vec<Self> {
        let of = |kind| live.iter().filter(move |entry| entry.kind() == kind && entry.space.get() == 0);
        let codes = |index: &ManifestEntry| {
            of(Kind::QUANT).find(|quant| quant.base_row == index.base_row && quant.rows == index.rows).copied()
        };
        let mut graphs: Vec<Self> = of(Kind::INDEX).map(|entry| Self::new(*entry, codes(entry), depth)).collect();
        graphs.sort_by_key(|graph| graph.entry.base_row.get());
        graphs
    }

    /// Whether the bytes of the graph and its codes are those that were committed.
    pub(crate) fn is_intact(&self, snapshot: &Snapshot) -> bool {
        let file = snapshot.layer(self.depth);
        [Some(self.entry), self.quant].iter().flatten().all(|entry| file.intact(entry).is_ok())
    }

    /// The graph in place.
    ///
    /// # Errors
    /// PAY-1, PAY-2, PAY-6, IDX-1, IDX-2, QNT-1; corruption of journals.
    pub(crate) fn view(&self, snapshot: &Snapshot) -> Result<&GraphView> {
        let view = self.view.get_or_init(|| GraphView::parse(self, snapshot).map_err(Fault::from));
        view.as_ref().map_err(|fault| snapshot.blame_layer(self.depth, (*fault).into()))
    }
}

/// What becomes of a graph in a search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    Walked,
    /// A branch has a graph of its own over rows that it inherits, which goes before those of its parents.
    Superseded,
    /// It breaks a sentence of the specification.
    Damaged,
}

/// What becomes of the graphs of a snapshot, and a number for the codec of each.
pub(super) fn uses(snapshot: &Snapshot) -> Vec<(Use, u32)> {
    let graphs = snapshot.graphs();
    let mut uses = vec![(Use::Damaged, u32::MAX); graphs.len()];
    // The depth of the file whose graph a part is in.
    let mut covered: Vec<Option<u32>> = vec![None; snapshot.parts().len()];
    // Those of the branch come last.
    for (at, graph) in graphs.iter().enumerate().rev() {
        let Ok(view) = graph.view(snapshot) else { continue };
        let is_covered = |part: &u32| covered[*part as usize].is_some_and(|depth| depth > graph.depth);
        let is_superseded = view.parts.iter().any(is_covered);
        if !is_superseded {
            view.parts.iter().for_each(|part| covered[*part as usize] = Some(graph.depth));
        }
        // A few: a file that was made to deceive may hold any number.
        let alike = |(_, other): &(usize, &Graph)| other.view(snapshot).is_ok_and(|other| other.has_codec_of(view));
        let number =
            graphs.iter().enumerate().skip(at + 1).take(8).find(alike).map_or(at as u32, |(other, _)| uses[other].1);
        uses[at] = (if is_superseded { Use::Superseded } else { Use::Walked }, number);
    }
    uses
}

impl GraphView {
    fn parse(graph: &Graph, snapshot: &Snapshot) -> Result<Self> {
        let (entry, schema) = (&graph.entry, snapshot.schema());
        let file = snapshot.layer(graph.depth);
        let index = IndexView::parse(file.segment(entry)?, entry, schema)?;
        let quant = match (index.facts().code, graph.quant) {
            (CODE_STORED, _) => None,
            (_, Some(quant)) => Some(QuantView::parse(file.segment(&quant)?, &quant, schema)?),
            (_, None) => return Err(wrong(Clause::Qnt1, entry, "a graph has no codes to walk on")),
        };
        let kind = |quant: &QuantView| (quant.facts().code, quant.facts().stride);
        if quant.as_ref().is_some_and(|quant| kind(quant) != (index.facts().code, index.facts().stride)) {
            return Err(wrong(Clause::Qnt1, entry, "codes are not those of the graph's pivots"));
        }
        let mut parts = Vec::with_capacity(index.runs().len());
        for run in index.runs() {
            let at = snapshot.parts().binary_search_by_key(&run.base_row.get(), |part| part.entry.base_row.get());
            let part = at.ok().filter(|at| snapshot.parts()[*at].entry.rows == run.rows);
            let missing = || wrong(Clause::Idx2, entry, "a run of a graph is not the rows of a listed VEC segment");
            parts.push(part.ok_or_else(missing)? as u32);
        }
        let table = RunTable::new(index.runs().iter().map(|run| run.rows.get()));
        let mut view = Self {
            index,
            quant,
            table,
            parts,
            dead: Vec::new(),
            live: 0,
            scratches: Mutex::default(),
            warm: OnceLock::new(),
        };
        view.collect_dead(snapshot)?;
        Ok(view)
    }

    /// Whether both read a query in the same form.
    fn has_codec_of(&self, other: &Self) -> bool {
        let same = |one: &QuantView, other: &QuantView| {
            (one.facts().code, one.facts().stride, one.facts().step)
                == (other.facts().code, other.facts().stride, other.facts().step)
                && one.offset_bytes() == other.offset_bytes()
                && one.map()[..] == other.map()[..]
        };
        self.quant.as_ref().zip(other.quant.as_ref()).is_some_and(|(one, other)| same(one, other))
    }

    /// How rows became the codes that walks read, for an operation on rows; `None` where walks read the rows.
    pub(crate) fn codec(&self, op: Op) -> Option<Codec<'_>> {
        let quant = self.quant.as_ref()?;
        let [dimension, stride] = [quant.facts().dimension, quant.facts().stride].map(|fact| fact.get() as usize);
        if quant.facts().code != CODE_SQ4 {
            return Some(Codec::Sq8(Sq8::from_parts(op, dimension, stride, quant.step(), quant.offsets())));
        }
        // Sections are aligned; the bytes are those of this machine's numbers.
        let map = bytemuck::try_cast_slice(quant.map()).unwrap_or_default().into();
        let offsets = bytemuck::try_cast_slice(quant.offset_bytes()).unwrap_or_default().into();
        let projection = Projection { op, dimension, outputs: 2 * stride, map, offsets };
        Some(Codec::Sq4(Sq4 { projection, step: quant.step() }))
    }

    fn collect_dead(&mut self, snapshot: &Snapshot) -> Result<()> {
        let nodes = self.table.nodes();
        let mut start = 0u32;
        let mut count = 0;
        for (run, part) in self.index.runs().iter().zip(&self.parts) {
            if let Some(bits) = snapshot.dead()?.get(*part as usize).and_then(Option::as_ref) {
                self.dead.resize((nodes as usize).div_ceil(64), 0);
                for row in bits.iter().filter(|row| *row < run.rows.get()) {
                    let node = (start + row) as usize;
                    self.dead[node / 64] |= 1 << (node % 64);
                    count += 1;
                }
            }
            start += run.rows.get();
        }
        self.live = nodes - count;
        Ok(())
    }

    /// The share of the nodes that a walk meets whose rows died since the graph was written.
    pub(crate) fn dead_share(&self) -> f64 {
        let linked = self.index.facts().linked.get();
        1.0 - f64::from(self.live.min(linked)) / f64::from(linked.max(1))
    }

    /// The place of a node's row.
    pub(crate) fn row_of(&self, node: u32) -> RowId {
        let (run, row) = self.table.find(node);
        RowId { part: self.parts.get(run).copied().unwrap_or(u32::MAX), row }
    }

    /// The node of a row; `None` if the graph does not cover it.
    pub(crate) fn node_of(&self, at: RowId) -> Option<u32> {
        let run = self.parts.iter().position(|part| *part == at.part)?;
        let runs = self.index.runs();
        let before: u32 = runs.get(..run)?.iter().map(|run| run.rows.get()).sum();
        (at.row < runs.get(run)?.rows.get()).then_some(before + at.row)
    }

    /// The nodes that a node is linked to.
    pub(crate) fn linked_to(&self, node: u32) -> impl Iterator<Item = u32> {
        let degree = self.index.facts().degree.get() as usize;
        let slots = self.index.links().get(node as usize * degree..).unwrap_or_default();
        let nodes = self.table.nodes();
        slots.iter().take(degree).map(|slot| slot.get()).filter(move |to| *to < nodes)
    }

    /// Where walks ended, for those that begin there, too: nothing until the first that does.
    pub(crate) fn warm(&self) -> &Warm {
        self.warm.get_or_init(|| Warm::new(self.index.cells().len().saturating_sub(1)))
    }

    /// Bytes of what [`GraphView::warm`] remembers.
    pub(crate) fn warm_bytes(&self) -> usize {
        self.warm.get().map_or(0, Warm::bytes)
    }

    /// Runs `work` with a scratch of an earlier search, or a new one.
    pub(crate) fn with_scratch<R>(&self, work: impl FnOnce(&mut Scratch) -> R) -> R {
        let lock = || self.scratches.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut scratch = lock().pop().unwrap_or_default();
        let result = work(&mut scratch);
        lock().push(scratch);
        result
    }
}

fn wrong(clause: Clause, entry: &ManifestEntry, what: &'static str) -> crate::Error {
    Error::corrupt(clause, entry.offset.get(), what).into()
}
