//! Conversion: from a file of the published RVF crates, or from a plain file of vectors, to a new store.
//!
//! The new file is written beside OUT under a temporary name and takes OUT's name when it is complete. What is not carried
//! over is listed with its reason; nothing is guessed.

use super::door::{IdsRef, Vectors};
use super::published_fields::PublishedFields;
use super::{Format, ImportOptions, Progress, import, open_source, put, schema_for};
use crate::store::{Context, Snapshot, Store, beside, first_items, random_file_id};
use crate::{Error, Result};
use rvf_format::legacy::{self, FileReport, LegacyFile, ParentRequest, Warning};
use rvf_format::payload::witness::Operation;
use rvf_format::storage::{Access, Bytes, FilePlace, Place};
use rvf_format::{Dtype, IdType, Metric, Schema};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How a conversion is done.
#[derive(Clone, Debug)]
pub struct ConvertOptions {
    /// Time and author of the commits.
    pub context: Context,
    /// The metric: of a plain file of vectors, or of a published file that does not record its own.
    pub metric: Option<Metric>,
    /// The dtype; that of a plain file, or f32 for a published one, unless given.
    pub dtype: Option<Dtype>,
    /// The id type, of a plain file of vectors.
    pub id_type: Option<IdType>,
    /// The format, of a plain file of vectors; that of its extension unless given.
    pub format: Option<Format>,
    /// Name of the embedding model.
    pub model: Option<String>,
    /// Folders in which a branch's parents are looked for, after the recorded place and the branch's own folder.
    pub parent_dirs: Vec<PathBuf>,
    /// How a plain file is imported. A published one is committed in batches of the same size.
    pub import: ImportOptions,
}

impl Default for ConvertOptions {
    fn default() -> Self {
        Self {
            context: Context::default(),
            metric: None,
            dtype: None,
            id_type: None,
            format: None,
            model: None,
            parent_dirs: Vec::new(),
            import: ImportOptions { operation: Operation::CONVERT, ..ImportOptions::default() },
        }
    }
}

/// What a conversion did.
#[derive(Clone, Debug, Default)]
pub struct Converted {
    /// Records in the new store.
    pub imported: u64,
    /// Number of the last commit.
    pub epoch: u64,
    /// Segments of the source, and of its parents, that were used.
    pub segments_read: u64,
    /// Segments that were not.
    pub segments_skipped: Vec<SkippedSegment>,
    /// Records that were not taken over.
    pub rejected: u64,
    /// The first 100 of them.
    pub rows_skipped: Vec<SkippedRow>,
    /// What else a person should know.
    pub warnings: Vec<String>,
}

/// A segment that was not converted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SkippedSegment {
    /// What it holds.
    pub kind: String,
    /// Why it was not converted.
    pub why: String,
    /// Its id.
    pub segment_id: u64,
    /// Where it starts in its file.
    pub offset: u64,
    /// The parent that has it; none for the source itself.
    pub parent: Option<PathBuf>,
}

/// A record that was not converted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SkippedRow {
    /// Its id, or its number in a plain file.
    pub id: u64,
    /// Why it was not converted.
    pub why: &'static str,
}

const MAX_SKIPPED_ROWS: usize = 100;

/// Makes the store `out` from `source`.
///
/// ```no_run
/// use rvf_engine::ingest::{ConvertOptions, convert};
/// use std::ops::ControlFlow;
/// let done = convert("old.rvf".as_ref(), "new.rvf".as_ref(), &ConvertOptions::default(), &mut |_, _| ControlFlow::Continue(()))?;
/// println!("{} records, {} segments left out", done.imported, done.segments_skipped.len());
/// # Ok::<(), rvf_engine::Error>(())
/// ```
///
/// # Errors
/// [`Error::Exists`], [`Error::Legacy`], [`Error::AlreadyRvf`], [`Error::NotRvf`], [`Error::Schema`] where a metric is missing,
/// [`Error::Io`], [`Error::Truncated`]; those of an import for a plain file. `out` does not appear then.
pub fn convert(source: &Path, out: &Path, options: &ConvertOptions, progress: Progress<'_>) -> Result<Converted> {
    let opened = Source::open(source, options)?;
    let temporary = beside(out, &format!(".convert-{}-tmp", std::process::id()));
    let check_absent = || match FilePlace.identity(out) {
        Ok(_) => Err(Error::Exists { path: out.to_owned() }),
        Err(_) => Ok(()),
    };
    check_absent()?;
    let done = opened.write(source, &temporary, options, progress).and_then(|done| {
        check_absent()?;
        FilePlace.rename(&temporary, out).map_err(|error| Error::io("renaming", out, error))?;
        FilePlace.sync_dir(out).map_err(|error| Error::io("syncing the folder", out, error))?;
        Ok(done)
    });
    done.inspect_err(|_| drop(FilePlace.remove(&temporary)))
}

enum Source {
    Published { file: Box<LegacyFile<Bytes>>, parents: Vec<PathBuf>, mapped: Vec<Bytes> },
    Plain,
}

