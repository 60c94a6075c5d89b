//! The shell of the seeder: follows the catalog, keeps the shelf, takes offers of browsers, adds up what is given until somebody takes the sums.

use std::net::SocketAddr;

use actix::{Actor, Addr, AsyncContext, Context, Handler, MessageResult, Recipient};
use seedpod_protocol::ids::{InfoHash, PodId};

use super::messages::{Carry, Forget, Served, TakeSent};
use super::own::{OwnChange, OwnVideos};
use super::service::Service;
use super::shelf::Holding;
use super::visits::Visits;
use crate::catalog::CatalogActor;
use crate::catalog::messages::{Changed, Replay, Subscribe};
use crate::library::MediaFolder;
use crate::supervise::Lifeline;
use crate::tracker::Desk;
use crate::tracker::messages::{AnswerOffer, RegisterSeeder, Seed, TakeOffer};

/// How many reports and offers wait before further ones are lost.
const MAILBOX_CAPACITY: usize = 1024;

/// What a seeder is made of.
#[derive(Debug, Clone)]
pub struct SeederOptions {
    /// This pod: what it published is seeded.
    pub pod: PodId,
    /// Where its files lie.
    pub media: MediaFolder,
    /// What its peers are served by.
    pub service: Service,
    /// The tracker that sends peers here.
    pub desk: Desk,
    /// Where BitTorrent clients reach this pod.
    pub addresses: Vec<SocketAddr>,
    /// Takes browsers in; none if there is to be no WebRTC.
    pub visits: Option<Visits>,
}

/// Says what this pod seeds, and adds up what it gives.
pub struct SeederActor {
    options: SeederOptions,
    own: OwnVideos,
    _lifeline: Option<Lifeline>,
}

impl SeederActor {
    /// A seeder that has sent nothing yet.
    #[must_use]
    pub fn new(options: SeederOptions) -> Self {
        Self {
            own: OwnVideos::new(options.pod),
            options,
            _lifeline: None,
        }
    }

    /// The same seeder, whose end is noticed.
    #[must_use]
    pub fn with_lifeline(self, lifeline: Lifeline) -> Self {
        Self {
            _lifeline: Some(lifeline),
            ..self
        }
    }

    /// Starts the seeder and lets it follow a catalog: what it holds, and every change after it.
    pub fn follow(self, catalog: &Addr<CatalogActor>) -> Addr<Self> {
        let seeder = self.start();
        let recipient: Recipient<Changed> = seeder.clone().recipient();
        catalog.do_send(Subscribe(recipient.clone()));
        catalog.do_send(Replay { to: recipient });
        seeder
    }

    fn carry(&self, holding: Holding) {
        let begin = vec![holding.info_hash];
        self.options.service.shelf().put(holding);
        self.options.desk.seed(Seed {
            begin,
            end: Vec::new(),
        });
        self.show();
    }

    fn forget(&self, info_hash: &InfoHash) {
        self.options.desk.seed(Seed {
            begin: Vec::new(),
            end: vec![*info_hash],
        });
        self.options.service.shelf().remove(info_hash);
        self.show();
    }

    fn show(&self) {
        let service = &self.options.service;
        service.metrics().set_torrents(service.shelf().len());
    }
}

impl Actor for SeederActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(MAILBOX_CAPACITY);
        // The former actor's offers, if there was one, went to a mailbox that is gone.
        let offers = self.options.visits.as_ref().map(|_| ctx.address().recipient());
        self.options.desk.register_seeder(RegisterSeeder {
            peer_id: self.options.service.peer_id(),
            addresses: self.options.addresses.clone(),
            offers,
        });
    }
}

impl Handler<TakeOffer> for SeederActor {
    type Result = ();

    fn handle(&mut self, offer: TakeOffer, _: &mut Self::Context) {
        let Some(visits) = &self.options.visits else {
            return;
        };
        let desk = self.options.desk.clone();
        let (info_hash, to_peer_id, offer_id) = (offer.info_hash, offer.peer_id, offer.offer_id);
        visits.take(&offer, move |answer| {
            desk.answer_offer(AnswerOffer {
                info_hash,
                to_peer_id,
                offer_id,
                answer,
            });
        });
    }
}

impl Handler<Served> for SeederActor {
    type Result = ();

    fn handle(&mut self, served: Served, _: &mut Self::Context) {
        self.options.service.served(served);
    }
}

impl Handler<Forget> for SeederActor {
    type Result = ();

    fn handle(&mut self, forget: Forget, _: &mut Self::Context) {
        self.forget(&forget.info_hash);
    }
}

impl Handler<Carry> for SeederActor {
    type Result = ();

    fn handle(&mut self, Carry(holding): Carry, _: &mut Self::Context) {
        self.carry(holding);
    }
}

impl Handler<Changed> for SeederActor {
    type Result = ();

    fn handle(&mut self, changed: Changed, _: &mut Self::Context) {
        for change in changed.changes.iter() {
            let OwnChange { begin, end } = self.own.follow(change);
            for file in begin {
                let media = &self.options.media;
                if let Some(path) = media.media_file(&file.name) {
                    let (info_hash, info) = (file.info_hash, media.info(&file.info_hash));
                    self.carry(Holding {
                        info_hash,
                        media: path,
                        info,
                    });
                }
            }
            for info_hash in end {
                self.forget(&info_hash);
            }
        }
    }
}

impl Handler<TakeSent> for SeederActor {
    type Result = MessageResult<TakeSent>;

    fn handle(&mut self, _: TakeSent, _: &mut Self::Context) -> Self::Result {
        MessageResult(self.options.service.ledger().take())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use prometheus_client::registry::Registry;
    use seedpod_protocol::keys::PodKey;
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::seeder::messages::{Carried, Source};
    use crate::seeder::{SeederMetrics, Shelf, peer_id};
    use crate::tracker::TrackerConfig;

    #[actix::test]
    async fn what_was_served_is_told_and_measured() {
        let mut registry = Registry::default();
        let folder = tempfile::tempdir().unwrap();
        let seeder = SeederActor::new(SeederOptions {
            pod: PodKey::from_seed(&[1; 32]).id(),
            media: MediaFolder::open(folder.path()).unwrap(),
            service: Service::new(
                peer_id([0; 12]),
                Shelf::default(),
                SeederMetrics::register(&mut registry),
                CancellationToken::new(),
            ),
            desk: Desk::new(TrackerConfig::default()),
            addresses: Vec::new(),
            visits: None,
        })
        .start();
        let info_hash = InfoHash::from_bytes([1; 20]);
        for (bytes, source) in [(40, Source::WebSeed), (7, Source::Tcp), (2, Source::WebSeed)] {
            let served = Served {
                info_hash,
                bytes,
                source,
            };
            seeder.send(served).await.unwrap();
        }
        let carried = Carried {
            web_seed: 42,
            webrtc: 0,
            tcp: 7,
        };
        // What is no longer served was sent all the same.
        seeder.send(Forget { info_hash }).await.unwrap();
        let sent = seeder.send(TakeSent).await.unwrap();
        assert_eq!(sent.torrents, [(info_hash, carried)]);
        assert_eq!(seeder.send(TakeSent).await.unwrap().torrents, []);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        for (source, bytes) in [("web_seed", 42), ("webrtc", 0), ("tcp", 7)] {
            let line = format!(r#"seedpod_seeder_served_bytes_total{{source="{source}"}} {bytes}"#);
            assert!(text.contains(&line), "{line} in {text}");
        }
    }
}
