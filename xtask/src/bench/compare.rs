//! Compares error and cost of all tools on the same transfers.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use super::line::Line;
use super::table::{Column, Table, column};
use super::tool::{Tool, Watcher};
use super::traffic::Reading;
use super::transfer::{Direction, FULL_SPEED, Transfer};

/// A transfer that all tools watch.
pub(super) struct Workload {
    pub(super) title: &'static str,
    transfer: Transfer,
    /// Whether it leaves processors idle, so that all tools can watch it at the same time.
    is_shared: bool,
}

const IN_TURN: Workload =
    Workload { title: "3 GB at full speed, writes of 64 KiB", transfer: FULL_SPEED, is_shared: false };

/// All transfers.
pub(super) const WORKLOADS: [Workload; 7] = [
    Workload {
        title: "3 MB/s for 20 s",
        transfer: Transfer { bytes: 60_000_000, rate: Some(3_000_000), ..FULL_SPEED },
        is_shared: true,
    },
    IN_TURN,
    Workload {
        title: "300 MB at full speed, writes of 1,000 bytes",
        transfer: Transfer { bytes: 300_000_000, chunk: 1_000, ..FULL_SPEED },
        ..IN_TURN
    },
    Workload {
        title: "2,000 connections of 10,000 bytes",
        transfer: Transfer { bytes: 10_000, connections: 2_000, ..FULL_SPEED },
        ..IN_TURN
    },
    Workload {
        title: "10,000 idle connections",
        transfer: Transfer { bytes: 1_000, connections: 10_000, hold: Some(Duration::from_secs(3)), ..FULL_SPEED },
        is_shared: true,
    },
    Workload {
        title: "3 GB received with MSG_WAITALL",
        transfer: Transfer { reading: Reading::WaitAll, ..RECEIVED },
        ..IN_TURN
    },
    Workload {
        title: "3 GB received, peeked at first",
        transfer: Transfer { reading: Reading::Peek, ..RECEIVED },
        ..IN_TURN
    },
];

const RECEIVED: Transfer = Transfer { direction: Direction::Received, ..FULL_SPEED };

const COLUMNS: [Column; 5] = [
    column("error, %", 4),
    column("without owner, %", 4),
    column("CPU, s", 3),
    column("memory, MB", 1),
    column("transfer, s", 2),
];
/// The index of the column that is drawn.
const CPU: usize = 2;
const ABOUT: &str = "*Error* is that of all bytes the tool counted, *without owner* the part of the truth that it gave to nobody \
                     or to somebody else. *CPU* is its processor time during the transfer, without starting and stopping. \
                     *Memory* is resident, beside a ring shared with the kernel.";

/// Measures one transfer.
pub(super) fn measure(workload: &Workload, tools: &[Tool], turns: u32) -> Result<Table> {
    let turns_are = if workload.is_shared { "All tools watch at the same time." } else { "Tools take turns." };
    let mut table = Table::new(workload.title, &format!("{turns_are} {ABOUT}"), "tool", &COLUMNS).drawing(CPU);
    for turn in 1..=turns {
        let at_once = if workload.is_shared { tools.len() } else { 1 };
        for tools in tools.chunks(at_once) {
            let names = tools.iter().map(Tool::name).collect::<Vec<_>>().join(", ");
            eprintln!("{}, turn {turn}: {names}", workload.title);
            let rows = watch(&workload.transfer, tools);
            let rows = rows.with_context(|| format!("{}: {names}", workload.title))?;
            tools.iter().zip(rows).for_each(|(tool, row)| table.add(&tool.name(), &row));
        }
    }
    Ok(table)
}

/// The error of a tool that watches a transfer, in percent.
pub(super) fn error(transfer: &Transfer, tool: &Tool) -> Result<f64> {
    let [[error, ..]] = watch(transfer, std::slice::from_ref(tool))?[..] else { bail!("one tool has one row") };
    Ok(error)
}

/// Runs a transfer that all `tools` watch; returns a row for each.
fn watch(transfer: &Transfer, tools: &[Tool]) -> Result<Vec<[f64; COLUMNS.len()]>> {
    let line = Line::new()?;
    let watchers = tools.iter().map(|tool| tool.start(&line)).collect::<Result<Vec<_>>>()?;
    let cpu = || watchers.iter().map(|watcher| watcher.program.cpu_so_far()).collect::<Result<Vec<_>>>();
    let resident = || watchers.iter().map(|watcher| watcher.program.resident()).collect::<Result<Vec<_>>>();
    let before = cpu()?;
    let (moved, (after, resident)) = transfer.run(&line, || Ok((cpu()?, resident()?)))?;
    let row = |(index, (tool, watcher)): (usize, (&Tool, Watcher))| {
        let counted = tool.counted(&watcher.stop()?, transfer.direction);
        let of_truth = |bytes: u64| share(bytes, moved.bytes);
        Ok([
            of_truth(counted.all) - 100.0,
            of_truth(counted.all.saturating_sub(counted.of_user)),
            after[index] - before[index],
            megabytes(resident[index]),
            moved.seconds,
        ])
    };
    tools.iter().zip(watchers).enumerate().map(row).collect()
}

/// In percent.
#[expect(clippy::cast_precision_loss, reason = "a percentage to be read by people")]
fn share(bytes: u64, of: u64) -> f64 {
    bytes as f64 / of as f64 * 100.0
}

#[expect(clippy::cast_precision_loss, reason = "megabytes to be read by people")]
pub(super) fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}
