//! Replies of `sock_diag(7)`: whether they answer the question that was asked. Pure.

use std::io;
use std::ops::ControlFlow::{self, Break, Continue};

use netlink_packet_core::{NetlinkHeader, NetlinkMessage, NetlinkPayload};
use netlink_packet_sock_diag::SockDiagMessage;
use netlink_packet_sock_diag::inet::InetResponse;

/// A question that was asked. Each reply to it repeats its numbers (`NETLINK_CB(skb).portid` and `nlmsg_seq`). If a list was given up
/// because no reply came in time, the rest of it has the number of an older question.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    /// The number of the question, as in `nlmsg_seq`.
    pub sequence: u32,
    /// The address of the socket that asked, as in `nlmsg_pid`.
    pub port: u32,
}

impl Asked {
    const fn is_meant(self, header: &NetlinkHeader) -> bool {
        header.sequence_number == self.sequence && header.port_number == self.port
    }

    /// Reads a reply about one socket; `Continue` if it answers another question.
    ///
    /// # Errors
    /// It is no reply, or the kernel refuses.
    pub fn read_one(self, reply: &[u8]) -> io::Result<ControlFlow<Option<InetResponse>>> {
        let message = deserialize(reply)?;
        if self.is_meant(&message.header) { outcome(message.payload).map(Break) } else { Ok(Continue(())) }
    }

    /// Reads a part of a list into `found`; `Break` at the end of the list.
    ///
    /// # Errors
    /// It is no part of a list, or the kernel refuses.
    pub fn read_list(self, replies: &[u8], found: &mut Vec<InetResponse>) -> io::Result<ControlFlow<()>> {
        let mut rest = replies;
        while !rest.is_empty() {
            let message = deserialize(rest)?;
            rest = &rest[aligned(message.header.length, rest.len())..];
            if !self.is_meant(&message.header) {
                continue;
            }
            match message.payload {
                NetlinkPayload::Done(done) if done.code == 0 => return Ok(Break(())),
                NetlinkPayload::Done(done) => return Err(io::Error::from_raw_os_error(-done.code)),
                NetlinkPayload::Error(error) => return Err(error.to_io()),
                reply => found.extend(outcome(reply)?),
            }
        }
        Ok(Continue(()))
    }
}

fn deserialize(reply: &[u8]) -> io::Result<NetlinkMessage<SockDiagMessage>> {
    NetlinkMessage::deserialize(reply).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()))
}

/// Where the message after one of `length` bytes begins (`NLMSG_ALIGN`), at most `end`.
fn aligned(length: u32, end: usize) -> usize {
    (length as usize).max(1).next_multiple_of(4).min(end)
}

fn outcome(payload: NetlinkPayload<SockDiagMessage>) -> io::Result<Option<InetResponse>> {
    match payload {
        NetlinkPayload::InnerMessage(SockDiagMessage::InetResponse(response)) => Ok(Some(*response)),
        NetlinkPayload::Error(error) => match error.to_io() {
            error if error.kind() == io::ErrorKind::NotFound => Ok(None),
            error => Err(error),
        },
        _ => Err(io::Error::from(io::ErrorKind::InvalidData)),
    }
}

#[cfg(test)]
mod tests;
