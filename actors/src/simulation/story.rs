//! What happens in one seed: pods meet, act in foul weather, and get a whole network back.

use std::cell::RefCell;
use std::collections::BTreeMap;

use rand::Rng;
use rand::seq::IndexedRandom;
use seedpod_protocol::envelope::{Draft, Epoch, Kind, Stamp, State};
use seedpod_protocol::ids::{ObjectId, PodId};
use seedpod_protocol::records::{Profile, Record};

use super::disk::Disk;
use super::handshake::Then;
use super::oracle::Oracle;
use super::pod::describe;
use super::world::{Event, FAIR, Millis, Packet, ROUND, World};
use crate::friends::messages::Phase;
use crate::friends::phases;

/// How long the pods may take to agree once the network is whole, in virtual time. A friend with whom looking further was in vain
/// is left alone for up to ten minutes.
const TIME_TO_AGREE: Millis = 25 * 60 * 1_000;

/// What a seed was like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) pods: usize,
    pub(super) events: u64,
    /// From the end of trouble to agreement.
    pub(super) agreed_after: Millis,
    /// Stands for everything that happened.
    pub(super) fingerprint: u64,
}

/// Tells the history of a seed.
///
/// # Panics
/// When something does not hold that must.
pub(super) fn tell(seed: u64, pods: usize) -> Told {
    let mut world = World::new(seed, pods);
    if pods <= FEW {
        world.found_network();
    } else {
        world.begin_founded();
    }
    world.act_in_foul_weather();
    let agreed_after = world.agree();
    world.check_all();
    let digests = (0..pods).map(|pod| world.catalog(pod).digest());
    let fingerprint = digests
        .flat_map(|digest| *digest.as_bytes())
        .fold(world.events ^ (world.now << 20), |sum, byte| {
            sum.rotate_left(5) ^ u64::from(byte)
        });
    Told {
        pods,
        events: world.events,
        agreed_after,
        fingerprint,
    }
}

/// Above this many pods the founding, a handshake for every pair, is told once and begun with in every seed.
const FEW: usize = 12;

/// What a founding leaves behind.
struct Founded {
    disks: Vec<Disk>,
    oracle: Oracle,
}

impl Founded {
    fn with(pods: usize) -> Self {
        let mut world = World::new(0, pods);
        world.found_network();
        (0..pods).for_each(|pod| world.stop(pod));
        Self {
            disks: world.pods.into_iter().map(|pod| pod.disk).collect(),
            oracle: world.oracle,
        }
    }
}

thread_local! {
    static FOUNDED: RefCell<BTreeMap<usize, Founded>> = const { RefCell::new(BTreeMap::new()) };
}

impl World {
    /// Everybody starts with friends.
    fn begin_founded(&mut self) {
        let count = self.pods.len();
        FOUNDED.with_borrow_mut(|known| {
            let founded = known.entry(count).or_insert_with(|| Founded::with(count));
            for (pod, disk) in self.pods.iter_mut().zip(&founded.disks) {
                pod.disk = disk.clone();
            }
            self.oracle = founded.oracle.clone();
        });
        for pod in 0..count {
            self.start(pod);
        }
        self.pass(2 * ROUND);
    }

    /// Almost everybody meets almost everybody.
    fn found_network(&mut self) {
        let foul = std::mem::replace(&mut self.weather, FAIR);
        let count = self.pods.len();
        for pod in 0..count {
            self.start(pod);
        }
        for asked in 1..count {
            for asks in 0..asked {
                if self.dice.random_ratio(19, 20) {
                    self.befriend(asks, asked);
                }
                self.pass(20);
            }
        }
        self.pass(3_000);
        self.weather = foul;
    }

    fn act_in_foul_weather(&mut self) {
        let actions = 16 + 3 * self.pods.len().min(20);
        for nth in 0..actions {
            let pod = self.dice.random_range(0..self.pods.len());
            self.act(pod);
            // It makes digests anew: with many pods it would be most of the work.
            if self.pods.len() <= FEW || nth % 8 == 0 {
                self.check(pod);
            }
            self.pass(1_500);
        }
    }

