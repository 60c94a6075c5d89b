//! Snapshots: all rows after some transaction in one file, so that the journal before it can go.
//!
//! ```text
//! header  = "SEEDPODR", u32 format, u64 number of the last transaction in it, 16 bytes journal id, u32 crc of the above
//! block   = u32 payload length, u32 crc of length and payload, payload
//! payload = u8 0, rows: each u16 key length, whole key (table number first), u32 value length, value
//!         | u8 1, 32 bytes blake3 of the file before this block, the marker (see `index.rs`); ends the file
//! ```
//! Written and read block by block, rows in the order of their whole keys. A snapshot **verifies** if every block has its checksum,
//! the end block has the hash of the file, and the rows are those that the marker says: as many in each table, and the same sum.
//! That sum was kept while the index grew, one transaction at a time, so an index that lost a row gives no snapshot that verifies.
//!
//! A snapshot is written under a temporary name, synced, read back from the disk, and gets its name only if it verifies.

use std::fs::{self, File};
use std::io::{self, BufReader, Read, Write};
use std::path::{Path, PathBuf};

use rustix::fs::{Advice, fadvise};

use super::StoreError;
use super::cut::Cut;
use super::folder::{private_file, sync_parent};
use super::index::{Index, Marker};
use super::journal::{self, JournalId, frame_crc};
use super::transaction::{MAX_KEY_BYTES, MAX_VALUE_BYTES, Operation, take, take_u32, take_u64};
use crate::disk;

const MAGIC: &[u8; 8] = b"SEEDPODR";
const HEADER_BYTES: usize = 40;
const SUFFIX: &str = ".snapshot";
const TEMPORARY: &str = "snapshot.new";

/// Bytes of rows after which a block takes no more.
const BLOCK_BYTES: usize = 64 * 1024;

/// One row more than a block takes, and the marker, which is small.
const MAX_PAYLOAD_BYTES: usize = BLOCK_BYTES + MAX_KEY_BYTES + MAX_VALUE_BYTES + 64;

/// Bytes written between two syncs: the disk has never much to do at once, and commits in between do not wait for it.
const SYNC_BYTES: u64 = 4 * 1024 * 1024;

const ROWS: u8 = 0;
const END: u8 = 1;

/// A whole key and a value.
type Row = (Vec<u8>, Vec<u8>);

/// One snapshot in the folder, by its name; what is in it is another question.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Snapshot {
    /// Number of the last transaction in it.
    pub(super) applied: u64,
    pub(super) path: PathBuf,
}

