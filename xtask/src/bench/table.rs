//! The table of results, in Markdown.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::process::Command;
use std::thread::available_parallelism;

use anyhow::Result;

use crate::shell;

/// One tool on one transfer, once.
pub(super) struct Sample {
    pub(super) cpu_s: f64,
    pub(super) transfer_s: f64,
    /// In percent; a tool that does not count has none.
    pub(super) error: Option<f64>,
    pub(super) resident_bytes: Option<u64>,
}

/// All samples, in the order in which tools and transfers came first.
#[derive(Default)]
pub(super) struct Table {
    rows: Vec<(&'static str, String)>,
    samples: BTreeMap<(&'static str, String), Vec<Sample>>,
}

impl Table {
    /// Adds one.
    pub(super) fn add(&mut self, workload: &'static str, tool: &str, sample: Sample) {
        let key = (workload, tool.to_owned());
        if !self.rows.contains(&key) {
            self.rows.push(key.clone());
        }
        self.samples.entry(key).or_default().push(sample);
    }

    /// The table with medians (least to most), the machine it is from, and what was left out.
    pub(super) fn markdown(&self, left_out: &[String]) -> Result<String> {
        let mut text = format!("{}\n", machine()?);
        let mut last = "";
        for row in &self.rows {
            if row.0 != last {
                last = row.0;
                write!(
                    text,
                    "\n### {last}\n\n| watched by | error, % | CPU, s | transfer, s | memory beside the ring |\n"
                )?;
                text += "|---|---|---|---|---|\n";
            }
            writeln!(text, "{}", line(&row.1, &self.samples[row]))?;
        }
        for what in left_out {
            write!(text, "\nleft out: {what}\n")?;
        }
        Ok(text)
    }
}

fn line(tool: &str, samples: &[Sample]) -> String {
    let of = |value: fn(&Sample) -> Option<f64>| samples.iter().filter_map(value).collect::<Vec<_>>();
    let error = spread(of(|sample| sample.error), 4);
    // Nothing that watches is nothing that costs.
    let cpu = if error == "–" { error.clone() } else { spread(of(|sample| Some(sample.cpu_s)), 3) };
    let transfer = spread(of(|sample| Some(sample.transfer_s)), 3);
    #[expect(clippy::cast_precision_loss, reason = "megabytes to be read by people")]
    let memory = spread(of(|sample| Some(sample.resident_bytes? as f64 / 1e6)), 1);
    let unit = if memory == "–" { "" } else { " MB" };
    format!("| {tool} | {error} | {cpu} | {transfer} | {memory}{unit} |")
}

/// Median, and the range if there is one.
fn spread(mut values: Vec<f64>, digits: usize) -> String {
    values.sort_by(f64::total_cmp);
    match values.as_slice() {
        [] => "–".into(),
        [only] => format!("{only:.digits$}"),
        [first, .., last] => {
            let median = f64::midpoint(values[(values.len() - 1) / 2], values[values.len() / 2]);
            format!("{median:.digits$} ({first:.digits$} to {last:.digits$})")
        }
    }
}

fn machine() -> Result<String> {
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let date = shell::output(Command::new("date").args(["-u", "+%F"]))?;
    let cores = available_parallelism()?;
    Ok(format!("Kernel {}, {cores} cores, {}. Median (least to most) of the turns.", kernel.trim(), date.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_is_between_the_middle_ones() {
        assert_eq!(spread(vec![4.0, 1.0, 2.0, 3.0], 1), "2.5 (1.0 to 4.0)");
        assert_eq!(spread(vec![], 1), "–");
    }
}
