#![allow(clippy::unwrap_used, reason = "a test may panic")]

use proptest::prelude::*;

use super::*;

const US: PeerId = PeerId::from_bytes(*b"-SP0100-uuuuuuuuuuuu");
const THEM: PeerId = PeerId::from_bytes(*b"-XX0000-tttttttttttt");
const HASH: InfoHash = InfoHash::from_bytes([7; 20]);

/// 10 pieces, the last one of 1,000 bytes, and an info dictionary of a part and a bit.
fn layout() -> Layout {
    Layout {
        length: 9 * 0x8000 + 1000,
        piece_length: 0x8000,
        pieces: 10,
        metadata: (0..=255)
            .cycle()
            .take(METADATA_PIECE_LEN + 5)
            .collect::<Vec<u8>>()
            .into(),
    }
}

fn block(piece: u32, begin: u32, length: u32) -> Block {
    Block { piece, begin, length }
}

/// A peer that was let in, and what it heard.
struct Peer {
    connection: Connection,
    now: Instant,
}

impl Peer {
    fn greeting(features: Features) -> Vec<u8> {
        let handshake = Handshake {
            features,
            info_hash: HASH,
            peer_id: THEM,
        };
        handshake.encode().to_vec()
    }

    fn open(features: Features) -> Self {
        let now = Instant::now();
        let mut connection = Connection::new(US, now);
        connection.receive(&Self::greeting(features), now).unwrap();
        assert_eq!((connection.wanted(), connection.room()), (Some(HASH), 0));
        connection.open(layout(), now).unwrap();
        Self { connection, now }
    }

    /// One that has a slot.
    fn served(features: Features) -> Self {
        let mut peer = Self::open(features);
        peer.say(Message::Interested).unwrap();
        assert!(peer.connection.interested());
        peer.connection.set_unchoked(true);
        peer.hear();
        peer
    }

    fn say(&mut self, message: Message<'_>) -> Result<(), Fault> {
        let mut bytes = Vec::new();
        message.encode(&mut bytes);
        self.connection.receive(&bytes, self.now)
    }

    /// What was said until a block is due, and the block.
    fn next(&mut self) -> (Vec<u8>, Option<Portion>) {
        let mut out = Vec::new();
        let portion = self.connection.next(&mut out, self.now).unwrap();
        (out, portion)
    }

    /// What was said where no block is due.
    fn hear(&mut self) -> Vec<u8> {
        let (out, portion) = self.next();
        assert_eq!(portion, None);
        out
    }
}