/// Why a snapshot was not made, or is none.
#[derive(Debug, thiserror::Error)]
pub(super) enum SnapshotError {
    #[error("there is no room for it")]
    Full,
    #[error("the store is closing")]
    Closing,
    #[error("too many rows changed while it was made")]
    Lost,
    #[error("{0}")]
    Rows(StoreError),
    #[error("{0}")]
    Io(io::Error),
    #[error("{0}")]
    Damaged(&'static str),
}

impl SnapshotError {
    /// Whether it says that the index has not the rows it should have.
    pub(super) fn blames_the_index(&self) -> bool {
        match self {
            Self::Rows(_) | Self::Damaged(_) => true,
            Self::Full | Self::Closing | Self::Lost | Self::Io(_) => false,
        }
    }
}

impl From<io::Error> for SnapshotError {
    fn from(error: io::Error) -> Self {
        if disk::is_full(&error) {
            Self::Full
        } else {
            Self::Io(error)
        }
    }
}

/// All snapshots that have their name, oldest first.
pub(super) fn list(folder: &Path) -> Result<Vec<Snapshot>, StoreError> {
    let mut found = Vec::new();
    if !folder.is_dir() {
        return Ok(found);
    }
    for entry in fs::read_dir(folder).map_err(StoreError::io(folder))? {
        let path = entry.map_err(StoreError::io(folder))?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        if let Some(applied) = name
            .and_then(|name| name.strip_suffix(SUFFIX))
            .and_then(|digits| digits.parse().ok())
        {
            found.push(Snapshot { applied, path });
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// Refuses snapshots from the future; looks at headers only and changes nothing.
pub(super) fn check_format(folder: &Path, known: u32) -> Result<(), StoreError> {
    for snapshot in list(folder)? {
        journal::refuse_newer(&snapshot.path, MAGIC, known)?;
    }
    Ok(())
}

/// Removes what an interrupted making left behind.
pub(super) fn remove_unfinished(folder: &Path) -> io::Result<()> {
    match fs::remove_file(folder.join(TEMPORARY)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

/// Writes and verifies a snapshot of a cut; leaves nothing behind if that fails. `go_on` is asked before each piece, with the bytes
/// it may take.
pub(super) fn make(
    folder: &Path,
    cut: Cut,
    format: u32,
    go_on: impl FnMut(usize) -> Result<(), SnapshotError>,
) -> Result<Snapshot, SnapshotError> {
    let made = write_and_verify(folder, cut, format, go_on);
    if made.is_err() {
        let _ = remove_unfinished(folder); // the next start tries again
    }
    made
}

fn write_and_verify(
    folder: &Path,
    mut cut: Cut,
    format: u32,
    mut go_on: impl FnMut(usize) -> Result<(), SnapshotError>,
) -> Result<Snapshot, SnapshotError> {
    let temporary = folder.join(TEMPORARY);
    let marker = cut.marker().clone();
    let mut writer = Writer::create(&temporary, format, &marker)?;
    while let Some(piece) = cut.next()? {
        go_on(2 * BLOCK_BYTES + writer.block.len() + piece.values().map(Vec::len).sum::<usize>())?;
        for (key, value) in piece {
            writer.row(&key, &value)?;
        }
    }
    drop(cut);
    let file = writer.end(&marker)?;
    // Read back what the disk has, not what the system remembers; where that cannot be asked for, the memory must do.
    let _ = fadvise(&file, 0, None, Advice::DontNeed);
    drop(file);
    let mut reader = Reader::open(&temporary)?;
    while let Some(rows) = reader.next()? {
        go_on(rows.len())?;
    }
    let snapshot = Snapshot {
        applied: marker.applied,
        path: folder.join(format!("{:020}{SUFFIX}", marker.applied)),
    };
    fs::rename(&temporary, &snapshot.path)?;
    sync_parent(&snapshot.path)?;
    Ok(snapshot)
}

impl Snapshot {
    /// Reads all of it. An error says why it is not to be believed.
    pub(super) fn verify(&self, journal: JournalId) -> Result<(), SnapshotError> {
        let mut reader = self.open(journal)?;
        while reader.next()?.is_some() {}
        Ok(())
    }

    /// Puts all rows into a blank index, which then claims to be where the snapshot was taken. A crash before the last row leaves an
    /// index that claims to be at the beginning.
    pub(super) fn load(&self, index: &mut Index, journal: JournalId) -> Result<(), SnapshotError> {
        let mut reader = self.open(journal)?;
        while let Some(rows) = reader.next()? {
            let rows = rows.into_iter().map(|(mut key, value)| Operation {
                table: key.remove(0),
                key,
                value: Some(value),
            });
            index.apply(rows, 0).map_err(SnapshotError::Rows)?;
        }
        index.apply([], self.applied).map_err(SnapshotError::Rows)?;
        if *index.marker() == reader.found {
            Ok(())
        } else {
            Err(SnapshotError::Damaged("its rows did not arrive in the index"))
        }
    }

    fn open(&self, journal: JournalId) -> Result<Reader, SnapshotError> {
        let reader = Reader::open(&self.path)?;
        if reader.found.journal != journal {
            return Err(SnapshotError::Damaged("it belongs to another journal"));
        }
        if reader.found.applied != self.applied {
            return Err(SnapshotError::Damaged("it has the name of another snapshot"));
        }
        Ok(reader)
    }
}

struct Writer {
    file: File,
    hasher: blake3::Hasher,
    block: Vec<u8>,
    unsynced: u64,
}

impl Writer {
    fn create(path: &Path, format: u32, marker: &Marker) -> io::Result<Self> {
        let file = private_file()
            .write(true)
            .create(true)
            .truncate(true)
            .open(path)?;
        let mut writer = Self {
            file,
            hasher: blake3::Hasher::new(),
            block: vec![ROWS],
            unsynced: 0,
        };
        let mut header = MAGIC.to_vec();
        header.extend(format.to_be_bytes());
        header.extend(marker.applied.to_be_bytes());
        header.extend(marker.journal);
        header.extend(crc32fast::hash(&header).to_be_bytes());
        writer.write(&header)?;
        Ok(writer)
    }

    fn row(&mut self, key: &[u8], value: &[u8]) -> io::Result<()> {
        let too_long = |_| io::Error::other("a row is above the limits");
        self.block
            .extend(u16::try_from(key.len()).map_err(too_long)?.to_be_bytes());
        self.block.extend(key);
        self.block
            .extend(u32::try_from(value.len()).map_err(too_long)?.to_be_bytes());
        self.block.extend(value);
        if self.block.len() >= BLOCK_BYTES {
            self.end_block()?;
        }
        Ok(())
    }

    fn end_block(&mut self) -> io::Result<()> {
        let payload = std::mem::replace(&mut self.block, vec![ROWS]);
        let length = u32::try_from(payload.len())
            .map_err(io::Error::other)?
            .to_be_bytes();
        let mut block = length.to_vec();
        block.extend(frame_crc(&length, &payload).to_be_bytes());
        block.extend(payload);
        self.write(&block)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.hasher.update(bytes);
        self.unsynced += bytes.len() as u64;
        if self.unsynced >= SYNC_BYTES {
            self.file.sync_data()?;
            self.unsynced = 0;
        }
        Ok(())
    }

    /// Writes what is left and the end, durably.
    fn end(mut self, marker: &Marker) -> io::Result<File> {
        if self.block.len() > 1 {
            self.end_block()?;
        }
        self.block = vec![END];
        self.block.extend(self.hasher.finalize().as_bytes());
        self.block.extend(marker.encode());
        self.end_block()?;
        self.file.sync_all()?;
        Ok(self.file)
    }
}

/// Reads a snapshot to its end and checks it on the way: only when [`next`](Self::next) has answered `None` is it known to be whole.
struct Reader {
    file: BufReader<File>,
    hasher: blake3::Hasher,
    /// What was read so far, with the journal and number of the header.
    found: Marker,
    last_key: Vec<u8>,
}

impl Reader {
    fn open(path: &Path) -> Result<Self, SnapshotError> {
        let mut file = BufReader::with_capacity(256 * 1024, File::open(path)?);
        let mut header = [0; HEADER_BYTES];
        read_exact(&mut file, &mut header)?;
        let mut hasher = blake3::Hasher::new();
        hasher.update(&header);
        Ok(Self {
            file,
            hasher,
            found: decode_header(&header).ok_or(SnapshotError::Damaged("its header is not one"))?,
            last_key: Vec::new(),
        })
    }

    /// The rows of the next block, with whole keys; nothing after the last, if all was as it should be.
    fn next(&mut self) -> Result<Option<Vec<Row>>, SnapshotError> {
        let before = self.hasher.finalize();
        let mut head = [0; 8];
        read_exact(&mut self.file, &mut head)?;
        let (mut length, mut crc) = head.split_at(4);
        let length = take_u32(&mut length)
            .and_then(|length| usize::try_from(length).ok())
            .filter(|length| (1..=MAX_PAYLOAD_BYTES).contains(length))
            .ok_or(SnapshotError::Damaged("a block has an impossible length"))?;
        let mut payload = vec![0; length];
        read_exact(&mut self.file, &mut payload)?;
        if take_u32(&mut crc) != Some(frame_crc(&head[..4], &payload)) {
            return Err(SnapshotError::Damaged("a block's checksum does not fit"));
        }
        self.hasher.update(&head);
        self.hasher.update(&payload);
        match payload.split_first() {
            Some((&ROWS, rows)) => self.rows(rows).map(Some),
            Some((&END, end)) => self.end(&before, end).map(|()| None),
            _ => Err(SnapshotError::Damaged("a block is of no known kind")),
        }
    }

    fn rows(&mut self, mut bytes: &[u8]) -> Result<Vec<Row>, SnapshotError> {
        let mut rows = Vec::new();
        while !bytes.is_empty() {
            let (key, value) =
                decode_row(&mut bytes).ok_or(SnapshotError::Damaged("a block's content is not one"))?;
            if key <= self.last_key.as_slice() {
                return Err(SnapshotError::Damaged("its rows are not in order"));
            }
            self.last_key = key.to_vec();
            self.found.count(key, None, Some(value));
            rows.push((key.to_vec(), value.to_vec()));
        }
        Ok(rows)
    }

    fn end(&mut self, before: &blake3::Hash, end: &[u8]) -> Result<(), SnapshotError> {
        let (hash, marker) = end
            .split_first_chunk::<32>()
            .ok_or(SnapshotError::Damaged("its end is not one"))?;
        if before != hash {
            return Err(SnapshotError::Damaged("its hash does not fit"));
        }
        if self.file.read(&mut [0])? != 0 {
            return Err(SnapshotError::Damaged("something follows its end"));
        }
        match Marker::decode(marker) {
            Some(claimed) if claimed == self.found => Ok(()),
            Some(_) => Err(SnapshotError::Damaged("its rows are not those it says it has")),
            None => Err(SnapshotError::Damaged("its marker is not one")),
        }
    }
}

fn decode_header(bytes: &[u8; HEADER_BYTES]) -> Option<Marker> {
    let (checked, mut crc) = bytes.split_at(HEADER_BYTES - 4);
    if take_u32(&mut crc)? != crc32fast::hash(checked) {
        return None;
    }
    let mut rest = checked.strip_prefix(MAGIC)?;
    let _format = take_u32(&mut rest)?;
    let applied = take_u64(&mut rest)?;
    Some(Marker::empty(rest.try_into().ok()?, applied))
}

fn decode_row<'a>(bytes: &mut &'a [u8]) -> Option<(&'a [u8], &'a [u8])> {
    let key_length = take(bytes, 2)?.try_into().ok().map(u16::from_be_bytes)?;
    let key = take(bytes, key_length.into()).filter(|key| !key.is_empty())?;
    let value_length = usize::try_from(take_u32(bytes)?).ok()?;
    Some((key, take(bytes, value_length)?))
}

/// A file that ends too early is damaged; the rest is the disk's fault.
fn read_exact(file: &mut impl Read, bytes: &mut [u8]) -> Result<(), SnapshotError> {
    file.read_exact(bytes).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => SnapshotError::Damaged("it is cut short"),
        _ => SnapshotError::Io(error),
    })
}
