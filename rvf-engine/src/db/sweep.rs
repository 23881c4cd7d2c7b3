//! [`Sweep`]: deletions that name no ids, but a range of them or a filter. When the batch is committed they become deletions of ids.
//!
//! A batch means its calls one after another, so a sweep finds the records of the store as the calls before it left them:
//!
//! ```text
//! a range:   ids of the store, ids put into the batch before
//! a filter:  the store's matches, but for ids that a call before names; those as a model of them in memory says
//! ```

use super::gathered::{Gathered, Update, merge};
use crate::filter::{Expr, FieldRef, Filter, Operand, UnknownField};
use crate::ingest::door::IdsRef;
use crate::store::{Id, RowId, Snapshot};
use crate::value::{Metadata, Value};
use crate::{Error, Result};
use rvf_format::payload::vec::IdRef;
use std::collections::HashMap;
use std::ops::{Bound, RangeBounds};

/// What a sweep deletes.
#[derive(Debug)]
pub(super) enum Swept {
    Range(Bound<Id>, Bound<Id>),
    Filter(Filter),
}

/// A deletion of whatever is found when it is its turn.
#[derive(Debug)]
pub(super) struct Sweep {
    pub(super) swept: Swept,
    /// Puts, deletions of an id and updates that came before it.
    pub(super) puts: usize,
    pub(super) deletes: usize,
    pub(super) updates: usize,
}

impl Gathered {
    /// Makes sweeps deletions of the ids that they find in `snapshot` and the batch before them. What a sweep finds in the batch
    /// alone is dropped there, and is not missing in the store.
    ///
    /// # Errors
    /// [`Error::UnknownField`], [`Error::Filter`]; corruption of what is read.
    pub(super) fn resolve(&mut self, snapshot: &Snapshot) -> Result<()> {
        let sweeps = std::mem::take(&mut self.sweeps);
        if sweeps.is_empty() {
            return Ok(());
        }
        let mut found = Vec::with_capacity(sweeps.len());
        let mut model = Model { batch: self, snapshot, touched: HashMap::new(), puts: 0, deletes: 0, updates: 0 };
        for sweep in &sweeps {
            let ids = match &sweep.swept {
                Swept::Range(from, to) => model.in_range(sweep.puts, (from, to))?,
                Swept::Filter(filter) => model.matching(sweep, filter)?,
            };
            // Filters after it see what it did.
            model.touched.extend(ids.iter().map(|id| (id.clone(), None)));
            found.push(ids);
        }
        for id in found.iter().flatten() {
            self.found_in_batch += u64::from(snapshot.find(id.as_ref())?.is_none());
        }
        let before = |update: &Update, at: usize| -> usize {
            let earlier = sweeps.iter().zip(&found).filter(|(sweep, _)| sweep.updates <= at);
            update.deletes + earlier.map(|(_, ids)| ids.len()).sum::<usize>()
        };
        let counts: Vec<usize> = self.updates.iter().enumerate().map(|(at, update)| before(update, at)).collect();
        self.updates.iter_mut().zip(counts).for_each(|(update, deletes)| update.deletes = deletes);
        let mut named = std::mem::take(&mut self.deletes).into_iter();
        let mut taken = 0;
        for (sweep, ids) in sweeps.iter().zip(found) {
            self.deletes.extend(named.by_ref().take(sweep.deletes - taken));
            taken = sweep.deletes;
            self.deletes.extend(ids.into_iter().map(|id| (id, sweep.puts)));
        }
        self.deletes.extend(named);
        Ok(())
    }
}

/// The records that calls of the batch name, as the calls up to some point left them.
struct Model<'m> {
    batch: &'m Gathered,
    snapshot: &'m Snapshot,
    /// Metadata by id; `None` where there is no such record.
    touched: HashMap<Id, Option<Metadata>>,
    puts: usize,
    deletes: usize,
    updates: usize,
}

