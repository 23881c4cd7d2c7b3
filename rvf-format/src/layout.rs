//! How a structure of the format is declared: once, with its offsets, checked at compile time.
//!
//! `layout!` makes a `#[repr(C)]` structure of unaligned little-endian fields that can be viewed in place, asserts every
//! offset and the size, and keeps the table as data, so that a test can compare it with the specification.

/// One field of a structure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// Offset from the start of the structure, bytes.
    pub offset: usize,
    /// Length, bytes.
    pub length: usize,
    /// Name, as in the specification.
    pub name: &'static str,
    /// Type, as in the specification: `u8` to `u64`, or `[n]`.
    pub kind: &'static str,
}

/// A structure: its name in the specification, its size and its fields.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    /// Name in the specification.
    pub name: &'static str,
    /// Size, bytes.
    pub size: usize,
    /// Every byte of it, in order.
    pub fields: &'static [Field],
}

/// Declares a structure of the format. See the module documentation.
#[macro_export]
macro_rules! layout {
    (
        $(#[$meta:meta])*
        pub struct $name:ident = $spec:literal, $size:literal bytes {
            $( $(#[$fmeta:meta])* $offset:literal $field:ident : $kind:literal $ty:ty, )*
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::Immutable, zerocopy::KnownLayout, zerocopy::Unaligned)]
        #[repr(C)]
        pub struct $name {
            $( $(#[$fmeta])* pub $field: $ty, )*
        }

        impl $name {
            /// The structure as the specification tables it.
            pub const LAYOUT: $crate::layout::Layout = $crate::layout::Layout {
                name: $spec,
                size: $size,
                fields: &[$( $crate::layout::Field {
                    offset: $offset,
                    length: core::mem::size_of::<$ty>(),
                    name: stringify!($field),
                    kind: $kind,
                }, )*],
            };

            /// A structure of zero bytes.
            pub fn zeroed() -> Self {
                <Self as zerocopy::FromZeros>::new_zeroed()
            }
        }

        const _: () = {
            assert!(core::mem::size_of::<$name>() == $size);
            $( assert!(core::mem::offset_of!($name, $field) == $offset); )*
        };
    };
}

/// Every structure of the format, for the test that compares them with the specification.
pub fn all() -> Vec<Layout> {
    use crate::payload::{feedback, index, journal, meta, quant, refcount, tensors, tree, vec, witness};
    vec![
        crate::segment::SegmentHeader::LAYOUT,
        crate::segment::PayloadPrelude::LAYOUT,
        crate::segment::SectionEntry::LAYOUT,
        crate::identity::FileIdentity::LAYOUT,
        crate::root::RootPage::LAYOUT,
        crate::manifest::ManifestEntry::LAYOUT,
        crate::lineage::BranchFacts::LAYOUT,
        crate::lineage::MergeParent::LAYOUT,
        vec::VecFacts::LAYOUT,
        journal::JournalWord::LAYOUT,
        meta::MetaItem::LAYOUT,
        witness::WitnessEntry::LAYOUT,
        tree::TreeFacts::LAYOUT,
        index::IndexFacts::LAYOUT,
        index::IndexRun::LAYOUT,
        index::EffortPoint::LAYOUT,
        quant::QuantFacts::LAYOUT,
        refcount::BranchEntry::LAYOUT,
        feedback::FeedbackFacts::LAYOUT,
        feedback::FeedbackEvent::LAYOUT,
        tensors::TensorEntry::LAYOUT,
        crate::payload::columns::ColumnsFacts::LAYOUT,
        crate::payload::columns::FieldFacts::LAYOUT,
        crate::payload::lookup::LookupFacts::LAYOUT,
        crate::payload::lookup::LookupField::LAYOUT,
        crate::key_file::SecretKeyFile::LAYOUT,
        crate::key_file::PublicKeyFile::LAYOUT,
    ]
}
