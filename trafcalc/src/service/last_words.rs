//! What is said when the service ends. Standard output and standard error may be held by the same terminal as the log.

use std::io::{self, Write};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// How long either may take.
const TIME: Duration = Duration::from_millis(500);

/// Writes `text` to standard error. When that is not done in time, or fails, there is nobody left to tell.
pub fn say(text: Vec<u8>) {
    write(io::stderr(), text);
}

/// Writes `text` to standard output, in the same way.
pub fn show(text: Vec<u8>) {
    write(io::stdout(), text);
}

fn write(mut to: impl Write + Send + 'static, text: Vec<u8>) {
    let (done, end) = mpsc::channel();
    let said = thread::Builder::new().name("last words".to_owned()).spawn(move || {
        let _ = to.write_all(&text).and_then(|()| to.flush());
        let _ = done.send(());
    });
    if said.is_ok() {
        let _ = end.recv_timeout(TIME);
    }
}
