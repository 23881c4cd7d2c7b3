//! Measures the audit: what signing adds to a commit, how fast a file and a long chain are verified, proofs.
//!
//! ```text
//! cargo run --release -p rvf-engine --example audit_bench -- [STORE]
//! ```
//! Of STORE, verifying is measured. Commits of 1,000 vectors go to a file in the temporary folder, signed and unsigned in turn; times are medians. The chain
//! takes 100,000 commits: with TMPDIR in memory a minute, else as long as the medium takes for their syncs.

use rvf_engine::trust::History;
use rvf_engine::{CompactOptions, CreateOptions, Db, Metric, OpenOptions, Schema, SecretKey, verify_path};
use rvf_format::digest::shake256;
use rvf_format::merkle::{Edge, consistency, extends, includes, inclusion, leaf};
use rvf_format::storage::Bytes;
use rvf_format::verify::verify;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

type Fallible<T> = Result<T, Box<dyn std::error::Error>>;

const ENTRIES: u64 = 100_000;

fn main() -> Fallible<()> {
    commits()?;
    chain()?;
    if let Some(store) = std::env::args().nth(1) {
        whole(Path::new(&store))?;
    }
    Ok(())
}

fn commits() -> Fallible<()> {
    let folder = std::env::temp_dir().join(format!("audit-bench-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let key = Arc::new(SecretKey::generate()?);
    let schema = Schema::new(128, Metric::L2);
    let open = |signer| OpenOptions { signer, manual_index: true, manual_compaction: true, ..OpenOptions::default() };
    let create = |name: &str, signer| {
        let options = CreateOptions { model: None, file_id: None, open: open(signer) };
        Db::create_with(Arc::new(rvf_format::storage::FilePlace), folder.join(name), &schema, &options)
    };
    let (mut plain, mut signed) = (create("plain.rvf", None)?, create("signed.rvf", Some(key))?);
    let rows: Vec<f32> = (0..128_000).map(|at| (at % 251) as f32).collect();
    let (mut without, mut with) = (Vec::new(), Vec::new());
    for _ in 0..60 {
        for (db, times) in [(&mut plain, &mut without), (&mut signed, &mut with)] {
            let started = Instant::now();
            db.add(&rows)?;
            times.push(us(started));
        }
    }
    let mut tree = Vec::new();
    for _ in 0..1000 {
        let mut edge = Edge::of(&[[1; 32]; 63]);
        let started = Instant::now();
        edge.push(leaf(&[2; 32]));
        std::hint::black_box((edge.root(), edge.to_bytes()));
        tree.push(us(started));
    }
    let (without, with, tree) = (median(without), median(with), median(tree));
    println!(
        "commit of 1,000 x 128 f32: {without:.0} us unsigned, of which the tree {tree:.1} us ({:.2} %)",
        100.0 * tree / without
    );
    println!("                           {with:.0} us signed: {:.2} ms longer", (with - without) / 1e3);
    drop((plain, signed));
    std::fs::remove_dir_all(&folder)?;
    Ok(())
}

/// A file with so many entries, verified; and proofs over them.
fn chain() -> Fallible<()> {
    let folder = std::env::temp_dir().join(format!("audit-bench-chain-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let path = folder.join("chain.rvf");
    let schema = Schema::new(1, Metric::L2);
    let open = OpenOptions { manual_index: true, manual_compaction: true, ..OpenOptions::default() };
    let options = CreateOptions { model: None, file_id: None, open };
    let mut db = Db::create_with(Arc::new(rvf_format::storage::FilePlace), &path, &schema, &options)?;
    while db.snapshot().root().witness_size.get() < ENTRIES - 1 {
        db.add(&[1.0f32])?;
        db.delete(&[(db.snapshot().root().next_id.get() - 1).into()])?;
        if db.snapshot().epoch().is_multiple_of(1024) {
            db.compact(&CompactOptions { keep: 1, output: None })?;
        }
    }
    db.compact(&CompactOptions { keep: 1, output: None })?;
    let file = Bytes::from(std::fs::read(&path)?);
    drop(db);
    std::fs::remove_dir_all(&folder)?;
    let mut times = Vec::new();
    for _ in 0..9 {
        let started = Instant::now();
        let report = verify(&file, &mut |_, _| {})?;
        times.push(us(started));
        if !report.sound || report.trail.is_none() {
            return Err("the chain is not sound".into());
        }
    }
    let report = verify(&file, &mut |_, _| {})?;
    let history = History::of(&report).ok_or("no history")?;
    println!("chain of {} entries, {} bytes: verified in {:.0} ms", history.size(), file.len(), median(times) / 1e3);
    let leaves: Vec<_> = (0..ENTRIES).map(|at| leaf(&shake256(&at.to_le_bytes()))).collect();
    let (old, root) = (Edge::of(&leaves[..ENTRIES as usize / 3]), Edge::of(&leaves).root());
    let (mut made, mut checked, mut found) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..51 {
        let started = Instant::now();
        let proof = consistency(&leaves, old.size() as usize).ok_or("no proof")?;
        made.push(us(started));
        let started = Instant::now();
        let holds = extends((old.size(), &old.root()), (ENTRIES, &root), &proof);
        checked.push(us(started));
        let entry = inclusion(&leaves, 777).ok_or("no proof")?;
        let started = Instant::now();
        let holds = holds && includes(&leaves[777], 777, ENTRIES, &entry, &root);
        found.push(us(started));
        if !holds {
            return Err("a proof does not check".into());
        }
    }
    println!(
        "consistency proof: made of all leaves in {:.2} ms, checked in {:.1} us; inclusion proof checked in {:.1} us",
        median(made) / 1e3,
        median(checked),
        median(found)
    );
    Ok(())
}

fn whole(store: &Path) -> Fallible<()> {
    let bytes = std::fs::metadata(store)?.len();
    let mut times = Vec::new();
    for _ in 0..7 {
        let started = Instant::now();
        let report = verify_path(store, &mut |_, _| {})?;
        times.push(us(started));
        if !report.sound {
            return Err("the store is not sound".into());
        }
    }
    let time = median(times);
    println!(
        "verify {}: {bytes} bytes in {:.0} ms, {:.2} GB/s",
        store.display(),
        time / 1e3,
        bytes as f64 / time / 1e3
    );
    Ok(())
}

fn us(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e6
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}
