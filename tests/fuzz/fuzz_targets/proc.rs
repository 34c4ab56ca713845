//! Files of `/proc` of any content, as of a process whose name has spaces and parentheses: what they say or nothing, never a panic.
#![no_main]

use std::cell::RefCell;
use std::fs;

use libfuzzer_sys::fuzz_target;
use tempfile::TempDir;
use trafcalc::capture::{Hierarchy, stat};

thread_local! {
    static PROC: RefCell<TempDir> = RefCell::new({
        let proc = tempfile::tempdir_in("/dev/shm").unwrap();
        fs::create_dir(proc.path().join("1")).unwrap();
        proc
    });
}

fuzz_target!(|data: &[u8]| {
    PROC.with_borrow(|proc| {
        let (process, mounts) = (proc.path().join("1/stat"), proc.path().join("mounts"));
        fs::write(&process, data).unwrap();
        let _ = stat(proc.path(), 1);
        // What could lead to a folder of this machine is not followed.
        if !data.contains(&b'/') {
            fs::write(&mounts, data).unwrap();
            let _ = Hierarchy::mounted(&mounts).id("/a");
        }
    });
});
