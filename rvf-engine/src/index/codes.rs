//! [`Coded`]: the codes that a graph walks on, and the rows that it is built by. Which codes is measured: the shortest of which
//! the nearest few by code hold the nearest rows of a sample.
//!
//! ```text
//! four bits of a projection, one cache line, then two, ... up to all dimensions -> a signed byte a component -> stored rows
//! ```

use super::WalkCode;
use super::draft::{Nodes, RERANKED, stopped};
use super::judge::{Judge, Truth};
use crate::Result;
use crate::hnsw::{Rows, Scorer};
use crate::kernel::{Against, Element, KernelError, Kernels, Op};
use crate::quant::{CodeQuery, Codec, Sq4, Sq8, Trained};
use bytemuck::AnyBitPattern;
use rvf_format::payload::quant::{self, QuantFacts, QuantParts};
use rvf_format::{Dtype, Schema};

/// The share of the nearest rows that the nearest by code must hold: of four bits, so that nothing is lost by the smaller code,
/// and of bytes, where the other choice is the stored rows.
const NIBBLES_DO: f64 = 0.997;
const BYTES_DO: f64 = 0.99;
/// Rows of the sample that codes are tried on, at most.
const TRIED: usize = 100;
/// Rows that codes learn from.
const TRAINED_ON: usize = 4096;
/// Bytes of a cache line: shorter codes save nothing.
const LINE: usize = 64;
/// Rows for each dimension, from which on main components are looked for.
const ROWS_A_DIMENSION: usize = 4;
/// Dimensions that are kept at most where some are dropped, and of rows of which none is: beyond, the map would cost a query more
/// than short codes save.
const MOST_KEPT: usize = 512;
const MOST_ROTATED: usize = 1024;

/// Codes of all nodes.
pub(super) struct Coded {
    codec: Codec<'static>,
    codes: Vec<u8>,
    /// Signed bytes that a graph is built by, where they are not the codes.
    fine: Option<Vec<i8>>,
}

/// What is tried first.
pub(super) struct Wishes {
    /// The codec of the graph to be carried on.
    pub(super) before: Option<Codec<'static>>,
    /// What is to be had even if it does not do: codes, as rows themselves need none.
    pub(super) code: Option<WalkCode>,
}

impl Coded {
    /// The codes that do for the rows; those of the graph to be carried on where they do. `None`: no codes do.
    pub(super) fn choose<S: Scorer>(
        op: Op,
        rows: &Rows<'_, S::Row>,
        nodes: &Nodes<'_>,
        Wishes { before, code: wished }: Wishes,
        judge: &mut Judge<'_, S>,
        truths: &[Truth],
        threads: usize,
    ) -> Result<Option<Self>>
    where
        S::Row: Element + AnyBitPattern,
    {
        let sample = sample(rows, &nodes.live);
        let mut trial = Trial { rows, nodes, judge, truths, sample: &sample, threads };
        let enough = |least: f64| if wished.is_some() { 0.0 } else { least };
        if let Some(codec) = before {
            let least = if matches!(codec, Codec::Sq4(_)) { NIBBLES_DO } else { BYTES_DO };
            if let Some(coded) = trial.try_codec(codec, enough(least))? {
                return Ok(Some(coded));
            }
        }
        if wished == Some(WalkCode::Sq8) {
            return trial.try_codec(Codec::Sq8(Sq8::train(op, rows.width(), &sample)), enough(BYTES_DO));
        }
        let (dimension, row_bytes) = (rows.width(), rows.width() * size_of::<S::Row>());
        let mut strides = strides(dimension, row_bytes);
        // Fewer rows tell little about their main components, and are not worth the search for them, unless there is no other way to
        // what is wished.
        let rotated = strides.iter().any(|stride| 2 * stride >= dimension);
        if nodes.live.len() < ROWS_A_DIMENSION * dimension && (rotated || wished.is_none()) {
            strides.retain(|stride| 2 * stride >= dimension);
        }
        let kept = strides.iter().map(|stride| 2 * stride).filter(|kept| *kept < dimension).max().unwrap_or(0);
        let trained = stopped(Trained::new(Kernels::detect(), op, dimension, kept, &sample))?;
        let longest = strides.last().copied();
        for stride in strides {
            let sq4 = stopped(Sq4::train(Kernels::detect(), trained.projection(2 * stride), &sample))?;
            // What was asked for is had, in the end.
            let least = if Some(stride) == longest { enough(NIBBLES_DO) } else { NIBBLES_DO };
            if let Some(coded) = trial.try_codec(Codec::Sq4(sq4), least)? {
                return Ok(Some(coded));
            }
        }
        if Sq8::stride_for(dimension) >= row_bytes {
            return Ok(None);
        }
        trial.try_codec(Codec::Sq8(Sq8::train(op, dimension, &sample)), BYTES_DO)
    }

