//! Users as they come, change and leave; the shell of it.
//!
//! A user's row is written by one at a time ([`AccountsActor::making`]): whoever changes it starts from the row that is on
//! the disk, and not from one that somebody else is about to replace.

use std::sync::Arc;

use actix::fut::{LocalBoxActorFuture, ready};
use actix::prelude::*;
use seedpod_protocol::envelope::{Kind, State, Verified};
use seedpod_protocol::ids::ObjectId;
use seedpod_protocol::records::Record;

use super::actor::{
    AccountsActor, Written, account_row, check_channel, failed, hash_of, not_published, not_stored,
    session_rows, with_channel,
};
use super::messages::{
    AccountsError, BeginDeparture, CheckPassword, CountUsers, CreateUser, EndDeparture, GetUser,
    ListDepartures, ListUsers, RemoveChannel, UpdateChannel, UpdateUser, User, UserPage,
};
use super::state::{Account, Phase, SessionChange, check_password};
use crate::catalog::messages::Publish;
use crate::clock;
use crate::store::Transaction;

type Answer<T> = LocalBoxActorFuture<AccountsActor, Written<T>>;

impl AccountsActor {
    /// Runs a change of a user's row when nobody else is in the middle of one.
    fn in_turn<T: 'static>(&self, change: impl FnOnce(&mut Self) -> Answer<T> + 'static) -> Answer<T> {
        let turn = Arc::clone(&self.making).lock_owned();
        Box::pin(turn.into_actor(self).then(move |turn, actor, _| {
            let changed = change(actor);
            changed.map(move |result, _, _| {
                drop(turn);
                result
            })
        }))
    }

    /// Writes a user, with the sessions that end with the change. What was not written never happened.
    fn write_user(&mut self, account: Account, sessions: SessionChange) -> Answer<Arc<User>> {
        let mut transaction = session_rows(&sessions);
        transaction.merge(account_row(&account));
        let store = self.store.clone();
        let writing = async move { store.commit(transaction).await };
        Box::pin(writing.into_actor(self).map(move |written, actor, _| {
            if let Err(error) = written {
                actor.state.undo(sessions);
                return Err(not_stored(error));
            }
            let user = account.user();
            actor.state.put(account);
            Ok(user)
        }))
    }

    /// Writes a new user together with their first channel.
    fn write_new(&mut self, account: Account) -> Answer<Arc<User>> {
        let username = account.username.clone();
        let free = |name: &String| !self.handles.contains(name);
        let names = std::iter::once(format!("{username}_channel"))
            .chain((2..).map(|number| format!("{username}_channel_{number}")));
        let Some(handle) = names.take(self.handles.len() + 1).find(free) else {
            return Box::pin(ready(Err(failed("no name is left for a channel"))));
        };
        let title = format!("Main {username} channel");
        let (_, publish) = self.new_channel(&account, handle.clone(), title, None);
        let account = with_channel(account, &publish);
        let publish = self.along(publish, &account, &handle);
        let published = self.catalog.send(publish);
        Box::pin(published.into_actor(self).map(move |result, actor, _| {
            result.map_err(failed)?.map_err(not_published)?;
            actor.handles.insert(handle);
            let user = account.user();
            actor.state.put(account);
            Ok(user)
        }))
    }
}

impl Handler<CreateUser> for AccountsActor {
    type Result = ResponseActFuture<Self, Result<Arc<User>, AccountsError>>;

    fn handle(&mut self, create: CreateUser, _: &mut Context<Self>) -> Self::Result {
        self.in_turn(move |actor| {
            let may_come = actor
                .state
                .may_come(&create.username, create.email.as_deref(), create.limit)
                .and_then(|()| check_password(&create.password));
            if let Err(error) = may_come {
                return Box::pin(ready(Err(error)));
            }
            let passwords = actor.passwords.clone();
            let password = create.password.clone();
            let hashing = async move { passwords.hash(password).await };
            Box::pin(hashing.into_actor(actor).then(move |hash, actor, _| match hash {
                Ok(password_hash) => actor.write_new(Account {
                    number: actor.state.next_number(),
                    username: create.username,
                    email: create.email,
                    role: create.role,
                    video_quota: create.video_quota,
                    created_at: clock::now(),
                    password_hash,
                    channels: Vec::new(),
                    phase: Phase::Here,
                }),
                Err(error) => Box::pin(ready(Err(error))),
            }))
        })
    }
}

impl Handler<UpdateUser> for AccountsActor {
    type Result = ResponseActFuture<Self, Result<Arc<User>, AccountsError>>;

