//! The functions of [`super::format`] as templates call them: askama hands every argument over as a reference.
#![allow(clippy::trivially_copy_pass_by_ref, reason = "templates pass references")]

use super::format;

pub(super) fn iso(millis: &u64) -> String {
    format::iso(*millis)
}

pub(super) fn day(millis: &u64) -> String {
    format::day(*millis)
}

pub(super) fn relative(then: &u64, now: &u64) -> String {
    format::relative(*then, *now)
}

pub(super) fn clock(seconds: &u64) -> String {
    format::clock(*seconds)
}

pub(super) fn count(number: &u64, noun: &str) -> String {
    format::count(*number, noun)
}

/// An address that a link may lead to: http, https, a magnet, or a path of this pod. Anything else (`javascript:` above all, for
/// the addresses of friends are text from strangers) becomes a link to this page.
pub(super) fn link(address: &str) -> &str {
    let allowed = ["http://", "https://", "magnet:?"]
        .iter()
        .any(|scheme| address.starts_with(scheme));
    if allowed || (address.starts_with('/') && !address.starts_with("//")) {
        address
    } else {
        "#"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_lead_to_the_web_or_to_this_pod_alone() {
        for good in [
            "http://localhost:9002",
            "https://pod.example/w/1",
            "magnet:?xt=urn:btih:00",
            "/static/torrents/a.torrent",
        ] {
            assert_eq!(link(good), good);
        }
        for bad in [
            "javascript:alert(1)",
            " javascript:alert(1)",
            "data:text/html,x",
            "//elsewhere.example",
            "",
            "HTTP",
        ] {
            assert_eq!(link(bad), "#");
        }
    }
}
