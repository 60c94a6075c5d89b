//! Torrent files, of every video in the catalog: the info dictionary is the same wherever it comes from, and what stands
//! beside it (tracker and web seed) is the origin's, so that all pods hand out the same file.

use seedpod_actors::library::messages::GetInfo;
use seedpod_actors::search::messages::{GetVideo, VideoKey};
use seedpod_protocol::ids::VideoId;
use seedpod_protocol::metainfo::Metainfo;
use warp::Reply;
use warp::http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE, HeaderValue};
use warp::reply::Response;

use super::media::attachment;
use crate::error::ApiError;
use crate::links::Origin;
use crate::site::{ask, ask_work};
use crate::visit::Visit;

/// Answers a request for `<uuid>-<resolution>.torrent`.
pub(crate) async fn torrent(name: String, visit: Visit) -> Result<Response, ApiError> {
    serve(&name, &visit, false).await
}

/// The same, for keeping under the video's name.
pub(crate) async fn download(name: String, visit: Visit) -> Result<Response, ApiError> {
    serve(&name, &visit, true).await
}

async fn serve(name: &str, visit: &Visit, save: bool) -> Result<Response, ApiError> {
    let unknown = || ApiError::NotFound("there is no such torrent on this pod".into());
    let (id, _) = name.split_at_checked(36).ok_or_else(unknown)?;
    let id: VideoId = id.parse().map_err(|_| unknown())?;
    let rooms = visit.site.rooms();
    let entry = ask(&rooms.search, GetVideo(VideoKey::Id(id)))
        .await?
        .ok_or_else(unknown)?;
    let file = entry
        .video
        .files
        .iter()
        .find(|file| file.torrent_name(&id) == name)
        .ok_or_else(unknown)?;
    let origin = Origin::of(&entry, &visit.site.options().public_url).ok_or_else(unknown)?;

    let info = ask_work(
        &rooms.library,
        GetInfo {
            info_hash: file.info_hash,
        },
    )
    .await??;
    let mut metainfo = around(&info)?;
    if metainfo.info_hash() != file.info_hash {
        return Err(ApiError::internal(&format!(
            "the info dictionary of {name} has another hash than its record says"
        )));
    }
    // A tier each: all ways lead to one swarm, and a client takes the first that it speaks.
    metainfo.announce_list = origin
        .trackers()
        .into_iter()
        .map(|tracker| vec![tracker])
        .collect();
    metainfo.url_list = vec![origin.web_seed(&id, file)];
    metainfo.created_by = Some("Seedpod".into());
    metainfo.creation_date = i64::try_from(entry.video.created_at.as_secs()).ok();

    let mut response = metainfo.encode().into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-bittorrent"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=3600"));
    let save_as = if save {
        format!("{}-{}.torrent", entry.video.name, file.resolution)
    } else {
        name.to_owned()
    };
    headers.extend(attachment(&save_as).map(|value| (CONTENT_DISPOSITION, value)));
    Ok(response)
}

/// A torrent file around an info dictionary, whose bytes stay as they are: they are what the hash is of.
fn around(info: &[u8]) -> Result<Metainfo, ApiError> {
    let file = [b"d4:info", info, b"e"].concat();
    Metainfo::decode(&file).map_err(|error| ApiError::internal(&error))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
    use super::*;
    use seedpod_protocol::metainfo::{Info, PieceHasher};

    #[test]
    fn an_info_dictionary_keeps_its_hash_inside_of_a_file() {
        let mut hasher = PieceHasher::new(16 * 1024);
        hasher.update(&[7; 40_000]);
        let info = Info::new("x-720.mp4".into(), 40_000, 16 * 1024, hasher.finish()).unwrap();
        let file = around(&info.encode()).unwrap();
        assert_eq!(file.info_hash(), info.info_hash());
        assert!(around(b"le").is_err());
    }
}
