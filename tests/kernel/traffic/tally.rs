//! What this program did, by user, cgroup and the user as whom it acted, and the lines in which it says so.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::Mutex;

use nix::unistd::geteuid;

use crate::truth::Bytes;

/// Bytes by the user they belong to, the cgroup in which they moved, and the user as whom the program acted then.
#[derive(Default)]
pub(super) struct Tally {
    bytes: Mutex<BTreeMap<(u32, String, u32), Bytes>>,
    unit: Mutex<String>,
}

impl Tally {
    /// Nothing yet, in the cgroup `unit`.
    pub(super) fn inside(unit: String) -> Self {
        Self { unit: Mutex::new(unit), ..Self::default() }
    }

    /// From now on in the cgroup `unit`.
    pub(super) fn goes_on_inside(&self, unit: String) {
        *self.unit.lock().expect("nobody panics with it") = unit;
    }

    pub(super) fn add(&self, uid: u32, bytes: Bytes) {
        let unit = self.unit.lock().expect("nobody panics with it").clone();
        *self.bytes.lock().expect("nobody panics with it").entry((uid, unit, geteuid().as_raw())).or_default() += bytes;
    }

    /// One line for each of these.
    pub(super) fn print(&self) {
        let path = std::env::current_exe().expect("an executable has a path");
        let program = path.file_name().expect("and that a name").to_string_lossy();
        for ((uid, unit, acting), bytes) in &*self.bytes.lock().expect("nobody panics with it") {
            let (sent, received, pid) = (bytes.sent, bytes.received, std::process::id());
            line(&serde_json::json!({
                "uid": uid, "pid": pid, "program": program, "unit": unit, "acting": acting, "sent": sent, "received": received,
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
