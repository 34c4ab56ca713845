//! Two network namespaces joined by a veth pair. Everything goes when it is dropped.

use std::path::{Path, PathBuf};
use std::process::{self, Command};

use anyhow::Result;

use crate::{shell, system};

/// The number of the process that made them comes behind, so that two benches do not get in each other's way.
const NAMES: [&str; 2] = ["trafcalc-bench-near-", "trafcalc-bench-far-"];
/// The near end's device, for tools that want to know.
pub(super) const DEVICE: &str = "near0";
/// The addresses of the ends, the far one of which listens. From the range for documentation: nothing routes there.
pub(super) const NEAR_ADDRESS: &str = "192.0.2.1";
pub(super) const FAR_ADDRESS: &str = "192.0.2.2";
/// An address of the loopback device, which each end has.
pub(super) const LOOPBACK_ADDRESS: &str = "127.0.0.1";
/// The first port of those there.
pub(super) const FAR_PORT: u16 = 5001;

/// Many connections, one after the other, need their ports again after a second instead of a minute.
const MANY_PORTS: &str = "cd /proc/sys/net/ipv4; echo 10000 65535 >ip_local_port_range; echo 1 >tcp_tw_reuse";

/// The pair.
pub(super) struct Line {
    near: String,
    far: String,
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

    /// A program at one end, ahead of what else the machine has to do.
    pub(super) fn command(&self, end: End, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new("nice");
        command
            .args(["--adjustment=-20", "nsenter"])
            .arg(format!("--net={}", self.namespace(end).display()))
            .arg("--")
            .arg(program.as_ref());
        command
    }

    /// Where one end's network namespace is.
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
