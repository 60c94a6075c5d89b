//! ffmpeg's programs as limited child processes.
//!
//! A child gets a fixed argument list, an empty environment, no standard input, a deadline, bounded output, and limits
//! on memory, processor time and file size. Its output is read as bytes from a stranger, for the file it looked at is
//! a stranger's. At most [`MAX_CHILDREN`] run at once; others wait.

use std::ffi::{OsStr, OsString};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Pid, Resource, Rlimit, prlimit};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};
use tokio::sync::Semaphore;

/// How many children run at once; more would take the processor from those who watch.
pub const MAX_CHILDREN: usize = 2;

/// How long a child may take.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// How much of a child's complaints is kept, in bytes.
const MAX_COMPLAINT: u64 = 2048;

/// Address space of a child: decoders reserve far more than they touch.
const MAX_ADDRESS_SPACE: u64 = 4 << 30;

/// The largest file a child may write; ours write to pipes only.
const MAX_FILE_SIZE: u64 = 1 << 20;

/// Which of ffmpeg's programs there are, and how many run.
#[derive(Debug, Clone)]
pub struct MediaTools {
    ffprobe: Option<Tool>,
    ffmpeg: Option<Tool>,
}

impl MediaTools {
    /// Works with our own readers and drawn pictures alone.
    pub fn none() -> Self {
        Self {
            ffprobe: None,
            ffmpeg: None,
        }
    }

    /// Looks for the programs in the folders of a search path (the value of `PATH`).
    pub fn find(search_path: Option<&OsStr>) -> Self {
        let slots = Arc::new(Semaphore::new(MAX_CHILDREN));
        let find = |name: &str| {
            let executable = |path: &PathBuf| {
                path.metadata()
                    .is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
            };
            let folders = std::env::split_paths(search_path?).filter(|folder| folder.is_absolute());
            let program = folders.map(|folder| folder.join(name)).find(executable)?;
            Some(Tool {
                program,
                slots: Arc::clone(&slots),
                deadline: DEADLINE,
            })
        };
        Self {
            ffprobe: find("ffprobe"),
            ffmpeg: find("ffmpeg"),
        }
    }

    /// The prober, if there is one.
    pub fn ffprobe(&self) -> Option<&Tool> {
        self.ffprobe.as_ref()
    }

    /// The converter, if there is one.
    pub fn ffmpeg(&self) -> Option<&Tool> {
        self.ffmpeg.as_ref()
    }
}

/// One program.
#[derive(Debug, Clone)]
pub struct Tool {
    program: PathBuf,
    slots: Arc<Semaphore>,
    deadline: Duration,
}

/// Why a tool gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum ToolError {
    /// The program could not be started or heard.
    #[error("cannot run `{}`: {source}", program.display())]
    Start {
        /// The program.
        program: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The program ended and said that its input is bad.
    #[error("`{}` refused the file: {text}", program.display())]
    Failed {
        /// The program.
        program: PathBuf,
        /// Its complaint, one line without paths.
        text: String,
    },
    /// The program was ended by a signal: it crashed, or met a limit.
    #[error("`{}` was ended by signal {signal}", program.display())]
    Signal {
        /// The program.
        program: PathBuf,
        /// The signal's number.
        signal: i32,
    },
    /// The program took too long and was killed.
    #[error("`{}` took longer than {} s", program.display(), deadline.as_secs())]
    TooSlow {
        /// The program.
        program: PathBuf,
        /// How long it had.
        deadline: Duration,
    },
    /// The program said more than was expected and was killed.
    #[error("`{}` answered more than {limit} bytes", program.display())]
    TooMuch {
        /// The program.
        program: PathBuf,
        /// How much it could say.
        limit: u64,
    },
    /// The program's answer makes no sense.
    #[error("`{}` answered nonsense: {text}", program.display())]
    Nonsense {
        /// The program.
        program: PathBuf,
        /// What is wrong with it.
        text: String,
    },
}

impl Tool {
    /// A program at a place of the caller's choosing.
    pub fn at(program: PathBuf, deadline: Duration) -> Self {
        Self {
            program,
            slots: Arc::new(Semaphore::new(MAX_CHILDREN)),
            deadline,
        }
    }

