//! The composition root: the only place that knows every room and wires them together.
//!
//! [`crate::serve`] prepares what a pod is made from ([`Parts`]) and says when to stop; everything between is here.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, Addr, Recipient};
use anyhow::{Context, anyhow};
use prometheus_client::registry::Registry;
use seedpod_actors::accounts::messages::{AdmitOperator, Secret};
use seedpod_actors::accounts::{self, AccountsActor, AccountsMetrics, FirstUser};
use seedpod_actors::audience::{self, AudienceActor, AudienceMetrics};
use seedpod_actors::catalog::messages::{Changed, Publish, Replay, Subscribe};
use seedpod_actors::catalog::{CatalogActor, CatalogMetrics};
use seedpod_actors::comments::{CommentsActor, CommentsMetrics};
use seedpod_actors::friends::{self, FriendsActor, FriendsMetrics, FriendsOptions, Policy};
use seedpod_actors::library::messages::CatalogReplayed;
use seedpod_actors::library::{
    LibraryActor, LibraryMetrics, LibraryOptions, MediaFolder, MediaTools, Quotas, Uploads,
};
use seedpod_actors::meter::{MeterActor, MeterMetrics};
use seedpod_actors::mirrors::messages::Budgets;
use seedpod_actors::mirrors::{MirrorMetrics, MirrorsActor, MirrorsOptions};
use seedpod_actors::reports::{ReportsActor, ReportsMetrics};
use seedpod_actors::search::messages::GetProfile;
use seedpod_actors::search::{SearchActor, SearchMetrics};
use seedpod_actors::seeder::SeederMetrics;
use seedpod_actors::store::{Store, StoreError, StoreMetrics, StoreOptions, Transaction};
use seedpod_actors::supervise::{SuperviseMetrics, Supervisor, Watched};
use seedpod_actors::swarm::{Subscribers, Swarm, SwarmMetrics, SwarmOptions};
use seedpod_actors::tracker::udp::{self, Rate, UdpMetrics, UdpOptions};
use seedpod_actors::tracker::{Desk, TrackerActor, TrackerConfig};
use seedpod_protocol::envelope::{Draft, DraftError, Epoch, Kind, Stamp, State, Verified};
use seedpod_protocol::ids::{ObjectId, PodId};
use seedpod_protocol::keys::PodKey;
use seedpod_protocol::limits;
use seedpod_protocol::records::{Card, Profile, Record};
use seedpod_web::{Rooms, SignedCard, Site, SiteOptions, WebMetrics};
use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::config::{self, Settings};
use crate::exit::{Exit, Failure, OrExit};
use crate::fetch::Fetcher;
use crate::healthcheck;
use crate::identity::Seed;
use crate::keys;
use crate::operator;
use crate::outside::Outside;
use crate::panics;
use crate::reach::Reach;
use crate::resolve::Resolver;
use crate::seeding::Seeding;

/// How long running requests may take to finish once the pod stops.
const DRAIN: Duration = Duration::from_secs(5);

/// How long the rooms may take to stop.
const ROOMS_PATIENCE: Duration = Duration::from_secs(2);

/// The wait before a room that died is started again; it grows with each death.
pub(crate) const RESTART_DELAY: Duration = Duration::from_millis(200);

/// What a pod is made from: checked, opened and bound, so that starting has little left to fail.
#[derive(Debug)]
pub struct Parts {
    /// The checked settings.
    pub settings: Settings,
    /// The data folder, which exists.
    pub folder: PathBuf,
    /// The seed of the pod's key.
    pub seed: Seed,
    /// The web server's socket, bound.
    pub listener: TcpListener,
    /// The UDP port's sockets, bound; all have one port. Empty if there is to be none.
    pub udp: Vec<UdpSocket>,
    /// The public URL, without a slash at its end.
    pub url: String,
    /// Which addresses other pods may lead this one to.
    pub reach: Reach,
    /// Asks hosts for their introductions.
    pub resolver: Resolver,
    /// Fetches pictures and torrents of friends.
    pub fetcher: Fetcher,
}

/// The login made at the very first start, to be printed once and kept nowhere.
pub struct FirstLogin {
    /// The administrator's name.
    pub username: String,
    /// The password as it was drawn; absent when it came from the settings.
    pub password: Option<String>,
}

/// A running pod.
pub struct Pod {
    url: String,
    first_login: Option<FirstLogin>,
    supervisor: Supervisor,
    store: Store,
    swarm: Swarm,
    driver: Watched,
    web: JoinHandle<()>,
    stop_web: oneshot::Sender<()>,
    /// An actor ends when its last address goes, and must not before it is told to.
    rooms: Rooms,
    /// How the command line on this machine is let in, until the pod stops.
    _operator: operator::Presence,
}

