//! What is said on standard error when the service ends. It may be held by the same terminal as the log.

use std::io::Write as _;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// How long standard error may take.
const TIME: Duration = Duration::from_millis(500);

/// Writes `text` to standard error. When that is not done in time, or fails, there is nobody left to tell.
pub fn say(text: Vec<u8>) {
    let (done, end) = mpsc::channel();
    let said = thread::Builder::new().name("last words".to_owned()).spawn(move || {
        let _ = std::io::stderr().write_all(&text);
        let _ = done.send(());
    });
    if said.is_ok() {
        let _ = end.recv_timeout(TIME);
    }
}
