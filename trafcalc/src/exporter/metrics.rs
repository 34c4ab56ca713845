//! The metrics and their series. Pure.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, SystemTime};

use super::Limits;
use super::begun::Begun;
use super::text::{Family, Kind, Labels, Value};
use crate::book::{AccountKey, AccountKind, LastReport};
use crate::capture::{Bytes, Health};

/// The input of all metrics, read in one transaction of the book.
pub(super) struct Booked {
    /// When the book was begun.
    pub(super) begun: SystemTime,
    pub(super) last: Option<Last>,
    /// The bytes of each account since the book was begun, ordered by the number of the account.
    pub(super) totals: Vec<(i64, AccountKey, Bytes)>,
    /// The number of gaps, and the sum of their lengths.
    pub(super) gaps: (u64, Duration),
    /// Each quota by name, and the part of it that is used.
    pub(super) quotas: Vec<(String, f64)>,
}

/// The last report.
pub(super) struct Last {
    /// When the service was started.
    pub(super) started: SystemTime,
    pub(super) end: SystemTime,
    /// Health fields by name; those that are 0 are left out.
    health: BTreeMap<String, u64>,
}

impl TryFrom<LastReport> for Last {
    type Error = serde_json::Error;

    fn try_from(last: LastReport) -> serde_json::Result<Self> {
        // An epoch is the millisecond of a start.
        let started = SystemTime::UNIX_EPOCH + Duration::from_millis(last.epoch.unsigned_abs());
        Ok(Self { started, end: last.end, health: serde_json::from_str(&last.health)? })
    }
}

/// All metrics. Series of accounts in `begun` are 0.
pub(super) fn families(booked: &Booked, begun: &Begun, limits: Limits) -> Vec<Family> {
    let (series, folded) = series(booked, begun, limits);
    let of = |direction: fn(Bytes) -> u64| {
        series.iter().map(|(labels, bytes)| (labels.clone(), Value::Whole(direction(*bytes)))).collect()
    };
    let whole = |value| vec![(Vec::new(), Value::Whole(value))];
    let count = |number: usize| whole(u64::try_from(number).unwrap_or(u64::MAX));
    let of_kind = |kind| {
        let accounts = booked.totals.iter().filter(|(_, key, _)| key.kind == kind);
        whole(accounts.fold(0, |sum: u64, (_, _, bytes)| sum.saturating_add(bytes.sent).saturating_add(bytes.received)))
    };
    let (gaps, uncounted) = booked.gaps;
    let mut families = vec![
        counter("sent_bytes", "Payload that this host sent, since the book was begun.", of(|bytes| bytes.sent)),
        counter(
            "received_bytes",
            "Payload that this host received, since the book was begun.",
            of(|bytes| bytes.received),
        ),
        counter(
            "unattributed_bytes",
            "Payload of local connections whose owner could not be found, both directions, since the book was begun.",
            of_kind(AccountKind::Unattributed),
        ),
        counter(
            "overflow_bytes",
            "Payload for which the service had no room to keep an owner, both directions, since the book was begun.",
            of_kind(AccountKind::Other),
        ),
        counter("gaps", "Periods that were not counted, since the book was begun.", whole(gaps)),
        counter(
            "uncounted_seconds",
            "Total length of these periods.",
            vec![(Vec::new(), Value::Real(uncounted.as_secs_f64()))],
        ),
        gauge("trafcalc_accounts", "Accounts in the book.", count(booked.totals.len())),
        gauge(
            "trafcalc_accounts_folded",
            "Accounts beyond the limits of the exporter; their payload is added to their user, or to the user (other).",
            count(folded),
        ),
        gauge(
            "trafcalc_quota_used_ratio",
            "Used part of a quota in its current period, corrections included.",
            quotas(booked),
        ),
        gauge(
            "trafcalc_build_info",
            "The version of the exporter.",
            vec![(vec![("version", env!("CARGO_PKG_VERSION").to_owned())], Value::Whole(1))],
        ),
    ];
    families.extend(booked.last.iter().flat_map(of_last));
    families
}

