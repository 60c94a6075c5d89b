//! A client of the REST interface, as a stranger would write one from its description.
//!
//! [`Answer`] keeps status, headers and body, so that tests can look at all three; the typed calls on [`Api`] check the
//! status themselves and return values. A failed check says which request was answered how.

use std::net::IpAddr;
use std::path::Path;
use std::sync::LazyLock;
use std::time::Duration;

use anyhow::{Context, ensure};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap};
use reqwest::multipart::{Form, Part};
use reqwest::{Body, Client, Method, RequestBuilder};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Time for one request. Uploads of test clips take well below a second.
const REQUEST_DEADLINE: Duration = Duration::from_secs(30);

/// One HTTP client for all: it holds no login.
static CLIENT: LazyLock<Client> = LazyLock::new(|| client(None));

fn client(from: Option<IpAddr>) -> Client {
    seedpod_node::fetch::install_tls();
    let client = Client::builder()
        .no_proxy()
        .timeout(REQUEST_DEADLINE)
        .redirect(reqwest::redirect::Policy::none())
        .local_address(from);
    client
        .build()
        .expect("a client with these fixed options can be made wherever the system has certificates")
}

/// A visitor or user of one pod.
#[derive(Debug, Clone)]
pub struct Api {
    url: String,
    token: Option<String>,
    client: Client,
}

/// A list as every endpoint gives it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct List<T> {
    /// How many there are in all.
    pub total: u64,
    /// Those of this page.
    pub data: Vec<T>,
}

/// A friend as the pod lists it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Friend {
    /// Its number on the pod that lists it.
    pub id: u64,
    /// Its identity.
    pub pod_id: String,
    /// `localhost:9002`.
    pub host: String,
    /// Its operator's address.
    pub email: String,
    /// Its score with the pod that lists it.
    pub score: i64,
    /// When it was made.
    pub created_at: String,
}

/// What a login returns.
#[derive(Debug, Clone, Deserialize)]
pub struct Login {
    /// Sent with each request of the user.
    pub access_token: String,
    /// Exchanged for a new login.
    pub refresh_token: String,
    /// `Bearer`.
    pub token_type: String,
    /// Seconds the access token lives.
    pub expires_in: u64,
}

/// The name under which programs log in.
#[derive(Debug, Clone, Deserialize)]
pub struct OauthClient {
    /// Sent with each login.
    pub client_id: String,
    /// Sent with each login.
    pub client_secret: String,
}

/// A video that was just taken.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Uploaded {
    /// Its number on this pod.
    pub id: u64,
    /// Its name everywhere.
    pub uuid: String,
    /// The same, shorter.
    #[serde(rename = "shortUUID")]
    pub short_uuid: String,
}

/// A video to be uploaded. `name` and the file are what every upload has; the rest goes into `fields`.
#[derive(Debug, Clone)]
pub struct Upload {
    name: String,
    file_name: String,
    bytes: Vec<u8>,
    fields: Vec<(String, String)>,
}

impl Upload {
    /// The file at this path under this name.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn file(name: &str, path: &Path) -> anyhow::Result<Self> {
        let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        let file_name = path.file_name().unwrap_or_default().to_string_lossy();
        Ok(Self::bytes(name, &file_name, bytes))
    }

    /// These bytes as a file of this name.
    pub fn bytes(name: &str, file_name: &str, bytes: Vec<u8>) -> Self {
        Self {
            name: name.to_owned(),
            file_name: file_name.to_owned(),
            bytes,
            fields: Vec::new(),
        }
    }

    /// Adds a field; lists are added item by item under one name.
    #[must_use]
    pub fn with(mut self, field: &str, value: impl ToString) -> Self {
        self.fields.push((field.to_owned(), value.to_string()));
        self
    }

    /// The size of the file.
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    /// The fields beside name and file.
    pub fn fields(&self) -> &[(String, String)] {
        &self.fields
    }

    fn form(&self) -> Form {
        let file = Part::bytes(self.bytes.clone()).file_name(self.file_name.clone());
        let form = Form::new().text("name", self.name.clone());
        let form = self.fields.iter().fold(form, |form, (field, value)| {
            form.text(field.clone(), value.clone())
        });
        form.part("videofile", file)
    }
}

/// An answer, whatever it says.
#[derive(Debug, Clone)]
pub struct Answer {
    request: String,
    /// The HTTP status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Vec<u8>,
}

