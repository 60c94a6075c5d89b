//! Whoever can read the data folder is the pod's operator: how the command line on the same machine is let in.
//!
//! While the pod runs, its folder holds `operator.json`, for its owner's eyes alone: where the pod answers on this machine, and
//! a token that opens the API as the first administrator. A new one is drawn at each start, and nothing of it outlives the pod.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use data_encoding::BASE64URL_NOPAD;
use seedpod_actors::accounts::messages::Secret;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::keys::write_whole;

const NAME: &str = "operator.json";

/// What the file says.
#[derive(Serialize, Deserialize)]
pub struct Operator {
    /// Base URL under which this machine reaches the pod.
    pub url: String,
    /// Opens its API.
    pub token: String,
}

/// The file of a pod that runs; gone when this is dropped.
#[derive(Debug)]
pub struct Presence(PathBuf);

impl Drop for Presence {
    fn drop(&mut self) {
        // One that stays names a token that opens nothing any more.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Draws a token. It opens nothing before the accounts know it.
pub fn draw() -> Secret {
    Secret(BASE64URL_NOPAD.encode(&rand::random::<[u8; 32]>()))
}

/// Says in the data folder where the pod answers, and to what.
///
/// # Errors
/// When the disk refuses.
pub fn announce(folder: &Path, url: &str, token: &Secret) -> anyhow::Result<Presence> {
    let operator = Operator {
        url: url.to_owned(),
        token: token.0.clone(),
    };
    let text = Zeroizing::new(serde_json::to_vec(&operator).context("the operator's token")?);
    write_whole(folder, NAME, &text)?;
    Ok(Presence(folder.join(NAME)))
}

/// Where the pod of this data folder answers, and to what.
///
/// # Errors
/// When no pod runs on this folder, or its owner is somebody else.
pub fn find(folder: &Path) -> anyhow::Result<Operator> {
    let path = folder.join(NAME);
    match std::fs::read(&path) {
        Ok(text) => {
            serde_json::from_slice(&text).with_context(|| format!("cannot understand {}", path.display()))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => bail!(
            "no pod runs on the data folder {}; start it, or name the folder with --data-dir",
            folder.display()
        ),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_token_is_there_while_the_pod_is_and_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let absent = find(folder.path()).err().unwrap().to_string();
        assert!(absent.contains("no pod runs"), "{absent}");
        let token = draw();
        assert_ne!(token, draw());
        let presence = announce(folder.path(), "http://127.0.0.1:9000", &token).unwrap();
        let found = find(folder.path()).unwrap();
        assert_eq!(
            (found.url.as_str(), found.token),
            ("http://127.0.0.1:9000", token.0)
        );
        let mode = std::fs::metadata(&presence.0).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        drop(presence);
        assert!(find(folder.path()).is_err());
    }
}
