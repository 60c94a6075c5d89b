//! Reads what `strace -f -yy -o` wrote, and tells whether a request was answered only after the journal was synced.

use std::path::Path;

use anyhow::{Context, ensure};

/// System calls in the order in which they began or ended.
#[derive(Debug)]
pub(crate) struct Trace {
    lines: Vec<Line>,
}

#[derive(Debug)]
struct Line {
    thread: String,
    text: String,
}

impl Trace {
    pub(crate) fn read(path: &Path) -> anyhow::Result<Self> {
        let bytes = std::fs::read(path)
            .with_context(|| format!("no trace in {}: is strace installed?", path.display()))?;
        Ok(Self::parse(&String::from_utf8_lossy(&bytes)))
    }

    fn parse(text: &str) -> Self {
        let lines = text.lines().filter_map(|line| {
            let (thread, text) = line.split_once(char::is_whitespace)?;
            Some(Line {
                thread: thread.to_owned(),
                text: text.trim_start().to_owned(),
            })
        });
        Self {
            lines: lines.collect(),
        }
    }

    /// Whether the traced process was seen to end.
    pub(crate) fn has_ended(&self, pid: i32) -> bool {
        let pid = pid.to_string();
        self.lines
            .iter()
            .any(|line| line.thread == pid && line.text.starts_with("+++ exited"))
    }

    /// Checks that between the arrival of the first such request and the first bytes of its answer a sync of a file of the journal
    /// began and ended well.
    ///
    /// # Errors
    /// When there was no such request, no answer, or no sync in between.
    pub(crate) fn ensure_synced_before_answer(&self, request: &str, journal: &Path) -> anyhow::Result<()> {
        let arrived = self
            .lines
            .iter()
            .position(|line| line.reads() && line.text.contains(&format!("\"{request}")))
            .with_context(|| format!("`{request}` never arrived"))?;
        let connection = self
            .connection_at(arrived)
            .with_context(|| format!("`{request}` came from nowhere: {}", self.lines[arrived].text))?;
        let answered = self.lines[arrived..]
            .iter()
            .position(|line| {
                line.writes() && line.text.contains(connection) && line.text.contains("\"HTTP/1.1 2")
            })
            .with_context(|| format!("`{request}` was never answered on {connection}"))?;
        ensure!(
            synced(&self.lines[arrived..arrived + answered], journal),
            "`{request}` was answered before the journal was synced"
        );
        Ok(())
    }

    /// What names the socket a line reads from; a call that was resumed names it where it began.
    fn connection_at(&self, position: usize) -> Option<&str> {
        let line = &self.lines[position];
        if let Some(found) = connection(&line.text) {
            return Some(found);
        }
        let mut before = self.lines[..position].iter().rev();
        let began = before.find(|earlier| earlier.thread == line.thread)?;
        connection(&began.text)
    }
}

impl Line {
    fn is(&self, calls: &[&str]) -> bool {
        calls.iter().any(|call| {
            self.text.starts_with(&format!("{call}("))
                || self.text.starts_with(&format!("<... {call} resumed>"))
        })
    }

    fn reads(&self) -> bool {
        self.is(&["recvfrom", "recvmsg", "read", "readv"])
    }

    /// What a call writes stands where it began.
    fn writes(&self) -> bool {
        self.is(&["sendto", "sendmsg", "write", "writev"])
    }

    fn is_sync(&self) -> bool {
        self.is(&["fdatasync", "fsync"])
    }
}

/// `TCP:[127.0.0.1:9001->127.0.0.1:40000]` in a line.
fn connection(text: &str) -> Option<&str> {
    let from = text.find("TCP:[")?;
    let length = text[from..].find(']')?;
    Some(&text[from..=from + length])
}

/// Whether a sync of a file in `journal` began and ended within these lines.
fn synced(lines: &[Line], journal: &Path) -> bool {
    let inside = format!("<{}/", journal.display());
    lines.iter().enumerate().any(|(position, began)| {
        if !began.is_sync() || !began.text.contains(&inside) {
            return false;
        }
        if !began.text.contains("<unfinished") {
            return began.text.ends_with("= 0");
        }
        let ended = lines[position + 1..]
            .iter()
            .find(|later| later.thread == began.thread);
        ended.is_some_and(|ended| ended.text.contains("sync resumed>") && ended.text.ends_with("= 0"))
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use super::*;

    const ARRIVES: &str = "7 recvfrom(9<TCP:[127.0.0.1:1->127.0.0.1:2]>, \"POST /x HTTP/1.1\\r\\n\"..., 80, 0, NULL, NULL) = 80";
    const ANSWER: &str = "7 writev(9<TCP:[127.0.0.1:1->127.0.0.1:2]>, [{iov_base=\"HTTP/1.1 204 No Content\"..., iov_len=9}], 1) = 9";
    const SYNC: &str = "8 fdatasync(5</d/journal/00000001.log>) = 0";

    fn checked(lines: &[&str]) -> anyhow::Result<()> {
        Trace::parse(&lines.join("\n")).ensure_synced_before_answer("POST /x", Path::new("/d/journal"))
    }

    #[test]
    fn a_sync_counts_only_whole_between_request_and_answer_on_the_journal() {
        checked(&[ARRIVES, SYNC, ANSWER]).unwrap();
        let begins = "8 fdatasync(5</d/journal/00000001.log> <unfinished ...>";
        let ends = "8 <... fdatasync resumed>) = 0";
        checked(&[ARRIVES, begins, ends, ANSWER]).unwrap();
        for wrong in [
            vec![SYNC, ARRIVES, ANSWER],
            vec![ARRIVES, ANSWER, SYNC],
            vec![ARRIVES, begins, ANSWER, ends],
            vec![begins, ARRIVES, ends, ANSWER],
            vec![ARRIVES, "8 fdatasync(5</d/index/db>) = 0", ANSWER],
            vec![
                ARRIVES,
                "8 fdatasync(5</d/journal/00000001.log>) = -1 EIO (Input/output error)",
                ANSWER,
            ],
            vec![ARRIVES, SYNC],
            vec![SYNC, ANSWER],
        ] {
            assert!(checked(&wrong).is_err(), "{wrong:?}");
        }
    }
}
