//! The `webrtc` crate as a [`PeerTransport`]; the only file that names it.
//!
//! What its users should know: it sends only after the channel's `OnOpen`, earlier messages are lost; a channel must be polled from the
//! moment it appears; without a limit of its own its send buffer grows without end; and each connection binds a port of its own.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use rtc::ice::mdns::MulticastDnsMode;
use tokio::sync::{Notify, oneshot};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::debug;
use webrtc::data_channel::{DataChannel, DataChannelEvent};
use webrtc::peer_connection::{
    PeerConnection, PeerConnectionBuilder, PeerConnectionEventHandler, RTCIceGatheringState,
    RTCPeerConnectionState, RTCSessionDescription, SettingEngine, SettingEngineBuilder,
};
use webrtc::runtime::TokioRuntime;

use super::candidates::{name_addresses, without_candidates};
use super::ports::{Port, PortRange, Ports};
use super::transport::{
    Answered, ChannelEnds, ChannelStream, PeerTransport, PendingConnection, TransportError, channel_stream,
};

/// Bytes of a channel that were sent and not acknowledged: 20 MB/s over 50 ms.
const SEND_BUFFER: usize = 1 << 20;
/// Bytes that a peer may have under way to us. It has little to say.
const RECEIVE_BUFFER: u32 = 128 << 10;
/// How long it may take to gather our own addresses, which asks nobody.
const GATHERING: Duration = Duration::from_secs(2);
/// How many ports are tried: another program may use one of ours.
const ATTEMPTS: usize = 4;

/// Connections to browsers at these addresses of ours.
pub(super) struct WebRtc {
    addresses: Vec<IpAddr>,
    /// Addresses the world sees instead of ours.
    public: Vec<IpAddr>,
    ports: Ports,
}

impl WebRtc {
    /// Binds `addresses` (an unspecified one stands for those of all interfaces, loopback aside), and tells browsers the `public` ones
    /// instead, if there are any.
    pub(super) fn new(addresses: Vec<IpAddr>, public: Vec<IpAddr>, ports: PortRange) -> Self {
        Self {
            addresses,
            public,
            ports: Ports::new(ports),
        }
    }

    fn settings(&self) -> SettingEngine {
        SettingEngineBuilder::new()
            // Nobody is asked where a browser's `.local` name leads.
            .with_multicast_dns_mode(MulticastDnsMode::Disabled)
            .with_include_loopback_candidate(self.addresses.iter().any(IpAddr::is_loopback))
            .with_sctp_max_receive_buffer_size(RECEIVE_BUFFER)
            .build()
    }

    async fn connect(&self, events: &Arc<Events>) -> Result<(Arc<dyn PeerConnection>, Port), TransportError> {
        for _ in 0..ATTEMPTS {
            let port = self.ports.take().ok_or(TransportError::Ports)?;
            let addresses = self
                .addresses
                .iter()
                .map(|address| SocketAddr::new(*address, port.number()));
            let building = PeerConnectionBuilder::new()
                .with_setting_engine(self.settings())
                .with_handler(Arc::clone(events) as Arc<dyn PeerConnectionEventHandler>)
                .with_runtime(Arc::new(TokioRuntime))
                .with_udp_addrs(addresses.collect())
                .with_data_channel_send_buffer_limit(SEND_BUFFER)
                .build();
            match Box::pin(building).await {
                Ok(connection) => return Ok((Arc::new(connection), port)),
                Err(error) => {
                    debug!(port = port.number(), %error, "a port cannot be used");
                }
            }
        }
        Err(TransportError::Ports)
    }
}

