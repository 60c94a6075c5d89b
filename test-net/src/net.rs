//! A net of pods: started together, looked at, stopped together.
//!
//! Each pod runs the test profile (`config/pod-N.yaml`). In tests the ports of those pages are replaced by free ones drawn
//! before the start, in the friends' hosts too: a pod must know where its friends will be before they run. Somebody else may
//! take a drawn port in between; such a pod ends with the network's exit code, and the net is drawn again.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail, ensure};
use futures::future::try_join_all;
use rand::Rng;
use seedpod_node::config::{self, Sources};
use serde_json::json;
use tempfile::TempDir;

use crate::lan::Lan;
use crate::process::{Echo, EndedEarly, Pod, Spec};

/// The pages of the test profile, pod 1 first.
const PROFILES: [&str; 6] = [
    include_str!("../config/pod-1.yaml"),
    include_str!("../config/pod-2.yaml"),
    include_str!("../config/pod-3.yaml"),
    include_str!("../config/pod-4.yaml"),
    include_str!("../config/pod-5.yaml"),
    include_str!("../config/pod-6.yaml"),
];

/// Most pods a net can have.
pub const PODS_MAX: usize = 30;

/// Ports are drawn from below those that systems give to outgoing connections, which come and go all the time.
const DRAWN_PORTS: std::ops::Range<u16> = 20_000..32_000;

/// Draws of one port before giving up.
const DRAWS_MAX: usize = 200;

/// Starts of a whole net before giving up on its ports.
const STARTS_MAX: usize = 5;

/// Lines of each pod's log shown when a scenario fails.
const SHOWN_LINES: usize = 150;

/// The web servers' ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ports {
    /// Those of the profile: 9001 and up.
    Profile,
    /// Free ones.
    Any,
    /// Those of the profile, each pod at an address of its own: see [`crate::lan`].
    Lan,
}

/// How a net is started.
#[derive(Clone)]
pub struct Options {
    /// How many pods, 1 to [`PODS_MAX`].
    pub pods: usize,
    /// The web servers' ports.
    pub ports: Ports,
    /// Where the pods' folders are made; a temporary folder, removed at the end, if there is none.
    pub folder: Option<PathBuf>,
    /// The program of each pod; the one built beside this program if there is none.
    pub program: Option<PathBuf>,
    /// Settings for all pods over those of the profile, as environment variables.
    pub environment: Vec<(String, String)>,
    /// Called with each line of each pod.
    pub echo: Option<Echo>,
}

impl Options {
    /// A net of so many pods on free ports in a temporary folder.
    pub fn new(pods: usize) -> Self {
        Self {
            pods,
            ports: Ports::Any,
            folder: None,
            program: None,
            environment: Vec::new(),
            echo: None,
        }
    }
}

/// Running pods. All of them are killed when this is dropped.
pub struct TestNet {
    pods: Vec<Pod>,
    lan: Option<Arc<Lan>>,
    folder: PathBuf,
    /// Removed after the pods are gone: fields are dropped in this order.
    temporary: Option<TempDir>,
}

impl TestNet {
    /// Starts so many pods on free ports and waits until all are ready.
    ///
    /// # Errors
    /// When the program was not built or a pod does not start.
    pub async fn start(pods: usize) -> anyhow::Result<Self> {
        Self::start_with(Options::new(pods)).await
    }

    /// Starts pods and waits until all are ready.
    ///
    /// # Errors
    /// When the program was not built or a pod does not start.
    pub async fn start_with(options: Options) -> anyhow::Result<Self> {
        ensure!(
            (1..=PODS_MAX).contains(&options.pods),
            "a net has 1 to {PODS_MAX} pods, not {}",
            options.pods
        );
        let binary = match &options.program {
            Some(program) => program.clone(),
            None => seedpod_binary()?,
        };
        for _ in 1..STARTS_MAX {
            match Self::try_start(&options, &binary).await {
                Err(error) if options.ports == Ports::Any && is_address_taken(&error) => {}
                started_or_failed => return started_or_failed,
            }
        }
        Self::try_start(&options, &binary).await
    }

