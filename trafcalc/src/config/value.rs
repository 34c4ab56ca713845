//! The types of values that options and keys share, so that both have the same meaning and error messages.

use std::fmt::{self, Display};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use jiff::tz::TimeZone;
use serde::de::{Deserialize, Deserializer, Error as _, SeqAccess, Visitor};

use super::{Backend, MethodChoice, Subordinate};
use crate::capture::{Attach, BackendKind, By, CreditTo, Dimension, Method};

/// A choice of words.
pub trait Choice: Copy + 'static {
    /// All choices.
    const ALL: &'static [Self];

    /// The word that the user writes.
    fn word(self) -> &'static str;
}

impl Choice for Backend {
    const ALL: &'static [Self] = &[Self::Auto, Self::Only(BackendKind::Ebpf), Self::Only(BackendKind::Packet)];

    fn word(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Only(kind) => kind.name(),
        }
    }
}

impl Choice for Attach {
    const ALL: &'static [Self] = &[Self::Fentry, Self::Kprobe, Self::Tracepoint];

    fn word(self) -> &'static str {
        self.name()
    }
}

impl Choice for MethodChoice {
    const ALL: &'static [Self] = &[Self::Auto, Self::Only(Method::Sweep), Self::Only(Method::Events)];

    fn word(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Only(method) => method.name(),
        }
    }
}

impl Choice for Subordinate {
    const ALL: &'static [Self] = &[Self::User, Self::Apart];

    fn word(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Apart => "apart",
        }
    }
}

impl Choice for Dimension {
    const ALL: &'static [Self] = &Self::ALL;

    fn word(self) -> &'static str {
        self.name()
    }
}

impl Choice for CreditTo {
    const ALL: &'static [Self] = &[Self::Socket, Self::Acting];

    fn word(self) -> &'static str {
        self.name()
    }
}

/// The base name of a program or cgroup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseName(String);

impl BaseName {
    /// As it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for BaseName {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        if text.is_empty() || text.contains(['/', '\0']) {
            return Err(ValueError::NotALastPart { text: text.to_owned() });
        }
        Ok(Self(text.to_owned()))
    }
}

/// A process id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pid(u32);

/// `PID_MAX_LIMIT` of include/linux/threads.h, the largest possible number of processes.
const MAX_PID: u32 = 4_194_304;

impl Pid {
    /// The number.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl FromStr for Pid {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        match text.parse() {
            Ok(pid) if (1..=MAX_PID).contains(&pid) => Ok(Self(pid)),
            _ => Err(ValueError::NotAPid { text: text.to_owned() }),
        }
    }
}

/// What keeps the programs and counters of the eBPF backend when the process ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Keep {
    /// systemd, until the unit is stopped.
    Systemd,
    /// A folder of a BPF file system, until it is released.
    Folder(PathBuf),
}

impl FromStr for Keep {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        match text {
            "systemd" => Ok(Self::Systemd),
            _ if text.starts_with('/') => Ok(Self::Folder(text.into())),
            _ => Err(ValueError::NotAKeeper { text: text.to_owned() }),
        }
    }
}

/// The format of records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// `key=value` pairs.
    #[default]
    Logfmt,
    /// One JSON object a line.
    Json,
}

impl Choice for Format {
    const ALL: &'static [Self] = &[Self::Logfmt, Self::Json];

    fn word(self) -> &'static str {
        match self {
            Self::Logfmt => "logfmt",
            Self::Json => "json",
        }
    }
}

/// A length of time from `MIN_MS` to `MAX_MS` milliseconds, written as `10s` or `1h 30m`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span<const MIN_MS: u64, const MAX_MS: u64>(Duration);

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// Time between two reports: not so short that reporting costs more than counting, not so long that a log has no detail
/// about a day.
pub type Interval = Span<100, DAY_MS>;
/// Time between two batches of `ship`.
pub type ShipInterval = Span<1_000, DAY_MS>;
/// How long to run: up to 100 years, which can be added to any clock.
pub type RunTime = Span<1, { 36_525 * DAY_MS }>;

impl<const MIN_MS: u64, const MAX_MS: u64> Span<MIN_MS, MAX_MS> {
    /// How long it is.
    #[must_use]
    pub const fn get(self) -> Duration {
        self.0
    }
}

impl Default for Interval {
    fn default() -> Self {
        Self(Duration::from_mins(1))
    }
}

