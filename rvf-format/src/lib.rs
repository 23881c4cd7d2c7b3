//! The bytes of an RVF file. Knows no algorithm.
pub mod legacy;
