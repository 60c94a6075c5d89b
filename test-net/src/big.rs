//! Large videos that cost nothing to make: a short clip and a box that players skip, as long as wanted.
//!
//! Nothing of them is ever whole in memory or on the tester's disk: their bytes are computed where they are needed.

use std::path::Path;

use anyhow::{Context, ensure};
use bytes::Bytes;
use futures::Stream;

/// How much is handed over at once.
const CHUNK: usize = 256 * 1024;

/// A video of any size.
#[derive(Debug, Clone)]
pub struct BigVideo {
    /// The clip, and the head of the box behind it.
    start: Bytes,
    length: u64,
    noise: Bytes,
}

impl BigVideo {
    /// The MP4 file at this path, made `length` bytes long.
    ///
    /// # Errors
    /// When the file cannot be read or is longer than that.
    pub fn of(clip: &Path, length: u64) -> anyhow::Result<Self> {
        let mut start = std::fs::read(clip).with_context(|| format!("cannot read {}", clip.display()))?;
        let left = length.saturating_sub(start.len() as u64);
        ensure!(left >= 16, "{} is longer than {length} bytes", clip.display());
        start.extend_from_slice(&1_u32.to_be_bytes());
        start.extend_from_slice(b"free");
        start.extend_from_slice(&left.to_be_bytes());
        // Of no length that divides a piece's or a chunk's, so that no two pieces are alike.
        let noise: Vec<u8> = (0..CHUNK as u64 + 251)
            .map(|at| (at.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8)
            .collect();
        Ok(Self {
            start: start.into(),
            length,
            noise: noise.into(),
        })
    }

    /// Its size in bytes.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// The bytes from an offset on, at most `most`; none at the end.
    pub fn bytes(&self, from: u64, most: usize) -> Bytes {
        let left = usize::try_from(self.length.saturating_sub(from)).unwrap_or(usize::MAX);
        let most = most.min(left);
        let start = self.start.len() as u64;
        if from < start {
            let from = usize::try_from(from).unwrap_or(usize::MAX);
            return self
                .start
                .slice(from..self.start.len().min(from.saturating_add(most)));
        }
        let period = self.noise.len() as u64;
        let at = usize::try_from((from - start) % period).unwrap_or(0);
        self.noise.slice(at..self.noise.len().min(at + most))
    }

    /// A part of it as the body of a request.
    pub fn stream(
        &self,
        from: u64,
        to: u64,
    ) -> impl Stream<Item = Result<Bytes, std::io::Error>> + Send + use<> {
        let video = self.clone();
        futures::stream::unfold(from, move |at| {
            let most = usize::try_from(to.saturating_sub(at))
                .unwrap_or(usize::MAX)
                .min(CHUNK);
            let bytes = video.bytes(at, most);
            let next = at + bytes.len() as u64;
            std::future::ready((!bytes.is_empty()).then(|| (Ok(bytes), next)))
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use super::*;

    #[test]
    fn the_bytes_are_the_same_however_they_are_cut() {
        let clip = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(clip.path(), b"a clip").unwrap();
        let video = BigVideo::of(clip.path(), 1_000_003).unwrap();
        let whole = |step: usize| {
            let mut all = Vec::new();
            while (all.len() as u64) < video.length() {
                all.extend_from_slice(&video.bytes(all.len() as u64, step));
            }
            all
        };
        let first = whole(CHUNK);
        assert_eq!((first.len(), &first[..6]), (1_000_003, &b"a clip"[..]));
        assert!(whole(7919) == first && video.bytes(1_000_003, 5).is_empty());
    }
}
