//! [`Ui`]: results to stdout, everything else to stderr; tables; sizes, times and hashes as text.

use crate::args::{ColorWhen, Global};
use crate::failure::Failure;
use serde_json::{Value, json};
use std::cell::RefCell;
use std::fmt::Display;
use std::io::{self, BufWriter, IsTerminal, Stdout, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Where a command prints, and what else the global flags say.
pub(crate) struct Ui {
    pub(crate) json: bool,
    /// Folders to look for parents of branches in.
    pub(crate) parent_folders: Vec<PathBuf>,
    quiet: bool,
    no_progress: bool,
    color_out: bool,
    color_err: bool,
    out: RefCell<BufWriter<Stdout>>,
    /// With --json warnings wait for the end, so that stderr is one object.
    warnings: RefCell<Vec<String>>,
    written: RefCell<Vec<PathBuf>>,
}

impl Ui {
    pub(crate) fn new(global: &Global) -> Self {
        let ui = Self::early(global.json, global.color);
        Self { quiet: global.quiet, no_progress: global.no_progress, parent_folders: global.parent_dir.clone(), ..ui }
    }

    /// For errors before the command line is understood.
    pub(crate) fn early(json: bool, color: ColorWhen) -> Self {
        let wanted = |terminal: bool| match color {
            ColorWhen::Always => true,
            ColorWhen::Never => false,
            ColorWhen::Auto => terminal && std::env::var_os("NO_COLOR").is_none(),
        };
        Self {
            json,
            parent_folders: Vec::new(),
            quiet: false,
            no_progress: false,
            color_out: wanted(io::stdout().is_terminal()),
            color_err: wanted(io::stderr().is_terminal()),
            out: RefCell::new(BufWriter::new(io::stdout())),
            warnings: RefCell::default(),
            written: RefCell::default(),
        }
    }

    /// Keeps in mind that the command writes to a store: when it ends, it says if that is left unsigned.
    pub(crate) fn writes(&self, store: &Path) {
        let mut written = self.written.borrow_mut();
        if !written.iter().any(|known| known == store) {
            written.push(store.to_owned());
        }
    }

    /// The stores that the command wrote to.
    pub(crate) fn written(&self) -> Vec<PathBuf> {
        self.written.take()
    }

    /// One line of the result.
    pub(crate) fn line(&self, text: impl Display) -> Result<(), Failure> {
        writeln!(self.out.borrow_mut(), "{text}").map_err(Failure::of_stdout)
    }

    /// A result as JSON, or as text if that is wanted.
    pub(crate) fn result(&self, value: &Value, text: impl FnOnce() -> Result<(), Failure>) -> Result<(), Failure> {
        if self.json { self.line(value) } else { text() }
    }

    /// Something that a person should know, and that is no failure.
    pub(crate) fn warn(&self, text: impl Display) {
        if self.json {
            self.warnings.borrow_mut().push(text.to_string());
        } else {
            let label = paint(self.color_err, "33", "warning:");
            let _ = writeln!(io::stderr(), "rvf: {label} {}", plain(&text.to_string()));
        }
    }

    /// Whether a progress bar may be shown.
    pub(crate) fn shows_progress(&self) -> bool {
        !self.quiet && !self.no_progress && !self.json && io::stderr().is_terminal()
    }

    pub(crate) fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// Text of the result in bold green, or bold red.
    pub(crate) fn verdict(&self, good: bool, text: &str) -> String {
        paint(self.color_out, if good { "1;32" } else { "1;31" }, text)
    }

    pub(crate) fn heading(&self, text: &str) -> String {
        paint(self.color_out, "1", text)
    }

    /// Brings everything to stdout; with --json, warnings to stderr.
    pub(crate) fn finish(&self) -> Result<(), Failure> {
        let warnings = self.warnings.take();
        if !warnings.is_empty() {
            let _ = writeln!(io::stderr(), "{}", json!({ "warnings": warnings }));
        }
        self.out.borrow_mut().flush().map_err(Failure::of_stdout)
    }

    /// Tells of a failure, after what was printed before it.
    pub(crate) fn fail(&self, failure: &Failure) -> ExitCode {
        if !failure.silent {
            let _ = self.out.borrow_mut().flush();
            let _ = self.tell(failure);
        }
        ExitCode::from(failure.exit)
    }

    fn tell(&self, failure: &Failure) -> io::Result<()> {
        let mut stderr = io::stderr();
        if self.json {
            let mut object = json!({ "error": failure.to_json() });
            let warnings = self.warnings.take();
            if !warnings.is_empty() {
                object["warnings"] = json!(warnings);
            }
            return writeln!(stderr, "{object}");
        }
        let (name, hint) = (paint(self.color_err, "1;31", "rvf:"), paint(self.color_err, "1", "hint:"));
        writeln!(stderr, "{name} {}", plain(&failure.message()))?;
        for line in failure.detail().unwrap_or_default().lines() {
            writeln!(stderr, "  {}", plain(line))?;
        }
        writeln!(stderr, "{hint} {}", plain(failure.hint()))
    }

    /// A table; columns whose cells are all numbers stand to the right.
    pub(crate) fn table(&self, head: &[&str], rows: &[Vec<String>]) -> Result<(), Failure> {
        let rows: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(|cell| plain(cell)).collect()).collect();
        let head: Vec<String> = head.iter().map(|title| plain(title)).collect();
        let cells = |column: usize| rows.iter().filter_map(move |row| row.get(column));
        let width = |column: usize| {
            let head = head.get(column).map_or(0, |name| name.chars().count());
            cells(column).map(|cell| cell.chars().count()).fold(head, usize::max)
        };
        let numeric = |column: usize| !rows.is_empty() && cells(column).all(|cell| is_number(cell));
        let layout: Vec<(usize, bool)> = (0..head.len()).map(|column| (width(column), numeric(column))).collect();
        self.line(self.heading(&row_text(&head, &layout)))?;
        rows.iter().try_for_each(|row| self.line(row_text(row, &layout)))
    }

    /// Names and values, one pair a line.
    pub(crate) fn facts(&self, facts: &[(&str, String)]) -> Result<(), Failure> {
        let width = facts.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        facts.iter().try_for_each(|(name, value)| self.line(format!("{name:width$}  {}", plain(value))))
    }
}

