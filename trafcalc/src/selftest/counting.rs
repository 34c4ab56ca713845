//! Tests one target: starts its backend, plays every scenario to it, and compares what it counted with the truth.

use std::collections::HashMap;
use std::sync::Arc;

use super::SelftestError;
use super::namespace;
use super::progress::Progress;
use super::scenarios;
use super::target::Target;
use super::traffic;
use super::users::Users;
use super::verdict::{Row, Truth};
use crate::capture::{self, Alarm, Batch, Bytes, Declined, Owner, Started};

/// Tests `target` in a network namespace of its own. The inner error means that the target does not start.
pub(super) fn test(
    settings: &capture::Settings,
    target: Target,
    users: &Users,
    progress: &mut Progress,
) -> Result<Result<Vec<Row>, Vec<Declined>>, SelftestError> {
    namespace::inside(|| {
        progress.begin(target, "starting");
        match capture::start(settings, &alarm()) {
            Ok(started) => count(started, target, users, progress).map(Ok),
            Err(declined) => {
                progress.skip(scenarios::ALL.len());
                Ok(Err(declined))
            }
        }
    })
}

/// Logs why a backend died at once; such a backend also fails to finish.
fn alarm() -> Alarm {
    Arc::new(|error| tracing::error!("the backend died: {error}"))
}

fn count(
    mut started: Started,
    target: Target,
    users: &Users,
    progress: &mut Progress,
) -> Result<Vec<Row>, SelftestError> {
    let mut truths = Vec::with_capacity(scenarios::ALL.len());
    for (scenario, &(sender, receiver)) in scenarios::ALL.iter().zip(users.pairs()) {
        progress.begin(target, scenario.name);
        let (sent, received) = traffic::play(scenario, sender, receiver, target.hold_ms())?;
        truths.push(Truth { scenario: scenario.name, sender, receiver, sent, received });
        progress.skip(1);
    }
    namespace::wait_until_closed()?;
    let batch = started.backend.finish().map_err(SelftestError::BackendDied)?;
    let counted = by_owner(&batch);
    let of = |uid| counted.get(&Owner::user(uid)).copied().unwrap_or_default();
    Ok(truths.iter().flat_map(|truth| Row::compare(target, truth, of(truth.sender), of(truth.receiver))).collect())
}

fn by_owner(batch: &Batch) -> HashMap<Owner, Bytes> {
    let mut counted: HashMap<Owner, Bytes> = HashMap::new();
    for (owner, bytes) in &batch.credits {
        *counted.entry(owner.clone()).or_default() += *bytes;
    }
    counted
}
