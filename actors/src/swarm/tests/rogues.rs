//! Peers that break the rules: forged and malformed gossip, requests and answers beyond the maxima.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use std::io;

use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, StreamExt};
use libp2p::{
    Multiaddr, StreamProtocol, Swarm as Libp2pSwarm,
    gossipsub::IdentTopic,
    identity::Keypair,
    noise,
    request_response::{self, ProtocolSupport},
    swarm::SwarmEvent,
    tcp, yamux,
};
use seedpod_protocol::{limits, requests::Request};

use super::{
    super::{
        Friend, RequestError, Topic,
        behaviour::{self, Behaviour},
        codec, peer_id,
        testing::{key, record, tampered},
    },
    Ground, Pod, run, until_peers,
};

/// A peer made of our own parts that says what it likes.
struct Rogue {
    swarm: Libp2pSwarm<Behaviour>,
}

impl Rogue {
    fn connect(n: u8, to: &Pod) -> Self {
        let mut swarm = behaviour::build(&Ground::Loopback.options(n)).unwrap();
        swarm
            .dial(to.swarm.addresses()[0].parse::<Multiaddr>().unwrap())
            .unwrap();
        Self { swarm }
    }

    async fn publish(&mut self, bytes: Vec<u8>) {
        let topic = IdentTopic::new(Topic::Catalog.name());
        while self
            .swarm
            .behaviour_mut()
            .gossip
            .publish(topic.clone(), bytes.clone())
            .is_err()
        {
            self.swarm.select_next_some().await;
        }
    }

    async fn until_disconnected(&mut self) {
        while !matches!(
            self.swarm.select_next_some().await,
            SwarmEvent::ConnectionClosed {
                num_established: 0,
                ..
            }
        ) {}
    }
}

#[test]
fn who_brings_a_forged_record_is_locked_out() {
    run(async {
        let mut b = Ground::Loopback.pod(2).await;
        let rogue_id = key(1).id();
        b.swarm
            .set_friends(vec![Friend {
                pod: rogue_id,
                addresses: vec![],
            }])
            .await;
        let mut rogue = Rogue::connect(1, &b);
        rogue.publish(tampered(&record(&key(1), 1))).await;
        rogue.until_disconnected().await;
        b.sees(rogue_id, false).await;
        assert_eq!(b.metrics.gossip_count("reject", "signature"), 1);
        assert_eq!(b.metrics.ban_count("forged"), 1);
        assert!(b.envelopes.try_recv().is_err());
        assert_eq!(
            b.swarm.request(rogue_id, &[], Request::ListFriends).await,
            Err(RequestError::Banned(rogue_id))
        );

        // It cannot come back before the ban is lifted.
        let mut again = Rogue::connect(1, &b);
        again.until_disconnected().await;
        assert!(b.swarm.peers().await.is_empty());
        b.swarm.unban(rogue_id).await;
        let mut pardoned = Rogue::connect(1, &b);
        let running = tokio::spawn(async move {
            loop {
                pardoned.swarm.select_next_some().await;
            }
        });
        until_peers(&b, 1).await;
        running.abort();
    });
}

#[test]
fn the_fifth_malformed_message_locks_its_sender_out() {
    run(async {
        let mut b = Ground::Loopback.pod(2).await;
        let rogue_id = key(1).id();
        b.swarm
            .set_friends(vec![Friend {
                pod: rogue_id,
                addresses: vec![],
            }])
            .await;
        let mut rogue = Rogue::connect(1, &b);
        for n in 0..5 {
            rogue.publish(vec![0xff; 10 + n]).await;
        }
        rogue.until_disconnected().await;
        b.sees(rogue_id, false).await;
        assert_eq!(b.metrics.ban_count("malformed"), 1);
    });
}

/// A codec without manners: bytes as they are, of any length.
#[derive(Clone, Default)]
struct RawCodec;

impl request_response::Codec for RawCodec {
    type Protocol = StreamProtocol;
    type Request = Vec<u8>;
    type Response = Vec<u8>;

    async fn read_request<T: AsyncRead + Unpin + Send>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
    ) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        io.read_to_end(&mut bytes).await.map(|_| bytes)
    }

    async fn read_response<T: AsyncRead + Unpin + Send>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
    ) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        io.read_to_end(&mut bytes).await.map(|_| bytes)
    }

    async fn write_request<T: AsyncWrite + Unpin + Send>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
        bytes: Vec<u8>,
    ) -> io::Result<()> {
        io.write_all(&bytes).await
    }

    async fn write_response<T: AsyncWrite + Unpin + Send>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
        bytes: Vec<u8>,
    ) -> io::Result<()> {
        io.write_all(&bytes).await
    }
}

fn raw_peer(n: u8) -> Libp2pSwarm<request_response::Behaviour<RawCodec>> {
    let keypair = Keypair::ed25519_from_bytes(*key(n).seed()).unwrap();
    libp2p::SwarmBuilder::with_existing_identity(keypair)
        .with_tokio()
        .with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default)
        .unwrap()
        .with_behaviour(|_| {
            let protocols = [(codec::PROTOCOL, ProtocolSupport::Full)];
            request_response::Behaviour::with_codec(RawCodec, protocols, request_response::Config::default())
        })
        .unwrap()
        .build()
}

#[test]
fn oversized_requests_are_refused_and_the_fifth_locks_out() {
    run(async {
        let mut pod = Ground::Loopback.pod(2).await;
        let mut raw = raw_peer(1);
        let to = peer_id::peer_id(&pod.id);
        raw.add_peer_address(to, pod.swarm.addresses()[0].parse().unwrap());
        for _ in 0..5 {
            raw.behaviour_mut()
                .send_request(&to, vec![0; limits::REQUEST_MAX + 1]);
        }
        let mut failures = 0;
        while failures < 5 {
            match raw.select_next_some().await {
                SwarmEvent::Behaviour(request_response::Event::OutboundFailure { .. }) => failures += 1,
                SwarmEvent::Behaviour(request_response::Event::Message {
                    message: request_response::Message::Response { response, .. },
                    ..
                }) => {
                    assert!(response.is_empty(), "an oversized request is not answered");
                    failures += 1;
                }
                _ => {}
            }
        }
        let events = tokio::spawn(async move {
            loop {
                raw.select_next_some().await;
            }
        });
        pod.sees(key(1).id(), false).await;
        assert_eq!(pod.metrics.ban_count("malformed"), 1);
        events.abort();
    });
}

#[test]
fn oversized_answers_are_refused() {
    run(async {
        let pod = Ground::Loopback.pod(2).await;
        let mut raw = raw_peer(1);
        raw.listen_on("/ip4/127.0.0.1/tcp/0".parse().unwrap()).unwrap();
        let address = loop {
            if let SwarmEvent::NewListenAddr { address, .. } = raw.select_next_some().await {
                break address.to_string();
            }
        };
        let serving = tokio::spawn(async move {
            loop {
                if let SwarmEvent::Behaviour(request_response::Event::Message {
                    message: request_response::Message::Request { channel, .. },
                    ..
                }) = raw.select_next_some().await
                {
                    raw.behaviour_mut()
                        .send_response(channel, vec![0; limits::RESPONSE_MAX + 1])
                        .unwrap();
                }
            }
        });
        let answer = pod
            .swarm
            .request(key(1).id(), &[address], Request::ListFriends)
            .await;
        assert!(matches!(answer, Err(RequestError::Answer(_))), "{answer:?}");
        serving.abort();
    });
}
