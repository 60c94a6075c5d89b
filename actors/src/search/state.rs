//! What is shown of the catalog. Pure; follows changes one at a time.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use seedpod_protocol::envelope::{Kind, State};
use seedpod_protocol::ids::{ChannelId, InfoHash, PodId, VideoId};
use seedpod_protocol::records::{Channel, Privacy, Profile, Record, Video};

use super::messages::{
    ChannelEntry, ChannelKey, Page, Sort, SortKey, Totals, VideoEntry, VideoFilter, VideoKey,
};
use crate::catalog::messages::HeldRecord;

/// Most rows of one page, whatever is asked for.
const MAX_PAGE: usize = 100;

/// Everything people may see.
#[derive(Debug)]
pub(crate) struct ReadModel {
    me: PodId,
    videos: HashMap<VideoId, Shown>,
    numbers: HashMap<u64, VideoId>,
    torrents: HashMap<InfoHash, VideoId>,
    /// Public videos in each order.
    orders: HashMap<SortKey, BTreeSet<(Place, VideoId)>>,
    channels: HashMap<ChannelId, Arc<ChannelEntry>>,
    profiles: HashMap<PodId, Arc<Profile>>,
    /// Live videos that came before their channel or their origin's profile: without these there is no address to
    /// give people, so they are shown when all is here.
    waiting: HashMap<VideoId, HeldRecord>,
    local_videos: usize,
    local_bytes: u64,
}

/// A video and the text that a search looks through.
#[derive(Debug)]
struct Shown {
    entry: Arc<VideoEntry>,
    haystack: String,
}

/// Where a video stands in an order.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Number(u64),
    Text(String),
}

const SORT_KEYS: [SortKey; 4] = [
    SortKey::Name,
    SortKey::Duration,
    SortKey::CreatedAt,
    SortKey::PublishedAt,
];

impl ReadModel {
    pub(crate) fn new(me: PodId) -> Self {
        Self {
            me,
            videos: HashMap::new(),
            numbers: HashMap::new(),
            torrents: HashMap::new(),
            orders: SORT_KEYS.into_iter().map(|key| (key, BTreeSet::new())).collect(),
            channels: HashMap::new(),
            profiles: HashMap::new(),
            waiting: HashMap::new(),
            local_videos: 0,
            local_bytes: 0,
        }
    }

    /// Takes the new head of a register. What is not live is no longer shown.
    pub(crate) fn apply(&mut self, held: &HeldRecord) {
        let header = held.record.header();
        let live = header.state == State::Live;
        match held.record.payload() {
            Record::Video(video) if live => {
                if let Ok(id) = VideoId::try_from(header.object) {
                    self.show_video(id, held, video.clone());
                }
            }
            Record::Channel(channel) if live => {
                if let Ok(id) = ChannelId::try_from(header.object) {
                    self.show_channel(id, held, channel.clone());
                }
            }
            Record::Profile(profile) if live => self.show_profile(header.author, profile.clone()),
            _ if live => {}
            _ => self.hide(held),
        }
    }

    /// Forgets everything of an author.
    pub(crate) fn forget_author(&mut self, author: &PodId) {
        let of_author = |(id, shown): (&VideoId, &Shown)| (shown.entry.origin == *author).then_some(*id);
        let videos: Vec<VideoId> = self.videos.iter().filter_map(of_author).collect();
        for id in videos {
            self.hide_video(&id);
        }
        self.waiting
            .retain(|_, held| held.record.header().author != *author);
        self.channels.retain(|_, channel| channel.origin != *author);
        self.profiles.remove(author);
    }

    pub(crate) fn video(&self, key: VideoKey) -> Option<Arc<VideoEntry>> {
        let id = match key {
            VideoKey::Id(id) => id,
            VideoKey::Number(number) => *self.numbers.get(&number)?,
        };
        self.videos.get(&id).map(|shown| Arc::clone(&shown.entry))
    }

    pub(crate) fn video_with(&self, info_hash: &InfoHash) -> Option<Arc<VideoEntry>> {
        self.video(VideoKey::Id(*self.torrents.get(info_hash)?))
    }

