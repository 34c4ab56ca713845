//! A list of connections as the kernel answers it, of any content: connections or an error, never a panic nor a loop.
#![no_main]

use libfuzzer_sys::fuzz_target;
use trafcalc::capture::packet::diag::replies::Asked;

/// Whose replies have zeros in them, which are easily come by.
const ASKED: Asked = Asked { sequence: 0, port: 0 };

fuzz_target!(|data: &[u8]| {
    let mut found = Vec::new();
    let _ = ASKED.read_list(data, &mut found);
    // A message of the kernel's begins at a multiple of four bytes.
    assert!(found.len() <= data.len() / 4 + 1);
});