/// The metrics of the last report.
fn of_last(last: &Last) -> Vec<Family> {
    let end = last.end.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let mut families = vec![gauge(
        "trafcalc_last_report_timestamp_seconds",
        "When the last report in the book ended.",
        vec![(Vec::new(), Value::Real(end.as_secs_f64()))],
    )];
    // Exported from the book, which keeps these bytes across restarts.
    for name in Health::NAMES.iter().filter(|name| **name != "overflow_bytes_total") {
        let value = Value::Whole(last.health.get(*name).copied().unwrap_or(0));
        let help = format!("Health field {name} of the last report, since the service was started.");
        let series = vec![(Vec::new(), value)];
        let family = match name.strip_suffix("_total") {
            Some(name) => counter(name, &help, series),
            // `trafcalc_gaps_total` counts periods; this health field counts connections.
            None if *name == "gaps" => counter("short_connections", &help, series),
            None => gauge(&format!("trafcalc_{name}"), &help, series),
        };
        families.push(Family { is_of_service: true, ..family });
    }
    families
}

fn counter(name: &str, help: &str, series: Vec<(Labels, Value)>) -> Family {
    let (name, help) = (format!("trafcalc_{name}_total"), help.to_owned());
    Family { name, kind: Kind::Counter, help, is_of_service: false, series }
}

fn gauge(name: &str, help: &str, series: Vec<(Labels, Value)>) -> Family {
    Family { name: name.to_owned(), kind: Kind::Gauge, help: help.to_owned(), is_of_service: false, series }
}

fn quotas(booked: &Booked) -> Vec<(Labels, Value)> {
    let series = |(quota, ratio): &(String, f64)| (vec![("quota", quota.clone())], Value::Real(*ratio));
    booked.quotas.iter().map(series).collect()
}

/// The series of accounts, and the number of accounts without a series of their own.
fn series(booked: &Booked, begun: &Begun, limits: Limits) -> (Vec<(Labels, Bytes)>, usize) {
    // Two accounts can have the same labels: a user without a known name, and a user whose name is that number.
    let mut series: BTreeMap<Labels, (Bytes, bool)> = BTreeMap::new();
    let (mut selection, mut folded) = (Selection { limits, detailed: HashMap::new() }, 0);
    for (id, key, bytes) in &booked.totals {
        let place = selection.next(key);
        folded += usize::from(place != Place::Own);
        let labels = match place {
            Place::Own => labels(key),
            Place::User => labels(&AccountKey { unit: None, program: None, ..key.clone() }),
            Place::Other => nobody("(other)"),
        };
        let (sum, is_begun) = series.entry(labels).or_insert((Bytes::default(), true));
        *sum += *bytes;
        *is_begun &= begun.contains(*id);
    }
    let zero_if = |(labels, (sum, is_begun))| (labels, if is_begun { Bytes::default() } else { sum });
    (series.into_iter().map(zero_if).collect(), folded)
}

/// Which series has the bytes of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Its own.
    Own,
    /// That of its user and class, without unit and program.
    User,
    /// That of the user (other).
    Other,
}

/// Selects the series of each account by the order of all accounts alone. Accounts keep their order, so no series loses an account to
/// another one and no sum decreases. The accounts of a user take no places from other users.
struct Selection {
    limits: Limits,
    /// The number of accounts with a unit or program, by user. Users beyond the limit are not in it.
    detailed: HashMap<u32, usize>,
}

