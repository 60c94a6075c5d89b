//! One pod as a process: started, waited for, stopped, killed, started again on the same port and data.
//!
//! Every line it writes is kept, so that a failed test can show what each pod said. The process lives in a group of its own:
//! Ctrl-C in a terminal reaches the net, which stops its pods in order, and not the pods behind its back.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, anyhow, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use seedpod_node::exit::Exit;
use seedpod_node::serve::parse_ready_line;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::api::Api;
use crate::lan::Lan;

/// A pod that is not ready by then never will be. Generous: test machines are small and busy.
const READY_DEADLINE: Duration = Duration::from_secs(60);

/// Above the pod's own deadline for stopping.
const STOP_DEADLINE: Duration = Duration::from_secs(30);

/// Where pods in a network of their own meet each other; it stays the same over restarts, as operators are told to see to.
const FEDERATION_PORT: u16 = 9010;

/// Lines kept of each pod's log; older ones are dropped.
const LOG_LINES_MAX: usize = 20_000;

/// What one pod is started with.
#[derive(Clone)]
pub struct Spec {
    /// Its number in the net, from 1.
    pub number: usize,
    /// The program.
    pub binary: PathBuf,
    /// The page of settings.
    pub config: PathBuf,
    /// The data folder.
    pub folder: PathBuf,
    /// The network it lives in; the machine's own if there is none.
    pub lan: Option<Arc<Lan>>,
    /// The web server's port.
    pub port: u16,
    /// The configured friends.
    pub friends: Vec<String>,
    /// The password of the user `root`.
    pub root_password: String,
    /// Further settings, as environment variables.
    pub environment: Vec<(String, String)>,
}

/// Called with the pod's number and each line it writes.
pub type Echo = Arc<dyn Fn(usize, &str) + Send + Sync>;

/// A pod's last lines.
#[derive(Debug, Default)]
struct Log(Mutex<VecDeque<String>>);

impl Log {
    fn push(&self, line: String) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() == LOG_LINES_MAX {
            lines.pop_front();
        }
        lines.push_back(line);
    }

    fn len(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    fn first_with(&self, word: &str) -> Option<String> {
        let lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.iter().find(|line| line.contains(word)).cloned()
    }

    fn last(&self, count: usize) -> String {
        let lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let skipped = lines.len().saturating_sub(count);
        lines
            .iter()
            .skip(skipped)
            .map(|line| format!("{line}\n"))
            .collect()
    }
}

/// One pod, running or not. Its process is killed when this is dropped.
pub struct Pod {
    spec: Spec,
    echo: Option<Echo>,
    log: Arc<Log>,
    running: Mutex<Option<Running>>,
}

/// A process that was started and, by all we know, may still run.
struct Running {
    pid: Pid,
    exited: watch::Receiver<Option<ExitStatus>>,
}

impl Running {
    fn is_alive(&self) -> bool {
        self.exited.borrow().is_none()
    }

    fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        // Only while nobody has seen it end: its number may be somebody else's by then.
        if self.is_alive() {
            kill_process(self.pid, signal)
                .with_context(|| format!("cannot signal process {:?}", self.pid))?;
        }
        Ok(())
    }
}

/// A pod that ended before it was ready.
#[derive(Debug, thiserror::Error)]
#[error("pod {number} ended before it was ready, {status}; its last lines:\n{log}")]
pub struct EndedEarly {
    number: usize,
    status: ExitStatus,
    log: String,
}

impl EndedEarly {
    /// Whether the pod found its address taken.
    pub fn address_taken(&self) -> bool {
        self.status.code() == Some(i32::from(Exit::Network as u8))
    }
}

impl Pod {
    /// A pod that is not started yet.
    pub fn new(spec: Spec, echo: Option<Echo>) -> Self {
        Self {
            spec,
            echo,
            log: Arc::default(),
            running: Mutex::new(None),
        }
    }

    /// Its number in the net, from 1.
    pub fn number(&self) -> usize {
        self.spec.number
    }

    /// The public URL, without a slash at its end.
    pub fn url(&self) -> String {
        format!("http://{}", self.host())
    }

    /// The host as friends write it: `localhost:9001`.
    pub fn host(&self) -> String {
        match &self.spec.lan {
            Some(_) => format!("{}:{}", Lan::address(self.spec.number), self.spec.port),
            None => format!("localhost:{}", self.spec.port),
        }
    }

    /// The data folder.
    pub fn folder(&self) -> &Path {
        &self.spec.folder
    }

    /// The password of the user `root`.
    pub fn root_password(&self) -> &str {
        &self.spec.root_password
    }

    /// The number of its process, while it runs.
    pub fn pid(&self) -> Option<i32> {
        self.with_running(|running| {
            running
                .filter(|it| it.is_alive())
                .map(|it| it.pid.as_raw_nonzero().get())
        })
    }

    /// Resident memory of its process, in KiB.
    ///
    /// # Errors
    /// When it does not run or cannot be looked at.
    pub fn memory_kib(&self) -> anyhow::Result<u64> {
        self.status_kib("VmRSS:")
    }

