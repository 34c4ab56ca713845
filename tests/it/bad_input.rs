//! What is wrong is named, the exit code is the documented one, and nothing changes on the disk.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use caps::{CapSet, Capability};

use super::support::{Folder, OVERRIDES, can_capture, leave_out, run_without, stderr, trafcalc};

const COUNTING: [Capability; 4] =
    [Capability::CAP_NET_RAW, Capability::CAP_BPF, Capability::CAP_PERFMON, Capability::CAP_SYS_ADMIN];

/// A folder with a configuration file, and the log's path in it.
struct Case {
    folder: tempfile::TempDir,
}

impl Case {
    fn with_config(text: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("config.toml"), text).unwrap();
        Self { folder }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    /// `trafcalc run` with this configuration and log. Would it start after all, it would stop by itself.
    fn command(&self, args: &[&str]) -> Command {
        let mut command = trafcalc(&["run", "--duration=100ms"]);
        command.arg("--config").arg(self.path().join("config.toml"));
        command.arg("--log").arg(self.path().join("log"));
        command.args(args);
        command
    }

    /// Checks that `run` ends with `code`, says `told`, and changes nothing here.
    fn expect(&self, code: i32, told: &str, run: impl FnOnce() -> Output) {
        let before = Folder::look(self.path());
        let output = run();
        assert!(stderr(&output).contains(told), "{told:?} is not in {:?}", stderr(&output));
        assert_eq!(output.status.code(), Some(code), "{}", stderr(&output));
        assert!(output.stdout.is_empty());
        assert_eq!(Folder::look(self.path()), before);
    }
}

#[test]
fn a_wrong_configuration_is_named_by_file_line_and_key() {
    for (text, told) in [
        ("# nothing\ncolour = 'red'\n", "config.toml:2: colour: unknown field `colour`"),
        ("[log]\ncolour = 'red'\n", "config.toml:2: log.colour: unknown field `colour`"),
        ("[sniffer]\n", "config.toml:1: sniffer: unknown field `sniffer`"),
        ("loopback = 'no'\n", "config.toml:1: loopback: invalid type: string \"no\", expected a boolean"),
        ("\n\ninterval = '0s'\n", "config.toml:3: interval: \"0s\" is not between 100ms and 1day"),
        ("[packet]\nring_bytes = 1\n", "config.toml:2: packet.ring_bytes: 1 is not between 65536 and 1073741824"),
        ("backend = 'magic'\n", "config.toml:1: backend: \"magic\" is not one of auto, ebpf, packet"),
        ("owner = 'me'\n", "config.toml:1: owner: \"me\" is not one of socket, acting"),
        ("[only]\npids = [0]\n", "config.toml:2: only.pids: unknown field `pids`, expected one of"),
        ("[only]\nprograms = ['a/b']\n", "config.toml:2: only.programs: \"a/b\" is not the last part of a path"),
        ("interval = \n", "config.toml:1: "),
    ] {
        let case = Case::with_config(text);
        case.expect(78, told, || case.command(&[]).output().unwrap());
    }
}

#[test]
fn a_wrong_command_line_is_named_by_option() {
    let case = Case::with_config("");
    for (args, told) in [
        (&["--colour"][..], "'--colour'"),
        (&["--interval=0s"], "'--interval <TIME>': \"0s\" is not between 100ms and 1day"),
        (&["--interval=2d"], "'--interval <TIME>': \"2d\" is not between 100ms and 1day"),
        (&["--interval=soon"], "'--interval <TIME>': \"soon\" is not a length of time"),
        (&["--backend=magic"], "'--backend <BACKEND>'"),
        (&["--format=xml"], "'--format <FORMAT>'"),
        (&["--attach=kprobe", "--backend=packet"], "--attach kprobe is for the ebpf backend"),
        (&["--owner=acting", "--backend=packet"], "--owner acting is for the ebpf backend"),
        (&["--method=poll"], "'--method <METHOD>'"),
        (&["--method=events", "--backend=packet"], "--method events is for the ebpf backend"),
        (&["--method=sweep", "--by=unit"], "--method sweep cannot be used with --by unit: a sweep reads connections"),
        (&["--owner=me"], "'--owner <WHOSE>'"),
        (&["--by=colour"], "'--by <WHAT>'"),
        (&["--by=unit,colour"], "invalid value 'colour' for '--by <WHAT>'"),
        (&["--by=unit,program,unit"], "--by has unit twice"),
        (
            &["--user=no-such-user"],
            "there is no user \"no-such-user\" on this host; a user without a name can be given by",
        ),
        (&["--pid=0"], "'--pid <PID>': \"0\" is not the number of a process, from 1 to 4194304"),
        (&["--pid=nginx"], "'--pid <PID>': \"nginx\" is not the number of a process"),
        (
            &["--pid=4194304"],
            "there is no process 4194304; to count one that is yet to start, give its user, program or",
        ),
        (&["--children"], "--children is for the processes that --pid names, but there is none"),
        (&["--program=/usr/bin/curl"], "'--program <NAME>': \"/usr/bin/curl\" is not the last part of a path"),
        (&["--user=no-such-user", "--unit=no-such.service"], "there is no unit or cgroup"),
        (&["--unit=no-such.service"], "there is no unit or cgroup \"no-such.service\" on this host; if it may appear"),
    ] {
        case.expect(64, told, || case.command(args).output().unwrap());
    }
    case.expect(64, "'--duration <TIME>': \"forever\"", || trafcalc(&["run", "--duration=forever"]).output().unwrap());
    case.expect(64, "unrecognized subcommand 'walk'", || trafcalc(&["walk"]).output().unwrap());
}