impl Selection {
    /// The place of the next account in the order of the book.
    fn next(&mut self, key: &AccountKey) -> Place {
        let (AccountKind::User, Some(uid)) = (key.kind, key.uid) else { return Place::Own };
        let is_full = self.detailed.len() >= self.limits.users;
        let detailed = match self.detailed.entry(uid) {
            Entry::Vacant(_) if is_full => return Place::Other,
            entry => entry.or_default(),
        };
        if key.unit.is_none() && key.program.is_none() {
            return Place::Own;
        }
        *detailed += 1;
        if *detailed > self.limits.accounts { Place::User } else { Place::Own }
    }
}

fn nobody(account: &str) -> Labels {
    vec![("user", account.to_owned())]
}

fn labels(key: &AccountKey) -> Labels {
    let uid = match (key.kind, key.uid) {
        (AccountKind::Unattributed, _) => return nobody("(unattributed)"),
        (AccountKind::Other, _) | (AccountKind::User, None) => return nobody("(other)"),
        (AccountKind::User, Some(uid)) => uid.to_string(),
    };
    let user = key.user.clone().unwrap_or_else(|| uid.clone());
    let details = [("unit", &key.unit), ("program", &key.program), ("class", &key.class)];
    let details = details.into_iter().filter_map(|(name, value)| Some((name, value.as_deref()?.to_owned())));
    [("uid", uid), ("user", user)].into_iter().chain(details).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    fn user(uid: u32, name: Option<&str>, class: Option<&str>) -> AccountKey {
        AccountKey {
            kind: AccountKind::User,
            uid: Some(uid),
            user: name.map(str::to_owned),
            program: None,
            unit: None,
            class: class.map(Into::into),
        }
    }

    fn of_nobody(kind: AccountKind) -> AccountKey {
        AccountKey { kind, uid: None, user: None, program: None, unit: None, class: None }
    }

    fn booked(keys: Vec<AccountKey>) -> Booked {
        let total = |(place, key): (usize, AccountKey)| {
            let place = u64::try_from(place).unwrap();
            (place.cast_signed(), key, Bytes { sent: 10_u64.pow(u32::try_from(place).unwrap()), received: place })
        };
        let totals = keys.into_iter().enumerate().map(total).collect();
        let begun = SystemTime::UNIX_EPOCH;
        Booked {
            begun,
            last: None,
            totals,
            gaps: (2, Duration::from_millis(1500)),
            quotas: vec![("q".to_owned(), 0.25)],
        }
    }

    /// The account with each of these numbers is new.
    fn of(new: &[i64]) -> Begun {
        let mut begun = Begun::default();
        begun.report(std::iter::once(-1), Instant::now());
        begun.report(new.iter().copied(), Instant::now());
        begun
    }

    /// The series of sent bytes: the values of their labels, and their value.
    fn sent(booked: &Booked, begun: &[i64], users: usize) -> Vec<(String, u64)> {
        let families = families(booked, &of(begun), Limits { users, accounts: 1 });
        let series = families.into_iter().find(|family| family.name == "trafcalc_sent_bytes_total").unwrap().series;
        let series = series.into_iter().map(|(labels, value)| {
            let labels: Vec<_> = labels.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
            let Value::Whole(value) = value else { panic!("{value:?}") };
            (labels.join(" "), value)
        });
        series.collect()
    }

    fn is(series: &[(String, u64)], expected: &[(&str, u64)]) {
        let expected: Vec<_> = expected.iter().map(|(labels, value)| ((*labels).to_owned(), *value)).collect();
        assert_eq!(series, expected);
    }

    #[test]
    fn every_byte_is_in_one_series_and_what_is_beyond_the_limit_stays_in_other() {
        let accounts = [
            user(7, Some("a"), Some("lan")),
            of_nobody(AccountKind::Other),
            user(8, None, None),
            of_nobody(AccountKind::Unattributed),
            user(9, Some("b"), None),
            user(7, Some("a"), Some("internet")),
        ];
        let booked = booked(accounts.into());
        let own = [("uid=7 user=a class=lan", 1), ("uid=8 user=8", 100)];
        let internet = ("uid=7 user=a class=internet", 100_000);
        is(
            &sent(&booked, &[], 2),
            &[internet, own[0], own[1], ("user=(other)", 10_010), ("user=(unattributed)", 1_000)],
        );
        is(
            &sent(&booked, &[], 3),
            &[internet, own[0], own[1], ("uid=9 user=b", 10_000), ("user=(other)", 10), ("user=(unattributed)", 1_000)],
        );
        let told = families(&booked, &Begun::default(), Limits { users: 2, accounts: 1 });
        let value = |name: &str| told.iter().find(|family| family.name == name).unwrap().series[0].1;
        for (name, expected) in [
            ("trafcalc_accounts", Value::Whole(6)),
            ("trafcalc_accounts_folded", Value::Whole(1)),
            ("trafcalc_unattributed_bytes_total", Value::Whole(1_003)),
            ("trafcalc_overflow_bytes_total", Value::Whole(11)),
            ("trafcalc_gaps_total", Value::Whole(2)),
            ("trafcalc_uncounted_seconds_total", Value::Real(1.5)),
            ("trafcalc_quota_used_ratio", Value::Real(0.25)),
        ] {
            assert_eq!(value(name), expected, "{name}");
        }
    }

    #[test]
    fn surplus_accounts_of_a_user_are_added_to_the_user_and_class() {
        let account = |uid, program: Option<&str>, class| AccountKey {
            program: program.map(Into::into),
            ..user(uid, Some("a"), class)
        };
        let accounts = vec![
            account(7, Some("x"), Some("lan")),
            account(7, None, None),
            account(7, Some("x"), Some("internet")),
            account(7, Some("y"), Some("lan")),
            account(7, Some("z"), None),
            account(8, Some("x"), None),
        ];
        let expected = [
            ("uid=7 user=a", 10_010),
            ("uid=7 user=a class=internet", 100),
            ("uid=7 user=a class=lan", 1_000),
            ("uid=7 user=a program=x class=lan", 1),
            ("uid=8 user=a program=x", 100_000),
        ];
        is(&sent(&booked(accounts), &[], 9), &expected);
    }

    #[test]
    fn a_series_begins_with_0_only_if_all_of_its_accounts_are_new() {
        let booked = booked(vec![user(7, Some("7"), None), user(8, Some("b"), None), user(7, None, None)]);
        is(&sent(&booked, &[1], 9), &[("uid=7 user=7", 101), ("uid=8 user=b", 0)]);
        is(&sent(&booked, &[2], 9), &[("uid=7 user=7", 101), ("uid=8 user=b", 10)]);
        is(&sent(&booked, &[0, 2], 9), &[("uid=7 user=7", 0), ("uid=8 user=b", 10)]);
    }

    #[test]
    fn all_of_the_health_is_told_and_what_is_absent_is_0() {
        let health = r#"{"gaps":3,"pending_bytes":4,"audit_mismatch_total":5,"overflow_bytes_total":6}"#.to_owned();
        let end = SystemTime::UNIX_EPOCH + Duration::from_millis(1_795_654_860_500);
        let told = of_last(&LastReport { epoch: 1, seq: 2, end, health }.try_into().unwrap());
        let value = |name: &str| told.iter().find(|family| family.name == name).map(|family| family.series[0].1);
        assert_eq!(value("trafcalc_last_report_timestamp_seconds"), Some(Value::Real(1_795_654_860.5)));
        for (name, expected) in [
            ("trafcalc_short_connections_total", Some(3)),
            ("trafcalc_pending_bytes", Some(4)),
            ("trafcalc_audit_mismatch_total", Some(5)),
            ("trafcalc_late_connections_total", Some(0)),
            // Exported from the book.
            ("trafcalc_overflow_bytes_total", None),
        ] {
            assert_eq!(value(name), expected.map(Value::Whole), "{name}");
        }
        assert_eq!(told.len(), Health::NAMES.len());
    }
}
