//! Local media: uploads, probing, pictures, torrents, quotas; and the pictures and torrents of friends, kept here.
//!
//! It owns the folders under `media/` and the tables `LOCAL_VIDEOS` and `TORRENTS`. It asks the catalog to publish
//! ([`crate::catalog::messages::Publish`]), hears what the catalog learns, and asks for files of other pods through a
//! `Recipient<FetchFile>`: it knows nothing of HTTP.
//!
//! An upload becomes a video in one step that people can see: probe, pictures, torrent and place on disk come first,
//! then one transaction holds the record and this room's rows. The uploaded file is never rewritten.
//!
//! `upload.rs` takes bytes, `places.rs` limits from how many at once, `resumable.rs` keeps them until all are there, `quota.rs` counts them, `media/` tells what they are, `picture.rs` makes pictures, `workshop.rs` does the long work,
//! `state.rs` and `fetches.rs` decide, `actor.rs` is the shell, `sweep.rs` cleans up at start.

mod actor;
mod fetches;
pub mod folder;
pub mod media;
pub mod messages;
mod metrics;
pub mod picture;
pub mod places;
pub mod quota;
pub mod records;
pub mod resumable;
mod state;
mod sweep;
#[cfg(test)]
mod tests;
pub mod upload;
mod workshop;

pub use self::actor::{LibraryActor, LibraryOptions};
pub use self::folder::{MediaFolder, MediaName, PictureKind};
pub use self::media::tool::MediaTools;
pub use self::metrics::LibraryMetrics;
pub use self::quota::Quotas;
pub use self::resumable::Uploads;
pub use self::state::{MAX_ADDING, MAX_EDITING};
pub use self::sweep::OpenError;
pub use self::upload::{Received, UploadError, UploadWriter};
