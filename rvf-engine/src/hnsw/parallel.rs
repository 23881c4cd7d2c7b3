//! Work on several threads whose result does not depend on how many there are.

use std::sync::atomic::{AtomicUsize, Ordering};

/// The most items that a worker takes at a time.
const PIECE: usize = 16;

/// `work` on each of `0..items`, the results in that order. Each worker thread keeps one of `states`, of which there is at
/// least one.
pub(crate) fn map<W: Send, R: Send, E: Send>(
    states: &mut [W],
    items: usize,
    work: impl Fn(&mut W, usize) -> Result<R, E> + Sync,
) -> Result<Vec<R>, E> {
    let next = AtomicUsize::new(0);
    // Several for each worker, so that all end at about the same time.
    let piece = (items / (4 * states.len()).max(1)).clamp(1, PIECE);
    let run = |state: &mut W| -> Result<Vec<(usize, R)>, E> {
        let mut done = Vec::new();
        loop {
            let first = next.fetch_add(piece, Ordering::Relaxed);
            if first >= items {
                return Ok(done);
            }
            for item in first..items.min(first + piece) {
                done.push((item, work(state, item)?));
            }
        }
    };
    let workers = states.len().min(items.div_ceil(piece)).max(1);
    let Some((own, others)) = states.get_mut(..workers).and_then(|states| states.split_first_mut()) else {
        return Ok(Vec::new());
    };
    let mut all = std::thread::scope(|scope| {
        let others: Vec<_> = others.iter_mut().map(|state| scope.spawn(|| run(state))).collect();
        let mut all = run(own)?;
        for other in others {
            match other.join() {
                Ok(done) => all.extend(done?),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        Ok(all)
    })?;
    all.sort_unstable_by_key(|(item, _)| *item);
    Ok(all.into_iter().map(|(_, result)| result).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_order_and_errors_come_back() {
        let square = |_: &mut (), item: usize| if item == 777 { Err(item) } else { Ok(item * item) };
        for threads in [1, 2, 5] {
            let squares = map(&mut vec![(); threads], 500, square).unwrap();
            assert_eq!(squares, (0..500).map(|item| item * item).collect::<Vec<_>>());
            assert_eq!(map(&mut vec![(); threads], 1000, square), Err(777));
        }
    }
}
