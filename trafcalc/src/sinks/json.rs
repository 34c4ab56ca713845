//! The format `json`: records as JSON, one object a line.

use std::io;

use serde::Serialize;
use serde_json::ser::{Formatter, Serializer};

use super::Format;
use crate::report::{GapRecord, QuotaRecord, Report};

/// The format `json`.
pub struct Json;

impl Json {
    /// Appends one record.
    pub(super) fn encode_gap(gap: &GapRecord, out: &mut Vec<u8>) {
        line(gap, out);
    }

    /// Appends one record.
    pub(super) fn encode_quota(quota: &QuotaRecord, out: &mut Vec<u8>) {
        line(quota, out);
    }
}

impl Format for Json {
    fn encode(&self, report: &Report, out: &mut Vec<u8>) {
        report.steps.iter().for_each(|step| line(step, out));
        report.accounts.iter().for_each(|account| line(account, out));
        line(&report.summary, out);
    }

    fn encode_json(&self, records: &str, out: &mut Vec<u8>) {
        out.extend_from_slice(records.as_bytes());
    }
}

fn line(record: &impl Serialize, out: &mut Vec<u8>) {
    value(record, out);
    out.push(b'\n');
}

/// Appends `value` as JSON on one line, safe for programs that split lines and for terminals.
pub(crate) fn value(value: &impl Serialize, out: &mut Vec<u8>) {
    let written = value.serialize(&mut Serializer::with_formatter(out, Escaping));
    written.expect("records are plain data, and memory does not fail to be written");
}

/// Whether a character ends a line for some reader, or controls a terminal's cursor or its text direction: all control
/// characters, and Unicode's line and paragraph separators and invisible direction marks.
pub(crate) fn is_unsafe(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// Whether a text has an unsafe character. Printable ASCII, which most texts are, is checked fast.
pub(super) fn has_unsafe(text: &str) -> bool {
    !text.bytes().all(|byte| matches!(byte, b' '..=b'~')) && text.contains(is_unsafe)
}

/// JSON without blanks, in which unsafe characters ([`is_unsafe`]) are written as `\u` and four digits.
struct Escaping;

impl Formatter for Escaping {
    fn write_string_fragment<W: ?Sized + io::Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        if !has_unsafe(fragment) {
            return writer.write_all(fragment.as_bytes());
        }
        let mut rest = fragment;
        while let Some(at) = rest.find(is_unsafe) {
            let (plain, from) = rest.split_at(at);
            let character = from.chars().next().expect("one was found");
            write!(writer, "{plain}\\u{:04x}", u32::from(character))?;
            rest = &from[character.len_utf8()..];
        }
        writer.write_all(rest.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::samples;

    #[test]
    fn records_are_the_lines_of_the_contract() {
        let mut out = Vec::new();
        Json.encode(&samples::report(), &mut out);
        let text = String::from_utf8(out).unwrap();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(
            lines[0],
            r#"{"type":"account","time":"2026-11-23T02:05:10.000Z","epoch":7,"seq":3,"interval_s":10.0,"uid":1000,"user":"alice","sent_bytes":123,"received_bytes":456,"sent_bytes_total":9123,"received_bytes_total":9456}"#
        );
        assert_eq!(
            lines[1],
            r#"{"type":"account","time":"2026-11-23T02:05:10.000Z","epoch":7,"seq":3,"interval_s":10.0,"uid":null,"user":null,"account":"(unattributed)","sent_bytes":1,"received_bytes":2,"sent_bytes_total":3,"received_bytes_total":4}"#
        );
        assert_eq!(
            lines[2],
            r#"{"type":"summary","time":"2026-11-23T02:05:10.000Z","epoch":7,"seq":3,"since":"2026-11-23T02:00:00.000Z","interval_s":10.0,"backend":"packet","accounts":2,"sent_bytes":124,"received_bytes":458,"sent_bytes_total":9126,"received_bytes_total":9460,"unattributed_bytes_total":7,"declined":["ebpf: no"]}"#
        );
        assert_eq!(lines.len(), 3);
    }
    #[test]
    fn no_name_ends_a_line_or_drives_a_terminal() {
        for (name, written) in [
            ("a\u{85}b", r"a\u0085b"),
            ("a\u{2028}b\u{2029}", r"a\u2028b\u2029"),
            ("\u{202e}txt.exe", r"\u202etxt.exe"),
            ("\u{9b}2J\u{7f}", r"\u009b2J\u007f"),
            ("\u{1b}[2J\n", r"\u001b[2J\n"),
            ("jos\u{e9}", "jos\u{e9}"),
        ] {
            let mut out = Vec::new();
            value(&name, &mut out);
            let text = String::from_utf8(out).unwrap();
            assert_eq!(text, format!("\"{written}\""));
            assert_eq!(serde_json::from_str::<String>(&text).unwrap(), name, "what is read back is what was written");
        }
    }
}
