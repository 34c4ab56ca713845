//! `cargo xtask bench`: error and cost of trafcalc and its peers, on the same transfers in one run.
//!
//! The traffic goes through a veth pair between two network namespaces, which are removed at the end. Tools take turns,
//! or watch at the same time if that leaves processors idle, so that a busy minute of the machine affects all of them.
//! It must never touch any other interface.

mod compare;
mod events;
mod figures;
mod growth;
mod guest;
mod life;
mod line;
mod measured;
mod peers;
mod plot;
mod results;
pub(crate) mod slices;
mod statistics;
mod table;
mod throughput;
mod tool;
pub(crate) mod traffic;
mod transfer;

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use clap::Args;

use crate::{build, setup, shell, system};
use results::Results;
use table::Table;
use tool::Tool;

/// What to measure, and how long.
#[derive(Args)]
pub(crate) struct Arguments {
    /// Runs of each tool on each transfer; the tables have medians
    #[arg(long, default_value_t = 3)]
    turns: u32,
    /// Runs of each throughput measurement, whose effect is smaller than the noise of a single run
    #[arg(long, default_value_t = 6)]
    throughput_turns: u32,
    /// Number of short connections in the test that the service does not grow
    #[arg(long, default_value_t = 100_000)]
    connections: u32,
    /// Measure only tables with this text in their title
    #[arg(long)]
    only: Option<String>,
    /// The built program; set when the command starts itself again as root
    #[arg(long, hide = true, requires = "empty")]
    program: Option<PathBuf>,
    /// The same with eBPF programs that do nothing
    #[arg(long, hide = true)]
    empty: Option<PathBuf>,
    /// Measure what a virtual machine is for, being in one
    #[arg(long, hide = true)]
    inside: bool,
}

/// Runs the command. Programs are built as the calling user; measurements run as root.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let (program, empty) = match (&arguments.program, &arguments.empty) {
        (Some(program), Some(empty)) => (program.clone(), empty.clone()),
        _ => built()?,
    };
    if system::is_root() {
        return Bench::new(arguments, &program, empty)?.run();
    }
    let again = system::as_root(env::current_exe()?);
    guest::fetch();
    let mut again = again.context("the bench makes network namespaces: run it as root, or with sudo that works")?;
    again.arg("bench").args(env::args_os().skip(2));
    shell::run(again.arg("--program").arg(program).arg("--empty").arg(empty))
}

fn built() -> Result<(PathBuf, PathBuf)> {
    setup::ensure_tools()?;
    if let Err(error) = peers::build() {
        eprintln!("a peer will be left out: {error:#}");
    }
    Ok((build::release()?, build::release_with_empty_programs()?))
}

/// The tools, and the results so far.
struct Bench<'a> {
    arguments: &'a Arguments,
    program: PathBuf,
    empty: PathBuf,
    trafcalc: Vec<Tool>,
    results: Results,
}

impl<'a> Bench<'a> {
    fn new(arguments: &'a Arguments, program: &Path, empty: PathBuf) -> Result<Self> {
        let mut results = Results::new()?;
        let trafcalc = tool::trafcalc(program, &mut results.left_out);
        Ok(Self { arguments, program: program.to_owned(), empty, trafcalc, results })
    }

    fn run(mut self) -> Result<()> {
        if self.arguments.inside {
            return guest::inside(&self.trafcalc, &self.empty, &self.results.left_out);
        }
        self.compare()?;
        self.in_guests();
        let Arguments { turns, throughput_turns, connections, .. } = *self.arguments;
        let ebpf: Vec<_> = self.trafcalc.iter().filter(|tool| tool.is_ebpf()).cloned().collect();
        for tool in &ebpf {
            let empty = self.empty.clone();
            self.table("Nanoseconds an event", |_| events::measure(&tool.by_process(), &empty, turns))?;
        }
        for tool in &ebpf {
            let empty = self.empty.clone();
            self.table("Whose an event is", |_| events::measure_whose(tool, &empty, turns))?;
        }
        self.lives(&ebpf)?;
        for speed in &throughput::SPEEDS {
            let empty = self.empty.clone();
            self.table(speed.title, |tools| throughput::measure(speed, tools, &empty, throughput_turns))?;
        }
        self.table("Growth with accounts", |tools| growth::with_accounts(tools, turns))?;
        self.table("Growth with open connections", growth::with_connections)?;
        self.table("Growth after connections", |tools| growth::after_connections(tools, connections))?;
        self.results.write()
    }

    /// Transfers that peers watch as well.
    fn compare(&mut self) -> Result<()> {
        if !compare::WORKLOADS.iter().any(|workload| self.is_wanted(workload.title)) {
            return Ok(());
        }
        let tools = [self.trafcalc.clone(), tool::peers(&mut self.results.left_out)].concat();
        let turns = self.arguments.turns;
        for workload in &compare::WORKLOADS {
            self.table(workload.title, |_| compare::measure(workload, &tools, turns))?;
        }
        Ok(())
    }

    /// The cost over a connection's life. It is the same in all attach modes, because only the hooks of events differ.
    fn lives(&mut self, ebpf: &[Tool]) -> Result<()> {
        let Some(tool) = ebpf.first() else { return Ok(()) };
        let (empty, turns) = (self.empty.clone(), self.arguments.turns);
        self.table(life::END, |_| life::end(tool, &empty, turns))?;
        self.table(life::LOOPBACK_END, |_| life::loopback_end(tool, &empty, turns))?;
        self.table(life::CPU, |_| life::cpu(tool))?;
        self.table(life::LOOK, |_| life::look(tool, turns))?;
        self.table(life::START, |_| life::start(ebpf, turns))
    }

    /// Measurements that need another kernel.
    fn in_guests(&mut self) {
        if guest::TITLES.iter().any(|title| self.is_wanted(title)) {
            let tables = guest::measure(&self.program, &self.empty, &mut self.results.left_out);
            for table in &tables {
                print!("{}", table.markdown());
            }
            self.results.tables.extend(tables);
        }
    }

    fn table(&mut self, title: &str, measure: impl FnOnce(&[Tool]) -> Result<Table>) -> Result<()> {
        if self.is_wanted(title) {
            let table = measure(&self.trafcalc).with_context(|| format!("measuring: {title}"))?;
            print!("{}", table.markdown());
            self.results.tables.push(table);
        }
        Ok(())
    }

    fn is_wanted(&self, title: &str) -> bool {
        self.arguments.only.as_ref().is_none_or(|only| title.contains(only.as_str()))
    }
}
