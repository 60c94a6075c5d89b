//! Counts panics: of actors, tasks, worker threads, wherever they are caught.
//!
//! A supervisor sees the death of what it watches; a panic on a blocking thread becomes an error of whoever waits for it.
//! Both are seen here, and a pod that is well shows zero.

use std::panic;
use std::sync::{LazyLock, Once};

use prometheus_client::metrics::counter::Counter;

static PANICS: LazyLock<Counter> = LazyLock::new(Counter::default);

/// The process's counter; clones share it.
pub fn counter() -> Counter {
    PANICS.clone()
}

/// Counts from now on, beside what happened at a panic before. The second call changes nothing.
pub fn count() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            PANICS.inc();
            before(info);
        }));
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_counted_wherever_it_is_caught() {
        count();
        count();
        let before = counter().get();
        let caught = std::thread::spawn(|| panic!("a thread dies for a test")).join();
        assert!(caught.is_err());
        assert_eq!(counter().get(), before + 1);
    }
}
