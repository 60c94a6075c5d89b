//! The driver's other half: what peers send.
//!
//! Everything here runs once an event, costs a bounded amount of work, and trusts nothing but who the peer is.

use std::{collections::HashMap, sync::Arc, time::Instant};

use futures::FutureExt;
use libp2p::{
    PeerId,
    core::ConnectedPoint,
    gossipsub::{self, MessageAcceptance},
    ping,
    request_response::{self, OutboundFailure, OutboundRequestId, ResponseChannel},
    swarm::{ConnectionId, SwarmEvent},
};
use seedpod_protocol::{
    ids::PodId,
    requests::{self, Response},
};
use tokio::sync::oneshot;
use tracing::{debug, warn};

use super::{
    super::{
        ANSWER_TIME, EnvelopeArrived, Refusal, RequestArrived, RequestError, Topic, Way,
        behaviour::BehaviourEvent,
        codec::Asked,
        peer_id::pod_id,
        verify::{Candidate, Verdict},
    },
    Answer, Driver, Judged, Peer, wall_clock,
};

impl Driver {
    pub(super) fn on_swarm_event(&mut self, event: SwarmEvent<BehaviourEvent>) {
        match event {
            SwarmEvent::Behaviour(BehaviourEvent::Gossip(gossipsub::Event::Message {
                propagation_source,
                message_id,
                message,
            })) => {
                self.on_gossip_message(propagation_source, message_id, message);
            }
            SwarmEvent::Behaviour(BehaviourEvent::Gossip(gossipsub::Event::SlowPeer {
                peer_id,
                failed_messages,
            })) => {
                debug!(peer = %peer_id, ?failed_messages, "peer takes gossip too slowly");
                self.metrics.queue_full("gossip_out");
            }
            SwarmEvent::Behaviour(BehaviourEvent::Requests(event)) => self.on_request_event(event),
            SwarmEvent::Behaviour(BehaviourEvent::Ping(ping::Event {
                peer,
                connection,
                result,
            })) => match result {
                Ok(rtt) => {
                    if let Some(known) = pod_id(&peer).and_then(|pod| self.peers.get_mut(&pod)) {
                        known.rtt = Some(rtt);
                    }
                }
                // A pod need not speak ping; one that does and falls silent is gone, whatever TCP believes.
                Err(ping::Failure::Unsupported) => {}
                Err(error) => {
                    debug!(%peer, %error, "ping failed, connection closed");
                    self.swarm.close_connection(connection);
                }
            },
            #[cfg(feature = "lan")]
            SwarmEvent::Behaviour(BehaviourEvent::Lan(libp2p::mdns::Event::Discovered(found))) => {
                for (peer, address) in found {
                    if let Some(pod) = pod_id(&peer) {
                        self.dialing.hint(&pod, address, Instant::now());
                    }
                }
            }
            SwarmEvent::ConnectionEstablished {
                peer_id,
                connection_id,
                endpoint,
                num_established,
                ..
            } => {
                self.on_connected(peer_id, connection_id, &endpoint, num_established.get());
            }
            SwarmEvent::ConnectionClosed {
                peer_id,
                connection_id,
                num_established,
                cause,
                ..
            } => {
                debug!(peer = %peer_id, ?cause, "connection closed");
                self.on_connection_closed(peer_id, connection_id, num_established);
            }
            SwarmEvent::OutgoingConnectionError {
                peer_id: Some(peer),
                error,
                ..
            } => {
                debug!(%peer, %error, "dial failed");
                if let Some(pod) = pod_id(&peer).filter(|pod| !self.peers.contains_key(pod)) {
                    self.metrics.dial("failed");
                    self.dialing.failed(&pod, Instant::now(), &mut rand::rng());
                }
            }
            SwarmEvent::NewListenAddr { .. }
            | SwarmEvent::ExpiredListenAddr { .. }
            | SwarmEvent::ExternalAddrConfirmed { .. }
            | SwarmEvent::ExternalAddrExpired { .. } => self.show_addresses(),
            SwarmEvent::ListenerClosed {
                addresses, reason, ..
            } => {
                warn!(?addresses, ?reason, "no longer listening");
                self.show_addresses();
            }
            SwarmEvent::ListenerError { error, .. } => warn!(%error, "listener failed for a moment"),
            _ => {}
        }
    }

