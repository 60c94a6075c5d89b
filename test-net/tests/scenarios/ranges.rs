//! Ranges and preconditions of media files: what a running pod answers, byte for byte, against a reading of RFC 9110 that shares
//! nothing with the pod's own.
//!
//! The oracle below was written from §13 (conditional requests) and §14 (range requests). Where the RFC leaves a choice it says
//! what the pod has chosen: several ranges, other units and what is no range are answered with the whole file, and a single range
//! is a 206 even when it covers everything, because a torrent client takes a 200 for the piece it asked for.

use std::fmt;
use std::ops::Range;

use anyhow::{Context, bail, ensure};
use seedpod_test_net::TestNet;
use seedpod_test_net::api::Upload;
use seedpod_test_net::clips::Clip;
use seedpod_test_net::process::Pod;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::steps::text;

/// A request for the file.
#[derive(Debug)]
struct Case {
    method: &'static str,
    headers: Vec<(&'static str, String)>,
}

/// What must come of it.
#[derive(Debug, PartialEq, Eq)]
struct Expected {
    status: u16,
    content_range: Option<String>,
    content_length: Option<u64>,
    body: Range<usize>,
}

/// Ranges that are tried alone and then with conditions. `N` is the length of the file, `L` its last offset.
const RANGES: [&str; 66] = [
    // One range, in all its forms.
    "bytes=0-0",
    "bytes=0-1",
    "bytes=1-1",
    "bytes=0-499",
    "bytes=500-999",
    "bytes=0-",
    "bytes=1-",
    "bytes=L-",
    "bytes=L-L",
    "bytes=-1",
    "bytes=-2",
    "bytes=-500",
    "bytes=-L",
    "bytes=-N",
    "bytes=-99999999",
    "bytes=0-L",
    "bytes=0-N",
    "bytes=1-99999999",
    "bytes=65535-65536",
    "bytes=65536-131071",
    "bytes=65537-",
    "bytes=L-99999999999999999999999999999999",
    // Outside, and nothing.
    "bytes=N-",
    "bytes=N-N",
    "bytes=99999999-",
    "bytes=99999999-99999999",
    "bytes=-0",
    "bytes=-00",
    "bytes=18446744073709551615-",
    "bytes=18446744073709551616-",
    "bytes=99999999999999999999999999999999-",
    // Numbers beyond any machine's.
    "bytes=0-18446744073709551615",
    "bytes=0-18446744073709551616",
    "bytes=-18446744073709551616",
    "bytes=7-999999999999999999999999999999999999999999999",
    // Zeros in front, case, space.
    "bytes=000-001",
    "Bytes=0-1",
    "BYTES=5-9",
    "bYtEs=-3",
    "bytes=0-1 ",
    " bytes=0-1",
    "bytes=0-1,",
    "bytes=,0-1",
    "bytes=, ,0-1 , ,",
    // No range.
    "bytes",
    "bytes=",
    "bytes=,",
    "bytes=-",
    "bytes=1",
    "bytes=a-b",
    "bytes=1-0",
    "bytes=5-2",
    "bytes=1-2-3",
    "bytes=+1-2",
    "bytes=0x1-2",
    "bytes=1 -2",
    "bytes=1- 2",
    "bytes=--1",
    "bytes=1.0-2",
    "bytes 0-1",
    // Other units.
    "items=0-1",
    "none",
    "byte=0-1",
    // Several.
    "bytes=0-0,-1",
    "bytes=0-9,5-14",
    "bytes=0-0,1-1,2-2,99999999-",
];

/// Conditions that are tried with and without a range. `E` is the file's tag without quotes.
const CONDITIONS: [&[(&str, &str)]; 27] = [
    &[("if-range", "\"E\"")],
    &[("if-range", "W/\"E\"")],
    &[("if-range", "\"other\"")],
    &[("if-range", "E")],
    &[("if-range", "Wed, 21 Oct 2015 07:28:00 GMT")],
    &[("if-range", "Wed, 21 Oct 2099 07:28:00 GMT")],
    &[("if-none-match", "\"E\"")],
    &[("if-none-match", "W/\"E\"")],
    &[("if-none-match", "*")],
    &[("if-none-match", "\"other\"")],
    &[("if-none-match", "\"other\", W/\"E\"")],
    &[("if-none-match", "\"other,\"E\",\"")],
    &[("if-none-match", "E")],
    &[("if-none-match", "\"other\""), ("if-none-match", "\"E\"")],
    &[("if-modified-since", "Wed, 21 Oct 2099 07:28:00 GMT")],
    &[("if-modified-since", "Wed, 21 Oct 2015 07:28:00 GMT")],
    &[("if-modified-since", "no date")],
    &[
        ("if-none-match", "\"other\""),
        ("if-modified-since", "Wed, 21 Oct 2099 07:28:00 GMT"),
    ],
    &[
        ("if-none-match", "\"E\""),
        ("if-modified-since", "Wed, 21 Oct 2015 07:28:00 GMT"),
    ],
    &[("if-match", "\"E\"")],
    &[("if-match", "W/\"E\"")],
    &[("if-match", "*")],
    &[("if-match", "\"other\"")],
    &[("if-match", "\"other\", \"E\"")],
    &[("if-match", "\"E\""), ("if-none-match", "\"E\"")],
    &[("if-unmodified-since", "Wed, 21 Oct 2015 07:28:00 GMT")],
    &[("if-none-match", "\"E\""), ("if-range", "\"other\"")],
];

#[tokio::test]
async fn every_range_and_condition_is_answered_as_the_rfc_says() {
    TestNet::scenario(1, async |net| {
        let pod = net.pod(1);
        let clip = Clip::Mp4.path().await?;
        let root = pod.root().await?;
        let video = root.upload(&Upload::file("Ranges", &clip)?).await?;
        let seen = root.video(&video.uuid).await?;
        let path = text(&seen, "/files/0/fileUrl")?.replacen(&pod.url(), "", 1);
        ensure!(path.starts_with("/static/webseed/"), "a web seed at {path}");
        let file = std::fs::read(&clip)?;

        let first = pod.visitor().get(&path).await?.status(200)?;
        ensure!(first.body == file, "the file is served as it was uploaded");
        let tag = first.header("etag").trim_matches('"').to_owned();
        ensure!(
            first.header("etag") == format!("\"{tag}\"") && !tag.is_empty(),
            "a strong tag"
        );
        ensure!(
            first.header("last-modified").is_empty(),
            "no date, so none is compared"
        );

        let cases = cases(&tag, file.len());
        let mut wrong = Vec::new();
        for case in &cases {
            let answer = ask(&pod.host(), &path, case)
                .await
                .with_context(|| case.to_string())?;
            if let Err(difference) = compare(case, &answer, &file, &tag) {
                wrong.push(format!("{case}: {difference:#}"));
            }
        }
        eprintln!("{} requests for ranges compared", cases.len());
        over_http2(pod, &path, &file).await.context("over HTTP/2")?;
        ensure!(
            wrong.is_empty(),
            "{} of {} differ:\n{}",
            wrong.len(),
            cases.len(),
            wrong.join("\n")
        );
        Ok(())
    })
    .await;
}

/// One connection, many ranges at once: a browser behind a proxy.
async fn over_http2(pod: &Pod, path: &str, file: &[u8]) -> anyhow::Result<()> {
    let (client, connection) = h2::client::handshake(TcpStream::connect(pod.host()).await?).await?;
    let connection = tokio::spawn(connection);
    let piece = file.len() / 50;
    let pieces = (0..50).map(|number| {
        let (first, client) = (number * piece, client.clone());
        async move {
            let request = http::Request::get(format!("{}{path}", pod.url()))
                .header("range", format!("bytes={first}-{}", first + piece - 1))
                .body(())?;
            let (response, _) = client.ready().await?.send_request(request, true)?;
            let response = response.await?;
            ensure!(response.status() == 206, "{}", response.status());
            let mut body = response.into_body();
            let mut all = Vec::new();
            while let Some(chunk) = body.data().await {
                let chunk = chunk?;
                body.flow_control().release_capacity(chunk.len())?;
                all.extend_from_slice(&chunk);
            }
            ensure!(all == file[first..first + piece], "piece {number} is another");
            Ok(())
        }
    });
    futures::future::try_join_all(pieces).await?;
    connection.abort();
    Ok(())
}

fn cases(tag: &str, length: usize) -> Vec<Case> {
    let fill = |text: &str| {
        // Only single letters that stand alone are names.
        text.split_inclusive(['-', '=', '"'])
            .map(|part| {
                let (name, end) = part.split_at(part.len() - usize::from(part.ends_with(['-', '=', '"'])));
                let value = match name {
                    "N" => length.to_string(),
                    "L" => (length - 1).to_string(),
                    "E" => tag.to_owned(),
                    other => other.to_owned(),
                };
                value + end
            })
            .collect::<String>()
    };
    let of = |method, headers: &[(&'static str, &str)]| Case {
        method,
        headers: headers.iter().map(|(name, value)| (*name, fill(value))).collect(),
    };
    let mut cases = vec![of("GET", &[]), of("HEAD", &[])];
    for range in RANGES {
        cases.push(of("GET", &[("range", range)]));
        cases.push(of("HEAD", &[("range", range)]));
    }
    cases.push(of("GET", &[("range", "bytes=0-1"), ("range", "bytes=2-3")]));
    for condition in CONDITIONS {
        for method in ["GET", "HEAD"] {
            cases.push(of(method, condition));
            for range in ["bytes=2-5", "bytes=-7", "bytes=N-", "bytes=0-L", "bytes=0-0,2-2"] {
                cases.push(of(method, &[condition, &[("range", range)]].concat()));
            }
        }
    }
    cases
}

/// What RFC 9110 demands. The order is that of §13.2.2; the file has no date, so conditions on dates are ignored (§13.1.3,
/// §13.1.4) and never hold for `If-Range` (§13.1.5).
fn oracle(case: &Case, tag: &str, length: usize) -> Expected {
    let nothing = |status| Expected {
        status,
        content_range: None,
        content_length: None,
        body: 0..0,
    };
    let get = case.method == "GET";
    let shown = |range: Range<usize>| if get { range } else { 0..0 };
    if case.has("if-match")
        && !case
            .all("if-match")
            .any(|list| lists(list, tag, Comparison::Strong))
    {
        return nothing(412);
    }
    if case
        .all("if-none-match")
        .any(|list| lists(list, tag, Comparison::Weak))
    {
        return nothing(304);
    }
    let whole = Expected {
        status: 200,
        content_range: None,
        content_length: Some(length as u64),
        body: shown(0..length),
    };
    // A range means something in GET alone (§14.2), and for the version that `If-Range` names, compared strongly.
    let same_version = case.all("if-range").all(|value| value == format!("\"{tag}\""));
    let ranges: Vec<&str> = case.all("range").collect();
    let ([range], true, true) = (ranges.as_slice(), get, same_version) else {
        return whole;
    };
    match byte_range(range) {
        None => whole,
        Some(spec) => match spec.of(length as u128) {
            None => Expected {
                content_range: Some(format!("bytes */{length}")),
                content_length: Some(0),
                ..nothing(416)
            },
            Some((first, last)) => Expected {
                status: 206,
                content_range: Some(format!("bytes {first}-{last}/{length}")),
                content_length: Some((last - first + 1) as u64),
                body: first..last + 1,
            },
        },
    }
}

/// One range of §14.1.2; numbers above any file are as good as the largest.
enum Spec {
    Int(u128, Option<u128>),
    Suffix(u128),
}

impl Spec {
    /// First and last offset, if the range can be satisfied.
    fn of(&self, length: u128) -> Option<(usize, usize)> {
        let (first, last) = match *self {
            Self::Int(first, last) => (first, last.unwrap_or(u128::MAX)),
            Self::Suffix(count) => (length - count.min(length), u128::MAX),
        };
        let last = last.min(length - 1);
        (first <= last && first < length)
            .then(|| Some((usize::try_from(first).ok()?, usize::try_from(last).ok()?)))
            .flatten()
    }
}

/// The range of a header with exactly one of them, in bytes.
fn byte_range(value: &str) -> Option<Spec> {
    let value = value.trim_matches([' ', '\t']);
    let at = value.find('=')?;
    if value[..at].to_lowercase() != "bytes" {
        return None;
    }
    // The list rule of §5.6.1: empty elements do not count, space around commas neither.
    let mut found = Vec::new();
    for element in value[at + 1..].split(',') {
        let element = element.trim_matches([' ', '\t']);
        if !element.is_empty() {
            found.push(element);
        }
    }
    if found.len() != 1 {
        return None;
    }
    let number = |digits: &str| {
        digits.chars().all(|digit| digit.is_ascii_digit()).then(|| {
            digits.trim_start_matches('0').chars().fold(0_u128, |sum, digit| {
                sum.saturating_mul(10)
                    .saturating_add(u128::from(digit.to_digit(10).unwrap_or_default()))
            })
        })
    };
    let parts: Vec<&str> = found[0].split('-').collect();
    match parts[..] {
        ["", ""] => None,
        ["", count] => Some(Spec::Suffix(number(count)?)),
        [first, ""] => Some(Spec::Int(number(first)?, None)),
        [first, last] => {
            let (first, last) = (number(first)?, number(last)?);
            (first <= last).then_some(Spec::Int(first, Some(last)))
        }
        _ => None,
    }
}

#[derive(PartialEq)]
enum Comparison {
    Strong,
    Weak,
}

/// Whether a list of entity tags (§8.8.3) has this one, letter by letter.
fn lists(list: &str, tag: &str, comparison: Comparison) -> bool {
    if list.trim() == "*" {
        return true;
    }
    let mut letters = list.chars().peekable();
    loop {
        while letters.next_if(|letter| " \t,".contains(*letter)).is_some() {}
        let weak = letters.next_if_eq(&'W').is_some();
        if weak && letters.next_if_eq(&'/').is_none() {
            return false;
        }
        if letters.next_if_eq(&'"').is_none() {
            return false;
        }
        let opaque: String = letters.by_ref().take_while(|letter| *letter != '"').collect();
        if opaque == tag && !(weak && comparison == Comparison::Strong) {
            return true;
        }
    }
}

fn compare(case: &Case, answer: &Answer, file: &[u8], tag: &str) -> anyhow::Result<()> {
    let expected = oracle(case, tag, file.len());
    let found = (answer.status, answer.header("content-range").map(str::to_owned));
    ensure!(
        found == (expected.status, expected.content_range.clone()),
        "{found:?} instead of {expected:?}"
    );
    if let Some(length) = expected.content_length {
        let found = answer.header("content-length");
        ensure!(
            found == Some(&length.to_string()),
            "content-length {found:?} instead of {length}"
        );
    }
    ensure!(
        answer.body == file[expected.body.clone()],
        "{} bytes of a body that are not {:?} of the file",
        answer.body.len(),
        expected.body
    );
    ensure!(answer.header("etag") == Some(&format!("\"{tag}\"")), "no tag");
    ensure!(answer.header("accept-ranges") == Some("bytes"), "accept-ranges");
    ensure!(
        answer.header("access-control-allow-origin") == Some("*"),
        "closed to other pages"
    );
    Ok(())
}

impl Case {
    fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.headers
            .iter()
            .filter(move |(found, _)| *found == name)
            .map(|(_, value)| value.as_str())
    }

    fn has(&self, name: &str) -> bool {
        self.all(name).next().is_some()
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.method)?;
        self.headers
            .iter()
            .try_for_each(|(name, value)| write!(f, " [{name}: {value}]"))
    }
}

/// An answer as it came over the wire.
struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        let mut found = self.headers.iter().filter(|(found, _)| found == name);
        found.next().map(|(_, value)| value.as_str())
    }
}

/// Writes a request just as it is, which libraries do not, and reads the answer to the end of the connection.
async fn ask(host: &str, path: &str, case: &Case) -> anyhow::Result<Answer> {
    let mut request = format!(
        "{} {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n",
        case.method
    );
    for (name, value) in &case.headers {
        request += &format!("{name}: {value}\r\n");
    }
    request += "\r\n";
    let mut socket = TcpStream::connect(host).await?;
    socket.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).await?;
    let end = answer
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .context("no end of headers")?;
    let body = answer.split_off(end + 4);
    let head = String::from_utf8(answer)?;
    let mut lines = head.trim_end().lines();
    let status = lines
        .next()
        .and_then(|line| line.split(' ').nth(1))
        .context("no status")?
        .parse()?;
    let mut headers = Vec::new();
    for line in lines {
        let Some((name, value)) = line.split_once(':') else {
            bail!("a header without a colon: {line}");
        };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    Ok(Answer {
        status,
        headers,
        body,
    })
}
