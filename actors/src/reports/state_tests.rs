//! Who may report how much, and what is sent when.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use seedpod_protocol::keys::PodKey;

use super::*;

fn pod(seed: u8) -> PodId {
    PodKey::from_seed(&[seed; 32]).id()
}

fn at(secs: u64) -> Timestamp {
    Timestamp::from_millis(secs * 1000)
}

/// Pod 1 is this one.
fn about(origin: u8, number: u32, reporter: &str) -> records::Report {
    let mut nonce = [0; 16];
    nonce[..4].copy_from_slice(&number.to_be_bytes());
    records::Report {
        origin: pod(origin),
        video: VideoId::derive(&pod(origin), &nonce),
        comment: None,
        reporter: reporter.to_owned(),
        reason: "Not so".to_owned(),
        reasons: vec![],
        created_at: at(0),
    }
}

fn take(reports: &mut Reports, by: u8, said: records::Report, now: u64) -> Result<Report, ReportsError> {
    let taken = reports.take(pod(by), said, at(now)).map(|writes| writes.put);
    reports.check();
    taken
}

#[test]
fn a_user_has_one_report_about_a_thing() {
    let mut reports = Reports::new(pod(1));
    let first = take(&mut reports, 2, about(1, 1, "ann"), 10).unwrap();
    assert_eq!((first.number, first.delivery), (1, Delivery::Here));
    reports
        .decide(1, Some(ReportState::Rejected), Some("no".to_owned()), at(11))
        .unwrap();
    assert_eq!(reports.pending(), 0);
    let again = records::Report {
        reason: "Look again".to_owned(),
        ..about(1, 1, "ann")
    };
    let again = take(&mut reports, 2, again, 20).unwrap();
    assert_eq!((again.number, again.state), (1, ReportState::Pending));
    assert_eq!((again.reason.as_str(), again.note.as_str()), ("Look again", "no"));
    let other = take(&mut reports, 2, about(1, 1, "bob"), 20).unwrap();
    assert_eq!(other.number, 2);
    let page = reports.page(None, None, false, 0, 10);
    let rows: Vec<_> = page.rows.iter().map(|row| (row.number, row.same)).collect();
    assert_eq!((page.total, rows), (2, vec![(2, 2), (1, 2)]));
    assert_eq!(reports.page(None, Some(1), false, 0, 10).total, 1);
    assert_eq!(
        reports
            .page(Some(ReportState::Accepted), None, false, 0, 10)
            .total,
        0
    );
}

#[test]
fn nobody_reports_faster_than_people_do() {
    let mut reports = Reports::new(pod(1));
    let limit = u32::try_from(MAX_AN_HOUR).unwrap();
    for number in 0..limit {
        take(&mut reports, 2, about(1, number, "ann"), 0).unwrap();
        take(&mut reports, 1, about(1, number, "bob"), 0).unwrap();
    }
    let late = take(&mut reports, 2, about(1, limit, "another of theirs"), 3_599);
    assert!(matches!(late, Err(ReportsError::TooFast { wait }) if wait == Duration::from_secs(1)));
    assert!(take(&mut reports, 1, about(1, limit, "bob"), 10).is_err());
    assert!(take(&mut reports, 1, about(1, limit, "carl"), 10).is_ok());
    assert!(take(&mut reports, 3, about(1, limit, "ann"), 10).is_ok());
    assert!(take(&mut reports, 2, about(1, limit, "ann"), 3_600).is_ok());
}

#[test]
fn a_friend_fills_its_own_place_and_decided_ones_make_room() {
    let mut reports = Reports::new(pod(1));
    let mut hour = 0;
    let mut fill = |reports: &mut Reports, number: usize| {
        if number.is_multiple_of(MAX_AN_HOUR) {
            hour += 3_600;
        }
        take(reports, 2, about(1, u32::try_from(number).unwrap(), "ann"), hour)
    };
    for number in 0..MAX_OF_FRIEND {
        fill(&mut reports, number).unwrap();
    }
    assert!(matches!(
        fill(&mut reports, MAX_OF_FRIEND + MAX_AN_HOUR),
        Err(ReportsError::TooMany)
    ));
    assert!(take(&mut reports, 3, about(1, 1, "ann"), 99).is_ok());
    reports
        .decide(7, Some(ReportState::Accepted), None, at(5))
        .unwrap();
    reports
        .decide(5, Some(ReportState::Rejected), None, at(6))
        .unwrap();
    let writes = reports
        .take(pod(2), about(1, 999_999, "ann"), at(999_999))
        .unwrap();
    reports.check();
    assert_eq!(writes.delete.unwrap().1.number, 7, "the one decided first");
}

