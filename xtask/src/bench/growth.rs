//! How trafcalc's cost grows with the number of accounts and of connections.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::compare::megabytes;
use super::line::Line;
use super::table::{Table, column};
use super::tool::{Tool, Watcher};
use super::transfer::{FULL_SPEED, Transfer};

/// How long processor time is measured.
const WINDOW: Duration = Duration::from_secs(3);
/// Time for a service that has just seen all accounts to look up their names and reach its steady state.
const SETTLE: Duration = Duration::from_millis(2_500);

/// Connections before memory is first measured.
const WARM_UP: u32 = 100_000;

/// Processor time with this many accounts, each of which moves every second.
pub(super) fn with_accounts(tools: &[Tool], turns: u32) -> Result<Table> {
    let about = "Every account moves every second and has a record every second (`--interval 1s`, the default is 1min); \
                 all tools watch at the same time. \
                 Limit with 1,000 accounts: 5 ms/s.";
    let columns = [column("CPU, ms/s", 2), column("memory, MB", 1)];
    let mut table = Table::new("Growth with accounts", about, "accounts", &columns);
    for users in [1, 100, 1_000, 10_000] {
        let transfer =
            Transfer { bytes: 1, connections: users, users, rate: Some(1), hold: Some(SETTLE), ..FULL_SPEED };
        for turn in 1..=turns {
            eprintln!("{}, turn {turn}: {users}", table.title);
            for (tool, (cpu, memory)) in tools.iter().zip(while_held(tools, &transfer, WINDOW)?) {
                table.add(&format!("{users}, {}", tool.name()), &[cpu, memory]);
            }
        }
    }
    Ok(table)
}

/// Memory with this many open, idle connections.
pub(super) fn with_connections(tools: &[Tool]) -> Result<Table> {
    let about = "All are open at once and idle, and all tools watch them at the same time. Tables in the kernel have a fixed size, and are not in it.";
    let columns = [column("memory, MB", 1), column("CPU, ms/s", 2)];
    let mut table = Table::new("Growth with open connections", about, "connections", &columns);
    for connections in [1, 10, 100, 1_000, 10_000, 100_000] {
        let transfer = Transfer { bytes: 1, connections, hold: Some(SETTLE), on_one_processor: true, ..FULL_SPEED };
        eprintln!("{}: {connections}", table.title);
        for (tool, (cpu, memory)) in tools.iter().zip(while_held(tools, &transfer, SETTLE)?) {
            table.add(&format!("{connections}, {}", tool.name()), &[memory, cpu]);
        }
    }
    Ok(table)
}

/// Memory after this many connections, one after the other.
pub(super) fn after_connections(tools: &[Tool], connections: u32) -> Result<Table> {
    let about = "Connections of one byte, one after the other, all of them closed. Limit: none gained.";
    let columns = [column("before, MB", 1), column("gained, MB", 2), column("CPU, µs each", 1), column("seconds", 0)];
    let title = format!("Growth after {connections} connections");
    let mut table = Table::new(&title, about, "tool", &columns).drawing(1);
    for tool in tools {
        eprintln!("{title}: {}", tool.name());
        let line = Line::new()?;
        let watcher = tool.start(&line)?;
        let short = |connections| Transfer { bytes: 1, connections, on_one_processor: true, ..FULL_SPEED };
        // Memory that is reused later is allocated in the beginning.
        short(connections.min(WARM_UP)).run(&line, || Ok(()))?;
        sleep(SETTLE);
        let (before, cpu_before) = (watcher.program.resident()?, watcher.program.cpu_so_far()?);
        let (moved, ()) = short(connections).run(&line, || Ok(()))?;
        sleep(SETTLE);
        let (after, cpu) = (watcher.program.resident()?, watcher.program.cpu_so_far()? - cpu_before);
        watcher.stop()?;
        let gained = megabytes(after) - megabytes(before);
        table.add(&tool.name(), &[megabytes(before), gained, cpu / f64::from(connections) * 1e6, moved.seconds]);
    }
    Ok(table)
}

/// Milliseconds of processor time a second and megabytes of memory of each tool while connections are held. All tools
/// watch at the same time.
fn while_held(tools: &[Tool], transfer: &Transfer, window: Duration) -> Result<Vec<(f64, f64)>> {
    let line = Line::new()?;
    let watchers = tools.iter().map(|tool| tool.start(&line)).collect::<Result<Vec<_>>>()?;
    let cpu = || watchers.iter().map(|watcher| watcher.program.cpu_so_far()).collect::<Result<Vec<_>>>();
    let look = || {
        let (start, before) = (Instant::now(), cpu()?);
        sleep(window);
        let (after, seconds) = (cpu()?, start.elapsed().as_secs_f64());
        let of = |(index, watcher): (usize, &Watcher)| {
            let cpu = (after[index] - before[index]) * 1e3 / seconds;
            Ok((cpu, megabytes(watcher.program.resident()?)))
        };
        watchers.iter().enumerate().map(of).collect::<Result<Vec<_>>>()
    };
    let (_, looked) = transfer.run(&line, look)?;
    watchers.into_iter().try_for_each(|watcher| watcher.stop().map(drop))?;
    Ok(looked)
}
