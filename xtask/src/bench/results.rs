//! Writes all tables, with a description of the machine, to `target/bench/`.

use std::fmt::Write as _;
use std::fs;
use std::process::Command;
use std::thread::available_parallelism;

use anyhow::Result;
use serde_json::{Value, json};

use super::plot;
use super::table::Table;
use crate::shell;

/// The folder of the drawings, beside the tables.
const PLOTS: &str = "plots";

/// The results of a run.
pub(super) struct Results {
    /// The machine and the time.
    machine: Vec<(&'static str, String)>,
    pub(super) tables: Vec<Table>,
    /// Tools that could not take part, and why.
    pub(super) left_out: Vec<String>,
}

impl Results {
    /// The results of a run that starts now.
    pub(super) fn new() -> Result<Self> {
        let machine = vec![
            ("kernel", line("/proc/sys/kernel/osrelease")?),
            ("processor", processor()?),
            ("processors", available_parallelism()?.to_string()),
            ("date", shell::output(Command::new("date").args(["-u", "+%F %R UTC"]))?.trim().to_owned()),
            ("load before", line("/proc/loadavg")?),
        ];
        Ok(Self { machine, tables: Vec::new(), left_out: Vec::new() })
    }

    /// Writes everything.
    pub(super) fn write(mut self) -> Result<()> {
        self.machine.push(("load after", line("/proc/loadavg")?));
        let dir = shell::workspace().join("target/bench");
        let plots = dir.join(PLOTS);
        // Removes drawings of a former run, which may have had more tables.
        let _ = fs::remove_dir_all(&plots);
        fs::create_dir_all(&plots)?;
        fs::write(dir.join("bench.md"), self.markdown())?;
        fs::write(dir.join("bench.json"), serde_json::to_string_pretty(&self.json())?)?;
        for (index, table) in self.tables.iter().enumerate() {
            fs::write(plots.join(plot_name(index)), plot::svg(table)?)?;
        }
        println!("\nwritten: {}", dir.display());
        Ok(())
    }

    fn markdown(&self) -> String {
        let machine = self.machine.iter().map(|(name, value)| format!("{name} {value}"));
        let mut text = format!("{}. Median (least to most).\n", machine.collect::<Vec<_>>().join(", "));
        for (index, table) in self.tables.iter().enumerate() {
            let _ = writeln!(text, "{}\n![{}]({PLOTS}/{})", table.markdown(), table.title, plot_name(index));
        }
        for what in &self.left_out {
            let _ = write!(text, "\nleft out: {what}\n");
        }
        text
    }

    fn json(&self) -> Value {
        let machine: serde_json::Map<_, _> =
            self.machine.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
        let tables: Vec<_> = self.tables.iter().map(Table::json).collect();
        json!({ "machine": machine, "tables": tables, "left_out": self.left_out })
    }
}

fn plot_name(index: usize) -> String {
    format!("{:02}.svg", index + 1)
}

fn line(path: &str) -> Result<String> {
    Ok(fs::read_to_string(path)?.trim().to_owned())
}

/// The processor's name from the kernel; some architectures have none.
fn processor() -> Result<String> {
    let info = fs::read_to_string("/proc/cpuinfo")?;
    let name = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    Ok(name.map_or(std::env::consts::ARCH, |(_, name)| name.trim()).to_owned())
}
