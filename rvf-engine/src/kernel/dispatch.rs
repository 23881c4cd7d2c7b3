//! One dispatch per call: from (level, op, elements) as values to the same as types.
//!
//! A `Pair` is one distance as a type: an implementation per (level, op, element). A `Task` is a loop over distances,
//! generic in the pair. An `Isa` runs the one with the other inside a function compiled for its instructions. All that
//! lies between that function and the single instructions is `#[inline(always)]`.

use super::element::{Byte, Element};
use super::op::{Cosine, Dot, L2};
use super::query::{BitQuery, Query, QueryElement};
use super::{Level, Op, scalar, simd};

#[cfg(target_arch = "aarch64")]
use super::aarch64::Neon;
#[cfg(target_arch = "x86_64")]
use super::x86::{Avx2, Avx512, Avx512Vnni};

/// A query whose distance to rows of elements `T` is defined. Sealed.
#[expect(private_bounds, reason = "the private bound is the seal")]
pub trait Against<T>: Dispatch<T> {
    /// The length of a row, in elements `T`.
    fn row_len(&self) -> usize;
}

/// The distance from a prepared query to a row.
pub(crate) trait Pair<T>: Copy {
    /// Elements of a row where that is known when the code is compiled, which saves loops and checks; else 0.
    const WIDTH: usize = 0;

    /// The distance to `row`, which has the query's row length. (Of another length, the excess is left out.)
    fn distance(self, row: &[T]) -> f32;

    /// The distances to four rows, bit for bit: together they can cost less.
    #[inline(always)]
    fn distances_of_four(self, rows: [&[T]; 4]) -> [f32; 4] {
        [self.distance(rows[0]), self.distance(rows[1]), self.distance(rows[2]), self.distance(rows[3])]
    }

    /// The same, bit for bit, for a row of a sequential scan: asks for memory some way beyond the row.
    #[inline(always)]
    fn distance_in_stream(self, row: &[T]) -> f32 {
        self.distance(row)
    }
}

/// A loop over distances. `run` must be `#[inline(always)]`, and so must what it calls with the pair.
pub(crate) trait Task<T> {
    /// What comes out.
    type Output;

    /// Runs with the distances of `pair`.
    fn run<P: Pair<T>>(self, pair: P) -> Self::Output;
}

/// The dispatch of one kind of query.
pub(super) trait Dispatch<T> {
    /// Runs `task` on `cpu` with the pair for this query.
    fn dispatch<K: Task<T>>(&self, cpu: Cpu, task: K) -> K::Output;
}

/// Something to run inside a function compiled for an instruction set. `run` must be `#[inline(always)]`.
pub(super) trait Work {
    type Output;

    fn run(self) -> Self::Output;
}

/// An instruction set: a token which can be had only by asking the CPU.
pub(super) trait Isa: Copy {
    /// Runs `work` compiled for these instructions.
    fn enter<W: Work>(self, work: W) -> W::Output;
}

/// The instruction set of a [`super::Kernels`], with its token.
#[derive(Clone, Copy, Debug)]
pub(super) enum Cpu {
    Scalar,
    #[cfg(target_arch = "x86_64")]
    Avx2(Avx2),
    #[cfg(target_arch = "x86_64")]
    Avx512(Avx512),
    #[cfg(target_arch = "x86_64")]
    Avx512Vnni(Avx512Vnni),
    #[cfg(target_arch = "aarch64")]
    Neon(Neon),
}

impl Cpu {
    /// Asks the CPU for `level`.
    pub(super) fn detect(level: Level) -> Option<Cpu> {
        match level {
            Level::Scalar => Some(Cpu::Scalar),
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => Avx2::detect().map(Cpu::Avx2),
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => Avx512::detect().map(Cpu::Avx512),
            #[cfg(target_arch = "x86_64")]
            Level::Avx512Vnni => Avx512Vnni::detect().map(Cpu::Avx512Vnni),
            #[cfg(target_arch = "aarch64")]
            Level::Neon => Neon::detect().map(Cpu::Neon),
            _ => None,
        }
    }

    pub(super) fn level(self) -> Level {
        match self {
            Cpu::Scalar => Level::Scalar,
            #[cfg(target_arch = "x86_64")]
            Cpu::Avx2(_) => Level::Avx2,
            #[cfg(target_arch = "x86_64")]
            Cpu::Avx512(_) => Level::Avx512,
            #[cfg(target_arch = "x86_64")]
            Cpu::Avx512Vnni(_) => Level::Avx512Vnni,
            #[cfg(target_arch = "aarch64")]
            Cpu::Neon(_) => Level::Neon,
        }
    }
}

/// Evaluates `$body` with `$m` standing for the type of the operation `$op`.
macro_rules! with_op {
    ($op:expr, $m:ident => $body:expr) => {
        match $op {
            Op::L2 => {
                type $m = L2;
                $body
            }
            Op::Dot => {
                type $m = Dot;
                $body
            }
            Op::Cosine => {
                type $m = Cosine;
                $body
            }
        }
    };
}

