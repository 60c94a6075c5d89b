//! Sessions begin, are traded, and end.

use super::*;

const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

fn accounts() -> Accounts {
    let mut accounts = Accounts::default();
    accounts.put(Account {
        number: 1,
        username: "root".to_owned(),
        email: None,
        role: Role::Administrator,
        video_quota: None,
        created_at: NOW,
        password_hash: String::new(),
        channels: Vec::new(),
        phase: Phase::Here,
    });
    accounts
}

fn tokens(number: u8) -> TokenHashes {
    TokenHashes {
        access: ContentHash::of(&[number, 0]),
        refresh: ContentHash::of(&[number, 1]),
    }
}

fn later(life: Duration) -> Timestamp {
    NOW.saturating_add(life)
}

#[test]
fn a_token_opens_until_it_expires() {
    let mut accounts = accounts();
    accounts.begin("root", tokens(1), NOW);
    assert_eq!(
        accounts
            .authenticate(&tokens(1).access, NOW)
            .expect("known")
            .username,
        "root"
    );
    assert!(
        accounts
            .authenticate(&tokens(1).access, later(ACCESS_LIFE))
            .is_err()
    );
    assert!(
        accounts.authenticate(&tokens(1).refresh, NOW).is_err(),
        "a refresh token opens nothing"
    );
}

#[test]
fn a_refresh_token_buys_once_and_ends_the_old_session() {
    let mut accounts = accounts();
    accounts.begin("root", tokens(1), NOW);
    let (username, change) = accounts
        .refresh(&tokens(1).refresh, tokens(2), NOW)
        .expect("valid");
    accounts.check();
    assert_eq!(username, "root");
    assert_eq!(change.ended.len(), 1);
    assert_eq!(change.ended[0].0, tokens(1).access);
    assert!(accounts.authenticate(&tokens(1).access, NOW).is_err());
    assert!(accounts.authenticate(&tokens(2).access, NOW).is_ok());
    assert!(accounts.refresh(&tokens(1).refresh, tokens(3), NOW).is_err());
}

#[test]
fn a_refresh_token_expires_too() {
    let mut accounts = accounts();
    accounts.begin("root", tokens(1), NOW);
    assert!(
        accounts
            .refresh(&tokens(1).refresh, tokens(2), later(REFRESH_LIFE))
            .is_err()
    );
    accounts.check();
}

#[test]
fn the_oldest_session_makes_room() {
    let mut accounts = accounts();
    let count = u8::try_from(MAX_SESSIONS_PER_USER).expect("few");
    for number in 0..=count {
        let at = NOW.saturating_add(Duration::from_secs(u64::from(number)));
        let change = accounts.begin("root", tokens(number), at);
        accounts.check();
        assert_eq!(change.ended.len(), usize::from(number == count));
    }
    assert!(accounts.authenticate(&tokens(0).access, NOW).is_err());
    assert!(accounts.authenticate(&tokens(count).access, NOW).is_ok());
}

#[test]
fn sessions_and_users_survive_being_stored() {
    let mut accounts = accounts();
    let (_, session) = accounts.begin("root", tokens(1), NOW).begun.expect("begun");
    let row = super::super::records::encode_session(&session);
    assert_eq!(
        super::super::records::decode_session(&row).expect("readable"),
        session
    );
    let account = accounts.account("root").expect("known");
    let row = super::super::records::encode_account(account);
    assert_eq!(
        &super::super::records::decode_account(&row).expect("readable"),
        account
    );
}

#[test]
fn handles_are_checked() {
    for good in ["root_channel", "a", "x.y-z_9"] {
        check_handle(good).expect(good);
    }
    let long = "a".repeat(51);
    for bad in ["", "Root", "a b", "é", "a/b", long.as_str()] {
        assert!(check_handle(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn an_undone_change_leaves_everything_as_it_was() {
    let mut accounts = accounts();
    accounts.begin("root", tokens(1), NOW);
    let (_, traded) = accounts
        .refresh(&tokens(1).refresh, tokens(2), NOW)
        .expect("valid");
    accounts.undo(traded);
    accounts.check();
    assert!(accounts.authenticate(&tokens(1).access, NOW).is_ok());
    assert!(accounts.authenticate(&tokens(2).access, NOW).is_err());
    let ended = accounts.end(&tokens(1).access).expect("known");
    accounts.undo(ended);
    accounts.check();
    assert!(accounts.refresh(&tokens(1).refresh, tokens(3), NOW).is_ok());
}
