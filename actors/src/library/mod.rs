//! Local media: uploads, probing, pictures, torrents, quotas.

pub mod folder;
pub mod media;
pub mod messages;
pub mod picture;
pub mod upload;
