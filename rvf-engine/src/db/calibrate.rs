//! The curve of effort, measured anew with queries of the caller's: what is asked is not always like the rows.
//!
//! ```text
//! exact search of each query -> how far its 10th neighbour is
//! for more and more candidates: search all queries -> the share of hits that are no farther
//! the graphs once more, with this curve -> one commit
//! ```

use super::Db;
use crate::index::{self, CURVE_K, Curve, IndexProgress, as_near_as};
use crate::search::{Effort, QueryVector};
use crate::store::{Edit, Snapshot};
use crate::{Error, Result};
use rvf_format::payload::index::EffortPoint;
use rvf_format::payload::witness::Operation;
use std::ops::ControlFlow;

impl Db {
    /// Measures which effort reaches which recall@10 for `queries`, a sample of what is asked, and keeps that in place of what was
    /// measured with rows when the index was built; until it is built anew. Says whether anything was written: nothing is without
    /// an index or queries, or where nothing new was found. 400 queries tell a recall of 0.95 to about half a hundredth.
    ///
    /// ```
    /// # use rvf_engine::*;
    /// # use std::ops::ControlFlow;
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("a.rvf");
    /// let mut db = Db::create(&path, &Schema::new(2, Metric::L2))?;
    /// db.add(&(0..12_000).map(|i| (i * 7919 % 12_007) as f32).collect::<Vec<_>>())?;
    /// let queries = [[500.0f32, 900.0], [7.0, 8000.0]];
    /// let queries: Vec<QueryVector<'_>> = queries.iter().map(QueryVector::from).collect();
    /// db.calibrate(&queries, &mut |_, _| ControlFlow::Continue(()))?;
    /// assert!(!db.calibrate(&queries, &mut |_, _| ControlFlow::Continue(()))?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`crate::Search::run`], with the number of the query as the row; [`Error::Interrupted`]; those of a commit.
    pub fn calibrate(&mut self, queries: &[QueryVector<'_>], progress: IndexProgress<'_>) -> Result<bool> {
        self.store.check_writable()?;
        let snapshot = self.snapshot();
        if queries.is_empty() || snapshot.indexed() == 0 {
            return Ok(false);
        }
        let curve = measured(&snapshot, queries, self.index.threads(), progress)?;
        let (drafts, removed) = index::with_curve(&snapshot, &curve)?;
        if drafts.is_empty() {
            return Ok(false);
        }
        let parameters = format!("queries={}", queries.len());
        self.store.commit(&Edit { drafts, removed, parameters, ..Edit::new(Operation::INDEX) })?;
        Ok(true)
    }
}

/// What searches of more and more candidates find.
fn measured(
    snapshot: &Snapshot,
    queries: &[QueryVector<'_>],
    threads: usize,
    progress: IndexProgress<'_>,
) -> Result<Vec<EffortPoint>> {
    let mut tell = |done: usize| match progress(done as u64, queries.len() as u64) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(Error::Interrupted),
    };
    let (mut limits, mut wanted) = (Vec::with_capacity(queries.len()), 0);
    for (at, query) in queries.iter().enumerate() {
        let search = snapshot.search(query.clone()).k(CURVE_K).threads(threads).effort(Effort::Exact);
        let hits = search.run().map_err(|error| error.at_row(at as u64))?;
        let farthest = hits.last().map_or(f32::NEG_INFINITY, |hit| hit.distance);
        limits.push(as_near_as(farthest));
        wanted += hits.len();
        tell(at + 1)?;
    }
    let mut curve = Curve::new(wanted);
    while let Some(ef) = curve.next(snapshot.count()) {
        tell(queries.len())?;
        let mut right = 0;
        for (query, limit) in queries.iter().zip(&limits) {
            let hits = snapshot.search(query.clone()).k(CURVE_K).effort(Effort::Ef(ef as usize)).run()?;
            right += hits.iter().filter(|hit| hit.distance <= *limit).count();
        }
        curve.add(ef, right);
    }
    Ok(curve.points)
}
