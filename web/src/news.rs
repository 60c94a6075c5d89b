//! What changes while somebody looks, as short hints: a page that hears one asks again for what it shows.
//!
//! One [`News`] serves all listeners. The catalog tells it of records, a task of its own looks at the friend list while
//! anybody listens, and each listener reads from one shared ring of fixed size: a listener that falls behind by a whole
//! ring is let go, and learns on its return that something changed. A hint names public videos alone. One about an
//! unlisted video goes to its owner only, and one about a withdrawn video names none.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use actix::{Actor, Context, Handler};
use seedpod_actors::catalog::messages::{Change, Changed, HeldRecord, Subscribe};
use seedpod_actors::comments::messages::{CommentsChanged, FollowComments};
use seedpod_actors::friends::messages::{FriendEntry, ListPods};
use seedpod_actors::mirrors::messages::{CopyEntry, ListMirrors};
use seedpod_actors::places::{Limits, Place, Places};
use seedpod_protocol::envelope::{Kind, State};
use seedpod_protocol::ids::{PodId, Timestamp, VideoId};
use seedpod_protocol::records::{Privacy, Record};
use tokio::sync::broadcast;

use crate::site::{Site, ask, now};

/// Listeners at once. Those of one address share its browsers' six connections, so more of them is nobody's wish.
const LISTENERS: Limits = Limits {
    total: 4096,
    per_address: 64,
};
/// Hints that a listener may be behind.
const RING: usize = 256;
/// More hints out of one batch of changes are one: look again.
const MAX_HINTS: usize = 32;
/// A video that arrived within this time is new, one that arrived before has changed.
const NEW: Duration = Duration::from_secs(60);
/// How often the friend list is looked at while anybody listens.
const LOOK: Duration = Duration::from_secs(2);

/// Something changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Hint {
    /// A video did.
    Video(VideoHint),
    /// Somebody wrote, deleted or hid a comment about a video, or shows it again.
    Comments(VideoId),
    /// A friend came, left, or is in another state; or a copy of a friend's video got further.
    Friends,
    /// Much at once.
    Look,
}

/// What changed about a video.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct VideoHint {
    /// Which; `None` where its id is nobody's business.
    pub(crate) id: Option<VideoId>,
    pub(crate) what: VideoChange,
    pub(crate) is_local: bool,
    /// The user of this pod who alone may hear of it; `None` means everybody may.
    pub(crate) only_for: Option<Arc<str>>,
}

/// What became of a video.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum VideoChange {
    /// It is new here.
    Published,
    /// It says something else now.
    Changed,
    /// It is gone.
    Removed,
}

/// A hint and its number.
#[derive(Debug, Clone)]
pub(crate) struct Item {
    pub(crate) number: u64,
    pub(crate) hint: Hint,
}

/// Where hints come in and listeners go out from; clones share it.
#[derive(Clone)]
pub(crate) struct News {
    ring: broadcast::Sender<Item>,
    /// The number of the last hint; held while one is sent, so that numbers go out in order.
    last: Arc<Mutex<u64>>,
    /// Tells the numbers of this run from those of another.
    run: u64,
    places: Places,
}

/// One listener; gives its place back when dropped.
pub(crate) struct Listener {
    pub(crate) hints: broadcast::Receiver<Item>,
    /// The number of the last hint before those.
    pub(crate) since: u64,
    _place: Place,
}

impl News {
    pub(crate) fn new(run: Timestamp, trusted_proxies: &[IpAddr]) -> Self {
        Self {
            ring: broadcast::Sender::new(RING),
            last: Arc::default(),
            run: run.as_millis(),
            places: Places::new(LISTENERS, trusted_proxies),
        }
    }

    /// A listener for somebody at this address; `None` when there is no place left.
    pub(crate) fn listen(&self, client: IpAddr) -> Option<Listener> {
        let place = self.places.take(client)?;
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        Some(Listener {
            hints: self.ring.subscribe(),
            since: *last,
            _place: place,
        })
    }

    pub(crate) fn tell(&self, hint: Hint) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        *last += 1;
        // Without listeners there is nobody to tell, and a page that asks later sees the number.
        let _ = self.ring.send(Item { number: *last, hint });
    }

    /// The name of a moment: what a page was written at, or a listener heard last.
    pub(crate) fn moment(&self, number: u64) -> String {
        format!("{:x}-{number}", self.run)
    }

    /// The name of this moment.
    pub(crate) fn present(&self) -> String {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        self.moment(*last)
    }
}

/// What the changes of the catalog mean to who looks at `me`'s pages.
fn hints(changes: &[Change], me: PodId, now: Timestamp) -> Vec<Hint> {
    let mut hints = Vec::new();
    for change in changes {
        let hint = match change {
            Change::Head(held) => match held.record.header().kind {
                Kind::VIDEO => video_hint(held, me, now).map(Hint::Video),
                Kind::CHANNEL | Kind::PROFILE => Some(Hint::Look),
                Kind::FRIENDSHIP => Some(Hint::Friends),
                _ => None,
            },
            Change::AuthorGone(_) | Change::AuthorHidden(_) => Some(Hint::Look),
        };
        hints.extend(hint.filter(|hint| !hints.contains(hint)));
        if hints.len() > MAX_HINTS {
            return vec![Hint::Look];
        }
    }
    hints
}

