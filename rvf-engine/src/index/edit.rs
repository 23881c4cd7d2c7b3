//! The edit of a plan: segments gathered, graphs drafted, what they replace removed.

use super::draft::{Request, drafts};
use super::plan::{Planned, is_worth_a_graph, most_rows};
use super::{IndexOptions, IndexProgress};
use crate::Result;
use crate::store::{Edit, Gathered, Origin, RowId, Run, Snapshot, remove_companions};
use rvf_format::build::Draft;
use rvf_format::payload::index::{self, EffortPoint, IndexParts};
use rvf_format::payload::witness::Operation;
use rvf_format::storage::Bytes;
use std::collections::BTreeSet;
use zerocopy::IntoBytes;

/// Rows of one VEC segment that gathering makes, bytes.
const SEGMENT_BYTES: usize = 128 << 20;

/// The edit that writes `planned` graphs.
///
/// # Errors
/// [`crate::Error::Interrupted`]; corruption of what is read.
pub(crate) fn edit(
    snapshot: &Snapshot,
    planned: &[Planned],
    options: &IndexOptions,
    progress: IndexProgress<'_>,
) -> Result<Edit<'static>> {
    let mut edit = Edit::new(Operation::INDEX);
    let mut removed = BTreeSet::new();
    let mut next_row = snapshot.root().next_row.get();
    let replaced: Vec<usize> = planned.iter().flat_map(|planned| planned.replaces.iter().copied()).collect();
    for planned in planned {
        let mut live = 0;
        for part in &planned.parts {
            live += snapshot.live_in(*part)?;
        }
        if !is_worth_a_graph(snapshot, live) {
            continue;
        }
        let mut runs = Vec::new();
        for part in planned.parts.iter().filter(|part| !planned.gathered.contains(part)) {
            let source = &snapshot.parts()[*part as usize];
            snapshot.intact_in(source.depth, &source.entry)?;
            runs.push(Run::of_part(snapshot, *part)?);
        }
        let first = next_row;
        for (rows, places) in gather(snapshot, &planned.gathered)? {
            let count = places.len() as u64;
            let bytes = Bytes::from(rows.vectors.as_slice());
            edit.drafts.extend(rows.drafts(snapshot, next_row)?);
            runs.push(Run { base_row: next_row, rows: bytes, origin: Origin::Gathered(places) });
            next_row += count;
        }
        edit.moved_rows += next_row - first;
        removed.extend(planned.gathered.iter().map(|part| snapshot.parts()[*part as usize].entry.segment_id.get()));
        let request = Request { snapshot, runs: &runs, reuse: &replaced, options };
        edit.drafts.extend(drafts(&request, progress)?);
    }
    // Graphs of parents stay where they are: that of the branch goes before them.
    for graph in replaced.into_iter().filter(|at| *at >= snapshot.inherited_graphs()) {
        let graph = &snapshot.graphs()[graph];
        removed.insert(graph.entry.segment_id.get());
        removed.extend(graph.quant.map(|quant| quant.segment_id.get()));
    }
    remove_companions(snapshot, &mut removed)?;
    edit.removed = removed.into_iter().collect();
    Ok(edit)
}

/// The intact graphs of a snapshot that have another curve, with this one; and the segments that these drafts replace.
///
/// # Errors
/// Corruption of what is read.
pub(crate) fn with_curve(snapshot: &Snapshot, curve: &[EffortPoint]) -> Result<(Vec<Draft<'static>>, Vec<u64>)> {
    let (mut drafts, mut removed) = (Vec::new(), BTreeSet::new());
    for (at, view) in snapshot.sound_graphs().filter(|(at, _)| *at >= snapshot.inherited_graphs()) {
        let (graph, index) = (&snapshot.graphs()[at], &view.index);
        if index.effort().as_bytes() == curve.as_bytes() || !graph.is_intact(snapshot) {
            continue;
        }
        removed.insert(graph.entry.segment_id.get());
        drafts.push(index::draft(IndexParts {
            facts: *index.facts(),
            runs: index.runs().to_vec().into(),
            links: index.links().as_bytes().to_vec().into(),
            pivots: index.pivots().as_bytes().to_vec().into(),
            cells: index.cells().as_bytes().to_vec().into(),
            pivot_rows: index.pivot_rows().to_vec().into(),
            effort: curve.to_vec().into(),
        }));
    }
    remove_companions(snapshot, &mut removed)?;
    Ok((drafts, removed.into_iter().collect()))
}

/// The drafts of graphs over all of `runs`, for a file that is written anew; none if there are few live rows.
///
/// # Errors
/// Those of [`edit`].
pub(crate) fn reindex(
    snapshot: &Snapshot,
    runs: &[Run],
    options: &IndexOptions,
    progress: IndexProgress<'_>,
) -> Result<Vec<Draft<'static>>> {
    let mut live = 0;
    for run in runs {
        live += match &run.origin {
            Origin::Part(part) => snapshot.live_in(*part)?,
            Origin::Gathered(places) => places.len() as u64,
        };
    }
    if !is_worth_a_graph(snapshot, live) {
        return Ok(Vec::new());
    }
    let reuse: Vec<usize> = (snapshot.inherited_graphs()..snapshot.graphs().len()).collect();
    let row_len = snapshot.schema().row_len().max(1) as u64;
    let mut all = Vec::new();
    let mut rest = runs;
    while !rest.is_empty() {
        let mut rows = 0;
        let fits = rest.iter().take_while(|run| {
            rows += run.rows.len() as u64 / row_len;
            rows <= most_rows(snapshot)
        });
        let (runs, after) = rest.split_at(fits.count().max(1));
        all.extend(drafts(&Request { snapshot, runs, reuse: &reuse, options }, progress)?);
        rest = after;
    }
    Ok(all)
}

/// The live rows of `parts`, in segments of bounded size.
fn gather(snapshot: &Snapshot, parts: &[u32]) -> Result<Vec<(Gathered, Vec<RowId>)>> {
    let mut all = Vec::new();
    let mut rows = (Gathered::default(), Vec::new());
    for part in parts {
        snapshot.intact_rows(*part)?;
        let view = snapshot.view(*part)?;
        for row in 0..view.count() {
            let at = RowId { part: *part, row };
            if snapshot.is_dead(at)? {
                continue;
            }
            rows.0.push(snapshot, at)?;
            rows.1.push(at);
            if rows.0.vectors.len() >= SEGMENT_BYTES {
                all.push(std::mem::take(&mut rows));
            }
        }
    }
    if !rows.1.is_empty() {
        all.push(rows);
    }
    Ok(all)
}
