//! A process that has given up its privileges as the service does, and then does what somebody would who has taken it over. Says in
//! one line of JSON what each attempt came to, in its first thread and in one that was there before.
#![expect(unsafe_code, reason = "system calls that no library of a well-behaved program makes")]

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::mpsc::channel;
use std::thread;

use nix::libc;
use trafcalc::capture::{BackendKind, By, Wanted};
use trafcalc::service::privileges::{Plan, Standing, drop};

/// What an attempt came to: the name of it, and the error; an empty one if it succeeded.
type Outcomes = BTreeMap<&'static str, String>;

/// Drops privileges but for writing in `folder`, and tries everything.
pub(crate) fn main(folder: Option<&str>) -> ExitCode {
    let Some(folder) = folder.map(PathBuf::from) else { return ExitCode::from(64) };
    let (go, gone) = channel();
    let (other, at) = (folder.clone(), "other");
    let other = thread::spawn(move || {
        let _ = gone.recv();
        attempts(&other, at)
    });
    let standing = Standing::Root("this is a test".to_owned());
    let plan = Plan::new(standing, BackendKind::Ebpf, By::USER, &Wanted::default(), (vec![folder.clone()], &[]));
    let told = match drop(&plan) {
        Ok(told) => told,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    let _ = go.send(());
    let Ok(other) = other.join() else { return ExitCode::FAILURE };
    println!("{}", serde_json::json!({"told": told, "first": attempts(&folder, "first"), "other": other}));
    ExitCode::SUCCESS
}

fn attempts(folder: &Path, name: &str) -> Outcomes {
    let elsewhere = folder.with_extension(name);
    let call = |number, arguments: [libc::c_long; 5]| {
        let [first, second, third, fourth, fifth] = arguments;
        // SAFETY: pointers are null or to what outlives the call; the kernel checks them in any case.
        let result = unsafe { libc::syscall(number, first, second, third, fourth, fifth) };
        if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    };
    let attributes = [0_u64; 16];
    let pointer = attributes.as_ptr() as libc::c_long;
    let socket = |domain: i32, kind: i32| call(libc::SYS_socket, [domain.into(), kind.into(), 0, 0, 0]);
    let path = c"/";
    let tried = [
        ("write where it may", fs::write(folder.join(name), "x")),
        ("write elsewhere", fs::write(&elsewhere, "x")),
        ("write over a file of the system", fs::OpenOptions::new().append(true).open("/etc/passwd").map(|_| ())),
        ("execute", Command::new("/proc/self/exe").status().map(|_| ())),
        ("make a map", call(libc::SYS_bpf, [0, pointer, 128, 0, 0])),
        ("load a program", call(libc::SYS_bpf, [5, pointer, 128, 0, 0])),
        ("open a packet socket", socket(libc::AF_PACKET, libc::SOCK_DGRAM)),
        ("open a raw socket", socket(libc::AF_INET, libc::SOCK_RAW)),
        ("open a socket", socket(libc::AF_INET, libc::SOCK_STREAM)),
        ("count an event", call(libc::SYS_perf_event_open, [pointer, 0, -1, -1, 0])),
        ("trace", call(libc::SYS_ptrace, [libc::PTRACE_TRACEME.into(), 0, 0, 0, 0])),
        ("make a namespace", call(libc::SYS_unshare, [libc::CLONE_NEWUSER.into(), 0, 0, 0, 0])),
        ("change root", call(libc::SYS_chroot, [path.as_ptr() as libc::c_long, 0, 0, 0, 0])),
        ("become another user", call(libc::SYS_setresuid, [7, 7, 7, 0, 0])),
        ("signal another process", call(libc::SYS_kill, [1, 0, 0, 0, 0])),
    ];
    tried.map(|(what, outcome)| (what, outcome.err().map(|error| error.to_string()).unwrap_or_default())).into()
}
