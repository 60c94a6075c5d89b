//! What the catalog answers to a friend, decided without touching the disk.

use seedpod_protocol::envelope::RegisterKey;
use seedpod_protocol::ids::PodId;
use seedpod_protocol::limits;
use seedpod_protocol::requests::{Request, Response};

use super::state::{Catalog, PAGE_RECORDS};

/// An answer, or what has to be read for it.
#[derive(Debug)]
pub(crate) enum Answer {
    /// The answer.
    Ready(Response),
    /// Envelopes to read: see [`Answer::read`].
    Page(Page),
}

/// Heads whose envelopes make a page.
#[derive(Debug)]
pub(crate) struct Page {
    author: PodId,
    keys: Vec<RegisterKey>,
    more: bool,
}

impl Catalog {
    /// What to answer; `None` if the request is not about the catalog.
    pub(crate) fn answer(&self, request: &Request) -> Option<Answer> {
        match request {
            Request::Roots => Some(Answer::Ready(Response::Roots(self.roots()))),
            Request::Pull { author, after } => {
                let keys = self.page(author, *after);
                let of_keys = self.statements(author).len();
                let more = keys.len() == of_keys + PAGE_RECORDS;
                let author = *author;
                Some(Answer::Page(Page { author, keys, more }))
            }
            Request::Nodes { author, places } => {
                Some(Answer::Ready(Response::Nodes(self.places(author, places))))
            }
            Request::Fetch { author, keys } => {
                let keys = self.held(author, keys);
                let author = *author;
                Some(Answer::Page(Page {
                    author,
                    keys,
                    more: false,
                }))
            }
            Request::Befriend { .. }
            | Request::ListFriends
            | Request::Tell { .. }
            | Request::Report { .. }
            | Request::RelayOffer(_)
            | Request::RelayAnswer(_) => None,
        }
    }
}

impl Answer {
    /// The answer, with envelopes from `read`: how a simulation answers, and the actor on a blocking thread. A head that
    /// `read` does not find yet is left out; it will be asked for again.
    ///
    /// # Errors
    /// Those of `read`.
    pub(crate) fn read<E>(
        self,
        mut read: impl FnMut(&PodId, &RegisterKey) -> Result<Option<Vec<u8>>, E>,
    ) -> Result<Response, E> {
        let Page {
            author,
            keys,
            mut more,
        } = match self {
            Self::Ready(response) => return Ok(response),
            Self::Page(page) => page,
        };
        let (mut envelopes, mut size) = (Vec::new(), 0);
        for key in &keys {
            let Some(bytes) = read(&author, key)? else {
                continue;
            };
            if size + bytes.len() > limits::PAGE_TARGET && !envelopes.is_empty() {
                more = true;
                break;
            }
            size += bytes.len();
            envelopes.push(bytes);
        }
        Ok(Response::Page { envelopes, more })
    }
}
