//! The unit that is shipped, under a real systemd: restarted, killed, stuck, killed in its start, and started with another layout
//! of its maps, while systemd itself is replaced, too. Log and book have every byte, once; a stop leaves nothing in the kernel.
//!
//! Only where `TRAFCALC_TEST_UNIT` says that the unit is installed: in a virtual machine that is made for this.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use super::killed_book::must_agree;
use super::successors::{EACH, End, Succession, must_be_gone, must_be_there};
use super::{Scenario, Test, finish_actors};
use crate::service::{Log, Objects, PATIENCE};
use crate::truth::By;
use crate::world::World;

pub(super) const SCENARIO: Scenario = Scenario::new("under_systemd", run)
    .targets(|target| target.is_ebpf() && std::env::var_os("TRAFCALC_TEST_UNIT").is_some());

const UNIT: &str = "trafcalc.service";
/// The group of those who read logs, in the guest.
const ADM: u32 = 4;
/// The log that is removed under the service's hands.
const REMOVED: &str = "/root/traffic";
const CONFIG: &str = "/etc/trafcalc.toml";
const LOG: &str = "/var/log/traffic";
const BOOK: &str = "/var/lib/trafcalc/book.db";
/// What the package ships for hosts that need no packets.
const EBPF_ONLY: &str = "/usr/share/doc/trafcalc/trafcalc-ebpf-only.conf";
/// The command that is run for a gap, and what it writes.
const COMMAND: &str = "/etc/trafcalc.alert";
const TOLD: &str = "/var/lib/private/trafcalc-alert/told";

/// What differs from the unit as it is shipped: nothing of the system is up but its journal, and we start more often than people do.
const CHANGES: &str = "[Unit]
DefaultDependencies=no
StartLimitIntervalSec=0
[Service]
RestartSec=200ms
WatchdogSec=10
";

/// Configurations with maps of unlike layouts.
const LAYOUTS: [&str; 3] = ["", "max_accounts = 300", "max_connections = 5000"];

