//! The format `logfmt`: records as `key=value` pairs, one record a line, as go-logfmt writes them. A text is quoted if
//! it could not be read back otherwise; `null` means no value.

use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer as _, MapAccess, SeqAccess, Visitor};

use super::{Format, Json, json};
use crate::report::Report;

/// The format `logfmt`.
pub struct Logfmt;

impl Format for Logfmt {
    fn encode(&self, report: &Report, out: &mut Vec<u8>) {
        // Converted from JSON, so that both formats have the same fields.
        let mut records = Vec::new();
        Json.encode(report, &mut records);
        self.encode_json(&String::from_utf8_lossy(&records), out);
    }

    fn encode_json(&self, records: &str, out: &mut Vec<u8>) {
        for record in records.lines() {
            let begin = out.len();
            match serde_json::Deserializer::from_str(record).deserialize_map(Fields(out)) {
                Ok(()) => out.push(b'\n'),
                // Anything else was not written by this program.
                Err(_) => out.truncate(begin),
            }
        }
    }
}

/// Writes the fields of a record while they are parsed.
struct Fields<'a>(&'a mut Vec<u8>);

impl<'de> Visitor<'de> for Fields<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a record")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        let Self(out) = self;
        let mut is_first = true;
        while let Some(key) = fields.next_key::<&str>()? {
            if !std::mem::take(&mut is_first) {
                out.push(b' ');
            }
            out.extend_from_slice(key.as_bytes());
            out.push(b'=');
            fields.next_value_seed(Field(out))?;
        }
        Ok(())
    }
}

/// Writes the value of a field: a number or a text as it is, a list of texts as one text.
struct Field<'a>(&'a mut Vec<u8>);

impl<'de> DeserializeSeed<'de> for Field<'_> {
    type Value = ();

    fn deserialize<D: de::Deserializer<'de>>(self, value: D) -> Result<(), D::Error> {
        value.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Field<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a number, a text, or some of them")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.0.extend_from_slice(b"null");
        Ok(())
    }

    fn visit_bool<E>(self, value: bool) -> Result<(), E> {
        json::value(&value, self.0);
        Ok(())
    }

    fn visit_u64<E>(self, value: u64) -> Result<(), E> {
        json::value(&value, self.0);
        Ok(())
    }

    fn visit_i64<E>(self, value: i64) -> Result<(), E> {
        json::value(&value, self.0);
        Ok(())
    }

    fn visit_f64<E>(self, value: f64) -> Result<(), E> {
        json::value(&value, self.0);
        Ok(())
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        if is_plain(text) {
            self.0.extend_from_slice(text.as_bytes());
        } else {
            json::value(&text, self.0);
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let mut texts = Vec::new();
        while let Some(text) = items.next_element::<String>()? {
            texts.push(text);
        }
        json::value(&texts.join("; "), self.0);
        Ok(())
    }
}

fn is_plain(text: &str) -> bool {
    !matches!(text, "" | "null") && !json::has_unsafe(text) && !text.contains([' ', '=', '"', '\\'])
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
            ("a=b", r#"user="a=b" "#),
            (r"a\b", r#"user="a\\b" "#),
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
