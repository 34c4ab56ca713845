//! Network namespaces, joined by veth pairs.
//!
//! A namespace has no name and lives as long as this process holds it open, so nothing is left behind however the
//! process ends. Nothing here ever changes the namespace the tests were started in.

mod capture;
mod cgroup;
mod line;

use std::fs::File;
use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::AsRawFd as _;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use nix::sched::{CloneFlags, setns, unshare};

use crate::target::Family;
pub(crate) use capture::{Capture, Seen};
pub(crate) use cgroup::Cgroup;
pub(crate) use line::{DEVICE as TUN, Line, Quality, Tamper, open as open_tun};

/// A network namespace of our own.
pub(crate) struct Namespace(File);

/// How long the kernel may take to close the last connections.
const CLOSING: Duration = Duration::from_secs(20);

impl Namespace {
    /// A new one with nothing in it but `lo`, up.
    pub(crate) fn new() -> Result<Self> {
        let make = || -> Result<File> {
            unshare(CloneFlags::CLONE_NEWNET).context("cannot make a network namespace")?;
            File::open("/proc/thread-self/ns/net").context("cannot open the new network namespace")
        };
        let namespace = Self(thread::scope(|scope| scope.spawn(make).join().expect("no panic"))?);
        namespace.ip("link set lo up")?;
        Ok(namespace)
    }

    /// Does `work` inside it, on a thread of its own. Processes started there stay there.
    pub(crate) fn enter<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T> {
        let inside = || -> Result<T> {
            setns(&self.0, CloneFlags::CLONE_NEWNET).context("cannot enter a network namespace")?;
            Ok(work())
        };
        thread::scope(|scope| scope.spawn(inside).join().expect("no panic"))
    }

    /// Runs iproute2 inside it, a command each line.
    pub(crate) fn ip(&self, commands: &str) -> Result<()> {
        let mut ip = Command::new("ip");
        ip.args(["-batch", "-"]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = self.enter(|| ip.spawn())?.context("cannot run ip")?;
        child.stdin.take().context("no standard input")?.write_all(commands.as_bytes())?;
        let output = child.wait_with_output()?;
        ensure!(output.status.success(), "ip {commands}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    }

    /// Runs a program inside it, with `words` separated by spaces.
    pub(crate) fn run(&self, program: &str, words: &str) -> Result<()> {
        let output = self.enter(|| Command::new(program).args(words.split_whitespace()).output())?;
        let output = output.with_context(|| format!("cannot run {program:?}"))?;
        let stderr = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{program} {words}: {stderr}");
        Ok(())
    }

    /// Sets a value under /proc/sys/net.
    pub(crate) fn sysctl(&self, name: &str, value: &str) -> Result<()> {
        let path = format!("/proc/sys/net/{name}");
        self.enter(|| std::fs::write(&path, value))?.with_context(|| format!("cannot write {value:?} to {path}"))
    }

    /// A counter of /proc/net/netstat.
    pub(crate) fn netstat(&self, name: &str) -> Result<u64> {
        let text = self.enter(|| std::fs::read_to_string("/proc/thread-self/net/netstat"))??;
        let rows: Vec<_> = text.lines().collect();
        let pairs = rows.chunks_exact(2).flat_map(|pair| pair[0].split(' ').zip(pair[1].split(' ')));
        let value = pairs.into_iter().find_map(|(key, value)| (key == name).then_some(value));
        Ok(value.with_context(|| format!("no counter {name}"))?.parse()?)
    }

    /// Bytes and packets that a device has transmitted, headers included.
    pub(crate) fn transmitted(&self, device: &str) -> Result<(u64, u64)> {
        let text = self.enter(|| std::fs::read_to_string("/proc/thread-self/net/dev"))??;
        let row = text.lines().find_map(|row| row.trim().strip_prefix(device)?.strip_prefix(':'));
        let row = row.with_context(|| format!("no device {device}"))?;
        let number =
            |column| row.split_whitespace().nth(column).context("too few columns")?.parse().context("no number");
        Ok((number(8)?, number(9)?))
    }

    /// A veth pair between this namespace and `other`, both ends up.
    pub(crate) fn join(&self, here: &str, other: &Self, there: &str) -> Result<()> {
        let path = format!("/proc/{}/fd/{}", std::process::id(), other.0.as_raw_fd());
        self.ip(&format!("link add {here} type veth peer name {there} netns {path}\nlink set {here} up"))?;
        other.ip(&format!("link set {there} up"))
    }

    /// Gives `device` the host number `host` in the networks `10.77.net.0/24` and `fd77:net::/64`.
    pub(crate) fn address(&self, device: &str, net: u8, host: u8) -> Result<()> {
        let v4 = format!("addr add 10.77.{net}.{host}/24 dev {device}");
        let v6 = format!("addr add fd77:{net}::{host}/64 dev {device} nodad");
        self.ip(&format!("{v4}\n{v6}"))
    }

    /// Waits until no TCP connection has anything left to do: only listeners and `TIME_WAIT` remain.
    pub(crate) fn wait_until_closed(&self) -> Result<()> {
        let deadline = Instant::now() + CLOSING;
        while let Some(busy) = self.enter(busy_connection)?? {
            if Instant::now() > deadline {
                bail!("a connection is still not closed: {busy}");
            }
            thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }
}

/// The first row of the calling thread's /proc/net/tcp and tcp6 that is neither `TIME_WAIT` (06) nor LISTEN (0A).
fn busy_connection() -> Result<Option<String>> {
    for table in ["tcp", "tcp6"] {
        let text = std::fs::read_to_string(format!("/proc/thread-self/net/{table}"))?;
        let is_busy = |row: &&str| row.split_whitespace().nth(3).is_some_and(|state| !matches!(state, "06" | "0A"));
        if let Some(row) = text.lines().skip(1).find(is_busy) {
            return Ok(Some(row.to_owned()));
        }
    }
    Ok(None)
}

/// Two namespaces joined by a veth pair: clients are near, servers far, as a rule.
pub(crate) struct World {
    pub(crate) near: Namespace,
    pub(crate) far: Namespace,
}

/// Where servers listen.
pub(crate) const PORT: u16 = 7000;

impl World {
    pub(crate) fn new() -> Result<Self> {
        let world = Self { near: Namespace::new()?, far: Namespace::new()? };
        world.near.join("veth0", &world.far, "veth0")?;
        world.near.address("veth0", 0, 1)?;
        world.far.address("veth0", 0, 2)?;
        Ok(world)
    }
}

/// Where a server listens for connections of this family.
pub(crate) fn listen_at(family: Family) -> SocketAddr {
    let any = match family {
        Family::Ipv4 => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        Family::Ipv6 | Family::Mapped => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    SocketAddr::new(any, PORT)
}

/// The address of host `host` in network `net`, as a client of this family names it.
pub(crate) fn address_of(family: Family, net: u8, host: u8) -> SocketAddr {
    let v4 = Ipv4Addr::new(10, 77, net, host);
    let ip = match family {
        Family::Ipv4 => IpAddr::V4(v4),
        Family::Ipv6 => IpAddr::V6(Ipv6Addr::new(0xfd77, net.into(), 0, 0, 0, 0, 0, host.into())),
        Family::Mapped => IpAddr::V6(v4.to_ipv6_mapped()),
    };
    SocketAddr::new(ip, PORT)
}
