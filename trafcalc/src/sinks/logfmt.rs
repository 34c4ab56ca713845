//! Records as `key=value` pairs, one record a line, in the way of go-logfmt: a text is quoted where it would not be
//! read back as itself, `null` stands for nothing.

use serde_json::Value;

use super::{Format, json};
use crate::report::Report;

/// The format `logfmt`.
pub struct Logfmt;

impl Format for Logfmt {
    fn encode(&self, report: &Report, out: &mut Vec<u8>) {
        report.gaps.iter().for_each(|gap| line(gap, out));
        report.steps.iter().for_each(|step| line(step, out));
        report.accounts.iter().for_each(|account| line(account, out));
        line(&report.summary, out);
    }

    fn encode_json(&self, records: &str, out: &mut Vec<u8>) {
        // What is no JSON was written by nobody of ours.
        records
            .lines()
            .filter_map(|text| serde_json::from_str::<Value>(text).ok())
            .for_each(|record| line(&record, out));
    }
}

/// By way of JSON's data model, so that both formats have the same fields.
fn line(record: &impl serde::Serialize, out: &mut Vec<u8>) {
    let Ok(Value::Object(fields)) = serde_json::to_value(record) else { unreachable!("records are structs") };
    for (position, (key, value)) in fields.iter().enumerate() {
        if position > 0 {
            out.push(b' ');
        }
        out.extend_from_slice(key.as_bytes());
        out.push(b'=');
        write_value(value, out);
    }
    out.push(b'\n');
}

fn write_value(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::String(text) if is_plain(text) => out.extend_from_slice(text.as_bytes()),
        Value::Array(items) => {
            let texts: Vec<_> = items.iter().filter_map(Value::as_str).collect();
            json::value(&texts.join("; "), out);
        }
        other => json::value(other, out),
    }
}

fn is_plain(text: &str) -> bool {
    !matches!(text, "" | "null") && !text.contains(|c: char| json::is_unsafe(c) || matches!(c, ' ' | '=' | '"' | '\\'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::samples;

    fn encode(report: &Report) -> String {
        let mut out = Vec::new();
        Logfmt.encode(report, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn records_have_the_fields_of_the_contract() {
        let text = encode(&samples::report());
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(
            lines[0],
            "type=account time=2026-11-23T02:05:10.000Z epoch=7 seq=3 interval_s=10.0 uid=1000 user=alice sent_bytes=123 \
             received_bytes=456 sent_bytes_total=9123 received_bytes_total=9456"
        );
        assert!(lines[1].contains(" uid=null user=null account=(unattributed) sent_bytes=1 "), "{}", lines[1]);
        assert!(
            lines[2].starts_with(
                "type=summary time=2026-11-23T02:05:10.000Z epoch=7 seq=3 since=2026-11-23T02:00:00.000Z "
            )
        );
        assert!(lines[2].ends_with(r#" unattributed_bytes_total=7 declined="ebpf: no""#), "{}", lines[2]);
        assert_eq!(lines.len(), 3);
    }

    #[test]
    fn a_name_cannot_forge_a_field_or_a_record() {
        for (name, written) in [
            ("a b", r#"user="a b" "#),
            ("x uid=0", r#"user="x uid=0" "#),
            ("a\"b", r#"user="a\"b" "#),
            ("a\nb", r#"user="a\nb" "#),
            ("", r#"user="" "#),
            ("null", r#"user="null" "#),
            ("a\u{85}b", r#"user="a\u0085b" "#),
            ("a\u{2028}b", r#"user="a\u2028b" "#),
            ("\u{202e}b", r#"user="\u202eb" "#),
            ("jos\u{e9}", "user=jos\u{e9} "),
        ] {
            let mut report = samples::report();
            report.accounts[0].user = Some(name.to_owned());
            let text = encode(&report);
            assert!(text.contains(written), "{name:?}: {text}");
            assert_eq!(text.lines().count(), 3);
        }
    }
}
