//! What the sources are held to, read as text: floors, heads, lengths, `unsafe`, leftovers, links.
//!
//! Messages say `file:line` and what to do. A test at the end shows each check a source that it must refuse.

use std::path::{Path, PathBuf};

/// Most lines of a source file.
const MOST_LINES: usize = 600;

/// The only files that may hold `unsafe` outside tests: kernels, mapping, the handler of faults in mappings, what of a mapping is in
/// memory.
const UNSAFE_SITES: [&str; 5] = [
    "rvf-engine/capi/src/",
    "rvf-engine/src/kernel/",
    "rvf-format/src/storage/cold.rs",
    "rvf-format/src/storage/file.rs",
    "rvf-format/src/storage/guard.rs",
];

/// A module, and the modules that it may name.
type Floor = (&'static str, &'static [&'static str]);

/// Which modules of its crate a module may name. A module not listed here may not exist.
/// `spec/architecture.md` draws it. Names of the crate's root (`Error`, `Result`, ...) are free for all.
const FLOORS: [(&str, &[Floor]); 2] = [
    (
        "rvf-engine",
        &[
            // 1: sees numbers, none of our types.
            ("kernel", &[]),
            ("random", &[]),
            ("cut", &[]),
            ("value", &[]),
            ("filter", &["value"]),
            // The one error type wraps those of the parts.
            ("error", &["filter", "ingest"]),
            // 2: sees slices and links, no files.
            ("hnsw", &["kernel", "random"]),
            ("quant", &["kernel", "random"]),
            // Sees `rvf-format` and the crates of its algorithms.
            ("sign", &[]),
            // 3
            ("store", &["hnsw", "kernel", "quant", "sign", "value"]),
            // Sees vectors and numbers, no store.
            ("learn", &["cut", "kernel", "random"]),
            // 4: from snapshots to hits, edits, findings.
            ("trust", &["sign"]),
            ("search", &["filter", "hnsw", "kernel", "quant", "store", "value"]),
            ("index", &["hnsw", "kernel", "quant", "random", "store"]),
            ("ingest", &["store", "value"]),
            ("compact", &["store"]),
            ("inspect", &["store", "value"]),
            ("salvage", &["store", "value"]),
            ("branch", &["filter", "ingest", "search", "store", "value"]),
            ("verify", &["store"]),
            // 5: the front door wires the parts.
            (
                "db",
                &[
                    "branch", "compact", "filter", "index", "ingest", "learn", "random", "salvage", "search", "sign",
                    "store", "value",
                ],
            ),
        ],
    ),
    (
        "rvf-format",
        &[
            ("clause", &[]),
            ("error", &[]),
            ("kind", &[]),
            ("limits", &[]),
            ("layout", &["identity", "key_file", "lineage", "manifest", "payload", "root", "segment"]),
            ("schema", &["limits"]),
            ("digest", &["limits"]),
            ("merkle", &["digest"]),
            ("base64", &[]),
            ("note", &["base64", "digest"]),
            ("key_file", &["digest", "layout"]),
            ("roaring", &[]),
            ("row_set", &["roaring"]),
            ("storage", &[]),
            ("segment", &["layout", "limits", "storage"]),
            ("build", &["digest", "limits", "segment", "storage"]),
            ("identity", &["build", "digest", "layout", "limits", "segment"]),
            ("root", &["digest", "layout", "limits", "merkle"]),
            ("manifest", &["build", "digest", "layout", "limits", "note", "root", "segment", "storage"]),
            ("lineage", &["digest", "layout", "manifest", "root"]),
            ("state", &["digest", "manifest", "root"]),
            ("row_set", &["roaring"]),
            (
                "payload",
                &[
                    "build", "digest", "layout", "limits", "manifest", "note", "roaring", "row_set", "segment",
                    "storage",
                ],
            ),
            ("recover", &["identity", "limits", "manifest", "root", "storage"]),
            ("chain", &["limits", "manifest", "recover", "root", "state", "storage"]),
            (
                "verify",
                &[
                    "chain", "digest", "identity", "lineage", "limits", "manifest", "merkle", "note", "payload",
                    "recover", "root", "segment", "state", "storage",
                ],
            ),
            // Knows nothing of our own format.
            ("legacy", &[]),
        ],
    ),
];

/// A source file: path from the repository's root, text.
struct Source {
    path: String,
    text: String,
}

impl Source {
    /// Lines with their numbers, without those of the test module at the end of the file.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let is_tests = self.path.contains("/tests/") || self.path.ends_with("/tests.rs");
        let lines = self.text.lines().enumerate().map(|(index, line)| (index + 1, line));
        let mut before = "";
        lines.take_while(move |(_, line)| {
            let tests_begin = before.trim() == "#[cfg(test)]" && line.starts_with("mod ") && line.ends_with('{');
            before = line;
            !is_tests && !tests_begin
        })
    }

    /// The crate, and the module directly under it.
    fn module(&self) -> Option<(&str, &str)> {
        let (package, rest) = self.path.split_once("/src/")?;
        let first = rest.split('/').next()?;
        Some((package, first.strip_suffix(".rs").unwrap_or(first)))
    }

    fn at(&self, line: usize, what: &str) -> String {
        format!("{}:{line}: {what}", self.path)
    }
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Every file with this ending, in the order of paths.
fn sources(ending: &str) -> Vec<Source> {
    let root = repository();
    let mut found = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() && !name.starts_with('.') && !["target", "corpus", "artifacts"].contains(&name.as_str()) {
                folders.push(path);
            } else if name.ends_with(ending) {
                let text = std::fs::read_to_string(&path).unwrap();
                let path = path.strip_prefix(&root).unwrap().to_string_lossy().replace('\\', "/");
                found.push(Source { path, text });
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    assert!(!found.is_empty(), "no file ends with {ending}");
    found
}

/// Runs a check over all files with an ending and prints everything that it says.
fn check(ending: &str, judge: fn(&Source) -> Vec<String>) {
    let said: Vec<String> = sources(ending).iter().flat_map(judge).collect();
    assert!(said.is_empty(), "\n{}\n", said.join("\n"));
}

/// A line without its strings and its comment.
fn uncommented(line: &str) -> String {
    let outside: String = line.split('"').step_by(2).collect();
    outside.split("//").next().unwrap_or_default().to_owned()
}

fn floors(source: &Source) -> Vec<String> {
    let Some((package, module)) = source.module() else { return Vec::new() };
    let Some((_, table)) = FLOORS.iter().find(|(name, _)| *name == package) else { return Vec::new() };
    if ["lib", "main"].contains(&module) {
        return Vec::new();
    }
    let Some((_, allowed)) = table.iter().find(|(name, _)| *name == module) else {
        return vec![
            source.at(1, &format!("module `{module}` stands on no floor: add it to FLOORS in tests/suite/tidy.rs")),
        ];
    };
    let mut said = Vec::new();
    for (number, line) in source.code() {
        for name in named_modules(&uncommented(line), table) {
            if name != module && !allowed.contains(&name) {
                let advice = "move the code to its floor, or pass what it needs as a value";
                said.push(source.at(number, &format!("`{module}` may not name `crate::{name}`: {advice}")));
            }
        }
    }
    said
}

/// Modules of the table that a line names by `crate::name` or `crate::{name, ...}`.
fn named_modules<'t>(line: &str, table: &[(&'t str, &[&str])]) -> Vec<&'t str> {
    let mut named = Vec::new();
    for path in line.split("crate::").skip(1) {
        let group = path.strip_prefix('{').unwrap_or(path);
        let parts = if path.starts_with('{') { group.split(", ").collect() } else { vec![group] };
        for part in parts {
            let first =
                part.split(|letter: char| !letter.is_alphanumeric() && letter != '_').next().unwrap_or_default();
            named.extend(table.iter().map(|row| row.0).find(|name| *name == first));
        }
    }
    named
}

