//! Power cuts: a pod on a file system of its own, which is shut down under it at random moments while people write, as a machine
//! without power would leave it; whatever was answered must be there afterwards (`ledger.rs`).
//!
//! A kill alone shows little: what a process has written stays in the system's memory, synced or not. Here ext4 is told to forget
//! everything that was not synced, without writing its own log out (`EXT4_IOC_SHUTDOWN`), then the pod is killed, and the file system
//! unmounted and mounted again. Needs root, loop devices, `mkfs.ext4` and `python3`, which makes the call.
//!
//! `CYCLES` (cuts, default [`DEFAULT_CYCLES`]) and `SEED` are settable; `scripts/power-cut` runs it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use seedpod_test_net::clips::Clip;
use seedpod_test_net::{Options, TestNet};
use tempfile::TempDir;

use crate::kill_loop::number;
use crate::ledger::{self, Ledger};

/// Cuts in a run.
const DEFAULT_CYCLES: u64 = 50;

/// The longest time from the first write of a cycle to the cut.
const LONGEST_LIFE: Duration = Duration::from_millis(800);

/// Size of the file system; what is not written takes no room.
const DISK_BYTES: u64 = 512 << 20;

/// `EXT4_IOC_SHUTDOWN` without flushing the log.
const SHUT_DOWN: &str = "import fcntl, os, struct, sys\n\
fcntl.ioctl(os.open(sys.argv[1], os.O_RDONLY), 0x8004587D, struct.pack('I', 2))";

/// A file system in a file, mounted in a folder.
struct Disk {
    folder: TempDir,
}

impl Disk {
    fn new() -> anyhow::Result<Self> {
        let folder = TempDir::with_prefix("seedpod-power-cut-")?;
        let disk = Self { folder };
        std::fs::create_dir(disk.mounted())?;
        std::fs::File::create(disk.image())?.set_len(DISK_BYTES)?;
        run(
            "mkfs.ext4",
            &["-q".as_ref(), "-F".as_ref(), disk.image().as_ref()],
        )?;
        disk.mount()?;
        Ok(disk)
    }

    fn image(&self) -> PathBuf {
        self.folder.path().join("disk.img")
    }

    fn mounted(&self) -> PathBuf {
        self.folder.path().join("mounted")
    }

    fn mount(&self) -> anyhow::Result<()> {
        run(
            "mount",
            &[
                "-o".as_ref(),
                "loop".as_ref(),
                self.image().as_ref(),
                self.mounted().as_ref(),
            ],
        )
    }

    /// From now on nothing reaches the disk any more; what was not synced is lost.
    async fn cut(&self) -> anyhow::Result<()> {
        let cut = tokio::process::Command::new("python3")
            .args(["-c", SHUT_DOWN])
            .arg(self.mounted())
            .output()
            .await
            .context("cannot run python3")?;
        ensure!(
            cut.status.success(),
            "the file system was not shut down: {}",
            String::from_utf8_lossy(&cut.stderr)
        );
        Ok(())
    }

    /// Lets the file system be found as it is after the power returned.
    fn power_on(&self) -> anyhow::Result<()> {
        run("umount", &[self.mounted().as_ref()])?;
        self.mount()
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.mounted()).status();
    }
}

fn run(program: &str, arguments: &[&Path]) -> anyhow::Result<()> {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .with_context(|| format!("cannot run {program}"))?;
    ensure!(
        output.status.success(),
        "{program} {arguments:?}: {} (a power cut needs root and loop devices)",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(())
}

#[tokio::test]
#[ignore = "needs root and loop devices: scripts/power-cut"]
async fn nothing_that_was_answered_is_lost_by_power_cuts() {
    let cycles = number("CYCLES", DEFAULT_CYCLES);
    let seed = number("SEED", rand::random::<u32>().into());
    eprintln!("power cuts: {cycles} cycles, SEED={seed}");
    let disk = Disk::new().unwrap_or_else(|error| panic!("{error:#}"));
    let home = tempfile::tempdir().unwrap_or_else(|error| panic!("{error}"));
    // The data of pod 1 lies on that disk, the friend's does not.
    std::fs::create_dir(disk.mounted().join("data")).unwrap_or_else(|error| panic!("{error}"));
    std::os::unix::fs::symlink(disk.mounted().join("data"), home.path().join("pod-1"))
        .unwrap_or_else(|error| panic!("{error}"));
    let options = Options {
        folder: Some(home.path().to_owned()),
        environment: vec![("SEEDPOD__STORAGE__SNAPSHOT_AFTER".into(), "4 KiB".into())],
        ..Options::new(2)
    };
    TestNet::scenario_with(options, async |net| {
        cut_again_and_again(net, &disk, cycles, seed)
            .await
            .with_context(|| format!("SEED={seed}"))
    })
    .await;
}

async fn cut_again_and_again(net: &TestNet, disk: &Disk, cycles: u64, seed: u64) -> anyhow::Result<()> {
    let clip = std::fs::read(Clip::Tiny.path().await?)?;
    let (pod, other) = (net.pod(1), net.pod(2));
    let mut dice = StdRng::seed_from_u64(seed);
    let mut ledger = Ledger::default();
    let begun = Instant::now();
    for cycle in 1..=cycles {
        let life = dice.random_range(Duration::ZERO..LONGEST_LIFE);
        let root = ledger.login(pod).await.context("login before a cycle")?;
        ledger.note_friends(pod, other).await?;
        let is_cut = AtomicBool::new(false);
        let writes = async {
            let mut dice = StdRng::seed_from_u64(dice.random());
            loop {
                let written = ledger::write(&root, pod, other, &clip, &mut ledger, &mut dice).await;
                match written {
                    Ok(()) => {}
                    // The disk is gone, and the pod says so. What was sent stays open in the ledger.
                    Err(_) if is_cut.load(Ordering::Relaxed) => std::future::pending().await,
                    Err(error) => return error,
                }
            }
        };
        // While people go on writing.
        let cut = async {
            tokio::time::sleep(life).await;
            is_cut.store(true, Ordering::Relaxed);
            disk.cut().await
        };
        tokio::select! {
            error = writes => bail!(error.context(format!("cycle {cycle}"))),
            cut = cut => cut?,
        }
        pod.kill().await?;
        disk.power_on().with_context(|| format!("cycle {cycle}"))?;
        pod.start().await.with_context(|| format!("cycle {cycle}"))?;
        ledger::check(pod, other, &clip, &mut ledger)
            .await
            .with_context(|| format!("after the power cut of cycle {cycle}"))?;
        if cycle % 10 == 0 {
            eprintln!("power cuts: {cycle} cycles in {:?}", begun.elapsed());
        }
    }
    let rebuilt = std::fs::read_dir(pod.folder())?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter_map(|name| name.strip_prefix("index.damaged-")?.parse::<u64>().ok())
        .max();
    eprintln!(
        "power cuts: {cycles} cycles in {:?}: {} answered writes, none lost; {} were cut off; {} indexes were damaged and built again",
        begun.elapsed(),
        ledger.answered,
        ledger.lost_answers,
        rebuilt.unwrap_or(0)
    );
    ensure!(
        ledger.answered >= cycles,
        "only {} writes were answered, nothing was tried",
        ledger.answered
    );
    Ok(())
}
