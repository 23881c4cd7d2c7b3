//! Support shared by the tests and the fuzz targets.

pub mod corrupt;
pub mod golden;
pub mod oracle;
pub mod reseal;
pub mod samples;

use std::path::{Path, PathBuf};

/// The folder `fixtures/` of the repository.
pub fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures")
}
