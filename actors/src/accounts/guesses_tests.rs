#![allow(clippy::unwrap_used, reason = "a test that fails here says where")]

use std::net::{Ipv4Addr, Ipv6Addr};

use super::*;

const OWNER: &str = "192.0.2.1";
const OTHER: &str = "198.51.100.7";

/// Guesses and a clock.
struct Desk {
    guesses: Guesses,
    now: Instant,
}

impl Desk {
    fn new() -> Self {
        Self {
            guesses: Guesses::default(),
            now: Instant::now(),
        }
    }

    fn begin(&mut self, from: &str, username: &str) -> Result<Attempt, Refused> {
        self.guesses.begin(from.parse().unwrap(), username, self.now)
    }

    fn guess(&mut self, from: &str, username: &str) -> Result<(), Refused> {
        let attempt = self.begin(from, username)?;
        self.guesses.wrong(attempt, self.now);
        self.check();
        Ok(())
    }

    fn log_in(&mut self, from: &str, username: &str) -> Result<(), Refused> {
        let attempt = self.begin(from, username)?;
        self.guesses.take_back(attempt, self.now);
        self.check();
        Ok(())
    }

    /// How long an address has to wait; nothing when it may try.
    fn wait(&mut self, from: &str, username: &str) -> Duration {
        match self.begin(from, username) {
            Ok(attempt) => {
                self.guesses.take_back(attempt, self.now);
                Duration::ZERO
            }
            Err(Refused::Wait(wait)) => wait,
            Err(Refused::Busy) => panic!("nobody else is trying"),
        }
    }

    /// Guesses as soon as it is allowed, for so long; says how often.
    fn hammer(&mut self, from: &str, username: &str, during: Duration) -> u32 {
        let end = self.now + during;
        let mut guesses = 0;
        while self.now < end {
            match self.guess(from, username) {
                Ok(()) => guesses += 1,
                Err(Refused::Wait(wait)) => self.now += wait,
                Err(Refused::Busy) => panic!("one at a time"),
            }
        }
        guesses
    }

    fn check(&self) {
        assert!(self.guesses.origins.len() <= MAX_REMEMBERED);
        assert!(self.guesses.targets.len() <= MAX_REMEMBERED);
    }
}

#[test]
fn whoever_guesses_waits_longer_and_longer_and_their_address_alone() {
    let mut desk = Desk::new();
    for _ in 0..FREE {
        assert_eq!(desk.wait(OTHER, "root"), Duration::ZERO);
        desk.guess(OTHER, "root").unwrap();
    }
    for seconds in [1, 2, 4, 8] {
        assert_eq!(desk.wait(OTHER, "root"), Duration::from_secs(seconds));
        desk.now += Duration::from_secs(seconds);
        desk.guess(OTHER, "root").unwrap();
    }
    assert!(desk.begin(OTHER, "ann").is_err(), "another name is no way around");
    assert!(
        desk.begin("::ffff:198.51.100.7", "root").is_err(),
        "nor are other clothes"
    );
    desk.log_in(OWNER, "root").unwrap();
    desk.now += MEMORY;
    assert_eq!(desk.wait(OTHER, "root"), Duration::ZERO);
}

#[test]
fn a_day_of_guessing_from_one_address_is_some_hundred_guesses() {
    let mut desk = Desk::new();
    let guesses = desk.hammer(OTHER, "root", Duration::from_secs(24 * 3600));
    assert!((50..150).contains(&guesses), "{guesses}");
    desk.log_in(OWNER, "root").unwrap();
}

#[test]
fn a_refusal_does_not_prolong_the_wait() {
    let mut desk = Desk::new();
    for _ in 0..FREE + 3 {
        let wait = desk.wait(OTHER, "root");
        desk.now += wait;
        desk.guess(OTHER, "root").unwrap();
    }
    let told = desk.wait(OTHER, "root");
    for _ in 0..100 {
        desk.begin(OTHER, "root").unwrap_err();
    }
    desk.now += told;
    desk.guess(OTHER, "root").unwrap();
}

