//! One peer that wants something from us: the seed's side of the wire protocol. Pure.
//!
//! Bytes come in by [`Connection::receive`] and are fetched by [`Connection::next`]; what carries them, and what reads the blocks, is the
//! shell's affair (`stream.rs`). So one engine serves TCP and data channels.
//!
//! Phases: *greeting* until their handshake is here → *greeted*, while the shell looks for the torrent they named → *open* after
//! [`Connection::open`]. A [`Fault`] at any time is the end; nothing is sent after it.
//!
//! Whatever a peer says, it costs a bounded amount: at most [`MAX_HEARD`] bytes wait to be understood, what is answered waits in
//! [`MAX_CONTROL`] bytes and while that is full nothing further is read, [`MAX_REQUESTS`] requests wait, and talk that asks for
//! nothing has a [budget](TALK).

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;
use seedpod_protocol::ids::InfoHash;
use seedpod_protocol::tracker::PeerId;
use seedpod_protocol::wire::{
    Block, ExtendedHandshake, Features, Handshake, MAX_BLOCK_LEN, METADATA_PIECE_LEN, Message,
    MetadataMessage, WireError, piece_header,
};

use super::have::Have;

/// Longest message taken from a peer, in bytes: a bitfield of the longest torrent we know, or a block, which nobody should send us.
pub(super) const MAX_HEARD: usize = 32 << 10;
/// So many bytes of answers wait before we read on.
const MAX_CONTROL: usize = 32 << 10;
/// So many requests we promise to keep waiting: 4 MiB of the usual blocks, enough for 100 MB/s over 40 ms.
const PROMISED_REQUESTS: u32 = 256;
/// So many wait at most; not everybody knows what we promised.
const MAX_REQUESTS: usize = 1024;
/// How long a handshake may take.
const GREETING: Duration = Duration::from_secs(10);
/// A peer that says nothing for so long is gone; live ones send something every two minutes.
const SILENCE: Duration = Duration::from_secs(180);
/// We say something at least so often.
const KEEP_ALIVE: Duration = Duration::from_secs(100);
/// A peer that asks for nothing for so long can come again when it wants something.
const IDLE: Duration = Duration::from_secs(600);
/// How many messages that ask for nothing new a peer may send at once; one more every [`TALK_REFILL`].
const TALK: u32 = 1024;
/// See [`TALK`].
const TALK_REFILL: Duration = Duration::from_millis(50);
/// The number under which we take messages of `ut_metadata`.
const UT_METADATA: u8 = 1;
/// What we call ourselves.
const CLIENT: &str = concat!("Seedpod/", env!("CARGO_PKG_VERSION"));

/// What a torrent looks like to its peers.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    /// Length of the content, in bytes.
    pub(super) length: u64,
    /// Length of every piece but the last, in bytes; not 0.
    pub(super) piece_length: u32,
    /// How many pieces there are.
    pub(super) pieces: u32,
    /// The info dictionary.
    pub(super) metadata: Bytes,
}

impl Layout {
    /// Where a block lies in the content, in bytes from its beginning; none where it is no part of one piece.
    fn offset(&self, block: Block) -> Option<u64> {
        if block.piece >= self.pieces {
            return None;
        }
        let start = u64::from(block.piece) * u64::from(self.piece_length);
        let piece_length = u64::from(self.piece_length).min(self.length - start);
        let end = u64::from(block.begin) + u64::from(block.length);
        (block.length > 0 && block.length <= MAX_BLOCK_LEN && end <= piece_length)
            .then(|| start + u64::from(block.begin))
    }
}

/// Why a connection ends.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Fault {
    /// It speaks something else.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// Its handshake did not come in time.
    #[error("no handshake came within {} s", GREETING.as_secs())]
    Late,
    /// It calls itself what we call ourselves.
    #[error("the peer is this pod itself")]
    Ourselves,
    /// It is gone, without a word.
    #[error("nothing was heard for {} s", SILENCE.as_secs())]
    Silent,
    /// It has wanted nothing for long.
    #[error("nothing was asked for during {} s", IDLE.as_secs())]
    Idle,
    /// It has everything.
    #[error("the peer has everything")]
    Complete,
    /// It asked for what is no block of the torrent.
    #[error("no such block: {} bytes from {} of piece {}", .0.length, .0.begin, .0.piece)]
    Block(Block),
    /// It claims to have pieces that there are not.
    #[error("pieces that the torrent does not have")]
    Pieces,
    /// It asks, or talks, faster than anybody needs to.
    #[error("too much at once")]
    Flood,
}