    fn on_connected(
        &mut self,
        peer: PeerId,
        connection: ConnectionId,
        endpoint: &ConnectedPoint,
        connections: u32,
    ) {
        let Some(pod) = pod_id(&peer) else {
            self.swarm.close_connection(connection);
            return;
        };
        let now = Instant::now();
        let known = self.peers.entry(pod).or_insert_with(|| Peer {
            connections: HashMap::new(),
            since: wall_clock(),
            active: now,
            rtt: None,
        });
        known
            .connections
            .insert(connection, endpoint.get_remote_address().clone());
        if endpoint.is_dialer() {
            self.metrics.dial("connected");
        }
        if connections == 1 {
            debug!(peer = %pod.short(), "connected");
            self.admission.connected(pod, now);
            self.dialing.connected(&pod, now);
            self.place_in_gossip(&pod);
            self.metrics.set_connected(self.peers.len());
            self.tell_peer_changed(pod);
        }
    }

    fn on_connection_closed(&mut self, peer: PeerId, connection: ConnectionId, remaining: u32) {
        let Some(pod) = pod_id(&peer) else { return };
        if let Some(known) = self.peers.get_mut(&pod) {
            known.connections.remove(&connection);
        }
        if remaining == 0 && self.peers.remove(&pod).is_some() {
            self.admission.disconnected(&pod);
            self.swarm.behaviour_mut().gossip.remove_explicit_peer(&peer);
            self.dialing.disconnected(&pod, Instant::now(), &mut rand::rng());
            self.metrics.set_connected(self.peers.len());
            self.tell_peer_changed(pod);
        }
    }

    fn on_gossip_message(&mut self, source: PeerId, id: gossipsub::MessageId, message: gossipsub::Message) {
        let topic = Topic::ALL
            .into_iter()
            .find(|topic| topic.name() == message.topic.as_str());
        let ignored = match (pod_id(&source), topic) {
            (Some(pod), Some(topic)) if self.admission.admitted().is_friend(&pod) => {
                match self
                    .admission
                    .take_gossip(&pod, message.data.len(), Instant::now())
                {
                    Ok(()) => {
                        let admitted = Arc::clone(self.admission.admitted());
                        let candidate = Candidate {
                            id: id.clone(),
                            source,
                            topic,
                            bytes: message.data,
                            admitted,
                        };
                        self.candidates.try_send(candidate).err().map(|_| "queue_full")
                    }
                    Err(reason) => Some(reason),
                }
            }
            _ => Some("stranger"),
        };
        if let Some(reason) = ignored {
            self.metrics.gossip("ignore", reason);
            self.report(&id, &source, MessageAcceptance::Ignore);
        }
    }

    pub(super) fn on_verdict(&mut self, Verdict { id, source, outcome }: Verdict) {
        let Some(from) = pod_id(&source) else { return };
        match outcome {
            Ok(envelope) if envelope.header().author == self.own => {
                self.metrics.gossip("ignore", "own");
                self.report(&id, &source, MessageAcceptance::Ignore);
            }
            Ok(envelope) => {
                let (news, judged) = oneshot::channel();
                let hears = if envelope.header().kind.is_record() {
                    self.subscribers.as_ref().map(|to| &to.envelopes)
                } else {
                    self.broker.as_ref().map(|broker| &broker.hints)
                };
                let told = hears.map(|hears| hears.try_send(EnvelopeArrived { from, envelope, news }));
                if let Some(Ok(())) = told {
                    let judging = judged.map(move |news| Judged {
                        id,
                        source,
                        news: news.unwrap_or(false),
                    });
                    self.judging.push(judging.boxed());
                } else {
                    // Too busy to look it up is no reason to keep it from others.
                    self.metrics.queue_full("envelopes");
                    self.metrics.gossip("accept", "");
                    self.report(&id, &source, MessageAcceptance::Accept);
                }
            }
            Err(refusal) => {
                let verdict = if refusal.blames() { "reject" } else { "ignore" };
                self.metrics.gossip(verdict, refusal.reason());
                self.report(&id, &source, refusal.verdict());
                self.on_refused(from, Way::Gossip, &refusal);
            }
        }
    }

    /// What is news goes on to others, and what is not ends here: who repeats old records reaches nobody but us.
    pub(super) fn on_judged(&mut self, Judged { id, source, news }: Judged) {
        if news {
            self.metrics.gossip("accept", "");
            self.report(&id, &source, MessageAcceptance::Accept);
        } else {
            self.metrics.gossip("ignore", "stale");
            self.report(&id, &source, MessageAcceptance::Ignore);
        }
    }

    /// Counts an envelope that did not pass the door, and holds it against whoever brought it if that is to blame.
    pub(super) fn on_refused(&mut self, from: PodId, way: Way, refusal: &Refusal) {
        debug!(peer = %from.short(), way = way.name(), %refusal, "envelope refused");
        self.metrics.refused(way.name(), refusal.reason());
        if let Some(reason) = self.admission.refused(from, refusal, Instant::now()) {
            self.ban(from, reason);
        }
    }