fn video_hint(held: &HeldRecord, me: PodId, now: Timestamp) -> Option<VideoHint> {
    let header = held.record.header();
    let is_local = header.author == me;
    let id = VideoId::try_from(header.object).ok()?;
    let hint = |id, what, only_for| VideoHint {
        id,
        what,
        is_local,
        only_for,
    };
    match (header.state, held.record.payload()) {
        (State::Live, Record::Video(video)) => {
            let age = now.as_millis().saturating_sub(held.received_at.as_millis());
            let what = if u128::from(age) < NEW.as_millis() {
                VideoChange::Published
            } else {
                VideoChange::Changed
            };
            match video.privacy {
                Privacy::Public => Some(hint(Some(id), what, None)),
                Privacy::Unlisted if is_local => {
                    Some(hint(Some(id), what, Some(video.owner.as_str().into())))
                }
                Privacy::Unlisted => None,
            }
        }
        (State::Live, _) => None,
        // It may have been unlisted, and it may come back: its id is not told.
        (State::Withdrawn, _) => Some(hint(None, VideoChange::Removed, None)),
        (State::Removed, _) => Some(hint(Some(id), VideoChange::Removed, None)),
    }
}

/// Hears of the catalog's changes.
pub(crate) struct Reporter {
    news: News,
    me: PodId,
}

impl Reporter {
    pub(crate) fn new(news: News, me: PodId) -> Self {
        Self { news, me }
    }
}

impl Actor for Reporter {
    type Context = Context<Self>;
}

impl Handler<Changed> for Reporter {
    type Result = ();

    fn handle(&mut self, changed: Changed, _: &mut Context<Self>) {
        for hint in hints(&changed.changes, self.me, now()) {
            self.news.tell(hint);
        }
    }
}

impl Handler<CommentsChanged> for Reporter {
    type Result = ();

    fn handle(&mut self, CommentsChanged(videos): CommentsChanged, _: &mut Context<Self>) {
        if videos.len() > MAX_HINTS {
            return self.news.tell(Hint::Look);
        }
        for video in videos {
            self.news.tell(Hint::Comments(video));
        }
    }
}

/// Follows the catalog and the friend list until the site stops.
pub(crate) async fn follow(site: Site, reporter: actix::Addr<Reporter>) {
    let subscribe = Subscribe(reporter.clone().recipient());
    let follow = FollowComments(reporter.recipient());
    let comments = ask(&site.rooms().comments, follow).await;
    if ask(&site.rooms().catalog, subscribe).await.and(comments).is_err() {
        tracing::warn!("pages will not hear of changes: a room does not answer");
        return;
    }
    let news = site.news();
    let seen = AtomicU64::new(0);
    let watch = async {
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            look.tick().await;
            if news.ring.receiver_count() == 0 {
                continue;
            }
            let Ok(pods) = ask(&site.rooms().friends, ListPods).await else {
                continue;
            };
            let Ok(mirrors) = ask(&site.rooms().mirrors, ListMirrors).await else {
                continue;
            };
            let now = fingerprint(&pods, &mirrors.copies);
            if seen.swap(now, Ordering::Relaxed) != now {
                news.tell(Hint::Friends);
            }
        }
    };
    tokio::select! {
        () = watch => {}
        () = site.stopping().cancelled() => {}
    }
}

