//! What may be asked of the read model.

use std::sync::Arc;

use actix::Message;
use seedpod_protocol::envelope::Verified;
use seedpod_protocol::ids::{ChannelId, InfoHash, PodId, Timestamp, VideoId};
use seedpod_protocol::records::{Channel, Profile, Record, Tally, Video};

/// A video as people see it: its record joined with its channel and its origin's profile.
#[derive(Debug, Clone)]
pub struct VideoEntry {
    /// The video.
    pub id: VideoId,
    /// A small number that names it on this pod only.
    pub number: u64,
    /// The pod whose user published it.
    pub origin: PodId,
    /// Whether this pod is the origin.
    pub is_local: bool,
    /// What its origin says of it.
    pub video: Video,
    /// The channel it is in; absent until the channel's record arrives.
    pub channel: Option<Arc<ChannelEntry>>,
    /// Its origin's profile; absent until that record arrives.
    pub profile: Option<Arc<Profile>>,
    /// Views and ratings on all pods, as its origin sums them up; zeros until it has.
    pub tally: Tally,
    /// When it first arrived here.
    pub received_at: Timestamp,
    /// Which pod handed it over.
    pub via: PodId,
    /// The signed record itself.
    pub record: Verified<Record>,
}

impl VideoEntry {
    /// The host of its origin (`localhost:9001`), once its profile is known.
    pub fn host(&self) -> Option<&str> {
        self.profile.as_deref().map(host_of)
    }
}

/// The host in a pod's public URL.
fn host_of(profile: &Profile) -> &str {
    profile
        .url
        .split_once("://")
        .map_or(profile.url.as_str(), |(_, host)| host)
}

/// A channel as people see it.
#[derive(Debug, Clone)]
pub struct ChannelEntry {
    /// The channel.
    pub id: ChannelId,
    /// A small number that names it on this pod only.
    pub number: u64,
    /// The pod it lives on.
    pub origin: PodId,
    /// Whether this pod is the origin.
    pub is_local: bool,
    /// What its origin says of it.
    pub channel: Channel,
    /// Its origin's profile, as for videos.
    pub profile: Option<Arc<Profile>>,
}

impl ChannelEntry {
    /// The host it lives on, once that pod's profile is known.
    pub fn host(&self) -> Option<&str> {
        self.profile.as_deref().map(host_of)
    }
}

/// One page of a list and how many rows there are in all.
#[derive(Debug, Clone)]
pub struct Page<T> {
    /// Rows that match, on this page or not.
    pub total: usize,
    /// The rows of this page.
    pub rows: Vec<T>,
}

impl<T> Default for Page<T> {
    fn default() -> Self {
        Self {
            total: 0,
            rows: Vec::new(),
        }
    }
}

/// What to sort videos by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SortKey {
    /// Title, without regard to case.
    Name,
    /// Length in seconds.
    Duration,
    /// When the origin created it.
    CreatedAt,
    /// When the origin published it.
    PublishedAt,
    /// How often it was watched.
    Views,
    /// How many people like it.
    Likes,
    /// How many people dislike it.
    Dislikes,
}

/// An order and its direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Sort {
    /// By what.
    pub key: SortKey,
    /// Largest or latest first.
    pub descending: bool,
}

/// Which videos a list shows. The default shows every public one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VideoFilter {
    /// Words that must all occur in the name, description, tags, channel or host, without regard to case.
    pub text: Option<String>,
    /// Only this pod's (true) or only friends' (false).
    pub is_local: Option<bool>,
    /// Only those marked, or only those not marked, as not safe for work.
    pub nsfw: Option<bool>,
    /// Any of these categories; empty means any.
    pub categories: Vec<u16>,
    /// Any of these licences; empty means any.
    pub licences: Vec<u16>,
    /// Any of these languages; empty means any.
    pub languages: Vec<String>,
    /// At least one of these tags; empty means any.
    pub tags_one_of: Vec<String>,
    /// All of these tags.
    pub tags_all_of: Vec<String>,
    /// Only videos of this pod, whatever it calls itself.
    pub origin: Option<PodId>,
    /// Only videos of this host (`localhost:9001`), which any pod may say that it is.
    pub host: Option<String>,
    /// Only videos of this user on this pod, unlisted ones included.
    pub owner: Option<String>,
    /// Only videos of users of this name, on any pod unless `host` or `is_local` says which.
    pub account: Option<String>,
    /// Only videos of this channel.
    pub channel: Option<ChannelId>,
}

