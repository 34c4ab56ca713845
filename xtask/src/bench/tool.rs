//! The tools that are compared: how each is started, and where its count of sent bytes stands.

use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use anyhow::Result;

use super::line::{DEVICE, Line};
use super::measured::{Cost, Measured};
use super::traffic;
use crate::system;

/// Long enough for a peer, which does not tell, to be counting.
const WARM_UP: Duration = Duration::from_secs(2);

/// One of them.
pub(super) enum Tool {
    /// Nothing watches: how fast the transfer is by itself.
    Nothing,
    /// The release build, with the options of a backend.
    Trafcalc { program: String, backend: &'static [&'static str] },
    /// The peer.
    Nethogs,
}

/// A started tool.
pub(super) struct Watcher(Option<Measured>);

const BACKENDS: [&[&str]; 4] = [
    &["--backend", "packet"],
    &["--backend", "ebpf", "--attach", "fentry"],
    &["--backend", "ebpf", "--attach", "kprobe"],
    &["--backend", "ebpf", "--attach", "tracepoint"],
];

/// Those that run here. Adds to `left_out` those that do not, with the reason.
pub(super) fn available(program: &Path, left_out: &mut Vec<String>) -> Vec<Tool> {
    let program = program.display().to_string();
    let mut tools = vec![Tool::Nothing];
    let trafcalc = BACKENDS.iter().map(|backend| Tool::Trafcalc { program: program.clone(), backend });
    for tool in trafcalc {
        match tool.starts() {
            Ok(()) => tools.push(tool),
            Err(error) => left_out.push(format!("{}: {error:#}", tool.name())),
        }
    }
    match system::ensure_programs(&[("nethogs", "nethogs")]) {
        Ok(()) => tools.push(Tool::Nethogs),
        Err(error) => left_out.push(format!("nethogs: {error:#}")),
    }
    tools
}

impl Tool {
    /// Its name in the table.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Nothing => "nothing".into(),
            Self::Trafcalc { backend, .. } => format!("trafcalc {}", backend.last().unwrap_or(&"")),
            Self::Nethogs => "nethogs".into(),
        }
    }

    fn starts(&self) -> Result<()> {
        self.start(&Line::new()?)?.stop().map(drop)
    }

    /// Starts it at the near end; it is counting when this returns.
    pub(super) fn start(&self, line: &Line) -> Result<Watcher> {
        let measured = match self {
            Self::Nothing => return Ok(Watcher(None)),
            Self::Trafcalc { program, backend } => {
                let mut words = vec![program.as_str(), "run", "--interval", "1s", "--log", "-", "--format", "json"];
                words.extend(*backend);
                let mut measured = Measured::start(line, &words)?;
                measured.wait_for("counting with")?;
                return Ok(Watcher(Some(measured)));
            }
            // Total bytes, a line for each process every second.
            Self::Nethogs => Measured::start(line, &["stdbuf", "-oL", "nethogs", "-t", "-v", "2", DEVICE])?,
        };
        sleep(WARM_UP);
        Ok(Watcher(Some(measured)))
    }

    /// The bytes that it says our traffic's user sent; nothing counts nothing.
    pub(super) fn counted(&self, cost: &Cost) -> Option<u64> {
        match self {
            Self::Nothing => None,
            Self::Trafcalc { .. } => Some(by_trafcalc(&cost.output)),
            Self::Nethogs => Some(by_nethogs(&cost.output)),
        }
    }
}

impl Watcher {
    /// Resident memory beside a ring, in bytes.
    pub(super) fn resident(&self) -> Result<Option<u64>> {
        self.0.as_ref().map(Measured::resident).transpose()
    }

    /// Lets it see the end of the traffic, then stops it.
    pub(super) fn stop(self) -> Result<Cost> {
        let Some(measured) = self.0 else { return Ok(Cost::none()) };
        sleep(WARM_UP);
        measured.stop()
    }
}

/// The last record of the traffic's user.
fn by_trafcalc(log: &str) -> u64 {
    let user = format!("\"uid\":{},", traffic::UID);
    let record = log.lines().rev().find(|line| line.contains(&user)).unwrap_or_default();
    let value = record.split("\"sent_bytes_total\":").nth(1).unwrap_or_default();
    value.split([',', '}']).next().and_then(|digits| digits.parse().ok()).unwrap_or(0)
}

/// The largest figure of our traffic's lines: `program/pid/uid<tab>sent<tab>received`.
fn by_nethogs(trace: &str) -> u64 {
    let user = format!("/{}", traffic::UID);
    let sent = |line: &str| -> Option<f64> {
        let mut columns = line.split('\t');
        columns.next()?.ends_with(&user).then_some(())?;
        columns.next()?.parse().ok()
    };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count of bytes, printed as a float")]
    let bytes = trace.lines().filter_map(sent).fold(0.0, f64::max) as u64;
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_record_of_the_user_counts() {
        let log = "{\"uid\":20100,\"sent_bytes\":1,\"sent_bytes_total\":5}\n{\"uid\":0,\"sent_bytes_total\":7}\n\
                   {\"uid\":20100,\"sent_bytes_total\":9,\"received_bytes_total\":0}\n";
        assert_eq!(by_trafcalc(log), 9);
        assert_eq!(by_trafcalc(""), 0);
    }

    #[test]
    fn lines_of_other_users_do_not_count() {
        let trace =
            "Refreshing:\n/x/a/12/20100\t1000\t0\n/x/b/13/0\t5000\t0\n\nRefreshing:\n/x/a/12/20100\t2.5e+06\t0\n";
        assert_eq!(by_nethogs(trace), 2_500_000);
    }
}
