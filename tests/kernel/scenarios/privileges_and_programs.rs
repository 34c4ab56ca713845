//! A service that becomes another user keeps its programs in a folder that root alone can enter, goes on with what is there, and
//! frees what a former layout kept. It also goes on with what systemd kept while it was root.

use std::fs;
use std::os::unix::fs::chown;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use tempfile::TempDir;

use super::killed_book::must_agree;
use super::privileges_dropped::must_have_no_privilege;
use super::successors::{must_be_gone, must_be_there};
use super::{CLIENT, Scenario, Test, run_all};
use crate::service::{Log, Objects, Options, PATIENCE, RUN_AS, Service, Store};
use crate::target::Target;
use crate::traffic::spec::{CHUNK, receive_all, send};
use crate::truth::{By, Table};
use crate::world::World;

pub(super) const SCENARIO: Scenario = Scenario::new("privileges_and_programs", run).targets(Target::is_ebpf);

/// Configurations with maps of unlike layouts.
const LAYOUTS: [&str; 2] = ["", "[ebpf]\nmax_accounts = 300"];

fn run(test: &Test) -> Result<()> {
    let (world, folder) = (World::new()?, TempDir::with_prefix("trafcalc-user-")?);
    chown(folder.path(), Some(RUN_AS), Some(RUN_AS))?;
    let (log, book) = (folder.path().join("traffic"), folder.path().join("book.db"));
    // It is found through this process, which is root's.
    let store = Store::default();
    let kept = store.make("folder").join("kept");
    let mut truth = Table::default();
    let mut objects = Objects::default();
    for (turn, layout) in LAYOUTS.into_iter().enumerate() {
        let options = Options { has_user: true, book: Some(book.clone()), interval: "100ms", ..Options::default() };
        let options = options.argument("--keep").argument(&kept.to_string_lossy()).config(layout);
        let service = Service::start(test.target, &world.near, &options.log_to(log.clone()))?;
        must_have_no_privilege(service.pid(), RUN_AS, 0, 0)?;
        let (client, server) = (test.client([send(1_000_000, CHUNK)]), test.server([receive_all()]));
        truth.merge(run_all([(&world.far, server), (&world.near, client)])?);
        objects = Objects::of(service.pid());
        if turn + 1 < LAYOUTS.len() {
            service.kill()?;
        } else {
            wait_for_one_generation(&kept)?;
            service.stop()?;
        }
    }
    let counted = Log::read(&log)?;
    must_agree(&counted, &book)?;
    let of_client = |table: Table| table.split(|account| account.uid == Some(CLIENT)).0;
    of_client(counted.sum_of_intervals()?.by(By::USER)).must_equal(&of_client(truth.by(By::USER)))?;
    store.clear();
    must_be_gone(&objects)?;
    goes_on_after_root(test, &world)
}

/// What systemd keeps for a service of root is the user's once the service becomes that user.
fn goes_on_after_root(test: &Test, world: &World) -> Result<()> {
    let (folder, store) = (TempDir::with_prefix("trafcalc-user-")?, Store::default());
    chown(folder.path(), Some(RUN_AS), Some(RUN_AS))?;
    let (log, book) = (folder.path().join("traffic"), folder.path().join("book.db"));
    let mut truth = Table::default();
    let mut send_some = || {
        let (client, server) = (test.client([send(1_000_000, CHUNK)]), test.server([receive_all()]));
        truth.merge(run_all([(&world.far, server), (&world.near, client)])?);
        Ok::<_, anyhow::Error>(())
    };
    let start = |has_user| {
        store.prepare()?;
        let options = Options { has_user, book: Some(book.clone()), interval: "100ms", ..Options::default() };
        let options = Options { store: store.clone(), ..options }.argument("--keep=systemd").log_to(log.clone());
        Service::start(test.target, &world.near, &options)
    };
    let service = start(false)?;
    send_some()?;
    let objects = Objects::of(service.pid());
    service.kill()?;
    must_be_there(&objects)?;
    send_some()?;
    for _ in 0..2 {
        let service = start(true)?;
        must_have_no_privilege(service.pid(), RUN_AS, 0, 0)?;
        send_some()?;
        service.stop()?;
        must_be_there(&objects)?;
    }
    let counted = Log::read(&log)?;
    must_agree(&counted, &book)?;
    let of_client = |table: Table| table.split(|account| account.uid == Some(CLIENT)).0;
    of_client(counted.sum_of_intervals()?.by(By::USER)).must_equal(&of_client(truth.by(By::USER)))?;
    store.clear();
    must_be_gone(&objects)
}

/// Waits until nothing is kept but what counts now.
fn wait_for_one_generation(kept: &Path) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let entries = fs::read_dir(kept).context("the folder of what is kept")?;
        let names: Vec<_> = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        if names.iter().filter(|name| name.starts_with("generation")).count() == 1 {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "still kept: {names:?}");
        sleep(Duration::from_millis(50));
    }
}