impl Fault {
    /// The fault as a metric's label.
    pub(super) fn label(&self) -> &'static str {
        match self {
            Self::Wire(WireError::Protocol) => "not_bittorrent",
            Self::Wire(_) => "malformed",
            Self::Late => "late",
            Self::Ourselves => "ourselves",
            Self::Silent => "silent",
            Self::Idle => "idle",
            Self::Complete => "complete",
            Self::Block(_) | Self::Pieces => "out_of_range",
            Self::Flood => "flood",
        }
    }
}

/// A block to be sent now, right behind the header that was written for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Portion {
    /// Where it lies in the content, in bytes from its beginning.
    pub(super) offset: u64,
    /// How long it is, in bytes; at most [`MAX_BLOCK_LEN`].
    pub(super) length: usize,
}

/// One peer.
#[derive(Debug)]
pub(super) struct Connection {
    us: PeerId,
    phase: Phase,
    /// What came and was not understood yet.
    input: Vec<u8>,
    /// What is to be said, blocks aside.
    control: Vec<u8>,
    born: Instant,
    heard: Instant,
    spoke: Instant,
}

#[derive(Debug)]
enum Phase {
    Greeting,
    Greeted(Handshake),
    Open(Box<Open>),
}

#[derive(Debug)]
struct Open {
    layout: Layout,
    common: Features,
    /// What they have.
    have: Have,
    interested: bool,
    unchoked: bool,
    requests: VecDeque<Block>,
    /// When they last asked for something, or were given something.
    wanted: Instant,
    /// Their number for `ut_metadata`.
    ut_metadata: Option<u8>,
    talk: Talk,
}

impl Connection {
    /// A connection from which nothing came yet; `us` is what we call ourselves.
    pub(super) fn new(us: PeerId, now: Instant) -> Self {
        Self {
            us,
            phase: Phase::Greeting,
            input: Vec::new(),
            control: Vec::new(),
            born: now,
            heard: now,
            spoke: now,
        }
    }

    /// How many bytes may be received now; while it is none, what we have to say must get out first.
    pub(super) fn room(&self) -> usize {
        let waits = matches!(self.phase, Phase::Greeted(_)) || self.control.len() >= MAX_CONTROL;
        if waits {
            0
        } else {
            (MAX_HEARD + 4).saturating_sub(self.input.len())
        }
    }

    /// Takes bytes that came; not more than there is [room](Self::room).
    ///
    /// # Errors
    /// When the connection is to end.
    pub(super) fn receive(&mut self, bytes: &[u8], now: Instant) -> Result<(), Fault> {
        self.heard = now;
        self.input.extend_from_slice(bytes);
        self.understand(now)
    }

    /// The torrent they want, while it is being looked for.
    pub(super) fn wanted(&self) -> Option<InfoHash> {
        match &self.phase {
            Phase::Greeted(theirs) => Some(theirs.info_hash),
            _ => None,
        }
    }

    /// Whom we talk to, as soon as they said so.
    #[cfg(test)]
    fn is_open(&self) -> bool {
        matches!(self.phase, Phase::Open(_))
    }

    /// The torrent was found: greets back and says that we have all of it.
    ///
    /// # Errors
    /// When what they said behind their handshake ends the connection.
    pub(super) fn open(&mut self, layout: Layout, now: Instant) -> Result<(), Fault> {
        let Phase::Greeted(theirs) = self.phase else {
            return Ok(());
        };
        let ours = Handshake {
            features: Features::ours(),
            info_hash: theirs.info_hash,
            peer_id: self.us,
        };
        let common = theirs.features.and(ours.features);
        self.control.extend_from_slice(&ours.encode());
        if common.fast() {
            Message::HaveAll.encode(&mut self.control);
        } else {
            Message::Bitfield(Have::all(layout.pieces).bytes()).encode(&mut self.control);
        }
        if common.extended() {
            let payload = ExtendedHandshake {
                ut_metadata: Some(UT_METADATA),
                metadata_size: u32::try_from(layout.metadata.len()).ok(),
                reqq: Some(PROMISED_REQUESTS),
                client: Some(CLIENT),
                upload_only: true,
            };
            let payload = payload.encode();
            Message::Extended {
                id: 0,
                payload: &payload,
            }
            .encode(&mut self.control);
        }
        self.phase = Phase::Open(Box::new(Open {
            have: Have::none(layout.pieces),
            layout,
            common,
            interested: false,
            unchoked: false,
            requests: VecDeque::new(),
            wanted: now,
            ut_metadata: None,
            talk: Talk::new(now),
        }));
        self.understand(now)
    }

