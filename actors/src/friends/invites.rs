//! Invites this pod has made: who may come in by them, and who did.
//!
//! A use is counted once for each pod, in the same step on the disk as our yes to it. Pure.

use std::collections::BTreeMap;

use seedpod_protocol::codec::{self, CodecError};
use seedpod_protocol::ids::{PodId, Timestamp};
pub(crate) use seedpod_protocol::invite::InviteId;
use seedpod_protocol::limits;
use serde::{Deserialize, Serialize};

use super::messages::{FriendsError, InviteEntry, InviteState};

/// Invites that are kept, whatever their state.
pub(crate) const MAX_INVITES: usize = 200;

/// Pods that one invite may let in.
pub(crate) const MAX_USES: u32 = 1_000;

const VERSION: u8 = 1;

/// More than the longest invite can be: its uses are most of it.
const MAX_ROW: usize = 64 * 1024;

/// One invite.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Invite {
    pub(crate) number: u64,
    pub(crate) label: String,
    pub(crate) created: Timestamp,
    pub(crate) expires: Option<Timestamp>,
    pub(crate) uses: u32,
    pub(crate) used_by: Vec<PodId>,
    /// As people hand it on, signed.
    pub(crate) link: String,
}

impl Invite {
    fn state(&self, now: Timestamp) -> InviteState {
        if self.used_by.len() >= self.uses as usize {
            InviteState::UsedUp
        } else if self.expires.is_some_and(|expires| expires <= now) {
            InviteState::Expired
        } else {
            InviteState::Open
        }
    }

    fn shown(&self, now: Timestamp) -> InviteEntry {
        InviteEntry {
            number: self.number,
            label: self.label.clone(),
            link: self.link.clone(),
            created: self.created,
            expires: self.expires,
            uses: self.uses,
            used: u32::try_from(self.used_by.len()).unwrap_or(u32::MAX),
            state: self.state(now),
        }
    }
}

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Invites {
    held: BTreeMap<InviteId, Invite>,
    last_number: u64,
}

impl Invites {
    /// Takes back an invite that an earlier run stored, or takes in a new one.
    pub(crate) fn insert(&mut self, id: InviteId, invite: Invite) {
        self.go_on_from(invite.number);
        self.held.insert(id, invite);
    }

    /// The highest number ever given.
    pub(crate) fn last_number(&self) -> u64 {
        self.last_number
    }

    /// Gives no number up to this one any more.
    pub(crate) fn go_on_from(&mut self, number: u64) {
        self.last_number = self.last_number.max(number);
    }

    /// The number for one more; an error when there are as many as are kept.
    pub(crate) fn next_number(&self) -> Result<u64, FriendsError> {
        if self.held.len() >= MAX_INVITES {
            return Err(FriendsError::TooManyInvites(MAX_INVITES));
        }
        Ok(self.last_number + 1)
    }

    pub(crate) fn get(&self, id: &InviteId) -> Option<&Invite> {
        self.held.get(id)
    }

    /// How many pods came in by one.
    pub(crate) fn uses_of(&self, id: &InviteId) -> usize {
        self.held.get(id).map_or(0, |invite| invite.used_by.len())
    }

    /// Takes one away; nobody comes in by it any more.
    pub(crate) fn revoke(&mut self, number: u64) -> Result<(InviteId, Invite), FriendsError> {
        let found = self.held.iter().find(|(_, invite)| invite.number == number);
        let id = *found.ok_or(FriendsError::UnknownInvite(number))?.0;
        let invite = self.held.remove(&id).ok_or(FriendsError::UnknownInvite(number))?;
        Ok((id, invite))
    }

    /// All of them, newest first.
    pub(crate) fn list(&self, now: Timestamp) -> Vec<InviteEntry> {
        let mut all: Vec<_> = self.held.values().map(|invite| invite.shown(now)).collect();
        all.sort_by_key(|invite| std::cmp::Reverse(invite.number));
        all
    }

    /// Lets a pod in by an invite. Whoever came by it before comes again without a further use.
    pub(crate) fn redeem(&mut self, id: Option<InviteId>, pod: &PodId, now: Timestamp) -> bool {
        let Some(invite) = id.and_then(|id| self.held.get_mut(&id)) else {
            return false;
        };
        if invite.used_by.contains(pod) {
            return true;
        }
        let open = invite.state(now) == InviteState::Open;
        if open {
            invite.used_by.push(*pod);
        }
        open
    }

    /// No friendship came of it after all.
    pub(crate) fn give_back(&mut self, id: &InviteId, pod: &PodId) {
        if let Some(invite) = self.held.get_mut(id) {
            invite.used_by.retain(|used| used != pod);
        }
    }
}

