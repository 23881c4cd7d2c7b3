//! [`Tensors`]: learned weights by name, as they are kept and shipped.

use std::collections::BTreeMap;

/// Numbers of one shape: rows one after another.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// Lengths of the axes; their product is the number of values.
    pub shape: Vec<usize>,
    /// Row-major.
    pub values: Vec<f32>,
}

/// Learned weights by name; `part.weight` by convention. All values are finite, all shapes are kept.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tensors {
    all: BTreeMap<String, Tensor>,
}

impl Tensors {
    /// Keeps `values` under `name`; `false` (and nothing is kept) where they do not fill the shape or are not finite.
    pub fn put(&mut self, name: &str, shape: &[usize], values: Vec<f32>) -> bool {
        let count = shape.iter().try_fold(1usize, |product, axis| product.checked_mul(*axis));
        let is_whole = count == Some(values.len()) && values.iter().all(|x| x.is_finite());
        if is_whole {
            self.all.insert(name.to_owned(), Tensor { shape: shape.to_vec(), values });
        }
        is_whole
    }

    /// What is kept under `name`, if it has this shape.
    pub fn get(&self, name: &str, shape: &[usize]) -> Option<&[f32]> {
        let tensor = self.all.get(name)?;
        (tensor.shape == shape).then_some(&tensor.values)
    }

    /// What is kept under `name`, of any shape.
    pub fn tensor(&self, name: &str) -> Option<&Tensor> {
        self.all.get(name)
    }

    /// A single number.
    pub fn number(&self, name: &str) -> Option<f32> {
        self.get(name, &[1])?.first().copied()
    }

    /// All, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        self.all.iter().map(|(name, tensor)| (name.as_str(), tensor))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Takes over all of `others`; those of the same name are replaced.
    pub fn extend(&mut self, others: Self) {
        self.all.extend(others.all);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_tensors_of_finite_numbers_are_kept() {
        let mut tensors = Tensors::default();
        assert!(tensors.put("a.b", &[2, 3], vec![1.0; 6]) && tensors.put("n", &[1], vec![2.5]));
        assert!(!tensors.put("c", &[2, 3], vec![1.0; 5]) && !tensors.put("d", &[1], vec![f32::NAN]));
        assert!(!tensors.put("e", &[usize::MAX, 2], Vec::new()));
        assert_eq!(tensors.get("a.b", &[2, 3]), Some(&[1.0; 6][..]));
        assert_eq!((tensors.get("a.b", &[3, 2]), tensors.number("n"), tensors.number("a.b")), (None, Some(2.5), None));
        assert_eq!(tensors.iter().map(|(name, _)| name).collect::<Vec<_>>(), ["a.b", "n"]);
    }
}
