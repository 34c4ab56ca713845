//! Measurements that this machine's own kernel may not allow: every attach mode, and a peer with the same kind of
//! hooks. They run in virtual machines, where elapsed time means nothing: errors and instructions are measured.

use std::env;
use std::path::{Path, PathBuf};
use std::thread;

use anyhow::{Context as _, Result, anyhow, bail, ensure};

use super::table::{Table, column};
use super::tool::Tool;
use super::traffic::Reading;
use super::transfer::{Direction, FULL_SPEED, Transfer};
use super::{compare, events, peers};
use crate::kernels::{self, Counted};
use crate::{shell, system};

/// The titles, by which tables are selected.
pub(super) const TITLES: [&str; 2] =
    ["Instructions an event, in virtual machines", "Error beside tcptop, in a virtual machine"];

/// Kernels by their names in the table: on the first, programs read sockets with load instructions, on the other with a
/// helper.
const KERNELS: [(&str, Counted); 2] = [("6.12", Counted::Linux6_12), ("6.1", Counted::Linux6_1)];

/// Few, because the machine is slow; the number of instructions hardly varies.
const EVENTS: Transfer = Transfer { bytes: 10_000_000, chunk: 1_000, ..FULL_SPEED };
const WRITES: f64 = 10_000.0;

const PLAIN: Transfer = Transfer { bytes: 20_000_000, direction: Direction::Received, ..FULL_SPEED };
/// The transfer of each column.
const ERRORS: [Transfer; 3] =
    [PLAIN, Transfer { reading: Reading::WaitAll, ..PLAIN }, Transfer { reading: Reading::Peek, ..PLAIN }];

/// The paths in the guest.
const OURSELVES: &str = "/test/xtask";
const PROGRAM: &str = "/test/trafcalc";
const EMPTY: &str = "/test/empty";
const TCPTOP: &str = "/test/tcptop";

/// Programs that the bench calls with options that busybox does not know.
const PROGRAMS: [(&str, &str); 5] = [
    ("/bin/nice", "nice"),
    ("/bin/nsenter", "nsenter"),
    ("/bin/prlimit", "prlimit"),
    ("/bin/setpriv", "setpriv"),
    ("/bin/taskset", "taskset"),
];

/// The beginning of a line with a row; the table's index, the row's name, and its values follow.
const ROW: &str = "@@row";
/// The beginning of a line about something that was left out.
const LEFT_OUT: &str = "left out: ";

/// Fetches kernels and tools as the calling user, who also runs tests in virtual machines, so that they do not belong
/// to root. If this fails, the error is reported when they are needed.
pub(super) fn fetch() {
    for (_, kernel) in KERNELS {
        let _ = kernel.fetch();
    }
}

/// Measures both tables. Adds what cannot be measured to `left_out`, with the reason.
pub(super) fn measure(program: &Path, empty: &Path, left_out: &mut Vec<String>) -> Vec<Table> {
    let mut tables = tables();
    let programs = match programs(program, empty, left_out) {
        Ok(programs) => programs,
        Err(error) => {
            left_out.push(format!("virtual machines: {error:#}"));
            return Vec::new();
        }
    };
    eprintln!("in virtual machines, at once: Linux {}", KERNELS.map(|(name, _)| name).join(", "));
    let said = thread::scope(|scope| {
        let runs = KERNELS.map(|(_, kernel)| {
            scope.spawn({
                let programs = &programs;
                move || run(kernel, programs)
            })
        });
        runs.map(|run| run.join().unwrap_or_else(|_| Err(anyhow!("the thread that waited for it panicked"))))
    });
    for ((name, _), said) in KERNELS.into_iter().zip(said) {
        match said.and_then(|said| read(&mut tables, name, &said)) {
            Ok(missing) => left_out.extend(missing),
            Err(error) => left_out.push(format!("Linux {name} in a virtual machine: {error:#}")),
        }
    }
    tables.into_iter().filter(|table| !table.rows.is_empty()).collect()
}

fn tables() -> [Table; 2] {
    let about_events = "10,000 writes of 1,000 bytes and the reads of them, `--by process`. A nanosecond of these machines is an instruction, \
                        so `kernel.bpf_stats_enabled` counts them; its own reading of the clock is in both, and *its own* is \
                        what the program itself takes, of an event and of all events of a write and its read. What it takes \
                        the kernel to get to a program is not in it, and differs between attach modes.";
    let events = [
        column("events", 0),
        column("empty", 0),
        column("trafcalc", 0),
        column("its own", 0),
        column("its own, a write and its read", 0),
    ];
    let about_errors =
        "20,000,000 bytes received, in percent of the truth. tcptop shows KB, so its last digit is not exact.";
    let errors = [column("read", 2), column("read with MSG_WAITALL", 2), column("peeked at first", 2)];
    [
        Table::new(TITLES[0], about_events, "kernel and attach mode", &events).drawing(4),
        Table::new(TITLES[1], about_errors, "tool", &errors).drawing(1),
    ]
}

