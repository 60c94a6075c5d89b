//! `seedpod admin`: users of a running pod, through its API, as its operator.

use std::fmt::Write as _;
use std::io::{IsTerminal, Read};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use clap::{Subcommand, ValueEnum};
use data_encoding::BASE64URL_NOPAD;
use reqwest::{Client, Method, Response, StatusCode};
use serde_json::{Value, json};

use crate::config::values::{Limit, Size};
use crate::exit::{Exit, Failure, OrExit};
use crate::fetch::install_tls;
use crate::operator::{self, Operator};

/// Deleting a user removes all their videos, one after the other.
const DEADLINE: Duration = Duration::from_secs(300);

/// Rows of a page of users.
const PAGE: usize = 100;

/// What the operator does with users.
#[derive(Debug, Subcommand)]
pub enum AdminCommand {
    /// Make a user. The password is read from standard input, or drawn and printed if that is a terminal.
    CreateUser {
        /// 3 to 20 characters of `a-z 0-9 . _`.
        username: String,
        /// Where to write to.
        #[arg(long)]
        email: String,
        /// What they may do.
        #[arg(long, default_value = "user")]
        role: Role,
        /// How much video they may keep, `5 GiB` for example, or `unlimited`.
        #[arg(long, default_value = "unlimited")]
        quota: Limit<Size>,
    },
    /// Give a user a new password, read from standard input, or drawn and printed if that is a terminal. All their sessions end.
    ResetPassword {
        /// Whose.
        username: String,
    },
    /// List the users.
    ListUsers {
        /// One JSON object a line, as the API has it.
        #[arg(long)]
        json: bool,
    },
    /// Change what a user may do.
    SetRole {
        /// Who.
        username: String,
        /// What.
        role: Role,
    },
    /// Delete a user with all their videos, comments and channels, on this pod and on its friends.
    DeleteUser {
        /// Who.
        username: String,
        /// Needed, for there is no way back.
        #[arg(long)]
        yes: bool,
    },
}

/// What a user may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Role {
    /// Everything.
    Administrator,
    /// Everything about content.
    Moderator,
    /// Their own things.
    User,
}

/// Does what the operator asks of the pod that runs on this data folder; answers what to print.
///
/// # Errors
/// With the network's exit code when the pod does not answer, with 3 when none runs, with 1 when it refuses.
pub async fn run(folder: &Path, command: AdminCommand) -> Result<String, Failure> {
    install_tls();
    let pod = Pod::of(operator::find(folder).or_exit(Exit::Config)?)?;
    match command {
        AdminCommand::CreateUser {
            username,
            email,
            role,
            quota,
        } => {
            let (password, drawn) = new_password()?;
            let quota = quota.get().map_or(json!(-1), |size| json!(size.bytes()));
            let user = json!({
                "username": username,
                "email": email,
                "password": password,
                "role": role as u8,
                "videoQuota": quota,
            });
            pod.ask(Method::POST, "/users", Some(&user)).await?;
            Ok(with_password(format!("The user `{username}` is made.\n"), drawn))
        }
        AdminCommand::ResetPassword { username } => {
            let number = pod.number_of(&username).await?;
            let (password, drawn) = new_password()?;
            let change = json!({ "password": password });
            pod.ask(Method::PUT, &format!("/users/{number}"), Some(&change))
                .await?;
            let said = format!("`{username}` has a new password, and is logged out everywhere.\n");
            Ok(with_password(said, drawn))
        }
        AdminCommand::ListUsers { json } => {
            let users = pod.users().await?;
            Ok(if json { lines(&users) } else { table(&users) })
        }
        AdminCommand::SetRole { username, role } => {
            let number = pod.number_of(&username).await?;
            let change = json!({ "role": role as u8 });
            pod.ask(Method::PUT, &format!("/users/{number}"), Some(&change))
                .await?;
            Ok(format!("`{username}` is {} now.\n", label(role)))
        }
        AdminCommand::DeleteUser { username, yes } => {
            if !yes {
                let problem = anyhow::anyhow!(
                    "this deletes `{username}` with all their videos, comments and channels for good; say --yes to do it"
                );
                return Err(Failure::new(Exit::Usage, problem));
            }
            let number = pod.number_of(&username).await?;
            pod.ask(Method::DELETE, &format!("/users/{number}"), None).await?;
            Ok(format!("`{username}` is deleted.\n"))
        }
    }
}

/// The API of a running pod.
struct Pod {
    client: Client,
    operator: Operator,
}

