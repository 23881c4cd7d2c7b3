//! One graph: its codes, if codes do, its links, its curve of effort; as INDEX and QUANT drafts.
//!
//! Whether a walk reads codes is measured: the 26 nearest by code must hold 99 % of the 10 nearest of a sample of rows. So
//! one-dimensional rows, clusters far apart for their size and the like are walked on as they are stored.

use super::judge::{Judge, K, Truth};
use super::{IndexOptions, IndexProgress};
use crate::hnsw::{
    BitRows, Built, Entry, Halves, Kept, Links, NO_LINK, Numbers, Params, Rows, RunTable, Scorer, Scratch, Stopped,
    Walk, build,
};
use crate::kernel::{Element, Kernels, Op};
use crate::quant::Sq8;
use crate::store::{GraphView, Origin, Run, Snapshot};
use crate::{Error, Result};
use bytemuck::{AnyBitPattern, NoUninit};
use rvf_format::build::Draft;
use rvf_format::payload::index::{self, CODE_SQ8, CODE_STORED, EffortPoint, IndexFacts, IndexParts, IndexRun};
use rvf_format::payload::quant::{self, QuantFacts, QuantParts};
use rvf_format::{Clause, Dtype, Metric};
use std::borrow::Cow;
use std::collections::HashMap;
use zerocopy::IntoBytes;
use zerocopy::byteorder::little_endian::U32;

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
const EF_CONSTRUCTION: usize = 128;
/// "RVF" and a one; any number would do, but always the same.
const SEED: u64 = 0x0031_4656_5200;
/// Rows that recall is measured on, and those among them that codes are tried on.
const SAMPLE: usize = 100;
const TRIED: usize = 32;
/// Candidates that are measured again on stored rows (as in `search/walk.rs`, for k of 10), the row itself among them.
const RERANKED: usize = 26 + 1;
const CODES_DO: f64 = 0.99;
/// The share of dead nodes up to which a graph is healed rather than built anew. (Measured on 20,000 x 64 with 11 % dead: a
/// healed graph found 0.03 to 0.06 less than a new one at ef 10 to 16.)
const MOST_DEAD: f64 = 0.05;
/// Rows that codes learn from.
const TRAINED_ON: usize = 4096;
const LADDER: [u32; 13] = [10, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 1024];

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
        Dtype::F32 => floats(request, op, &Numbers::<f32>::new(op), progress),
        Dtype::F16 => floats(request, op, &Halves(op), progress),
        Dtype::I8 => on_rows(request, &Numbers::<i8>::new(op), progress),
        Dtype::U8 => on_rows(request, &Numbers::<u8>::new(op), progress),
        Dtype::Binary => on_rows(request, &BitRows, progress),
    }
}

/// A graph over stored rows.
fn on_rows<S: Scorer>(request: &Request<'_>, scorer: &S, progress: IndexProgress<'_>) -> Result<Vec<Draft<'static>>>
where
    S::Row: AnyBitPattern + NoUninit,
{
    let nodes = Nodes::of(request)?;
    let rows = nodes.rows::<S::Row>(request)?;
    let mut judge = stopped(Judge::new(scorer, Kernels::detect(), &rows))?;
    let truths = truths(&mut judge, &nodes.live)?;
    let made = make(request, &nodes, scorer, &rows, &mut judge, &truths, progress)?;
    Ok(vec![made.draft(request, CODE_STORED)])
}

/// A graph over codes, or over stored rows where codes do not do.
fn floats<S: Scorer>(
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
    let truths = truths(&mut judge, &nodes.live)?;
    let sq8 = trained(op, &rows, &nodes.live);
    let codes = encoded(&sq8, &rows);
    let code_rows = Rows::whole(&codes, sq8.stride(), &nodes.table);
    let code_scorer = Numbers::<i8>::new(sq8.code_op());
    if !codes_do(&code_scorer, &code_rows, &nodes.live, &mut judge, &truths)? {
        let made = make(request, &nodes, scorer, &rows, &mut judge, &truths, progress)?;
        return Ok(vec![made.draft(request, CODE_STORED)]);
    }
    let made = make(request, &nodes, &code_scorer, &code_rows, &mut judge, &truths, progress)?;
    let index = made.draft(request, CODE_SQ8);
    let mut facts = QuantFacts::zeroed();
    facts.dimension.set(rows.width() as u32);
    facts.stride.set(sq8.stride() as u32);
    facts.count.set(rows.len());
    facts.code = quant::CODE_SQ8;
    facts.step.set(sq8.step.to_bits());
    let codes = Cow::Owned(bytemuck::cast_slice::<i8, u8>(&codes).to_vec());
    let base_row = request.runs.first().map_or(0, |run| run.base_row);
    let quant = quant::draft(QuantParts { facts, codes, offsets: Cow::Owned(sq8.offsets), base_row });
    Ok(vec![quant, index])
}

