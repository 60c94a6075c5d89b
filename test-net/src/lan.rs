//! A network of the pods' own, which can be cut.
//!
//! Each pod has a network namespace with an address of its own; all are joined by a router, the namespace in which the test runs. Cut, the
//! router drops packets without a word, as a network does that falls apart: connections hang until somebody's patience ends.
//!
//! A test that wants this begins with [`enter`]: the program runs again, that test alone, inside of a fresh namespace. Needs `unshare` and
//! `nsenter` (util-linux) and `ip` (iproute2), and to be root or allowed to make user namespaces. Nothing of the machine's own
//! network is touched, and nothing leaves these namespaces.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, bail, ensure};
use rustix::process::geteuid;
use tokio::process::{Child, Command};

/// Set inside of a namespace that [`enter`] made.
const INSIDE: &str = "SEEDPOD_TEST_LAN";

/// People who look at pods from addresses of their own, see [`Lan::person`].
pub const PEOPLE: u8 = 32;

/// Runs a test again inside of a namespace of its own, unless this is that run already. Answers whether it is: outside, the test is over
/// then, and has succeeded.
///
/// # Panics
/// Outside, when the run inside fails or no namespace can be made.
pub async fn enter(test: &str) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    let run = async {
        let mut command = Command::new(find("unshare")?);
        if !geteuid().is_root() {
            command.args(["--user", "--map-root-user"]);
        }
        command
            .arg("--net")
            .arg("--")
            .arg(std::env::current_exe().context("cannot find this program")?)
            .args(["--exact", test, "--nocapture"])
            .env(INSIDE, "yes")
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .status()
            .await
            .context("cannot run unshare")
    };
    match run.await {
        Ok(status) if status.success() => false,
        Ok(status) => panic!(
            "{test} failed in a network of its own ({status}), or none can be made: be root or allow user namespaces"
        ),
        Err(error) => panic!("{error:#}"),
    }
}

/// The network. The namespaces end with it.
pub struct Lan {
    ip: PathBuf,
    nsenter: PathBuf,
    /// One process a pod, which does nothing but live in the namespace.
    holders: Vec<Child>,
    /// Ordered pairs between which nothing passes.
    cut: Mutex<BTreeSet<(usize, usize)>>,
}

impl Lan {
    /// A network for so many pods, all of whom reach each other. Only inside of [`enter`].
    ///
    /// # Errors
    /// When this is not such a namespace, or a tool is missing or refuses.
    pub async fn new(pods: usize) -> anyhow::Result<Self> {
        ensure!(
            std::env::var_os(INSIDE).is_some(),
            "a test with a network of its own begins with `lan::enter`"
        );
        let mut lan = Self {
            ip: find("ip")?,
            nsenter: find("nsenter")?,
            holders: Vec::new(),
            cut: Mutex::default(),
        };
        lan.ip(&["link", "set", "lo", "up"]).await?;
        for number in 0..PEOPLE {
            let address = format!("{}/32", Self::person(number));
            lan.ip(&["address", "add", &address, "dev", "lo"]).await?;
        }
        std::fs::write("/proc/sys/net/ipv4/ip_forward", "1").context("the router cannot forward")?;
        for number in 1..=pods {
            lan.join(number).await.with_context(|| format!("pod {number}"))?;
        }
        Ok(lan)
    }

    /// Where a pod is.
    ///
    /// # Panics
    /// When the network is far too small for such a number.
    pub fn address(number: usize) -> Ipv4Addr {
        Ipv4Addr::new(10, 77, octet(number), 2)
    }

    /// Where one of [`PEOPLE`] looks from.
    pub fn person(number: u8) -> IpAddr {
        Ipv4Addr::new(10, 78, 0, number).into()
    }

    /// A command that runs a program where a pod is.
    ///
    /// # Errors
    /// When there is no such pod.
    pub fn command(&self, number: usize, program: &Path) -> anyhow::Result<Command> {
        let holder = self.holders.get(number - 1).and_then(Child::id);
        let holder = holder.with_context(|| format!("the network has no place for pod {number}"))?;
        let mut command = Command::new(&self.nsenter);
        command
            .arg(format!("--net=/proc/{holder}/ns/net"))
            .arg("--")
            .arg(program);
        Ok(command)
    }

