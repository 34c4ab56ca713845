//! `sendfile`: the bytes go from a file to the stream without a write.

use std::fs::File;
use std::io::{self, Write as _};
use std::net::TcpStream;

use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::sendfile::sendfile;

use super::{CHUNK, Scenario, plain_receive, send_by};

pub(super) const SCENARIO: Scenario = Scenario { name: "sendfile", connections: 1, send, receive: plain_receive };

fn send(socket: &TcpStream) -> io::Result<u64> {
    let mut file = File::from(memfd_create("trafcalc-selftest", MFdFlags::MFD_CLOEXEC)?);
    file.write_all(&vec![0x5a; CHUNK])?;
    send_by(CHUNK, |part| Ok(sendfile(socket, &file, Some(&mut 0), part.len())?))
}
