//! The metadata of a snapshot's rows: a META segment a part, and DELTA segments over them.
//!
//! A row's metadata is what the newest DELTA that names it says, all of it; else what the META segment of its part says; else it has
//! none. Rows that are moved take theirs along: see [`MetaTable::append`].

use super::id::Id;
use super::rows::{Fault, Part, RowId};
use super::snapshot::Snapshot;
use crate::value::{FieldType, Metadata, Value};
use crate::{Error, Result};
use rvf_format::build::Draft;
use rvf_format::manifest::ManifestEntry;
use rvf_format::payload::columns::{Builder, Column, ColumnsView, FieldKind, Given, Numbers, ValueRef, whole_as_f64};
use rvf_format::payload::lookup::{self, LookupView};
use rvf_format::storage::Bytes;
use rvf_format::{Clause, Kind};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, OnceLock};

/// The fields of a store and their types.
pub type Fields = BTreeMap<String, FieldType>;

/// One META or DELTA segment, and the META_IDX that belongs to it. Parsed when first touched.
#[derive(Debug)]
pub(crate) struct Columns {
    pub(crate) entry: ManifestEntry,
    /// Of the file that it stands in.
    pub(crate) depth: u32,
    lookup: Option<ManifestEntry>,
    view: OnceLock<std::result::Result<ColumnsView, Fault>>,
    lookup_view: OnceLock<std::result::Result<LookupView, Fault>>,
}

/// All of a snapshot's metadata.
#[derive(Debug, Default)]
pub(crate) struct MetaTable {
    /// Of each part.
    parts: Vec<Option<Arc<Columns>>>,
    /// The newest first: those of the file itself, then those of its parent, and so on.
    deltas: Vec<Arc<Columns>>,
    fields: OnceLock<std::result::Result<Fields, Fault>>,
}

impl Columns {
    /// The columns in place.
    ///
    /// # Errors
    /// PAY-1, PAY-2, PAY-6, META-2.
    pub(crate) fn view(&self, snapshot: &Snapshot) -> Result<&ColumnsView> {
        let view = self.view.get_or_init(|| {
            let segment = snapshot.layer(self.depth).segment(&self.entry).map_err(Fault::from)?;
            ColumnsView::parse(segment, &self.entry).map_err(Fault::from)
        });
        view.as_ref().map_err(|fault| snapshot.blame_layer(self.depth, (*fault).into()))
    }

    /// The index of the columns, where there is one.
    ///
    /// # Errors
    /// Those of [`Columns::view`]; MIX-1.
    pub(crate) fn lookup(&self, snapshot: &Snapshot) -> Result<Option<&LookupView>> {
        let Some(entry) = &self.lookup else { return Ok(None) };
        let columns = self.view(snapshot)?;
        let view = self.lookup_view.get_or_init(|| {
            let segment = snapshot.layer(self.depth).segment(entry).map_err(Fault::from)?;
            LookupView::parse(segment, entry, columns).map_err(Fault::from)
        });
        view.as_ref().map(Some).map_err(|fault| snapshot.blame_layer(self.depth, (*fault).into()))
    }
}

impl MetaTable {
    /// That of space 0: for the parts of the parent, then for those of the file itself.
    pub(super) fn new(live: &[ManifestEntry], own: &[Arc<Part>], depth: u32, parent: Option<&Snapshot>) -> Self {
        let of = |kind: Kind| {
            let listed = live.iter().filter(move |entry| entry.kind() == kind && entry.space.get() == 0);
            listed.filter(|entry| entry.rows.get() > 0)
        };
        let key = |entry: &ManifestEntry| (entry.base_row.get(), entry.rows.get());
        let lookups: HashMap<_, _> = of(Kind::META_IDX).map(|entry| (key(entry), *entry)).collect();
        let columns = |entry: &ManifestEntry, lookup| Columns {
            entry: *entry,
            depth,
            lookup,
            view: OnceLock::new(),
            lookup_view: OnceLock::new(),
        };
        let mut metas: HashMap<_, _> =
            of(Kind::META).map(|entry| (key(entry), columns(entry, lookups.get(&key(entry)).copied()))).collect();
        let mut deltas: Vec<Arc<Columns>> = of(Kind::DELTA).map(|entry| Arc::new(columns(entry, None))).collect();
        deltas.sort_by_key(|delta| std::cmp::Reverse(delta.entry.segment_id.get()));
        deltas.extend(parent.iter().flat_map(|parent| parent.metas().deltas.iter().cloned()));
        let mut parts = parent.map_or_else(Vec::new, |parent| parent.metas().parts.clone());
        if !metas.is_empty() {
            parts.resize_with(parent.map_or(0, |parent| parent.parts().len()), || None);
            parts.extend(own.iter().map(|part| metas.remove(&key(&part.entry)).map(Arc::new)));
        }
        Self { parts, deltas, fields: OnceLock::new() }
    }

    /// The META segment of a part.
    pub(crate) fn of_part(&self, part: u32) -> Option<&Arc<Columns>> {
        self.parts.get(part as usize)?.as_ref()
    }

