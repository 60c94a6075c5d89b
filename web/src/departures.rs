//! Users who are deleted, with all they own: videos, comments and channels go first, the user last.
//!
//! From the first step on they are nobody here. A pod that stops in the middle of it goes on when it starts.

use seedpod_actors::accounts::messages::{BeginDeparture, EndDeparture, ListDepartures, RemoveChannel, User};
use seedpod_actors::comments::messages::RemoveCommentsOf;
use seedpod_actors::library::messages::{Editor, LibraryError, RemoveVideo};
use seedpod_actors::search::messages::{ListVideos, Sort, SortKey, VideoFilter};
use tokio::sync::oneshot;
use tracing::{info, warn};

use crate::error::ApiError;
use crate::paging::MAX_COUNT;
use crate::site::{Site, ask, ask_to_the_end};

/// Deletes a user. Once it has begun it goes on whether or not anybody waits for it.
///
/// # Errors
/// No such user, the first one, or something of theirs could not be removed: to ask again goes on with it.
pub(crate) async fn delete(site: &Site, number: u64) -> Result<(), ApiError> {
    let user = ask(&site.rooms().accounts, BeginDeparture(number)).await??;
    let (done, end) = oneshot::channel();
    let (own, name) = (site.clone(), user.username.clone());
    site.spawn(async move {
        let gone = clear(&own, &user).await;
        match &gone {
            Ok(()) => info!(user = name, "a user is deleted"),
            Err(error) => warn!(user = name, %error, "a user is not wholly deleted yet"),
        }
        // Whoever asked may have hung up.
        let _ = done.send(gone);
    });
    end.await.unwrap_or(Err(ApiError::Unavailable))
}

/// Goes on with what an earlier run began.
pub(crate) async fn resume(site: Site) {
    let Ok(leaving) = ask(&site.rooms().accounts, ListDepartures).await else {
        return;
    };
    for user in leaving {
        if let Err(error) = delete(&site, user.number).await {
            warn!(user = user.username, %error, "a user is not wholly deleted yet");
        }
    }
}

async fn clear(site: &Site, user: &User) -> Result<(), ApiError> {
    let rooms = site.rooms();
    remove_videos(
        site,
        &VideoFilter {
            owner: Some(user.username.clone()),
            ..VideoFilter::default()
        },
    )
    .await?;
    ask_to_the_end(&rooms.comments, RemoveCommentsOf(user.username.clone())).await??;
    for id in &user.channels {
        let channel = RemoveChannel {
            id: *id,
            owner: user.username.clone(),
        };
        ask_to_the_end(&rooms.accounts, channel).await??;
    }
    Ok(ask(&rooms.accounts, EndDeparture(user.number)).await??)
}

/// Removes all videos that a list shows, which are of this pod.
pub(crate) async fn remove_videos(site: &Site, filter: &VideoFilter) -> Result<(), ApiError> {
    let rooms = site.rooms();
    loop {
        let list = ListVideos {
            filter: filter.clone(),
            sort: Sort {
                key: SortKey::CreatedAt,
                descending: false,
            },
            start: 0,
            count: MAX_COUNT,
        };
        let page = ask(&rooms.search, list).await?;
        if page.rows.is_empty() {
            return Ok(());
        }
        let mut removed = 0;
        for video in &page.rows {
            let remove = RemoveVideo {
                id: video.id,
                by: Editor::Moderator,
            };
            match ask_to_the_end(&rooms.library, remove).await? {
                Ok(()) => removed += 1,
                // Somebody else was quicker, and the list shows it in a moment.
                Err(LibraryError::Unknown) => {}
                Err(error) => return Err(error.into()),
            }
        }
        if removed == 0 {
            return Err(ApiError::Unavailable);
        }
    }
}
