//! SIGHUP after the log was renamed (logrotate): what follows goes to a new file, and nothing is missing or twice in
//! both together.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use nix::sys::signal::Signal;

use super::{Counted, Scenario, Test, run_all};
use crate::service::{Log, Options, Service};
use crate::traffic::spec::{CHUNK, receive_all, send};
use crate::world::World;

pub(super) const SCENARIO: Scenario = Scenario::new("reopen_on_sighup", run).behind_the_hooks();

fn run(test: &Test) -> Result<()> {
    let world = World::new()?;
    let services = test.start(&world, &Options { interval: "100ms", ..Options::default() })?;
    let send_some = || {
        let (client, server) = (test.client([send(1_000_000, CHUNK)]), test.server([receive_all()]));
        run_all([(&world.far, server), (&world.near, client)])
    };
    let mut truth = send_some()?;
    let renamed = services.iter().map(rotate).collect::<Result<Vec<_>>>()?;
    truth.merge(send_some()?);
    let mut logs = Vec::new();
    for (service, renamed) in services.into_iter().zip(renamed) {
        let old = Log::read(&renamed)?;
        logs.push(old.followed_by(service.stop()?));
    }
    Counted::new(logs)?.must_equal(&truth)
}

/// Renames the log, has the service reopen it, and gives the new name of the old one.
fn rotate(service: &Service) -> Result<PathBuf> {
    let renamed = service.log_path().with_extension("1");
    service.wait_for_log(|log| !log.reports.is_empty())?;
    std::fs::rename(service.log_path(), &renamed).context("cannot rename the log")?;
    service.signal(Signal::SIGHUP)?;
    service.wait_for_log(|log| !log.reports.is_empty())?;
    Ok(renamed)
}
