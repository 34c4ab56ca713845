//! The cost over a connection's life: its end, a sweep while it is open, and the start of the service.

use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};

use super::compare::megabytes;
use super::line::Line;
use super::measured::Measured;
use super::statistics::{Programs, STATES, Statistics};
use super::table::{Table, column};
use super::tool::{Tool, Watcher};
use super::transfer::{FULL_SPEED, Transfer};

/// The titles, by which tables are selected.
pub(super) const END: &str = "An end of a short connection";
pub(super) const LOOPBACK_END: &str = "An end of a short connection over loopback";
pub(super) const CPU: &str = "CPU of a short connection";
pub(super) const LOOK: &str = "A look at all connections";
pub(super) const START: &str = "Start";

/// 20,000 connections of 100 bytes each way, one after the other.
const SHORT: Transfer =
    Transfer { bytes: 100, chunk: 100, connections: 20_000, is_answered: true, on_one_processor: true, ..FULL_SPEED };
const SHORT_LOOPBACK: Transfer = Transfer { connections: 10_000, is_loopback: true, ..SHORT };

/// Turns of the processor-time measurement, in which one percent matters.
const CPU_TURNS: u32 = 8;
const UNWATCHED: &str = "unwatched";

/// Write reports only when asked.
const WHEN_ASKED: &[&str] = &["--interval", "1h"];
/// Numbers of open connections, and the number of sweeps averaged.
const OPEN: [u32; 2] = [1_000, 10_000];
const LOOKS: u32 = 5;

/// The cost of the programs at each end of a connection between two hosts.
pub(super) fn end(tool: &Tool, empty: &Path, turns: u32) -> Result<Table> {
    let about = "20,000 connections of 100 bytes each way, one after the other, both of whose ends are on this host; \
                 `kernel.bpf_stats_enabled`, whose own reading of the clock is in all of them. *Runs* are those of the \
                 programs at `inet_sock_set_state`, *ns an end* is of all attached programs. Several copies are at this \
                 tracepoint, in the object of programs that do nothing, too: *one empty program* is what these take there, \
                 divided by their number. Limits of users: 10 runs, and 1,200 ns above one empty program.";
    let columns = [column("runs an end", 1), column("ns an end", 0), column("above one empty program, ns", 0)];
    let mut table = Table::new(END, about, "tool", &columns).drawing(2);
    let _statistics = Statistics::on()?;
    for turn in 1..=turns {
        eprintln!("{END}, turn {turn}");
        let nothing = Cost::of(&tool.built_as(empty), &SHORT)?;
        let mut add = |name: &str, cost: Cost| table.add(name, &[cost.runs, cost.ns, cost.ns - nothing.one_copy_ns]);
        add(&doing_nothing(tool), nothing);
        for tool in [tool.clone(), tool.by_process()] {
            add(&tool.name(), Cost::of(&tool, &SHORT)?);
        }
    }
    Ok(table)
}

/// The same for connections that the programs do not count.
pub(super) fn loopback_end(tool: &Tool, empty: &Path, turns: u32) -> Result<Table> {
    let about = "As above, 10,000 connections over a loopback device, which are not counted. Limit of users: 1.3 times the \
                 programs that do nothing.";
    let columns = [column("runs an end", 1), column("ns an end", 0), column("to programs that do nothing", 2)];
    let mut table = Table::new(LOOPBACK_END, about, "tool", &columns).drawing(2);
    let _statistics = Statistics::on()?;
    for turn in 1..=turns {
        eprintln!("{LOOPBACK_END}, turn {turn}");
        for tool in [tool.clone(), tool.by_process()] {
            let nothing = Cost::of(&tool.built_as(empty), &SHORT_LOOPBACK)?;
            let ours = Cost::of(&tool, &SHORT_LOOPBACK)?;
            table.add(&doing_nothing(&tool), &[nothing.runs, nothing.ns, 1.0]);
            table.add(&tool.name(), &[ours.runs, ours.ns, ours.ns / nothing.ns]);
        }
    }
    Ok(table)
}

fn doing_nothing(tool: &Tool) -> String {
    format!("{}, programs that do nothing", tool.name())
}

/// The cost of an end of a connection.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Cost {
    /// Runs of programs at the tracepoint.
    runs: f64,
    /// Nanoseconds of all attached programs.
    ns: f64,
    /// Nanoseconds of the programs at the tracepoint, divided by their number.
    one_copy_ns: f64,
}

impl Cost {
    /// Measures it while `tool` watches this traffic.
    fn of(tool: &Tool, traffic: &Transfer) -> Result<Self> {
        let line = Line::new()?;
        let watcher = tool.start(&line)?;
        let before = watcher.program.bpf_programs()?;
        let (_, after) = traffic.run(&line, || watcher.program.bpf_programs())?;
        watcher.stop()?;
        ensure!(after.at(STATES).events > 0.0, "the kernel has no statistics of {}", tool.name());
        Ok(Self::between(&before, &after, traffic.connections))
    }

    /// The cost between two readings. Both ends of each connection are on this host.
    fn between(before: &Programs, after: &Programs, connections: u32) -> Self {
        let ends = f64::from(connections) * 2.0;
        let states = after.at(STATES).since(before.at(STATES));
        let all = after.attached().since(before.attached());
        Self {
            runs: states.events / ends,
            ns: all.nanoseconds / ends,
            one_copy_ns: states.nanoseconds / f64::from(after.copies(STATES)) / ends,
        }
    }
}

