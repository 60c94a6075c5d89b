//! What only a network in memory can do on purpose: lose, double, delay, cut, and hear rogues without a codec.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use seedpod_protocol::{codec, limits};

use super::{
    super::memory::{Rogue, Weather},
    *,
};

#[test]
fn what_is_lost_on_the_way_is_not_waited_for_and_comes_again_when_the_weather_is_better() {
    run(async {
        let network = Network::new(1);
        let ground = Ground::Memory(network.clone());
        let patience = Duration::from_millis(50);
        let options = SwarmOptions {
            request_time: patience,
            ..ground.options(1)
        };
        let (a, b) = (ground.pod_with(options, Manner::Drop).await, ground.pod(2).await);
        network.set_weather(Weather {
            loss: 100,
            ..Weather::default()
        });
        let addresses = b.swarm.addresses();
        let ask = || a.swarm.request(b.id, &addresses, Request::ListFriends);
        assert_eq!(ask().await, Err(RequestError::Timeout(patience)));
        network.set_weather(Weather::default());
        assert_eq!(ask().await, Ok(Response::Friends(vec![])));
    });
}

#[test]
fn each_record_is_told_once_though_packets_come_twice_and_overtake_each_other() {
    run(async {
        let network = Network::new(2);
        let ground = Ground::Memory(network.clone());
        let (mut a, mut b) = (ground.pod(1).await, ground.pod(2).await);
        a.swarm.set_friends(vec![b.reachable()]).await;
        b.swarm.set_friends(vec![a.author()]).await;
        a.sees(b.id, true).await;
        b.sees(a.id, true).await;
        network.set_weather(Weather {
            doubling: 100,
            delay: Duration::from_millis(40),
            ..Weather::default()
        });
        let records = 50;
        for seq in 1..=records {
            a.swarm.gossip(Topic::Catalog, record(&key(1), seq)).await;
        }
        let mut heard = Vec::new();
        for _ in 1..=records {
            heard.push(b.envelopes.recv().await.unwrap().envelope.header().seq);
        }
        let in_order: Vec<u64> = (1..=records).collect();
        assert_ne!(heard, in_order, "some overtook others");
        heard.sort_unstable();
        assert_eq!(heard, in_order);
        // Requests come twice as well, and so do answers: one of them counts.
        for _ in 0..20 {
            assert_eq!(
                a.swarm.request(b.id, &[], Request::ListFriends).await,
                Ok(Response::Friends(vec![]))
            );
        }
        assert!(b.envelopes.try_recv().is_err());
    });
}

#[test]
fn a_cut_link_is_missed_and_a_mended_one_found() {
    run(async {
        let network = Network::new(3);
        let ground = Ground::Memory(network.clone());
        let (mut a, b) = (ground.pod(1).await, ground.pod(2).await);
        a.swarm.set_friends(vec![b.reachable()]).await;
        a.sees(b.id, true).await;
        network.cut(a.id, b.id);
        a.sees(b.id, false).await;
        assert_eq!(
            a.swarm
                .request(b.id, &b.swarm.addresses(), Request::ListFriends)
                .await,
            Err(RequestError::Unreachable(b.id))
        );
        network.mend(a.id, b.id);
        a.sees(b.id, true).await;
    });
}

#[test]
fn a_rogue_is_locked_out_as_on_the_real_network() {
    run(async {
        let network = Network::new(4);
        let ground = Ground::Memory(network.clone());
        for (n, noise) in [(1, None), (2, Some(5))] {
            let mut pod = ground.pod(10 + n).await;
            let id = key(n).id();
            let friend = Friend {
                pod: id,
                addresses: vec![],
            };
            pod.swarm.set_friends(vec![friend]).await;
            let mut rogue = Rogue::join(&network, id);
            assert!(rogue.connect(pod.id, &pod.swarm.addresses()));
            match noise {
                None => rogue.gossip(pod.id, tampered(&record(&key(n), 1))),
                Some(times) => (0..times).for_each(|more| rogue.gossip(pod.id, vec![0xff; 10 + more])),
            }
            rogue.until_disconnected().await;
            pod.sees(id, false).await;
            let reason = if noise.is_some() { "malformed" } else { "forged" };
            assert_eq!(pod.metrics.ban_count(reason), 1);
            assert!(!rogue.connect(pod.id, &pod.swarm.addresses()));
            assert!(pod.envelopes.try_recv().is_err());
        }
    });
}

#[test]
fn bytes_that_are_no_request_and_no_answer_are_refused() {
    run(async {
        let network = Network::new(5);
        let ground = Ground::Memory(network.clone());
        let mut pod = ground.pod(2).await;
        let id = key(1).id();
        let mut rogue = Rogue::join(&network, id);
        assert!(rogue.connect(pod.id, &pod.swarm.addresses()));
        pod.sees(id, true).await;
        let asking = pod.swarm.clone();
        let answer = tokio::spawn(async move { asking.request(id, &[], Request::ListFriends).await });
        let number = rogue.asked().await;
        rogue.answer(pod.id, number, vec![0; 100]);
        let answer = answer.await.unwrap();
        assert!(matches!(answer, Err(RequestError::Answer(_))), "{answer:?}");
        // A later version is no fault; too much is, and so is noise.
        for number in 0..10 {
            rogue.ask(pod.id, number, codec::encode(&(1_u64, "a-request-of-tomorrow")));
        }
        for number in 0..5 {
            rogue.ask(pod.id, number, vec![0; limits::REQUEST_MAX + 1]);
        }
        rogue.until_disconnected().await;
        assert_eq!(pod.metrics.ban_count("malformed"), 1);
    });
}
