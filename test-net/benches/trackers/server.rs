//! The servers that are asked: a pod with an open tracker, and what others use.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail};
use seedpod_test_net::{Options, TestNet, eventually};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use crate::{Row, TORRENTS, torrent};

/// What npm's tracker is started by.
const SCRIPT: &str = "import Server from 'bittorrent-tracker/server'
const server = new Server({ udp: true, http: true, ws: true, stats: false })
server.on('error', error => { console.error(error); process.exit(1) })
server.on('warning', () => {})
server.listen(Number(process.argv[2]), { http: '127.0.0.1', udp: '127.0.0.1', udp6: '::1' })
";

/// Which server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Seedpod,
    Opentracker,
    Npm,
}

impl Kind {
    /// The pod first: the others are compared with it.
    pub(crate) const ALL: [Self; 3] = [Self::Seedpod, Self::Opentracker, Self::Npm];

    pub(crate) fn parse(name: &str) -> anyhow::Result<Self> {
        let found = Self::ALL.into_iter().find(|kind| kind.name() == name);
        found.with_context(|| format!("no server `{name}`"))
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Seedpod => "seedpod",
            Self::Opentracker => "opentracker",
            Self::Npm => "npm",
        }
    }

    pub(crate) fn speaks(self, row: Row) -> bool {
        self != Self::Opentracker || matches!(row, Row::Http | Row::Udp)
    }
}

/// A server that runs; its process is killed when this is dropped.
pub(crate) struct Server {
    kind: Kind,
    address: SocketAddr,
    pid: i32,
    held: Held,
}

enum Held {
    Net(TestNet),
    Program { _child: Child, _folder: TempDir },
}

impl Server {
    /// Starts one; `None` if it is not installed.
    pub(crate) async fn start(kind: Kind) -> anyhow::Result<Option<Self>> {
        match kind {
            Kind::Seedpod => Self::pod().await.map(Some),
            Kind::Opentracker => Self::opentracker().await,
            Kind::Npm => Self::npm().await,
        }
    }

    async fn pod() -> anyhow::Result<Self> {
        let mut options = Options::new(1);
        options.program = std::env::var_os("PROGRAM").map(Into::into);
        options.environment = vec![
            ("SEEDPOD__TRACKER__OPEN".to_owned(), "true".to_owned()),
            ("SEEDPOD__TRACKER__UDP_RATE".to_owned(), "1000000".to_owned()),
        ];
        let net = TestNet::start_with(options).await?;
        let pod = net.pod(1);
        let port = pod.host().rsplit_once(':').context("a port")?.1.parse()?;
        Ok(Self {
            kind: Kind::Seedpod,
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
            pid: pod.pid().context("a running pod")?,
            held: Held::Net(net),
        })
    }

    async fn opentracker() -> anyhow::Result<Option<Self>> {
        let folder = tempfile::tempdir()?;
        open_to_all(folder.path())?;
        // It serves what it is told to serve, and looks for the list in the folder that it locks itself into.
        let hashes: String = (0..TORRENTS)
            .map(|number| data_encoding::HEXLOWER.encode(&torrent(number)) + "\n")
            .collect();
        std::fs::write(folder.path().join("allowed"), hashes)?;
        let address = free_address()?;
        let port = address.port().to_string();
        let mut command = Command::new("opentracker");
        command
            .args(["-i", "127.0.0.1", "-p", &port, "-P", &port, "-u", "nobody", "-d"])
            .arg(folder.path())
            .args(["-w", "allowed"]);
        Self::program(Kind::Opentracker, command, address, folder).await
    }

    async fn npm() -> anyhow::Result<Option<Self>> {
        let Some(packages) = std::env::var_os("BITTORRENT_TRACKER") else {
            return Ok(None);
        };
        let script = Path::new(&packages).join("serve.mjs");
        std::fs::write(&script, SCRIPT)?;
        let address = free_address()?;
        let mut command = Command::new("node");
        command.arg(script).arg(address.port().to_string());
        Self::program(Kind::Npm, command, address, tempfile::tempdir()?).await
    }

    async fn program(
        kind: Kind,
        mut command: Command,
        address: SocketAddr,
        folder: TempDir,
    ) -> anyhow::Result<Option<Self>> {
        command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true);
        let child = match command.spawn() {
            Ok(child) => child,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).context(kind.name()),
        };
        let pid = i32::try_from(child.id().context("a process")?)?;
        eventually("it listens", Duration::from_secs(20), async || {
            Ok(TcpStream::connect(address).await?)
        })
        .await
        .context(kind.name())?;
        Ok(Some(Self {
            kind,
            address,
            pid,
            held: Held::Program {
                _child: child,
                _folder: folder,
            },
        }))
    }

    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        match self.held {
            Held::Net(net) => net.stop().await,
            Held::Program { .. } => Ok(()),
        }
    }

    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    pub(crate) fn pid(&self) -> i32 {
        self.pid
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it takes announces over HTTP.
    pub(crate) fn announce_path(&self) -> &'static str {
        match self.kind {
            Kind::Seedpod => "/tracker/announce",
            Kind::Opentracker | Kind::Npm => "/announce",
        }
    }

    /// What a pod itself says about offers: one that is not relayed is counted, so none is lost silently.
    pub(crate) async fn counted(&self) -> anyhow::Result<Option<String>> {
        let Held::Net(net) = &self.held else {
            return Ok(None);
        };
        let page = net
            .pod(1)
            .visitor()
            .get("/metrics")
            .await?
            .status(200)?
            .text_whole();
        let mut counted = Vec::new();
        for (name, words) in [
            ("seedpod_tracker_offers_relayed_total", "offers relayed"),
            ("seedpod_tracker_answers_relayed_total", "answers relayed"),
            ("seedpod_tracker_offers_held_back_total", "offers held back"),
            ("seedpod_tracker_slow_sockets_total", "sockets too slow"),
        ] {
            let Some(value) = page
                .lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))
            else {
                bail!("no figure {name}");
            };
            counted.push(format!("{value} {words}"));
        }
        Ok(Some(counted.join(", ")))
    }
}

/// A program that gives up its rights has to find its files all the same.
fn open_to_all(folder: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755)).context("cannot open the folder")
}

fn free_address() -> anyhow::Result<SocketAddr> {
    Ok(std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}
