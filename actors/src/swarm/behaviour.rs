//! Which protocols a pod speaks and over what, all set up in this one place.
//!
//! Gossip is strictly signed, validated by us before it is forwarded, and scored. libp2p's block list of gossipsub is not used for pods
//! that are no friends: it would not keep them out of the mesh, and it punishes whoever forwards a message they made. Instead their
//! application score is [`STRANGER_SCORE`]: gossipsub then drops what they send (subscriptions excepted, so that a stranger who becomes a
//! friend takes part at once), sends them nothing, and keeps them out of the mesh.

use std::{collections::HashSet, time::Duration};

use libp2p::{
    Multiaddr, PeerId, Swarm as Libp2pSwarm, Transport,
    allow_block_list::{self, BlockedPeers},
    core::{muxing::StreamMuxerBox, transport::Boxed, transport::global_only, upgrade},
    gossipsub::{
        self, IdentTopic, MessageAuthenticity, MessageId, PeerScoreParams, PeerScoreThresholds,
        TopicScoreParams, ValidationMode, WhitelistSubscriptionFilter,
    },
    identify,
    identity::Keypair,
    multiaddr::Protocol,
    noise, ping,
    request_response::{self, ProtocolSupport},
    swarm::NetworkBehaviour,
    tcp, yamux,
};
use seedpod_protocol::{limits as maxima, topics};
use tracing::warn;

use super::{SwarmError, SwarmOptions, codec, limits::Limits, messages::Topic};

/// Requests under way on one connection, both directions together.
const STREAMS_PER_CONNECTION: usize = 32;
/// Streams of one connection over all protocols; each may buffer 256 KiB that nobody reads.
const STREAMS_MAX: usize = 128;
/// Streams of one connection that have not said yet which protocol they speak.
const UNDECIDED_STREAMS: usize = 64;
/// How often each connection is tried. A ping is also what a dead connection is noticed by, see [`SILENCE`].
const PING_EVERY: Duration = Duration::from_secs(4);
/// What was sent and is not confirmed by the other machine for so long ends the connection. Without this a connection whose network
/// was cut keeps half of all questions for itself for more than a minute, and goes on doing so after the network is whole again:
/// TCP tries again less and less often. A pod that is busy or stopped is not affected, for its machine confirms.
const SILENCE: Duration = Duration::from_secs(12);
/// A handshake takes no longer.
const HANDSHAKE_TIME: Duration = Duration::from_secs(10);
/// Messages waiting for one slow peer; beyond, they are left to catch-up.
const GOSSIP_QUEUE: usize = 1024;
/// gossipsub's own default of one second loses messages silently on a busy machine.
const GOSSIP_QUEUE_TIME: Duration = Duration::from_secs(30);
/// Scores of pods that left are forgotten soon: their number is not ours to choose.
const RETAIN_SCORE: Duration = Duration::from_secs(60);
/// The application score of a pod that is no friend: far below the graylist.
pub(super) const STRANGER_SCORE: f64 = -10_000.0;
/// The application score of a friend.
pub(super) const FRIEND_SCORE: f64 = 0.0;

/// All protocols of a pod. The limits come first: they may refuse a connection before the others see it.
#[derive(NetworkBehaviour)]
pub(super) struct Behaviour {
    pub(super) limits: Limits,
    pub(super) blocked: allow_block_list::Behaviour<BlockedPeers>,
    pub(super) gossip: gossipsub::Behaviour<gossipsub::IdentityTransform, WhitelistSubscriptionFilter>,
    pub(super) requests: request_response::Behaviour<codec::Codec>,
    identify: identify::Behaviour,
    ping: ping::Behaviour,
    #[cfg(feature = "nat")]
    relay: libp2p::relay::client::Behaviour,
    #[cfg(feature = "nat")]
    hole_punching: libp2p::dcutr::Behaviour,
    #[cfg(feature = "nat")]
    reachability: libp2p::autonat::Behaviour,
    #[cfg(feature = "lan")]
    lan: libp2p::swarm::behaviour::toggle::Toggle<libp2p::mdns::tokio::Behaviour>,
}

