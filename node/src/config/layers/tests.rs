//! Layers as an operator meets them: files, variables and flags, right and wrong.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use super::*;
use crate::config::{Limit, Policy};

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    fn sources(&self) -> Sources {
        Sources {
            working_folder: self.0.path().to_owned(),
            flags: vec![(
                "--data-dir",
                "storage.folder",
                self.0.path().join("data").display().to_string(),
            )],
            ..Sources::default()
        }
    }

    fn load_page(&self, text: &str) -> Result<Loaded, SettingsError> {
        let files = vec![self.write("pod.yaml", text)];
        load(&Sources {
            files,
            ..self.sources()
        })
    }
}

fn origin_of(loaded: &Loaded, key: &str) -> String {
    loaded
        .lines()
        .iter()
        .find(|line| line.key == key)
        .unwrap()
        .origin
        .clone()
}

#[test]
fn the_embedded_page_alone_is_enough_and_stays_on_this_machine() {
    let loaded = load(&Folder::new().sources()).unwrap();
    assert!(loaded.settings.listen.address.is_loopback());
    assert_eq!(
        loaded.settings.webserver.public_url(9000),
        "http://localhost:9000"
    );
    assert_eq!(loaded.settings.network.policy, Policy::Vouched);
    assert!(loaded.settings.root.password.is_none());
}

#[test]
fn later_layers_win_and_are_named() {
    let folder = Folder::new();
    folder.write(
        "config/production.yaml",
        "listen: { port: 1 }\npod: { name: A }\nlog: { level: warn }",
    );
    folder.write("data/production.yaml", "listen: { port: 2 }\npod: { name: B }");
    let first = folder.write("first.yaml", "listen: { port: 3 }");
    let second = folder.write("second.yaml", "listen.port: 4");
    let mut sources = folder.sources();
    assert_eq!(load(&sources).unwrap().settings.listen.port, 2);
    sources.files = vec![first, second.clone()];
    let loaded = load(&sources).unwrap();
    assert_eq!(loaded.settings.listen.port, 4);
    assert_eq!(origin_of(&loaded, "listen.port"), second.display().to_string());
    assert_eq!(loaded.settings.pod.name, "B");
    assert_eq!(loaded.settings.log.level, "warn");
    sources.environment = vec![
        ("SEEDPOD__LISTEN__PORT".into(), "5".into()),
        ("HOME".into(), "/".into()),
    ];
    let loaded = load(&sources).unwrap();
    assert_eq!(loaded.settings.listen.port, 5);
    assert_eq!(
        origin_of(&loaded, "listen.port"),
        "environment variable SEEDPOD__LISTEN__PORT"
    );
    sources.flags.push(("--port", "listen.port", "6".into()));
    let loaded = load(&sources).unwrap();
    assert_eq!(loaded.settings.listen.port, 6);
    assert_eq!(origin_of(&loaded, "listen.port"), "flag --port");
    assert_eq!(origin_of(&loaded, "signup.limit"), "default");
}

#[test]
fn an_unknown_key_is_refused_with_the_file_and_a_suggestion() {
    let error = Folder::new()
        .load_page("network: { freinds: [] }")
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("`network.freinds`") && error.contains("pod.yaml"),
        "{error}"
    );
    assert!(error.ends_with("did you mean `network.friends`?"), "{error}");
    let error = Folder::new()
        .load_page("max_duration: 14 s")
        .unwrap_err()
        .to_string();
    assert!(error.ends_with("did you mean `video.max_duration`?"), "{error}");
    let error = Folder::new().load_page("zzz: 1").unwrap_err().to_string();
    assert!(error.ends_with("`seedpod config show` lists all"), "{error}");
    let folder = Folder::new();
    let environment = vec![("SEEDPOD__LISTEN__PROT".to_owned(), "1".to_owned())];
    let error = load(&Sources {
        environment,
        ..folder.sources()
    })
    .unwrap_err()
    .to_string();
    assert!(
        error.contains("variable SEEDPOD__LISTEN__PROT; did you mean `listen.port`"),
        "{error}"
    );
}

