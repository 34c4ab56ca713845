//! `splice`: pages move from a pipe to the stream, and from the stream to a pipe.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;

use nix::fcntl::{SpliceFFlags, splice};

use super::{CHUNK, Scenario, receive_by, send_by};

pub(super) const SCENARIO: Scenario = Scenario { name: "splice", connections: 1, send, receive };

fn pipe() -> io::Result<(File, File)> {
    let (reader, writer) = nix::unistd::pipe()?;
    Ok((reader.into(), writer.into()))
}

fn send(socket: &TcpStream) -> io::Result<u64> {
    let (reader, mut writer) = pipe()?;
    let mut waiting = 0;
    send_by(CHUNK, |part| {
        // A chunk is less than a pipe holds (64 KiB), so this does not wait for a reader.
        if waiting == 0 {
            waiting = writer.write(part)?;
        }
        let sent = splice(&reader, None, socket, None, waiting, SpliceFFlags::empty())?;
        waiting -= sent;
        Ok(sent)
    })
}

fn receive(socket: &TcpStream) -> io::Result<u64> {
    let (mut reader, writer) = pipe()?;
    receive_by(|buffer| {
        let received = splice(socket, None, &writer, None, buffer.len(), SpliceFFlags::empty())?;
        reader.read_exact(&mut buffer[..received])?;
        Ok(received)
    })
}
