//! The journal: every transaction since the older of the kept snapshots, in segment files; the truth of the store.
//!
//! A segment begins with a header and goes on with **frames**. One frame holds one group of transactions that was made
//! durable by one `fdatasync`, so a frame is only ever begun after everything before it is durable. This is what tells a torn
//! write from damage: an unreadable frame that another frame follows was durable once, so somebody's answered write is hurt
//! and we refuse to start; one that nothing follows is a write cut short by a crash, which nobody was told had happened.
//!
//! ```text
//! header  = "SEEDPODJ", u32 format, u64 segment number, u64 first transaction number, 16 bytes journal id, u32 crc of the above
//! frame   = u32 payload length, u32 crc of length and payload, payload
//! payload = u64 number of its first transaction, u32 how many, the transactions (see `transaction.rs`)
//! ```
//! Integers are big-endian, crc is CRC-32 (IEEE). Transaction numbers start at 1 and have no gap, over all segments; the journal
//! id is random and says which index belongs to which journal. A segment gets its final name after its header is durable.
//!
//! Segments are dropped from the front, oldest first, once nobody needs them (`retention.rs`). So the journal may begin anywhere, but
//! has no gap; and an old segment that is damaged or missing does no harm where a snapshot covers it.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use tracing::warn;

use super::StoreError;
use super::folder::{private_file, sync_parent, write_durably};
use super::transaction::{MAX_TRANSACTION_BYTES, Transaction, take, take_u32, take_u64};
use crate::disk;

/// Bytes of transactions after which a group takes no more.
pub(super) const GROUP_BYTES: usize = 4 * 1024 * 1024;

const MAX_PAYLOAD_BYTES: usize = 12 + GROUP_BYTES + MAX_TRANSACTION_BYTES;
const MAGIC: &[u8; 8] = b"SEEDPODJ";
const HEADER_BYTES: usize = 48;
const FRAME_HEAD_BYTES: usize = 8;
const SUFFIX: &str = ".log";

pub(super) type JournalId = [u8; 16];

/// What a look at the journal found; nothing is changed by looking.
#[derive(Debug)]
pub(super) struct Survey {
    pub(super) id: Option<JournalId>,
    /// Number of the transaction it begins with, 1 if it is empty.
    pub(super) first: u64,
    /// Number of the last transaction, 0 if there is none.
    pub(super) last: u64,
    segments: Vec<Segment>,
    /// Segments before the first one, damaged or with a gap behind them, that a snapshot covers: path and length.
    skipped: Vec<(PathBuf, u64)>,
}

#[derive(Debug)]
struct Segment {
    path: PathBuf,
    number: u64,
    last: u64,
    /// Bytes up to the end of the last whole frame.
    valid: u64,
    /// Bytes in the file.
    length: u64,
}

/// The journal, open for writing at its end.
#[derive(Debug)]
pub(super) struct Journal {
    folder: PathBuf,
    format: u32,
    id: JournalId,
    file: File,
    segment: u64,
    length: u64,
    next: u64,
    segment_bytes: u64,
    /// The next frame goes into a new segment, however short this one is.
    ended: bool,
    /// The segments before the one written to, oldest first.
    closed: VecDeque<Closed>,
    buffer: Vec<u8>,
}

#[derive(Debug)]
struct Closed {
    path: PathBuf,
    /// Number of its last transaction.
    last: u64,
    length: u64,
}

/// Refuses segments from the future; looks at headers only and changes nothing.
pub(super) fn check_format(folder: &Path, known: u32) -> Result<(), StoreError> {
    if !folder.is_dir() {
        return Ok(());
    }
    for (_, path) in segment_files(folder)? {
        refuse_newer(&path, MAGIC, known)?;
    }
    Ok(())
}

/// Refuses a file of ours whose header (magic, `u32` format) is from the future. One that is no such file is not this one's concern.
pub(super) fn refuse_newer(path: &Path, magic: &[u8; 8], known: u32) -> Result<(), StoreError> {
    let mut file = File::open(path).map_err(StoreError::io(path))?;
    let mut start = [0; 12];
    if file.read_exact(&mut start).is_err() {
        return Ok(());
    }
    let mut rest = start.as_slice();
    if take(&mut rest, magic.len()) == Some(magic)
        && let Some(found) = take_u32(&mut rest).filter(|format| *format > known)
    {
        return Err(StoreError::Newer { found, known });
    }
    Ok(())
}

