//! The fixed lists of the API: categories, licences, languages, privacies, states.
//!
//! The numbers are those of PeerTube, so that its clients show the right words. A list names only what works here.

/// Categories by number.
pub(crate) const CATEGORIES: [(u16, &str); 18] = [
    (1, "Music"),
    (2, "Films"),
    (3, "Vehicles"),
    (4, "Art"),
    (5, "Sports"),
    (6, "Travels"),
    (7, "Gaming"),
    (8, "People"),
    (9, "Comedy"),
    (10, "Entertainment"),
    (11, "News & Politics"),
    (12, "How To"),
    (13, "Education"),
    (14, "Activism"),
    (15, "Science & Technology"),
    (16, "Animals"),
    (17, "Kids"),
    (18, "Food"),
];

/// Licences by number.
pub(crate) const LICENCES: [(u16, &str); 7] = [
    (1, "Attribution"),
    (2, "Attribution - Share Alike"),
    (3, "Attribution - No Derivatives"),
    (4, "Attribution - Non Commercial"),
    (5, "Attribution - Non Commercial - Share Alike"),
    (6, "Attribution - Non Commercial - No Derivatives"),
    (7, "Public Domain Dedication"),
];

/// Languages by ISO 639 code, in the order of their names.
pub(crate) const LANGUAGES: [(&str, &str); 60] = [
    ("sq", "Albanian"),
    ("ar", "Arabic"),
    ("hy", "Armenian"),
    ("eu", "Basque"),
    ("bn", "Bengali"),
    ("br", "Breton"),
    ("bg", "Bulgarian"),
    ("ca", "Catalan"),
    ("zh", "Chinese"),
    ("hr", "Croatian"),
    ("cs", "Czech"),
    ("da", "Danish"),
    ("nl", "Dutch"),
    ("en", "English"),
    ("eo", "Esperanto"),
    ("et", "Estonian"),
    ("fi", "Finnish"),
    ("fr", "French"),
    ("gl", "Galician"),
    ("ka", "Georgian"),
    ("de", "German"),
    ("el", "Greek"),
    ("he", "Hebrew"),
    ("hi", "Hindi"),
    ("hu", "Hungarian"),
    ("is", "Icelandic"),
    ("id", "Indonesian"),
    ("ga", "Irish"),
    ("it", "Italian"),
    ("ja", "Japanese"),
    ("kab", "Kabyle"),
    ("kk", "Kazakh"),
    ("ko", "Korean"),
    ("lv", "Latvian"),
    ("lt", "Lithuanian"),
    ("lb", "Luxembourgish"),
    ("ms", "Malay"),
    ("no", "Norwegian"),
    ("oc", "Occitan"),
    ("fa", "Persian"),
    ("pl", "Polish"),
    ("pt", "Portuguese"),
    ("ro", "Romanian"),
    ("ru", "Russian"),
    ("gd", "Scottish Gaelic"),
    ("sr", "Serbian"),
    ("sk", "Slovak"),
    ("sl", "Slovenian"),
    ("es", "Spanish"),
    ("sw", "Swahili"),
    ("sv", "Swedish"),
    ("ta", "Tamil"),
    ("te", "Telugu"),
    ("th", "Thai"),
    ("tr", "Turkish"),
    ("uk", "Ukrainian"),
    ("ur", "Urdu"),
    ("vi", "Vietnamese"),
    ("cy", "Welsh"),
    ("zxx", "No linguistic content"),
];

/// Who may watch, by number: those that work here.
pub(crate) const PRIVACIES: [(u16, &str); 2] = [(1, "Public"), (2, "Unlisted")];

/// The only state a video of the catalog can be in.
pub(crate) const PUBLISHED: (u16, &str) = (1, "Published");

/// What a value is called that is not set, or that only a newer pod knows.
pub(crate) const UNKNOWN: &str = "Unknown";

/// The label of a number in a list.
pub(crate) fn label(list: &[(u16, &'static str)], id: u16) -> Option<&'static str> {
    list.iter()
        .find(|(known, _)| *known == id)
        .map(|(_, label)| *label)
}

/// The name of a language.
pub(crate) fn language(code: &str) -> Option<&'static str> {
    LANGUAGES
        .iter()
        .find(|(known, _)| *known == code)
        .map(|(_, label)| *label)
}

/// Why people report things, by number and by the name that the API uses.
pub(crate) const REASONS: [(u8, &str); 8] = [
    (1, "violentOrAbusive"),
    (2, "hatefulOrAbusive"),
    (3, "spamOrMisleading"),
    (4, "privacy"),
    (5, "rights"),
    (6, "serverRules"),
    (7, "thumbnails"),
    (8, "captions"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn no_id_occurs_twice_and_languages_are_in_the_order_of_their_names() {
        assert_eq!(
            CATEGORIES.iter().map(|(id, _)| id).collect::<BTreeSet<_>>().len(),
            18
        );
        assert_eq!(
            LICENCES.iter().map(|(id, _)| id).collect::<BTreeSet<_>>().len(),
            7
        );
        assert_eq!(
            LANGUAGES.iter().map(|(id, _)| id).collect::<BTreeSet<_>>().len(),
            LANGUAGES.len()
        );
        let named = &LANGUAGES[..LANGUAGES.len() - 1];
        assert!(named.windows(2).all(|pair| pair[0].1 < pair[1].1));
    }
}
