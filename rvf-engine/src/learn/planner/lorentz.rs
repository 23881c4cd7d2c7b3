//! [`Point`]: points, distances and means on the hyperboloid <p, p> = -1/K, with <p, q> = -p0 q0 + p1 q1 + ..
//!
//! An operator of depth n lies at distance ln(1 + n) / sqrt K from the origin, in the direction of its features times learned weights
//! (Nickel and Kiela 2018; distances as attention: Gulcehre et al. 2019). The hyperbolic sine and cosine of that distance are those of a
//! logarithm, so they are fractions of 1 + n: no exponential is needed, and nothing can overflow. It knows no operator.

use super::super::math::ln;
use super::dag::FEATURES;

/// Points nearer than that count as one: the distance has no slope there.
const NEAR: f64 = 1e-24;

/// A point by its distance from the origin and its direction.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// e to the power of the distance times sqrt K.
    growth: f64,
    /// Of length 1.
    direction: [f64; FEATURES],
    /// Length of what the direction was made of.
    length: f64,
}

/// A curvature that can be divided by.
fn sound(curvature: f64) -> f64 {
    if curvature.is_finite() { curvature.max(1e-6) } else { 1.0 }
}

fn squares(vector: &[f64]) -> f64 {
    vector.iter().map(|x| x * x).sum()
}

impl Point {
    /// The point of an operator of this depth, in the direction of `towards`; in that of the first axis where that has none.
    pub fn new(depth: usize, towards: &[f32; FEATURES]) -> Self {
        Self::at(1.0 + depth as f64, towards.map(f64::from))
    }

    fn at(growth: f64, towards: [f64; FEATURES]) -> Self {
        let length = squares(&towards).sqrt();
        if length > 0.0 && length.is_finite() {
            return Self { growth, direction: towards.map(|x| x / length), length };
        }
        let mut direction = [0.0; FEATURES];
        direction[0] = 1.0;
        Self { growth, direction, length: 0.0 }
    }

    /// cosh and sinh of the distance from the origin times sqrt K.
    fn cosh_sinh(&self) -> (f64, f64) {
        ((self.growth + 1.0 / self.growth) / 2.0, (self.growth - 1.0 / self.growth) / 2.0)
    }

    /// The coordinates: time, then space.
    pub fn coordinates(&self, curvature: f64) -> (f64, [f64; FEATURES]) {
        let root = sound(curvature).sqrt();
        let (cosh, sinh) = self.cosh_sinh();
        (cosh / root, self.direction.map(|x| sinh * x / root))
    }

    /// How far another point is, along the hyperboloid.
    pub fn distance(&self, other: &Self, curvature: f64) -> f64 {
        let excess = self.excess(other);
        // arcosh(1 + excess)
        ln(1.0 + excess + (excess * (excess + 2.0)).sqrt()) / sound(curvature).sqrt()
    }

    /// -K <p, q> - 1, as a sum of what is 0 or more: the difference of two large numbers would lose all digits of small distances.
    fn excess(&self, other: &Self) -> f64 {
        let apart = self.growth - other.growth;
        let (sinh, other_sinh) = (self.cosh_sinh().1, other.cosh_sinh().1);
        let turned: f64 = self.direction.iter().zip(&other.direction).map(|(a, b)| (a - b) * (a - b)).sum();
        apart * apart / (2.0 * self.growth * other.growth) + sinh * other_sinh * turned / 2.0
    }

    /// The slopes of the distance by what the two directions were made of.
    pub(super) fn slopes(&self, other: &Self, curvature: f64) -> [[f64; FEATURES]; 2] {
        let excess = self.excess(other);
        if excess < NEAR {
            return [[0.0; FEATURES]; 2];
        }
        let (sinh, other_sinh) = (self.cosh_sinh().1, other.cosh_sinh().1);
        let scale = sinh * other_sinh / ((excess * (excess + 2.0)).sqrt() * sound(curvature).sqrt());
        // Of half the squared difference of two unit vectors only the part across is left: minus the other one.
        [self.across(&other.direction, -scale), other.across(&self.direction, -scale)]
    }

    /// `scale * vector` without its part along the direction, over the length: a slope taken back through the division by it.
    fn across(&self, vector: &[f64; FEATURES], scale: f64) -> [f64; FEATURES] {
        if self.length == 0.0 {
            return [0.0; FEATURES];
        }
        let along: f64 = self.direction.iter().zip(vector).map(|(a, b)| a * b).sum();
        std::array::from_fn(|at| scale * (vector[at] - along * self.direction[at]) / self.length)
    }
}