    fn handle(&mut self, update: UpdateUser, _: &mut Context<Self>) -> Self::Result {
        let UpdateUser { number, patch, keep } = update;
        self.in_turn(move |actor| {
            let patched = actor.state.patched(number, &patch).and_then(|account| {
                patch.password.as_ref().map_or(Ok(()), check_password)?;
                Ok(account)
            });
            let mut account = match patched {
                Ok(account) => account,
                Err(error) => return Box::pin(ready(Err(error))),
            };
            let Some(password) = patch.password else {
                return actor.write_user(account, SessionChange::default());
            };
            let passwords = actor.passwords.clone();
            let hashing = async move { passwords.hash(password).await };
            Box::pin(hashing.into_actor(actor).then(move |hash, actor, _| match hash {
                Ok(password_hash) => {
                    account.password_hash = password_hash;
                    let keep = keep.as_ref().map(hash_of);
                    let ended = actor.state.end_all(&account.username, keep.as_ref());
                    actor.write_user(account, ended)
                }
                Err(error) => Box::pin(ready(Err(error))),
            }))
        })
    }
}

impl Handler<BeginDeparture> for AccountsActor {
    type Result = ResponseActFuture<Self, Result<Arc<User>, AccountsError>>;

    fn handle(&mut self, BeginDeparture(number): BeginDeparture, _: &mut Context<Self>) -> Self::Result {
        self.in_turn(move |actor| match actor.state.leaves(number) {
            Ok(account) => {
                let ended = actor.state.end_all(&account.username, None);
                actor.write_user(account, ended)
            }
            Err(error) => Box::pin(ready(Err(error))),
        })
    }
}

impl Handler<EndDeparture> for AccountsActor {
    type Result = ResponseActFuture<Self, Result<(), AccountsError>>;

    fn handle(&mut self, EndDeparture(number): EndDeparture, _: &mut Context<Self>) -> Self::Result {
        self.in_turn(move |actor| match actor.state.left(number) {
            Ok(account) => {
                let written = actor.write_user(account, SessionChange::default());
                Box::pin(written.map(|written, _, _| written.map(drop)))
            }
            Err(error) => Box::pin(ready(Err(error))),
        })
    }
}

impl Handler<UpdateChannel> for AccountsActor {
    type Result = ResponseActFuture<Self, Result<Verified<Record>, AccountsError>>;

    fn handle(&mut self, update: UpdateChannel, _: &mut Context<Self>) -> Self::Result {
        let UpdateChannel { id, channel } = update;
        if let Err(error) = check_channel(&channel) {
            return Box::pin(ready(Err(error)));
        }
        let publish = Publish {
            kind: Kind::CHANNEL,
            object: ObjectId::from(id),
            state: State::Live,
            payload: Record::Channel(channel),
            along: Transaction::new(),
        };
        let published = self.catalog.send(publish);
        Box::pin(
            published
                .into_actor(self)
                .map(|result, _, _| result.map_err(failed)?.map_err(not_published)),
        )
    }
}

impl Handler<RemoveChannel> for AccountsActor {
    type Result = ResponseActFuture<Self, Result<(), AccountsError>>;

    fn handle(&mut self, RemoveChannel { id, owner }: RemoveChannel, _: &mut Context<Self>) -> Self::Result {
        self.in_turn(move |actor| {
            let account = match actor.state.without_channel(&owner, &id) {
                Ok(account) => account,
                Err(error) => return Box::pin(ready(Err(error))),
            };
            let publish = Publish {
                kind: Kind::CHANNEL,
                object: ObjectId::from(id),
                state: State::Removed,
                payload: Record::Empty,
                along: account_row(&account),
            };
            let published = actor.catalog.send(publish);
            Box::pin(published.into_actor(actor).map(move |result, actor, _| {
                result.map_err(failed)?.map_err(not_published)?;
                actor.state.put(account);
                Ok(())
            }))
        })
    }
}

impl Handler<CheckPassword> for AccountsActor {
    type Result = ResponseActFuture<Self, Result<(), AccountsError>>;

    fn handle(&mut self, check: CheckPassword, _: &mut Context<Self>) -> Self::Result {
        self.check_password(check.from, check.username, check.password)
    }
}

impl Handler<ListUsers> for AccountsActor {
    type Result = MessageResult<ListUsers>;

    fn handle(&mut self, list: ListUsers, _: &mut Context<Self>) -> Self::Result {
        let page: UserPage = self.state.page(&list);
        MessageResult(page)
    }
}

impl Handler<GetUser> for AccountsActor {
    type Result = Result<Arc<User>, AccountsError>;

    fn handle(&mut self, GetUser(number): GetUser, _: &mut Context<Self>) -> Self::Result {
        let account = self.state.by_number(number)?;
        match account.phase {
            Phase::Here => Ok(account.user()),
            Phase::Leaving | Phase::Gone => Err(AccountsError::UnknownNumber(number)),
        }
    }
}

impl Handler<CountUsers> for AccountsActor {
    type Result = u32;

    fn handle(&mut self, _: CountUsers, _: &mut Context<Self>) -> Self::Result {
        self.state.count()
    }
}

impl Handler<ListDepartures> for AccountsActor {
    type Result = MessageResult<ListDepartures>;

    fn handle(&mut self, _: ListDepartures, _: &mut Context<Self>) -> Self::Result {
        MessageResult(self.state.leaving())
    }
}
