//! The figures of an answer: sums the book's rows by part of the period and by owner. Pure.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};
use std::ops::Range;

use super::parts::Parts;
use super::percentile::Rates;
use super::whose::{Groups, Whose};
use crate::book::Change;
use crate::capture::Bytes;

/// A row of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The part of the period, in seconds since 1970; the whole period if it is not cut.
    pub part: Range<i64>,
    /// Whose bytes these are.
    pub label: Label,
    /// How much.
    pub figures: Figures,
}

/// Whose bytes a row has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Label {
    /// One owner.
    One(Whose),
    /// All others, and their number.
    Others(usize),
}

/// How much.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// What moved, as measured.
    pub bytes: Bytes,
    /// The corrections to it.
    pub change: Change,
    /// The estimate for the end of the period, if it is asked for.
    pub estimate: Option<Bytes>,
    /// The percentile, if it is asked for.
    pub rates: Option<Rates>,
}

impl Figures {
    /// What was sent, corrected. Negative if corrections take away more than moved.
    #[must_use]
    pub fn sent(&self) -> i128 {
        i128::from(self.bytes.sent) + i128::from(self.change.sent)
    }

    /// What was received, corrected.
    #[must_use]
    pub fn received(&self) -> i128 {
        i128::from(self.bytes.received) + i128::from(self.change.received)
    }

    /// Both directions, corrected.
    #[must_use]
    pub fn volume(&self) -> i128 {
        self.sent() + self.received()
    }
}

/// The sum of two corrections.
pub(super) const fn changes(one: Change, other: Change) -> Change {
    Change { sent: one.sent.saturating_add(other.sent), received: one.received.saturating_add(other.received) }
}

/// Saturates.
pub(super) const fn sum(one: Bytes, other: Bytes) -> Bytes {
    Bytes { sent: one.sent.saturating_add(other.sent), received: one.received.saturating_add(other.received) }
}

/// The sum of both directions.
#[must_use]
pub const fn volume(bytes: Bytes) -> u64 {
    bytes.sent.saturating_add(bytes.received)
}

/// What moved, by part and owner.
pub(super) struct Sums {
    /// The finished parts: beginning, index in [`Groups`], and bytes, for all that moved something.
    cells: Vec<(i64, usize, Bytes)>,
    /// The beginning of the current part. Calls come in order of time.
    part_s: i64,
    /// The bytes of the current part, by index.
    part: Vec<Bytes>,
    /// The indices that moved something in the current part: usually few of many.
    touched: Vec<usize>,
    /// Corrections: the beginning of their part, and index.
    changes: Vec<(i64, usize, Change)>,
}

impl Sums {
    pub fn new(groups: &Groups) -> Self {
        Self {
            cells: Vec::new(),
            part_s: i64::MIN,
            part: vec![Bytes::default(); groups.whose.len()],
            touched: Vec::new(),
            changes: Vec::new(),
        }
    }

    /// Adds a row of the book to the part that begins at `part_s`.
    pub fn add(&mut self, part_s: i64, place: usize, bytes: Bytes) {
        if part_s != self.part_s {
            self.close();
            self.part_s = part_s;
        }
        if self.part[place].is_zero() && !bytes.is_zero() {
            self.touched.push(place);
        }
        self.part[place] = sum(self.part[place], bytes);
    }

    /// Adds a correction to the part that begins at `part_s`.
    pub fn correct(&mut self, part_s: i64, place: usize, change: Change) {
        self.changes.push((part_s, place, change));
    }

    /// To be called after the last row.
    pub fn close(&mut self) {
        let (part_s, part) = (self.part_s, &mut self.part);
        let moved = self.touched.drain(..).map(|place| (part_s, place, std::mem::take(&mut part[place])));
        self.cells.extend(moved);
    }

    /// The sums of all rows.
    pub fn total(&self) -> Figures {
        let bytes = self.cells.iter().fold(Bytes::default(), |total, (_, _, bytes)| sum(total, *bytes));
        let change = self.changes.iter().fold(Change::default(), |total, (_, _, change)| changes(total, *change));
        Figures { bytes, change, ..Figures::default() }
    }

