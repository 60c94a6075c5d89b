//! What a start does about this pod's own keys.
//!
//! The statements about them are kept beside the seeds, outside of the store, and told to the catalog at every start: a store that was
//! restored from an old copy does not make the pod forget which key it signs with. Then
//!
//! - what keys signed that were revoked since is signed again with the new one: in full if the revocation believes nothing, for then what
//!   is on this disk is all there is to believe; else what it believes, and the rest is let go;
//! - a key that is to follow is made to, by the key that signs now, under the next stamp.
//!
//! All of it is on the disk before anybody can ask, and done again by the next start if this one does not come so far.

use seedpod_protocol::envelope::{Draft, RegisterKey, Stamp, Verified};
use seedpod_protocol::keys::PodKey;
use seedpod_protocol::records::{Record, Successor};
use tracing::{info, warn};

use super::CatalogActor;
use super::batches::ROW_OVERHEAD;
use super::records::row_key;
use super::state::Outcome;
use crate::clock;
use crate::store::{StoreError, Transaction, tables};

/// Bytes of records that are signed again before they are written.
const AT_ONCE: usize = 8 * 1024 * 1024;

/// What a pod signs its records with.
#[derive(Debug)]
pub struct OwnKeys {
    /// The key that signs now.
    pub signing: PodKey,
    /// One that is to follow it, if one is.
    pub next: Option<PodKey>,
    /// What was said about this pod's keys, in whatever order.
    pub said: Vec<Verified<Record>>,
}

impl From<PodKey> for OwnKeys {
    /// A pod that never changed its key.
    fn from(signing: PodKey) -> Self {
        Self {
            signing,
            next: None,
            said: Vec::new(),
        }
    }
}

impl CatalogActor {
    /// What counts of the statements about an author's keys, as envelopes in their order.
    pub fn key_statements(&self, author: &seedpod_protocol::ids::PodId) -> Vec<Vec<u8>> {
        let statements = self.state.statements(author).into_iter();
        let read = |key: RegisterKey| {
            let unwritten = self.unwritten(author, &key);
            match unwritten {
                Some(record) => Some(record.bytes().to_vec()),
                None => Some(self.read(author, &key)?.envelope.bytes().to_vec()),
            }
        };
        statements.filter_map(read).collect()
    }

    /// What this pod says about its own keys, to be kept beside the seeds.
    pub fn own_key_statements(&self) -> Vec<Vec<u8>> {
        self.key_statements(&self.key.id())
    }

    /// Makes what was said about this pod's keys true, and begins the epoch.
    pub(super) async fn take_up(
        &mut self,
        next: Option<PodKey>,
        said: Vec<Verified<Record>>,
    ) -> Result<(), StoreError> {
        self.tell_own(said);
        self.state.renew_epoch();
        let mut transaction = Transaction::new();
        let counter = self.state.epoch().counter.to_be_bytes().to_vec();
        transaction.put(tables::META, tables::META_EPOCH, counter);
        self.store.commit(transaction).await?;
        self.write_all().await?;
        if let Some(next) = next {
            self.follow(next)?;
        }
        let signs_now = self.state.succession(&self.key.id()).map(|keys| keys.signs_now());
        if signs_now != Some(Some(self.key.public())) {
            return Err(StoreError::Row(
                "another key than the one in the data folder signs for this pod now".to_owned(),
            ));
        }
        self.sign_again().await?;
        self.write_all().await
    }

    /// Takes in statements that may have to wait for each other.
    fn tell_own(&mut self, said: Vec<Verified<Record>>) {
        let me = self.key.id();
        let mut left = said;
        loop {
            let before = left.len();
            let told: Vec<_> = std::mem::take(&mut left)
                .into_iter()
                .map(|statement| (self.state.tell_keys(&statement, clock::now()), statement))
                .collect();
            for (outcome, statement) in told {
                match outcome {
                    Outcome::KeysChanged { head, lapsed } => self.put_keys(head, &lapsed, statement, me),
                    Outcome::Unlisted => left.push(statement),
                    _ => {}
                }
            }
            if left.is_empty() || left.len() == before {
                return;
            }
        }
    }

    /// Makes a key follow the one that signs now, unless it does already.
    fn follow(&mut self, next: PodKey) -> Result<(), StoreError> {
        let me = self.key.id();
        let signs_now = self.state.succession(&me).and_then(|keys| keys.signs_now());
        if signs_now != Some(next.public()) {
            let stamp: Stamp = self.state.next_stamp();
            let statement = Draft::live(&me, Successor::new(&self.key, &next).into())
                .and_then(|draft| draft.sign(&self.key, stamp))
                .map_err(|error| StoreError::Row(format!("the next key cannot follow: {error}")))?;
            self.tell_own(vec![statement]);
        }
        info!(key = %next.public().short(), "a new key signs for this pod");
        self.key = next;
        Ok(())
    }

    async fn sign_again(&mut self) -> Result<(), StoreError> {
        let (counts, void) = self.state.lapsed_own();
        let (again, gone) = if self.state.own_believes_nothing() {
            ([counts, void].concat(), Vec::new())
        } else {
            (counts, void)
        };
        if again.is_empty() && gone.is_empty() {
            return Ok(());
        }
        let me = self.key.id();
        info!(
            signed_again = again.len(),
            let_go = gone.len(),
            "own records of a key that was revoked"
        );
        self.state.drop_own(&gone);
        for key in gone {
            let row = row_key(&me, &key);
            self.batch(2 * ROW_OVERHEAD)
                .transaction
                .delete(tables::RECORDS, row);
        }
        for key in again {
            let record = self
                .read(&me, &key)
                .and_then(|stored| stored.envelope.reopen().ok());
            let Some(record) = record else { continue };
            let header = *record.header();
            let signed = self.sign(header.kind, header.object, header.state, record.payload().clone());
            match signed {
                Ok(record) => {
                    self.apply(record, me);
                }
                Err(error) => warn!(kind = ?header.kind, %error, "an own record cannot be signed again"),
            }
            if self.waiting_bytes() > AT_ONCE {
                self.write_all().await?;
            }
        }
        Ok(())
    }

    /// Writes what waits. Nobody has subscribed yet, so there is nobody to tell.
    async fn write_all(&mut self) -> Result<(), StoreError> {
        while let Some(batch) = self.pending.pop_front() {
            self.store.commit(batch.transaction).await?;
        }
        Ok(())
    }
}
