//! A program whose cost is measured: processor time of the whole process as the kernel tells its parent, and memory.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use super::line::{End, Line};
use crate::{shell, system};

/// bash's `time` is the parent that asks: user and system time in milliseconds, threads and all.
const TIMED: &str = "TIMEFORMAT='@@cpu %3U %3S'; time \"$@\"";
/// How long a program may take to start or to stop.
const PATIENCE: Duration = Duration::from_secs(10);
const TICK: Duration = Duration::from_millis(20);

/// A running program; killed when dropped.
pub(super) struct Measured {
    bash: Child,
    pid: u32,
    output: PathBuf,
    errors: PathBuf,
}

/// What it cost and what it said.
pub(super) struct Cost {
    /// Processor time in seconds, of the program and of the kernel on its behalf.
    pub(super) cpu_s: f64,
    pub(super) output: String,
}

impl Measured {
    /// Starts a program at the near end of the line.
    pub(super) fn start(line: &Line, name: &str, program: &[&str]) -> Result<Self> {
        let dir = shell::workspace().join("target/bench/said");
        fs::create_dir_all(&dir)?;
        let (output, errors) = (dir.join(format!("{name}.output")), dir.join(format!("{name}.errors")));
        let mut command = line.command(End::Near, "bash");
        command.args(["-c", TIMED, "bash"]).args(program);
        command.stdin(Stdio::null()).stdout(File::create(&output)?).stderr(File::create(&errors)?);
        let bash = command.spawn().with_context(|| format!("cannot start {}", program[0]))?;
        let mut measured = Self { bash, pid: 0, output, errors };
        measured.pid = measured.child()?;
        Ok(measured)
    }

    /// bash's child: the program itself.
    fn child(&self) -> Result<u32> {
        let children = format!("/proc/{0}/task/{0}/children", self.bash.id());
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            let list = fs::read_to_string(&children).unwrap_or_default();
            if let Some(pid) = list.split_whitespace().next() {
                return Ok(pid.parse()?);
            }
            sleep(TICK);
        }
        anyhow::bail!("the program did not start: {}", self.said()?)
    }

    /// Waits until it has said `words` among its messages.
    pub(super) fn wait_for(&mut self, words: &str) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while !self.said()?.contains(words) {
            let is_over = self.bash.try_wait()?.is_some() || Instant::now() > deadline;
            ensure!(!is_over, "it never said {words:?}, but: {}", self.said()?);
            sleep(TICK);
        }
        Ok(())
    }

    /// Resident memory without the ring that it shares with the kernel, in bytes.
    pub(super) fn resident(&self) -> Result<u64> {
        let smaps = fs::read_to_string(format!("/proc/{}/smaps", self.pid))?;
        Ok(resident_beside_ring(&smaps))
    }

    /// Processor time of all its threads so far, in seconds.
    pub(super) fn cpu_so_far(&self) -> Result<f64> {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.pid))?;
        let of_task = |task: io::Result<fs::DirEntry>| -> Result<f64> {
            let schedstat = fs::read_to_string(task?.path().join("schedstat"))?;
            Ok(schedstat.split(' ').next().context("an empty schedstat")?.parse::<f64>()? / 1e9)
        };
        tasks.map(of_task).sum()
    }

    /// What the kernel says of the files that it has open.
    pub(super) fn descriptors(&self) -> Result<Vec<String>> {
        let infos = fs::read_dir(format!("/proc/{}/fdinfo", self.pid))?;
        infos.map(|info| Ok(fs::read_to_string(info?.path())?)).collect()
    }

    /// Asks it to stop, and waits.
    pub(super) fn stop(mut self) -> Result<Cost> {
        ensure!(self.bash.try_wait()?.is_none(), "it had ended by itself: {}", self.said()?);
        self.signal("-INT");
        let deadline = Instant::now() + PATIENCE;
        while self.bash.try_wait()?.is_none() {
            if Instant::now() > deadline {
                self.signal("-KILL");
            }
            sleep(TICK);
        }
        let cpu_s = cpu(&self.said()?).context("bash told no processor time")?;
        Ok(Cost { cpu_s, output: read(&self.output)? })
    }

    fn signal(&self, name: &str) {
        system::succeeds(Command::new("kill").args([name, &self.pid.to_string()]));
    }

    fn said(&self) -> Result<String> {
        read(&self.errors)
    }
}

impl Drop for Measured {
    fn drop(&mut self) {
        if self.pid != 0 && matches!(self.bash.try_wait(), Ok(None)) {
            self.signal("-KILL");
        }
        let _ = self.bash.wait();
    }
}

fn read(path: &Path) -> Result<String> {
    let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn cpu(errors: &str) -> Option<f64> {
    let line = errors.lines().find_map(|line| line.strip_prefix("@@cpu "))?;
    let (user, system) = line.split_once(' ')?;
    Some(user.parse::<f64>().ok()? + system.parse::<f64>().ok()?)
}

/// The sum of `Rss` over all mappings but those of sockets, in bytes; smaps has kB.
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
    fn memory_of_the_ring_is_not_counted() {
        let smaps = "55-56 r-xp 0 0 0 /bin/a\nRss:   8 kB\n57-58 rw-s 0 0 0 socket:[12]\nRss:   8192 kB\n59-5a rw-p 0\nRss:  4 kB\n";
        assert_eq!(resident_beside_ring(smaps), 12 * 1024);
    }

    #[test]
    fn processor_time_is_found_behind_other_messages() {
        assert_eq!(cpu("hello\n\n@@cpu 0.120 0.034\n"), Some(0.154));
        assert_eq!(cpu("hello\n"), None);
    }
}
