//! What is shown of the catalog. Pure; follows changes one at a time.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use seedpod_protocol::envelope::{Kind, State};
use seedpod_protocol::ids::{ChannelId, InfoHash, PodId, VideoId};
use seedpod_protocol::records::{Channel, Mirror, Privacy, Profile, Record, Tally, Video};

use super::messages::{
    ChannelEntry, ChannelKey, MirrorEntry, Page, Sort, SortKey, Totals, VideoEntry, VideoFilter, VideoKey,
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
    /// What anybody says the sum of a video's numbers is; only its origin is believed.
    tallies: HashMap<(PodId, VideoId), Tally>,
    /// Who offers copies of which video, whether it is shown or not.
    mirrors: HashMap<VideoId, BTreeMap<PodId, Mirror>>,
    /// Authors whose records are shown no longer, but for videos of which this pod has a copy.
    hidden: HashSet<PodId>,
    /// Live videos that came before their channel or their origin's profile: without these there is no address to
    /// give people, so they are shown when all is here.
    waiting: HashMap<VideoId, HeldRecord>,
    /// Videos that name a channel, shown or waiting, so that a channel costs what hangs on it and no more.
    of_channel: HashMap<ChannelId, HashSet<VideoId>>,
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

const SORT_KEYS: [SortKey; 7] = [
    SortKey::Name,
    SortKey::Duration,
    SortKey::CreatedAt,
    SortKey::PublishedAt,
    SortKey::Views,
    SortKey::Likes,
    SortKey::Dislikes,
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
            tallies: HashMap::new(),
            mirrors: HashMap::new(),
            hidden: HashSet::new(),
            waiting: HashMap::new(),
            of_channel: HashMap::new(),
            local_videos: 0,
            local_bytes: 0,
        }
    }

    /// Takes the new head of a register. What is not live is no longer shown.
    pub(crate) fn apply(&mut self, held: &HeldRecord) {
        let header = held.record.header();
        // Nothing is told of who is hidden: this one is back.
        self.hidden.remove(&header.author);
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
            Record::Counter(counter) if live => self.count(header.author, counter.video, Some(counter.tally)),
            Record::Mirror(mirror) if live => {
                let offers = self.mirrors.entry(mirror.video).or_default();
                offers.insert(header.author, mirror.clone());
            }
            // What this release cannot read says no longer what an earlier version said.
            _ if live && header.kind != Kind::MIRROR => {}
            _ => self.hide(held),
        }
    }

    /// Shows an author's records no longer, but for the videos of which this pod has a copy: people can watch those.
    pub(crate) fn hide_author(&mut self, author: &PodId) {
        let of_author = |(id, shown): (&VideoId, &Shown)| (shown.entry.origin == *author).then_some(*id);
        let videos: Vec<VideoId> = self.videos.iter().filter_map(of_author).collect();
        let (kept, gone): (Vec<_>, Vec<_>) = videos.into_iter().partition(|id| self.has_copy(id, author));
        if kept.is_empty() {
            return self.forget_author(author);
        }
        let of_author =
            |(id, held): (&VideoId, &HeldRecord)| (held.record.header().author == *author).then_some(*id);
        let waiting: Vec<VideoId> = self.waiting.iter().filter_map(of_author).collect();
        for id in gone.into_iter().chain(waiting) {
            self.forget_video(&id);
        }
        let named: HashSet<ChannelId> = kept
            .iter()
            .filter_map(|id| Some(self.videos.get(id)?.entry.video.channel))
            .collect();
        self.channels
            .retain(|id, channel| channel.origin != *author || named.contains(id));
        self.tallies
            .retain(|(counted_by, id), _| counted_by != author || kept.contains(id));
        self.forget_offers(author);
        self.hidden.insert(*author);
    }

    /// Whether this pod offers a copy of a video of that origin.
    fn has_copy(&self, id: &VideoId, origin: &PodId) -> bool {
        let offer = self.mirrors.get(id).and_then(|offers| offers.get(&self.me));
        offer.is_some_and(|offer| offer.origin == *origin)
    }

    /// A copy of this pod is gone, and with it the last reason to show a video whose author is hidden.
    fn copy_gone(&mut self, id: &VideoId) {
        let origin = self.videos.get(id).map(|shown| shown.entry.origin);
        if let Some(origin) = origin.filter(|origin| self.hidden.contains(origin)) {
            self.hide_author(&origin);
        }
    }

    fn forget_offers(&mut self, author: &PodId) {
        self.mirrors.retain(|_, offers| {
            offers.remove(author);
            !offers.is_empty()
        });
    }

    /// Forgets everything of an author.
    pub(crate) fn forget_author(&mut self, author: &PodId) {
        self.hidden.remove(author);
        let of_author = |(id, shown): (&VideoId, &Shown)| (shown.entry.origin == *author).then_some(*id);
        let videos: Vec<VideoId> = self.videos.iter().filter_map(of_author).collect();
        let of_author =
            |(id, held): (&VideoId, &HeldRecord)| (held.record.header().author == *author).then_some(*id);
        let waiting: Vec<VideoId> = self.waiting.iter().filter_map(of_author).collect();
        for id in videos.into_iter().chain(waiting) {
            self.forget_video(&id);
        }
        self.channels.retain(|_, channel| channel.origin != *author);
        self.profiles.remove(author);
        self.tallies.retain(|(counted_by, _), _| counted_by != author);
        self.forget_offers(author);
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
        rows.sort_by_cached_key(|shown| (place(&shown.entry, sort.key), shown.entry.id));
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

    /// Who offers copies of a video that is shown.
    pub(crate) fn mirrors(&self, id: &VideoId) -> Vec<MirrorEntry> {
        let (Some(shown), Some(offers)) = (self.videos.get(id), self.mirrors.get(id)) else {
            return Vec::new();
        };
        let origin = shown.entry.origin;
        let files: HashSet<InfoHash> = shown
            .entry
            .video
            .files
            .iter()
            .map(|file| file.info_hash)
            .collect();
        let offered = |(pod, mirror): (&PodId, &Mirror)| {
            if *pod == origin || mirror.origin != origin {
                return None;
            }
            let kept = mirror.info_hashes.iter().filter(|hash| files.contains(hash));
            let entry = MirrorEntry {
                pod: *pod,
                is_local: *pod == self.me,
                url: self.profiles.get(pod)?.url.clone(),
                info_hashes: kept.copied().collect(),
            };
            Some(entry).filter(|entry| !entry.info_hashes.is_empty())
        };
        offers.iter().filter_map(offered).collect()
    }

    pub(crate) fn totals(&self) -> Totals {
        Totals {
            videos: self.orders.get(&SortKey::PublishedAt).map_or(0, BTreeSet::len),
            local_videos: self.local_videos,
            local_bytes: self.local_bytes,
        }
    }

    fn show_video(&mut self, id: VideoId, held: &HeldRecord, video: Video) {
        let shown = self.videos.get(&id).map(|shown| shown.entry.record.rank());
        let waiting = self.waiting.get(&id).map(|waiting| waiting.record.rank());
        if shown
            .max(waiting)
            .is_some_and(|newest| newest >= held.record.rank())
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
        // What an earlier version said no longer holds, even while this one cannot be shown.
        self.forget_video(&id);
        self.of_channel.entry(video.channel).or_default().insert(id);
        if channel.is_none() || profile.is_none() {
            self.waiting.insert(id, held.clone());
            return;
        }
        let entry = VideoEntry {
            id,
            number: held.number,
            origin,
            is_local: origin == self.me,
            channel,
            profile,
            video,
            tally: self.tallies.get(&(origin, id)).copied().unwrap_or_default(),
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
                    .insert((place(&entry, key), id));
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

    /// Takes a video out, shown or waiting.
    fn forget_video(&mut self, id: &VideoId) {
        self.hide_video(id);
        if let Some(held) = self.waiting.remove(id)
            && let Record::Video(video) = held.record.payload()
        {
            self.leave_channel(&video.channel, id);
        }
    }

    fn leave_channel(&mut self, channel: &ChannelId, id: &VideoId) {
        if let Some(videos) = self.of_channel.get_mut(channel) {
            videos.remove(id);
            if videos.is_empty() {
                self.of_channel.remove(channel);
            }
        }
    }

    fn hide_video(&mut self, id: &VideoId) {
        let Some(Shown { entry, .. }) = self.videos.remove(id) else {
            return;
        };
        self.leave_channel(&entry.video.channel, id);
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
                    .remove(&(place(&entry, key), *id));
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
        let named_by = self.videos_of_channel(&id);
        self.join_again(&named_by, |video| {
            if video.origin == origin {
                video.channel = Some(Arc::clone(&entry));
            }
        });
        self.show_waiting(&named_by);
    }

    fn videos_of_channel(&self, channel: &ChannelId) -> Vec<VideoId> {
        let videos = self.of_channel.get(channel);
        videos
            .map(|videos| videos.iter().copied().collect())
            .unwrap_or_default()
    }

    /// Tries again to show those of some videos that waited for a channel or a profile.
    fn show_waiting(&mut self, videos: &[VideoId]) {
        for id in videos {
            if let Some(held) = self.waiting.remove(id) {
                self.apply(&held);
            }
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
        let of_author = |(id, shown): (&VideoId, &Shown)| (shown.entry.origin == author).then_some(*id);
        let shown: Vec<VideoId> = self.videos.iter().filter_map(of_author).collect();
        let channels = std::mem::take(&mut self.channels);
        self.join_again(&shown, |video| {
            video.profile = Some(Arc::clone(&profile));
            video.channel = channels
                .get(&video.video.channel)
                .filter(|channel| channel.origin == author)
                .cloned();
        });
        self.channels = channels;
        let of_author =
            |(id, held): (&VideoId, &HeldRecord)| (held.record.header().author == author).then_some(*id);
        let waiting: Vec<VideoId> = self.waiting.iter().filter_map(of_author).collect();
        self.show_waiting(&waiting);
    }

    /// Takes a withdrawal or removal. It names no nonce, so anybody can sign one for any id: only its author's own
    /// things are hidden.
    fn hide(&mut self, held: &HeldRecord) {
        let header = held.record.header();
        let author = header.author;
        match header.kind {
            Kind::VIDEO => {
                if let Ok(id) = VideoId::try_from(header.object) {
                    let shown = self.videos.get(&id).map(|shown| shown.entry.origin);
                    let waiting = self.waiting.get(&id).map(|held| held.record.header().author);
                    if shown.or(waiting) == Some(author) {
                        self.forget_video(&id);
                    }
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
                    let named_by = self.videos_of_channel(&id);
                    self.join_again(&named_by, |video| video.channel = None);
                }
            }
            Kind::PROFILE => {
                self.profiles.remove(&author);
            }
            Kind::COUNTER => {
                if let Ok(id) = VideoId::try_from(header.object) {
                    self.count(author, id, None);
                }
            }
            Kind::MIRROR => {
                if let Ok(id) = VideoId::try_from(header.object)
                    && let Some(offers) = self.mirrors.get_mut(&id)
                {
                    offers.remove(&author);
                    if offers.is_empty() {
                        self.mirrors.remove(&id);
                    }
                    if author == self.me {
                        self.copy_gone(&id);
                    }
                }
            }
            _ => {}
        }
    }

    /// Takes what an author says the sum of a video's numbers is, which is shown if the video is its own.
    fn count(&mut self, author: PodId, id: VideoId, tally: Option<Tally>) {
        match tally {
            Some(tally) => self.tallies.insert((author, id), tally),
            None => self.tallies.remove(&(author, id)),
        };
        let Some(shown) = self
            .videos
            .get_mut(&id)
            .filter(|shown| shown.entry.origin == author)
        else {
            return;
        };
        let before = Arc::clone(&shown.entry);
        let mut entry = VideoEntry::clone(&before);
        entry.tally = tally.unwrap_or_default();
        shown.entry = Arc::new(entry);
        if before.video.privacy == Privacy::Public {
            let now = Arc::clone(&shown.entry);
            for key in [SortKey::Views, SortKey::Likes, SortKey::Dislikes] {
                let order = self.orders.entry(key).or_default();
                order.remove(&(place(&before, key), id));
                order.insert((place(&now, key), id));
            }
        }
    }

    /// Refreshes what is joined to those of some videos that are shown.
    fn join_again(&mut self, videos: &[VideoId], how: impl Fn(&mut VideoEntry)) {
        for id in videos {
            if let Some(shown) = self.videos.get_mut(id) {
                let mut entry = VideoEntry::clone(&shown.entry);
                how(&mut entry);
                shown.haystack = haystack(&entry);
                shown.entry = Arc::new(entry);
            }
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
        assert!(self.waiting.keys().all(|id| !self.videos.contains_key(id)));
        let named: usize = self.of_channel.values().map(HashSet::len).sum();
        assert_eq!(
            named,
            self.videos.len() + self.waiting.len(),
            "each video hangs on one channel"
        );
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

fn place(entry: &VideoEntry, key: SortKey) -> Place {
    let (video, tally) = (&entry.video, &entry.tally);
    match key {
        SortKey::Name => Place::Text(video.name.to_lowercase()),
        SortKey::Duration => Place::Number(u64::from(video.duration)),
        SortKey::CreatedAt => Place::Number(video.created_at.as_millis()),
        SortKey::PublishedAt => Place::Number(video.published_at.as_millis()),
        SortKey::Views => Place::Number(tally.views),
        SortKey::Likes => Place::Number(tally.likes),
        SortKey::Dislikes => Place::Number(tally.dislikes),
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
            origin,
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
            && origin.is_none_or(|origin| origin == entry.origin)
            && host.as_deref().is_none_or(|host| entry.host() == Some(host))
            && (self.one_of.is_empty() || self.one_of.iter().any(tagged))
            && self.all_of.iter().all(tagged)
            && self.words.iter().all(|word| haystack.contains(word.as_str()))
    }
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
