//! A configuration file of any content: settings or a complaint, never a panic.
#![no_main]

use std::cell::RefCell;
use std::io::{Seek as _, Write as _};

use libfuzzer_sys::fuzz_target;
use tempfile::NamedTempFile;
use trafcalc::config::{Overrides, resolve};

thread_local! {
    /// One file for all runs: making one takes longer than reading it.
    static FILE: RefCell<NamedTempFile> = RefCell::new(NamedTempFile::new_in("/dev/shm").unwrap());
}

fuzz_target!(|data: &[u8]| {
    FILE.with_borrow_mut(|file| {
        file.rewind().unwrap();
        file.as_file().set_len(0).unwrap();
        file.write_all(data).unwrap();
        let overrides = Overrides { config: Some(file.path().to_owned()), ..Overrides::default() };
        if let Err(error) = resolve(&overrides) {
            assert!(!error.to_string().is_empty());
        }
    });
});
