//! Sample data for the tests of pages, with hostile text in every place that strangers fill.

use super::{
    AboutPage, AssetUrls, CarriedView, ChannelPage, Choice, Chrome, CommentView, Comments, CopiesView,
    CopyBudget, CopyOffer, CopyReason, CopyRow, CopyStep, EditPage, EmbedPage, ErrorPage, Filter, FriendRow,
    FriendState, HomePage, InviteRow, LoginPage, MyVideo, MyVideosPage, NetworkPage, Pager, PlayerView,
    QrCode, Ratings, Received, Removal, ReportRow, ReportsPage, RequestRow, ScoreNote, SignupPage,
    SourceFile, ThreadView, UiUrls, UploadPage, UserMenu, UserRow, UsersPage, VideoCard, VideoFields,
    WatchPage, Words,
};

/// What a hostile pod or person may write wherever it can write.
pub(super) const HOSTILE: &str = "\"'><script>alert(1)</script></script><img src=x onerror=alert(2)>";

/// The time of all sample pages.
pub(super) const NOW: u64 = 1_795_348_800_000;

pub(super) fn ui() -> AssetUrls {
    let url = |name: &str| format!("/ui/{name}.js");
    let ui = UiUrls {
        page: url("page"),
        watch: url("watch"),
        upload: url("upload"),
    };
    AssetUrls {
        ui: Some(ui),
        ..AssetUrls::without_ui()
    }
}

pub(super) fn chrome() -> Chrome {
    Chrome {
        pod_name: "Pod one".to_owned(),
        host: "localhost:9001".to_owned(),
        user: None,
        friends: 2,
        csrf: "csrf-token".to_owned(),
        assets: ui(),
        search: String::new(),
        path: "/".to_owned(),
        notice: None,
        moment: "1-0".to_owned(),
        now: NOW,
    }
}

pub(super) fn hostile_chrome() -> Chrome {
    let text = || HOSTILE.to_owned();
    Chrome {
        pod_name: text(),
        host: text(),
        user: Some(UserMenu {
            username: text(),
            is_admin: true,
        }),
        csrf: text(),
        search: text(),
        path: text(),
        notice: Some(text()),
        ..chrome()
    }
}

pub(super) fn admin() -> Chrome {
    Chrome {
        user: Some(UserMenu {
            username: "root".to_owned(),
            is_admin: true,
        }),
        ..chrome()
    }
}

pub(super) fn card(text: &str) -> VideoCard {
    VideoCard {
        title: text.to_owned(),
        url: "/w/kkGMgK9ZtnKfYAgnEtQxbv".to_owned(),
        thumbnail: Some(format!("/lazy-static/thumbnails/{text}.jpg")),
        duration: 768,
        channel: text.to_owned(),
        channel_url: Some(format!("/c/{text}")),
        pod_host: text.to_owned(),
        is_local: false,
        views: 1240,
        published_at: NOW - 7_200_000,
        nsfw: false,
    }
}

pub(super) fn file(text: &str) -> SourceFile {
    SourceFile {
        url: format!("http://localhost:9003/static/webseed/{text}-720.mp4"),
        mime: "video/mp4".to_owned(),
        label: "720p".to_owned(),
        resolution: 720,
        size: 92_000_000,
        info_hash: "c9e15763f722f23e98a29decdfae341b98d53056".to_owned(),
        magnet: format!("magnet:?xt=urn:btih:c9e15763f722f23e98a29decdfae341b98d53056&dn={text}-720.mp4"),
        torrent_url: format!("/static/torrents/{text}-720.torrent"),
        mirrors: vec![text.to_owned()],
        web_seed: format!("http://localhost:9003/static/webseed/{text}-720.mp4"),
    }
}

pub(super) fn player(text: &str) -> PlayerView {
    PlayerView {
        uuid: text.to_owned(),
        short_uuid: text.to_owned(),
        title: text.to_owned(),
        poster: Some(format!("/lazy-static/previews/{text}.jpg")),
        duration: 602,
        files: vec![file(text)],
        own_host: "localhost:9001".to_owned(),
        origin_host: text.to_owned(),
        trackers: vec![
            "ws://localhost:9001/tracker/socket".to_owned(),
            "ws://localhost:9003/tracker/socket".to_owned(),
        ],
        stun: vec!["stun:localhost:9001".to_owned()],
        p2p: true,
    }
}

pub(super) fn pager() -> Pager {
    Pager {
        previous: Some("/?start=0".to_owned()),
        next: Some("/?start=48".to_owned()),
        first: 25,
        last: 48,
        total: 120,
    }
}

pub(super) fn home(chrome: Chrome, text: &str) -> HomePage {
    HomePage {
        chrome,
        filter: Filter::All,
        query: None,
        videos: vec![card(text), card(text)],
        pager: pager(),
    }
}

/// A copy that does not come.
fn copy(text: &str) -> CopyRow {
    CopyRow {
        uuid: text.to_owned(),
        url: "/w/x".to_owned(),
        title: text.to_owned(),
        host: text.to_owned(),
        reason: CopyReason::Friend,
        state: CopyStep::Stuck(text.to_owned()),
        size: 50_000_000,
        held: 20_000_000,
    }
}

