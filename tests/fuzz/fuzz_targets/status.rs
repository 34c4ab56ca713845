//! What a service answers at its two sockets, of any content: an answer that can be shown or an error, never a panic.
#![no_main]

use libfuzzer_sys::fuzz_target;
use trafcalc::status::{Message, Status, table};

fuzz_target!(|text: &str| {
    let _ = Message::parse(text);
    if let Ok(status) = serde_json::from_str::<Status>(text) {
        assert!(!table(&status).is_empty());
    }
});
