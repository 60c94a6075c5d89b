//! The majority rule, policies and scores.

use seedpod_protocol::keys::PodKey;

use super::*;

const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

fn pod(seed: u8) -> PodId {
    PodKey::from_seed(&[seed; 32]).id()
}

fn friends(policy: Policy) -> Friends {
    Friends::new(pod(1), policy, 20)
}

fn candidate(seed: u8) -> Candidate {
    Candidate {
        pod: pod(seed),
        host: format!("localhost:900{seed}"),
        url: format!("http://localhost:900{seed}"),
        addresses: vec![format!("/ip4/127.0.0.1/tcp/4{seed}")],
    }
}

/// An asked host that lists some pods.
fn asked(seed: u8, listed: &[u8]) -> Option<(ResolvedHost, Vec<FriendHint>)> {
    let Candidate {
        pod,
        host,
        url,
        addresses,
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
    assert_eq!(friends.asked(&candidate(seed), NOW), Answer::Accept);
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
    for (seed, phase) in [(2, Phase::EndedByUs), (3, Phase::Blocked)] {
        befriended(&mut friends, seed);
        friends.ended(&pod(seed), phase, None, NOW);
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
        let answer = friends.asked(&candidate(2), NOW);
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
    let mut friends = Friends::new(pod(1), Policy::Vouched, 20);
    assert!(friends.asking(&candidate(2), NOW));
    assert!(friends.gained(&candidate(2), NOW));
    friends.stated(pod(9), pod(3), true);
    assert_eq!(
        friends.asked(&candidate(3), NOW),
        Answer::Refuse(Refusal::AskedOperator)
    );
    assert!(!friends.vouched_meanwhile(&pod(3)));
    friends.stated(pod(2), pod(3), true);
    assert!(
        friends.vouched_meanwhile(&pod(3)),
        "the word of a friend may come after the request"
    );
    assert_eq!(friends.asked(&candidate(3), NOW), Answer::Accept);
    friends.stated(pod(2), pod(3), false);
    assert!(!friends.vouched_meanwhile(&pod(3)), "and may be taken back");
    friends.check();
}

#[test]
fn a_pod_that_we_ask_is_accepted_by_any_policy() {
    let mut friends = friends(Policy::Closed);
    assert!(friends.asking(&candidate(2), NOW));
    assert_eq!(friends.asked(&candidate(2), NOW), Answer::Accept);
}

#[test]
fn two_failed_rounds_end_a_friend_that_we_owe_records() {
    let mut friends = friends(Policy::Open);
    befriended(&mut friends, 2);
    friends.owe_everyone();
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
    friends.owe_everyone();
    let acknowledged = RoundResult::Reached { acknowledged: true };
    friends.round_ended(&pod(2), acknowledged, None, false, NOW);
    friends.round_ended(&pod(2), acknowledged, None, true, NOW);
    friends.round_ended(&pod(2), acknowledged, None, true, NOW);
    assert_eq!(friends.get(&pod(2)).expect("listed").score, 30);
    friends.check();
}

#[test]
fn a_round_is_not_begun_twice() {
    let mut friends = friends(Policy::Open);
    befriended(&mut friends, 2);
    assert_eq!(friends.begin_round().len(), 1);
    assert!(friends.begin_round().is_empty());
    assert!(friends.begin_round_with(&pod(2)).is_none());
    friends.round_ended(&pod(2), RoundResult::Failed, None, false, NOW);
    assert_eq!(friends.begin_round().len(), 1);
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
    for end in [Some(Phase::Blocked), Some(Phase::EndedByUs), None] {
        let mut friends = friends(Policy::Open);
        assert_eq!(friends.asked(&candidate(2), NOW), Answer::Accept);
        match end {
            Some(phase) => friends.ended(&pod(2), phase, None, NOW),
            None => friends.forget(&pod(2)),
        }
        assert!(!friends.gained(&candidate(2), NOW), "{end:?}");
        assert_eq!(friends.phase(&pod(2)), end);
        friends.check();
    }
}

#[test]
fn whom_the_operator_removed_comes_back_by_the_operator_alone() {
    let mut friends = friends(Policy::Open);
    befriended(&mut friends, 2);
    friends.ended(&pod(2), Phase::EndedByUs, None, NOW);
    assert_eq!(
        friends.asked(&candidate(2), NOW),
        Answer::Refuse(Refusal::AskedOperator)
    );
    assert_eq!(friends.phase(&pod(2)), Some(Phase::AskedUs));
    friends.ended(&pod(2), Phase::Blocked, None, NOW);
    assert!(!friends.asking(&candidate(2), NOW), "nor does a blocked one");
}

#[test]
fn strangers_cannot_fill_the_list() {
    let mut friends = Friends::new(pod(1), Policy::Ask, 20);
    let stranger = |n: usize| {
        let mut seed = [7; 32];
        seed[..8].copy_from_slice(&n.to_be_bytes());
        Candidate {
            pod: seedpod_protocol::keys::PodKey::from_seed(&seed).id(),
            ..candidate(2)
        }
    };
    for n in 0..MAX_ASKED_US {
        friends.asked(&stranger(n), NOW);
    }
    let full = stranger(MAX_ASKED_US);
    assert_eq!(friends.asked(&full, NOW), Answer::Refuse(Refusal::Busy));
    assert_eq!(friends.phase(&full.pod), None);
    assert!(friends.asking(&full, NOW), "the operator still can");
}

#[test]
fn a_pod_that_left_vouches_for_nobody() {
    let mut friends = Friends::new(pod(1), Policy::Vouched, 20);
    befriend_by_asking(&mut friends, 2);
    friends.stated(pod(2), pod(3), true);
    friends.silenced(&pod(2));
    assert_eq!(
        friends.asked(&candidate(3), NOW),
        Answer::Refuse(Refusal::AskedOperator)
    );
}

#[test]
fn a_yes_of_ours_without_a_friend_is_found() {
    let mut friends = Friends::new(pod(1), Policy::Open, 20);
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