/// What is done to it, in words and in deed.
type Deed = (&'static str, fn() -> Result<()>);

/// All that is done to it while it counts, in turn.
const DEEDS: [Deed; 10] = [
    ("restarted", restart),
    ("killed", || signal("KILL")),
    ("killed in its start", kill_while_it_starts),
    ("given another layout", || configure(LAYOUTS[1]).and_then(|()| restart())),
    ("kept over systemd's own restart", || systemctl(&["daemon-reexec"]).and_then(|()| restart())),
    ("killed after that", || signal("KILL")),
    ("stuck, so that the watchdog ends it", || signal("STOP")),
    ("given a third layout, and killed in its start", || configure(LAYOUTS[2]).and_then(|()| kill_while_it_starts())),
    ("restarted without what packets need", restrict_to_ebpf),
    ("restarted at last", restart),
];

fn run(test: &Test) -> Result<()> {
    install(test)?;
    let world = World::new()?;
    world.near.sysctl("ipv4/ip_local_port_range", "10000 65000")?;
    systemctl(&["start", UNIT])?;
    let traffic = Succession {
        ends: End::Kill,
        by: By::USER,
        folder: None,
        configs: &[],
        times: 2 * u32::try_from(DEEDS.len())?,
        longest_pause_ms: 2_000,
        book: EACH,
    };
    let programs = traffic.start_traffic(test, &world)?;
    must_be_its_user()?;
    for (what, deed) in DEEDS {
        sleep(Duration::from_secs(2));
        let before = main_pid()?;
        deed().and_then(|()| wait_for_another(before)).with_context(|| format!("{what}\n{}", journal()))?;
        println!("under systemd: {what}");
    }
    let truth = finish_actors(programs.into_iter().map(|program| (&world.far, program)))?.by(By::USER);
    world.near.wait_until_closed()?;
    finds_its_log_again()?;
    must_be_its_user()?;
    let objects = Objects::of(main_pid()?);
    must_be_there(&objects)?;
    start_alerts()?;
    systemctl(&["stop", UNIT])?;
    must_be_gone(&objects)?;

    let counted = all_logs()?;
    must_agree(&counted, Path::new(BOOK)).with_context(journal)?;
    let (ours, _) = counted.sum_of_intervals()?.by(By::USER).split(|account| truth.0.contains_key(account));
    ours.must_equal(&truth).with_context(journal)?;
    println!("under systemd: {:?} moved, log and book have the same", truth.total());
    let last = counted.last()?;
    ensure!(last.health("gaps")? == 0, "what was kept leaves no gap: {}", last.summary);
    ensure!(last.health("audit_mismatch_total")? == 0, "the audit found something: {}", last.summary);
    tells_of_the_stop()?;
    starts_after_root()
}

/// The service ran as root, as that of an older unit did, and its user may not open what systemd kept: that is given up once, and kept
/// from then on.
fn starts_after_root() -> Result<()> {
    let drop_in = format!("/run/systemd/system/{UNIT}.d/zz-root.conf");
    let command = "/usr/sbin/trafcalc run --keep systemd --backend ebpf --book none --log -";
    fs::write(&drop_in, format!("[Service]\nUser=root\nGroup=root\nExecStart=\nExecStart={command}\n"))?;
    systemctl(&["daemon-reload"])?;
    systemctl(&["start", UNIT])?;
    let of_root = Objects::of(main_pid()?);
    must_be_there(&of_root)?;
    fs::remove_file(drop_in)?;
    systemctl(&["daemon-reload"])?;
    restart()?;
    must_be_gone(&of_root).with_context(journal)?;
    ensure!(journal().contains("belongs to another user"), "no warning\n{}", journal());
    must_be_its_user()?;
    let objects = Objects::of(main_pid()?);
    restart()?;
    must_be_its_user()?;
    must_be_there(&objects).with_context(journal)?;
    systemctl(&["stop", UNIT])?;
    println!("under systemd: root's is given up");
    must_be_gone(&objects)
}

/// Installs it with what this test needs different.
fn install(test: &Test) -> Result<()> {
    let folder = format!("/run/systemd/system/{UNIT}.d");
    fs::create_dir_all(&folder)?;
    let target = test.target.arguments().join(" ");
    let start = format!("ExecStart=\nExecStart=/usr/sbin/trafcalc run --keep systemd {target}\n");
    fs::write(format!("{folder}/test.conf"), format!("{CHANGES}{start}"))?;
    configure(LAYOUTS[0])?;
    systemctl(&["daemon-reload"])
}

/// It runs as the user that the package makes, and its log belongs to that user and to those who read logs.
fn must_be_its_user() -> Result<()> {
    let status = fs::read_to_string(format!("/proc/{}/status", main_pid()?))?;
    let uids = status.lines().find_map(|line| line.strip_prefix("Uid:")).context("no Uid")?;
    let uids = uids.split_whitespace().map(str::parse).collect::<Result<Vec<u32>, _>>()?;
    let (log, book) = (fs::metadata(LOG)?, fs::metadata(BOOK)?);
    ensure!(uids[0] != 0 && uids == [log.uid(); 4], "users {uids:?}, log of {}\n{}", log.uid(), journal());
    ensure!(book.uid() == log.uid(), "book of {}, log of {}", book.uid(), log.uid());
    ensure!((log.gid(), log.mode() & 0o777) == (ADM, 0o640), "log of group {}, {:o}", log.gid(), log.mode());
    Ok(())
}

fn restrict_to_ebpf() -> Result<()> {
    fs::copy(EBPF_ONLY, format!("/run/systemd/system/{UNIT}.d/ebpf-only.conf"))?;
    systemctl(&["daemon-reload"]).and_then(|()| restart())
}

/// Somebody removes the log: `systemctl reload` makes it again, which the service may not, and no report is missing.
fn finds_its_log_again() -> Result<()> {
    let mut removed = File::open(LOG)?;
    fs::remove_file(LOG)?;
    sleep(Duration::from_secs(2));
    ensure!(!fs::exists(LOG)?, "the service can make files in the folder of logs");
    io::copy(&mut removed, &mut File::create(REMOVED)?)?;
    systemctl(&["reload", UNIT])?;
    wait_for("the log is written again", || Ok(fs::metadata(LOG).is_ok_and(|log| log.len() > 0)))
}

/// Another service, which runs a command for each gap.
fn start_alerts() -> Result<()> {
    fs::write(COMMAND, "#!/bin/busybox sh\necho \"$TRAFCALC_TYPE\" > \"$STATE_DIRECTORY/told\"\n")?;
    fs::set_permissions(COMMAND, fs::Permissions::from_mode(0o755))?;
    let folder = "/run/systemd/system/trafcalc-alert.service.d";
    fs::create_dir_all(folder)?;
    fs::write(format!("{folder}/test.conf"), "[Unit]\nDefaultDependencies=no\n")?;
    systemctl(&["daemon-reload"])?;
    systemctl(&["start", "trafcalc-alert.service"])?;
    // The first start begins with what comes then.
    wait_for("alerts follow the log", || Ok(fs::exists(Path::new(TOLD).with_file_name("state.json"))?))
}

fn wait_for(what: &str, condition: impl Fn() -> Result<bool>) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while !condition()? {
        ensure!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}\n{}", journal());
        sleep(Duration::from_millis(50));
    }
    Ok(())
}

