//! The tools that are compared: how to start each, and how to read its count.

use std::fs;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use anyhow::Result;

use super::line::Line;
use super::measured::Measured;
use super::peers::{self, Peer};
use super::traffic;
use super::transfer::Direction;
use crate::shell;

/// Time for a peer, which does not say when it is ready, to start counting, and to show what it has counted.
const WARM_UP: Duration = Duration::from_secs(2);

/// A tool.
#[derive(Clone)]
pub(super) enum Tool {
    /// trafcalc with the options of a backend, and others.
    Trafcalc { name: &'static str, program: String, backend: &'static [&'static str], options: &'static [&'static str] },
    /// Another tool.
    Peer(Peer),
}

/// The bytes that a tool counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Counted {
    /// Of the traffic's user.
    pub(super) of_user: u64,
    /// Of all users, including bytes without a known owner.
    pub(super) all: u64,
}

/// A running tool.
pub(super) struct Watcher {
    pub(super) program: Measured,
    is_slow: bool,
}

const BACKENDS: [(&str, &[&str]); 4] = [
    ("packet", &["--backend", "packet"]),
    ("ebpf fentry", &["--backend", "ebpf", "--attach", "fentry"]),
    ("ebpf kprobe", &["--backend", "ebpf", "--attach", "kprobe"]),
    ("ebpf tracepoint", &["--backend", "ebpf", "--attach", "tracepoint"]),
];

/// trafcalc with each backend and attach mode that works here. Adds the others to `left_out`, with the reason.
pub(super) fn trafcalc(program: &Path, left_out: &mut Vec<String>) -> Vec<Tool> {
    let program = program.display().to_string();
    let tools =
        BACKENDS.map(|(name, backend)| Tool::Trafcalc { name, program: program.clone(), backend, options: &[] });
    let starts = |tool: &Tool| match tool.starts() {
        Ok(()) => true,
        Err(error) => {
            left_out.push(format!("{}: {error:#}", tool.name()));
            false
        }
    };
    tools.into_iter().filter(starts).collect()
}

/// The peers that can be installed here. Adds the others to `left_out`, with the reason.
pub(super) fn peers(left_out: &mut Vec<String>) -> Vec<Tool> {
    peers::installed(left_out).into_iter().map(Tool::Peer).collect()
}

impl Tool {
    /// Its name in the tables.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Trafcalc { name, options: [], .. } => format!("trafcalc {name}"),
            Self::Trafcalc { name, options, .. } => format!("trafcalc {name} {}", options.join(" ")),
            Self::Peer(peer) => peer.name.to_owned(),
        }
    }

    /// Whether it counts inside the kernel.
    pub(super) fn is_ebpf(&self) -> bool {
        matches!(self, Self::Trafcalc { name, .. } if name.starts_with("ebpf"))
    }

    /// The same with another build of the program.
    pub(super) fn built_as(&self, other: &Path) -> Self {
        match self {
            Self::Trafcalc { name, backend, options, .. } => {
                Self::Trafcalc { name, program: other.display().to_string(), backend, options }
            }
            Self::Peer(peer) => Self::Peer(peer.clone()),
        }
    }

    /// The same by process, so that hooks look at each event.
    pub(super) fn by_process(&self) -> Self {
        self.with(&["--by", "process"])
    }

    /// The same with these options of `trafcalc run`.
    pub(super) fn with(&self, options: &'static [&'static str]) -> Self {
        match self.clone() {
            Self::Trafcalc { name, program, backend, .. } => Self::Trafcalc { name, program, backend, options },
            peer @ Self::Peer(_) => peer,
        }
    }

    fn starts(&self) -> Result<()> {
        self.start(&Line::new()?)?.stop().map(drop)
    }

    /// Starts it at the near end; it is counting when this returns.
    pub(super) fn start(&self, line: &Line) -> Result<Watcher> {
        match self {
            Self::Trafcalc { program, backend, options, .. } => {
                let config = plain_config()?;
                let mut words = vec![program, "run", "--interval", "1s", "--log", "-", "--format", "json", "--config"];
                words.push(&config);
                words.extend(backend.iter().chain(*options));
                let mut program = Measured::start(line, &self.name(), &words)?;
                program.wait_for("counting with")?;
                Ok(Watcher { program, is_slow: false })
            }
            Self::Peer(peer) => {
                let program = Measured::start(line, peer.name, &peer.command())?;
                sleep(WARM_UP);
                Ok(Watcher { program, is_slow: true })
            }
        }
    }

    /// Reads the bytes moved from everything it printed.
    pub(super) fn counted(&self, printed: &str, direction: Direction) -> Counted {
        match self {
            Self::Trafcalc { .. } => by_trafcalc(printed, direction),
            Self::Peer(peer) => (peer.counted)(printed, direction),
        }
    }
}

impl Watcher {
    /// Gives it time to see the end of the traffic, stops it, and returns what it printed.
    pub(super) fn stop(self) -> Result<String> {
        if self.is_slow {
            sleep(WARM_UP);
        }
        self.program.stop()
    }
}

/// A configuration without the host's settings, and without the default status socket of a service that runs there.
fn plain_config() -> Result<String> {
    let path = shell::workspace().join("target/bench/trafcalc.toml");
    fs::write(&path, "[status]\nsocket = \"\"\nreports = \"\"\n")?;
    Ok(path.display().to_string())
}

/// The last records of the traffic's user, and of the accounts without a user.
fn by_trafcalc(log: &str, direction: Direction) -> Counted {
    let name = match direction {
        Direction::Sent => "\"sent_bytes_total\":",
        Direction::Received => "\"received_bytes_total\":",
    };
    let of = |account: &str| -> u64 {
        let record = log.lines().rev().find(|line| line.contains(account)).unwrap_or_default();
        let value = record.split(name).nth(1).unwrap_or_default();
        value.split([',', '}']).next().and_then(|digits| digits.parse().ok()).unwrap_or(0)
    };
    let of_user = of(&format!("\"uid\":{},", traffic::UID));
    Counted { of_user, all: of_user + of("\"account\":\"(unattributed)\"") + of("\"account\":\"(other)\"") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_records_of_the_user_and_of_nobody_count() {
        let log = "{\"uid\":20100,\"sent_bytes\":1,\"sent_bytes_total\":5}\n{\"uid\":0,\"sent_bytes_total\":7}\n\
                   {\"uid\":20100,\"sent_bytes_total\":9,\"received_bytes_total\":3}\n\
                   {\"uid\":null,\"account\":\"(unattributed)\",\"sent_bytes_total\":2}\n";
        assert_eq!(by_trafcalc(log, Direction::Sent), Counted { of_user: 9, all: 11 });
        assert_eq!(by_trafcalc(log, Direction::Received), Counted { of_user: 3, all: 3 });
        assert_eq!(by_trafcalc("", Direction::Sent), Counted { of_user: 0, all: 0 });
    }
}
