//! Environment variables for tests only. They exist in every build, so that the shipped program is tested, and the
//! service warns if one is set. A variable that the service reads must never change what is counted, only make it
//! repair more; the one that changes it is read by the self-test alone.

use std::ffi::OsString;

use super::{ConfigError, Settings, capture};

/// The percentage of plain segments that the packet backend's filter drops.
pub const TEST_DROP_PERCENT: &str = "TRAFCALC_TEST_DROP_PERCENT";
/// How many milliseconds the packet backend's reader sleeps before its first read.
pub const TEST_STALL_MS: &str = "TRAFCALC_TEST_STALL_MS";

/// The eBPF backend reads sockets with a helper, as on kernels without the cast: 1 for yes.
pub const TEST_WITHOUT_CAST: &str = "TRAFCALC_TEST_WITHOUT_CAST";

/// Breaks the backends, to show that the self-test detects it: 1 for yes.
pub const TEST_BREAK: &str = "TRAFCALC_TEST_BREAK";

const MAX_PERCENT: u8 = 100;
const MAX_STALL_MS: u64 = 60_000;

pub(super) fn apply(
    settings: &mut capture::Settings,
    env: impl Fn(&str) -> Option<OsString>,
) -> Result<(), ConfigError> {
    if let Some(percent) = number(&env, TEST_DROP_PERCENT, u64::from(MAX_PERCENT))? {
        settings.packet.test_drop_percent = u8::try_from(percent).unwrap_or(MAX_PERCENT);
    }
    if let Some(stall_ms) = number(&env, TEST_STALL_MS, MAX_STALL_MS)? {
        settings.packet.test_stall_ms = stall_ms;
    }
    settings.ebpf.test_without_cast = number(&env, TEST_WITHOUT_CAST, 1)? == Some(1);
    Ok(())
}

pub(super) fn apply_break(
    settings: &mut capture::Settings,
    env: impl Fn(&str) -> Option<OsString>,
) -> Result<(), ConfigError> {
    let is_wanted = number(env, TEST_BREAK, 1)? == Some(1);
    settings.packet.test_lose_fins = is_wanted;
    settings.ebpf.test_leave_out_states = is_wanted;
    Ok(())
}

/// Warns that the service must not be used for real work.
pub fn warn(settings: &Settings) {
    let capture::Settings { packet, ebpf, .. } = &settings.capture;
    let (test_drop_percent, test_stall_ms) = (packet.test_drop_percent, packet.test_stall_ms);
    let test_without_cast = ebpf.test_without_cast;
    if test_drop_percent > 0 || test_stall_ms > 0 || test_without_cast {
        tracing::warn!(test_drop_percent, test_stall_ms, test_without_cast, "variables for tests are set");
    }
}

fn number(env: impl Fn(&str) -> Option<OsString>, name: &'static str, max: u64) -> Result<Option<u64>, ConfigError> {
    let Some(text) = env(name) else { return Ok(None) };
    match text.to_str().and_then(|text| text.parse().ok()) {
        Some(value) if value <= max => Ok(Some(value)),
        _ => Err(ConfigError::TestKnob { name, max }),
    }
}
