//! Two network namespaces joined by a veth pair. They are removed on drop.

use std::path::{Path, PathBuf};
use std::process::{self, Command};

use anyhow::Result;

use crate::{shell, system};

/// Prefixes of the namespaces' names; the process id follows, so that two benches do not conflict.
const NAMES: [&str; 2] = ["trafcalc-bench-near-", "trafcalc-bench-far-"];
/// The device at the near end, for tools that need its name.
pub(super) const DEVICE: &str = "near0";
/// The addresses of both ends; the far end listens. They are from the range for documentation, which is not routed.
pub(super) const NEAR_ADDRESS: &str = "192.0.2.1";
pub(super) const FAR_ADDRESS: &str = "192.0.2.2";
/// The loopback address, which exists at each end.
pub(super) const LOOPBACK_ADDRESS: &str = "127.0.0.1";
/// The first port that the far end listens at.
pub(super) const FAR_PORT: u16 = 5001;

/// With many connections one after the other, ports must be reusable after a second instead of a minute.
const MANY_PORTS: &str = "cd /proc/sys/net/ipv4; echo 10000 65535 >ip_local_port_range; echo 1 >tcp_tw_reuse";

/// The namespace pair.
pub(super) struct Line {
    near: String,
    far: String,
}

/// An end of the pair.
#[derive(Clone, Copy)]
pub(super) enum End {
    Near,
    Far,
}

impl Line {
    /// Creates the pair, and removes namespaces that a killed bench left behind.
    pub(super) fn new() -> Result<Self> {
        remove_left_behind()?;
        let [near, far] = NAMES.map(|name| format!("{name}{}", process::id()));
        let line = Self { near, far };
        let Self { near, far } = &line;
        for steps in [
            format!("netns add {near}"),
            format!("netns add {far}"),
            format!("-n {near} link add {DEVICE} type veth peer name far0 netns {far}"),
            format!("-n {near} addr add {NEAR_ADDRESS}/24 dev {DEVICE}"),
            format!("-n {far} addr add {FAR_ADDRESS}/24 dev far0"),
            format!("-n {near} link set {DEVICE} up"),
            format!("-n {far} link set far0 up"),
            format!("-n {near} link set lo up"),
        ] {
            shell::output(Command::new("ip").args(steps.split(' ')))?;
        }
        for end in [End::Near, End::Far] {
            shell::output(line.command(end, "sh").args(["-c", MANY_PORTS]))?;
        }
        Ok(line)
    }

    /// A command that runs a program at one end, with the highest priority.
    pub(super) fn command(&self, end: End, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new("nice");
        command
            .args(["--adjustment=-20", "nsenter"])
            .arg(format!("--net={}", self.namespace(end).display()))
            .arg("--")
            .arg(program.as_ref());
        command
    }

    /// The path of an end's network namespace.
    pub(super) fn namespace(&self, end: End) -> PathBuf {
        let name = match end {
            End::Near => &self.near,
            End::Far => &self.far,
        };
        Path::new("/run/netns").join(name)
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        remove(&self.near);
        remove(&self.far);
    }
}

fn remove(name: &str) {
    system::succeeds(Command::new("ip").args(["netns", "del", name]));
}

fn remove_left_behind() -> Result<()> {
    let list = shell::output(Command::new("ip").args(["netns", "list"]))?;
    for name in list.lines().filter_map(|line| line.split(' ').next()) {
        let maker = NAMES.iter().find_map(|ours| name.strip_prefix(ours));
        if maker.is_some_and(|maker| !Path::new("/proc").join(maker).exists()) {
            remove(name);
        }
    }
    Ok(())
}
