//! Codes that walks read instead of rows. Sees numbers; knows no file.
//!
//! | file | owns |
//! | --- | --- |
//! | `sq8.rs` | [`Sq8`]: a signed byte a component |

mod sq8;

pub(crate) use sq8::{CodeQuery, Sq8};
