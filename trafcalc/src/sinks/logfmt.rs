//! Records as `key=value` pairs, one record a line, in the way of go-logfmt: a text is quoted where it would not be
//! read back as itself, `null` stands for nothing.

use std::io::Write;

use serde_json::Value;

use super::Format;
use crate::report::Report;

/// The format `logfmt`.
pub struct Logfmt;

impl Format for Logfmt {
    fn encode(&self, report: &Report, out: &mut Vec<u8>) {
        for account in &report.accounts {
            line(account, out);
        }
        line(&report.summary, out);
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
    let written = match value {
        Value::String(text) if is_plain(text) => out.write_all(text.as_bytes()),
        Value::Array(items) => {
            let texts: Vec<_> = items.iter().filter_map(Value::as_str).collect();
            write!(out, "{}", Value::from(texts.join("; ")))
        }
        other => write!(out, "{other}"),
    };
    written.expect("memory does not fail to be written");
}

fn is_plain(text: &str) -> bool {
    !matches!(text, "" | "null") && !text.contains(|c: char| c <= ' ' || matches!(c, '=' | '"' | '\\' | '\u{7f}'))
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
            "type=account time=2026-11-23T02:05:10Z interval_s=10.0 uid=1000 user=alice sent_bytes=123 \
             received_bytes=456 sent_bytes_total=9123 received_bytes_total=9456"
        );
        assert!(lines[1].contains(" uid=null user=null account=(unattributed) sent_bytes=1 "), "{}", lines[1]);
        assert!(lines[2].starts_with("type=summary time=2026-11-23T02:05:10Z since=2026-11-23T02:00:00Z "));
        assert!(lines[2].ends_with(r#" log_errors_total=0 declined="ebpf: no""#), "{}", lines[2]);
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
