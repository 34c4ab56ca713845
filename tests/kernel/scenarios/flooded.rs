//! Floods of SYNs, of RSTs and of junk, more than the capture has room for: what others moved is counted to the byte, and no gap is told
//! of, because there is none.

use std::io::Write as _;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use super::{Counters, Scenario, Test, run_all, tun};
use crate::service::Options;
use crate::target::Target;
use crate::traffic::spec::{CHUNK, Step, receive_all, send};
use crate::world::{PORT, TUN, World, open_tun};

pub(super) const SCENARIO: Scenario =
    Scenario::new("flooded", run).targets(|target| target == Target::Packet).needs(tun::missing);

const PACKETS: u32 = 300_000;
/// How long the reader sleeps, so that it certainly misses some.
const STALL: Duration = Duration::from_secs(6);
const SYN: u8 = 0x02;
const RST: u8 = 0x04;

fn run(test: &Test) -> Result<()> {
    for (name, flags, offset) in [("SYN", SYN, 5), ("RST", RST, 5), ("junk", SYN, 1)] {
        flood(test, flags, offset).with_context(|| format!("a flood of {name}"))?;
    }
    Ok(())
}

fn flood(test: &Test, flags: u8, offset: u8) -> Result<()> {
    let world = World::new()?;
    let mut device = world.near.enter(open_tun)??;
    world.near.ip(&format!("link set {TUN} up"))?;
    world.near.address(TUN, 9, 1)?;
    let options = Options::default().config("[packet]\nmax_connections = 1000");
    let services = test.start(&world, &options.environment("TRAFCALC_TEST_STALL_MS", &STALL.as_millis()))?;
    let begin = Instant::now();
    for number in 0..test.volume(PACKETS, PACKETS / 5) {
        let packet = packet(number, flags, offset);
        device.write_all(&packet).context("the device takes no packet")?;
    }
    thread::sleep((STALL + Duration::from_secs(1)).saturating_sub(begin.elapsed()));
    let client = test.client([send(3_000_000, CHUNK), Step::Shut, receive_all()]);
    let server = test.server([receive_all(), send(1_000_000, CHUNK)]);
    let truth = run_all([(&world.far, server), (&world.near, client)])?;
    let counted = Counters::Own(services).stop()?;
    counted.must_equal(&truth)?;
    ensure!(counted.health("lost_events_total")? > 0, "nothing was lost, so nothing was shown");
    let gaps = counted.health("gaps")?;
    ensure!(gaps == 0, "{gaps} gaps");
    Ok(())
}

/// A TCP header of `offset` words in an IPv4 packet from many a host and port to the first host.
fn packet(number: u32, flags: u8, offset: u8) -> [u8; 40] {
    let mut packet = [0; 40];
    packet[0] = 0x45;
    packet[3] = 40;
    packet[8] = 64;
    packet[9] = 6;
    packet[12..16].copy_from_slice(&[10, 77, 9, u8::try_from(number % 200).unwrap_or_default() + 2]);
    packet[16..20].copy_from_slice(&[10, 77, 0, 1]);
    let sum = checksum(&packet[..20]);
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    packet[20..22].copy_from_slice(&u16::try_from(number / 200 + 1024).unwrap_or(1).to_be_bytes());
    packet[22..24].copy_from_slice(&PORT.to_be_bytes());
    packet[24..28].copy_from_slice(&number.wrapping_mul(0x9e37_79b9).to_be_bytes());
    packet[32] = offset << 4;
    packet[33] = flags;
    let pseudo = [&packet[12..20], &[0, 6, 0, 20], &packet[20..]].concat();
    let sum = checksum(&pseudo);
    packet[36..38].copy_from_slice(&sum.to_be_bytes());
    packet
}

/// RFC 1071, of an even number of bytes.
fn checksum(bytes: &[u8]) -> u16 {
    let sum: u32 = bytes.chunks_exact(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    !u16::try_from((folded & 0xffff) + (folded >> 16)).unwrap_or_default()
}