/// Why a text is not the value it should be.
#[derive(Debug, thiserror::Error)]
pub enum ValueError {
    /// Not a length of time at all.
    #[error("{text:?} is not a length of time such as 500ms, 10s or 1h: {source}")]
    NotATime {
        /// What was written.
        text: String,
        /// What is wrong with it.
        source: humantime::DurationError,
    },
    /// Not the last part of a path.
    #[error("{text:?} is not the last part of a path: a name without slashes, as in nginx or nginx.service")]
    NotALastPart {
        /// What was written.
        text: String,
    },
    /// Not the number of a process.
    #[error("{text:?} is not the number of a process, from 1 to {MAX_PID}")]
    NotAPid {
        /// What was written.
        text: String,
    },
    /// Neither `systemd` nor an absolute path.
    #[error("{text:?} is neither systemd nor the path of a folder, as in /sys/fs/bpf/trafcalc")]
    NotAKeeper {
        /// What was written.
        text: String,
    },
    /// A length of time out of range.
    #[error("{text:?} is not between {min} and {max}")]
    OutOfRange {
        /// What was written.
        text: String,
        /// The shortest allowed.
        min: humantime::FormattedDuration,
        /// The longest allowed.
        max: humantime::FormattedDuration,
    },
}

impl<const MIN_MS: u64, const MAX_MS: u64> FromStr for Span<MIN_MS, MAX_MS> {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let duration =
            humantime::parse_duration(text).map_err(|source| ValueError::NotATime { text: text.to_owned(), source })?;
        let (min, max) = (Duration::from_millis(MIN_MS), Duration::from_millis(MAX_MS));
        if (min..=max).contains(&duration) {
            return Ok(Self(duration));
        }
        let (min, max) = (humantime::format_duration(min), humantime::format_duration(max));
        Err(ValueError::OutOfRange { text: text.to_owned(), min, max })
    }
}

/// Parses a value that is written as a string.
pub(super) fn text<'de, D: Deserializer<'de>, T: FromStr<Err: Display>>(deserializer: D) -> Result<T, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
}

/// Parses an optional value that is written as a string.
pub(super) fn some_text<'de, D: Deserializer<'de>, T: FromStr<Err: Display>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    text(deserializer).map(Some)
}

/// Parses a list of values that are written as strings.
pub(super) fn texts<'de, D: Deserializer<'de>, T: FromStr<Err: Display>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    texts.iter().map(|text| text.parse().map_err(D::Error::custom)).collect()
}

/// Parses one of the words of a choice.
pub(super) fn word<'de, D: Deserializer<'de>, W: Choice>(deserializer: D) -> Result<W, D::Error> {
    choice(&String::deserialize(deserializer)?)
}

fn choice<W: Choice, E: serde::de::Error>(text: &str) -> Result<W, E> {
    let found = W::ALL.iter().copied().find(|choice| choice.word() == text);
    found.ok_or_else(|| {
        let choices: Vec<_> = W::ALL.iter().map(|choice| choice.word()).collect();
        E::custom(format_args!("{text:?} is not one of {}", choices.join(", ")))
    })
}

/// Parses the dimensions of accounts: a word, or a list of words.
pub(super) fn by<'de, D: Deserializer<'de>>(deserializer: D) -> Result<By, D::Error> {
    deserializer.deserialize_any(ByVisitor)
}

struct ByVisitor;

impl<'de> Visitor<'de> for ByVisitor {
    type Value = By;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a word or a list of words")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<By, E> {
        choice(text).map(|dimension| By::USER.and(dimension))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut words: A) -> Result<By, A::Error> {
        let mut dimensions: Vec<Dimension> = Vec::new();
        while let Some(word) = words.next_element::<String>()? {
            dimensions.push(choice(&word)?);
        }
        if dimensions.is_empty() {
            return Err(A::Error::custom("the list is empty"));
        }
        By::of(&dimensions).map_err(|repeated| A::Error::custom(format_args!("{:?} comes twice", repeated.name())))
    }
}

/// Parses one of the words of an optional choice.
pub(super) fn some_word<'de, D: Deserializer<'de>, W: Choice>(deserializer: D) -> Result<Option<W>, D::Error> {
    word(deserializer).map(Some)
}

/// Parses a number from `MIN` to `MAX`.
pub(super) fn within<'de, D: Deserializer<'de>, const MIN: usize, const MAX: usize>(
    deserializer: D,
) -> Result<usize, D::Error> {
    let number = i64::deserialize(deserializer)?;
    match usize::try_from(number) {
        Ok(number) if (MIN..=MAX).contains(&number) => Ok(number),
        _ => Err(D::Error::custom(format_args!("{number} is not between {MIN} and {MAX}"))),
    }
}
/// Parses the name of a time zone, such as `Europe/Vienna`.
pub(super) fn zone<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<TimeZone>, D::Error> {
    let name = String::deserialize(deserializer)?;
    let zone = TimeZone::get(&name).ok().filter(|zone| !zone.is_unknown());
    let zone = zone.ok_or_else(|| D::Error::custom(format!("{name:?} is no time zone such as Europe/Vienna")))?;
    Ok(Some(zone))
}
