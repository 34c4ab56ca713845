//! What is known of a running service: its samples, added up. Pure.

use std::collections::{HashMap, VecDeque};
use std::time::SystemTime;

use crate::report::{AccountTotals, Summary, Who};
use crate::status::{Booked, Hello, Sample};

/// The number of samples kept of each account: a minute.
pub const MINUTE: usize = 60;
/// Most accounts that are kept, twice as many as a service has at once: there are always new processes.
const MAX_FLOWS: usize = 131_072;

/// Sent and received, in bytes or bytes per second.
pub type Pair = [u64; 2];

/// A user, or an account that belongs to no user.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Whose {
    /// The user of this number.
    User(u32),
    /// The account of this name.
    Account(String),
}

impl Whose {
    fn new(uid: Option<u32>, account: Option<&str>) -> Self {
        uid.map_or_else(|| Self::Account(account.unwrap_or("(other)").to_owned()), Self::User)
    }
}

/// One account of the service.
#[derive(Clone, Debug)]
pub struct Flow {
    /// Whose it is.
    pub whose: Whose,
    /// Its unit, if it is known.
    pub unit: Option<String>,
    /// Its program, if it is known.
    pub program: Option<String>,
    /// Its process, if it is known: pid and start.
    pub process: Option<(u32, Option<SystemTime>)>,
    /// The name of its unit's container, if it is known.
    pub container: Option<String>,
    /// The class of its networks, if it is known.
    pub class: Option<String>,
    /// The last totals that the service sent.
    pub account: AccountTotals,
    /// Its rates in the last samples in which it moved, with their numbers.
    history: VecDeque<(u64, Pair)>,
}

/// What is known.
#[derive(Clone, Debug)]
pub struct Model {
    /// The service's greeting.
    pub hello: Hello,
    /// The last sums and health.
    pub summary: Option<Summary>,
    /// All accounts.
    pub flows: HashMap<Who, Flow>,
    /// The book's rows of this day and month.
    pub booked: Vec<Booked>,
    /// This day, if the book is known.
    pub date: Option<String>,
    /// Samples that were dropped because this client was slow.
    pub dropped: u64,
    /// The number of samples since the first one, including dropped ones.
    pub count: u64,
    names: HashMap<Whose, String>,
    at_s: Option<f64>,
}

impl Model {
    /// Knows only the greeting.
    #[must_use]
    pub fn new(hello: Hello) -> Self {
        Self {
            hello,
            summary: None,
            flows: HashMap::new(),
            booked: Vec::new(),
            date: None,
            dropped: 0,
            count: 0,
            names: HashMap::new(),
            at_s: None,
        }
    }

    /// Takes the next sample. Rates are known from the second one on.
    pub fn take(&mut self, sample: Sample) {
        let length_s = self.at_s.map(|at_s| (sample.at_s - at_s).max(0.001));
        self.at_s = Some(sample.at_s);
        let first = self.count + 1;
        if let Some(length_s) = length_s {
            self.count += seconds(length_s);
        }
        if self.flows.len() > MAX_FLOWS {
            let oldest = self.count.saturating_sub(MINUTE as u64);
            self.flows.retain(|_, flow| flow.history.back().is_some_and(|last| last.0 > oldest));
        }
        for account in sample.accounts {
            self.account(account, length_s, first);
        }
        if self.date != sample.date {
            self.booked.clear();
            self.date = sample.date;
        }
        self.take_booked(sample.booked);
        self.summary = Some(sample.summary);
    }

    fn account(&mut self, account: AccountTotals, length_s: Option<f64>, first: u64) {
        let bytes = [account.sent_bytes, account.received_bytes];
        let whose = Whose::new(account.uid, account.account.as_deref());
        if let Some(user) = &account.user {
            self.names.insert(whose.clone(), user.clone());
        }
        let flow = self.flows.entry(account.who()).or_insert_with(|| Flow {
            whose,
            unit: account.detail.unit.clone(),
            program: account.detail.program.clone(),
            container: None,
            class: account.detail.class.clone(),
            process: account.detail.pid.map(|pid| (pid, account.detail.start_time)),
            account: AccountTotals { sent_bytes: 0, received_bytes: 0, ..account.clone() },
            history: VecDeque::new(),
        });
        flow.container.clone_from(&account.detail.container);
        let known = std::mem::replace(&mut flow.account, account);
        let known = [known.sent_bytes, known.received_bytes];
        let Some(length_s) = length_s else { return };
        // An account that ended and came again starts at 0.
        let moved: Pair = std::array::from_fn(|place| bytes[place].checked_sub(known[place]).unwrap_or(bytes[place]));
        let rate = moved.map(|bytes| per_second(bytes, length_s));
        if moved != [0; 2] {
            flow.history.extend((first..=self.count).map(|number| (number, rate)));
            let excess = flow.history.len().saturating_sub(MINUTE);
            flow.history.drain(..excess);
        }
    }

    fn take_booked(&mut self, rows: Vec<Booked>) {
        if rows.is_empty() {
            return;
        }
        let key = |row: &Booked| {
            let account = row.account.as_deref().map(str::to_owned);
            (row.uid, account, row.program.clone(), row.unit.clone(), row.class.clone())
        };
        let mut known: HashMap<_, _> = self.booked.drain(..).map(|row| (key(&row), row)).collect();
        for row in rows {
            if let (Some(uid), Some(user)) = (row.uid, &row.user) {
                self.names.insert(Whose::User(uid), user.clone());
            }
            known.insert(key(&row), row);
        }
        self.booked = known.into_values().collect();
    }

    /// When the last sample was taken, in seconds since the host was started.
    #[must_use]
    pub const fn at_s(&self) -> Option<f64> {
        self.at_s
    }

    /// The name of a user or of another account.
    #[must_use]
    pub fn name(&self, whose: &Whose) -> String {
        match (self.names.get(whose), whose) {
            (Some(name), _) | (None, Whose::Account(name)) => name.clone(),
            (None, Whose::User(uid)) => uid.to_string(),
        }
    }

    /// Whose row of the book this is.
    #[must_use]
    pub fn whose(row: &Booked) -> Whose {
        Whose::new(row.uid, row.account.as_deref())
    }
}

impl Flow {
    /// Its bytes per second in the last of `count` samples.
    #[must_use]
    pub fn rate(&self, count: u64) -> Pair {
        self.history.back().filter(|last| last.0 == count).map_or([0; 2], |last| last.1)
    }

    /// Adds its bytes per second in each of the last samples, the newest last.
    pub fn add_minute(&self, count: u64, minute: &mut [u64; MINUTE]) {
        for (number, [sent, received]) in &self.history {
            let age = count.checked_sub(*number).expect("what moved is no later than the last sample");
            let age = usize::try_from(age).unwrap_or(MINUTE);
            if let Some(place) = (MINUTE - 1).checked_sub(age) {
                minute[place] = minute[place].saturating_add(*sent).saturating_add(*received);
            }
        }
    }
}

/// How many samples a time stands for: the one that came, and those that were dropped.
fn seconds(length_s: f64) -> u64 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is within 1 and 60")]
    let seconds = length_s.round().clamp(1.0, 60.0) as u64;
    seconds
}

fn per_second(bytes: u64, length_s: f64) -> u64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a rate for people; bytes themselves stay exact"
    )]
    let rate = (bytes as f64 / length_s).round() as u64;
    rate
}

#[cfg(test)]
mod tests;