/// The programs that the guest needs.
fn programs(program: &Path, empty: &Path, left_out: &mut Vec<String>) -> Result<Vec<(&'static str, PathBuf)>> {
    let mut programs = vec![(OURSELVES, env::current_exe()?), (PROGRAM, program.to_owned()), (EMPTY, empty.to_owned())];
    for (path, name) in PROGRAMS {
        programs.push((path, system::find(name).with_context(|| format!("there is no {name} here"))?));
    }
    match peers::tcptop() {
        Ok(tcptop) => programs.push((TCPTOP, tcptop)),
        Err(error) => left_out.push(format!("tcptop: {error:#}")),
    }
    Ok(programs)
}

fn run(kernel: Counted, programs: &[(&'static str, PathBuf)]) -> Result<String> {
    let folder = shell::workspace().join("target/bench");
    let steps = format!(
        "mkdir -p {}\ncd /tmp\n{OURSELVES} bench --program {PROGRAM} --empty {EMPTY} --inside",
        folder.display()
    );
    kernels::counting_instructions(kernel, programs, &steps)
}

/// Adds the rows that a guest printed; returns what it left out.
fn read(tables: &mut [Table; 2], kernel: &str, said: &str) -> Result<Vec<String>> {
    let mut rows = 0;
    for line in said.lines().filter(|line| line.contains(ROW)) {
        let words: Vec<_> = line.split('\t').collect();
        let [ROW, table, name, values @ ..] = &words[..] else { bail!("a row is not whole: {line:?}") };
        let table = tables.get_mut(table.parse::<usize>()?).context("there is no such table")?;
        let values = values.iter().map(|value| value.parse()).collect::<Result<Vec<f64>, _>>()?;
        ensure!(values.len() == table.columns.len(), "a row is not whole: {line:?}");
        table.add(&format!("{kernel}, {name}"), &values);
        rows += 1;
    }
    ensure!(rows > 0, "nothing was measured:\n{said}");
    let left_out = said.lines().filter_map(|line| line.strip_prefix(LEFT_OUT));
    Ok(left_out.map(|what| format!("Linux {kernel} in a virtual machine: {what}")).collect())
}

/// Runs in the guest: measures and prints rows.
pub(super) fn inside(tools: &[Tool], empty: &Path, left_out: &[String]) -> Result<()> {
    for what in left_out {
        println!("{LEFT_OUT}{what}");
    }
    let ebpf: Vec<_> = tools.iter().filter(|tool| tool.is_ebpf()).cloned().collect();
    for tool in &ebpf {
        // An attach mode that works for sweeping may not work for hooking each event.
        match events::compared(&tool.by_process(), empty, &EVENTS) {
            Ok([events, nothing, ours, _]) => {
                let own = ours - nothing;
                print(0, &tool.name(), &[events, nothing, ours, own, own * events / WRITES]);
            }
            Err(error) => println!("{LEFT_OUT}{}: {error:#}", tool.by_process().name()),
        }
    }
    let tcptop = Path::new(TCPTOP).exists().then(|| Tool::Peer(peers::tcptop_at(TCPTOP)));
    for tool in ebpf.first().cloned().into_iter().chain(tcptop) {
        let errors = ERRORS.iter().map(|transfer| compare::error(transfer, &tool)).collect::<Result<Vec<_>>>()?;
        print(1, &tool.name(), &errors);
    }
    Ok(())
}

fn print(table: usize, name: &str, values: &[f64]) {
    let values: Vec<_> = values.iter().map(f64::to_string).collect();
    println!("{ROW}\t{table}\t{name}\t{}", values.join("\t"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_that_a_guest_printed_come_into_their_tables() {
        let mut tables = tables();
        let said =
            "Linux\nleft out: kprobe: no\n@@row\t0\tfentry\t20000\t50\t90\t40\t80\n@@row\t1\ttcptop\t0.5\t1590\t100";
        let left_out = read(&mut tables, "6.12", said).unwrap();
        assert_eq!(left_out, ["Linux 6.12 in a virtual machine: kprobe: no"]);
        assert_eq!(tables[0].figures("6.12, fentry", 4).median(), Some(80.0));
        assert_eq!(tables[1].figures("6.12, tcptop", 1).median(), Some(1590.0));
        for broken in ["@@row\t1\ttcptop\t0.5\t1590", "@@row\t1\ttcptop\t0.5\t[ 7.1]\t3", "[ 1.0] @@row\t0", ""] {
            assert!(read(&mut tables, "6.12", broken).is_err(), "{broken}");
        }
    }
}
