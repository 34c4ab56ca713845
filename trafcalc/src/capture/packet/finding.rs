//! Questions about a connection's owner, and the answers. Plain data that the reader and the other threads exchange.

use super::segment::Endpoints;
use crate::capture::{Owner, SubordinateRange, owner_of};

/// Asks who owns a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Question {
    /// Which connection.
    pub endpoints: Endpoints,
    /// Which connection between these endpoints: [`Flow::birth`](super::flow::Flow::birth).
    pub birth: u32,
    /// Index of the interface that its segments leave by.
    pub interface: u32,
}

/// What the kernel knows of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Its socket belongs to the user with this id.
    Owned(u32),
    /// Its handshake is not finished: no owner yet.
    HalfOpen,
    /// It waits for accept(2): no owner yet.
    Unaccepted,
    /// Closed by its process, but not finished yet.
    Orphaned,
    /// `TIME_WAIT`: the peer's FIN was received in order, and the socket is gone.
    TimeWait,
    /// Unknown to the kernel.
    Gone,
    /// Unknown to the kernel, and its local address is not one of this host's.
    Foreign,
}

/// An answer to a [`Question`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What was asked.
    pub question: Question,
    /// What the kernel knows.
    pub standing: Standing,
    /// The inode of its socket, if it has an owner.
    pub inode: u32,
    /// The user of the socket that listens on the local port, if the connection itself has no owner.
    pub listener: Option<u32>,
    /// Whether this host forwards packets, so that unknown connections may pass through it.
    pub forwards: bool,
}

impl Finding {
    /// The same finding, with the owners of subordinate users in their place.
    #[must_use]
    pub fn of_owners(self, subordinates: &[SubordinateRange]) -> Self {
        let standing = match self.standing {
            Standing::Owned(uid) => Standing::Owned(owner_of(subordinates, uid)),
            other => other,
        };
        Self { standing, listener: self.listener.map(|uid| owner_of(subordinates, uid)), ..self }
    }
}

/// Asks which process holds the socket of a user's connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sought {
    /// The connection.
    pub question: Question,
    /// The user.
    pub uid: u32,
    /// The inode of the socket.
    pub inode: u32,
}

/// Answers a [`Sought`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The connection.
    pub question: Question,
    /// What was found.
    pub outcome: Outcome,
}

/// The end of a search.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The owner in the detail that was asked for.
    Owner(Owner),
    /// A process that is not to be counted.
    Unwanted,
    /// No process.
    Nothing,
}

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;

    use super::*;

    #[test]
    fn a_subordinate_user_is_found_as_the_user_to_whom_it_belongs() {
        let address = Ipv6Addr::LOCALHOST;
        let endpoints = Endpoints { local: address, remote: address, local_port: 1, remote_port: 2 };
        let question = Question { endpoints, birth: 0, interface: 0 };
        let found = |standing, listener| Finding { question, standing, inode: 7, listener, forwards: false };
        let ranges = [SubordinateRange { first: 100_000, count: 65_536, owner: 1000 }];
        let owned = found(Standing::Owned(100_033), Some(100_000));
        assert_eq!(owned.of_owners(&ranges), found(Standing::Owned(1000), Some(1000)));
        assert_eq!(owned.of_owners(&[]), owned, "subordinates are apart");
        let other = found(Standing::Owned(33), None);
        assert_eq!(other.of_owners(&ranges), other);
        assert_eq!(found(Standing::Gone, Some(100_001)).of_owners(&ranges), found(Standing::Gone, Some(1000)));
    }
}