#[test]
fn many_guesses_at_once_are_no_way_around_the_wait() {
    let mut desk = Desk::new();
    let mut guesses = 0;
    for _ in 0..100 {
        let begun: Vec<_> = (0..AT_ONCE + 2).map(|_| desk.begin(OTHER, "root")).collect();
        for attempt in begun.into_iter().flatten() {
            guesses += 1;
            desk.guesses.wrong(attempt, desk.now);
        }
    }
    assert_eq!(guesses, FREE);
}

#[test]
fn logins_of_one_address_are_few_at_once_and_leave_places_for_others() {
    let mut desk = Desk::new();
    let begun: Vec<_> = (0..AT_ONCE).map(|_| desk.begin(OTHER, "root").unwrap()).collect();
    assert_eq!(desk.begin(OTHER, "root").unwrap_err(), Refused::Busy);
    desk.log_in(OWNER, "root").unwrap();
    for attempt in begun {
        desk.guesses.take_back(attempt, desk.now);
    }
    assert!(desk.guesses.origins.is_empty(), "who is right leaves no trace");
    for _ in 0..1000 {
        desk.log_in(OTHER, "root").unwrap();
    }
}

#[test]
fn an_account_of_ones_own_does_not_make_guesses_free() {
    let mut desk = Desk::new();
    let end = desk.now + Duration::from_secs(3600);
    let mut guesses = 0;
    while desk.now < end {
        desk.log_in(OTHER, "mallory").ok();
        if desk.guess(OTHER, "root").is_ok() {
            guesses += 1;
        }
        desk.now += Duration::from_secs(1);
    }
    assert!(guesses < 25, "{guesses}");
}

#[test]
fn one_try_forgives_or_shortens_no_wait_of_another_under_way() {
    let mut desk = Desk::new();
    for number in 0..TARGET {
        let address = Ipv4Addr::from(0x0a00_0000 + number).to_string();
        desk.guess(&address, "root").unwrap();
    }
    for _ in 0..FREE_AT_TARGET {
        desk.guess(OTHER, "nobody").unwrap();
    }
    let [own, unknown] = ["mallory", "nobody"].map(|account| desk.begin(OTHER, account).unwrap());
    let at_target = desk.begin(OTHER, "root").unwrap();
    desk.guesses.wrong(at_target, desk.now);
    desk.guesses.take_back(own, desk.now);
    desk.guesses.wrong(unknown, desk.now);
    assert!(desk.wait(OTHER, "root") >= FIRST_WAIT_AT_TARGET);
}

#[test]
fn a_target_leaves_each_address_few_guesses_and_its_owner_in() {
    let mut desk = Desk::new();
    let many = |number: u32| Ipv4Addr::from(0x0a00_0000 + number).to_string();
    let mut guesses = 0;
    for number in 0..1000 {
        while desk.guess(&many(number), "root").is_ok() {
            guesses += 1;
        }
    }
    assert!(guesses < TARGET + 1000 * FREE_AT_TARGET, "{guesses}");
    desk.log_in(OWNER, "root").unwrap();
    desk.guess(OWNER, "root").unwrap();
    desk.log_in(OWNER, "root").unwrap();
    assert!(desk.wait(&many(0), "root") > Duration::ZERO);
    for _ in 0..FREE {
        desk.guess("203.0.113.5", "ann").unwrap();
    }
}

#[test]
fn addresses_and_names_without_end_leave_memory_bounded_and_the_worst_remembered() {
    let mut desk = Desk::new();
    for _ in 0..FREE + 4 {
        let wait = desk.wait(OTHER, "root");
        desk.now += wait;
        desk.guess(OTHER, "root").unwrap();
    }
    let wait = desk.wait(OTHER, "root");
    let busy = desk.begin("203.0.113.5", "root").unwrap();
    for number in 0..MAX_REMEMBERED + 500 {
        let network = (0x2001_u128 << 112) | (u128::try_from(number).unwrap() << 64);
        let from = Ipv6Addr::from_bits(network);
        desk.guess(&from.to_string(), &format!("user{number}")).unwrap();
    }
    assert_eq!(desk.guesses.origins.len(), MAX_REMEMBERED);
    assert_eq!(desk.guesses.targets.len(), MAX_REMEMBERED);
    assert_eq!(desk.wait(OTHER, "root"), wait);
    desk.guesses.take_back(busy, desk.now);
    desk.log_in(OWNER, "root").unwrap();
}
