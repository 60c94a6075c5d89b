//! The shell of the accounts.

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use actix::fut::{LocalBoxActorFuture, ready};
use actix::prelude::*;
use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use seedpod_protocol::envelope::{Kind, State, Verified};
use seedpod_protocol::ids::{ChannelId, ContentHash, ObjectId, PodId};
use seedpod_protocol::records::{Channel, Record, RecordError};
use tokio::sync::Mutex;

use super::guesses::{Guesses, Refused};
use super::messages::{
    AccountsError, AdmitOperator, Authenticate, CreateChannel, GetOAuthClient, Login, Logout, OAuthClient,
    Refresh, Role, Secret, Tokens, User,
};
use super::metrics::AccountsMetrics;
use super::passwords::Passwords;
use super::records;
use super::state::{
    ACCESS_LIFE, Account, Accounts, Phase, REFRESH_LIFE, SessionChange, TokenHashes, check_handle, field,
};
use crate::catalog::CatalogActor;
use crate::catalog::messages::{Publish, PublishError};
use crate::clock;
use crate::store::{Store, StoreError, Transaction, tables};
use crate::supervise::Lifeline;

/// Messages that may wait; askers wait with them.
const MAILBOX: usize = 256;

/// Random bytes of a token.
const TOKEN_LEN: usize = 32;

/// Channels a user may have.
const MAX_CHANNELS: usize = 100;

/// The first user: the administrator, made at the first start.
#[derive(Debug, Clone)]
pub struct FirstUser {
    /// Usually `root`.
    pub username: String,
    /// Where to write to.
    pub email: Option<String>,
    /// A configured password knows no length rule; without one a password is made up.
    pub password: Option<Secret>,
    /// How many bytes of video it may keep; `None` means as many as the disk holds.
    pub video_quota: Option<u64>,
}

/// The actor that owns users and sessions.
pub struct AccountsActor {
    me: PodId,
    pub(super) state: Accounts,
    guesses: Guesses,
    /// The hash of the token of whoever runs the pod.
    operator: Option<ContentHash>,
    pub(super) handles: HashSet<String>,
    /// Rows of users are written one after the other: one names the durable channels and the one that it is written with.
    pub(super) making: Arc<Mutex<()>>,
    client: OAuthClient,
    pub(super) passwords: Passwords,
    pub(super) store: Store,
    pub(super) catalog: Addr<CatalogActor>,
    metrics: AccountsMetrics,
    _lifeline: Lifeline,
}

/// What became of the first user.
#[derive(Debug)]
pub struct FirstStart {
    /// Whether it was made now.
    pub made_root: bool,
    /// The password that was made up for it, to be shown once and kept nowhere.
    pub made_up: Option<Secret>,
}

/// Reads users and sessions from the store and makes the first user if there is no user at all. The actor is ready to be
/// started.
///
/// # Errors
/// When the store fails, or holds something that this program cannot read, or the first user cannot be made.
pub async fn open(
    me: PodId,
    first: FirstUser,
    store: Store,
    catalog: Addr<CatalogActor>,
    metrics: AccountsMetrics,
    lifeline: Lifeline,
) -> Result<(AccountsActor, FirstStart), AccountsError> {
    let passwords = Passwords::new();
    let mut state = Accounts::default();
    let mut handles = HashSet::new();
    for row in store.scan_prefix(tables::USERS, &[]) {
        let (_, value) = row.map_err(failed)?;
        state.put(records::decode_account(&value).map_err(failed)?);
    }
    for row in store.scan_prefix(tables::TOKENS, &[]) {
        let (key, value) = row.map_err(failed)?;
        let access: [u8; ContentHash::LEN] = key.as_slice().try_into().map_err(failed)?;
        state.restore_session(
            ContentHash::from_bytes(access),
            records::decode_session(&value).map_err(failed)?,
        );
    }
    for row in store.scan_prefix(tables::CHANNEL_HANDLES, &[]) {
        let (key, _) = row.map_err(failed)?;
        handles.insert(String::from_utf8_lossy(&key).into_owned());
    }
    let client = oauth_client(&store).await.map_err(failed)?;
    let mut actor = AccountsActor {
        me,
        state,
        guesses: Guesses::default(),
        operator: None,
        handles,
        making: Arc::default(),
        client,
        passwords,
        store,
        catalog,
        metrics,
        _lifeline: lifeline,
    };
    let first_start = actor.ensure_first_user(first).await?;
    Ok((actor, first_start))
}

