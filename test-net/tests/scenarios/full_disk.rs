//! A full disk: refused, lived with, recovered from without a restart. Needs root, who may mount a small file system.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, ensure};
use seedpod_test_net::api::Upload;
use seedpod_test_net::clips::Clip;
use seedpod_test_net::{Options, TestNet};
use tempfile::TempDir;

/// A file system of 32 MiB; unmounted at the end, after the pods are gone.
pub(crate) struct SmallDisk {
    pub(crate) folder: TempDir,
}

impl SmallDisk {
    pub(crate) fn mount() -> anyhow::Result<Self> {
        let folder = TempDir::with_prefix("seedpod-small-disk-")?;
        let status = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=32m", "seedpod-test"])
            .arg(folder.path())
            .status()
            .context("cannot run `mount`")?;
        ensure!(
            status.success(),
            "cannot mount a small file system, so nothing is known of full disks: run this test as root"
        );
        Ok(Self { folder })
    }

    pub(crate) fn filler(&self) -> PathBuf {
        self.folder.path().join("filler")
    }

    /// Takes all room there is, as others on the machine would.
    fn fill(&self) -> anyhow::Result<()> {
        self.fill_but(0)
    }

    /// Takes all but so many bytes.
    pub(crate) fn fill_but(&self, left: u64) -> anyhow::Result<()> {
        let room = rustix::fs::statvfs(self.folder.path())?;
        let bytes = usize::try_from((room.f_bavail * room.f_frsize).saturating_sub(left))?;
        let mut filler = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.filler())?;
        std::io::Write::write_all(&mut filler, &vec![1; bytes])
            .context("the disk was filled by somebody else")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // What stays mounted is small and gone with the machine; failing here would hide why the test failed.
        let _ = Command::new("umount")
            .arg("--lazy")
            .arg(self.folder.path())
            .status();
    }
}

#[tokio::test]
async fn a_full_disk_refuses_uploads_and_nothing_else_and_recovers_by_itself() {
    let disk = SmallDisk::mount().unwrap_or_else(|error| panic!("{error:#}"));
    let options = Options {
        folder: Some(disk.folder.path().to_owned()),
        ..Options::new(1)
    };
    TestNet::scenario_with(options, async |net| {
        let pod = net.pod(1);
        let clip = Clip::Mp4.path().await?;
        let root = pod.root().await?;
        let kept = root.upload(&Upload::file("Kept", &clip)?).await?;

        // People fill the disk: media stop while the rest of the pod still has room.
        let mut uploads = 0;
        let refused = loop {
            let mut free = vec![7; 5 << 20]; // an MP4 box that players skip
            free[..8].copy_from_slice(b"\0\x50\0\0free");
            let answer = root
                .try_upload(&Upload::bytes(
                    "Too much",
                    "large.mp4",
                    [std::fs::read(&clip)?, free].concat(),
                ))
                .await?;
            if answer.status != 200 {
                break answer;
            }
            uploads += 1;
            ensure!(uploads < 32, "32 MiB hold {uploads} uploads of 5 MiB");
        };
        ensure!(refused.problem(507)? == "no_space");
        goes_on(net, &kept.uuid, &clip).await?;

        // Others fill what is left: the reserve carries the pod.
        disk.fill()?;
        root.try_upload(&Upload::file("Refused", &clip)?)
            .await?
            .problem(507)?;
        goes_on(net, &kept.uuid, &clip).await?;

        // A restart on the full disk.
        pod.restart().await?;
        pod.visitor().get("/readyz").await?.status(200)?;
        goes_on(net, &kept.uuid, &clip).await?;
        root.try_upload(&Upload::file("Refused", &clip)?)
            .await?
            .problem(507)?;

        // A kill on the full disk.
        pod.kill().await?;
        pod.start().await?;
        goes_on(net, &kept.uuid, &clip).await?;
        root.get("/api/v1/users/me").await?.status(200)?; // the first login was not forgotten
        root.delete(&format!("/api/v1/videos/{}", kept.uuid))
            .await?
            .status(204)?;

        // Room again: the next upload succeeds, no restart.
        std::fs::remove_file(disk.filler())?;
        let after = root.upload(&Upload::file("After", &clip)?).await?;
        pod.visitor().video(&after.uuid).await?;
        ensure!(pod.visitor().videos().await?.total == uploads + 1);
        Ok(())
    })
    .await;
}

/// Login and playback.
async fn goes_on(net: &TestNet, uuid: &str, clip: &std::path::Path) -> anyhow::Result<()> {
    let pod = net.pod(1);
    pod.root().await.context("login on a full disk")?;
    let file = pod
        .visitor()
        .get(&format!("/static/webseed/{uuid}-360.mp4"))
        .await?
        .status(200)?;
    ensure!(
        file.body == std::fs::read(clip)?,
        "the file is another on a full disk"
    );
    Ok(())
}
