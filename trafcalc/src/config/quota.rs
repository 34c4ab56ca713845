//! `[[quota]]` of the configuration file.

use serde::de::{Deserialize, Deserializer, Error as _};

use super::BaseName;
use super::value::{self, Choice};
use crate::book::{Direction, Quota, QuotaPeriod};

/// Most quotas: each report checks all of them.
const MAX_QUOTAS: usize = 1_000;
/// Most steps of a quota.
const MAX_STEPS: usize = 16;
/// The largest step, in percent.
const MAX_PERCENT: u32 = 1_000;

impl Choice for QuotaPeriod {
    const ALL: &'static [Self] = &[Self::Month, Self::Day];

    fn word(self) -> &'static str {
        self.name()
    }
}

impl Choice for Direction {
    const ALL: &'static [Self] = &[Self::Sent, Self::Received, Self::Both];

    fn word(self) -> &'static str {
        self.name()
    }
}

/// A quota as it is written.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Section {
    name: String,
    #[serde(default)]
    users: Vec<String>,
    #[serde(default)]
    groups: Vec<String>,
    #[serde(default, deserialize_with = "value::texts")]
    units: Vec<BaseName>,
    #[serde(default)]
    classes: Vec<String>,
    #[serde(default, deserialize_with = "value::word")]
    period: QuotaPeriod,
    #[serde(default, deserialize_with = "value::word")]
    direction: Direction,
    #[serde(deserialize_with = "limit")]
    limit: u64,
    #[serde(default = "default_steps", deserialize_with = "steps")]
    warn: Vec<u32>,
}

fn default_steps() -> Vec<u32> {
    vec![80, 100]
}

impl From<Section> for Quota {
    fn from(section: Section) -> Self {
        let Section { name, users, groups, units, classes, period, direction, limit, warn } = section;
        let units = units.iter().map(|unit| unit.as_str().to_owned()).collect();
        Self { name, users, groups, units, classes, period, direction, limit, warn }
    }
}

/// Reads all quotas.
pub(super) fn quotas<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Quota>, D::Error> {
    let quotas: Vec<Quota> = Vec::<Section>::deserialize(deserializer)?.into_iter().map(Quota::from).collect();
    if quotas.len() > MAX_QUOTAS {
        let found = quotas.len();
        return Err(D::Error::custom(format_args!("{found} quotas are more than the {MAX_QUOTAS} there may be")));
    }
    for (place, quota) in quotas.iter().enumerate() {
        if quota.name.is_empty() {
            return Err(D::Error::custom("a quota has an empty name"));
        }
        if quotas[..place].iter().any(|former| former.name == quota.name) {
            return Err(D::Error::custom(format_args!("two quotas have the name {:?}", quota.name)));
        }
    }
    Ok(quotas)
}

fn steps<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u32>, D::Error> {
    let mut steps = Vec::<u32>::deserialize(deserializer)?;
    if let Some(step) = steps.iter().find(|step| !(1..=MAX_PERCENT).contains(*step)) {
        return Err(D::Error::custom(format_args!("{step} is not between 1 and {MAX_PERCENT} percent")));
    }
    steps.sort_unstable();
    steps.dedup();
    if steps.is_empty() || steps.len() > MAX_STEPS {
        let found = steps.len();
        return Err(D::Error::custom(format_args!("there may be 1 to {MAX_STEPS} steps, not {found}")));
    }
    Ok(steps)
}

fn limit<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let text = String::deserialize(deserializer)?;
    let complaint =
        || D::Error::custom(format_args!("{text:?} is not an amount such as 500GB, 1.5TB or 100GiB, at least 1B"));
    bytes(&text).filter(|limit| (1..=i64::MAX.unsigned_abs()).contains(limit)).ok_or_else(complaint)
}

/// An amount of bytes, as in `500GB` (powers of ten), `1.5 TB`, `100GiB` (powers of two) or `1000`.
pub(crate) fn bytes(text: &str) -> Option<u64> {
    let digits = text.find(|character: char| !character.is_ascii_digit() && character != '.').unwrap_or(text.len());
    let (number, unit) = (&text[..digits], text[digits..].trim());
    let (whole, decimals) = number.split_once('.').unwrap_or((number, "0"));
    if whole.is_empty() || decimals.is_empty() || decimals.len() > 18 {
        return None;
    }
    let power = |base: u128, prefix: &str| {
        let place = ["", "k", "M", "G", "T", "P", "E"].iter().position(|known| known.eq_ignore_ascii_case(prefix))?;
        base.checked_pow(u32::try_from(place).ok()?)
    };
    // `Mb` may mean bits.
    let is_lower = unit.chars().all(|character| character.is_ascii_lowercase());
    let suffix = unit.strip_suffix('B').or_else(|| unit.strip_suffix('b').filter(|_| is_lower));
    let one = match suffix.unwrap_or(unit) {
        prefix if prefix.ends_with('i') && prefix.len() > 1 => power(1_024, &prefix[..prefix.len() - 1])?,
        prefix => power(1_000, prefix)?,
    };
    let (whole, parts) = (whole.parse::<u128>().ok()?, decimals.parse::<u128>().ok()?);
    let parts = parts.checked_mul(one)?;
    let of = 10_u128.pow(u32::try_from(decimals.len()).ok()?);
    // Fractions of a byte are an error.
    let all = whole.checked_mul(one)?.checked_add(parts / of).filter(|_| parts.is_multiple_of(of))?;
    u64::try_from(all).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_have_powers_of_ten_and_of_two() {
        for (text, amount) in [
            ("0", Some(0)),
            ("1000", Some(1_000)),
            ("7B", Some(7)),
            ("500GB", Some(500_000_000_000)),
            ("500 GB", Some(500_000_000_000)),
            ("500G", Some(500_000_000_000)),
            ("1.5TB", Some(1_500_000_000_000)),
            ("0.5kB", Some(500)),
            ("1KiB", Some(1_024)),
            ("100GiB", Some(107_374_182_400)),
            ("500mb", Some(500_000_000)),
            ("500Mb", None),
            ("1.5B", None),
            ("GB", None),
            ("-5GB", None),
            ("5GX", None),
            ("5.GB", None),
            ("1.2.3GB", None),
            ("20EB", None),
            ("", None),
        ] {
            assert_eq!(bytes(text), amount, "{text:?}");
        }
    }
}