fn said(messages: &[Message<'_>]) -> Vec<u8> {
    let mut out = Vec::new();
    for message in messages {
        message.encode(&mut out);
    }
    out
}

#[test]
fn a_peer_is_greeted_with_all_pieces_and_the_size_of_the_metadata() {
    let mut peer = Peer::open(Features::ours());
    let heard = peer.hear();
    let (greeting, rest) = heard.split_at(Handshake::LEN);
    let ours = Handshake::decode(greeting).unwrap().unwrap();
    assert_eq!((ours.peer_id, ours.info_hash), (US, HASH));
    let (all, used) = Message::decode(rest, 999).unwrap().unwrap();
    assert_eq!(all, Message::HaveAll);
    let (extended, _) = Message::decode(&rest[used..], 999).unwrap().unwrap();
    let Message::Extended { id: 0, payload } = extended else {
        panic!("{extended:?}");
    };
    let ours = ExtendedHandshake::decode(payload).unwrap();
    assert_eq!(ours.metadata_size, Some(16_389));
    assert_eq!((ours.ut_metadata, ours.reqq), (Some(UT_METADATA), Some(256)));
}

#[test]
fn a_peer_of_the_first_hour_gets_a_bitfield_and_no_word_it_does_not_know() {
    let mut peer = Peer::open(Features::default());
    let heard = peer.hear();
    let bitfield = said(&[Message::Bitfield(&[0xff, 0xc0])]);
    assert_eq!(heard[Handshake::LEN..], bitfield);
    peer.say(Message::Request(block(0, 0, 16))).unwrap();
    assert!(peer.hear().is_empty(), "a request while choked is passed over");
}

#[test]
fn a_handshake_may_come_in_any_portions_and_with_more_behind_it() {
    let mut stream = Peer::greeting(Features::ours());
    stream.extend(said(&[Message::Interested]));
    for cut in 1..stream.len() {
        let now = Instant::now();
        let mut connection = Connection::new(US, now);
        let early = cut.min(Handshake::LEN);
        connection.receive(&stream[..early], now).unwrap();
        if early < Handshake::LEN {
            connection.receive(&stream[early..], now).unwrap();
        }
        connection.open(layout(), now).unwrap();
        assert!(connection.is_open());
        if early == Handshake::LEN {
            connection.receive(&stream[early..], now).unwrap();
        }
        assert!(connection.interested());
    }
}

#[test]
fn strangers_are_sent_away() {
    let now = Instant::now();
    let refused = |bytes: &[u8]| Connection::new(US, now).receive(bytes, now).unwrap_err();
    assert_eq!(refused(b"GET / HTTP/1.1\r\n"), WireError::Protocol.into());
    let ourselves = Handshake {
        features: Features::ours(),
        info_hash: HASH,
        peer_id: US,
    };
    assert_eq!(refused(&ourselves.encode()), Fault::Ourselves);
}

#[test]
fn blocks_are_sent_in_the_order_they_were_asked_for() {
    let mut peer = Peer::served(Features::ours());
    let (first, last) = (block(1, 0x4000, 0x4000), block(9, 0, 1000));
    peer.say(Message::Request(first)).unwrap();
    peer.say(Message::Request(last)).unwrap();
    let portion = Portion {
        offset: 0x8000 + 0x4000,
        length: 0x4000,
    };
    assert_eq!(peer.next(), (piece_header(first).to_vec(), Some(portion)));
    let portion = Portion {
        offset: 9 * 0x8000,
        length: 1000,
    };
    assert_eq!(peer.next(), (piece_header(last).to_vec(), Some(portion)));
    assert!(peer.hear().is_empty());
}

#[test]
fn what_is_no_block_of_the_torrent_ends_the_connection() {
    for wrong in [
        block(10, 0, 1),
        block(u32::MAX, u32::MAX, u32::MAX),
        block(0, 0, 0),
        block(0, 0x8000, 1),
        block(0, 0x4000, 0x4001),
        block(9, 0, 1001),
        block(9, u32::MAX, 2),
        block(0, 0, MAX_BLOCK_LEN + 1),
    ] {
        let mut peer = Peer::served(Features::ours());
        assert_eq!(peer.say(Message::Request(wrong)), Err(Fault::Block(wrong)));
    }
    let mut peer = Peer::open(Features::ours());
    assert_eq!(peer.say(Message::Have(10)), Err(Fault::Pieces));
    assert_eq!(peer.say(Message::Bitfield(&[0; 3])), Err(Fault::Pieces));
}

#[test]
fn a_cancelled_block_is_not_sent() {
    let (first, second) = (block(0, 0, 0x4000), block(0, 0x4000, 0x4000));
    let mut peer = Peer::served(Features::ours());
    for block in [first, second] {
        peer.say(Message::Request(block)).unwrap();
    }
    peer.say(Message::Cancel(first)).unwrap();
    let (heard, portion) = peer.next();
    let expected = [said(&[Message::Reject(first)]), piece_header(second).to_vec()].concat();
    assert_eq!((heard, portion.is_some()), (expected, true));
    peer.say(Message::Cancel(second)).unwrap();
    assert!(peer.hear().is_empty(), "it was sent already");
}

#[test]
fn whoever_loses_the_slot_hears_which_requests_are_lost() {
    let asked = block(0, 0, 0x4000);
    for (features, lost) in [
        (Features::ours(), vec![Message::Choke, Message::Reject(asked)]),
        (Features::default(), vec![Message::Choke]),
    ] {
        let mut peer = Peer::served(features);
        peer.say(Message::Request(asked)).unwrap();
        peer.connection.set_unchoked(false);
        assert_eq!(peer.hear(), said(&lost));
        peer.connection.set_unchoked(false);
        peer.connection.set_unchoked(true);
        assert_eq!(peer.hear(), said(&[Message::Unchoke]));
    }
}

#[test]
fn the_metadata_is_given_in_parts_to_whoever_named_a_number_for_it() {
    let mut peer = Peer::open(Features::ours());
    peer.hear();
    let ask = |piece| MetadataMessage::Request(piece).encode();
    let request = |peer: &mut Peer, piece| {
        let payload = ask(piece);
        let id = UT_METADATA;
        peer.say(Message::Extended {
            id,
            payload: &payload,
        })
        .unwrap();
        peer.hear()
    };
    assert!(
        request(&mut peer, 0).is_empty(),
        "it has not said how it wants to be answered"
    );
    let theirs = ExtendedHandshake {
        ut_metadata: Some(9),
        ..ExtendedHandshake::default()
    };
    let payload = theirs.encode();
    peer.say(Message::Extended {
        id: 0,
        payload: &payload,
    })
    .unwrap();
    let mut whole = Vec::new();
    for piece in 0..2 {
        let heard = request(&mut peer, piece);
        let (message, _) = Message::decode(&heard, 99_999).unwrap().unwrap();
        let Message::Extended { id: 9, payload } = message else {
            panic!("{message:?}");
        };
        let Ok(MetadataMessage::Data {
            total_size, bytes, ..
        }) = MetadataMessage::decode(payload)
        else {
            panic!("no part");
        };
        assert_eq!(total_size, 16_389);
        whole.extend_from_slice(bytes);
    }
    assert_eq!(whole, layout().metadata);
    for none in [2, u32::MAX] {
        let heard = request(&mut peer, none);
        let (message, _) = Message::decode(&heard, 999).unwrap().unwrap();
        let Message::Extended { id: 9, payload } = message else {
            panic!("{message:?}");
        };
        assert_eq!(
            MetadataMessage::decode(payload),
            Ok(MetadataMessage::Reject(none))
        );
    }
}

#[test]
fn whoever_has_everything_needs_nobody() {
    let mut peer = Peer::open(Features::ours());
    assert_eq!(peer.say(Message::HaveAll), Err(Fault::Complete));
    let mut peer = Peer::open(Features::ours());
    peer.say(Message::Bitfield(&[0xff, 0x80])).unwrap();
    assert_eq!(peer.say(Message::Have(9)), Err(Fault::Complete));
}

#[test]
fn floods_end_the_connection_and_honest_talk_does_not() {
    let mut peer = Peer::served(Features::ours());
    let asked = block(0, 0, 1);
    let refused = (0..=MAX_REQUESTS).find_map(|_| peer.say(Message::Request(asked)).err());
    assert_eq!(refused, Some(Fault::Flood));

    let mut peer = Peer::served(Features::ours());
    let refused = (0..=TALK).find_map(|_| peer.say(Message::KeepAlive).err());
    assert_eq!(refused, Some(Fault::Flood));

    let mut peer = Peer::served(Features::ours());
    for _ in 0..3 * TALK {
        peer.now += TALK_REFILL;
        peer.say(Message::NotInterested).unwrap();
    }
}

#[test]
fn nothing_is_read_while_answers_wait() {
    let mut peer = Peer::open(Features::ours());
    peer.hear();
    let payload = ExtendedHandshake {
        ut_metadata: Some(9),
        ..ExtendedHandshake::default()
    };
    let (theirs, ask) = (payload.encode(), MetadataMessage::Request(0).encode());
    let ask = Message::Extended {
        id: UT_METADATA,
        payload: &ask,
    };
    peer.say(Message::Extended {
        id: 0,
        payload: &theirs,
    })
    .unwrap();
    // Each answer has 16 KiB.
    peer.connection.receive(&said(&[ask; 100]), peer.now).unwrap();
    assert_eq!(peer.connection.room(), 0);
    let mut answers = 0;
    loop {
        assert!(peer.connection.control.len() < MAX_CONTROL + METADATA_PIECE_LEN + 100);
        let heard = peer.hear();
        if heard.is_empty() {
            break;
        }
        answers += heard.len() / METADATA_PIECE_LEN;
    }
    assert_eq!(answers, 100);
    assert_eq!(peer.connection.room(), MAX_HEARD + 4);
}

#[test]
fn silence_idleness_and_late_handshakes_end_and_a_sign_of_life_is_given() {
    let now = Instant::now();
    let mut late = Connection::new(US, now);
    assert_eq!(late.deadline(), now + GREETING);
    assert_eq!(late.tick(now), Ok(()));
    assert_eq!(late.tick(late.deadline()), Err(Fault::Late));

    let mut peer = Peer::open(Features::ours());
    peer.hear();
    peer.now = peer.connection.deadline();
    assert_eq!(peer.connection.tick(peer.now), Ok(()));
    assert_eq!(peer.hear(), [0; 4]);
    peer.now = peer.connection.deadline();
    assert_eq!(peer.connection.tick(peer.now), Err(Fault::Silent));

    let mut peer = Peer::open(Features::ours());
    let end = peer.now + IDLE;
    let idle = loop {
        peer.now = peer.connection.deadline();
        match peer.connection.tick(peer.now) {
            Ok(()) => peer.say(Message::KeepAlive).unwrap(),
            Err(fault) => break fault,
        }
        peer.hear();
    };
    assert_eq!((idle, peer.now), (Fault::Idle, end));
}

proptest! {
    #[test]
    fn whatever_a_peer_says_its_cost_is_bounded(
        portions in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..80), 0_u8..24, 0_u32..12, 0_u32..0x9000), 0..60),
        fast in any::<bool>(),
    ) {
        let mut peer = Peer::served(if fast { Features::ours() } else { Features::default() });
        for (bytes, kind, piece, number) in portions {
            let asked = Block { piece, begin: number & 0xc000, length: number };
            let mut stream = Vec::new();
            match kind {
                0..=5 => Message::Request(asked).encode(&mut stream),
                6 => Message::Cancel(asked).encode(&mut stream),
                7 => Message::Extended { id: u8::from(fast), payload: &bytes }.encode(&mut stream),
                8 => peer.connection.set_unchoked(number % 2 == 0),
                9 => Message::Have(piece).encode(&mut stream),
                10..=12 => Message::Unknown { id: 99, payload: &bytes }.encode(&mut stream),
                13 => stream = bytes,
                _ => {
                    let mut out = Vec::new();
                    let Ok(portion) = peer.connection.next(&mut out, peer.now) else {
                        return Ok(());
                    };
                    if let Some(portion) = portion {
                        prop_assert!(portion.offset + portion.length as u64 <= layout().length);
                        prop_assert!(out.len() >= 13);
                    }
                }
            }
            if stream.len() <= peer.connection.room() && peer.connection.receive(&stream, peer.now).is_err() {
                return Ok(());
            }
            prop_assert!(peer.connection.input.len() <= MAX_HEARD + 4);
            prop_assert!(peer.connection.control.len() <= 2 * MAX_CONTROL);
        }
    }
}
