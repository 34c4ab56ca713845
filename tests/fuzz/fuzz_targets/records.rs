//! Lines of a log of any content: a record or nothing, never a panic; what is read is read again from its JSON.
#![no_main]

use libfuzzer_sys::fuzz_target;
use trafcalc::records::Record;

fuzz_target!(|line: &str| {
    let Some(record) = Record::read(line) else { return };
    assert!(!record.kind().is_empty() || record.text("type").is_some());
    let fields: serde_json::Map<_, _> =
        record.fields().map(|(name, text)| (name.to_owned(), serde_json::Value::String(text))).collect();
    let again = Record::read(&serde_json::Value::Object(fields).to_string()).unwrap();
    assert_eq!(record.fields().collect::<Vec<_>>(), again.fields().collect::<Vec<_>>());
});