/// Reads and checks the journal. Damage is refused, unless the journal is whole from some later segment on and everything before
/// that is in a snapshot: `covered` is asked for the last transaction of the newest snapshot that verifies.
pub(super) fn survey(folder: &Path, covered: impl FnOnce(JournalId) -> u64) -> Result<Survey, StoreError> {
    let files = segment_files(folder)?;
    let mut start = 0;
    let mut damage = None;
    loop {
        match survey_from(&files[start..]) {
            Ok(mut survey) => {
                let Some(damage) = damage else {
                    return Ok(survey);
                };
                if survey.id.is_none_or(|id| survey.first > covered(id) + 1) {
                    return Err(damage);
                }
                warn!(error = %damage, "the journal is damaged where a snapshot has all it said; going on from the snapshot");
                let length = |path: &Path| fs::metadata(path).map_or(0, |found| found.len());
                survey.skipped = files[..start]
                    .iter()
                    .map(|(_, path)| (path.clone(), length(path)))
                    .collect();
                return Ok(survey);
            }
            Err((position, error @ StoreError::Damaged { .. })) => {
                damage.get_or_insert(error);
                start += position.max(1);
            }
            Err((_, error)) => return Err(error),
        }
    }
}

/// Reads and checks segments that must follow each other; an error comes with the position of the segment it was met at.
fn survey_from(files: &[(u64, PathBuf)]) -> Result<Survey, (usize, StoreError)> {
    let mut survey = Survey {
        id: None,
        first: 1,
        last: 0,
        segments: Vec::new(),
        skipped: Vec::new(),
    };
    for (position, (number, path)) in files.iter().enumerate() {
        let is_last = position + 1 == files.len();
        survey
            .add_segment(*number, path, is_last)
            .map_err(|error| (position, error))?;
    }
    Ok(survey)
}

impl Survey {
    fn add_segment(&mut self, number: u64, path: &Path, is_last: bool) -> Result<(), StoreError> {
        if let Some(before) = self.segments.last()
            && before.number + 1 != number
        {
            let what = format!(
                "it is segment {number}, and segment {} is missing",
                before.number + 1
            );
            return Err(damaged(path, 0, what));
        }
        let follows = self.id.map(|id| (id, self.last));
        let mut reader = Reader::open(path, number, follows)?;
        if follows.is_none() {
            self.id = Some(reader.id);
            self.first = reader.last + 1;
        }
        loop {
            match reader.next_frame()? {
                Next::Frame(_) => {}
                Next::End => break,
                Next::Bad(what) => {
                    reader.must_be_torn(what, is_last)?;
                    break;
                }
            }
        }
        self.last = reader.last;
        self.segments.push(Segment {
            number,
            last: reader.last,
            valid: reader.offset,
            length: reader.length,
            path: path.to_owned(),
        });
        Ok(())
    }

    /// The refusal of a journal that is whole, but not all there was.
    pub(super) fn damaged_at_end(&self, folder: &Path, what: String) -> StoreError {
        match self.segments.last() {
            None => damaged(&segment_path(folder, 1), 0, what),
            Some(last) => damaged(&last.path, last.valid, what),
        }
    }

    /// Hands every transaction after `after` to `visit`, in order, with its number.
    pub(super) fn replay(
        &self,
        after: u64,
        mut visit: impl FnMut(u64, Transaction) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let mut before = self.first - 1;
        for segment in &self.segments {
            if segment.last > after {
                let follows = self.id.map(|id| (id, before));
                let mut reader = Reader::open(&segment.path, segment.number, follows)?;
                while reader.offset < segment.valid {
                    match reader.next_frame()? {
                        Next::Frame(frame) => {
                            for (number, transaction) in (frame.first..).zip(frame.transactions) {
                                if number > after {
                                    visit(number, transaction)?;
                                }
                            }
                        }
                        Next::End => break,
                        Next::Bad(what) => return Err(damaged(&segment.path, reader.offset, what.into())),
                    }
                }
            }
            before = segment.last;
        }
        Ok(())
    }
}

