//! What `rvf lineage --verify` checks: that the audit entries of each file carry the commits which it builds on.

use crate::failure::{Failure, NO};
use crate::output::{Ui, hex, plain};
use rvf_engine::Snapshot;
use rvf_engine::trust::custody;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// What came of each file, the nearest first.
pub(super) struct Custody {
    files: Vec<Checked>,
}

struct Checked {
    path: PathBuf,
    file_id: [u8; 16],
    why: Option<String>,
}

impl Custody {
    /// Checks a file and its parents, as far as they are there.
    pub(super) fn of(snapshot: &Snapshot, asked: &Path) -> Self {
        let check = |layer: &Snapshot| Checked {
            path: layer.found_at().map_or(asked, PathBuf::as_path).to_owned(),
            file_id: layer.root().file_id,
            why: match custody(layer) {
                Ok(fault) => fault.map(|fault| fault.to_string()),
                Err(error) => Some(error.to_string()),
            },
        };
        Self { files: snapshot.chain().map(check).collect() }
    }

    pub(super) fn exit(&self) -> u8 {
        if self.files.iter().all(|file| file.why.is_none()) { 0 } else { NO }
    }

    pub(super) fn to_json(&self) -> Value {
        let file = |file: &Checked| {
            let mut value = json!({
                "file": file.path.display().to_string(),
                "file_id": hex(&file.file_id),
                "ok": file.why.is_none(),
            });
            if let Some(why) = &file.why {
                value["why"] = json!(why);
            }
            value
        };
        self.files.iter().map(file).collect()
    }

    pub(super) fn tell(&self, ui: &Ui) -> Result<(), Failure> {
        ui.line("")?;
        for file in &self.files {
            let verdict = ui.verdict(file.why.is_none(), if file.why.is_none() { "recorded" } else { "not recorded" });
            let what = file.why.as_deref().unwrap_or("its audit entries carry the commits that it builds on");
            ui.line(format!("{verdict}: {}: {}", plain(&file.path.display().to_string()), plain(what)))?;
        }
        Ok(())
    }
}