impl AccountsActor {
    async fn ensure_first_user(&mut self, first: FirstUser) -> Result<FirstStart, AccountsError> {
        let FirstUser {
            username,
            email,
            password,
            video_quota,
        } = first;
        // Whoever renames it in the configuration gets no second administrator.
        if !self.state.is_empty() {
            return Ok(FirstStart {
                made_root: false,
                made_up: None,
            });
        }
        let made_up = password.is_none().then(|| Secret(random_text::<12>()));
        let password = password
            .or_else(|| made_up.clone())
            .unwrap_or_else(|| Secret(random_text::<12>()));
        let account = Account {
            number: self.state.next_number(),
            username: username.clone(),
            email,
            role: Role::Administrator,
            video_quota,
            created_at: clock::now(),
            password_hash: self.passwords.hash(password).await?,
            channels: Vec::new(),
            phase: Phase::Here,
        };
        let (channel, publish) = self.new_channel(
            &account,
            format!("{username}_channel"),
            format!("Main {username} channel"),
            None,
        );
        let handle = channel.name.clone();
        let account = with_channel(account, &publish);
        let publish = self.along(publish, &account, &handle);
        self.catalog
            .send(publish)
            .await
            .map_err(failed)?
            .map_err(failed)?;
        self.handles.insert(handle);
        self.state.put(account);
        Ok(FirstStart {
            made_root: true,
            made_up,
        })
    }

    pub(super) fn new_channel(
        &self,
        account: &Account,
        name: String,
        display_name: String,
        description: Option<String>,
    ) -> (Channel, Publish) {
        let nonce: [u8; 16] = rand::random();
        let channel = Channel {
            nonce,
            name,
            display_name,
            description: description.unwrap_or_default(),
            owner: account.username.clone(),
            created_at: clock::now(),
        };
        let publish = Publish {
            kind: Kind::CHANNEL,
            object: ObjectId::from(ChannelId::derive(&self.me, &nonce)),
            state: State::Live,
            payload: Record::Channel(channel.clone()),
            along: Transaction::new(),
        };
        (channel, publish)
    }

    /// Writes the user and the handle in the same transaction as the channel's record.
    pub(super) fn along(&self, mut publish: Publish, account: &Account, handle: &str) -> Publish {
        publish.along = account_row(account);
        publish
            .along
            .put(tables::CHANNEL_HANDLES, handle.as_bytes().to_vec(), vec![1]);
        publish
    }

    /// Whether a password is a user's; an address that is wrong too often waits.
    pub(super) fn check_password(
        &mut self,
        from: IpAddr,
        username: String,
        password: Secret,
    ) -> LocalBoxActorFuture<Self, Written<()>> {
        let attempt = match self.guesses.begin(from, &username, Instant::now()) {
            Ok(attempt) => attempt,
            Err(refused) => {
                let refused = match refused {
                    Refused::Busy => AccountsError::Busy,
                    Refused::Wait(wait) => AccountsError::Wait {
                        seconds: wait.as_secs() + u64::from(wait.subsec_nanos() > 0),
                    },
                };
                return Box::pin(ready(Err(refused)));
            }
        };
        let account = self.state.account(&username);
        let hash = account.map(|account| account.password_hash.clone());
        let passwords = self.passwords.clone();
        let compared = async move { (passwords.matches(password, hash.clone()).await, hash) };
        Box::pin(compared.into_actor(self).map(move |(matches, hash), actor, _| {
            match matches {
                Ok(false) => actor.guesses.wrong(attempt, Instant::now()),
                Ok(true) | Err(_) => actor.guesses.take_back(attempt, Instant::now()),
            }
            // Comparing took a while: the password may be another by now, or the user gone.
            let now = actor.state.account(&username);
            let stands = now.map(|account| &account.password_hash) == hash.as_ref();
            match matches? {
                true if stands => Ok(()),
                _ => Err(AccountsError::WrongCredentials),
            }
        }))
    }

