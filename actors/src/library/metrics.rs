//! What the library counts.

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

use super::messages::LibraryError;
use super::upload::UploadError;

/// Counters of one library; clones share them. [`Default`] makes counters nobody reads.
#[derive(Clone, Debug, Default)]
pub struct LibraryMetrics {
    pub(super) uploads: Family<UploadLabel, Counter>,
    refused: Family<RefusedLabel, Counter>,
    pub(super) received_bytes: Counter,
    pub(super) open_uploads: Gauge,
    pub(super) adding: Gauge,
    pub(super) fetches: Family<FetchLabel, Counter>,
    pub(super) prefetches_dropped: Counter,
    pub(super) videos: Gauge,
    pub(super) local_bytes: Gauge,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct UploadLabel {
    pub(super) outcome: UploadOutcome,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
pub(super) enum UploadOutcome {
    Published,
    Unsupported,
    TooLong,
    Refused,
    Failed,
}

impl From<&LibraryError> for UploadOutcome {
    fn from(error: &LibraryError) -> Self {
        match error {
            LibraryError::Unsupported(_) => Self::Unsupported,
            LibraryError::TooLong { .. } => Self::TooLong,
            LibraryError::Picture { .. } | LibraryError::Field { .. } => Self::Refused,
            _ => Self::Failed,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RefusedLabel {
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct FetchLabel {
    pub(super) outcome: FetchOutcome,
}

/// How a fetch of a friend's picture or info dictionary ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
pub(super) enum FetchOutcome {
    /// It came and is what was signed.
    Fetched,
    /// It lay on disk already.
    Held,
    /// It did not come.
    Unreachable,
    /// What came is not what was signed.
    Mismatch,
    /// It could not be written.
    Disk,
}

impl LibraryMetrics {
    /// Counters known to `registry` as `seedpod_library_…`.
    pub fn new(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let registry = registry.sub_registry_with_prefix("seedpod_library");
        registry.register(
            "uploads",
            "Whole uploads by what became of them",
            metrics.uploads.clone(),
        );
        registry.register(
            "refused",
            "Uploads that ended before their last byte, by reason",
            metrics.refused.clone(),
        );
        registry.register_with_unit(
            "received",
            "Bytes of uploads written",
            Unit::Bytes,
            metrics.received_bytes.clone(),
        );
        registry.register(
            "open_uploads",
            "Resumable uploads that wait for bytes or to be published",
            metrics.open_uploads.clone(),
        );
        registry.register(
            "adding",
            "Whole uploads that are being made into videos, waiting ones included",
            metrics.adding.clone(),
        );
        registry.register(
            "fetches",
            "Fetches from origins by outcome",
            metrics.fetches.clone(),
        );
        registry.register(
            "prefetches_dropped",
            "Files not fetched ahead because too many wait; they are fetched when asked for",
            metrics.prefetches_dropped.clone(),
        );
        registry.register("videos", "Videos of this pod", metrics.videos.clone());
        registry.register_with_unit(
            "local",
            "Size of this pod's video files",
            Unit::Bytes,
            metrics.local_bytes.clone(),
        );
        metrics
    }

    /// Counts an upload that ended early.
    pub(super) fn refused(&self, error: &UploadError) {
        let reason = match error {
            UploadError::TooLarge { .. } => "too_large",
            UploadError::Empty => "empty",
            UploadError::NoVideo => "no_video",
            UploadError::OverQuota(_) => "over_quota",
            UploadError::NoPlace(_) => "no_place",
            UploadError::DiskFull => "disk_full",
            UploadError::Disk(_) | UploadError::Store(_) => "disk_failed",
            UploadError::Interrupted => "interrupted",
        };
        self.refused.get_or_create(&RefusedLabel { reason }).inc();
    }
}
