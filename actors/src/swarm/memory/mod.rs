//! A network in memory, for tests: the handle, the rules and the bytes are those of the real one, only the wires are not.
//!
//! A [`Network`] has members, links between them and a [`Weather`]. Whatever crosses a link is bytes: requests and answers through the
//! protocol's own encoding, records through the one door, and each packet may be lost, doubled, delayed and so overtaken. What it does
//! not have is a handshake: a member is who it says it is.
//!
//! `driver.rs` obeys the same commands as the driver of libp2p, and `swarm/tests.rs` runs one suite over both.

mod driver;

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use libp2p::{Multiaddr, multiaddr::Protocol};
use rand::{Rng, SeedableRng, rngs::StdRng};
use seedpod_protocol::ids::PodId;
use tokio::{sync::mpsc, task::JoinHandle};

use self::driver::MemoryDriver;
use super::{Swarm, SwarmError, SwarmMetrics, SwarmOptions, Topic};

/// What the links do to packets. The default is fair: everything arrives at once, in order.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Weather {
    /// How many of a hundred packets are lost.
    pub(crate) loss: u8,
    /// How many of a hundred packets arrive twice.
    pub(crate) doubling: u8,
    /// The longest time that a packet is on its way; those on their way overtake each other.
    pub(crate) delay: Duration,
}

/// Links between pods of one process. Clones are the same network.
#[derive(Clone)]
pub(crate) struct Network(Arc<Mutex<Wires>>);

struct Wires {
    weather: Weather,
    dice: StdRng,
    /// By the number of their address.
    members: HashMap<u64, Member>,
    /// Open links, each with a number of its own: what was sent over one that closed is lost.
    links: HashMap<Ends, u64>,
    cuts: HashSet<Ends>,
    last_number: u64,
}

struct Member {
    pod: PodId,
    wire: mpsc::UnboundedSender<Packet>,
    banned: HashSet<PodId>,
}

/// The two ends of a link, the lower id first.
type Ends = (PodId, PodId);

fn ends(a: PodId, b: PodId) -> Ends {
    (a.min(b), a.max(b))
}

/// What a member finds on its wire.
#[derive(Debug, Clone)]
enum Packet {
    Opened {
        peer: PodId,
        address: Multiaddr,
    },
    Closed {
        peer: PodId,
    },
    Gossip {
        from: PodId,
        topic: Topic,
        bytes: Vec<u8>,
    },
    Request {
        from: PodId,
        number: u64,
        bytes: Vec<u8>,
    },
    /// No bytes: there is no answer.
    Answer {
        number: u64,
        bytes: Option<Vec<u8>>,
    },
}

impl Network {
    /// A network without members, in fair weather.
    pub(crate) fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(Wires {
            weather: Weather::default(),
            dice: StdRng::seed_from_u64(seed),
            members: HashMap::new(),
            links: HashMap::new(),
            cuts: HashSet::new(),
            last_number: 0,
        })))
    }

    /// Starts a pod's swarm here, as [`Swarm::start`] does on the real network. It listens on `/memory/<number>`, 0 for a free one.
    ///
    /// # Errors
    /// An address that is none, or taken.
    pub(crate) async fn start(
        &self,
        options: SwarmOptions,
        metrics: SwarmMetrics,
    ) -> Result<(Swarm, JoinHandle<()>), SwarmError> {
        let (swarm, orders, shared) = Swarm::seat(&options);
        let driver = MemoryDriver::bind(self.clone(), options, metrics, orders, shared)?;
        Ok((swarm, tokio::spawn(driver.run())))
    }

    /// From now on.
    pub(crate) fn set_weather(&self, weather: Weather) {
        self.wires().weather = weather;
    }

    /// Closes the link between two pods, and lets none open before [`Network::mend`].
    pub(crate) fn cut(&self, a: PodId, b: PodId) {
        let mut wires = self.wires();
        wires.cuts.insert(ends(a, b));
        wires.close(a, b);
    }

    /// Undoes [`Network::cut`].
    pub(crate) fn mend(&self, a: PodId, b: PodId) {
        self.wires().cuts.remove(&ends(a, b));
    }

    fn wires(&self) -> MutexGuard<'_, Wires> {
        self.0.lock().expect("nobody panics holding the wires")
    }

    fn join(&self, pod: PodId, address: &str) -> Result<(u64, mpsc::UnboundedReceiver<Packet>), SwarmError> {
        let no_address = || SwarmError::Address(address.to_owned());
        let wanted = number_of(&address.parse().map_err(|_| no_address())?).ok_or_else(no_address)?;
        let mut wires = self.wires();
        if wires.members.contains_key(&wanted) {
            return Err(SwarmError::Listen {
                address: address.to_owned(),
                reason: "taken".to_owned(),
            });
        }
        let number = if wanted == 0 { wires.next_number() } else { wanted };
        let (wire, packets) = mpsc::unbounded_channel();
        let banned = HashSet::new();
        wires.members.insert(number, Member { pod, wire, banned });
        Ok((number, packets))
    }

    fn leave(&self, number: u64) {
        let mut wires = self.wires();
        let Some(gone) = wires.members.remove(&number) else {
            return;
        };
        let theirs: Vec<Ends> = wires.links.keys().copied().collect();
        for (a, b) in theirs {
            if a == gone.pod || b == gone.pod {
                wires.close(a, b);
            }
        }
    }

    /// Opens a link, if somebody of that name listens at one of these addresses and lets us in. An open link is enough.
    fn connect(&self, from: PodId, to: PodId, addresses: &[Multiaddr]) -> bool {
        let mut wires = self.wires();
        let link = ends(from, to);
        if wires.links.contains_key(&link) {
            return true;
        }
        let open = |address: &&Multiaddr| {
            let member = number_of(address).and_then(|number| wires.members.get(&number));
            member.is_some_and(|member| member.pod == to && !member.banned.contains(&from))
        };
        let Some(address) = addresses
            .iter()
            .find(open)
            .filter(|_| !wires.cuts.contains(&link))
        else {
            return false;
        };
        let number = wires.next_number();
        wires.links.insert(link, number);
        for (end, peer) in [(from, to), (to, from)] {
            let address = address.clone();
            wires.put(end, Packet::Opened { peer, address });
        }
        true
    }

    fn set_banned(&self, by: u64, pod: PodId, banned: bool) {
        let mut wires = self.wires();
        let Some(member) = wires.members.get_mut(&by) else {
            return;
        };
        let own = member.pod;
        if banned {
            member.banned.insert(pod);
            wires.close(own, pod);
        } else {
            member.banned.remove(&pod);
        }
    }

    fn disconnect(&self, a: PodId, b: PodId) {
        self.wires().close(a, b);
    }

    /// Sends over the open link, if there is one, whatever the weather makes of it.
    fn send(&self, from: PodId, to: PodId, packet: &Packet) {
        let mut wires = self.wires();
        let Some(link) = wires.links.get(&ends(from, to)).copied() else {
            return;
        };
        let Weather {
            loss,
            doubling,
            delay,
        } = wires.weather;
        let copies = match wires.dice.random_range(0..100) {
            roll if roll < loss => 0,
            roll if roll < loss.saturating_add(doubling) => 2,
            _ => 1,
        };
        for _ in 0..copies {
            let packet = packet.clone();
            if delay.is_zero() {
                wires.put(to, packet);
                continue;
            }
            let on_its_way = wires.dice.random_range(Duration::ZERO..delay);
            let network = self.clone();
            tokio::spawn(async move {
                tokio::time::sleep(on_its_way).await;
                let wires = network.wires();
                if wires.links.get(&ends(from, to)) == Some(&link) {
                    wires.put(to, packet);
                }
            });
        }
    }
}