    /// Some time goes by, at most `longest`.
    fn pass(&mut self, longest: Millis) {
        let time = self.dice.random_range(1..=longest);
        self.run_until(self.now + time);
    }

    fn act(&mut self, pod: usize) {
        let roll = self.dice.random_range(0..100);
        // What happens to the network needs nobody.
        match roll {
            0..4 => return self.tear(),
            4..8 => return self.groups.fill(0),
            8..12 => return self.cut(pod),
            12..16 => return self.cuts.clear(),
            _ if self.pods[pod].run.is_none() => return,
            _ => {}
        }
        match roll {
            16..41 => self.publish_new(pod),
            41..56 => self.publish_again(pod, State::Live),
            56..62 => self.publish_again(pod, State::Withdrawn),
            62..68 => self.publish_again(pod, State::Removed),
            68..76 => {
                let other = self.dice.random_range(0..self.pods.len());
                self.befriend(pod, other);
            }
            76..78 => self.remove_one(pod),
            78 => self
                .friends_of(pod)
                .into_iter()
                .for_each(|friend| self.part(pod, friend, phases::Event::Quit)),
            79..82 => self.twin_says(pod),
            82..86 => self.go_down(pod, Self::crash),
            86..89 => self.go_down(pod, Self::stop),
            89..92 => self.pods[pod].copy = Some(self.pods[pod].disk.clone()),
            92..94 => self.put_back(pod),
            94..98 => self.replay(pod),
            _ => self.forge(pod),
        }
    }

    fn befriend(&mut self, pod: usize, other: usize) {
        let them = self.pods[other].id;
        let Some(run) = &self.pods[pod].run else {
            return;
        };
        let known = run.friends.phase(&them);
        if pod != other && !matches!(known, Some(Phase::Friends | Phase::Asking)) {
            let candidate = self.found(other);
            self.shake_hands(pod, candidate);
        }
    }

    fn remove_one(&mut self, pod: usize) {
        let friends = self.friends_of(pod);
        if let Some(friend) = friends.choose(&mut self.dice) {
            self.part(pod, *friend, phases::Event::Remove);
        }
    }

    fn publish_new(&mut self, pod: usize) {
        let object: [u8; 6] = self.dice.random();
        let object = ObjectId::from_bytes(&object).expect("six bytes");
        let draft = if self.dice.random_ratio(1, 8) {
            self.profile(pod)
        } else {
            self.thing(object, State::Live)
        };
        self.say_publicly(pod, draft);
    }

    fn publish_again(&mut self, pod: usize, state: State) {
        let own = self.own_things(pod);
        if let Some(header) = own.choose(&mut self.dice) {
            let draft = self.thing(header.object, state);
            self.say_publicly(pod, draft);
        }
    }

    fn say_publicly(&mut self, pod: usize, draft: Draft) {
        if let Some(record) = self.publish(pod, draft) {
            self.running(pod).pending.then.push(Then::Published(record));
        }
        self.go_on(pod);
    }

    /// A record of a kind nobody knows, so that any object and state is valid.
    fn thing(&mut self, object: ObjectId, state: State) -> Draft {
        let payload = match state {
            State::Live => {
                let length = self.dice.random_range(1..100);
                Record::Opaque((0..length).map(|_| self.dice.random()).collect())
            }
            State::Withdrawn | State::Removed => Record::Empty,
        };
        Draft {
            kind: Kind(77),
            object,
            state,
            payload,
        }
    }

    fn profile(&mut self, pod: usize) -> Draft {
        let identity = self.pods[pod].identity;
        let profile = Profile {
            name: format!("Pod {}", self.dice.random_range(0..1_000)),
            description: String::new(),
            email: None,
            url: format!("http://{}", identity.host),
            udp: None,
        };
        Draft::live(&self.pods[pod].id, Record::Profile(profile)).expect("a sound profile")
    }

