//! [`Scorer`]: how a row becomes a query against rows of its own kind. What building needs and searching does not.

use crate::kernel::{Against, BitQuery, KernelError, Op, Query, QueryElement};
use half::f16;

/// Rows that can be measured against each other.
pub(crate) trait Scorer: Sync {
    /// What a row is made of.
    type Row: Copy + Send + Sync;
    /// A row as a query.
    type Query: Against<Self::Row> + Send;

    /// A query to be set to rows of `width` elements.
    fn blank(&self, width: usize) -> Result<Self::Query, KernelError>;

    /// Makes `query` that of `row`.
    fn set(&self, query: &mut Self::Query, row: &[Self::Row]) -> Result<(), KernelError>;
}

/// Rows of f32, i8 or u8.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Numbers<Q> {
    op: Op,
    element: std::marker::PhantomData<Q>,
}

impl<Q> Numbers<Q> {
    pub(crate) fn new(op: Op) -> Self {
        Self { op, element: std::marker::PhantomData }
    }
}

impl<Q: QueryElement + Default> Scorer for Numbers<Q>
where
    Query<Q>: Against<Q>,
{
    type Row = Q;
    type Query = Query<Q>;

    fn blank(&self, width: usize) -> Result<Query<Q>, KernelError> {
        Query::new(self.op, &vec![Q::default(); width])
    }

    fn set(&self, query: &mut Query<Q>, row: &[Q]) -> Result<(), KernelError> {
        query.set(row.iter().copied())
    }
}

/// Rows of f16, which are queries as f32.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Halves(pub(crate) Op);

impl Scorer for Halves {
    type Row = f16;
    type Query = Query<f32>;

    fn blank(&self, width: usize) -> Result<Query<f32>, KernelError> {
        Query::new(self.0, &vec![0f32; width])
    }

    fn set(&self, query: &mut Query<f32>, row: &[f16]) -> Result<(), KernelError> {
        query.set(row.iter().map(|value| value.to_f32()))
    }
}

/// Rows of packed bits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BitRows;

impl Scorer for BitRows {
    type Row = u8;
    type Query = BitQuery;

    fn blank(&self, width: usize) -> Result<BitQuery, KernelError> {
        BitQuery::new(&vec![0; width])
    }

    fn set(&self, query: &mut BitQuery, row: &[u8]) -> Result<(), KernelError> {
        query.set(row)
    }
}
