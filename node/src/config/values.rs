//! Values of settings that people write as text: durations, sizes, limits, secrets.
//!
//! Each is parsed once, here, and is a typed value everywhere else. Parsing never guesses: `10` is no duration, because
//! nobody can tell seconds from minutes.

use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;
use std::time::Duration;

use serde::de::{Deserialize, Deserializer, Error, Visitor};

/// A span of time above zero, written like `10 min`, `2 s` or `1h 30m`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(Duration);

impl Span {
    /// The span as the standard library's type.
    pub fn duration(self) -> Duration {
        self.0
    }
}

impl FromStr for Span {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let wrong = || ValueError::Span(text.to_owned());
        let span: jiff::SignedDuration = text.trim().parse().map_err(|_| wrong())?;
        let span = Duration::try_from(span).map_err(|_| wrong())?;
        if span.is_zero() {
            Err(wrong())
        } else {
            Ok(Self(span))
        }
    }
}

/// A number of bytes, written like `5 MiB`, `1.5 GB` or as a plain number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(u64);

impl Size {
    /// The number of bytes.
    pub fn bytes(self) -> u64 {
        self.0
    }
}

/// Unit names in lower case, with the number of bytes each stands for.
const UNITS: [(&str, u64); 10] = [
    ("", 1),
    ("b", 1),
    ("kb", 1_000),
    ("mb", 1_000_000),
    ("gb", 1_000_000_000),
    ("tb", 1_000_000_000_000),
    ("kib", 1 << 10),
    ("mib", 1 << 20),
    ("gib", 1 << 30),
    ("tib", 1 << 40),
];

impl FromStr for Size {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let wrong = || ValueError::Size(text.to_owned());
        let text_trimmed = text.trim();
        let split = text_trimmed
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(text_trimmed.len());
        let (number, unit) = text_trimmed.split_at(split);
        let unit = unit.trim().to_ascii_lowercase();
        let (_, factor) = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(wrong)?;
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        let whole: u64 = whole.parse().map_err(|_| wrong())?;
        // Three digits after the point are plenty, and keep the sum in whole numbers.
        let thousandths = match fraction.len() {
            0 => 0,
            1..=3 => format!("{fraction:0<3}").parse::<u64>().map_err(|_| wrong())?,
            _ => return Err(wrong()),
        };
        let bytes =
            u128::from(whole) * u128::from(*factor) + u128::from(thousandths) * u128::from(*factor) / 1000;
        u64::try_from(bytes).map(Self).map_err(|_| wrong())
    }
}

/// A most, or none: a value of `T` or the word `unlimited`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit<T> {
    /// No bound at all.
    Unlimited,
    /// At most this.
    At(T),
}

impl<T> Limit<T> {
    /// The bound, if there is one.
    pub fn get(self) -> Option<T> {
        match self {
            Self::Unlimited => None,
            Self::At(value) => Some(value),
        }
    }
}

impl<T: FromStr> FromStr for Limit<T> {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        if text.trim() == "unlimited" {
            return Ok(Self::Unlimited);
        }
        text.trim()
            .parse()
            .map(Self::At)
            .map_err(|_| ValueError::Limit(text.to_owned()))
    }
}

/// A text that is never printed: its `Debug` and what `config show` prints say only that it is there.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The text itself. Do not log it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(hidden)")
    }
}

impl FromStr for Secret {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        if text.is_empty() {
            Err(ValueError::Secret)
        } else {
            Ok(Self(text.to_owned()))
        }
    }
}

