//! What a report has to say, by arithmetic of its own: seconds, offsets that are written down here, and sums over a list. Nothing of
//! the program is used, nor its calendar.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// 2025-01-01T00:00:00Z. Days are numbered from it: 0 is the first of January.
const JANUARY_S: i64 = 1_735_689_600;
const DAY_S: i64 = 86_400;
const FINE_S: i64 = 300;
const MONTHS: [i64; 12] = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

/// The number of a day of 2025.
pub(super) fn day(month: usize, day: i64) -> i64 {
    MONTHS[..month - 1].iter().sum::<i64>() + day - 1
}

/// A moment of UTC, in seconds since 1970.
pub(super) fn utc(day: i64, hour: i64, minute: i64) -> i64 {
    JANUARY_S + day * DAY_S + hour * 3600 + minute * 60
}

/// Its month and its day in that.
fn month_of(mut day: i64) -> (usize, i64) {
    let mut month = 0;
    while day >= MONTHS[month] {
        day -= MONTHS[month];
        month += 1;
    }
    (month + 1, day + 1)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Zone {
    Berlin,
    London,
    NewYork,
    Kolkata,
}

impl Zone {
    pub fn name(self) -> &'static str {
        match self {
            Self::Berlin => "Europe/Berlin",
            Self::London => "Europe/London",
            Self::NewYork => "America/New_York",
            Self::Kolkata => "Asia/Kolkata",
        }
    }

    /// Seconds east of Greenwich. Clocks went on at 2025-03-30T01:00Z in Europe, and at 2025-03-09T07:00Z in New York.
    fn offset(self, second: i64) -> i64 {
        let summer = |from: i64| if second >= from { 3600 } else { 0 };
        match self {
            Self::Berlin => 3600 + summer(utc(day(3, 30), 1, 0)),
            Self::London => summer(utc(day(3, 30), 1, 0)),
            Self::NewYork => -5 * 3600 + summer(utc(day(3, 9), 7, 0)),
            Self::Kolkata => 5 * 3600 + 1800,
        }
    }

    fn local(self, second: i64) -> i64 {
        second + self.offset(second)
    }

    /// When a day begins. No clock here is changed at midnight.
    pub fn midnight(self, day: i64) -> i64 {
        let local = utc(day, 0, 0);
        local - self.offset(local - self.offset(local))
    }

    fn day_of(self, second: i64) -> i64 {
        (self.local(second) - JANUARY_S).div_euclid(DAY_S)
    }

    fn clock(self, second: i64) -> (i64, i64, i64) {
        let in_day = (self.local(second) - JANUARY_S).rem_euclid(DAY_S);
        (self.day_of(second), in_day / 3600, in_day % 3600 / 60)
    }

    /// As programs read it.
    pub fn iso(self, second: i64) -> String {
        let (day, hour, minute) = self.clock(second);
        let ((month, day), offset) = (month_of(day), self.offset(second));
        let (sign, apart) = if offset < 0 { ('-', -offset) } else { ('+', offset) };
        let (hours, minutes) = (apart / 3600, apart % 3600 / 60);
        format!("2025-{month:02}-{day:02}T{hour:02}:{minute:02}:00{sign}{hours:02}:{minutes:02}")
    }

    /// As people read it.
    fn said(self, second: i64) -> String {
        let (day, hour, minute) = self.clock(second);
        let (month, day) = month_of(day);
        format!("2025-{month:02}-{day:02} {hour:02}:{minute:02}")
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Each {
    Hour,
    Day,
    Month,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum By {
    User,
    Unit,
    Class,
}

/// Who moves something. One without a number is unattributed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Who {
    pub uid: Option<u32>,
    pub user: &'static str,
    pub unit: &'static str,
    pub class: &'static str,
    pub is_nobody: bool,
}

impl Who {
    fn by(self, by: &[By]) -> Self {
        let is_by = |what| by.contains(&what);
        Self {
            uid: self.uid.filter(|_| is_by(By::User)),
            user: if is_by(By::User) { self.user } else { "" },
            unit: if is_by(By::Unit) { self.unit } else { "" },
            class: if is_by(By::Class) { self.class } else { "" },
            is_nobody: self.is_nobody,
        }
    }
}

#[derive(Clone, Debug)]
pub(super) struct Question {
    pub period: Range<i64>,
    pub by: Vec<By>,
    pub each: Option<Each>,
    pub zone: Zone,
    pub billing_day: i64,
    /// The only user that is asked for.
    pub user: Option<&'static str>,
    /// Without the class `lan`.
    pub is_billed: bool,
    pub percentile: bool,
}

/// Sent, received, and both; and the rates of the percentile, sent, received and the higher, where they are asked for.
pub(super) type Figures = Vec<i64>;

/// What is said of a part: its beginning and end, who, and how much.
pub(super) type Row = ((i64, i64), Who, Figures);

/// A part of the period, and who has a row in it.
type Cell = ((i64, i64), Who);

/// Sent and received in each five minutes, by their number.
type Slots = BTreeMap<i64, (i64, i64)>;

/// All that moved, and what was corrected.
pub(super) struct Truth {
    /// When the book was begun, and when its last report ended.
    pub counted: Range<i64>,
    /// When, by whom, sent, received.
    pub moved: Vec<(i64, Who, i64, i64)>,
    /// The day that it counts on, of whom, sent, received.
    pub corrected: Vec<(i64, Who, i64, i64)>,
}

impl Truth {
    /// The rows, and the total.
    pub fn answer(&self, question: &Question) -> (BTreeSet<Row>, Figures) {
        let Question { period, by, zone, .. } = question;
        let mut bytes: BTreeMap<Cell, (i64, i64)> = BTreeMap::new();
        let mut slots: BTreeMap<Cell, Slots> = BTreeMap::new();
        let mut all: Slots = BTreeMap::new();
        let mut total = (0, 0);
        for &(at, who, sent, received) in self.moved.iter().filter(|moved| question.wants(moved.1)) {
            if period.contains(&at) {
                let (part, slot) = (question.part(at), at.div_euclid(FINE_S));
                let key = ((part.start, part.end), who.by(by));
                add(bytes.entry(key).or_default(), sent, received);
                add(slots.entry(key).or_default().entry(slot).or_default(), sent, received);
                add(all.entry(slot).or_default(), sent, received);
                add(&mut total, sent, received);
            }
        }
        for &(day, who, sent, received) in self.corrected.iter().filter(|corrected| question.wants(corrected.1)) {
            let (begin, end) = (zone.midnight(day), zone.midnight(day + 1));
            if period.start <= begin && end <= period.end && question.each != Some(Each::Hour) {
                let part = question.part(begin);
                add(bytes.entry(((part.start, part.end), who.by(by))).or_default(), sent, received);
                add(&mut total, sent, received);
            }
        }
        let nothing = BTreeMap::new();
        let row = |(key, sums): (&Cell, &(i64, i64))| {
            let (begin, end) = key.0;
            let figures = self.figures(question, *sums, slots.get(key).unwrap_or(&nothing), &(begin..end));
            (key.0, key.1, figures)
        };
        (bytes.iter().map(row).collect(), self.figures(question, total, &all, period))
    }

    fn figures(&self, question: &Question, (sent, received): (i64, i64), slots: &Slots, part: &Range<i64>) -> Figures {
        let mut figures = vec![sent, received, sent + received];
        if question.percentile {
            let from = part.start.max(self.counted.start).div_euclid(FINE_S);
            let to = (part.end.min(self.counted.end) + FINE_S - 1).div_euclid(FINE_S);
            let rate = |of: fn(&(i64, i64)) -> i64| {
                // Each five minutes, those without bytes too, the highest first.
                let mut all: Vec<i64> = (from..to).map(|slot| slots.get(&slot).map_or(0, of)).collect();
                all.sort_unstable_by(|one, other| other.cmp(one));
                let highest = all.len() * 5 / 100;
                (all[highest] * 8 * 2 + FINE_S) / (2 * FINE_S)
            };
            let (sent, received) = (rate(|bytes| bytes.0), rate(|bytes| bytes.1));
            figures.extend([sent, received, sent.max(received)]);
        }
        figures
    }
}

fn add(sum: &mut (i64, i64), sent: i64, received: i64) {
    *sum = (sum.0 + sent, sum.1 + received);
}

impl Question {
    fn wants(&self, who: Who) -> bool {
        self.user.is_none_or(|user| user == who.user) && !(self.is_billed && who.class == "lan")
    }

    /// The part of the period that has a second.
    fn part(&self, second: i64) -> Range<i64> {
        let zone = self.zone;
        let whole = match self.each {
            None => self.period.clone(),
            Some(Each::Hour) => {
                let offset = zone.offset(second);
                let begin = (second + offset).div_euclid(3600) * 3600 - offset;
                begin..begin + 3600
            }
            Some(Each::Day) => zone.midnight(zone.day_of(second))..zone.midnight(zone.day_of(second) + 1),
            Some(Each::Month) => {
                let (month, date) = month_of(zone.day_of(second));
                let first = if date >= self.billing_day { month } else { month - 1 };
                zone.midnight(day(first, self.billing_day))..zone.midnight(day(first + 1, self.billing_day))
            }
        };
        whole.start.max(self.period.start)..whole.end.min(self.period.end)
    }

    /// What a table says above the rows of a part.
    pub fn heading(&self, (begin, end): (i64, i64)) -> String {
        let said = |second| self.zone.said(second);
        match self.each {
            None => String::new(),
            Some(Each::Hour) => said(begin),
            Some(Each::Day) => said(begin)[..10].to_owned(),
            Some(Each::Month) => format!("{} to {}", said(begin), said(end)),
        }
    }
}
