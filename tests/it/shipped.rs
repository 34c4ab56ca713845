//! The files of `trafcalc/dist/` fit the program.

use std::path::{Path, PathBuf};
use std::process::Command;

use trafcalc::config::{DEFAULT_FILE, DEFAULT_LOG, DEFAULT_STATUS};

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
fn the_unit_grants_what_counting_needs_and_nothing_takes_it_away() {
    let unit = read("trafcalc.service");
    for list in ["CapabilityBoundingSet", "AmbientCapabilities"] {
        assert_eq!(setting(&unit, list), "CAP_NET_RAW CAP_SYS_NICE CAP_BPF CAP_PERFMON");
    }
    for family in ["AF_PACKET", "AF_NETLINK", "AF_UNIX"] {
        assert!(setting(&unit, "RestrictAddressFamilies").split(' ').any(|allowed| allowed == family));
    }
    assert!(setting(&unit, "SystemCallFilter").ends_with(" bpf perf_event_open"));
    // They would hide the network, give up root's own files, or refuse SCHED_FIFO.
    for hiding in ["PrivateNetwork", "RestrictRealtime", "PrivateUsers", "User="] {
        assert!(!unit.lines().any(|line| line.starts_with(hiding)), "{hiding}");
    }
}

#[test]
fn the_unit_has_systemd_keep_what_is_counted() {
    let unit = read("trafcalc.service");
    assert!(setting(&unit, "ExecStart").ends_with(" run --keep systemd"));
    // What is made is handed over by another process than the main one, with the privileges that this has not got.
    assert_eq!(setting(&unit, "ExecStartPre"), format!("-+{PROGRAM} store"));
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
    assert_eq!(setting(&read("trafcalc.service"), "ExecReload"), "/bin/kill -HUP $MAINPID");
}

#[test]
fn the_shipped_configuration_says_where_it_belongs() {
    assert!(read("trafcalc.toml").contains(DEFAULT_FILE));
}

#[test]
fn the_unit_makes_the_directory_of_the_default_status_socket() {
    let directory = Path::new("/run").join(setting(&read("trafcalc.service"), "RuntimeDirectory"));
    assert_eq!(Path::new(DEFAULT_STATUS).parent(), Some(&*directory));
}
