//! Where the connections stood that are open when the service ends and keeps nothing in the kernel: the next process goes on
//! from there with those that are open still.

use aya::maps::{Array, HashMap, MapData};
use trafcalc_common::maps::{BUCKET_STREAMS, BUCKETS_A_WORD, Bucket, PLACE_WORDS, Stream};

use super::programs::{Programs, system};
use super::sizes;
use super::tables::{take, unreadable};
use crate::capture::{CaptureError, EbpfSettings, StreamNote};

const BUCKET_WORDS: usize = size_of::<Bucket>() / size_of::<u64>();

/// The map from which programs take notes: there is no former generation of which they could take streams.
pub(super) const NOTES: &str = "OLD_SPILL";

/// Tells the programs what a former process noted, before they look for connections that are older than they are.
pub(super) fn tell(programs: &mut Programs, notes: &[StreamNote]) -> Result<(), CaptureError> {
    if notes.is_empty() {
        return Ok(());
    }
    let told = |error| system("telling the programs where connections stood", &error);
    let mut map: HashMap<MapData, u64, [u64; PLACE_WORDS]> = take(programs, NOTES)?;
    notes.iter().try_for_each(|note| map.insert(note.socket, stream(note).words(), 0)).map_err(told)
}

/// Where all open connections stand. The programs must not act any more.
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
        let (socket, words) = stream.map_err(|error| unreadable(&error))?;
        notes.extend(note(socket, &words));
    }
    Ok(notes)
}

/// The keys stand first.
fn of_bucket(bucket: &[u64; BUCKET_WORDS]) -> impl Iterator<Item = StreamNote> {
    let (sockets, streams) = bucket.split_at(BUCKET_STREAMS);
    sockets.iter().zip(streams.as_chunks().0).filter_map(|(&socket, words)| note(socket, words))
}

fn note(socket: u64, words: &[u64; PLACE_WORDS]) -> Option<StreamNote> {
    let stream = Stream::from_words(words);
    let Stream { sent, received, sent_base, received_base, flags, .. } = stream;
    (socket != 0 && stream.is_open()).then_some(StreamNote { socket, sent, received, sent_base, received_base, flags })
}

fn stream(note: &StreamNote) -> Stream {
    let &StreamNote { sent, received, sent_base, received_base, flags, .. } = note;
    Stream { sent, received, sent_base, received_base, flags, ..Stream::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTE: StreamNote =
        StreamNote { socket: 7, sent: 1 << 40, received: 5, sent_base: 3, received_base: u32::MAX, flags: 2 };

    #[test]
    fn a_note_survives_its_way_through_the_map() {
        assert_eq!(note(7, &stream(&NOTE).words()), Some(NOTE));
        let mut bucket = [0; BUCKET_WORDS];
        bucket[1] = 7;
        let second = BUCKET_STREAMS + PLACE_WORDS;
        bucket[second..second + PLACE_WORDS].copy_from_slice(&stream(&NOTE).words());
        assert_eq!(of_bucket(&bucket).collect::<Vec<_>>(), [NOTE]);
    }

    #[test]
    fn what_has_not_begun_or_has_ended_is_not_noted() {
        let words = |stream: Stream| stream.words();
        let open = stream(&NOTE);
        assert_eq!(note(7, &words(Stream { sent: Stream::NOWHERE, ..open })), None);
        assert_eq!(note(7, &words(Stream { received: Stream::NOWHERE, ..open })), None);
        assert_eq!(note(7, &words(Stream { flags: Stream::OPENING, ..open })), None);
        assert_eq!(note(0, &words(open)), None);
    }
}
