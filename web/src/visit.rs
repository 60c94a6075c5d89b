//! One request: who asks, from where, for what.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use seedpod_actors::accounts::messages::{AccountsError, Authenticate, Role, Secret, User};
use warp::Filter;
use warp::http::HeaderMap;
use warp::http::header::AUTHORIZATION;
use warp::reply::Response;

use crate::error::ApiError;
use crate::query::Query;
use crate::serve::RemoteAddress;
use crate::session;
use crate::site::{Site, ask};

/// What a handler gets of a request beside its path and body.
#[derive(Clone)]
pub(crate) struct Visit {
    pub(crate) site: Site,
    pub(crate) headers: HeaderMap,
    /// The path as it was sent.
    pub(crate) path: String,
    query: String,
    /// The moment at which the request was looked at: what a page shows is at least as new.
    pub(crate) moment: String,
    /// Who connected; behind a trusted proxy, whom the proxy names.
    pub(crate) client: IpAddr,
}

/// A user, and how the request showed that it is theirs.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub(crate) user: Arc<User>,
    /// The session, when the browser's cookie told; `None` for a bearer token.
    pub(crate) session: Option<Secret>,
}

/// Extracts the visit of any request.
pub(crate) fn visit(
    site: Site,
) -> impl Filter<Extract = (Visit,), Error = Infallible> + Clone + Send + Sync + 'static {
    let query = warp::query::raw().or(warp::any().map(String::new)).unify();
    warp::header::headers_cloned()
        .and(warp::path::full())
        .and(query)
        .and(warp::ext::optional::<RemoteAddress>())
        .map(
            move |headers: HeaderMap,
                  path: warp::path::FullPath,
                  query: String,
                  remote: Option<RemoteAddress>| {
                let remote = remote.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |remote| remote.0.ip());
                let client = client_address(&headers, remote, &site.options().trusted_proxies);
                Visit {
                    site: site.clone(),
                    headers,
                    path: path.as_str().to_owned(),
                    query,
                    moment: site.news().present(),
                    client,
                }
            },
        )
}

/// Whom a request comes from: the first address, seen from us, that is no proxy of ours.
///
/// Only `X-Forwarded-For` is read, and only from proxies that the operator trusts. They put it there themselves, while
/// most pass on an RFC 7239 `Forwarded` as they got it from whoever asks; to believe either would be to believe anybody.
pub(crate) fn client_address(headers: &HeaderMap, remote: IpAddr, trusted: &[IpAddr]) -> IpAddr {
    let remote = remote.to_canonical();
    if !trusted.contains(&remote) {
        return remote;
    }
    let named: Vec<&str> = headers
        .get_all("x-forwarded-for")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|line| line.split(','))
        .map(str::trim)
        .collect();
    let mut client = remote;
    for text in named.into_iter().rev() {
        let Some(address) = address(text) else {
            break;
        };
        client = address.to_canonical();
        if !trusted.contains(&client) {
            break;
        }
    }
    client
}

/// An address as proxies write it: alone, in brackets, with a port.
fn address(text: &str) -> Option<IpAddr> {
    let alone = text.parse().ok();
    let with_port = || text.parse::<SocketAddr>().ok().map(|address| address.ip());
    let in_brackets = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    alone.or_else(with_port).or_else(in_brackets)
}

impl Visit {
    /// The query string.
    pub(crate) fn query(&self) -> Result<Query, ApiError> {
        Query::parse(&self.query)
    }

    /// Path and query, for the way back after logging in.
    pub(crate) fn path_and_query(&self) -> String {
        if self.query.is_empty() {
            self.path.clone()
        } else {
            format!("{}?{}", self.path, self.query)
        }
    }

