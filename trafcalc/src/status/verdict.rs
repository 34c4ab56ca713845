//! Whether a service counts all that it should, which people and scripts want to know first. Pure.

use super::Status;
use super::table::printable;
use crate::capture::Health;
use crate::report::Summary;
use crate::sinks::Condition;

/// Seconds after which a log or book that waits is in trouble.
const SLOW_S: f64 = 5.0;

/// A service whose summary is older than the report interval plus this, in seconds, has stopped counting. A report
/// takes milliseconds; the backend and a busy host may take seconds.
const LATE_S: f64 = 30.0;

/// Longest report interval that can be configured, in seconds. It is assumed for an older service, which does not tell
/// its own.
const LONGEST_INTERVAL_S: f64 = 86_400.0;

/// More than one byte without an owner in this many is a problem. The packet backend always has a few, of connections
/// that end before their socket is found.
const FEW_UNATTRIBUTED: u64 = 100;

/// Fewer bytes without an owner are never a problem, because a service that has just started has counted little.
const LITTLE_BYTES: u64 = 1_000_000;

impl Status {
    /// What was not counted, or counted for the wrong account, since the service was started; what is configured but
    /// missing; and what the log or the book refuses now. Empty if all is well.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        let summary = &self.summary;
        let health = summary.health.numbers().filter(|(name, number)| *number != 0 && Health::TROUBLES.contains(name));
        let mut problems: Vec<_> = health.map(|(name, number)| format!("{name}={number}")).collect();
        problems.extend(self.is_late().then(|| format!("nothing was counted for {:.0} s", self.age_s)));
        problems.extend(too_many_unattributed(summary));
        problems.extend(summary.waiting_for.iter().map(|name| format!("{} is not there yet", printable(name))));
        problems.extend(self.book.as_ref().and_then(|book| trouble("book", book)));
        problems.extend(trouble("log", &self.log));
        problems
    }

    fn is_late(&self) -> bool {
        self.age_s > self.report_interval_s.unwrap_or(LONGEST_INTERVAL_S) + LATE_S
    }
}

fn too_many_unattributed(summary: &Summary) -> Option<String> {
    let unattributed = summary.unattributed_bytes_total;
    let all = summary.sent_bytes_total.saturating_add(summary.received_bytes_total);
    let is_problem = unattributed >= LITTLE_BYTES && unattributed > all / FEW_UNATTRIBUTED;
    is_problem.then(|| format!("unattributed_bytes_total={unattributed}"))
}

/// A line that says whether all is well, and if not, why.
pub(super) fn verdict(status: &Status) -> String {
    match &status.problems()[..] {
        [] if status.summary.unattributed_bytes_total > 0 => {
            format!("well: all but {} bytes have an owner", status.summary.unattributed_bytes_total)
        }
        [] => "well: all is counted".to_owned(),
        [problem] => format!("counting, but 1 problem: {problem}"),
        several => format!("counting, but {} problems: {}", several.len(), several.join("; ")),
    }
}

/// What keeps the log or the book from being written.
pub(super) fn trouble(name: &str, condition: &Condition) -> Option<String> {
    let waiting = condition.waiting;
    if let Some(error) = &condition.error {
        return Some(format!("{name}: {waiting} reports wait: {}", printable(error)));
    }
    if let Some(waiting_s) = condition.waiting_s.filter(|time| *time > SLOW_S) {
        return Some(format!("{name}: {waiting} reports wait, for {waiting_s:.0} s: not written"));
    }
    condition.note.as_ref().map(|note| format!("{name}: {}", printable(note)))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::report::samples;
    use crate::status::{Latest, table};

    /// Changes the status of a healthy service: whether it has no problems then, and its first line.
    fn told(change: impl FnOnce(&mut Value)) -> (bool, String) {
        let mut summary = samples::report().summary;
        (summary.health, summary.waiting_for, summary.unattributed_bytes_total) = (Health::default(), Vec::new(), 0);
        let status = Status::new(&Latest::new(summary), 60.0, "", Condition::default(), None);
        let mut value = serde_json::from_str(&status.json()).unwrap();
        change(&mut value);
        let status: Status = serde_json::from_value(value).unwrap();
        (status.problems().is_empty(), table(&status).lines().next().unwrap().to_owned())
    }

    #[test]
    fn the_first_line_is_the_verdict() {
        assert_eq!(told(|_| ()), (true, "well: all is counted".to_owned()));
        let problem = |text: &str| (false, format!("counting, but {text}"));
        assert_eq!(told(|value| value["summary"]["gaps"] = 3.into()), problem("1 problem: gaps=3"));
        let waits = |value: &mut Value| value["summary"]["waiting_for"] = json!(["the interface \"eth9\"\u{1b}"]);
        assert_eq!(told(waits), problem("1 problem: the interface \"eth9\"  is not there yet"));
        let both = |value: &mut Value| {
            value["summary"]["audit_mismatch_total"] = 1.into();
            value["log"] = json!({"waiting": 2, "error": "no room", "errors_total": 1});
            value["book"] = json!({"waiting": 2, "waiting_s": 6.4, "errors_total": 0});
        };
        let all = "3 problems: audit_mismatch_total=1; book: 2 reports wait, for 6 s: not written; log: 2 reports wait: no room";
        assert_eq!(told(both), problem(all));
    }

    #[test]
    fn a_summary_that_is_not_renewed_is_a_problem() {
        assert!(told(|value| value["age_s"] = 89.9.into()).0, "a report may take its time");
        let problem = (false, "counting, but 1 problem: nothing was counted for 91 s".to_owned());
        assert_eq!(told(|value| value["age_s"] = 91.0.into()), problem);
        // A service that reports once a day, and one that does not say how often.
        for interval_s in [json!(86_400.0), Value::Null] {
            let of = |age_s: f64| {
                told(|value| (value["age_s"], value["report_interval_s"]) = (age_s.into(), interval_s.clone())).0
            };
            assert_eq!((of(86_429.0), of(86_431.0)), (true, false), "{interval_s}");
        }
    }

    #[test]
    fn many_bytes_without_an_owner_are_a_problem_and_a_few_are_told() {
        let of = |unattributed: u64, all: u64| {
            told(|value| {
                value["summary"]["unattributed_bytes_total"] = unattributed.into();
                (value["summary"]["sent_bytes_total"], value["summary"]["received_bytes_total"]) =
                    (all.into(), 0.into());
            })
        };
        let few = |number: u64| (true, format!("well: all but {number} bytes have an owner"));
        assert_eq!(of(1, 1_000), few(1));
        assert_eq!(of(999_999, 999_999), few(999_999), "a service that has just started");
        assert_eq!(of(1_000_000, 100_000_000), few(1_000_000));
        let many = |number: u64| (false, format!("counting, but 1 problem: unattributed_bytes_total={number}"));
        assert_eq!(of(1_000_001, 100_000_000), many(1_000_001));
        assert_eq!(of(1_000_000_000_000, 1_000_000_000_000), many(1_000_000_000_000));
    }

    #[test]
    fn what_is_right_again_by_itself_is_no_problem() {
        let passing = |value: &mut Value| {
            for name in ["late_connections_total", "lost_events_total", "pending_bytes", "audited_total"] {
                value["summary"][name] = 7.into();
            }
            value["summary"]["log_errors_total"] = 1.into();
            value["log"] = json!({"waiting": 1, "waiting_s": 0.2, "errors_total": 1});
        };
        assert_eq!(told(passing), (true, "well: all is counted".to_owned()));
    }
}
