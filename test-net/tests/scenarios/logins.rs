//! Guessing passwords: it gets slower and slower, for the address that guesses alone. The rightful owner logs in all the while.

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use anyhow::ensure;
use futures::future::try_join_all;
use futures::{StreamExt, TryStreamExt, stream};
use seedpod_test_net::api::{Answer, Api};
use seedpod_test_net::process::Pod;
use seedpod_test_net::{TestNet, eventually};

use crate::steps::SOON;

/// Logins at once from one address.
const PARALLEL: usize = 200;

/// Wrong guesses in all, from so many addresses.
const GUESSES: usize = 10_000;
const ADDRESSES: usize = 15;

/// Requests of guessers that are under way at once.
const AT_ONCE: usize = 64;

/// Wrong passwords that one address may have looked at in the time that this takes; the rest is sent away unread.
const LOOKED_AT: usize = 16;

/// What the pod may hold more than before: what two password hashes take (19 MiB each), what is remembered of addresses, and
/// what the buffers of so many requests leave behind.
const MEMORY_KIB: u64 = 96 * 1024;

#[tokio::test]
async fn guessing_passwords_keeps_nobody_else_from_logging_in() {
    TestNet::scenario(1, async |net| {
        let pod = net.pod(1);
        pod.root().await?;
        let before = pod.memory_kib()?;

        // Everybody knows the password, and they come at once.
        let crowd = visitor(pod, 2);
        let client = crowd.oauth_client().await?;
        let logins = (0..PARALLEL).map(|_| crowd.ask_for_token(&client, "root", pod.root_password()));
        let (answers, owner) = tokio::join!(try_join_all(logins), pod.root());
        owner?;
        let answers = answers?;
        for answer in &answers {
            ensure!(answer.status == 200 || told_to_wait(answer)? >= 1, "{}", answer.status);
        }
        ensure!(answers.iter().any(|answer| answer.status == 200), "nobody came in");
        eventually("the crowd is in", SOON, async || {
            crowd.login("root", pod.root_password()).await
        })
        .await?;

        // Nobody knows the password, and they try ten thousand.
        let guessers: Vec<Api> = (0..ADDRESSES).map(|number| visitor(pod, 10 + number)).collect();
        let guesses = stream::iter(0..GUESSES).map(|number| {
            let (guesser, client) = (&guessers[number % ADDRESSES], &client);
            async move {
                let guess = format!("guess {number}");
                guesser.ask_for_token(client, "root", &guess).await
            }
        });
        let guessing = guesses.buffer_unordered(AT_ONCE).try_fold(0_usize, async |looked_at, answer| {
            if answer.status == 400 {
                return Ok(looked_at + 1);
            }
            ensure!(told_to_wait(&answer)? >= 1);
            Ok(looked_at)
        });
        let mut guessing = std::pin::pin!(guessing);
        let mut logins = 0;
        let looked_at = loop {
            tokio::select! {
                looked_at = &mut guessing => break looked_at?,
                owner = pod.root() => { owner?; }
            }
            logins += 1;
        };
        let more = pod.memory_kib()?.saturating_sub(before);
        eprintln!("{looked_at} of {GUESSES} guesses were looked at, the owner logged in {logins} times, {more} KiB more memory");
        ensure!(looked_at <= ADDRESSES * LOOKED_AT, "{looked_at} guesses were looked at");
        ensure!(logins > 0, "the owner never logged in");
        ensure!(more < MEMORY_KIB, "{more} KiB more memory");
        pod.root().await?;

        // The page says the same as the API.
        let form = [("content-type", "application/x-www-form-urlencoded".to_owned())];
        let sent = "username=root&password=guess";
        let page = guessers[0].send_body("POST", "/login", &form, sent, SOON).await?;
        ensure!(told_to_wait(&page)? >= 1 && page.text_whole().contains("try again in"), "{}", page.text());
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn who_is_told_to_wait_so_long_may_try_again_then() {
    TestNet::scenario(1, async |net| {
        let pod = net.pod(1);
        let guesser = visitor(pod, 2);
        let client = guesser.oauth_client().await?;
        let guess = async || guesser.ask_for_token(&client, "nobody", "guess").await;
        for _ in 0..2 {
            let told = loop {
                let answer = guess().await?;
                if answer.status != 400 {
                    break told_to_wait(&answer)?;
                }
            };
            let since = Instant::now();
            let when = eventually("a guess is looked at again", SOON, async || {
                let sent = since.elapsed();
                guess().await?.problem(400)?;
                Ok(sent)
            });
            // It was rounded up.
            let (when, least) = (when.await?, Duration::from_secs(told - 1));
            ensure!(when >= least, "told to wait {told} s, looked at after {when:?}");
        }
        Ok(())
    })
    .await;
}

/// Somebody at another address of this machine.
fn visitor(pod: &Pod, number: usize) -> Api {
    let number = u8::try_from(number).unwrap_or(u8::MAX);
    pod.visitor()
        .from_address(IpAddr::V4(Ipv4Addr::new(127, 0, 0, number)))
}

/// How many seconds an answer tells to wait.
fn told_to_wait(answer: &Answer) -> anyhow::Result<u64> {
    let answer = answer.clone().status(429)?;
    Ok(answer.header("retry-after").parse()?)
}