/// The nodes of a graph to be written.
struct Nodes {
    table: RunTable,
    /// A bit a node, set for rows that are dead already.
    dead: Vec<u64>,
    live: Vec<u32>,
}

impl Nodes {
    fn of(request: &Request<'_>) -> Result<Self> {
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
        let live = (0..table.nodes()).filter(is_live).collect();
        Ok(Self { table, dead, live })
    }

    fn rows<'r, T: AnyBitPattern>(&'r self, request: &'r Request<'_>) -> Result<Rows<'r, T>> {
        let misaligned = |_| Error::Corrupt { clause: Clause::Pay2, at: 0, what: "vectors are not aligned" };
        let runs: Result<Vec<&[T]>> =
            request.runs.iter().map(|run| bytemuck::try_cast_slice(&run.rows).map_err(misaligned)).collect();
        Ok(Rows::in_runs(runs?, request.snapshot.schema().row_len() / size_of::<T>(), &self.table))
    }
}

fn stopped<T>(result: std::result::Result<T, impl Into<Stopped>>) -> Result<T> {
    result.map_err(|why| match why.into() {
        Stopped::Interrupted => Error::Interrupted,
        Stopped::Kernel(_) => Error::Corrupt { clause: Clause::Vec2, at: 0, what: "a row to be indexed is not finite" },
    })
}

/// The neighbours of an even sample of the live nodes.
fn truths<S: Scorer>(judge: &mut Judge<'_, S>, live: &[u32]) -> Result<Vec<Truth>> {
    let count = SAMPLE.min(live.len());
    let node = |at: usize| live[(2 * at + 1) * live.len() / (2 * count)];
    (0..count).map(|at| stopped(judge.truth(node(at), live))).collect()
}

fn trained<T: Element>(op: Op, rows: &Rows<'_, T>, live: &[u32]) -> Sq8 {
    let step = live.len().div_ceil(TRAINED_ON).max(1);
    let sample: Vec<Vec<f32>> = live.iter().step_by(step).map(|node| to_floats(rows.row(*node))).collect();
    Sq8::train(op, rows.width(), &sample)
}

fn to_floats<T: Element>(row: &[T]) -> Vec<f32> {
    row.iter().map(|value| value.to_f32()).collect()
}

fn encoded<T: Element>(sq8: &Sq8, rows: &Rows<'_, T>) -> Vec<i8> {
    let mut codes = vec![0i8; rows.len() as usize * sq8.stride()];
    let mut floats = vec![0f32; rows.width()];
    for (node, code) in codes.chunks_exact_mut(sq8.stride()).enumerate() {
        floats.iter_mut().zip(rows.row(node as u32)).for_each(|(to, value)| *to = value.to_f32());
        sq8.encode(&floats, code);
    }
    codes
}

