//! The instruction sets of x86-64, a token each. What is `unsafe` here is single instructions, which the token proves
//! the CPU to have, and loads, whose bounds the line above each shows.

mod avx2;
mod avx512;
mod vnni;

pub(super) use avx2::Avx2;
pub(super) use avx512::Avx512;
pub(super) use vnni::Avx512Vnni;

/// Defines methods of a token that are register-to-register instructions.
macro_rules! instructions {
    ($($(#[$doc:meta])* $vis:vis fn $name:ident($($arg:ident: $type:ty),*) -> $out:ty = $body:expr;)*) => {$(
        $(#[$doc])*
        #[inline(always)]
        $vis fn $name(self, $($arg: $type),*) -> $out {
            // SAFETY: these instructions touch no memory, and `self` is the proof that the CPU has them.
            unsafe { $body }
        }
    )*};
}
use instructions;

/// Defines `Isa` for a token: entering a function compiled for `$features`.
macro_rules! isa {
    ($token:ty, $features:literal) => {
        impl crate::kernel::dispatch::Isa for $token {
            #[inline]
            fn enter<W: crate::kernel::dispatch::Work>(self, work: W) -> W::Output {
                #[target_feature(enable = $features)]
                fn inside<W: crate::kernel::dispatch::Work>(work: W) -> W::Output {
                    work.run()
                }
                // SAFETY: a token exists only after `detect` found each of these features in the CPU.
                unsafe { inside(work) }
            }
        }
    };
}
use isa;

/// The first `N` elements of `chunk`, which has fewer, followed by zeros.
#[inline(always)]
fn padded<T: Copy + Default, const N: usize>(chunk: &[T]) -> [T; N] {
    let mut full = [T::default(); N];
    for (to, from) in full.iter_mut().zip(chunk) {
        *to = *from;
    }
    full
}
