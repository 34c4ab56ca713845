//! Times as text (RFC 3339).

use std::time::SystemTime;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// With milliseconds: of two processes with the same pid, one may follow the other within a second. `None` for years
/// before -9999 or after 9999: such a clock is wrong.
pub(crate) fn text(time: SystemTime) -> Option<String> {
    Timestamp::try_from(time).ok().map(|time| format!("{time:.3}"))
}

/// The time in a text, if it is one.
pub(crate) fn time(text: &str) -> Option<SystemTime> {
    text.parse::<Timestamp>().ok()?.try_into().ok()
}

pub(crate) fn serialize<S: Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    text(*time).serialize(serializer)
}

/// A missing time becomes the beginning of 1970.
pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SystemTime, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    Ok(text.as_deref().and_then(time).unwrap_or(SystemTime::UNIX_EPOCH))
}
