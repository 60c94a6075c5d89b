//! What a request can reach: the rooms of the pod, and the few facts about it that pages and answers show.

use std::convert::Infallible;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use actix::dev::ToEnvelope;
use actix::{Actor, Addr, Handler, Message};
use prometheus_client::registry::Registry;
use seedpod_actors::accounts::AccountsActor;
use seedpod_actors::audience::AudienceActor;
use seedpod_actors::catalog::CatalogActor;
use seedpod_actors::comments::CommentsActor;
use seedpod_actors::friends::FriendsActor;
use seedpod_actors::library::folder::MediaFolder;
use seedpod_actors::library::{LibraryActor, Uploads};
use seedpod_actors::meter::MeterActor;
use seedpod_actors::mirrors::MirrorsActor;
use seedpod_actors::reports::ReportsActor;
use seedpod_actors::search::SearchActor;
use seedpod_actors::seeder::SeederActor;
use seedpod_actors::supervise::{Live, Supervisor};
use seedpod_actors::tracker::Desk;
use seedpod_protocol::ids::{PodId, Timestamp};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use warp::Filter;
use warp::reply::Response;

use crate::announce::Announces;
use crate::arrivals::Arrivals;
use crate::connection::Closing;
use crate::departures;
use crate::error::ApiError;
use crate::files::assets::Assets;
use crate::files::portions::Downloads;
use crate::metrics::WebMetrics;
use crate::news::{self, News, Reporter};
use crate::serve::Door;
use crate::session::SessionCookie;

/// How long a room may take to answer a question.
const ANSWER_DEADLINE: Duration = Duration::from_secs(10);
/// How long a room may take for work that reaches other pods or moves files.
const WORK_DEADLINE: Duration = Duration::from_secs(120);

/// The rooms that answer requests.
#[derive(Clone)]
pub struct Rooms {
    /// Records, roots and digests.
    pub catalog: Live<CatalogActor>,
    /// Who is a friend, and how people change that.
    pub friends: Live<FriendsActor>,
    /// Lists and single videos.
    pub search: Live<SearchActor>,
    /// Users and their sessions.
    pub accounts: Live<AccountsActor>,
    /// Views and ratings.
    pub audience: Live<AudienceActor>,
    /// What people say about videos.
    pub comments: Live<CommentsActor>,
    /// What people find wrong with them.
    pub reports: Live<ReportsActor>,
    /// Uploads, media files, pictures, torrents.
    pub library: Live<LibraryActor>,
    /// Who carried what.
    pub meter: Live<MeterActor>,
    /// Copies of friends' videos.
    pub mirrors: Live<MirrorsActor>,
    /// Who watches what: the tracker's desk.
    pub desk: Desk,
    /// What was served.
    pub seeder: Live<SeederActor>,
    /// Where uploads arrive.
    pub uploads: Uploads,
    /// Where the library keeps media files, for reading them.
    pub media: MediaFolder,
    /// How all of them are.
    pub supervisor: Supervisor,
}

/// Facts about the pod that the rooms do not know.
#[derive(Clone)]
pub struct SiteOptions {
    /// `http://localhost:9001`: scheme, host, port unless it is the scheme's own, no slash at the end.
    pub public_url: String,
    /// The port of its UDP tracker and STUN server, at the host of the public URL; `None` if it has none.
    pub udp_port: Option<u16>,
    /// The pod.
    pub pod_id: PodId,
    /// Its name.
    pub name: String,
    /// What its operator says about it.
    pub description: String,
    /// The version of the program.
    pub version: String,
    /// The largest upload, in bytes; `None` means as much as the disk holds.
    pub max_upload: Option<u64>,
    /// The longest video, in seconds.
    pub max_duration: Option<u64>,
    /// Whether people may register; until when is said by [`Self::max_users`].
    pub signup: bool,
    /// As many users as this pod takes by registration, those made by administrators included; `None` knows no limit.
    pub max_users: Option<u32>,
    /// Bytes of video that a new user may keep; `None` means as many as the disk holds.
    pub user_quota: Option<u64>,
    /// The hosts that "make friends" asks when none are given.
    pub configured_friends: Vec<String>,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpAddr>,
    /// Gives the pod's signed card as it is now: what `GET /api/v1/pods/self` hands out.
    pub card: Arc<dyn Fn() -> SignedCard + Send + Sync>,
}

