//! What this machine's own kernel may not let us measure: every attach mode, and a peer that hooks in as they do. In
//! virtual machines, where seconds mean nothing: what is measured there is errors, and instructions.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::table::{Table, column};
use super::tool::Tool;
use super::traffic::Reading;
use super::transfer::{Direction, FULL_SPEED, Transfer};
use super::{compare, events, peers};
use crate::kernels::{self, Counted};
use crate::{shell, system};

/// The titles, by which the tables are chosen.
pub(super) const TITLES: [&str; 2] =
    ["Instructions an event, in virtual machines", "Error beside tcptop, in a virtual machine"];

/// Kernels by their names in the table: programs load from sockets by instructions on the first, by a helper on the other.
const KERNELS: [(&str, Counted); 2] = [("6.12", Counted::Linux6_12), ("6.1", Counted::Linux6_1)];

/// Few, as such a machine is slow; but the number of instructions hardly varies.
const EVENTS: Transfer = Transfer { bytes: 10_000_000, chunk: 1_000, ..FULL_SPEED };

const PLAIN: Transfer = Transfer { bytes: 20_000_000, direction: Direction::Received, ..FULL_SPEED };
/// One for each column.
const ERRORS: [Transfer; 3] =
    [PLAIN, Transfer { reading: Reading::WaitAll, ..PLAIN }, Transfer { reading: Reading::Peek, ..PLAIN }];

/// Where the guest has them.
const OURSELVES: &str = "/test/xtask";
const PROGRAM: &str = "/test/trafcalc";
const EMPTY: &str = "/test/empty";
const TCPTOP: &str = "/test/tcptop";

/// What the bench calls, with options that the guest's own shell does not know.
const PROGRAMS: [(&str, &str); 5] = [
    ("/bin/nice", "nice"),
    ("/bin/nsenter", "nsenter"),
    ("/bin/prlimit", "prlimit"),
    ("/bin/setpriv", "setpriv"),
    ("/bin/taskset", "taskset"),
];

/// The beginning of a line with a row: behind it the table, the row's name, and its values.
const ROW: &str = "@@row";

/// Measures both tables. Adds to `left_out` what could not be, with the reason.
pub(super) fn measure(program: &Path, empty: &Path, left_out: &mut Vec<String>) -> Vec<Table> {
    let mut tables = tables();
    for (name, kernel) in KERNELS {
        eprintln!("in a virtual machine: Linux {name}");
        match programs(program, empty, left_out).and_then(|programs| run(kernel, &programs)) {
            Ok(said) => said.lines().for_each(|line| add(&mut tables, name, line)),
            Err(error) => left_out.push(format!("Linux {name} in a virtual machine: {error:#}")),
        }
    }
    tables.into_iter().filter(|table| !table.rows.is_empty()).collect()
}

fn tables() -> [Table; 2] {
    let about_events = "10,000 writes of 1,000 bytes and the reads of them. A nanosecond of these machines is an instruction, \
                        so `kernel.bpf_stats_enabled` counts them; its own reading of the clock is in both, and *its own* is \
                        what the program itself takes.";
    let events = [column("events", 0), column("empty", 0), column("trafcalc", 0), column("its own", 0)];
    let about_errors =
        "20,000,000 bytes received, in percent of the truth. tcptop shows KB, so its last digit is not exact.";
    let errors = [column("read", 2), column("read with MSG_WAITALL", 2), column("peeked at first", 2)];
    [
        Table::new(TITLES[0], about_events, "kernel and attach mode", &events).drawing(3),
        Table::new(TITLES[1], about_errors, "tool", &errors).drawing(1),
    ]
}

/// What the guest needs.
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

fn add(tables: &mut [Table; 2], kernel: &str, line: &str) {
    let mut words = line.split('\t');
    let (Some(ROW), Some(table), Some(name)) = (words.next(), words.next(), words.next()) else { return };
    let values: Vec<f64> = words.filter_map(|word| word.parse().ok()).collect();
    if let Some(table) = table.parse().ok().and_then(|index: usize| tables.get_mut(index)) {
        table.add(&format!("{kernel}, {name}"), &values);
    }
}

/// In the guest: measures and prints rows.
pub(super) fn inside(tools: &[Tool], empty: &Path) -> Result<()> {
    let ebpf: Vec<_> = tools.iter().filter(|tool| tool.is_ebpf()).cloned().collect();
    for tool in &ebpf {
        let [events, nothing, ours, _] = events::compared(tool, empty, &EVENTS)?;
        print(0, &tool.name(), &[events, nothing, ours, ours - nothing]);
    }
    if !Path::new(TCPTOP).exists() {
        return Ok(());
    }
    for tool in [ebpf[0].clone(), Tool::Peer(peers::tcptop_at(TCPTOP))] {
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
        for line in
            ["@@row\t0\tfentry\t20000\t50\t90\t40", "@@row\t1\ttcptop\t0.5\t1590\t100", "Linux", "@@row\t7\ta\t1"]
        {
            add(&mut tables, "6.12", line);
        }
        assert_eq!(tables[0].figures("6.12, fentry", 3).median(), Some(40.0));
        assert_eq!(tables[1].figures("6.12, tcptop", 1).median(), Some(1590.0));
        assert_eq!(tables.map(|table| table.rows.len()), [1, 1]);
    }
}
