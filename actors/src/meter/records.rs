//! The form in which figures are stored: a version byte, then six numbers of 8 bytes.

use seedpod_protocol::ids::VideoId;

use super::messages::{Figures, Told};
use crate::seeder::messages::Carried;
use crate::store::{Transaction, tables};

const VERSION: u8 = 1;
/// Key of the figures of all videos together.
const ALL: [u8; 1] = [0];
/// What the key of one video's figures begins with.
const OF_VIDEO: u8 = 1;

/// Why a row could not be read.
#[derive(Debug, thiserror::Error)]
#[error("stored figures are damaged, or from a later version of this program")]
pub(super) struct FiguresRowError;

/// Sets the figures of one video.
pub(super) fn put_video(transaction: &mut Transaction, video: &VideoId, figures: &Figures) {
    transaction.put(tables::FIGURES, video_key(video), encode(figures));
}

/// Forgets the figures of one video.
pub(super) fn forget_video(transaction: &mut Transaction, video: &VideoId) {
    transaction.delete(tables::FIGURES, video_key(video));
}

/// Sets the figures of all together.
pub(super) fn put_all(transaction: &mut Transaction, figures: &Figures) {
    transaction.put(tables::FIGURES, ALL, encode(figures));
}

/// Reads a row: whose figures, `None` for all together, and the figures.
pub(super) fn read(key: &[u8], row: &[u8]) -> Result<(Option<VideoId>, Figures), FiguresRowError> {
    let video = match key.split_first().ok_or(FiguresRowError)? {
        (0, []) => None,
        (&OF_VIDEO, id) => Some(id.try_into().map_err(|_| FiguresRowError)?),
        _ => return Err(FiguresRowError),
    };
    Ok((video, decode(row)?))
}

fn video_key(video: &VideoId) -> Vec<u8> {
    [&[OF_VIDEO], video.as_bytes().as_slice()].concat()
}

fn encode(Figures { sent, told }: &Figures) -> Vec<u8> {
    let numbers = [
        sent.web_seed,
        sent.webrtc,
        sent.tcp,
        told.from_viewers,
        told.from_pods,
        told.given,
    ];
    let mut row = vec![VERSION];
    row.extend(numbers.into_iter().flat_map(u64::to_be_bytes));
    row
}

fn decode(row: &[u8]) -> Result<Figures, FiguresRowError> {
    let (&VERSION, numbers) = row.split_first().ok_or(FiguresRowError)? else {
        return Err(FiguresRowError);
    };
    let (numbers, []) = numbers.as_chunks::<8>() else {
        return Err(FiguresRowError);
    };
    let &[web_seed, webrtc, tcp, from_viewers, from_pods, given] = numbers else {
        return Err(FiguresRowError);
    };
    let number = u64::from_be_bytes;
    Ok(Figures {
        sent: Carried {
            web_seed: number(web_seed),
            webrtc: number(webrtc),
            tcp: number(tcp),
        },
        told: Told {
            from_viewers: number(from_viewers),
            from_pods: number(from_pods),
            given: number(given),
        },
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that fails here says where")]
    use super::*;

    #[test]
    fn figures_come_back_from_the_disk_as_they_went_there() {
        let figures = Figures {
            sent: Carried {
                web_seed: 1,
                webrtc: 2,
                tcp: 3,
            },
            told: Told {
                from_viewers: 4,
                from_pods: 5,
                given: u64::MAX,
            },
        };
        let row = encode(&figures);
        assert_eq!(row[..9], [1, 0, 0, 0, 0, 0, 0, 0, 1]);
        assert_eq!(read(&ALL, &row).unwrap(), (None, figures));
        let id: VideoId = "00000000-0000-8000-8000-000000000001".parse().unwrap();
        assert_eq!(read(&video_key(&id), &row).unwrap(), (Some(id), figures));
    }

    #[test]
    fn what_is_no_row_is_refused() {
        let row = encode(&Figures::default());
        let mut later = row.clone();
        later[0] = 2;
        let longer = [row.as_slice(), &[0]].concat();
        for (key, row) in [
            (ALL.as_slice(), later.as_slice()),
            (&ALL, &row[..row.len() - 1]),
            (&ALL, &longer),
            (&ALL, &[]),
            (&[], &row),
            (&[1, 2, 3], &row),
            (&[7], &row),
        ] {
            assert!(read(key, row).is_err(), "{key:?} {row:?}");
        }
    }
}
