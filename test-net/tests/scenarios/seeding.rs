//! A pod gives its videos to BitTorrent clients: aria2 downloads from it over TCP, with nobody else to ask.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, ensure};
use seedpod_protocol::metainfo::Metainfo;
use seedpod_test_net::api::Upload;
use seedpod_test_net::clips::Clip;
use seedpod_test_net::{TestNet, eventually};
use tokio::process::Command;
use tokio::time::timeout;

use crate::steps::{SOON, text};

/// How long a client may take for a clip of some megabytes.
const DOWNLOAD: Duration = Duration::from_secs(60);

#[tokio::test]
async fn aria2_downloads_from_the_pod_alone_over_tcp() {
    TestNet::scenario(1, async |net| {
        let pod = net.pod(1);
        let clip = Clip::Mp4.path().await?;
        let uploaded = pod.root().await?.upload(&Upload::file("Seeded", &clip)?).await?;
        let video = pod.visitor().video(&uploaded.uuid).await?;
        let torrent = pod
            .visitor()
            .get(text(&video, "/files/0/torrentUrl")?)
            .await?
            .status(200)?;

        let torrent = Metainfo::decode(&torrent.body)?;
        let trackers: Vec<_> = torrent.announce_list.iter().flatten().cloned().collect();
        let mut http = trackers.iter().filter(|tracker| tracker.starts_with("http://"));
        let tracker = http.next().context("no tracker over HTTP")?;
        let found = download(&torrent, tracker, net.folder()).await?;
        let expected = std::fs::read(&clip)?;
        ensure!(
            found == expected,
            "{} bytes of {} are others",
            found.len(),
            expected.len()
        );
        // At the end aria2 asks several times for what it waits for.
        let counted = "seedpod_seeder_served_bytes_total{source=\"tcp\"} ";
        eventually("the bytes are counted", SOON, async || {
            let metrics = pod.visitor().get("/metrics").await?.text_whole();
            let line = metrics.lines().find_map(|line| line.strip_prefix(counted));
            let sent: usize = line.context("nothing was counted")?.parse()?;
            ensure!(
                (expected.len()..2 * expected.len()).contains(&sent),
                "{sent} bytes were counted, of {}",
                expected.len()
            );
            Ok(())
        })
        .await
    })
    .await;
}

/// Lets aria2 download a torrent with no web seed in it, asking one tracker and nobody else.
pub(crate) async fn download(torrent: &Metainfo, tracker: &str, within: &Path) -> anyhow::Result<Vec<u8>> {
    let mut alone = Metainfo::new(torrent.info().clone());
    alone.announce_list = vec![vec![tracker.to_owned()]];
    let folder = tempfile::tempdir_in(within)?;
    let file = folder.path().join("alone.torrent");
    std::fs::write(&file, alone.encode())?;
    let mut aria2 = Command::new("aria2c");
    aria2
        .args([
            "--no-conf",
            "--quiet",
            "--enable-dht=false",
            "--enable-dht6=false",
        ])
        .args([
            "--bt-enable-lpd=false",
            "--enable-peer-exchange=false",
            "--seed-time=0",
        ])
        // A range, so that two tests at once do not want the same port.
        .args(["--listen-port=20000-40000", "--interface=127.0.0.1"])
        .arg("--dir")
        .arg(folder.path())
        .arg(&file)
        .kill_on_drop(true);
    let output = timeout(DOWNLOAD, aria2.output())
        .await
        .context("aria2 does not come to an end")?
        .context("aria2c cannot be started; it is Debian's package aria2")?;
    ensure!(
        output.status.success(),
        "aria2: {}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout)
    );
    Ok(std::fs::read(folder.path().join(alone.info().name()))?)
}
