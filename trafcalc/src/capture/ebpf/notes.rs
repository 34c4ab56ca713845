//! The positions of connections that are open when the service ends and leaves nothing in the kernel. The next process continues from
//! there with those that are still open.
//!
//! The book stores them with the last report. In the same boot the next service gives them to the program that adopts older
//! connections: a connection with the same first numbers that is not behind its note continues from there. The first report that is
//! booked replaces the notes. A backend ignores the other backend's notes.

use aya::maps::{Array, HashMap, MapData};
use trafcalc_common::connection::note_key;
use trafcalc_common::maps::{BUCKET_STREAMS, BUCKETS_A_WORD, Bucket, PLACE_WORDS, STREAM_WORDS, Stream};

use super::programs::{Programs, system};
use super::sizes;
use super::tables::{take, unreadable};
use crate::capture::{CaptureError, EbpfSettings, StreamNote};

const BUCKET_WORDS: usize = size_of::<Bucket>() / size_of::<u64>();

/// The map from which the programs read notes.
pub(super) const NOTES: &str = "NOTES";

/// The limit of notes: they are booked with the last report, which has one and a half seconds. What further connections move until the
/// next start is not counted.
const MAX_NOTES: usize = 100_000;

/// Gives the programs the notes of a former process, before they adopt older connections.
pub(super) fn tell(programs: &mut Programs, notes: &[StreamNote]) -> Result<(), CaptureError> {
    if notes.is_empty() {
        return Ok(());
    }
    let told = |error| system("telling the programs where connections stood", &error);
    let mut map: HashMap<MapData, u64, [u64; STREAM_WORDS]> = take(programs, NOTES)?;
    let mut tell =
        |note: &StreamNote| map.insert(note_key(note.sent_base, note.received_base), stream(note).words(), 0);
    notes.iter().try_for_each(&mut tell).map_err(told)
}

/// The positions of all open connections. The programs must be inactive.
pub(super) fn read(programs: &mut Programs, settings: &EbpfSettings) -> Result<Vec<StreamNote>, CaptureError> {
    let buckets: Array<MapData, [u64; BUCKET_WORDS]> = take(programs, "BUCKETS")?;
    let occupied: Array<MapData, u64> = take(programs, "OCCUPIED")?;
    let mut notes = Vec::new();
    for index in 0..sizes::words(settings) {
        let word = occupied.get(&index, 0).map_err(|error| unreadable(&error))?;
        for bit in (0..BUCKETS_A_WORD).filter(|bit| word >> bit & 1 != 0) {
            let number = index * BUCKETS_A_WORD + bit;
            notes.extend(of_bucket(&buckets.get(&number, 0).map_err(|error| unreadable(&error))?));
        }
    }
    let spilled: HashMap<MapData, u64, [u64; PLACE_WORDS]> = take(programs, "SPILL")?;
    for stream in &spilled {
        let (_, words) = stream.map_err(|error| unreadable(&error))?;
        notes.extend(note(&words));
    }
    keep_unlike(&mut notes);
    if notes.len() > MAX_NOTES {
        tracing::warn!(
            "more than {MAX_NOTES} connections are open: what the others move until the next start is not counted"
        );
        notes.truncate(MAX_NOTES);
    }
    Ok(notes)
}

/// Drops all notes with equal keys. Under `TCP_REPAIR` any user can make sockets with the numbers of another user's connection. What
/// such connections move until the next start is then in no account, as without notes, but nothing is counted twice.
fn keep_unlike(notes: &mut Vec<StreamNote>) {
    let key = |note: &StreamNote| note_key(note.sent_base, note.received_base);
    notes.sort_unstable_by_key(key);
    *notes =
        notes.chunk_by(|one, next| key(one) == key(next)).filter(|alike| alike.len() == 1).flatten().copied().collect();
}

/// The keys come first in a bucket.
fn of_bucket(bucket: &[u64; BUCKET_WORDS]) -> impl Iterator<Item = StreamNote> {
    let (sockets, streams) = bucket.split_at(BUCKET_STREAMS);
    sockets.iter().zip(streams.as_chunks().0).filter(|(socket, _)| **socket != 0).filter_map(|(_, words)| note(words))
}

/// The stream comes first in a place.
fn note(words: &[u64; PLACE_WORDS]) -> Option<StreamNote> {
    let stream = Stream::from_words(words.first_chunk()?);
    let Stream { sent, received, sent_base, received_base, flags, .. } = stream;
    stream.is_open().then_some(StreamNote { sent, received, sent_base, received_base, flags })
}

fn stream(note: &StreamNote) -> Stream {
    let &StreamNote { sent, received, sent_base, received_base, flags, .. } = note;
    Stream { sent, received, sent_base, received_base, flags, ..Stream::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTE: StreamNote = StreamNote { sent: 1 << 40, received: 5, sent_base: 3, received_base: u32::MAX, flags: 2 };

    fn place(stream: Stream) -> [u64; PLACE_WORDS] {
        let mut words = [7; PLACE_WORDS];
        words[..STREAM_WORDS].copy_from_slice(&stream.words());
        words
    }

    #[test]
    fn a_note_survives_its_way_through_the_map() {
        assert_eq!(note(&place(stream(&NOTE))), Some(NOTE));
        let mut bucket = [0; BUCKET_WORDS];
        bucket[1] = 7;
        let second = BUCKET_STREAMS + PLACE_WORDS;
        bucket[second..second + PLACE_WORDS].copy_from_slice(&place(stream(&NOTE)));
        assert_eq!(of_bucket(&bucket).collect::<Vec<_>>(), [NOTE]);
    }

    #[test]
    fn a_connection_whose_numbers_another_has_is_not_noted() {
        let other = StreamNote { received_base: 8, ..NOTE };
        let mut notes = vec![NOTE, other, StreamNote { sent: 3, ..NOTE }];
        keep_unlike(&mut notes);
        assert_eq!(notes, [other]);
    }

    #[test]
    fn what_has_not_begun_or_has_ended_is_not_noted() {
        let open = stream(&NOTE);
        assert_eq!(note(&place(Stream { sent: Stream::NOWHERE, ..open })), None);
        assert_eq!(note(&place(Stream { received: Stream::NOWHERE, ..open })), None);
        assert_eq!(note(&place(Stream { flags: Stream::OPENING, ..open })), None);
        assert_eq!(of_bucket(&[0; BUCKET_WORDS]).count(), 0);
    }
}
