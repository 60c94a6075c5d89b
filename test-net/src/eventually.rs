//! Waiting for a condition: the one place where tests let time pass.

use std::time::Duration;

use anyhow::{Context, anyhow};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout_at};

/// How often a condition is looked at. Small against what it measures (rounds of seconds), large against what it costs.
const LOOK_EVERY: Duration = Duration::from_millis(25);

/// Looks at a condition until it holds and returns what it found.
///
/// # Errors
/// When the deadline passes first: with `what`, and with the reason the condition gave last.
pub async fn eventually<T>(
    what: &str,
    deadline: Duration,
    mut condition: impl AsyncFnMut() -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let end = Instant::now() + deadline;
    let mut ticks = interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut last = anyhow!("the condition never came to an answer");
    loop {
        ticks.tick().await;
        match timeout_at(end, condition()).await {
            Ok(Ok(found)) => return Ok(found),
            Ok(Err(reason)) => last = reason,
            Err(_) => {}
        }
        if Instant::now() >= end {
            return Err(last).with_context(|| format!("not within {deadline:?}: {what}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_last_reason_is_told_when_time_is_up() {
        let mut looks = 0;
        let result: anyhow::Result<()> = eventually("three pods", Duration::from_millis(60), async || {
            looks += 1;
            Err(anyhow!("look {looks}: two pods"))
        })
        .await;
        let text = format!("{:#}", result.expect_err("the condition never holds"));
        assert!(
            text.starts_with("not within 60ms: three pods: look ") && text.ends_with(": two pods"),
            "{text}"
        );
    }

    #[tokio::test]
    async fn a_condition_that_hangs_is_given_up() {
        let hang = async || std::future::pending::<anyhow::Result<()>>().await;
        assert!(
            eventually("an answer", Duration::from_millis(60), hang)
                .await
                .is_err()
        );
    }

    #[tokio::test]
    async fn what_was_found_is_returned() {
        let mut looks = 0;
        let found = eventually("five looks", Duration::from_secs(10), async || {
            looks += 1;
            if looks == 5 {
                Ok(looks)
            } else {
                Err(anyhow!("only {looks}"))
            }
        });
        assert_eq!(found.await.expect("it holds at the fifth look"), 5);
    }
}
