//! Query strings and forms: pairs of names and values, some of them repeated.
//!
//! Lists come as `tags=a&tags=b`, `tags[]=a` or `tags[0]=a`, because all three are out there. What does not parse is
//! a 400 that names the field; what we do not know is ignored.

use std::str::FromStr;

use crate::error::ApiError;

/// Pairs beyond this many are refused: nobody's form has more.
const MAX_PAIRS: usize = 200;

/// The pairs of a query string or of a form, in their order.
#[derive(Debug, Clone, Default)]
pub(crate) struct Query {
    pairs: Vec<(String, String)>,
}

impl Query {
    /// Parses `a=1&b=2`.
    pub(crate) fn parse(text: &str) -> Result<Self, ApiError> {
        let mut query = Self::default();
        for (name, value) in url::form_urlencoded::parse(text.as_bytes()) {
            query.push(name.into_owned(), value.into_owned())?;
        }
        Ok(query)
    }

    /// Adds a pair.
    pub(crate) fn push(&mut self, name: String, value: String) -> Result<(), ApiError> {
        if self.pairs.len() >= MAX_PAIRS {
            return Err(ApiError::BadRequest(format!("more than {MAX_PAIRS} fields")));
        }
        self.pairs.push((name, value));
        Ok(())
    }

    /// The first value of a name.
    pub(crate) fn first(&self, name: &str) -> Option<&str> {
        self.pairs
            .iter()
            .find(|(found, _)| found == name)
            .map(|(_, value)| value.as_str())
    }

    /// The first value of a name, trimmed; an empty one counts as absent, as browsers send empty inputs.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.first(name).map(str::trim).filter(|value| !value.is_empty())
    }

    /// Whether the name occurs, alone or as a list.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.pairs.iter().any(|(found, _)| is_item_of(found, name))
    }

    /// Every value of a list, empty ones left out.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.pairs
            .iter()
            .filter(move |(found, value)| is_item_of(found, name) && !value.is_empty())
            .map(|(_, value)| value.as_str())
    }

    /// A number or other value with a text form.
    pub(crate) fn parsed<T: FromStr>(&self, name: &str, expected: &str) -> Result<Option<T>, ApiError> {
        let Some(text) = self.text(name) else {
            return Ok(None);
        };
        text.parse()
            .map(Some)
            .map_err(|_| ApiError::field(name, format!("`{}` is not {expected}", shorten(text))))
    }

    /// Every value of a list, parsed.
    pub(crate) fn all_parsed<T: FromStr>(&self, name: &str, expected: &str) -> Result<Vec<T>, ApiError> {
        self.all(name)
            .map(|text| {
                text.trim()
                    .parse()
                    .map_err(|_| ApiError::field(name, format!("`{}` is not {expected}", shorten(text))))
            })
            .collect()
    }

    /// A yes or no in the forms that programs and browsers send.
    pub(crate) fn flag(&self, name: &str) -> Result<Option<bool>, ApiError> {
        self.text(name).map(|text| parse_flag(name, text)).transpose()
    }
}

/// Parses a yes or no.
fn parse_flag(name: &str, text: &str) -> Result<bool, ApiError> {
    match text {
        "true" | "1" | "on" | "yes" => Ok(true),
        "false" | "0" | "off" | "no" => Ok(false),
        _ => Err(ApiError::field(
            name,
            format!("`{}` is neither true nor false", shorten(text)),
        )),
    }
}

/// Whether `found` is `name`, `name[]` or `name[7]`.
fn is_item_of(found: &str, name: &str) -> bool {
    found.strip_prefix(name).is_some_and(|rest| {
        rest.is_empty()
            || rest
                .strip_prefix('[')
                .and_then(|rest| rest.strip_suffix(']'))
                .is_some_and(|index| index.bytes().all(|byte| byte.is_ascii_digit()))
    })
}

/// A value as it may be shown in an error: not longer than a line.
pub(crate) fn shorten(text: &str) -> String {
    let mut short: String = text.chars().take(60).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
    use super::*;

    #[test]
    fn lists_come_in_three_spellings() {
        let query = Query::parse("tags=a&tags[]=b&tags%5B0%5D=c&tagsOneOf=no&tags[x]=no&tags=").unwrap();
        assert_eq!(query.all("tags").collect::<Vec<_>>(), ["a", "b", "c"]);
        assert!(query.has("tagsOneOf"));
    }

    #[test]
    fn a_value_that_does_not_parse_names_its_field() {
        let query = Query::parse("categoryOneOf=1&categoryOneOf=two").unwrap();
        let error = query.all_parsed::<u16>("categoryOneOf", "a number").unwrap_err();
        assert_eq!(error.to_string(), "categoryOneOf: `two` is not a number");
    }

    #[test]
    fn flags_are_strict() {
        let query = Query::parse("a=true&b=0&c=maybe&d=").unwrap();
        assert_eq!(query.flag("a").unwrap(), Some(true));
        assert_eq!(query.flag("b").unwrap(), Some(false));
        assert!(query.flag("c").is_err());
        assert_eq!(query.flag("d").unwrap(), None);
    }

    #[test]
    fn too_many_fields_are_refused() {
        assert!(Query::parse(&"a=1&".repeat(MAX_PAIRS)).is_ok());
        assert!(Query::parse(&"a=1&".repeat(MAX_PAIRS + 1)).is_err());
    }
}
