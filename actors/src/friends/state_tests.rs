//! The majority rule, policies and scores.

use seedpod_protocol::keys::PodKey;

use super::super::surplus::{MAX_ENDED_STRANGERS, Surplus};
use super::*;

const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

/// A round of the test profile.
const ROUND: Duration = Duration::from_secs(10);

fn pod(seed: u8) -> PodId {
    PodKey::from_seed(&[seed; 32]).id()
}

fn friends(policy: Policy) -> Friends {
    Friends::new(pod(1), policy, 20, ROUND)
}

fn candidate(seed: u8) -> Candidate {
    Candidate {
        pod: pod(seed),
        host: format!("localhost:900{seed}"),
        url: format!("http://localhost:900{seed}"),
        addresses: vec![format!("/ip4/127.0.0.1/tcp/4{seed}")],
        version: "0.1.0".to_owned(),
        invite: None,
    }
}

/// An asked host that lists some pods.
fn asked(seed: u8, listed: &[u8]) -> Option<(ResolvedHost, Vec<FriendHint>)> {
    let Candidate {
        pod,
        host,
        url,
        addresses,
        version,
        ..
    } = candidate(seed);
    let hints = listed
        .iter()
        .map(|listed| {
            let Candidate {
                pod, host, addresses, ..
            } = candidate(*listed);
            FriendHint { pod, host, addresses }
        })
        .collect();
    Some((
        ResolvedHost {
            pod,
            host,
            url,
            name: String::new(),
            version,
            addresses,
        },
        hints,
    ))
}

fn chosen(friends: &Friends, lists: &[Option<(ResolvedHost, Vec<FriendHint>)>]) -> BTreeSet<String> {
    friends
        .choose(lists)
        .into_iter()
        .map(|candidate| candidate.host)
        .collect()
}

fn hosts(seeds: &[u8]) -> BTreeSet<String> {
    seeds.iter().map(|seed| format!("localhost:900{seed}")).collect()
}

/// Goes through a handshake.
fn befriended(friends: &mut Friends, seed: u8) {
    assert_eq!(friends.asked(&candidate(seed), None, NOW), Answer::Accept);
    assert!(friends.gained(&candidate(seed), NOW));
    friends.check();
}

#[test]
fn asking_one_pod_gives_its_whole_list() {
    assert_eq!(
        chosen(&friends(Policy::Open), &[asked(2, &[3, 4])]),
        hosts(&[2, 3, 4])
    );
}

#[test]
fn asking_two_groups_that_know_nothing_of_each_other_gives_nobody() {
    assert_eq!(
        chosen(&friends(Policy::Open), &[asked(2, &[4]), asked(3, &[5])]),
        hosts(&[])
    );
}

#[test]
fn hosts_that_could_not_be_asked_count_as_asked() {
    assert_eq!(chosen(&friends(Policy::Open), &[asked(2, &[]), None]), hosts(&[]));
    assert_eq!(
        chosen(&friends(Policy::Open), &[asked(2, &[3]), asked(3, &[2]), None]),
        hosts(&[2, 3])
    );
}

#[test]
fn a_host_has_one_point_for_each_pod_however_often_it_lists_it() {
    assert_eq!(
        chosen(&friends(Policy::Open), &[asked(2, &[4, 4, 4]), asked(3, &[])]),
        hosts(&[])
    );
}

#[test]
fn nobody_is_befriended_that_the_operator_turned_away() {
    let mut friends = friends(Policy::Open);
    for (seed, event) in [(2, Event::Remove), (3, Event::Block)] {
        befriended(&mut friends, seed);
        friends.happened(&pod(seed), event, NOW);
    }
    assert_eq!(
        chosen(&friends, &[asked(4, &[1, 2, 3])]),
        hosts(&[4]),
        "nor this pod itself"
    );
    assert_eq!(
        chosen(&friends, &[asked(2, &[])]),
        hosts(&[2]),
        "one that was removed comes back when named"
    );
    assert_eq!(
        chosen(&friends, &[asked(3, &[])]),
        hosts(&[]),
        "a blocked one does not"
    );
}

