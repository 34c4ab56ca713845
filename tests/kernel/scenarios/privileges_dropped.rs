//! Once it counts, no thread of the service has a privilege, and all of them are of its own user; it counts exactly, keeps its book,
//! and follows the rotation of its log none the less. Where there is no such user it stays root, without a privilege.

use std::fs;
use std::os::unix::fs::chown;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::Signal;
use tempfile::TempDir;

use super::killed_book::must_agree;
use super::{Counted, SERVER, Scenario, Test, run_all};
use crate::service::{Log, Options, RUN_AS, Service, ask};
use crate::traffic::spec::{CHUNK, receive_all, send};
use crate::world::World;

pub(super) const SCENARIO: Scenario = Scenario::new("privileges_dropped", run);

fn run(test: &Test) -> Result<()> {
    let world = World::new()?;
    let folder = TempDir::with_prefix("trafcalc-user-")?;
    chown(folder.path(), Some(RUN_AS), Some(RUN_AS))?;
    let at = |name: &str| folder.path().join(name);
    let socket = at("status.sock");
    let options = Options { has_user: true, book: Some(at("book.db")), log: Some(at("traffic")), ..Options::default() };
    let options = options.argument("--status-socket").argument(&socket.to_string_lossy());
    let service = Service::start(test.target, &world.near, &options)?;
    let send_some = || {
        let (client, server) = (test.client([send(1_000_000, CHUNK)]), test.server([receive_all()]));
        run_all([(&world.far, server), (&world.near, client)])
    };
    let mut truth = send_some()?;
    let threads = must_have_no_privilege(service.pid(), RUN_AS, 0, 0)?;
    let told = ask(&socket)?["privileges"].as_str().unwrap_or_default().to_owned();
    println!("{threads} threads; {told}");
    ensure!(told.starts_with("none kept, user trafcalc; seccomp, "), "{told}");

    service.wait_for_log(|log| !log.reports.is_empty())?;
    fs::rename(at("traffic"), at("traffic.1")).context("cannot rename the log")?;
    service.signal(Signal::SIGHUP)?;
    service.wait_for_log(|log| !log.reports.is_empty())?;
    truth.merge(send_some()?);
    must_have_no_privilege(service.pid(), RUN_AS, 0, 0)?;
    let log = Log::read(&at("traffic.1"))?.followed_by(service.stop()?);
    ensure!(!fs::exists(&socket)?, "the socket is still there");
    must_agree(&log, &at("book.db"))?;
    // An eBPF program counts both ends.
    let mut counted = Counted::new(vec![log])?;
    counted.table.forget(&[SERVER]);
    truth.forget(&[SERVER]);
    counted.must_equal(&truth)?;
    stays_root(test, &world)
}

fn stays_root(test: &Test, world: &World) -> Result<()> {
    let folder = TempDir::with_prefix("trafcalc-root-")?;
    let socket = folder.path().join("status.sock");
    let options = Options { book: Some(folder.path().join("book.db")), ..Options::default() };
    let options = options.argument("--status-socket").argument(&socket.to_string_lossy());
    let service = Service::start(test.target, &world.near, &options)?;
    must_have_no_privilege(service.pid(), 0, 0, 0)?;
    let told = ask(&socket)?["privileges"].as_str().unwrap_or_default().to_owned();
    ensure!(told.starts_with("none kept, user root, as there is no user trafcalc; seccomp, "), "{told}");
    let (client, server) = (test.client([send(1_000_000, CHUNK)]), test.server([receive_all()]));
    let mut truth = run_all([(&world.far, server), (&world.near, client)])?;
    let mut counted = Counted::new(vec![service.stop()?])?;
    counted.table.forget(&[SERVER]);
    truth.forget(&[SERVER]);
    counted.must_equal(&truth)
}

/// Looks at each thread of a process as the kernel tells of it, and at what it may have and may gain (`bounding`, which it cannot
/// without new privileges); gives how many there are.
pub(super) fn must_have_no_privilege(pid: u32, uid: u32, kept: u64, bounding: u64) -> Result<usize> {
    let tasks: Vec<_> = fs::read_dir(format!("/proc/{pid}/task"))?.flatten().map(|task| task.path()).collect();
    for task in &tasks {
        let status = fs::read_to_string(task.join("status"))?;
        let value = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            line.map(|value| value.split_whitespace().collect::<Vec<_>>().join(" "))
                .with_context(|| format!("no {name}"))
        };
        let [none, kept, bounding] = [0, kept, bounding].map(|set| format!("{set:016x}"));
        let wanted = [
            ("Uid", [uid; 4].map(|uid| uid.to_string()).join(" ")),
            ("Gid", [uid; 4].map(|gid| gid.to_string()).join(" ")),
            ("CapInh", none.clone()),
            ("CapPrm", kept.clone()),
            ("CapEff", kept),
            ("CapBnd", bounding),
            ("CapAmb", none),
            ("NoNewPrivs", "1".to_owned()),
            ("Seccomp", "2".to_owned()),
        ];
        for (name, wanted) in wanted {
            let found = value(name)?;
            ensure!(found == wanted, "{name} of {}: {found}, not {wanted}", thread_name(task));
        }
    }
    Ok(tasks.len())
}

fn thread_name(task: &Path) -> String {
    fs::read_to_string(task.join("comm")).unwrap_or_default().trim().to_owned()
}
