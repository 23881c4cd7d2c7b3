//! The specification and the code say the same: layout tables, segment kinds, clauses.

use rvf_format::{Clause, Kind, layout};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

fn spec() -> BTreeMap<String, String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../spec");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), std::fs::read_to_string(path).unwrap()))
        .collect()
}

/// A layout table: its size, its rows as (offset, type, name).
type Table = (usize, Vec<(usize, String, String)>);

/// Rows of the table that follows "Layout `name`", as (offset, type, name).
fn layout_tables() -> BTreeMap<String, Table> {
    let mut tables = BTreeMap::new();
    for text in spec().values() {
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            let Some(rest) = line.strip_prefix("Layout `") else { continue };
            let (name, rest) = rest.split_once('`').unwrap();
            let size = rest.trim_start_matches(", ").split(' ').next().unwrap().parse().unwrap();
            let table = lines.by_ref().skip_while(|line| !line.starts_with('|')).skip(2);
            let rows = table.take_while(|line| line.starts_with('|')).map(|line| {
                let cells: Vec<&str> = line.split('|').map(str::trim).collect();
                let offset = usize::from_str_radix(cells[1].trim_start_matches("0x"), 16).unwrap();
                (offset, cells[2].to_owned(), cells[3].to_owned())
            });
            tables.insert(name.to_owned(), (size, rows.collect()));
        }
    }
    tables
}

/// Catches a field that moved, grew or was renamed in only one of the two places, and bytes that no field names.
#[test]
fn layout_tables_equal_the_declarations() {
    let tables = layout_tables();
    let declared = layout::all();
    let names: BTreeSet<&str> = declared.iter().map(|layout| layout.name).collect();
    assert_eq!(tables.keys().map(String::as_str).collect::<BTreeSet<_>>(), names);
    for layout in declared {
        let (size, rows) = &tables[layout.name];
        assert_eq!(*size, layout.size, "{}", layout.name);
        let fields: Vec<_> =
            layout.fields.iter().map(|field| (field.offset, field.kind.to_owned(), field.name.to_owned())).collect();
        assert_eq!(*rows, fields, "{}", layout.name);
        let mut end = 0;
        for field in layout.fields {
            assert_eq!(field.offset, end, "{}.{}: a gap or an overlap", layout.name, field.name);
            let declared = match field.kind {
                "u8" => 1,
                "u16" => 2,
                "u32" => 4,
                "u64" => 8,
                array => array.trim_matches(['[', ']']).parse().unwrap(),
            };
            assert_eq!(field.length, declared, "{}.{}", layout.name, field.name);
            end += field.length;
        }
        assert_eq!(end, layout.size, "{}", layout.name);
    }
}

#[test]
fn the_table_of_kinds_equals_the_code() {
    let format = &spec()["format.md"];
    let rows = format.lines().skip_while(|line| !line.starts_with("| code | kind |")).skip(2);
    let rows: Vec<(u8, String, bool)> = rows
        .take_while(|line| line.starts_with('|'))
        .map(|line| {
            let cells: Vec<&str> = line.split('|').map(str::trim).collect();
            (u8::from_str_radix(cells[1].trim_start_matches("0x"), 16).unwrap(), cells[2].to_owned(), cells[3] == "yes")
        })
        .collect();
    let code: Vec<(u8, String, bool)> = Kind::TABLE.iter().map(|row| (row.0, row.1.to_owned(), row.2)).collect();
    assert_eq!(rows, code);
}

/// One key opens four doors: the sentence, the error's clause, the fixture, the test that expects it (suite/corrupt.rs).
#[test]
fn clauses_of_specification_code_and_fixtures_are_the_same() {
    let mut written = BTreeSet::new();
    for text in spec().values() {
        for bold in text.split("**").skip(1).step_by(2) {
            let id = bold.split(' ').next().unwrap();
            let is_id = id.split_once('-').is_some_and(|(word, number)| {
                word.chars().all(|c| c.is_ascii_uppercase()) && !word.is_empty() && number.parse::<u32>().is_ok()
            });
            if is_id && !bold.ends_with("(rule)") {
                assert!(written.insert(id.to_owned()), "{id} stands twice in the specification");
            }
        }
    }
    let code: BTreeSet<String> = Clause::ALL.iter().map(|clause| clause.id().to_owned()).collect();
    assert_eq!(written, code, "specification and code");
    let folder = rvf_tests::fixtures().join("corrupt");
    let fixtures: BTreeSet<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "rvf"))
        .map(|path| path.file_stem().unwrap().to_string_lossy().into_owned())
        .collect();
    assert_eq!(fixtures, code, "fixtures and code");
}