#[test]
fn friends_together_and_one_user_keep_nobody_here_from_reporting() {
    let mut reports = Reports::new(pod(1));
    let mut number = 0;
    let mut fill = |reports: &mut Reports, by: u8, reporter: &str| {
        number += 1;
        // An hour later each time: pace is another matter.
        reports.take(pod(by), about(1, number, reporter), at(u64::from(number) * 3_600))
    };
    for friend in 0..10 {
        for _ in 0..MAX_OF_FRIEND {
            fill(&mut reports, 2 + friend, "eve").unwrap();
        }
    }
    assert!(matches!(
        fill(&mut reports, 99, "eve"),
        Err(ReportsError::TooMany)
    ));
    for _ in 0..MAX_OF_USER {
        fill(&mut reports, 1, "ann").unwrap();
    }
    assert!(matches!(fill(&mut reports, 1, "ann"), Err(ReportsError::TooMany)));
    fill(&mut reports, 1, "bob").unwrap();
    reports.check();
}

#[test]
fn an_origin_that_is_gone_is_given_up() {
    let mut reports = Reports::new(pod(1));
    take(&mut reports, 1, about(2, 1, "ann"), 10).unwrap();
    let [(report, pause)] = reports.due(at(10)).try_into().unwrap();
    let month = 10 + GIVE_UP.as_secs();
    assert_eq!(reports.sent(&report, pause, None, at(month - 1)), None);
    let [(report, pause)] = reports.due(at(month + 60)).try_into().unwrap();
    let given_up = reports.sent(&report, pause, None, at(month + 60)).unwrap();
    assert!(matches!(given_up.delivery, Delivery::Refused(_)), "{given_up:?}");
    assert_eq!(reports.due(at(month * 2)), []);
    reports.check();
}

#[test]
fn what_is_about_a_friends_video_is_sent_until_it_arrives() {
    let mut reports = Reports::new(pod(1));
    take(&mut reports, 1, about(2, 1, "ann"), 10).unwrap();
    let due = reports.due(at(10));
    let [(report, pause)] = due.as_slice() else {
        panic!("{due:?}");
    };
    assert_eq!(reports.due(at(10)), [], "it is on its way");
    assert_eq!(reports.sent(report, *pause, None, at(10)), None);
    assert_eq!(reports.due(at(11)), []);
    let [(report, longer)] = reports.due(at(12)).try_into().unwrap();
    assert_eq!(longer, *pause * 2);
    let delivered = reports
        .sent(&report, longer, Some(Delivery::Delivered), at(12))
        .unwrap();
    assert_eq!(delivered.delivery, Delivery::Delivered);
    reports.check();
    assert_eq!(reports.due(at(99_999)), []);
    // What came from the disk and waits is sent too.
    let mut later = Reports::new(pod(1));
    later.restore(Report {
        delivery: Delivery::Waiting,
        ..delivered
    });
    assert_eq!(later.due(at(0)).len(), 1);
}

#[test]
fn a_report_that_changed_on_its_way_is_sent_again() {
    let mut reports = Reports::new(pod(1));
    take(&mut reports, 1, about(2, 1, "ann"), 10).unwrap();
    let [(first, pause)] = reports.due(at(10)).try_into().unwrap();
    let changed = records::Report {
        reason: "Worse than that".to_owned(),
        ..about(2, 1, "ann")
    };
    take(&mut reports, 1, changed, 11).unwrap();
    assert_eq!(
        reports.sent(&first, pause, Some(Delivery::Delivered), at(11)),
        None
    );
    reports.check();
    let [(second, pause)] = reports.due(at(11)).try_into().unwrap();
    assert_eq!(second.reason, "Worse than that");
    assert!(
        reports
            .sent(&second, pause, Some(Delivery::Refused("no".to_owned())), at(11))
            .is_some()
    );
    assert_eq!(reports.due(at(99_999)), []);
}

#[test]
fn a_decision_does_not_hold_up_the_post() {
    let mut reports = Reports::new(pod(1));
    take(&mut reports, 1, about(2, 1, "ann"), 10).unwrap();
    reports
        .decide(1, Some(ReportState::Accepted), None, at(11))
        .unwrap();
    reports.check();
    assert_eq!(reports.due(at(11)).len(), 1);
    assert!(reports.decide(2, None, None, at(11)).is_err());
    assert!(
        reports
            .decide(1, None, Some("x".repeat(MAX_NOTE + 1)), at(11))
            .is_err()
    );
}