    /// Where the program is.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// Runs the program and returns what it wrote to its standard output, at most `limit` bytes.
    ///
    /// Dropping the future kills the program.
    pub async fn run(&self, arguments: Vec<OsString>, limit: u64) -> Result<Vec<u8>, ToolError> {
        let program = || self.program.clone();
        let start = |source| ToolError::Start {
            program: program(),
            source,
        };
        let _slot = self
            .slots
            .acquire()
            .await
            .map_err(|error| start(std::io::Error::other(error)))?;
        let mut child = Command::new(&self.program)
            .args(arguments)
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(start)?;
        limit_child(&child, self.deadline);
        let (Some(output), Some(complaints)) = (child.stdout.take(), child.stderr.take()) else {
            return Err(start(std::io::Error::other("the pipes are missing")));
        };
        let work = async {
            // Complaints beyond the limit are still drained, so that a chatty child does not block on them.
            let (output, complaint) = tokio::join!(read_up_to(output, limit + 1), read_and_drain(complaints));
            let output = output.map_err(start)?;
            if output.len() as u64 > limit {
                return Err(ToolError::TooMuch {
                    program: program(),
                    limit,
                });
            }
            let status = child.wait().await.map_err(start)?;
            match status.signal() {
                Some(signal) => Err(ToolError::Signal {
                    program: program(),
                    signal,
                }),
                None if status.success() => Ok(output),
                None => Err(ToolError::Failed {
                    program: program(),
                    text: one_line(&complaint),
                }),
            }
        };
        let outcome = tokio::time::timeout(self.deadline, work).await;
        match outcome {
            Ok(Ok(output)) => Ok(output),
            other => {
                // The child may be gone already; then there is nothing to kill.
                child.kill().await.ok();
                other.unwrap_or_else(|_| {
                    Err(ToolError::TooSlow {
                        program: program(),
                        deadline: self.deadline,
                    })
                })
            }
        }
    }
}

/// Sets limits on a child that has just started, so that they hold before it has read a file of any length.
fn limit_child(child: &Child, deadline: Duration) {
    let pid = child
        .id()
        .and_then(|id| i32::try_from(id).ok())
        .and_then(Pid::from_raw);
    let limits = [
        (Resource::As, MAX_ADDRESS_SPACE),
        (Resource::Cpu, deadline.as_secs().max(1) * 2),
        (Resource::Fsize, MAX_FILE_SIZE),
        (Resource::Nofile, 64),
        (Resource::Core, 0),
    ];
    for (resource, amount) in limits {
        let limit = Rlimit {
            current: Some(amount),
            maximum: Some(amount),
        };
        if let Err(error) = prlimit(pid, resource, limit) {
            tracing::warn!(?resource, %error, "a media tool runs without one of its limits");
        }
    }
}

async fn read_up_to(from: impl AsyncRead + Unpin, limit: u64) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(limit).read_to_end(&mut bytes).await?;
    Ok(bytes)
}

async fn read_and_drain(mut from: impl AsyncRead + Unpin) -> Vec<u8> {
    let mut kept = Vec::new();
    // A broken pipe ends the complaint, which is all that matters of it.
    (&mut from).take(MAX_COMPLAINT).read_to_end(&mut kept).await.ok();
    tokio::io::copy(&mut from, &mut tokio::io::sink()).await.ok();
    kept
}

/// The last line of a complaint without the path that ffmpeg puts before it.
fn one_line(complaint: &[u8]) -> String {
    let text = String::from_utf8_lossy(complaint);
    let last = text
        .lines()
        .rev()
        .find(|line| !line.trim().is_empty())
        .unwrap_or("no reason given");
    let words = if last.starts_with("file:") || last.starts_with('/') {
        last.rsplit_once(": ")
            .map_or("no reason given", |(_, reason)| reason)
    } else {
        last
    };
    words.chars().filter(|c| !c.is_control()).take(200).collect()
}

/// How a path is handed to ffmpeg's programs: as a local file, whatever its name looks like.
pub(in crate::library) fn file_argument(path: &Path) -> OsString {
    let mut argument = OsString::from("file:");
    argument.push(path);
    argument
}

#[cfg(test)]
impl MediaTools {
    /// The same tools with a deadline of a second.
    pub(super) fn hurried(mut self) -> Self {
        for tool in [&mut self.ffprobe, &mut self.ffmpeg].into_iter().flatten() {
            tool.deadline = Duration::from_secs(1);
        }
        self
    }
}