/// How much more processor time connections take while they are counted.
pub(super) fn cpu(tool: &Tool) -> Result<Table> {
    let about = "20,000 connections of 100 bytes each way, one after the other; the processor time of both their ends, the \
                 kernel's work on their behalf included. In turns with and without, of which the ratios are; the kernel's \
                 statistics are off. Limit: 1.025.";
    let columns = [column("CPU, µs a connection", 1), column("to unwatched", 3)];
    let mut table = Table::new(CPU, about, "watched by", &columns).drawing(1);
    let _statistics = Statistics::off()?;
    for turn in 1..=CPU_TURNS {
        eprintln!("{CPU}, turn {turn}");
        // The order alternates.
        let (without, with) = if turn % 2 == 1 {
            let without = cpu_of_connection(None)?;
            (without, cpu_of_connection(Some(tool))?)
        } else {
            let with = cpu_of_connection(Some(tool))?;
            (cpu_of_connection(None)?, with)
        };
        table.add(UNWATCHED, &[without, 1.0]);
        table.add(&tool.name(), &[with, with / without]);
    }
    Ok(table)
}

/// In microseconds.
fn cpu_of_connection(tool: Option<&Tool>) -> Result<f64> {
    let line = Line::new()?;
    let watcher = tool.map(|tool| tool.start(&line)).transpose()?;
    let (moved, ()) = SHORT.run(&line, || Ok(()))?;
    watcher.map(Watcher::stop).transpose()?;
    Ok(moved.cpu / f64::from(SHORT.connections) * 1e6)
}

/// The cost of sweeping open connections.
pub(super) fn look(tool: &Tool, turns: u32) -> Result<Table> {
    let about = "The time in the kernel that a report takes (SIGUSR1) while so many connections are open and idle, by \
                 `kernel.bpf_stats_enabled` of the program that looks at them, which is attached to nothing. Both ends are on \
                 this host, so a connection is two streams. *ns a stream* is all of that time divided by them; *first look* is \
                 the one after the connections have been opened and each has moved a byte. Limits: 120 ns a stream, and \
                 0.1 ms with none.";
    let columns = [column("ms a look", 3), column("ns a stream", 0), column("first look, ns a stream", 0)];
    let mut table = Table::new(LOOK, about, "open connections", &columns).drawing(1);
    let _statistics = Statistics::on()?;
    for turn in 1..=turns {
        eprintln!("{LOOK}, turn {turn}");
        let line = Line::new()?;
        let watcher = tool.with(WHEN_ASKED).start(&line)?;
        table.add("0", &[ns_a_look(&watcher.program, LOOKS)? / 1e6]);
        for connections in OPEN {
            let open = Transfer { bytes: 1, connections, hold: Some(Duration::from_millis(200)), ..FULL_SPEED };
            let looks = || Ok((ns_a_look(&watcher.program, 1)?, ns_a_look(&watcher.program, LOOKS)?));
            let (_, (first, idle)) = open.run(&line, looks)?;
            let streams = f64::from(connections) * 2.0;
            table.add(&connections.to_string(), &[idle / 1e6, idle / streams, first / streams]);
        }
        watcher.stop()?;
    }
    Ok(table)
}

/// The mean of `looks` sweeps. After the start, only the sweeping program runs among those attached to nothing.
fn ns_a_look(program: &Measured, looks: u32) -> Result<f64> {
    let before = program.bpf_programs()?.run_by_process();
    (0..looks).try_for_each(|_| program.report())?;
    let spent = program.bpf_programs()?.run_by_process().since(before);
    ensure!(spent.events > 0.0, "no program looked at connections");
    Ok(spent.nanoseconds / f64::from(looks))
}

/// The cost of the service's start.
pub(super) fn start(tools: &[Tool], turns: u32) -> Result<Table> {
    let about = "Processor time of the service until it is ready, and the kernel's memory of all its maps. Limits: 0.2 s, 24 MB.";
    let columns = [column("CPU, s", 2), column("maps, MB", 1)];
    let mut table = Table::new(START, about, "tool", &columns);
    for turn in 1..=turns {
        eprintln!("{START}, turn {turn}");
        for tool in tools.iter().flat_map(|tool| [tool.clone(), tool.by_process()]) {
            let line = Line::new()?;
            let watcher = tool.start(&line)?;
            let (cpu, maps) = (watcher.program.cpu_since_start()?, watcher.program.bpf_map_bytes()?);
            watcher.stop()?;
            table.add(&tool.name(), &[cpu, megabytes(maps)]);
        }
    }
    Ok(table)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two copies at the tracepoint, a program at another hook, and one that is attached to nothing.
    fn programs(runs: u32) -> Programs {
        let program = |id: u32, ns: u32| format!("prog_id:\t{id}\nrun_time_ns:\t{}\nrun_cnt:\t{runs}\n", ns * runs);
        let link = |id: u32, hook: &str| format!("link_type:\traw_tracepoint\nprog_id:\t{id}\ntp_name:\t{hook}\n");
        Programs::new(&[
            program(1, 30),
            program(2, 50),
            program(3, 7),
            program(4, 1_000),
            link(1, STATES),
            link(2, STATES),
            link(3, "sock_send_length"),
        ])
    }

    #[test]
    fn a_connection_has_two_ends_and_a_tracepoint_several_copies() {
        let cost = Cost::between(&programs(10), &programs(1_010), 100);
        assert_eq!(cost, Cost { runs: 10.0, ns: 435.0, one_copy_ns: 200.0 });
    }
}