    /// DELTA segments, the newest first.
    pub(crate) fn deltas(&self) -> &[Arc<Columns>] {
        &self.deltas
    }

    /// DELTA segments of the file itself, the newest first.
    pub(crate) fn own_deltas(&self, snapshot: &Snapshot) -> impl Iterator<Item = &Arc<Columns>> {
        let depth = snapshot.depth();
        self.deltas.iter().take_while(move |delta| delta.depth == depth)
    }

    /// All META and DELTA segments.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Arc<Columns>> {
        self.parts.iter().flatten().chain(&self.deltas)
    }

    /// Where the metadata of a row stands.
    fn place(&self, snapshot: &Snapshot, at: RowId) -> Result<Option<(&ColumnsView, u32)>> {
        let row = snapshot.global_row(at);
        for delta in &self.deltas {
            if let Some(position) = delta.view(snapshot)?.position(row) {
                return Ok(Some((delta.view(snapshot)?, position)));
            }
        }
        match self.of_part(at.part) {
            Some(columns) => Ok(Some((columns.view(snapshot)?, at.row))),
            None => Ok(None),
        }
    }

    /// Appends the metadata of a row to `builder`, and ends the record there.
    ///
    /// # Errors
    /// Corruption of what is read.
    pub(crate) fn append(&self, snapshot: &Snapshot, at: RowId, builder: &mut Builder) -> Result<()> {
        if let Some((view, position)) = self.place(snapshot, at)? {
            for column in view.columns() {
                copy(&column, position, builder).ok_or_else(|| unreadable(view))?;
            }
        }
        builder.end_record();
        Ok(())
    }

    /// What is read of a part's metadata when its rows are moved, against the hashes that were committed.
    ///
    /// # Errors
    /// MAN-5.
    pub(super) fn check_intact(&self, snapshot: &Snapshot, part: u32) -> Result<()> {
        if let Some(columns) = self.of_part(part) {
            snapshot.intact_in(columns.depth, &columns.entry)?;
        }
        self.check_deltas(snapshot)
    }

    /// All DELTA segments against the hashes that were committed: which rows one names is as good as its bytes.
    ///
    /// # Errors
    /// MAN-5.
    fn check_deltas(&self, snapshot: &Snapshot) -> Result<()> {
        self.deltas.iter().try_for_each(|delta| snapshot.intact_once_in(delta.depth, &delta.entry))
    }

    /// Parts of which a DELTA of the file itself names a row.
    pub(crate) fn overlaid(&self, snapshot: &Snapshot) -> Result<BTreeSet<u32>> {
        let mut parts = BTreeSet::new();
        for delta in self.own_deltas(snapshot) {
            let rows = delta.view(snapshot)?.row_numbers().unwrap_or_default();
            parts.extend(rows.iter().filter_map(|row| snapshot.place_of_row(row.get())).map(|at| at.part));
        }
        Ok(parts)
    }
}

impl Snapshot {
    /// The fields that records have, by name, and their types. A field that no record has any more stays until the file is compacted.
    ///
    /// ```
    /// # use rvf_engine::*;
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("a.rvf");
    /// let mut db = Db::create(&path, &Schema::new(2, Metric::L2))?;
    /// let mut batch = db.batch();
    /// batch.put_with(1, &[1.0f32, 2.0], [("lang", "en".into()), ("words", 80.into())])?;
    /// batch.commit()?;
    /// assert_eq!(db.snapshot().fields()?["words"], FieldType::I64);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Corruption of META and DELTA segments.
    pub fn fields(&self) -> Result<&Fields> {
        let fields = self.metas().fields.get_or_init(|| self.read_fields().map_err(Fault::from));
        self.check()?;
        fields.as_ref().map_err(|fault| (*fault).into())
    }

    fn read_fields(&self) -> Result<Fields> {
        self.whole()?;
        let mut fields = Fields::new();
        for columns in self.metas().all() {
            note_fields(&mut fields, columns.view(self)?);
        }
        Ok(fields)
    }

    /// The metadata of the record with this id; `None` if there is none.
    ///
    /// ```
    /// # use rvf_engine::*;
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("a.rvf");
    /// let mut db = Db::create(&path, &Schema::new(2, Metric::L2))?;
    /// let mut batch = db.batch();
    /// batch.put_with(1, &[1.0f32, 2.0], [("lang", Value::from("en"))])?;
    /// batch.commit()?;
    /// assert_eq!(db.snapshot().metadata(&Id::U64(1))?.ok_or("gone")?["lang"], Value::from("en"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::IdKind`]; corruption of what is read.
    pub fn metadata(&self, id: &Id) -> Result<Option<Metadata>> {
        if id.id_type() != self.schema().id_type {
            return Err(Error::IdKind { expected: self.schema().id_type });
        }
        let found = self.find(id.as_ref());
        self.settle(found.and_then(|found| found.map(|at| self.metadata_at(at)).transpose()))
    }