impl Segment {
    /// The file, ready to be written to after its last whole frame; what a crash left behind that is cut off.
    ///
    /// All of it is on the disk when this answers. A process killed between a write and its sync leaves a whole frame that only the
    /// system's memory has: it is about to be served, and a frame that follows says that it is durable.
    fn open_at_end(&self) -> Result<File, StoreError> {
        let io_error = || StoreError::io(&self.path);
        let mut file = private_file().write(true).open(&self.path).map_err(io_error())?;
        if self.valid < self.length {
            warn!(file = %self.path.display(), offset = self.valid, bytes = self.length - self.valid, "unfinished write cut off the journal");
            file.set_len(self.valid).map_err(io_error())?;
        }
        file.sync_all()
            .and_then(|()| sync_parent(&self.path))
            .map_err(io_error())?;
        file.seek(SeekFrom::Start(self.valid)).map_err(io_error())?;
        Ok(file)
    }
}

impl Journal {
    /// Opens the surveyed journal for writing: cuts off a torn end, or makes the first segment. New segments say `format`.
    pub(super) fn open(
        folder: &Path,
        survey: &Survey,
        id: JournalId,
        format: u32,
        segment_bytes: u64,
    ) -> Result<Self, StoreError> {
        let (file, segment, length) = match survey.segments.last() {
            None => {
                let path = segment_path(folder, 1);
                let header = Header {
                    format,
                    number: 1,
                    first: 1,
                    id,
                };
                let file = create_segment(&path, &header).map_err(StoreError::io(&path))?;
                (file, 1, HEADER_BYTES as u64)
            }
            Some(last) => (last.open_at_end()?, last.number, last.valid),
        };
        let skipped = survey.skipped.iter().map(|(path, length)| Closed {
            path: path.clone(),
            last: survey.first - 1,
            length: *length,
        });
        let whole = survey.segments.iter().rev().skip(1).rev();
        let closed = skipped.chain(whole.map(|segment| Closed {
            path: segment.path.clone(),
            last: segment.last,
            length: segment.length,
        }));
        Ok(Self {
            folder: folder.to_owned(),
            format,
            id,
            file,
            segment,
            length,
            next: survey.last + 1,
            segment_bytes,
            ended: false,
            closed: closed.collect(),
            buffer: Vec::new(),
        })
    }

    /// Size of all segments, in bytes.
    pub(super) fn bytes(&self) -> u64 {
        self.length + self.closed.iter().map(|segment| segment.length).sum::<u64>()
    }

    /// Size of the segments that have anything after transaction `number`, in bytes.
    pub(super) fn bytes_after(&self, number: u64) -> u64 {
        let later = self.closed.iter().filter(|segment| segment.last > number);
        let now = if self.next - 1 > number { self.length } else { 0 };
        now + later.map(|segment| segment.length).sum::<u64>()
    }

    /// Number of the last transaction.
    pub(super) fn last(&self) -> u64 {
        self.next - 1
    }

    /// Number of segments.
    pub(super) fn segments(&self) -> usize {
        self.closed.len() + 1
    }

    /// Lets the next frame begin a segment, so that this one can be dropped as soon as a snapshot has all it says.
    pub(super) fn end_segment(&mut self) {
        self.ended = self.length > HEADER_BYTES as u64;
    }

    /// Drops the segments that have nothing after transaction `number`, oldest first; the one written to stays. Returns how many
    /// went. After an error the others are dropped another time.
    pub(super) fn drop_through(&mut self, number: u64) -> io::Result<usize> {
        let before = self.closed.len();
        while let Some(segment) = self.closed.front().filter(|segment| segment.last <= number) {
            match fs::remove_file(&segment.path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => self.closed.pop_front(),
            };
        }
        let dropped = before - self.closed.len();
        if dropped > 0 {
            sync_parent(&segment_path(&self.folder, self.segment))?;
        }
        Ok(dropped)
    }

