//! The checks that payloads share. Each is exact enough to be repeated in another language (`SPEC.md` §7).

use super::RecordError;
use crate::limits;

pub(super) fn fault<T>(field: &'static str, problem: impl Into<String>) -> Result<T, RecordError> {
    Err(RecordError::Limit {
        field,
        problem: problem.into(),
    })
}

/// One line of text: so many characters, none of them a control character.
pub(super) fn line(field: &'static str, text: &str, min: usize, max: usize) -> Result<(), RecordError> {
    length(field, text, min, max)?;
    if text.chars().any(is_control) {
        return fault(field, "holds a control character");
    }
    Ok(())
}

/// Text of several lines: line feeds, carriage returns and tabs are taken too.
pub(super) fn lines(field: &'static str, text: &str, min: usize, max: usize) -> Result<(), RecordError> {
    length(field, text, min, max)?;
    if text
        .chars()
        .any(|c| is_control(c) && !matches!(c, '\n' | '\r' | '\t'))
    {
        return fault(field, "holds a control character");
    }
    Ok(())
}

/// U+0000 to U+001F and U+007F to U+009F: by number, as tables of categories change.
fn is_control(c: char) -> bool {
    matches!(c, '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}')
}

fn length(field: &'static str, text: &str, min: usize, max: usize) -> Result<(), RecordError> {
    let len = text.chars().count();
    if len < min || len > max {
        return fault(field, format!("{len} characters, expected {min} to {max}"));
    }
    Ok(())
}

/// Printable ASCII without spaces: so many bytes.
fn graphic(field: &'static str, text: &str, min: usize, max: usize) -> Result<(), RecordError> {
    length(field, text, min, max)?;
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return fault(field, "holds something other than printable ASCII");
    }
    Ok(())
}

/// The name of a channel or a user in addresses.
pub(super) fn handle(field: &'static str, text: &str) -> Result<(), RecordError> {
    length(field, text, 1, limits::HANDLE_MAX)?;
    if !text
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
    {
        return fault(
            field,
            "holds something other than letters, digits, `.`, `_` and `-`",
        );
    }
    Ok(())
}

/// A public URL: scheme and host, no slash at its end.
pub(super) fn url(field: &'static str, text: &str) -> Result<(), RecordError> {
    graphic(field, text, 8, limits::URL_MAX)?;
    let rest = text
        .strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://"));
    match rest {
        Some(authority) => host(field, authority),
        None => fault(field, "begins with neither http:// nor https://"),
    }
}

/// `host` or `host:port`, an IPv6 address in brackets.
pub(super) fn host(field: &'static str, text: &str) -> Result<(), RecordError> {
    graphic(field, text, 1, limits::HOST_MAX)?;
    if !text
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte))
    {
        return fault(field, "is no host");
    }
    Ok(())
}

/// Multiaddrs as text.
pub(super) fn addresses(field: &'static str, list: &[String]) -> Result<(), RecordError> {
    at_most(field, list.len(), limits::ADDRESSES_MAX)?;
    for address in list {
        graphic(field, address, 2, limits::ADDRESS_MAX)?;
        if !address.starts_with('/') {
            return fault(field, "holds an address that does not begin with a slash");
        }
    }
    Ok(())
}

pub(super) fn email(field: &'static str, text: &str) -> Result<(), RecordError> {
    line(field, text, 3, limits::EMAIL_MAX)?;
    if !text.contains('@') {
        return fault(field, "is no e-mail address");
    }
    Ok(())
}

/// A language tag such as `en` or `pt-BR`.
pub(super) fn language(field: &'static str, text: &str) -> Result<(), RecordError> {
    length(field, text, 2, limits::LANGUAGE_MAX)?;
    if !text
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    {
        return fault(field, "is no language tag");
    }
    Ok(())
}

pub(super) fn at_most(field: &'static str, count: usize, max: usize) -> Result<(), RecordError> {
    if count > max {
        return fault(field, format!("{count} of them, at most {max} are taken"));
    }
    Ok(())
}