pub(super) fn watch(chrome: Chrome, text: &str) -> WatchPage {
    WatchPage {
        chrome,
        player: player(text),
        channel: text.to_owned(),
        channel_url: Some(format!("/c/{text}")),
        description: text.to_owned(),
        views: 8912,
        ratings: Ratings {
            likes: 214,
            dislikes: 3,
            liked: true,
            disliked: false,
        },
        comments: comments(text),
        published_at: 1_795_253_400_000,
        category: Some(text.to_owned()),
        licence: Some("CC BY".to_owned()),
        language: None,
        privacy: None,
        tags: vec![text.to_owned()],
        nsfw: false,
        is_local: false,
        received: Some(Received {
            at: NOW - 180_000,
            through: Some(text.to_owned()),
        }),
        pod_url: "http://localhost:9001".to_owned(),
        canonical: format!("http://localhost:9003/w/{text}"),
        copy: Some(CopyOffer {
            by_hand: false,
            copy: Some(copy(text)),
        }),
        carried: CarriedView {
            by_viewers: 63_000_000,
            in_all: 100_000_000,
        },
        can_edit: true,
        related: vec![card(text)],
    }
}

fn comment(id: u64, text: &str, removal: Removal) -> CommentView {
    CommentView {
        id,
        uuid: format!("uuid-{id}"),
        at: NOW - id * 60_000,
        words: Some(Words {
            name: text.to_owned(),
            account_url: format!("/a/{text}"),
            host: text.to_owned(),
            is_local: false,
            is_publisher: true,
            text: text.to_owned(),
            removal,
        }),
        answers: Some((text.to_owned(), text.to_owned())),
    }
}

pub(super) fn comments(text: &str) -> Comments {
    let gone = CommentView {
        words: None,
        ..comment(4, text, Removal::None)
    };
    let thread = |first, replies, more| ThreadView { first, replies, more };
    Comments {
        welcome: true,
        count: 1_204,
        threads: vec![
            thread(
                comment(1, text, Removal::Delete),
                vec![
                    comment(2, text, Removal::Hide),
                    comment(3, text, Removal::HideHere),
                ],
                2,
            ),
            thread(gone, vec![comment(5, text, Removal::None)], 0),
        ],
        by_replies: false,
        draft: text.to_owned(),
        error: Some(text.to_owned()),
        next: Some("/w/uuid?comments=20#comments".to_owned()),
        previous: Some("/w/uuid#comments".to_owned()),
        all: None,
        hidden: vec![comment(6, text, Removal::Hide)],
    }
}

pub(super) fn reports(chrome: Chrome, text: &str) -> ReportsPage {
    let row = |id, state| ReportRow {
        id,
        reporter: text.to_owned(),
        host: text.to_owned(),
        is_local: false,
        at: NOW - 90_000,
        reason: text.to_owned(),
        reasons: vec![text.to_owned()],
        title: Some(text.to_owned()),
        url: Some("/w/uuid#comment-uuid".to_owned()),
        is_comment: id == 1,
        words: Some(text.to_owned()),
        state,
        note: text.to_owned(),
        delivery: Some(text.to_owned()),
        same: 2,
    };
    ReportsPage {
        chrome,
        rows: vec![row(1, 1), row(2, 2), row(3, 3)],
        all: true,
        pager: pager(),
    }
}

pub(super) fn embed(text: &str) -> EmbedPage {
    EmbedPage {
        assets: ui(),
        player: player(text),
        watch_url: format!("http://localhost:9001/w/{text}"),
    }
}

pub(super) fn fields(text: &str) -> VideoFields {
    let choices = || {
        vec![
            Choice {
                value: "1".to_owned(),
                label: text.to_owned(),
                selected: true,
            },
            Choice {
                value: "2".to_owned(),
                label: "Music".to_owned(),
                selected: false,
            },
        ]
    };
    VideoFields {
        name: text.to_owned(),
        description: text.to_owned(),
        tags: text.to_owned(),
        nsfw: true,
        channels: choices(),
        categories: choices(),
        licences: choices(),
        languages: choices(),
        privacies: choices(),
    }
}

pub(super) fn upload(chrome: Chrome, text: &str) -> UploadPage {
    UploadPage {
        chrome,
        fields: fields(text),
        error: Some(text.to_owned()),
        max_bytes: Some(2_000_000_000),
        max_seconds: Some(14),
    }
}

pub(super) fn login(chrome: Chrome, text: &str) -> LoginPage {
    LoginPage {
        chrome,
        username: text.to_owned(),
        next: text.to_owned(),
        signup: true,
        error: Some(text.to_owned()),
    }
}

pub(super) fn signup(chrome: Chrome, text: &str) -> SignupPage {
    SignupPage {
        chrome,
        is_open: true,
        username: text.to_owned(),
        email: text.to_owned(),
        quota: Some(5 << 20),
        error: Some(text.to_owned()),
    }
}

