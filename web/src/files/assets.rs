//! What the pages are made of: the hand-written style of `web/assets`, and the built islands of `web/ui/dist`.
//!
//! Both are inside the binary; a debug build reads them from disk, so that an edit shows at the next load. The built UI
//! may be missing: pages then play over plain HTTP and say which script builds the rest.

use std::borrow::Cow;

use rust_embed::{EmbeddedFile, RustEmbed};
use warp::Reply;
use warp::http::StatusCode;
use warp::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderValue, IF_NONE_MATCH};
use warp::reply::Response;

use crate::error::ApiError;
use crate::pages::AssetUrls;
use crate::visit::Visit;

/// What people wrote.
#[derive(RustEmbed)]
#[folder = "assets"]
struct Written;

/// What `./scripts/build-ui` built.
#[derive(RustEmbed)]
#[folder = "ui/dist"]
#[allow_missing = true]
struct Built;

/// The folder of webtorrent's own files in the built UI.
const WEBTORRENT: &str = "vendor/webtorrent";

/// Where pages find their style and scripts.
pub(crate) struct Assets {
    /// `None` in debug builds, where the UI may be built again at any time.
    urls: Option<AssetUrls>,
}

impl Assets {
    /// Looks at what was built in.
    pub(crate) fn open() -> Self {
        Self {
            urls: (!cfg!(debug_assertions)).then(read_urls),
        }
    }

    /// The addresses for pages.
    pub(crate) fn urls(&self) -> AssetUrls {
        self.urls.clone().unwrap_or_else(read_urls)
    }
}

fn read_urls() -> AssetUrls {
    let urls = Built::get("manifest.json").map_or_else(AssetUrls::without_ui, |manifest| {
        AssetUrls::from_manifest(&manifest.data)
    });
    let version = Written::get("seedpod.css")
        .map(|css| tag(&css))
        .unwrap_or_default();
    urls.versioned(version.get(..8).unwrap_or_default())
}

/// How long a browser may keep an answer.
#[derive(Clone, Copy)]
enum Keep {
    /// For ever: another content has another address.
    Forever,
    /// Until it asked whether it changed.
    Ask,
}

/// `/assets/<file>`.
pub(crate) async fn written(path: String, visit: Visit) -> Result<Response, ApiError> {
    let keep = if visit.query()?.first("v").is_some() {
        Keep::Forever
    } else {
        Keep::Ask
    };
    file(
        &path,
        Written::get(&path),
        keep,
        visit.header(IF_NONE_MATCH.as_str()),
    )
}

/// `/ui/<file>`.
pub(crate) async fn built(path: String, visit: Visit) -> Result<Response, ApiError> {
    let keep = if has_hash(&path) { Keep::Forever } else { Keep::Ask };
    file(
        &path,
        Built::get(&path),
        keep,
        visit.header(IF_NONE_MATCH.as_str()),
    )
}

/// `/vendor/webtorrent/<file>`, as published.
pub(crate) async fn webtorrent(name: String, visit: Visit) -> Result<Response, ApiError> {
    let path = format!("{WEBTORRENT}/{name}");
    file(
        &path,
        Built::get(&path),
        Keep::Ask,
        visit.header(IF_NONE_MATCH.as_str()),
    )
}

/// `/sw.min.js`: webtorrent's service worker, which must stand above all that it answers for.
pub(crate) async fn service_worker(visit: Visit) -> Result<Response, ApiError> {
    let path = format!("{WEBTORRENT}/sw.min.js");
    let mut response = file(
        &path,
        Built::get(&path),
        Keep::Ask,
        visit.header(IF_NONE_MATCH.as_str()),
    )?;
    response
        .headers_mut()
        .insert("service-worker-allowed", HeaderValue::from_static("/"));
    Ok(response)
}

/// `/favicon.ico`: the mark, for browsers that ask for nothing else.
pub(crate) async fn icon(visit: Visit) -> Result<Response, ApiError> {
    file(
        "mark.svg",
        Written::get("mark.svg"),
        Keep::Ask,
        visit.header(IF_NONE_MATCH.as_str()),
    )
}

fn file(
    path: &str,
    found: Option<EmbeddedFile>,
    keep: Keep,
    known: Option<&str>,
) -> Result<Response, ApiError> {
    let file = found.ok_or_else(|| ApiError::NotFound("there is no such file here".into()))?;
    let tag = format!("\"{}\"", tag(&file));
    let mut response = if known.is_some_and(|known| known.contains(&tag)) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        match file.data {
            Cow::Borrowed(bytes) => bytes.into_response(),
            Cow::Owned(bytes) => bytes.into_response(),
        }
    };
    let headers = response.headers_mut();
    let kind = mime_guess::from_path(path).first_or_octet_stream();
    let kind = if kind.type_() == "text" {
        format!("{kind}; charset=utf-8")
    } else {
        kind.to_string()
    };
    if let Ok(kind) = HeaderValue::from_str(&kind) {
        headers.insert(CONTENT_TYPE, kind);
    }
    headers.extend(HeaderValue::from_str(&tag).ok().map(|tag| (ETAG, tag)));
    let keep = match keep {
        Keep::Forever if !cfg!(debug_assertions) => "public, max-age=31536000, immutable",
        Keep::Forever | Keep::Ask => "no-cache",
    };
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(keep));
    Ok(response)
}

/// A name of the content.
fn tag(file: &EmbeddedFile) -> String {
    data_encoding::HEXLOWER.encode(&file.metadata.sha256_hash()[..16])
}

/// Whether the builder put a hash of the content into a name: `watch-BdxT3k9Q.js`.
fn has_hash(path: &str) -> bool {
    let stem = path.rsplit_once('.').map_or(path, |(stem, _)| stem);
    stem.get(stem.len().saturating_sub(9)..)
        .and_then(|end| end.strip_prefix('-'))
        .is_some_and(|hash| {
            hash.bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
                && hash
                    .bytes()
                    .any(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_with_a_hash_are_kept_for_ever() {
        assert!(has_hash("watch-BdxT3k9Q.js"));
        assert!(has_hash("chunks/lit-a_c-9f1Z.js"));
        assert!(!has_hash("watch.js"));
        assert!(!has_hash("vendor/some-morelong.js"));
        assert!(!has_hash(""));
    }

    #[test]
    fn a_file_has_one_type_and_is_not_sent_twice() {
        let answer = |known: Option<&str>| {
            let answer = file("mark.svg", Written::get("mark.svg"), Keep::Ask, known);
            answer.unwrap_or_else(|_| panic!("the mark is written by hand"))
        };
        let first = answer(None);
        let kinds: Vec<_> = first.headers().get_all(CONTENT_TYPE).iter().collect();
        assert_eq!(kinds, ["image/svg+xml"]);
        let tag = first.headers()[ETAG].to_str().expect("a tag is text");
        assert_eq!(answer(Some(tag)).status(), StatusCode::NOT_MODIFIED);
    }

    #[test]
    fn pages_find_their_style() {
        let urls = read_urls();
        assert!(urls.css.starts_with("/assets/seedpod.css?v="), "{}", urls.css);
        assert!(Written::get("seedpod.css").is_some() && Written::get("mark.svg").is_some());
    }
}