/// Puts everything together; listens nowhere yet.
pub(super) fn build(options: &SwarmOptions) -> Result<Libp2pSwarm<Behaviour>, SwarmError> {
    let mut seed = options.key.seed();
    let keypair =
        Keypair::ed25519_from_bytes(&mut seed[..]).map_err(|error| SwarmError::Setup(error.to_string()))?;
    let peer = keypair.public().to_peer_id();

    #[cfg(feature = "nat")]
    let (relay_transport, relay) = libp2p::relay::client::new(peer);
    let base = transport(&keypair, options)?;
    #[cfg(feature = "nat")]
    let base = {
        let relayed = relay_transport
            .upgrade(upgrade::Version::V1Lazy)
            .authenticate(noise(&keypair)?)
            .multiplex(multiplexer())
            .timeout(HANDSHAKE_TIME);
        relayed
            .or_transport(base)
            .map(|either, _| match either {
                futures::future::Either::Left((peer, muxer)) => (peer, StreamMuxerBox::new(muxer)),
                futures::future::Either::Right(output) => output,
            })
            .boxed()
    };

    let behaviour = Behaviour {
        limits: Limits::default(),
        blocked: allow_block_list::Behaviour::default(),
        gossip: gossip(&keypair)?,
        requests: request_response::Behaviour::with_codec(
            codec::Codec,
            [(codec::PROTOCOL, ProtocolSupport::Full)],
            request_response::Config::default()
                .with_request_timeout(options.request_time)
                .with_max_concurrent_streams(STREAMS_PER_CONNECTION),
        ),
        // Nothing of what peers say about their addresses is kept: addresses come with friendships.
        identify: identify::Behaviour::new(
            identify::Config::new("/seedpod/1".to_owned(), keypair.public())
                .with_agent_version(options.agent.clone())
                .with_cache_size(0),
        ),
        ping: ping::Behaviour::new(ping::Config::new().with_interval(PING_EVERY)),
        #[cfg(feature = "nat")]
        relay,
        #[cfg(feature = "nat")]
        hole_punching: libp2p::dcutr::Behaviour::new(peer),
        #[cfg(feature = "nat")]
        reachability: libp2p::autonat::Behaviour::new(peer, libp2p::autonat::Config::default()),
        #[cfg(feature = "lan")]
        lan: if options.lan {
            let found = libp2p::mdns::tokio::Behaviour::new(libp2p::mdns::Config::default(), peer);
            Some(found.map_err(|error| SwarmError::Setup(format!("local discovery: {error}")))?).into()
        } else {
            None.into()
        },
    };
    let config = libp2p::swarm::Config::with_tokio_executor()
        .with_max_negotiating_inbound_streams(UNDECIDED_STREAMS)
        .with_idle_connection_timeout(options.idle_time);
    Ok(Libp2pSwarm::new(base, behaviour, peer, config))
}

/// TCP (and QUIC), names resolved by the system's DNS. The check of addresses sits below the resolver, so that a name cannot lead
/// to a private address either.
fn transport(
    keypair: &Keypair,
    options: &SwarmOptions,
) -> Result<Boxed<(PeerId, StreamMuxerBox)>, SwarmError> {
    let guarded = || {
        let tcp = tcp::tokio::Transport::new(tcp::Config::default())
            .map(|stream, _| impatient(stream))
            .upgrade(upgrade::Version::V1Lazy)
            .authenticate(noise(keypair)?)
            .multiplex(multiplexer())
            .timeout(HANDSHAKE_TIME)
            .boxed();
        #[cfg(feature = "quic")]
        let tcp = libp2p::quic::tokio::Transport::new(libp2p::quic::Config::new(keypair))
            .or_transport(tcp)
            .map(|either, _| match either {
                futures::future::Either::Left((peer, muxer)) => (peer, StreamMuxerBox::new(muxer)),
                futures::future::Either::Right(output) => output,
            })
            .boxed();
        Ok(if options.dial_private {
            tcp
        } else {
            global_only::Transport::new(tcp).boxed()
        })
    };
    match libp2p::dns::tokio::Transport::system(guarded()?) {
        Ok(resolving) => Ok(resolving.boxed()),
        Err(error) => {
            warn!(%error, "the system names no DNS servers: only addresses with numbers can be dialed");
            guarded()
        }
    }
}

/// Has the system end a connection on which nothing arrives any more (RFC 5482, for our side alone). The same ends one that we
/// close while the other does not read: libp2p would wait for it, and not dial that pod again until then.
fn impatient(stream: tcp::tokio::TcpStream) -> tcp::tokio::TcpStream {
    #[cfg(target_os = "linux")]
    if let Err(error) = socket2::SockRef::from(&stream.0).set_tcp_user_timeout(Some(SILENCE)) {
        warn!(%error, "dead connections are noticed late");
    }
    stream
}

