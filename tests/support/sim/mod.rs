//! A machine that loses power, and one whose calls fail: what the engine promises of both, by enumeration.
//!
//! | file | owns |
//! | --- | --- |
//! | `medium.rs` | what is on a medium for certain, what may be; the images that a power failure may leave |
//! | `place.rs` | [`SimPlace`](place::SimPlace): files in memory that log operations and fail on demand |
//! | `states.rs` | commits, and which of them a file may be at |
//! | `driver.rs` | a program that notes its commits |
//! | `family.rs` | a branch of its store |
//! | `workloads.rs` | the workloads, two of them large, two of them with a branch |
//! | `crash.rs` | every image of a log, and the order in which they are numbered |
//! | `oracle.rs` | what must hold of one image |
//! | `faults.rs` | every call fails once |

pub mod crash;
pub mod driver;
pub mod family;
pub mod faults;
pub mod medium;
pub mod oracle;
pub mod place;
pub mod states;
pub mod workloads;