impl Answer {
    /// The body as text, shortened to what a person reads.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).chars().take(2000).collect()
    }

    /// The body as text, all of it.
    pub fn text_whole(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// A header as text; empty if there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }

    /// The answer itself, if it has this status.
    ///
    /// # Errors
    /// When it has another; the text holds the body.
    pub fn status(self, expected: u16) -> anyhow::Result<Self> {
        ensure!(
            self.status == expected,
            "{}: {} instead of {expected}: {}",
            self.request,
            self.status,
            self.text()
        );
        Ok(self)
    }

    /// The answer itself, if it has one of these statuses.
    ///
    /// # Errors
    /// When it has another; the text holds the body.
    pub fn status_in(self, expected: &[u16]) -> anyhow::Result<Self> {
        let fits = expected.contains(&self.status);
        ensure!(
            fits,
            "{}: {} instead of one of {expected:?}: {}",
            self.request,
            self.status,
            self.text()
        );
        Ok(self)
    }

    /// The answer itself, if it is one of success.
    ///
    /// # Errors
    /// When it is not; the text holds the body.
    pub fn success(self) -> anyhow::Result<Self> {
        ensure!(
            (200..300).contains(&self.status),
            "{}: {}: {}",
            self.request,
            self.status,
            self.text()
        );
        Ok(self)
    }

    /// The body as a value.
    ///
    /// # Errors
    /// When it is none.
    pub fn json<T: DeserializeOwned>(&self) -> anyhow::Result<T> {
        serde_json::from_slice(&self.body).with_context(|| {
            format!(
                "{}: the body is not what was expected: {}",
                self.request,
                self.text()
            )
        })
    }

    /// Checks that this is an error of the form promised (RFC 7807 with a text for people) and returns its `code`.
    ///
    /// # Errors
    /// When the status is another or a member is missing.
    pub fn problem(self, status: u16) -> anyhow::Result<String> {
        let answer = self.status(status)?;
        let kind = answer.header("content-type");
        ensure!(
            kind.starts_with("application/problem+json"),
            "{}: content-type is `{kind}`",
            answer.request
        );
        let problem: Value = answer.json()?;
        let text = |member: &str| problem[member].as_str().unwrap_or_default().to_owned();
        ensure!(
            problem["status"] == status,
            "{}: no `status` in {problem}",
            answer.request
        );
        ensure!(
            !text("detail").is_empty(),
            "{}: no `detail` in {problem}",
            answer.request
        );
        ensure!(
            !text("error").is_empty(),
            "{}: no `error` in {problem}",
            answer.request
        );
        Ok(text("code"))
    }
}

impl Api {
    /// Somebody who is not logged in at the pod with this URL.
    pub fn visitor(url: String) -> Self {
        Self {
            url,
            token: None,
            client: CLIENT.clone(),
        }
    }

    /// The same visitor or user, at another address of this machine.
    #[must_use]
    pub fn from_address(&self, address: IpAddr) -> Self {
        Self {
            client: client(Some(address)),
            ..self.clone()
        }
    }

    /// Somebody who sends this token, good or bad.
    #[must_use]
    pub fn with_token(&self, token: &str) -> Self {
        Self {
            token: Some(token.to_owned()),
            ..self.clone()
        }
    }

    /// The token that is sent, if any.
    pub fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    /// The pod's URL.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Logs in.
    ///
    /// # Errors
    /// When the pod does not let this user in.
    pub async fn login(&self, username: &str, password: &str) -> anyhow::Result<Self> {
        let client = self.oauth_client().await?;
        let login: Login = self
            .ask_for_token(&client, username, password)
            .await?
            .status(200)?
            .json()?;
        Ok(self.with_token(&login.access_token))
    }

    /// The name under which programs log in.
    ///
    /// # Errors
    /// When the pod does not tell it.
    pub async fn oauth_client(&self) -> anyhow::Result<OauthClient> {
        self.get("/api/v1/oauth-clients/local").await?.status(200)?.json()
    }

