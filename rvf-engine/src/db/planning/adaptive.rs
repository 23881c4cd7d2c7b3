//! [`AdaptivePlanner`]: what each kind of question is served, and how that is looked up.

use super::arms::STATIC;
use super::attend::{Attend, Attending, Told};
use super::audit::{Waiting, even, work_of};
use super::template::Template;
use crate::learn::{Burst, BurstAllowance, CostModel, Cycles, Measured, repeats};
use crate::random::Random;
use crate::search::{Effort, Plan, Planner, Question, Trace};
use crate::store::Snapshot;
use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// How planning learns.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PlannerOptions {
    /// Share of the time of queries that audits may take: 0.05.
    pub audit_share: f64,
    /// Bytes that it may keep in memory, up to 100 MB: 16 MB.
    pub memory: usize,
    /// Who says how hard a look each of several graphs is worth.
    pub attending: Attending,
    /// Whether it learns from searches: without, what was learned is served as it is.
    pub learns: bool,
}

impl Default for PlannerOptions {
    fn default() -> Self {
        Self { audit_share: 0.05, memory: 16 << 20, attending: Attending::default(), learns: true }
    }
}

/// The most that may be kept in memory, bytes.
const MOST_MEMORY: usize = 100 << 20;
/// What a template takes at most, with its plan, bytes.
const TEMPLATE_BYTES: usize = 16 << 10;
/// Questions that wait to be audited.
const MOST_WAITING: usize = 64;
/// Mean number of questions between two that may be audited.
const BETWEEN: usize = 16;
/// Questions whose kinds are looked back on.
const NAMES: usize = 64;

/// Serves each kind of question the cheapest settings that audits have proven to find what was promised; what is not proven is served as without it.
/// Shared between threads by reference. It plans searches of one snapshot, by [`Effort::Recall`]; others go on as without it.
///
/// ```
/// # use rvf_engine::*;
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("a.rvf");
/// let mut db = Db::create(&path, &Schema::new(2, Metric::L2))?;
/// db.add(&(0..12_000).map(|i| (i * 7919 % 12_007) as f32).collect::<Vec<_>>())?;
/// let planner = AdaptivePlanner::new(db.snapshot(), PlannerOptions::default())?;
/// for number in 0..40 {
///     planner.study(&[(number * 97) as f32, 50.0], 10, Effort::Recall(0.9), None)?;
/// }
/// let snapshot = db.snapshot();
/// let hits = snapshot.search(&[100.0f32, 100.0]).effort(Effort::Recall(0.9)).planner(&planner).run()?;
/// assert!(hits.len() == 10 && planner.report().templates[0].arms.len() > 1);
/// db.adopt_planner(&planner)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct AdaptivePlanner {
    snapshot: Arc<Snapshot>,
    pub(super) options: PlannerOptions,
    inner: Mutex<Inner>,
    distances: AtomicU64,
    started: Instant,
}

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) templates: BTreeMap<u64, Template>,
    /// What was learned of templates that were not asked yet.
    pub(super) kept: BTreeMap<u64, Vec<f32>>,
    pub(super) waiting: VecDeque<Waiting>,
    pub(super) attend: Attend,
    pub(super) burst: Burst,
    pub(super) model: Measured<Cycles>,
    pub(super) nanos_a_distance: f64,
    pub(super) audit_nanos: u64,
    audit_mean: f64,
    pub(super) asked: u64,
    until_next: usize,
    pub(super) random: u64,
    pub(super) names: VecDeque<u64>,
    pub(super) writes: u64,
    most_templates: usize,
    explores: bool,
    told: Told,
}

impl Planner for AdaptivePlanner {
    fn plan(&self, question: &Question<'_>) -> Option<Arc<Plan>> {
        let (key, target) = key_of(question)?;
        let mut inner = self.lock();
        inner.asked += 1;
        let mut is_audited = false;
        if self.options.learns {
            inner.until_next = inner.until_next.saturating_sub(1);
            is_audited = inner.until_next == 0 && self.sample(&mut inner, key, question);
        }
        let template = match inner.templates.get_mut(&key) {
            Some(template) => template,
            None => inner.template(key, target, question)?,
        };
        template.asked += 1;
        template.left += u64::from(template.plan.is_some());
        match &template.plan {
            // Where it ends must not be known to its own audit.
            Some(plan) if is_audited => Some(Arc::new(plan.forgotten())),
            plan => plan.clone(),
        }
    }

    fn observe(&self, _: &Question<'_>, trace: &Trace) {
        self.distances.fetch_add(trace.distances, Ordering::Relaxed);
    }
}

/// What kind of question it is, and the recall it asks for; `None` for one that is not planned.
pub(super) fn key_of(question: &Question<'_>) -> Option<(u64, f64)> {
    let Effort::Recall(target) = question.effort else { return None };
    if !(target > 0.0 && target < 1.0) {
        return None;
    }
    let mix = |a: u64, b: u64| (a ^ b).wrapping_mul(0xBF58_476D_1CE4_E5B9).rotate_left(31);
    let filter = question.matches.map_or(0, crate::Matches::print);
    Some((mix(mix(mix(1, question.k as u64), (target * 1e6) as u64), filter), target))
}

