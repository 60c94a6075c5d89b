//! What this pod is and how it is: `ping`, `config`, `server/…`.

use seedpod_actors::accounts::messages::CountUsers;
use seedpod_actors::catalog::messages::{GetDigest, GetRoots};
use seedpod_actors::comments::messages::GetCommentTotals;
use seedpod_actors::friends::messages::{ListPods, Phase};
use seedpod_actors::meter::messages::GetAllFigures;
use seedpod_actors::search::messages::GetTotals;
use seedpod_protocol::records::EXTENSIONS;
use serde_json::json;
use warp::filters::BoxedFilter;
use warp::reply::Response;
use warp::{Filter, Reply};

use super::{json as json_answer, read};
use crate::dto::{self, Carried};
use crate::error::ApiError;
use crate::site::{Site, ask};
use crate::visit::{Visit, answer, visit};

/// The version of PeerTube whose API these shapes follow: its clients decide by this number what they may ask for.
const API_LEVEL: &str = "6.3.0";

pub(super) fn routes(site: &Site) -> BoxedFilter<(Response,)> {
    let visit = visit(site.clone());
    let ping = warp::path!("ping").and(read()).map(|| "pong".into_response());
    let config = warp::path!("config")
        .and(read())
        .and(visit.clone())
        .then(|visit| answer(config(visit)));
    let about = warp::path!("config" / "about")
        .and(read())
        .and(visit.clone())
        .then(|visit| answer(about(visit)));
    let digest = warp::path!("server" / "state-digest")
        .and(read())
        .and(visit.clone())
        .then(|visit| answer(state_digest(visit)));
    let stats = warp::path!("server" / "stats")
        .and(read())
        .and(visit)
        .then(|visit| answer(stats(visit)));
    ping.or(config)
        .unify()
        .or(about)
        .unify()
        .or(digest)
        .unify()
        .or(stats)
        .unify()
        .boxed()
}

async fn config(visit: Visit) -> Result<Response, ApiError> {
    let options = visit.site.options();
    let users = ask(&visit.site.rooms().accounts, CountUsers).await?;
    let signup = options.signup && options.max_users.is_none_or(|most| users < most);
    let extensions: Vec<String> = EXTENSIONS
        .iter()
        .map(|extension| format!(".{extension}"))
        .collect();
    Ok(json_answer(&json!({
        "serverVersion": API_LEVEL,
        "software": { "name": "seedpod", "version": options.version },
        "podId": options.pod_id.to_string(),
        "instance": {
            "name": options.name,
            "shortDescription": options.description,
            "isNSFW": false,
            "defaultNSFWPolicy": "display",
            "defaultClientRoute": "/",
            "avatars": [],
            "banners": [],
        },
        "signup": {
            "allowed": signup,
            "allowedForCurrentIP": signup,
            "requiresEmailVerification": false,
            "requiresApproval": false,
            "minimumAge": 0,
        },
        "user": { "videoQuota": dto::quota(options.user_quota), "videoQuotaDaily": -1 },
        "transcoding": { "enabledResolutions": [], "hls": { "enabled": false }, "web_videos": { "enabled": false } },
        "import": { "videos": { "http": { "enabled": false }, "torrent": { "enabled": false } } },
        "live": { "enabled": false },
        "tracker": { "enabled": true },
        "search": { "remoteUri": { "users": false, "anonymous": false }, "searchIndex": { "enabled": false } },
        "video": {
            "file": { "extensions": extensions, "size": { "max": options.max_upload } },
            "duration": { "max": options.max_duration },
            "image": { "extensions": [".png", ".jpg", ".jpeg", ".webp"], "size": { "max": 4 * 1024 * 1024 } },
        },
    })))
}

async fn about(visit: Visit) -> Result<Response, ApiError> {
    let options = visit.site.options();
    Ok(json_answer(&json!({
        "instance": {
            "name": options.name,
            "shortDescription": options.description,
            "description": options.description,
            "terms": "",
            "languages": [],
            "categories": [],
        },
    })))
}

/// The digest of the catalog and the roots it is made of: equal on all friends once quiet.
async fn state_digest(visit: Visit) -> Result<Response, ApiError> {
    let catalog = &visit.site.rooms().catalog;
    let digest = ask(catalog, GetDigest).await?;
    let authors: Vec<_> = ask(catalog, GetRoots)
        .await?
        .iter()
        .map(|author| json!({ "podId": author.author.to_string(), "root": author.root.to_string(), "records": author.records }))
        .collect();
    Ok(json_answer(
        &json!({ "digest": digest.to_string(), "authors": authors }),
    ))
}

async fn stats(visit: Visit) -> Result<Response, ApiError> {
    let rooms = visit.site.rooms();
    let totals = ask(&rooms.search, GetTotals).await?;
    let pods = ask(&rooms.friends, ListPods).await?;
    let comments = ask(&rooms.comments, GetCommentTotals).await?;
    let carried = ask(&rooms.meter, GetAllFigures).await?;
    let friends = pods.iter().filter(|pod| pod.phase == Phase::Friends).count();
    Ok(json_answer(&json!({
        "totalVideos": totals.videos,
        "totalLocalVideos": totals.local_videos,
        "totalVideoComments": comments.all,
        "totalLocalVideoComments": comments.local,
        "totalLocalVideoFilesSize": totals.local_bytes,
        "totalInstanceFollowers": friends,
        "totalInstanceFollowing": friends,
        // Ours.
        "carried": Carried::from(carried),
    })))
}
