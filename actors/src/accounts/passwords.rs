//! Hashing passwords: slow on purpose, so few at once.

use std::sync::{Arc, Mutex, PoisonError};

use argon2::password_hash::PasswordHasher;
use argon2::password_hash::phc::{Output, PasswordHash};
use argon2::{Argon2, Block, Params};
use tokio::sync::Semaphore;

use super::messages::{AccountsError, Secret};

/// Hashes computed at once; each takes some 19 MiB and tens of milliseconds.
const AT_ONCE: usize = 2;

/// Logins that may wait for their turn; above it they are told to come back.
const WAITING: usize = 64;

/// A hash of no password at all. Comparing with it costs what comparing with a real one costs, so that the time
/// of an answer does not tell whether a user exists.
const NOBODY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$c2VlZHBvZC1ub2JvZHk$9tK0vBkC8Jm1m8C6hWmLQvXfJ1nE3Cq0cQm2c7b0x0I";

/// Hashes and compares passwords, a few at once.
#[derive(Debug, Clone)]
pub(super) struct Passwords {
    turns: Arc<Semaphore>,
    places: Arc<Semaphore>,
    /// What comparing works in, used again: blocks of this size that are allocated on ever other threads stay with the
    /// allocator, hundreds of MiB after some minutes of guessing.
    memories: Arc<Mutex<Vec<Vec<Block>>>>,
}

impl Passwords {
    pub(super) fn new() -> Self {
        Self {
            turns: Arc::new(Semaphore::new(AT_ONCE)),
            places: Arc::new(Semaphore::new(AT_ONCE + WAITING)),
            memories: Arc::default(),
        }
    }

    /// The PHC text of an argon2id hash with a fresh salt.
    pub(super) async fn hash(&self, password: Secret) -> Result<String, AccountsError> {
        self.in_turn(move || {
            Argon2::default()
                .hash_password(password.0.as_bytes())
                .map(|hash| hash.to_string())
        })
        .await?
        .map_err(|error| AccountsError::Store(format!("the password could not be hashed: {error}")))
    }

    /// Whether a password belongs to a hash; `None` stands for a user who does not exist.
    pub(super) async fn matches(
        &self,
        password: Secret,
        hash: Option<String>,
    ) -> Result<bool, AccountsError> {
        let memories = Arc::clone(&self.memories);
        self.in_turn(move || {
            let exists = hash.is_some();
            let hash = hash.as_deref().unwrap_or(NOBODY);
            let kept = || memories.lock().unwrap_or_else(PoisonError::into_inner);
            let mut memory = kept().pop().unwrap_or_default();
            let same = compare(password.0.as_bytes(), hash, &mut memory).unwrap_or(false);
            kept().push(memory);
            same && exists
        })
        .await
    }

    async fn in_turn<R: Send + 'static>(
        &self,
        work: impl FnOnce() -> R + Send + 'static,
    ) -> Result<R, AccountsError> {
        let _place = self.places.try_acquire().map_err(|_| AccountsError::Busy)?;
        let _turn = self.turns.acquire().await.map_err(|_| AccountsError::Busy)?;
        tokio::task::spawn_blocking(work)
            .await
            .map_err(|_| AccountsError::Busy)
    }
}

/// Whether a password belongs to a hash; `None` if that is no hash of ours.
fn compare(password: &[u8], hash: &str, memory: &mut Vec<Block>) -> Option<bool> {
    let hash = PasswordHash::new(hash).ok()?;
    let (salt, expected) = (hash.salt?, hash.hash?);
    let params = Params::try_from(&hash).ok()?;
    memory.resize(params.block_count(), Block::default());
    let mut found = [0; Output::MAX_LENGTH];
    let found = &mut found[..expected.len()];
    let argon2 = Argon2::from(params);
    argon2
        .hash_password_into_with_memory(password, &salt, found, memory)
        .ok()?;
    // Outputs are compared in constant time.
    Some(Output::new(found).ok()? == expected)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> Secret {
        Secret(text.to_owned())
    }

    #[actix::test]
    async fn a_password_matches_its_own_hash_alone() {
        let passwords = Passwords::new();
        let hash = passwords.hash(secret("correct horse")).await.expect("hashed");
        assert!(hash.starts_with("$argon2id$"), "{hash}");
        assert!(
            passwords
                .matches(secret("correct horse"), Some(hash.clone()))
                .await
                .expect("compared")
        );
        assert!(
            !passwords
                .matches(secret("correct mouse"), Some(hash))
                .await
                .expect("compared")
        );
    }

    #[actix::test]
    async fn nobody_has_a_hash_that_can_be_compared_and_never_matches() {
        assert!(
            PasswordHash::new(NOBODY).is_ok(),
            "otherwise a missing user would be answered at once"
        );
        assert!(
            !Passwords::new()
                .matches(secret(""), None)
                .await
                .expect("compared")
        );
    }
}