    pub(crate) fn videos(
        &self,
        filter: &VideoFilter,
        sort: Sort,
        start: usize,
        count: usize,
    ) -> Page<Arc<VideoEntry>> {
        let count = count.min(MAX_PAGE);
        let everything = filter.is_everything();
        let filter = Prepared::new(filter);
        if let Some(owner) = filter.filter.owner.as_deref() {
            return self.videos_of(owner, &filter, sort, start, count);
        }
        let Some(order) = self.orders.get(&sort.key) else {
            return Page::default();
        };
        let shown = |(_, id): &(Place, VideoId)| self.videos.get(id).filter(|shown| filter.matches(shown));
        let rows: Box<dyn Iterator<Item = &Shown>> = if sort.descending {
            Box::new(order.iter().rev().filter_map(shown))
        } else {
            Box::new(order.iter().filter_map(shown))
        };
        if everything {
            let rows = rows
                .skip(start)
                .take(count)
                .map(|shown| Arc::clone(&shown.entry))
                .collect();
            return Page {
                total: order.len(),
                rows,
            };
        }
        page(rows, start, count)
    }

    /// A user's own videos, unlisted ones among them; few enough to be sorted when asked.
    fn videos_of(
        &self,
        owner: &str,
        filter: &Prepared<'_>,
        sort: Sort,
        start: usize,
        count: usize,
    ) -> Page<Arc<VideoEntry>> {
        let owned = |shown: &&Shown| {
            shown.entry.is_local && shown.entry.video.owner == owner && filter.matches(shown)
        };
        let mut rows: Vec<&Shown> = self.videos.values().filter(owned).collect();
        rows.sort_by_cached_key(|shown| (place(&shown.entry.video, sort.key), shown.entry.id));
        if sort.descending {
            rows.reverse();
        }
        page(rows.into_iter(), start, count)
    }

    pub(crate) fn channel(&self, key: &ChannelKey) -> Option<Arc<ChannelEntry>> {
        match key {
            ChannelKey::Id(id) => self.channels.get(id).cloned(),
            ChannelKey::Number(number) => self
                .channels
                .values()
                .find(|channel| channel.number == *number)
                .cloned(),
            ChannelKey::Handle { name, host } => self
                .channels
                .values()
                .find(|channel| {
                    channel.channel.name == *name
                        && host
                            .as_deref()
                            .map_or(channel.is_local, |host| channel.host() == Some(host))
                })
                .cloned(),
        }
    }

    pub(crate) fn channels(
        &self,
        owner: Option<&str>,
        start: usize,
        count: usize,
    ) -> Page<Arc<ChannelEntry>> {
        let owned = |channel: &&Arc<ChannelEntry>| {
            owner.is_none_or(|owner| channel.is_local && channel.channel.owner == owner)
        };
        let mut rows: Vec<&Arc<ChannelEntry>> = self.channels.values().filter(owned).collect();
        rows.sort_by_key(|channel| std::cmp::Reverse((channel.channel.created_at, channel.id)));
        Page {
            total: rows.len(),
            rows: rows
                .into_iter()
                .skip(start)
                .take(count.min(MAX_PAGE))
                .cloned()
                .collect(),
        }
    }

    pub(crate) fn profile(&self, pod: &PodId) -> Option<Arc<Profile>> {
        self.profiles.get(pod).cloned()
    }

    pub(crate) fn totals(&self) -> Totals {
        Totals {
            videos: self.orders.get(&SortKey::PublishedAt).map_or(0, BTreeSet::len),
            local_videos: self.local_videos,
            local_bytes: self.local_bytes,
        }
    }

    fn show_video(&mut self, id: VideoId, held: &HeldRecord, video: Video) {
        if self
            .videos
            .get(&id)
            .is_some_and(|shown| shown.entry.record.rank() >= held.record.rank())
        {
            return;
        }
        let origin = held.record.header().author;
        let channel = self
            .channels
            .get(&video.channel)
            .filter(|channel| channel.origin == origin)
            .cloned();
        let profile = self.profiles.get(&origin).cloned();
        if channel.is_none() || profile.is_none() {
            let waits = self
                .waiting
                .get(&id)
                .is_some_and(|waiting| waiting.record.rank() >= held.record.rank());
            if !waits {
                self.waiting.insert(id, held.clone());
            }
            return;
        }
        self.hide_video(&id);
        let entry = VideoEntry {
            id,
            number: held.number,
            origin,
            is_local: origin == self.me,
            channel,
            profile,
            video,
            received_at: held.received_at,
            via: held.via,
            record: held.record.clone(),
        };
        self.numbers.insert(entry.number, id);
        for file in &entry.video.files {
            // Whoever named a torrent first keeps it: a friend cannot take over another's by naming it too.
            self.torrents.entry(file.info_hash).or_insert(id);
        }
        if entry.video.privacy == Privacy::Public {
            for key in SORT_KEYS {
                self.orders
                    .entry(key)
                    .or_default()
                    .insert((place(&entry.video, key), id));
            }
            self.local_videos += usize::from(entry.is_local);
        }
        self.local_bytes += local_bytes(&entry);
        let haystack = haystack(&entry);
        self.videos.insert(
            id,
            Shown {
                entry: Arc::new(entry),
                haystack,
            },
        );
    }

