//! The layers of settings: read, checked key by key, merged, with the origin of every value kept.
//!
//! A layer is a flat map from dotted key (`listen.port`) to value. The first layer is the embedded page, which names every
//! key there is; a key that is not on it is refused, with the nearest one suggested. Nothing here reads the process's
//! environment by itself: [`Sources`] is handed in, so that tests need no global state.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use config::{Config, ConfigError, FileFormat, Format, Map, Value, ValueKind};

use super::Settings;

/// The page every setting is on.
pub const DEFAULT_PAGE: &str = include_str!("../../config/default.yaml");

/// How the embedded page is named as an origin.
const DEFAULT_ORIGIN: &str = "default";

/// What an environment variable begins with to be ours.
const ENVIRONMENT_PREFIX: &str = "SEEDPOD__";

/// The file that is read, if present, from `config/` of the working folder and from the data folder.
const PRODUCTION_FILE: &str = "production.yaml";

/// Keys whose values are never printed.
const SECRET_KEYS: [&str; 1] = ["root.password"];

/// Where settings are read from, besides the embedded page.
#[derive(Debug, Default)]
pub struct Sources {
    /// Where `config/production.yaml` is looked for.
    pub working_folder: PathBuf,
    /// The files given by `--config`, in order.
    pub files: Vec<PathBuf>,
    /// The environment; variables that do not begin with `SEEDPOD__` are ignored.
    pub environment: Vec<(String, String)>,
    /// Values given by flags: the flag's name, the key it sets, its value.
    pub flags: Vec<(&'static str, &'static str, String)>,
}

/// Settings, and where each value came from.
#[derive(Debug)]
pub struct Loaded {
    /// The typed settings.
    pub settings: Settings,
    /// One line per key, in the order of the keys.
    lines: Vec<Line>,
}

/// One effective value, as `config show` prints it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The dotted key.
    pub key: String,
    /// The value as text; `(hidden)` for a secret that is set, `(empty)` for a value left out.
    pub value: String,
    /// A file, an environment variable, a flag, or `default`.
    pub origin: String,
}

impl Loaded {
    /// Every effective value with its origin, in the order of the keys; secrets are hidden.
    pub fn lines(&self) -> &[Line] {
        &self.lines
    }
}

/// Why settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// A file that was asked for cannot be read.
    #[error("cannot read settings from {}: {error}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// A layer is not YAML, or not a table of settings.
    #[error("{origin} is not a page of settings: {reason}")]
    Syntax {
        /// The file or variable.
        origin: String,
        /// What the parser says.
        reason: String,
    },
    /// A key nobody knows.
    #[error("unknown setting `{key}` in {origin}{}", suggestion(nearest))]
    UnknownKey {
        /// The file, variable or flag.
        origin: String,
        /// The key as it was written.
        key: String,
        /// Known keys that look like it.
        nearest: Vec<String>,
    },
    /// A value of the wrong type or out of bounds.
    #[error("setting `{key}` in {origin}: {reason}")]
    Value {
        /// The file, variable or flag.
        origin: String,
        /// The dotted key.
        key: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The data folder's own page cannot say where the data folder is.
    #[error("setting `storage.folder` in {0} cannot move the data folder that this file is in")]
    FolderInFolder(String),
}

fn suggestion(nearest: &[String]) -> String {
    match nearest {
        [] => "; `seedpod config show` lists all".to_owned(),
        keys => format!("; did you mean `{}`?", keys.join("` or `")),
    }
}

/// Reads all layers and merges them.
///
/// # Errors
/// When a file cannot be read, holds an unknown key, or a value has the wrong type; the text names the file and the key.
pub fn load(sources: &Sources) -> Result<Loaded, SettingsError> {
    let known = flatten(DEFAULT_ORIGIN, DEFAULT_PAGE)?;
    let page = |path: &Path| -> Result<Layer, SettingsError> {
        let text = std::fs::read_to_string(path).map_err(|error| SettingsError::Read {
            path: path.to_owned(),
            error,
        })?;
        check(flatten(&path.display().to_string(), &text)?, &known)
    };

    let mut layers = vec![known.clone()];
    let in_working_folder = sources.working_folder.join("config").join(PRODUCTION_FILE);
    if in_working_folder.exists() {
        layers.push(page(&in_working_folder)?);
    }
    let above_the_folder = layers.len();
    for path in &sources.files {
        layers.push(page(path)?);
    }
    layers.push(from_environment(&sources.environment, &known)?);
    layers.push(from_flags(&sources.flags));

    let folder = merge(&layers)?.settings.storage.folder;
    let in_data_folder = folder.join(PRODUCTION_FILE);
    if in_data_folder.exists() {
        let layer = page(&in_data_folder)?;
        if layer.contains_key("storage.folder") {
            return Err(SettingsError::FolderInFolder(
                in_data_folder.display().to_string(),
            ));
        }
        layers.insert(above_the_folder, layer);
    }
    merge(&layers)
}

