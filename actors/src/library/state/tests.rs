#![allow(clippy::unwrap_used, reason = "a test that fails here says where")]

use proptest::prelude::*;
use seedpod_protocol::envelope::{Draft, Epoch, Stamp};
use seedpod_protocol::records::{Picture, Profile};

use super::super::fetches::{MAX_AHEAD_RUNNING, NEGATIVE};
use super::super::quota::OverQuota;
use super::super::records::tests::{key, pod, video};
use super::*;
use crate::catalog::messages::HeldRecord;

const ME: u8 = 1;
const FRIEND: u8 = 2;
const OTHER: u8 = 3;

impl Library {
    /// The invariants, after every step.
    fn check(&self) {
        let mut usage = HashMap::from([("ann", 0), ("bob", 0)]);
        for charge in self
            .local
            .values()
            .map(|head| &head.charge)
            .chain(self.adding.values())
        {
            *usage.get_mut(&**charge.owner()).unwrap() += charge.bytes();
        }
        for (owner, bytes) in usage {
            assert_eq!(
                self.quotas.used(owner),
                bytes,
                "usage is the sum of what is kept and added"
            );
        }
        let mut by_author: HashMap<PodId, BTreeSet<VideoId>> = HashMap::new();
        let mut claims: HashMap<InfoHash, BTreeSet<VideoId>> = HashMap::new();
        for (id, video) in &self.remote {
            by_author.entry(video.author).or_default().insert(*id);
            for torrent in &video.torrents {
                claims.entry(torrent.info_hash).or_default().insert(*id);
            }
        }
        assert_eq!(by_author, self.by_author);
        assert_eq!(claims, self.claims);
        let own = self
            .local
            .iter()
            .flat_map(|(id, head)| head.torrents.iter().map(|hash| (*hash, *id)));
        assert_eq!(own.collect::<HashMap<_, _>>(), self.own_torrents);
        assert!(self.adding.len() <= MAX_ADDING);
        assert!(self.editing.values().all(|changes| *changes > 0));
        self.fetches.check();
    }
}

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_millis(1_000_000 + seconds * 1000)
}

fn head(author: u8, draft: Draft, seq: u64) -> Change {
    let stamp = Stamp {
        epoch: Epoch {
            counter: 1,
            tag: [0; 8],
        },
        seq,
    };
    let record = draft.sign(&key(author), stamp).unwrap();
    Change::Head(HeldRecord {
        record,
        number: 1,
        received_at: at(0),
        via: pod(author),
    })
}

fn published(author: u8, video: Video) -> Change {
    head(
        author,
        Draft::live(&pod(author), Record::Video(video)).unwrap(),
        1,
    )
}

fn removed(author: u8, id: VideoId) -> Change {
    head(author, Draft::removed(Kind::VIDEO, id.into()), 2)
}

fn lives_at(author: u8, url: &str) -> Change {
    let profile = Profile {
        name: "pod".to_owned(),
        description: String::new(),
        email: None,
        url: url.to_owned(),
        udp: None,
    };
    head(
        author,
        Draft::live(&pod(author), Record::Profile(profile)).unwrap(),
        1,
    )
}

fn fetches(effects: &[Effect]) -> Vec<(CachedFile, Vec<String>)> {
    let fetch = |effect: &Effect| match effect {
        Effect::Fetch { file, urls } => Some((*file, urls.clone())),
        _ => None,
    };
    effects.iter().filter_map(fetch).collect()
}

fn row(owner: &str, number: u8, size: u64) -> (VideoId, LocalVideo) {
    let video = video(&pod(ME), owner, number, size);
    (
        video.id(&pod(ME)),
        LocalVideo {
            video,
            original_name: None,
        },
    )
}

#[test]
fn a_quota_holds_what_is_being_added_too() {
    let quotas = Quotas::default();
    let mut library = Library::new(pod(ME), [], quotas.clone());
    let (id, added) = row("ann", 1, 600);
    let charge = |owner: &str, size| quotas.reserve(owner, Some(1000), size);
    assert_eq!(
        library.begin_add(charge("ann", 600).unwrap(), &[1; 16]).unwrap(),
        id
    );
    assert_eq!(
        charge("ann", 401).unwrap_err(),
        OverQuota {
            size: 401,
            used: 600,
            quota: 1000
        }
    );
    let second = library.begin_add(charge("ann", 400).unwrap(), &[2; 16]).unwrap();
    library.begin_add(charge("bob", 1000).unwrap(), &[3; 16]).unwrap();
    library.finish_add(id, Some(&added));
    assert_eq!(quotas.used("ann"), 1000);
    library.finish_add(second, None);
    assert_eq!(quotas.used("ann"), 600);
    library.check();
    library.begin_edit(id, &Editor::Moderator).unwrap();
    library.finish_removal(id, true);
    assert_eq!(quotas.used("ann"), 0);
}

