//! Other tools: how to install and start each, and how to read the count from its output.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};

use super::line::{DEVICE, NEAR_ADDRESS};
use super::tool::Counted;
use super::traffic;
use super::transfer::Direction;
use crate::{shell, system};

/// A peer.
#[derive(Clone)]
pub(super) struct Peer {
    pub(super) name: &'static str,
    /// The program and its options.
    words: Vec<String>,
    /// Reads the bytes moved from everything it printed.
    pub(super) counted: fn(&str, Direction) -> Counted,
}

impl Peer {
    /// The command that starts it.
    pub(super) fn command(&self) -> Vec<&str> {
        self.words.iter().map(String::as_str).collect()
    }
}

/// Newer versions need a newer compiler than this workspace.
const BANDWHICH_VERSION: &str = "0.23.1";

/// The peers that can be installed. Adds the others to `left_out`, with the reason.
pub(super) fn installed(left_out: &mut Vec<String>) -> Vec<Peer> {
    let peers = [("nethogs", nethogs()), ("bandwhich", bandwhich())];
    let there = peers
        .into_iter()
        .filter_map(|(name, peer)| peer.map_err(|error| left_out.push(format!("{name}: {error:#}"))).ok());
    there.collect()
}

/// From the distribution. It prints total bytes, a line for each process every second.
fn nethogs() -> Result<Peer> {
    system::ensure_programs(&[("nethogs", "nethogs")])?;
    let words = ["stdbuf", "-oL", "nethogs", "-t", "-v", "2", DEVICE].map(str::to_owned).to_vec();
    Ok(Peer { name: "nethogs", words, counted: by_nethogs })
}

/// From the distribution; runs where its hooks exist: kprobes, or fentry programs.
pub(super) fn tcptop() -> Result<PathBuf> {
    system::ensure_programs(&[("tcptop", "libbpf-tools")])?;
    system::find("tcptop").context("the package has no tcptop")
}

/// The same at its path in a virtual machine. It prints a line for each connection every second.
pub(super) fn tcptop_at(path: &str) -> Peer {
    let words = [path, "--noclear", "--nosummary", "--rows", "100"].map(str::to_owned).to_vec();
    Peer { name: "tcptop", words, counted: by_tcptop }
}

fn bandwhich() -> Result<Peer> {
    let program = bandwhich_root().join("bin/bandwhich");
    ensure!(program.is_file(), "cargo could not install it from crates.io");
    let options = ["--raw", "--processes", "--total-utilization", "--no-resolve", "--interface", DEVICE];
    let words = [program.display().to_string()].into_iter().chain(options.map(str::to_owned)).collect();
    Ok(Peer { name: "bandwhich", words, counted: by_bandwhich })
}

fn bandwhich_root() -> PathBuf {
    shell::workspace().join("target/bench/peers")
}

/// Builds the peers from crates.io into a folder of the bench, if they are missing. The caller does this before it
/// becomes root, because root may have no cargo.
pub(super) fn build() -> Result<()> {
    if bandwhich_root().join("bin/bandwhich").is_file() {
        return Ok(());
    }
    let install = ["install", "bandwhich", "--version", BANDWHICH_VERSION, "--locked", "--root"];
    shell::run(shell::cargo(install).arg(bandwhich_root()))
}

/// Each second has a line for each process: `program/pid/uid<tab>sent<tab>received`.
fn by_nethogs(trace: &str, direction: Direction) -> Counted {
    let user = format!("/{}", traffic::UID);
    let column = match direction {
        Direction::Sent => 1,
        Direction::Received => 2,
    };
    let line = |line: &str| -> Option<(String, f64)> {
        let columns: Vec<_> = line.split('\t').collect();
        Some(((*columns.first()?).to_owned(), columns.get(column)?.trim().parse().ok()?))
    };
    most_of_each(trace.lines().filter_map(line), |name| name.ends_with(&user))
}

