//! Pods by the dozen in one thread: the pure states of catalog, catch-up and friends, driven through everything that can happen.
//!
//! One seed is one history. From it come the pods, what they publish and when, who befriends whom and who leaves, which packets are
//! lost, doubled or late, which links and disks fail, and at the end a network that is whole again and has to agree. The same seed is
//! the same history, always: virtual time, one queue of events, one set of dice, no map whose order is chance.
//!
//! - `world` is the clock, the queue and the network; everything that crosses it is encoded, decoded and comes in by the one door.
//! - `pod` is the shell around a pod's states, `handshake` the part of it that makes and ends friendships. They do what the actors do.
//! - `disk` keeps what was written, in batches, and nothing else; a crash takes what was not written yet.
//! - `story` throws the dice; `oracle` knows everything that was ever signed and says what must hold.
//!
//! Envelopes are really signed, and really verified once a seed. A failing seed prints `SEED=…`; with that in the environment the same
//! history is told again, step by step with `TRACE=1`. `scripts/simulate` runs as many as you like.

mod disk;
mod handshake;
mod oracle;
mod pod;
mod story;
mod tests;
mod world;
