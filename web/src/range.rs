//! The part of a file that a `Range` header asks for (RFC 9110 §14), as a pure function.
//!
//! One satisfiable range is always a part (206), even when it covers the whole file: a torrent client takes a 200 for
//! the piece it asked for and throws it away. Several ranges, other units and headers that do not parse are answered
//! with the whole file, as the RFC allows; a range outside of the file is refused with 416.

/// What to send of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    /// All of it, as 200.
    Whole,
    /// Bytes `first` to `last`, both included, as 206.
    Part {
        /// Offset of the first byte.
        first: u64,
        /// Offset of the last byte, below the length of the file.
        last: u64,
    },
    /// Nothing: the range lies outside of the file, 416.
    Unsatisfiable,
}

/// Decides what a `Range` header asks for of a file of `length` bytes.
pub(crate) fn resolve(header: Option<&str>, length: u64) -> Extent {
    let Some(spec) = header.and_then(single_range) else {
        return Extent::Whole;
    };
    let (first, last) = match spec {
        Spec::From(first) => (first, u64::MAX),
        Spec::Between(first, last) => (first, last),
        Spec::Last(0) => return Extent::Unsatisfiable,
        Spec::Last(count) => (length.saturating_sub(count), u64::MAX),
    };
    if first >= length {
        return Extent::Unsatisfiable;
    }
    Extent::Part {
        first,
        last: last.min(length - 1),
    }
}

/// One range as it was written.
enum Spec {
    From(u64),
    Between(u64, u64),
    Last(u64),
}

/// The range of a header that holds exactly one well-formed range of bytes.
fn single_range(header: &str) -> Option<Spec> {
    let (unit, set) = header.split_once('=')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return None;
    }
    let mut specs = set
        .split(',')
        .map(|spec| spec.trim_matches([' ', '\t']))
        .filter(|spec| !spec.is_empty());
    let (only, None) = (specs.next()?, specs.next()) else {
        return None;
    };
    match only.split_once('-')? {
        ("", count) => number(count).map(Spec::Last),
        (first, "") => number(first).map(Spec::From),
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            (first <= last).then_some(Spec::Between(first, last))
        }
    }
}

/// A number of digits only; one too large for us is as good as the largest.
fn number(digits: &str) -> Option<u64> {
    let well_formed = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    well_formed.then(|| digits.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An independent reading of the RFC: which offsets of a small file does a well-formed range name?
    fn oracle(length: u64, names: impl Fn(u64) -> bool) -> Extent {
        let named: Vec<u64> = (0..length).filter(|&offset| names(offset)).collect();
        match (named.first(), named.last()) {
            (Some(&first), Some(&last)) => Extent::Part { first, last },
            _ => Extent::Unsatisfiable,
        }
    }

    #[test]
    fn every_small_range_of_every_small_file_agrees_with_the_oracle() {
        let mut cases = 0;
        for length in 0..12 {
            for a in 0..14 {
                assert_eq!(
                    resolve(Some(&format!("bytes={a}-")), length),
                    oracle(length, |at| at >= a),
                    "{a}- of {length}"
                );
                assert_eq!(
                    resolve(Some(&format!("bytes=-{a}")), length),
                    oracle(length, |at| at + a >= length),
                    "-{a} of {length}"
                );
                for b in a..14 {
                    assert_eq!(
                        resolve(Some(&format!("bytes={a}-{b}")), length),
                        oracle(length, |at| (a..=b).contains(&at)),
                        "{a}-{b} of {length}"
                    );
                    cases += 1;
                }
            }
        }
        assert!(cases > 1000);
    }

    #[test]
    fn spellings_that_the_rfc_allows() {
        let part = Extent::Part { first: 2, last: 5 };
        for header in [
            "bytes=2-5",
            "Bytes=2-5",
            "BYTES=2-5",
            "bytes= 2-5",
            "bytes=2-5 ",
            "bytes=,2-5",
            "bytes=2-5,",
            "bytes=\t2-5 , ,",
            "bytes=02-05",
        ] {
            assert_eq!(resolve(Some(header), 10), part, "{header}");
        }
    }

    #[test]
    fn what_is_not_one_range_of_bytes_gives_the_whole_file() {
        let headers = [
            "",
            "bytes",
            "bytes=",
            "bytes=,",
            "bytes=-",
            "bytes=a-b",
            "bytes=1",
            "bytes=1-2-3",
            "bytes=5-2",
            "bytes=+1-2",
            "bytes=1-+2",
            "bytes=0x1-2",
            "bytes=1.0-2",
            "bytes=-1-2",
            "bytes=1 -2",
            "bytes=1- 2",
            "bytes 1-2",
            "items=0-1",
            "seconds=1-",
            "bytes=0-1,3-4",
            "bytes=0-0,-1",
            "bytes=--1",
            "bytes=１-2",
        ];
        for header in headers {
            assert_eq!(resolve(Some(header), 10), Extent::Whole, "{header}");
        }
        assert_eq!(resolve(None, 10), Extent::Whole);
    }

    #[test]
    fn numbers_beyond_sixty_four_bits_are_only_very_large() {
        let huge = "9".repeat(50);
        assert_eq!(
            resolve(Some(&format!("bytes=3-{huge}")), 10),
            Extent::Part { first: 3, last: 9 }
        );
        assert_eq!(
            resolve(Some(&format!("bytes=-{huge}")), 10),
            Extent::Part { first: 0, last: 9 }
        );
        assert_eq!(
            resolve(Some(&format!("bytes={huge}-")), 10),
            Extent::Unsatisfiable
        );
        assert_eq!(
            resolve(Some("bytes=0-"), u64::MAX),
            Extent::Part {
                first: 0,
                last: u64::MAX - 1
            }
        );
    }
}
