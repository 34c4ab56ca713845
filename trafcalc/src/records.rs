//! Reads the records of a log, one a line, in logfmt or JSON. Pure.
//!
//! Like the formats, it must not know what records mean.

use serde_json::{Map, Value};

/// A record. In logfmt, an unquoted value is a text here, or null.
#[derive(Clone, Debug, PartialEq)]
pub struct Record(Map<String, Value>);

impl Record {
    /// Parses a line; `None` if it is no record.
    #[must_use]
    pub fn read(line: &str) -> Option<Self> {
        let line = line.trim_end_matches(['\n', '\r']);
        let fields = if line.starts_with('{') { serde_json::from_str(line).ok()? } else { logfmt(line)? };
        let record = Self(fields);
        record.text("type").is_some().then_some(record)
    }

    /// A field as text, unless it is missing or null. Numbers are formatted, lists joined by `; `.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<String> {
        text(self.0.get(name)?)
    }

    /// A field as a number, such as a number of bytes.
    #[must_use]
    pub fn number(&self, name: &str) -> Option<u64> {
        self.text(name)?.parse().ok()
    }

    /// The type of the record: `account`, `summary`...
    #[must_use]
    pub fn kind(&self) -> String {
        self.text("type").unwrap_or_default()
    }

    /// All fields that are not null, in order.
    pub fn fields(&self) -> impl Iterator<Item = (&str, String)> {
        self.0.iter().filter_map(|(name, value)| Some((name.as_str(), text(value)?)))
    }
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        Value::Array(texts) => Some(texts.iter().filter_map(text).collect::<Vec<_>>().join("; ")),
        other => Some(other.to_string()),
    }
}

fn logfmt(line: &str) -> Option<Map<String, Value>> {
    let mut fields = Map::new();
    let mut rest = line;
    while !rest.is_empty() {
        let (name, value) = rest.split_once('=')?;
        if name.is_empty() || name.contains([' ', '"']) {
            return None;
        }
        let length =
            if value.starts_with('"') { quoted_length(value)? } else { value.find(' ').unwrap_or(value.len()) };
        let (written, behind) = value.split_at(length);
        let value = match written {
            "null" => Value::Null,
            _ if written.starts_with('"') => Value::String(serde_json::from_str(written).ok()?),
            _ => Value::String(written.to_owned()),
        };
        fields.insert(name.to_owned(), value);
        rest = if behind.is_empty() { behind } else { behind.strip_prefix(' ')? };
    }
    Some(fields)
}

/// The length of a quoted text, including the quotation marks.
fn quoted_length(text: &str) -> Option<usize> {
    let mut is_escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            b'"' if !is_escaped => return Some(at + 1),
            _ => is_escaped = byte == b'\\' && !is_escaped,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::report::samples;
    use crate::sinks::{Format as _, Json, Logfmt};

    fn of_both(report: &crate::report::Report) -> [Vec<Record>; 2] {
        let (mut json, mut logfmt) = (Vec::new(), Vec::new());
        Json.encode(report, &mut json);
        Logfmt.encode(report, &mut logfmt);
        [json, logfmt]
            .map(|text| String::from_utf8(text).unwrap().lines().map(|line| Record::read(line).unwrap()).collect())
    }

    proptest! {
        #[test]
        fn both_formats_are_read_back_as_what_was_written(user in any::<String>(), cause in any::<String>()) {
            let mut report = samples::report();
            report.accounts[0].user = Some(user.clone());
            report.summary.declined = vec![cause.clone()];
            for records in of_both(&report) {
                prop_assert_eq!(records.len(), 3);
                prop_assert_eq!(records[0].text("user"), Some(user.clone()));
                prop_assert_eq!(records[0].number("sent_bytes"), Some(123));
                prop_assert_eq!(records[1].text("uid"), None);
                prop_assert_eq!(records[2].text("declined"), Some(cause.clone()));
            }
            let [json, logfmt] = of_both(&report);
            let fields = |records: &[Record]| -> Vec<Vec<(String, String)>> {
                records.iter().map(|record| record.fields().map(|(name, text)| (name.to_owned(), text)).collect()).collect()
            };
            prop_assert_eq!(fields(&json), fields(&logfmt));
        }

        #[test]
        fn no_line_makes_it_panic(line in any::<String>(), value in "\"?[a-z\\\\\" ]{0,9}") {
            let _ = Record::read(&line);
            let _ = Record::read(&format!("type=a b={value}"));
        }
    }

    #[test]
    fn what_is_no_record_is_none() {
        for line in ["", "hello", "=x", "a=\"b", "a=\"b\"c", "{", "{}", "[]", "time=now", "a b=c", "type=a  b=c"] {
            assert_eq!(Record::read(line), None, "{line:?}");
        }
        assert_eq!(Record::read("type=gap cause=\"a \\\"b\\\"\"\n").unwrap().text("cause").unwrap(), "a \"b\"");
    }
}