    fn hide_video(&mut self, id: &VideoId) {
        let Some(Shown { entry, .. }) = self.videos.remove(id) else {
            return;
        };
        self.numbers.remove(&entry.number);
        for file in &entry.video.files {
            if self.torrents.get(&file.info_hash) == Some(id) {
                self.torrents.remove(&file.info_hash);
            }
        }
        if entry.video.privacy == Privacy::Public {
            for key in SORT_KEYS {
                self.orders
                    .entry(key)
                    .or_default()
                    .remove(&(place(&entry.video, key), *id));
            }
            self.local_videos -= usize::from(entry.is_local);
        }
        self.local_bytes -= local_bytes(&entry);
    }

    fn show_channel(&mut self, id: ChannelId, held: &HeldRecord, channel: Channel) {
        let origin = held.record.header().author;
        let entry = Arc::new(ChannelEntry {
            id,
            number: held.number,
            origin,
            is_local: origin == self.me,
            channel,
            profile: self.profiles.get(&origin).cloned(),
        });
        self.channels.insert(id, Arc::clone(&entry));
        self.join_again(
            |video| video.origin == origin && video.video.channel == id,
            |video| video.channel = Some(Arc::clone(&entry)),
        );
        self.show_waiting(&origin);
    }

    /// Tries again to show the videos of a pod that waited for a channel or a profile.
    fn show_waiting(&mut self, origin: &PodId) {
        let of_origin = |_: &VideoId, held: &mut HeldRecord| held.record.header().author == *origin;
        let waiting: Vec<_> = self.waiting.extract_if(of_origin).map(|(_, held)| held).collect();
        for held in waiting {
            self.apply(&held);
        }
    }

    fn show_profile(&mut self, author: PodId, profile: Profile) {
        let profile = Arc::new(profile);
        self.profiles.insert(author, Arc::clone(&profile));
        for channel in self
            .channels
            .values_mut()
            .filter(|channel| channel.origin == author)
        {
            let mut joined = ChannelEntry::clone(channel);
            joined.profile = Some(Arc::clone(&profile));
            *channel = Arc::new(joined);
        }
        let channels = self.channels.clone();
        self.join_again(
            |video| video.origin == author,
            |video| {
                video.profile = Some(Arc::clone(&profile));
                video.channel = channels
                    .get(&video.video.channel)
                    .filter(|channel| channel.origin == author)
                    .cloned();
            },
        );
        self.show_waiting(&author);
    }

    /// Takes a withdrawal or removal. It names no nonce, so anybody can sign one for any id: only its author's own
    /// things are hidden.
    fn hide(&mut self, held: &HeldRecord) {
        let header = held.record.header();
        let author = header.author;
        match header.kind {
            Kind::VIDEO => {
                if let Ok(id) = VideoId::try_from(header.object)
                    && self
                        .videos
                        .get(&id)
                        .is_some_and(|shown| shown.entry.origin == author)
                {
                    self.hide_video(&id);
                }
            }
            Kind::CHANNEL => {
                if let Ok(id) = ChannelId::try_from(header.object)
                    && self
                        .channels
                        .get(&id)
                        .is_some_and(|channel| channel.origin == author)
                {
                    self.channels.remove(&id);
                    self.join_again(|video| video.video.channel == id, |video| video.channel = None);
                }
            }
            Kind::PROFILE => {
                self.profiles.remove(&author);
            }
            _ => {}
        }
    }

    /// Refreshes what is joined to videos; channels and profiles change rarely.
    fn join_again(&mut self, which: impl Fn(&VideoEntry) -> bool, how: impl Fn(&mut VideoEntry)) {
        for shown in self.videos.values_mut().filter(|shown| which(&shown.entry)) {
            let mut entry = VideoEntry::clone(&shown.entry);
            how(&mut entry);
            shown.haystack = haystack(&entry);
            shown.entry = Arc::new(entry);
        }
    }

