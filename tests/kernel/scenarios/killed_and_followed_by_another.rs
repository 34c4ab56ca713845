//! The service is killed and followed by another with other sizes, another method or another `by`, so its maps have another
//! layout: it takes over every connection where it stands, and what the former had counted and not reported.

use anyhow::Result;

use super::successors::{EACH, End, Succession, must_be_gone};
use super::{Scenario, Test};
use crate::target::Target;
use crate::truth::By;

pub(super) const SCENARIO: Scenario =
    Scenario::new("killed_and_followed_by_another", run).targets(|target| target != Target::Packet);

fn run(test: &Test) -> Result<()> {
    let configs = &[
        "",
        "[ebpf]\nmax_connections = 5000",
        "by = ['program', 'unit']",
        "[ebpf]\nmethod = 'events'",
        "by = 'unit'",
        "[[class]]\nname = 'lan'\nnetworks = ['10.0.0.0/8']",
        "[ebpf]\nmax_accounts = 300",
    ];
    let times = test.kills(20, 3)?;
    let kills =
        Succession { ends: End::Kill, by: By::USER, folder: None, configs, times, longest_pause_ms: 300, book: EACH };
    let (store, objects) = kills.run(test)?;
    store.clear();
    must_be_gone(&objects)
}
