//! All pages with ordinary and with hostile text.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use super::sample::{self, HOSTILE};
use super::{AssetUrls, Chrome, FriendState};

/// Every page, with `text` wherever strangers may write.
fn pages(chrome: Chrome, text: &str) -> Vec<(&'static str, String)> {
    let of = || chrome.clone();
    let mut search = sample::home(of(), text);
    search.query = Some(text.to_owned());
    vec![
        ("home", sample::home(of(), text).html()),
        ("search", search.html()),
        ("watch", sample::watch(of(), text).html()),
        ("embed", sample::embed(text).html()),
        ("upload", sample::upload(of(), text).html()),
        ("login", sample::login(of(), text).html()),
        ("signup", sample::signup(of(), text).html()),
        ("users", sample::users(of(), text).html()),
        ("network", sample::network(of(), text).html()),
        ("channel", sample::channel(of(), text).html()),
        ("my videos", sample::my_videos(of(), text).html()),
        ("edit", sample::edit(of(), text).html()),
        ("reports", sample::reports(of(), text).html()),
        ("about", sample::about(of(), text).html()),
        ("error", sample::error(of(), text).html()),
    ]
}

/// The opening tags of a page, `<` to `>` outside quotes: a small reader of the HTML that askama wrote.
fn tags(html: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = html;
    while let Some(start) = rest.find('<') {
        rest = &rest[start..];
        let mut quoted = false;
        let end = rest.find(|letter| {
            quoted ^= letter == '"';
            letter == '>' && !quoted
        });
        let end = end.expect("every tag is closed");
        found.push(rest[..=end].to_owned());
        rest = &rest[end + 1..];
    }
    found
}

#[test]
fn hostile_text_adds_no_element_and_no_attribute_to_any_page() {
    // The same page with harmless text has the same tags, but for the values inside quotes.
    let shape = |html: &str| -> Vec<String> {
        tags(html)
            .iter()
            .map(|tag| tag.split('"').step_by(2).collect::<Vec<_>>().join("\""))
            .collect()
    };
    let mut harmless = sample::hostile_chrome();
    for text in [
        &mut harmless.pod_name,
        &mut harmless.host,
        &mut harmless.csrf,
        &mut harmless.search,
        &mut harmless.path,
    ] {
        "harmless".clone_into(text);
    }
    harmless.notice = Some("harmless".to_owned());
    harmless.user.as_mut().unwrap().username = "harmless".to_owned();
    for ((name, hostile), (_, tame)) in pages(sample::hostile_chrome(), HOSTILE)
        .into_iter()
        .zip(pages(harmless, "harmless"))
    {
        assert!(!hostile.contains("<script>alert"), "{name}");
        assert!(!hostile.contains("<img src=x"), "{name}");
        assert_eq!(shape(&hostile), shape(&tame), "{name}");
    }
}

#[test]
fn no_page_has_inline_scripts_styles_or_handlers() {
    for (name, html) in pages(sample::admin(), "text") {
        for tag in tags(&html) {
            let script_without_source =
                tag.starts_with("<script") && !tag.contains(" src=\"/ui/") && !tag.contains("json\"");
            assert!(!script_without_source, "{name}: {tag}");
            assert!(
                !tag.starts_with("<style")
                    && !tag.contains(" style=")
                    && !tag.split('"').step_by(2).any(|name| name.contains(" on")),
                "{name}: {tag}"
            );
        }
    }
}

#[test]
fn pages_load_nothing_but_from_this_pod_and_the_video_from_its_origin() {
    for (name, html) in pages(sample::admin(), "text") {
        for tag in tags(&html).iter().filter(|tag| {
            ["<script", "<link rel=\"style", "<link rel=\"icon", "<img"]
                .iter()
                .any(|kind| tag.starts_with(kind))
        }) {
            assert!(!tag.contains("http"), "{name}: {tag}");
        }
    }
}

#[test]
fn every_posted_form_carries_the_token() {
    for (name, html) in pages(sample::admin(), "text") {
        let forms = html.matches("method=\"post\"").count();
        assert_eq!(
            forms,
            html.matches("name=\"csrf\" value=\"csrf-token\"").count(),
            "{name}"
        );
    }
}

#[test]
fn every_page_has_one_heading_a_main_part_and_a_language() {
    for (name, html) in pages(sample::chrome(), "text") {
        assert!(html.starts_with("<!doctype html>\n<html lang=\"en\">"), "{name}");
        assert_eq!(html.matches("<h1").count(), 1, "{name}");
        assert_eq!(html.matches("<main").count(), 1, "{name}");
    }
}

#[test]
fn labels_name_the_fields_of_forms() {
    for (name, html) in pages(sample::admin(), "text") {
        for label in tags(&html)
            .iter()
            .filter_map(|tag| tag.strip_prefix("<label for=\""))
        {
            let id = label.split('"').next().unwrap();
            assert_eq!(html.matches(&format!("id=\"{id}\"")).count(), 1, "{name}: {id}");
        }
    }
}