    /// The indices that get rows of their own: all, or the `top` with the highest volume in the whole period.
    pub fn ranking(&self, groups: &Groups, top: Option<usize>) -> Ranking {
        let mut totals = vec![Figures::default(); groups.whose.len()];
        for (_, place, bytes) in &self.cells {
            totals[*place].bytes = sum(totals[*place].bytes, *bytes);
        }
        for (_, place, change) in &self.changes {
            totals[*place].change = changes(totals[*place].change, *change);
        }
        let is_told = |place: &usize| totals[*place] != Figures::default();
        let mut places: Vec<_> = (0..totals.len()).filter(is_told).collect();
        places.sort_by_key(|place| (Reverse(totals[*place].volume()), &groups.whose[*place]));
        places.truncate(top.unwrap_or(usize::MAX));
        Ranking { told: places }
    }

    /// The rows with their ranks, ordered by part and within a part by volume; the others come last.
    pub fn rows(&self, groups: &Groups, ranking: &Ranking, parts: &mut Parts<'_>) -> Vec<(Rank, Row)> {
        let mut cells: HashMap<(i64, Rank), (Figures, usize)> = HashMap::new();
        let ranks = ranking.ranks(groups);
        for (part_s, place, bytes) in &self.cells {
            let (figures, accounts) = cells.entry((*part_s, ranks[*place])).or_default();
            figures.bytes = sum(figures.bytes, *bytes);
            *accounts += 1;
        }
        // An owner that moved something in a part and has a correction there counts as one of the others, not as two.
        let moved = self.cells.iter().filter(|_| !self.changes.is_empty());
        let mut counted: HashSet<_> = moved.map(|(part_s, place, _)| (*part_s, *place)).collect();
        for (part_s, place, change) in &self.changes {
            let (figures, accounts) = cells.entry((*part_s, ranks[*place])).or_default();
            figures.change = changes(figures.change, *change);
            *accounts += usize::from(counted.insert((*part_s, *place)));
        }
        let mut cells: Vec<_> = cells.into_iter().collect();
        cells.sort_by_key(|((part_s, rank), (figures, _))| (*part_s, rank.is_none(), Reverse(figures.volume()), *rank));
        let row = |((part_s, rank), (figures, accounts)): ((i64, Rank), (Figures, usize))| {
            let others = || Label::Others(accounts);
            let label = rank.map_or_else(others, |rank| Label::One(groups.whose[ranking.told[rank]].clone()));
            (rank, Row { part: parts.of(part_s), label, figures })
        };
        cells.into_iter().map(row).collect()
    }
}

/// The position by volume in the whole period; `None` for the others.
pub(super) type Rank = Option<usize>;

/// The owners that are listed one by one, the highest volume first.
pub(super) struct Ranking {
    told: Vec<usize>,
}

impl Ranking {
    /// The rank of each index of `groups`; `None` for the others.
    pub fn ranks(&self, groups: &Groups) -> Vec<Rank> {
        let mut ranks = vec![None; groups.whose.len()];
        self.told.iter().enumerate().for_each(|(rank, place)| ranks[*place] = Some(rank));
        ranks
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answer::{Dimension, Only};
    use crate::book::{AccountKey, AccountKind};

    #[test]
    fn a_part_has_who_moved_something_in_it_once() {
        let user = |uid| AccountKey {
            kind: AccountKind::User,
            uid: Some(uid),
            user: None,
            program: None,
            unit: None,
            class: None,
        };
        let accounts: Vec<_> = (0..1_000_u32).map(|uid| (i64::from(uid), user(uid))).collect();
        let mut sums = Sums::new(&Groups::new(&accounts, &[Dimension::User], &Only::default()));
        let bytes = |sent| Bytes { sent, received: 0 };
        for (part_s, place, sent) in [(0, 7, 1), (0, 7, 2), (0, 9, 0), (0, 3, 4), (300, 7, 5)] {
            sums.add(part_s, place, bytes(sent));
            assert!(sums.touched.len() <= 2, "closing a part costs what moved in it");
        }
        sums.close();
        sums.close();
        assert_eq!(sums.cells, [(0, 7, bytes(3)), (0, 3, bytes(4)), (300, 7, bytes(5))]);
    }
}
