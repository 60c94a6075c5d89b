//! Users: they come by themselves or are made, change, and leave with all they own (scenarios E, F and K).

use std::process::Stdio;

use anyhow::{Context, ensure};
use seedpod_test_net::api::{Api, Upload};
use seedpod_test_net::clips::Clip;
use seedpod_test_net::net::seedpod_binary;
use seedpod_test_net::process::Pod;
use seedpod_test_net::{TestNet, eventually};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::steps::{SOON, befriend_three, expect_equal_digests};

/// The quota of the test profile.
const QUOTA: u64 = 5 * 1024 * 1024;

async fn register(pod: &Pod, username: &str) -> anyhow::Result<Api> {
    let user = json!({
        "username": username,
        "password": "a password",
        "email": format!("{username}@example.com"),
    });
    let visitor = pod.visitor();
    visitor.post("/api/v1/users/register", &user).await?.status(204)?;
    visitor.login(username, "a password").await
}

async fn me(user: &Api) -> anyhow::Result<Value> {
    user.get("/api/v1/users/me").await?.status(200)?.json()
}

async fn number(user: &Api) -> anyhow::Result<u64> {
    me(user).await?["id"].as_u64().context("a number")
}

async fn signup_is_open(pod: &Pod) -> anyhow::Result<bool> {
    let config: Value = pod.visitor().get("/api/v1/config").await?.status(200)?.json()?;
    config["signup"]["allowed"].as_bool().context("signup.allowed")
}

async fn upload(user: &Api, name: &str) -> anyhow::Result<String> {
    let clip = Clip::Tiny.path().await?;
    Ok(user.upload(&Upload::file(name, &clip)?).await?.uuid)
}

async fn usernames(root: &Api, query: &str) -> anyhow::Result<(u64, Vec<String>)> {
    let list: Value = root
        .get(&format!("/api/v1/users{query}"))
        .await?
        .status(200)?
        .json()?;
    let rows = list["data"].as_array().context("rows")?;
    let names = rows
        .iter()
        .filter_map(|row| row["username"].as_str().map(str::to_owned));
    Ok((list["total"].as_u64().context("a total")?, names.collect()))
}

