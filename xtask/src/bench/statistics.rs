//! The kernel's statistics of a process's eBPF programs and maps, from `/proc/PID/fdinfo`. Pure, except for switching
//! the statistics on.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::ops::Add;
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, ensure};

/// The tracepoint at each change of a connection's state.
pub(super) const STATES: &str = "inet_sock_set_state";
/// The hook of a program whose link does not name a tracepoint.
const ANOTHER: &str = "another";

/// How often programs ran, and for how long.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Run {
    pub(super) events: f64,
    pub(super) nanoseconds: f64,
}

impl Run {
    /// Nanoseconds per event.
    pub(super) fn each(self) -> f64 {
        self.nanoseconds / self.events
    }

    /// The difference since `before`.
    pub(super) fn since(self, before: Self) -> Self {
        Self { events: self.events - before.events, nanoseconds: self.nanoseconds - before.nanoseconds }
    }
}

impl Add for Run {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { events: self.events + other.events, nanoseconds: self.nanoseconds + other.nanoseconds }
    }
}

/// A loaded program.
#[derive(Clone, Debug, PartialEq)]
struct Program {
    /// `None` if it is attached to nothing and the process runs it itself.
    hook: Option<String>,
    run: Run,
}

/// All loaded programs of a process, with the kernel's statistics so far.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Programs(Vec<Program>);

impl Programs {
    /// The programs among a process's descriptors, each once even if it has several descriptors.
    pub(super) fn new(infos: &[String]) -> Self {
        let mut hooks = BTreeMap::new();
        for info in infos.iter().filter(|info| field(info, "link_type").is_some()) {
            if let Some(id) = field(info, "prog_id") {
                hooks.insert(id, field(info, "tp_name").unwrap_or(ANOTHER).to_owned());
            }
        }
        let number = |info, name| field(info, name)?.parse::<f64>().ok();
        let program = |info| -> Option<(&str, Program)> {
            let run = Run { events: number(info, "run_cnt")?, nanoseconds: number(info, "run_time_ns")? };
            let id = field(info, "prog_id")?;
            Some((id, Program { hook: hooks.get(id).cloned(), run }))
        };
        let programs: BTreeMap<_, _> = infos.iter().filter_map(|info| program(info)).collect();
        Self(programs.into_values().collect())
    }

    /// For each hook, the sum over the programs attached to it.
    pub(super) fn by_hook(&self) -> BTreeMap<String, Run> {
        let mut runs = BTreeMap::<String, Run>::new();
        for (hook, run) in self.0.iter().filter_map(|program| Some((program.hook.clone()?, program.run))) {
            let sum = runs.entry(hook).or_default();
            *sum = *sum + run;
        }
        runs
    }

    /// The sum over all attached programs.
    pub(super) fn attached(&self) -> Run {
        self.sum(|hook| hook.is_some())
    }

    /// The sum over the programs attached to this hook.
    pub(super) fn at(&self, hook: &str) -> Run {
        self.sum(|of| of == Some(hook))
    }

    /// The sum over the programs attached to nothing.
    pub(super) fn run_by_process(&self) -> Run {
        self.sum(|hook| hook.is_none())
    }

    /// The number of programs attached to this hook.
    pub(super) fn copies(&self, hook: &str) -> u32 {
        self.0.iter().filter(|program| program.hook.as_deref() == Some(hook)).fold(0, |count, _| count + 1)
    }

    fn sum(&self, is_wanted: impl Fn(Option<&str>) -> bool) -> Run {
        let wanted = self.0.iter().filter(|program| is_wanted(program.hook.as_deref()));
        wanted.map(|program| program.run).fold(Run::default(), Run::add)
    }
}

/// Kernel memory of all maps among a process's descriptors, in bytes. A map with several descriptors counts once.
pub(super) fn map_bytes(infos: &[String]) -> u64 {
    let map = |info| Some((field(info, "map_id")?, field(info, "memlock")?.parse::<u64>().ok()?));
    infos.iter().filter_map(|info| map(info)).collect::<BTreeMap<_, _>>().values().sum()
}

