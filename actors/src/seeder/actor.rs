//! The shell of the seeder.

use actix::{Actor, Context, Handler, MessageResult};

use super::messages::{Forget, GetCarried, GetTotals, Served};
use super::metrics::SeederMetrics;
use super::state::Seeder;
use crate::supervise::Lifeline;

/// How many reports wait before further ones are lost.
const MAILBOX_CAPACITY: usize = 1024;

/// Adds up what this pod gives.
pub struct SeederActor {
    state: Seeder,
    metrics: SeederMetrics,
    _lifeline: Option<Lifeline>,
}

impl SeederActor {
    /// A seeder that has sent nothing yet.
    #[must_use]
    pub fn new(metrics: SeederMetrics) -> Self {
        Self {
            state: Seeder::default(),
            metrics,
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
}

impl Actor for SeederActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(MAILBOX_CAPACITY);
    }
}

impl Handler<Served> for SeederActor {
    type Result = ();

    fn handle(&mut self, served: Served, _: &mut Self::Context) {
        self.state.served(served.info_hash, served.bytes, served.source);
        self.metrics.served(served.bytes, served.source);
    }
}

impl Handler<Forget> for SeederActor {
    type Result = ();

    fn handle(&mut self, forget: Forget, _: &mut Self::Context) {
        self.state.forget(&forget.info_hash);
    }
}

impl Handler<GetCarried> for SeederActor {
    type Result = MessageResult<GetCarried>;

    fn handle(&mut self, get: GetCarried, _: &mut Self::Context) -> Self::Result {
        MessageResult(self.state.carried(&get.info_hash))
    }
}

impl Handler<GetTotals> for SeederActor {
    type Result = MessageResult<GetTotals>;

    fn handle(&mut self, _: GetTotals, _: &mut Self::Context) -> Self::Result {
        MessageResult(self.state.totals())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use prometheus_client::registry::Registry;
    use seedpod_protocol::ids::InfoHash;

    use super::*;
    use crate::seeder::messages::{Carried, Source};

    #[actix::test]
    async fn what_was_served_is_told_and_measured() {
        let mut registry = Registry::default();
        let seeder = SeederActor::new(SeederMetrics::register(&mut registry)).start();
        let info_hash = InfoHash::from_bytes([1; 20]);
        for bytes in [40, 2] {
            seeder
                .send(Served {
                    info_hash,
                    bytes,
                    source: Source::WebSeed,
                })
                .await
                .unwrap();
        }
        assert_eq!(
            seeder.send(GetCarried { info_hash }).await.unwrap(),
            Carried { web_seed: 42 }
        );
        seeder.send(Forget { info_hash }).await.unwrap();
        assert_eq!(
            seeder.send(GetCarried { info_hash }).await.unwrap(),
            Carried::default()
        );
        assert_eq!(seeder.send(GetTotals).await.unwrap(), Carried { web_seed: 42 });
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        assert!(
            text.contains(r#"seedpod_seeder_served_bytes_total{source="web_seed"} 42"#),
            "{text}"
        );
    }
}
