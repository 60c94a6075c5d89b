//! Browsers that want to connect: their offers are answered at once, and who comes is served like any other peer.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::time::{Instant, timeout};
use tokio_util::task::TaskTracker;
use tracing::debug;

use super::guests::{Guest, Guests};
use super::messages::Source;
use super::ports::PortRange;
use super::service::Service;
use super::stream;
use super::transport::{PeerTransport, TransportError};
use super::webrtc::WebRtc;
use crate::tracker::messages::TakeOffer;

/// Most browsers at once: each has a socket, two tasks, and up to a megabyte under way.
const MOST: usize = 256;
/// How long an answer may take; it should take some milliseconds.
const ANSWER: Duration = Duration::from_secs(5);
/// A browser that does not come within so long has given up itself.
const ARRIVAL: Duration = Duration::from_secs(30);
/// So long the maker of an offer that could not be answered keeps its place: that it could not, was found out by work.
const PENANCE: Duration = Duration::from_secs(5);
/// How long a goodbye may take.
const FAREWELL: Duration = Duration::from_secs(1);

/// A session description in its JSON form.
#[derive(Debug, Serialize, Deserialize)]
struct Description {
    r#type: String,
    sdp: String,
}

/// Where browsers connect to.
#[derive(Debug, Clone)]
pub struct Reach {
    /// Addresses to bind; an unspecified one stands for those of all interfaces, loopback aside.
    pub addresses: Vec<IpAddr>,
    /// Addresses the world sees instead of those of the same family, if there are any.
    pub public: Vec<IpAddr>,
    /// UDP ports, one for each browser.
    pub ports: PortRange,
}

/// Takes offers of browsers; clones share what they take.
#[derive(Clone)]
pub struct Visits {
    transport: Arc<dyn PeerTransport>,
    guests: Guests,
    service: Service,
    tasks: TaskTracker,
}

impl Visits {
    /// Visits by WebRTC data channels, at most [`MOST`] at once and one for each port.
    #[must_use]
    pub fn over_webrtc(reach: Reach, service: Service) -> Self {
        let limit = reach.ports.count().unwrap_or(MOST).min(MOST);
        let transport = WebRtc::new(reach.addresses, reach.public, reach.ports);
        Self::new(Arc::new(transport), limit, service)
    }

    /// Room for at most so many browsers.
    pub(super) fn new(transport: Arc<dyn PeerTransport>, limit: usize, service: Service) -> Self {
        Self {
            transport,
            guests: Guests::new(limit),
            service,
            tasks: TaskTracker::new(),
        }
    }

    /// Takes an offer: hands the answer to `answer` and serves the browser in a task of its own. An offer that is not welcome, or
    /// none at all, is counted and nothing else: the browser gives up by itself.
    pub fn take(&self, taken: &TakeOffer, answer: impl FnOnce(Box<RawValue>) + Send + 'static) {
        let refused = |why| self.service.metrics().refused(Source::WebRtc, why);
        if !self.service.shelf().holds(&taken.info_hash) {
            return refused("unknown_torrent");
        }
        let Some(offer) = read(&taken.offer) else {
            return refused("bad_offer");
        };
        let guest = match self.guests.welcome(taken.info_hash, taken.peer_id, taken.address) {
            Ok(guest) => guest,
            Err(unwelcome) => return refused(unwelcome.label()),
        };
        let (visits, begun) = (self.clone(), Instant::now());
        self.tasks
            .spawn(async move { visits.visit(guest, offer, begun, answer).await });
    }

    /// Waits until nobody is here; to be called once the service stops.
    pub async fn wait(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }

    async fn visit(&self, guest: Guest, offer: String, begun: Instant, answer: impl FnOnce(Box<RawValue>)) {
        let metrics = self.service.metrics();
        let answered = tokio::select! {
            () = self.service.stopped() => return,
            answered = timeout(ANSWER, self.transport.answer(offer)) => answered,
        };
        let answered = match answered.unwrap_or(Err(TransportError::Late)) {
            Ok(answered) => answered,
            Err(error) => {
                debug!(%error, "an offer was not answered");
                let why = match error {
                    TransportError::Offer(_) => "bad_offer",
                    TransportError::Ports => "no_port",
                    TransportError::Late => "late",
                };
                metrics.refused(Source::WebRtc, why);
                let _stopped_before = timeout(PENANCE, self.service.stopped()).await;
                return;
            }
        };
        answer(write(answered.answer));
        metrics.answered(begun.elapsed());
        let mut connection = answered.connection;
        let opened = tokio::select! {
            () = self.service.stopped() => None,
            opened = timeout(ARRIVAL, connection.open()) => Some(opened),
        };
        let refused = match opened {
            Some(Ok(Some(channel))) => {
                metrics.peer_came(Source::WebRtc);
                let end = stream::serve(channel, Source::WebRtc, &self.service).await;
                debug!(%end, "a browser is served no more");
                metrics.peer_went(Source::WebRtc, end.label());
                None
            }
            Some(Ok(None)) => Some("not_connected"),
            Some(Err(_)) => Some("never_came"),
            None => None,
        };
        if let Some(why) = refused {
            metrics.refused(Source::WebRtc, why);
        }
        if timeout(FAREWELL, connection.close()).await.is_err() {
            debug!("a connection to a browser takes long to close");
        }
        drop(guest);
    }
}

impl fmt::Debug for Visits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Visits")
            .field("guests", &self.guests)
            .finish_non_exhaustive()
    }
}

fn read(offer: &RawValue) -> Option<String> {
    let offer: Description = serde_json::from_str(offer.get()).ok()?;
    (offer.r#type == "offer").then_some(offer.sdp)
}

fn write(sdp: String) -> Box<RawValue> {
    let answer = Description {
        r#type: "answer".to_owned(),
        sdp,
    };
    serde_json::value::to_raw_value(&answer).expect("texts are always written")
}
