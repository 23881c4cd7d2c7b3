//! The parent of a branch, as commands tell of it; files of which no more is asked than they hold themselves.

use crate::args::ReadArgs;
use crate::failure::Failure;
use crate::output::{Ui, hex};
use rvf_engine::{Error, ParentError, Reader, Snapshot};
use rvf_format::lineage::ParentRef;
use rvf_format::storage::FilePlace;
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;

/// A file of which a command asks what it holds itself.
pub(super) struct Opened {
    pub(super) snapshot: Arc<Snapshot>,
    /// Why it is open without its parents, where it is.
    pub(super) missing: Option<Box<ParentError>>,
}

impl Opened {
    pub(super) fn warn(&self, ui: &Ui) {
        self.missing.iter().for_each(|error| ui.warn(error));
    }
}

/// Opens a file for reading, a branch also where its parents cannot be used.
pub(super) fn open_with_or_without(path: &Path, args: &ReadArgs, ui: &Ui) -> Result<Opened, Failure> {
    let options = args.mode.options(ui);
    let (snapshot, missing) = match Reader::open_as(Arc::new(FilePlace), path, &options) {
        Ok(reader) => (reader.snapshot(), None),
        Err(Error::Parent(error)) => {
            let alone = Reader::open_alone(Arc::new(FilePlace), path, &options).map_err(Failure::of(path))?;
            (alone, Some(error))
        }
        Err(error) => return Err(Failure::of(path)(error)),
    };
    let snapshot = super::at_epoch(snapshot, path, args, ui)?;
    Ok(Opened { snapshot, missing })
}

/// What a branch says of its parent, and whether it was found; `None` for a file that stands alone.
pub(super) fn parent_of(snapshot: &Snapshot) -> rvf_engine::Result<Option<Parent>> {
    let found_at = snapshot.parent().and_then(|parent| parent.found_at()).map(|path| path.display().to_string());
    Ok(snapshot.parent_ref()?.map(|needed| Parent { found: snapshot.parent().is_some(), found_at, needed }))
}

/// The parent of a branch.
pub(super) struct Parent {
    pub(super) needed: ParentRef,
    found: bool,
    found_at: Option<String>,
}

impl Parent {
    pub(super) fn to_json(&self) -> Value {
        let needed = &self.needed;
        let mut value = json!({
            "file_id": hex(&needed.file_id),
            "epoch": needed.epoch,
            "root_hash": hex(&needed.state_hash),
            "path": needed.path,
            "found": self.found,
            "depth": needed.depth,
            "first_row": needed.first_row,
            "count": needed.count,
        });
        if let Some(path) = &self.found_at {
            value["found_at"] = json!(path);
        }
        value
    }

    /// In one line.
    pub(super) fn words(&self) -> String {
        let Parent { needed, found, found_at } = self;
        let place = match (found, found_at) {
            (true, Some(path)) => path.clone(),
            (true, None) => needed.path.clone(),
            (false, _) => format!("{}, which is not here", needed.path),
        };
        format!("epoch {} of {place}", needed.epoch)
    }
}