#[test]
fn each_policy_answers_a_stranger_in_its_own_way() {
    let answer = |policy| {
        let mut friends = friends(policy);
        let answer = friends.asked(&candidate(2), None, NOW);
        friends.check();
        (answer, friends.phase(&pod(2)))
    };
    assert_eq!(answer(Policy::Open), (Answer::Accept, Some(Phase::Asking)));
    assert_eq!(answer(Policy::Closed), (Answer::Refuse(Refusal::Closed), None));
    let operator = (Answer::Refuse(Refusal::AskedOperator), Some(Phase::AskedUs));
    assert_eq!(answer(Policy::Ask), operator);
    assert_eq!(answer(Policy::Vouched), operator);
}

#[test]
fn a_friend_vouches_and_a_stranger_does_not() {
    let mut friends = Friends::new(pod(1), Policy::Vouched, 20, ROUND);
    assert!(friends.asking(&candidate(2), NOW));
    assert!(friends.gained(&candidate(2), NOW));
    friends.stated(pod(9), pod(3), true);
    assert_eq!(
        friends.asked(&candidate(3), None, NOW),
        Answer::Refuse(Refusal::AskedOperator)
    );
    assert!(!friends.vouched_meanwhile(&pod(3)));
    friends.stated(pod(2), pod(3), true);
    assert!(
        friends.vouched_meanwhile(&pod(3)),
        "the word of a friend may come after the request"
    );
    assert_eq!(friends.asked(&candidate(3), None, NOW), Answer::Accept);
    friends.stated(pod(2), pod(3), false);
    assert!(!friends.vouched_meanwhile(&pod(3)), "and may be taken back");
    friends.check();
}

#[test]
fn a_pod_that_we_ask_is_accepted_by_any_policy() {
    let mut friends = friends(Policy::Closed);
    assert!(friends.asking(&candidate(2), NOW));
    assert_eq!(friends.asked(&candidate(2), None, NOW), Answer::Accept);
}

#[test]
fn two_failed_rounds_end_a_friend_that_we_owe_records() {
    let mut friends = friends(Policy::Open);
    befriended(&mut friends, 2);
    friends.holds_own(register(1), true);
    let mut fail = |counts| {
        friends.round_ended(
            &pod(2),
            RoundResult::Failed,
            Some("timed out".into()),
            counts,
            NOW,
        )
    };
    assert!(!fail(false), "between rounds nothing is counted");
    assert!(!fail(true));
    assert!(fail(true));
}

#[test]
fn a_round_without_anything_owed_counts_for_nothing() {
    let mut friends = friends(Policy::Open);
    befriended(&mut friends, 2);
    for _ in 0..10 {
        assert!(!friends.round_ended(&pod(2), RoundResult::Failed, None, true, NOW));
    }
    assert_eq!(friends.get(&pod(2)).expect("listed").score, 20);
}

#[test]
fn what_is_acknowledged_raises_the_score_once_a_round() {
    let mut friends = friends(Policy::Open);
    befriended(&mut friends, 2);
    friends.holds_own(register(1), true);
    let acknowledged = RoundResult::Reached { acknowledged: true };
    for counts in [false, true, true] {
        friends.begin_round(NOW);
        friends.round_ended(&pod(2), acknowledged, None, counts, NOW);
    }
    assert_eq!(friends.get(&pod(2)).expect("listed").score, 30);
    friends.check();
}

#[test]
fn a_round_is_not_begun_twice() {
    let mut friends = friends(Policy::Open);
    befriended(&mut friends, 2);
    assert_eq!(friends.begin_round(NOW).len(), 1);
    assert!(friends.begin_round(NOW).is_empty());
    assert!(friends.begin_round_with(&pod(2)).is_none());
    friends.round_ended(&pod(2), RoundResult::Failed, None, false, NOW);
    assert_eq!(friends.begin_round(NOW).len(), 1);
}

