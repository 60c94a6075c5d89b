//! The upload form, which works without a script.

use seedpod_actors::search::messages::ListChannels;
use warp::http::StatusCode;
use warp::reply::Response;

use super::{chrome, own_csp, page, see_other, sentence};
use crate::api::receive;
use crate::body::BodyStream;
use crate::constants::{CATEGORIES, LANGUAGES, LICENCES, PRIVACIES};
use crate::error::ApiError;
use crate::links;
use crate::pages::{Choice, UploadPage, VideoFields};
use crate::paging::MAX_COUNT;
use crate::site::ask;
use crate::visit::{Caller, Visit};

pub(super) async fn form(visit: Visit) -> Result<Response, ApiError> {
    let caller = visit.reader().await?;
    show_form(&visit, &caller, StatusCode::OK, None).await
}

pub(super) async fn sent(visit: Visit, body: BodyStream) -> Result<Response, ApiError> {
    let caller = visit.writer().await?;
    match receive(&visit, &caller, body, true).await {
        Ok(entry) => Ok(see_other(&links::watch_path(&entry.id))),
        // The browser kept what was typed; the file has to be chosen again in any case.
        Err(error) if error.status().is_client_error() => {
            show_form(&visit, &caller, error.status(), Some(sentence(&error))).await
        }
        Err(error) => Err(error),
    }
}

async fn show_form(
    visit: &Visit,
    caller: &Caller,
    status: StatusCode,
    error: Option<String>,
) -> Result<Response, ApiError> {
    let options = visit.site.options();
    let channels = ListChannels {
        owner: Some(caller.user.username.clone()),
        start: 0,
        count: MAX_COUNT,
    };
    let channels = ask(&visit.site.rooms().search, channels).await?;
    let first = caller.user.channels.first();
    let channels = channels.rows.iter().rev().map(|entry| Choice {
        value: entry.id.to_string(),
        label: entry.channel.display_name.clone(),
        selected: Some(&entry.id) == first,
    });
    let fields = VideoFields {
        channels: channels.collect(),
        categories: choices(&CATEGORIES, None),
        licences: choices(&LICENCES, None),
        languages: languages(None),
        privacies: choices(&PRIVACIES, Some(1)),
        ..VideoFields::default()
    };
    let view = UploadPage {
        chrome: chrome(visit, Some(caller)).await,
        fields,
        error,
        max_bytes: options.max_upload,
        max_seconds: options.max_duration,
    };
    Ok(page(view.html(), status, &own_csp(visit)))
}

/// The options of a list of numbers, one of them chosen.
pub(super) fn choices(list: &[(u16, &str)], chosen: Option<u16>) -> Vec<Choice> {
    list.iter()
        .map(|(id, label)| Choice {
            value: id.to_string(),
            label: (*label).to_owned(),
            selected: Some(*id) == chosen,
        })
        .collect()
}

/// The options of the list of languages.
pub(super) fn languages(chosen: Option<&str>) -> Vec<Choice> {
    LANGUAGES
        .iter()
        .map(|(code, label)| Choice {
            value: (*code).to_owned(),
            label: (*label).to_owned(),
            selected: Some(*code) == chosen,
        })
        .collect()
}