#[test]
fn a_video_plays_without_scripts() {
    let html = sample::watch(sample::chrome(), "clip").html();
    assert!(html.contains(
        "<video controls playsinline preload=\"metadata\" poster=\"/lazy-static/previews/clip.jpg\""
    ));
    assert!(html.contains("<source src=\"http://localhost:9003/static/webseed/clip-720.mp4\" type=\"video/mp4\" label=\"720p\" res=\"720\">"));
}

#[test]
fn the_page_data_tells_the_scripts_where_a_video_can_be_had() {
    let html = sample::watch(sample::chrome(), HOSTILE).html();
    let data = html
        .split("id=\"page-data\">")
        .nth(1)
        .unwrap()
        .split("</script>")
        .next()
        .unwrap();
    let data: serde_json::Value = serde_json::from_str(data).unwrap();
    assert_eq!(data["originHost"], HOSTILE);
    assert_eq!(data["trackers"][0], "ws://localhost:9001/tracker/socket");
    assert_eq!(data["stun"][0], "stun:localhost:9001");
    assert_eq!(
        data["files"][0]["infoHash"],
        "c9e15763f722f23e98a29decdfae341b98d53056"
    );
    assert_eq!(
        data["files"][0]["torrentUrl"],
        format!("/static/torrents/{HOSTILE}-720.torrent")
    );
}

#[test]
fn linked_data_describes_the_video_for_tools() {
    let html = sample::watch(sample::chrome(), "clip").html();
    let data = html
        .split("ld+json\">")
        .nth(1)
        .unwrap()
        .split("</script>")
        .next()
        .unwrap();
    let data: serde_json::Value = serde_json::from_str(data).unwrap();
    assert_eq!(data["@type"], "VideoObject");
    assert_eq!(data["duration"], "PT602S");
    assert_eq!(
        data["contentUrl"],
        "http://localhost:9003/static/webseed/clip-720.mp4"
    );
    assert_eq!(
        data["thumbnailUrl"],
        "http://localhost:9001/lazy-static/previews/clip.jpg"
    );
}

#[test]
fn the_platform_is_named_only_where_tools_that_ask_for_it_can_reach_the_pod() {
    let mut page = sample::watch(sample::chrome(), "clip");
    assert!(!page.html().contains("og:platform"));
    page.pod_url = "https://pod.example:8443".to_owned();
    assert!(!page.html().contains("og:platform"));
    page.pod_url = "https://pod.example".to_owned();
    assert!(
        page.html()
            .contains("<meta property=\"og:platform\" content=\"PeerTube\">")
    );
}

#[test]
fn the_trust_line_says_who_signed_and_how_it_came() {
    let mut page = sample::watch(sample::chrome(), "pod-3.example");
    assert!(page.html().contains("✓ Signed by pod-3.example"));
    assert!(page.html().contains("3 minutes ago</time> through pod-3.example"));
    page.received = None;
    page.is_local = true;
    assert!(page.html().contains("published here"));
}

#[test]
fn links_of_strangers_cannot_run_code() {
    let mut page = sample::network(sample::admin(), "text");
    page.friends[0].url = "javascript:alert(1)".to_owned();
    assert!(!page.html().contains("javascript:"));
    let mut page = sample::watch(sample::chrome(), "clip");
    page.player.files[0].magnet = "javascript:alert(1)".to_owned();
    page.player.files[0].web_seed = String::new();
    assert!(!page.html().contains("href=\"javascript:"));
}

#[test]
fn without_the_built_ui_pages_name_no_script_and_say_how_to_get_it() {
    let chrome = Chrome {
        assets: AssetUrls::without_ui(),
        ..sample::chrome()
    };
    let html = sample::watch(chrome, "clip").html();
    assert!(!html.contains("type=\"module\""));
    assert!(html.contains("<code>./scripts/build-ui</code>"));
    assert!(html.contains("over plain HTTP"));
    assert!(
        !sample::watch(sample::chrome(), "clip")
            .html()
            .contains("build-ui")
    );
}

#[test]
fn the_header_knows_who_is_there() {
    let out = sample::home(sample::chrome(), "clip").html();
    assert!(out.contains(">Log in</a>") && !out.contains("/logout"));
    let logged_in = sample::home(sample::admin(), "clip").html();
    assert!(logged_in.contains("action=\"/logout\"") && logged_in.contains("<strong>root</strong>"));
    assert!(logged_in.contains("<small>3 pods</small>"));
}

#[test]
fn an_empty_pod_teaches_how_to_begin() {
    let mut page = sample::home(sample::chrome(), "clip");
    page.videos.clear();
    let html = page.html();
    assert!(
        html.contains("No videos yet")
            && html.contains("href=\"/upload\"")
            && html.contains("href=\"/network\"")
    );
}

