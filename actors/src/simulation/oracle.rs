//! Everything that was ever signed, and what must hold.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use seedpod_protocol::digest::StateDigest;
use seedpod_protocol::envelope::{Epoch, Header, RegisterKey, Stamp, State, Verified};
use seedpod_protocol::ids::{ContentHash, PodId};
use seedpod_protocol::records::Record;

use super::disk::Written;
use super::world::World;
use crate::catalog::state::Catalog;
use crate::friends::messages::Phase;

/// Which of two envelopes of a register wins, said once more, apart from the code that is tried.
pub(super) type Merit = (bool, Epoch, u64, Reverse<ContentHash>);

fn merit(header: &Header, hash: ContentHash) -> Merit {
    (
        header.state == State::Removed,
        header.epoch,
        header.seq,
        Reverse(hash),
    )
}

fn merit_of(written: &Written) -> Merit {
    merit(&written.header, written.hash)
}

/// Pods whose invariants are looked at once more at the end; each costs a digest made anew.
const CHECKED_AT_THE_END: usize = 12;

type Registers = BTreeMap<(PodId, RegisterKey), Merit>;

/// What is known of a history from outside.
#[derive(Clone, Default)]
pub(super) struct Oracle {
    signed: HashMap<ContentHash, PodId>,
    stamps: HashMap<(PodId, Stamp), ContentHash>,
    /// What the operators were told is published.
    answered: Registers,
    /// What left its author at some time: a stale pod may say it again.
    pub(super) history: Vec<Verified<Record>>,
    /// What each disk held when the network became whole, and who let whose records go since.
    at_heal: Option<Vec<Registers>>,
    let_go: BTreeSet<(PodId, PodId)>,
    put_back: BTreeSet<PodId>,
}

impl Oracle {
    /// A pod signed something.
    pub(super) fn signed(&mut self, record: &Verified<Record>) {
        let header = record.header();
        let before = self.stamps.insert((header.author, header.stamp()), record.hash());
        assert!(before.is_none(), "a stamp is never signed twice: {header:?}");
        self.signed.insert(record.hash(), header.author);
    }

    /// A twin signed something, under whatever stamp.
    pub(super) fn twin_signed(&mut self, record: &Verified<Record>) {
        self.signed.insert(record.hash(), record.header().author);
        self.history.push(record.clone());
    }

    /// An operator was told that this is published.
    pub(super) fn answered(&mut self, record: &Verified<Record>) {
        let header = record.header();
        let merit = merit(header, record.hash());
        let known = self
            .answered
            .entry((header.author, header.key()))
            .or_insert(merit);
        *known = merit.max(*known);
    }

    /// A pod is put back to an old copy of itself: what it promised since is not on its own disk.
    pub(super) fn rolled_back(&mut self, pod: PodId) {
        self.answered.retain(|(author, _), _| *author != pod);
        self.put_back.insert(pod);
    }

    /// A pod lets an author's records go.
    pub(super) fn expelled(&mut self, pod: PodId, author: PodId) {
        if self.at_heal.is_some() {
            self.let_go.insert((pod, author));
        }
    }
}

impl World {
    /// Something a pod signed leaves it: by then it is on its disk.
    pub(super) fn told(&mut self, pod: usize, record: &Verified<Record>) {
        let header = record.header();
        let written = self.pods[pod].disk.head(&header.author, &header.key());
        let written = written.map(merit_of);
        assert!(
            written >= Some(merit(header, record.hash())),
            "pod {pod} told of what is not on its disk: {header:?}"
        );
        self.oracle.history.push(record.clone());
    }

    /// After a start: what was promised is there.
    pub(super) fn check_restored(&self, pod: usize) {
        let id = self.pods[pod].id;
        let held = self.registers_on_disk(pod);
        for (register, promised) in &self.oracle.answered {
            assert!(
                register.0 != id || held.get(register) >= Some(promised),
                "pod {pod} lost what it had answered: {register:?}"
            );
        }
    }

    fn registers_on_disk(&self, pod: usize) -> Registers {
        let records = self.pods[pod].disk.records();
        records
            .map(|written| ((written.header.author, written.header.key()), merit_of(written)))
            .collect()
    }

    /// The network is whole from now on, and nobody acts any more.
    pub(super) fn remember_disks(&mut self) {
        let disks = (0..self.pods.len()).map(|pod| self.registers_on_disk(pod));
        self.oracle.at_heal = Some(disks.collect());
    }

    /// What holds at every moment, of one pod.
    pub(super) fn check(&self, pod: usize) {
        if let Some(run) = &self.pods[pod].run {
            run.catalog.check();
            run.friends.check();
        }
    }

