//! A service's answer for people. Pure.

use std::fmt::Write as _;

use serde_json::Value;

use crate::capture::Health;

/// Numbers of the summary that are no trouble.
const NO_TROUBLE: [&str; 2] = ["pending_bytes", "audited_total"];

/// A log that has waited for longer is in trouble, in seconds.
const SLOW_S: f64 = 5.0;

/// One line for each thing that was told.
#[must_use]
pub fn table(status: &Value) -> String {
    let summary = &status["summary"];
    let mut lines = vec![
        ("service", format!("trafcalc {}, process {}", word(&status["version"]), word(&status["pid"]))),
        ("backend", backend(summary)),
    ];
    lines.extend(summary["declined"].as_array().into_iter().flatten().map(|sentence| ("not", word(sentence))));
    lines.extend([
        ("since", word(&summary["since"])),
        ("until", format!("{}, {:.1} s ago", word(&summary["time"]), status["age_s"].as_f64().unwrap_or_default())),
        ("accounts", word(&summary["accounts"])),
        ("sent", format!("{} bytes", word(&summary["sent_bytes_total"]))),
        ("received", format!("{} bytes", word(&summary["received_bytes_total"]))),
        ("pending", format!("{} bytes", summary["pending_bytes"].as_u64().unwrap_or_default())),
        ("health", health(status)),
        ("cost", cost(status)),
    ]);
    let mut text = String::new();
    for (name, value) in lines {
        let _ = writeln!(text, "{name:<10}{value}");
    }
    text
}

fn backend(summary: &Value) -> String {
    let details: Vec<_> = ["attach", "method"].iter().filter_map(|name| summary.get(name)).map(word).collect();
    let backend = word(&summary["backend"]);
    if details.is_empty() { backend } else { format!("{backend} ({})", details.join(", ")) }
}

/// The numbers that are not 0, and what keeps the log from being written.
fn health(status: &Value) -> String {
    let summary = &status["summary"];
    let names =
        ["unattributed_bytes_total"].iter().chain(Health::NAMES).chain(&["log_errors_total", "book_errors_total"]);
    let told = names
        .filter(|name| !NO_TROUBLE.contains(name))
        .filter_map(|name| Some((name, summary.get(*name).filter(|value| !value.is_null())?)));
    let mut told: Vec<_> = told.map(|(name, value)| format!("{name}={}", word(value))).collect();
    told.extend(["book", "log"].into_iter().filter_map(|name| trouble(name, &status[name])));
    if told.is_empty() { "nothing was lost, nothing was left out".to_owned() } else { told.join(" ") }
}

/// What keeps the log or the book from being written.
fn trouble(name: &str, condition: &Value) -> Option<String> {
    let waiting = || word(&condition["waiting"]);
    if let Some(error) = condition.get("error") {
        return Some(format!("{name}: {} reports wait: {}", waiting(), word(error)));
    }
    if let Some(waiting_s) = condition["waiting_s"].as_f64().filter(|time| *time > SLOW_S) {
        return Some(format!("{name}: {} reports wait, for {waiting_s:.0} s: nobody takes them", waiting()));
    }
    condition.get("note").map(|note| format!("{name}: {}", word(note)))
}

fn cost(status: &Value) -> String {
    let told =
        [("cpu_s", " s of processor time"), ("resident_bytes", " bytes of memory"), ("event_ns", " ns an event")];
    let told = told.iter().filter_map(|(name, unit)| status.get(name).map(|value| format!("{}{unit}", word(value))));
    told.collect::<Vec<_>>().join(", ")
}

/// A text without quotation marks, or a number. Nothing in it can move the cursor of a terminal.
fn word(value: &Value) -> String {
    let text = value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::samples;
    use crate::sinks::Condition;
    use crate::status::{Latest, Status};

    fn of(change: impl FnOnce(&mut Value)) -> String {
        let status = Status::new(&Latest::new(samples::report().summary), Condition::default(), None);
        let mut value = serde_json::from_str(&status.json()).unwrap();
        change(&mut value);
        table(&value)
    }

    #[test]
    fn everything_that_is_told_has_a_line() {
        let table = of(|_| ());
        for name in
            ["service", "backend", "since", "until", "accounts", "sent", "received", "pending", "health", "cost"]
        {
            assert!(table.lines().any(|line| line.starts_with(name)), "{name} is missing in\n{table}");
        }
        assert!(!table.contains("null"), "{table}");
    }

    #[test]
    fn only_what_is_wrong_is_told_of_health() {
        let healthy = of(|value| value["summary"]["unattributed_bytes_total"] = Value::Null);
        assert!(healthy.contains("health    nothing was lost, nothing was left out\n"), "{healthy}");
        let ill = of(|value| value["summary"]["gaps"] = 3.into());
        assert!(ill.contains("gaps=3"), "{ill}");
        let failing = of(|value| value["log"] = serde_json::json!({"waiting": 2, "error": "no room"}));
        assert!(failing.contains("log: 2 reports wait: no room") && !failing.contains("nothing was lost"), "{failing}");
        let stuck = of(|value| value["log"] = serde_json::json!({"waiting": 2, "waiting_s": 6.4}));
        assert!(stuck.contains("log: 2 reports wait, for 6 s: nobody takes them"), "{stuck}");
        let anew = of(|value| value["book"] = serde_json::json!({"waiting": 0, "note": "it was set aside"}));
        assert!(anew.contains("book: it was set aside") && !anew.contains("nothing was lost"), "{anew}");
    }

    #[test]
    fn nothing_moves_the_cursor() {
        let table = of(|value| value["summary"]["declined"] = serde_json::json!(["ebpf:\u{1b}[2J\nx"]));
        assert!(table.contains("not       ebpf: [2J x\n"), "{table}");
    }
}
