//! What the pod says about its work: `tracing` events on standard error, as text or JSON.
//!
//! Standard output belongs to the command line (the ready line, the first password, tables); no log line ever goes there.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::config::{Log, LogFormat};

/// Libraries that tell about every packet of a stranger that is not as it should be; what matters of it, our own rooms say.
/// Naming them in `log.level` lets them speak.
const QUIET: &str = "rtc=off,webrtc=off";

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The level is not a list of directives.
    #[error(
        "setting `log.level`: `{level}` is not a level such as `info` or `info,seedpod_web=debug`: {reason}"
    )]
    Level {
        /// What was written.
        level: String,
        /// What the parser says.
        reason: String,
    },
    /// Somebody else installed a subscriber in this process.
    #[error("logging is already set up in this process")]
    Twice,
}

/// Checks the directives without setting anything up.
///
/// # Errors
/// When they cannot be read.
pub fn check(log: &Log) -> Result<EnvFilter, TelemetryError> {
    let wrong = |reason: String| TelemetryError::Level {
        level: log.level.clone(),
        reason,
    };
    // A word that is no level would be read as the name of a crate, and then nothing at all would be logged.
    let known = ["off", "error", "warn", "info", "debug", "trace"];
    for directive in log.level.split(',').map(str::trim) {
        if !directive.contains(['=', '[', ':']) && !known.contains(&directive.to_ascii_lowercase().as_str()) {
            return Err(wrong(format!("`{directive}` is not one of {}", known.join(", "))));
        }
    }
    EnvFilter::builder()
        .parse(format!("{QUIET},{}", log.level))
        .map_err(|error| wrong(error.to_string()))
}

/// Sets logging up for the whole process.
///
/// # Errors
/// When the level cannot be read or logging is already set up.
pub fn install(log: &Log) -> Result<(), TelemetryError> {
    let builder = tracing_subscriber::fmt()
        .with_env_filter(check(log)?)
        .with_writer(std::io::stderr);
    let installed = match log.format {
        LogFormat::Text => {
            let coloured = std::io::stderr().is_terminal()
                && std::env::var_os("NO_COLOR").is_none_or(|it| it.is_empty());
            builder.with_ansi(coloured).try_init()
        }
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    installed.map_err(|_| TelemetryError::Twice)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directives_are_checked_before_anything_starts() {
        let log = |level: &str| Log {
            format: LogFormat::Text,
            level: level.to_owned(),
        };
        for level in ["info", "warn,seedpod_actors::swarm=debug", "off"] {
            assert!(check(&log(level)).is_ok(), "{level}");
        }
        for level in ["loud", "", "info,seedpod_web=loud"] {
            assert!(check(&log(level)).is_err(), "{level}");
        }
    }
}