#[test]
fn a_wrong_environment_is_named_by_variable() {
    let case = Case::with_config("");
    let name = "TRAFCALC_TEST_DROP_PERCENT";
    case.expect(64, name, || case.command(&[]).env(name, "all").output().unwrap());
}

/// The service goes on; here until it reads its configuration.
#[test]
fn a_wrong_filter_of_messages_is_a_warning() {
    let case = Case::with_config("colour = 'red'\n");
    for value in ["trafcalc=loud", "debg"] {
        let told = format!("WARN the environment variable TRAFCALC_LOG is {value:?}, which is no filter of messages: ");
        case.expect(78, &told, || case.command(&[]).env("TRAFCALC_LOG", value).output().unwrap());
    }
    let output = case.command(&[]).env("TRAFCALC_LOG", "trafcalc=debug").output().unwrap();
    assert!(!stderr(&output).contains("TRAFCALC_LOG"), "{}", stderr(&output));
}

#[test]
fn a_configuration_that_cannot_be_read_is_named() {
    let case = Case::with_config("");
    let file = case.path().join("config.toml");
    fs::set_permissions(&file, Permissions::from_mode(0o000)).unwrap();
    case.expect(78, "config.toml: cannot be read: Permission denied", || run_without(&OVERRIDES, case.command(&[])));
    fs::remove_file(&file).unwrap();
    case.expect(78, "config.toml: cannot be read: No such file", || case.command(&[]).output().unwrap());
    fs::create_dir(&file).unwrap();
    case.expect(78, "config.toml: cannot be read: Is a directory", || case.command(&[]).output().unwrap());
}

#[test]
fn a_missing_capability_is_named() {
    let case = Case::with_config("");
    case.expect(77, "the packet backend needs CAP_NET_RAW", || run_without(&COUNTING, case.command(&[])));
    case.expect(77, "the ebpf backend needs CAP_BPF and CAP_PERFMON", || {
        run_without(&COUNTING, case.command(&["--backend=ebpf"]))
    });
}

#[test]
fn a_self_test_without_privileges_names_what_is_missing() {
    let case = Case::with_config("");
    case.expect(77, "the self-test needs CAP_NET_RAW: run it as root", || {
        run_without(&[Capability::CAP_NET_RAW], trafcalc(&["selftest", "--backend=packet"]))
    });
    case.expect(77, "CAP_SETUID", || run_without(&[Capability::CAP_SETUID], trafcalc(&["selftest"])));
}

#[test]
fn a_wrong_self_test_is_named_by_option_or_variable() {
    let case = Case::with_config("");
    case.expect(64, "--attach kprobe is for the ebpf backend", || {
        trafcalc(&["selftest", "--attach=kprobe", "--backend=packet"]).output().unwrap()
    });
    case.expect(64, "--method events is for the ebpf backend", || {
        trafcalc(&["selftest", "--method=events", "--backend=packet"]).output().unwrap()
    });
    case.expect(64, "TRAFCALC_TEST_BREAK", || {
        trafcalc(&["selftest"]).env("TRAFCALC_TEST_BREAK", "2").output().unwrap()
    });
}

