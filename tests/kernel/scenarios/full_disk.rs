//! The disk fills up under the log and is freed again: no torn record, and what could not be written in time is in the
//! next records that can be.

use std::fs::File;
use std::io::Write as _;
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use tempfile::TempDir;

use super::{CLIENT, Counted, Scenario, Test, run_all};
use crate::service::{Options, Service};
use crate::traffic::spec::{CHUNK, receive_all, send};
use crate::world::World;

pub(super) const SCENARIO: Scenario = Scenario::new("full_disk", run).behind_the_hooks();

/// Several intervals: a log that has not grown for so long is stuck, because the last page it has is full, too.
const STUCK: Duration = Duration::from_secs(1);

fn run(test: &Test) -> Result<()> {
    let world = World::new()?;
    let disk = Disk::new()?;
    let options = Options { interval: "100ms", log: Some(disk.path().join("traffic")), ..Options::default() };
    let service = Service::start(test.target, &world.near, &options)?;
    let send_some = || {
        let (client, server) = (test.client([send(1_000_000, CHUNK)]), test.server([receive_all()]));
        run_all([(&world.far, server), (&world.near, client)])
    };
    let mut truth = send_some()?;
    service.wait_for_log(|log| !log.reports.is_empty())?;
    disk.fill()?;
    let reports = stuck_reports(&service)?;
    truth.merge(send_some()?);
    thread::sleep(STUCK);
    ensure!(service.log()?.reports.len() == reports, "the disk was not full, so nothing was shown");
    disk.free()?;
    service.wait_for_log(|log| log.reports.len() > reports)?;
    truth.merge(send_some()?);
    let counted = Counted::new(vec![service.stop()?])?;
    let (count, truth) = (counted.table.user(CLIENT), truth.user(CLIENT));
    counted.explain((count == truth).then_some(()).with_context(|| format!("{count:?} is not {truth:?}")))
}

/// Waits until the log grows no longer, and gives how many reports are in it.
fn stuck_reports(service: &Service) -> Result<usize> {
    let mut reports = service.log()?.reports.len();
    loop {
        thread::sleep(STUCK);
        let former = std::mem::replace(&mut reports, service.log()?.reports.len());
        if reports == former {
            return Ok(reports);
        }
    }
}

/// A file system of 64 KiB that nobody else sees, and that is gone when this is dropped or the process ends.
struct Disk(File);

impl Disk {
    fn new() -> Result<Self> {
        let dir = TempDir::with_prefix("trafcalc-test-")?;
        let none: Option<&str> = None;
        mount(none, dir.path(), Some("tmpfs"), MsFlags::empty(), Some("size=64k")).context("cannot mount a tmpfs")?;
        let root = File::open(dir.path());
        // Detached from the tree at once: it lives on as long as it is open.
        umount2(dir.path(), MntFlags::MNT_DETACH).context("cannot unmount the tmpfs")?;
        Ok(Self(root?))
    }

    fn path(&self) -> PathBuf {
        Path::new("/proc").join(std::process::id().to_string()).join("fd").join(self.0.as_raw_fd().to_string())
    }

    fn fill(&self) -> Result<()> {
        let mut file = File::create(self.path().join("filler"))?;
        while file.write(&[0; 4096]).is_ok() {}
        Ok(())
    }

    fn free(&self) -> Result<()> {
        Ok(std::fs::remove_file(self.path().join("filler"))?)
    }
}