    /// The code of [`IndexFacts`](rvf_format::payload::index::IndexFacts).
    pub(super) fn code(&self) -> u8 {
        match self.codec {
            Codec::Sq8(_) => quant::CODE_SQ8,
            Codec::Sq4(_) => quant::CODE_SQ4,
        }
    }

    pub(super) fn codec(&self) -> &Codec<'static> {
        &self.codec
    }

    pub(super) fn codes(&self) -> &[u8] {
        &self.codes
    }

    /// The code row of a node.
    pub(super) fn row(&self, node: u32) -> &[u8] {
        let stride = self.codec.stride();
        &self.codes[node as usize * stride..][..stride]
    }

    /// The rows that a graph is built by: signed bytes, and how many a row.
    pub(super) fn fine(&self) -> (&[i8], usize) {
        match (&self.fine, &self.codec) {
            (Some(fine), _) => (fine, 2 * self.codec.stride()),
            (None, _) => (bytemuck::cast_slice(&self.codes), self.codec.stride()),
        }
    }

    /// The operation on codes.
    pub(super) fn code_op(&self) -> Op {
        match &self.codec {
            Codec::Sq8(sq8) => sq8.code_op(),
            Codec::Sq4(sq4) => sq4.code_op(),
        }
    }

    /// The QUANT to be written.
    pub(super) fn parts(self, dimension: usize, base_row: u64) -> QuantParts<'static> {
        let mut facts = QuantFacts::zeroed();
        facts.dimension.set(dimension as u32);
        facts.stride.set(self.codec.stride() as u32);
        facts.count.set((self.codes.len() / self.codec.stride().max(1)) as u32);
        facts.code = self.code();
        let (step, offsets, map) = match self.codec {
            Codec::Sq8(sq8) => (sq8.step, sq8.offsets, Vec::new()),
            Codec::Sq4(sq4) => {
                let map: &[u8] = bytemuck::cast_slice(&sq4.projection.map);
                (sq4.step, sq4.projection.offsets.into_owned(), map.to_vec())
            }
        };
        facts.step.set(step.to_bits());
        QuantParts { facts, codes: self.codes.into(), offsets: offsets.into(), map: map.into(), base_row }
    }
}

/// What walks may read of rows of this kind.
pub(super) fn possible(schema: &Schema) -> Vec<WalkCode> {
    let mut possible = vec![WalkCode::Stored];
    // Bytes for bytes would save nothing.
    if schema.dtype != Dtype::Binary && Sq8::stride_for(schema.dimension as usize) < schema.row_len() {
        possible.push(WalkCode::Sq8);
    }
    if schema.dtype != Dtype::Binary && !strides(schema.dimension as usize, schema.row_len()).is_empty() {
        possible.push(WalkCode::Sq4);
    }
    possible
}

/// Bytes of the four-bit codes that are tried, the shortest first: of those that are shorter than what there is anyway.
fn strides(dimension: usize, row_bytes: usize) -> Vec<usize> {
    let otherwise = row_bytes.min(Sq8::stride_for(dimension));
    if otherwise <= LINE {
        return Vec::new();
    }
    let lines = (1..=MOST_KEPT / 2 / LINE).map(|lines| lines * LINE);
    let mut strides: Vec<usize> = lines.take_while(|stride| 2 * stride < dimension).collect();
    if dimension <= MOST_ROTATED {
        strides.push(dimension.div_ceil(2).next_multiple_of(if dimension <= 4 * LINE { 16 } else { 32 }));
    }
    strides.retain(|stride| *stride < otherwise);
    strides
}

fn sample<T: Element>(rows: &Rows<'_, T>, live: &[u32]) -> Vec<Vec<f32>> {
    let step = live.len().div_ceil(TRAINED_ON).max(1);
    live.iter().step_by(step).map(|node| to_floats(rows.row(*node))).collect()
}

pub(super) fn to_floats<T: Element>(row: &[T]) -> Vec<f32> {
    row.iter().map(|value| value.to_f32()).collect()
}

/// What codes are tried on.
struct Trial<'t, 'r, 'j, S: Scorer> {
    rows: &'t Rows<'r, S::Row>,
    nodes: &'t Nodes<'t>,
    judge: &'t mut Judge<'j, S>,
    truths: &'t [Truth],
    sample: &'t [Vec<f32>],
    threads: usize,
}

