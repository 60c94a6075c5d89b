//! Content for tests: a file, its torrent, and a peer that downloads it.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::path::PathBuf;

use prometheus_client::registry::Registry;
use seedpod_protocol::ids::InfoHash;
use seedpod_protocol::metainfo::{Info, PieceHasher};
use seedpod_protocol::tracker::PeerId;
use seedpod_protocol::wire::{Block, Features, Handshake, MAX_MESSAGE_LEN, Message};
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio_util::sync::CancellationToken;

use super::messages::Source;
use super::metrics::SeederMetrics;
use super::service::Service;
use super::shelf::{Holding, Shelf};

pub(super) const POD: PeerId = PeerId::from_bytes(*b"-SP0100-podpodpodpod");

/// A file and its info dictionary in a folder of their own.
pub(super) struct Content {
    _folder: TempDir,
    holding: Holding,
    pub(super) bytes: Vec<u8>,
}

impl Content {
    pub(super) const PIECE: u32 = 16 << 10;

    pub(super) fn new(length: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let bytes: Vec<u8> = (0..length)
            .map(|at| u8::try_from(at * 31 % 251).unwrap())
            .collect();
        let mut hasher = PieceHasher::new(Self::PIECE);
        hasher.update(&bytes);
        let info = Info::new("film.mp4".to_owned(), length as u64, Self::PIECE, hasher.finish()).unwrap();
        let path = |name: &str| -> PathBuf { folder.path().join(name) };
        let holding = Holding {
            info_hash: info.info_hash(),
            media: path("film.mp4"),
            info: path("film.info"),
        };
        std::fs::write(&holding.media, &bytes).unwrap();
        std::fs::write(&holding.info, info.encode()).unwrap();
        Self {
            _folder: folder,
            holding,
            bytes,
        }
    }

    pub(super) fn holding(&self) -> Holding {
        self.holding.clone()
    }

    pub(super) fn info_hash(&self) -> InfoHash {
        self.holding.info_hash
    }
}

/// A service over one content.
pub(super) struct Pod {
    pub(super) service: Service,
    pub(super) shelf: Shelf,
    pub(super) stop: CancellationToken,
    pub(super) registry: Registry,
}

impl Pod {
    pub(super) fn with(content: &Content) -> Self {
        let (shelf, stop) = (Shelf::default(), CancellationToken::new());
        shelf.put(content.holding());
        let mut registry = Registry::default();
        let service = Service::new(
            POD,
            shelf.clone(),
            SeederMetrics::register(&mut registry),
            stop.clone(),
        );
        Self {
            service,
            shelf,
            stop,
            registry,
        }
    }

    /// How many bytes it says it served, by all ways.
    pub(super) fn served(&self) -> u64 {
        let totals = self.service.ledger().totals();
        Source::ALL.into_iter().map(|source| totals.by(source)).sum()
    }

    pub(super) fn metrics(&self) -> String {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry).unwrap();
        text
    }
}

/// The other end of a stream.
pub(super) struct Leecher<S> {
    pub(super) stream: S,
    heard: Vec<u8>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Leecher<S> {
    /// Greets and is greeted.
    pub(super) async fn greet(stream: S, info_hash: InfoHash) -> Self {
        let mut leecher = Self {
            stream,
            heard: Vec::new(),
        };
        let ours = Handshake {
            features: Features::ours(),
            info_hash,
            peer_id: PeerId::from_bytes(*b"-XX0000-leecherleech"),
        };
        leecher.stream.write_all(&ours.encode()).await.unwrap();
        let mut theirs = [0; Handshake::LEN];
        leecher.stream.read_exact(&mut theirs).await.unwrap();
        let theirs = Handshake::decode(&theirs).unwrap().unwrap();
        assert_eq!((theirs.info_hash, theirs.peer_id), (info_hash, POD));
        leecher
    }

    pub(super) async fn say(&mut self, message: Message<'_>) {
        let mut bytes = Vec::new();
        message.encode(&mut bytes);
        self.stream.write_all(&bytes).await.unwrap();
    }

    /// Hands the next message to somebody; nothing at the end of the stream.
    pub(super) async fn hear<T>(&mut self, listen: impl FnOnce(Message<'_>) -> T) -> Option<T> {
        loop {
            if let Some((message, used)) = Message::decode(&self.heard, MAX_MESSAGE_LEN).unwrap() {
                let heard = listen(message);
                self.heard.drain(..used);
                return Some(heard);
            }
            if self.stream.read_buf(&mut self.heard).await.ok()? == 0 {
                return None;
            }
        }
    }

    /// Waits for a slot.
    pub(super) async fn unchoked(&mut self) {
        self.say(Message::Interested).await;
        while !self.hear(|message| message == Message::Unchoke).await.unwrap() {}
    }

    /// All of the content, asked for block by block.
    pub(super) async fn download(&mut self, length: usize) -> Vec<u8> {
        self.unchoked().await;
        let mut content = vec![0; length];
        let piece = usize::try_from(Content::PIECE).unwrap();
        for (number, block) in content.chunks_mut(piece).enumerate() {
            let asked = Block {
                piece: u32::try_from(number).unwrap(),
                begin: 0,
                length: u32::try_from(block.len()).unwrap(),
            };
            self.say(Message::Request(asked)).await;
            let arrived = self.hear(|message| match message {
                Message::Piece {
                    piece,
                    begin: 0,
                    bytes,
                } if piece == asked.piece => block.copy_from_slice(bytes),
                other => panic!("{other:?}"),
            });
            arrived.await.unwrap();
        }
        content
    }
}