/// Values by dotted key; each value knows its origin.
type Layer = BTreeMap<String, Value>;

fn flatten(origin: &str, text: &str) -> Result<Layer, SettingsError> {
    fn walk(prefix: &str, table: Map<String, Value>, layer: &mut Layer) {
        for (name, value) in table {
            let key = if prefix.is_empty() {
                name
            } else {
                format!("{prefix}.{name}")
            };
            match value.kind {
                ValueKind::Table(table) => walk(&key, table, layer),
                _ => {
                    layer.insert(key, value);
                }
            }
        }
    }

    let mut layer = Layer::new();
    // A page of comments alone is no table to the parser, and is fine with us.
    if text
        .lines()
        .all(|line| line.trim().is_empty() || line.trim_start().starts_with('#'))
    {
        return Ok(layer);
    }
    let table = FileFormat::Yaml
        .parse(Some(&origin.to_owned()), text)
        .map_err(|error| SettingsError::Syntax {
            origin: origin.to_owned(),
            reason: error.to_string(),
        })?;
    walk("", table, &mut layer);
    Ok(layer)
}

/// Refuses unknown keys and plainly wrong types, and drops values left empty.
fn check(layer: Layer, known: &Layer) -> Result<Layer, SettingsError> {
    let mut checked = Layer::new();
    for (key, value) in layer {
        let origin = value.origin().unwrap_or_default().to_owned();
        let Some(default) = known.get(&key) else {
            let is_section = known.keys().any(|other| other.starts_with(&format!("{key}.")));
            if is_section && matches!(value.kind, ValueKind::Nil) {
                continue; // a section whose every key is commented out
            }
            if is_section {
                return Err(SettingsError::Value {
                    origin,
                    key,
                    reason: "a section, not a value".to_owned(),
                });
            }
            return Err(SettingsError::UnknownKey {
                origin,
                nearest: nearest(&key, known),
                key,
            });
        };
        // The library would read `true` as 1 and 0 as `false`; what people meant is better asked than guessed.
        let expected = match (&default.kind, &value.kind) {
            (_, ValueKind::Nil) => continue,
            (ValueKind::Boolean(_), ValueKind::Boolean(_)) | (ValueKind::Array(_), ValueKind::Array(_)) => {
                None
            }
            (ValueKind::Boolean(_), _) => Some("true or false"),
            (ValueKind::Array(_), _) => Some("a list"),
            // Text may be a number in quotes, or a word such as `unlimited`; the type decides.
            (ValueKind::I64(_), ValueKind::I64(_) | ValueKind::String(_)) => None,
            (ValueKind::I64(_), _) => Some("a whole number"),
            (_, ValueKind::Array(_)) => Some("one value, not a list"),
            _ => None,
        };
        if let Some(expected) = expected {
            let reason = format!("expected {expected}, found `{}`", shown(&value.kind));
            return Err(SettingsError::Value { origin, key, reason });
        }
        checked.insert(key, value);
    }
    Ok(checked)
}

fn from_environment(environment: &[(String, String)], known: &Layer) -> Result<Layer, SettingsError> {
    let mut layer = Layer::new();
    for (name, text) in environment {
        let Some(path) = name.strip_prefix(ENVIRONMENT_PREFIX) else {
            continue;
        };
        let key = path.to_ascii_lowercase().replace("__", ".");
        let origin = format!("environment variable {name}");
        let Some(default) = known.get(&key) else {
            return Err(SettingsError::UnknownKey {
                origin,
                nearest: nearest(&key, known),
                key,
            });
        };
        if text.is_empty() {
            continue;
        }
        let kind = match default.kind {
            ValueKind::Array(_) => ValueKind::Array(
                text.split(',')
                    .map(|item| Value::new(Some(&origin), item.trim()))
                    .collect(),
            ),
            _ => ValueKind::String(text.clone()),
        };
        layer.insert(key, Value::new(Some(&origin), kind));
    }
    Ok(layer)
}