    /// Writes a change of sessions and then answers; a change that was not written never happened.
    fn written<T: 'static>(&self, change: SessionChange, answer: T) -> LocalBoxActorFuture<Self, Written<T>> {
        let store = self.store.clone();
        let writing = async move {
            let result = store.commit(session_rows(&change)).await;
            (result, change)
        };
        Box::pin(writing.into_actor(self).map(|(result, change), actor, _| {
            if result.is_err() {
                actor.state.undo(change);
            }
            result.map_err(not_stored)?;
            Ok(answer)
        }))
    }
}

pub(super) type Written<T> = Result<T, AccountsError>;

type LoginResult = Written<(Tokens, Arc<User>)>;

impl Actor for AccountsActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(MAILBOX);
    }
}

impl Handler<Login> for AccountsActor {
    type Result = ResponseActFuture<Self, LoginResult>;

    fn handle(&mut self, login: Login, _: &mut Context<Self>) -> Self::Result {
        let Login {
            from,
            username,
            password,
        } = login;
        let checked = self.check_password(from, username.clone(), password);
        Box::pin(checked.then(move |checked, actor, _| {
            let begun = checked.and_then(|()| actor.state.user(&username)).map(|user| {
                let (tokens, hashes) = fresh_tokens();
                (actor.state.begin(&username, hashes, clock::now()), tokens, user)
            });
            actor.metrics.login(&begun);
            match begun {
                Ok((change, tokens, user)) => actor.written(change, (tokens, user)),
                Err(error) => Box::pin(ready(Err(error))),
            }
        }))
    }
}

impl Handler<Refresh> for AccountsActor {
    type Result = ResponseActFuture<Self, LoginResult>;

    fn handle(&mut self, Refresh(token): Refresh, _: &mut Context<Self>) -> Self::Result {
        let (tokens, hashes) = fresh_tokens();
        let refreshed = self
            .state
            .refresh(&hash_of(&token), hashes, clock::now())
            .and_then(|(username, change)| Ok((change, self.state.user(&username)?)));
        match refreshed {
            Ok((change, user)) => self.written(change, (tokens, user)),
            Err(error) => Box::pin(ready(Err(error))),
        }
    }
}

impl Handler<Logout> for AccountsActor {
    type Result = ResponseActFuture<Self, Result<(), AccountsError>>;

    fn handle(&mut self, Logout(token): Logout, _: &mut Context<Self>) -> Self::Result {
        match self.state.end(&hash_of(&token)) {
            Ok(ended) => self.written(ended, ()),
            Err(error) => Box::pin(ready(Err(error))),
        }
    }
}

impl Handler<Authenticate> for AccountsActor {
    type Result = Result<Arc<User>, AccountsError>;

    fn handle(&mut self, Authenticate(token): Authenticate, _: &mut Context<Self>) -> Self::Result {
        let token = hash_of(&token);
        if self.operator == Some(token) {
            return self.state.first_administrator().ok_or(AccountsError::BadToken);
        }
        self.state.authenticate(&token, clock::now())
    }
}

impl Handler<AdmitOperator> for AccountsActor {
    type Result = ();

    fn handle(&mut self, AdmitOperator(token): AdmitOperator, _: &mut Context<Self>) {
        self.operator = Some(hash_of(&token));
    }
}

impl Handler<GetOAuthClient> for AccountsActor {
    type Result = MessageResult<GetOAuthClient>;

    fn handle(&mut self, _: GetOAuthClient, _: &mut Context<Self>) -> Self::Result {
        MessageResult(self.client.clone())
    }
}

impl Handler<CreateChannel> for AccountsActor {
    type Result = ResponseActFuture<Self, Result<Verified<Record>, AccountsError>>;

    fn handle(&mut self, create: CreateChannel, _: &mut Context<Self>) -> Self::Result {
        let turn = Arc::clone(&self.making).lock_owned();
        Box::pin(turn.into_actor(self).then(move |turn, actor, _| {
            let (publish, account, handle) = match actor.prepare_channel(create) {
                Ok(prepared) => prepared,
                Err(error) => return Box::pin(ready(Err(error))) as LocalBoxActorFuture<Self, _>,
            };
            let published = actor.catalog.send(publish);
            Box::pin(published.into_actor(actor).map(move |result, actor, _| {
                let record = result.map_err(failed)?.map_err(not_published)?;
                actor.handles.insert(handle);
                actor.state.put(account);
                drop(turn);
                Ok(record)
            }))
        }))
    }
}

