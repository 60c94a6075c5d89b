//! The life of a pod: prepare, start, say so, wait for the end, stop in order.
//!
//! SIGINT and SIGTERM stop the pod in order, with a deadline; the process then ends with 0. A second signal (not within a
//! second of the first), or the deadline, ends it at once with 1: the journal makes that safe, only slower to start from.

use std::io::Write;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{error, info, warn};

use crate::compose::{self, Parts, Pod};
use crate::config::Settings;
use crate::exit::{Exit, Failure, OrExit};
use crate::fetch::Fetcher;
use crate::identity;
use crate::ports::bind_udp;
use crate::reach::Reach;
use crate::resolve::Resolver;

/// Time all parts together have to stop in order. Below the 10 s that the most impatient of service managers grant.
const STOP_DEADLINE: Duration = Duration::from_millis(9500);

/// A signal so soon after the first is the same wish: `timeout` and terminals send theirs to the process and to its group.
const SAME_WISH: Duration = Duration::from_secs(1);

/// What the ready line begins with; the public URL follows.
const READY: &str = "Seedpod is ready at ";

/// The line printed to standard output when the pod serves. Programs wait for it: it never changes its form.
pub fn ready_line(url: &str) -> String {
    format!("{READY}{url}")
}

/// The URL in a ready line, or `None` for any other line.
pub fn parse_ready_line(line: &str) -> Option<&str> {
    line.trim_end().strip_prefix(READY)
}

/// Runs a pod until it is told to stop.
///
/// # Errors
/// When it cannot start, when a part it cannot do without dies, or when it does not stop within its deadline.
pub async fn serve(settings: Settings) -> Result<(), Failure> {
    let mut signals = Signals::listen()?;
    raise_file_limit();
    let pod = tokio::select! {
        pod = start(settings) => pod?,
        name = signals.next() => {
            info!(signal = name, "stopped while starting");
            return Ok(());
        }
    };
    say(&pod);
    let end = tokio::select! {
        name = signals.next() => {
            info!(signal = name, "stopping");
            Ok(())
        }
        fatal = pod.wait_fatal() => {
            error!(error = format!("{fatal:#}"), "stopping, because a part this pod cannot do without has died");
            Err(Failure::from(fatal))
        }
    };
    let stopped = tokio::select! {
        stopped = tokio::time::timeout(STOP_DEADLINE, pod.stop()) => {
            stopped.unwrap_or_else(|_| Err(anyhow!("not stopped within {STOP_DEADLINE:?}")))
        }
        name = signals.again() => Err(anyhow!("{name} again while stopping")),
    };
    // What ended the pod says more than how stopping went after it.
    end.and(stopped.map_err(Failure::from))
}

async fn start(settings: Settings) -> Result<Pod, Failure> {
    let folder = settings.storage.folder.clone();
    identity::make_data_folder(&folder).or_exit(Exit::Config)?;
    let folder = folder
        .canonicalize()
        .context("cannot find the data folder again")
        .or_exit(Exit::Config)?;
    let seed = identity::load_or_create(&folder).or_exit(Exit::Config)?;

    let address = SocketAddr::new(settings.listen.address, settings.listen.port);
    let listener = TcpListener::bind(address)
        .await
        .map_err(|error| anyhow!(bind_advice(address, &error)));
    let listener = listener.or_exit(Exit::Network)?;
    let local = listener
        .local_addr()
        .context("the web server's socket has no address")
        .or_exit(Exit::Network)?;
    let url = settings.webserver.public_url(local.port());
    let udp = match settings.torrent.udp_address(local) {
        Some(address) => bind_udp(address)
            .map_err(|error| anyhow!(udp_advice(address, &error)))
            .or_exit(Exit::Network)?,
        None => Vec::new(),
    };
    info!(folder = %folder.display(), %local, url, "starting");

    let reach = Reach::of(settings.network.allow_private, &url);
    let fetcher = Fetcher::new(reach).or_exit(Exit::Failed)?;
    let resolver = Resolver::new(fetcher.clone());
    compose::start(Parts {
        settings,
        folder,
        seed,
        listener,
        udp,
        url,
        reach,
        resolver,
        fetcher,
    })
    .await
}

/// Lets this process open as many files as the system would allow it. Each connection is one, and many systems begin with 1024.
fn raise_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        warn!(%error, ?limit, "the limit of open files stays as it is");
    }
}

/// The same for the UDP port.
fn udp_advice(address: SocketAddr, error: &std::io::Error) -> String {
    format!(
        "cannot open UDP port {address}: {error}; choose another with `torrent.udp_port`, or none, or check `torrent.address`"
    )
}

/// What happened, and the ways out.
fn bind_advice(address: SocketAddr, error: &std::io::Error) -> String {
    let way_out = match error.kind() {
        std::io::ErrorKind::AddrInUse => {
            "another program, maybe another pod, has this port: stop it, or choose another with --port or `listen.port`"
        }
        std::io::ErrorKind::PermissionDenied => {
            "ports below 1024 need a privilege: take a higher one and put a reverse proxy in front"
        }
        std::io::ErrorKind::AddrNotAvailable => {
            "this machine does not have that address: check `listen.address`"
        }
        _ => "check `listen.address` and `listen.port`",
    };
    format!("cannot listen on {address}: {error}; {way_out}")
}

/// Tells whoever started the pod that it serves and, the very first time, how to log in. Goes to standard output and nowhere
/// else: passwords do not belong in logs.
fn say(pod: &Pod) {
    let mut text = String::new();
    if let Some(login) = pod.first_login() {
        let password = login.password.as_deref().map_or_else(
            || "as set in `root.password`".to_owned(),
            |password| format!("{password}   (shown only this once)"),
        );
        text.push_str(&format!(
            "First start. Log in as:\n  username: {}\n  password: {password}\n",
            login.username
        ));
    }
    text.push_str(&ready_line(pod.url()));
    text.push('\n');
    let mut out = std::io::stdout().lock();
    // Nobody may be listening, and the pod serves all the same.
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    info!(url = pod.url(), "ready");
}

/// The signals that end a pod.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn listen() -> Result<Self, Failure> {
        let open = |kind| {
            signal(kind)
                .context("cannot listen for signals")
                .or_exit(Exit::Failed)
        };
        Ok(Self {
            interrupt: open(SignalKind::interrupt())?,
            terminate: open(SignalKind::terminate())?,
        })
    }

    /// The name of the next signal.
    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.terminate.recv() => "SIGTERM",
        }
    }

    /// The name of the signal that is a second wish to stop; the first was just now.
    async fn again(&mut self) -> &'static str {
        let first = Instant::now();
        loop {
            let name = self.next().await;
            if first.elapsed() >= SAME_WISH {
                return name;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ready_line_is_read_back() {
        assert_eq!(
            ready_line("http://localhost:9000"),
            "Seedpod is ready at http://localhost:9000"
        );
        assert_eq!(
            parse_ready_line("Seedpod is ready at http://localhost:9000\n"),
            Some("http://localhost:9000")
        );
        assert_eq!(parse_ready_line("First start. Log in as:"), None);
    }
}