    /// Writes one group as one frame, in a new segment if the present one is full; durable only after [`sync`](Self::sync).
    /// Returns the number of the group's last transaction.
    ///
    /// After [`AppendError::Full`] the journal is as it was before, durably, and goes on. After any other error the end of the
    /// file is unknown and nothing may be written any more.
    pub(super) fn append(&mut self, group: &[Transaction]) -> Result<u64, AppendError> {
        if self.ended || self.length >= self.segment_bytes {
            let file = self.next_segment()?;
            self.closed.push_back(Closed {
                path: segment_path(&self.folder, self.segment),
                last: self.next - 1,
                length: self.length,
            });
            self.file = file;
            self.segment += 1;
            self.length = HEADER_BYTES as u64;
            self.ended = false;
        }
        let frame = &mut self.buffer;
        frame.clear();
        frame.extend([0; FRAME_HEAD_BYTES]);
        frame.extend(self.next.to_be_bytes());
        let count =
            u32::try_from(group.len()).map_err(|error| AppendError::Broken(io::Error::other(error)))?;
        frame.extend(count.to_be_bytes());
        for transaction in group {
            transaction.encode(frame);
        }
        let length = u32::try_from(frame.len() - FRAME_HEAD_BYTES)
            .map_err(|error| AppendError::Broken(io::Error::other(error)))?
            .to_be_bytes();
        let crc = frame_crc(&length, &frame[FRAME_HEAD_BYTES..]).to_be_bytes();
        frame[..4].copy_from_slice(&length);
        frame[4..8].copy_from_slice(&crc);
        if let Err(error) = self.file.write_all(frame) {
            if !disk::is_full(&error) {
                return Err(AppendError::Broken(error));
            }
            self.cut_back().map_err(AppendError::Broken)?;
            return Err(AppendError::Full);
        }
        self.length += frame.len() as u64;
        self.next += u64::from(count);
        if frame.capacity() > 2 * GROUP_BYTES {
            self.buffer = Vec::new(); // one huge transaction does not hold its memory for ever
        }
        Ok(self.next - 1)
    }

    /// Makes the segment after this one. A file that got its name belongs to the journal, so only one that got none may be
    /// tried again.
    fn next_segment(&self) -> Result<File, AppendError> {
        let header = Header {
            format: self.format,
            number: self.segment + 1,
            first: self.next,
            id: self.id,
        };
        let path = segment_path(&self.folder, header.number);
        create_segment(&path, &header).map_err(|error| {
            if disk::is_full(&error) && !path.exists() {
                AppendError::Full
            } else {
                AppendError::Broken(error)
            }
        })
    }

    /// Takes back what a refused write may have left after the last durable frame.
    fn cut_back(&mut self) -> io::Result<()> {
        self.file.set_len(self.length)?;
        self.file.seek(SeekFrom::Start(self.length))?;
        self.file.sync_all()
    }

    /// Waits until everything appended is on the disk (`fdatasync`).
    pub(super) fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()
    }
}

/// Why a group was not appended.
#[derive(Debug)]
pub(super) enum AppendError {
    /// There was no room; nothing is left of the group.
    Full,
    /// Whatever else; what is left of the group is unknown.
    Broken(io::Error),
}

struct Frame {
    first: u64,
    transactions: Vec<Transaction>,
}

