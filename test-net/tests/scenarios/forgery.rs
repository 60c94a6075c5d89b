//! The forgery matrix: everything an attacker who is a friend may try against a pod, by every way that envelopes come in.
//!
//! Whatever it is ([`TABLE`]), it changes no digest, is counted exactly once under exactly its reason, reaches no third pod, and
//! costs its sender what it should: nothing, one of five strikes, or its place at once.

mod cbor;
mod table;

use std::collections::BTreeMap;

use anyhow::{Context, ensure};
use futures::future::try_join_all;
use seedpod_protocol::ids::{PodId, VideoId};
use seedpod_protocol::keys::PodKey;
use seedpod_protocol::requests::{Request, Response};
use seedpod_test_net::api::Upload;
use seedpod_test_net::clips::Clip;
use seedpod_test_net::process::Pod;
use seedpod_test_net::{Options, TestNet, eventually};
use serde_json::json;

use self::table::{Fate, Forger, Row, TABLE};
use crate::attacker::{Attacker, address_of};
use crate::steps::{SOON, expect_friends, expect_videos};

/// A way envelopes come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Gossip,
    CatchUp,
    Tell,
}

impl Way {
    const ALL: [Self; 3] = [Self::Gossip, Self::CatchUp, Self::Tell];

    fn label(self) -> &'static str {
        match self {
            Self::Gossip => "gossip",
            Self::CatchUp => "catch_up",
            Self::Tell => "tell",
        }
    }
}

/// Attackers that become friends at the same time.
const AT_ONCE: usize = 8;

#[tokio::test]
async fn whatever_a_friend_forges_is_refused_counted_and_held_against_it() {
    ensure_names_differ();
    let mut options = Options::new(2);
    // Attackers acknowledge nothing: they are to be locked out for what they send, not for their score.
    options.environment = vec![
        ("SEEDPOD__NETWORK__ROUND".to_owned(), "5 s".to_owned()),
        ("SEEDPOD__NETWORK__INITIAL_SCORE".to_owned(), "1000".to_owned()),
    ];
    TestNet::scenario_with(options, async |net| {
        let (pod, third) = (net.pod(1), net.pod(2));
        let video = third
            .root()
            .await?
            .upload(&Upload::file("A third pod's video", &Clip::Tiny.path().await?)?)
            .await?;
        third
            .root()
            .await?
            .post("/api/v1/pods", &json!({ "host": pod.host() }))
            .await?
            .status(204)?;
        expect_friends(net, &[(1, &[2]), (2, &[1])]).await?;
        expect_videos(net, &[&video]).await?;

        let (third_id, _) = address_of(third).await?;
        let attackers = attackers(pod).await?;
        let thirds_record = record_of(&attackers[0], third_id).await?;
        let forgers: Vec<Forger<'_>> = attackers
            .iter()
            .map(|attacker| -> anyhow::Result<_> {
                Ok(Forger {
                    key: &attacker.key,
                    victim: attacker.victim,
                    third: third_id,
                    thirds_video: video.uuid.parse::<VideoId>()?,
                    thirds_record: thirds_record.clone(),
                })
            })
            .collect::<Result<_, _>>()?;
        for (attacker, forger) in attackers.iter().zip(&forgers) {
            attacker.tell(forger.past()).await?;
        }
        expect_quiet(net, attackers.len()).await?;

        let digests = digests(net).await?;
        let at_third = Counts::of(third).await?;
        let mut next = attackers.iter().zip(&forgers);
        let mut faults = Vec::new();
        for row in TABLE {
            let mut attacks = Vec::new();
            for _ in 0..attackers_for(row) {
                attacks.push(next.next().context("an attacker for each row")?);
            }
            if let Err(fault) = try_row(row, pod, &attacks).await {
                faults.push(format!("`{}`: {fault:#}", row.name));
            }
            ensure!(
                self::digests(net).await? == digests,
                "`{}` changes a digest",
                row.name
            );
        }
        ensure!(faults.is_empty(), "{}", faults.join("\n"));
        // A pod that forwards does so at once; what is said last arrives last.
        let marker = Upload::file("After all that", &Clip::Tiny.path().await?)?;
        let marker = pod.root().await?.upload(&marker).await?;
        expect_videos(net, &[&video, &marker]).await?;
        let refused = at_third.until_now(third).await?.refusals();
        ensure!(refused.is_empty(), "the third pod was reached: {refused:?}");
        eprintln!(
            "{} kinds by {} ways, {} attackers",
            TABLE.len(),
            Way::ALL.len(),
            attackers.len()
        );
        expect_equal_digests_but_for_attackers(net).await
    })
    .await;
}

