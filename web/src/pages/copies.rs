//! The part of the network page that shows copies of friends' videos: how far each is, and what they may take.

use super::bytes;

/// All copies and budgets, for administrators.
#[derive(Debug, Clone, Default)]
pub struct CopiesView {
    /// Copies there are or should be.
    pub rows: Vec<CopyRow>,
    /// What they may take.
    pub budgets: Vec<CopyBudget>,
}

/// One copy.
#[derive(Debug, Clone)]
pub struct CopyRow {
    /// The video's uuid.
    pub uuid: String,
    /// Path of its watch page here.
    pub url: String,
    /// Its title.
    pub title: String,
    /// Host of its origin.
    pub host: String,
    /// Why it is kept.
    pub reason: CopyReason,
    /// How far it is.
    pub state: CopyStep,
    /// Bytes in all.
    pub size: u64,
    /// Bytes that are here.
    pub held: u64,
}

/// What the page of a video says of its copy here.
#[derive(Debug, Clone, Default)]
pub struct CopyOffer {
    /// Somebody chose it, so that it can be let go.
    pub by_hand: bool,
    /// The copy, or what there is of it.
    pub copy: Option<CopyRow>,
}

impl CopyOffer {
    /// Where the form posts to: it does the other of the two.
    #[must_use]
    pub fn action(&self) -> &'static str {
        if self.by_hand { "let-go" } else { "keep" }
    }

    /// What the button says.
    #[must_use]
    pub fn button(&self) -> &'static str {
        if self.by_hand {
            "Keep no copy"
        } else {
            "Keep a copy"
        }
    }

    /// How far it is, as a colour and words; nothing while there is none.
    #[must_use]
    pub fn state(&self) -> Option<(&'static str, String)> {
        match &self.copy {
            Some(row) if row.held < row.size && row.state == CopyStep::Fetching => {
                let words = format!("Being fetched: {}", row.progress_text());
                Some((row.state.class(), words))
            }
            // One that is kept for another reason stays when it is let go by hand.
            Some(row) if !row.reason.is_hand() => {
                let words = format!("{} ({})", row.state.words(), row.reason.words());
                Some((row.state.class(), words))
            }
            Some(row) => Some((row.state.class(), row.state.words())),
            None if self.by_hand => Some((CopyStep::Waiting.class(), CopyStep::Waiting.words())),
            None => None,
        }
    }
}

/// Why a copy is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CopyReason {
    /// Somebody chose it.
    Hand,
    /// Everything of that friend is kept.
    Friend,
    /// It is watched a lot.
    MostViewed,
}

impl CopyReason {
    /// Whether it can be let go by hand too.
    #[must_use]
    pub fn is_hand(self) -> bool {
        self == Self::Hand
    }

    /// The reason in words.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Hand => "chosen by hand",
            Self::Friend => "everything of this friend",
            Self::MostViewed => "among the most viewed",
        }
    }
}

/// How far a copy is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CopyStep {
    /// Others come first.
    Waiting,
    /// Bytes arrive.
    Fetching,
    /// It is served.
    Whole,
    /// It is tried again by itself; why it did not come yet, in words.
    Stuck(String),
    /// Its budget is too small.
    OverBudget,
}

impl CopyStep {
    /// The state as a phrase.
    #[must_use]
    pub fn words(&self) -> String {
        match self {
            Self::Waiting => "Waiting for its turn".to_owned(),
            Self::Fetching => "Being fetched".to_owned(),
            Self::Whole => "Whole, and served to viewers".to_owned(),
            Self::Stuck(why) => format!("Tried again by itself: {why}"),
            Self::OverBudget => "Too large for its budget".to_owned(),
        }
    }

    /// The style class: a colour and a shape, beside the words.
    #[must_use]
    pub fn class(&self) -> &'static str {
        match self {
            Self::Whole => "state-good",
            Self::Fetching => "state-busy",
            Self::Waiting => "state-wait",
            Self::Stuck(_) | Self::OverBudget => "state-trouble",
        }
    }
}

impl CopyRow {
    /// `1.5 MB of 5.0 MB`, or the size alone.
    #[must_use]
    pub fn progress_text(&self) -> String {
        if self.held >= self.size {
            bytes(self.size)
        } else {
            format!("{} of {}", bytes(self.held), bytes(self.size))
        }
    }
}

/// A budget.
#[derive(Debug, Clone)]
pub struct CopyBudget {
    /// What the form sends: `by-hand`, `most-viewed`, or a friend's id.
    pub name: String,
    /// What it is for, in words.
    pub title: String,
    /// Bytes it may take.
    pub limit: u64,
    /// Bytes its copies take.
    pub used: u64,
    /// Whether somebody set it here, so that it can be taken back.
    pub is_set: bool,
}

impl CopyBudget {
    /// `120 MB of 10 GB`.
    #[must_use]
    pub fn used_text(&self) -> String {
        format!("{} of {}", bytes(self.used), bytes(self.limit))
    }

    /// The limit as the form takes it, in GB.
    #[must_use]
    pub fn limit_gb(&self) -> String {
        let tenths = self.limit / 100_000_000;
        format!("{}.{}", tenths / 10, tenths % 10)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_far_a_copy_is_is_said_in_words() {
        let row = CopyRow {
            uuid: String::new(),
            url: String::new(),
            title: String::new(),
            host: String::new(),
            reason: CopyReason::Hand,
            state: CopyStep::Fetching,
            size: 5_000_000,
            held: 1_500_000,
        };
        assert_eq!(
            row.progress_text(),
            format!("{} of {}", bytes(1_500_000), bytes(5_000_000))
        );
        let offer = CopyOffer {
            by_hand: true,
            copy: Some(row),
        };
        assert_eq!(
            offer.state(),
            Some(("state-busy", "Being fetched: 1.5 MB of 5 MB".to_owned()))
        );
        let budget = CopyBudget {
            name: "by-hand".to_owned(),
            title: String::new(),
            limit: 10_500_000_000,
            used: 0,
            is_set: false,
        };
        assert_eq!(budget.limit_gb(), "10.5");
    }
}