    fn report(&mut self, id: &gossipsub::MessageId, source: &PeerId, verdict: MessageAcceptance) {
        self.swarm
            .behaviour_mut()
            .gossip
            .report_message_validation_result(id, source, verdict);
    }

    fn on_request_event(&mut self, event: request_response::Event<Asked, Response>) {
        match event {
            request_response::Event::Message { peer, message, .. } => match message {
                request_response::Message::Request { request, channel, .. } => {
                    self.on_inbound_request(peer, request, channel);
                }
                request_response::Message::Response { request_id, response } => {
                    self.on_outcome(request_id, Ok(response));
                }
            },
            request_response::Event::OutboundFailure {
                request_id, error, ..
            } => {
                let Some(pod) = self.asking.get(&request_id).map(|asking| asking.pod) else {
                    return;
                };
                let error = match error {
                    OutboundFailure::DialFailure => RequestError::Unreachable(pod),
                    OutboundFailure::Timeout => RequestError::Timeout(self.request_time),
                    OutboundFailure::ConnectionClosed => RequestError::Closed("connection lost".to_owned()),
                    OutboundFailure::UnsupportedProtocols => RequestError::Unsupported(pod),
                    OutboundFailure::Io(error) => match error.kind() {
                        std::io::ErrorKind::InvalidData => RequestError::Answer(error.to_string()),
                        std::io::ErrorKind::InvalidInput => RequestError::TooLarge(error.to_string()),
                        std::io::ErrorKind::UnexpectedEof => RequestError::Closed("no answer".to_owned()),
                        _ => RequestError::Closed(error.to_string()),
                    },
                };
                self.on_outcome(request_id, Err(error));
            }
            request_response::Event::InboundFailure { peer, error, .. } => {
                debug!(%peer, %error, "request not answered");
                self.metrics.request_in("failed");
            }
            request_response::Event::ResponseSent { .. } => {}
        }
    }

    fn on_outcome(&mut self, id: OutboundRequestId, outcome: Result<Response, RequestError>) {
        if let Some(asking) = self.asking.remove(&id) {
            self.metrics
                .request_out(outcome.as_ref().map_or_else(RequestError::reason, |_| "answered"));
            asking.reply.send(outcome).ok();
        }
    }

    fn on_inbound_request(&mut self, peer: PeerId, asked: Asked, channel: ResponseChannel<Response>) {
        let Some(from) = pod_id(&peer) else { return };
        let now = Instant::now();
        if let Some(known) = self.peers.get_mut(&from) {
            known.active = now;
        }
        let (refusal, text, outcome) = match asked {
            Asked::Malformed(error) => {
                debug!(peer = %from.short(), %error, "malformed request");
                self.metrics.request_in("malformed");
                if let Some(reason) = self.admission.strike(from, now) {
                    self.ban(from, reason);
                }
                return;
            }
            _ if !self.admission.take_request(&from, now) => {
                (requests::Refusal::Busy, "too many requests".to_owned(), "rate")
            }
            Asked::Unknown(error) => {
                self.admission.answered(&from);
                (requests::Refusal::Malformed, error, "unknown")
            }
            Asked::Known(request) if request.is_relay() && !self.admission.admitted().is_friend(&from) => {
                self.admission.answered(&from);
                (
                    requests::Refusal::NotAFriend,
                    "we are not friends".to_owned(),
                    "stranger",
                )
            }
            Asked::Known(request) => {
                let (reply, response) = oneshot::channel();
                let answers = if request.is_relay() {
                    self.broker.as_ref().map(|broker| &broker.relays)
                } else {
                    self.subscribers.as_ref().map(|to| &to.requests)
                };
                let told =
                    answers.map(|answers| answers.try_send(RequestArrived { from, request, reply }).is_ok());
                if told == Some(true) {
                    let answer = tokio::time::timeout(ANSWER_TIME, response);
                    let waiting = answer.map(move |response| Answer {
                        pod: from,
                        channel,
                        response: response.ok().and_then(Result::ok),
                    });
                    self.answers.push(waiting.boxed());
                    return;
                }
                self.admission.answered(&from);
                self.metrics.queue_full("requests");
                (requests::Refusal::Busy, "too much to do".to_owned(), "queue_full")
            }
        };
        self.metrics.request_in(outcome);
        self.swarm
            .behaviour_mut()
            .requests
            .send_response(channel, Response::refused(refusal, &text))
            .ok();
    }
}
