//! A really killed process: a child commits and tells its parent what was answered, the parent kills it at any moment.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use super::*;

const ROUNDS: u32 = 6;

/// Run by the test below in a process of its own: eight committers, a line on standard error for each answered commit.
#[tokio::test]
#[ignore = "a part of `nothing_answered_is_lost_by_a_kill`"]
async fn commit_until_killed() {
    let folder = PathBuf::from(std::env::var_os("STORE_TEST_FOLDER").expect("set by the other test"));
    let round: u32 = std::env::var("STORE_TEST_ROUND").unwrap().parse().unwrap();
    let store = Store::open(&folder, snapshots::eager()).unwrap();
    let committers = (0..8_u32).map(|committer| {
        let store = store.clone();
        tokio::spawn(async move {
            for number in 0_u32.. {
                let key = format!("{round}/{committer}/{number}");
                let mut both = put(META, key.clone(), "meta");
                both.put(RECORDS, key.clone(), vec![1; 100]);
                store.commit(both).await.unwrap();
                writeln!(std::io::stderr(), "answered {key}").unwrap();
            }
        })
    });
    for committer in committers.collect::<Vec<_>>() {
        committer.await.unwrap();
    }
}

#[test]
fn nothing_answered_is_lost_by_a_kill() {
    let scratch = Scratch::new();
    let mut answered = Vec::new();
    for round in 0..ROUNDS {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "store::tests::kill::commit_until_killed",
                "--ignored",
                "--nocapture",
            ])
            .env("STORE_TEST_FOLDER", scratch.path())
            .env("STORE_TEST_ROUND", round.to_string())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let enough = answered.len() + 37 * (1 + usize::try_from(round).unwrap());
        let mut note = |line: String| {
            let key = line
                .strip_prefix("answered ")
                .unwrap_or_else(|| panic!("the child says: {line}"));
            answered.push(key.to_owned());
            answered.len()
        };
        while note(lines.next().expect("the child lives until it is killed").unwrap()) < enough {}
        child.kill().unwrap(); // SIGKILL
        child.wait().unwrap();
        // What it had said before it died counts as well; its very last line may be cut.
        let rest: Vec<String> = lines.map_while(Result::ok).collect();
        let whole = rest.len().saturating_sub(1);
        for line in rest.into_iter().take(whole) {
            note(line);
        }

        let store = scratch.open().unwrap();
        for key in &answered {
            assert!(
                store.get(META, key.as_bytes()).unwrap().is_some(),
                "{key} was answered and is lost"
            );
        }
        assert_eq!(store.len(META), store.len(RECORDS), "a transaction was split");
    }
}
