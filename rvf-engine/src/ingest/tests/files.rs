//! What a path can be, and which format it means.

use std::fs;

use super::*;

#[test]
fn the_extension_decides() {
    for (path, format) in [
        ("a.npy", Format::Npy),
        ("a.b.FVECS", Format::Fvecs),
        ("x/a.Bvecs", Format::Bvecs),
        ("a.jsonl", Format::Jsonl),
        ("a.csv", Format::Csv),
    ] {
        assert_eq!(Format::of_path(Path::new(path)).unwrap(), format);
        assert_eq!(format.name().to_uppercase().parse::<Format>().unwrap(), format);
    }
    for path in ["a.tsv", "npy", "a.npy.gz"] {
        let error = told(&Format::of_path(Path::new(path)).unwrap_err());
        assert!(error.contains("the known ones are npy, fvecs, bvecs, jsonl"), "{error}");
    }
    assert!("tsv".parse::<Format>().is_err());
}

#[test]
fn a_given_format_beats_the_extension() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("vectors.npy");
    fs::write(&path, "{\"vector\":[1,2]}").unwrap();
    assert_eq!(open_source(&path, Some(Format::Jsonl)).unwrap().dim(), Some(2));
    assert!(matches!(open_source(&path, None).err().unwrap().fault(), InputFault::Npy(NpyFault::Magic)));
}

#[test]
fn missing_empty_and_directory_differ() {
    let dir = tempfile::tempdir().unwrap();
    let open = |name: &str| open_source(&dir.path().join(name), None).err().unwrap();
    for extension in ["npy", "fvecs", "bvecs", "jsonl", "csv"] {
        fs::write(dir.path().join(format!("empty.{extension}")), "").unwrap();
        fs::create_dir(dir.path().join(format!("dir.{extension}"))).unwrap();
        let missing = open(&format!("missing.{extension}"));
        assert!(matches!(missing.fault(), InputFault::File(FileFault::NotFound)), "{missing}");
        let empty = open(&format!("empty.{extension}"));
        assert!(matches!(empty.fault(), InputFault::File(FileFault::Empty)), "{empty}");
        let directory = open(&format!("dir.{extension}"));
        assert!(matches!(directory.fault(), InputFault::File(FileFault::Directory)), "{directory}");
        assert!(directory.to_string().contains(&format!("dir.{extension})")), "{directory}");
    }
    assert!(matches!(read_ids(dir.path()).unwrap_err().fault(), InputFault::File(FileFault::Directory)));
}

#[cfg(unix)]
#[test]
fn a_device_is_no_npy_file() {
    let error = open_source(Path::new("/dev/null"), Some(Format::Npy)).err().unwrap();
    assert!(matches!(error.fault(), InputFault::File(FileFault::NotRegular)), "{error}");
}
