//! Services that keep the book and services that keep none follow each other, with what they count kept in between: the log has
//! every byte once, whoever told it.

use anyhow::Result;

use super::successors::{End, Succession, must_be_gone};
use super::{Scenario, Test};
use crate::service::Store;
use crate::target::Target;
use crate::truth::By;

pub(super) const SCENARIO: Scenario = Scenario::new("book_left_out", run).targets(|target| target != Target::Packet);

fn run(test: &Test) -> Result<()> {
    // The same programs throughout, and others each time.
    for configs in [&[""][..], &["", "[ebpf]\nmax_accounts = 300"]] {
        let store = Store::default();
        let folder = Some(store.make("folder").join("kept"));
        let times = test.volume(8, 2);
        let book = |turn| turn % 2 == 0;
        let stops = Succession { ends: End::Stop, by: By::USER, folder, configs, times, longest_pause_ms: 300, book };
        let (_, objects) = stops.run(test)?;
        drop(store);
        must_be_gone(&objects)?;
    }
    Ok(())
}