#[test]
fn only_owners_and_moderators_change_a_video() {
    let (id, mine) = row("ann", 1, 5);
    let mut library = Library::new(pod(ME), [(id, &mine)], Quotas::default());
    let user = |name: &str| Editor::User(name.to_owned());
    assert!(matches!(
        library.begin_edit(id, &user("bob")),
        Err(LibraryError::NotYours)
    ));
    assert!(library.begin_edit(id, &user("ann")).is_ok());
    assert!(library.begin_edit(id, &Editor::Moderator).is_ok());
    let (unknown, _) = row("ann", 2, 5);
    assert!(matches!(
        library.begin_edit(unknown, &Editor::Moderator),
        Err(LibraryError::Unknown)
    ));
    library.check();
}

#[test]
fn a_replaced_picture_goes_and_the_same_picture_stays() {
    let (id, mine) = row("ann", 1, 5);
    let mut library = Library::new(pod(ME), [(id, &mine)], Quotas::default());
    let named = |video: &LocalVideo| CachedFile::Picture {
        video: id,
        which: PictureKind::Thumbnail,
        hash: video.video.thumbnail.unwrap().hash,
    };
    let mut changed = mine.clone();
    changed.video.thumbnail = Some(Picture {
        hash: ContentHash::of(b"new"),
        size: 1,
        width: 1,
        height: 1,
    });

    library.begin_edit(id, &Editor::Moderator).unwrap();
    assert_eq!(
        library.finish_edit(id, Some(&changed), vec![named(&changed)]),
        [named(&mine)]
    );
    library.check();
    library.begin_edit(id, &Editor::Moderator).unwrap();
    assert_eq!(
        library.finish_edit(id, Some(&changed), vec![named(&changed)]),
        [],
        "the same image again"
    );
    library.begin_edit(id, &Editor::Moderator).unwrap();
    assert_eq!(
        library.finish_edit(id, None, vec![named(&mine)]),
        [named(&mine)],
        "a refused change leaves nothing"
    );
    library.check();
}

#[test]
fn pictures_and_torrents_of_a_friend_are_fetched_once_its_address_is_known() {
    let mut library = Library::new(pod(ME), [], Quotas::default());
    let theirs = video(&pod(FRIEND), "ann", 7, 5);
    let id = theirs.id(&pod(FRIEND));
    assert_eq!(library.apply(&published(FRIEND, theirs), at(0)), []);
    let place = library.locate_picture(id, PictureKind::Thumbnail).unwrap();
    let Place::Remote(thumbnail) = place else {
        panic!("{place:?}")
    };
    assert!(matches!(
        library.want(thumbnail, at(0)),
        Err(LibraryError::Unavailable)
    ));

    let started = fetches(&library.apply(&lives_at(FRIEND, "http://localhost:9003"), at(0)));
    let urls: BTreeSet<String> = started.iter().flat_map(|(_, urls)| urls.clone()).collect();
    let expected = [
        format!("http://localhost:9003/lazy-static/thumbnails/{id}.jpg"),
        format!("http://localhost:9003/lazy-static/previews/{id}.jpg"),
        format!("http://localhost:9003/static/torrents/{id}-90.torrent"),
    ];
    assert_eq!(urls, BTreeSet::from(expected));
    assert_eq!(
        fetches(&library.want(thumbnail, at(0)).unwrap()),
        [],
        "joins the fetch under way"
    );
    let done = library.fetched(thumbnail, true, at(1));
    assert_eq!(
        done,
        [Effect::Answer {
            file: thumbnail,
            arrived: true
        }]
    );
    library.check();
}

#[test]
fn what_was_not_to_be_had_is_asked_for_again_after_some_seconds() {
    let mut library = Library::new(pod(ME), [], Quotas::default());
    let theirs = video(&pod(FRIEND), "ann", 7, 5);
    library.apply(&lives_at(FRIEND, "http://localhost:9003"), at(0));
    let started = fetches(&library.apply(&published(FRIEND, theirs), at(0)));
    let (file, _) = started[0];
    assert_eq!(
        library.fetched(file, false, at(0))[0],
        Effect::Answer { file, arrived: false }
    );
    assert!(matches!(
        library.want(file, at(1)),
        Err(LibraryError::Unavailable)
    ));
    let later = at(0).saturating_add(NEGATIVE);
    assert_eq!(fetches(&library.want(file, later).unwrap()).len(), 1);
    library.check();
}