    /// The most resident memory its process has had since its start, or since [`Pod::forget_memory_peak`], in KiB.
    ///
    /// # Errors
    /// When it does not run or cannot be looked at.
    pub fn memory_peak_kib(&self) -> anyhow::Result<u64> {
        self.status_kib("VmHWM:")
    }

    /// Lets the peak of its memory begin at what it has now.
    ///
    /// # Errors
    /// When it does not run, or the system does not do that.
    pub fn forget_memory_peak(&self) -> anyhow::Result<()> {
        let pid = self.pid().context("the pod does not run")?;
        std::fs::write(format!("/proc/{pid}/clear_refs"), "5").context("cannot forget the peak")
    }

    fn status_kib(&self, name: &str) -> anyhow::Result<u64> {
        status_kib(self.pid().context("the pod does not run")?, name)
    }

    /// Processor time that its process has used, in the system and outside of it.
    ///
    /// # Errors
    /// When it does not run or cannot be looked at.
    pub fn processor_time(&self) -> anyhow::Result<Duration> {
        processor_time(self.pid().context("the pod does not run")?)
    }

    /// A client that is not logged in.
    pub fn visitor(&self) -> Api {
        Api::visitor(self.url())
    }

    /// A client logged in as `root`.
    ///
    /// # Errors
    /// When the pod does not let it in.
    pub async fn root(&self) -> anyhow::Result<Api> {
        self.visitor().login("root", self.root_password()).await
    }

    /// The last lines it wrote.
    pub fn last_lines(&self, count: usize) -> String {
        self.log.last(count)
    }

    /// How many lines of it are kept.
    pub fn lines_written(&self) -> usize {
        self.log.len()
    }

    /// The first of its kept lines that holds this word.
    pub fn first_line_with(&self, word: &str) -> Option<String> {
        self.log.first_with(word)
    }

    /// Starts the process and waits until it is ready.
    ///
    /// # Errors
    /// When it runs already, cannot be started, ends early ([`EndedEarly`]) or is not ready in time.
    pub async fn start(&self) -> anyhow::Result<()> {
        ensure!(self.pid().is_none(), "pod {} is running already", self.number());
        let spec = &self.spec;
        let mut command = match &spec.lan {
            Some(lan) => {
                let address = Lan::address(spec.number).to_string();
                let mut command = lan.command(spec.number, &spec.binary)?;
                command
                    .env("SEEDPOD__LISTEN__ADDRESS", &address)
                    .env("SEEDPOD__WEBSERVER__HOSTNAME", &address)
                    .env(
                        "SEEDPOD__NETWORK__LISTEN",
                        format!("/ip4/{address}/tcp/{FEDERATION_PORT}"),
                    );
                command
            }
            None => Command::new(&spec.binary),
        };
        command
            .arg("serve")
            .arg("--config")
            .arg(&spec.config)
            .arg("--data-dir")
            .arg(&spec.folder)
            .args(["--port", &spec.port.to_string()])
            .env("SEEDPOD__NETWORK__FRIENDS", spec.friends.join(","))
            .envs(spec.environment.iter().map(|(name, value)| (name, value)))
            // Not in the project's folder: a `config/production.yaml` there is no business of tests.
            .current_dir(
                spec.config
                    .parent()
                    .context("the page of settings is in no folder")?,
            )
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        let mut child = command
            .spawn()
            .with_context(|| format!("cannot start {}", spec.binary.display()))?;
        let pid = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        let pid = pid.context("a process that was just started has no number")?;
        let (url_sender, mut url) = watch::channel(None);
        self.keep_lines(child.stdout.take(), Some(url_sender));
        self.keep_lines(child.stderr.take(), None);
        let exited = watch_exit(child);
        *self.running.lock().unwrap_or_else(PoisonError::into_inner) = Some(Running {
            pid,
            exited: exited.clone(),
        });

        let ready = async {
            tokio::select! {
                url = url.wait_for(Option::is_some) => match url.map(|url| url.clone()) {
                    Ok(Some(url)) => Ok(url),
                    // Standard output was closed without the line: the process is about to end.
                    _ => Err(exit_of(exited.clone()).await),
                },
                status = exit_of(exited.clone()) => Err(status),
            }
        };
        match timeout(READY_DEADLINE, ready).await {
            Ok(Ok(url)) if url == self.url() => Ok(()),
            Ok(Ok(url)) => bail!(
                "pod {} says that it is at {url}, expected {}",
                spec.number,
                self.url()
            ),
            Ok(Err(Some(status))) => Err(EndedEarly {
                number: spec.number,
                status,
                log: self.last_lines(40),
            }
            .into()),
            Ok(Err(None)) => bail!("pod {} ended and nobody saw how", spec.number),
            Err(_) => {
                bail!(
                    "pod {} is not ready after {READY_DEADLINE:?}; its last lines:\n{}",
                    spec.number,
                    self.last_lines(40)
                )
            }
        }
    }