impl Source {
    fn open(path: &Path, options: &ConvertOptions) -> Result<Self> {
        let bytes = view(path)?;
        if legacy::recognise(&bytes).is_some() {
            let mut finder = ParentFinder {
                child: path.to_owned(),
                dirs: &options.parent_dirs,
                found: Vec::new(),
                mapped: vec![bytes.clone()],
            };
            let file = LegacyFile::open_with(bytes, |request| finder.find(request));
            check_all(&finder.mapped)?;
            return Ok(Source::Published { file: Box::new(file?), parents: finder.found, mapped: finder.mapped });
        }
        let plain = options.format.is_some() || Format::of_path(path).is_ok();
        match Snapshot::newest(bytes) {
            Ok(_) => Err(Error::AlreadyRvf),
            Err(Error::NotRvf | Error::NoRoot) if plain => Ok(Source::Plain),
            Err(error) => Err(error),
        }
    }

    fn write(
        self,
        source: &Path,
        temporary: &Path,
        options: &ConvertOptions,
        progress: Progress<'_>,
    ) -> Result<Converted> {
        match self {
            Source::Published { file, parents, mapped } => {
                let done = Published { file: &file, parents, options }.write(temporary, progress);
                check_all(&mapped)?;
                done
            }
            Source::Plain => write_plain(source, temporary, options, progress),
        }
    }
}

fn view(path: &Path) -> Result<Bytes> {
    let storage = FilePlace.open(path, Access::Read).map_err(|error| Error::io("opening", path, error))?;
    storage.len().and_then(|length| storage.view(length)).map_err(|error| Error::reading(path, error))
}

/// None of the files was cut while it was read.
fn check_all(mapped: &[Bytes]) -> Result<()> {
    Ok(mapped.iter().try_for_each(|bytes| bytes.check(bytes.len()))?)
}

/// Looks for the parents of a branch: in the recorded place unless it leads out of the child's folder, beside the child, in the
/// folders that the caller names.
struct ParentFinder<'f> {
    child: PathBuf,
    dirs: &'f [PathBuf],
    found: Vec<PathBuf>,
    /// The bytes of the child and of those found.
    mapped: Vec<Bytes>,
}

impl ParentFinder<'_> {
    fn find(&mut self, request: &ParentRequest<'_>) -> std::result::Result<Bytes, String> {
        let child = self.found.last().unwrap_or(&self.child);
        let folder = child.parent().unwrap_or(Path::new(""));
        let leads_out = request.path.split(['/', '\\']).any(|part| part == "..");
        let name = request.path.rsplit(['/', '\\']).next().unwrap_or(request.path);
        let recorded = (!leads_out).then(|| folder.join(request.path));
        let others = self.dirs.iter().map(|dir| dir.join(name));
        let mut places: Vec<PathBuf> = Vec::new();
        for place in recorded.into_iter().chain([folder.join(name)]).chain(others) {
            if !places.contains(&place) {
                places.push(place);
            }
        }
        let Some(path) = places.iter().find(|path| path.is_file()) else {
            let looked: Vec<String> = places.iter().map(|path| path.display().to_string()).collect();
            return Err(format!("not found as {}", looked.join(", ")));
        };
        let bytes = view(path).map_err(|error| error.to_string())?;
        self.found.push(path.clone());
        self.mapped.push(bytes.clone());
        Ok(bytes)
    }
}

fn create(path: &Path, schema: &Schema, options: &ConvertOptions) -> Result<Store> {
    let items = first_items(options.model.as_deref());
    Store::create(Arc::new(FilePlace), path, schema, &items, random_file_id(path)?, options.context.clone())
}

fn write_plain(source: &Path, out: &Path, options: &ConvertOptions, progress: Progress<'_>) -> Result<Converted> {
    let mut input = open_source(source, options.format)?;
    let metric = options.metric.ok_or(Error::Schema("a plain file of vectors has no metric: one has to be given"))?;
    let schema = schema_for(input.as_ref(), metric, options.dtype, options.id_type)?;
    let mut store = create(out, &schema, options)?;
    let done = import(&mut store, input.as_mut(), source, &options.import, progress).map_err(|error| match error {
        // Nothing stays: the file goes with the conversion.
        Error::Partly { source, .. } => *source,
        other => other,
    })?;
    let rows_skipped = done.first_rejected.iter().map(|row| SkippedRow { id: row.record, why: row.why }).collect();
    let (imported, rejected, epoch) = (done.count, done.rejected, done.epoch);
    Ok(Converted { imported, rejected, rows_skipped, epoch, ..Converted::default() })
}

/// A file of the published crates, to be written anew.
struct Published<'p> {
    file: &'p LegacyFile<Bytes>,
    parents: Vec<PathBuf>,
    options: &'p ConvertOptions,
}

