//! Two network namespaces joined by a veth pair. Everything goes when it is dropped.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::{shell, system};

const NEAR: &str = "trafcalc-bench-near";
const FAR: &str = "trafcalc-bench-far";
/// The near end's device, for tools that want to know.
pub(super) const DEVICE: &str = "near0";
/// Where the far end listens. From the range for documentation: nothing routes there.
pub(super) const FAR_ADDRESS: &str = "192.0.2.2";
/// The first port of those there.
pub(super) const FAR_PORT: u16 = 5001;

/// Many connections, one after the other, need their ports again after a second instead of a minute.
const MANY_PORTS: &str = "cd /proc/sys/net/ipv4; echo 10000 65535 >ip_local_port_range; echo 1 >tcp_tw_reuse";

/// The pair.
pub(super) struct Line {
    near: &'static str,
    far: &'static str,
}

/// One end.
#[derive(Clone, Copy)]
pub(super) enum End {
    Near,
    Far,
}

impl Line {
    /// Makes it. What a bench that was killed left behind is removed first.
    pub(super) fn new() -> Result<Self> {
        remove();
        let line = Self { near: NEAR, far: FAR };
        for steps in [
            format!("netns add {NEAR}"),
            format!("netns add {FAR}"),
            format!("-n {NEAR} link add {DEVICE} type veth peer name far0 netns {FAR}"),
            format!("-n {NEAR} addr add 192.0.2.1/24 dev {DEVICE}"),
            format!("-n {FAR} addr add 192.0.2.2/24 dev far0"),
            format!("-n {NEAR} link set {DEVICE} up"),
            format!("-n {FAR} link set far0 up"),
            format!("-n {NEAR} link set lo up"),
        ] {
            shell::output(Command::new("ip").args(steps.split(' ')))?;
        }
        for end in [End::Near, End::Far] {
            shell::output(line.command(end, "sh").args(["-c", MANY_PORTS]))?;
        }
        Ok(line)
    }

    /// A program at one end, ahead of what else the machine has to do.
    pub(super) fn command(&self, end: End, program: impl AsRef<Path>) -> Command {
        let name = match end {
            End::Near => self.near,
            End::Far => self.far,
        };
        let mut command = Command::new("nice");
        command
            .args(["--adjustment=-20", "nsenter"])
            .arg(format!("--net=/run/netns/{name}"))
            .arg("--")
            .arg(program.as_ref());
        command
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        remove();
    }
}

fn remove() {
    for name in [NEAR, FAR] {
        system::succeeds(Command::new("ip").args(["netns", "del", name]));
    }
}
