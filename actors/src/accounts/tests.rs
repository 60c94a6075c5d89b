//! Users and sessions on a real disk.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use std::net::{IpAddr, Ipv4Addr};

use actix::prelude::*;

use super::messages::{
    AccountsError, Authenticate, CreateChannel, GetOAuthClient, Login, Logout, Refresh, Secret, Tokens,
};
use super::{AccountsActor, FirstUser};
use crate::testing::{Base, run};

async fn open(base: &Base) -> (Addr<AccountsActor>, super::FirstStart) {
    open_with(base, "root").await
}

async fn open_with(base: &Base, root: &str) -> (Addr<AccountsActor>, super::FirstStart) {
    let first = FirstUser {
        username: root.to_owned(),
        email: None,
        video_quota: None,
        password: Some(Secret("test1".to_owned())),
    };
    let lifeline = base.supervisor.lifeline("accounts");
    let opened = super::open(
        base.id(),
        first,
        base.store.clone(),
        base.catalog.clone(),
        super::AccountsMetrics::default(),
        lifeline,
    )
    .await;
    let (actor, first_start) = opened.unwrap();
    (actor.start(), first_start)
}

async fn log_in(accounts: &Addr<AccountsActor>, password: &str) -> Result<Tokens, AccountsError> {
    log_in_as(accounts, "root", password, 1).await
}

async fn log_in_as(
    accounts: &Addr<AccountsActor>,
    username: &str,
    password: &str,
    from: u8,
) -> Result<Tokens, AccountsError> {
    let login = Login {
        from: IpAddr::V4(Ipv4Addr::new(192, 0, 2, from)),
        username: username.to_owned(),
        password: Secret(password.to_owned()),
    };
    accounts.send(login).await.unwrap().map(|(tokens, _)| tokens)
}

async fn knows(accounts: &Addr<AccountsActor>, tokens: &Tokens) -> bool {
    let access = Authenticate(tokens.access.clone());
    accounts.send(access).await.unwrap().is_ok()
}

fn channel(name: &str) -> CreateChannel {
    CreateChannel {
        username: "root".to_owned(),
        name: name.to_owned(),
        display_name: "A channel".to_owned(),
        description: None,
    }
}

#[test]
fn sessions_and_channels_survive_reopening() {
    run(async {
        let base = Base::open(1).await;
        let (accounts, first) = open(&base).await;
        assert!(first.made_root && first.made_up.is_none());
        assert!(matches!(
            log_in(&accounts, "test2").await,
            Err(AccountsError::WrongCredentials)
        ));
        let [kept, traded, ended] = [
            log_in(&accounts, "test1").await.unwrap(),
            log_in(&accounts, "test1").await.unwrap(),
            log_in(&accounts, "test1").await.unwrap(),
        ];
        let (fresh, _) = accounts
            .send(Refresh(traded.refresh.clone()))
            .await
            .unwrap()
            .unwrap();
        accounts
            .send(Logout(ended.access.clone()))
            .await
            .unwrap()
            .unwrap();
        // Both on their way at once: neither may forget the other.
        let (one, two) = futures::join!(accounts.send(channel("one")), accounts.send(channel("two")));
        let (one, two) = (one.unwrap().unwrap(), two.unwrap().unwrap());
        let client = accounts.send(GetOAuthClient).await.unwrap();

        let base = Base::open_in(1, base.die().await).await;
        let (accounts, first) = open(&base).await;
        assert!(!first.made_root);
        assert_eq!(accounts.send(GetOAuthClient).await.unwrap().secret, client.secret);
        assert!(knows(&accounts, &kept).await && knows(&accounts, &fresh).await);
        assert!(!knows(&accounts, &traded).await && !knows(&accounts, &ended).await);
        let user = accounts
            .send(Authenticate(kept.access.clone()))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(user.channels.len(), 3, "the first one, and two made at once");
        assert!(base.holds(&one).await && base.holds(&two).await);
        assert!(matches!(
            accounts.send(channel("one")).await.unwrap(),
            Err(AccountsError::ChannelTaken(_))
        ));
        assert!(log_in(&accounts, "test1").await.is_ok());
    });
}

