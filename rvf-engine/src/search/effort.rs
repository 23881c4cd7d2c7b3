//! [`Effort`]: how hard a search looks, and the number of candidates that follows from it.

use rvf_format::payload::index::EffortPoint;

/// How hard a search looks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Effort {
    /// Walks keep this many candidates (ef of the HNSW paper), and at least k.
    Ef(usize),
    /// Walks keep as many candidates as reached this mean recall@10 when the index was written: 0 to 1.
    Recall(f64),
    /// Every live record is compared.
    Exact,
}

impl Default for Effort {
    fn default() -> Self {
        Effort::Recall(0.98)
    }
}

/// Candidates where an index has no curve.
const EF_WITHOUT_CURVE: usize = 128;
/// The most candidates that a recall can ask for: beyond, an exact scan is meant.
const MOST_EF: f64 = 65_536.0;

/// The smallest ef that reaches `recall` on the curve of an index; between two points on the line through them over
/// (log ef, log of what is missed), beyond the last one along the same line.
pub(super) fn ef_for(recall: f64, curve: &[EffortPoint]) -> usize {
    let points: Vec<(f64, f64)> =
        curve.iter().map(|point| (f64::from(point.ef.get().max(1)), f64::from(point.recall_ppm.get()) / 1e6)).collect();
    let Some(first) = points.first() else { return EF_WITHOUT_CURVE };
    if first.1 >= recall {
        return first.0 as usize;
    }
    let reached = points.iter().position(|point| point.1 >= recall);
    let (below, above) = match reached {
        Some(at) => (points[at - 1], points[at]),
        None if points.len() > 1 => (points[points.len() - 2], points[points.len() - 1]),
        None => return EF_WITHOUT_CURVE.max(first.0 as usize),
    };
    // A curve that reaches 1 missed less than it could measure.
    let missed = |recall: f64| (1.0 - recall).max(5e-5).ln();
    let slope = (missed(above.1) - missed(below.1)) / (above.0.ln() - below.0.ln());
    if slope >= -1e-3 {
        return if reached.is_some() { above.0 as usize } else { MOST_EF as usize };
    }
    let ef = (below.0.ln() + (missed(recall) - missed(below.1)) / slope).exp();
    ef.clamp(1.0, MOST_EF).ceil() as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use zerocopy::byteorder::little_endian::U32;

    fn curve(points: &[(u32, f64)]) -> Vec<EffortPoint> {
        let point =
            |(ef, recall): &(u32, f64)| EffortPoint { ef: U32::new(*ef), recall_ppm: U32::new((recall * 1e6) as u32) };
        points.iter().map(point).collect()
    }

    #[test]
    fn more_recall_asks_for_more_candidates() {
        let curve = curve(&[(10, 0.85), (32, 0.96), (128, 0.998), (256, 1.0)]);
        let efs: Vec<usize> = [0.5, 0.85, 0.9, 0.96, 0.99, 0.998, 0.9999].iter().map(|r| ef_for(*r, &curve)).collect();
        assert!(efs.is_sorted() && efs[0] == 10 && efs[3] == 32 && efs[5] == 128, "{efs:?}");
        assert!((14..=20).contains(&efs[2]), "{efs:?}");
    }

    #[test]
    fn odd_curves_give_an_answer() {
        assert_eq!(ef_for(0.9, &[]), EF_WITHOUT_CURVE);
        assert_eq!(ef_for(0.99, &curve(&[(10, 0.5)])), EF_WITHOUT_CURVE);
        assert_eq!(ef_for(0.99, &curve(&[(10, 0.5), (20, 0.5)])), MOST_EF as usize);
        assert_eq!(
            ef_for(0.9, &curve(&[(10, 0.5), (20, 0.5), (30, 0.95)])),
            30.min(ef_for(0.9, &curve(&[(20, 0.5), (30, 0.95)])))
        );
    }
}
