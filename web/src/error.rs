//! Everything that can go wrong in a request, and the one place which turns it into an answer.
//!
//! The answer is `application/problem+json` (RFC 7807) with the members that clients of PeerTube look for: `status`,
//! `detail`, `code` and the same text again under `error`. A text names what was wrong and never holds a secret, a
//! path of this machine or the inside of the pod.

use actix::MailboxError;
use seedpod_actors::accounts::messages::AccountsError;
use seedpod_actors::audience::messages::AudienceError;
use seedpod_actors::catalog::messages::PublishError;
use seedpod_actors::comments::messages::CommentsError;
use seedpod_actors::friends::messages::FriendsError;
use seedpod_actors::library::folder::PictureKind;
use seedpod_actors::library::messages::LibraryError;
use seedpod_actors::library::resumable::ResumeError;
use seedpod_actors::library::upload::UploadError;
use seedpod_actors::meter::messages::MeterError;
use seedpod_actors::mirrors::messages::MirrorError;
use seedpod_actors::reports::messages::ReportsError;
use serde::Serialize;
use warp::http::header::{ALLOW, CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use warp::http::{Response as HttpResponse, StatusCode};
use warp::reply::Response;

/// Why a request was not served.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ApiError {
    /// 400: a field is missing or is not what it should be.
    #[error("{field}: {problem}")]
    Field {
        /// The field, as the API names it.
        field: String,
        /// What is wrong with it.
        problem: String,
    },
    /// 400: the request as a whole makes no sense.
    #[error("{0}")]
    BadRequest(String),
    /// 400: the client id or secret is not ours.
    #[error("the client id or the client secret is wrong")]
    InvalidClient,
    /// 400: the username, password or refresh token is wrong; never says which.
    #[error("{0}")]
    InvalidGrant(String),
    /// 401: nobody is logged in, or the token is not valid.
    #[error("{0}")]
    Unauthorized(&'static str),
    /// 403: this user may not do this.
    #[error("{0}")]
    Forbidden(String),
    /// 404.
    #[error("{0}")]
    NotFound(String),
    /// 405.
    #[error("this address does not answer to that method")]
    MethodNotAllowed,
    /// 409: it clashes with what is there.
    #[error("{0}")]
    Conflict(String),
    /// 412: another version of a protocol.
    #[error("{0}")]
    Precondition(&'static str),
    /// 413.
    #[error("{0}")]
    TooLarge(String),
    /// 413: beyond what the user may keep.
    #[error("{0}")]
    OverQuota(String),
    /// 415: not a type that we take.
    #[error("{0}")]
    Unsupported(String),
    /// 429: too much at once.
    #[error("{0}")]
    TooMany(String),
    /// 429: too often; the same may be tried again after so many seconds.
    #[error("{text}")]
    Wait {
        /// What was too often.
        text: String,
        /// Above 0.
        seconds: u64,
    },
    /// 502: another pod did not do its part.
    #[error("{0}")]
    BadGateway(String),
    /// 503: a part of the pod does not answer now.
    #[error("the pod is busy or restarting a part of itself, try again in a moment")]
    Unavailable,
    /// 507: the disk is full.
    #[error("{0}")]
    NoSpace(String),
    /// 500: our fault. The cause is in the log, not in the answer.
    #[error("something went wrong inside the pod; its log knows more")]
    Internal,
}

impl ApiError {
    /// A bad or missing field.
    pub(crate) fn field(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Field {
            field: field.into(),
            problem: problem.into(),
        }
    }

    /// Logs the cause and hides it from the answer.
    pub(crate) fn internal(cause: &dyn std::fmt::Display) -> Self {
        tracing::error!(%cause, "a request failed inside the pod");
        Self::Internal
    }

    /// The status of the answer.
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::Field { .. } | Self::BadRequest(_) | Self::InvalidClient | Self::InvalidGrant(_) => {
                StatusCode::BAD_REQUEST
            }
            Self::Unauthorized(_) => StatusCode::UNAUTHORIZED,
            Self::Forbidden(_) => StatusCode::FORBIDDEN,
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::Conflict(_) => StatusCode::CONFLICT,
            Self::Precondition(_) => StatusCode::PRECONDITION_FAILED,
            Self::TooLarge(_) | Self::OverQuota(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Unsupported(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::TooMany(_) | Self::Wait { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::BadGateway(_) => StatusCode::BAD_GATEWAY,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::NoSpace(_) => StatusCode::INSUFFICIENT_STORAGE,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The word that programs compare.
    fn code(&self) -> &'static str {
        match self {
            Self::Field { .. } => "invalid_field",
            Self::BadRequest(_) => "bad_request",
            Self::InvalidClient => "invalid_client",
            Self::InvalidGrant(_) => "invalid_grant",
            Self::Unauthorized(_) => "invalid_token",
            Self::Forbidden(_) => "forbidden",
            Self::NotFound(_) => "not_found",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::Conflict(_) => "conflict",
            Self::Precondition(_) => "precondition_failed",
            Self::TooLarge(_) => "max_file_size_reached",
            Self::OverQuota(_) => "quota_reached",
            Self::Unsupported(_) => "unsupported_media_type",
            Self::TooMany(_) | Self::Wait { .. } => "too_many_requests",
            Self::BadGateway(_) => "bad_gateway",
            Self::Unavailable => "unavailable",
            Self::NoSpace(_) => "no_space",
            Self::Internal => "internal",
        }
    }

    /// After how many seconds the same may be tried again, where waiting helps.
    pub(crate) fn retry_after(&self) -> Option<u64> {
        match self {
            Self::Wait { seconds, .. } => Some(*seconds),
            Self::Unavailable | Self::TooMany(_) => Some(2),
            _ => None,
        }
    }

    /// The answer for programs. Pages show the same text in the frame of the site.
    pub(crate) fn into_response(self) -> Response {
        let status = self.status();
        let detail = self.to_string();
        let problem = Problem {
            kind: "about:blank",
            title: status.canonical_reason().unwrap_or("Error"),
            status: status.as_u16(),
            detail: &detail,
            code: self.code(),
            error: &detail,
            invalid_params: match &self {
                Self::Field { field, problem } => {
                    Some(serde_json::json!({ field: { "msg": problem, "path": field } }))
                }
                _ => None,
            },
        };
        let body = serde_json::to_vec(&problem).unwrap_or_default();
        let mut response = HttpResponse::new(body.into());
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json; charset=utf-8"),
        );
        if let Some(seconds) = self.retry_after() {
            headers.insert(RETRY_AFTER, seconds.into());
        }
        match self {
            Self::Unauthorized(_) => headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer")),
            Self::MethodNotAllowed => headers.insert(
                ALLOW,
                HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"),
            ),
            _ => None,
        };
        response
    }
}

/// RFC 7807, with our members beside the standard ones.
#[derive(Serialize)]
struct Problem<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    title: &'a str,
    status: u16,
    detail: &'a str,
    code: &'static str,
    error: &'a str,
    #[serde(rename = "invalid-params", skip_serializing_if = "Option::is_none")]
    invalid_params: Option<serde_json::Value>,
}

impl From<MailboxError> for ApiError {
    fn from(error: MailboxError) -> Self {
        tracing::warn!(%error, "a room did not answer a request");
        Self::Unavailable
    }
}

impl From<AccountsError> for ApiError {
    fn from(error: AccountsError) -> Self {
        match error {
            AccountsError::WrongCredentials => Self::InvalidGrant(error.to_string()),
            AccountsError::Busy => Self::TooMany(error.to_string()),
            AccountsError::Wait { seconds } => Self::Wait {
                text: error.to_string(),
                seconds,
            },
            AccountsError::BadToken => Self::Unauthorized("the token is unknown or has expired"),
            AccountsError::ChannelTaken(_) | AccountsError::UsernameTaken(_) | AccountsError::EmailTaken => {
                Self::Conflict(error.to_string())
            }
            AccountsError::Full => Self::Forbidden(error.to_string()),
            AccountsError::Indispensable(_) => Self::BadRequest(error.to_string()),
            AccountsError::UnknownNumber(_) => Self::NotFound(error.to_string()),
            AccountsError::Field { field, problem } => Self::field(field, problem),
            AccountsError::UnknownUser(_) => Self::NotFound(error.to_string()),
            AccountsError::DiskFull => Self::NoSpace(error.to_string()),
            AccountsError::Store(_) => Self::internal(&error),
        }
    }
}

impl From<AudienceError> for ApiError {
    fn from(error: AudienceError) -> Self {
        match error {
            AudienceError::Unknown(_) => Self::NotFound(error.to_string()),
            AudienceError::Store(_) if error.is_full() => Self::NoSpace(error.to_string()),
            AudienceError::Store(_) => Self::internal(&error),
        }
    }
}

impl From<MeterError> for ApiError {
    fn from(error: MeterError) -> Self {
        match error {
            MeterError::Unknown(_) => Self::NotFound(error.to_string()),
            MeterError::TooOften | MeterError::Full => Self::TooMany(error.to_string()),
        }
    }
}

impl From<MirrorError> for ApiError {
    fn from(error: MirrorError) -> Self {
        match error {
            MirrorError::Unknown | MirrorError::NotChosen | MirrorError::NoFriend => {
                Self::NotFound(error.to_string())
            }
            MirrorError::OurOwn | MirrorError::TooMany(_) => Self::Conflict(error.to_string()),
            MirrorError::DiskFull => Self::NoSpace(error.to_string()),
            MirrorError::Store(_) => Self::internal(&error),
        }
    }
}

impl From<CommentsError> for ApiError {
    fn from(error: CommentsError) -> Self {
        let text = error.to_string();
        match error {
            CommentsError::Unknown => Self::NotFound(text),
            CommentsError::Forbidden => Self::Forbidden(text),
            CommentsError::TooFast { wait } => Self::Wait {
                text,
                seconds: wait.as_secs().max(1),
            },
            CommentsError::TooMany(_) => Self::Conflict(text),
            _ if error.is_full() => Self::NoSpace(text),
            CommentsError::Publish(PublishError::Draft(_)) => Self::BadRequest(text),
            CommentsError::Publish(PublishError::Removed) => Self::NotFound(text),
            CommentsError::Publish(PublishError::Store(_)) | CommentsError::Store(_) => Self::internal(&text),
            CommentsError::Stopping => Self::Unavailable,
        }
    }
}

impl From<ReportsError> for ApiError {
    fn from(error: ReportsError) -> Self {
        let text = error.to_string();
        match error {
            ReportsError::Unknown(_) => Self::NotFound(text),
            ReportsError::TooMany => Self::TooMany(text),
            ReportsError::TooFast { wait } => Self::Wait {
                text,
                seconds: wait.as_secs().max(1),
            },
            ReportsError::Limit(_) => Self::BadRequest(text),
            ReportsError::Store(_) if error.is_full() => Self::NoSpace(text),
            ReportsError::Store(_) => Self::internal(&text),
        }
    }
}

impl From<FriendsError> for ApiError {
    fn from(error: FriendsError) -> Self {
        match error {
            FriendsError::AlreadyHasFriends
            | FriendsError::WrongPhase { .. }
            | FriendsError::TooManyInvites(_) => Self::Conflict(error.to_string()),
            FriendsError::Invite(_) => Self::BadRequest(error.to_string()),
            FriendsError::Unknown(_) | FriendsError::UnknownInvite(_) => Self::NotFound(error.to_string()),
            FriendsError::Unreachable(_) => Self::BadGateway(error.to_string()),
            FriendsError::DiskFull => Self::NoSpace(error.to_string()),
            FriendsError::Store(_) => Self::internal(&error),
        }
    }
}

impl From<LibraryError> for ApiError {
    fn from(error: LibraryError) -> Self {
        let text = error.to_string();
        match error {
            LibraryError::Unknown => {
                Self::NotFound("there is no such video, picture or torrent on this pod".into())
            }
            LibraryError::NotYours => Self::Forbidden(text),
            LibraryError::Unsupported(_) => Self::Unsupported(text),
            LibraryError::TooLong { .. } => Self::field("videofile", text),
            LibraryError::Picture { which, error } => Self::field(picture_field(which), error.to_string()),
            LibraryError::Field { field, problem } => Self::field(field, problem),
            LibraryError::Publish(PublishError::Draft(_)) => Self::BadRequest(text),
            LibraryError::Publish(PublishError::Removed) => Self::NotFound(text),
            LibraryError::Publish(PublishError::Store(_))
            | LibraryError::Disk(_)
            | LibraryError::Store(_) => Self::internal(&text),
            LibraryError::DiskFull => Self::NoSpace(text),
            LibraryError::Busy => Self::TooMany(text),
            LibraryError::Unavailable | LibraryError::Stopping => Self::Unavailable,
        }
    }
}

impl From<UploadError> for ApiError {
    fn from(error: UploadError) -> Self {
        match error {
            UploadError::TooLarge { .. } => Self::TooLarge(error.to_string()),
            UploadError::Empty => Self::field("videofile", error.to_string()),
            UploadError::NoVideo => Self::Unsupported(error.to_string()),
            UploadError::OverQuota(_) => Self::OverQuota(error.to_string()),
            UploadError::NoPlace(_) => Self::TooMany(error.to_string()),
            UploadError::DiskFull => Self::NoSpace(error.to_string()),
            UploadError::Disk(_) | UploadError::Store(_) => Self::internal(&error),
            UploadError::Interrupted => Self::Unavailable,
        }
    }
}

impl From<ResumeError> for ApiError {
    fn from(error: ResumeError) -> Self {
        match error {
            ResumeError::Unknown => Self::NotFound(error.to_string()),
            ResumeError::Published(_) | ResumeError::Incomplete { .. } | ResumeError::Offset { .. } => {
                Self::Conflict(error.to_string())
            }
            ResumeError::Picture { which, error } => Self::field(picture_field(which), error.to_string()),
            ResumeError::Busy => Self::Unavailable,
            ResumeError::TooMany { .. } => Self::TooMany(error.to_string()),
            ResumeError::Upload(error) => error.into(),
        }
    }
}

/// What forms call a picture.
fn picture_field(which: PictureKind) -> &'static str {
    match which {
        PictureKind::Thumbnail => "thumbnailfile",
        PictureKind::Preview => "previewfile",
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
    use seedpod_actors::library::places::NoPlace;
    use seedpod_actors::store::StoreError;

    use super::*;

    async fn body_of(error: ApiError) -> serde_json::Value {
        let response = error.into_response();
        assert_eq!(
            response.headers()[CONTENT_TYPE],
            "application/problem+json; charset=utf-8"
        );
        serde_json::from_slice(&crate::testing::body_of(response).await).unwrap()
    }

    #[tokio::test]
    async fn a_problem_has_the_members_that_clients_look_for() {
        let problem = body_of(ApiError::field("count", "must be a number from 0 to 100")).await;
        assert_eq!(
            problem,
            serde_json::json!({
                "type": "about:blank",
                "title": "Bad Request",
                "status": 400,
                "detail": "count: must be a number from 0 to 100",
                "code": "invalid_field",
                "error": "count: must be a number from 0 to 100",
                "invalid-params": { "count": { "msg": "must be a number from 0 to 100", "path": "count" } },
            })
        );
    }

    #[tokio::test]
    async fn a_wrong_login_is_400_invalid_grant_and_a_bad_token_is_401() {
        let problem = body_of(AccountsError::WrongCredentials.into()).await;
        assert_eq!(
            (problem["status"].clone(), problem["code"].clone()),
            (400.into(), "invalid_grant".into())
        );
        assert_eq!(
            ApiError::from(AccountsError::BadToken).status(),
            StatusCode::UNAUTHORIZED
        );
        assert_eq!(body_of(ApiError::InvalidClient).await["code"], "invalid_client");
    }

    #[test]
    fn whoever_guesses_passwords_is_told_how_long_to_wait() {
        let error = ApiError::from(AccountsError::Wait { seconds: 901 });
        assert!(error.to_string().ends_with("try again in 16 minutes"), "{error}");
        let response = error.into_response();
        assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(response.headers()[RETRY_AFTER], "901");
        let busy = ApiError::from(AccountsError::Busy).into_response();
        assert_eq!(busy.headers()[RETRY_AFTER], "2");
    }

    #[tokio::test]
    async fn a_full_disk_is_507_wherever_it_is_met() {
        let full = || PublishError::Store(std::sync::Arc::new(StoreError::Full));
        for error in [
            LibraryError::from(full()).into(),
            LibraryError::DiskFull.into(),
            UploadError::DiskFull.into(),
            AccountsError::DiskFull.into(),
            ApiError::from(FriendsError::DiskFull),
        ] {
            let problem = body_of(error).await;
            assert_eq!(
                (problem["status"].clone(), problem["code"].clone()),
                (507.into(), "no_space".into())
            );
        }
    }

    #[tokio::test]
    async fn one_upload_too_many_is_429_and_told_in_words() {
        let problem = body_of(UploadError::from(NoPlace::User).into()).await;
        assert_eq!(problem["status"], 429);
        assert!(
            problem["detail"]
                .as_str()
                .unwrap()
                .contains("8 uploads of one user"),
            "{problem}"
        );
    }

    #[test]
    fn what_went_wrong_inside_is_not_told() {
        let error = ApiError::from(AccountsError::Store("/home/pod/journal: disk full".into()));
        assert_eq!(error, ApiError::Internal);
        assert!(!error.to_string().contains("journal"));
    }
}