#[test]
fn a_wrong_value_names_file_key_and_reason() {
    for (page, key, reason) in [
        ("listen: { port: true }", "`listen.port`", "a whole number"),
        ("listen: { port: many }", "`listen.port`", "many"),
        ("signup: { limit: few }", "`signup.limit`", "`few` is neither"),
        ("listen: { port: 70000 }", "`listen.port`", "70000"),
        ("listen: { address: here }", "`listen.address`", "IP address"),
        ("webserver: { https: 1 }", "`webserver.https`", "true or false"),
        (
            "webserver: { hostname: \"http://a\" }",
            "`webserver.hostname`",
            "a name alone",
        ),
        ("listen: 9000", "`listen`", "a section"),
        (
            "network: { policy: oepn }",
            "`network.policy`",
            "one of open, vouched, ask, closed",
        ),
        (
            "network: { friends: \"localhost:coucou\" }",
            "`network.friends`",
            "a list",
        ),
        (
            "network: { friends: [\"localhost:coucou\"] }",
            "`network.friends",
            "localhost:coucou",
        ),
        (
            "network: { friends: [\"a:80\", \"http://a\"] }",
            "`network.friends`",
            "twice",
        ),
        (
            "network: { listen: [\"9010\"] }",
            "`network.listen",
            "libp2p address",
        ),
        (
            "network: { round: 10 }",
            "`network.round`",
            "`10` is not a duration",
        ),
        (
            "network: { initial_score: 5 }",
            "`network.initial_score`",
            "between 10 and 1000",
        ),
        (
            "video: { max_size: large }",
            "`video.max_size`",
            "`large` is not a size",
        ),
        ("user: { video_quota: -1 }", "`user.video_quota`", "unlimited"),
        ("log: { format: xml }", "`log.format`", "text, json"),
    ] {
        let error = Folder::new().load_page(page).unwrap_err().to_string();
        assert!(
            error.contains(key) && error.contains("pod.yaml") && error.contains(reason),
            "{page}: {error}"
        );
    }
    let folder = Folder::new();
    let environment = vec![("SEEDPOD__LISTEN__PORT".to_owned(), "many".to_owned())];
    let error = load(&Sources {
        environment,
        ..folder.sources()
    })
    .unwrap_err()
    .to_string();
    assert!(
        error.contains("environment variable SEEDPOD__LISTEN__PORT") && error.contains("many"),
        "{error}"
    );
}

#[test]
fn a_page_that_is_no_table_is_refused() {
    for page in ["just a sentence", "- a\n- b", "listen: [", "listen:\n\tport: 1"] {
        let error = Folder::new().load_page(page).unwrap_err().to_string();
        assert!(error.contains("pod.yaml"), "{page}: {error}");
    }
}

#[test]
fn empty_values_and_pages_change_nothing() {
    for page in ["", "# only words\n", "network:\n", "listen:\n  port:\n"] {
        assert_eq!(
            Folder::new().load_page(page).unwrap().settings.listen.port,
            9000,
            "{page}"
        );
    }
}

#[test]
fn lists_and_limits_come_from_the_environment_too() {
    let folder = Folder::new();
    let environment = vec![
        (
            "SEEDPOD__NETWORK__FRIENDS".to_owned(),
            "localhost:9002, https://pod.example".to_owned(),
        ),
        ("SEEDPOD__USER__VIDEO_QUOTA".to_owned(), "unlimited".to_owned()),
        ("SEEDPOD__ROOT__PASSWORD".to_owned(), "0123".to_owned()),
    ];
    let loaded = load(&Sources {
        environment,
        ..folder.sources()
    })
    .unwrap();
    let friends: Vec<String> = loaded
        .settings
        .network
        .friends
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(friends, ["localhost:9002", "https://pod.example"]);
    assert_eq!(loaded.settings.user.video_quota, Limit::Unlimited);
    assert_eq!(loaded.settings.root.password.unwrap().reveal(), "0123");
}

#[test]
fn a_password_is_never_shown_and_never_read_as_a_number() {
    let loaded = Folder::new().load_page("root: { password: hunter2 }").unwrap();
    assert!(!format!("{:?} {:?}", loaded.lines(), loaded.settings).contains("hunter2"));
    let error = Folder::new()
        .load_page("root: { password: 77123 }")
        .unwrap_err()
        .to_string();
    assert!(error.contains("quotes") && !error.contains("77123"), "{error}");
}

#[test]
fn the_data_folders_own_page_cannot_move_it() {
    let folder = Folder::new();
    folder.write("data/production.yaml", "storage: { folder: elsewhere }");
    assert!(matches!(
        load(&folder.sources()),
        Err(SettingsError::FolderInFolder(_))
    ));
}

#[test]
fn a_file_that_was_asked_for_must_exist() {
    let folder = Folder::new();
    let files = vec![folder.0.path().join("missing.yaml")];
    let error = load(&Sources {
        files,
        ..folder.sources()
    })
    .unwrap_err()
    .to_string();
    assert!(error.contains("missing.yaml"), "{error}");
}