impl<T: Element> Against<T> for Query<f32> {
    fn row_len(&self) -> usize {
        self.dimension()
    }
}

impl<T: Element> Dispatch<T> for Query<f32> {
    fn dispatch<K: Task<T>>(&self, cpu: Cpu, task: K) -> K::Output {
        with_op!(self.op, M => match cpu {
            Cpu::Scalar => task.run(scalar::FloatPair::<M>::new(self)),
            #[cfg(target_arch = "x86_64")]
            Cpu::Avx2(isa) => enter(isa, simd::FloatPair::<_, M>::new(isa, self), task),
            #[cfg(target_arch = "x86_64")]
            Cpu::Avx512(isa) => enter(isa, simd::FloatPair::<_, M>::new(isa, self), task),
            #[cfg(target_arch = "x86_64")]
            Cpu::Avx512Vnni(isa) => {
                enter(isa.base(), simd::FloatPair::<_, M>::new(isa.base(), self), task)
            }
            #[cfg(target_arch = "aarch64")]
            Cpu::Neon(isa) => enter(isa, simd::FloatPair::<_, M>::new(isa, self), task),
        })
    }
}

impl<T: Byte + QueryElement> Against<T> for Query<T>
where
    Query<T>: Dispatch<T>,
{
    fn row_len(&self) -> usize {
        self.dimension()
    }
}

macro_rules! dispatch_bytes {
    ($type:ty) => {
        impl Dispatch<$type> for Query<$type> {
            fn dispatch<K: Task<$type>>(&self, cpu: Cpu, task: K) -> K::Output {
                with_op!(self.op, M => match cpu {
                    Cpu::Scalar => task.run(scalar::BytePair::<$type, M>::new(self)),
                    #[cfg(target_arch = "x86_64")]
                    Cpu::Avx2(isa) => enter(isa, simd::BytePair::<_, $type, M>::new(isa, self), task),
                    #[cfg(target_arch = "x86_64")]
                    Cpu::Avx512(isa) => enter(isa, simd::BytePair::<_, $type, M>::new(isa, self), task),
                    #[cfg(target_arch = "x86_64")]
                    Cpu::Avx512Vnni(isa) => {
                        enter(isa, simd::BytePair::<_, $type, M>::new(isa, self), task)
                    }
                    #[cfg(target_arch = "aarch64")]
                    Cpu::Neon(isa) => enter(isa, simd::BytePair::<_, $type, M>::new(isa, self), task),
                })
            }
        }
    };
}

dispatch_bytes!(i8);
dispatch_bytes!(u8);

impl Against<u8> for BitQuery {
    fn row_len(&self) -> usize {
        self.bytes().len()
    }
}

impl Dispatch<u8> for BitQuery {
    /// AVX2 and AVX-512 without VPOPCNTDQ run the scalar body, compiled with their POPCNT instruction.
    fn dispatch<K: Task<u8>>(&self, cpu: Cpu, task: K) -> K::Output {
        let scalar = scalar::BitPair::new(self);
        match cpu {
            Cpu::Scalar => task.run(scalar),
            #[cfg(target_arch = "x86_64")]
            Cpu::Avx2(isa) => enter(isa, scalar, task),
            #[cfg(target_arch = "x86_64")]
            Cpu::Avx512(isa) => enter(isa, scalar, task),
            #[cfg(target_arch = "x86_64")]
            Cpu::Avx512Vnni(isa) => enter(isa, simd::BitPair::new(isa, self), task),
            #[cfg(target_arch = "aarch64")]
            Cpu::Neon(isa) => enter(isa, simd::BitPair::new(isa, self), task),
        }
    }
}

/// The sum of `values` on `cpu`.
pub(super) fn sum_f32(cpu: Cpu, values: &[f32]) -> f32 {
    match cpu {
        Cpu::Scalar => scalar::sum(values),
        #[cfg(target_arch = "x86_64")]
        Cpu::Avx2(isa) => isa.enter(simd::Sum::new(isa, values)),
        #[cfg(target_arch = "x86_64")]
        Cpu::Avx512(isa) => isa.enter(simd::Sum::new(isa, values)),
        #[cfg(target_arch = "x86_64")]
        Cpu::Avx512Vnni(isa) => isa.enter(simd::Sum::new(isa.base(), values)),
        #[cfg(target_arch = "aarch64")]
        Cpu::Neon(isa) => isa.enter(simd::Sum::new(isa, values)),
    }
}

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
pub(super) fn enter<I: Isa, T, P: Pair<T>, K: Task<T>>(isa: I, pair: P, task: K) -> K::Output {
    isa.enter(Apply { pair, task, element: std::marker::PhantomData::<T> })
}

/// The work of running a task with a pair.
struct Apply<P, K, T> {
    pair: P,
    task: K,
    element: std::marker::PhantomData<T>,
}

impl<T, P: Pair<T>, K: Task<T>> Work for Apply<P, K, T> {
    type Output = K::Output;

    #[inline(always)]
    fn run(self) -> K::Output {
        self.task.run(self.pair)
    }
}
