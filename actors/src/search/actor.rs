//! The shell of the read model.

use std::sync::Arc;

use actix::prelude::*;
use seedpod_protocol::ids::PodId;
use seedpod_protocol::records::Profile;

use super::messages::{
    ChannelEntry, GetChannel, GetMirrors, GetProfile, GetTotals, GetVideo, GetVideoByInfoHash, ListChannels,
    ListVideos, MirrorEntry, Page, Totals, VideoEntry,
};
use super::metrics::SearchMetrics;
use super::state::ReadModel;
use crate::catalog::messages::{Change, Changed};
use crate::supervise::Lifeline;

/// Questions that may wait; askers wait with them.
const MAILBOX: usize = 1024;

/// The actor that owns the read model.
pub struct SearchActor {
    model: ReadModel,
    metrics: SearchMetrics,
    _lifeline: Lifeline,
}

impl SearchActor {
    /// An empty model; let the catalog replay into it before anyone asks.
    pub fn new(me: PodId, metrics: SearchMetrics, lifeline: Lifeline) -> Self {
        Self {
            model: ReadModel::new(me),
            metrics,
            _lifeline: lifeline,
        }
    }
}

impl Actor for SearchActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(MAILBOX);
    }
}

impl Handler<Changed> for SearchActor {
    type Result = ();

    fn handle(&mut self, changed: Changed, _: &mut Context<Self>) {
        for change in changed.changes.iter() {
            match change {
                Change::Head(held) => self.model.apply(held),
                Change::AuthorGone(author) => self.model.forget_author(author),
                Change::AuthorHidden(author) => self.model.hide_author(author),
            }
        }
        self.metrics.changed(changed.changes.len(), &self.model.totals());
    }
}

impl Handler<ListVideos> for SearchActor {
    type Result = MessageResult<ListVideos>;

    fn handle(&mut self, list: ListVideos, _: &mut Context<Self>) -> Self::Result {
        MessageResult(self.model.videos(&list.filter, list.sort, list.start, list.count))
    }
}

impl Handler<GetVideo> for SearchActor {
    type Result = Option<Arc<VideoEntry>>;

    fn handle(&mut self, GetVideo(key): GetVideo, _: &mut Context<Self>) -> Self::Result {
        self.model.video(key)
    }
}

impl Handler<GetVideoByInfoHash> for SearchActor {
    type Result = Option<Arc<VideoEntry>>;

    fn handle(
        &mut self,
        GetVideoByInfoHash(hash): GetVideoByInfoHash,
        _: &mut Context<Self>,
    ) -> Self::Result {
        self.model.video_with(&hash)
    }
}

impl Handler<GetChannel> for SearchActor {
    type Result = Option<Arc<ChannelEntry>>;

    fn handle(&mut self, GetChannel(key): GetChannel, _: &mut Context<Self>) -> Self::Result {
        self.model.channel(&key)
    }
}

impl Handler<ListChannels> for SearchActor {
    type Result = MessageResult<ListChannels>;

    fn handle(&mut self, list: ListChannels, _: &mut Context<Self>) -> Self::Result {
        let page: Page<_> = self.model.channels(list.owner.as_deref(), list.start, list.count);
        MessageResult(page)
    }
}

impl Handler<GetProfile> for SearchActor {
    type Result = Option<Arc<Profile>>;

    fn handle(&mut self, GetProfile(pod): GetProfile, _: &mut Context<Self>) -> Self::Result {
        self.model.profile(&pod)
    }
}

impl Handler<GetMirrors> for SearchActor {
    type Result = Vec<MirrorEntry>;

    fn handle(&mut self, GetMirrors(video): GetMirrors, _: &mut Context<Self>) -> Self::Result {
        self.model.mirrors(&video)
    }
}

impl Handler<GetTotals> for SearchActor {
    type Result = MessageResult<GetTotals>;

    fn handle(&mut self, _: GetTotals, _: &mut Context<Self>) -> Self::Result {
        let totals: Totals = self.model.totals();
        MessageResult(totals)
    }
}