impl Pod {
    fn of(operator: Operator) -> Result<Self, Failure> {
        let client = Client::builder().no_proxy().timeout(DEADLINE).build();
        let client = client.context("cannot prepare to ask the pod")?;
        Ok(Self { client, operator })
    }

    async fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value, Failure> {
        let url = format!("{}/api/v1{path}", self.operator.url);
        let mut request = self
            .client
            .request(method, &url)
            .bearer_auth(&self.operator.token);
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = request.send().await;
        let answer = answer.with_context(|| format!("the pod does not answer at {}", self.operator.url));
        Ok(read(answer.or_exit(Exit::Network)?).await?)
    }

    /// All users, the first of the pod first.
    async fn users(&self) -> Result<Vec<Value>, Failure> {
        let mut users = Vec::new();
        loop {
            let path = format!("/users?sort=id&start={}&count={PAGE}", users.len());
            let page = self.ask(Method::GET, &path, None).await?;
            let rows = page["data"].as_array().cloned().unwrap_or_default();
            let is_last = rows.len() < PAGE;
            users.extend(rows);
            if is_last {
                return Ok(users);
            }
        }
    }

    async fn number_of(&self, username: &str) -> Result<u64, Failure> {
        let users = self.users().await?;
        let found = users.iter().find(|user| user["username"] == username);
        let number = found.and_then(|user| user["id"].as_u64());
        number
            .with_context(|| format!("there is no user `{username}`"))
            .or_exit(Exit::Failed)
    }
}

/// The body of an answer, or what the pod says is wrong.
async fn read(answer: Response) -> anyhow::Result<Value> {
    let status = answer.status();
    let text = answer.text().await.context("the pod's answer broke off")?;
    if status == StatusCode::NO_CONTENT {
        return Ok(Value::Null);
    }
    let body: Value = serde_json::from_str(&text).unwrap_or_default();
    if status.is_success() {
        return Ok(body);
    }
    match body["detail"].as_str() {
        Some(detail) => bail!("{detail}"),
        None => bail!("the pod answers {status}"),
    }
}

/// A password that was drawn, to be printed once.
type Drawn = Option<String>;

/// The password on standard input, or a new one.
fn new_password() -> anyhow::Result<(String, Drawn)> {
    let mut input = std::io::stdin();
    if input.is_terminal() {
        let password = BASE64URL_NOPAD.encode(&rand::random::<[u8; 12]>());
        return Ok((password.clone(), Some(password)));
    }
    let mut text = String::new();
    input
        .by_ref()
        .take(4096)
        .read_to_string(&mut text)
        .context("cannot read the password from standard input")?;
    let password = text.trim_end_matches(['\r', '\n']);
    ensure!(!password.is_empty(), "there is no password on standard input");
    Ok((password.to_owned(), None))
}

fn with_password(mut said: String, drawn: Drawn) -> String {
    if let Some(password) = drawn {
        // Nothing can go wrong when a text is written to.
        let _ = writeln!(said, "  password: {password}");
    }
    said
}

fn label(role: Role) -> &'static str {
    match role {
        Role::Administrator => "an administrator",
        Role::Moderator => "a moderator",
        Role::User => "a user",
    }
}

fn lines(users: &[Value]) -> String {
    users.iter().map(|user| format!("{user}\n")).collect()
}

fn table(users: &[Value]) -> String {
    let text = |user: &Value, path: &str| {
        user.pointer(path)
            .and_then(Value::as_str)
            .unwrap_or("–")
            .to_owned()
    };
    let rows: Vec<[String; 4]> = users
        .iter()
        .map(|user| {
            [
                text(user, "/username"),
                text(user, "/role/label"),
                text(user, "/email"),
                text(user, "/createdAt"),
            ]
        })
        .collect();
    let width = |column: usize| {
        rows.iter()
            .map(|row| row[column].chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths = [width(0), width(1), width(2)];
    rows.iter()
        .map(|[name, role, email, made]| {
            format!(
                "{name:0$}  {role:1$}  {email:2$}  {made}\n",
                widths[0], widths[1], widths[2]
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_shown_in_columns() {
        let users = [
            json!({ "username": "root", "role": { "label": "Administrator" }, "email": null, "createdAt": "2026" }),
            json!({ "username": "ann", "role": { "label": "User" }, "email": "a@b.c", "createdAt": "2027" }),
        ];
        assert_eq!(
            table(&users),
            "root  Administrator  –      2026\nann   User           a@b.c  2027\n"
        );
        assert_eq!(lines(&users).lines().count(), 2);
    }
}