impl AdaptivePlanner {
    /// Plans searches of `snapshot`, with what was learned of it, if that was committed and its graphs are still the same.
    ///
    /// # Errors
    /// Corruption of what was learned.
    pub fn new(snapshot: Arc<Snapshot>, options: PlannerOptions) -> crate::Result<Self> {
        let allowance = BurstAllowance { share: options.audit_share, ..BurstAllowance::default() };
        let inner = Inner {
            templates: BTreeMap::new(),
            kept: BTreeMap::new(),
            waiting: VecDeque::new(),
            attend: Attend::new(options.attending),
            burst: Burst::new(allowance),
            model: Measured::new(Cycles::default()),
            nanos_a_distance: 25.0,
            audit_nanos: 0,
            audit_mean: 2e5,
            asked: 0,
            until_next: 1,
            random: 1,
            names: VecDeque::new(),
            writes: 0,
            explores: options.learns,
            most_templates: options.memory.min(MOST_MEMORY) / 2 / TEMPLATE_BYTES,
            // Asked once: it reads files.
            told: Told {
                cpus: std::thread::available_parallelism().map_or(1, |cpus| cpus.get() as u32),
                ..Told::default()
            },
        };
        let (distances, started) = (AtomicU64::new(0), Instant::now());
        let planner = Self { snapshot, options, inner: Mutex::new(inner), distances, started };
        planner.restore()?;
        Ok(planner)
    }

    /// What is searched.
    pub fn snapshot(&self) -> &Arc<Snapshot> {
        &self.snapshot
    }

    /// Notes that so many records were written since the last such note: what is mostly written is planned for otherwise.
    pub fn wrote(&self, records: u64) {
        self.lock().writes += records;
    }

    /// Nanoseconds that searches took, as far as is known, and that audits did.
    pub(super) fn nanos(&self, inner: &Inner) -> (u64, u64) {
        let searches = self.distances.load(Ordering::Relaxed) as f64 * inner.nanos_a_distance;
        (searches as u64, inner.audit_nanos)
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Inner> {
        // Whoever panicked with it left nothing half done.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets a question wait for an audit, if there is time for one: whether there is.
    fn sample(&self, inner: &mut Inner, key: u64, question: &Question<'_>) -> bool {
        let mut random = Random(inner.random);
        // Any number from 1 on: a stream that repeats itself does not fall into step with it.
        inner.until_next = if inner.burst.left() > 0 { 1 } else { 1 + random.below(2 * BETWEEN - 1) };
        inner.random = random.0;
        if inner.names.len() == NAMES {
            inner.names.pop_front();
        }
        inner.names.push_back(key);
        let (queries, audits) = self.nanos(inner);
        inner.told = inner.tell(self.started.elapsed().as_nanos() as f64);
        let planned: u64 = inner.waiting.len() as u64 * inner.audit_mean as u64;
        let expected = inner.audit_mean as u64;
        let bytes: usize = inner.waiting.iter().map(Waiting::bytes).sum();
        let has_room = inner.waiting.len() < MOST_WAITING && bytes < self.options.memory / 2;
        let waits = has_room && inner.burst.may_audit(queries, audits + planned, expected);
        if waits {
            let (matches, k, effort) = (question.matches.cloned(), question.k, question.effort);
            inner.waiting.push_back(Waiting { query: question.query.owned(), matches, k, effort });
        }
        waits
    }
}

impl Inner {
    /// What is known of a kind of questions; `None` where there is no room for more kinds.
    pub(super) fn template(&mut self, key: u64, target: f64, question: &Question<'_>) -> Option<&mut Template> {
        if !self.templates.contains_key(&key) {
            if self.templates.len() >= self.most_templates.max(1) {
                let least = self.templates.iter().min_by_key(|(_, template)| template.asked).map(|(key, _)| *key);
                least.map(|least| self.templates.remove(&least));
            }
            let mut template = Template::new(question, target, self.explores);
            let was_known = self.kept.remove(&key).is_some_and(|state| template.restore(&state));
            self.templates.insert(key, template);
            if was_known {
                self.decide(key, question);
            }
        }
        self.templates.get_mut(&key)
    }

    /// How hard a look each graph is worth, for questions of a kind.
    pub(super) fn factors(&mut self, key: u64, question: &Question<'_>) -> Vec<(u32, f32)> {
        let even = even(question);
        let Some(template) = self.templates.get(&key) else { return even };
        let Some(plan) = template.plan_of(template.served.arm.max(1), question, &even) else { return even };
        self.attend.factors(&plan, &template.shares, &self.told)
    }

    /// Decides anew what is served to questions of a kind.
    pub(super) fn decide(&mut self, key: u64, question: &Question<'_>) {
        let factors = self.factors(key, question);
        if let Some(template) = self.templates.get_mut(&key) {
            let model = &self.model;
            template.price(|kind, cost| model.cost(kind, &work_of(cost)));
            template.decide(question, &factors, self.explores);
            if template.served.arm == STATIC {
                template.plan = None;
            }
        }
    }

    pub(super) fn spent_on_audit(&mut self, nanos: u64) {
        self.audit_nanos += nanos;
        self.audit_mean += 0.1 * (nanos as f64 - self.audit_mean);
    }

    fn tell(&self, elapsed: f64) -> Told {
        let names: Vec<u64> = self.names.iter().copied().collect();
        Told {
            questions_a_nano: self.asked as f64 / elapsed.max(1.0),
            cpus: self.told.cpus,
            write_share: self.writes as f32 / (self.writes + self.asked).max(1) as f32,
            // One kind of question only repeats nothing: it is what all are.
            repeats: if self.templates.len() > 1 { repeats(&names, 16) } else { 0.0 },
        }
    }
}
