//! What a request for an unchanging file comes to: its preconditions (RFC 9110 §13) and its range, as a pure function.
//!
//! A file here has a strong tag and no date of its last change, so conditions that compare dates do not hold anything up:
//! `If-Modified-Since` and `If-Unmodified-Since` are ignored, as the RFC demands, and an `If-Range` with a date never matches.

use warp::http::header::{HeaderName, IF_MATCH, IF_NONE_MATCH, IF_RANGE, RANGE};
use warp::http::{HeaderMap, Method};

use crate::range::{Extent, resolve};

/// The answer to a request for a file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The reader wants another version than there is: 412.
    Refused,
    /// The reader has it: 304.
    Unchanged,
    /// The rest, by the range.
    Send(Extent),
}

/// Judges a request for a file with this tag (with its quotes) and length in bytes.
pub(crate) fn judge(method: &Method, headers: &HeaderMap, tag: &str, length: u64) -> Verdict {
    if headers.contains_key(IF_MATCH) && !names(headers, IF_MATCH, |given| !given.weak && given.text == tag) {
        return Verdict::Refused;
    }
    if names(headers, IF_NONE_MATCH, |given| given.text == tag) {
        return Verdict::Unchanged;
    }
    // Ranges are defined for GET alone (§14.2).
    let range = (method == Method::GET).then(|| only(headers, RANGE)).flatten();
    // A range of another version of the file is of no use: then all of it is sent.
    let same = !headers.contains_key(IF_RANGE) || only(headers, IF_RANGE).is_some_and(|it| it.trim() == tag);
    Verdict::Send(resolve(range.filter(|_| same), length))
}

/// The text of a header that was sent once.
fn only(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    let mut values = headers.get_all(name).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return None;
    };
    value.to_str().ok()
}

/// Whether a header names a tag that fits, or all of them.
fn names(headers: &HeaderMap, name: HeaderName, fits: impl Fn(&Tag<'_>) -> bool) -> bool {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .any(|list| list.trim() == "*" || tags(list).any(|tag| fits(&tag)))
}

/// A tag as it was sent; the text has its quotes.
struct Tag<'a> {
    weak: bool,
    text: &'a str,
}

/// The tags of a list, up to the first thing that is none.
fn tags(list: &str) -> impl Iterator<Item = Tag<'_>> {
    let mut rest = list;
    std::iter::from_fn(move || {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        let (weak, quoted) = match rest.strip_prefix("W/") {
            Some(quoted) => (true, quoted),
            None => (false, rest),
        };
        let inside = quoted.strip_prefix('"')?.find('"')?;
        let (text, after) = quoted.split_at(inside + 2);
        rest = after;
        Some(Tag { weak, text })
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
    use super::*;

    const WHOLE: Verdict = Verdict::Send(Extent::Whole);
    const PART: Verdict = Verdict::Send(Extent::Part { first: 2, last: 5 });

    fn asked(method: &Method, headers: &[(&'static str, &str)]) -> Verdict {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        judge(method, &map, "\"abc\"", 10)
    }

    fn got(headers: &[(&'static str, &str)]) -> Verdict {
        asked(&Method::GET, headers)
    }

    #[test]
    fn a_range_is_for_the_version_it_names() {
        assert_eq!(got(&[("range", "bytes=2-5")]), PART);
        assert_eq!(got(&[("range", "bytes=2-5"), ("if-range", "\"abc\"")]), PART);
        for other in ["\"abd\"", "W/\"abc\"", "Wed, 21 Oct 2015 07:28:00 GMT", "abc", ""] {
            assert_eq!(
                got(&[("range", "bytes=2-5"), ("if-range", other)]),
                WHOLE,
                "{other}"
            );
        }
    }

    #[test]
    fn a_range_is_for_get_and_comes_once() {
        assert_eq!(asked(&Method::HEAD, &[("range", "bytes=2-5")]), WHOLE);
        assert_eq!(got(&[("range", "bytes=2-5"), ("range", "bytes=2-5")]), WHOLE);
    }

    #[test]
    fn what_the_reader_has_is_not_sent_again() {
        let same = [
            "\"abc\"",
            "W/\"abc\"",
            "*",
            " * ",
            "\"x\", \"abc\"",
            "\"x,\",W/\"abc\"",
            ", ,\"abc\"",
        ];
        for same in same {
            assert_eq!(got(&[("if-none-match", same)]), Verdict::Unchanged, "{same}");
        }
        assert_eq!(
            got(&[("if-none-match", "\"x\""), ("if-none-match", "\"abc\"")]),
            Verdict::Unchanged
        );
        for other in ["\"x\"", "abc", "\"x,\"abc\",y\"", "\"abc", "", "w/\"abc\""] {
            assert_eq!(got(&[("if-none-match", other)]), WHOLE, "{other}");
        }
    }

    #[test]
    fn another_version_is_refused_to_who_insists() {
        for same in ["\"abc\"", "*", "\"x\", \"abc\""] {
            assert_eq!(got(&[("if-match", same), ("range", "bytes=2-5")]), PART, "{same}");
        }
        for other in ["\"x\"", "W/\"abc\"", "abc", ""] {
            assert_eq!(got(&[("if-match", other)]), Verdict::Refused, "{other}");
        }
        assert_eq!(
            got(&[("if-match", "\"x\""), ("if-none-match", "*")]),
            Verdict::Refused
        );
    }
}