enum Next {
    Frame(Frame),
    End,
    Bad(&'static str),
}

/// Reads one segment; `offset` stands after the last whole frame, `last` is the number of the last transaction up to there.
struct Reader {
    path: PathBuf,
    file: BufReader<File>,
    id: JournalId,
    offset: u64,
    length: u64,
    last: u64,
}

impl Reader {
    /// Opens a segment that must be `number` and, unless it is the first one looked at, belong to a journal and follow a
    /// transaction.
    fn open(path: &Path, number: u64, follows: Option<(JournalId, u64)>) -> Result<Self, StoreError> {
        let file = File::open(path).map_err(StoreError::io(path))?;
        let length = file.metadata().map_err(StoreError::io(path))?.len();
        let mut file = BufReader::with_capacity(256 * 1024, file);
        let bad = |what: String| damaged(path, 0, what);
        if length < HEADER_BYTES as u64 {
            return Err(bad(format!(
                "its header has {length} bytes, expected {HEADER_BYTES}"
            )));
        }
        let mut header = [0; HEADER_BYTES];
        file.read_exact(&mut header).map_err(StoreError::io(path))?;
        let header = Header::decode(&header).ok_or_else(|| bad("its header is not one".into()))?;
        if header.number != number {
            return Err(bad(format!("its header says it is segment {}", header.number)));
        }
        let (id, last) = follows.unwrap_or((header.id, header.first - 1));
        if id != header.id {
            return Err(bad("it belongs to another journal".into()));
        }
        if header.first != last + 1 {
            return Err(bad(format!(
                "it begins with transaction {}, expected {}",
                header.first,
                last + 1
            )));
        }
        Ok(Self {
            path: path.to_owned(),
            file,
            id,
            offset: HEADER_BYTES as u64,
            length,
            last,
        })
    }

    fn next_frame(&mut self) -> Result<Next, StoreError> {
        let left = self.length - self.offset;
        if left == 0 {
            return Ok(Next::End);
        }
        if left < FRAME_HEAD_BYTES as u64 {
            return Ok(Next::Bad("a frame's head is cut short"));
        }
        let mut head = [0; FRAME_HEAD_BYTES];
        self.file
            .read_exact(&mut head)
            .map_err(StoreError::io(&self.path))?;
        let Some((length, crc)) = decode_head(&head) else {
            return Ok(Next::Bad("a frame has an impossible length"));
        };
        if left - (FRAME_HEAD_BYTES as u64) < length as u64 {
            return Ok(Next::Bad("a frame is cut short"));
        }
        let mut payload = vec![0; length];
        self.file
            .read_exact(&mut payload)
            .map_err(StoreError::io(&self.path))?;
        if frame_crc(&head[..4], &payload) != crc {
            return Ok(Next::Bad("a frame's checksum does not fit"));
        }
        let Some(frame) = decode_payload(&payload) else {
            return Ok(Next::Bad("a frame's content is not one"));
        };
        if frame.first != self.last + 1 {
            return Ok(Next::Bad("a frame's transaction number does not follow"));
        }
        self.last += frame.transactions.len() as u64;
        self.offset += (FRAME_HEAD_BYTES + length) as u64;
        Ok(Next::Frame(frame))
    }

    /// Decides what an unreadable frame at `offset` means: the end of an unfinished write, or damage.
    fn must_be_torn(&mut self, what: &'static str, is_last_segment: bool) -> Result<(), StoreError> {
        if !is_last_segment {
            return Err(damaged(
                &self.path,
                self.offset,
                format!("{what}, and another segment follows"),
            ));
        }
        // At most one segment and one frame long.
        let mut rest = Vec::new();
        self.file
            .seek(SeekFrom::Start(self.offset))
            .and_then(|_| self.file.read_to_end(&mut rest))
            .map_err(StoreError::io(&self.path))?;
        match (end_of_unreadable(&rest)..rest.len()).find(|&start| self.is_later_frame(&rest[start..])) {
            None => Ok(()),
            Some(start) => {
                let at = self.offset + start as u64;
                Err(damaged(
                    &self.path,
                    self.offset,
                    format!("{what}, and a whole frame follows at {at}"),
                ))
            }
        }
    }

    /// Whether `bytes` begin with a whole frame that was written after the unreadable one. The number is looked at first: it
    /// is cheap, and nearly no place in a file looks like the number of a near transaction.
    fn is_later_frame(&self, bytes: &[u8]) -> bool {
        let Some((head, mut rest)) = bytes.split_at_checked(FRAME_HEAD_BYTES) else {
            return false;
        };
        let Some((length, crc)) = decode_head(head) else {
            return false;
        };
        let Some(payload) = rest.get(..length) else {
            return false;
        };
        let plausible = self.last + 2..self.last + 2 + self.length;
        take_u64(&mut rest).is_some_and(|first| plausible.contains(&first))
            && frame_crc(&head[..4], payload) == crc
    }
}

struct Header {
    format: u32,
    number: u64,
    first: u64,
    id: JournalId,
}

impl Header {
    fn encode(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend(self.format.to_be_bytes());
        bytes.extend(self.number.to_be_bytes());
        bytes.extend(self.first.to_be_bytes());
        bytes.extend(self.id);
        bytes.extend(crc32fast::hash(&bytes).to_be_bytes());
        bytes
    }