    async fn try_start(options: &Options, binary: &Path) -> anyhow::Result<Self> {
        let temporary = match options.folder {
            Some(_) => None,
            None => Some(TempDir::with_prefix("seedpod-net-").context("cannot make a temporary folder")?),
        };
        let folder = match (&options.folder, &temporary) {
            (Some(folder), _) => std::path::absolute(folder).context("cannot find the working folder")?,
            (None, Some(temporary)) => temporary.path().to_owned(),
            (None, None) => bail!("a net needs a folder"),
        };
        std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let pages: Vec<Page> = (1..=options.pods)
            .map(|number| Page::write(&folder, number, &profile(number)))
            .collect::<Result<_, _>>()?;
        let lan = match options.ports {
            Ports::Lan => Some(Arc::new(Lan::new(options.pods).await?)),
            Ports::Profile | Ports::Any => None,
        };
        let ports = match options.ports {
            Ports::Profile | Ports::Lan => pages.iter().map(|page| page.port).collect(),
            Ports::Any => draw_ports(options.pods)?,
        };
        let moved = |host: &str| {
            let profile = pages
                .iter()
                .position(|page| host == format!("localhost:{}", page.port));
            match (profile, &lan) {
                (Some(index), Some(_)) => format!("{}:{}", Lan::address(index + 1), ports[index]),
                (Some(index), None) => format!("localhost:{}", ports[index]),
                (None, _) => host.to_owned(),
            }
        };
        let pods = pages.iter().zip(&ports).enumerate().map(|(index, (page, port))| {
            let spec = Spec {
                number: index + 1,
                binary: binary.to_owned(),
                config: page.path.clone(),
                folder: folder.join(format!("pod-{}", index + 1)),
                lan: lan.clone(),
                port: *port,
                friends: page.friends.iter().map(|host| moved(host)).collect(),
                root_password: page.root_password.clone(),
                environment: options.environment.clone(),
            };
            Pod::new(spec, options.echo.clone())
        });
        let net = Self {
            pods: pods.collect(),
            lan: lan.clone(),
            folder,
            temporary,
        };
        try_join_all(net.pods.iter().map(Pod::start)).await?;
        Ok(net)
    }

    /// Runs a scenario on a fresh net: starts it, does what the scenario does, stops every pod and checks that each ended
    /// cleanly, that nobody answers at its address any more, and that none panicked.
    ///
    /// # Panics
    /// When any of this fails, after showing what each pod wrote last.
    pub async fn scenario(pods: usize, steps: impl AsyncFnOnce(&Self) -> anyhow::Result<()>) {
        Self::scenario_with(Options::new(pods), steps).await;
    }

    /// As [`TestNet::scenario`], on a net with these options.
    ///
    /// # Panics
    /// As [`TestNet::scenario`].
    pub async fn scenario_with(options: Options, steps: impl AsyncFnOnce(&Self) -> anyhow::Result<()>) {
        let net = match Self::start_with(options).await {
            Ok(net) => net,
            Err(error) => panic!("the net does not start: {error:#}"),
        };
        let outcome = match steps(&net).await {
            Ok(()) => net.stop().await,
            failed => failed,
        };
        if let Err(error) = outcome {
            net.show_logs();
            panic!("{error:#}");
        }
    }

    /// The pod with this number, from 1.
    ///
    /// # Panics
    /// When the net has no such pod.
    pub fn pod(&self, number: usize) -> &Pod {
        self.pods
            .get(number - 1)
            .unwrap_or_else(|| panic!("the net has {} pods, no pod {number}", self.pods.len()))
    }

    /// All pods, pod 1 first.
    pub fn pods(&self) -> &[Pod] {
        &self.pods
    }

    /// The network of the pods' own.
    ///
    /// # Errors
    /// When they live in the machine's: see [`Ports::Lan`].
    pub fn lan(&self) -> anyhow::Result<&Lan> {
        self.lan
            .as_deref()
            .context("these pods have no network of their own")
    }

    /// Where the pods' folders are.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Leaves the data where it is, even if the folder is a temporary one.
    pub fn keep_data(&mut self) {
        if let Some(temporary) = self.temporary.take() {
            self.folder = temporary.keep();
        }
    }

    /// Makes every pod a friend of every other and waits until all say so.
    ///
    /// # Errors
    /// When a pod refuses or does not list all others in time.
    pub async fn befriend_all(&self) -> anyhow::Result<()> {
        for (index, pod) in self.pods.iter().enumerate() {
            let root = pod.root().await?;
            for other in &self.pods[index + 1..] {
                root.post("/api/v1/pods", &json!({ "host": other.host() }))
                    .await?
                    .success()?;
            }
        }
        let deadline = std::time::Duration::from_secs(30);
        crate::eventually("every pod lists all others", deadline, async || {
            for pod in &self.pods {
                let mut listed: Vec<String> = pod
                    .visitor()
                    .friends()
                    .await?
                    .data
                    .into_iter()
                    .map(|friend| friend.host)
                    .collect();
                let mut expected: Vec<String> = self
                    .pods
                    .iter()
                    .map(Pod::host)
                    .filter(|host| *host != pod.host())
                    .collect();
                listed.sort();
                expected.sort();
                ensure!(
                    listed == expected,
                    "pod {} lists {listed:?}, expected {expected:?}",
                    pod.number()
                );
            }
            Ok(())
        })
        .await
    }

    /// Stops every pod, pod 1 first, and checks that nobody answers at its address any more and that none panicked.
    ///
    /// # Errors
    /// When one does not stop cleanly or has panicked; the others are stopped all the same.
    pub async fn stop(&self) -> anyhow::Result<()> {
        let mut outcome = Ok(());
        for pod in &self.pods {
            let stopped = pod.stop().await;
            let silent = tokio::net::TcpStream::connect(pod.host()).await.is_err();
            outcome = outcome.and(stopped);
            if let Some(line) = pod.first_line_with("panicked at") {
                outcome = outcome.and(Err(anyhow::anyhow!("pod {} has panicked: {line}", pod.number())));
            }
            if !silent {
                outcome = outcome.and(Err(anyhow::anyhow!("somebody still answers at {}", pod.host())));
            }
        }
        outcome
    }

