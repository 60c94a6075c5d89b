//! `seedpod-test-net`, behind `./scripts/test-net`: some pods on this machine to play with, until Ctrl-C.
//!
//! Pods that end by themselves, or by `kill` with a number from the ready table, are reported and missed; the others go on.
#![forbid(unsafe_code)]

mod echo;
mod watch;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Parser;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use seedpod_test_net::{Options, Ports, TestNet};
use tokio::signal::unix::{Signal, SignalKind, signal};

const EXAMPLES: &str = "\
Pods are at http://localhost:9001 and up; log in as `root` with password `test1` on pod 1, `test2` on pod 2 and so on.

Examples:
  ./scripts/test-net                       three pods, a temporary folder, no friends yet
  ./scripts/test-net --pods 2 --friends    two pods that are friends
  ./scripts/test-net --data /tmp/net       data stays in /tmp/net, and is found again next time";

/// Some pods on this machine, until Ctrl-C.
#[derive(Debug, Parser)]
#[command(name = "test-net", after_help = EXAMPLES)]
struct Arguments {
    /// How many pods, 1 to 6.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = pods_in_range)]
    pods: usize,
    /// Keep the pods' data in this folder, and go on with what is there.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Do not remove the temporary folder at the end.
    #[arg(long)]
    keep: bool,
    /// Make all pods friends of each other at the start.
    #[arg(long)]
    friends: bool,
    /// Use free ports instead of 9001 and up.
    #[arg(long)]
    any_ports: bool,
    /// The folder whose changes rebuild the UI.
    #[arg(long, value_name = "DIR", default_value = "web/ui", hide = true)]
    watch: PathBuf,
    /// What rebuilds the UI.
    #[arg(long, value_name = "FILE", default_value = "scripts/build-ui", hide = true)]
    build_ui: PathBuf,
}

fn pods_in_range(text: &str) -> Result<usize, String> {
    let max = seedpod_test_net::net::PODS_MAX;
    text.parse()
        .ok()
        .filter(|pods| (1..=max).contains(pods))
        .ok_or_else(|| format!("a number from 1 to {max}"))
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let outcome = tokio::runtime::Runtime::new()
        .context("cannot start the runtime")
        .and_then(|runtime| runtime.block_on(run(arguments)));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("test-net: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let mut signals = Signals::listen()?;
    let net = tokio::select! {
        net = start(&arguments) => net?,
        () = signals.next() => return Ok(()),
    };
    say(&ready_table(&net));
    let watching = watch::spawn(&arguments.watch, &arguments.build_ui);
    let mut ends: FuturesUnordered<_> = net
        .pods()
        .iter()
        .map(|pod| async move { (pod.number(), pod.ended().await) })
        .collect();
    loop {
        tokio::select! {
            () = signals.next() => break,
            Some((number, status)) = ends.next() => {
                let how = status.map_or_else(|| "and nobody saw how".to_owned(), |status| status.to_string());
                say(&format!("pod {number} has ended: {how}\n"));
            }
        }
    }
    drop(ends);
    watching.abort();
    say("stopping\n");
    let stopped = tokio::select! {
        stopped = net.stop() => stopped,
        () = signals.again() => Err(anyhow::anyhow!("told to stop again while stopping, the pods are killed")),
    };
    if arguments.keep || arguments.data.is_some() {
        say(&format!("the data is in {}\n", net.folder().display()));
    }
    stopped
}

async fn start(arguments: &Arguments) -> anyhow::Result<TestNet> {
    let options = Options {
        ports: if arguments.any_ports {
            Ports::Any
        } else {
            Ports::Profile
        },
        folder: arguments.data.clone(),
        echo: Some(echo::to_stdout()),
        ..Options::new(arguments.pods)
    };
    let mut net = TestNet::start_with(options).await?;
    if arguments.keep {
        net.keep_data();
    }
    if arguments.friends {
        net.befriend_all().await?;
    }
    Ok(net)
}

fn ready_table(net: &TestNet) -> String {
    let mut table = String::from("ready\n");
    for pod in net.pods() {
        let pid = pod
            .pid()
            .map_or_else(|| "ended".to_owned(), |pid| format!("pid {pid}"));
        table.push_str(&format!(
            "  pod {}  {}  root / {}  {pid}\n",
            pod.number(),
            pod.url(),
            pod.root_password()
        ));
    }
    table
}

/// Writes to standard output, which may have been closed by whoever started us.
fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// A signal so soon after the first is the same wish: `timeout` and closed terminals send theirs twice.
const SAME_WISH: Duration = Duration::from_secs(1);

/// The signals that end the net: Ctrl-C, a service manager, a terminal that was closed.
struct Signals([Signal; 3]);

impl Signals {
    fn listen() -> anyhow::Result<Self> {
        let open = |kind| signal(kind).context("cannot listen for signals");
        Ok(Self([
            open(SignalKind::interrupt())?,
            open(SignalKind::terminate())?,
            open(SignalKind::hangup())?,
        ]))
    }

    async fn next(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.0;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }

    /// Waits for a second wish to stop; the first was just now.
    async fn again(&mut self) {
        let first = Instant::now();
        self.next().await;
        while first.elapsed() < SAME_WISH {
            self.next().await;
        }
    }
}
