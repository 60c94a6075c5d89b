//! The keys of a pod after its first: files of the data folder, and the command line's `keys`.
//!
//! | file | what |
//! |---|---|
//! | `identity.key` | seed of the first key, which is the pod's name and its end of every connection; never changed ([`identity`]) |
//! | `identity.signing` | seed of the key that signs records now, once that is another |
//! | `identity.next` | seed of the key that follows at the next start |
//! | `identity.statements` | what the pod said about its keys: envelopes in hex, one a line |
//!
//! Commands write files; the next start makes true what they say, for only it knows which stamps were used. Each step leaves files
//! from which the next start goes on: a next key is written before the statement that names it, and becomes the one that signs only
//! after the start which made it follow has written so.
//!
//! The recovery key is kept elsewhere: `keys new-recovery` writes it to a file that the operator names, and `keys pin` wants its hash
//! alone.

use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use data_encoding::HEXLOWER_PERMISSIVE;
use seedpod_actors::catalog::OwnKeys;
use seedpod_protocol::envelope::{Draft, Envelope, Epoch, Stamp, Verified};
use seedpod_protocol::ids::{ContentHash, PodId};
use seedpod_protocol::keys::PodKey;
use seedpod_protocol::records::{Record, RecoveryPin, Revocation};
use seedpod_protocol::succession::Succession;
use zeroize::Zeroizing;

use crate::identity::{self, SEED_LENGTH, Seed};

const SIGNING: &str = "identity.signing";
const NEXT: &str = "identity.next";
const STATEMENTS: &str = "identity.statements";

/// What stands before the seed in the file of a recovery key.
const RECOVERY_HEAD: &str = "# The recovery key of a Seedpod pod. Keep it where the pod is not.\n";

/// What the data folder says this pod signs with.
///
/// # Errors
/// When a file cannot be read, or is not what it should be.
pub fn load(folder: &Path, first: &Seed) -> anyhow::Result<OwnKeys> {
    let me = PodKey::from_seed(first).id();
    let key = |name| {
        let seed = read_seed(&folder.join(name))?;
        anyhow::Ok(seed.map(|seed| PodKey::of_pod(me, &seed)))
    };
    Ok(OwnKeys {
        signing: key(SIGNING)?.unwrap_or_else(|| PodKey::from_seed(first)),
        next: key(NEXT)?,
        said: read_statements(folder, me)?,
    })
}

/// A start made true what the files said: writes down what is said about this pod's keys now, and that the next key signs.
///
/// # Errors
/// When the disk refuses; the next start does it again.
pub fn settle(folder: &Path, statements: &[Vec<u8>]) -> anyhow::Result<()> {
    if !statements.is_empty() {
        let same = read_lines(folder)?;
        if same != statements {
            write_statements(folder, statements)?;
        }
    }
    match std::fs::rename(folder.join(NEXT), folder.join(SIGNING)) {
        Ok(()) => sync(folder).context("cannot write the data folder"),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error).context("cannot make the next key the one that signs"),
    }
}

/// Draws a recovery key, writes it to a new file for its owner's eyes alone, and says its hash.
///
/// # Errors
/// When there is such a file, or it cannot be written.
pub fn new_recovery(path: &Path) -> anyhow::Result<String> {
    let seed = identity::draw()?;
    let text = Zeroizing::new(format!(
        "{RECOVERY_HEAD}{}\n",
        data_encoding::HEXLOWER.encode(seed.as_slice())
    ));
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .with_context(|| format!("cannot make {}", path.display()))?;
    file.write_all(text.as_bytes())
        .and_then(|()| file.sync_all())
        .with_context(|| format!("cannot write {}", path.display()))?;
    let hash = RecoveryPin::of(&PodKey::from_seed(&seed).public()).hash;
    Ok(format!(
        "The recovery key is in {}. Keep it where the pod is not, and pin it on the pod:\n  seedpod keys pin {hash}\n",
        path.display()
    ))
}

