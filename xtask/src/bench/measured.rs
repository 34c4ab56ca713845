//! A running program whose cost is measured: processor time of all its threads, and memory, as the kernel reports them.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use super::line::{End, Line};
use super::statistics::{self, Programs};
use crate::{shell, system};

/// How long a program may take to start or to stop.
const PATIENCE: Duration = Duration::from_secs(10);
const TICK: Duration = Duration::from_millis(20);
/// The unit of times in `/proc/PID/stat` (`USER_HZ`), which is the same on all current architectures.
const TICKS_A_SECOND: f64 = 100.0;
/// Part of the last record of a report, in JSON.
const SUMMARY: &str = "\"type\":\"summary\"";

/// A running program; killed when dropped.
pub(super) struct Measured {
    /// `nice` and `nsenter` execute the program, so it has this process id.
    child: Child,
    output: PathBuf,
    errors: PathBuf,
}

impl Measured {
    /// Starts a program at the near end.
    pub(super) fn start(line: &Line, name: &str, program: &[&str]) -> Result<Self> {
        let dir = shell::workspace().join("target/bench/said");
        fs::create_dir_all(&dir)?;
        let (output, errors) = (dir.join(format!("{name}.output")), dir.join(format!("{name}.errors")));
        let mut command = line.command(End::Near, program[0]);
        command.args(&program[1..]);
        command.stdin(Stdio::null()).stdout(File::create(&output)?).stderr(File::create(&errors)?);
        let child = command.spawn().with_context(|| format!("cannot start {}", program[0]))?;
        Ok(Self { child, output, errors })
    }

    /// Waits until its standard error contains `words`.
    pub(super) fn wait_for(&mut self, words: &str) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while !self.said()?.contains(words) {
            let is_over = self.child.try_wait()?.is_some() || Instant::now() > deadline;
            ensure!(!is_over, "it never said {words:?}, but: {}", self.said()?);
            sleep(TICK);
        }
        Ok(())
    }

    /// Resident memory in bytes, without the ring that it shares with the kernel.
    pub(super) fn resident(&self) -> Result<u64> {
        let smaps = fs::read_to_string(self.proc("smaps"))?;
        Ok(resident_beside_ring(&smaps))
    }

    /// Processor time of all running threads so far, in seconds.
    pub(super) fn cpu_so_far(&self) -> Result<f64> {
        let of_task = |task: io::Result<fs::DirEntry>| -> Result<f64> {
            let schedstat = fs::read_to_string(task?.path().join("schedstat"))?;
            let nanoseconds: f64 = schedstat.split(' ').next().context("an empty schedstat")?.parse()?;
            Ok(nanoseconds / 1e9)
        };
        fs::read_dir(self.proc("task"))?.map(of_task).sum()
    }

    /// Processor time of all threads since the start, including ended ones, in seconds.
    pub(super) fn cpu_since_start(&self) -> Result<f64> {
        let stat = fs::read_to_string(self.proc("stat"))?;
        ticks(&stat).map(|ticks| ticks / TICKS_A_SECOND).context("no processor time in its stat")
    }

    /// Its eBPF programs with the kernel's statistics.
    pub(super) fn bpf_programs(&self) -> Result<Programs> {
        Ok(Programs::new(&self.descriptors()?))
    }

    /// Memory of its eBPF maps in the kernel, in bytes.
    pub(super) fn bpf_map_bytes(&self) -> Result<u64> {
        Ok(statistics::map_bytes(&self.descriptors()?))
    }

    /// The `fdinfo` of its open files.
    fn descriptors(&self) -> Result<Vec<String>> {
        let infos = fs::read_dir(self.proc("fdinfo"))?;
        infos.map(|info| Ok(fs::read_to_string(info?.path())?)).collect()
    }

    /// Makes trafcalc write a report now, and waits for the summary, which is its last record.
    pub(super) fn report(&self) -> Result<()> {
        let summaries = || Ok::<_, anyhow::Error>(read(&self.output)?.matches(SUMMARY).count());
        let before = summaries()?;
        self.signal("-USR1");
        let deadline = Instant::now() + PATIENCE;
        while summaries()? == before {
            ensure!(Instant::now() < deadline, "it wrote no report: {}", self.said()?);
            sleep(TICK);
        }
        Ok(())
    }

    /// Stops it, waits, and returns what it printed.
    pub(super) fn stop(mut self) -> Result<String> {
        ensure!(self.child.try_wait()?.is_none(), "it had ended by itself: {}", self.said()?);
        self.signal("-INT");
        let deadline = Instant::now() + PATIENCE;
        while self.child.try_wait()?.is_none() {
            if Instant::now() > deadline {
                self.signal("-KILL");
            }
            sleep(TICK);
        }
        read(&self.output)
    }

    fn proc(&self, name: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/{name}", self.child.id()))
    }

    fn signal(&self, name: &str) {
        system::succeeds(Command::new("kill").args([name, &self.child.id().to_string()]));
    }

    fn said(&self) -> Result<String> {
        read(&self.errors)
    }
}

impl Drop for Measured {
    fn drop(&mut self) {
        // Both fail if it has already ended, which is the usual case.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read(path: &Path) -> Result<String> {
    let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The sum of `utime` and `stime` in `/proc/PID/stat`. The program's name before them may contain spaces.
fn ticks(stat: &str) -> Option<f64> {
    let mut fields = stat.rsplit_once(") ")?.1.split(' ').skip(11);
    let mut next = || fields.next()?.parse::<f64>().ok();
    Some(next()? + next()?)
}

/// The sum of `Rss` over all mappings except those of sockets, in bytes; smaps has kB.
fn resident_beside_ring(smaps: &str) -> u64 {
    let mut is_ring = false;
    let mut sum_kb = 0;
    for line in smaps.lines() {
        if let Some(kb) = line.strip_prefix("Rss:") {
            let kb: u64 = kb.trim().trim_end_matches(" kB").parse().unwrap_or(0);
            sum_kb += if is_ring { 0 } else { kb };
        } else if line.split_whitespace().next().is_some_and(|range| range.contains('-')) {
            is_ring = line.contains("socket:[");
        }
    }
    sum_kb * 1024
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_program_does_not_move_its_processor_time() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 100 0 0 0 31 11 5 6 20 0 1 0 900 1 2 3";
        assert_eq!(ticks(stat), Some(42.0));
        assert_eq!(ticks("7 (a"), None);
    }

    #[test]
    fn memory_of_the_ring_is_not_counted() {
        let smaps = "55-56 r-xp 0 0 0 /bin/a\nRss:   8 kB\n57-58 rw-s 0 0 0 socket:[12]\nRss:   8192 kB\n59-5a rw-p 0\nRss:  4 kB\n";
        assert_eq!(resident_beside_ring(smaps), 12 * 1024);
    }
}