/// Text from a file or a command line as a terminal may show it: control characters are written out, so that they can neither
/// break a table nor command the terminal.
pub(crate) fn plain(text: &str) -> String {
    let shown = |letter: char| match letter.is_control() || turns(letter) {
        true => letter.escape_default().to_string(),
        false => letter.to_string(),
    };
    text.chars().map(shown).collect()
}

/// Whether a character changes the direction of what follows it on the line.
fn turns(letter: char) -> bool {
    matches!(letter, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn is_number(cell: &str) -> bool {
    let first = cell.trim_start_matches(['-', '+']).chars().next();
    cell.is_empty() || first.is_some_and(|letter| letter.is_ascii_digit()) && !cell.contains(':') && cell.len() < 24
}

fn row_text(row: &[String], layout: &[(usize, bool)]) -> String {
    let cells = row.iter().zip(layout).map(|(cell, (width, right))| {
        let width = *width;
        if *right { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
    });
    cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
}

fn paint(color: bool, code: &str, text: &str) -> String {
    if color { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
}

/// Bytes as lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The first digits of a hash, for tables.
pub(crate) fn short_hex(bytes: &[u8]) -> String {
    hex(bytes.get(..6).unwrap_or(bytes))
}

/// A number of bytes: `312 B`, `4.0 KiB`, `1.5 MiB`.
pub(crate) fn size(bytes: u64) -> String {
    let scaled = |shift: u32| bytes as f64 / (1u64 << shift) as f64;
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..1_048_576 => format!("{:.1} KiB", scaled(10)),
        1_048_576..1_073_741_824 => format!("{:.1} MiB", scaled(20)),
        _ => format!("{:.2} GiB", scaled(30)),
    }
}

/// A whole number with its digits in threes: `1,234,567`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A duration as people read it.
pub(crate) fn duration(micros: f64) -> String {
    match micros {
        _ if micros < 1e3 => format!("{micros:.0} µs"),
        _ if micros < 1e6 => format!("{:.1} ms", micros / 1e3),
        _ if micros < 120e6 => format!("{:.1} s", micros / 1e6),
        _ => format!("{:.0} min", micros / 60e6),
    }
}

/// Nanoseconds since 1970 as `2026-01-31T12:00:00Z`.
pub(crate) fn time(nanoseconds: u64) -> String {
    let seconds = nanoseconds / 1_000_000_000;
    let (year, month, day) = date(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// The date of a day counted from 1970-01-01.
fn date(mut days: u64) -> (u64, u64, u64) {
    let leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let mut year = 1970;
    while days >= 365 + u64::from(leap(year)) {
        days -= 365 + u64::from(leap(year));
        year += 1;
    }
    let mut month = 1;
    for length in [31, 28 + u64::from(leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    (year, month, days + 1)
}

/// A float as a JSON number with the fewest digits that read back as the same f32.
pub(crate) fn float(value: f32) -> Value {
    value.to_string().parse::<f64>().map_or(Value::Null, Value::from)
}

/// A vector as a JSON array.
pub(crate) fn vector(values: &[f32]) -> Value {
    values.iter().map(|value| float(*value)).collect()
}

/// An id as JSON: a number, or a string.
pub(crate) fn id(id: &rvf_engine::Id) -> Value {
    match id {
        rvf_engine::Id::U64(number) => Value::from(*number),
        rvf_engine::Id::Str(text) => Value::from(text.as_str()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_dates_of_the_calendar() {
        assert_eq!(time(0), "1970-01-01T00:00:00Z");
        assert_eq!(time(951_782_400_000_000_000), "2000-02-29T00:00:00Z");
        assert_eq!(time(1_735_689_599_999_999_999), "2024-12-31T23:59:59Z");
        assert_eq!(time(4_107_542_400_000_000_000), "2100-03-01T00:00:00Z");
    }

    #[test]
    fn sizes_and_floats_are_short() {
        assert_eq!((size(1023), size(4096), size(3 << 20)), ("1023 B".into(), "4.0 KiB".into(), "3.0 MiB".into()));
        assert_eq!(float(0.1).to_string(), "0.1");
        assert_eq!([7, 123, 1234, 1_234_567].map(grouped), ["7", "123", "1,234", "1,234,567"]);
    }
}
