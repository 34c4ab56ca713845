//! The service is stopped and started again while traffic runs, and keeps what it counts in a folder: no byte is missed. When
//! the folder is released, nothing is left.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, ensure};

use super::successors::{EACH, End, Succession, must_be_gone, must_be_there};
use super::{Scenario, Test};
use crate::service::{Options, Service, Store, program};
use crate::target::Target;
use crate::truth::By;
use crate::world::Namespace;

pub(super) const SCENARIO: Scenario =
    Scenario::new("stopped_and_followed", run).targets(|target| target != Target::Packet);

fn run(test: &Test) -> Result<()> {
    let store = Store::default();
    let folder = Some(store.make("folder").join("kept"));
    let times = test.volume(10, 2);
    let stops = Succession {
        ends: End::Stop,
        by: By::USER,
        folder: folder.clone(),
        configs: &[],
        times,
        longest_pause_ms: 500,
        book: EACH,
    };
    let (_, objects) = stops.run(test)?;
    must_be_there(&objects)?;
    is_refused_while_it_is_used(test, folder.as_ref())?;
    let released = Command::new(program()).arg("release").args(&folder).output()?;
    ensure!(released.status.success(), "{}", String::from_utf8_lossy(&released.stderr));
    ensure!(folder.is_some_and(|folder| !folder.exists()), "the folder is still there");
    must_be_gone(&objects)
}

/// Who counts must not have it taken away.
fn is_refused_while_it_is_used(test: &Test, folder: Option<&PathBuf>) -> Result<()> {
    let keep = folder.map(|folder| format!("--keep={}", folder.display())).unwrap_or_default();
    let service = Service::start(test.target, &Namespace::new()?, &Options::default().argument(&keep))?;
    let released = Command::new(program()).arg("release").args(folder).output()?;
    let said = String::from_utf8_lossy(&released.stderr);
    ensure!(released.status.code() == Some(69) && said.contains("stop it first"), "{} {said}", released.status);
    service.stop().map(drop)
}