/// Pins a recovery key by its hash.
///
/// # Errors
/// When another one is pinned: friends believe the first, and no other.
pub fn pin(folder: &Path, hash: ContentHash) -> anyhow::Result<String> {
    let (first, mut said) = open(folder)?;
    let key = PodKey::from_seed(&first);
    match Succession::of(key.id(), &said).pin() {
        Some(pinned) if pinned == hash => return Ok("This recovery key is pinned already.\n".to_owned()),
        Some(pinned) => bail!("{pinned} is pinned; friends believe the first pin they hear of, and no other"),
        None => {}
    }
    let draft = Draft::live(&key.id(), RecoveryPin { hash }.into())?;
    said.push(draft.sign(&key, Stamp::ZERO)?);
    write_said(folder, &said)?;
    Ok("Pinned. The pod tells its friends after its next start; until they have heard, a thief could pin another.\n".to_owned())
}

/// Draws a key that follows the one that signs now, at the next start.
///
/// # Errors
/// When one is waiting already.
pub fn succeed(folder: &Path) -> anyhow::Result<String> {
    open(folder)?;
    ensure!(
        !folder.join(NEXT).exists(),
        "a key is waiting for the next start already"
    );
    let seed = identity::draw()?;
    write_whole(folder, NEXT, seed.as_slice())?;
    let next = PodKey::from_seed(&seed).public();
    Ok(format!(
        "At its next start the pod makes the key {next} follow the one that signs now. Its name stays what it is.\n"
    ))
}

/// Ends the keys of a pod with its recovery key; a new one signs from the next start on. Of the old ones only what is stamped up to
/// `last` is believed, nothing without it: then the pod signs again whatever is on its own disk.
///
/// # Errors
/// When the file holds no recovery key, or another than the one that is pinned.
pub fn revoke(folder: &Path, recovery: &Path, last: Option<Stamp>) -> anyhow::Result<String> {
    let (first, mut said) = open(folder)?;
    let me = PodKey::from_seed(&first).id();
    let recovery = PodKey::of_pod(me, &*read_recovery(recovery)?);
    let succession = Succession::of(me, &said);
    let Some(pinned) = succession.pin() else {
        bail!("no recovery key is pinned, so no friend would believe this one");
    };
    ensure!(
        RecoveryPin::of(&recovery.public()).hash == pinned,
        "another recovery key is pinned: {pinned}"
    );
    let key = succession.to_revoke().context("all keys of this pod are over")?;
    let seed = identity::draw()?;
    let next = PodKey::from_seed(&seed).public();
    let revocation = Revocation {
        key,
        last: last.unwrap_or(Stamp::ZERO),
        next: Some(next),
    };
    said.push(Draft::live(&me, revocation.into())?.sign(&recovery, Stamp::ZERO)?);
    // If the statement is not written any more, the next start makes an ordinary succession of it.
    write_whole(folder, NEXT, seed.as_slice())?;
    write_said(folder, &said)?;
    Ok(format!(
        "{key} is over, and whatever followed it. From its next start on the pod signs with {next}; start it soon, for friends hear of it only then.\n"
    ))
}

/// What is known of this pod's keys.
///
/// # Errors
/// When a file is not what it should be.
pub fn show(folder: &Path) -> anyhow::Result<String> {
    let (first, said) = open(folder)?;
    let me = PodKey::from_seed(&first).id();
    let succession = Succession::of(me, &said);
    let mut page = format!("pod           {me}\n");
    for (place, key) in succession.keys().enumerate().skip(1) {
        writeln!(page, "key {:<9} {key}", place + 1)?;
    }
    match succession.signs_now() {
        Some(key) => writeln!(page, "signs now     {key}")?,
        None => writeln!(page, "signs now     nobody: the last key is over")?,
    }
    if let Some(seed) = read_seed(&folder.join(NEXT))? {
        writeln!(page, "next start    {}", PodKey::from_seed(&seed).public())?;
    }
    match succession.pin() {
        Some(pinned) => writeln!(page, "recovery key  {pinned} (hash)")?,
        None => writeln!(
            page,
            "recovery key  none is pinned: a stolen key could not be taken back"
        )?,
    }
    Ok(page)
}