pub(super) fn users(chrome: Chrome, text: &str) -> UsersPage {
    let row = |id, role| UserRow {
        id,
        username: text.to_owned(),
        email: Some(text.to_owned()),
        role,
        since: 1_000,
        quota: (id > 1).then_some(5 << 20),
        is_first: id == 1,
    };
    UsersPage {
        chrome,
        rows: vec![row(1, 0), row(2, 1), row(3, 2)],
        total: 3,
        signup: Some(Some(4)),
        error: Some(text.to_owned()),
        pager: Pager::default(),
    }
}

pub(super) fn friend(id: &str, text: &str, state: FriendState) -> FriendRow {
    FriendRow {
        id: id.to_owned(),
        pod_id: text.to_owned(),
        host: text.to_owned(),
        url: "http://localhost:9002".to_owned(),
        name: text.to_owned(),
        state,
        videos: 12,
        score: 640,
        note: Some(ScoreNote {
            by: 10,
            at: NOW - 240_000,
            reason: text.to_owned(),
        }),
        rtt_ms: Some(3),
        version: text.to_owned(),
        last_heard: Some(NOW - 120_000),
    }
}

pub(super) fn network(chrome: Chrome, text: &str) -> NetworkPage {
    let copy = |uuid: &str, state: CopyStep| CopyRow {
        uuid: uuid.to_owned(),
        url: "/w/x".to_owned(),
        title: text.to_owned(),
        host: text.to_owned(),
        reason: CopyReason::Hand,
        state,
        size: 50_000_000,
        held: 20_000_000,
    };
    let copies = CopiesView {
        rows: vec![
            copy("c1", CopyStep::Fetching),
            copy("c2", CopyStep::Stuck(text.to_owned())),
            copy("c3", CopyStep::OverBudget),
        ],
        budgets: vec![CopyBudget {
            name: "by-hand".to_owned(),
            title: text.to_owned(),
            limit: 10_000_000_000,
            used: 150_000_000,
            is_set: true,
        }],
    };
    NetworkPage {
        chrome,
        copies: Some(copies),
        carried: CarriedView {
            by_viewers: 5_000_000_000,
            in_all: 8_000_000_000,
        },
        pod_id: text.to_owned(),
        friends: vec![
            friend("1", text, FriendState::InSync),
            friend("2", text, FriendState::CatchingUp { have: 120, of: 340 }),
            friend("3", text, FriendState::Waiting),
            friend(
                "4",
                text,
                FriendState::Unreachable {
                    cause: text.to_owned(),
                },
            ),
            friend(
                "5",
                text,
                FriendState::Ended {
                    cause: text.to_owned(),
                },
            ),
            friend(
                "8",
                text,
                FriendState::LetUsGo {
                    cause: text.to_owned(),
                },
            ),
            friend(
                "9",
                text,
                FriendState::LetGo {
                    cause: text.to_owned(),
                },
            ),
        ],
        requests: vec![RequestRow {
            id: "6".to_owned(),
            pod_id: text.to_owned(),
            host: text.to_owned(),
            url: text.to_owned(),
            since: NOW - 600_000,
        }],
        invites: vec![InviteRow {
            id: "7".to_owned(),
            label: text.to_owned(),
            link: Some(text.to_owned()),
            qr: QrCode::of("http://localhost:9001/invite#"),
            state: "Open",
            uses: 3,
            used: 1,
            expires: Some(NOW + 600_000),
        }],
        is_twin: Some(false),
        videos: 24,
        local_videos: 5,
        configured: vec![text.to_owned()],
        hosts: text.to_owned(),
        error: Some(text.to_owned()),
    }
}

pub(super) fn channel(chrome: Chrome, text: &str) -> ChannelPage {
    ChannelPage {
        chrome,
        title: text.to_owned(),
        handle: text.to_owned(),
        host: text.to_owned(),
        is_local: false,
        description: text.to_owned(),
        owner: Some((text.to_owned(), format!("/a/{text}"))),
        videos: vec![card(text)],
        pager: pager(),
    }
}

pub(super) fn my_videos(chrome: Chrome, text: &str) -> MyVideosPage {
    let video = MyVideo {
        uuid: text.to_owned(),
        title: text.to_owned(),
        url: "/w/kkGMgK9ZtnKfYAgnEtQxbv".to_owned(),
        thumbnail: Some(text.to_owned()),
        duration: 12,
        privacy: text.to_owned(),
        state: Some(text.to_owned()),
        views: 1,
        published_at: NOW,
    };
    MyVideosPage {
        chrome,
        videos: vec![video],
        pager: pager(),
    }
}

pub(super) fn edit(chrome: Chrome, text: &str) -> EditPage {
    EditPage {
        chrome,
        uuid: text.to_owned(),
        url: "/w/kkGMgK9ZtnKfYAgnEtQxbv".to_owned(),
        fields: fields(text),
        error: Some(text.to_owned()),
    }
}

pub(super) fn about(chrome: Chrome, text: &str) -> AboutPage {
    AboutPage {
        chrome,
        description: text.to_owned(),
        pod_id: text.to_owned(),
        version: text.to_owned(),
    }
}

pub(super) fn error(chrome: Chrome, text: &str) -> ErrorPage {
    ErrorPage {
        chrome,
        status: 404,
        detail: Some(text.to_owned()),
    }
}
