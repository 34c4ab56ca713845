//! A link that loses, duplicates and reorders packets: what is sent again or arrives twice counts once.

use anyhow::Result;

use super::{Scenario, Test, tun};
use crate::world::Quality;

pub(super) const SCENARIO: Scenario = Scenario::new("bad_line", run).over_both().needs(tun::missing);

/// Primes, so that a packet that is sent again does not meet the same fate for ever.
const BAD: Quality = Quality { lose: 97, double: 31, overtake: 13 };

fn run(test: &Test) -> Result<()> {
    tun::over(test, BAD, test.volume(3_000_000, 500_000))
}