/// Reads `COUNTER.TAG.SEQ`, as a record's stamp is written in logs: two decimal numbers around 16 hex digits.
///
/// # Errors
/// Anything else.
pub fn parse_stamp(text: &str) -> Result<Stamp, String> {
    let parts: Vec<&str> = text.split('.').collect();
    let stamp = || {
        let [counter, tag, seq] = parts.as_slice() else {
            return None;
        };
        let tag = HEXLOWER_PERMISSIVE.decode(tag.as_bytes()).ok()?;
        let epoch = Epoch {
            counter: counter.parse().ok()?,
            tag: tag.try_into().ok()?,
        };
        let seq = seq.parse().ok()?;
        Some(Stamp { epoch, seq })
    };
    stamp().ok_or_else(|| "expected COUNTER.TAG.SEQ, the tag in 16 hex digits".to_owned())
}

/// The first key and what was said, of a data folder that a pod has used.
fn open(folder: &Path) -> anyhow::Result<(Seed, Vec<Verified<Record>>)> {
    let first = read_seed(&folder.join(identity::IDENTITY_FILE))?
        .with_context(|| format!("no pod lives in {}", folder.display()))?;
    let said = read_statements(folder, PodKey::from_seed(&first).id())?;
    Ok((first, said))
}

fn read_seed(path: &Path) -> anyhow::Result<Option<Seed>> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => Zeroizing::new(bytes),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
    };
    let seed = <[u8; SEED_LENGTH]>::try_from(bytes.as_slice());
    let seed = seed.ok().with_context(|| {
        let found = bytes.len();
        format!("{} holds {found} bytes, expected {SEED_LENGTH}", path.display())
    })?;
    Ok(Some(Zeroizing::new(seed)))
}

fn read_recovery(path: &Path) -> anyhow::Result<Seed> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let text = Zeroizing::new(text);
    let line = text
        .lines()
        .find(|line| !line.is_empty() && !line.starts_with('#'));
    let bytes = line.and_then(|line| HEXLOWER_PERMISSIVE.decode(line.trim().as_bytes()).ok());
    let bytes = Zeroizing::new(bytes.unwrap_or_default());
    let seed = <[u8; SEED_LENGTH]>::try_from(bytes.as_slice()).ok();
    Ok(Zeroizing::new(seed.with_context(|| {
        format!("{} holds no recovery key", path.display())
    })?))
}

fn read_lines(folder: &Path) -> anyhow::Result<Vec<Vec<u8>>> {
    let path = folder.join(STATEMENTS);
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
    };
    let lines = text.lines().filter(|line| !line.is_empty());
    let decoded = lines.map(|line| HEXLOWER_PERMISSIVE.decode(line.as_bytes()));
    decoded
        .collect::<Result<_, _>>()
        .with_context(|| format!("{} holds something other than hex digits", path.display()))
}

fn read_statements(folder: &Path, me: PodId) -> anyhow::Result<Vec<Verified<Record>>> {
    let opened = |bytes: Vec<u8>| {
        let statement = Envelope::decode(bytes)?.open()?;
        ensure!(
            statement.header().author == me && statement.header().is_of_keys(),
            "it is not about this pod's keys"
        );
        Ok(statement)
    };
    let lines = read_lines(folder)?.into_iter();
    lines
        .map(|line| opened(line).with_context(|| format!("a line of {STATEMENTS} cannot be used")))
        .collect()
}

fn write_said(folder: &Path, said: &[Verified<Record>]) -> anyhow::Result<()> {
    let statements: Vec<Vec<u8>> = said.iter().map(|statement| statement.bytes().to_vec()).collect();
    write_statements(folder, &statements)
}

fn write_statements(folder: &Path, statements: &[Vec<u8>]) -> anyhow::Result<()> {
    let lines = statements
        .iter()
        .map(|bytes| data_encoding::HEXLOWER.encode(bytes) + "\n");
    write_whole(folder, STATEMENTS, lines.collect::<String>().as_bytes())
}

