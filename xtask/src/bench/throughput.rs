//! How much slower a transfer is while trafcalc counts it.

use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use anyhow::Result;

use super::figures::Figures;
use super::line::Line;
use super::slices::{self, Writes};
use super::table::{Table, column};
use super::tool::{Tool, Watcher};

/// For the kernel to tidy up behind a tool that has started or stopped.
const PAUSE: Duration = Duration::from_millis(300);

/// A transfer, in so many turns.
pub(super) struct Speed {
    pub(super) title: &'static str,
    about: &'static str,
    writes: Writes,
}

/// Both of them.
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

const ABOUT: &str = "One thread has both ends and reads what it wrote, in slices of some milliseconds; the time is that of its \
                     processor, the kernel's work for it included. In each turn one transfer of 100 slices is watched by each \
                     of these, and one by nobody. Of the turns' first, second and last third the slices are put together, \
                     and the lowest tenth of them, which nothing on the host disturbed, gives a time. *Change* is how many \
                     fewer bytes a second of a processor moves than unwatched. What programs that do nothing take is the \
                     kernel's, for calling them.";

/// Parts of the turns, each of which gives a figure.
const PARTS: usize = 3;

/// Measures one. Beside each tool that counts in the kernel, the same hooks with `empty` programs.
pub(super) fn measure(speed: &Speed, tools: &[Tool], empty: &Path, turns: u32) -> Result<Table> {
    let columns = [column("change, %", 1), column("ns a write and its read", 0)];
    let mut table = Table::new(speed.title, &format!("{ABOUT} {}", speed.about), "watched by", &columns);
    let line = Line::new()?;
    let watched = watched(tools, empty);
    let mut slices = vec![vec![Vec::new(); PARTS]; watched.len()];
    let turns = usize::try_from(turns)?.max(PARTS);
    for turn in 0..turns {
        eprintln!("{}, turn {}", speed.title, turn + 1);
        // Whoever is first has no advantage from it, nor the one in the middle.
        for place in 0..watched.len() {
            let who = (turn + place) % watched.len();
            slices[who][turn * PARTS / turns].extend(transfer(speed.writes, &line, watched[who].1.as_ref())?);
        }
    }
    let time = |slices: &Vec<f64>| Figures::new(slices.iter().copied()).lowest_tenth().unwrap_or(f64::NAN);
    for ((name, _), parts) in watched.iter().zip(&slices) {
        for (unwatched, part) in slices[0].iter().zip(parts) {
            table.add(name, &[(time(unwatched) / time(part) - 1.0) * 100.0, time(part)]);
        }
    }
    Ok(table)
}

fn watched(tools: &[Tool], empty: &Path) -> Vec<(String, Option<Tool>)> {
    let mut watched = vec![("unwatched".to_owned(), None), ("unwatched again (noise)".to_owned(), None)];
    for tool in tools {
        if tool.is_ebpf() {
            watched.push((format!("{}, programs that do nothing", tool.name()), Some(tool.built_as(empty))));
        }
        watched.push((tool.name(), Some(tool.clone())));
    }
    watched
}

/// The slices of one transfer.
fn transfer(writes: Writes, line: &Line, tool: Option<&Tool>) -> Result<Vec<f64>> {
    let watcher = tool.map(|tool| tool.start(line)).transpose()?;
    sleep(PAUSE);
    let slices = slices::measure(line, writes)?;
    watcher.map(Watcher::stop).transpose()?;
    Ok(slices)
}
