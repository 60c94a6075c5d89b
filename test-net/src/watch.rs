//! Rebuilds the UI while the pods run: edit a file under `web/ui`, reload the page.
//!
//! What the build itself writes (`dist`, `vendor`, `node_modules`) is not watched, or building would never end.

use std::ffi::OsStr;
use std::io::IsTerminal;
use std::path::{Component, Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::process::Command;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Folders that the build writes.
const WRITTEN_BY_BUILD: [&str; 3] = ["dist", "node_modules", "vendor"];

/// Changes are waiting for each other this long: saving one file is several events.
const QUIET: Duration = Duration::from_millis(200);

/// Changes that wait to be seen. More are not needed: one is enough to build.
const CHANGES_MAX: usize = 16;

/// Lines of a failed build shown.
const SHOWN_LINES: usize = 30;

/// Watches `folder` and runs `script` after each change, until the task is aborted. Says so when there is nothing to watch.
pub(crate) fn spawn(folder: &Path, script: &Path) -> JoinHandle<()> {
    let (folder, script) = (folder.to_owned(), script.to_owned());
    tokio::spawn(async move {
        if let Err(error) = watch(&folder, &script).await {
            crate::say(&format!("the UI is not rebuilt on changes: {error:#}\n"));
        }
    })
}

async fn watch(folder: &Path, script: &Path) -> anyhow::Result<()> {
    ensure!(
        script.is_file(),
        "{} is missing (run this from the project's folder)",
        script.display()
    );
    let folder = folder
        .canonicalize()
        .with_context(|| format!("cannot find {}", folder.display()))?;
    let (sender, mut changes) = mpsc::channel::<PathBuf>(CHANGES_MAX);
    let mut watcher = notify::recommended_watcher({
        let folder = folder.clone();
        move |event: notify::Result<notify::Event>| {
            let Ok(event) = event else { return };
            if matches!(event.kind, EventKind::Access(_)) {
                return;
            }
            for path in event.paths.into_iter().filter(|path| is_source(&folder, path)) {
                // A full queue means that a build is due anyway.
                let _ = sender.try_send(path);
            }
        }
    })
    .context("the system gives no file watcher")?;
    watch_sources(&mut watcher, &folder)?;

    while let Some(mut changed) = changes.recv().await {
        while let Ok(Some(path)) = timeout(QUIET, changes.recv()).await {
            changed = path;
        }
        let name = changed
            .strip_prefix(&folder)
            .unwrap_or(&changed)
            .display()
            .to_string();
        crate::say(&format!("{name} has changed, building the UI\n"));
        crate::say(&build(script).await);
        // A folder that was just made, if that was the change.
        watch_sources(&mut watcher, &folder)?;
    }
    Ok(())
}

/// Watches the folder itself and each folder of sources in it; again does no harm.
fn watch_sources(watcher: &mut RecommendedWatcher, folder: &Path) -> anyhow::Result<()> {
    let mut add = |path: &Path, mode| {
        watcher
            .watch(path, mode)
            .with_context(|| format!("cannot watch {}", path.display()))
    };
    add(folder, RecursiveMode::NonRecursive)?;
    for entry in std::fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() && is_source(folder, &path) {
            add(&path, RecursiveMode::Recursive)?;
        }
    }
    Ok(())
}

/// Whether a path under `folder` is written by people.
fn is_source(folder: &Path, path: &Path) -> bool {
    let first = path
        .strip_prefix(folder)
        .ok()
        .and_then(|path| path.components().next());
    match first {
        Some(Component::Normal(name)) => !WRITTEN_BY_BUILD.iter().any(|written| name == OsStr::new(written)),
        _ => false,
    }
}

/// Runs the script and says how it went.
async fn build(script: &Path) -> String {
    let started = Instant::now();
    let script = script.canonicalize().unwrap_or_else(|_| script.to_owned());
    let mut command = Command::new(script);
    if !std::io::stdout().is_terminal() {
        command.env("NO_COLOR", "1").env_remove("FORCE_COLOR");
    }
    let output = command.stdin(Stdio::null()).kill_on_drop(true).output().await;
    match output {
        Err(error) => format!("cannot build the UI: {error}\n"),
        Ok(output) if output.status.success() => {
            format!(
                "the UI is built ({:.1} s), reload the page\n",
                started.elapsed().as_secs_f32()
            )
        }
        Ok(output) => {
            let text = [output.stdout, output.stderr].concat();
            let text = String::from_utf8_lossy(&text);
            let lines: Vec<&str> = text.lines().collect();
            let last = lines[lines.len().saturating_sub(SHOWN_LINES)..].join("\n");
            format!("the UI cannot be built, {}:\n{last}\n", output.status)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_build_writes_is_no_source() {
        let is_source = |path: &str| is_source(Path::new("/ui"), Path::new(path));
        assert!(
            is_source("/ui/src/player.ts") && is_source("/ui/package.json") && is_source("/ui/src/dist/a.ts")
        );
        assert!(
            !is_source("/ui/dist/player.js")
                && !is_source("/ui/node_modules/lit/a.js")
                && !is_source("/ui/vendor/w.js")
        );
        assert!(!is_source("/ui") && !is_source("/other/src/a.ts"));
    }
}
