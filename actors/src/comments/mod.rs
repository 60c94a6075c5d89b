//! What people say about videos: threads of comments, from all pods, as they are shown here.
//!
//! A comment is a record of the pod whose user wrote it, and it is kept by the catalog like any other. This room is the
//! read model over those records, and the place where this pod's own users write, delete and hide.
//!
//! - [`threads`] orders the comments of one video; pure.
//! - [`state`] knows which comments there are, who hid which, and who may do what; pure.
//! - [`actor`] reads the words of the comments that are asked for, and signs what our users say.
//!
//! What is shown is a function of the set of records, whatever their order: a comment is shown while it is live, the
//! origin of its video has not hidden it and nobody hid it here; a reply, while its thread is known. So what left with a
//! friend comes back with it. Of a comment, some 200 bytes stay in memory; its words are read when somebody looks.
//! Whether the video itself is shown is for whoever asks: a comment under a video that is gone is kept and never met.

pub mod actor;
pub mod messages;
mod metrics;
mod records;
mod state;
mod threads;

pub use actor::CommentsActor;
pub use metrics::CommentsMetrics;
