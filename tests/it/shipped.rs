//! The files of `trafcalc/dist/` fit the program.

use std::path::{Path, PathBuf};
use std::process::Command;

use trafcalc::config::{DEFAULT_FILE, DEFAULT_LOG, DEFAULT_REPORTS, DEFAULT_STATUS};
use trafcalc::sinks::lock_path;

use super::support::{leave_out, trafcalc};

const PROGRAM: &str = "/usr/sbin/trafcalc";

fn dist(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("dist").join(name)
}

fn read(name: &str) -> String {
    std::fs::read_to_string(dist(name)).unwrap()
}

fn setting(unit: &str, key: &str) -> String {
    let lines = unit.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    let values: Vec<_> = lines.collect();
    assert_eq!(values.len(), 1, "{key} is there once");
    values[0].to_owned()
}

#[test]
fn the_unit_calls_the_program_with_options_that_it_has() {
    let command = setting(&read("trafcalc.service"), "ExecStart");
    let args: Vec<_> = command.strip_prefix(PROGRAM).unwrap().split_whitespace().chain(["--help"]).collect();
    let output = trafcalc(&args).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn systemd_understands_every_line_of_the_unit() {
    let folder = tempfile::tempdir().unwrap();
    let unit = folder.path().join("trafcalc.service");
    // systemd looks whether the program is there.
    std::fs::write(&unit, read("trafcalc.service").replace(PROGRAM, env!("CARGO_BIN_EXE_trafcalc"))).unwrap();
    match Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&unit).output() {
        Ok(output) => {
            let complaints = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success() && !complaints.contains("trafcalc.service"), "{complaints}");
        }
        Err(_) => leave_out("systemd_understands_every_line_of_the_unit", "needs systemd-analyze"),
    }
}

#[test]
fn the_unprivileged_units_call_the_program_with_options_that_it_has_and_are_understood() {
    for name in ["trafcalc-alert.service", "trafcalc-exporter.service", "trafcalc-ship.service"] {
        check_unprivileged_unit(name);
    }
}

fn check_unprivileged_unit(name: &str) {
    let unit = read(name);
    let command = setting(&unit, "ExecStart");
    let args: Vec<_> = command.strip_prefix(PROGRAM).unwrap().split_whitespace().chain(["--help"]).collect();
    assert!(trafcalc(&args).output().unwrap().status.success());
    assert_eq!(setting(&unit, "CapabilityBoundingSet"), "");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, unit.replace(PROGRAM, env!("CARGO_BIN_EXE_trafcalc"))).unwrap();
    match Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&path).output() {
        Ok(output) => {
            let complaints = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success() && !complaints.contains(name), "{complaints}");
        }
        Err(_) => leave_out("the_unprivileged_units", "needs systemd-analyze"),
    }
}

/// What `systemd-analyze security` must not exceed, by unit; the last one is the first with its drop-in.
const EXPOSURE: [(&str, &[&str], f64); 5] = [
    ("trafcalc.service", &["trafcalc.service"], 1.8),
    ("trafcalc-alert.service", &["trafcalc-alert.service"], 1.2),
    ("trafcalc-exporter.service", &["trafcalc-exporter.service"], 1.0),
    ("trafcalc-ship.service", &["trafcalc-ship.service"], 1.2),
    ("trafcalc.service", &["trafcalc.service", "trafcalc-ebpf-only.conf"], 1.2),
];

#[test]
fn the_units_leave_little_within_reach() {
    for (name, files, most) in EXPOSURE {
        let folder = tempfile::tempdir().unwrap();
        let unit = folder.path().join(name);
        std::fs::write(&unit, files.iter().map(|file| read(file)).collect::<String>()).unwrap();
        let analyze =
            Command::new("systemd-analyze").args(["security", "--offline=yes", "--no-pager"]).arg(&unit).output();
        let Ok(output) = analyze.as_ref().map(|output| String::from_utf8_lossy(&output.stdout)) else {
            return leave_out("the_units_leave_little_within_reach", "needs systemd-analyze");
        };
        let figure =
            output.lines().find_map(|line| line.split("Overall exposure level").nth(1)?.split(' ').rev().nth(2));
        let Some(figure) = figure.and_then(|figure| figure.parse::<f64>().ok()) else {
            return leave_out("the_units_leave_little_within_reach", "needs systemd-analyze of systemd 250 or later");
        };
        assert!(figure <= most, "{files:?}: {figure}\n{output}");
    }
}

