//! A pod gives its videos to BitTorrent clients: aria2 downloads from it over TCP, with nobody else to ask.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, ensure};
use seedpod_protocol::metainfo::Metainfo;
use seedpod_test_net::api::Upload;
use seedpod_test_net::clips::Clip;
use seedpod_test_net::process::Pod;
use seedpod_test_net::{TestNet, eventually};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
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

        // The same torrent, with no web seed in it, and a tracker that knows the pod and nobody else.
        let tracker = TcpListener::bind("127.0.0.1:0").await?;
        let address = tracker.local_addr()?;
        let told = tokio::spawn(tell_of(tracker, seeding_address(pod)?));
        let mut alone = Metainfo::new(Metainfo::decode(&torrent.body)?.info().clone());
        alone.announce_list = vec![vec![format!("http://{address}/announce")]];
        let folder = tempfile::tempdir_in(net.folder())?;
        let file = folder.path().join("alone.torrent");
        std::fs::write(&file, alone.encode())?;

        let downloaded = download(&file, folder.path(), alone.info().name()).await;
        told.abort();
        let (found, expected) = (downloaded?, std::fs::read(&clip)?);
        ensure!(
            found == expected,
            "{} bytes of {} are others",
            found.len(),
            expected.len()
        );
        let sent = format!(
            "seedpod_seeder_served_bytes_total{{source=\"tcp\"}} {}\n",
            expected.len()
        );
        eventually("the bytes are counted", SOON, async || {
            let metrics = pod.visitor().get("/metrics").await?.text();
            ensure!(metrics.contains(&sent), "no {sent} in {metrics}");
            Ok(())
        })
        .await
    })
    .await;
}

/// Where a pod says that it serves BitTorrent clients.
fn seeding_address(pod: &Pod) -> anyhow::Result<SocketAddr> {
    let line = pod
        .first_line_with("BitTorrent clients are served")
        .context("the pod does not say where it serves BitTorrent clients")?;
    let (_, address) = line
        .split_once("local=")
        .context("it says so without an address")?;
    let address = address.split_whitespace().next().unwrap_or_default();
    address.parse().with_context(|| format!("no address in {line}"))
}

/// A tracker with one peer: whatever it is asked, it names this one.
async fn tell_of(tracker: TcpListener, peer: SocketAddr) -> anyhow::Result<()> {
    let SocketAddr::V4(peer) = peer else {
        anyhow::bail!("{peer} is no IPv4 address");
    };
    let body = [
        &b"d8:intervali60e5:peers6:"[..],
        &peer.ip().octets(),
        &peer.port().to_be_bytes(),
        b"e",
    ]
    .concat();
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    loop {
        let (mut client, _) = tracker.accept().await?;
        let mut asked = Vec::new();
        while !asked.ends_with(b"\r\n\r\n") && client.read_buf(&mut asked).await? > 0 {}
        client.write_all(head.as_bytes()).await?;
        client.write_all(&body).await?;
    }
}

/// Lets aria2 download a torrent, asking its trackers alone.
async fn download(torrent: &Path, folder: &Path, name: &str) -> anyhow::Result<Vec<u8>> {
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
        .arg(folder)
        .arg(torrent)
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
    Ok(std::fs::read(folder.join(name))?)
}