    /// What holds once all is quiet. An error says what does not hold yet.
    pub(super) fn agreement(&self) -> Result<(), String> {
        let pods = 0..self.pods.len();
        let friends: Vec<BTreeSet<PodId>> = pods
            .clone()
            .map(|pod| self.friends_of(pod).into_iter().collect())
            .collect();
        let views: Vec<View> = pods.clone().map(|pod| self.view(pod, &friends[pod])).collect();
        for a in pods {
            for b in (0..views.len()).filter(|b| *b != a) {
                let (id_a, id_b) = (self.pods[a].id, self.pods[b].id);
                if self.phase(a, b) == Some(Phase::Asking) {
                    return Err(format!("pod {a} still asks pod {b}"));
                }
                if !friends[a].contains(&id_b) {
                    continue;
                }
                if !friends[b].contains(&id_a) {
                    // A pod put back to a time before the friendship, without another friend who could tell it, shows its old
                    // no for ever; the other side lets it go by score, which takes longer than a story.
                    if self.oracle.put_back.contains(&id_b) {
                        continue;
                    }
                    let phase = self.phase(b, a);
                    return Err(format!("pod {a} has pod {b} for a friend, which says {phase:?}"));
                }
                if views[b].roots.get(&id_a) != views[a].roots.get(&id_a) {
                    return Err(format!(
                        "pod {b} holds something else of pod {a} than pod {a} itself"
                    ));
                }
                if views[a].network == views[b].network && views[a].digest != views[b].digest {
                    return Err(format!(
                        "pods {a} and {b} have the same friends and other digests"
                    ));
                }
            }
        }
        self.no_record_is_lost(&friends)
    }

    fn view(&self, pod: usize, friends: &BTreeSet<PodId>) -> View {
        let catalog = self.catalog(pod);
        let mut network = friends.clone();
        network.insert(self.pods[pod].id);
        let roots = catalog.roots().into_iter();
        View {
            network,
            roots: roots.map(|root| (root.author, root.root)).collect(),
            digest: catalog.digest(),
        }
    }

    /// Each author's records are the best of all that were anywhere when the network became whole, or better.
    fn no_record_is_lost(&self, friends: &[BTreeSet<PodId>]) -> Result<(), String> {
        let at_heal = self.oracle.at_heal.as_ref().expect("the network is whole");
        let now: Vec<Registers> = (0..self.pods.len())
            .map(|pod| self.registers_on_disk(pod))
            .collect();
        for (holder, registers) in at_heal.iter().enumerate() {
            let id = self.pods[holder].id;
            for (register, merit) in registers {
                let author = self.index[&register.0];
                let still_holds = author == holder
                    || (friends[author].contains(&id) && !self.oracle.let_go.contains(&(id, register.0)));
                if still_holds && now[author].get(register) < Some(merit) {
                    return Err(format!(
                        "pod {author} lacks its own record, which pod {holder} held: {register:?} {merit:?}"
                    ));
                }
            }
        }
        for (register, promised) in &self.oracle.answered {
            let author = self.index[&register.0];
            if now[author].get(register) < Some(promised) {
                return Err(format!("pod {author} lost what it had answered: {register:?}"));
            }
        }
        Ok(())
    }

    /// What must hold at the end whether or not the pods agree.
    pub(super) fn check_all(&self) {
        for pod in 0..self.pods.len() {
            if pod < CHECKED_AT_THE_END {
                self.check(pod);
            }
            let mut again = Catalog::new(self.pods[pod].id, self.catalog(pod).epoch());
            for written in self.pods[pod].disk.records() {
                let signer = self.oracle.signed.get(&written.hash);
                assert_eq!(
                    signer,
                    Some(&written.header.author),
                    "only its author's key makes a record"
                );
                again.restore(&written.header, written.hash, written.number, written.received_s);
            }
            assert_eq!(
                again.digest(),
                self.catalog(pod).digest(),
                "pod {pod}: what is in memory is on the disk"
            );
        }
    }

    pub(super) fn catalog(&self, pod: usize) -> &Catalog {
        let run = self.pods[pod].run.as_ref();
        &run.expect("at the end everybody is up").catalog
    }

    fn phase(&self, pod: usize, other: usize) -> Option<Phase> {
        let run = self.pods[pod].run.as_ref()?;
        run.friends.phase(&self.pods[other].id)
    }
}

/// What one pod has at the end.
struct View {
    /// It and its friends.
    network: BTreeSet<PodId>,
    roots: BTreeMap<PodId, ContentHash>,
    digest: StateDigest,
}
