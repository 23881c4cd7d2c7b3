//! One graph: its codes, if codes do, its links, its curve of effort; as INDEX and QUANT drafts.
//!
//! Whether walks read codes, and which, is measured: `codes.rs`. One-dimensional rows, clusters far apart for their size and the
//! like are walked on as they are stored.

use super::codes::{Coded, Wishes, to_floats};
use super::curve::{Sample, curve};
use super::judge::{Judge, K};
use super::{IndexOptions, IndexProgress, WalkCode};
use crate::hnsw::{
    BitRows, Built, Entry, Ground, Halves, Kept, Links, NO_LINK, Numbers, Params, Pivots, Rows, RunTable, Scorer,
    Stopped, Trial, build,
};
use crate::kernel::{Element, Kernels, Op};
use crate::quant::{CodeQuery, Codec};
use crate::store::{GraphView, Origin, Run, Snapshot};
use crate::{Error, Result};
use bytemuck::{AnyBitPattern, NoUninit};
use rvf_format::build::Draft;
use rvf_format::payload::index::{self, CODE_STORED, EffortPoint, IndexFacts, IndexParts, IndexRun};
use rvf_format::payload::quant;
use rvf_format::{Clause, Dtype, Metric};
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use zerocopy::IntoBytes;

/// What a graph is to be made of.
pub(crate) struct Request<'r> {
    /// The snapshot that rows and graphs to be carried on are from.
    pub(crate) snapshot: &'r Snapshot,
    /// The rows, by ascending number.
    pub(crate) runs: &'r [Run],
    /// Graphs, one of which may be carried on.
    pub(crate) reuse: &'r [usize],
    pub(crate) options: &'r IndexOptions,
}

const M: usize = 16;
/// The same of a graph that a branch has beside the one it inherits, while it has fewer nodes than this: each node that a walk meets costs its
/// links, and of such a graph the nearest one or two are asked for.
const M_OF_FEW: usize = 8;
const MOST_OF_FEW: u32 = 8192;
const EF_CONSTRUCTION: usize = 112;
/// "RVF" and a one; any number would do, but always the same.
pub(super) const SEED: u64 = 0x0031_4656_5200;
/// Candidates that are measured again on stored rows: as in `search/walk.rs`, for k of 10.
pub(super) const RERANKED: usize = 26;
/// The share of dead nodes up to which a graph is healed rather than built anew. (Measured on 20,000 x 64 with 11 % dead: a
/// healed graph found 0.03 to 0.06 less than a new one at ef 10 to 16.)
const MOST_DEAD: f64 = 0.05;

/// The drafts of one graph over the runs.
///
/// # Errors
/// [`Error::Interrupted`]; VEC-2 for rows that are not finite.
pub(crate) fn drafts(request: &Request<'_>, progress: IndexProgress<'_>) -> Result<Vec<Draft<'static>>> {
    let schema = request.snapshot.schema();
    let op = match schema.metric {
        Metric::L2 | Metric::Hamming => Op::L2,
        Metric::Dot => Op::Dot,
        Metric::Cosine => Op::Cosine,
    };
    match schema.dtype {
        Dtype::F32 => numbers(request, op, &Numbers::<f32>::new(op), progress),
        Dtype::F16 => numbers(request, op, &Halves(op), progress),
        Dtype::I8 => numbers(request, op, &Numbers::<i8>::new(op), progress),
        Dtype::U8 => numbers(request, op, &Numbers::<u8>::new(op), progress),
        Dtype::Binary => {
            let nodes = Nodes::of(request)?;
            let rows = nodes.rows::<u8>(request)?;
            let mut judge = stopped(Judge::new(&BitRows, Kernels::detect(), &rows))?;
            let sample = Sample::choose(&BitRows, &rows, &nodes, request.options.threads())?;
            on_rows(request, &nodes, &BitRows, &rows, &mut judge, &sample, progress)
        }
    }
}