/// Each second has a line for each program: `process: <time> "xtask" up/down Bps: 1/2 connections: 3`. With
/// `--total-utilization` the numbers are totals.
fn by_bandwhich(trace: &str, direction: Direction) -> Counted {
    let line = |line: &str| -> Option<(String, f64)> {
        let (_, rest) = line.strip_prefix("process: ")?.split_once('"')?;
        let (name, numbers) = rest.split_once("\" up/down Bps: ")?;
        let (up, down) = numbers.split(' ').next()?.split_once('/')?;
        let bytes = if direction == Direction::Sent { up } else { down };
        Some((name.to_owned(), bytes.parse().ok()?))
    };
    most_of_each(trace.lines().filter_map(line), |name| name == "xtask")
}

/// Each second has a line for each connection that moved: `pid command local remote received-KB sent-KB`. Both ends are
/// on this machine; the near one counts.
fn by_tcptop(trace: &str, direction: Direction) -> Counted {
    let near = format!("{NEAR_ADDRESS}:");
    let kilobytes = |line: &str| -> Option<u64> {
        let columns: Vec<_> = line.split_whitespace().collect();
        let [.., local, _, received, sent] = columns[..] else { return None };
        local.starts_with(&near).then_some(())?;
        if direction == Direction::Sent { sent.parse().ok() } else { received.parse().ok() }
    };
    let bytes = trace.lines().filter_map(kilobytes).sum::<u64>() * 1024;
    Counted { of_user: bytes, all: bytes }
}

/// Totals only grow, so the largest number of each name is the last.
fn most_of_each(lines: impl Iterator<Item = (String, f64)>, is_ours: impl Fn(&str) -> bool) -> Counted {
    let mut most = BTreeMap::<String, f64>::new();
    for (name, bytes) in lines {
        let known = most.entry(name).or_default();
        *known = known.max(bytes);
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counts of bytes, printed as floats")]
    let whole = |sum: f64| sum as u64;
    let of_user = most.iter().filter(|(name, _)| is_ours(name)).map(|(_, bytes)| bytes).sum();
    Counted { of_user: whole(of_user), all: whole(most.values().sum()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_of_nethogs_count() {
        let trace = "Refreshing:\n/x/a/12/20100\t1000\t7\nunknown TCP/0/0\t5000\t0\n\n\
                     Refreshing:\n/x/a/12/20100\t2.5e+06\t7\n";
        assert_eq!(by_nethogs(trace, Direction::Sent), Counted { of_user: 2_500_000, all: 2_505_000 });
        assert_eq!(by_nethogs(trace, Direction::Received), Counted { of_user: 7, all: 7 });
    }

    #[test]
    fn the_lines_of_tcptop_are_added_up_at_the_near_end() {
        let trace = "PID     COMM         LADDR                 RADDR                  RX_KB  TX_KB\n\
                     71      xtask        192.0.2.1:41234       192.0.2.2:5001          10      3\n\
                     72      xtask        192.0.2.2:5001        192.0.2.1:41234          3     10\n\n\
                     71      xtask        192.0.2.1:41234       192.0.2.2:5001           5      0\n";
        assert_eq!(by_tcptop(trace, Direction::Received), Counted { of_user: 15 * 1024, all: 15 * 1024 });
        assert_eq!(by_tcptop(trace, Direction::Sent), Counted { of_user: 3 * 1024, all: 3 * 1024 });
    }

    #[test]
    fn the_last_lines_of_bandwhich_count() {
        let trace = "Refreshing:\nprocess: <1> \"xtask\" up/down Bps: 10/3 connections: 1\n\
                     process: <2> \"<UNKNOWN>\" up/down Bps: 5/0 connections: 1\n\
                     process: <2> \"xtask\" up/down Bps: 20/3 connections: 1\n";
        assert_eq!(by_bandwhich(trace, Direction::Sent), Counted { of_user: 20, all: 25 });
        assert_eq!(by_bandwhich(trace, Direction::Received), Counted { of_user: 3, all: 3 });
    }
}
