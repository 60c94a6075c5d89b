//! Who may move an entry of the list from which phase to which. One table; [`super::state`] moves entries by it alone.

use super::messages::Phase;

/// What may happen between this pod and another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    /// The operator makes friends with it, or accepts its request: our yes is signed.
    WeAsk,
    /// Its yes arrived, and our policy, an invite or a yes of ours that stands welcomes it.
    TheyAsk,
    /// Its yes arrived, and the operator has to decide.
    TheyWait,
    /// Both yeses are signed.
    BothSaidYes,
    /// It signed a newer no.
    TheyEnded,
    /// The score fell to nothing.
    ScoreSpent,
    /// The operator ends the friendship with it, or wants its entry off the list.
    Remove,
    /// The operator refuses the request of one that it once removed: it stays turned away.
    TurnAway,
    /// The operator quits the network.
    Quit,
    /// The operator wants nothing to do with it.
    Block,
    /// The list needs its place, or its time is over.
    Expire,
}

impl Phase {
    /// Whether a signed yes of ours stands: only with a no of ours may the entry leave these phases.
    pub(crate) fn binds(self) -> bool {
        matches!(self, Self::Asking | Self::Friends | Self::Ejected)
    }
}

/// Where an event leads: `Some(None)` takes the entry off the list, `None` says that it changes nothing.
pub(crate) fn after(from: Option<Phase>, event: Event) -> Option<Option<Phase>> {
    use Event::{
        Block, BothSaidYes, Expire, Quit, Remove, ScoreSpent, TheyAsk, TheyEnded, TheyWait, TurnAway, WeAsk,
    };
    use Phase::{AskedUs, Asking, Blocked, Ejected, EndedByThem, EndedByUs, Friends};
    let to = match (from, event) {
        // What the operator blocked stays so until the entry is taken away by hand.
        (Some(Blocked), Remove) => None,
        (Some(Blocked), _) => return None,
        (None | Some(AskedUs | EndedByThem | EndedByUs | Ejected), WeAsk) => Some(Asking),
        (None | Some(AskedUs | EndedByThem | Ejected), TheyAsk) => Some(Asking),
        (None | Some(EndedByThem | EndedByUs), TheyWait) => Some(AskedUs),
        (Some(Asking), BothSaidYes) => Some(Friends),
        (Some(Friends), TheyEnded) => Some(EndedByThem),
        (Some(Friends), ScoreSpent) => Some(Ejected),
        (Some(Friends), Remove) | (Some(AskedUs), TurnAway) => Some(EndedByUs),
        (Some(Asking | AskedUs | EndedByThem | EndedByUs | Ejected), Remove) => None,
        (Some(Asking | Friends | Ejected), Quit) => None,
        (Some(_), Block) => Some(Blocked),
        (Some(AskedUs | EndedByThem | Ejected), Expire) => None,
        _ => return None,
    };
    Some(to)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PHASES: [Option<Phase>; 8] = [
        None,
        Some(Phase::Asking),
        Some(Phase::AskedUs),
        Some(Phase::Friends),
        Some(Phase::EndedByThem),
        Some(Phase::EndedByUs),
        Some(Phase::Ejected),
        Some(Phase::Blocked),
    ];

    /// One row an event, one column a phase in the order of [`PHASES`]: `.` changes nothing, `x` leaves the list.
    const TABLE: [(Event, &str); 11] = [
        (Event::WeAsk, "A . A . A A A ."),
        (Event::TheyAsk, "A . A . A . A ."),
        (Event::TheyWait, "W . . . W W . ."),
        (Event::BothSaidYes, ". F . . . . . ."),
        (Event::TheyEnded, ". . . T . . . ."),
        (Event::ScoreSpent, ". . . E . . . ."),
        (Event::Remove, ". x x U x x x x"),
        (Event::TurnAway, ". . U . . . . ."),
        (Event::Quit, ". x . x . . x ."),
        (Event::Block, ". B B B B B B ."),
        (Event::Expire, ". . x . x . x ."),
    ];

    fn letter(to: Option<Option<Phase>>) -> &'static str {
        match to {
            None => ".",
            Some(None) => "x",
            Some(Some(Phase::Asking)) => "A",
            Some(Some(Phase::AskedUs)) => "W",
            Some(Some(Phase::Friends)) => "F",
            Some(Some(Phase::EndedByThem)) => "T",
            Some(Some(Phase::EndedByUs)) => "U",
            Some(Some(Phase::Ejected)) => "E",
            Some(Some(Phase::Blocked)) => "B",
        }
    }

    #[test]
    fn every_event_in_every_phase_leads_where_the_table_says() {
        for (event, row) in TABLE {
            let led: Vec<_> = PHASES.iter().map(|from| letter(after(*from, event))).collect();
            assert_eq!(led.join(" "), row, "{event:?}");
        }
    }

    #[test]
    fn a_pod_becomes_a_friend_by_two_yeses_alone() {
        for (event, _) in TABLE {
            for from in PHASES {
                if after(from, event) == Some(Some(Phase::Friends)) {
                    assert_eq!((from, event), (Some(Phase::Asking), Event::BothSaidYes));
                }
            }
        }
    }
}
