//! Migrations: how a folder that an older release wrote becomes one of this release.
//!
//! A format is a number for the whole store. Most changes need none: values begin with a version byte, and the room that owns a table
//! reads its old versions for ever. A migration is for what cannot be told row by row. Each has the number of the format it leads to,
//! works through ordinary transactions, may be interrupted at any moment and is then simply run again, and says how many rows it
//! changed or that there was nothing to do. The number in the folder goes up only after its last transaction is durable.
//!
//! Before the first one runs, a copy of the store as it was is put into `before-format-<n>/`: hard links of everything that is never
//! written to again. The release that wrote it opens that folder's content; an operator who is content removes it.

use std::fs;
use std::path::Path;

use tracing::info;

use super::StoreError;
use super::folder::{Folder, create_folder, sync_parent};
use super::index::{Index, Rows};
use super::journal::{AppendError, Journal};
use super::transaction::Transaction;

/// The newest format this release reads, and the one it writes. Formats so far: 1.
pub const FORMAT: u32 = 1;

/// What this release knows.
pub(super) const THIS: Release = Release {
    format: FORMAT,
    migrations: &[],
};

/// What a release knows of formats.
#[derive(Clone, Copy, Debug)]
pub(super) struct Release {
    /// The format it writes, and the newest it reads.
    pub(super) format: u32,
    /// In order, one for each format from 2 on.
    pub(super) migrations: &'static [Migration],
}

/// One step from a format to the next.
#[derive(Clone, Copy, Debug)]
pub(super) struct Migration {
    /// The format it leads to.
    pub(super) to: u32,
    /// What it does, for people.
    pub(super) name: &'static str,
    /// Does it, or what is left of it.
    pub(super) run: fn(&mut Changes<'_>) -> Result<Outcome, StoreError>,
}

/// What a migration did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(test), expect(dead_code, reason = "there is no migration yet"))]
pub(super) enum Outcome {
    /// There was nothing to do.
    Skipped,
    /// So many rows were changed.
    Rows(u64),
}

/// What a migration works with: all rows, and transactions that are durable when [`commit`](Self::commit) returns.
#[derive(Debug)]
pub(super) struct Changes<'a> {
    journal: &'a mut Journal,
    index: &'a mut Index,
}

#[cfg_attr(not(test), expect(dead_code, reason = "there is no migration yet"))]
impl Changes<'_> {
    /// The rows as they are now.
    pub(super) fn rows(&self) -> Rows {
        self.index.rows()
    }

    /// Makes a transaction durable and visible.
    pub(super) fn commit(&mut self, transaction: Transaction) -> Result<(), StoreError> {
        transaction.check_limits()?;
        let failed = |error: std::io::Error| StoreError::Failed(format!("journal: {error}").into());
        let group = [transaction];
        let last = self.journal.append(&group).map_err(|error| match error {
            AppendError::Full => StoreError::Full,
            AppendError::Broken(error) => failed(error),
        })?;
        self.journal.sync().map_err(failed)?;
        let [transaction] = group;
        self.index.apply(transaction.into_operations(), last)
    }
}

/// Brings a folder of format `found` to the release's format; does nothing if it has that already.
pub(super) fn run(
    release: &Release,
    found: u32,
    folder: &Folder,
    journal: &mut Journal,
    index: &mut Index,
) -> Result<(), StoreError> {
    if found == release.format {
        return Ok(());
    }
    keep_copy(folder, found)?;
    journal.end_segment(); // what an older release must not read begins with a header that tells it so
    for migration in release.migrations.iter().filter(|step| step.to > found) {
        let outcome = (migration.run)(&mut Changes { journal, index })?;
        folder.write_format(migration.to)?;
        match outcome {
            Outcome::Skipped => info!(
                format = migration.to,
                migration = migration.name,
                "migration skipped"
            ),
            Outcome::Rows(rows) => info!(
                format = migration.to,
                migration = migration.name,
                rows,
                "migrated"
            ),
        }
    }
    Ok(())
}

/// Keeps the store as it is; a copy that was begun and not finished is made again.
fn keep_copy(folder: &Folder, format: u32) -> Result<(), StoreError> {
    let copy = folder.root.join(format!("before-format-{}", format + 1));
    if copy.is_dir() {
        return Ok(());
    }
    let unfinished = copy.with_added_extension("new");
    if unfinished.is_dir() {
        fs::remove_dir_all(&unfinished).map_err(StoreError::io(&unfinished))?;
    }
    let kept = Folder::new(&unfinished);
    create_folder(&unfinished)?;
    for (from, to) in [
        (&folder.journal, &kept.journal),
        (&folder.snapshots, &kept.snapshots),
    ] {
        create_folder(to)?;
        link_all(from, to)?;
    }
    kept.write_format(format)?;
    fs::rename(&unfinished, &copy).map_err(StoreError::io(&copy))?;
    sync_parent(&copy).map_err(StoreError::io(&copy))
}

/// Links every file of a folder, the newest one excepted, which is copied: the end of the journal may yet be written to.
fn link_all(from: &Path, to: &Path) -> Result<(), StoreError> {
    let mut files = fs::read_dir(from)
        .and_then(|entries| {
            entries
                .map(|entry| Ok(entry?.path()))
                .collect::<Result<Vec<_>, _>>()
        })
        .map_err(StoreError::io(from))?;
    files.sort_unstable();
    let newest = files.pop();
    for file in files {
        let target = to.join(file.file_name().unwrap_or_default());
        fs::hard_link(&file, &target).map_err(StoreError::io(&target))?;
    }
    if let Some(file) = newest {
        let target = to.join(file.file_name().unwrap_or_default());
        fs::copy(&file, &target)
            .and_then(|_| fs::File::open(&target)?.sync_all())
            .map_err(StoreError::io(&target))?;
    }
    sync_parent(&to.join("any")).map_err(StoreError::io(to))
}
