//! The verdict as a table and as JSON. Pure.

use std::fmt::Write as _;

use serde::Serialize;

use super::verdict::{Row, Verdict};

/// A row for each direction of each scenario, then what was not tested, and the result.
pub(super) fn table(verdict: &Verdict) -> String {
    let mut text = line("backend", "scenario", "bytes", ["truth", "counted", "difference"]);
    for row in &verdict.rows {
        let numbers = [row.truth.to_string(), row.counted.to_string(), row.difference().to_string()];
        text += &line(&row.target.to_string(), row.scenario, row.bytes, numbers.each_ref().map(String::as_str));
    }
    for sentence in &verdict.not_tested {
        let _ = writeln!(text, "not tested: {sentence}");
    }
    for wrong in verdict.wrong() {
        let _ = writeln!(text, "WRONG: {wrong}");
    }
    if verdict.is_exact() {
        let _ = writeln!(text, "exact: {} of {} numbers", verdict.rows.len(), verdict.rows.len());
    }
    text
}

fn line(target: &str, scenario: &str, bytes: &str, [truth, counted, difference]: [&str; 3]) -> String {
    format!("{target:<18} {scenario:<18} {bytes:<15} {truth:>10} {counted:>10} {difference:>10}\n")
}

#[derive(Serialize)]
struct Json<'a> {
    exact: bool,
    results: Vec<JsonRow<'a>>,
    not_tested: &'a [String],
}

#[derive(Serialize)]
struct JsonRow<'a> {
    backend: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    attach: Option<&'static str>,
    scenario: &'a str,
    bytes: &'a str,
    truth: u64,
    counted: u64,
    difference: i128,
}

impl<'a> From<&'a Row> for JsonRow<'a> {
    fn from(row: &'a Row) -> Self {
        Self {
            backend: row.target.backend.name(),
            attach: row.target.attach.map(crate::capture::Attach::name),
            scenario: row.scenario,
            bytes: row.bytes,
            truth: row.truth,
            counted: row.counted,
            difference: row.difference(),
        }
    }
}

/// One JSON object on one line.
pub(super) fn json(verdict: &Verdict) -> String {
    let document = Json {
        exact: verdict.is_exact(),
        results: verdict.rows.iter().map(JsonRow::from).collect(),
        not_tested: &verdict.not_tested,
    };
    serde_json::to_string(&document).expect("plain data can be written") + "\n"
}

#[cfg(test)]
mod tests {
    use super::super::verdict::tests::sample;
    use super::*;

    #[test]
    fn the_table_shows_every_difference_and_names_what_is_wrong() {
        let expected = "\
backend            scenario           bytes                truth    counted difference
packet             peek               sent                    10         10          0
packet             peek               received                10         10          0
ebpf (kprobe)      peek               sent                    10          9         -1
ebpf (kprobe)      peek               received                10         12          2
not tested: ebpf (tracepoint): no
WRONG: ebpf (kprobe): peek
";
        assert_eq!(table(&sample()), expected);
    }

    #[test]
    fn json_says_the_same() {
        let document: serde_json::Value = serde_json::from_str(&json(&sample())).unwrap();
        assert_eq!(document["exact"], false);
        assert_eq!(document["results"][3]["attach"], "kprobe");
        assert_eq!(document["results"][3]["difference"], 2);
        assert_eq!(document["results"][0].get("attach"), None);
        assert_eq!(document["not_tested"][0], "ebpf (tracepoint): no");
    }
}
