//! What a store holds: dimension, dtype, metric, id type.

use crate::limits::MAX_DIMENSION;
use core::fmt;
use core::str::FromStr;

macro_rules! coded {
    ($(#[$meta:meta])* $name:ident, $what:literal { $($(#[$vmeta:meta])* $variant:ident $code:literal $text:literal,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$vmeta])* $variant,)* }

        impl $name {
            /// Every value.
            pub const ALL: &'static [$name] = &[$($name::$variant,)*];

            /// The code on disk.
            pub const fn code(self) -> u8 { match self { $($name::$variant => $code,)* } }

            /// The value of a code on disk.
            pub const fn from_code(code: u8) -> Option<Self> {
                match code { $($code => Some($name::$variant),)* _ => None }
            }

            /// The name, as the command line and JSON use it.
            pub const fn name(self) -> &'static str { match self { $($name::$variant => $text,)* } }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { f.pad(self.name()) }
        }

        impl FromStr for $name {
            type Err = String;
            fn from_str(text: &str) -> Result<Self, String> {
                Self::ALL.iter().copied().find(|value| value.name() == text).ok_or_else(|| {
                    let names: Vec<_> = Self::ALL.iter().map(|value| value.name()).collect();
                    format!("unknown {} '{text}', known are {}", $what, names.join(", "))
                })
            }
        }
    };
}

coded! {
    /// How a component of a vector is stored.
    Dtype, "dtype" {
        /// IEEE binary32.
        F32 0 "f32",
        /// IEEE binary16.
        F16 1 "f16",
        /// Signed byte.
        I8 3 "i8",
        /// Unsigned byte.
        U8 4 "u8",
        /// One bit, packed, most significant bit first.
        Binary 6 "binary",
    }
}

coded! {
    /// How far two vectors are apart; smaller is nearer.
    Metric, "metric" {
        /// Squared Euclidean distance.
        L2 0 "l2",
        /// Negated inner product.
        Dot 1 "dot",
        /// One minus the cosine.
        Cosine 2 "cosine",
        /// Number of differing bits.
        Hamming 3 "hamming",
    }
}

coded! {
    /// What names a record.
    IdType, "id type" {
        /// A number below 2^64 - 1.
        U64 0 "u64",
        /// 1 to 1,024 bytes of UTF-8.
        Str 1 "string",
    }
}

impl Dtype {
    /// Whether all components of a stored row are zero, of either sign.
    pub fn is_zero_row(self, row: &[u8]) -> bool {
        match self {
            Dtype::F32 => row.as_chunks::<4>().0.iter().all(|c| u32::from_le_bytes(*c) << 1 == 0),
            Dtype::F16 => row.as_chunks::<2>().0.iter().all(|c| u16::from_le_bytes(*c) << 1 == 0),
            Dtype::I8 | Dtype::U8 | Dtype::Binary => row.iter().all(|byte| *byte == 0),
        }
    }
}

/// What a store holds. Fixed at creation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Schema {
    /// Components of a vector; bits for [`Dtype::Binary`].
    pub dimension: u32,
    /// How components are stored.
    pub dtype: Dtype,
    /// How distances are measured.
    pub metric: Metric,
    /// What names a record.
    pub id_type: IdType,
}

impl Schema {
    /// A schema with numeric ids and dtype f32, or binary where the metric is hamming.
    pub const fn new(dimension: u32, metric: Metric) -> Self {
        let dtype = if matches!(metric, Metric::Hamming) { Dtype::Binary } else { Dtype::F32 };
        Self { dimension, dtype, metric, id_type: IdType::U64 }
    }

    /// Checks that the parts go together: dimension 1 to 65,535; hamming with binary and only with it.
    ///
    /// # Errors
    /// A sentence that says what does not fit.
    pub fn check(&self) -> Result<(), &'static str> {
        if self.dimension == 0 || self.dimension > MAX_DIMENSION {
            return Err("the dimension must be 1 to 65,535");
        }
        match (self.metric, self.dtype) {
            (Metric::Hamming, Dtype::Binary) => Ok(()),
            (Metric::Hamming, _) => Err("the metric hamming needs dtype binary"),
            (_, Dtype::Binary) => Err("the dtype binary needs metric hamming"),
            _ => Ok(()),
        }
    }

    /// Bytes of one stored vector.
    pub const fn row_len(&self) -> usize {
        let dimension = self.dimension as usize;
        match self.dtype {
            Dtype::F32 => dimension * 4,
            Dtype::F16 => dimension * 2,
            Dtype::I8 | Dtype::U8 => dimension,
            Dtype::Binary => dimension.div_ceil(8),
        }
    }
}
