//! Reservations about the figures of a period: bytes booked at another time than they moved at, gaps of unknown length,
//! and what the service could not count or attribute.

use std::ops::Range;
use std::time::SystemTime;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::times::moment;
use crate::book::{BookError, Delay, FINE_S, Gap, Late, Reader};
use crate::capture::Health;

/// Most times that are listed one by one.
const MAX_TIMES: usize = 5;

/// The reservations about the figures of a period.
pub(super) struct Doubts {
    late: Vec<Late>,
    backward: Vec<Gap>,
    troubles: Vec<(String, u64)>,
}

impl Doubts {
    /// Reads them from the book.
    pub fn of(book: &Reader, period: &Range<i64>) -> Result<Self, BookError> {
        let (late, backward) = (book.late(period)?, book.backward_gaps(period)?);
        let mut troubles = book.health(period)?;
        troubles.retain(|(name, _)| Health::TROUBLES.contains(&name.as_str()));
        Ok(Self { late, backward, troubles })
    }

    /// A sentence for each of them.
    pub fn sentences(&self, zone: &TimeZone) -> Vec<String> {
        let late = few(self.late.iter().map(|late| late_sentence(late, zone)));
        let backward = few(self.backward.iter().map(|gap| backward_sentence(gap, zone)));
        late.into_iter().chain(backward).chain(self.trouble()).collect()
    }

    fn trouble(&self) -> Option<String> {
        let told: Vec<_> = self.troubles.iter().map(|(name, number)| format!("{name} {number}")).collect();
        (!told.is_empty()).then(|| {
            let told = told.join(", ");
            format!("Not all of this time was counted or attributed with certainty: {told} (explained in records.md, under Health).")
        })
    }
}

/// The first ones, and how many more there are.
fn few(mut sentences: impl ExactSizeIterator<Item = String>) -> Vec<String> {
    let mut told: Vec<_> = sentences.by_ref().take(MAX_TIMES).collect();
    let more = sentences.len();
    told.extend((more > 0).then(|| format!("There are {more} more such times.")));
    told
}

fn late_sentence(late: &Late, zone: &TimeZone) -> String {
    let said = |second| moment(second, zone);
    let (from, to) = (said(late.moved.start), said(late.moved.end));
    let row = format!("the five minutes from {} to {}", said(late.row_s), said(late.row_s + FINE_S));
    match late.why {
        Delay::Kept => {
            format!(
                "What moved from {from} to {to}, while no service wrote the book, is in {row}, as far as it was counted."
            )
        }
        Delay::Stopped => {
            format!("What open connections moved from {from} to {to}, in a gap, is in {row}, as far as it was counted.")
        }
        Delay::Merged => format!("What moved from {from} to {to} was booked as one report and is in {row}."),
    }
}

fn backward_sentence(Gap { from, to, cause }: &Gap, zone: &TimeZone) -> String {
    let said = |time: SystemTime| moment(Timestamp::try_from(time).map_or(0, Timestamp::as_second), zone);
    let (from, to) = (said(*from), said(*to));
    format!(
        "Some time was not counted, it is not known how long: {cause} at {from}, and went on at {to} by a clock that was set back."
    )
}