#[test]
fn entries_survive_being_stored() {
    let mut friends = friends(Policy::Open);
    befriended(&mut friends, 2);
    let held = friends.get(&pod(2)).expect("listed").clone();
    let row = super::super::records::encode(&held);
    let (pod_again, entry) = super::super::records::decode(pod(2).as_bytes(), &row).expect("readable");
    assert_eq!((pod_again, entry), (pod(2), held));
    assert!(
        super::super::records::decode(pod(2).as_bytes(), &[9]).is_err(),
        "a later version is refused"
    );
}

#[test]
fn a_pod_that_was_connected_before_it_became_a_friend_is_shown_as_connected() {
    let mut friends = friends(Policy::Open);
    assert!(friends.heard(pod(2), true, None, NOW));
    assert!(!friends.heard(pod(2), true, Some(3), NOW), "it was here already");
    befriended(&mut friends, 2);
    let shown = &friends.list()[0];
    assert_eq!((shown.connected, shown.rtt_ms), (true, Some(3)));
    friends.heard(pod(2), false, None, NOW);
    assert!(!friends.list()[0].connected);
}

#[test]
fn what_the_operator_ended_meanwhile_is_not_gained() {
    for (event, phase) in [
        (Event::Block, Some(Phase::Blocked)),
        (Event::Remove, None),
        (Event::Quit, None),
    ] {
        let mut friends = friends(Policy::Open);
        assert_eq!(friends.asked(&candidate(2), None, NOW), Answer::Accept);
        friends.happened(&pod(2), event, NOW);
        assert!(!friends.gained(&candidate(2), NOW), "{event:?}");
        assert_eq!(friends.phase(&pod(2)), phase);
        friends.check();
    }
}

#[test]
fn whom_the_operator_removed_comes_back_by_the_operator_alone() {
    for policy in [Policy::Open, Policy::Vouched] {
        let mut friends = friends(policy);
        befriend_by_asking(&mut friends, 2);
        befriend_by_asking(&mut friends, 3);
        friends.stated(pod(3), pod(2), true);
        friends.happened(&pod(2), Event::Remove, NOW);
        for _ in 0..3 {
            let answer = friends.asked(&candidate(2), None, NOW);
            assert_eq!(answer, Answer::Refuse(Refusal::AskedOperator), "{policy:?}");
            assert_eq!(friends.phase(&pod(2)), Some(Phase::AskedUs));
            assert!(!friends.vouched_meanwhile(&pod(2)));
            assert_eq!(
                friends.surplus(after_days(60)),
                Surplus::default(),
                "not forgotten"
            );
            let row = super::super::records::encode(friends.get(&pod(2)).expect("listed"));
            let (_, read) = super::super::records::decode(pod(2).as_bytes(), &row).expect("readable");
            friends.restore(pod(2), read);
        }
        friends.refuse(&pod(2), NOW);
        assert_eq!(
            friends.phase(&pod(2)),
            Some(Phase::EndedByUs),
            "and not a stranger"
        );
        assert!(friends.asking(&candidate(2), NOW), "the operator's word");
        assert!(friends.gained(&candidate(2), NOW));
        friends.check();
    }
}

#[test]
fn a_blocked_one_is_not_asked() {
    let mut friends = friends(Policy::Open);
    befriended(&mut friends, 2);
    friends.happened(&pod(2), Event::Block, NOW);
    assert!(!friends.asking(&candidate(2), NOW));
}