    /// Lets nothing pass between pods of one side and pods of the other any more.
    ///
    /// # Errors
    /// When the router refuses.
    pub async fn cut(&self, side: &[usize], other: &[usize]) -> anyhow::Result<()> {
        for (&one, &two) in side
            .iter()
            .flat_map(|one| other.iter().map(move |two| (one, two)))
        {
            for pair in [(one, two), (two, one)] {
                if self.cuts().insert(pair) {
                    self.rule("add", pair).await?;
                }
            }
        }
        Ok(())
    }

    /// Lets everything pass again.
    ///
    /// # Errors
    /// When the router refuses.
    pub async fn heal(&self) -> anyhow::Result<()> {
        let cut = std::mem::take(&mut *self.cuts());
        for pair in cut {
            self.rule("del", pair).await?;
        }
        Ok(())
    }

    fn cuts(&self) -> std::sync::MutexGuard<'_, BTreeSet<(usize, usize)>> {
        self.cut.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn rule(&self, verb: &str, (from, to): (usize, usize)) -> anyhow::Result<()> {
        let (link, address) = (link(from), format!("{}/32", Self::address(to)));
        self.ip(&["rule", verb, "iif", &link, "to", &address, "blackhole"])
            .await
    }

    /// A namespace with one cable to the router.
    async fn join(&mut self, number: usize) -> anyhow::Result<()> {
        // It lives as long as its input is open, however this process ends.
        let holder = Command::new(find("unshare")?)
            .args(["--net", "--", "cat"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .context("cannot run unshare")?;
        let pid = holder.id().context("it has ended at once")?;
        self.holders.push(holder);
        let own = std::fs::read_link("/proc/self/ns/net")?;
        let entered = format!("/proc/{pid}/ns/net");
        crate::eventually(
            "a namespace is made",
            std::time::Duration::from_secs(10),
            async || {
                ensure!(std::fs::read_link(&entered)? != own, "not yet");
                Ok(())
            },
        )
        .await?;

        let (link, address) = (link(number), Self::address(number));
        let [a, b, c, _] = address.octets();
        let gateway = Ipv4Addr::new(a, b, c, 1).to_string();
        let pid = pid.to_string();
        self.ip(&[
            "link", "add", &link, "type", "veth", "peer", "name", "eth0", "netns", &pid,
        ])
        .await?;
        self.ip(&["address", "add", &format!("{gateway}/24"), "dev", &link])
            .await?;
        self.ip(&["link", "set", &link, "up"]).await?;
        for arguments in [
            ["link", "set", "lo", "up"].as_slice(),
            &["address", "add", &format!("{address}/24"), "dev", "eth0"],
            &["link", "set", "eth0", "up"],
            &["route", "add", "default", "via", &gateway],
        ] {
            let mut command = self.command(number, &self.ip)?;
            run(command.args(arguments)).await?;
        }
        Ok(())
    }

    async fn ip(&self, arguments: &[&str]) -> anyhow::Result<()> {
        run(Command::new(&self.ip).args(arguments)).await
    }
}

/// The router's end of a pod's cable.
fn link(number: usize) -> String {
    format!("pod{number}")
}

fn octet(number: usize) -> u8 {
    u8::try_from(number).expect("a net has a handful of pods")
}

async fn run(command: &mut Command) -> anyhow::Result<()> {
    let output = command.stdin(Stdio::null()).output().await;
    let output = output.with_context(|| format!("cannot run {command:?}"))?;
    ensure!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(())
}

/// The path of a program: pods may be given another search path.
fn find(program: &str) -> anyhow::Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Administrators' programs are not on everybody's path.
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    match folders
        .map(|folder| folder.join(program))
        .find(|path| path.is_file())
    {
        Some(found) => Ok(found),
        None => bail!("no program `{program}`, which makes networks for tests (scripts/test installs it)"),
    }
}
