//! The rules for Prometheus and the dashboard for Grafana fit the metrics that the exporter has.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use trafcalc::book::AccountKey;

use super::exporter::{Case, text, user};
use super::monitoring::{Prometheus, programs};
use super::support::leave_out;

fn dist(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("dist").join(name)
}

fn read(name: &str) -> String {
    std::fs::read_to_string(dist(name)).unwrap()
}

/// A book with traffic, a class and a quota.
fn case() -> Case {
    let mut case = Case::new();
    case.report(&[(AccountKey { class: Some("lan".into()), ..user(1000, "ada") }, 500, 7)]);
    case
}

/// The names of metrics in a text, except those of recordings, which have colons.
fn metrics(text: &str) -> BTreeSet<&str> {
    let is_of_name = |letter: char| letter.is_ascii_alphanumeric() || letter == '_' || letter == ':';
    let names = text.match_indices("trafcalc_").filter(|(at, _)| !text[..*at].ends_with(is_of_name));
    let names = names.map(|(at, _)| text[at..].split(|letter| !is_of_name(letter)).next().unwrap());
    names.filter(|name| !name.contains(':')).collect()
}

#[test]
fn rules_and_dashboard_use_only_metrics_that_the_exporter_has() {
    let text = text(&case().exporter(&[]));
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let told: BTreeSet<_> = lines.filter_map(|line| line.split(['{', ' ']).next()).collect();
    for name in ["prometheus/trafcalc.rules.yml", "prometheus/trafcalc.test.yml", "grafana/trafcalc.json"] {
        let (text, least) = (read(name), 6);
        let asked = metrics(&text);
        let unknown: Vec<_> = asked.difference(&told).collect();
        assert!(unknown.is_empty() && asked.len() >= least, "{name}: {unknown:?} of {asked:?}");
    }
}

#[test]
fn the_rules_pass_their_own_tests() {
    let programs = match programs() {
        Ok(programs) => programs,
        Err(why) => return leave_out("the_rules_pass_their_own_tests", why),
    };
    for arguments in [["check", "rules", "trafcalc.rules.yml"], ["test", "rules", "trafcalc.test.yml"]] {
        let mut promtool = Command::new(programs.join("promtool"));
        let output = promtool.args(arguments).current_dir(dist("prometheus")).output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }
    // For each alert one test expects it, and one expects that it does not fire.
    let (rules, tests) = (read("prometheus/trafcalc.rules.yml"), read("prometheus/trafcalc.test.yml"));
    let alerts: Vec<_> = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert!(alerts.len() > 5, "{alerts:?}");
    for alert in alerts {
        assert!(tests.contains(&format!("alertname: {alert}\n")), "{alert} never fires");
        assert!(tests.contains(&format!("alertname: {alert}, exp_alerts: []")), "{alert} always fires");
    }
}

/// All expressions of a dashboard, in any of its parts.
fn expressions(part: &Value, found: &mut Vec<String>) {
    match part {
        Value::Object(fields) => {
            for (name, value) in fields {
                match (name.as_str(), value) {
                    ("expr", Value::String(expression)) => found.push(expression.clone()),
                    _ => expressions(value, found),
                }
            }
        }
        Value::Array(parts) => parts.iter().for_each(|part| expressions(part, found)),
        _ => {}
    }
}

#[test]
fn every_panel_of_the_dashboard_has_data() {
    let programs = match programs() {
        Ok(programs) => programs,
        Err(why) => return leave_out("every_panel_of_the_dashboard_has_data", why),
    };
    let dashboard: Value = serde_json::from_str(&read("grafana/trafcalc.json")).unwrap();
    let mut found = Vec::new();
    expressions(&dashboard, &mut found);
    assert!(found.len() > 10, "{found:?}");
    let case = case();
    let exporter = case.exporter(&[]);
    let prometheus = Prometheus::start(programs, &[("trafcalc", exporter.address)], None).unwrap();
    // Rates need two values.
    prometheus
        .series_when("trafcalc_accounts", |series| series.first().is_some_and(|(_, values)| values.len() > 2))
        .unwrap();
    for expression in found {
        let asked = [
            ("$__rate_interval", "5m"),
            ("$__range", "1h"),
            ("$job", "trafcalc"),
            ("$instance", ".*"),
            ("$class", ".*"),
        ];
        let asked = asked.iter().fold(expression, |text, (name, value)| text.replace(name, value));
        assert!(!asked.contains('$'), "{asked}");
        let answer = prometheus.ask(&asked).unwrap();
        assert!(!answer.is_empty(), "{asked} has nothing");
    }
}