fn heads(source: &Source) -> Vec<String> {
    let first = source.text.lines().next().unwrap_or_default();
    if first.starts_with("//! ") {
        return Vec::new();
    }
    vec![source.at(1, "begin with `//!`: what the file owns and what it does not")]
}

fn lengths(source: &Source) -> Vec<String> {
    let lines = source.text.lines().count();
    if lines <= MOST_LINES {
        return Vec::new();
    }
    vec![source.at(lines, &format!("{lines} lines, {MOST_LINES} are allowed: split the file by what it owns"))]
}

fn unsafe_sites(source: &Source) -> Vec<String> {
    let named = UNSAFE_SITES.iter().any(|site| source.path.starts_with(site));
    let library = source.path.starts_with("rvf-") && source.path.contains("/src/");
    let mut said = Vec::new();
    let lines: Vec<(usize, &str)> = source.code().collect();
    for (index, (number, line)) in lines.iter().enumerate() {
        if !has_word(&uncommented(line), "unsafe") {
            continue;
        }
        if library && !named {
            said.push(source.at(
                *number,
                "`unsafe` is for mapping, kernels and calls from C only: find a safe way, or add to UNSAFE_SITES",
            ));
        }
        if !is_argued(&lines[..index]) && !declares_unsafe(line) {
            said.push(source.at(*number, "say in a `// SAFETY:` comment right above why this is sound"));
        }
    }
    said
}