    /// Writes what each pod wrote last to standard error, where test runners show it for failed tests.
    pub fn show_logs(&self) {
        for pod in &self.pods {
            eprintln!(
                "--- the last lines of pod {} ({})\n{}",
                pod.number(),
                pod.url(),
                pod.last_lines(SHOWN_LINES)
            );
        }
    }
}

impl Drop for TestNet {
    fn drop(&mut self) {
        // A test that panics between its steps (an `assert!`, an index) shows the logs too.
        if std::thread::panicking() {
            self.show_logs();
        }
    }
}

/// The page of a pod. Those beyond the profile are like its last one, with numbers of their own.
fn profile(number: usize) -> String {
    match PROFILES.get(number - 1) {
        Some(page) => (*page).to_owned(),
        None => {
            let last = PROFILES.len();
            let ports = [last, number].map(|number| (9000 + number).to_string());
            let page = PROFILES[last - 1].replace(&ports[0], &ports[1]);
            ["test", "pod ", "Pod ", "admin"].iter().fold(page, |page, word| {
                page.replace(&format!("{word}{last}"), &format!("{word}{number}"))
            })
        }
    }
}

/// A page of the test profile on disk, and what a net must know of it.
struct Page {
    path: PathBuf,
    port: u16,
    friends: Vec<String>,
    root_password: String,
}

impl Page {
    fn write(folder: &Path, number: usize, text: &str) -> anyhow::Result<Self> {
        let path = folder.join(format!("pod-{number}.yaml"));
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        let sources = Sources {
            working_folder: folder.to_owned(),
            files: vec![path.clone()],
            ..Sources::default()
        };
        let settings = config::load(&sources)?.settings;
        let root_password = settings
            .root
            .password
            .context("a test pod has a root password in its page")?;
        Ok(Self {
            path,
            port: settings.listen.port,
            friends: settings.network.friends.iter().map(ToString::to_string).collect(),
            root_password: root_password.reveal().to_owned(),
        })
    }
}

/// The program of a pod, built beside the one that runs now.
///
/// # Errors
/// When it is not there; the text says how to build it.
pub fn seedpod_binary() -> anyhow::Result<PathBuf> {
    let this = std::env::current_exe().context("cannot find this program")?;
    // Tests are one folder deeper than programs.
    let folders = this.ancestors().skip(1).take(2);
    let found = folders
        .map(|folder| folder.join("seedpod"))
        .find(|path| path.is_file());
    found.with_context(|| {
        format!(
            "no program `seedpod` beside {}: cargo build -p seedpod-node",
            this.display()
        )
    })
}

fn draw_ports(count: usize) -> anyhow::Result<Vec<u16>> {
    let mut held = Vec::new();
    for _ in 0..DRAWS_MAX {
        if held.len() == count {
            break;
        }
        // Held until all are drawn, so that no two pods get one port.
        if let Ok(listener) = TcpListener::bind(("127.0.0.1", rand::rng().random_range(DRAWN_PORTS))) {
            held.push(listener);
        }
    }
    ensure!(
        held.len() == count,
        "no {count} free ports found among {DRAWN_PORTS:?}"
    );
    held.iter()
        .map(|listener| Ok(listener.local_addr()?.port()))
        .collect()
}

fn is_address_taken(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<EndedEarly>()
        .is_some_and(EndedEarly::address_taken)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use super::*;

    #[test]
    fn the_profile_is_what_the_scenarios_count_on() {
        let folder = tempfile::tempdir().unwrap();
        let pages: Vec<Page> = PROFILES
            .iter()
            .zip(1..)
            .map(|(text, number)| Page::write(folder.path(), number, text).unwrap())
            .collect();
        for (page, number) in pages.iter().zip(1..) {
            assert_eq!(page.port, 9000 + number);
            assert_eq!(page.root_password, format!("test{number}"));
        }
        let friends: Vec<Vec<&str>> = pages
            .iter()
            .map(|page| {
                page.friends
                    .iter()
                    .map(|host| &host["localhost:900".len()..])
                    .collect()
            })
            .collect();
        assert_eq!(
            friends,
            [
                vec!["2"],
                vec!["3"],
                vec!["1"],
                vec!["2"],
                vec!["1", "4"],
                vec!["1", "2", "3"]
            ]
        );
    }

    #[test]
    fn pods_beyond_the_profile_have_pages_of_their_own() {
        let folder = tempfile::tempdir().unwrap();
        for number in 1..=PODS_MAX {
            let page = Page::write(folder.path(), number, &profile(number)).unwrap();
            assert_eq!(usize::from(page.port), 9000 + number);
            assert_eq!(page.root_password, format!("test{number}"));
        }
    }

    #[test]
    fn drawn_ports_differ() {
        let mut ports = draw_ports(PODS_MAX).unwrap();
        ports.sort_unstable();
        ports.dedup();
        assert_eq!(ports.len(), PODS_MAX);
    }
}