/// What, when it changes, is worth another look at the friend list and at copies of friends' videos.
fn fingerprint(pods: &[FriendEntry], copies: &[CopyEntry]) -> u64 {
    let mut hasher = DefaultHasher::new();
    for pod in pods {
        (pod.number, &pod.host, pod.phase, pod.score).hash(&mut hasher);
        (pod.connected, pod.in_sync, &pod.trouble).hash(&mut hasher);
    }
    for copy in copies {
        (copy.video, copy.held, copy.state.word()).hash(&mut hasher);
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
    use super::*;
    use seedpod_protocol::envelope::{Draft, Epoch, Stamp};
    use seedpod_protocol::ids::{ChannelId, InfoHash, ObjectId};
    use seedpod_protocol::keys::PodKey;
    use seedpod_protocol::records::{Video, VideoFile};

    const NOW: Timestamp = Timestamp::from_millis(1_795_348_800_000);
    const LONG_AGO: Timestamp = Timestamp::from_millis(1_795_000_000_000);

    fn key(seed: u8) -> PodKey {
        PodKey::from_seed(&[seed; 32])
    }

    fn video(nonce: u8, privacy: Privacy) -> Record {
        let file = VideoFile {
            info_hash: InfoHash::from_bytes([nonce; 20]),
            size: 1000,
            resolution: 240,
            width: 320,
            height: 240,
            fps: 25,
            extension: "mp4".into(),
            piece_length: 16 * 1024,
        };
        Record::Video(Video {
            nonce: [nonce; 16],
            channel: ChannelId::derive(&key(1).id(), &[7; 16]),
            owner: "root".into(),
            name: "A clip".into(),
            description: None,
            category: None,
            licence: None,
            language: None,
            nsfw: false,
            tags: vec![],
            support: None,
            comments_enabled: true,
            download_enabled: true,
            privacy,
            duration: 1,
            created_at: NOW,
            published_at: NOW,
            updated_at: NOW,
            originally_published_at: None,
            thumbnail: None,
            preview: None,
            files: vec![file],
        })
    }

    fn held(draft: Draft, received_at: Timestamp) -> Change {
        let epoch = Epoch {
            counter: 1,
            tag: [0; 8],
        };
        let record = draft.sign(&key(1), Stamp { epoch, seq: 1 }).unwrap();
        Change::Head(HeldRecord {
            record,
            number: 1,
            received_at,
            via: key(1).id(),
        })
    }

    fn live(nonce: u8, privacy: Privacy, received_at: Timestamp) -> Change {
        held(
            Draft::live(&key(1).id(), video(nonce, privacy)).unwrap(),
            received_at,
        )
    }

    fn object(nonce: u8) -> ObjectId {
        Draft::live(&key(1).id(), video(nonce, Privacy::Public))
            .unwrap()
            .object
    }

    fn only(change: Change, me: u8) -> Option<VideoHint> {
        match hints(&[change], key(me).id(), NOW).as_slice() {
            [] => None,
            [Hint::Video(hint)] => Some(hint.clone()),
            more => panic!("{more:?}"),
        }
    }

    #[test]
    fn a_public_video_is_told_to_all_and_new_only_once() {
        let hint = only(live(3, Privacy::Public, NOW), 1).unwrap();
        assert_eq!(
            (hint.what, hint.is_local, hint.only_for),
            (VideoChange::Published, true, None)
        );
        let hint = only(live(3, Privacy::Public, LONG_AGO), 2).unwrap();
        assert_eq!((hint.what, hint.is_local), (VideoChange::Changed, false));
        assert_eq!(hint.id, VideoId::try_from(object(3)).ok());
    }

    #[test]
    fn an_unlisted_video_is_told_to_its_owner_alone() {
        let hint = only(live(3, Privacy::Unlisted, NOW), 1).unwrap();
        assert_eq!(hint.only_for.as_deref(), Some("root"));
        assert_eq!(
            only(live(3, Privacy::Unlisted, NOW), 2),
            None,
            "a user of another pod is nobody here"
        );
    }

    #[test]
    fn a_video_that_may_come_back_is_not_named() {
        let withdrawn = held(Draft::withdrawn(Kind::VIDEO, object(3)), NOW);
        let hint = only(withdrawn, 1).unwrap();
        assert_eq!((hint.id, hint.what), (None, VideoChange::Removed));
        let removed = held(Draft::removed(Kind::VIDEO, object(3)), NOW);
        assert!(only(removed, 1).unwrap().id.is_some());
    }

    #[test]
    fn a_flood_of_changes_is_one_hint() {
        let flood: Vec<_> = (0..100).map(|nonce| live(nonce, Privacy::Public, NOW)).collect();
        assert_eq!(hints(&flood, key(1).id(), NOW), vec![Hint::Look]);
        assert_eq!(
            hints(&[Change::AuthorGone(key(2).id())], key(1).id(), NOW),
            vec![Hint::Look]
        );
    }

    #[test]
    fn hints_are_numbered_and_one_address_has_so_many_ears() {
        let news = News::new(NOW, &[]);
        let before = news.present();
        let client = "192.0.2.1".parse().unwrap();
        let mut listeners: Vec<_> = std::iter::from_fn(|| news.listen(client)).collect();
        assert_eq!(listeners.len(), LISTENERS.per_address);
        assert!(news.listen("192.0.2.2".parse().unwrap()).is_some());
        news.tell(Hint::Friends);
        let listener = listeners.first_mut().unwrap();
        assert_eq!(news.moment(listener.since), before);
        let item = listener.hints.try_recv().unwrap();
        assert_eq!(news.moment(item.number), news.present());
        listeners.clear();
        assert_eq!(news.listen(client).unwrap().since, 1, "places are given back");
    }

    #[test]
    fn who_is_a_ring_behind_is_told_so() {
        let news = News::new(NOW, &[]);
        let mut listener = news.listen("192.0.2.1".parse().unwrap()).unwrap();
        for _ in 0..=RING {
            news.tell(Hint::Look);
        }
        assert!(matches!(
            listener.hints.try_recv(),
            Err(broadcast::error::TryRecvError::Lagged(_))
        ));
    }
}