fn from_flags(flags: &[(&'static str, &'static str, String)]) -> Layer {
    flags
        .iter()
        .map(|(flag, key, text)| {
            (
                (*key).to_owned(),
                Value::new(Some(&format!("flag {flag}")), text.as_str()),
            )
        })
        .collect()
}

fn merge(layers: &[Layer]) -> Result<Loaded, SettingsError> {
    let mut builder = Config::builder();
    let mut effective = Layer::new();
    for layer in layers {
        builder = builder.add_source(Flat(layer.clone()));
        effective.extend(layer.clone());
    }
    let settings = builder
        .build()
        .and_then(Config::try_deserialize)
        .map_err(|error| explain(error, &effective))?;
    let lines = effective.iter().map(|(key, value)| line(key, value)).collect();
    Ok(Loaded { settings, lines })
}

fn line(key: &str, value: &Value) -> Line {
    let text = match &value.kind {
        ValueKind::Nil => "(empty)".to_owned(),
        _ if SECRET_KEYS.contains(&key) => "(hidden)".to_owned(),
        kind => shown(kind),
    };
    Line {
        key: key.to_owned(),
        value: text,
        origin: value.origin().unwrap_or(DEFAULT_ORIGIN).to_owned(),
    }
}

fn shown(kind: &ValueKind) -> String {
    match kind {
        ValueKind::Array(items) => {
            let items: Vec<String> = items.iter().map(|item| shown(&item.kind)).collect();
            format!("[{}]", items.join(", "))
        }
        ValueKind::String(text) if text.is_empty() => "\"\"".to_owned(),
        kind => kind.to_string(),
    }
}

/// Known keys that look like the one written, best first, at most two.
fn nearest(written: &str, known: &Layer) -> Vec<String> {
    let last = |key: &str| key.rsplit('.').next().unwrap_or_default().to_owned();
    let written_last = last(written);
    let distance = |key: &str| {
        // The right key in the wrong section, or in none, is as good as one slip of the finger more.
        let elsewhere = strsim::damerau_levenshtein(&written_last, &last(key)) + 1;
        strsim::damerau_levenshtein(written, key).min(elsewhere)
    };
    let most = (written_last.len() / 3).max(2);
    let mut candidates: Vec<(usize, &String)> = known
        .keys()
        .map(|key| (distance(key), key))
        .filter(|(distance, _)| *distance <= most)
        .collect();
    candidates.sort();
    candidates
        .into_iter()
        .take(2)
        .map(|(_, key)| key.clone())
        .collect()
}

/// Says which file and key a deserialization error is about.
fn explain(error: ConfigError, effective: &Layer) -> SettingsError {
    let (key, reason) = match error {
        ConfigError::Type {
            unexpected,
            expected,
            key,
            ..
        } => (
            key.unwrap_or_default(),
            format!("expected {expected}, found {unexpected}"),
        ),
        ConfigError::At { error, key, .. } => (key.unwrap_or_default(), error.to_string()),
        other => (String::new(), other.to_string()),
    };
    // Items of lists are named `key[0]`.
    let plain = key.split('[').next().unwrap_or_default();
    let origin = effective
        .get(plain)
        .and_then(Value::origin)
        .unwrap_or("the settings")
        .to_owned();
    let reason = if SECRET_KEYS.contains(&plain) {
        "expected text in quotes".to_owned()
    } else {
        reason
    };
    SettingsError::Value { origin, key, reason }
}

/// A layer as the library wants it.
#[derive(Debug, Clone)]
struct Flat(Layer);

impl config::Source for Flat {
    fn clone_into_box(&self) -> Box<dyn config::Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, ConfigError> {
        Ok(self.0.clone().into_iter().collect())
    }
}

#[cfg(test)]
mod tests;