/// Whether the nearest by code hold the nearest.
fn codes_do<S: Scorer>(
    scorer: &Numbers<i8>,
    codes: &Rows<'_, i8>,
    live: &[u32],
    judge: &mut Judge<'_, S>,
    truths: &[Truth],
) -> Result<bool> {
    let mut coded = stopped(Judge::new(scorer, Kernels::detect(), codes))?;
    let (mut right, mut all) = (0, 0);
    for truth in truths.iter().take(TRIED) {
        let distances = stopped(coded.distances(truth.node, live))?;
        let mut nearest: Vec<(f32, u32)> = distances.into_iter().zip(live.iter().copied()).collect();
        if nearest.len() > RERANKED {
            nearest.select_nth_unstable_by(RERANKED - 1, |a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
            nearest.truncate(RERANKED);
        }
        let nearest: Vec<u32> = nearest.into_iter().map(|(_, node)| node).collect();
        right += stopped(judge.right(truth, &nearest))?;
        all += truth.wanted;
    }
    Ok(right as f64 >= CODES_DO * all as f64)
}

/// A graph that was built, and its curve.
struct Made {
    built: Built<u8>,
    effort: Vec<EffortPoint>,
    params: Params,
    nodes: u32,
    stride: usize,
}

fn make<W: Scorer, S: Scorer>(
    request: &Request<'_>,
    nodes: &Nodes,
    scorer: &W,
    rows: &Rows<'_, W::Row>,
    judge: &mut Judge<'_, S>,
    truths: &[Truth],
    progress: IndexProgress<'_>,
) -> Result<Made>
where
    W::Row: NoUninit,
{
    let carried = carried_on(request);
    let before = carried.map(|graph| graph.index.facts());
    let options = request.options;
    let m = options.m.or(before.map(|facts| facts.m.get() as usize)).unwrap_or(M).clamp(2, 64);
    let ef = options.ef_construction.or(before.map(|facts| facts.ef_construction.get() as usize));
    let ef_construction = ef.unwrap_or(EF_CONSTRUCTION).clamp(8, 4096).max(m);
    let params = Params { m, degree: 2 * m, ef_construction, seed: SEED, threads: options.threads() };
    let alike = carried.filter(|graph| graph.index.facts().degree.get() as usize == params.degree);
    let kept = alike.map(|graph| Kept {
        links: Links::new(graph.index.links(), params.degree),
        becomes: becoming(request, graph, &nodes.table),
    });
    let built = stopped(build(scorer, Kernels::detect(), rows, &nodes.dead, kept, &params, progress))?;
    let effort = curve(&built, scorer, rows, judge, truths, params.degree)?;
    let bytes = bytemuck::cast_slice::<W::Row, u8>(&built.pivots.rows).to_vec();
    let built = Built { links: built.links, pivots: built.pivots.with_rows(bytes), linked: built.linked };
    let stride = rows.width() * size_of::<W::Row>();
    Ok(Made { built, effort, params, nodes: rows.len(), stride })
}

/// The graph to be carried on: the one with most live nodes, unless too much of it is dead or other options are wished.
fn carried_on<'r>(request: &Request<'r>) -> Option<&'r GraphView> {
    let mut best: Option<&GraphView> = None;
    let mut place = 0;
    for (at, graph) in request.snapshot.sound_graphs().filter(|(at, _)| request.reuse.contains(at)) {
        if best.is_none_or(|best| best.live < graph.live) {
            (best, place) = (Some(graph), at);
        }
    }
    // Damage must not be carried on: what is not as it was committed is built anew.
    if best.is_none() || !request.snapshot.graphs()[place].is_intact(request.snapshot) {
        return None;
    }
    let options = request.options;
    best.filter(|graph| {
        let facts = graph.index.facts();
        graph.dead_share() <= MOST_DEAD
            && options.m.is_none_or(|m| m == facts.m.get() as usize)
            && options.ef_construction.is_none_or(|ef| ef == facts.ef_construction.get() as usize)
    })
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

/// The recall of walks from the sample, for more and more candidates until nothing is gained.
fn curve<W: Scorer, S: Scorer>(
    built: &Built<W::Row>,
    scorer: &W,
    rows: &Rows<'_, W::Row>,
    judge: &mut Judge<'_, S>,
    truths: &[Truth],
    degree: usize,
) -> Result<Vec<EffortPoint>> {
    let entry = Entry { nodes: &built.pivots.nodes, offsets: &built.pivots.offsets, rows: &built.pivots.rows };
    let links = Links::new(&built.links, degree);
    let (mut scratch, mut query) = (Scratch::default(), stopped(scorer.blank(rows.width()))?);
    let wanted: usize = truths.iter().map(|truth| truth.wanted).sum();
    let mut points: Vec<EffortPoint> = Vec::new();
    for ef in LADDER.into_iter().take_while(|ef| *ef == LADDER[0] || *ef < rows.len()) {
        let mut right = 0;
        for truth in truths {
            stopped(scorer.set(&mut query, rows.row(truth.node)))?;
            // Around the node itself: its links would lead to its neighbours at once, as no link of a query does. (Twins may hang
            // from it.)
            let (ef, without) = (ef as usize, Some(truth.node).filter(|_| !truth.has_twin));
            let walk = Walk { rows, links, entry, ef, dead: &[], without, scratch: &mut scratch };
            Kernels::detect().run(&query, walk);
            let found: Vec<u32> = scratch.found().map(|(_, node)| node).take(RERANKED - 1).collect();
            right += stopped(judge.right(truth, &found))?;
        }
        let recall = right as f64 / wanted.max(1) as f64;
        let best = points.last().map_or(0, |point| point.recall_ppm.get());
        points.push(EffortPoint { ef: U32::new(ef), recall_ppm: U32::new(((recall * 1e6) as u32).max(best)) });
        if right == wanted {
            break;
        }
    }
    Ok(points)
}

impl Made {
    fn draft(self, request: &Request<'_>, code: u8) -> Draft<'static> {
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
        facts.stride.set(self.stride as u32);
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
            pivot_rows: Cow::Owned(self.built.pivots.rows),
            effort: Cow::Owned(self.effort),
        })
    }
}

const _: () = assert!(RERANKED > K);
