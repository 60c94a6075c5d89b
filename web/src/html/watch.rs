//! One video: its page, and its player alone.

use std::sync::Arc;

use seedpod_actors::audience::messages::{GetRating, Rate, Rating};
use seedpod_actors::friends::messages::ListPods;
use seedpod_actors::mirrors::messages::{GetSources, Source};
use seedpod_actors::search::messages::{GetVideo, ListVideos, VideoEntry, VideoFilter};
use warp::http::StatusCode;
use warp::reply::Response;

use super::conversation::{Draft, comments};
use super::lists::{LATEST, card, channel_name, channel_url};
use super::{chrome, copies, own_csp, page, see_other};
use crate::api::{figures, parse_key, parse_rating};
use crate::body::{BodyStream, fields};
use crate::constants::{CATEGORIES, LICENCES, PRIVACIES, label, language};
use crate::csp::Csp;
use crate::dto::resolution_label;
use crate::error::ApiError;
use crate::files::media::mime;
use crate::links::{self, Origin};
use crate::pages::{CarriedView, EmbedPage, PlayerView, Ratings, Received, SourceFile, WatchPage};
use crate::session::CSRF_FIELD;
use crate::site::ask;
use crate::visit::{Caller, Visit};
use seedpod_protocol::records::Privacy;

/// Videos beside the one that is watched.
const RELATED: usize = 8;

pub(super) async fn watch(id: String, visit: Visit) -> Result<Response, ApiError> {
    let entry = find(&visit, &id).await?;
    let caller = visit.caller().await?;
    watch_page(&visit, &entry, caller.as_ref(), Draft::default(), StatusCode::OK).await
}

/// The page of a video, with what the caller was about to say about it.
pub(super) async fn watch_page(
    visit: &Visit,
    entry: &Arc<VideoEntry>,
    caller: Option<&Caller>,
    draft: Draft,
    status: StatusCode,
) -> Result<Response, ApiError> {
    let video = &entry.video;
    let own_url = &visit.site.options().public_url;
    let related = ListVideos {
        filter: VideoFilter::default(),
        sort: LATEST,
        start: 0,
        count: RELATED + 1,
    };
    let related = ask(&visit.site.rooms().search, related).await?;
    let privacy = match video.privacy {
        Privacy::Public => None,
        Privacy::Unlisted => label(&PRIVACIES, 2),
    };
    let mirrors = mirrors(visit, entry).await?;
    let view = WatchPage {
        chrome: chrome(visit, caller).await,
        player: player(visit, entry, &mirrors),
        channel: channel_name(entry),
        channel_url: channel_url(entry),
        description: video.description.clone().unwrap_or_default(),
        views: entry.tally.views,
        ratings: ratings(visit, entry, caller).await?,
        comments: comments(visit, entry, caller, draft).await?,
        published_at: video.published_at.as_millis(),
        category: video
            .category
            .and_then(|id| label(&CATEGORIES, id))
            .map(str::to_owned),
        licence: video
            .licence
            .and_then(|id| label(&LICENCES, id))
            .map(str::to_owned),
        language: video.language.as_deref().and_then(language).map(str::to_owned),
        privacy: privacy.map(str::to_owned),
        tags: video.tags.clone(),
        nsfw: video.nsfw,
        is_local: entry.is_local,
        received: received(visit, entry).await?,
        pod_url: own_url.clone(),
        canonical: Origin::of(entry, own_url)
            .map_or_else(|| links::watch_path(&entry.id), |origin| origin.watch(&entry.id)),
        copy: copies::of_video(visit, entry, caller).await?,
        carried: carried(visit, entry).await,
        can_edit: entry.is_local && caller.is_some_and(|caller| caller.may_edit(&video.owner)),
        related: related
            .rows
            .iter()
            .filter(|other| other.id != entry.id)
            .take(RELATED)
            .map(|other| card(other, own_url))
            .collect(),
    };
    Ok(page(view.html(), status, &policy(visit, entry, &mirrors)))
}

/// Takes a rating from the page's form, and leads back to the page.
pub(super) async fn rated(id: String, visit: Visit, body: BodyStream) -> Result<Response, ApiError> {
    let form = fields(&visit.headers, body).await?;
    let caller = visit.form_writer(form.first(CSRF_FIELD)).await?;
    let rating = parse_rating(&form)?;
    let entry = find(&visit, &id).await?;
    let rate = Rate {
        video: entry.id,
        username: caller.user.username.clone(),
        rating,
    };
    ask(&visit.site.rooms().audience, rate).await??;
    Ok(see_other(&links::watch_path(&entry.id)))
}

/// What all people think of the video, and what the caller does.
async fn ratings(visit: &Visit, entry: &VideoEntry, caller: Option<&Caller>) -> Result<Ratings, ApiError> {
    let mut ratings = Ratings {
        likes: entry.tally.likes,
        dislikes: entry.tally.dislikes,
        liked: false,
        disliked: false,
    };
    if let Some(caller) = caller {
        let asked = GetRating {
            video: entry.id,
            username: caller.user.username.clone(),
        };
        let mine = ask(&visit.site.rooms().audience, asked).await?;
        ratings.liked = mine == Some(Rating::Like);
        ratings.disliked = mine == Some(Rating::Dislike);
    }
    Ok(ratings)
}

