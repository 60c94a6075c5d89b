//! The composition root: the only place that knows every room and wires them together.
//!
//! [`crate::serve`] prepares what a pod is made from ([`Parts`]) and says when to stop; everything between is here.

use std::path::PathBuf;

use tokio::net::TcpListener;

use crate::config::Settings;
use crate::exit::{Exit, Failure};
use crate::fetch::Fetcher;
use crate::identity::Seed;
use crate::resolve::Resolver;

/// What a pod is made from: checked, opened and bound, so that starting has little left to fail.
#[derive(Debug)]
pub struct Parts {
    /// The checked settings.
    pub settings: Settings,
    /// The data folder, which exists.
    pub folder: PathBuf,
    /// The seed of the pod's key.
    pub seed: Seed,
    /// The web server's socket, bound.
    pub listener: TcpListener,
    /// The public URL, without a slash at its end.
    pub url: String,
    /// Asks hosts for their introductions.
    pub resolver: Resolver,
    /// Fetches pictures and torrents of friends.
    pub fetcher: Fetcher,
}

/// The login made at the very first start, to be printed once and kept nowhere.
#[derive(Debug)]
pub struct FirstLogin {
    /// The administrator's name.
    pub username: String,
    /// The password as it was drawn; absent when it came from the settings.
    pub password: Option<String>,
}

/// A running pod.
#[derive(Debug)]
pub struct Pod {
    url: String,
    first_login: Option<FirstLogin>,
}

impl Pod {
    /// The public URL, without a slash at its end.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The login made at the very first start; `None` at every later one.
    pub fn first_login(&self) -> Option<&FirstLogin> {
        self.first_login.as_ref()
    }

    /// Waits until a part that the pod cannot do without has died.
    pub async fn wait_fatal(&self) -> anyhow::Error {
        std::future::pending().await
    }

    /// Stops every part in order: no new requests, then the rooms, then the store.
    ///
    /// # Errors
    /// When a part did not stop cleanly; the others are stopped all the same.
    pub async fn stop(self) -> anyhow::Result<()> {
        Ok(())
    }
}

/// Starts every part in order.
///
/// # Errors
/// When a part cannot start; those already started are stopped again.
pub async fn start(parts: Parts) -> Result<Pod, Failure> {
    Err(Failure::new(
        Exit::Failed,
        anyhow::anyhow!(
            "this build cannot serve {} yet: its rooms are not wired",
            parts.url
        ),
    ))
}