#[test]
fn what_the_disk_refuses_never_happened() {
    run(async {
        let base = Base::open(1).await;
        let (accounts, _) = open(&base).await;
        let tokens = log_in(&accounts, "test1").await.unwrap();
        base.store.close().await;
        assert!(log_in(&accounts, "test1").await.is_err());
        assert!(
            accounts
                .send(Logout(tokens.access.clone()))
                .await
                .unwrap()
                .is_err()
        );
        assert!(
            accounts
                .send(Refresh(tokens.refresh.clone()))
                .await
                .unwrap()
                .is_err()
        );
        assert!(knows(&accounts, &tokens).await);
        for _ in 0..2 {
            let refused = accounts.send(channel("one")).await.unwrap();
            assert!(matches!(refused, Err(AccountsError::Store(_))), "{refused:?}");
        }
        let user = accounts.send(Authenticate(tokens.access)).await.unwrap().unwrap();
        assert_eq!(user.channels.len(), 1);
    });
}

#[test]
fn another_name_in_the_configuration_makes_no_second_administrator() {
    run(async {
        let base = Base::open(1).await;
        let (accounts, _) = open(&base).await;
        log_in(&accounts, "test1").await.unwrap();

        let base = Base::open_in(1, base.die().await).await;
        let (accounts, first) = open_with(&base, "admin").await;
        assert!(!first.made_root && first.made_up.is_none(), "{first:?}");
        let refused = log_in_as(&accounts, "admin", "test1", 1).await;
        assert!(
            matches!(refused, Err(AccountsError::WrongCredentials)),
            "{refused:?}"
        );
        log_in(&accounts, "test1").await.unwrap();
    });
}

#[test]
fn a_channel_that_fails_leaves_no_trace_in_the_one_made_beside_it() {
    run(async {
        let base = Base::open(1).await;
        let (accounts, _) = open(&base).await;
        let bad = |display_name: &str, description: Option<&str>| CreateChannel {
            display_name: display_name.to_owned(),
            description: description.map(str::to_owned),
            ..channel("bad")
        };
        let both = futures::join!(
            accounts.send(bad("A\u{7}channel", None)),
            accounts.send(channel("good")),
            accounts.send(bad("A channel", Some("rings\u{7}"))),
        );
        let (bell, good, rings) = (both.0.unwrap(), both.1.unwrap(), both.2.unwrap());
        for (refused, named) in [(bell, "displayName"), (rings, "description")] {
            assert!(
                matches!(refused, Err(AccountsError::Field { field, .. }) if field == named),
                "{refused:?}"
            );
        }
        assert!(base.holds(&good.unwrap()).await);

        let base = Base::open_in(1, base.die().await).await;
        let (accounts, _) = open(&base).await;
        let tokens = log_in(&accounts, "test1").await.unwrap();
        let user = accounts.send(Authenticate(tokens.access)).await.unwrap().unwrap();
        assert_eq!(user.channels.len(), 2, "the first one and the good one");
        accounts.send(channel("bad")).await.unwrap().unwrap();
    });
}

#[test]
fn whoever_guesses_keeps_nobody_from_logging_in() {
    run(async {
        let base = Base::open(1).await;
        let (accounts, _) = open(&base).await;
        // Asked for and not waited for: what a client that hangs up leaves behind.
        for _ in 0..200 {
            accounts.do_send(Login {
                from: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 66)),
                username: "root".to_owned(),
                password: Secret("guess".to_owned()),
            });
        }
        log_in(&accounts, "test1").await.unwrap();
        let mut wrong = 0;
        let seconds = loop {
            match log_in_as(&accounts, "root", "guess", 67).await {
                Err(AccountsError::WrongCredentials) => wrong += 1,
                Err(AccountsError::Wait { seconds }) => break seconds,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!((wrong, seconds), (super::guesses::FREE, 1));
        let told = AccountsError::Wait { seconds: 901 }.to_string();
        assert!(told.ends_with("16 minutes"), "{told}");
        let held_back = log_in_as(&accounts, "root", "test1", 67).await;
        assert!(
            matches!(held_back, Err(AccountsError::Wait { .. })),
            "{held_back:?}"
        );
        log_in(&accounts, "test1").await.unwrap();
    });
}