impl Wires {
    fn next_number(&mut self) -> u64 {
        loop {
            self.last_number += 1;
            if !self.members.contains_key(&self.last_number) {
                return self.last_number;
            }
        }
    }

    fn put(&self, to: PodId, packet: Packet) {
        // One that is just leaving reads no more.
        for member in self.members.values().filter(|member| member.pod == to) {
            member.wire.send(packet.clone()).ok();
        }
    }

    fn close(&mut self, a: PodId, b: PodId) {
        if self.links.remove(&ends(a, b)).is_some() {
            self.put(a, Packet::Closed { peer: b });
            self.put(b, Packet::Closed { peer: a });
        }
    }
}

/// `/memory/7` and what may follow → 7.
fn number_of(address: &Multiaddr) -> Option<u64> {
    match address.iter().next() {
        Some(Protocol::Memory(number)) => Some(number),
        _ => None,
    }
}

/// A member without manners: it puts what it likes on the wire.
pub(super) struct Rogue {
    network: Network,
    pod: PodId,
    number: u64,
    packets: mpsc::UnboundedReceiver<Packet>,
}

impl Rogue {
    pub(super) fn join(network: &Network, pod: PodId) -> Self {
        let (number, packets) = network.join(pod, "/memory/0").expect("a free number");
        let network = network.clone();
        Self {
            network,
            pod,
            number,
            packets,
        }
    }

    /// Whether it was let in.
    pub(super) fn connect(&self, to: PodId, addresses: &[String]) -> bool {
        let addresses: Vec<Multiaddr> = addresses.iter().filter_map(|text| text.parse().ok()).collect();
        self.network.connect(self.pod, to, &addresses)
    }

    pub(super) fn gossip(&self, to: PodId, bytes: Vec<u8>) {
        let (from, topic) = (self.pod, Topic::Catalog);
        self.network
            .send(from, to, &Packet::Gossip { from, topic, bytes });
    }

    pub(super) fn ask(&self, to: PodId, number: u64, bytes: Vec<u8>) {
        let from = self.pod;
        self.network
            .send(from, to, &Packet::Request { from, number, bytes });
    }

    pub(super) fn answer(&self, to: PodId, number: u64, bytes: Vec<u8>) {
        let bytes = Some(bytes);
        self.network.send(self.pod, to, &Packet::Answer { number, bytes });
    }

    /// The number of the next request it hears.
    pub(super) async fn asked(&mut self) -> u64 {
        loop {
            if let Packet::Request { number, .. } = self.packets.recv().await.expect("the network lives") {
                return number;
            }
        }
    }

    pub(super) async fn until_disconnected(&mut self) {
        while !matches!(self.packets.recv().await, Some(Packet::Closed { .. }) | None) {}
    }
}

impl Drop for Rogue {
    fn drop(&mut self) {
        self.network.leave(self.number);
    }
}