#[test]
fn what_was_chosen_before_the_operator_quit_or_removed_it_is_not_asked_any_more() {
    let mut friends = friends(Policy::Open);
    let chosen = |number, named, quits| Chosen {
        candidate: candidate(number),
        named,
        quits,
    };
    let before = friends.quits();
    befriended(&mut friends, 2);
    friends.happened(&pod(2), Event::Remove, NOW);
    assert!(
        !friends.asking_chosen(&chosen(2, false, before), NOW),
        "only listed"
    );
    assert!(friends.asking_chosen(&chosen(2, true, before), NOW), "named");
    befriended(&mut friends, 3);
    assert_eq!(
        friends.quit(),
        [pod(2), pod(3)]
            .into_iter()
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect::<Vec<_>>()
    );
    assert!(!friends.asking_chosen(&chosen(4, true, before), NOW));
    assert!(friends.asking_chosen(&chosen(4, true, friends.quits()), NOW));
}

#[test]
fn a_number_is_not_given_again_after_a_restart() {
    let mut before = friends(Policy::Open);
    assert!(before.asking(&candidate(2), NOW));
    // Its entry is deleted, and the pod starts again.
    let mut after = friends(Policy::Open);
    after.go_on_from(before.numbers());
    assert!(after.asking(&candidate(3), NOW));
    assert_eq!(after.get(&pod(3)).map(|entry| entry.number), Some(2));
}

#[test]
fn a_failed_handshake_leaves_what_was_before() {
    let mut friends = friends(Policy::Open);
    assert!(friends.asking(&candidate(2), NOW));
    assert_eq!(
        friends.handshake_failed(&pod(2), None),
        Undo::Forget,
        "it was none before"
    );
    let entry = |phase| Entry {
        phase,
        ..friends.get(&pod(2)).expect("listed").clone()
    };
    for (before, undo) in [
        (Phase::Ejected, Undo::Eject),
        (Phase::AskedUs, Undo::Restore),
        (Phase::EndedByUs, Undo::Restore),
        (Phase::Asking, Undo::Forget),
    ] {
        assert_eq!(
            friends.handshake_failed(&pod(2), Some(&entry(before))),
            undo,
            "{before:?}"
        );
    }
    assert!(friends.gained(&candidate(2), NOW));
    assert_eq!(
        friends.handshake_failed(&pod(2), None),
        Undo::Nothing,
        "they asked us meanwhile"
    );
    friends.happened(&pod(2), Event::Remove, NOW);
    assert_eq!(friends.handshake_failed(&pod(2), None), Undo::Unsay);
}

#[test]
fn strangers_cannot_fill_the_list() {
    let mut friends = Friends::new(pod(1), Policy::Ask, 20, ROUND);
    let stranger = |n: usize| {
        let mut seed = [7; 32];
        seed[..8].copy_from_slice(&n.to_be_bytes());
        Candidate {
            pod: seedpod_protocol::keys::PodKey::from_seed(&seed).id(),
            ..candidate(2)
        }
    };
    for n in 0..MAX_ASKED_US {
        friends.asked(&stranger(n), None, NOW);
    }
    let full = stranger(MAX_ASKED_US);
    assert_eq!(friends.asked(&full, None, NOW), Answer::Refuse(Refusal::Busy));
    assert_eq!(friends.phase(&full.pod), None);
    assert!(friends.asking(&full, NOW), "the operator still can");
}

#[test]
fn a_pod_that_left_vouches_for_nobody() {
    let mut friends = Friends::new(pod(1), Policy::Vouched, 20, ROUND);
    befriend_by_asking(&mut friends, 2);
    friends.stated(pod(2), pod(3), true);
    friends.silenced(&pod(2));
    assert_eq!(
        friends.asked(&candidate(3), None, NOW),
        Answer::Refuse(Refusal::AskedOperator)
    );
}

#[test]
fn a_yes_of_ours_without_a_friend_is_found() {
    let mut friends = Friends::new(pod(1), Policy::Open, 20, ROUND);
    befriend_by_asking(&mut friends, 2);
    for about in [2, 3] {
        friends.stated(pod(1), pod(about), true);
    }
    assert_eq!(friends.unmeant(), vec![pod(3)]);
    friends.stated(pod(1), pod(3), false);
    assert!(friends.unmeant().is_empty());
}