    /// Somebody else signs with this pod's key: under a stamp that is taken, or as a start of its own.
    fn twin_says(&mut self, pod: usize) {
        let own = self.own_things(pod);
        let Some(said) = own.choose(&mut self.dice).copied() else {
            return;
        };
        let stamp = if self.dice.random() {
            said.stamp()
        } else {
            let counter = self.running(pod).catalog.epoch().counter + self.dice.random_range(0..3);
            let tag = self.dice.random();
            Stamp {
                epoch: Epoch { counter, tag },
                seq: self.dice.random_range(1..5),
            }
        };
        let state = if self.dice.random_ratio(1, 6) {
            State::Removed
        } else {
            State::Live
        };
        let draft = self.thing(said.object, state);
        let record = draft
            .sign(&self.pods[pod].identity.key, stamp)
            .expect("a sound draft");
        self.oracle.twin_signed(&record);
        self.trace(pod, || format!("has a twin, which says {}", describe(&record)));
        let friends = self.friends_of(pod);
        if let Some(friend) = friends.choose(&mut self.dice).copied() {
            self.hand_over(pod, friend, record.bytes().to_vec());
        }
    }

    /// A stale pod says again what was said once.
    fn replay(&mut self, pod: usize) {
        if let Some(record) = self.oracle.history.choose(&mut self.dice).cloned() {
            self.trace(pod, || format!("hears again {}", describe(&record)));
            self.bring(pod, record.bytes().to_vec());
        }
    }

    /// A friend's key did not sign this.
    fn forge(&mut self, pod: usize) {
        if let Some(record) = self.oracle.history.choose(&mut self.dice).cloned() {
            let mut bytes = record.bytes().to_vec();
            let last = bytes.len() - 1;
            bytes[last] ^= 1 << self.dice.random_range(0..8);
            self.bring(pod, bytes);
        }
    }

    /// Some friend of the pod gossips these bytes to it.
    fn bring(&mut self, pod: usize, bytes: Vec<u8>) {
        let (friends, me) = (self.friends_of(pod), self.pods[pod].id);
        if let Some(friend) = friends.choose(&mut self.dice).copied() {
            self.hand_over(self.index[&friend], me, bytes);
        }
    }

    fn hand_over(&mut self, from: usize, to: PodId, bytes: Vec<u8>) {
        let to = self.index[&to];
        let packet = Packet::Gossip(bytes);
        self.later(to, 1, Event::Arrive { from, packet });
    }

    fn go_down(&mut self, pod: usize, how: fn(&mut Self, usize)) {
        how(self, pod);
        let away = self.dice.random_range(1..=20_000);
        self.later(pod, away, Event::Start);
    }

    /// The operator puts back an old copy.
    fn put_back(&mut self, pod: usize) {
        if let Some(copy) = self.pods[pod].copy.clone() {
            self.go_down(pod, Self::crash);
            self.trace(pod, || "is put back to an old copy".to_owned());
            self.pods[pod].disk = copy;
            self.oracle.rolled_back(self.pods[pod].id);
        }
    }

    fn tear(&mut self) {
        let parts = self.dice.random_range(2..=3);
        for pod in 0..self.groups.len() {
            self.groups[pod] = self.dice.random_range(0..parts);
        }
    }

    fn cut(&mut self, pod: usize) {
        let other = self.dice.random_range(0..self.pods.len());
        self.cuts.insert((pod.min(other), pod.max(other)));
    }

    /// Makes the network whole, starts whoever is down, and waits until all agree. Answers how long that took.
    fn agree(&mut self) -> Millis {
        self.weather = FAIR;
        self.groups.fill(0);
        self.cuts.clear();
        for pod in 0..self.pods.len() {
            self.start(pod);
        }
        self.remember_disks();
        let healed = self.now;
        loop {
            let before = self.stirrings;
            self.run_until(self.now + 2 * ROUND);
            let still = (0..self.pods.len()).all(|pod| self.is_still(pod));
            if self.stirrings == before || still {
                match self.agreement() {
                    Ok(()) => return self.now - healed,
                    Err(cause) => assert!(
                        self.now - healed < TIME_TO_AGREE,
                        "no agreement after {} s of virtual time: {cause}",
                        (self.now - healed) / 1_000
                    ),
                }
            }
            assert!(
                self.now - healed < 2 * TIME_TO_AGREE,
                "the pods do not come to rest"
            );
        }
    }
}
