//! [`Adam`]: steps down a gradient.

/// Adam (Kingma and Ba 2015, algorithm 1), with their decay rates 0.9 and 0.999.
pub(super) struct Adam {
    first: Vec<f32>,
    second: Vec<f32>,
    first_left: f32,
    second_left: f32,
}

impl Adam {
    /// For so many weights.
    pub(super) fn new(count: usize) -> Self {
        Self { first: vec![0.0; count], second: vec![0.0; count], first_left: 1.0, second_left: 1.0 }
    }

    /// One step of the length `step`.
    pub(super) fn step(&mut self, weights: &mut [f32], gradient: &[f32], step: f32) {
        self.first_left *= 0.9;
        self.second_left *= 0.999;
        let (first_part, second_part) = (1.0 - self.first_left, 1.0 - self.second_left);
        let moments = self.first.iter_mut().zip(&mut self.second);
        for ((value, slope), (first, second)) in weights.iter_mut().zip(gradient).zip(moments) {
            *first = 0.9 * *first + 0.1 * slope;
            *second = 0.999 * *second + 0.001 * slope * slope;
            *value -= step * (*first / first_part) / ((*second / second_part).sqrt() + 1e-8);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Catches missing corrections of the start, where the first step has the full length whatever the slope.
    #[test]
    fn the_first_step_has_its_length_and_many_reach_the_bottom() {
        let mut weights = [3.0f32, -2.0];
        let mut adam = Adam::new(2);
        adam.step(&mut weights, &[600.0, -0.004], 0.1);
        assert!((weights[0] - 2.9).abs() < 1e-4 && (weights[1] + 1.9).abs() < 1e-4, "{weights:?}");
        let mut adam = Adam::new(2);
        for _ in 0..2000 {
            let gradient = [2.0 * weights[0], 2.0 * weights[1]];
            adam.step(&mut weights, &gradient, 0.01);
        }
        assert!(weights.iter().all(|x| x.abs() < 1e-2), "{weights:?}");
    }
}
