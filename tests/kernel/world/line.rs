//! A line between two namespaces that is no Ethernet: a tun device at each end and a thread each way that carries the
//! packets, loses some of them, doubles some and lets some overtake others, as it is told.
#![expect(unsafe_code, reason = "talks to the kernel")]

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use anyhow::{Context as _, Result};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::Namespace;

/// How a line treats packets: every how manieth it loses, doubles, or lets the next one overtake. 0: none.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Quality {
    pub(crate) lose: u64,
    pub(crate) double: u64,
    pub(crate) overtake: u64,
}

/// Puts other packets in the place of one that comes from the far end.
pub(crate) type Tamper = fn(&[u8]) -> Vec<Vec<u8>>;

/// A working line; it ends when dropped.
pub(crate) struct Line {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

/// The device's name at both ends.
pub(crate) const DEVICE: &str = "tun0";

/// How long a thread may not notice that the line has ended.
const TICK_MS: u16 = 50;

impl Line {
    pub(crate) fn between(near: &Namespace, far: &Namespace, quality: Quality) -> Result<Self> {
        Self::new(near, far, quality, None)
    }

    /// One whose far end is a liar.
    pub(crate) fn tampered(near: &Namespace, far: &Namespace, tamper: Tamper) -> Result<Self> {
        Self::new(near, far, Quality::default(), Some(tamper))
    }

    fn new(near: &Namespace, far: &Namespace, quality: Quality, tamper: Option<Tamper>) -> Result<Self> {
        let near_end = near.enter(open)??;
        let far_end = far.enter(open)??;
        for namespace in [near, far] {
            namespace.ip(&format!("link set {DEVICE} up"))?;
        }
        let mut line = Self { stop: Arc::default(), threads: Vec::new() };
        line.carry(near_end.try_clone()?, far_end.try_clone()?, quality, None);
        line.carry(far_end, near_end, quality, tamper);
        Ok(line)
    }

    fn carry(&mut self, from: File, to: File, quality: Quality, tamper: Option<Tamper>) {
        let stop = Arc::clone(&self.stop);
        let mut carrier = Carrier { from, to, quality, tamper, packets: 0, held: None };
        self.threads.push(thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                carrier.step();
            }
        }));
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // It has nothing to report: a packet that could not be carried was lost, as packets are.
            let _ = thread.join();
        }
    }
}

/// One direction.
struct Carrier {
    from: File,
    to: File,
    quality: Quality,
    tamper: Option<Tamper>,
    packets: u64,
    /// The packet that the next one overtakes.
    held: Option<Vec<u8>>,
}

impl Carrier {
    fn step(&mut self) {
        let is_ready = poll(&mut [PollFd::new(self.from.as_fd(), PollFlags::POLLIN)], PollTimeout::from(TICK_MS));
        if is_ready != Ok(1) {
            self.release();
            return;
        }
        let mut packet = vec![0; 65_536];
        let Ok(length) = self.from.read(&mut packet) else { return };
        packet.truncate(length);
        match self.tamper {
            Some(tamper) => tamper(&packet).iter().for_each(|packet| self.deliver(packet)),
            None => self.carry(packet),
        }
    }

    fn carry(&mut self, packet: Vec<u8>) {
        self.packets += 1;
        let is_turn = |every: u64| every > 0 && self.packets.is_multiple_of(every);
        let Quality { lose, double, overtake } = self.quality;
        if is_turn(lose) {
            return;
        }
        if is_turn(overtake) && self.held.is_none() {
            self.held = Some(packet);
            return;
        }
        let copies = if is_turn(double) { 2 } else { 1 };
        for _ in 0..copies {
            self.deliver(&packet);
        }
        self.release();
    }

    fn release(&mut self) {
        if let Some(packet) = self.held.take() {
            self.deliver(&packet);
        }
    }

    fn deliver(&mut self, packet: &[u8]) {
        // One that the other end does not take is lost.
        let _ = self.to.write(packet);
    }
}

/// A new tun device in the calling thread's namespace.
pub(crate) fn open() -> Result<File> {
    let file = OpenOptions::new().read(true).write(true).open("/dev/net/tun").context("cannot open /dev/net/tun")?;
    // SAFETY: all zeroes is a valid ifreq.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (slot, byte) in request.ifr_name.iter_mut().zip(DEVICE.bytes()) {
        *slot = libc::c_char::from_ne_bytes([byte]);
    }
    request.ifr_ifru.ifru_flags = libc::c_short::try_from(libc::IFF_TUN | libc::IFF_NO_PI)?;
    // SAFETY: TUNSETIFF takes a pointer to an ifreq, which lives through the call.
    let result = unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF, &raw mut request) };
    Errno::result(result).context("cannot make a tun device")?;
    Ok(file)
}