    fn decode(bytes: &[u8; HEADER_BYTES]) -> Option<Self> {
        let (checked, mut crc) = bytes.split_at(HEADER_BYTES - 4);
        let mut rest = checked.strip_prefix(MAGIC)?;
        let format = take_u32(&mut rest)?;
        if take_u32(&mut crc)? != crc32fast::hash(checked) {
            return None;
        }
        let number = take_u64(&mut rest)?;
        let first = take_u64(&mut rest).filter(|&first| first > 0)?;
        Some(Self {
            format,
            number,
            first,
            id: rest.try_into().ok()?,
        })
    }
}

/// Where a later frame may begin in bytes that begin with an unreadable one. Some of what is inside a frame was chosen by strangers,
/// who may have made it look like a frame, so nothing before the end is believed. The end is said twice, by the head and by the
/// content; where one of them is hurt the other is not, and the earlier end is safe. Without a head that could be one it is the start.
fn end_of_unreadable(bytes: &[u8]) -> usize {
    let Some((head, payload)) = bytes.split_at_checked(FRAME_HEAD_BYTES) else {
        return bytes.len();
    };
    let Some((length, _)) = decode_head(head) else {
        return 1;
    };
    let by_head = FRAME_HEAD_BYTES + length;
    let by_content = length_of_content(payload).map_or(usize::MAX, |length| FRAME_HEAD_BYTES + length);
    by_head.min(by_content)
}

/// How long a payload is by its own account; nothing if it is cut short.
fn length_of_content(bytes: &[u8]) -> Option<usize> {
    let mut rest = bytes;
    let _first = take_u64(&mut rest)?;
    for _ in 0..take_u32(&mut rest)? {
        let _whole = Transaction::decode(&mut rest)?;
    }
    Some(bytes.len() - rest.len())
}

/// Length and checksum from a frame's head; nothing if no frame has such a length.
pub(super) fn decode_head(mut head: &[u8]) -> Option<(usize, u32)> {
    let length = usize::try_from(take_u32(&mut head)?)
        .ok()
        .filter(|length| (12..=MAX_PAYLOAD_BYTES).contains(length))?;
    Some((length, take_u32(&mut head)?))
}

fn decode_payload(mut payload: &[u8]) -> Option<Frame> {
    let first = take_u64(&mut payload)?;
    let count = take_u32(&mut payload)?;
    let mut transactions = Vec::new();
    for _ in 0..count {
        transactions.push(Transaction::decode(&mut payload)?);
    }
    (payload.is_empty() && count > 0).then_some(Frame { first, transactions })
}

pub(super) fn frame_crc(length: &[u8], payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(length);
    hasher.update(payload);
    hasher.finalize()
}

fn damaged(file: &Path, offset: u64, what: String) -> StoreError {
    StoreError::Damaged {
        file: file.to_owned(),
        offset,
        what,
    }
}

fn segment_path(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number:08}{SUFFIX}"))
}

fn create_segment(path: &Path, header: &Header) -> io::Result<File> {
    write_durably(path, &header.encode())?;
    private_file().append(true).open(path)
}

/// All segments by number. Unfinished ones still have their temporary name and are overwritten when it is used again.
fn segment_files(folder: &Path) -> Result<Vec<(u64, PathBuf)>, StoreError> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(StoreError::io(folder))? {
        let path = entry.map_err(StoreError::io(folder))?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        if let Some(number) = name
            .and_then(|name| name.strip_suffix(SUFFIX))
            .and_then(|digits| digits.parse().ok())
        {
            files.push((number, path));
        }
    }
    files.sort_unstable();
    Ok(files)
}