/// A field of a file in `/proc/PID/fdinfo`.
fn field<'a>(info: &'a str, name: &str) -> Option<&'a str> {
    info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}

/// Switches the kernel's statistics of eBPF programs on or off until this is dropped, and then restores the former
/// setting.
///
/// A shell does the restoring when its standard input ends, so it works even if the bench is killed.
pub(super) struct Statistics(Child);

const KEEP: &str = "trap '' INT TERM HUP; file=/proc/sys/kernel/bpf_stats_enabled; old=$(cat $file) && \
                    echo $0 >$file && echo done; read end; echo $old >$file";

impl Statistics {
    /// On: the kernel counts and times every run, which makes each run more expensive.
    pub(super) fn on() -> Result<Self> {
        Self::set("1")
    }

    /// Off: programs cost what they cost in production.
    pub(super) fn off() -> Result<Self> {
        Self::set("0")
    }

    fn set(value: &str) -> Result<Self> {
        let mut shell = Command::new("sh");
        let mut shell = shell.args(["-c", KEEP, value]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let output = shell.stdout.take().context("no standard output")?;
        let statistics = Self(shell);
        let mut said = String::new();
        BufReader::new(output).read_line(&mut said)?;
        ensure!(said == "done\n", "this kernel has no statistics of eBPF programs");
        Ok(statistics)
    }
}

impl Drop for Statistics {
    fn drop(&mut self) {
        // The shell ends when its input does, even if writing to it fails.
        let _ = self.0.stdin.take().map(|mut stdin| stdin.write_all(b"end\n"));
        let _ = self.0.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn infos() -> Vec<String> {
        let program =
            |id, ns, runs| format!("pos:\t0\nprog_type:\t17\nprog_id:\t{id}\nrun_time_ns:\t{ns}\nrun_cnt:\t{runs}\n");
        let link = |id, rest| format!("link_type:\traw_tracepoint\nlink_id:\t5\nprog_id:\t{id}\n{rest}");
        let map = |id, bytes| format!("map_type:\t2\nmemlock:\t{bytes}\nmap_id:\t{id}\n");
        vec![
            "pos:\t0\nflags:\t02\n".to_owned(),
            program(12, 900, 9),
            program(13, 100, 1),
            program(13, 100, 1),
            program(14, 70, 7),
            program(15, 5_000, 2),
            link(12, "tp_name:\tinet_sock_set_state\n"),
            link(13, "tp_name:\tinet_sock_set_state\n"),
            link(14, ""),
            map(1, 4_096),
            map(2, 1_000),
            map(1, 4_096),
        ]
    }

    #[test]
    fn a_field_is_found_by_its_whole_name() {
        assert_eq!(field(&infos()[1], "prog_id"), Some("12"));
        assert_eq!(field(&infos()[1], "prog"), None);
    }

    #[test]
    fn only_programs_with_a_link_belong_to_a_hook() {
        let programs = Programs::new(&infos());
        let states = Run { events: 10.0, nanoseconds: 1_000.0 };
        let another = Run { events: 7.0, nanoseconds: 70.0 };
        assert_eq!(programs.by_hook(), [(ANOTHER.to_owned(), another), (STATES.to_owned(), states)].into());
        assert_eq!((programs.at(STATES), programs.copies(STATES)), (states, 2));
        assert_eq!(programs.attached(), states + another);
        assert_eq!(programs.run_by_process(), Run { events: 2.0, nanoseconds: 5_000.0 });
    }

    #[test]
    fn a_map_with_two_descriptors_takes_its_memory_once() {
        assert_eq!(map_bytes(&infos()), 5_096);
    }

    #[test]
    fn what_came_before_is_not_in_the_difference() {
        let (before, after) = (Run { events: 2.0, nanoseconds: 50.0 }, Run { events: 6.0, nanoseconds: 450.0 });
        assert_eq!(after.since(before), Run { events: 4.0, nanoseconds: 400.0 });
        assert!((after.since(before).each() - 100.0).abs() < f64::EPSILON);
    }
}
