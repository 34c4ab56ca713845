//! The package in a Debian with a real systemd: installed by dpkg, used, upgraded, removed and purged, while traffic runs. After each
//! step the log and the book have every byte, each once; at the end nothing of the package is left.
//!
//! Only where `TRAFCALC_TEST_PACKAGES` says where two versions of the package are: in a virtual machine that is made for this. It
//! runs twice, because the machine is started again in between: `MOVED` says what came before.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use super::killed_book::{Book, must_agree, must_have_the_same};
use super::successors::{EACH, End, Succession, must_be_gone, must_be_there};
use super::under_systemd::{journal, main_pid, restart, signal, systemctl, wait_for_another};
use super::{Scenario, Test, finish_actors};
use crate::service::{Log, Objects, PATIENCE};
use crate::truth::{Account, By, Bytes, Table};
use crate::world::World;

pub(super) const SCENARIO: Scenario =
    Scenario::new("installed", run_or_go_on).targets(|target| target.is_ebpf() && packages().is_some());

const UNIT: &str = "trafcalc.service";
const CONFIG: &str = "/etc/trafcalc.toml";
const LOG: &str = "/var/log/traffic";
const ROTATED: &str = "/var/log/traffic.1";
const BOOK: &str = "/var/lib/trafcalc/book.db";
/// What the book has, in both directions.
const ALL_BYTES: &str = "sum(sent + received) FROM total";
/// What had moved before the machine was started again.
const MOVED: &str = "/var/lib/system-test-moved";
/// Where a full file system is mounted for the journal.
const JOURNAL: &str = "/var/log/journal";

/// What is done while traffic runs, in words and in deed.
type Deed = (&'static str, fn() -> Result<()>);

const BEFORE_THE_REBOOT: [Deed; 6] = [
    ("installed", || Ok(())),
    ("restarted", || with_another_process(restart)),
    ("killed", || with_another_process(|| signal("KILL"))),
    ("kept over systemd's own restart, killed", || {
        systemctl(&["daemon-reexec"])?;
        with_another_process(|| signal("KILL"))
    }),
    ("upgraded to another layout of maps", || with_another_process(upgrade)),
    ("log rotated", || {
        run("logrotate", &["--force", "/etc/logrotate.d/trafcalc"])?;
        // logrotate does not tell whether this worked.
        systemctl(&["reload", UNIT])
    }),
];

const AFTER_THE_REBOOT: [Deed; 3] = [
    ("started with the machine", || Ok(())),
    ("stuck, ended by the watchdog", || with_another_process(|| signal("STOP"))),
    ("journal full, restarted", || {
        fill_the_journal()?;
        with_another_process(restart)
    }),
];

fn run_or_go_on(test: &Test) -> Result<()> {
    if Path::new(MOVED).exists() { go_on(test) } else { begin(test) }
}

fn packages() -> Option<PathBuf> {
    std::env::var_os("TRAFCALC_TEST_PACKAGES").map(PathBuf::from)
}

fn begin(test: &Test) -> Result<()> {
    println!("\n| {:<40} | {:>11} | {:>11} | {:>10} |", "step", "bytes moved", "in the book", "difference");
    println!("|{:-<42}|{:->13}|{:->13}|{:->12}|", "", ":", ":", ":");
    install("1.deb")?;
    wait_for_another(0).with_context(journal)?;
    let mut system = System::default();
    for deed in BEFORE_THE_REBOOT {
        system.step(test, deed)?;
    }
    ensure!(Path::new(ROTATED).exists() && fs::metadata(LOG)?.len() > 0, "the log was not rotated\n{}", journal());
    println!("{}", run("trafcalc", &["status"])?);
    // What has not been reported when the machine goes down is in the last report.
    let moved = traffic(test, || Ok(()))?;
    fs::write(MOVED, Moved { truth: system.truth, booked: system.booked, last: moved }.to_text())?;
    Ok(())
}

fn go_on(test: &Test) -> Result<()> {
    let Moved { truth, booked, last } = Moved::of_text(&fs::read_to_string(MOVED)?)?;
    let mut system = System { truth, booked };
    println!();
    wait_for_another(0).with_context(journal)?;
    system.compare("machine started again", last)?;
    for deed in AFTER_THE_REBOOT {
        system.step(test, deed)?;
    }
    let objects = Objects::of(main_pid()?);
    must_be_there(&objects)?;
    systemctl(&["stop", UNIT])?;
    must_be_gone(&objects)?;
    system.compare_files("stopped", Bytes::default(), must_agree)?;
    systemctl(&["start", UNIT])?;
    run("dpkg", &["--remove", "trafcalc"])?;
    ensure!(!Path::new("/usr/sbin/trafcalc").exists() && Path::new(CONFIG).exists(), "removed, not purged");
    system.compare_files("removed", Bytes::default(), must_agree)?;
    run("dpkg", &["--purge", "trafcalc"])?;
    nothing_is_left()?;
    println!("installed: purged");
    Ok(())
}

/// Runs a program to its end, and gives what it wrote to standard output.
fn run(program: &str, arguments: &[&str]) -> Result<String> {
    let output = Command::new(program).args(arguments).output().with_context(|| format!("no {program}"))?;
    let [said, failure] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text).into_owned());
    ensure!(output.status.success(), "{program} {arguments:?}: {failure}{said}\n{}", journal());
    Ok(said)
}

fn install(package: &str) -> Result<()> {
    let path = packages().context("no packages")?.join(package);
    run("dpkg", &["--install", &path.display().to_string()]).map(drop)
}

/// Its configuration file, which nobody changed here, asks for maps of another size.
fn upgrade() -> Result<()> {
    let before = fs::read_to_string(CONFIG)?;
    install("2.deb")?;
    ensure!(fs::read_to_string(CONFIG)? != before, "the configuration of the second version is that of the first");
    Ok(())
}

