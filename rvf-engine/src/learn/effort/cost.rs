//! [`Work`] and what it costs: the models that are told what the machine is like. What was measured corrects them in `measured.rs`.

/// Most of one part of work that counts; what is more, or infinite, counts as this.
const MOST: f64 = 1e15;

/// What an operator of a plan does, or is going to do. Numbers below 0, and what is no number, count as 0.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Work {
    /// Distances that are computed.
    pub distances: f64,
    /// Bytes that these distances read.
    pub bytes: f64,
    /// Steps from a node of a graph to the next one: reads at places that no prefetcher foresees.
    pub hops: f64,
    /// Pages that are touched for the first time.
    pub pages: f64,
    /// Words of bitmaps.
    pub words: f64,
    /// Insertions into heaps.
    pub inserts: f64,
}

impl Work {
    /// How many kinds of work there are.
    pub(super) const KINDS: usize = 6;

    /// All parts, in the order of the fields, each from 0 to [`MOST`].
    fn parts(&self) -> [f64; Self::KINDS] {
        [self.distances, self.bytes, self.hops, self.pages, self.words, self.inserts].map(sound)
    }

    /// This work, split into one a kind of work: each with one part of it and nothing else.
    pub(super) fn split(&self) -> [Self; Self::KINDS] {
        let none = Self::default();
        [
            Self { distances: self.distances, ..none },
            Self { bytes: self.bytes, ..none },
            Self { hops: self.hops, ..none },
            Self { pages: self.pages, ..none },
            Self { words: self.words, ..none },
            Self { inserts: self.inserts, ..none },
        ]
    }
}

/// A number from 0 to [`MOST`]; what is no number is 0.
fn sound(x: f64) -> f64 {
    if x > 0.0 { x.min(MOST) } else { 0.0 }
}

/// Foretells what work costs. More work never costs less, and no cost is negative or infinite.
pub trait CostModel {
    /// Nanoseconds that an operator of this kind takes for this work.
    fn cost(&self, operator: usize, work: &Work) -> f64;

    /// Nanoseconds that a plan takes whatever it does.
    fn overhead(&self) -> f64;

    /// Rows that are left of `rows` after a filter: at least one where it lets anything pass, and all where its share is unknown (NaN).
    fn cardinality(&self, rows: u64, selectivity: f64) -> u64 {
        if selectivity.is_nan() {
            return rows;
        }
        // A cast of floats keeps to the range of the integer.
        ((rows as f64 * selectivity.clamp(0.0, 1.0)).ceil() as u64).min(rows)
    }
}

/// A machine whose memory holds all: its costs are cycles. The defaults are those of a server core with vectors in its caches or near them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cycles {
    /// Cycles in a nanosecond.
    pub ghz: f64,
    /// Bytes that a kernel of distances reads in a cycle.
    pub bytes_per_cycle: f64,
    /// Cycles of a distance apart from its bytes: the call, the reduction of its lanes.
    pub distance: f64,
    /// Cycles until the next node of a graph has come from memory.
    pub hop: f64,
    /// Cycles of the first touch of a page that is in memory: walk of the page table, or a minor fault.
    pub page: f64,
    /// Cycles of a word of a bitmap.
    pub word: f64,
    /// Cycles of an insertion into a heap.
    pub insert: f64,
    /// Cycles to start an operator.
    pub start: f64,
    /// Cycles to make a plan.
    pub plan: f64,
}

impl Default for Cycles {
    fn default() -> Self {
        Self {
            ghz: 3.0,
            bytes_per_cycle: 16.0,
            distance: 20.0,
            hop: 250.0,
            page: 700.0,
            word: 1.0,
            insert: 40.0,
            start: 300.0,
            plan: 3000.0,
        }
    }
}

impl Cycles {
    /// Cycles as nanoseconds; a price that makes no sense is none.
    fn nanoseconds(&self, cycles: f64) -> f64 {
        sound(cycles) / self.ghz.max(1e-3)
    }
}

impl CostModel for Cycles {
    fn cost(&self, _: usize, work: &Work) -> f64 {
        let a_byte = 1.0 / self.bytes_per_cycle.max(1e-3);
        let prices = [self.distance, a_byte, self.hop, self.page, self.word, self.insert];
        let parts = work.parts().into_iter().zip(prices).map(|(part, price)| self.nanoseconds(price) * part);
        self.nanoseconds(self.start) + parts.sum::<f64>()
    }

    fn overhead(&self) -> f64 {
        self.nanoseconds(self.plan)
    }
}

/// A small device: what its memory cannot hold is read from flash, a latency a page.
///
/// Of the pages that a query touches, those miss that the memory has no room for: the share of the working set beyond it, and never fewer than
/// the query itself has beyond it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MemoryBound {
    /// Memory for pages of the store, in KiB.
    pub ram_kb: f64,
    /// What queries come back to, in KiB: vectors, graph, bitmaps.
    pub working_set_kb: f64,
    /// Nanoseconds until a page has come from flash.
    pub flash_latency_ns: f64,
    /// KiB of a page.
    pub page_kb: f64,
    /// What is not waiting for flash.
    pub cpu: Cycles,
}

impl Default for MemoryBound {
    fn default() -> Self {
        let cpu = Cycles { ghz: 1.0, bytes_per_cycle: 4.0, hop: 100.0, ..Cycles::default() };
        Self { ram_kb: 65536.0, working_set_kb: 0.0, flash_latency_ns: 100_000.0, page_kb: 4.0, cpu }
    }
}