    /// Asks for a token with a password, and returns the answer as it is.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn ask_for_token(
        &self,
        client: &OauthClient,
        username: &str,
        password: &str,
    ) -> anyhow::Result<Answer> {
        let form = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("client_id", &client.client_id)
            .append_pair("client_secret", &client.client_secret)
            .append_pair("grant_type", "password")
            .append_pair("response_type", "code")
            .append_pair("username", username)
            .append_pair("password", password)
            .finish();
        let request = self.request(Method::POST, "/api/v1/users/token");
        self.send(
            request
                .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
                .body(form),
        )
        .await
    }

    /// The pod's friends.
    ///
    /// # Errors
    /// When the pod does not list them.
    pub async fn friends(&self) -> anyhow::Result<List<Friend>> {
        self.get("/api/v1/pods").await?.status(200)?.json()
    }

    /// The pod's newest videos, as values: tests compare all of them, known to us or not.
    ///
    /// # Errors
    /// When the pod does not list them.
    pub async fn videos(&self) -> anyhow::Result<List<Value>> {
        self.get("/api/v1/videos?count=100&sort=-createdAt")
            .await?
            .status(200)?
            .json()
    }

    /// One video with everything the pod says about it.
    ///
    /// # Errors
    /// When the pod does not know it.
    pub async fn video(&self, id: &str) -> anyhow::Result<Value> {
        self.get(&format!("/api/v1/videos/{id}"))
            .await?
            .status(200)?
            .json()
    }

    /// Uploads a video and returns the answer as it is.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn try_upload(&self, upload: &Upload) -> anyhow::Result<Answer> {
        self.send(
            self.request(Method::POST, "/api/v1/videos/upload")
                .multipart(upload.form()),
        )
        .await
    }

    /// Uploads a video.
    ///
    /// # Errors
    /// When the pod does not take it.
    pub async fn upload(&self, upload: &Upload) -> anyhow::Result<Uploaded> {
        #[derive(Deserialize)]
        struct Body {
            video: Uploaded,
        }

        let body: Body = self.try_upload(upload).await?.status(200)?.json()?;
        Ok(body.video)
    }

    /// The digest of the pod's catalog and of its friends' (`/api/v1/server/state-digest`).
    ///
    /// # Errors
    /// When the pod does not tell it.
    pub async fn state_digest(&self) -> anyhow::Result<String> {
        #[derive(Deserialize)]
        struct Body {
            digest: String,
        }

        let body: Body = self
            .get("/api/v1/server/state-digest")
            .await?
            .status(200)?
            .json()?;
        Ok(body.digest)
    }

    /// GET, of a path on this pod or of a whole URL (torrents and media are at their origin).
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn get(&self, path: &str) -> anyhow::Result<Answer> {
        self.send(self.request(Method::GET, path)).await
    }

    /// GET with a `Range` header.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn get_range(&self, path: &str, range: &str) -> anyhow::Result<Answer> {
        self.send(self.request(Method::GET, path).header("range", range))
            .await
    }

    /// POST of a JSON body.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn post(&self, path: &str, body: &impl Serialize) -> anyhow::Result<Answer> {
        self.send(self.request(Method::POST, path).json(body)).await
    }

    /// POST without a body.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn post_nothing(&self, path: &str) -> anyhow::Result<Answer> {
        self.send(self.request(Method::POST, path)).await
    }

    /// PUT of a JSON body.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn put(&self, path: &str, body: &impl Serialize) -> anyhow::Result<Answer> {
        self.send(self.request(Method::PUT, path).json(body)).await
    }

    /// Any request with a body of any kind, whole or as a stream; it may take as long as `deadline`.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn send_body(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, String)],
        body: impl Into<Body>,
        deadline: Duration,
    ) -> anyhow::Result<Answer> {
        let request = self.request(method.parse()?, path).timeout(deadline).body(body);
        let request = headers
            .iter()
            .fold(request, |request, (name, value)| request.header(*name, value));
        self.send(request).await
    }

    /// DELETE.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn delete(&self, path: &str) -> anyhow::Result<Answer> {
        self.send(self.request(Method::DELETE, path)).await
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let url = if path.starts_with('/') {
            format!("{}{path}", self.url)
        } else {
            path.to_owned()
        };
        let request = self.client.request(method, url);
        match &self.token {
            Some(token) => request.header(AUTHORIZATION, format!("Bearer {token}")),
            None => request,
        }
    }

    async fn send(&self, request: RequestBuilder) -> anyhow::Result<Answer> {
        let request = request.build().context("not a request")?;
        let name = format!("{} {}", request.method(), request.url());
        let response = self
            .client
            .execute(request)
            .await
            .with_context(|| format!("{name}: no answer"))?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = response
            .bytes()
            .await
            .with_context(|| format!("{name}: the answer breaks off"))?;
        Ok(Answer {
            request: name,
            status,
            headers,
            body: body.to_vec(),
        })
    }
}
