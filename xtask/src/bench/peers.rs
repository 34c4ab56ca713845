//! Other tools: how each is installed and started, and where its count stands in what it prints.

use anyhow::{Context as _, Result, ensure};

use super::traffic;
use super::transfer::Direction;
use crate::{shell, system};

/// One of them.
#[derive(Clone)]
pub(super) struct Peer {
    pub(super) name: &'static str,
    /// The program and its options, but for the device.
    words: Vec<String>,
    /// The bytes that it says our traffic's user moved, by all it printed.
    pub(super) counted: fn(&str, Direction) -> u64,
}

impl Peer {
    /// What starts it on `device`.
    pub(super) fn command<'a>(&'a self, device: &'a str) -> Vec<&'a str> {
        self.words.iter().map(String::as_str).chain([device]).collect()
    }
}

/// Newer ones need a newer compiler than this workspace does.
const BANDWHICH_VERSION: &str = "0.23.1";

/// Those that can be installed. Adds to `left_out` those that cannot, with the reason.
pub(super) fn installed(left_out: &mut Vec<String>) -> Vec<Peer> {
    left_out.push("tcptop (bcc, libbpf-tools): its hooks are kprobes and fentry programs".to_owned());
    let peers = [("nethogs", nethogs()), ("bandwhich", bandwhich())];
    let there = peers
        .into_iter()
        .filter_map(|(name, peer)| peer.map_err(|error| left_out.push(format!("{name}: {error:#}"))).ok());
    there.collect()
}

/// From the distribution: total bytes, a line for each process every second.
fn nethogs() -> Result<Peer> {
    system::ensure_programs(&[("nethogs", "nethogs")])?;
    let words = ["stdbuf", "-oL", "nethogs", "-t", "-v", "2"].map(str::to_owned).to_vec();
    Ok(Peer { name: "nethogs", words, counted: by_nethogs })
}

/// From crates.io, into a folder of the bench.
fn bandwhich() -> Result<Peer> {
    let root = shell::workspace().join("target/bench/peers");
    let program = root.join("bin/bandwhich");
    if !program.is_file() {
        let install = ["install", "bandwhich", "--version", BANDWHICH_VERSION, "--locked", "--root"];
        shell::run(shell::cargo(install).arg(&root)).context("cannot install it from crates.io")?;
        ensure!(program.is_file(), "cargo did not install {}", program.display());
    }
    let options = ["--raw", "--processes", "--total-utilization", "--no-resolve", "--interface"];
    let words = [program.display().to_string()].into_iter().chain(options.map(str::to_owned)).collect();
    Ok(Peer { name: "bandwhich", words, counted: by_bandwhich })
}

/// The largest figure of our traffic's lines: `program/pid/uid<tab>sent<tab>received`.
fn by_nethogs(trace: &str, direction: Direction) -> u64 {
    let user = format!("/{}", traffic::UID);
    let column = match direction {
        Direction::Sent => 1,
        Direction::Received => 2,
    };
    let bytes = |line: &str| -> Option<f64> {
        let columns: Vec<_> = line.split('\t').collect();
        columns.first()?.ends_with(&user).then_some(())?;
        columns.get(column)?.trim().parse().ok()
    };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count of bytes, printed as a float")]
    let most = trace.lines().filter_map(bytes).fold(0.0, f64::max) as u64;
    most
}

/// The largest figure of our traffic's lines, of which there is one for each process every second:
/// `process: <time> "xtask" up/down Bps: 1/2 connections: 3`, where with `--total-utilization` the numbers are totals.
fn by_bandwhich(trace: &str, direction: Direction) -> u64 {
    let bytes = |line: &str| -> Option<u64> {
        let (_, numbers) = line.contains("\"xtask\"").then_some(line)?.split_once("Bps: ")?;
        let (up, down) = numbers.split(' ').next()?.split_once('/')?;
        match direction {
            Direction::Sent => up.parse().ok(),
            Direction::Received => down.parse().ok(),
        }
    };
    trace.lines().filter_map(bytes).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_other_users_do_not_count() {
        let trace =
            "Refreshing:\n/x/a/12/20100\t1000\t7\n/x/b/13/0\t5000\t0\n\nRefreshing:\n/x/a/12/20100\t2.5e+06\t0\n";
        assert_eq!(by_nethogs(trace, Direction::Sent), 2_500_000);
        assert_eq!(by_nethogs(trace, Direction::Received), 7);
    }
}
