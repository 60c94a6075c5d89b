//! Who carried what, in one line: the number people run this for.

use super::format::{bytes, percent};

/// Bytes of one video, or of all.
#[derive(Debug, Clone, Copy, Default)]
pub struct CarriedView {
    /// Carried by viewers for each other.
    pub by_viewers: u64,
    /// Carried by anybody.
    pub in_all: u64,
}

impl CarriedView {
    /// Whether there is anything to tell.
    #[must_use]
    pub fn is_some(&self) -> bool {
        self.in_all > 0
    }

    /// `63%`, or a dash while nothing was carried; `web/ui/src/carried-line.ts` writes the same.
    #[must_use]
    pub fn share_text(&self) -> String {
        if self.is_some() {
            percent(self.by_viewers, self.in_all)
        } else {
            "–".to_owned()
        }
    }

    /// `of 3.4 GB`
    #[must_use]
    pub fn of_text(&self) -> String {
        format!("of {}", bytes(self.in_all))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_nothing_is_no_number() {
        assert_eq!(CarriedView::default().share_text(), "–");
        let some = CarriedView {
            by_viewers: 1,
            in_all: 4_000,
        };
        assert_eq!(
            (some.share_text().as_str(), some.of_text().as_str()),
            ("1%", "of 4 kB")
        );
    }
}