/// Who is locked out at once needs an attacker for each way, the others one for all.
fn attackers_for(row: &Row) -> usize {
    match row.fate {
        Fate::Ban(_) => Way::ALL.len(),
        _ => 1,
    }
}

async fn attackers(pod: &Pod) -> anyhow::Result<Vec<Attacker>> {
    let count: usize = TABLE.iter().map(attackers_for).sum();
    let mut attackers = Vec::new();
    let numbers: Vec<usize> = (0..count).collect();
    for group in numbers.chunks(AT_ONCE) {
        let befriending = group.iter().map(|number| async move {
            let mut seed = [0xa7; 32];
            seed[..8].copy_from_slice(&number.to_be_bytes());
            let attacker = Attacker::connect(PodKey::from_seed(&seed), pod).await?;
            attacker.befriend().await?;
            anyhow::Ok(attacker)
        });
        attackers.extend(try_join_all(befriending).await?);
    }
    Ok(attackers)
}

/// Any record of an author that the pod holds.
async fn record_of(attacker: &Attacker, author: PodId) -> anyhow::Result<Vec<u8>> {
    let pull = Request::Pull { author, after: None };
    match attacker.ask(&pull).await? {
        Response::Page { envelopes, .. } => Ok(envelopes.first().context("a record")?.to_vec()),
        other => anyhow::bail!("no page: {other:?}"),
    }
}

