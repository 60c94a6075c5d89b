//! The seeder with its sockets: a TCP port for BitTorrent clients, UDP ports for browsers.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use actix::Addr;
use anyhow::{Context, anyhow};
use seedpod_actors::catalog::CatalogActor;
use seedpod_actors::library::MediaFolder;
use seedpod_actors::seeder::{
    self, Reach, SeederActor, SeederMetrics, SeederOptions, Service, Shelf, Visits,
};
use seedpod_actors::supervise::{Live, Supervisor};
use seedpod_actors::tracker::Desk;
use seedpod_protocol::ids::PodId;
use tokio::net::TcpListener;
use tracing::{info, warn};

use crate::compose::RESTART_DELAY;
use crate::config::{Settings, WebRtcPorts};
use crate::exit::{Exit, Failure, OrExit};

/// How long the name server may take to say where the pod's own name leads.
const NAME_DEADLINE: Duration = Duration::from_secs(5);

/// What it takes to seed.
pub(crate) struct Seeding<'a> {
    pub(crate) settings: &'a Settings,
    /// Whether the pod's public URL lies on this machine or in a private network.
    pub(crate) is_private: bool,
    pub(crate) pod: PodId,
    pub(crate) catalog: &'a Addr<CatalogActor>,
    pub(crate) media: MediaFolder,
    pub(crate) desk: &'a Desk,
    pub(crate) metrics: SeederMetrics,
    pub(crate) supervisor: &'a Supervisor,
}

impl Seeding<'_> {
    /// Starts the seeder, and the task that serves its peers.
    ///
    /// # Errors
    /// When the TCP port cannot be had.
    pub(crate) async fn start(self) -> Result<Live<SeederActor>, Failure> {
        let torrent = &self.settings.torrent;
        let address = torrent.address.unwrap_or(self.settings.listen.address);
        let address = SocketAddr::new(address, torrent.tcp_port);
        let listener = TcpListener::bind(address).await.map_err(|error| {
            anyhow!("cannot listen on {address} for BitTorrent clients: {error}; check `torrent.address` and `torrent.tcp_port`")
        });
        let listener = listener.or_exit(Exit::Network)?;
        let local = listener
            .local_addr()
            .context("the socket for BitTorrent clients has no address")
            .or_exit(Exit::Network)?;
        info!(%local, "BitTorrent clients are served");

        let stop = self.supervisor.lifeline("peers");
        let peer_id = seeder::peer_id(rand::random());
        let service = Service::new(peer_id, Shelf::default(), self.metrics.clone(), stop.token());
        let visits = self.visits(address.ip(), &service);
        let options = SeederOptions {
            pod: self.pod,
            media: self.media,
            service: service.clone(),
            desk: self.desk.clone(),
            addresses: reached_at(local, &self.settings.webserver.hostname).await,
            visits: visits.clone(),
        };
        let catalog = self.catalog.clone();
        let seeder = self
            .supervisor
            .supervise("seeder", RESTART_DELAY, move |lifeline| {
                SeederActor::new(options.clone())
                    .with_lifeline(lifeline)
                    .follow(&catalog)
            });
        tokio::spawn(async move {
            let _lifeline = stop;
            seeder::tcp::run(listener, service).await;
            if let Some(visits) = visits {
                visits.wait().await;
            }
        });
        Ok(seeder)
    }

    /// Who takes browsers in, if anybody does.
    fn visits(&self, address: IpAddr, service: &Service) -> Option<Visits> {
        let torrent = &self.settings.torrent;
        let WebRtcPorts::Of(ports) = torrent.webrtc_ports else {
            return None;
        };
        if address.is_loopback() && torrent.public_addresses.is_empty() && !self.is_private {
            warn!(
                %address,
                "browsers cannot connect to this pod: only this machine reaches the address; set `torrent.address`"
            );
            return None;
        }
        let addresses = match address {
            // What the system means by it for TCP.
            IpAddr::V6(Ipv6Addr::UNSPECIFIED) => vec![address, Ipv4Addr::UNSPECIFIED.into()],
            _ => vec![address],
        };
        info!(?addresses, %ports, "browsers are served");
        let reach = Reach {
            addresses,
            public: torrent.public_addresses.clone(),
            ports,
        };
        Some(Visits::over_webrtc(reach, service.clone()))
    }
}

/// Where BitTorrent clients reach a socket of this pod: at its address, or, if it listens at all of them, where the pod's
/// public name leads.
async fn reached_at(local: SocketAddr, hostname: &str) -> Vec<SocketAddr> {
    if !local.ip().is_unspecified() {
        return vec![local];
    }
    let found = tokio::time::timeout(NAME_DEADLINE, tokio::net::lookup_host((hostname, local.port()))).await;
    match found {
        Ok(Ok(addresses)) => addresses.collect(),
        Ok(Err(error)) => {
            warn!(hostname, %error, "BitTorrent clients are not told of this pod: its name leads nowhere");
            Vec::new()
        }
        Err(_) => {
            warn!(
                hostname,
                "BitTorrent clients are not told of this pod: nobody says where its name leads"
            );
            Vec::new()
        }
    }
}