fn configure(layout: &str) -> Result<()> {
    Ok(fs::write(CONFIG, format!("interval = \"1s\"\n[log]\nformat = \"json\"\n[ebpf]\n{layout}\n"))?)
}

pub(super) fn restart() -> Result<()> {
    systemctl(&["restart", UNIT])
}

/// Kills the next process before it counts; one that is quicker than we are has another follow.
fn kill_while_it_starts() -> Result<()> {
    let mut before = main_pid()?;
    systemctl(&["restart", "--no-block", UNIT])?;
    let deadline = Instant::now() + PATIENCE;
    loop {
        let (state, pid) = (property("ActiveState")?, main_pid()?);
        let is_next = pid != before && pid != 0;
        if is_next && state == "activating" {
            signal("KILL")?;
            println!("under systemd: process {pid} was killed in its start");
            return Ok(());
        }
        if is_next && state == "active" {
            before = pid;
            systemctl(&["restart", "--no-block", UNIT])?;
        }
        ensure!(Instant::now() < deadline, "{state}, process {pid} (before: {before})");
        sleep(Duration::from_millis(20));
    }
}

pub(super) fn signal(name: &str) -> Result<()> {
    systemctl(&["kill", &format!("--signal={name}"), UNIT])
}

pub(super) fn systemctl(arguments: &[&str]) -> Result<()> {
    let output = Command::new("systemctl").args(arguments).output().context("no systemctl")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "systemctl {arguments:?}: {said}\n{}", journal());
    Ok(())
}

fn property(name: &str) -> Result<String> {
    let output = Command::new("systemctl").args(["show", "--value", "-p", name, UNIT]).output()?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

pub(super) fn main_pid() -> Result<u32> {
    property("MainPID")?.parse().context("no MainPID")
}

/// Waits until another process than `before` is counting.
pub(super) fn wait_for_another(before: u32) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let (state, pid) = (property("ActiveState")?, main_pid()?);
        if state == "active" && pid != before && pid != 0 {
            return Ok(());
        }
        ensure!(state != "failed", "the unit has failed");
        ensure!(Instant::now() < deadline, "{state}, process {pid} (before: {before})");
        sleep(Duration::from_millis(50));
    }
}

/// The time in which it is stopped is a gap, which the next start tells of.
fn tells_of_the_stop() -> Result<()> {
    systemctl(&["start", UNIT])?;
    sleep(Duration::from_secs(3));
    systemctl(&["stop", UNIT])?;
    let text = fs::read_to_string(LOG)?;
    let gaps = text.lines().filter(|line| line.contains("\"type\":\"gap\"")).count();
    ensure!(gaps == 1, "{gaps} gaps in the log\n{}", journal());
    wait_for("the command was run for the gap", || Ok(fs::read_to_string(TOLD).is_ok_and(|told| told == "gap\n")))?;
    must_agree(&all_logs()?, Path::new(BOOK))
}

fn all_logs() -> Result<Log> {
    Ok(Log::read(Path::new(REMOVED))?.followed_by(Log::read(Path::new(LOG))?))
}

/// The last that the service said.
pub(super) fn journal() -> String {
    let output =
        Command::new("journalctl").args(["--no-pager", "-n", "100", "-u", UNIT, "-o", "short-monotonic"]).output();
    output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default()
}