    /// Whether they want blocks: whether a slot is to be found for them.
    pub(super) fn interested(&self) -> bool {
        matches!(&self.phase, Phase::Open(open) if open.interested)
    }

    /// They got a slot, or lost it. What they asked for before they lost it, they are to ask for again.
    pub(super) fn set_unchoked(&mut self, unchoked: bool) {
        let Phase::Open(open) = &mut self.phase else {
            return;
        };
        if open.unchoked == unchoked {
            return;
        }
        open.unchoked = unchoked;
        if unchoked {
            Message::Unchoke.encode(&mut self.control);
            return;
        }
        Message::Choke.encode(&mut self.control);
        for block in open.requests.drain(..) {
            if open.common.fast() {
                Message::Reject(block).encode(&mut self.control);
            }
        }
    }

    /// Appends what is to be said to `out`. With a portion, the last of it is the header of a block, and the shell appends the portion's
    /// bytes before it does anything else.
    ///
    /// # Errors
    /// When what they said while we were busy ends the connection.
    pub(super) fn next(&mut self, out: &mut Vec<u8>, now: Instant) -> Result<Option<Portion>, Fault> {
        self.understand(now)?;
        if !self.control.is_empty() {
            self.spoke = now;
            out.append(&mut self.control);
        }
        let Phase::Open(open) = &mut self.phase else {
            return Ok(None);
        };
        let Some(block) = open.requests.pop_front() else {
            return Ok(None);
        };
        let offset = open.layout.offset(block).ok_or(Fault::Block(block))?;
        (self.spoke, open.wanted) = (now, now);
        out.extend_from_slice(&piece_header(block));
        let length = usize::try_from(block.length).unwrap_or(usize::MAX);
        Ok(Some(Portion { offset, length }))
    }

    /// When [`tick`](Self::tick) has something to do, if nothing happens before.
    pub(super) fn deadline(&self) -> Instant {
        match &self.phase {
            Phase::Greeting | Phase::Greeted(_) => self.born + GREETING,
            Phase::Open(open) => (self.heard + SILENCE)
                .min(self.spoke + KEEP_ALIVE)
                .min(open.wanted + IDLE),
        }
    }

    /// Does what is due.
    ///
    /// # Errors
    /// When the connection is over.
    pub(super) fn tick(&mut self, now: Instant) -> Result<(), Fault> {
        let open = match &self.phase {
            Phase::Greeting | Phase::Greeted(_) if now >= self.born + GREETING => return Err(Fault::Late),
            Phase::Greeting | Phase::Greeted(_) => return Ok(()),
            Phase::Open(open) => open,
        };
        if now >= self.heard + SILENCE {
            return Err(Fault::Silent);
        }
        if now >= open.wanted + IDLE {
            return Err(Fault::Idle);
        }
        if now >= self.spoke + KEEP_ALIVE {
            self.spoke = now;
            Message::KeepAlive.encode(&mut self.control);
        }
        Ok(())
    }

    /// Takes whole messages off the input as long as there is room for answers.
    fn understand(&mut self, now: Instant) -> Result<(), Fault> {
        let mut used = 0;
        loop {
            let stream = &self.input[used..];
            match &mut self.phase {
                Phase::Greeting => {
                    let Some(theirs) = Handshake::decode(stream)? else {
                        break;
                    };
                    if theirs.peer_id == self.us {
                        return Err(Fault::Ourselves);
                    }
                    used += Handshake::LEN;
                    self.phase = Phase::Greeted(theirs);
                }
                Phase::Greeted(_) => break,
                Phase::Open(_) if self.control.len() >= MAX_CONTROL => break,
                Phase::Open(open) => {
                    let Some((message, length)) = Message::decode(stream, MAX_HEARD)? else {
                        break;
                    };
                    open.hear(message, &mut self.control, now)?;
                    used += length;
                }
            }
        }
        self.input.drain(..used);
        if self.input.is_empty() {
            // Most of the time most peers say nothing.
            self.input = Vec::new();
        }
        Ok(())
    }
}

