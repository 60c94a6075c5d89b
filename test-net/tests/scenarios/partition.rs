//! A network that falls in two, three pods on each side, and comes together again: six equal catalogs, soon, and after a restart too.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use futures::future::try_join_all;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use seedpod_test_net::api::Upload;
use seedpod_test_net::clips::Clip;
use seedpod_test_net::net::Ports;
use seedpod_test_net::process::Pod;
use seedpod_test_net::{Options, TestNet, eventually, lan};
use serde_json::json;
use tempfile::TempDir;

use crate::kill_loop::number;
use crate::model::{Known, Model, compare_friends};

/// What a whole network may take to agree once it is one again.
const AGREED_AFTER: Duration = Duration::from_secs(30);

/// What pods need to tell each other everything before they are parted.
const BEFORE: Duration = Duration::from_secs(60);

/// Videos of each pod when the network falls apart.
const FIRST: usize = 5;

/// What happens on each side while they are parted.
const ADDED: usize = 200;
const EDITED: usize = 50;
const REMOVED: usize = 50;

const ALL: [usize; 6] = [1, 2, 3, 4, 5, 6];
const LEFT: [usize; 3] = [1, 2, 3];
const RIGHT: [usize; 3] = [4, 5, 6];

#[tokio::test]
async fn two_halves_that_went_on_apart_agree_when_they_meet_again() {
    if !lan::enter("partition::two_halves_that_went_on_apart_agree_when_they_meet_again").await {
        return;
    }
    let seed = number("SEED", rand::random::<u32>().into());
    eprintln!("partition: SEED={seed}");
    let no_tools = TempDir::new().expect("a temporary folder");
    let options = Options {
        ports: Ports::Lan,
        environment: vec![
            // Nobody is to be let go for being cut off.
            ("SEEDPOD__NETWORK__INITIAL_SCORE".into(), "1000".into()),
            // Without ffmpeg pods read their clips by themselves, which saves this test half a thousand frames.
            ("PATH".into(), no_tools.path().display().to_string()),
        ],
        ..Options::new(6)
    };
    TestNet::scenario_with(options, async |net| {
        run(net, seed).await.with_context(|| format!("SEED={seed}"))
    })
    .await;
}

async fn run(net: &TestNet, seed: u64) -> anyhow::Result<()> {
    let clip = std::fs::read(Clip::Tiny.path().await?)?;
    let mut model = Model::default();
    net.befriend_all().await?;
    let begun = Instant::now();
    happen(net, &mut model, &clip, seed, |_| [FIRST, 0, 0]).await?;
    agree(net, &model, BEFORE).await.context("before")?;
    eprintln!(
        "partition: {} videos on six pods after {:?}",
        model.videos.len(),
        begun.elapsed()
    );

    net.lan()?.cut(&LEFT, &RIGHT).await?;
    let begun = Instant::now();
    happen(net, &mut model, &clip, seed.wrapping_add(1), |number| {
        [ADDED, EDITED, REMOVED].map(|count| share(count, (number - 1) % 3))
    })
    .await?;
    ensure!(model.videos.len() == 6 * FIRST + 2 * (ADDED - REMOVED));
    ensure!(model.removed.len() == 2 * REMOVED);
    // It was a cut: each side knows nothing of what is new on the other.
    for (side, other) in [(LEFT, RIGHT), (RIGHT, LEFT)] {
        let news = model
            .videos
            .iter()
            .filter(|(_, known)| known.name.starts_with("while parted, video"));
        let theirs: Vec<&String> = news
            .filter(|(_, known)| other.contains(&known.origin))
            .map(|(uuid, _)| uuid)
            .collect();
        ensure!(
            theirs.len() > ADDED / 2,
            "{} new videos on {other:?}",
            theirs.len()
        );
        for number in side {
            let known = crate::model::videos_of(&net.pod(number).visitor()).await?;
            ensure!(
                theirs.iter().all(|uuid| !known.contains_key(*uuid)),
                "pod {number} heard of the other side"
            );
        }
    }
    eprintln!("partition: parted for {:?}", begun.elapsed());

    net.lan()?.heal().await?;
    let healed = Instant::now();
    agree(net, &model, AGREED_AFTER)
        .await
        .context("after the network healed")?;
    eprintln!(
        "partition: six pods agreed {:?} after the network healed",
        healed.elapsed()
    );

    try_join_all(net.pods().iter().map(Pod::restart)).await?;
    let restarted = Instant::now();
    agree(net, &model, AGREED_AFTER)
        .await
        .context("after all were restarted")?;
    compare_friends(net.pods()).await?;
    eprintln!(
        "partition: six pods agreed {:?} after all were restarted",
        restarted.elapsed()
    );
    Ok(())
}