    /// A header as text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Who asks, if anybody is logged in. A token that is sent and wrong is an error; a session that ended is nobody.
    pub(crate) async fn caller(&self) -> Result<Option<Caller>, ApiError> {
        let accounts = &self.site.rooms().accounts;
        if self.headers.contains_key(AUTHORIZATION) {
            let token =
                session::bearer(&self.headers).ok_or(ApiError::Unauthorized("a bearer token is expected"))?;
            let user = ask(accounts, Authenticate(Secret(token.to_owned()))).await??;
            return Ok(Some(Caller { user, session: None }));
        }
        let Some(token) = self.site.session_cookie().read(&self.headers) else {
            return Ok(None);
        };
        let token = Secret(token.to_owned());
        match ask(accounts, Authenticate(token.clone())).await? {
            Ok(user) => Ok(Some(Caller {
                user,
                session: Some(token),
            })),
            Err(AccountsError::BadToken) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Who asks, for reading what is theirs.
    pub(crate) async fn reader(&self) -> Result<Caller, ApiError> {
        self.caller()
            .await?
            .ok_or(ApiError::Unauthorized("you have to log in first"))
    }

    /// Who asks, for changing something through the API.
    pub(crate) async fn writer(&self) -> Result<Caller, ApiError> {
        let caller = self.reader().await?;
        if caller.session.is_some() {
            session::check_same_origin(&self.headers, &self.site.options().public_url)?;
        }
        Ok(caller)
    }

    /// An administrator, for changing something through the API.
    pub(crate) async fn administrator(&self) -> Result<Caller, ApiError> {
        let caller = self.writer().await?;
        caller.require_administrator()?;
        Ok(caller)
    }

    /// Who sent a form of ours: the session's cookie, a page of this pod, and the form's own token.
    pub(crate) async fn form_writer(&self, csrf: Option<&str>) -> Result<Caller, ApiError> {
        let caller = self.writer().await?;
        if let Some(session) = &caller.session {
            session::check_csrf(session, csrf)?;
        }
        Ok(caller)
    }
}

impl Caller {
    pub(crate) fn is_administrator(&self) -> bool {
        self.user.role == Role::Administrator
    }

    pub(crate) fn require_administrator(&self) -> Result<(), ApiError> {
        if self.is_administrator() {
            Ok(())
        } else {
            Err(ApiError::Forbidden(
                "only an administrator of this pod may do this".into(),
            ))
        }
    }

    /// Whether the caller may change things of this user: their own, or anybody's as a moderator.
    pub(crate) fn may_edit(&self, owner: &str) -> bool {
        self.user.username == owner || self.user.role != Role::User
    }
}

/// Runs a handler of the API and turns what went wrong into a problem.
pub(crate) async fn answer(handler: impl Future<Output = Result<Response, ApiError>>) -> Response {
    handler.await.unwrap_or_else(ApiError::into_response)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
    use super::*;

    fn client(remote: &str, forwarded: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for line in forwarded {
            headers.append("x-forwarded-for", line.parse().unwrap());
        }
        let trusted = ["127.0.0.1".parse().unwrap(), "10.0.0.1".parse().unwrap()];
        client_address(&headers, remote.parse().unwrap(), &trusted).to_string()
    }

    #[test]
    fn a_stranger_cannot_name_itself() {
        assert_eq!(client("203.0.113.9", &["198.51.100.1"]), "203.0.113.9");
    }

    #[test]
    fn a_trusted_proxy_names_the_last_hop_that_is_not_trusted() {
        assert_eq!(client("127.0.0.1", &["198.51.100.1"]), "198.51.100.1");
        assert_eq!(
            client("127.0.0.1", &["1.2.3.4, 198.51.100.1, 10.0.0.1"]),
            "198.51.100.1"
        );
        assert_eq!(client("127.0.0.1", &["1.2.3.4", "2001:db8::1"]), "2001:db8::1");
        assert_eq!(client("::ffff:127.0.0.1", &["198.51.100.1"]), "198.51.100.1");
    }

    #[test]
    fn ports_and_brackets_do_not_hide_an_address() {
        assert_eq!(client("127.0.0.1", &["198.51.100.1:4711"]), "198.51.100.1");
        assert_eq!(client("127.0.0.1", &["[2001:db8::1]:4711"]), "2001:db8::1");
        assert_eq!(client("127.0.0.1", &["[2001:db8::1], 10.0.0.1"]), "2001:db8::1");
        assert_eq!(client("127.0.0.1", &["::ffff:198.51.100.1"]), "198.51.100.1");
    }

    #[test]
    fn a_header_that_proxies_pass_on_names_nobody() {
        let headers =
            HeaderMap::from_iter([("forwarded".parse().unwrap(), "for=198.51.100.1".parse().unwrap())]);
        let proxy = "127.0.0.1".parse().unwrap();
        assert_eq!(client_address(&headers, proxy, &[proxy]), proxy);
    }

    #[test]
    fn what_is_no_address_ends_the_search() {
        assert_eq!(client("127.0.0.1", &[]), "127.0.0.1");
        assert_eq!(client("127.0.0.1", &["1.2.3.4, unknown"]), "127.0.0.1");
    }
}
