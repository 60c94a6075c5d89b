//! What people say about a video, read from the fields of a form or of a JSON body.
//!
//! A field that is there and empty clears what it names; one that is absent leaves it as it is. Every limit is that of
//! the record, checked here so that the answer names the field as the API does.

use bytes::Bytes;
use seedpod_actors::library::messages::{VideoDetails, VideoPatch};
use seedpod_actors::search::messages::ChannelKey;
use seedpod_protocol::ids::Timestamp;
use seedpod_protocol::limits;
use seedpod_protocol::records::Privacy;

use super::channels::id_of;
use crate::constants::{CATEGORIES, LICENCES, label, language};
use crate::error::ApiError;
use crate::query::{Query, shorten};

/// The fields of a video that a request holds.
#[derive(Debug, Default)]
pub(crate) struct Fields {
    /// What changes; its channel is not resolved yet.
    pub(crate) patch: VideoPatch,
    /// The channel, as the request names it.
    pub(crate) channel: Option<ChannelKey>,
}

/// Images that came along.
#[derive(Debug, Default)]
pub(crate) struct Pictures {
    /// The small one.
    pub(crate) thumbnail: Option<Bytes>,
    /// The large one.
    pub(crate) preview: Option<Bytes>,
}

impl Fields {
    /// Reads what is there; the first bad field is an error.
    pub(crate) fn read(query: &Query) -> Result<Self, ApiError> {
        let mut patch = VideoPatch::default();
        if query.has("name") {
            let name = query.text("name").unwrap_or_default();
            patch.name = Some(line(
                "name",
                name,
                limits::VIDEO_NAME_MIN,
                limits::VIDEO_NAME_MAX,
            )?);
        }
        patch.description = text(query, "description", limits::DESCRIPTION_MAX)?;
        patch.support = text(query, "support", limits::SUPPORT_MAX)?;
        patch.category = listed(query, "category", &CATEGORIES)?;
        patch.licence = listed(query, "licence", &LICENCES)?;
        if query.has("language") {
            let code = query.text("language");
            if let Some(unknown) = code.filter(|code| language(code).is_none()) {
                return Err(ApiError::field(
                    "language",
                    format!("`{}` is not one of the languages", shorten(unknown)),
                ));
            }
            patch.language = Some(code.map(str::to_owned));
        }
        if query.has("tags") {
            patch.tags = Some(tags(query)?);
        }
        patch.nsfw = query.flag("nsfw")?;
        patch.privacy = match query.parsed::<u16>("privacy", "a number")? {
            None => None,
            Some(1) => Some(Privacy::Public),
            Some(2) => Some(Privacy::Unlisted),
            Some(other) => {
                return Err(ApiError::field(
                    "privacy",
                    format!("`{other}` is neither 1 (public) nor 2 (unlisted)"),
                ));
            }
        };
        patch.comments_enabled = match query.parsed::<u16>("commentsPolicy", "a number")? {
            None => query.flag("commentsEnabled")?,
            Some(1) => Some(true),
            Some(2) => Some(false),
            Some(other) => {
                return Err(ApiError::field(
                    "commentsPolicy",
                    format!("`{other}` is neither 1 (enabled) nor 2 (disabled)"),
                ));
            }
        };
        patch.download_enabled = query.flag("downloadEnabled")?;
        if query.has("originallyPublishedAt") {
            patch.originally_published_at = Some(query.text("originallyPublishedAt").map(time).transpose()?);
        }
        let channel = query.text("channelId").map(|text| {
            id_of(text).ok_or_else(|| {
                ApiError::field(
                    "channelId",
                    format!("`{}` is neither a number nor a uuid", shorten(text)),
                )
            })
        });
        Ok(Self {
            patch,
            channel: channel.transpose()?,
        })
    }

    /// The details of a new video, with defaults for what is absent. A name is needed.
    pub(crate) fn details(&self) -> Result<VideoDetails, ApiError> {
        let patch = self.patch.clone();
        Ok(VideoDetails {
            name: patch.name.ok_or_else(|| ApiError::field("name", "is missing"))?,
            description: patch.description.flatten(),
            category: patch.category.flatten(),
            licence: patch.licence.flatten(),
            language: patch.language.flatten(),
            nsfw: patch.nsfw.unwrap_or(false),
            tags: patch.tags.unwrap_or_default(),
            support: patch.support.flatten(),
            privacy: patch.privacy.unwrap_or(Privacy::Public),
            comments_enabled: patch.comments_enabled.unwrap_or(true),
            download_enabled: patch.download_enabled.unwrap_or(true),
            originally_published_at: patch.originally_published_at.flatten(),
        })
    }
}

/// A text of one line within its limits.
fn line(field: &str, value: &str, min: usize, max: usize) -> Result<String, ApiError> {
    let length = value.chars().count();
    if !(min..=max).contains(&length) {
        return Err(ApiError::field(
            field,
            format!("must have {min} to {max} characters, not {length}"),
        ));
    }
    if value.chars().any(char::is_control) {
        return Err(ApiError::field(field, "holds a control character"));
    }
    Ok(value.to_owned())
}

/// A text of several lines; browsers send their ends as CR LF.
fn text(query: &Query, field: &str, max: usize) -> Result<Option<Option<String>>, ApiError> {
    if !query.has(field) {
        return Ok(None);
    }
    let Some(value) = query.text(field) else {
        return Ok(Some(None));
    };
    let value = value.replace("\r\n", "\n").replace('\r', "\n");
    let length = value.chars().count();
    if length > max {
        return Err(ApiError::field(
            field,
            format!("must have at most {max} characters, not {length}"),
        ));
    }
    if value.chars().any(|c| c.is_control() && c != '\n' && c != '\t') {
        return Err(ApiError::field(field, "holds a control character"));
    }
    Ok(Some(Some(value)))
}

