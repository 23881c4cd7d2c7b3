//! Branches: files that share what they do not change with a commit of another.
//!
//! | file | owns |
//! | --- | --- |
//! | `create.rs` | making a branch, pinning the commit that it goes on from, releasing it |
//! | `diff.rs` | [`Diff`]: what differs between two commits of a lineage |
//! | `ancestor.rs` | the commit that two sides of a merge go back to |
//! | `merge.rs` | three-way merging by id |
//! | `resolve.rs` | [`Resolve`], [`Conflict`]: what both sides changed, and whose change is taken |
//! | `bundle.rs` | a branch and what it needs of its parents, in one archive |
//! | `unbundle.rs` | taking them out of it again |
//! | `family.rs` | the files of a lineage that lie in some folders |

mod ancestor;
mod bundle;
mod create;
mod diff;
mod family;
mod merge;
mod resolve;
mod unbundle;

pub use bundle::{Bundled, BundledFile, bundle};
pub use create::KnownBranch;
pub use create::{Branched, Pinned};
pub(crate) use create::{Plan, is_there, pin, unpin};
pub use diff::{Changed, Diff};
pub use family::{Relative, family};
pub use merge::Merged;
pub(crate) use merge::merge;
pub use resolve::{Change, Conflict, Decision, Resolve, Side};
pub use unbundle::unbundle;