impl AccountsActor {
    /// Checks a new channel; returns the order to publish it, its user as they are then, and its handle.
    fn prepare_channel(&self, create: CreateChannel) -> Result<(Publish, Account, String), AccountsError> {
        let CreateChannel {
            username,
            name,
            display_name,
            description,
        } = create;
        check_handle(&name)?;
        let account = self
            .state
            .account(&username)
            .cloned()
            .ok_or(AccountsError::UnknownUser(username))?;
        if account.channels.len() >= MAX_CHANNELS {
            return Err(field("name", "you have as many channels as one may have"));
        }
        if self.handles.contains(&name) {
            return Err(AccountsError::ChannelTaken(name));
        }
        let (channel, publish) = self.new_channel(&account, name, display_name, description);
        check_channel(&channel)?;
        let account = with_channel(account, &publish);
        let publish = self.along(publish, &account, &channel.name);
        Ok((publish, account, channel.name))
    }
}

/// Checks what a channel says of itself; fields are named as the API names them.
pub(super) fn check_channel(channel: &Channel) -> Result<(), AccountsError> {
    if channel.display_name.trim().is_empty() {
        return Err(field("displayName", "must have 1 to 120 characters"));
    }
    channel.validate().map_err(|error| match error {
        RecordError::Limit { field, problem } => AccountsError::Field {
            field: if field == "display_name" {
                "displayName"
            } else {
                field
            },
            problem,
        },
        other => failed(other),
    })
}

pub(super) fn with_channel(mut account: Account, publish: &Publish) -> Account {
    account.channels.extend(ChannelId::try_from(publish.object));
    account
}

fn fresh_tokens() -> (Tokens, TokenHashes) {
    let (access, refresh) = (
        Secret(random_text::<TOKEN_LEN>()),
        Secret(random_text::<TOKEN_LEN>()),
    );
    let hashes = TokenHashes {
        access: hash_of(&access),
        refresh: hash_of(&refresh),
    };
    let tokens = Tokens {
        access,
        refresh,
        expires_in: ACCESS_LIFE.as_secs(),
        refresh_expires_in: REFRESH_LIFE.as_secs(),
    };
    (tokens, hashes)
}

fn random_text<const BYTES: usize>() -> String {
    let bytes: [u8; BYTES] = rand::random();
    BASE64URL_NOPAD.encode(&bytes)
}

pub(super) fn hash_of(token: &Secret) -> ContentHash {
    ContentHash::of(token.0.as_bytes())
}

pub(super) fn account_row(account: &Account) -> Transaction {
    let mut transaction = Transaction::new();
    transaction.put(
        tables::USERS,
        account.username.as_bytes().to_vec(),
        records::encode_account(account),
    );
    transaction
}

pub(super) fn session_rows(change: &SessionChange) -> Transaction {
    let mut transaction = Transaction::new();
    for (access, _) in &change.ended {
        transaction.delete(tables::TOKENS, access.as_bytes().to_vec());
    }
    if let Some((access, session)) = &change.begun {
        transaction.put(
            tables::TOKENS,
            access.as_bytes().to_vec(),
            records::encode_session(session),
        );
    }
    transaction
}

/// The application's id and secret, made once and kept, so that scripts that remember them go on working.
async fn oauth_client(store: &Store) -> Result<OAuthClient, StoreError> {
    const ROW: &[u8] = b"oauth-client";
    let seed = match store.get(tables::META, ROW)? {
        Some(row) => row,
        None => {
            let seed: [u8; 32] = rand::random();
            let mut transaction = Transaction::new();
            transaction.put(tables::META, ROW, seed.to_vec());
            store.commit(transaction).await?;
            seed.to_vec()
        }
    };
    let text = HEXLOWER.encode(&seed);
    let (id, secret) = text.split_at(text.len() / 2);
    Ok(OAuthClient {
        id: id.to_owned(),
        secret: secret.to_owned(),
    })
}

pub(super) fn failed(error: impl std::fmt::Display) -> AccountsError {
    AccountsError::Store(error.to_string())
}

pub(super) fn not_stored(error: StoreError) -> AccountsError {
    match error {
        StoreError::Full => AccountsError::DiskFull,
        other => failed(other),
    }
}

pub(super) fn not_published(error: PublishError) -> AccountsError {
    if error.is_full() {
        AccountsError::DiskFull
    } else {
        failed(error)
    }
}