pub(super) async fn embed(id: String, visit: Visit) -> Result<Response, ApiError> {
    let entry = find(&visit, &id).await?;
    let watch_url = format!(
        "{}{}",
        visit.site.options().public_url,
        links::watch_path(&entry.id)
    );
    let mirrors = mirrors(&visit, &entry).await?;
    let view = EmbedPage {
        assets: visit.site.assets().urls(),
        player: player(&visit, &entry, &mirrors),
        watch_url,
    };
    Ok(page(
        view.html(),
        StatusCode::OK,
        &policy(&visit, &entry, &mirrors).embeddable(),
    ))
}

pub(super) async fn find(visit: &Visit, id: &str) -> Result<Arc<VideoEntry>, ApiError> {
    let missing = || ApiError::NotFound("There is no such video in this network.".into());
    // What cannot be an id is, to a person, only a mistyped address.
    let key = parse_key(id).map_err(|_| missing())?;
    ask(&visit.site.rooms().search, GetVideo(key))
        .await?
        .ok_or_else(missing)
}

/// Pods with a copy of the video that answer; this one, if it has one, among them.
async fn mirrors(visit: &Visit, entry: &VideoEntry) -> Result<Vec<Source>, ApiError> {
    ask(&visit.site.rooms().mirrors, GetSources(entry.id)).await
}

/// The page may load from its own pod, from the video's origin, and from pods with a copy.
fn policy(visit: &Visit, entry: &VideoEntry, mirrors: &[Source]) -> Csp {
    // This pod too, if it has a copy: people may have come by another name than that of its public URL.
    let csp = mirrors
        .iter()
        .fold(own_csp(visit), |csp, mirror| csp.media(&mirror.url));
    match Origin::of(entry, &visit.site.options().public_url) {
        Some(origin) => csp.media(origin.url()).connect(&origin.tracker()),
        None => csp,
    }
}

fn player(visit: &Visit, entry: &VideoEntry, mirrors: &[Source]) -> PlayerView {
    let (id, video) = (&entry.id, &entry.video);
    let options = visit.site.options();
    let own = Origin::at(&options.public_url).with_udp(options.udp_port);
    let origin = Origin::of(entry, own.url());
    let mut files: Vec<_> = video.files.iter().collect();
    files.sort_by_key(|file| std::cmp::Reverse(file.resolution));
    let source = |origin: Origin<'_>| {
        let files = files.iter().map(|file| SourceFile {
            // Here the page's own address is the safest: it is the one that reached us.
            url: if entry.is_local {
                format!("/static/webseed/{}", file.file_name(id))
            } else {
                origin.web_seed(id, file)
            },
            mime: mime(&file.extension).to_owned(),
            label: resolution_label(file.resolution),
            resolution: u32::from(file.resolution),
            size: file.size,
            info_hash: file.info_hash.to_string(),
            magnet: origin.magnet(id, video, file),
            torrent_url: format!("/static/torrents/{}", file.torrent_name(id)),
            web_seed: origin.web_seed(id, file),
            mirrors: mirrors
                .iter()
                .filter(|mirror| mirror.info_hashes.contains(&file.info_hash))
                .map(|mirror| Origin::at(&mirror.url).web_seed(id, file))
                .collect(),
        });
        files.collect::<Vec<_>>()
    };
    let mut trackers = vec![own.tracker()];
    trackers.extend(
        origin
            .map(|origin| origin.tracker())
            .filter(|tracker| *tracker != trackers[0]),
    );
    let mut stun: Vec<_> = own.stun().into_iter().collect();
    stun.extend(
        origin
            .and_then(|origin| origin.stun())
            .filter(|server| !stun.contains(server)),
    );
    PlayerView {
        uuid: id.to_string(),
        short_uuid: id.short(),
        title: video.name.clone(),
        poster: links::preview_path(id, video),
        duration: u64::from(video.duration),
        files: origin.map(source).unwrap_or_default(),
        own_host: own.host().to_owned(),
        origin_host: origin.map(|origin| origin.host().to_owned()).unwrap_or_default(),
        trackers,
        stun,
        p2p: true,
    }
}

/// Who carried the video so far.
async fn carried(visit: &Visit, entry: &Arc<VideoEntry>) -> CarriedView {
    let figures = figures(&visit.site, std::slice::from_ref(entry)).await;
    figures
        .first()
        .copied()
        .map(CarriedView::from)
        .unwrap_or_default()
}

/// How a friend's video came here.
async fn received(visit: &Visit, entry: &VideoEntry) -> Result<Option<Received>, ApiError> {
    if entry.is_local {
        return Ok(None);
    }
    let through = if entry.via == entry.origin {
        Origin::of(entry, &visit.site.options().public_url).map(|origin| origin.host().to_owned())
    } else {
        let pods = ask(&visit.site.rooms().friends, ListPods).await?;
        pods.into_iter()
            .find(|pod| pod.pod == entry.via)
            .map(|pod| pod.host)
    };
    Ok(Some(Received {
        at: entry.received_at.as_millis(),
        through,
    }))
}
