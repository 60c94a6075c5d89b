//! Which copies there should be, which there are, and which is fetched next. Pure: lists and time are handed in.
//!
//! A copy goes through these phases, and may be dropped in any:
//!
//! | phase | ends by |
//! |---|---|
//! | waiting | its turn ([`Mirrors::next`]) |
//! | fetching | whole, or something in the way ([`Mirrors::fetched`]) |
//! | stuck | the time of its next try |
//! | whole | – |

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::{Duration, Instant};

use seedpod_protocol::ids::{InfoHash, PodId, VideoId};

use super::messages::{Bucket, BudgetEntry, Budgets, CopyEntry, CopyState, Kept};
use crate::library::MediaName;

/// Copies fetched at once.
pub(super) const FETCHES_MAX: usize = 2;
/// Most videos chosen by hand.
pub(super) const BY_HAND_MAX: usize = 10_000;
/// Most copies in all.
const COPIES_MAX: usize = 20_000;
/// The wait before a copy that could not be fetched is tried again; it doubles up to [`RETRY_CEILING`].
const RETRY: Duration = Duration::from_secs(3);
const RETRY_CEILING: Duration = Duration::from_secs(600);

/// One file of a video.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CopyFile {
    pub(super) name: MediaName,
    pub(super) info_hash: InfoHash,
    pub(super) size: u64,
}

/// A video that may be kept, as the lists of the network have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wish {
    pub(super) video: VideoId,
    pub(super) origin: PodId,
    /// Host of the origin.
    pub(super) host: String,
    pub(super) title: String,
    pub(super) files: Vec<CopyFile>,
}

impl Wish {
    /// Bytes of all files.
    pub(super) fn size(&self) -> u64 {
        self.files
            .iter()
            .fold(0, |sum, file| sum.saturating_add(file.size))
    }
}

impl Wish {
    fn entry(&self, bucket: Bucket, state: CopyState, held: u64) -> CopyEntry {
        CopyEntry {
            video: self.video,
            name: self.title.clone(),
            origin: self.origin,
            host: self.host.clone(),
            bucket,
            state,
            size: self.size(),
            held,
        }
    }
}

/// What the lists of the network say now.
#[derive(Debug, Clone, Default)]
pub(super) struct Seen {
    /// Friends that were let go because they cannot be reached: their copies stay as they are.
    pub(super) let_go: HashSet<PodId>,
    /// What each bucket would keep, first things first.
    pub(super) wishes: BTreeMap<Bucket, Vec<Wish>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Phase {
    Waiting,
    Fetching,
    Stuck { why: String, until: Instant },
    Whole,
}

/// A copy that is kept, or on its way.
#[derive(Debug, Clone)]
pub(super) struct Copy {
    pub(super) wish: Wish,
    pub(super) bucket: Bucket,
    /// Whether the network was told of it.
    pub(super) announced: bool,
    /// Whether it is being told, or was: if the copy goes, that has to be taken back.
    telling: bool,
    /// Its row could not be written.
    unwritten: bool,
    phase: Phase,
    failures: u32,
}

impl Copy {
    fn entry(&self, held: impl Fn(&VideoId) -> u64) -> CopyEntry {
        let size = self.wish.size();
        let (state, held) = match &self.phase {
            Phase::Waiting => (CopyState::Waiting, held(&self.wish.video)),
            Phase::Fetching => (CopyState::Fetching, held(&self.wish.video)),
            Phase::Stuck { why, .. } => (CopyState::Stuck(why.clone()), held(&self.wish.video)),
            Phase::Whole => (CopyState::Whole, size),
        };
        self.wish.entry(self.bucket, state, held.min(size))
    }
}

/// An order to the shell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Effect {
    /// Write down that there is, or shall be, this copy.
    Remember(VideoId),
    /// Let peers have a copy: all of it is here.
    Serve(VideoId),
    /// Tell the network that a copy is whole.
    Announce(VideoId),
    /// Stop fetching, let peers have it no more, take back the offer if there was one or may be, forget the row, and only then
    /// delete the files: nobody is led to what is not there.
    Drop {
        video: VideoId,
        announced: bool,
        files: Vec<CopyFile>,
    },
}