/// Waits until all pods are the same, and as they should be.
async fn agree(net: &TestNet, model: &Model, deadline: Duration) -> anyhow::Result<()> {
    eventually("six pods say the same", deadline, async || {
        // The digests first: the lists are long, and of no use while those differ.
        let first = net.pod(1).visitor().state_digest().await?;
        for pod in net.pods() {
            let digest = pod.visitor().state_digest().await?;
            ensure!(
                digest == first,
                "pod {} has {digest}, pod 1 has {first}",
                pod.number()
            );
        }
        model.compare(net, &ALL).await
    })
    .await
}

/// The part that one of three has in a number of things.
fn share(count: usize, which: usize) -> usize {
    count / 3 + usize::from(which < count % 3)
}

/// On every pod at once: so many videos are added, changed and removed, mixed by dice.
async fn happen(
    net: &TestNet,
    model: &mut Model,
    clip: &[u8],
    seed: u64,
    counts: impl Fn(usize) -> [usize; 3],
) -> anyhow::Result<()> {
    let parted = !model.videos.is_empty();
    let lives = net.pods().iter().map(|pod| {
        let number = pod.number();
        let own = model.certain_of(number);
        let dice = StdRng::seed_from_u64(seed.wrapping_mul(31).wrapping_add(number as u64));
        live(pod, own, clip, dice, counts(number), parted)
    });
    for happened in try_join_all(lives).await? {
        for (uuid, known) in happened.published {
            model.videos.insert(uuid, known);
        }
        for (uuid, name) in happened.renamed {
            if let Some(known) = model.videos.get_mut(&uuid) {
                known.name = name;
            }
        }
        for uuid in happened.removed {
            model.remove(&uuid);
        }
    }
    Ok(())
}

#[derive(Default)]
struct Happened {
    published: Vec<(String, Known)>,
    renamed: Vec<(String, String)>,
    removed: Vec<String>,
}

async fn live(
    pod: &Pod,
    mut own: Vec<String>,
    clip: &[u8],
    mut dice: StdRng,
    [mut add, mut edit, mut remove]: [usize; 3],
    parted: bool,
) -> anyhow::Result<Happened> {
    let root = pod.root().await?;
    let mut happened = Happened::default();
    let when = if parted { "while parted" } else { "before" };
    while add + edit + remove > 0 {
        let drawn = dice.random_range(0..add + edit + remove);
        if drawn < add || own.is_empty() {
            add -= 1;
            let name = format!("{when}, video {add} of pod {}", pod.number());
            let upload = Upload::bytes(&name, "clip.mp4", clip.to_vec()).with("tags[]", "partition");
            let video = root.upload(&upload).await?;
            own.push(video.uuid.clone());
            happened
                .published
                .push((video.uuid, Known::new(pod.number(), name)));
            continue;
        }
        let at = dice.random_range(0..own.len());
        let path = format!("/api/v1/videos/{}", own[at]);
        if drawn < add + edit {
            edit -= 1;
            let name = format!("{when}, change {edit} on pod {}", pod.number());
            root.put(&path, &json!({ "name": name, "description": "changed" }))
                .await?
                .status(204)?;
            happened.renamed.push((own[at].clone(), name));
        } else {
            remove -= 1;
            root.delete(&path).await?.status(204)?;
            happened.removed.push(own.swap_remove(at));
        }
    }
    Ok(happened)
}