#[tokio::test]
async fn people_register_until_the_pod_is_full() {
    TestNet::scenario(1, async |net| {
        let pod = net.pod(1);
        ensure!(signup_is_open(pod).await?);
        for username in ["user1", "user2", "user3"] {
            let user = register(pod, username).await?;
            let me = me(&user).await?;
            ensure!(me["role"]["id"] == 2 && me["videoQuota"] == QUOTA, "{me:#}");
            ensure!(
                me["videoChannels"][0]["name"] == format!("{username}_channel"),
                "{me:#}"
            );
        }
        ensure!(!signup_is_open(pod).await?, "there are four of them");
        let late = json!({ "username": "user4", "password": "a password", "email": "user4@example.com" });
        pod.visitor()
            .post("/api/v1/users/register", &late)
            .await?
            .problem(403)?;

        // Whoever leaves makes room, after a restart too, and takes the name along.
        let root = pod.root().await?;
        let second = pod.visitor().login("user2", "a password").await?;
        second.delete("/api/v1/users/me").await?.status(204)?;
        second.get("/api/v1/users/me").await?.problem(401)?;
        let client = root.oauth_client().await?;
        root.ask_for_token(&client, "user2", "a password")
            .await?
            .problem(400)?;
        pod.restart().await?;
        ensure!(signup_is_open(pod).await?);
        let again = json!({ "username": "user2", "password": "a password", "email": "user2@example.com" });
        pod.visitor()
            .post("/api/v1/users/register", &again)
            .await?
            .problem(409)?;
        let fourth = register(pod, "user4").await?;
        ensure!(number(&fourth).await? == 5, "numbers are not used again");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn an_administrator_makes_changes_and_deletes_users() {
    TestNet::scenario(1, async |net| {
        let pod = net.pod(1);
        let root = pod.root().await?;
        let new = |username: &str| {
            json!({
                "username": username,
                "password": "a password",
                "email": format!("{username}@example.com"),
                "videoQuota": 2 * 1024 * 1024,
                "role": 2,
            })
        };
        let made: Value = root
            .post("/api/v1/users", &new("ann"))
            .await?
            .status(200)?
            .json()?;
        let id = made["user"]["id"].as_u64().context("a number")?;
        let address = format!("/api/v1/users/{id}");
        root.post("/api/v1/users", &new("bob")).await?.status(200)?;
        ensure!(
            usernames(&root, "?sort=-username").await?
                == (3, vec!["root".into(), "bob".into(), "ann".into()])
        );
        ensure!(usernames(&root, "?sort=id&start=1&count=1").await? == (3, vec!["ann".into()]));
        ensure!(usernames(&root, "?search=BOB").await? == (1, vec!["bob".into()]));

        // They log in, upload within their quota, and change their own password.
        let ann = pod.visitor().login("ann", "a password").await?;
        let video = upload(&ann, "By Ann").await?;
        let elsewhere = pod.visitor().login("ann", "a password").await?;
        let wrong = json!({ "currentPassword": "not it", "password": "another one" });
        ann.put("/api/v1/users/me", &wrong).await?.problem(400)?;
        let change =
            json!({ "currentPassword": "a password", "password": "another one", "email": "ann@example.org" });
        ann.put("/api/v1/users/me", &change).await?.status(204)?;
        ensure!(
            me(&ann).await?["email"] == "ann@example.org",
            "the session that changed it goes on"
        );
        elsewhere.get("/api/v1/users/me").await?.problem(401)?;
        let client = root.oauth_client().await?;
        root.ask_for_token(&client, "ann", "a password")
            .await?
            .problem(400)?;
        pod.restart().await?;
        let ann = pod.visitor().login("ann", "another one").await?;

        // A moderator has the reports, and not the users.
        let promote = json!({ "role": 1, "videoQuota": 42 });
        root.put(&address, &promote).await?.status(204)?;
        let promoted = me(&ann).await?;
        ensure!(
            promoted["role"]["label"] == "Moderator" && promoted["videoQuota"] == 42,
            "{promoted:#}"
        );
        ann.get("/api/v1/abuses").await?.status(200)?;
        for answer in [
            ann.get("/api/v1/users").await?,
            ann.post("/api/v1/users", &new("carl")).await?,
            ann.put(&address, &promote).await?,
            ann.delete("/api/v1/users/3").await?,
        ] {
            answer.problem(403)?;
        }
        let clip = Clip::Tiny.path().await?;
        let over = ann.try_upload(&Upload::file("Too much", &clip)?).await?;
        over.problem(413)?;

        // A deleted user's videos, comments and channels are gone with them.
        let threads = format!("/api/v1/videos/{video}/comment-threads");
        let bob = pod.visitor().login("bob", "a password").await?;
        bob.post(&threads, &json!({ "text": "Hello Ann" }))
            .await?
            .status(200)?;
        let own = upload(&root, "By root").await?;
        let threads = format!("/api/v1/videos/{own}/comment-threads");
        ann.post(&threads, &json!({ "text": "Hello root" }))
            .await?
            .status(200)?;
        root.delete(&address).await?.status(204)?;
        root.get(&address).await?.problem(404)?;
        root.delete(&address).await?.problem(404)?;
        pod.visitor()
            .get(&format!("/api/v1/videos/{video}"))
            .await?
            .problem(404)?;
        pod.visitor()
            .get("/api/v1/video-channels/ann_channel")
            .await?
            .problem(404)?;
        let left: Value = pod.visitor().get(&threads).await?.status(200)?.json()?;
        ensure!(left["total"] == 0, "{left:#}");
        root.ask_for_token(&client, "ann", "another one")
            .await?
            .problem(400)?;
        ensure!(pod.visitor().videos().await?.total == 1);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_deleted_user_is_gone_from_every_pod() {
    TestNet::scenario(3, async |net| {
        befriend_three(net).await?;
        let user = register(net.pod(1), "user1").await?;
        let video = upload(&user, "Here today").await?;
        eventually("it is everywhere", SOON, async || {
            for pod in net.pods() {
                pod.visitor().video(&video).await?;
                pod.visitor()
                    .get(&format!(
                        "/api/v1/video-channels/user1_channel@{}",
                        net.pod(1).host()
                    ))
                    .await?
                    .status(200)?;
            }
            Ok(())
        })
        .await?;
        user.delete("/api/v1/users/me").await?.status(204)?;
        eventually("it is nowhere", SOON, async || {
            for pod in net.pods() {
                pod.visitor()
                    .get(&format!("/api/v1/videos/{video}"))
                    .await?
                    .problem(404)?;
                pod.visitor()
                    .get(&format!(
                        "/api/v1/video-channels/user1_channel@{}",
                        net.pod(1).host()
                    ))
                    .await?
                    .problem(404)?;
            }
            Ok(())
        })
        .await?;
        expect_equal_digests(net).await
    })
    .await;
}

#[tokio::test]
async fn channels_are_made_changed_and_removed_and_the_last_one_stays() {
    TestNet::scenario(1, async |net| {
        let pod = net.pod(1);
        let root = pod.root().await?;
        let user = register(pod, "user1").await?;
        user.delete("/api/v1/video-channels/user1_channel")
            .await?
            .problem(400)?;
        let second = json!({ "name": "second", "displayName": "The second", "description": "More" });
        user.post("/api/v1/video-channels", &second).await?.status(200)?;
        let address = "/api/v1/video-channels/second";
        let change = json!({ "displayName": "The other", "description": "Other things" });
        register(pod, "user2")
            .await?
            .put(address, &change)
            .await?
            .problem(403)?;
        pod.visitor().put(address, &change).await?.problem(401)?;
        user.put(address, &json!({ "displayName": "" }))
            .await?
            .problem(400)?;
        user.put(address, &change).await?.status(204)?;
        let shown: Value = pod.visitor().get(address).await?.status(200)?.json()?;
        ensure!(
            shown["displayName"] == "The other" && shown["description"] == "Other things",
            "{shown:#}"
        );
        ensure!(shown["ownerAccount"]["name"] == "user1", "{shown:#}");

        let clip = Clip::Tiny.path().await?;
        let id = shown["id"].to_string();
        let inside = user
            .upload(&Upload::file("Inside", &clip)?.with("channelId", &id))
            .await?;
        let outside = upload(&user, "Outside").await?;
        // A moderator may as well.
        root.delete(address).await?.status(204)?;
        pod.visitor().get(address).await?.problem(404)?;
        pod.visitor()
            .get(&format!("/api/v1/videos/{}", inside.uuid))
            .await?
            .problem(404)?;
        pod.visitor().video(&outside).await?;
        user.post("/api/v1/video-channels", &second).await?.problem(409)?;
        pod.restart().await?;
        pod.visitor().get(address).await?.problem(404)?;
        ensure!(me(&user).await?["videoChannels"].as_array().map(Vec::len) == Some(1));
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn bad_users_are_refused_with_the_field_that_is_wrong() {
    TestNet::scenario(1, async |net| {
        let pod = net.pod(1);
        let root = pod.root().await?;
        let user = register(pod, "user1").await?;
        let good = json!({
            "username": "fine", "password": "a password", "email": "fine@example.com", "videoQuota": -1, "role": 2,
        });
        let with = |field: &str, value: Value| {
            let mut body = good.clone();
            body[field] = value;
            body
        };
        let without = |field: &str| {
            let mut body = good.clone();
            body.as_object_mut().map(|body| body.remove(field));
            body
        };
        for (field, bad) in [
            ("username", json!("ab")),
            ("username", json!("a".repeat(21))),
            ("username", json!("With Capitals")),
            ("password", json!("short")),
            ("password", json!("p".repeat(256))),
            ("email", json!("nobody")),
            ("email", json!("a@b@c")),
            ("email", json!("")),
            ("videoQuota", json!(-2)),
            ("videoQuota", json!("much")),
            ("role", json!(3)),
            ("role", json!("king")),
        ] {
            let answer = root.post("/api/v1/users", &with(field, bad)).await?;
            let problem: Value = answer.json()?;
            answer.problem(400)?;
            let detail = problem["detail"].as_str().context("a detail")?;
            ensure!(detail.starts_with(field), "{problem:#}");
        }
        for field in ["username", "password", "email", "videoQuota", "role"] {
            root.post("/api/v1/users", &without(field)).await?.problem(400)?;
            let needed = matches!(field, "username" | "password" | "email");
            let answer = pod.visitor().post("/api/v1/users/register", &without(field)).await?;
            if needed {
                answer.problem(400)?;
            }
        }
        root.post("/api/v1/users", &with("username", json!("user1"))).await?.problem(409)?;
        root.post("/api/v1/users", &with("email", json!("USER1@example.com"))).await?.problem(409)?;
        pod.visitor().post("/api/v1/users", &good).await?.problem(401)?;
        user.post("/api/v1/users", &good).await?.problem(403)?;
        user.get("/api/v1/users").await?.problem(403)?;
        for bad in ["?sort=email", "?start=x", "?count=101"] {
            root.get(&format!("/api/v1/users{bad}")).await?.problem(400)?;
        }
        let number = number(&user).await?;
        for (path, status) in [("hello", 400), ("-1", 400), ("999", 404)] {
            root.get(&format!("/api/v1/users/{path}")).await?.problem(status)?;
            root.put(&format!("/api/v1/users/{path}"), &json!({ "role": 2 })).await?.problem(status)?;
            root.delete(&format!("/api/v1/users/{path}")).await?.problem(status)?;
        }
        for bad in [json!({ "email": "x" }), json!({ "videoQuota": "x" }), json!({ "role": 9 })] {
            root.put(&format!("/api/v1/users/{number}"), &bad).await?.problem(400)?;
        }
        // The first user and the last administrator stay.
        root.delete("/api/v1/users/1").await?.problem(400)?;
        root.put("/api/v1/users/1", &json!({ "role": 2 })).await?.problem(400)?;
        user.delete("/api/v1/users/1").await?.problem(403)?;
        pod.visitor().delete("/api/v1/users/1").await?.problem(401)?;
        user.put("/api/v1/users/me", &json!({ "password": "another one" })).await?.problem(400)?;
        Ok(())
    })
    .await;
}

/// Runs `seedpod admin` on a pod's folder, with this on its standard input.
async fn admin(pod: &Pod, arguments: &[&str], input: &str) -> anyhow::Result<(bool, String)> {
    let mut child = Command::new(seedpod_binary()?)
        .arg("admin")
        .args(arguments)
        .arg("--data-dir")
        .arg(pod.folder())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    child
        .stdin
        .take()
        .context("its input")?
        .write_all(input.as_bytes())
        .await?;
    let output = child.wait_with_output().await?;
    let said = [output.stdout, output.stderr].concat();
    Ok((output.status.success(), String::from_utf8(said)?))
}

#[tokio::test]
async fn an_operator_looks_after_users_on_the_command_line() {
    TestNet::scenario(1, async |net| {
        let pod = net.pod(1);
        let create = [
            "create-user",
            "ann",
            "--email",
            "ann@example.com",
            "--role",
            "moderator",
            "--quota",
            "1 MiB",
        ];
        let (fine, said) = admin(pod, &create, "a password\n").await?;
        ensure!(fine, "{said}");
        let ann = pod.visitor().login("ann", "a password").await?;
        let own = me(&ann).await?;
        ensure!(
            own["role"]["id"] == 1 && own["videoQuota"] == 1024 * 1024,
            "{own:#}"
        );
        let (fine, said) = admin(pod, &create, "a password\n").await?;
        ensure!(!fine && said.contains("the username `ann` is taken"), "{said}");

        let (fine, said) = admin(pod, &["list-users"], "").await?;
        ensure!(
            fine && said.lines().count() == 2 && said.contains("ann@example.com"),
            "{said}"
        );
        let (fine, said) = admin(pod, &["set-role", "ann", "user"], "").await?;
        ensure!(fine, "{said}");
        let (fine, said) = admin(pod, &["list-users", "--json"], "").await?;
        let last: Value = serde_json::from_str(said.lines().last().context("a line")?)?;
        ensure!(fine && last["role"]["id"] == 2, "{said}");

        // Whoever forgot the password of the first user gets in again.
        let (fine, said) = admin(pod, &["reset-password", "root"], "the next one").await?;
        ensure!(fine && !said.contains("the next one"), "{said}");
        let root = pod.visitor().login("root", "the next one").await?;
        let client = root.oauth_client().await?;
        root.ask_for_token(&client, "root", pod.root_password())
            .await?
            .problem(400)?;
        let (fine, said) = admin(pod, &["reset-password", "nobody"], "the next one").await?;
        ensure!(!fine && said.contains("there is no user `nobody`"), "{said}");

        let (fine, said) = admin(pod, &["delete-user", "ann"], "").await?;
        ensure!(!fine && said.contains("--yes"), "{said}");
        let (fine, said) = admin(pod, &["delete-user", "ann", "--yes"], "").await?;
        ensure!(fine, "{said}");
        ensure!(usernames(&root, "").await?.0 == 1);

        // The token is the pod's while it runs, and no other's.
        let file = pod.folder().join("operator.json");
        let before: Value = serde_json::from_slice(&std::fs::read(&file)?)?;
        pod.stop().await?;
        ensure!(!file.exists());
        let (fine, said) = admin(pod, &["list-users"], "").await?;
        ensure!(!fine && said.contains("no pod runs"), "{said}");
        pod.start().await?;
        let token = before["token"].as_str().context("a token")?;
        pod.visitor()
            .with_token(token)
            .get("/api/v1/users")
            .await?
            .problem(401)?;
        Ok(())
    })
    .await;
}
