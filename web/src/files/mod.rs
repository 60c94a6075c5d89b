//! Files: media with ranges, torrents, pictures, and what the pages are made of.

pub(crate) mod assets;
mod conditions;
pub(crate) mod media;
pub(crate) mod pictures;
pub(crate) mod portions;
pub(crate) mod torrents;