/// A graph over stored rows.
fn on_rows<S: Scorer>(
    request: &Request<'_>,
    nodes: &Nodes<'_>,
    scorer: &S,
    rows: &Rows<'_, S::Row>,
    judge: &mut Judge<'_, S>,
    sample: &Sample,
    progress: IndexProgress<'_>,
) -> Result<Vec<Draft<'static>>>
where
    S::Row: AnyBitPattern + NoUninit,
{
    let mut query = stopped(scorer.blank(rows.width()))?;
    let mut effort = Ok(Vec::new());
    let mut look = |links: Links<'_>, pivots: &Pivots<S::Row>| {
        let entry = Entry { nodes: &pivots.nodes, offsets: &pivots.offsets, rows: &pivots.rows };
        effort = curve(links, judge, &sample.truths, rows.len(), |truth, walk| {
            stopped(scorer.set(&mut query, rows.row(truth.node)))?;
            walk.run(&query, rows, entry);
            Ok(())
        });
    };
    let trial = Trial { held: &sample.held, look: &mut look };
    let made = make(request, nodes, scorer, rows, trial, progress)?;
    let (effort, pivot_rows) = (effort?, bytemuck::cast_slice(&made.built.pivots.rows).to_vec());
    let stride = rows.width() * size_of::<S::Row>();
    Ok(vec![made.draft(request, CODE_STORED, stride, pivot_rows, effort)])
}

/// A graph over codes, or over stored rows where none do.
fn numbers<S: Scorer>(
    request: &Request<'_>,
    op: Op,
    scorer: &S,
    progress: IndexProgress<'_>,
) -> Result<Vec<Draft<'static>>>
where
    S::Row: AnyBitPattern + NoUninit + Element,
{
    let nodes = Nodes::of(request)?;
    let rows = nodes.rows::<S::Row>(request)?;
    let mut judge = stopped(Judge::new(scorer, Kernels::detect(), &rows))?;
    let threads = request.options.threads();
    let sample = Sample::choose(scorer, &rows, &nodes, threads)?;
    // A graph that is carried on keeps what its walks read, until it has doubled: then more may be known, or less do.
    let carried = nodes.carried.filter(|graph| graph.table.nodes() > rows.len() / 2);
    let coded = match (carried.map(|graph| graph.codec(op)), request.options.code) {
        (Some(None), _) | (None, Some(WalkCode::Stored)) => None,
        (before, code) => {
            // What a query is made into for the graph that a branch inherits serves for a small one as well.
            let before = before.flatten().or_else(|| inherited(request).and_then(|graph| graph.codec(op)));
            let wishes = Wishes { before: before.map(Codec::into_owned), code };
            Coded::choose(op, &rows, &nodes, wishes, &mut judge, &sample.truths, threads)?
        }
    };
    let Some(coded) = coded else {
        return on_rows(request, &nodes, scorer, &rows, &mut judge, &sample, progress);
    };
    let (fine, width) = coded.fine();
    let fine = Rows::whole(fine, width, &nodes.table);
    let pivot_rows = |pivots: &Pivots<i8>| -> Vec<u8> {
        pivots.nodes.iter().flat_map(|node| coded.row(node.get())).copied().collect()
    };
    let mut effort = Ok(Vec::new());
    let mut look = |links: Links<'_>, pivots: &Pivots<i8>| {
        let (codes, pivot_rows) = (coded.codes(), pivot_rows(pivots));
        effort = curve(links, &mut judge, &sample.truths, rows.len(), |truth, walk| {
            let query = to_floats(rows.row(truth.node));
            match stopped(coded.codec().query(Kernels::detect(), &query))? {
                CodeQuery::Code(query) => walk.on_codes::<i8, _>(&query, codes, &nodes.table, pivots, &pivot_rows),
                CodeQuery::Floats(query) => walk.on_codes::<i8, _>(&query, codes, &nodes.table, pivots, &pivot_rows),
                CodeQuery::Nibbles(query) => walk.on_codes::<u8, _>(&query, codes, &nodes.table, pivots, &pivot_rows),
            }
            Ok(())
        });
    };
    let trial = Trial { held: &sample.held, look: &mut look };
    let made = make(request, &nodes, &Numbers::<i8>::new(coded.code_op()), &fine, trial, progress)?;
    let (effort, pivot_rows) = (effort?, pivot_rows(&made.built.pivots));
    let (code, stride) = (coded.code(), coded.codec().stride());
    let index = made.draft(request, code, stride, pivot_rows, effort);
    let base_row = request.runs.first().map_or(0, |run| run.base_row);
    Ok(vec![quant::draft(coded.parts(rows.width(), base_row)), index])
}

