//! Reading sockets by `bpf_rdonly_cast`, and by a helper on kernels without it: both count the same, and the cast is used
//! where the kernel has it.

use anyhow::{Result, ensure};

use super::{Scenario, Test, run_all};
use crate::service::Options;
use crate::target::Target;
use crate::traffic::spec::{CHUNK, Step, receive_all, send};
use crate::world::World;

pub(super) const SCENARIO: Scenario = Scenario::new("cast", run).targets(Target::is_ebpf).behind_the_hooks();

fn run(test: &Test) -> Result<()> {
    for (is_forbidden, way) in [(0, if has_cast()? { "a cast" } else { "a helper" }), (1, "a helper")] {
        let world = World::new()?;
        let options = Options::default().environment("TRAFCALC_LOG", &"debug");
        let counters = test.count_with(&world, &options.environment("TRAFCALC_TEST_WITHOUT_CAST", &is_forbidden))?;
        let client = test.client([send(1_000_000, CHUNK), Step::Shut, receive_all()]);
        let server = test.server([receive_all(), send(300_001, 1_000)]);
        let truth = run_all([(&world.far, server), (&world.near, client)])?;
        let counted = counters.stop()?;
        counted.must_equal(&truth)?;
        let said = format!("programs load from sockets by {way}");
        let is_said = || {
            ensure!(counted.said(&said), "no service said {said:?}");
            Ok(())
        };
        counted.explain(is_said())?;
    }
    Ok(())
}

/// Whether the running kernel has `bpf_rdonly_cast` (Linux 6.2 and later).
fn has_cast() -> Result<bool> {
    Ok(std::fs::read_to_string("/proc/kallsyms")?.lines().any(|line| line.ends_with(" bpf_rdonly_cast")))
}