#[test]
fn a_removed_video_takes_its_files_along_even_those_still_under_way() {
    let mut library = Library::new(pod(ME), [], Quotas::default());
    let theirs = video(&pod(FRIEND), "ann", 7, 5);
    let id = theirs.id(&pod(FRIEND));
    library.apply(&lives_at(FRIEND, "http://localhost:9003"), at(0));
    let started = fetches(&library.apply(&published(FRIEND, theirs.clone()), at(0)));
    let effects = library.apply(&removed(FRIEND, id), at(1));
    assert!(
        matches!(&effects[..], [Effect::Delete(files)] if files.len() == 3),
        "{effects:?}"
    );
    for (file, _) in started {
        let late = library.fetched(file, true, at(2));
        assert_eq!(
            late,
            [
                Effect::Answer { file, arrived: false },
                Effect::Delete(vec![file])
            ]
        );
    }
    assert_eq!(library.locate_picture(id, PictureKind::Preview), None);
    assert_eq!(library.locate_info(theirs.files[0].info_hash), None);
    library.check();
}

#[test]
fn nobody_removes_another_pods_video_or_its_torrent() {
    let mut library = Library::new(pod(ME), [], Quotas::default());
    let theirs = video(&pod(FRIEND), "ann", 7, 5);
    let id = theirs.id(&pod(FRIEND));
    let torrent = theirs.files[0].info_hash;
    library.apply(&published(FRIEND, theirs), at(0));
    assert_eq!(library.apply(&removed(OTHER, id), at(1)), []);
    assert!(library.locate_picture(id, PictureKind::Preview).is_some());

    let mut claim = video(&pod(OTHER), "eve", 8, 5);
    claim.files[0].info_hash = torrent;
    library.apply(&published(OTHER, claim), at(2));
    library.check();
    let effects = library.apply(&Change::AuthorGone(pod(OTHER)), at(3));
    let kept = |effect: &Effect| !matches!(effect, Effect::Delete(files) if files.contains(&CachedFile::Info(torrent)));
    assert!(effects.iter().all(kept), "{effects:?}");
    assert_eq!(
        library.locate_info(torrent),
        Some(Place::Remote(CachedFile::Info(torrent)))
    );
    library.check();
}

#[test]
fn fetching_ahead_leaves_room_for_those_who_wait() {
    let mut library = Library::new(pod(ME), [], Quotas::default());
    library.apply(&lives_at(FRIEND, "http://localhost:9003"), at(0));
    let mut started = 0;
    for number in 0..20 {
        started +=
            fetches(&library.apply(&published(FRIEND, video(&pod(FRIEND), "ann", number, 5)), at(0))).len();
        library.check();
    }
    assert_eq!(started, MAX_AHEAD_RUNNING);
    let last = video(&pod(FRIEND), "ann", 19, 5);
    let place = library.locate_picture(last.id(&pod(FRIEND)), PictureKind::Preview);
    let Some(Place::Remote(file)) = place else {
        panic!("{place:?}")
    };
    assert_eq!(
        fetches(&library.want(file, at(0)).unwrap()).len(),
        1,
        "does not queue behind what nobody waits for"
    );
    library.check();
}

