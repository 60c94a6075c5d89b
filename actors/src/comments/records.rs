//! The form in which comments that are hidden on this pod alone are stored: the id, and a version byte.

use seedpod_protocol::ids::CommentId;

use crate::store::{Transaction, tables};

const VERSION: u8 = 1;

/// Why a row could not be read.
#[derive(Debug, thiserror::Error)]
#[error("a stored word about a hidden comment is damaged, or from a later version of this program")]
pub(crate) struct HiddenRowError;

/// Says whether this pod hides a comment.
pub(crate) fn put_hidden(transaction: &mut Transaction, id: &CommentId, hidden: bool) {
    let key = id.as_bytes().to_vec();
    if hidden {
        transaction.put(tables::HIDDEN_COMMENTS, key, [VERSION]);
    } else {
        transaction.delete(tables::HIDDEN_COMMENTS, key);
    }
}

pub(crate) fn read_hidden(key: &[u8], row: &[u8]) -> Result<CommentId, HiddenRowError> {
    if row != [VERSION] {
        return Err(HiddenRowError);
    }
    CommentId::try_from(key).map_err(|_| HiddenRowError)
}
