//! The forms in which views and ratings are stored: a version byte, then the number.

use seedpod_protocol::ids::VideoId;

use super::messages::Rating;
use crate::store::{Transaction, tables};

const VERSION: u8 = 1;

/// Why a row could not be read.
#[derive(Debug, thiserror::Error)]
#[error("a stored view or rating is damaged, or from a later version of this program")]
pub(crate) struct AudienceRowError;

/// Sets how often a video was watched here.
pub(crate) fn put_views(transaction: &mut Transaction, video: &VideoId, views: u64) {
    let row = [&[VERSION], views.to_be_bytes().as_slice()].concat();
    transaction.put(tables::VIEWS, video.as_bytes().to_vec(), row);
}

/// Sets what a user thinks of a video.
pub(crate) fn put_rating(
    transaction: &mut Transaction,
    video: &VideoId,
    username: &str,
    rating: Option<Rating>,
) {
    let key = [video.as_bytes().as_slice(), username.as_bytes()].concat();
    match rating {
        Some(rating) => transaction.put(tables::RATINGS, key, [VERSION, number(rating)]),
        None => transaction.delete(tables::RATINGS, key),
    };
}

pub(crate) fn read_views(key: &[u8], row: &[u8]) -> Result<(VideoId, u64), AudienceRowError> {
    let (&version, views) = row.split_first().ok_or(AudienceRowError)?;
    let views = views.try_into().map_err(|_| AudienceRowError)?;
    if version != VERSION {
        return Err(AudienceRowError);
    }
    Ok((
        key.try_into().map_err(|_| AudienceRowError)?,
        u64::from_be_bytes(views),
    ))
}

pub(crate) fn read_rating(key: &[u8], row: &[u8]) -> Result<(VideoId, String, Rating), AudienceRowError> {
    let (id, username) = key.split_at_checked(VideoId::LEN).ok_or(AudienceRowError)?;
    let username = str::from_utf8(username).map_err(|_| AudienceRowError)?;
    let rating = match row {
        [VERSION, 1] => Rating::Like,
        [VERSION, 2] => Rating::Dislike,
        _ => return Err(AudienceRowError),
    };
    Ok((
        id.try_into().map_err(|_| AudienceRowError)?,
        username.to_owned(),
        rating,
    ))
}

fn number(rating: Rating) -> u8 {
    match rating {
        Rating::Like => 1,
        Rating::Dislike => 2,
    }
}
