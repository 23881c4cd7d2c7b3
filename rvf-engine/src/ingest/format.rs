//! The formats of vector files, and the one that a path means. It opens nothing.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use super::error::InputError;
use super::fault::FileFault;

/// A format of vector files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// NumPy's array file: two dimensions, C order, f32, f16, i8 or u8.
    Npy,
    /// Rows of an i32 dimension and that many f32.
    Fvecs,
    /// Rows of an i32 dimension and that many u8.
    Bvecs,
    /// A JSON object a line: `{"id":..,"vector":[..],"metadata":{..}}`.
    Jsonl,
    /// A header, then a record a line: columns `id`, `vector`, and one a field.
    Csv,
    /// Columns `id`, `vector`, and one a field, in row groups.
    #[cfg(feature = "parquet")]
    Parquet,
}

impl Format {
    /// Every format that is read and written.
    #[cfg(not(feature = "parquet"))]
    pub const ALL: [Format; 5] = [Format::Npy, Format::Fvecs, Format::Bvecs, Format::Jsonl, Format::Csv];

    /// Every format that is read and written.
    #[cfg(feature = "parquet")]
    pub const ALL: [Format; 6] =
        [Format::Npy, Format::Fvecs, Format::Bvecs, Format::Jsonl, Format::Csv, Format::Parquet];

    /// The format that the extension of `path` names, in any case of letters.
    ///
    /// # Errors
    /// The extension is missing or not one of ours.
    pub fn of_path(path: &Path) -> Result<Format, InputError> {
        let extension = path.extension().unwrap_or_default().to_string_lossy();
        named(&extension).map_err(|fault| InputError::of_file(path, fault))
    }

    /// The name, which is the extension too.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Format::Npy => "npy",
            Format::Fvecs => "fvecs",
            Format::Bvecs => "bvecs",
            Format::Jsonl => "jsonl",
            Format::Csv => "csv",
            #[cfg(feature = "parquet")]
            Format::Parquet => "parquet",
        }
    }

    /// Whether a file has a place for ids and metadata; if not, they stand in files beside it.
    #[must_use]
    pub fn holds_records(self) -> bool {
        match self {
            Format::Npy | Format::Fvecs | Format::Bvecs => false,
            Format::Jsonl | Format::Csv => true,
            #[cfg(feature = "parquet")]
            Format::Parquet => true,
        }
    }

    /// The names of all formats, for messages.
    pub(super) fn names() -> String {
        let names = Format::ALL.map(Format::name);
        let (last, others) = names.split_last().unwrap_or((&"", &[]));
        let more = if cfg!(feature = "parquet") { "" } else { "; parquet with the cargo feature parquet" };
        format!("{} and {last}{more}", others.join(", "))
    }
}

impl FromStr for Format {
    type Err = InputError;

    fn from_str(name: &str) -> Result<Format, InputError> {
        named(name).map_err(InputError::without_path)
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

fn named(name: &str) -> Result<Format, FileFault> {
    let known = Format::ALL.into_iter().find(|format| name.eq_ignore_ascii_case(format.name()));
    known.ok_or_else(|| FileFault::UnknownFormat { given: name.to_owned() })
}