/// Why a text is not the value it should be.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    /// Not a span of time.
    #[error("`{0}` is not a duration above zero, write it like `10 min` or `2 s`")]
    Span(String),
    /// Not a number of bytes.
    #[error("`{0}` is not a size, write it like `5 MiB` or `1.5 GB`")]
    Size(String),
    /// Neither a bound nor the word for none.
    #[error("`{0}` is neither a limit nor `unlimited`")]
    Limit(String),
    /// Neither a port nor the word for none.
    #[error("`{0}` is neither a port nor `none`")]
    Port(String),
    /// No range of ports.
    #[error("{0}; or `none`")]
    Ports(#[from] seedpod_actors::seeder::ports::PortRangeError),
    /// An empty secret would be no secret.
    #[error("a secret must not be empty")]
    Secret,
    /// None of the words a setting takes.
    #[error("`{found}` is not one of {}", expected.join(", "))]
    Word {
        /// What was written.
        found: String,
        /// What could have been written.
        expected: &'static [&'static str],
    },
    /// A host that cannot be one.
    #[error(transparent)]
    Host(#[from] crate::resolve::HostError),
    /// A libp2p address that cannot be one.
    #[error("`{0}` is not a libp2p address, write it like `/ip4/127.0.0.1/tcp/9010`")]
    Multiaddr(String),
}

/// Deserializes through [`FromStr`], for `#[serde(deserialize_with = "text")]`-less use in the types below.
///
/// Whole numbers count as their digits, so that `max_size: 1000` needs no quotes.
pub(crate) fn from_text<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr,
    T::Err: fmt::Display,
{
    struct Text<T>(PhantomData<T>);

    impl<T: FromStr> Visitor<'_> for Text<T>
    where
        T::Err: fmt::Display,
    {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("text")
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
            text.parse().map_err(E::custom)
        }

        fn visit_u64<E: Error>(self, number: u64) -> Result<T, E> {
            self.visit_str(&number.to_string())
        }

        fn visit_i64<E: Error>(self, number: i64) -> Result<T, E> {
            self.visit_str(&number.to_string())
        }
    }

    deserializer.deserialize_any(Text(PhantomData))
}

macro_rules! deserialize_from_text {
    ($($type:ty),*) => {$(
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                from_text(deserializer)
            }
        }
    )*};
}
pub(crate) use deserialize_from_text;

deserialize_from_text!(Span, Size, Limit<Size>, Limit<u32>);

impl<'de> Deserialize<'de> for Secret {
    /// Takes text only: a number would lose its leading zeros before we see it.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Quoted;

        impl Visitor<'_> for Quoted {
            type Value = Secret;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text (put it in quotes)")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Secret, E> {
                text.parse().map_err(E::custom)
            }
        }

        deserializer.deserialize_any(Quoted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_people_write_them() {
        for (text, seconds) in [
            ("10 min", 600),
            ("2s", 2),
            ("2 s", 2),
            ("1h 30m", 5400),
            ("14 s", 14),
            ("2 h", 7200),
        ] {
            assert_eq!(text.parse(), Ok(Span(Duration::from_secs(seconds))), "{text}");
        }
        for text in ["", "10", "-2 s", "0 s", "ten minutes", "2 sheep"] {
            assert_eq!(
                text.parse::<Span>(),
                Err(ValueError::Span(text.to_owned())),
                "{text}"
            );
        }
    }

    #[test]
    fn sizes_are_read_with_binary_and_decimal_units() {
        for (text, bytes) in [
            ("0", 0),
            ("17", 17),
            ("5 MiB", 5 << 20),
            ("5mib", 5 << 20),
            ("1.5 GB", 1_500_000_000),
            ("1.5KiB", 1536),
        ] {
            assert_eq!(text.parse(), Ok(Size(bytes)), "{text}");
        }
        for text in [
            "",
            "MiB",
            "-1",
            "5 MB/s",
            "1.2.3 GB",
            "1.2345 GB",
            "99999999999999999 TiB",
        ] {
            assert_eq!(
                text.parse::<Size>(),
                Err(ValueError::Size(text.to_owned())),
                "{text}"
            );
        }
    }

    #[test]
    fn a_limit_is_a_value_or_the_word_unlimited() {
        assert_eq!("unlimited".parse::<Limit<u32>>().map(Limit::get), Ok(None));
        assert_eq!("4".parse::<Limit<u32>>().map(Limit::get), Ok(Some(4)));
        assert_eq!(
            "-1".parse::<Limit<u32>>(),
            Err(ValueError::Limit("-1".to_owned()))
        );
    }

    #[test]
    fn a_secret_does_not_show_itself() {
        assert_eq!(format!("{:?}", "hunter2".parse::<Secret>()), "Ok(Secret(hidden))");
    }
}
