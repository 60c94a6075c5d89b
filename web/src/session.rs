//! The browser's session: one cookie that holds an access token, and the checks that keep other sites from using it.
//!
//! A browser sends the cookie along whoever wrote the form, so a request that changes something and is known by its
//! cookie must come from a page of ours: the browser says so (`Sec-Fetch-Site`, `Origin`), and a form carries a value
//! that only a page of ours could read. Requests with a bearer token need neither: no browser adds that by itself.

use seedpod_actors::accounts::messages::Secret;
use seedpod_protocol::ids::ContentHash;
use warp::http::HeaderMap;
use warp::http::header::{AUTHORIZATION, COOKIE, HOST, HeaderValue, ORIGIN};

use crate::error::ApiError;

/// What a form of ours carries in this field.
pub(crate) const CSRF_FIELD: &str = "csrf";

/// Longer tokens are none of ours.
const MAX_TOKEN: usize = 256;

/// The session cookie of one pod.
#[derive(Debug, Clone)]
pub(crate) struct SessionCookie {
    name: String,
    attributes: &'static str,
}

impl SessionCookie {
    /// Over https the name has the prefix that lets no sub-domain and no plain-text page set the cookie. Cookies know no
    /// ports: where the address has one, so does the name, or two pods of one machine would log each other out.
    pub(crate) fn of(public_url: &str) -> Self {
        let https = public_url.starts_with("https://");
        let port = public_url.rsplit_once(':').map(|(_, port)| port);
        let port = port.filter(|port| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()));
        let name = port.map_or_else(
            || "seedpod_session".to_owned(),
            |port| format!("seedpod_session_{port}"),
        );
        if https {
            Self {
                name: format!("__Host-{name}"),
                attributes: "Path=/; HttpOnly; SameSite=Lax; Secure",
            }
        } else {
            Self {
                name,
                attributes: "Path=/; HttpOnly; SameSite=Lax",
            }
        }
    }

    /// Its value, if the browser sent exactly one.
    pub(crate) fn read<'a>(&self, headers: &'a HeaderMap) -> Option<&'a str> {
        let mut values = headers
            .get_all(COOKIE)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|line| line.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .filter(|(found, _)| *found == self.name)
            .map(|(_, value)| value.trim_matches('"'));
        // Two of one name means that somebody planted one; neither is believed.
        match (values.next(), values.next()) {
            (Some(value), None) if !value.is_empty() && value.len() <= MAX_TOKEN => Some(value),
            _ => None,
        }
    }

    /// The header that starts a session of `seconds`; nothing if the token cannot stand in a header.
    pub(crate) fn start(&self, token: &Secret, seconds: u64) -> Option<HeaderValue> {
        self.set(&token.0, seconds)
    }

    /// The header that ends a session.
    pub(crate) fn end(&self) -> HeaderValue {
        self.set("", 0)
            .expect("a name made from digits and letters stands in a header")
    }

    fn set(&self, value: &str, seconds: u64) -> Option<HeaderValue> {
        let Self { name, attributes } = self;
        HeaderValue::from_str(&format!("{name}={value}; Max-Age={seconds}; {attributes}")).ok()
    }
}

/// The token of an `Authorization: Bearer …` header.
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty() && token.len() <= MAX_TOKEN).then_some(token)
}

/// What the forms of a session carry. It follows from the token, which other sites cannot read, and does not give it away.
pub(crate) fn csrf_token(session: &Secret) -> String {
    ContentHash::of(format!("seedpod form {}", session.0).as_bytes()).to_string()
}

/// Refuses a form that was not written by a page of this session.
pub(crate) fn check_csrf(session: &Secret, sent: Option<&str>) -> Result<(), ApiError> {
    let expected = csrf_token(session);
    let sent = sent.unwrap_or_default();
    // Compared in one pass: how far two texts agree must not show in the time it takes.
    let differ = sent.len() != expected.len()
        || sent
            .bytes()
            .zip(expected.bytes())
            .fold(0, |differ, (a, b)| differ | (a ^ b))
            != 0;
    if differ {
        return Err(ApiError::Forbidden(
            "this form is too old; load the page again and send it once more".into(),
        ));
    }
    Ok(())
}