#[test]
fn friends_are_shown_in_words() {
    let html = sample::network(sample::admin(), "timed out").html();
    for words in [
        "In sync",
        "Catching up: 120 of 340",
        "Waiting for them to accept",
        "Unreachable: timed out",
        "Ended: timed out",
        "It let us go",
        "Let go: timed out",
    ] {
        assert!(html.contains(&format!(">{words}</span>")), "{words}");
    }
    assert!(
        html.contains("1 of 4"),
        "who has not accepted, or has left, is no friend"
    );
}

#[test]
fn only_those_who_run_the_pod_see_the_forms_of_the_network() {
    let visitor = sample::network(sample::chrome(), "text").html();
    assert!(!visitor.contains("method=\"post\""));
    let admin = sample::network(sample::admin(), "text").html();
    for action in [
        "/network/make-friends",
        "/network/remove",
        "/network/decide",
        "/network/quit",
        "/network/invite",
        "/network/revoke",
    ] {
        assert!(admin.contains(&format!("action=\"{action}\"")), "{action}");
    }
}

#[test]
fn a_friend_says_why_its_score_moved_and_what_comes_next() {
    let html = sample::network(sample::admin(), "timed out").html();
    for text in [
        "score 640: +10",
        "version timed out",
        "3 ms",
        "It is tried again by itself",
        "Ask again</button>",
        "1 of 3 used",
    ] {
        assert!(html.contains(text), "{text}");
    }
    let visitor = sample::network(sample::chrome(), "text").html();
    assert!(!visitor.contains("QR code"), "an invite is a secret");
}

#[test]
fn a_qr_code_is_a_square_with_a_quiet_zone() {
    let code = super::QrCode::of("https://pod.example/invite#abc").unwrap();
    assert!(
        code.side > 29 && code.path.starts_with("M4 4h7v1h-7z"),
        "{code:?}"
    );
    assert_eq!(super::QrCode::of(&"x".repeat(10_000)), None);
}

#[test]
fn a_network_of_any_size_has_a_picture() {
    for size in [0, 1, 2, 7, 200] {
        let mut page = sample::network(sample::admin(), "text");
        page.friends = (0..size)
            .map(|id| sample::friend(&id.to_string(), "pod.example", FriendState::InSync))
            .collect();
        assert_eq!(
            page.html().matches("<line class=\"state-good\"").count(),
            size.min(16)
        );
    }
}

#[test]
fn an_error_says_what_to_do_next() {
    let mut page = sample::error(sample::chrome(), "no video `xyz` here");
    assert!(page.html().contains("no video `xyz` here") && page.html().contains("Try the search."));
    for status in [400, 401, 403, 404, 409, 413, 415, 418, 429, 500, 503] {
        page.status = status;
        assert!(page.html().contains("<h1"), "{status}");
    }
}

#[test]
fn the_upload_form_works_without_scripts() {
    let html = sample::upload(sample::admin(), "text").html();
    assert!(html.contains("method=\"post\" action=\"/upload\" enctype=\"multipart/form-data\""));
    assert!(html.contains("up to 2 GB and 0:14 long"));
    let at = |text: &str| html.find(text).unwrap();
    assert!(at("name=\"csrf\" value=\"csrf-token\">\n    <p class=\"error\"") < at("name=\"name\""));
    assert!(
        at("name=\"tags\"") < at("name=\"videofile\""),
        "the file comes last"
    );
}

#[test]
fn a_network_counts_this_pod() {
    let mut chrome = sample::chrome();
    chrome.friends = 0;
    assert_eq!(chrome.pods(), "1 pod");
    chrome.friends = 2;
    assert_eq!(chrome.pods(), "3 pods");
}

#[test]
fn the_way_back_after_login_is_one_query_value() {
    let mut chrome = sample::chrome();
    chrome.path = "/search?q=a&b=\"><script>".to_owned();
    assert_eq!(
        chrome.login_link(),
        "/login?next=%2Fsearch%3Fq%3Da%26b%3D%22%3E%3Cscript%3E"
    );
    chrome.path = "/login".to_owned();
    assert_eq!(chrome.login_link(), "/login");
}

#[test]
fn a_manifest_names_the_built_scripts() {
    let manifest =
        br#"{"src/page.ts":{"file":"page-1.js","isEntry":true},"src/watch.ts":{"file":"watch-2.js"},
        "src/upload.ts":{"file":"upload-3.js"},"_lit.js":{"file":"lit-5.js"}}"#;
    let ui = AssetUrls::from_manifest(manifest)
        .ui
        .expect("all entries are there");
    assert_eq!(ui.watch, "/ui/watch-2.js");
}

#[test]
fn a_manifest_that_lacks_an_entry_counts_as_no_built_ui() {
    assert_eq!(
        AssetUrls::from_manifest(br#"{"src/page.ts":{"file":"page-1.js"}}"#).ui,
        None
    );
    assert_eq!(AssetUrls::from_manifest(b"not json").ui, None);
}