/// Why a fetch came to nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Trouble {
    /// The disk has no room for it.
    NoRoom,
    /// None of the sources gave it; in words, what the last one said.
    NoSource(String),
    /// The disk failed.
    Disk(String),
    /// It was not wanted any more.
    Stopped,
}

#[derive(Debug)]
pub(super) struct Mirrors {
    defaults: Budgets,
    set: BTreeMap<Bucket, u64>,
    by_hand: BTreeSet<VideoId>,
    copies: BTreeMap<VideoId, Copy>,
    /// Chosen, but too large for their budgets.
    too_large: Vec<(Bucket, Wish)>,
    /// Dropped, and their files not yet deleted.
    leaving: HashSet<VideoId>,
}

impl Mirrors {
    pub(super) fn new(defaults: Budgets) -> Self {
        Self {
            defaults,
            set: BTreeMap::new(),
            by_hand: BTreeSet::new(),
            copies: BTreeMap::new(),
            too_large: Vec::new(),
            leaving: HashSet::new(),
        }
    }

    /// Takes in a copy that was written down.
    pub(super) fn restore(&mut self, wish: Wish, bucket: Bucket, announced: bool) {
        let copy = Copy {
            bucket,
            announced,
            telling: announced,
            unwritten: false,
            // Whether all of it is there shows when it is looked at.
            phase: Phase::Waiting,
            failures: 0,
            wish,
        };
        self.copies.insert(copy.wish.video, copy);
    }

    pub(super) fn set_budget(&mut self, bucket: Bucket, bytes: Option<u64>) -> Option<u64> {
        match bytes {
            Some(bytes) => self.set.insert(bucket, bytes),
            None => self.set.remove(&bucket),
        }
    }

    /// The buckets that may keep anything, in the order in which they choose.
    pub(super) fn buckets(&self) -> Vec<(Bucket, u64)> {
        let set = |bucket, default| self.set.get(&bucket).copied().unwrap_or(default);
        let friends = self
            .set
            .iter()
            .filter(|(bucket, _)| matches!(bucket, Bucket::Friend(_)));
        let mut buckets = vec![(Bucket::Hand, set(Bucket::Hand, self.defaults.by_hand))];
        buckets.extend(friends.map(|(bucket, bytes)| (*bucket, *bytes)));
        buckets.push((
            Bucket::MostViewed,
            set(Bucket::MostViewed, self.defaults.most_viewed),
        ));
        buckets
    }

    pub(super) fn by_hand(&self) -> &BTreeSet<VideoId> {
        &self.by_hand
    }

    pub(super) fn choose(&mut self, video: VideoId) {
        self.by_hand.insert(video);
    }

    pub(super) fn unchoose(&mut self, video: &VideoId) -> bool {
        self.by_hand.remove(video)
    }

    pub(super) fn copy(&self, video: &VideoId) -> Option<&Copy> {
        self.copies.get(video)
    }

    pub(super) fn copies(&self) -> impl Iterator<Item = &Copy> {
        self.copies.values()
    }