impl Open {
    fn hear(&mut self, message: Message<'_>, control: &mut Vec<u8>, now: Instant) -> Result<(), Fault> {
        match message {
            Message::Request(block) => return self.request(block, control, now),
            Message::Cancel(block) => {
                if let Some(place) = self.requests.iter().position(|waiting| *waiting == block) {
                    self.requests.remove(place);
                    self.reject(block, control);
                    return Ok(());
                }
            }
            Message::Have(piece) => {
                let new = self.have.set(piece).ok_or(Fault::Pieces)?;
                if new {
                    return self.unless_complete();
                }
            }
            Message::Bitfield(bits) => {
                self.have = Have::from_bytes(self.layout.pieces, bits).ok_or(Fault::Pieces)?;
                self.unless_complete()?;
            }
            Message::HaveAll => return Err(Fault::Complete),
            Message::Interested if !self.interested => {
                self.interested = true;
                self.wanted = now;
            }
            Message::NotInterested => self.interested = false,
            Message::Extended { id: 0, payload } => {
                // Who cannot say what it can do is served all the same.
                let theirs = ExtendedHandshake::decode(payload).unwrap_or_default();
                self.ut_metadata = theirs.ut_metadata;
            }
            Message::Extended {
                id: UT_METADATA,
                payload,
            } => self.metadata(payload, control, now),
            // Keep-alives, and what a seed has no use for.
            _ => {}
        }
        self.talk.spend(now)
    }

    fn request(&mut self, block: Block, control: &mut Vec<u8>, now: Instant) -> Result<(), Fault> {
        self.layout.offset(block).ok_or(Fault::Block(block))?;
        self.wanted = now;
        if !self.unchoked {
            // It may have asked before it heard of the choke.
            self.reject(block, control);
            return self.talk.spend(now);
        }
        if self.requests.len() >= MAX_REQUESTS {
            return Err(Fault::Flood);
        }
        self.requests.push_back(block);
        Ok(())
    }

    fn reject(&self, block: Block, control: &mut Vec<u8>) {
        if self.common.fast() {
            Message::Reject(block).encode(control);
        }
    }

    fn metadata(&mut self, payload: &[u8], control: &mut Vec<u8>, now: Instant) {
        let (Some(id), Ok(MetadataMessage::Request(piece))) =
            (self.ut_metadata, MetadataMessage::decode(payload))
        else {
            return;
        };
        self.wanted = now;
        let metadata = &self.layout.metadata;
        let start = usize::try_from(piece)
            .ok()
            .and_then(|piece| piece.checked_mul(METADATA_PIECE_LEN))
            .filter(|start| *start < metadata.len());
        let answer = match (start, u32::try_from(metadata.len())) {
            (Some(start), Ok(total_size)) => MetadataMessage::Data {
                piece,
                total_size,
                bytes: &metadata[start..metadata.len().min(start + METADATA_PIECE_LEN)],
            },
            _ => MetadataMessage::Reject(piece),
        };
        let payload = answer.encode();
        Message::Extended {
            id,
            payload: &payload,
        }
        .encode(control);
    }

    fn unless_complete(&self) -> Result<(), Fault> {
        if self.have.is_complete() {
            Err(Fault::Complete)
        } else {
            Ok(())
        }
    }
}

/// How much talk a peer has left.
#[derive(Debug)]
struct Talk {
    left: u32,
    counted: Instant,
}

impl Talk {
    fn new(now: Instant) -> Self {
        Self {
            left: TALK,
            counted: now,
        }
    }

    fn spend(&mut self, now: Instant) -> Result<(), Fault> {
        if self.left < TALK {
            let grown = now.saturating_duration_since(self.counted).as_millis() / TALK_REFILL.as_millis();
            let grown = u32::try_from(grown).unwrap_or(TALK).min(TALK);
            self.left = (self.left + grown).min(TALK);
            self.counted += TALK_REFILL * grown;
        }
        if self.left == TALK {
            self.counted = now;
        }
        self.left = self.left.checked_sub(1).ok_or(Fault::Flood)?;
        Ok(())
    }
}

#[cfg(test)]
#[path = "connection_tests.rs"]
mod tests;
