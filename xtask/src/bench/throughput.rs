//! How much slower a transfer is while trafcalc counts it.

use std::thread::sleep;
use std::time::Duration;

use anyhow::Result;

use super::figures::Figures;
use super::line::Line;
use super::table::{Table, column};
use super::tool::{Tool, Watcher};
use super::transfer::{FULL_SPEED, Moved, Transfer};

/// Who is compared with nobody: nobody again, to show how much of a difference is noise.
const NOBODY: &str = "nobody (noise)";

/// For the kernel to tidy up behind a tool that has started or stopped.
const PAUSE: Duration = Duration::from_millis(300);

/// Transfers of a turn, of which the median is taken: starting a tool takes longer than one of them.
const TRANSFERS: usize = 5;

/// A transfer, in so many turns.
pub(super) struct Speed {
    pub(super) title: &'static str,
    about: &'static str,
    transfer: Transfer,
}

/// Short ones: the machine's own ups and downs are longer than a transfer, and hit all who take part in a turn.
pub(super) const SPEEDS: [Speed; 2] = [
    Speed {
        title: "Throughput, writes of 64 KiB",
        about: "Limit: 1 % less.",
        transfer: Transfer { bytes: 400_000_000, on_one_processor: true, ..FULL_SPEED },
    },
    Speed {
        title: "Throughput, writes of 1,000 bytes",
        about: "Limit: 3 % less.",
        transfer: Transfer { bytes: 60_000_000, chunk: 1_000, on_one_processor: true, ..FULL_SPEED },
    },
];

const ABOUT: &str = "Both ends on one processor, which is all they wait for: its time, of both of them and of the kernel on their \
                     behalf, is what a byte costs, and *change* is how many fewer bytes a second of it moves. In each turn five \
                     transfers are unwatched, and five are watched by each of these; the median of each five counts, and \
                     changes are against the unwatched ones.";

/// Measures one.
pub(super) fn measure(speed: &Speed, tools: &[Tool], turns: u32) -> Result<Table> {
    let columns = [column("change, %", 2), column("MB per CPU s", 0), column("change by the clock, %", 2)];
    let mut table = Table::new(speed.title, "", "watched by", &columns);
    let line = Line::new()?;
    let watched: Vec<_> = [None].into_iter().chain(tools.iter().map(Some)).collect();
    for turn in 0..usize::try_from(turns)? {
        eprintln!("{}, turn {}", speed.title, turn + 1);
        // Whoever is first has no advantage from it, nor the one in the middle.
        let mut rates = vec![Rate::default(); watched.len() + 1];
        for place in 0..rates.len() {
            let who = (turn + place) % rates.len();
            rates[who] = rate(&speed.transfer, &line, watched.get(who.wrapping_sub(1)).copied().flatten())?;
        }
        for (tool, rate) in watched.iter().zip(&rates[1..]) {
            let name = tool.map_or_else(|| NOBODY.to_owned(), Tool::name);
            let change = |rate: f64, unwatched: f64| (rate / unwatched - 1.0) * 100.0;
            let by_clock = change(rate.by_clock, rates[0].by_clock);
            table.add(&name, &[change(rate.by_cpu, rates[0].by_cpu), rate.by_cpu, by_clock]);
        }
    }
    table.about = format!("{ABOUT} {} {}", speed.about, medians(&table));
    Ok(table)
}

/// Where the true medians are.
fn medians(table: &Table) -> String {
    let told = table.rows.iter().filter_map(|(name, _)| {
        let (low, high) = Figures::confidence(&table.figures(name, 0))?;
        Some(format!("{name} {low:.2} to {high:.2}"))
    });
    format!("The true median change lies, with 95 % confidence, between: {}.", told.collect::<Vec<_>>().join(", "))
}

/// Megabytes a second.
#[derive(Clone, Copy, Default)]
struct Rate {
    by_cpu: f64,
    by_clock: f64,
}

fn rate(transfer: &Transfer, line: &Line, tool: Option<&Tool>) -> Result<Rate> {
    let watcher = tool.map(|tool| tool.start(line)).transpose()?;
    sleep(PAUSE);
    let moved = (0..TRANSFERS).map(|_| Ok(transfer.run(line, || Ok(()))?.0)).collect::<Result<Vec<_>>>()?;
    watcher.map(Watcher::stop).transpose()?;
    let median = |seconds: fn(&Moved) -> f64| {
        let rates = moved.iter().map(|moved| super::compare::megabytes(moved.bytes) / seconds(moved));
        Figures::new(rates).median().unwrap_or_default()
    };
    Ok(Rate { by_cpu: median(|moved| moved.cpu_s), by_clock: median(|moved| moved.seconds) })
}