impl MemoryBound {
    /// Of `pages` that are touched, those that are not in memory.
    fn misses(&self, pages: f64) -> f64 {
        let (ram, working_set) = (self.ram_kb.max(0.0), self.working_set_kb.max(0.0));
        let share = if working_set > ram { 1.0 - ram / working_set } else { 0.0 };
        (pages * share.clamp(0.0, 1.0)).max(pages - ram / self.page_kb.max(0.5))
    }
}

impl CostModel for MemoryBound {
    fn cost(&self, operator: usize, work: &Work) -> f64 {
        let [_, _, _, pages, ..] = work.parts();
        self.cpu.cost(operator, work) + self.misses(pages) * sound(self.flash_latency_ns)
    }

    fn overhead(&self) -> f64 {
        self.cpu.overhead()
    }
}

#[cfg(test)]
mod tests {
    use super::super::measured::Measured;
    use super::*;
    use proptest::prelude::*;

    fn any_part() -> impl Strategy<Value = f64> {
        prop_oneof![Just(0.0), 0.0..1e3, 0.0..1e9, Just(f64::NAN), Just(f64::INFINITY), Just(-1.0), Just(f64::MAX)]
    }

    fn any_work() -> impl Strategy<Value = Work> {
        proptest::array::uniform6(any_part()).prop_map(work)
    }

    fn work([distances, bytes, hops, pages, words, inserts]: [f64; 6]) -> Work {
        Work { distances, bytes, hops, pages, words, inserts }
    }

    /// `less` with more of one part.
    fn more(less: &Work, part: usize, by: f64) -> Work {
        let mut parts = less.parts();
        parts[part] += by;
        work(parts)
    }

    fn small_device() -> MemoryBound {
        MemoryBound { ram_kb: 400.0, working_set_kb: 1000.0, ..MemoryBound::default() }
    }

    proptest! {
        /// Catches a model that pays for work, and one that overflows. What is measured is noise here: it may not break it either.
        #[test]
        fn more_work_never_costs_less(
            less in any_work(),
            part in 0usize..6,
            by in 0.0..1e9,
            seen in proptest::collection::vec((any_work(), 0.0..1e9f64), 0..40),
        ) {
            let more = more(&less, part, by);
            let mut measured = Measured::new(Cycles::default());
            let mut on_flash = Measured::new(small_device());
            for (work, ns) in &seen {
                measured.observe(1, work, *ns);
                on_flash.observe(1, work, *ns);
            }
            let models: [&dyn CostModel; 4] = [&Cycles::default(), &small_device(), &measured, &on_flash];
            for model in models {
                let (a, b) = (model.cost(1, &less), model.cost(1, &more));
                // Sums are rounded.
                prop_assert!(a.is_finite() && a >= 0.0 && b >= a * (1.0 - 1e-12), "{a} {b}");
            }
        }
    }

    #[test]
    fn cycles_are_counted() {
        let model = Cycles::default();
        let of = |parts| model.cost(0, &work(parts)) - model.cost(0, &Work::default());
        assert_eq!(model.cost(0, &Work::default()), 100.0);
        let found = [[3.0, 0.0, 0.0, 0.0, 0.0, 0.0], [0.0, 96.0, 0.0, 0.0, 0.0, 0.0], [0.0, 0.0, 6.0, 0.0, 0.0, 0.0]];
        for (parts, right) in found.into_iter().zip([20.0, 2.0, 500.0]) {
            assert!((of(parts) - right).abs() < 1e-9, "{parts:?}");
        }
        let rest = of([0.0, 0.0, 0.0, 3.0, 30.0, 3.0]);
        assert!((rest - (700.0 + 10.0 + 40.0)).abs() < 1e-9, "{rest}");
        assert_eq!(model.overhead(), 1000.0);
        // Prices without sense are none.
        let broken = Cycles { ghz: f64::NAN, bytes_per_cycle: 0.0, hop: -5.0, start: f64::INFINITY, ..model };
        assert!(broken.cost(0, &work([1.0; 6])).is_finite());
    }

    #[test]
    fn what_memory_cannot_hold_waits_for_flash() {
        let misses = |ram_kb, working_set_kb, pages| {
            let with = MemoryBound { ram_kb, working_set_kb, ..MemoryBound::default() };
            let waited = with.cost(0, &work([0.0, 0.0, 0.0, pages, 0.0, 0.0]))
                - with.cpu.cost(0, &work([0.0, 0.0, 0.0, pages, 0.0, 0.0]));
            (waited / with.flash_latency_ns * 1e6).round() / 1e6
        };
        assert_eq!(misses(1000.0, 900.0, 50.0), 0.0);
        assert_eq!(misses(1000.0, 2000.0, 50.0), 25.0);
        // The query alone has 100 pages of which the memory holds 10.
        assert_eq!(misses(40.0, 20.0, 100.0), 90.0);
        assert_eq!((misses(0.0, 10.0, 8.0), misses(f64::NAN, f64::NAN, 8.0)), (8.0, 8.0));
    }

    #[test]
    fn filters_leave_whole_rows() {
        let left = |selectivity| Cycles::default().cardinality(1000, selectivity);
        assert_eq!((left(0.5), left(0.0), left(1e-9), left(1.0), left(7.0)), (500, 0, 1, 1000, 1000));
        assert_eq!((left(-1.0), left(f64::NAN)), (0, 1000));
        assert_eq!(Cycles::default().cardinality(u64::MAX, 1.0), u64::MAX);
    }
}