impl VideoFilter {
    /// Whether every public video passes.
    pub fn is_everything(&self) -> bool {
        *self == Self::default()
    }
}

/// Asks for a page of videos.
#[derive(Debug, Message)]
#[rtype(result = "Page<Arc<VideoEntry>>")]
pub struct ListVideos {
    /// Which.
    pub filter: VideoFilter,
    /// In which order; ties are broken by id.
    pub sort: Sort,
    /// How many to skip.
    pub start: usize,
    /// How many to give, at most 100.
    pub count: usize,
}

/// Names a video by uuid or by this pod's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VideoKey {
    /// Its id in the network.
    Id(VideoId),
    /// Its number on this pod.
    Number(u64),
}

/// Asks for one live video.
#[derive(Debug, Message)]
#[rtype(result = "Option<Arc<VideoEntry>>")]
pub struct GetVideo(
    /// Which.
    pub VideoKey,
);

/// Asks for the live video that has a file of this info hash.
#[derive(Debug, Message)]
#[rtype(result = "Option<Arc<VideoEntry>>")]
pub struct GetVideoByInfoHash(
    /// The torrent.
    pub InfoHash,
);

/// Asks for one live channel by its handle (`name` on this pod, `name@host` anywhere), id or number.
#[derive(Debug, Message)]
#[rtype(result = "Option<Arc<ChannelEntry>>")]
pub struct GetChannel(
    /// Which.
    pub ChannelKey,
);

/// Names a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChannelKey {
    /// Its id in the network.
    Id(ChannelId),
    /// Its number on this pod.
    Number(u64),
    /// Its handle and, for a friend's, its host.
    Handle {
        /// The handle.
        name: String,
        /// `None` means this pod.
        host: Option<String>,
    },
}

/// Asks for a page of channels, newest first.
#[derive(Debug, Message)]
#[rtype(result = "Page<Arc<ChannelEntry>>")]
pub struct ListChannels {
    /// Only those of this user of this pod.
    pub owner: Option<String>,
    /// How many to skip.
    pub start: usize,
    /// How many to give, at most 100.
    pub count: usize,
}

/// Asks for the profile of a pod whose records are here.
#[derive(Debug, Message)]
#[rtype(result = "Option<Arc<Profile>>")]
pub struct GetProfile(
    /// Which pod.
    pub PodId,
);

/// A pod that keeps a copy of a video and serves it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MirrorEntry {
    /// The pod.
    pub pod: PodId,
    /// Whether it is this one.
    pub is_local: bool,
    /// Its public URL, without a slash at its end: the files are under `/static/webseed/` there.
    pub url: String,
    /// The files it has, each one of the video's: at least one.
    pub info_hashes: Vec<InfoHash>,
}

/// Asks who, besides its origin, offers copies of a live video; in the order of their ids. None for a video that is not shown.
#[derive(Debug, Message)]
#[rtype(result = "Vec<MirrorEntry>")]
pub struct GetMirrors(
    /// The video.
    pub VideoId,
);

/// Totals for the facts on the network page and `server/stats`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Totals {
    /// Public videos of the network.
    pub videos: usize,
    /// Those of this pod.
    pub local_videos: usize,
    /// Bytes of this pod's video files.
    pub local_bytes: u64,
}

/// Asks for the totals.
#[derive(Debug, Message)]
#[rtype(result = "Totals")]
pub struct GetTotals;
