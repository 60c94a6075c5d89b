//! What the relay counts, and the reasons for which it refuses.

/// What became of a friend's hint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HintOutcome {
    /// It is what the friend has.
    Taken,
    /// The same or a later one was heard before.
    Stale,
    /// It is over, or from a clock that is far from ours.
    OutOfTime,
}

impl HintOutcome {
    /// All outcomes, in the order of [`RelayTotals::hints`].
    pub const ALL: [Self; 3] = [Self::Taken, Self::Stale, Self::OutOfTime];

    /// The outcome as a metric's label.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Taken => "taken",
            Self::Stale => "stale",
            Self::OutOfTime => "out_of_time",
        }
    }
}

/// Why what a friend wanted relayed was not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RelayRefusal {
    /// Nobody here takes part in that torrent who would have something of it, or it is not served here.
    Nobody,
    /// Whoever takes part has all the offers from abroad that one is shown at a time.
    ViewersBusy,
    /// The friend sent as many as it may.
    FriendTooMany,
    /// All friends together did.
    TooMany,
    /// The same offer came before.
    Twice,
    /// The offer was never sent to this friend, was answered already, or is too old; or its maker left.
    NoSuchOffer,
}

impl RelayRefusal {
    /// All reasons, in the order of [`RelayTotals::refused`].
    pub const ALL: [Self; 6] = [
        Self::Nobody,
        Self::ViewersBusy,
        Self::FriendTooMany,
        Self::TooMany,
        Self::Twice,
        Self::NoSuchOffer,
    ];

    /// The reason as a metric's label.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Nobody => "nobody",
            Self::ViewersBusy => "viewers_busy",
            Self::FriendTooMany => "friend_too_many",
            Self::TooMany => "too_many",
            Self::Twice => "twice",
            Self::NoSuchOffer => "no_such_offer",
        }
    }

    /// The reason as the friend gets it.
    pub(in crate::tracker) fn text(self) -> &'static str {
        match self {
            Self::Nobody => "nobody here takes part in that torrent",
            Self::ViewersBusy => "whoever takes part here has enough offers",
            Self::FriendTooMany => "you have sent too many offers within a minute",
            Self::TooMany => "too many offers within a minute",
            Self::Twice => "that offer came before",
            Self::NoSuchOffer => "you were given no such offer, or its time is over",
        }
    }
}

/// What happened between pods since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RelayTotals {
    /// Hints heard, in the order of [`HintOutcome::ALL`].
    pub hints: [u64; HintOutcome::ALL.len()],
    /// Hints said.
    pub hints_said: u64,
    /// Offers sent to friends.
    pub offers_out: u64,
    /// Offers of friends shown to peers here.
    pub offers_in: u64,
    /// Answers sent to friends.
    pub answers_out: u64,
    /// Answers of friends handed to peers here.
    pub answers_in: u64,
    /// Requests of friends that were refused, in the order of [`RelayRefusal::ALL`].
    pub refused: [u64; RelayRefusal::ALL.len()],
}

/// The figures of the relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RelayStats {
    /// Torrents that friends say they have viewers of, once for each friend.
    pub hinted: usize,
    /// Offers between pods that wait for their answer.
    pub waiting: usize,
    /// Peers here whose offers wait for a friend that has somebody.
    pub held: usize,
    /// Counters since the start.
    pub totals: RelayTotals,
}