/// The nodes of a graph to be written.
pub(super) struct Nodes<'r> {
    table: RunTable,
    /// A bit a node, set for rows that are dead already.
    dead: Vec<u64>,
    pub(super) live: Vec<u32>,
    /// The live ones that the graph to be carried on does not know; all where there is none.
    pub(super) new: Vec<u32>,
    /// The graph whose options hold where others are not given.
    before: Option<&'r GraphView>,
    /// The graph to be carried on: looked for once, because it is held against its hash.
    carried: Option<&'r GraphView>,
}

impl<'s> Nodes<'s> {
    fn of(request: &Request<'s>) -> Result<Self> {
        let row_len = request.snapshot.schema().row_len().max(1);
        let table = RunTable::new(request.runs.iter().map(|run| (run.rows.len() / row_len) as u32));
        let mut dead = vec![0u64; (table.nodes() as usize).div_ceil(64)];
        let mut start = 0;
        for run in request.runs {
            if let Origin::Part(part) = run.origin
                && let Some(bits) = request.snapshot.dead()?.get(part as usize).and_then(Option::as_ref)
            {
                for node in bits.iter().map(|row| start + row as usize) {
                    dead[node / 64] |= 1 << (node % 64);
                }
            }
            start += run.rows.len() / row_len;
        }
        let is_live = |node: &u32| dead[*node as usize / 64] >> (node % 64) & 1 == 0;
        let live: Vec<u32> = (0..table.nodes()).filter(is_live).collect();
        let before = largest(request);
        let carried = before.filter(|(place, graph)| is_carried_on(request, *place, graph)).map(|(_, graph)| graph);
        let new = match carried {
            None => live.clone(),
            Some(graph) => {
                let known: HashSet<u32> = becoming(request, graph, &table).into_iter().collect();
                live.iter().copied().filter(|node| !known.contains(node)).collect()
            }
        };
        Ok(Self { table, dead, live, new, before: before.map(|(_, graph)| graph), carried })
    }

    fn rows<'r, T: AnyBitPattern>(&'r self, request: &'r Request<'_>) -> Result<Rows<'r, T>> {
        let misaligned = |_| Error::Corrupt { clause: Clause::Pay2, at: 0, what: "vectors are not aligned" };
        let runs: Result<Vec<&[T]>> =
            request.runs.iter().map(|run| bytemuck::try_cast_slice(&run.rows).map_err(misaligned)).collect();
        Ok(Rows::in_runs(runs?, request.snapshot.schema().row_len() / size_of::<T>(), &self.table))
    }
}

pub(super) fn stopped<T>(result: std::result::Result<T, impl Into<Stopped>>) -> Result<T> {
    result.map_err(|why| match why.into() {
        Stopped::Interrupted => Error::Interrupted,
        Stopped::Kernel(_) => Error::Corrupt { clause: Clause::Vec2, at: 0, what: "a row to be indexed is not finite" },
    })
}

/// A graph that was built.
struct Made<T> {
    built: Built<T>,
    params: Params,
    nodes: u32,
}

fn make<W: Scorer>(
    request: &Request<'_>,
    nodes: &Nodes<'_>,
    scorer: &W,
    rows: &Rows<'_, W::Row>,
    trial: Trial<'_, W::Row>,
    progress: IndexProgress<'_>,
) -> Result<Made<W::Row>>
where
    W::Row: NoUninit,
{
    let carried = nodes.carried;
    let before = nodes.before.map(|graph| graph.index.facts());
    let options = request.options;
    let is_branch = request.snapshot.parent().is_some();
    let few = is_branch && nodes.table.nodes() < MOST_OF_FEW;
    // Nobody wished for these.
    let before_m = before.map(|facts| facts.m.get() as usize).filter(|m| !is_branch || ![M, M_OF_FEW].contains(m));
    let m = options.m.or(before_m).unwrap_or(if few { M_OF_FEW } else { M }).clamp(2, 64);
    let ef = options.ef_construction.or(before.map(|facts| facts.ef_construction.get() as usize));
    let ef_construction = ef.unwrap_or(EF_CONSTRUCTION).clamp(8, 4096).max(m);
    let params = Params { m, degree: 2 * m, ef_construction, seed: SEED, threads: options.threads() };
    let alike = carried.filter(|graph| graph.index.facts().degree.get() as usize == params.degree);
    let kept = alike.map(|graph| Kept {
        links: Links::new(graph.index.links(), params.degree),
        becomes: becoming(request, graph, &nodes.table),
    });
    let ground = Ground { scorer, kernels: Kernels::detect(), rows, dead: &nodes.dead };
    let built = stopped(build(ground, kept, &params, trial, progress))?;
    Ok(Made { built, params, nodes: rows.len() })
}