impl fmt::Debug for Pod {
    /// Leaves out the first login: what is printed for debugging ends in logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pod")
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

impl Pod {
    /// The public URL, without a slash at its end.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The login made at the very first start; `None` at every later one.
    pub fn first_login(&self) -> Option<&FirstLogin> {
        self.first_login.as_ref()
    }

    /// Waits until a part that the pod cannot do without has died.
    pub async fn wait_fatal(&self) -> anyhow::Error {
        let mut stopping = self.supervisor.stopping();
        match stopping.wait_for(Option::is_some).await.map(|stopping| *stopping) {
            Ok(Some(stopping)) => anyhow!("{} has {:?}", stopping.room, stopping.reason),
            _ => anyhow!("the supervisor is gone"),
        }
    }

    /// Stops every part in order: no new requests, then the network, then the rooms, then the store.
    ///
    /// # Errors
    /// When a part did not stop cleanly; the others are stopped all the same.
    pub async fn stop(self) -> anyhow::Result<()> {
        // The web server is gone already when it died; the rest stops all the same.
        let _ = self.stop_web.send(());
        let web = self.web.await.context("the web server");
        self.driver.expect_end();
        self.swarm.shutdown().await;
        let driver = self.driver.join().await.context("the swarm");
        let late = self.supervisor.shutdown(ROOMS_PATIENCE).await;
        drop(self.rooms);
        self.store.close().await;
        web.and(driver)?;
        if late.is_empty() {
            Ok(())
        } else {
            Err(anyhow!("did not stop in time: {}", late.join(", ")))
        }
    }
}

/// Starts every part in order.
///
/// # Errors
/// When a part cannot start; those already started are stopped again.
pub async fn start(parts: Parts) -> Result<Pod, Failure> {
    let Parts {
        settings,
        folder,
        seed,
        listener,
        udp,
        url,
        reach,
        resolver,
        fetcher,
    } = parts;
    let key = || PodKey::from_seed(&seed);
    let me = key().id();
    let mut registry = Registry::default();
    registry.register(
        "seedpod_panics",
        "Panics anywhere in the process",
        panics::counter(),
    );
    let supervisor = Supervisor::new(SuperviseMetrics::new(&mut registry));

    let store = open_store(
        folder.clone(),
        settings.storage.snapshot_after.bytes(),
        StoreMetrics::new(&mut registry),
    )
    .await?;
    let examined = store.clone();
    supervisor.examine("store", move || examined.failure());
    let dwells_privately = reach.allows_private();
    let (swarm, driver) = Swarm::start(
        swarm_options(key(), &settings, reach),
        SwarmMetrics::register(&mut registry),
    )
    .await
    .or_exit(Exit::Network)?;
    let driver = supervisor.watch("swarm", driver);
    let catalog = CatalogActor::open(
        keys::load(&folder, &seed).or_exit(Exit::Config)?,
        rand::random(),
        store.clone(),
        swarm.clone(),
        CatalogMetrics::new(&mut registry),
        supervisor.lifeline("catalog"),
    )
    .await
    .or_exit(Exit::Config)?;
    keys::settle(&folder, &catalog.own_key_statements()).or_exit(Exit::Config)?;
    let catalog = catalog.start();

    let outside = Outside::new(resolver, fetcher, supervisor.lifeline("outside")).start();
    let media = MediaFolder::open(&folder)
        .context("cannot use the media folder")
        .or_exit(Exit::Config)?;
    let uploads = {
        let (store, media, metrics) = (store.clone(), media.clone(), LibraryMetrics::new(&mut registry));
        let opened =
            tokio::task::spawn_blocking(move || Uploads::open(store, media, Quotas::default(), metrics));
        opened
            .await
            .context("reading the uploads panicked")?
            .or_exit(Exit::Config)?
    };
    let search = SearchActor::new(
        me,
        SearchMetrics::new(&mut registry),
        supervisor.lifeline("search"),
    )
    .start();
    follow(&catalog, search.clone().recipient()).await?;
    let library = LibraryActor::open(LibraryOptions {
        pod: me,
        store: store.clone(),
        folder: media.clone(),
        uploads: uploads.clone(),
        tools: MediaTools::find(std::env::var_os("PATH").as_deref()),
        max_duration: u32::try_from(settings.video.max_duration.duration().as_secs()).ok(),
        publisher: catalog.clone().recipient(),
        fetcher: outside.clone().recipient(),
        lifeline: supervisor.lifeline("library"),
    })
    .await
    .or_exit(Exit::Config)?
    .start();
    follow(&catalog, library.clone().recipient()).await?;
    library.send(CatalogReplayed).await.context("the library")?;

    let audience = AudienceActor::open(
        me,
        store.clone(),
        catalog.clone().recipient(),
        AudienceMetrics::new(&mut registry),
        supervisor.lifeline("audience"),
    )
    .or_exit(Exit::Config)?
    .start();
    follow(&catalog, audience.clone().recipient()).await?;
    audience
        .send(audience::messages::CatalogReplayed)
        .await
        .context("the audience")?;

    let comments = CommentsActor::open(
        me,
        store.clone(),
        catalog.clone(),
        CommentsMetrics::new(&mut registry),
        supervisor.lifeline("comments"),
    )
    .or_exit(Exit::Config)?
    .start();
    follow(&catalog, comments.clone().recipient()).await?;
    let reports = ReportsActor::open(
        key(),
        store.clone(),
        swarm.clone(),
        ReportsMetrics::new(&mut registry),
        supervisor.lifeline("reports"),
    )
    .or_exit(Exit::Config)?
    .start();

    let desk = Desk::new(TrackerConfig {
        open: settings.tracker.open,
        ..TrackerConfig::default()
    });
    desk.register(&mut registry);
    {
        let (catalog, desk) = (catalog.clone(), desk.clone());
        let (swarm, key) = (swarm.clone(), Arc::new(key()));
        supervisor.supervise("tracker", RESTART_DELAY, move |lifeline| {
            TrackerActor::new(desk.clone())
                .with_lifeline(lifeline)
                .among_friends(swarm.clone(), Arc::clone(&key))
                .follow(&catalog)
        });
    }
    let udp_port = udp
        .first()
        .and_then(|socket| Some(socket.local_addr().ok()?.port()));
    open_udp(
        udp,
        &settings,
        &desk,
        UdpMetrics::register(&mut registry),
        &supervisor,
    );
    let seeding = Seeding {
        settings: &settings,
        is_private: dwells_privately,
        pod: me,
        catalog: &catalog,
        media: media.clone(),
        desk: &desk,
        metrics: SeederMetrics::register(&mut registry),
        supervisor: &supervisor,
    };
    let seeder = seeding.start().await?;
    // After the seeder, whose sums it takes, so that it stops before it.
    let meter = MeterActor::open(
        me,
        store.clone(),
        seeder.clone(),
        MeterMetrics::new(&mut registry),
        supervisor.lifeline("meter"),
    )
    .or_exit(Exit::Config)?
    .start();
    follow(&catalog, meter.clone().recipient()).await?;

    publish_profile(&settings, &url, udp_port, me, &catalog, &search).await?;

    let card = CardSigner {
        key: Arc::new(key()),
        name: settings.pod.name.clone(),
        url: url.clone(),
        swarm: swarm.clone(),
    };
    let friends = FriendsActor::open(
        FriendsOptions {
            policy: policy(settings.network.policy),
            round: settings.network.round.duration(),
            initial_score: u32::from(settings.network.initial_score),
        },
        catalog.clone(),
        swarm.clone(),
        store.clone(),
        outside.clone().recipient(),
        key(),
        card.sign().or_exit(Exit::Config)?,
        FriendsMetrics::new(&mut registry),
        supervisor.lifeline("friends"),
    )
    .or_exit(Exit::Config)?
    .with_reports(reports.clone().recipient())
    .start();
    follow(&catalog, friends.clone().recipient()).await?;
    friends
        .send(friends::messages::CatalogReplayed)
        .await
        .context("the friend list")?
        .or_exit(Exit::Config)?;
    let options = MirrorsOptions {
        budgets: Budgets {
            by_hand: settings.mirror.by_hand.bytes(),
            most_viewed: settings.mirror.most_viewed.bytes(),
        },
        store: store.clone(),
        folder: media.clone(),
        search: search.clone(),
        friends: friends.clone(),
        library: library.clone(),
        publisher: catalog.clone().recipient(),
        seeder: seeder.clone(),
        fetcher: outside.recipient(),
        metrics: MirrorMetrics::new(&mut registry),
        lifeline: supervisor.lifeline("mirrors"),
    };
    let mirrors = tokio::task::spawn_blocking(|| MirrorsActor::open(options))
        .await
        .context("reading the copies panicked")?
        .or_exit(Exit::Config)?
        .start();
    follow(&catalog, mirrors.clone().recipient()).await?;
    swarm
        .subscribe(Subscribers {
            envelopes: catalog.clone().recipient(),
            requests: friends.clone().recipient(),
            peers: friends.clone().recipient(),
        })
        .await;

    // Last of what can fail: a password that was made up is stored as the first account is, and must be shown then.
    let (accounts, first_start) = open_accounts(
        &settings,
        me,
        &store,
        &catalog,
        AccountsMetrics::new(&mut registry),
        &supervisor,
    )
    .await?;
    let web_metrics = WebMetrics::new(&mut registry);
    let rooms = Rooms {
        catalog: catalog.into(),
        friends: friends.into(),
        search: search.into(),
        accounts: accounts.into(),
        audience: audience.into(),
        comments: comments.into(),
        reports: reports.into(),
        library: library.into(),
        meter: meter.into(),
        mirrors: mirrors.into(),
        desk,
        seeder,
        uploads,
        media,
        supervisor: supervisor.clone(),
    };
    let site = Site::new(
        rooms.clone(),
        site_options(&settings, &url, udp_port, me, card),
        web_metrics,
        Arc::new(registry),
    );
    let operator = admit_operator(&folder, &listener, &rooms).await?;
    let (stop_web, stopped) = oneshot::channel::<()>();
    let lifeline = supervisor.lifeline("web");
    let web = tokio::spawn(async move {
        let stop = async {
            // A sender that is dropped means the same as one that speaks.
            let _ = stopped.await;
        };
        site.serve(listener, stop, DRAIN).await;
        lifeline.finish();
    });
    let first_login = first_start.made_root.then(|| FirstLogin {
        username: settings.root.username.clone(),
        password: first_start.made_up.map(|password| password.0),
    });
    Ok(Pod {
        url,
        first_login,
        supervisor,
        store,
        swarm,
        driver,
        web,
        stop_web,
        rooms,
        _operator: operator,
    })
}

/// Lets whoever can read the data folder use the API on this machine.
async fn admit_operator(
    folder: &Path,
    listener: &TcpListener,
    rooms: &Rooms,
) -> Result<operator::Presence, Failure> {
    let local = listener
        .local_addr()
        .context("the web server's socket has no address")
        .or_exit(Exit::Network)?;
    let listen = config::Listen {
        address: local.ip(),
        port: local.port(),
    };
    let token = operator::draw();
    let known = rooms.accounts.addr().send(AdmitOperator(token.clone())).await;
    known.context("the accounts")?;
    Ok(operator::announce(
        folder,
        &healthcheck::local_url(&listen),
        &token,
    )?)
}

async fn open_store(folder: PathBuf, snapshot_bytes: u64, metrics: StoreMetrics) -> Result<Store, Failure> {
    let options = StoreOptions {
        snapshot_bytes,
        metrics,
        ..StoreOptions::default()
    };
    let opened = tokio::task::spawn_blocking(move || Store::open(&folder, options));
    opened
        .await
        .context("opening the store panicked")?
        .map_err(|error| {
            let exit = match error {
                StoreError::Newer { .. } | StoreError::Damaged { .. } | StoreError::InUse(_) => Exit::Config,
                _ => Exit::Failed,
            };
            Failure::new(exit, error)
        })
}

/// Lets the tracker answer on its UDP port, and browsers learn their address there.
fn open_udp(
    sockets: Vec<UdpSocket>,
    settings: &Settings,
    desk: &Desk,
    metrics: UdpMetrics,
    supervisor: &Supervisor,
) {
    let per_second = settings.tracker.udp_rate;
    let options = UdpOptions {
        tracker_rate: Rate {
            per_second,
            at_once: per_second.saturating_mul(10),
        },
        ..UdpOptions::default()
    };
    for socket in sockets {
        let (desk, metrics) = (desk.clone(), metrics.clone());
        supervisor.spawn("udp", move |stop| {
            udp::serve(socket, desk, options, metrics, stop)
        });
    }
}

/// Lets somebody hear of every change of the catalog, past ones first.
async fn follow(catalog: &Addr<CatalogActor>, follower: Recipient<Changed>) -> Result<(), Failure> {
    catalog
        .send(Subscribe(follower.clone()))
        .await
        .context("the catalog")?;
    catalog
        .send(Replay { to: follower })
        .await
        .context("the catalog")?
        .or_exit(Exit::Config)
}

fn swarm_options(key: PodKey, settings: &Settings, reach: Reach) -> SwarmOptions {
    SwarmOptions {
        listen: settings
            .network
            .listen
            .iter()
            .map(|address| address.as_str().to_owned())
            .collect(),
        dial_private: reach.allows_private(),
        ..SwarmOptions::new(key)
    }
}

/// Users and sessions; the password that was made up, if one was; and whether this was the first start.
async fn open_accounts(
    settings: &Settings,
    me: PodId,
    store: &Store,
    catalog: &Addr<CatalogActor>,
    metrics: AccountsMetrics,
    supervisor: &Supervisor,
) -> Result<(Addr<AccountsActor>, accounts::FirstStart), Failure> {
    let first = FirstUser {
        username: settings.root.username.clone(),
        email: some_text(&settings.pod.email),
        password: settings
            .root
            .password
            .as_ref()
            .map(|password| Secret(password.reveal().to_owned())),
        video_quota: settings.root.video_quota.get().map(|size| size.bytes()),
    };
    let lifeline = supervisor.lifeline("accounts");
    let (actor, first) = accounts::open(me, first, store.clone(), catalog.clone(), metrics, lifeline)
        .await
        .or_exit(Exit::Config)?;
    Ok((actor.start(), first))
}

/// Publishes what this pod says about itself, if that changed since it last did.
async fn publish_profile(
    settings: &Settings,
    url: &str,
    udp: Option<u16>,
    me: PodId,
    catalog: &Addr<CatalogActor>,
    search: &Addr<SearchActor>,
) -> Result<(), Failure> {
    let profile = Profile {
        name: settings.pod.name.clone(),
        description: settings.pod.description.clone(),
        email: some_text(&settings.pod.email),
        url: url.to_owned(),
        udp,
    };
    let held = search.send(GetProfile(me)).await.context("the read model")?;
    if held.is_some_and(|held| *held == profile) {
        return Ok(());
    }
    let publish = Publish {
        kind: Kind::PROFILE,
        object: ObjectId::EMPTY,
        state: State::Live,
        payload: Record::Profile(profile),
        along: Transaction::new(),
    };
    catalog
        .send(publish)
        .await
        .context("the catalog")?
        .or_exit(Exit::Config)?;
    Ok(())
}

fn site_options(
    settings: &Settings,
    url: &str,
    udp_port: Option<u16>,
    me: PodId,
    card: CardSigner,
) -> SiteOptions {
    SiteOptions {
        public_url: url.to_owned(),
        udp_port,
        pod_id: me,
        name: settings.pod.name.clone(),
        description: settings.pod.description.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        max_upload: Some(settings.video.max_size.bytes()),
        max_duration: Some(settings.video.max_duration.duration().as_secs()),
        signup: settings.signup.enabled,
        max_users: settings.signup.limit.get(),
        user_quota: settings.user.video_quota.get().map(|size| size.bytes()),
        configured_friends: settings.network.friends.iter().map(ToString::to_string).collect(),
        trusted_proxies: settings.trusted_proxies.clone(),
        card: Arc::new(move || card.web_card()),
    }
}

fn policy(policy: config::Policy) -> Policy {
    match policy {
        config::Policy::Open => Policy::Open,
        config::Policy::Vouched => Policy::Vouched,
        config::Policy::Ask => Policy::Ask,
        config::Policy::Closed => Policy::Closed,
    }
}

fn some_text(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

/// Signs this pod's card: who it is and where it can be dialed.
#[derive(Clone)]
struct CardSigner {
    key: Arc<PodKey>,
    name: String,
    url: String,
    swarm: Swarm,
}

impl CardSigner {
    /// The card as of now. It is a word, not a record: its stamp means nothing.
    fn sign(&self) -> Result<Verified<Record>, DraftError> {
        let card = Card {
            name: self.name.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            url: self.url.clone(),
            addresses: self.addresses(),
        };
        let draft = Draft::live(&self.key.id(), Record::Card(card))?;
        draft.sign(
            &self.key,
            Stamp {
                epoch: Epoch {
                    counter: 0,
                    tag: [0; 8],
                },
                seq: 0,
            },
        )
    }

    fn addresses(&self) -> Vec<String> {
        let bare = |address: String| address.split("/p2p/").next().unwrap_or_default().to_owned();
        self.swarm
            .addresses()
            .into_iter()
            .take(limits::ADDRESSES_MAX)
            .map(bare)
            .collect()
    }

    fn web_card(&self) -> SignedCard {
        let envelope = self.sign().map(|card| card.bytes().to_vec()).unwrap_or_default();
        SignedCard {
            envelope,
            addresses: self.addresses(),
        }
    }
}