/// An `unsafe fn` asks its callers for the argument, in `# Safety`; clippy holds that.
fn declares_unsafe(line: &str) -> bool {
    // A name without mangling: `rvf_` keeps it apart from others.
    line.contains("unsafe fn ") || line.contains("unsafe extern ") || line.trim() == "#[unsafe(no_mangle)]"
}

/// Whether the comment that ends right above holds `SAFETY:`; attributes and the start of the same statement may stand between.
fn is_argued(above: &[(usize, &str)]) -> bool {
    let near = above.iter().rev().take(8).map(|(_, line)| line.trim());
    let mut comment = near.skip_while(|line| !line.starts_with("//") && !line.ends_with(';') && !line.ends_with('}'));
    comment.by_ref().take_while(|line| line.starts_with("//")).any(|line| line.contains("SAFETY:"))
}

fn has_word(line: &str, word: &str) -> bool {
    let of_word = |letter: char| letter.is_alphanumeric() || letter == '_';
    line.split(|letter| !of_word(letter)).any(|found| found == word)
}

fn leftovers(source: &Source) -> Vec<String> {
    // Put together, so that this file does not find itself.
    let words = [["TO", "DO"].concat(), ["FIX", "ME"].concat()];
    let lines = source.text.lines().enumerate();
    let left = lines.filter(|(_, line)| words.iter().any(|word| has_word(line, word)));
    left.map(|(index, _)| source.at(index + 1, "do it now, or open an issue and delete the note")).collect()
}

fn links(source: &Source) -> Vec<String> {
    let folder = repository().join(&source.path);
    let folder = folder.parent().unwrap();
    let mut said = Vec::new();
    let mut fenced = false;
    for (index, line) in source.text.lines().enumerate() {
        fenced ^= line.trim_start().starts_with("```");
        let targets = line.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        for target in targets.filter(|_| !fenced) {
            let file = target.split('#').next().unwrap_or_default();
            if !target.contains("://") && !file.is_empty() && !folder.join(file).exists() {
                said.push(source.at(index + 1, &format!("the link leads to `{target}`, which is not there")));
            }
        }
    }
    said
}

/// Structures of the format have sized integers only.
fn layouts(source: &Source) -> Vec<String> {
    let mut said = Vec::new();
    let mut inside = false;
    for (number, line) in source.code() {
        inside |= line.starts_with("layout! {");
        if inside && (has_word(&uncommented(line), "usize") || has_word(&uncommented(line), "isize")) {
            said.push(source.at(number, "no `usize` on disk: use U16, U32 or U64"));
        }
        inside &= line != "}";
    }
    said
}

#[test]
fn modules_name_lower_floors_only() {
    check(".rs", floors);
}

#[test]
fn files_begin_with_what_they_own() {
    check(".rs", heads);
}

#[test]
fn files_are_short() {
    check(".rs", lengths);
}