fn befriend_by_asking(friends: &mut Friends, seed: u8) {
    assert!(friends.asking(&candidate(seed), NOW));
    assert!(friends.gained(&candidate(seed), NOW));
}

fn register(number: u8) -> RegisterKey {
    RegisterKey::from_bytes([number; RegisterKey::LEN])
}

fn after_days(days: u64) -> Timestamp {
    Timestamp::from_millis(NOW.as_millis() + days * 24 * 60 * 60 * 1000)
}

/// Fails every round that counts until the friend is to be ejected; answers after how many hours that is.
fn hours_until_ejection(round: Duration, initial_score: u32) -> f64 {
    let mut friends = Friends::new(pod(1), Policy::Open, initial_score, round);
    befriended(&mut friends, 2);
    friends.holds_own(register(1), true);
    let mut now = NOW;
    for _ in 0..100_000 {
        for due in friends.begin_round(now) {
            let why = Some("timed out".to_owned());
            if friends.round_ended(&due.pod, RoundResult::Failed, why, due.counts, now) {
                let millis = u32::try_from(now.as_millis() - NOW.as_millis()).expect("not weeks");
                return f64::from(millis) / 3_600_000.0;
            }
        }
        now = later(now, Duration::from_secs(2).max(round / 20));
    }
    panic!("never ejected");
}

#[test]
fn ejection_takes_days_and_seconds_in_a_test_net() {
    let days = hours_until_ejection(Duration::from_secs(600), 100) / 24.0;
    assert!((3.0..5.0).contains(&days), "{days} days");
    let seconds = hours_until_ejection(ROUND, 20) * 3600.0;
    assert!((15.0..60.0).contains(&seconds), "{seconds} s");
}

#[test]
fn one_that_does_not_answer_is_asked_rarely_and_at_once_when_it_is_here() {
    let mut friends = Friends::new(pod(1), Policy::Open, 100, Duration::from_secs(600));
    befriended(&mut friends, 2);
    friends.holds_own(register(1), true);
    let minutes = |minutes: u64| later(NOW, Duration::from_secs(60 * minutes));
    assert_eq!(friends.begin_round(NOW).len(), 1);
    friends.round_ended(&pod(2), RoundResult::Failed, None, false, NOW);
    let due = friends.begin_round(minutes(10));
    assert!(due[0].counts);
    friends.round_ended(&pod(2), RoundResult::Failed, None, true, minutes(10));
    assert_eq!(friends.begin_round(minutes(20)), vec![], "twice as long now");
    assert!(friends.heard(pod(2), true, None, minutes(21)));
    assert_eq!(friends.begin_round(minutes(21)).len(), 1, "it is here");
    let reached = RoundResult::Reached { acknowledged: true };
    friends.round_ended(&pod(2), reached, None, false, minutes(21));
    friends.heard(pod(2), false, None, minutes(22));
    assert_eq!(friends.begin_round(minutes(22)).len(), 1, "and forgiven");
}

#[test]
fn a_clock_that_was_set_back_stops_no_rounds() {
    let mut friends = friends(Policy::Open);
    befriended(&mut friends, 2);
    friends.begin_round(after_days(365));
    friends.round_ended(&pod(2), RoundResult::Failed, None, false, after_days(365));
    assert!(friends.begin_round(NOW)[0].counts);
}

#[test]
fn a_score_says_why_it_moved() {
    let mut friends = friends(Policy::Open);
    befriended(&mut friends, 2);
    friends.holds_own(register(1), true);
    let why = Some("timed out".to_owned());
    friends.round_ended(&pod(2), RoundResult::Failed, why, true, NOW);
    let change = friends.list()[0].changed.clone().expect("it moved");
    assert_eq!(change.by, -10);
    assert_eq!(change.reason, ScoreReason::Unreachable("timed out".to_owned()));
    let row = super::super::records::encode(friends.get(&pod(2)).expect("listed"));
    let (_, read) = super::super::records::decode(pod(2).as_bytes(), &row).expect("readable");
    assert_eq!(read.changed, Some(change));
}

