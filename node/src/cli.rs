//! The command line: what `seedpod` understands, and the way from a command to its exit code.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Parser, Subcommand};
use seedpod_protocol::envelope::Stamp;
use seedpod_protocol::ids::ContentHash;

use crate::admin::AdminCommand;
use crate::config::{self, Loaded, Sources};
use crate::exit::{Exit, Failure, OrExit};
use crate::{admin, healthcheck, keys, panics, serve, telemetry};

const EXAMPLES: &str = "\
Examples:
  seedpod serve                                   a pod on http://localhost:9000, data in ./pod-data
  seedpod serve --port 8080 --data-dir /srv/pod   another port, another folder
  seedpod serve --config pod.yaml                 settings of your own over the defaults
  SEEDPOD__LOG__LEVEL=debug seedpod serve         one setting from the environment
  seedpod config show                             every setting, its value and where it came from
  seedpod healthcheck                             0 if the pod on this machine is ready
  seedpod admin list-users                        who may log in, of the pod in ./pod-data
  seedpod keys new-recovery /media/stick/pod.key  a key that can end this pod's keys, should they be stolen

Exit codes:
  0 done   1 failed   2 wrong usage   3 settings or store unusable   4 network";

/// A federated, peer-to-peer video platform: one pod in one program.
#[derive(Debug, Parser)]
#[command(name = "seedpod", version, after_help = EXAMPLES, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a pod until Ctrl-C or SIGTERM.
    ///
    /// The first start needs no settings: it makes the data folder, an identity and the user `root`, whose password is
    /// printed once.
    Serve(SettingsArgs),
    /// Look at the settings without starting anything.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Ask a running pod whether it is ready.
    Healthcheck {
        /// Base URL of the pod; without it, the one these settings start on this machine.
        #[arg(long)]
        url: Option<String>,
        #[command(flatten)]
        settings: SettingsArgs,
    },
    /// Users of the pod that runs on the data folder: make, list and delete them, change passwords and roles.
    Admin {
        #[command(subcommand)]
        command: AdminCommand,
        #[command(flatten)]
        settings: SettingsArgs,
    },
    /// The keys a pod signs with: change them, and take them back when they were stolen.
    ///
    /// The pod's name stays what it is. What is asked for here becomes true at the pod's next start.
    #[command(subcommand)]
    Keys(KeysCommand),
}

#[derive(Debug, Subcommand)]
enum KeysCommand {
    /// Print which keys there are and which one signs.
    Show(SettingsArgs),
    /// Make a recovery key, in a new file to be kept where the pod is not.
    NewRecovery {
        /// The file.
        file: PathBuf,
    },
    /// Tell friends which recovery key may end this pod's keys. They believe the first, and no other.
    Pin {
        /// The hash that `new-recovery` printed.
        hash: ContentHash,
        #[command(flatten)]
        settings: SettingsArgs,
    },
    /// Make a new key follow the one that signs now.
    Succeed(SettingsArgs),
    /// End the keys of this pod, for somebody stole them, and go on with a new one.
    Revoke {
        /// The file of the recovery key.
        #[arg(long, value_name = "FILE")]
        recovery: PathBuf,
        /// The last stamp under which the old keys are believed (COUNTER.TAG.SEQ); without it, nothing of theirs is, and the pod
        /// signs again whatever is on its own disk.
        #[arg(long, value_name = "STAMP", value_parser = keys::parse_stamp)]
        last: Option<Stamp>,
        #[command(flatten)]
        settings: SettingsArgs,
    },
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Print every setting, its value and where it came from. Secrets are hidden.
    Show(SettingsArgs),
    /// Only say whether the settings can be used.
    Check(SettingsArgs),
}

/// Where settings come from, and the ones that have a flag.
#[derive(Debug, Default, Args)]
struct SettingsArgs {
    /// A YAML file of settings over the defaults; may be given several times, later files win.
    #[arg(long, value_name = "FILE", help_heading = "Settings", global = true)]
    config: Vec<PathBuf>,
    /// Folder for everything the pod keeps [setting: storage.folder].
    #[arg(long, value_name = "DIR", help_heading = "Settings", global = true)]
    data_dir: Option<String>,
    /// Address to listen on [setting: listen.address].
    #[arg(long, value_name = "IP", help_heading = "Settings", global = true)]
    address: Option<String>,
    /// Port to listen on, 0 for any free one [setting: listen.port].
    #[arg(long, value_name = "N", help_heading = "Settings", global = true)]
    port: Option<u16>,
    /// error, warn, info, debug, trace, or per part `info,seedpod_web=debug` [setting: log.level].
    #[arg(long, value_name = "LEVEL", help_heading = "Settings", global = true)]
    log_level: Option<String>,
    /// text or json [setting: log.format].
    #[arg(long, value_name = "FORMAT", help_heading = "Settings", global = true)]
    log_format: Option<String>,
}