/// Refuses a change that a page of another site asked for.
pub(crate) fn check_same_origin(headers: &HeaderMap, public_url: &str) -> Result<(), ApiError> {
    let text = |value: &HeaderValue| value.to_str().unwrap_or_default().to_owned();
    let refused = || {
        Err(ApiError::Forbidden(
            "this request comes from a page of another site".into(),
        ))
    };
    if let Some(site) = headers.get("sec-fetch-site").map(text) {
        // `none` is the person themself, not a page.
        return if matches!(site.as_str(), "same-origin" | "none") {
            Ok(())
        } else {
            refused()
        };
    }
    let Some(origin) = headers.get(ORIGIN).map(text) else {
        return Ok(()); // no browser: every one of them names the origin of a form or a fetch that changes something
    };
    let authority = origin.split_once("://").map(|(_, authority)| authority);
    let host = headers.get(HOST).map(text);
    if origin == public_url || (authority.is_some() && authority == host.as_deref()) {
        Ok(())
    } else {
        refused()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    fn read(pairs: &[(&'static str, &str)]) -> Option<String> {
        let headers = headers(pairs);
        SessionCookie::of("http://pod.example")
            .read(&headers)
            .map(str::to_owned)
    }

    #[test]
    fn the_cookie_is_found_among_others() {
        assert_eq!(
            read(&[("cookie", "a=b; seedpod_session=tok; x=y")]).as_deref(),
            Some("tok")
        );
        assert_eq!(read(&[("cookie", "seedpod=tok")]), None);
        assert_eq!(read(&[("cookie", "seedpod_session=")]), None);
    }

    #[test]
    fn a_planted_second_cookie_ends_the_trust_in_both() {
        assert_eq!(
            read(&[("cookie", "seedpod_session=mine; seedpod_session=theirs")]),
            None
        );
        assert_eq!(
            read(&[
                ("cookie", "seedpod_session=mine"),
                ("cookie", "seedpod_session=theirs")
            ]),
            None
        );
    }

    #[test]
    fn the_cookie_is_closed_to_scripts_and_other_sites() {
        let start = |url: &str| SessionCookie::of(url).start(&Secret("tok".into()), 60).unwrap();
        assert_eq!(
            start("http://pod.example"),
            "seedpod_session=tok; Max-Age=60; Path=/; HttpOnly; SameSite=Lax"
        );
        assert_eq!(
            start("https://pod.example"),
            "__Host-seedpod_session=tok; Max-Age=60; Path=/; HttpOnly; SameSite=Lax; Secure"
        );
        let end = SessionCookie::of("https://pod.example").end();
        assert!(
            end.to_str()
                .unwrap()
                .starts_with("__Host-seedpod_session=; Max-Age=0; Path=/")
        );
        assert!(
            SessionCookie::of("http://pod.example")
                .start(&Secret("two\nlines".into()), 1)
                .is_none()
        );
    }

    #[test]
    fn two_pods_of_one_machine_do_not_log_each_other_out() {
        let name = |url: &str| SessionCookie::of(url).name;
        assert_eq!(name("http://localhost:9001"), "seedpod_session_9001");
        assert_ne!(name("http://localhost:9001"), name("http://localhost:9002"));
        assert_eq!(name("http://[::1]"), "seedpod_session", "an address is no port");
        assert_eq!(name("https://[::1]:9443"), "__Host-seedpod_session_9443");
    }

    #[test]
    fn bearer_tokens_are_read_strictly() {
        assert_eq!(bearer(&headers(&[("authorization", "Bearer abc")])), Some("abc"));
        assert_eq!(
            bearer(&headers(&[("authorization", "bearer  abc ")])),
            Some("abc")
        );
        for bad in ["abc", "Basic abc", "Bearer ", "Bearer"] {
            assert_eq!(bearer(&headers(&[("authorization", bad)])), None, "{bad}");
        }
    }

    #[test]
    fn a_form_of_another_session_is_refused() {
        let (mine, theirs) = (Secret("mine".into()), Secret("theirs".into()));
        assert!(check_csrf(&mine, Some(&csrf_token(&mine))).is_ok());
        for bad in [None, Some(""), Some("mine"), Some(csrf_token(&theirs).as_str())] {
            assert_eq!(check_csrf(&mine, bad).unwrap_err().status(), 403);
        }
        assert!(!csrf_token(&mine).contains("mine"));
    }

    #[test]
    fn only_pages_of_this_pod_may_change_things() {
        let public = "http://localhost:9001";
        let check = |pairs: &[(&'static str, &str)]| check_same_origin(&headers(pairs), public).is_ok();
        assert!(check(&[]));
        assert!(check(&[
            ("sec-fetch-site", "same-origin"),
            ("origin", "http://whatever")
        ]));
        assert!(check(&[("sec-fetch-site", "none")]));
        assert!(!check(&[("sec-fetch-site", "cross-site")]));
        assert!(!check(&[("sec-fetch-site", "same-site")]));
        assert!(check(&[("origin", "http://localhost:9001")]));
        assert!(check(&[
            ("origin", "http://127.0.0.1:9001"),
            ("host", "127.0.0.1:9001")
        ]));
        assert!(!check(&[
            ("origin", "http://evil.example"),
            ("host", "localhost:9001")
        ]));
        assert!(!check(&[("origin", "null"), ("host", "localhost:9001")]));
        assert!(!check(&[("origin", "http://localhost:9002")]));
    }
}
