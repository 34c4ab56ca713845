//! What this program did, by user, and the lines in which it says so.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::Mutex;

use crate::truth::Bytes;

/// Bytes by the user they belong to.
#[derive(Default)]
pub(super) struct Tally(Mutex<BTreeMap<u32, Bytes>>);

impl Tally {
    pub(super) fn add(&self, uid: u32, bytes: Bytes) {
        *self.0.lock().expect("nobody panics with it").entry(uid).or_default() += bytes;
    }

    /// One line for each user.
    pub(super) fn print(&self) {
        let path = std::env::current_exe().expect("an executable has a path");
        let program = path.file_name().expect("and that a name").to_string_lossy();
        for (uid, bytes) in &*self.0.lock().expect("nobody panics with it") {
            let (sent, received, pid) = (bytes.sent, bytes.received, std::process::id());
            line(&serde_json::json!({
                "uid": uid, "pid": pid, "program": program, "sent": sent, "received": received,
            }));
        }
    }
}

/// Tells the harness that something has been reached.
pub(super) fn say(word: &str) {
    line(&serde_json::json!({ "say": word }));
}

/// In one write call, because children share the pipe.
fn line(value: &serde_json::Value) {
    let mut out = std::io::stdout().lock();
    out.write_all(format!("{value}\n").as_bytes()).and_then(|()| out.flush()).expect("the harness listens");
}