#[async_trait]
impl PeerTransport for WebRtc {
    async fn answer(&self, offer: String) -> Result<Answered, TransportError> {
        let wrong = |error: webrtc::error::Error| TransportError::Offer(error.to_string());
        let offer = RTCSessionDescription::offer(without_candidates(&offer)).map_err(wrong)?;
        let (opened, channel) = oneshot::channel();
        let events = Arc::new(Events {
            gathered: Notify::new(),
            opened: Mutex::new(Some(opened)),
            over: CancellationToken::new(),
        });
        let (connection, port) = Box::pin(self.connect(&events)).await?;
        // From here on it must be closed, also when this future is dropped.
        let mut pending = Connection {
            connection: Some(Arc::clone(&connection)),
            channel: Some(channel),
            events: Arc::clone(&events),
            _port: port,
        };
        let answering = async {
            connection.set_remote_description(offer).await?;
            let answer = connection.create_answer(None).await?;
            connection.set_local_description(answer).await?;
            Ok::<_, webrtc::error::Error>(())
        };
        if let Err(error) = answering.await {
            pending.end().await;
            return Err(wrong(error));
        }
        let gathered = timeout(GATHERING, events.gathered.notified()).await;
        match (gathered, connection.local_description().await) {
            (Ok(()), Some(answer)) => Ok(Answered {
                answer: name_addresses(&answer.sdp, &self.public),
                connection: Box::new(pending),
            }),
            _ => {
                pending.end().await;
                Err(TransportError::Late)
            }
        }
    }
}

/// One connection, until it is closed.
struct Connection {
    connection: Option<Arc<dyn PeerConnection>>,
    channel: Option<oneshot::Receiver<ChannelStream>>,
    events: Arc<Events>,
    _port: Port,
}

impl Connection {
    async fn end(&mut self) {
        self.events.over.cancel();
        if let Some(connection) = self.connection.take()
            && let Err(error) = connection.close().await
        {
            debug!(%error, "a connection to a browser did not close cleanly");
        }
    }
}

#[async_trait]
impl PendingConnection for Connection {
    async fn open(&mut self) -> Option<ChannelStream> {
        let channel = self.channel.as_mut()?;
        tokio::select! {
            () = self.events.over.cancelled() => None,
            opened = channel => opened.ok(),
        }
    }

    async fn close(mut self: Box<Self>) {
        self.end().await;
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.events.over.cancel();
        // Whoever was stopped half-way leaves the goodbye to the runtime, if there still is one.
        if let (Some(connection), Ok(runtime)) =
            (self.connection.take(), tokio::runtime::Handle::try_current())
        {
            runtime.spawn(async move {
                let _ = connection.close().await;
            });
        }
    }
}

/// What the library tells.
struct Events {
    gathered: Notify,
    /// Taken by the first channel; a browser needs no second one, and one that opens more is let go.
    opened: Mutex<Option<oneshot::Sender<ChannelStream>>>,
    over: CancellationToken,
}

#[async_trait]
impl PeerConnectionEventHandler for Events {
    async fn on_ice_gathering_state_change(&self, state: RTCIceGatheringState) {
        if state == RTCIceGatheringState::Complete {
            self.gathered.notify_one();
        }
    }

    async fn on_connection_state_change(&self, state: RTCPeerConnectionState) {
        if matches!(
            state,
            RTCPeerConnectionState::Failed | RTCPeerConnectionState::Closed
        ) {
            self.over.cancel();
        }
    }

    async fn on_data_channel(&self, channel: Arc<dyn DataChannel>) {
        let opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner).take();
        match opened {
            Some(opened) => drop(tokio::spawn(carry(channel, opened, self.over.clone()))),
            None => self.over.cancel(),
        }
    }
}

/// Carries a channel's messages until one side is gone.
async fn carry(
    channel: Arc<dyn DataChannel>,
    opened: oneshot::Sender<ChannelStream>,
    over: CancellationToken,
) {
    let (
        stream,
        ChannelEnds {
            received,
            mut to_send,
        },
    ) = channel_stream();
    let mut opened = Some((opened, stream));
    let sending = {
        let channel = Arc::clone(&channel);
        async move {
            while let Some(message) = to_send.recv().await {
                if channel.send(message).await.is_err() {
                    break;
                }
            }
        }
    };
    tokio::pin!(sending);
    loop {
        let event = tokio::select! {
            () = over.cancelled() => break,
            () = &mut sending, if opened.is_none() => break,
            event = channel.poll() => event,
        };
        match event {
            Some(DataChannelEvent::OnOpen) => {
                if let Some((opened, stream)) = opened.take()
                    && opened.send(stream).is_err()
                {
                    break;
                }
            }
            Some(DataChannelEvent::OnMessage(message)) => {
                if !received.put(message.data.freeze()) {
                    break;
                }
            }
            Some(DataChannelEvent::OnClose | DataChannelEvent::OnClosing) | None => break,
            Some(_) => {}
        }
    }
    over.cancel();
}

#[cfg(test)]
#[path = "webrtc_tests.rs"]
mod tests;