/// The weighted mean of points (Law et al. 2019): their weighted sum, brought back to the hyperboloid. It does not depend on the curvature.
/// `None` where the weights are not 0 or more with a sum above 0.
pub fn centroid<'p>(points: impl IntoIterator<Item = (f32, &'p Point)>) -> Option<Point> {
    let (mut time, mut space, mut sum) = (0.0, [0.0; FEATURES], 0.0);
    for (weight, point) in points {
        let weight = f64::from(weight);
        if !(weight >= 0.0 && weight.is_finite()) {
            return None;
        }
        let (of_time, of_space) = point.coordinates(1.0);
        time += weight * of_time;
        space.iter_mut().zip(of_space).for_each(|(sum, x)| *sum += weight * x);
        sum += weight;
    }
    let far = squares(&space).sqrt();
    let norm = (time * time - far * far).sqrt();
    // cosh + sinh of the mean's distance.
    (sum > 0.0 && norm > 0.0).then(|| Point::at(((time + far) / norm).max(1.0), space))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    fn point(random: &mut Random) -> Point {
        let depth = [0, 1, 5, 20, 127][random.below(5)];
        let towards = std::array::from_fn(|_| random.below(2000) as f32 / 1000.0 - 1.0);
        Point::new(depth, &towards)
    }

    fn product((a, b): (f64, [f64; FEATURES]), (c, d): (f64, [f64; FEATURES])) -> f64 {
        b.iter().zip(&d).map(|(b, d)| b * d).sum::<f64>() - a * c
    }

    /// Catches directions of another length, and a mean that leaves the hyperboloid.
    #[test]
    fn points_stay_on_the_hyperboloid() {
        let mut random = Random(3);
        for round in 0..300 {
            let curvature = [0.25, 1.0, 4.0][round % 3];
            let mut points: Vec<Point> = (0..4).map(|_| point(&mut random)).collect();
            points.push(Point::new(3, &[0.0; FEATURES]));
            points.extend(centroid(points.iter().map(|point| (random.below(9) as f32 + 1.0, point))));
            assert_eq!(points.len(), 6);
            for point in &points {
                let own = product(point.coordinates(curvature), point.coordinates(curvature));
                assert!((own * curvature + 1.0).abs() < 1e-5, "{round}: {own}");
            }
        }
    }

    /// Catches a distance that is not the formula's, a root of the curvature that is missing, and what breaks the triangle.
    #[test]
    fn distances_are_those_of_the_formula() {
        let mut random = Random(4);
        for round in 0..500 {
            let curvature = [0.25, 1.0, 4.0][round % 3];
            let [a, b, c] = [(); 3].map(|()| point(&mut random));
            let by_formula =
                (-curvature * product(a.coordinates(curvature), b.coordinates(curvature))).max(1.0).acosh();
            let found = a.distance(&b, curvature);
            assert!((found - by_formula / curvature.sqrt()).abs() < 1e-6, "{round}: {found} {by_formula}");
            assert_eq!((found, a.distance(&a, curvature)), (b.distance(&a, curvature), 0.0));
            assert!(found <= a.distance(&c, curvature) + c.distance(&b, curvature) + 1e-9);
        }
        // A distance whose cosine hyperbolic differs from 1 by less than a number's last digit.
        let mut towards = [0.0; FEATURES];
        (towards[0], towards[1]) = (1.0, 1e-9);
        let (one, two) = (Point::new(1, &[1.0; FEATURES]), Point::new(1, &towards));
        assert!(one.distance(&two, 1.0) > 0.1);
        towards[1] = 0.0;
        let found = Point::new(1, &towards).distance(&two, 1.0);
        assert!((found - 0.75e-9).abs() < 1e-12, "{found}");
    }

    #[test]
    fn the_mean_lies_between() {
        let mut random = Random(5);
        for _ in 0..100 {
            let (a, b) = (point(&mut random), point(&mut random));
            let same = centroid([(0.5, &a), (1.5, &a)]).unwrap();
            assert!(same.distance(&a, 1.0) < 1e-5);
            let middle = centroid([(1.0, &a), (1.0, &b)]).unwrap();
            let (left, right) = (middle.distance(&a, 1.0), middle.distance(&b, 1.0));
            assert!((left - right).abs() < 1e-6 && (left + right - a.distance(&b, 1.0)).abs() < 1e-5);
            let near = centroid([(9.0, &a), (1.0, &b)]).unwrap();
            assert!(near.distance(&a, 1.0) <= left + 1e-9);
        }
        let one = point(&mut random);
        assert!(centroid([]).is_none() && centroid([(0.0, &one)]).is_none() && centroid([(-1.0, &one)]).is_none());
        assert!(centroid([(f32::NAN, &one)]).is_none());
    }
}