    /// Decides anew what to keep.
    pub(super) fn plan(&mut self, seen: Seen) -> Vec<Effect> {
        let mut chosen: BTreeMap<VideoId, (Bucket, Wish)> = BTreeMap::new();
        let mut used: BTreeMap<Bucket, u64> = BTreeMap::new();
        // What is kept of those that were let go is in no list, and stays as long as it is wanted and has room.
        let limits: BTreeMap<Bucket, u64> = self.buckets().into_iter().collect();
        for copy in self.copies.values() {
            let wanted = copy.bucket != Bucket::Hand || self.by_hand.contains(&copy.wish.video);
            let of_bucket = used.entry(copy.bucket).or_default();
            let with_it = of_bucket.saturating_add(copy.wish.size());
            let fits = limits.get(&copy.bucket).is_some_and(|limit| with_it <= *limit);
            if seen.let_go.contains(&copy.wish.origin) && wanted && fits {
                *of_bucket = with_it;
                chosen.insert(copy.wish.video, (copy.bucket, copy.wish.clone()));
            }
        }
        self.too_large.clear();
        for (bucket, limit) in self.buckets() {
            for wish in seen.wishes.get(&bucket).into_iter().flatten() {
                if chosen.contains_key(&wish.video) || chosen.len() >= COPIES_MAX {
                    continue;
                }
                let used = used.entry(bucket).or_default();
                let with_it = used.saturating_add(wish.size());
                if with_it <= limit {
                    *used = with_it;
                    chosen.insert(wish.video, (bucket, wish.clone()));
                } else if bucket == Bucket::Hand {
                    self.too_large.push((bucket, wish.clone()));
                }
            }
        }
        self.too_large
            .retain(|(_, wish)| !chosen.contains_key(&wish.video));

        let mut effects = Vec::new();
        let unwanted = |video: &VideoId, copy: &Copy| {
            let wanted = chosen.get(video);
            wanted.is_none_or(|(_, wish)| wish.files != copy.wish.files)
        };
        let gone: Vec<VideoId> = self
            .copies
            .iter()
            .filter(|(video, copy)| unwanted(video, copy))
            .map(|(video, _)| *video)
            .collect();
        effects.extend(gone.into_iter().filter_map(|video| self.drop_copy(video)));
        for (video, (bucket, wish)) in chosen {
            match self.copies.get_mut(&video) {
                Some(copy) if copy.bucket == bucket && copy.wish == wish => {}
                Some(copy) => {
                    (copy.bucket, copy.wish) = (bucket, wish);
                    effects.push(Effect::Remember(video));
                }
                None => {
                    self.restore(wish, bucket, false);
                    // One that comes again at once is written down after its former row is gone.
                    if !self.leaving.contains(&video) {
                        effects.push(Effect::Remember(video));
                    }
                }
            }
        }
        // What could not be written or told before is tried again.
        for (video, copy) in &mut self.copies {
            if std::mem::take(&mut copy.unwritten) && !self.leaving.contains(video) {
                effects.push(Effect::Remember(*video));
            }
            if copy.phase == Phase::Whole && !copy.announced {
                copy.telling = true;
                effects.push(Effect::Announce(*video));
            }
        }
        effects
    }

    /// The row of a copy could not be written: the next plan tries again.
    pub(super) fn unwritten(&mut self, video: &VideoId) {
        if let Some(copy) = self.copies.get_mut(video) {
            copy.unwritten = true;
        }
    }

    fn drop_copy(&mut self, video: VideoId) -> Option<Effect> {
        let copy = self.copies.remove(&video)?;
        self.leaving.insert(video);
        Some(Effect::Drop {
            video,
            announced: copy.telling,
            files: copy.wish.files,
        })
    }

    /// The files of a dropped copy are deleted; it may be fetched again.
    pub(super) fn dropped(&mut self, video: &VideoId) -> Option<Effect> {
        self.leaving.remove(video);
        self.copies
            .contains_key(video)
            .then_some(Effect::Remember(*video))
    }

    /// The copy to fetch now, if one may be: chosen ones first.
    pub(super) fn next(&mut self, now: Instant) -> Option<Wish> {
        let fetching = self
            .copies
            .values()
            .filter(|copy| copy.phase == Phase::Fetching)
            .count();
        if fetching >= FETCHES_MAX {
            return None;
        }
        let leaving = &self.leaving;
        let ready = |copy: &&mut Copy| match &copy.phase {
            Phase::Waiting => !leaving.contains(&copy.wish.video),
            Phase::Stuck { until, .. } => *until <= now,
            Phase::Fetching | Phase::Whole => false,
        };
        let next = self
            .copies
            .values_mut()
            .filter(ready)
            .min_by_key(|copy| copy.bucket)?;
        next.phase = Phase::Fetching;
        Some(next.wish.clone())
    }