/// Does it, and waits until the next process counts.
fn with_another_process(deed: impl Fn() -> Result<()>) -> Result<()> {
    // As people start it less often than this test.
    systemctl(&["reset-failed", UNIT])?;
    let before = main_pid()?;
    deed()?;
    wait_for_another(before)
}

fn fill_the_journal() -> Result<()> {
    fs::create_dir_all(JOURNAL)?;
    run("mount", &["-t", "tmpfs", "-o", "size=12M", "tmpfs", JOURNAL])?;
    run("systemctl", &["restart", "systemd-journald"])?;
    run("journalctl", &["--flush"])?;
    let filled =
        Command::new("dd").args(["if=/dev/zero", "bs=4k", "status=none"]).arg(format!("of={JOURNAL}/full")).output()?;
    ensure!(!filled.status.success(), "the file system of the journal is not full");
    Ok(())
}

/// Moves bytes while a deed is done; gives what moved.
fn traffic(test: &Test, deed: fn() -> Result<()>) -> Result<Table> {
    let world = World::new()?;
    world.near.sysctl("ipv4/ip_local_port_range", "10000 65000")?;
    let traffic = Succession {
        ends: End::Kill,
        by: By::USER,
        folder: None,
        configs: &[],
        times: 1,
        longest_pause_ms: 2_000,
        book: EACH,
    };
    let programs = traffic.start_traffic(test, &world)?;
    sleep(Duration::from_secs(1));
    deed().with_context(journal)?;
    Ok(finish_actors(programs.into_iter().map(|program| (&world.far, program)))?.by(By::USER))
}

/// What moved, and what the book has, since it was installed.
#[derive(Default)]
struct System {
    truth: Table,
    booked: u64,
}

impl System {
    fn step(&mut self, test: &Test, (what, deed): Deed) -> Result<()> {
        let moved = traffic(test, deed).with_context(|| what)?;
        self.compare(what, moved)
    }

    /// Asks for a report, waits until the log has all that moved, and compares.
    fn compare(&mut self, what: &str, moved: Table) -> Result<()> {
        let total = moved.total();
        self.truth.merge(moved);
        signal("USR1")?;
        let deadline = Instant::now() + PATIENCE;
        while counted(&logged()?)? != self.truth && Instant::now() < deadline {
            sleep(Duration::from_millis(50));
        }
        self.compare_files(what, total, must_have_the_same)
    }

    fn compare_files(&mut self, what: &str, moved: Bytes, compare: fn(&Log, &Path) -> Result<()>) -> Result<()> {
        let log = logged()?;
        let (moved, booked) = (moved.sent + moved.received, Book::open(Path::new(BOOK))?.number(ALL_BYTES)?);
        let added = i128::from(booked) - i128::from(self.booked);
        println!("| {what:<40} | {moved:>11} | {added:>11} | {:>10} |", added - i128::from(moved));
        self.booked = booked;
        // Nothing else moves a byte in this machine.
        counted(&log)?.must_equal(&self.truth).with_context(journal)?;
        compare(&log, Path::new(BOOK)).with_context(journal)?;
        ensure!(log.last()?.health("audit_mismatch_total")? == 0, "the audit found something: {:?}", log.last()?);
        Ok(())
    }
}

/// What the log says, by user.
fn counted(log: &Log) -> Result<Table> {
    Ok(log.sum_of_intervals()?.by(By::USER))
}

/// All that the service logged, what was rotated included.
fn logged() -> Result<Log> {
    let mut text = String::new();
    for path in [ROTATED, LOG] {
        match fs::read_to_string(path) {
            Ok(part) => text.push_str(&part),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => (),
            Err(error) => return Err(error).context(path),
        }
    }
    Log::of_logfmt(&text)
}

/// Checks that a purge left no file whose name tells of the package.
fn nothing_is_left() -> Result<()> {
    let folders = ["/etc", "/run", "/tmp", "/usr", "/var"];
    // The lock is the test program's own.
    let names = ["-iname", "*trafcalc*", "-not", "-name", "trafcalc-test.lock", "-o", "-path", "/var/*traffic*"];
    let found = run("find", &[&folders[..], &names].concat())?;
    ensure!(found.trim().is_empty(), "this is left:\n{found}");
    let units = run("systemctl", &["list-units", "--all", "--plain", "--no-legend", "trafcalc*"])?;
    ensure!(units.trim().is_empty(), "these units are left:\n{units}");
    Ok(())
}

/// What the second run has to know.
struct Moved {
    truth: Table,
    booked: u64,
    last: Table,
}

impl Moved {
    fn to_text(&self) -> String {
        let mut text = format!("{}\n", self.booked);
        for (word, table) in [("truth", &self.truth), ("last", &self.last)] {
            for (account, bytes) in &table.0 {
                let _ = writeln!(text, "{word} {} {} {}", account.uid.unwrap_or_default(), bytes.sent, bytes.received);
            }
        }
        text
    }

    fn of_text(text: &str) -> Result<Self> {
        let mut lines = text.lines();
        let booked = lines.next().context("no total")?.parse()?;
        let (mut truth, mut last) = (Table::default(), Table::default());
        for line in lines {
            let words: Vec<_> = line.split(' ').collect();
            let [word, uid, sent, received] = words[..] else { anyhow::bail!("not a line of ours: {line}") };
            let table = if word == "truth" { &mut truth } else { &mut last };
            table.add(Account::user(uid.parse()?), Bytes { sent: sent.parse()?, received: received.parse()? });
        }
        Ok(Self { truth, booked, last })
    }
}