/// A pod's card: the envelope, and the addresses that it names.
#[derive(Debug, Clone)]
pub struct SignedCard {
    /// The envelope, as bytes.
    pub envelope: Vec<u8>,
    /// Multiaddrs at which the pod can be dialed.
    pub addresses: Vec<String>,
}

impl fmt::Debug for SiteOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SiteOptions")
            .field("public_url", &self.public_url)
            .field("pod_id", &self.pod_id)
            .finish_non_exhaustive()
    }
}

/// The web front of one pod; clones share everything.
#[derive(Clone)]
pub struct Site {
    inner: Arc<Inner>,
}

struct Inner {
    rooms: Rooms,
    options: SiteOptions,
    host: String,
    session_cookie: SessionCookie,
    metrics: WebMetrics,
    registry: Arc<Registry>,
    assets: Assets,
    downloads: Downloads,
    news: News,
    reporter: Addr<Reporter>,
    arrivals: Arrivals,
    closing: Closing,
    visitors: TaskTracker,
}

impl Site {
    /// A site over these rooms; part of it is an actor, so there must be a system for it to run in. `registry` is what `/metrics` shows; the site's own `metrics` are in it already.
    pub fn new(rooms: Rooms, options: SiteOptions, metrics: WebMetrics, registry: Arc<Registry>) -> Self {
        let host = host_of(&options.public_url).to_owned();
        let session_cookie = SessionCookie::of(&options.public_url);
        let news = News::new(now(), &options.trusted_proxies);
        let reporter = Reporter::new(news.clone(), options.pod_id).start();
        let inner = Inner {
            rooms,
            options,
            host,
            session_cookie,
            metrics,
            registry,
            assets: Assets::open(),
            downloads: Downloads::new(),
            news,
            reporter,
            arrivals: Arrivals::default(),
            closing: Closing::default(),
            visitors: TaskTracker::new(),
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// Every address of the site. It answers each request, also those that are none of its own.
    pub fn routes(
        &self,
    ) -> impl Filter<Extract = (Response,), Error = Infallible> + Clone + Send + Sync + use<> {
        crate::routes::routes(self)
    }

    /// Serves people who connect to `listener` until `stop` completes; then takes nobody new, closes the tracker's
    /// sockets, and lets running requests finish for at most `grace`.
    pub async fn serve(&self, listener: TcpListener, stop: impl Future<Output = ()>, grace: Duration) {
        let inner = &self.inner;
        let door = Door::new(
            &inner.options.trusted_proxies,
            inner.metrics.clone(),
            inner.closing.clone(),
            inner.visitors.clone(),
        )
        .announcing(Announces::new(
            inner.rooms.desk.clone(),
            &inner.options.trusted_proxies,
            &inner.metrics,
        ));
        self.spawn(news::follow(self.clone(), inner.reporter.clone()));
        self.spawn(departures::resume(self.clone()));
        crate::serve::run(listener, self.routes(), door, stop, grace).await;
    }

    pub(crate) fn rooms(&self) -> &Rooms {
        &self.inner.rooms
    }

    pub(crate) fn options(&self) -> &SiteOptions {
        &self.inner.options
    }

    /// Host and port of the public URL, `localhost:9001`.
    pub(crate) fn host(&self) -> &str {
        &self.inner.host
    }

    /// The cookie by which browsers are known.
    pub(crate) fn session_cookie(&self) -> &SessionCookie {
        &self.inner.session_cookie
    }

    /// Whether people reach the pod over https, so that cookies may insist on it.
    pub(crate) fn is_https(&self) -> bool {
        self.inner.options.public_url.starts_with("https://")
    }

    pub(crate) fn metrics(&self) -> &WebMetrics {
        &self.inner.metrics
    }

    pub(crate) fn registry(&self) -> &Registry {
        &self.inner.registry
    }

    pub(crate) fn assets(&self) -> &Assets {
        &self.inner.assets
    }

    /// Room for downloads of media.
    pub(crate) fn downloads(&self) -> &Downloads {
        &self.inner.downloads
    }

    /// What changes, for those who listen.
    pub(crate) fn news(&self) -> &News {
        &self.inner.news
    }

    /// Who registered of late.
    pub(crate) fn arrivals(&self) -> &Arrivals {
        &self.inner.arrivals
    }

    /// Is cancelled when the site stops: sockets that would stay open for ever close.
    pub(crate) fn stopping(&self) -> &CancellationToken {
        &self.inner.closing.drain
    }

    /// Runs something that the site waits for when it stops.
    pub(crate) fn spawn(&self, visit: impl Future<Output = ()> + Send + 'static) {
        self.inner.visitors.spawn(visit);
    }
}

/// Asks a room something it knows.
pub(crate) async fn ask<A, M>(room: &Live<A>, message: M) -> Result<M::Result, ApiError>
where
    A: Actor + Handler<M>,
    A::Context: ToEnvelope<A, M>,
    M: Message + Send + 'static,
    M::Result: Send,
{
    ask_within(ANSWER_DEADLINE, room, message).await
}

/// Has a room do work that is carried out whether or not anybody waits, and waits for its end: a "no" in between would be
/// untrue. Each step of such work has a limit of its own.
pub(crate) async fn ask_to_the_end<A, M>(room: &Live<A>, message: M) -> Result<M::Result, ApiError>
where
    A: Actor + Handler<M>,
    A::Context: ToEnvelope<A, M>,
    M: Message + Send + 'static,
    M::Result: Send,
{
    Ok(room.addr().send(message).await?)
}

/// Asks a room for work that takes a while: other pods are asked, or files are moved.
pub(crate) async fn ask_work<A, M>(room: &Live<A>, message: M) -> Result<M::Result, ApiError>
where
    A: Actor + Handler<M>,
    A::Context: ToEnvelope<A, M>,
    M: Message + Send + 'static,
    M::Result: Send,
{
    ask_within(WORK_DEADLINE, room, message).await
}

async fn ask_within<A, M>(deadline: Duration, room: &Live<A>, message: M) -> Result<M::Result, ApiError>
where
    A: Actor + Handler<M>,
    A::Context: ToEnvelope<A, M>,
    M: Message + Send + 'static,
    M::Result: Send,
{
    match tokio::time::timeout(deadline, room.addr().send(message)).await {
        Ok(answer) => Ok(answer?),
        Err(_) => {
            tracing::warn!(
                message = std::any::type_name::<M>(),
                "a room took too long to answer"
            );
            Err(ApiError::Unavailable)
        }
    }
}

/// The time now.
pub(crate) fn now() -> Timestamp {
    let millis = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_millis();
    Timestamp::from_millis(u64::try_from(millis).unwrap_or(u64::MAX))
}

/// Host and port of a URL without a path.
pub(crate) fn host_of(url: &str) -> &str {
    url.split_once("://").map_or(url, |(_, host)| host)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
    use actix::{Context, ResponseFuture};
    use seedpod_actors::supervise::{Lifeline, SuperviseMetrics};

    use super::*;

    /// Does everything slowly.
    struct Slow {
        _lifeline: Lifeline,
    }

    impl Actor for Slow {
        type Context = Context<Self>;
    }

    #[derive(Message)]
    #[rtype(result = "&'static str")]
    struct Work(Duration);

    impl Handler<Work> for Slow {
        type Result = ResponseFuture<&'static str>;

        fn handle(&mut self, Work(takes): Work, _: &mut Context<Self>) -> Self::Result {
            Box::pin(async move {
                tokio::time::sleep(takes).await;
                "done"
            })
        }
    }

    #[actix::test]
    async fn work_that_is_carried_out_anyway_is_waited_for_and_other_work_has_an_end() {
        let supervisor = Supervisor::new(SuperviseMetrics::default());
        let start = |lifeline| Slow { _lifeline: lifeline }.start();
        let room = supervisor.supervise("slow", Duration::from_secs(1), start);
        tokio::time::pause();
        let long = || Work(WORK_DEADLINE + Duration::from_secs(1));
        assert_eq!(ask_to_the_end(&room, long()).await, Ok("done"));
        assert_eq!(ask_work(&room, long()).await, Err(ApiError::Unavailable));
        let short = Work(ANSWER_DEADLINE + Duration::from_secs(1));
        assert_eq!(ask_work(&room, short).await, Ok("done"));
    }
}