/// Why a stored invite could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InviteRowError {
    #[error("a stored invite has no version")]
    Empty,
    #[error("a stored invite has version {0}, this program knows {VERSION}")]
    Newer(u8),
    #[error("a stored invite is damaged: {0}")]
    Codec(#[from] CodecError),
    #[error("a stored invite has a key that is no id")]
    Key,
}

#[derive(Serialize, Deserialize)]
struct RowV1 {
    number: u64,
    label: String,
    created: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires: Option<Timestamp>,
    uses: u32,
    used_by: Vec<PodId>,
    link: String,
}

pub(crate) fn encode(invite: &Invite) -> Vec<u8> {
    let row = RowV1 {
        number: invite.number,
        label: invite.label.clone(),
        created: invite.created,
        expires: invite.expires,
        uses: invite.uses,
        used_by: invite.used_by.clone(),
        link: invite.link.clone(),
    };
    [&[VERSION], codec::encode(&row).as_slice()].concat()
}

pub(crate) fn decode(key: &[u8], row: &[u8]) -> Result<(InviteId, Invite), InviteRowError> {
    let id = key
        .try_into()
        .map(InviteId::from_bytes)
        .map_err(|_| InviteRowError::Key)?;
    let row: RowV1 = match row.split_first().ok_or(InviteRowError::Empty)? {
        (&VERSION, body) => codec::decode(body, MAX_ROW)?,
        (&found, _) => return Err(InviteRowError::Newer(found)),
    };
    let invite = Invite {
        number: row.number,
        label: row.label,
        created: row.created,
        expires: row.expires,
        uses: row.uses.min(MAX_USES),
        used_by: row.used_by,
        link: row.link,
    };
    Ok((id, invite))
}

/// The longest label, in characters.
pub(crate) const MAX_LABEL: usize = limits::POD_NAME_MAX;

#[cfg(test)]
mod tests {
    use seedpod_protocol::keys::PodKey;

    use super::*;

    const ID: InviteId = InviteId::from_bytes([1; 16]);

    fn pod(seed: u8) -> PodId {
        PodKey::from_seed(&[seed; 32]).id()
    }

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    fn invites(uses: u32) -> Invites {
        let mut invites = Invites::default();
        let invite = Invite {
            number: 1,
            label: "for a neighbour".to_owned(),
            created: at(0),
            expires: Some(at(100)),
            uses,
            used_by: Vec::new(),
            link: "http://localhost:9001/invite#x".to_owned(),
        };
        invites.insert(ID, invite);
        invites
    }

    #[test]
    fn a_use_is_counted_once_for_each_pod() {
        let mut invites = invites(2);
        assert!(invites.redeem(Some(ID), &pod(2), at(1)));
        assert!(
            invites.redeem(Some(ID), &pod(2), at(1)),
            "it lost our answer and asks again"
        );
        assert!(invites.redeem(Some(ID), &pod(3), at(1)));
        assert!(!invites.redeem(Some(ID), &pod(4), at(1)), "used up");
        assert!(
            invites.redeem(Some(ID), &pod(3), at(200)),
            "it was let in already"
        );
        invites.give_back(&ID, &pod(3));
        assert!(
            invites.redeem(Some(ID), &pod(4), at(1)),
            "what came to nothing counts for nothing"
        );
    }

    #[test]
    fn an_invite_that_is_over_lets_nobody_in() {
        let mut expiring = invites(2);
        assert!(!expiring.redeem(Some(ID), &pod(2), at(100)));
        assert!(!expiring.redeem(None, &pod(2), at(1)));
        let (revoked, _) = expiring.revoke(1).expect("there is one");
        assert_eq!(revoked, ID);
        assert_eq!(expiring.next_number().ok(), Some(2), "numbers are used once");
        assert!(!expiring.redeem(Some(ID), &pod(2), at(1)));
        assert!(expiring.revoke(1).is_err());
    }

    #[test]
    fn states_are_told() {
        let mut invites = invites(1);
        assert_eq!(invites.list(at(1))[0].state, InviteState::Open);
        assert_eq!(invites.list(at(100))[0].state, InviteState::Expired);
        invites.redeem(Some(ID), &pod(2), at(1));
        assert_eq!(invites.list(at(100))[0].state, InviteState::UsedUp);
    }

    #[test]
    fn an_invite_is_stored_and_read_back() {
        let mut invites = invites(3);
        invites.redeem(Some(ID), &pod(2), at(1));
        let invite = invites.get(&ID).expect("there is one");
        let (id, read) = decode(ID.as_bytes(), &encode(invite)).expect("readable");
        assert_eq!((id, &read), (ID, invite));
        assert!(decode(ID.as_bytes(), &[9]).is_err());
        assert!(decode(&[1], &encode(invite)).is_err());
    }
}