impl Published<'_> {
    fn write(&self, out: &Path, progress: Progress<'_>) -> Result<Converted> {
        let schema = self.schema()?;
        let mut store = create(out, &schema, self.options)?;
        let fields = PublishedFields::of(self.file);
        let mut done = self.report();
        done.warnings.extend(fields.warnings());
        self.pour((&mut store, &fields), &mut done, progress)?;
        done.imported = store.snapshot().count();
        done.epoch = store.snapshot().epoch();
        Ok(done)
    }

    fn schema(&self) -> Result<Schema> {
        let report = self.file.report();
        let recorded = match report.metric {
            legacy::Metric::L2 => Metric::L2,
            legacy::Metric::InnerProduct => Metric::Dot,
            legacy::Metric::Cosine => Metric::Cosine,
        };
        let metric = match self.options.metric {
            Some(given) if given != recorded && !report.warnings.contains(&Warning::MetricNotRecorded) => {
                return Err(Error::Schema("the source records another metric"));
            }
            Some(given) => given,
            None => recorded,
        };
        let natural = Schema::new(u32::from(report.dimension), metric);
        let schema = Schema { dtype: self.options.dtype.unwrap_or(natural.dtype), ..natural };
        schema.check().map_err(Error::Schema)?;
        Ok(schema)
    }

    /// What is told of source and parents before any row is read.
    fn report(&self) -> Converted {
        let mut done = Converted::default();
        let parents = self.parents.iter().map(Some);
        let reports = [self.file.report()].into_iter().chain(self.file.ancestors());
        for (report, parent) in reports.zip([None].into_iter().chain(parents)) {
            done.segments_read += report.segments_read.len() as u64;
            done.segments_skipped.extend(skipped(report, parent));
            let chosen = parent.is_none() && self.options.metric.is_some();
            let warnings =
                report.warnings.iter().filter(|warning| !(chosen && **warning == Warning::MetricNotRecorded));
            done.warnings.extend(warnings.map(|warning| match parent {
                Some(parent) => format!("{}: {warning}", parent.display()),
                None => warning.to_string(),
            }));
            if !report.file_keys.is_empty() {
                let keys = shown(&report.file_keys);
                done.warnings.push(format!("what the file says of itself as a whole is not carried over: {keys}"));
            }
        }
        done
    }

    fn pour(
        &self,
        (store, fields): (&mut Store, &PublishedFields),
        done: &mut Converted,
        progress: Progress<'_>,
    ) -> Result<()> {
        let (batch, total) = (self.options.import.batch.max(1), self.file.live_count());
        let schema = *store.snapshot().schema();
        let mut rows = self.file.rows();
        let mut read = 0;
        while read < total {
            if progress(read, Some(total)).is_break() {
                return Err(Error::Interrupted);
            }
            let (mut ids, mut values): (Vec<u64>, Vec<f32>) = (Vec::new(), Vec::new());
            let mut metadata = Vec::new();
            for row in rows.by_ref().take(batch) {
                read += 1;
                match fault_of(&schema, &row) {
                    None => {
                        ids.push(row.id);
                        values.extend(row.values());
                        metadata.push(fields.metadata(self.file.fields(&row)));
                    }
                    Some(why) => {
                        done.rejected += 1;
                        if done.rows_skipped.len() < MAX_SKIPPED_ROWS {
                            done.rows_skipped.push(SkippedRow { id: row.id, why });
                        }
                    }
                }
            }
            let parameters = format!("records={}", ids.len());
            let rounding = self.options.import.rounding;
            let vectors = Vectors::F32(&values);
            put(store, (vectors, &metadata), Some(IdsRef::U64(&ids)), rounding, Operation::CONVERT, &parameters)?;
        }
        Ok(())
    }
}

/// The first keys, of which each may be long and hold anything.
fn shown(keys: &[String]) -> String {
    let some = keys.iter().take(10).map(|key| format!("{:?}", key.chars().take(64).collect::<String>()));
    let mut some: Vec<String> = some.collect();
    some.extend((keys.len() > 10).then(|| format!("and {} more", keys.len() - 10)));
    some.join(", ")
}

fn skipped<'r>(report: &'r FileReport, parent: Option<&'r PathBuf>) -> impl Iterator<Item = SkippedSegment> + 'r {
    report.segments_skipped.iter().map(move |segment| SkippedSegment {
        kind: segment.kind.to_string(),
        why: segment.why.to_string(),
        segment_id: segment.segment_id,
        offset: segment.offset,
        parent: parent.cloned(),
    })
}

/// Why a record of a published file cannot be stored.
fn fault_of(schema: &Schema, row: &legacy::Row<'_>) -> Option<&'static str> {
    if row.id == u64::MAX {
        return Some("the id 18446744073709551615 is reserved");
    }
    if row.values().any(|value| !value.is_finite()) {
        return Some("has a component that is not a finite number");
    }
    let zero = schema.metric == Metric::Cosine && row.values().all(|value| value == 0.0);
    zero.then_some("is all zero, and the metric is cosine")
}
