//! Bounded reading: one small window over a file, and a purse of steps that ends every walk.

use std::io::{Read, Seek, SeekFrom};

use super::MediaError;

/// How many bytes are held of the file.
const WINDOW: usize = 16 * 1024;

/// How many times the window may be filled: with [`WINDOW`] at most 1 GiB is ever read.
const MAX_FILLS: u32 = 65_536;

/// How many boxes, elements, pages or table rows may be looked at.
const MAX_STEPS: u32 = 1_000_000;

/// A file under a window, with what may still be spent on it.
pub(super) struct Scan<R> {
    source: R,
    len: u64,
    window_at: u64,
    window: Vec<u8>,
    fills_left: u32,
    steps_left: u32,
}

impl<R: Read + Seek> Scan<R> {
    pub(super) fn new(mut source: R) -> Result<Self, MediaError> {
        let len = source.seek(SeekFrom::End(0))?;
        Ok(Self {
            source,
            len,
            window_at: 0,
            window: Vec::new(),
            fills_left: MAX_FILLS,
            steps_left: MAX_STEPS,
        })
    }

    /// The file's length in bytes.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Pays for one step of a walk; every loop over the file's content calls this once a round.
    pub(super) fn step(&mut self) -> Result<(), MediaError> {
        self.steps_left = self.steps_left.checked_sub(1).ok_or(MediaError::TooComplex)?;
        Ok(())
    }

    /// Copies what there is at an offset; returns how many bytes that was, fewer than asked only at the end.
    pub(super) fn peek(&mut self, at: u64, into: &mut [u8]) -> Result<usize, MediaError> {
        let mut done = 0;
        while done < into.len() {
            let here = at.saturating_add(done as u64);
            if here >= self.len {
                break;
            }
            let held = self.held(here)?;
            if held.is_empty() {
                break; // the file shrank under us
            }
            let part = held.len().min(into.len() - done);
            into[done..done + part].copy_from_slice(&held[..part]);
            done += part;
        }
        Ok(done)
    }

    /// Exactly `N` bytes at an offset; an error where the file ends before.
    pub(super) fn array<const N: usize>(&mut self, at: u64) -> Result<[u8; N], MediaError> {
        let mut bytes = [0; N];
        self.exact(at, &mut bytes)?;
        Ok(bytes)
    }

    /// Fills a buffer from an offset; an error where the file ends before.
    pub(super) fn exact(&mut self, at: u64, into: &mut [u8]) -> Result<(), MediaError> {
        if self.peek(at, into)? < into.len() {
            return Err(MediaError::Damaged {
                what: "ends too early",
                at,
            });
        }
        Ok(())
    }

    pub(super) fn u8(&mut self, at: u64) -> Result<u8, MediaError> {
        Ok(self.array::<1>(at)?[0])
    }

    pub(super) fn u32(&mut self, at: u64) -> Result<u32, MediaError> {
        self.array(at).map(u32::from_be_bytes)
    }

    pub(super) fn u64(&mut self, at: u64) -> Result<u64, MediaError> {
        self.array(at).map(u64::from_be_bytes)
    }

    /// The bytes held from an offset on, at least one unless the file ends there.
    fn held(&mut self, at: u64) -> Result<&[u8], MediaError> {
        let inside = at
            .checked_sub(self.window_at)
            .and_then(|skip| usize::try_from(skip).ok());
        if let Some(skip) = inside.filter(|skip| *skip < self.window.len()) {
            return Ok(&self.window[skip..]);
        }
        self.fills_left = self.fills_left.checked_sub(1).ok_or(MediaError::TooComplex)?;
        self.window.clear();
        self.window_at = at;
        self.source.seek(SeekFrom::Start(at))?;
        (&mut self.source)
            .take(WINDOW as u64)
            .read_to_end(&mut self.window)?;
        Ok(&self.window)
    }
}
