//! [`Tri`]: of which records a condition holds, and of which it does not; of the others that is unknown (SQL's three-valued logic).

#[derive(Clone, Debug)]
pub(super) struct Tri {
    yes: Vec<u64>,
    no: Vec<u64>,
}

impl Tri {
    /// Unknown of all.
    pub(super) fn unknown(count: u32) -> Self {
        let words = (count as usize).div_ceil(64);
        Self { yes: vec![0; words], no: vec![0; words] }
    }

    /// The same of all.
    pub(super) fn constant(count: u32, value: bool) -> Self {
        let (all, none) = (all(count), vec![0; (count as usize).div_ceil(64)]);
        if value { Self { yes: all, no: none } } else { Self { yes: none, no: all } }
    }

    /// Holds of `yes`, not of the others of `known`.
    pub(super) fn among(known: Vec<u64>, yes: Vec<u64>) -> Self {
        let mut no = known;
        no.iter_mut().zip(&yes).for_each(|(no, yes)| *no &= !yes);
        Self { yes, no }
    }

    pub(super) fn negated(self) -> Self {
        Self { yes: self.no, no: self.yes }
    }

    pub(super) fn and(&mut self, other: &Tri) {
        self.yes.iter_mut().zip(&other.yes).for_each(|(a, b)| *a &= b);
        self.no.iter_mut().zip(&other.no).for_each(|(a, b)| *a |= b);
    }

    pub(super) fn or(&mut self, other: &Tri) {
        self.yes.iter_mut().zip(&other.yes).for_each(|(a, b)| *a |= b);
        self.no.iter_mut().zip(&other.no).for_each(|(a, b)| *a &= b);
    }

    /// Those of which it holds.
    pub(super) fn found(self) -> Vec<u64> {
        self.yes
    }
}

/// The bits of `count` records.
pub(super) fn all(count: u32) -> Vec<u64> {
    let mut words = vec![u64::MAX; (count as usize).div_ceil(64)];
    if let (Some(last), used @ 1..) = (words.last_mut(), count % 64) {
        *last = (1 << used) - 1;
    }
    words
}

/// The bits of `count` records, from bytes as a column has them; those beyond are not set.
pub(super) fn from_bytes(bytes: &[u8], count: u32) -> Vec<u64> {
    let mut words = all(count);
    for (at, word) in words.iter_mut().enumerate() {
        let mut eight = [0; 8];
        let rest = bytes.get(at * 8..).unwrap_or_default();
        let len = rest.len().min(8);
        eight[..len].copy_from_slice(&rest[..len]);
        *word &= u64::from_le_bytes(eight);
    }
    words
}