/// A number of a fixed list.
fn listed(query: &Query, field: &str, list: &[(u16, &'static str)]) -> Result<Option<Option<u16>>, ApiError> {
    if !query.has(field) {
        return Ok(None);
    }
    let id = query.parsed::<u16>(field, "a number")?;
    match id {
        Some(id) if label(list, id).is_none() => {
            Err(ApiError::field(field, format!("`{id}` is not in the list")))
        }
        id => Ok(Some(id)),
    }
}

/// Tags: a list, or one text with commas. One that occurs twice counts once.
fn tags(query: &Query) -> Result<Vec<String>, ApiError> {
    let mut tags: Vec<String> = Vec::new();
    for tag in query
        .all("tags")
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .filter(|tag| !tag.is_empty())
    {
        let tag = line("tags", tag, limits::TAG_MIN, limits::TAG_MAX)?;
        if !tags.contains(&tag) {
            tags.push(tag);
        }
    }
    if tags.len() > limits::TAGS_MAX {
        return Err(ApiError::field(
            "tags",
            format!("are {}, at most {} are taken", tags.len(), limits::TAGS_MAX),
        ));
    }
    Ok(tags)
}

/// A moment as ISO 8601, with or without a time of day.
fn time(text: &str) -> Result<Timestamp, ApiError> {
    let bad = || {
        ApiError::field(
            "originallyPublishedAt",
            format!("`{}` is not an ISO 8601 time since 1970", shorten(text)),
        )
    };
    let instant = text.parse::<jiff::Timestamp>().or_else(|_| {
        let day: jiff::civil::Date = text.parse()?;
        Ok::<_, jiff::Error>(day.to_zoned(jiff::tz::TimeZone::UTC)?.timestamp())
    });
    let millis = instant.map_err(|_| bad())?.as_millisecond();
    u64::try_from(millis)
        .map(Timestamp::from_millis)
        .map_err(|_| bad())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
    use super::*;

    fn read(text: &str) -> Result<Fields, ApiError> {
        Fields::read(&Query::parse(text).unwrap())
    }

    #[test]
    fn what_is_absent_stays_and_what_is_empty_is_cleared() {
        let fields = read("tags[]=sky&tags[]=sea").unwrap();
        assert_eq!(
            fields.patch,
            VideoPatch {
                tags: Some(vec!["sky".into(), "sea".into()]),
                ..VideoPatch::default()
            }
        );
        let fields = read("description=&category=&language=&support=").unwrap();
        let cleared = VideoPatch {
            description: Some(None),
            category: Some(None),
            language: Some(None),
            support: Some(None),
            ..VideoPatch::default()
        };
        assert_eq!(fields.patch, cleared);
    }

    #[test]
    fn a_new_video_needs_a_name_and_has_defaults() {
        assert_eq!(
            read("nsfw=true").unwrap().details().unwrap_err().to_string(),
            "name: is missing"
        );
        let details =
            read("name=My%20film&tags=one%20tag,%20another,one%20tag,&category=11&language=fr&privacy=2")
                .unwrap()
                .details()
                .unwrap();
        assert_eq!(
            (details.name.as_str(), details.privacy),
            ("My film", Privacy::Unlisted)
        );
        assert_eq!(details.tags, ["one tag", "another"]);
        assert_eq!(
            (details.category, details.language.as_deref(), details.nsfw),
            (Some(11), Some("fr"), false)
        );
        assert!(details.comments_enabled && details.download_enabled);
    }

    #[test]
    fn bad_fields_are_refused_by_name() {
        let long = "x".repeat(121);
        let six = "tags[]=aa&tags[]=bb&tags[]=cc&tags[]=dd&tags[]=ee&tags[]=ff";
        let cases = [
            ("name=", "name"),
            ("name=ab", "name"),
            ("name=a%07bc", "name"),
            ("category=125", "category"),
            ("category=x", "category"),
            ("licence=8", "licence"),
            ("language=klingon", "language"),
            ("nsfw=2", "nsfw"),
            ("privacy=3", "privacy"),
            ("commentsPolicy=3", "commentsPolicy"),
            ("tags=a", "tags"),
            ("tags=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "tags"),
            (six, "tags"),
            ("channelId=x", "channelId"),
            ("originallyPublishedAt=yesterday", "originallyPublishedAt"),
            ("originallyPublishedAt=1969-12-31", "originallyPublishedAt"),
        ];
        for (query, field) in cases {
            let error = read(query).unwrap_err();
            assert!(
                matches!(&error, ApiError::Field { field: named, .. } if named == field),
                "{query}: {error}"
            );
        }
        assert!(read(&format!("name={long}")).is_err());
        assert!(read(&format!("description={}", "x".repeat(10_001))).is_err());
        assert!(read(&format!("description={}", "x".repeat(10_000))).is_ok());
    }

    #[test]
    fn line_ends_of_browsers_are_line_ends() {
        let fields = read("description=a%0D%0Ab%0Dc%0Ad").unwrap();
        assert_eq!(fields.patch.description.unwrap().unwrap(), "a\nb\nc\nd");
    }

    #[test]
    fn times_have_two_forms() {
        for text in [
            "2020-01-02T00:00:00.000Z",
            "2020-01-02",
            "2020-01-02T01:00:00%2B01:00",
        ] {
            let fields = read(&format!("originallyPublishedAt={text}")).unwrap();
            assert_eq!(
                fields.patch.originally_published_at,
                Some(Some(Timestamp::from_millis(1_577_923_200_000))),
                "{text}"
            );
        }
    }
}