#[test]
fn unsafe_stands_at_named_sites_and_is_argued() {
    check(".rs", unsafe_sites);
}

#[test]
fn nothing_is_left_for_later() {
    check(".rs", leftovers);
    check(".md", leftovers);
}

#[test]
fn links_lead_somewhere() {
    check(".md", links);
}

#[test]
fn layouts_have_sized_integers() {
    check(".rs", layouts);
}

#[test]
fn every_floor_is_there() {
    for (package, table) in FLOORS {
        for (module, _) in table {
            let source = repository().join(package).join("src").join(module);
            let there = source.is_dir() || source.with_extension("rs").is_file();
            assert!(there, "{package} has no module `{module}`: take it out of FLOORS in tests/suite/tidy.rs");
        }
    }
}

/// Each check refuses what it is there for, at the right line, and lets the corrected source pass.
#[test]
fn each_check_can_fail() {
    let later = ["// TO", "DO: later"].concat();
    type Check = fn(&Source) -> Vec<String>;
    let cases: [(Check, &str, &str, usize); 13] = [
        (floors, "rvf-engine/src/store/a.rs", "//! A.\nuse crate::search::Hit;\n", 2),
        (floors, "rvf-engine/src/store/a.rs", "//! A.\nuse crate::{Error, db::Db};\n", 2),
        (floors, "rvf-engine/src/kernel/x86/a.rs", "//! A.\nfn f(id: crate::store::Id) {}\n", 2),
        (floors, "rvf-format/src/limits.rs", "//! A.\n\nuse crate::root::RootPage;\n", 3),
        (floors, "rvf-engine/src/helpers.rs", "//! A.\n", 1),
        (heads, "rvf-cli/src/a.rs", "use std::io;\n", 1),
        (lengths, "rvf-cli/src/a.rs", &"//! A.\n".repeat(601), 601),
        (unsafe_sites, "rvf-engine/src/store/a.rs", "//! A.\n// SAFETY: none.\nlet a = unsafe { b() };\n", 3),
        (unsafe_sites, "rvf-engine/src/kernel/a.rs", "//! A.\nlet c = 1;\nlet a = unsafe { b() };\n", 3),
        (leftovers, "spec/a.md", &later, 1),
        (links, "spec/a.md", "[format](format.md)\n[lost](lost.md#a)\n", 2),
        (layouts, "rvf-format/src/a.rs", "//! A.\nlayout! {\n    0x00 length: \"u64\" usize,\n}\n", 3),
        (layouts, "rvf-format/src/a.rs", "//! A.\nlayout! {\n}\nlayout! {\n    0x00 a: \"u64\" isize,\n}\n", 5),
    ];
    for (index, (check, path, text, line)) in cases.into_iter().enumerate() {
        let said = check(&Source { path: path.to_owned(), text: text.to_owned() });
        assert_eq!(said.len(), 1, "case {index}: {said:?}");
        assert!(said[0].starts_with(&format!("{path}:{line}: ")), "case {index}: {said:?}");
    }
    let passes: [(Check, &str, &str); 5] = [
        (floors, "rvf-engine/src/store/a.rs", "//! A.\nuse crate::{Error, Result};\n// crate::db is above\n"),
        (
            floors,
            "rvf-engine/src/search/a.rs",
            "//! A.\nuse crate::store::Id;\n#[cfg(test)]\nmod tests {\n    use crate::db::Db;\n}\n",
        ),
        (
            unsafe_sites,
            "rvf-engine/src/kernel/a.rs",
            "//! A.\n// SAFETY: b asks nothing.\nlet a =\n    unsafe { b() };\n",
        ),
        (links, "spec/a.md", "[a](https://example.org) [b](#here) [c](format.md#segments)\n"),
        (layouts, "rvf-format/src/a.rs", "//! A.\nlayout! {\n}\nfn f(a: usize) {}\n"),
    ];
    for (index, (check, path, text)) in passes.into_iter().enumerate() {
        let said = check(&Source { path: path.to_owned(), text: text.to_owned() });
        assert!(said.is_empty(), "sound case {index}: {said:?}");
    }
}
