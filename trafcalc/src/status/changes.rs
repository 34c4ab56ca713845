//! What a reader does not know yet of the last look. Pure.
//!
//! Each look has a number, and each row has the number of the look in which it last changed. So a reader that missed
//! looks gets all their changes with the next one, and readers that know the same get the same text.

use std::collections::HashMap;
use std::hash::Hash;

use super::stream::{Booked, Sample};
use super::view::{View, add};
use crate::report::{AccountTotals, Summary, Who};

/// A look at the counters.
#[derive(Clone, Debug)]
pub struct Look {
    /// When, in seconds since the host was started.
    pub at_s: f64,
    /// The sums and the health.
    pub summary: Summary,
    /// All accounts, each with its bytes sent and received since the last report, and in all.
    pub accounts: Vec<(AccountTotals, [u64; 4])>,
    /// Today's date, and the book's rows of today and this month; `None` while they are unknown.
    pub booked: Option<(String, Vec<Booked>)>,
}

/// The rows of the last look. There are no more of them than the service has accounts.
#[derive(Default)]
pub(super) struct Changes {
    look: u64,
    last: Option<(f64, Summary)>,
    accounts: Rows<Who, (AccountTotals, [u64; 4])>,
    date: Option<String>,
    booked: Rows<Key, Booked>,
}

/// The account of a [`Booked`] row.
type Key = (Option<u32>, [Option<String>; 4]);

struct Rows<K, T>(HashMap<K, (T, u64)>);

impl<K, T> Default for Rows<K, T> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<K: Eq + Hash, T: PartialEq> Rows<K, T> {
    /// Replaces all rows by those of look `number`.
    fn renew(&mut self, number: u64, rows: impl Iterator<Item = (K, T)>, is_same: impl Fn(&T, &T) -> bool) {
        let mut former = std::mem::take(&mut self.0);
        self.0 = rows
            .map(|(key, row)| {
                let same = former.remove(&key).filter(|(known, _)| is_same(known, &row));
                let changed = same.map_or(number, |(_, changed)| changed);
                (key, (row, changed))
            })
            .collect();
    }

    /// The rows that changed after look `known`.
    fn after(&self, known: u64) -> impl Iterator<Item = &T> {
        self.0.values().filter(move |(_, changed)| *changed > known).map(|(row, _)| row)
    }
}

impl Changes {
    /// Takes in the next look.
    pub(super) fn take(&mut self, look: Look) {
        self.look += 1;
        let Look { at_s, summary, accounts, booked } = look;
        let accounts = accounts.into_iter().map(|account| (account.0.who(), account));
        self.accounts.renew(self.look, accounts, |known, row| known.0 == row.0);
        let (date, booked) = booked.map_or((None, Vec::new()), |(date, booked)| (Some(date), booked));
        if self.date != date {
            self.booked = Rows::default();
        }
        self.booked.renew(self.look, booked.into_iter().map(|row| (key(&row), row)), PartialEq::eq);
        self.date = date;
        self.last = Some((at_s, summary));
    }

    /// The number of the last look; 0 if there was none.
    pub(super) const fn number(&self) -> u64 {
        self.look
    }

    /// Forgets all rows, once no client wants samples.
    pub(super) fn clear(&mut self) {
        let look = self.look;
        *self = Self { look, ..Self::default() };
    }

    /// The sample for a client with `view` that knows look `known`; `None` if there was no look.
    pub(super) fn sample(&self, view: View, known: u64) -> Option<Sample> {
        let (at_s, summary) = self.last.as_ref()?;
        let shown = |row: &&(AccountTotals, [u64; 4])| view.shows(row.0.uid);
        let (mut accounts, mut sums) = (0, [0; 4]);
        if view != View::All {
            for (_, bytes) in self.accounts.after(0).filter(shown) {
                accounts += 1;
                sums = add(sums, *bytes);
            }
        }
        Some(Sample {
            at_s: *at_s,
            summary: view.summary(summary, accounts, sums),
            accounts: self.accounts.after(known).filter(shown).map(|row| row.0.clone()).collect(),
            date: self.date.clone(),
            booked: self.booked.after(known).filter(|row| view.shows(row.uid)).cloned().collect(),
        })
    }
}

fn key(row: &Booked) -> Key {
    let Booked { uid, account, program, unit, class, .. } = row;
    (*uid, [account.as_deref().map(str::to_owned), program.clone(), unit.clone(), class.clone()])
}
