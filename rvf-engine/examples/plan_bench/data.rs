//! Vectors, metadata, queries and stores made of them.

use rvf_engine::filter::Filter;
use rvf_engine::{BranchOptions, Db, Dtype, Matches, Metadata, Metric, Schema, Snapshot, Value, f16};
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub(crate) type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

pub(crate) const DIMENSION: usize = 384;

/// The rows of docs-text, and its queries.
pub(crate) struct Docs {
    pub(crate) rows: Vec<f16>,
    pub(crate) metadata: Vec<Metadata>,
    pub(crate) queries: Vec<Vec<f32>>,
}

/// Filters of all kinds: rare and frequent, correlated with the vectors and not, on one field and on several.
pub(crate) const FILTERS: [&str; 8] = [
    "source = 'symfony/symfony-docs'",
    "source LIKE 'python%'",
    "chars > 400",
    "chars < 120",
    "depth = 1",
    "depth >= 3 AND chars > 300",
    "path LIKE '%reference%'",
    "chars BETWEEN 500 AND 520",
];

impl Docs {
    pub(crate) fn read(folder: &Path) -> Outcome<Self> {
        let base = std::fs::read(folder.join("base.npy"))?;
        let rows = body(&base).as_chunks::<2>().0.iter().map(|bytes| f16::from_le_bytes(*bytes)).collect();
        let queries = std::fs::read(folder.join("queries.npy"))?;
        let queries: Vec<f32> =
            body(&queries).as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        let metadata = std::fs::read_to_string(folder.join("metadata.jsonl"))?;
        let metadata = metadata.lines().map(fields).collect::<Outcome<Vec<Metadata>>>()?;
        let queries = queries.chunks_exact(DIMENSION).map(<[f32]>::to_vec).collect();
        Ok(Self { rows, metadata, queries })
    }

    pub(crate) fn row(&self, row: usize) -> &[f16] {
        &self.rows[row * DIMENSION..(row + 1) * DIMENSION]
    }

    /// A store whose records came in so many pieces, each of which got a graph of its own; made once in `folder`.
    pub(crate) fn store(&self, folder: &Path, name: &str, ends: &[usize]) -> Outcome<Arc<Snapshot>> {
        let path = folder.join(name);
        if !path.exists() {
            let mut db =
                Db::create(&path, &Schema { dtype: Dtype::F16, ..Schema::new(DIMENSION as u32, Metric::Cosine) })?;
            self.add(&mut db, 0, ends)?;
        }
        Ok(rvf_engine::Reader::open(&path)?.snapshot())
    }

    /// A branch of a branch of a store, each of which added records of its own.
    pub(crate) fn chain(&self, folder: &Path, ends: &[&[usize]]) -> Outcome<Arc<Snapshot>> {
        let path = |depth: usize| -> PathBuf { folder.join(format!("chain-{depth}.rvf")) };
        let mut from = 0;
        for (depth, ends) in ends.iter().enumerate().filter(|(depth, _)| !path(*depth).exists()) {
            let mut db = match depth {
                0 => {
                    Db::create(path(0), &Schema { dtype: Dtype::F16, ..Schema::new(DIMENSION as u32, Metric::Cosine) })?
                }
                _ => {
                    Db::open(path(depth - 1))?.branch(path(depth), &BranchOptions::default())?;
                    Db::open(path(depth))?
                }
            };
            self.add(&mut db, from, ends)?;
            from = ends.last().copied().unwrap_or(from);
        }
        Ok(rvf_engine::Reader::open(path(ends.len() - 1))?.snapshot())
    }

    fn add(&self, db: &mut Db, mut from: usize, ends: &[usize]) -> Outcome<()> {
        for end in ends {
            let mut batch = db.batch();
            for row in from..*end {
                batch.put_with(row as u64, self.row(row), self.metadata[row].clone())?;
            }
            batch.commit()?;
            from = *end;
        }
        Ok(())
    }
}

pub(crate) fn matches(snapshot: &Snapshot) -> Outcome<Vec<Matches>> {
    FILTERS.iter().map(|text| Ok(snapshot.matches(&Filter::parse(text)?)?)).collect()
}

fn body(npy: &[u8]) -> &[u8] {
    let length = usize::from(u16::from_le_bytes([npy[8], npy[9]]));
    &npy[10 + length..]
}

fn fields(line: &str) -> Outcome<Metadata> {
    let line: serde_json::Value = serde_json::from_str(line)?;
    let fields = line["metadata"].as_object().ok_or("a line without metadata")?;
    let value = |value: &serde_json::Value| match value {
        serde_json::Value::Number(number) => number.as_i64().map(Value::I64),
        serde_json::Value::String(text) => Some(Value::Str(text.clone())),
        _ => None,
    };
    Ok(fields.iter().filter_map(|(name, field)| Some((name.clone(), value(field)?))).collect())
}