#[test]
fn what_a_friend_has_not_acknowledged_is_counted_by_register() {
    let mut friends = friends(Policy::Open);
    friends.holds_own(register(1), false);
    befriended(&mut friends, 2);
    assert_eq!(friends.unacknowledged(&pod(2)), 1, "nothing is known yet");
    friends.begin_round(NOW);
    friends.holds_own(register(2), true);
    let reached = RoundResult::Reached { acknowledged: true };
    friends.round_ended(&pod(2), reached, None, false, NOW);
    assert_eq!(
        friends.unacknowledged(&pod(2)),
        1,
        "said after the question was sent"
    );
    friends.round_ended(&pod(2), RoundResult::Failed, None, true, NOW);
    let score = friends.get(&pod(2)).expect("listed").score;
    assert_eq!(score, 10, "one that went away without it owes it");
    friends.holds_own(register(2), true);
    assert_eq!(friends.unacknowledged(&pod(2)), 1, "the same thing again");
}

fn ejected(friends: &mut Friends, seed: u8, now: Timestamp) {
    befriended(friends, seed);
    assert!(friends.happened(&pod(seed), Event::ScoreSpent, now));
}

#[test]
fn an_ejected_friend_is_kept_for_thirty_days() {
    let mut friends = friends(Policy::Closed);
    assert!(friends.asking(&candidate(2), NOW));
    assert!(friends.gained(&candidate(2), NOW));
    friends.happened(&pod(2), Event::ScoreSpent, NOW);
    friends.stated(pod(1), pod(2), true);
    assert!(friends.unmeant().is_empty(), "our yes stands");
    assert_eq!(friends.surplus(after_days(29)), Surplus::default());
    assert_eq!(friends.surplus(after_days(30)).part, vec![pod(2)]);
    assert_eq!(
        friends.asked(&candidate(2), None, after_days(29)),
        Answer::Accept,
        "whatever the policy"
    );
    assert!(friends.gained(&candidate(2), after_days(29)));
    assert_eq!(friends.get(&pod(2)).expect("listed").score, 20);
}

#[test]
fn the_majority_brings_no_ejected_friend_back_and_its_name_does() {
    let mut friends = friends(Policy::Open);
    ejected(&mut friends, 2, NOW);
    assert_eq!(chosen(&friends, &[asked(3, &[2])]), hosts(&[3]));
    assert_eq!(chosen(&friends, &[asked(2, &[])]), hosts(&[2]));
}

#[test]
fn one_that_let_us_go_is_asked_again_when_it_is_named() {
    let mut friends = friends(Policy::Open);
    befriended(&mut friends, 2);
    assert_eq!(chosen(&friends, &[asked(2, &[])]), hosts(&[]), "a friend already");
    friends.round_ended(&pod(2), RoundResult::Refused, None, false, NOW);
    assert!(!friends.list()[0].lets_us_in);
    assert_eq!(chosen(&friends, &[asked(2, &[])]), hosts(&[2]));
    assert_eq!(chosen(&friends, &[asked(3, &[2])]), hosts(&[3]));
    assert!(friends.gained(&candidate(2), NOW));
    assert!(friends.list()[0].lets_us_in);
}

fn stranger(n: usize) -> Candidate {
    let mut seed = [9; 32];
    seed[..8].copy_from_slice(&n.to_be_bytes());
    Candidate {
        pod: seedpod_protocol::keys::PodKey::from_seed(&seed).id(),
        ..candidate(2)
    }
}