#[test]
fn a_log_that_cannot_be_written_is_named() {
    if !can_capture("a_log_that_cannot_be_written_is_named") {
        return;
    }
    let case = Case::with_config("");
    let log = case.path().join("log");
    fs::write(&log, "old\n").unwrap();
    fs::set_permissions(&log, Permissions::from_mode(0o444)).unwrap();
    case.expect(78, "log: cannot be opened for appending: Permission denied", || {
        run_without(&OVERRIDES, case.command(&[]))
    });
    fs::remove_file(&log).unwrap();
    fs::create_dir(&log).unwrap();
    case.expect(78, "log: cannot be opened for appending: Is a directory", || case.command(&[]).output().unwrap());
    case.expect(78, "missing/log: cannot be opened for appending: No such file", || {
        trafcalc(&["run", "--log=missing/log"]).current_dir(case.path()).output().unwrap()
    });
}

#[test]
fn a_second_instance_on_the_same_log_is_refused() {
    if !can_capture("a_second_instance_on_the_same_log_is_refused") {
        return;
    }
    let case = Case::with_config("");
    File::create(case.path().join("log")).unwrap();
    let first = File::create(case.path().join(".log-lock")).unwrap();
    first.set_permissions(Permissions::from_mode(0o600)).unwrap();
    first.lock().unwrap();
    case.expect(78, "log: another trafcalc is writing to this log", || case.command(&[]).output().unwrap());
}

#[test]
fn a_start_that_fails_leaves_no_log_behind() {
    if !can_capture("a_start_that_fails_leaves_no_log_behind") {
        return;
    }
    if !caps::has_cap(None, CapSet::Effective, Capability::CAP_SYS_ADMIN).unwrap_or(false) {
        return leave_out("a_start_that_fails_leaves_no_log_behind", "needs CAP_SYS_ADMIN");
    }
    let case = Case::with_config("backend = 'ebpf'\nby = 'process'\n");
    // Where processes have other numbers than for the kernel, it cannot tell them apart.
    let run = case.command(&[]);
    let mut elsewhere = Command::new("unshare");
    elsewhere.args(["--pid", "--fork"]).arg(run.get_program()).args(run.get_args());
    case.expect(69, "no backend could start:\n  ebpf", || elsewhere.output().unwrap());
}

#[test]
fn a_backend_that_cannot_do_what_is_asked_says_so() {
    if !can_capture("a_backend_that_cannot_do_what_is_asked_says_so") {
        return;
    }
    let told = "--owner acting is for the ebpf backend, but the backend is packet";
    let case = Case::with_config("owner = 'acting'\n");
    case.expect(64, told, || case.command(&["--backend=packet"]).output().unwrap());
    let case = Case::with_config("owner = 'acting'\nbackend = 'packet'\n");
    case.expect(78, told, || case.command(&[]).output().unwrap());
    let told = "--method sweep cannot be used with --owner acting";
    let case = Case::with_config("owner = 'acting'\nebpf.method = 'sweep'\n");
    case.expect(78, told, || case.command(&[]).output().unwrap());
}

#[test]
fn a_file_that_is_no_configuration_is_neither_read_nor_told_as_a_whole() {
    let secret = "s".repeat(5_000);
    let case = Case::with_config(&format!("backend = '{secret}'\n"));
    let output = case.command(&[]).output().unwrap();
    let told = stderr(&output);
    assert!(told.len() < 500 && told.contains("backend: \"sss") && told.contains('…'), "{told}");
    assert_eq!((output.status.code(), told.lines().count()), (Some(78), 1), "{told}");
    let case = Case::with_config(&"#".repeat((1 << 20) + 1));
    case.expect(78, "it has more than 1048576 bytes, so it is no configuration", || {
        case.command(&[]).output().unwrap()
    });
    let case = Case::with_config(&"#".repeat(1 << 20));
    case.expect(77, "needs CAP_NET_RAW", || run_without(&COUNTING, case.command(&["--backend=packet"])));
}

#[test]
fn too_few_descriptors_are_named_as_such() {
    if !can_capture("too_few_descriptors_are_named_as_such") {
        return;
    }
    let case = Case::with_config("");
    let command = case.command(&["--backend=packet", "--status-socket=", "--reports-socket="]);
    let limited = |limit: &str| {
        let mut limited = Command::new("sh");
        limited.arg("-c").arg(format!("ulimit {limit}; exec \"$0\" \"$@\"")).arg(command.get_program());
        limited.args(command.get_args()).output().unwrap()
    };
    let told = "may have 60 files open, and needs up to 256: raise the limit (LimitNOFILE= of the unit";
    case.expect(69, told, || limited("-n 60"));
    // It raises one that it may raise.
    let output = limited("-Sn 12");
    assert!(output.status.success(), "{}", stderr(&output));
}