#[derive(Debug, Clone)]
enum Step {
    Add { owner: bool, size: u16, quota: u16 },
    Finish { published: bool },
    Edit { video: u8, published: bool },
    Remove { video: u8 },
    Publish { author: bool, video: u8, pictures: u8 },
    Unpublish { by: bool, author: bool, video: u8 },
    Address { author: bool, number: u8 },
    Gone { author: bool },
    Want { author: bool, video: u8, preview: bool },
    Fetched { arrived: bool },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let number = || 0..6u8;
    let step = prop_oneof![
        (any::<bool>(), any::<u16>(), any::<u16>()).prop_map(|(owner, size, quota)| Step::Add {
            owner,
            size,
            quota
        }),
        any::<bool>().prop_map(|published| Step::Finish { published }),
        (number(), any::<bool>()).prop_map(|(video, published)| Step::Edit { video, published }),
        number().prop_map(|video| Step::Remove { video }),
        (any::<bool>(), number(), number()).prop_map(|(author, video, pictures)| Step::Publish {
            author,
            video,
            pictures
        }),
        (any::<bool>(), any::<bool>(), number()).prop_map(|(by, author, video)| Step::Unpublish {
            by,
            author,
            video
        }),
        (any::<bool>(), number()).prop_map(|(author, number)| Step::Address { author, number }),
        any::<bool>().prop_map(|author| Step::Gone { author }),
        (any::<bool>(), number(), any::<bool>()).prop_map(|(author, video, preview)| Step::Want {
            author,
            video,
            preview
        }),
        any::<bool>().prop_map(|arrived| Step::Fetched { arrived }),
    ];
    prop::collection::vec(step, 0..60)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_invariants_hold_whatever_happens(steps in steps()) {
        let mut library = Library::new(pod(ME), [], Quotas::default());
        let mut running: Vec<CachedFile> = Vec::new();
        let mut adding: Vec<(VideoId, LocalVideo)> = Vec::new();
        let mut on_disk: BTreeSet<CachedFile> = BTreeSet::new();
        let author_of = |first: bool| if first { FRIEND } else { OTHER };
        for (now, step) in steps.into_iter().enumerate() {
            let time = at(now as u64);
            let nonce_number = u8::try_from(now).unwrap();
            let mut effects = Vec::new();
            match step {
                Step::Add { owner, size, quota } => {
                    let owner = if owner { "ann" } else { "bob" };
                    let used = library.quotas.used(owner);
                    let (id, row) = row(owner, nonce_number, size.into());
                    let charge = library.quotas.reserve(owner, Some(quota.into()), size.into());
                    prop_assert_eq!(charge.is_ok(), used + u64::from(size) <= u64::from(quota));
                    if let Ok(charge) = charge {
                        prop_assert!(library.begin_add(charge, &[nonce_number; 16]).is_ok());
                        adding.push((id, row));
                    }
                }
                Step::Finish { published } => {
                    if let Some((id, row)) = adding.pop() {
                        library.finish_add(id, published.then_some(&row));
                    }
                }
                Step::Edit { video, published } => {
                    let (id, row) = row("ann", video, 7);
                    if library.begin_edit(id, &Editor::Moderator).is_ok() {
                        library.finish_edit(id, published.then_some(&row), Vec::new());
                    }
                }
                Step::Remove { video } => {
                    let (id, _) = row("ann", video, 7);
                    if library.begin_edit(id, &Editor::Moderator).is_ok() {
                        library.finish_removal(id, true);
                    }
                }
                Step::Publish { author, video: number, pictures } => {
                    let author = author_of(author);
                    let mut theirs = video(&pod(author), "ann", number, 5);
                    theirs.preview.as_mut().unwrap().hash = ContentHash::of(&[pictures]);
                    if pictures == 0 {
                        theirs.files[0].info_hash = InfoHash::from_bytes([9; 20]); // somebody else's
                    }
                    effects = library.apply(&published(author, theirs), time);
                }
                Step::Unpublish { by, author, video: number } => {
                    let id = video(&pod(author_of(author)), "ann", number, 5).id(&pod(author_of(author)));
                    effects = library.apply(&removed(author_of(by), id), time);
                }
                Step::Address { author, number } => {
                    effects = library.apply(&lives_at(author_of(author), &format!("http://localhost:{number}")), time);
                }
                Step::Gone { author } => effects = library.apply(&Change::AuthorGone(pod(author_of(author))), time),
                Step::Want { author, video: number, preview } => {
                    let id = video(&pod(author_of(author)), "ann", number, 5).id(&pod(author_of(author)));
                    let which = if preview { PictureKind::Preview } else { PictureKind::Thumbnail };
                    if let Some(Place::Remote(file)) = library.locate_picture(id, which) {
                        effects = library.want(file, time).unwrap_or_default();
                    }
                }
                Step::Fetched { arrived } => {
                    if let Some(file) = running.pop() {
                        if arrived {
                            on_disk.insert(file);
                        }
                        effects = library.fetched(file, arrived, time);
                    }
                }
            }
            for effect in effects {
                match effect {
                    Effect::Fetch { file, urls } => {
                        prop_assert!(!urls.is_empty() && !running.contains(&file));
                        running.push(file);
                    }
                    Effect::Delete(files) => {
                        for file in files {
                            prop_assert!(!library.is_wanted(&file));
                            on_disk.remove(&file);
                        }
                    }
                    Effect::Answer { .. } | Effect::CountDropped => {}
                }
            }
            library.check();
            for file in &on_disk {
                prop_assert!(library.is_wanted(file), "{:?} lies there and nobody names it", file);
            }
        }
    }
}