impl Model<'_> {
    fn in_range(&self, puts: usize, range: (&Bound<Id>, &Bound<Id>)) -> Result<Vec<Id>> {
        let range = (range.0.as_ref().map(Id::as_ref), range.1.as_ref().map(Id::as_ref));
        let is_in = |id: &IdRef<'_>| RangeBounds::<IdRef<'_>>::contains(&range, id);
        let mut found = Vec::new();
        for part in 0..self.snapshot.parts().len() as u32 {
            let view = self.snapshot.view(part)?;
            if view.id_range().is_none_or(|(first, last)| is_beside(&range, first, last)) {
                continue;
            }
            for row in 0..view.count() {
                let at = RowId { part, row };
                let id = self.snapshot.id_of(at)?;
                if is_in(&id) && !self.snapshot.is_dead(at)? {
                    found.push(Id::from(id));
                }
            }
        }
        let ids = self.batch.ids();
        let put = (0..puts).filter_map(|row| ids.get(row)).filter(is_in);
        found.extend(put.map(Id::from));
        Ok(found)
    }

    fn matching(&mut self, sweep: &Sweep, filter: &Filter) -> Result<Vec<Id>> {
        self.go_to(sweep)?;
        let matches = self.snapshot.matches(filter)?;
        let is_known = |field: &&UnknownField| self.batch.gives(&field.name);
        // What is misspelt must not delete: a field that no record has is null in all.
        if let Some(field) = matches.unknown_fields().iter().find(|field| !is_known(field)) {
            return Err(Error::UnknownField(field.clone()));
        }
        let mut found = matches.ids(self.snapshot)?;
        found.retain(|id| !self.touched.contains_key(id));
        let mut here: Vec<Id> = self
            .touched
            .iter()
            .filter(|(id, record)| record.as_ref().is_some_and(|fields| holds(filter.expr(), id, fields)))
            .map(|(id, _)| id.clone())
            .collect();
        here.sort_unstable();
        found.append(&mut here);
        Ok(found)
    }

    /// Takes the calls before a sweep.
    fn go_to(&mut self, sweep: &Sweep) -> Result<()> {
        let batch = self.batch;
        while self.deletes < sweep.deletes || self.updates < sweep.updates {
            let update = batch.updates.get(self.updates).filter(|_| self.updates < sweep.updates);
            match update.filter(|update| update.deletes <= self.deletes) {
                Some(update) => {
                    self.put_up_to(update.puts);
                    self.update(update)?;
                    self.updates += 1;
                }
                None => {
                    let Some((id, puts)) = batch.deletes.get(self.deletes) else { break };
                    self.put_up_to(*puts);
                    self.touched.insert(id.clone(), None);
                    self.deletes += 1;
                }
            }
        }
        self.put_up_to(sweep.puts);
        Ok(())
    }

    fn put_up_to(&mut self, puts: usize) {
        let ids: IdsRef<'_> = self.batch.ids();
        for row in self.puts..puts {
            if let (Some(id), Some(metadata)) = (ids.get(row), self.batch.metadata.get(row)) {
                self.touched.insert(id.into(), Some(metadata.clone()));
            }
        }
        self.puts = self.puts.max(puts);
    }

    fn update(&mut self, update: &Update) -> Result<()> {
        let known = match self.touched.get_mut(&update.id) {
            Some(known) => known,
            None => {
                let found = self.snapshot.find(update.id.as_ref())?;
                let metadata = found.map(|at| self.snapshot.metadata_at(at)).transpose()?;
                self.touched.entry(update.id.clone()).or_insert(metadata)
            }
        };
        if let Some(metadata) = known {
            merge(metadata, &update.fields);
        }
        Ok(())
    }
}

/// Whether ids from `first` to `last` all lie outside a range.
fn is_beside(range: &(Bound<IdRef<'_>>, Bound<IdRef<'_>>), first: IdRef<'_>, last: IdRef<'_>) -> bool {
    let below = match range.0 {
        Bound::Included(from) => last < from,
        Bound::Excluded(from) => last <= from,
        Bound::Unbounded => false,
    };
    let above = match range.1 {
        Bound::Included(to) => to < first,
        Bound::Excluded(to) => to <= first,
        Bound::Unbounded => false,
    };
    below || above
}

/// Whether a filter finds a record.
fn holds(expr: &Expr, id: &Id, metadata: &Metadata) -> bool {
    let of = |field: &FieldRef| match (field, id) {
        (FieldRef::Id, Id::U64(number)) => Operand::IdNumber(*number),
        (FieldRef::Id, Id::Str(text)) => Operand::IdText(text),
        (FieldRef::Name(name), _) => Operand::Value(metadata.get(name).unwrap_or(&Value::Null)),
    };
    expr.eval(&of) == Some(true)
}