fn multiplexer() -> yamux::Config {
    let mut config = yamux::Config::default();
    config.set_max_num_streams(STREAMS_MAX);
    config
}

fn noise(keypair: &Keypair) -> Result<noise::Config, SwarmError> {
    noise::Config::new(keypair).map_err(|error| SwarmError::Setup(error.to_string()))
}

fn gossip(
    keypair: &Keypair,
) -> Result<gossipsub::Behaviour<gossipsub::IdentityTransform, WhitelistSubscriptionFilter>, SwarmError> {
    let setup = |error: &dyn std::fmt::Display| SwarmError::Setup(format!("gossip: {error}"));
    let config = gossipsub::ConfigBuilder::default()
        .validation_mode(ValidationMode::Strict)
        .validate_messages()
        .message_id_fn(|message| MessageId::new(&topics::message_id(message.topic.as_str(), &message.data)))
        .max_transmit_size(maxima::GOSSIP_FRAME_MAX)
        .connection_handler_queue_len(GOSSIP_QUEUE)
        .publish_queue_duration(GOSSIP_QUEUE_TIME)
        .forward_queue_duration(GOSSIP_QUEUE_TIME)
        .flood_publish(false)
        .build()
        .map_err(|error| setup(&error))?;
    let names: Vec<IdentTopic> = Topic::ALL
        .into_iter()
        .map(|topic| IdentTopic::new(topic.name()))
        .collect();
    let known = WhitelistSubscriptionFilter(names.iter().map(IdentTopic::hash).collect::<HashSet<_>>());
    let mut gossip = gossipsub::Behaviour::new_with_subscription_filter(
        MessageAuthenticity::Signed(keypair.clone()),
        config,
        known,
    )
    .map_err(|error| setup(&error))?;
    gossip
        .with_peer_score(scores(&names), PeerScoreThresholds::default())
        .map_err(|error| setup(&error))?;
    for topic in &names {
        gossip.subscribe(topic).map_err(|error| setup(&error))?;
    }
    Ok(gossip)
}

/// Good deeds earn little and bad ones weigh much: with the defaults a busy peer could afford any number of invalid messages. The fifth in
/// a row outweighs all that can be earned; fewer must not, or gossipsub would drop the one that makes the driver lock the sender out.
/// Being quiet, slow or behind the same address as others costs nothing, for honest pods are all of that.
fn scores(names: &[IdentTopic]) -> PeerScoreParams {
    let topic = TopicScoreParams {
        topic_weight: 1.0,
        time_in_mesh_weight: 0.01,
        time_in_mesh_quantum: Duration::from_secs(1),
        time_in_mesh_cap: 1000.0,
        first_message_deliveries_weight: 0.5,
        first_message_deliveries_cap: 40.0,
        mesh_message_deliveries_weight: 0.0,
        mesh_failure_penalty_weight: 0.0,
        invalid_message_deliveries_weight: -4.5,
        invalid_message_deliveries_decay: 0.9,
        ..TopicScoreParams::default()
    };
    PeerScoreParams {
        topics: names.iter().map(|name| (name.hash(), topic.clone())).collect(),
        app_specific_weight: 1.0,
        ip_colocation_factor_weight: 0.0,
        behaviour_penalty_weight: -1.0,
        behaviour_penalty_threshold: 6.0,
        slow_peer_weight: 0.0,
        retain_score: RETAIN_SCORE,
        ..PeerScoreParams::default()
    }
}

/// Reads a multiaddr meant for one peer. None if it is no address, names another peer, or is too long to be one.
pub(super) fn address_of(peer: &PeerId, text: &str) -> Option<Multiaddr> {
    let address: Multiaddr = Some(text)
        .filter(|text| text.len() <= maxima::ADDRESS_MAX)?
        .parse()
        .ok()?;
    let last_peer = address
        .iter()
        .filter_map(|part| {
            if let Protocol::P2p(id) = part {
                Some(id)
            } else {
                None
            }
        })
        .last();
    // Of a relayed address the last id is the peer's, when it is there at all.
    let relayed = address.iter().any(|part| part == Protocol::P2pCircuit);
    (relayed || last_peer.is_none_or(|id| id == *peer)).then_some(address)
}
