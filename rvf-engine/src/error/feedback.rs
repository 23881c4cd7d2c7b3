//! Why feedback is refused.

use core::fmt;

/// What is wrong with feedback.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum FeedbackFault {
    /// Vectors of bits are not learned from.
    Bits,
    /// The query is all zero: nothing is like it.
    Zero,
    /// Nothing was shown and nothing was chosen.
    Empty,
    /// An id stands twice in what was shown, or in what was chosen.
    Twice {
        /// The id.
        id: String,
    },
    /// What was chosen, or asked with, is not in the store.
    Unknown {
        /// Its id.
        id: String,
    },
    /// The weight is not a finite number above 0.
    Weight {
        /// The weight.
        weight: f32,
    },
    /// The answer to a query that is not, or no longer, remembered.
    Forgotten,
    /// The temperature of soft neighbours is not above 0, or there is nothing to weigh.
    Temperature {
        /// The temperature.
        temperature: f32,
    },
    /// The share of the feedback to be held out is not above 0 and below 0.9.
    HoldOut {
        /// The share.
        share: f64,
    },
}

impl fmt::Display for FeedbackFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FeedbackFault::Bits => f.write_str("stores with the metric hamming neither learn nor have soft neighbours"),
            FeedbackFault::Zero => f.write_str("the query is all zero, so nothing is like it"),
            FeedbackFault::Empty => f.write_str("the feedback names nothing that was shown or chosen"),
            FeedbackFault::Twice { id } => write!(f, "the feedback names id {id} twice"),
            FeedbackFault::Unknown { id } => write!(f, "a record that the feedback names is not in the store: id {id}"),
            FeedbackFault::Weight { weight } => write!(f, "the weight {weight} is not a number above 0"),
            FeedbackFault::Forgotten => f.write_str("the query of this feedback is not remembered"),
            FeedbackFault::Temperature { temperature } => {
                write!(f, "there are no soft neighbours at a temperature of {temperature}")
            }
            FeedbackFault::HoldOut { share } => write!(f, "a share of {share} cannot be held out"),
        }
    }
}

impl FeedbackFault {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            FeedbackFault::Bits => "use a store of f32, f16, i8 or u8 vectors",
            FeedbackFault::Zero => "give a query with a direction",
            FeedbackFault::Empty => "name what was shown, what was chosen, or both",
            FeedbackFault::Twice { .. } => "name each id once",
            FeedbackFault::Unknown { .. } => "record feedback on records that are there",
            FeedbackFault::Weight { .. } => "give a weight above 0; 1 is a plain choice",
            FeedbackFault::Forgotten => {
                "give feedback on one of the last 4,096 answers of the session, or name the query itself"
            }
            FeedbackFault::Temperature { .. } => "give a temperature above 0, as 0.1, and at least one result",
            FeedbackFault::HoldOut { .. } => "hold out a share above 0 and below 0.9",
        }
    }
}