impl SettingsArgs {
    fn load(self) -> Result<Loaded, Failure> {
        let flags = [
            ("--data-dir", "storage.folder", self.data_dir),
            ("--address", "listen.address", self.address),
            ("--port", "listen.port", self.port.map(|port| port.to_string())),
            ("--log-level", "log.level", self.log_level),
            ("--log-format", "log.format", self.log_format),
        ];
        let sources = Sources {
            working_folder: std::env::current_dir()
                .context("cannot find the working folder")
                .or_exit(Exit::Config)?,
            files: self.config,
            // Names and values that are not UTF-8 cannot be ours.
            environment: std::env::vars_os()
                .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
                .collect(),
            flags: flags
                .into_iter()
                .filter_map(|(flag, key, value)| Some((flag, key, value?)))
                .collect(),
        };
        let loaded = config::load(&sources).or_exit(Exit::Config)?;
        telemetry::check(&loaded.settings.log).or_exit(Exit::Config)?;
        Ok(loaded)
    }
}

/// Does what the command line of this process says and returns its exit code.
pub fn run() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Serve(settings) => run_serve(settings),
        Command::Config(ConfigCommand::Show(settings)) => run_show(settings),
        Command::Config(ConfigCommand::Check(settings)) => {
            settings.load().and_then(|_| print("The settings can be used.\n"))
        }
        Command::Healthcheck { url, settings } => run_healthcheck(url, settings),
        Command::Admin { command, settings } => run_admin(command, settings),
        Command::Keys(command) => run_keys(command),
    };
    match done {
        Ok(()) => Exit::Success.into(),
        Err(failure) => {
            // Nothing is left to do when even this cannot be written.
            let _ = writeln!(std::io::stderr(), "seedpod: {failure}");
            failure.exit.into()
        }
    }
}

fn run_serve(settings: SettingsArgs) -> Result<(), Failure> {
    let settings = settings.load()?.settings;
    telemetry::install(&settings.log).or_exit(Exit::Failed)?;
    panics::count();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")
        .or_exit(Exit::Failed)?;
    let handle = runtime.handle().clone();
    // Actors live on this thread; everything spawned runs on the runtime's workers.
    let mut runtime = Some(runtime);
    let system =
        actix::System::with_tokio_rt(|| runtime.take().expect("the system asks for its runtime once"));
    let served = system.block_on(serve::serve(settings));
    // What was still under way is dropped inside of the runtime: a connection to another pod, for one, hands itself back to
    // its pool, which wants to spawn.
    let _inside = handle.enter();
    drop(system);
    served
}

fn run_show(settings: SettingsArgs) -> Result<(), Failure> {
    let loaded = settings.load()?;
    let width = |text: fn(&config::layers::Line) -> usize| loaded.lines().iter().map(text).max().unwrap_or(0);
    let key_width = width(|line| line.key.chars().count());
    let value_width = width(|line| line.value.chars().count()).min(48);
    let page: String = loaded
        .lines()
        .iter()
        .map(|line| {
            format!(
                "{:key_width$}  {:value_width$}  {}\n",
                line.key, line.value, line.origin
            )
        })
        .collect();
    print(&page)
}

fn run_keys(command: KeysCommand) -> Result<(), Failure> {
    let folder = |settings: SettingsArgs| settings.load().map(|loaded| loaded.settings.storage.folder);
    let said = match command {
        KeysCommand::Show(settings) => keys::show(&folder(settings)?),
        KeysCommand::NewRecovery { file } => keys::new_recovery(&file),
        KeysCommand::Pin { hash, settings } => keys::pin(&folder(settings)?, hash),
        KeysCommand::Succeed(settings) => keys::succeed(&folder(settings)?),
        KeysCommand::Revoke {
            recovery,
            last,
            settings,
        } => keys::revoke(&folder(settings)?, &recovery, last),
    };
    print(&said.or_exit(Exit::Config)?)
}

fn run_admin(command: AdminCommand, settings: SettingsArgs) -> Result<(), Failure> {
    let folder = settings.load()?.settings.storage.folder;
    print(&small_runtime()?.block_on(admin::run(&folder, command))?)
}

fn run_healthcheck(url: Option<String>, settings: SettingsArgs) -> Result<(), Failure> {
    let url = match url {
        Some(url) => url,
        None => healthcheck::local_url(&settings.load()?.settings.listen),
    };
    small_runtime()?.block_on(healthcheck::healthcheck(&url))
}

/// A runtime for a few requests.
fn small_runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")
        .or_exit(Exit::Failed)
}

/// Writes to standard output; a reader that went away (`seedpod config show | head -1`) is no failure.
fn print(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error)
            .context("cannot write to standard output")
            .or_exit(Exit::Failed),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