    /// Whether every whole number of a field is a binary64.
    pub(crate) fn all_whole_are_exact(&self, name: &str) -> Result<bool> {
        for columns in self.metas().all() {
            let view = columns.view(self)?;
            let Some(Numbers::I64(base, above)) = view.column(name).and_then(|column| column.numbers()) else {
                continue;
            };
            let value = |at| base.wrapping_add_unsigned(above.get(at).unwrap_or_default());
            let exact = (0..view.count()).all(|at| whole_as_f64(value(at)).is_some());
            if !exact {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The metadata of a row.
    pub(crate) fn metadata_at(&self, at: RowId) -> Result<Metadata> {
        match self.metas().place(self, at)? {
            Some((view, position)) => read_record(view, position, self.fields()?),
            None => Ok(Metadata::new()),
        }
    }

    /// The metadata of a row that is to be written anew: what it is read from is held against the hashes that were committed.
    ///
    /// # Errors
    /// MAN-5; those of [`Snapshot::metadata`].
    pub(crate) fn intact_metadata_at(&self, at: RowId) -> Result<Metadata> {
        self.metas().check_deltas(self)?;
        if let Some(columns) = self.metas().of_part(at.part) {
            self.intact_once_in(columns.depth, &columns.entry)?;
        }
        self.metadata_at(at)
    }
}

/// Adds the fields of a segment to those that are known.
pub(crate) fn note_fields(fields: &mut Fields, view: &ColumnsView) {
    for column in view.columns() {
        let kind = type_of(column.kind());
        let known = fields.entry(column.name().to_owned()).or_insert(kind);
        if *known != kind && known.is_number() && kind.is_number() {
            *known = FieldType::F64;
        }
    }
}

/// The metadata of a record of a segment, in the types of `fields`.
///
/// # Errors
/// META-3.
pub(crate) fn read_record(view: &ColumnsView, position: u32, fields: &Fields) -> Result<Metadata> {
    let mut metadata = Metadata::new();
    for column in view.columns() {
        let value = column.value(position).and_then(owned).ok_or_else(|| unreadable(view))?;
        let value = match (value, fields.get(column.name())) {
            (Value::Null, _) => continue,
            // Written before the field was given other numbers: it was checked then that this is exact.
            (Value::I64(value), Some(FieldType::F64)) => Value::F64(value as f64),
            (value, _) => value,
        };
        metadata.insert(column.name().to_owned(), value);
    }
    Ok(metadata)
}

/// META and, of many records, META_IDX of what `builder` gathered, for rows from `base_row` on; none where it is empty.
///
/// # Errors
/// [`Error::TooLarge`].
pub(crate) fn drafts(builder: Builder, base_row: u64) -> Result<Vec<Draft<'static>>> {
    if builder.is_empty() {
        return Ok(Vec::new());
    }
    let count = builder.count();
    let meta = builder.draft(base_row, None)?;
    if count < lookup::LEAST_RECORDS {
        return Ok(vec![meta]);
    }
    let mut entry = ManifestEntry::zeroed();
    (entry.kind, entry.base_row, entry.rows) = (Kind::META.0, base_row.into(), count.into());
    let view = ColumnsView::parse(Bytes::from(meta.encode(0, 0)?), &entry)?;
    let lookup = lookup::draft(&view, base_row)?;
    Ok(vec![meta, lookup])
}

/// Gives the builder's current record the value of a column; `None` if it cannot be read.
fn copy(column: &Column<'_>, position: u32, builder: &mut Builder) -> Option<()> {
    let name = column.name();
    let items: Vec<&str>;
    let set = match column.value(position)? {
        ValueRef::Null => return Some(()),
        ValueRef::Bool(value) => builder.set(name, Given::Bool(value)),
        ValueRef::I64(value) => builder.set(name, Given::I64(value)),
        ValueRef::F64(value) => builder.set(name, Given::F64(value)),
        ValueRef::Str(value) => builder.set(name, Given::Str(value)),
        ValueRef::Bytes(value) => builder.set(name, Given::Bytes(value)),
        ValueRef::List(list) => {
            items = list.iter().collect::<Option<_>>()?;
            builder.set(name, Given::List(&mut items.iter().copied()))
        }
    };
    set.ok()
}

fn owned(value: ValueRef<'_>) -> Option<Value> {
    Some(match value {
        ValueRef::Null => Value::Null,
        ValueRef::Bool(value) => Value::Bool(value),
        ValueRef::I64(value) => Value::I64(value),
        ValueRef::F64(value) => Value::F64(value),
        ValueRef::Str(value) => Value::Str(value.to_owned()),
        ValueRef::Bytes(value) => Value::Bytes(value.to_vec()),
        ValueRef::List(list) => Value::List(list.iter().map(|item| item.map(str::to_owned)).collect::<Option<_>>()?),
    })
}

fn type_of(kind: FieldKind) -> FieldType {
    match kind {
        FieldKind::Bool => FieldType::Bool,
        FieldKind::I64 => FieldType::I64,
        FieldKind::F64 => FieldType::F64,
        FieldKind::Str => FieldType::Str,
        FieldKind::List => FieldType::List,
        FieldKind::Bytes => FieldType::Bytes,
    }
}

pub(crate) fn unreadable(view: &ColumnsView) -> Error {
    Error::Corrupt { clause: Clause::Meta3, at: view.at(), what: "a value of metadata cannot be read" }
}