async fn try_row(row: &Row, pod: &Pod, attacks: &[(&Attacker, &Forger<'_>)]) -> anyhow::Result<()> {
    for (index, way) in Way::ALL.into_iter().enumerate() {
        let (attacker, forger) = attacks[index % attacks.len()];
        let bytes = (row.bytes)(forger);
        let before = Counts::of(pod).await?;
        deliver(attacker, way, vec![bytes]).await?;
        let mut expected = expected(row, way);
        if let Fate::Ban(reason) = row.fate {
            expected.insert(format!("seedpod_swarm_bans_total{{reason=\"{reason}\"}}"), 1);
        }
        before
            .expect_more(pod, &expected)
            .await
            .with_context(|| format!("by {way:?}"))?;
        if matches!(row.fate, Fate::Ban(_)) {
            attacker
                .expect_locked_out()
                .await
                .with_context(|| format!("by {way:?}"))?;
        }
    }
    if row.fate == Fate::Strike {
        let (attacker, forger) = attacks[0];
        let before = Counts::of(pod).await?;
        for _ in 0..2 {
            deliver(attacker, Way::Tell, vec![(row.bytes)(forger)]).await?;
        }
        let refused = refused(row, Way::Tell);
        let locked_out = "seedpod_swarm_bans_total{reason=\"malformed\"}".to_owned();
        before
            .expect_more(pod, &BTreeMap::from([(refused, 2), (locked_out, 1)]))
            .await
            .context("the fifth")?;
        attacker.expect_locked_out().await.context("the fifth")?;
    }
    Ok(())
}

async fn deliver(attacker: &Attacker, way: Way, envelopes: Vec<Vec<u8>>) -> anyhow::Result<()> {
    match way {
        Way::Gossip => {
            for envelope in envelopes {
                attacker.gossip(envelope).await?;
            }
            Ok(())
        }
        Way::CatchUp => {
            attacker.answer_catch_up(envelopes).await?;
            eventually("the pod asks for records", SOON, async || {
                ensure!(attacker.was_asked(), "it has not asked");
                Ok(())
            })
            .await
        }
        Way::Tell => attacker.tell(envelopes).await,
    }
}

/// What is counted when a row is tried once, bans left out.
fn expected(row: &Row, way: Way) -> BTreeMap<String, u64> {
    let verdict = match row.fate {
        Fate::Ban(_) | Fate::Strike => "reject",
        Fate::Ignore | Fate::Offered(_) => "ignore",
    };
    let mut expected = BTreeMap::new();
    if let Fate::Offered(outcome) = row.fate {
        expected.insert(
            format!("seedpod_catalog_offered_total{{outcome=\"{outcome}\"}}"),
            1,
        );
    } else {
        expected.insert(refused(row, way), 1);
    }
    if way == Way::Gossip {
        let reason = row.reason;
        expected.insert(
            format!("seedpod_swarm_gossip_total{{verdict=\"{verdict}\",reason=\"{reason}\"}}"),
            1,
        );
    }
    expected
}

fn refused(row: &Row, way: Way) -> String {
    let (way, reason) = (way.label(), row.reason);
    format!("seedpod_swarm_refused_total{{way=\"{way}\",reason=\"{reason}\"}}")
}

/// What a pod has counted of envelopes and bans.
struct Counts(BTreeMap<String, u64>);

impl Counts {
    const FAMILIES: [&str; 4] = [
        "seedpod_swarm_refused_total",
        "seedpod_swarm_gossip_total",
        "seedpod_swarm_bans_total",
        "seedpod_catalog_offered_total",
    ];

    async fn of(pod: &Pod) -> anyhow::Result<Self> {
        let text = String::from_utf8(pod.visitor().get("/metrics").await?.status(200)?.body)?;
        let counted = text
            .lines()
            .filter(|line| Self::FAMILIES.iter().any(|family| line.starts_with(family)))
            .map(|line| {
                let (name, value) = line.rsplit_once(' ').context("a name and a value")?;
                Ok((name.to_owned(), value.parse()?))
            });
        counted.collect::<anyhow::Result<_>>().map(Self)
    }

    /// What has been added since.
    async fn until_now(&self, pod: &Pod) -> anyhow::Result<Self> {
        let mut now = Self::of(pod).await?;
        for (name, value) in &self.0 {
            if let Some(later) = now.0.get_mut(name) {
                *later -= value;
            }
        }
        now.0.retain(|_, added| *added > 0);
        Ok(now)
    }

    /// Waits until exactly this has been added.
    async fn expect_more(&self, pod: &Pod, expected: &BTreeMap<String, u64>) -> anyhow::Result<()> {
        eventually("it is counted", SOON, async || {
            let added = self.until_now(pod).await?.0;
            ensure!(added == *expected, "counted {added:?}, expected {expected:?}");
            Ok(())
        })
        .await
    }

    /// Whatever is no good record taken in.
    fn refusals(mut self) -> BTreeMap<String, u64> {
        self.0
            .retain(|name, _| !name.contains("verdict=\"accept\"") && !name.contains("outcome=\"applied\""));
        self.0
    }
}

async fn digests(net: &TestNet) -> anyhow::Result<Vec<String>> {
    let digests = net
        .pods()
        .iter()
        .map(|pod| async move { pod.visitor().state_digest().await });
    try_join_all(digests).await
}

/// Waits until the pod knows all attackers with their past, and both pods hold the same of each other.
async fn expect_quiet(net: &TestNet, attackers: usize) -> anyhow::Result<()> {
    eventually("the attackers are friends with a past", SOON, async || {
        let authors = authors(net.pod(1)).await?;
        let with_past = authors.values().filter(|(_, records)| *records == 3).count();
        ensure!(with_past >= attackers, "{with_past} of {attackers}");
        Ok(())
    })
    .await?;
    expect_equal_digests_but_for_attackers(net).await
}

/// Waits until both pods hold the same records of each other.
async fn expect_equal_digests_but_for_attackers(net: &TestNet) -> anyhow::Result<()> {
    eventually("both pods hold the same of each other", SOON, async || {
        let first = authors(net.pod(1)).await?;
        for (author, held) in authors(net.pod(2)).await? {
            ensure!(first.get(&author) == Some(&held), "{author} differs");
        }
        Ok(())
    })
    .await
}

/// Root and number of records of each author in a pod's digest.
async fn authors(pod: &Pod) -> anyhow::Result<BTreeMap<String, (String, u64)>> {
    let path = "/api/v1/server/state-digest";
    let digest: serde_json::Value = pod.visitor().get(path).await?.status(200)?.json()?;
    let authors = digest["authors"].as_array().context("authors")?;
    let text = |value: &serde_json::Value| value.as_str().map(str::to_owned).context("text");
    authors
        .iter()
        .map(|author| {
            let records = author["records"].as_u64().context("records")?;
            Ok((text(&author["podId"])?, (text(&author["root"])?, records)))
        })
        .collect()
}

fn ensure_names_differ() {
    let mut names: Vec<&str> = TABLE.iter().map(|row| row.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), TABLE.len(), "each row has a name of its own");
}