    /// Panics when an invariant is broken.
    #[cfg(test)]
    pub(crate) fn check(&self) {
        let public = self
            .videos
            .values()
            .filter(|shown| shown.entry.video.privacy == Privacy::Public)
            .count();
        for key in SORT_KEYS {
            assert_eq!(
                self.orders[&key].len(),
                public,
                "each public video stands once in each order"
            );
        }
        assert_eq!(self.numbers.len(), self.videos.len());
        let files: usize = self
            .videos
            .values()
            .map(|shown| shown.entry.video.files.len())
            .sum();
        assert!(
            self.torrents.len() <= files,
            "torrents of hidden videos are forgotten"
        );
        let bytes: u64 = self.videos.values().map(|shown| local_bytes(&shown.entry)).sum();
        assert_eq!(bytes, self.local_bytes);
    }
}

fn page<'a>(rows: impl Iterator<Item = &'a Shown>, start: usize, count: usize) -> Page<Arc<VideoEntry>> {
    let mut page = Page::default();
    for shown in rows {
        if page.total >= start && page.rows.len() < count {
            page.rows.push(Arc::clone(&shown.entry));
        }
        page.total += 1;
    }
    page
}

fn local_bytes(entry: &VideoEntry) -> u64 {
    if entry.is_local {
        entry.video.files.iter().map(|file| file.size).sum()
    } else {
        0
    }
}

fn place(video: &Video, key: SortKey) -> Place {
    match key {
        SortKey::Name => Place::Text(video.name.to_lowercase()),
        SortKey::Duration => Place::Number(u64::from(video.duration)),
        SortKey::CreatedAt => Place::Number(video.created_at.as_millis()),
        SortKey::PublishedAt => Place::Number(video.published_at.as_millis()),
    }
}

fn haystack(entry: &VideoEntry) -> String {
    let mut text = entry.video.name.to_lowercase();
    let mut add = |part: &str| {
        text.push('\n');
        text.push_str(&part.to_lowercase());
    };
    entry
        .video
        .description
        .iter()
        .for_each(|description| add(description));
    entry.video.tags.iter().for_each(|tag| add(tag));
    add(&entry.video.owner);
    if let Some(channel) = &entry.channel {
        add(&channel.channel.display_name);
        add(&channel.channel.name);
    }
    entry.host().into_iter().for_each(&mut add);
    text
}

/// A filter with its words in the form in which they are compared.
struct Prepared<'a> {
    filter: &'a VideoFilter,
    words: Vec<String>,
    one_of: Vec<String>,
    all_of: Vec<String>,
}

impl<'a> Prepared<'a> {
    fn new(filter: &'a VideoFilter) -> Self {
        let lower = |tags: &[String]| tags.iter().map(|tag| tag.to_lowercase()).collect::<Vec<_>>();
        Self {
            filter,
            words: filter
                .text
                .iter()
                .flat_map(|text| text.split_whitespace())
                .map(str::to_lowercase)
                .collect(),
            one_of: lower(&filter.tags_one_of),
            all_of: lower(&filter.tags_all_of),
        }
    }

    fn matches(&self, Shown { entry, haystack }: &Shown) -> bool {
        let VideoFilter {
            is_local,
            nsfw,
            categories,
            licences,
            languages,
            host,
            account,
            channel,
            ..
        } = self.filter;
        let video = &entry.video;
        let among = |wanted: &[u16], value: Option<u16>| {
            wanted.is_empty() || value.is_some_and(|value| wanted.contains(&value))
        };
        let tagged = |tag: &String| video.tags.iter().any(|held| held.to_lowercase() == *tag);
        is_local.is_none_or(|local| local == entry.is_local)
            && nsfw.is_none_or(|nsfw| nsfw == video.nsfw)
            && among(categories, video.category)
            && among(licences, video.licence)
            && (languages.is_empty()
                || video
                    .language
                    .as_ref()
                    .is_some_and(|language| languages.contains(language)))
            && channel.is_none_or(|channel| channel == video.channel)
            && account.as_ref().is_none_or(|account| *account == video.owner)
            && host.as_deref().is_none_or(|host| entry.host() == Some(host))
            && (self.one_of.is_empty() || self.one_of.iter().any(tagged))
            && self.all_of.iter().all(tagged)
            && self.words.iter().all(|word| haystack.contains(word.as_str()))
    }
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