#[test]
fn strangers_that_are_over_make_room_oldest_first_and_nobody_else_does() {
    let mut friends = friends(Policy::Open);
    let at = |n: usize| Timestamp::from_millis(NOW.as_millis() + n as u64);
    // Blocked, removed and asked by the operator, and a friend: older than all strangers.
    for seed in 2..6 {
        befriended(&mut friends, seed);
    }
    friends.happened(&pod(3), Event::Block, NOW);
    friends.happened(&pod(4), Event::Remove, NOW);
    assert!(friends.asking(&candidate(6), NOW) && friends.gained(&candidate(6), NOW));
    friends.happened(&pod(6), Event::TheyEnded, NOW);
    let known = [2, 3, 4, 5, 6];
    for n in 0..MAX_ENTRIES - known.len() {
        let stranger = stranger(n);
        assert_eq!(friends.asked(&stranger, None, at(n)), Answer::Accept);
        assert!(friends.gained(&stranger, at(n)));
        friends.happened(&stranger.pod, Event::TheyEnded, at(n));
    }
    let newcomer = stranger(MAX_ENTRIES);
    assert_eq!(friends.asked(&newcomer, None, NOW), Answer::Refuse(Refusal::Busy));
    assert_eq!(friends.make_room(&stranger(1).pod), None, "it is on the list");
    assert_eq!(friends.make_room(&newcomer.pod), Some(stranger(0).pod));
    assert_eq!(friends.asked(&newcomer, None, NOW), Answer::Accept);
    friends.check();

    let surplus = friends.surplus(at(MAX_ENTRIES));
    let over = MAX_ENTRIES - known.len() - 1;
    assert_eq!(surplus.forget.len(), over - MAX_ENDED_STRANGERS);
    assert!(surplus.forget.contains(&stranger(1).pod));
    assert!(!surplus.forget.contains(&stranger(over).pod));
    let named: Vec<PodId> = known.iter().map(|seed| pod(*seed)).collect();
    assert!(surplus.forget.iter().all(|pod| !named.contains(pod)));
    assert!(surplus.part.is_empty());
}

#[test]
fn a_request_waits_for_thirty_days() {
    let mut friends = friends(Policy::Ask);
    friends.asked(&candidate(2), None, NOW);
    assert_eq!(friends.surplus(after_days(29)), Surplus::default());
    assert_eq!(friends.surplus(after_days(30)).forget, vec![pod(2)]);
}

#[test]
fn an_invite_lets_in_whom_nobody_vouches_for_unless_the_operator_said_no() {
    let id = InviteId::from_bytes([1; 16]);
    let with_invite = |policy| {
        let mut friends = friends(policy);
        let invite = super::super::invites::Invite {
            number: 1,
            label: String::new(),
            created: NOW,
            expires: None,
            uses: 1,
            used_by: Vec::new(),
            link: String::new(),
        };
        friends.invites.insert(id, invite);
        friends
    };
    for policy in [Policy::Vouched, Policy::Ask, Policy::Open] {
        let mut friends = with_invite(policy);
        assert_eq!(
            friends.asked(&candidate(2), Some(id), NOW),
            Answer::Accept,
            "{policy:?}"
        );
        assert_eq!(friends.invites.list(NOW)[0].used, 1);
        if policy != Policy::Open {
            let operator = Answer::Refuse(Refusal::AskedOperator);
            assert_eq!(friends.asked(&candidate(3), Some(id), NOW), operator, "used up");
        }
    }
    let mut closed = with_invite(Policy::Closed);
    assert_eq!(
        closed.asked(&candidate(2), Some(id), NOW),
        Answer::Refuse(Refusal::Closed)
    );
    let mut removed = with_invite(Policy::Vouched);
    befriend_by_asking(&mut removed, 2);
    removed.happened(&pod(2), Event::Remove, NOW);
    assert_eq!(
        removed.asked(&candidate(2), Some(id), NOW),
        Answer::Refuse(Refusal::AskedOperator)
    );
    assert_eq!(removed.invites.list(NOW)[0].used, 0);
}