#[test]
fn the_unit_grants_what_counting_needs_and_nothing_takes_it_away() {
    let unit = read("trafcalc.service");
    for list in ["CapabilityBoundingSet", "AmbientCapabilities"] {
        assert_eq!(setting(&unit, list), "CAP_NET_RAW CAP_BPF CAP_PERFMON");
    }
    for (limit, value) in [("LimitRTPRIO", "1"), ("LimitNICE", "-10")] {
        assert_eq!(setting(&unit, limit), value, "instead of CAP_SYS_NICE");
    }
    assert_eq!(setting(&unit, "RestrictAddressFamilies"), "AF_PACKET AF_NETLINK AF_UNIX");
    let filters: Vec<_> = unit.lines().filter_map(|line| line.strip_prefix("SystemCallFilter=")).collect();
    // For counting, and for the restrictions that the service puts on itself, which no group of systemd 252 has.
    assert!(filters[0].ends_with(" seccomp landlock_create_ruleset landlock_add_rule landlock_restrict_self"));
    assert_eq!(filters[1], "~@privileged @resources");
    assert_eq!(filters[2], "bpf capset sched_setscheduler setpriority", "behind what takes them away");
    // They would hide the network, take processes for ended, or refuse SCHED_FIFO.
    for hiding in ["PrivateNetwork", "RestrictRealtime", "PrivateUsers", "ProtectProc", "ProcSubset"] {
        assert!(!unit.lines().any(|line| line.starts_with(hiding)), "{hiding}");
    }
}

#[test]
fn the_user_of_the_unit_is_made_and_owns_what_it_writes() {
    let (unit, users, files) = (read("trafcalc.service"), read("trafcalc.sysusers"), read("trafcalc.tmpfiles"));
    let user = setting(&unit, "User");
    assert_eq!(setting(&unit, "Group"), user);
    assert!(users.lines().any(|line| line.starts_with(&format!("u {user} -"))), "{users}");
    let lines: Vec<_> = files.lines().filter(|line| !line.starts_with('#')).collect();
    let lines: Vec<Vec<_>> = lines.iter().map(|line| line.split_whitespace().collect()).collect();
    let lock = lock_path(Path::new(DEFAULT_LOG));
    assert_eq!(lines[0], ["f", DEFAULT_LOG, "0640", &user, "adm"]);
    assert_eq!(lines[1], ["f", lock.to_str().unwrap(), "0600", &user, &user]);
    // Before each start, and when a log that was removed has to be made again.
    for key in ["ExecStartPre", "ExecReload"] {
        assert!(unit.contains(&format!("\n{key}=-+systemd-tmpfiles --create trafcalc.conf\n")), "{key}");
    }
    // Mode, owner and group of the log that was there: a service of another user writes it, too.
    assert!(read("trafcalc.logrotate").lines().any(|line| line.trim() == "create"));
    let readers = setting(&read("trafcalc-alert.service"), "SupplementaryGroups");
    assert_eq!(readers, format!("adm {user}"), "to read the log, whichever of them has it");
    let exporter = read("trafcalc-exporter.service");
    assert_eq!(setting(&exporter, "SupplementaryGroups"), user, "to read the book");
    assert_eq!(setting(&read("trafcalc-ship.service"), "SupplementaryGroups"), user, "to read the book");
    // As fleet.md says.
    for (limit, value) in [("CPUQuota", "50%"), ("MemoryMax", "512M"), ("TasksMax", "16")] {
        assert_eq!(setting(&exporter, limit), value, "its clients are strangers");
    }
}

#[test]
fn the_unit_has_systemd_keep_what_is_counted() {
    let unit = read("trafcalc.service");
    assert!(setting(&unit, "ExecStart").ends_with(" run --keep systemd"));
    // What is made is handed over by another process than the main one, with the privileges that this has not got.
    assert!(unit.contains(&format!("\nExecStartPre=-+{PROGRAM} store\n")));
    assert_eq!(setting(&unit, "NotifyAccess"), "exec");
    assert!(setting(&unit, "FileDescriptorStoreMax").parse::<u32>().unwrap() >= 2);
    // Else stopping would not free it.
    assert!(!unit.contains("FileDescriptorStorePreserve"));
    let output = trafcalc(&["store"]).env_remove("NOTIFY_SOCKET").output().unwrap();
    assert_eq!(output.status.code(), Some(69), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn the_unit_does_not_start_again_what_cannot_get_better() {
    let unit = read("trafcalc.service");
    assert_eq!(setting(&unit, "RestartPreventExitStatus"), "64 77 78");
    assert_eq!(setting(&unit, "Type"), "notify");
}

#[test]
fn logrotate_turns_the_default_log_and_tells_the_service() {
    let rotation = read("trafcalc.logrotate");
    assert!(rotation.starts_with(&format!("{DEFAULT_LOG} {{\n")));
    assert!(rotation.contains("systemctl reload trafcalc.service"));
    let unit = read("trafcalc.service");
    let last = unit.lines().filter_map(|line| line.strip_prefix("ExecReload=")).next_back();
    assert_eq!(last, Some("/bin/kill -HUP $MAINPID"));
}

#[test]
fn the_shipped_configuration_says_where_it_belongs() {
    assert!(read("trafcalc.toml").contains(DEFAULT_FILE));
}

#[test]
fn the_unit_makes_the_directory_of_the_default_sockets() {
    let unit = read("trafcalc.service");
    let directory = Path::new("/run").join(setting(&unit, "RuntimeDirectory"));
    for socket in [DEFAULT_STATUS, DEFAULT_REPORTS] {
        assert_eq!(Path::new(socket).parent(), Some(&*directory));
    }
    assert_eq!(setting(&unit, "RuntimeDirectoryMode"), "0755", "everybody may ask for his own");
}