/// The sound graph with most live nodes of those that are to be replaced, and its place among the snapshot's.
fn largest<'r>(request: &Request<'r>) -> Option<(usize, &'r GraphView)> {
    let graphs = request.snapshot.sound_graphs().filter(|(at, _)| request.reuse.contains(at));
    graphs.reduce(|best, other| if best.1.live < other.1.live { other } else { best })
}

/// The largest graph that a branch inherits.
fn inherited<'r>(request: &Request<'r>) -> Option<&'r GraphView> {
    let inherited = request.snapshot.inherited_graphs();
    let graphs = request.snapshot.sound_graphs().filter(|(at, _)| *at < inherited);
    graphs.map(|(_, graph)| graph).max_by_key(|graph| graph.live)
}

/// Whether a graph is to be carried on: not if too much of it is dead or other options are wished.
fn is_carried_on(request: &Request<'_>, place: usize, graph: &GraphView) -> bool {
    // Damage must not be carried on: what is not as it was committed is built anew.
    graph.dead_share() <= MOST_DEAD
        && request.options.are_met_by(graph.index.facts())
        && request.snapshot.graphs()[place].is_intact(request.snapshot)
}

/// For each node of `graph` the node that its row will be.
fn becoming(request: &Request<'_>, graph: &GraphView, table: &RunTable) -> Vec<u32> {
    let mut starts: HashMap<u32, u32> = HashMap::new();
    let mut moved: HashMap<(u32, u32), u32> = HashMap::new();
    let row_len = request.snapshot.schema().row_len().max(1);
    let mut start = 0;
    for run in request.runs {
        match &run.origin {
            Origin::Part(part) => drop(starts.insert(*part, start)),
            Origin::Gathered(places) => {
                moved.extend(places.iter().zip(start..).map(|(at, node)| ((at.part, at.row), node)));
            }
        }
        start += (run.rows.len() / row_len) as u32;
    }
    let node_of = |node: u32| {
        let at = graph.row_of(node);
        let stays = starts.get(&at.part).map(|start| start + at.row);
        stays.or_else(|| moved.get(&(at.part, at.row)).copied()).filter(|now| *now < table.nodes()).unwrap_or(NO_LINK)
    };
    (0..graph.table.nodes()).map(node_of).collect()
}

impl<T> Made<T> {
    fn draft(
        self,
        request: &Request<'_>,
        code: u8,
        stride: usize,
        pivot_rows: Vec<u8>,
        effort: Vec<EffortPoint>,
    ) -> Draft<'static> {
        let row_len = request.snapshot.schema().row_len().max(1);
        let run = |run: &Run| IndexRun {
            base_row: run.base_row.into(),
            rows: ((run.rows.len() / row_len) as u32).into(),
            reserved: 0.into(),
        };
        let pivots = &self.built.pivots;
        let mut facts = IndexFacts::zeroed();
        facts.nodes.set(self.nodes);
        facts.degree.set(self.params.degree as u32);
        facts.pivots.set(pivots.nodes.len() as u32);
        facts.cells.set(pivots.offsets.len() as u32 - 1);
        facts.stride.set(stride as u32);
        facts.code = code;
        facts.m.set(self.params.m as u32);
        facts.ef_construction.set(self.params.ef_construction as u32);
        facts.seed.set(self.params.seed);
        facts.linked.set(self.built.linked);
        index::draft(IndexParts {
            facts,
            runs: request.runs.iter().map(run).collect(),
            links: Cow::Owned(self.built.links.as_bytes().to_vec()),
            pivots: Cow::Owned(pivots.nodes.as_bytes().to_vec()),
            cells: Cow::Owned(pivots.offsets.as_bytes().to_vec()),
            pivot_rows: Cow::Owned(pivot_rows),
            effort: Cow::Owned(effort),
        })
    }
}

const _: () = assert!(RERANKED > K);
