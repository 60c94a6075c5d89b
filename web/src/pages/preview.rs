//! Every page with pleasant data, written to a folder to be looked at: `PREVIEW=/some/folder cargo test -p seedpod-web preview -- --ignored`.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use super::sample::{
    NOW, about, admin, card, chrome, edit, error, home, my_videos, network, ui, upload, watch,
};
use super::{
    AboutPage, AssetUrls, Choice, EditPage, EmbedPage, ErrorPage, FriendState, HomePage, LoginPage, MyVideo,
    Received, UploadPage, VideoCard, VideoFields,
};

/// Every page with data that looks like life, for the eye.
fn pages() -> Vec<(&'static str, String)> {
    let titles = [
        ("Building a greenhouse from old windows", "Marta Grows", 3, 768, 2),
        (
            "How a swarm carries a video: WebTorrent in ten minutes",
            "Open Networks",
            1,
            602,
            30,
        ),
        ("Night ferry to Helsinki, uncut", "Slow Journeys", 2, 3500, 72),
        (
            "Sourdough with rye, start to crust",
            "Kitchen Commons",
            3,
            1275,
            96,
        ),
        ("Repairing a 1978 tape deck", "Bench Notes", 1, 2047, 170),
        ("Choir rehearsal, spring concert", "Saint Anna Choir", 2, 451, 200),
        (
            "Mapping the river with a kayak and GPS",
            "Field Log",
            3,
            1004,
            340,
        ),
        (
            "A gentle introduction to signed logs",
            "Open Networks",
            1,
            1550,
            400,
        ),
    ];
    let videos: Vec<VideoCard> = (0_u64..)
        .zip(titles)
        .map(|(index, (title, channel, pod, duration, hours))| VideoCard {
            title: title.to_owned(),
            channel: channel.to_owned(),
            pod_host: format!("localhost:900{pod}"),
            is_local: pod == 1,
            thumbnail: (index != 5).then(|| format!("/picture-{index}.svg")),
            duration,
            views: 212 + index * 977,
            published_at: NOW - hours * 3_600_000,
            ..card("")
        })
        .collect();
    let choose = |labels: &[&str]| -> Vec<Choice> {
        let choice = |label: &&str| Choice {
            value: (*label).to_owned(),
            label: (*label).to_owned(),
            selected: false,
        };
        labels.iter().map(choice).collect()
    };
    let fields = VideoFields {
        channels: choose(&["Field Log"]),
        privacies: choose(&["Everyone in the network", "Unlisted", "Only me"]),
        categories: choose(&["Not said", "Science & Technology", "Music"]),
        licences: choose(&["Not said", "CC BY"]),
        languages: choose(&["Not said", "English", "Suomi"]),
        ..VideoFields::default()
    };
    let mut watch = watch(chrome(), "clip");
    watch.player.title = titles[1].0.to_owned();
    watch.player.origin_host = "localhost:9003".to_owned();
    watch.player.poster = Some("/picture-1.svg".to_owned());
    watch.channel = titles[1].1.to_owned();
    watch.description = "What happens between pressing play and the first picture: the magnet, the tracker, four offers, two answers, and a stranger who hands you the next piece.".to_owned();
    watch.category = Some("Science & Technology".to_owned());
    watch.tags = vec!["webtorrent".to_owned(), "networks".to_owned()];
    watch.received = Some(Received {
        at: NOW - 180_000,
        through: Some("localhost:9002".to_owned()),
    });
    watch.related = videos.iter().skip(2).take(5).cloned().collect();
    let mut plain = watch.clone();
    plain.chrome.assets = AssetUrls::without_ui();
    let embed = EmbedPage {
        assets: ui(),
        player: watch.player.clone(),
        watch_url: "http://localhost:9001/w/clip".to_owned(),
    };
    let home = HomePage {
        videos: videos.clone(),
        ..home(chrome(), "")
    };
    let empty = HomePage {
        videos: Vec::new(),
        ..home.clone()
    };
    let mut network = network(admin(), "");
    network.pod_id = "12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp".to_owned();
    network.hosts = String::new();
    network.error = None;
    network.configured = vec!["localhost:9002".to_owned()];
    let names = [
        "Slow Journeys collective",
        "Garden & Kitchen",
        "Attic pod (behind a router)",
        "Archive 2019",
        "Old friends",
    ];
    let hosts = [
        "localhost:9002",
        "localhost:9003",
        "attic.home",
        "old-server.example",
        "left.example",
    ];
    for ((friend, name), host) in network.friends.iter_mut().zip(names).zip(hosts) {
        name.clone_into(&mut friend.name);
        host.clone_into(&mut friend.host);
    }
    network.is_twin = None;
    network.invites.clear();
    network.friends.truncate(4);
    network.friends[3].state = FriendState::Unreachable {
        cause: "timed out on 3 addresses".to_owned(),
    };
    let mut alone = network.clone();
    alone.friends.clear();
    alone.chrome.friends = 0;
    let mut mine = my_videos(admin(), "");
    mine.videos = videos
        .iter()
        .take(4)
        .map(|card| MyVideo {
            title: card.title.clone(),
            thumbnail: card.thumbnail.clone(),
            duration: card.duration,
            privacy: "Everyone in the network".to_owned(),
            state: (card.views < 300).then(|| "Making the picture".to_owned()),
            views: card.views,
            published_at: card.published_at,
            ..mine.videos[0].clone()
        })
        .collect();
    vec![
        ("index", home.html()),
        ("empty", empty.html()),
        ("watch", watch.html()),
        ("plain", plain.html()),
        ("embed", embed.html()),
        (
            "upload",
            UploadPage {
                fields: fields.clone(),
                error: None,
                ..upload(admin(), "")
            }
            .html(),
        ),
        (
            "login",
            LoginPage {
                chrome: chrome(),
                username: "root".to_owned(),
                next: "/".to_owned(),
                signup: true,
                error: Some("Name and password do not match. Check the password and try again.".to_owned()),
            }
            .html(),
        ),
        ("network", network.html()),
        ("alone", alone.html()),
        ("mine", mine.html()),
        (
            "edit",
            EditPage {
                fields: VideoFields {
                    name: titles[6].0.to_owned(),
                    channels: Vec::new(),
                    ..fields
                },
                error: None,
                ..edit(admin(), "")
            }
            .html(),
        ),
        (
            "about",
            AboutPage {
                pod_id: network.pod_id.clone(),
                version: "0.1.0".to_owned(),
                ..about(chrome(), "A pod for slow films and open networks.")
            }
            .html(),
        ),
        (
            "error",
            ErrorPage {
                detail: None,
                ..error(chrome(), "")
            }
            .html(),
        ),
    ]
}

/// Writes every page with pleasant data into the folder `PREVIEW` names.
#[test]
#[ignore = "writes files for people to look at"]
fn preview() {
    let folder = std::path::PathBuf::from(std::env::var("PREVIEW").expect("PREVIEW names a folder"));
    for (name, html) in pages() {
        std::fs::write(folder.join(name).with_extension("html"), html).unwrap();
    }
}
