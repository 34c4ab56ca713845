//! How much slower a transfer is while trafcalc counts it.

use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Result, ensure};

use super::figures::Figures;
use super::line::Line;
use super::slices::{self, Writes};
use super::table::{Table, column};
use super::tool::{Tool, Watcher};
use super::transfer::Direction;

/// Lets the kernel clean up after a tool that has started or stopped.
const PAUSE: Duration = Duration::from_millis(300);

/// A transfer to measure.
pub(super) struct Speed {
    pub(super) title: &'static str,
    about: &'static str,
    writes: Writes,
}

/// All of them.
pub(super) const SPEEDS: [Speed; 2] = [
    Speed {
        title: "Throughput, writes of 64 KiB",
        about: "Limit: 1 % less.",
        writes: Writes { chunk: 65_536, at_once: 1, rounds: 200 },
    },
    Speed {
        title: "Throughput, writes of 1,000 bytes",
        about: "Limit: 3 % less.",
        writes: Writes { chunk: 1_000, at_once: 16, rounds: 64 },
    },
];

const ABOUT: &str = "One thread has both ends and reads what it wrote, in slices of some milliseconds; the time is the processor \
                     time of this thread, the kernel's work on its behalf included; what a tool does in threads of its own \
                     is in the tables above. In each turn one transfer of 100 slices is watched by each \
                     of these, and one by nobody. Of the turns' first, second and last third the slices are put together, \
                     and the lowest tenth of them, which nothing on the host disturbed, gives a time, that in the middle a \
                     second one. *Change* is how many fewer bytes a second of that time moves than unwatched, by the \
                     lowest tenth. Of users nothing is in the way of a byte with ebpf; of processes there are hooks, to which the limit is not meant, and \
                     programs that do nothing show what it takes to be called by the kernel.";

/// The turns are divided into this many parts, each of which gives a value.
const PARTS: usize = 3;

/// Measures a transfer. For each tool that counts in the kernel it adds the same tool with hooks, and these hooks with
/// `empty` programs.
pub(super) fn measure(speed: &Speed, tools: &[Tool], empty: &Path, turns: u32) -> Result<Table> {
    let columns = [column("change, %", 1), column("ns a write and its read, lowest tenth", 0), column("middle, ns", 0)];
    let mut table = Table::new(speed.title, &format!("{ABOUT} {}", speed.about), "watched by", &columns);
    let line = Line::new()?;
    let watched = watched(tools, empty);
    let mut slices = vec![vec![Vec::new(); PARTS]; watched.len()];
    let turns = usize::try_from(turns)?.max(PARTS);
    for turn in 0..turns {
        eprintln!("{}, turn {}", speed.title, turn + 1);
        // The order changes, so that none is always first or always after the same one.
        let mut order: Vec<_> = (0..watched.len()).map(|place| (turn + place) % watched.len()).collect();
        if turn % 2 == 1 {
            order.reverse();
        }
        for who in order {
            slices[who][turn * PARTS / turns].extend(watched[who].transfer(speed.writes, &line)?);
        }
    }
    let figures = |slices: &Vec<f64>| Figures::new(slices.iter().copied());
    let quiet = |slices| figures(slices).lowest_tenth().unwrap_or(f64::NAN);
    for (watched, parts) in watched.iter().zip(&slices) {
        for (unwatched, part) in slices[0].iter().zip(parts) {
            let middle = figures(part).median().unwrap_or(f64::NAN);
            table.add(&watched.name, &[(quiet(unwatched) / quiet(part) - 1.0) * 100.0, quiet(part), middle]);
        }
    }
    Ok(table)
}

/// What watches a transfer.
struct Watched {
    name: String,
    tool: Option<Tool>,
    /// Whether it has to count every byte.
    counts: bool,
}

fn watched(tools: &[Tool], empty: &Path) -> Vec<Watched> {
    let nobody = |name: &str| Watched { name: name.to_owned(), tool: None, counts: false };
    let mut watched = vec![nobody("unwatched"), nobody("unwatched again (noise)")];
    let counting = |tool: Tool| Watched { name: tool.name(), tool: Some(tool), counts: true };
    for tool in tools {
        watched.push(counting(tool.clone()));
        if tool.is_ebpf() {
            let hooked = tool.by_process();
            let name = format!("{}, programs that do nothing", hooked.name());
            watched.push(Watched { name, tool: Some(hooked.built_as(empty)), counts: false });
            watched.push(counting(hooked));
        }
    }
    watched
}

impl Watched {
    /// Runs one transfer; returns its slices.
    fn transfer(&self, writes: Writes, line: &Line) -> Result<Vec<f64>> {
        let watcher = self.tool.as_ref().map(|tool| tool.start(line)).transpose()?;
        sleep(PAUSE);
        let slices = slices::measure(line, writes)?;
        let said = watcher.map(Watcher::stop).transpose()?;
        if let (Some(tool), Some(said), true) = (&self.tool, said, self.counts) {
            let (counted, moved) = (tool.counted(&said, Direction::Sent).all, writes.bytes(slices.len()));
            ensure!(counted == moved, "{} counted {counted} of {moved} bytes", self.name);
        }
        Ok(slices)
    }
}
