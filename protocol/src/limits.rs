//! Every maximum of the protocol, on one page.
//!
//! A value above its maximum is refused, whoever sent it: these numbers are part of the protocol (`SPEC.md` §10), not settings. Lengths
//! of text are counted in Unicode scalar values ("characters") unless a line says bytes.

/// Longest envelope, in bytes.
pub const ENVELOPE_MAX: usize = 64 * 1024;
/// What a gossip message may weigh with libp2p's own framing (topic, key, signature) around an envelope, in bytes.
pub const GOSSIP_FRAME_MAX: usize = ENVELOPE_MAX + 4 * 1024;
/// Longest directed request, in bytes: the largest envelope with its framing.
pub const REQUEST_MAX: usize = ENVELOPE_MAX + 1024;
/// Longest answer to a directed request, in bytes.
pub const RESPONSE_MAX: usize = 4 * 1024 * 1024;
/// Where a page of records is cut, in bytes: the record that would cross it begins the next page, unless it stands alone.
pub const PAGE_TARGET: usize = 1024 * 1024;

/// Deepest nesting of arrays and maps in one CBOR item.
pub const NESTING_MAX: usize = 16;
/// Most elements in one CBOR array.
pub const ARRAY_MAX: usize = 4096;
/// Most entries in one CBOR map.
pub const MAP_MAX: usize = 256;

/// Sequence numbers, sizes and times stay below this (2^53), so that every language can hold them exactly.
pub const INTEGER_END: u64 = 1 << 53;
/// Longest object id, in bytes.
pub const OBJECT_ID_MAX: usize = 32;
/// Most keys that a pod has one after the other.
pub const KEYS_MAX: usize = 32;
/// Most statements of a pod about its keys that count: a pin, and how each key ended.
pub const STATEMENTS_MAX: usize = KEYS_MAX + 1;
/// Numbers of kinds from here on are signed statements that are no records: they are never kept in a catalog.
pub const RECORD_KIND_END: u16 = 100;

/// Longest name of a pod.
pub const POD_NAME_MAX: usize = 120;
/// Longest version text of a pod.
pub const POD_VERSION_MAX: usize = 40;
/// Longest e-mail address.
pub const EMAIL_MAX: usize = 254;
/// Longest public URL, in bytes.
pub const URL_MAX: usize = 256;
/// Longest `host[:port]`, in bytes.
pub const HOST_MAX: usize = 261;
/// Longest address (multiaddr text), in bytes.
pub const ADDRESS_MAX: usize = 256;
/// Most addresses a pod names.
pub const ADDRESSES_MAX: usize = 16;
/// Longest description of a pod, a channel or a video.
pub const DESCRIPTION_MAX: usize = 10_000;
/// Longest text that tells how to support an author.
pub const SUPPORT_MAX: usize = 1_000;

/// Longest handle of a channel or a user, in bytes.
pub const HANDLE_MAX: usize = 50;
/// Longest name of a channel as it is shown.
pub const DISPLAY_NAME_MAX: usize = 120;
/// Shortest name of a video.
pub const VIDEO_NAME_MIN: usize = 3;
/// Longest name of a video.
pub const VIDEO_NAME_MAX: usize = 120;
/// Most tags of a video.
pub const TAGS_MAX: usize = 5;
/// Shortest tag.
pub const TAG_MIN: usize = 2;
/// Longest tag.
pub const TAG_MAX: usize = 30;
/// Longest language tag, in bytes.
pub const LANGUAGE_MAX: usize = 10;
/// Most files of a video.
pub const FILES_MAX: usize = 16;
/// Longest comment.
pub const COMMENT_MAX: usize = 10_000;
/// Shortest reason of a report.
pub const REASON_MIN: usize = 2;
/// Longest reason of a report.
pub const REASON_MAX: usize = 3_000;
/// Most numbered reasons of a report.
pub const REASONS_MAX: usize = 8;
/// Largest picture, in bytes.
pub const PICTURE_MAX: u32 = 4 * 1024 * 1024;
/// Smallest piece of a torrent, in bytes.
pub const PIECE_MIN: u32 = 16 * 1024;
/// Largest piece of a torrent, in bytes.
pub const PIECE_MAX: u32 = 16 * 1024 * 1024;

/// Most friends named in one answer.
pub const FRIENDS_MAX: usize = 1024;
/// Most authors whose roots are named in one answer: a pod's friends and itself.
pub const ROOTS_MAX: usize = FRIENDS_MAX + 1;
/// Most envelopes in one page of records.
pub const PAGE_ENVELOPES_MAX: usize = 2048;
/// Most envelopes told in one request.
pub const TELL_MAX: usize = 64;
/// Most places of a digest asked for in one request.
pub const PLACES_MAX: usize = 512;
/// Most registers fetched in one request.
pub const FETCH_MAX: usize = 1024;
/// Longest text that explains a refusal.
pub const REFUSAL_TEXT_MAX: usize = 500;
/// Longest text of a session description (an offer or answer of WebRTC), in bytes.
pub const SESSION_MAX: usize = 16 * 1024;
/// Longest time for which a hint about swarms may be believed, in seconds.
pub const HINT_TTL_MAX: u16 = 600;
/// Most torrents named in one hint.
pub const HINT_SWARMS_MAX: usize = 1024;
/// Bytes of the envelope of an invite.
pub const INVITE_MAX: usize = 1024;