/// Writes a file for its owner's eyes alone, whole or not at all.
pub(crate) fn write_whole(folder: &Path, name: &str, bytes: &[u8]) -> anyhow::Result<()> {
    let path: PathBuf = folder.join(name);
    let unfinished = folder.join(format!("{name}.new"));
    let write = || -> io::Result<()> {
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&unfinished)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&unfinished, &path)?;
        sync(folder)
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}

fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that panics is a failed test")]

    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn pod() -> (tempfile::TempDir, PathBuf) {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("data");
        identity::make_data_folder(&folder).unwrap();
        identity::load_or_create(&folder).unwrap();
        (parent, folder)
    }

    fn recovery(parent: &Path) -> (PathBuf, ContentHash) {
        let path = parent.join("recovery");
        let said = new_recovery(&path).unwrap();
        let hash = said.split_whitespace().next_back().unwrap().parse().unwrap();
        (path, hash)
    }

    #[test]
    fn a_recovery_key_is_pinned_once_and_its_file_is_its_owners() {
        let (parent, folder) = pod();
        let (path, hash) = recovery(parent.path());
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert!(new_recovery(&path).is_err(), "a key is never overwritten");
        pin(&folder, hash).unwrap();
        assert!(pin(&folder, hash).unwrap().contains("already"));
        assert!(pin(&folder, ContentHash::of(b"another")).is_err());
        assert!(show(&folder).unwrap().contains(&hash.to_string()));
    }

    #[test]
    fn a_revocation_names_a_new_key_that_waits_for_the_next_start() {
        let (parent, folder) = pod();
        let (path, hash) = recovery(parent.path());
        assert!(
            revoke(&folder, &path, None).is_err(),
            "nobody would believe what was never pinned"
        );
        pin(&folder, hash).unwrap();
        revoke(&folder, &path, None).unwrap();
        let first = identity::load_or_create(&folder).unwrap();
        let me = PodKey::from_seed(&first).id();
        let keys = load(&folder, &first).unwrap();
        assert_eq!((keys.signing.public(), keys.said.len()), (me, 2));
        let next = keys.next.unwrap().public();
        let succession = Succession::of(me, &keys.said);
        assert_eq!(succession.signs_now(), Some(next));
        assert!(succession.believes_nothing());

        let statements: Vec<_> = keys.said.iter().map(|said| said.bytes().to_vec()).collect();
        settle(&folder, &statements).unwrap();
        let keys = load(&folder, &first).unwrap();
        assert_eq!((keys.signing.public(), keys.next.is_none()), (next, true));
        assert_eq!(keys.signing.id(), me);
        settle(&folder, &statements).unwrap();
    }

    #[test]
    fn one_key_waits_at_a_time() {
        let (_parent, folder) = pod();
        succeed(&folder).unwrap();
        assert!(succeed(&folder).is_err());
        assert!(show(&folder).unwrap().contains("next start"));
    }

    #[test]
    fn what_is_no_statement_about_this_pods_keys_is_refused() {
        let (_parent, folder) = pod();
        let first = identity::load_or_create(&folder).unwrap();
        for line in ["zz", "8200"] {
            std::fs::write(folder.join(STATEMENTS), line).unwrap();
            assert!(load(&folder, &first).is_err(), "{line}");
        }
        std::fs::remove_file(folder.join(STATEMENTS)).unwrap();
        std::fs::write(folder.join(NEXT), b"short").unwrap();
        assert!(load(&folder, &first).is_err());
    }

    #[test]
    fn stamps_are_read_as_logs_write_them() {
        let stamp = parse_stamp("7.00010203040506ff.12").unwrap();
        assert_eq!((stamp.epoch.counter, stamp.seq), (7, 12));
        assert_eq!(stamp.epoch.tag, [0, 1, 2, 3, 4, 5, 6, 0xff]);
        for text in [
            "",
            "7",
            "7.00.1",
            "7.0001020304050607.x",
            "7.0001020304050607.1.2",
        ] {
            assert!(parse_stamp(text).is_err(), "{text}");
        }
    }
}
