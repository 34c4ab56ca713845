//! A service's answer for people. Pure.

use std::fmt::Write as _;

use serde_json::Value;

/// What stands in the summary without being a matter of health.
const NOT_HEALTH: [&str; 15] = [
    "type",
    "time",
    "since",
    "interval_s",
    "backend",
    "attach",
    "method",
    "accounts",
    "sent_bytes",
    "received_bytes",
    "sent_bytes_total",
    "received_bytes_total",
    "pending_bytes",
    "audited_total",
    "declined",
];

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
        ("until", word(&summary["time"])),
        ("accounts", word(&summary["accounts"])),
        ("sent", format!("{} bytes", word(&summary["sent_bytes_total"]))),
        ("received", format!("{} bytes", word(&summary["received_bytes_total"]))),
        ("pending", format!("{} bytes", word(&summary["pending_bytes"]))),
        ("health", health(summary)),
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

/// The numbers that are not 0.
fn health(summary: &Value) -> String {
    let fields = summary.as_object().into_iter().flatten();
    let told = fields.filter(|(name, value)| !NOT_HEALTH.contains(&name.as_str()) && **value != 0);
    let told: Vec<_> = told.map(|(name, value)| format!("{name}={}", word(value))).collect();
    if told.is_empty() { "nothing was lost, nothing was left out".to_owned() } else { told.join(" ") }
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
    use crate::status::Status;

    fn of(change: impl FnOnce(&mut Value)) -> String {
        let status = Status::new(samples::report().summary);
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
        let healthy = of(|value| {
            for (name, number) in value["summary"].as_object_mut().unwrap() {
                if !NOT_HEALTH.contains(&name.as_str()) {
                    *number = 0.into();
                }
            }
        });
        assert!(healthy.contains("health    nothing was lost, nothing was left out\n"), "{healthy}");
        let ill = of(|value| value["summary"]["gaps"] = 3.into());
        assert!(ill.contains("gaps=3"), "{ill}");
    }

    #[test]
    fn nothing_moves_the_cursor() {
        let table = of(|value| value["summary"]["declined"] = serde_json::json!(["ebpf:\u{1b}[2J\nx"]));
        assert!(table.contains("not       ebpf: [2J x\n"), "{table}");
    }
}