impl<S: Scorer> Trial<'_, '_, '_, S>
where
    S::Row: Element + AnyBitPattern,
{
    /// The codes of all rows, if the nearest by code hold this share of the nearest rows.
    fn try_codec(&mut self, codec: Codec<'static>, least: f64) -> Result<Option<Coded>> {
        let codes = self.encoded(codec.stride(), |row, code: &mut [u8]| match &codec {
            Codec::Sq8(sq8) => {
                sq8.encode(row, bytemuck::cast_slice_mut(code));
                Ok(())
            }
            Codec::Sq4(sq4) => sq4.components(Kernels::detect(), row).map(|components| sq4.encode(&components, code)),
        })?;
        if least > 0.0 && self.recall(&codec, &codes)? < least {
            return Ok(None);
        }
        let fine = match &codec {
            Codec::Sq8(_) => None,
            Codec::Sq4(sq4) => {
                let step = stopped(sq4.fine_step(Kernels::detect(), self.sample))?;
                Some(self.encoded(2 * codec.stride(), |row, fine: &mut [i8]| {
                    let components = sq4.components(Kernels::detect(), row)?;
                    fine.iter_mut().zip(components).for_each(|(to, value)| *to = Sq4::fine(value, step));
                    Ok(())
                })?)
            }
        };
        Ok(Some(Coded { codec, codes, fine }))
    }

    /// `width` elements a row, made on all threads.
    fn encoded<E: Default + Clone + Send>(
        &self,
        width: usize,
        encode: impl Fn(&[f32], &mut [E]) -> std::result::Result<(), KernelError> + Sync,
    ) -> Result<Vec<E>> {
        let rows = self.rows.len() as usize;
        let mut all = vec![E::default(); rows * width];
        let share = rows.div_ceil(self.threads).max(1);
        let piece = |first: usize, piece: &mut [E]| {
            let mut floats = vec![0f32; self.rows.width()];
            for (node, to) in (first as u32..).zip(piece.chunks_exact_mut(width)) {
                floats.iter_mut().zip(self.rows.row(node)).for_each(|(to, value)| *to = value.to_f32());
                encode(&floats, to)?;
            }
            Ok(())
        };
        let done: std::result::Result<(), KernelError> = std::thread::scope(|scope| {
            let pieces = all.chunks_mut(share * width).enumerate();
            let workers: Vec<_> = pieces
                .map(|(at, to)| {
                    scope.spawn({
                        let piece = &piece;
                        move || piece(at * share, to)
                    })
                })
                .collect();
            for worker in workers {
                worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
            }
            Ok(())
        });
        stopped(done)?;
        Ok(all)
    }

    /// The share of the nearest rows among the nearest by code.
    fn recall(&mut self, codec: &Codec<'_>, codes: &[u8]) -> Result<f64> {
        let (mut right, mut all) = (0, 0);
        let mut distances = vec![0f32; self.rows.len() as usize];
        for truth in self.truths.iter().step_by(self.truths.len().div_ceil(TRIED).max(1)) {
            let query = stopped(codec.query(Kernels::detect(), &to_floats(self.rows.row(truth.node))))?;
            stopped(match &query {
                CodeQuery::Code(query) => measure::<i8, _>(query, codes, &mut distances),
                CodeQuery::Floats(query) => measure::<i8, _>(query, codes, &mut distances),
                CodeQuery::Nibbles(query) => measure::<u8, _>(query, codes, &mut distances),
            })?;
            let mut nearest: Vec<(f32, u32)> =
                self.nodes.live.iter().map(|node| (distances[*node as usize], *node)).collect();
            // The row itself is among them.
            if nearest.len() > RERANKED + 1 {
                nearest.select_nth_unstable_by(RERANKED, |a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
                nearest.truncate(RERANKED + 1);
            }
            let nearest: Vec<u32> = nearest.into_iter().map(|(_, node)| node).collect();
            right += stopped(self.judge.right(truth, &nearest))?;
            all += truth.wanted;
        }
        Ok(right as f64 / f64::from(all.max(1) as u32))
    }
}

fn measure<T: AnyBitPattern, Q: Against<T>>(
    query: &Q,
    codes: &[u8],
    distances: &mut [f32],
) -> std::result::Result<(), KernelError> {
    Kernels::detect().distances(query, bytemuck::try_cast_slice(codes).unwrap_or_default(), distances)
}
