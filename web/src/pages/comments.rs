//! What people say about a video, below it.

/// The comments of a watch page.
#[derive(Debug, Clone, Default)]
pub struct Comments {
    /// Whoever published the video wants comments.
    pub welcome: bool,
    /// How many there are, replies included.
    pub count: u64,
    /// The threads of this page.
    pub threads: Vec<ThreadView>,
    /// Threads with the most replies come first, not the latest.
    pub by_replies: bool,
    /// What the person was about to say when something was wrong with it.
    pub draft: String,
    /// What was wrong with it, as a sentence.
    pub error: Option<String>,
    /// Link to earlier threads.
    pub next: Option<String>,
    /// Link back to later ones.
    pub previous: Option<String>,
    /// Link to all threads, where one is shown alone.
    pub all: Option<String>,
    /// Comments that are hidden, for those who may show them again.
    pub hidden: Vec<CommentView>,
}

/// A thread: what began it, and what was answered.
#[derive(Debug, Clone)]
pub struct ThreadView {
    /// What began it.
    pub first: CommentView,
    /// Replies, oldest first.
    pub replies: Vec<CommentView>,
    /// Replies that are not on this page.
    pub more: u64,
}

/// One comment.
#[derive(Debug, Clone)]
pub struct CommentView {
    /// Its number on this pod, which names it in forms.
    pub id: u64,
    /// Its uuid, which names it in links.
    pub uuid: String,
    /// When it was written, in milliseconds since the Unix epoch.
    pub at: u64,
    /// What is said; nothing if it was deleted.
    pub words: Option<Words>,
    /// Uuid of the comment that it answers and who wrote that, unless it answers the beginning of the thread.
    pub answers: Option<(String, String)>,
}

/// The words of a comment.
#[derive(Debug, Clone)]
pub struct Words {
    /// What the author is called.
    pub name: String,
    /// Path of the author's page.
    pub account_url: String,
    /// Host of the author's pod.
    pub host: String,
    /// Written on this very pod.
    pub is_local: bool,
    /// Whoever published the video wrote it.
    pub is_publisher: bool,
    /// What they say; may have line breaks.
    pub text: String,
    /// What the person logged in may do so that it is not seen.
    pub removal: Removal,
}

/// What somebody may do about a comment that they do not want.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removal {
    /// Nothing but reporting it.
    None,
    /// Delete it for good, on all pods.
    Delete,
    /// Hide it, on all pods.
    Hide,
    /// Hide it on this pod.
    HideHere,
}

impl Removal {
    /// The word on the button.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Delete => "Delete",
            Self::Hide | Self::HideHere => "Hide",
        }
    }

    /// What it means.
    #[must_use]
    pub fn meaning(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Delete => "The comment disappears from all pods, for good. Replies to it stay.",
            Self::Hide => "The comment is hidden on all pods. You can show it again below the comments.",
            Self::HideHere => {
                "The comment is hidden from visitors of this pod. The other pods go on showing it; you can show it again below \
                 the comments."
            }
        }
    }

    /// Whether it can be undone after it was done.
    #[must_use]
    pub fn is_reversible(self) -> bool {
        matches!(self, Self::Hide | Self::HideHere)
    }
}

impl Words {
    /// The first letter of the name, in place of a picture.
    #[must_use]
    pub fn initial(&self) -> String {
        self.name
            .chars()
            .next()
            .map_or_else(String::new, |letter| letter.to_uppercase().collect())
    }

    /// The class that colours the author's pod.
    #[must_use]
    pub fn hue(&self) -> &'static str {
        super::video::pod_hue(&self.host, self.is_local)
    }
}

impl Comments {
    /// "No comments yet", "1 comment", "1,204 comments".
    #[must_use]
    pub fn title(&self) -> String {
        match self.count {
            0 => "Comments".to_owned(),
            count => super::count(count, "comment"),
        }
    }
}

/// Why people report things: the name in forms, and words.
pub const REASONS: [(&str, &str); 8] = [
    ("spamOrMisleading", "Spam or misleading"),
    ("violentOrAbusive", "Violent or repulsive"),
    ("hatefulOrAbusive", "Hateful or abusive"),
    ("privacy", "Tells what is private"),
    ("rights", "Infringes rights"),
    ("serverRules", "Against the rules of the pod"),
    ("thumbnails", "A misleading picture"),
    ("captions", "Wrong captions"),
];
