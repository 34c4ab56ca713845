//! The status as a table for people. Pure.

use std::fmt::Write as _;

use super::verdict::{trouble, verdict};
use super::{Cost, Status};
use crate::report::{Summary, rfc3339};
use crate::sinks::is_unsafe;

/// The verdict, and one line for each fact of the status.
#[must_use]
pub fn table(status: &Status) -> String {
    let summary = &status.summary;
    let mut lines = vec![
        ("service", format!("trafcalc {}, process {}", printable(&status.version), status.pid)),
        ("backend", backend(summary)),
    ];
    lines.extend(summary.declined.iter().map(|sentence| ("not", printable(sentence))));
    if !summary.waiting_for.is_empty() {
        lines.push(("waits for", printable(&summary.waiting_for.join(", "))));
    }
    let time = |time| rfc3339::text(time).unwrap_or_default();
    lines.extend([
        ("since", time(summary.since)),
        ("until", format!("{}, {:.1} s ago", time(summary.stamp.time), status.age_s)),
        ("accounts", summary.accounts.to_string()),
        ("sent", format!("{} bytes", summary.sent_bytes_total)),
        ("received", format!("{} bytes", summary.received_bytes_total)),
        ("pending", format!("{} bytes", summary.health.pending_bytes)),
        ("health", health(status)),
        ("privileges", printable(&status.privileges)),
        ("cost", cost(&status.cost)),
    ]);
    let mut text = verdict(status) + "\n";
    for (name, value) in lines {
        let _ = writeln!(text, "{name:<11}{value}");
    }
    text
}

/// The backend, and how it counts.
#[must_use]
pub fn backend(summary: &Summary) -> String {
    let details: Vec<_> =
        [&summary.attach, &summary.method].into_iter().flatten().map(|word| printable(word)).collect();
    let backend = printable(&summary.backend);
    if details.is_empty() { backend } else { format!("{backend} ({})", details.join(", ")) }
}

/// Health numbers that are not 0, and problems of the book and the log.
fn health(status: &Status) -> String {
    let mut told = status.summary.remarks();
    told.extend(status.book.as_ref().and_then(|book| trouble("book", book)));
    told.extend(trouble("log", &status.log));
    if told.is_empty() { "nothing was lost, nothing was left out".to_owned() } else { told.join(" ") }
}

fn cost(cost: &Cost) -> String {
    let told = [
        cost.cpu_s.map(|time| format!("{time} s of processor time")),
        cost.resident_bytes.map(|bytes| format!("{bytes} bytes of memory")),
        cost.event_ns.map(|time| format!("{time} ns an event")),
    ];
    told.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// A text without characters that move a terminal's cursor or change the text's direction.
pub(super) fn printable(text: &str) -> String {
    text.chars().map(|c| if is_unsafe(c) { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::report::samples;
    use crate::sinks::Condition;
    use crate::status::Latest;

    fn of(change: impl FnOnce(&mut Value)) -> String {
        let status =
            Status::new(&Latest::new(samples::report().summary), 60.0, "none kept", Condition::default(), None);
        let mut value = serde_json::from_str(&status.json()).unwrap();
        change(&mut value);
        table(&serde_json::from_value(value).unwrap())
    }

    #[test]
    fn everything_that_is_told_has_a_line() {
        let table = of(|_| ());
        for name in [
            "service",
            "backend",
            "since",
            "until",
            "accounts",
            "sent",
            "received",
            "pending",
            "health",
            "privileges",
            "cost",
        ] {
            assert!(table.lines().any(|line| line.starts_with(name)), "{name} is missing in\n{table}");
        }
        assert!(!table.contains("null"), "{table}");
    }

    #[test]
    fn only_what_is_wrong_is_told_of_health() {
        let healthy = of(|value| value["summary"]["unattributed_bytes_total"] = 0.into());
        assert!(healthy.contains("health     nothing was lost, nothing was left out\n"), "{healthy}");
        let ill = of(|value| value["summary"]["gaps"] = 3.into());
        assert!(ill.contains("gaps=3"), "{ill}");
        let failing =
            of(|value| value["log"] = serde_json::json!({"waiting": 2, "error": "no room", "errors_total": 1}));
        assert!(failing.contains("log: 2 reports wait: no room") && !failing.contains("nothing was lost"), "{failing}");
        let stuck = of(|value| value["log"] = serde_json::json!({"waiting": 2, "waiting_s": 6.4, "errors_total": 0}));
        assert!(stuck.contains("log: 2 reports wait, for 6 s: not written"), "{stuck}");
        let anew = of(|value| {
            value["book"] = serde_json::json!({"waiting": 0, "note": "it was set aside", "errors_total": 0});
        });
        assert!(anew.contains("book: it was set aside") && !anew.contains("nothing was lost"), "{anew}");
    }

    #[test]
    fn nothing_moves_the_cursor() {
        let table = of(|value| value["summary"]["declined"] = serde_json::json!(["ebpf:\u{1b}[2J\nx"]));
        assert!(table.contains("not        ebpf: [2J x\n"), "{table}");
    }
}
