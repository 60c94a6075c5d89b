//! `GET /api/v1/events`: hints about what changed, as server-sent events (the HTML standard, section 9.2).
//!
//! | event | data | when |
//! |---|---|---|
//! | `here` | `{}` | first of all: the stream is open |
//! | `look` | `{}` | something was missed, or much changed at once: ask again for whatever is shown |
//! | `video` | `{"id":uuid or null,"change":"published"/"changed"/"removed","isLocal":bool}` | a public video, or one of the caller's own |
//! | `friends` | `{}` | a friend came, left, or is in another state |
//! | `comments` | `{"id":uuid}` | with `?video=`: somebody wrote, deleted or hid a comment about it |
//! | `swarm` | `{"id":uuid,"seeders":n,"leechers":n,"viewers":n}` | with `?video=` (an id as elsewhere): who is in its swarms on this pod's tracker |
//!
//! Every hint has an id. Who returns with it in `Last-Event-ID`, or with that of a page (`data-moment`) in `?since=`, is told
//! to look when something changed meanwhile; nothing is ever sent twice. A comment every [`HEARTBEAT`] keeps proxies from
//! closing. A listener that does not read is let go, and all are after [`MAX_LIFE`], so that a session that ended is noticed.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use seedpod_actors::search::messages::{GetVideo, VideoEntry};
use seedpod_actors::tracker::messages::SwarmSize;
use serde_json::json;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};
use tokio_util::sync::CancellationToken;
use warp::Reply;
use warp::filters::BoxedFilter;
use warp::http::header::{CACHE_CONTROL, HeaderValue};
use warp::reply::Response;
use warp::sse::Event;
use warp::{Filter, sse};

use super::parse_key;
use crate::error::ApiError;
use crate::news::{Hint, Listener, VideoChange, VideoHint};
use crate::site::{Site, ask};
use crate::visit::{Visit, answer, visit};

/// How often a silent stream shows that it lives.
const HEARTBEAT: Duration = Duration::from_secs(20);
/// How often the size of a swarm is asked for.
const COUNT: Duration = Duration::from_secs(4);
/// The longest a stream stays open; a browser comes back by itself.
const MAX_LIFE: Duration = Duration::from_secs(60 * 60);
/// What may wait to be written for one listener.
const QUEUE: usize = 32;
/// When a browser comes back after its stream ended.
const RETRY: Duration = Duration::from_secs(3);

pub(super) fn routes(site: &Site) -> BoxedFilter<(Response,)> {
    warp::path!("events")
        .and(warp::get())
        .and(visit(site.clone()))
        .then(|visit| answer(events(visit)))
        .boxed()
}

async fn events(visit: Visit) -> Result<Response, ApiError> {
    let query = visit.query()?;
    let caller = visit.caller().await?;
    let video = match query.text("video") {
        Some(id) => Some(
            ask(&visit.site.rooms().search, GetVideo(parse_key(id)?))
                .await?
                .ok_or_else(|| ApiError::NotFound("there is no such video".into()))?,
        ),
        None => None,
    };
    let site = &visit.site;
    let listener = site.news().listen(visit.client).ok_or_else(|| {
        site.metrics().listeners_refused.inc();
        ApiError::TooMany("too many pages listen already".into())
    })?;
    let heard = visit.header("last-event-id").or(query.text("since"));
    let missed = heard.is_some_and(|heard| heard != site.news().moment(listener.since));
    let (queue, events) = mpsc::channel(QUEUE);
    let talk = Talk {
        site: site.clone(),
        user: caller.map(|caller| caller.user.username.clone()),
        video,
        queue,
    };
    site.spawn(talk.run(listener, missed));
    let events = tokio_stream_of(events).map(Ok::<_, Infallible>);
    let mut response = sse::reply(events).into_response();
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // A buffering proxy would keep hints until they are old.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    Ok(response)
}

/// The events of a queue, until its other end is gone.
fn tokio_stream_of(queue: mpsc::Receiver<Event>) -> impl futures::Stream<Item = Event> + Send + Sync {
    futures::stream::unfold(queue, |mut queue| async move {
        let event = queue.recv().await?;
        Some((event, queue))
    })
}

/// One stream of events.
struct Talk {
    site: Site,
    /// Who listens, if they are logged in.
    user: Option<String>,
    /// Whose swarms are counted.
    video: Option<Arc<VideoEntry>>,
    queue: mpsc::Sender<Event>,
}

impl Talk {
    /// Talks until the listener leaves, falls behind or has heard for long enough, or the site stops.
    async fn run(self, mut listener: Listener, missed: bool) {
        let open = self.site.metrics().listeners.clone();
        open.inc();
        self.talk(&mut listener, missed, self.site.stopping()).await;
        open.dec();
    }

