//! Data for scripts inside a page: JSON that cannot end the element it stands in.

use std::fmt;

use serde::Serialize;

/// JSON for a `<script type="application/json">` or `application/ld+json`.
///
/// `<`, `>`, `&` and the two line separators that old scripts take for line ends are written as `\u…` escapes. In valid JSON they
/// occur inside strings only, so the value stays the same, and no text in it can close the script element or open a comment.
#[derive(Debug, Clone)]
pub struct ScriptJson(String);

impl ScriptJson {
    /// Writes `value`; one that has no JSON form (a map with keys that are not text) becomes `null`.
    pub fn of<T: Serialize + ?Sized>(value: &T) -> Self {
        let plain = serde_json::to_string(value).unwrap_or_else(|_| "null".to_owned());
        let mut safe = String::with_capacity(plain.len() + plain.len() / 16);
        for character in plain.chars() {
            match character {
                '<' => safe.push_str("\\u003c"),
                '>' => safe.push_str("\\u003e"),
                '&' => safe.push_str("\\u0026"),
                '\u{2028}' => safe.push_str("\\u2028"),
                '\u{2029}' => safe.push_str("\\u2029"),
                other => safe.push(other),
            }
        }
        Self(safe)
    }
}

impl fmt::Display for ScriptJson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Tells askama to write it as it is; the constructor is the only way to make one.
impl askama::filters::HtmlSafe for ScriptJson {}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;

    #[test]
    fn a_value_cannot_close_the_script_and_stays_the_same_value() {
        let hostile = "</script><!-- <script>alert(\"1\") & \u{2028}";
        let json = ScriptJson::of(hostile).to_string();
        assert!(
            !json.contains('<') && !json.contains('>') && !json.contains('&') && !json.contains('\u{2028}')
        );
        assert_eq!(serde_json::from_str::<String>(&json).unwrap(), hostile);
    }
}
