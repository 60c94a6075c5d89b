//! What was answered is kept: pods that are stopped, killed and started again.

use anyhow::ensure;
use seedpod_test_net::TestNet;
use seedpod_test_net::api::Upload;
use seedpod_test_net::clips::Clip;
use seedpod_test_net::torrent;
use serde_json::json;

use crate::steps::{
    as_seen_everywhere, ensure_all_equal, expect_equal_digests, expect_friends, expect_videos, text,
};

#[tokio::test]
async fn a_pod_that_was_killed_comes_back_with_all_it_answered_and_catches_up() {
    TestNet::scenario(2, async |net| {
        let (first, second) = (net.pod(1), net.pod(2));
        let tiny = Clip::Tiny.path().await?;
        let root = first.root().await?;
        root.post("/api/v1/pods", &json!({ "host": second.host() }))
            .await?
            .status(204)?;
        expect_friends(net, &[(1, &[2]), (2, &[1])]).await?;
        let kept = root
            .upload(&Upload::file("Answered before the power cut", &tiny)?)
            .await?;
        let removed = root
            .upload(&Upload::file("Removed before the power cut", &tiny)?)
            .await?;
        expect_videos(net, &[&kept, &removed]).await?;
        root.delete(&format!("/api/v1/videos/{}", removed.uuid))
            .await?
            .status(204)?;

        first.kill().await?;
        let meanwhile = second
            .root()
            .await?
            .upload(&Upload::file("Published meanwhile", &tiny)?)
            .await?;
        first.start().await?;

        // The login from before is still good, and what happened on the other side arrives.
        root.get("/api/v1/users/me").await?.status(200)?;
        expect_friends(net, &[(1, &[2]), (2, &[1])]).await?;
        expect_videos(net, &[&kept, &meanwhile]).await?;
        let seen = as_seen_everywhere(net, &kept.uuid).await?;
        ensure_all_equal(&seen)?;
        let added = torrent::add(text(&seen[1], "/files/0/magnetUri")?).await?;
        ensure!(
            added.file == std::fs::read(&tiny)?,
            "the file is another after the restart"
        );
        expect_equal_digests(net).await
    })
    .await;
}

#[tokio::test]
async fn a_second_pod_on_the_same_folder_is_refused() {
    TestNet::scenario(1, async |net| {
        let pod = net.pod(1);
        let output = tokio::process::Command::new(seedpod_test_net::net::seedpod_binary()?)
            .args(["serve", "--port", "0", "--data-dir"])
            .arg(pod.folder())
            .env("SEEDPOD__NETWORK__LISTEN", "/ip4/127.0.0.1/tcp/0")
            .current_dir(net.folder())
            .kill_on_drop(true)
            .output();
        let output = tokio::time::timeout(std::time::Duration::from_secs(30), output).await??;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.code() == Some(3), "{}: {said}", output.status);
        ensure!(!said.contains("panicked"), "{said}");
        pod.visitor().get("/readyz").await?.status(200)?;
        Ok(())
    })
    .await;
}
