//! Pages of lists: where they start, how long they are, in which order.

use serde::Serialize;

use crate::error::ApiError;
use crate::query::{Query, shorten};

/// Rows of a page when nobody says how many.
pub(crate) const DEFAULT_COUNT: usize = 15;
/// The longest page.
pub(crate) const MAX_COUNT: usize = 100;

/// Which rows of a list are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Paging {
    /// How many rows to skip.
    pub(crate) start: usize,
    /// How many rows to give, at most [`MAX_COUNT`].
    pub(crate) count: usize,
}

impl Paging {
    /// Reads `start` and `count`; anything but a number in range is a 400.
    pub(crate) fn of(query: &Query) -> Result<Self, ApiError> {
        let start = number(query, "start", usize::MAX >> 1)?.unwrap_or(0);
        let count = number(query, "count", MAX_COUNT)?.unwrap_or(DEFAULT_COUNT);
        Ok(Self { start, count })
    }

    /// The page of a list that is wholly in memory.
    pub(crate) fn cut<T>(self, rows: Vec<T>) -> List<T> {
        let total = rows.len();
        List {
            total,
            data: rows.into_iter().skip(self.start).take(self.count).collect(),
        }
    }
}

/// A page as the API shows it.
#[derive(Debug, Serialize)]
pub(crate) struct List<T> {
    /// Rows that match, on this page or not.
    pub(crate) total: usize,
    /// The rows of this page.
    pub(crate) data: Vec<T>,
}

/// Reads `sort`: a key of the list, with `-` in front for the largest or latest first.
pub(crate) fn sort<K: Copy>(
    query: &Query,
    keys: &[(&str, K)],
    default: (K, bool),
) -> Result<(K, bool), ApiError> {
    let Some(text) = query.first("sort") else {
        return Ok(default);
    };
    let (name, descending) = text.strip_prefix('-').map_or((text, false), |name| (name, true));
    keys.iter()
        .find(|(key, _)| *key == name)
        .map(|(_, key)| (*key, descending))
        .ok_or_else(|| {
            let known: Vec<&str> = keys.iter().map(|(key, _)| *key).collect();
            ApiError::field(
                "sort",
                format!(
                    "`{}` is not one of {} (with `-` in front for descending)",
                    shorten(text),
                    known.join(", ")
                ),
            )
        })
}

/// A number without a sign, at most `max`.
fn number(query: &Query, name: &str, max: usize) -> Result<Option<usize>, ApiError> {
    let Some(text) = query.first(name) else {
        return Ok(None);
    };
    let well_formed = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse::<usize>() {
        Ok(value) if well_formed && value <= max => Ok(Some(value)),
        _ if max <= MAX_COUNT => Err(ApiError::field(
            name,
            format!("`{}` is not a number from 0 to {max}", shorten(text)),
        )),
        _ => Err(ApiError::field(
            name,
            format!("`{}` is not a number from 0", shorten(text)),
        )),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
    use super::*;

    fn paging(text: &str) -> Result<Paging, ApiError> {
        Paging::of(&Query::parse(text).unwrap())
    }

    #[test]
    fn pages_have_defaults_and_limits() {
        assert_eq!(paging("").unwrap(), Paging { start: 0, count: 15 });
        assert_eq!(
            paging("start=5&count=100").unwrap(),
            Paging { start: 5, count: 100 }
        );
        assert_eq!(paging("count=0").unwrap().count, 0);
    }

    #[test]
    fn whatever_is_no_number_in_range_is_refused() {
        for bad in [
            "start=a",
            "start=-1",
            "start=",
            "start=1.5",
            "start=+1",
            "start=99999999999999999999999",
            "count=101",
            "count=-1",
            "count=hello",
            "count=%20",
        ] {
            let error = paging(bad).unwrap_err();
            assert_eq!(error.status(), 400, "{bad}");
            assert!(
                error.to_string().starts_with(bad.split('=').next().unwrap()),
                "{error}"
            );
        }
    }

    #[test]
    fn sorts_are_named_and_may_be_turned_round() {
        let keys = [("host", 'h'), ("score", 's')];
        let read = |text: &str| sort(&Query::parse(text).unwrap(), &keys, ('h', false));
        assert_eq!(read("").unwrap(), ('h', false));
        assert_eq!(read("sort=-score").unwrap(), ('s', true));
        for bad in ["sort=", "sort=-", "sort=--host", "sort=hello", "sort=Host"] {
            assert_eq!(read(bad).unwrap_err().status(), 400, "{bad}");
        }
    }

    #[test]
    fn a_page_is_cut_from_a_list_and_knows_the_total() {
        let list = Paging { start: 5, count: 6 }.cut((0..6).collect());
        assert_eq!((list.total, list.data), (6, vec![5]));
        assert_eq!(Paging { start: 9, count: 1 }.cut(vec![1]).data, Vec::<i32>::new());
    }
}
