//! The rooms' way to other pods over HTTP: who lives at a host, and files of friends.
//!
//! Rooms know nothing of HTTP; they ask through recipients, and this is who answers.

use actix::prelude::*;
use bytes::Bytes;
use seedpod_actors::friends::messages::{ResolveError, ResolveHost, ResolvedHost};
use seedpod_actors::library::messages::{FetchError, FetchFile};
use seedpod_actors::mirrors::messages::FetchRange;
use seedpod_actors::supervise::Lifeline;
use seedpod_protocol::envelope::Envelope;
use seedpod_protocol::records::{Card, Record};

use crate::fetch::{self, Fetcher};
use crate::resolve::{HostAddress, Introduction, Resolver};

/// Questions that may wait; askers wait with them.
const MAILBOX: usize = 256;

/// Answers what rooms ask of the world outside.
pub(crate) struct Outside {
    resolver: Resolver,
    fetcher: Fetcher,
    _lifeline: Lifeline,
}

impl Outside {
    pub(crate) fn new(resolver: Resolver, fetcher: Fetcher, lifeline: Lifeline) -> Self {
        Self {
            resolver,
            fetcher,
            _lifeline: lifeline,
        }
    }
}

impl Actor for Outside {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(MAILBOX);
    }
}

impl Handler<ResolveHost> for Outside {
    type Result = ResponseFuture<Result<ResolvedHost, ResolveError>>;

    fn handle(&mut self, ResolveHost { host }: ResolveHost, _: &mut Context<Self>) -> Self::Result {
        let resolver = self.resolver.clone();
        Box::pin(async move {
            let introduction = resolver.resolve(&host).await.map_err(|error| error.to_string());
            introduction
                .and_then(read_introduction)
                .map_err(|cause| ResolveError { host, cause })
        })
    }
}

impl Handler<FetchFile> for Outside {
    type Result = ResponseFuture<Result<Bytes, FetchError>>;

    fn handle(&mut self, FetchFile { url, limit }: FetchFile, _: &mut Context<Self>) -> Self::Result {
        let fetcher = self.fetcher.clone();
        Box::pin(async move { fetcher.get(&url, limit).await.map(Bytes::from).map_err(refused) })
    }
}

impl Handler<FetchRange> for Outside {
    type Result = ResponseFuture<Result<Bytes, FetchError>>;

    fn handle(&mut self, range: FetchRange, _: &mut Context<Self>) -> Self::Result {
        let fetcher = self.fetcher.clone();
        Box::pin(async move {
            let FetchRange { url, first, count } = range;
            let part = fetcher.get_range(&url, first, count).await;
            part.map(Bytes::from).map_err(refused)
        })
    }
}

fn refused(error: fetch::FetchError) -> FetchError {
    match error {
        fetch::FetchError::Status { status, .. } => FetchError::Status(status.as_u16()),
        fetch::FetchError::TooLarge { max, .. } => FetchError::TooLarge(max),
        other => FetchError::Unreachable(other.to_string()),
    }
}

/// Checks the signature of a pod's introduction. What the pod calls its public URL is its own word; the key is proof.
fn read_introduction(introduction: Introduction) -> Result<ResolvedHost, String> {
    let record = Envelope::decode(introduction.envelope)
        .map_err(|error| error.to_string())
        .and_then(|envelope| envelope.open().map_err(|error| error.to_string()))
        .map_err(|error| format!("its introduction is not valid: {error}"))?;
    let Record::Card(Card {
        name,
        version,
        url,
        addresses,
    }) = record.payload()
    else {
        return Err("what it signed is no introduction".to_owned());
    };
    let host: HostAddress = url
        .parse()
        .map_err(|_| format!("it calls itself `{url}`, which is no host"))?;
    Ok(ResolvedHost {
        pod: record.header().author,
        host: host.without_scheme(),
        url: url.clone(),
        name: name.clone(),
        version: version.clone(),
        addresses: addresses.clone(),
    })
}
