//! The pods' lines on standard output, each behind the number of its pod; in colour on a terminal.

use std::io::{IsTerminal, Write};
use std::sync::Arc;

use seedpod_test_net::process::Echo;

/// ANSI colours of the prefixes, pod 1 first: readable on dark and on light.
const COLOURS: [u8; 6] = [36, 33, 35, 32, 34, 31];

/// Writes each line to standard output; colours only for a terminal, and not when `NO_COLOR` is set.
pub(crate) fn to_stdout() -> Echo {
    let coloured =
        std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    Arc::new(move |number, line| {
        let line = prefixed(number, line, coloured);
        // Nobody may be listening any more; the pods go on all the same.
        let _ = std::io::stdout().lock().write_all(line.as_bytes());
    })
}

fn prefixed(number: usize, line: &str, coloured: bool) -> String {
    let prefix = format!("pod {number} |");
    if coloured {
        let colour = COLOURS[number % COLOURS.len()];
        format!("\x1b[{colour}m{prefix}\x1b[0m {line}\n")
    } else {
        format!("{prefix} {line}\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_says_whose_it_is() {
        assert_eq!(prefixed(2, "ready", false), "pod 2 | ready\n");
        assert_eq!(prefixed(6, "ready", true), "\x1b[36mpod 6 |\x1b[0m ready\n");
    }
}
