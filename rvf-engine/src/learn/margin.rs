//! The margin that what was chosen before loses, chosen by lists that were not trained on.

/// Margins that are tried, and how far they lie apart.
const MARGINS: usize = 17;
const MARGIN_STEP: f32 = 0.25;

/// Candidates of one query, whose order is judged.
pub(super) trait Judged {
    /// Of each candidate: 1 if it was chosen before, else 0.
    fn marks(&self) -> Vec<f32>;
    /// nDCG@10 in the order of similarity.
    fn before(&self) -> f64;
    /// nDCG@10 in the order of these scores.
    fn by(&self, scores: &[f32]) -> f64;
    /// Whether nothing that is right was ever chosen before.
    fn is_new(&self) -> bool;
}

/// The margin with the most gain among those with which new queries lose at most `most_loss` nDCG@10; `scores` are without a margin, one a
/// candidate of each list. `None` where no margin keeps that.
pub(super) fn best_margin<L: Judged>(lists: &[L], scores: &[Vec<f32>], most_loss: f64) -> Option<f32> {
    let new = lists.iter().filter(|list| list.is_new()).count().max(1) as f64;
    let gains = |margin: f32| {
        let (mut all, mut of_new) = (0.0, 0.0);
        for (list, scores) in lists.iter().zip(scores) {
            let moved: Vec<f32> = scores.iter().zip(list.marks()).map(|(score, mark)| score - margin * mark).collect();
            let gain = list.by(&moved) - list.before();
            all += gain;
            of_new += if list.is_new() { gain } else { 0.0 };
        }
        (all, of_new / new)
    };
    let tried = (0..MARGINS).map(|step| step as f32 * MARGIN_STEP).map(|margin| (margin, gains(margin)));
    let kept = tried.filter(|(_, (_, of_new))| *of_new >= -most_loss);
    kept.max_by(|(_, (a, _)), (_, (b, _))| a.total_cmp(b)).map(|(margin, _)| margin)
}