    /// Asks the process to stop and waits until it has.
    ///
    /// # Errors
    /// When it does not stop in time or ends with anything but 0. A pod that does not run is stopped already.
    pub async fn stop(&self) -> anyhow::Result<()> {
        let Some(status) = self.end_with(Signal::TERM).await? else {
            return Ok(());
        };
        ensure!(status.success(), "pod {} stopped with {status}", self.number());
        Ok(())
    }

    /// Asks the process to stop, and does not wait. See [`Pod::ended`].
    ///
    /// # Errors
    /// When it does not run.
    pub fn terminate(&self) -> anyhow::Result<()> {
        self.signal(Signal::TERM)
    }

    /// Kills the process without a warning, as a power cut would, and waits until it is gone.
    ///
    /// # Errors
    /// When it cannot be killed.
    pub async fn kill(&self) -> anyhow::Result<()> {
        self.end_with(Signal::KILL).await.map(drop)
    }

    /// Stops the pod if it runs, and starts it on the same port and data.
    ///
    /// # Errors
    /// When it does not stop cleanly or does not start.
    pub async fn restart(&self) -> anyhow::Result<()> {
        self.stop().await?;
        self.start().await
    }

    /// Stops the process where it stands, without its noticing; [`Pod::resume`] lets it go on. For tests of pods that hang.
    ///
    /// # Errors
    /// When it does not run.
    pub fn pause(&self) -> anyhow::Result<()> {
        self.signal(Signal::STOP)
    }

    /// Lets a paused process go on.
    ///
    /// # Errors
    /// When it does not run.
    pub fn resume(&self) -> anyhow::Result<()> {
        self.signal(Signal::CONT)
    }

    /// Waits until the process has ended, for whatever reason. At once if it does not run.
    pub async fn ended(&self) -> Option<ExitStatus> {
        let exited = self.with_running(|running| running.map(|it| it.exited.clone()));
        exit_of(exited?).await
    }

    async fn end_with(&self, signal: Signal) -> anyhow::Result<Option<ExitStatus>> {
        if self.pid().is_none() {
            return Ok(None);
        }
        self.signal(signal)?;
        let ended = timeout(STOP_DEADLINE, self.ended()).await;
        let ended =
            ended.map_err(|_| anyhow!("pod {} has not ended after {STOP_DEADLINE:?}", self.number()))?;
        ended
            .map(Some)
            .with_context(|| format!("pod {} ended and nobody saw how", self.number()))
    }

    fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        self.with_running(|running| running.context("the pod does not run")?.signal(signal))
    }

    fn with_running<T>(&self, look: impl FnOnce(Option<&Running>) -> T) -> T {
        look(
            self.running
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .as_ref(),
        )
    }

    fn keep_lines<R>(&self, output: Option<R>, url: Option<watch::Sender<Option<String>>>)
    where
        R: AsyncRead + Unpin + Send + 'static,
    {
        let Some(output) = output else { return };
        let (log, echo, number) = (self.log.clone(), self.echo.clone(), self.number());
        tokio::spawn(async move {
            let mut lines = BufReader::new(output).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                if let Some(echo) = &echo {
                    echo(number, &line);
                }
                let found = parse_ready_line(&line).map(str::to_owned);
                log.push(line);
                if let (Some(url), Some(found)) = (&url, found) {
                    url.send_replace(Some(found));
                }
            }
        });
    }
}

impl Drop for Pod {
    fn drop(&mut self) {
        // Nothing is left to do when this fails; `kill_on_drop` tries once more when the runtime ends.
        let _ = self.with_running(|running| running.map(|it| it.signal(Signal::KILL)));
    }
}

/// Resident memory of a process, in KiB.
///
/// # Errors
/// When there is no such process.
pub fn memory_kib(pid: i32) -> anyhow::Result<u64> {
    status_kib(pid, "VmRSS:")
}

fn status_kib(pid: i32, name: &str) -> anyhow::Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).context("no such process")?;
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let line = line.with_context(|| format!("no {name}"))?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

/// Processor time that a process has used, in the system and outside of it; exact to a hundredth of a second.
///
/// # Errors
/// When there is no such process.
pub fn processor_time(pid: i32) -> anyhow::Result<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).context("no such process")?;
    // The name in brackets may hold anything, spaces too; the fields after it are counted from 3.
    let fields: Vec<&str> = stat
        .rsplit_once(')')
        .context("no name")?
        .1
        .split_whitespace()
        .collect();
    let ticks = |field: usize| -> anyhow::Result<u64> {
        Ok(fields.get(field - 3).context("too few fields")?.parse()?)
    };
    Ok(Duration::from_millis(10) * u32::try_from(ticks(14)? + ticks(15)?)?)
}

fn watch_exit(mut child: Child) -> watch::Receiver<Option<ExitStatus>> {
    let (sender, receiver) = watch::channel(None);
    tokio::spawn(async move {
        if let Ok(status) = child.wait().await {
            sender.send_replace(Some(status));
        }
    });
    receiver
}

async fn exit_of(mut exited: watch::Receiver<Option<ExitStatus>>) -> Option<ExitStatus> {
    exited
        .wait_for(Option::is_some)
        .await
        .ok()
        .and_then(|status| *status)
}
