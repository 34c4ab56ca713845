//! Output at the end of the service. Standard output and standard error may be the same stuck terminal as the log.

use std::io::{self, Write};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// How long a write may take.
const TIME: Duration = Duration::from_millis(500);

/// Writes `text` to standard error. If that takes too long or fails, there is no other place for it.
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