    /// A fetch has ended.
    pub(super) fn fetched(
        &mut self,
        video: &VideoId,
        outcome: Result<(), Trouble>,
        now: Instant,
    ) -> Vec<Effect> {
        let fetched = self.copies.get_mut(video);
        let Some(copy) = fetched.filter(|copy| copy.phase == Phase::Fetching) else {
            return Vec::new();
        };
        let why = match outcome {
            Ok(()) => {
                copy.phase = Phase::Whole;
                copy.failures = 0;
                copy.telling = true;
                let announce = (!copy.announced).then_some(Effect::Announce(*video));
                return [Effect::Serve(*video)].into_iter().chain(announce).collect();
            }
            Err(Trouble::Stopped) => {
                copy.phase = Phase::Waiting;
                return Vec::new();
            }
            Err(Trouble::NoRoom) => "there is no room left on the disk".to_owned(),
            Err(Trouble::NoSource(why)) => why,
            Err(Trouble::Disk(why)) => format!("the disk failed: {why}"),
        };
        let doubled = RETRY.saturating_mul(1 << copy.failures.min(16));
        copy.failures = copy.failures.saturating_add(1);
        let until = now + doubled.min(RETRY_CEILING);
        copy.phase = Phase::Stuck { why, until };
        Vec::new()
    }

    /// The network was told of a copy.
    pub(super) fn announced(&mut self, video: &VideoId) {
        if let Some(copy) = self.copies.get_mut(video) {
            copy.announced = true;
        }
    }

    /// What stands in the way of a copy may be gone: it is tried at once.
    pub(super) fn hurry(&mut self) {
        for copy in self.copies.values_mut() {
            if let Phase::Stuck { .. } = copy.phase {
                copy.phase = Phase::Waiting;
                copy.failures = 0;
            }
        }
    }

    /// All copies, those that found no room in their budgets last. `held` says how many bytes of one are here.
    pub(super) fn list(&self, held: impl Fn(&VideoId) -> u64) -> Vec<CopyEntry> {
        let mut list: Vec<CopyEntry> = self.copies.values().map(|copy| copy.entry(&held)).collect();
        list.sort_by(|one, other| (&one.name, one.video).cmp(&(&other.name, other.video)));
        list.extend(
            self.too_large
                .iter()
                .map(|(bucket, wish)| wish.entry(*bucket, CopyState::OverBudget, 0)),
        );
        list
    }

    /// Whether and how one video is kept.
    pub(super) fn kept(&self, video: &VideoId, held: impl Fn(&VideoId) -> u64) -> Kept {
        let too_large = || {
            let (bucket, wish) = self.too_large.iter().find(|(_, wish)| wish.video == *video)?;
            Some(wish.entry(*bucket, CopyState::OverBudget, 0))
        };
        let copy = self.copies.get(video).map(|copy| copy.entry(held));
        Kept {
            by_hand: self.by_hand.contains(video),
            copy: copy.or_else(too_large),
        }
    }

    /// All budgets. `host` names a friend.
    pub(super) fn budgets(&self, host: impl Fn(&PodId) -> Option<String>) -> Vec<BudgetEntry> {
        let used = |bucket| {
            let of_it = self.copies.values().filter(|copy| copy.bucket == bucket);
            of_it.fold(0_u64, |sum, copy| sum.saturating_add(copy.wish.size()))
        };
        let entry = |(bucket, limit)| BudgetEntry {
            bucket,
            host: match &bucket {
                Bucket::Friend(pod) => host(pod),
                _ => None,
            },
            limit,
            used: used(bucket),
            is_set: self.set.contains_key(&bucket),
        };
        self.buckets().into_iter().map(entry).collect()
    }

    /// Whole copies, and bytes of them.
    pub(super) fn totals(&self) -> (usize, u64) {
        let whole = self.copies.values().filter(|copy| copy.phase == Phase::Whole);
        whole.fold((0, 0), |(count, bytes), copy| {
            (count + 1, bytes + copy.wish.size())
        })
    }
}

#[cfg(test)]
mod tests;
