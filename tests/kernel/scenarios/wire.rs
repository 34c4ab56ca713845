//! Truth from the wire: what captures at both ends saw, for scenarios in which the programs cannot know what the network
//! moved. All backends owe it.

use anyhow::{Result, ensure};

use super::{CLIENT, Counted, SERVER, Test};
use crate::truth::{Account, Bytes, Table};
use crate::world::{Capture, PORT, Seen, World};

/// Captures at both ends of a world.
pub(super) struct Wire(Vec<Capture>);

impl Wire {
    pub(super) fn watch(world: &World) -> Result<Self> {
        [&world.near, &world.far].map(Capture::start).into_iter().collect::<Result<_>>().map(Self)
    }

    /// Every end of every connection since.
    pub(super) fn stop(self) -> Result<Ends> {
        let ends = self.0.into_iter().map(Capture::stop).collect::<Result<Vec<_>>>()?;
        Ok(Ends(ends.into_iter().flatten().collect()))
    }
}

/// Ends of connections.
pub(super) struct Ends(pub(super) Vec<Seen>);

impl Ends {
    /// What `counted` has of the connections between client and server must be what was on the wire.
    pub(super) fn must_be_in(&self, test: &Test, counted: &Counted) -> Result<()> {
        self.must_be_in_by(test, counted, client_or_server)
    }

    /// The same for ends that belong to the users `owner` names; an end without one is nobody's.
    ///
    /// packet owes less: it learns of what arrived from acknowledgements, and there is none when the connection is reset
    /// before.
    pub(super) fn must_be_in_by(
        &self,
        test: &Test,
        counted: &Counted,
        owner: impl Fn(&Seen) -> Option<u32>,
    ) -> Result<()> {
        let is_packet = test.is_packet();
        let least = |end: &Seen| if is_packet { end.acknowledged() } else { end.received().0 };
        let (least, most) = (self.table(least, &owner), self.table(|end| end.received().1, &owner));
        let is_owed = |uid: u32| {
            let (count, least, most) = (counted.table.user(uid), least.user(uid), most.user(uid));
            count.sent == most.sent && (least.received..=most.received).contains(&count.received)
        };
        let users = counted.table.0.keys().chain(most.0.keys());
        let is_right = users.into_iter().all(|account| account.uid.is_some_and(is_owed));
        let beside = || format!("{}at least\n{}", counted.table.beside(&most), counted.table.beside(&least));
        let said = || {
            ensure!(is_right, "the count is not what was on the wire\n{}", beside());
            Ok(())
        };
        counted.explain(said())
    }

    fn table(&self, received: impl Fn(&Seen) -> u64, owner: impl Fn(&Seen) -> Option<u32>) -> Table {
        let mut table = Table::default();
        for end in &self.0 {
            if let Some(uid) = owner(end) {
                table.add(Account::user(uid), Bytes { sent: end.sent(), received: received(end) });
            }
        }
        table
    }

    /// What was on the wire, by user; the least they can have received.
    pub(super) fn by_user(&self) -> Table {
        self.table(|end| end.received().0, client_or_server)
    }
}

/// Whose an end is where there is one client and one server.
fn client_or_server(end: &Seen) -> Option<u32> {
    if end.local.port() == PORT {
        return Some(SERVER);
    }
    (end.remote.port() == PORT).then_some(CLIENT)
}