    /// Returns when an event finds no room: whoever does not read has lost nothing but hints.
    async fn talk(&self, listener: &mut Listener, missed: bool, stopping: &CancellationToken) -> Option<()> {
        let news = self.site.news();
        let since = news.moment(listener.since);
        self.send(Event::default().event("here").id(&since).retry(RETRY).data("{}"))?;
        if missed {
            self.send(Event::default().event("look").id(since).data("{}"))?;
        }
        let end = Instant::now() + MAX_LIFE;
        let mut heartbeat = interval(HEARTBEAT);
        let mut count = interval(COUNT);
        for ticks in [&mut heartbeat, &mut count] {
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        }
        let mut counted = None;
        loop {
            tokio::select! {
                item = listener.hints.recv() => {
                    let item = item.ok()?;
                    if let Some(event) = self.event(&item.hint) {
                        self.send(event.id(news.moment(item.number)))?;
                    }
                }
                _ = count.tick(), if self.video.is_some() => {
                    let size = self.count();
                    if size.is_some() && size != counted {
                        counted = size;
                        self.send(self.swarm_event(size?))?;
                    }
                }
                _ = heartbeat.tick() => self.send(Event::default().comment(""))?,
                () = self.queue.closed() => return None,
                () = sleep_until(end) => return None,
                () = stopping.cancelled() => return None,
            }
        }
    }

    fn send(&self, event: Event) -> Option<()> {
        self.queue.try_send(event).ok()
    }

    /// A hint as this listener may hear it.
    fn event(&self, hint: &Hint) -> Option<Event> {
        Some(match hint {
            Hint::Look => Event::default().event("look").data("{}"),
            Hint::Friends => Event::default().event("friends").data("{}"),
            // Whoever asks about a video knows it; to others it may be unlisted.
            Hint::Comments(id) => {
                let video = self.video.as_ref().filter(|video| video.id == *id)?;
                let data = json!({ "id": video.id.to_string() });
                Event::default().event("comments").data(data.to_string())
            }
            Hint::Video(hint) => Event::default()
                .event("video")
                .data(video_data(hint, self.user.as_deref())?),
        })
    }

    /// Who is in the swarms of all files of the video.
    fn count(&self) -> Option<SwarmSize> {
        let mut sum = SwarmSize::default();
        for file in &self.video.as_ref()?.video.files {
            let size = self.site.rooms().desk.size(&file.info_hash);
            sum.seeders = sum.seeders.saturating_add(size.seeders);
            sum.leechers = sum.leechers.saturating_add(size.leechers);
            sum.viewers = sum.viewers.saturating_add(size.viewers);
        }
        Some(sum)
    }

    fn swarm_event(&self, size: SwarmSize) -> Event {
        let id = self.video.as_ref().map(|video| video.id.to_string());
        let data = json!({
            "id": id,
            "seeders": size.seeders,
            "leechers": size.leechers,
            "viewers": size.viewers,
        });
        Event::default().event("swarm").data(data.to_string())
    }
}

/// What `user` may hear of a video.
fn video_data(hint: &VideoHint, user: Option<&str>) -> Option<String> {
    if hint.only_for.as_deref().is_some_and(|owner| user != Some(owner)) {
        return None;
    }
    let change = match hint.what {
        VideoChange::Published => "published",
        VideoChange::Changed => "changed",
        VideoChange::Removed => "removed",
    };
    let id = hint.id.map(|id| id.to_string());
    Some(json!({ "id": id, "change": change, "isLocal": hint.is_local }).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use seedpod_protocol::ids::VideoId;

    fn hint(only_for: Option<&str>) -> VideoHint {
        VideoHint {
            id: "4a5e1e4b-aaab-8daf-8d8f-000000000000".parse::<VideoId>().ok(),
            what: VideoChange::Published,
            is_local: true,
            only_for: only_for.map(Arc::from),
        }
    }

    #[test]
    fn what_is_for_one_user_is_heard_by_nobody_else() {
        for (user, hears) in [(None, false), (Some("other"), false), (Some("root"), true)] {
            assert_eq!(video_data(&hint(Some("root")), user).is_some(), hears, "{user:?}");
            assert!(video_data(&hint(None), user).is_some());
        }
    }

    #[test]
    fn a_hint_is_json_without_the_name_of_its_reader() {
        assert_eq!(
            video_data(&hint(Some("root")), Some("root")).as_deref(),
            Some(r#"{"change":"published","id":"4a5e1e4b-aaab-8daf-8d8f-000000000000","isLocal":true}"#)
        );
    }
}
