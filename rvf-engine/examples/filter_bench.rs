//! Measures filters of a store: how many records each finds, and in what time that is known.
//!
//! ```text
//! cargo run --release -p rvf-engine --example filter_bench -- STORE "source = 'mdn'" "words > 40" ...
//! ```
//! `first` is in a reader that was just opened, whose pages of metadata are not mapped yet; `again` in one that has answered before.
//! Medians of 31 rounds, in which the filters take turns.

use rvf_engine::Reader;
use rvf_engine::filter::Filter;
use std::time::Instant;

type Fallible<T> = Result<T, Box<dyn std::error::Error>>;

const ROUNDS: usize = 31;

fn main() -> Fallible<()> {
    let mut arguments = std::env::args().skip(1);
    let store = arguments.next().ok_or("usage: filter_bench STORE FILTER...")?;
    let filters = arguments.map(|text| Ok(Filter::parse(&text)?)).collect::<Fallible<Vec<Filter>>>()?;
    let mut seen: Vec<(u64, Vec<f64>, Vec<f64>)> = vec![Default::default(); filters.len()];
    for _ in 0..ROUNDS {
        for (filter, (count, first, again)) in filters.iter().zip(&mut seen) {
            let reader = Reader::open(&store)?;
            let snapshot = reader.snapshot();
            for times in [first, again] {
                let started = Instant::now();
                *count = snapshot.matches(filter)?.count();
                times.push(started.elapsed().as_secs_f64() * 1e6);
            }
        }
    }
    println!("{:>9} {:>9} {:>9}  filter", "matches", "first us", "again us");
    for (filter, (count, first, again)) in filters.iter().zip(seen) {
        println!("{count:>9} {:>9.1} {:>9.1}  {filter}", median(first), median(again));
    }
    Ok(())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}
