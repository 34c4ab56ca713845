//! Thousands of connections that are open together.

use std::net::TcpStream;
use std::sync::Barrier;

use anyhow::{Context as _, Result};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use super::connection::{self, Connection};
use super::spec::Program;
use super::tally::Tally;

/// Opens all connections of the program one after the other, takes each through the steps, and holds.
pub(super) fn hold(program: &Program, open: impl Fn() -> Result<TcpStream>) -> Result<()> {
    allow_many_files()?;
    let (tally, meeting) = (Tally::default(), Barrier::new(1));
    let mut crowd = Vec::new();
    for _ in 0..program.connections {
        let mut connection = Connection::new(open()?, program.owner(), &tally, &meeting, None);
        connection.take(&program.steps)?;
        crowd.push(connection);
    }
    connection::hold()?;
    drop(crowd);
    tally.print();
    Ok(())
}

/// As many as any process may have without a privilege.
fn allow_many_files() -> Result<()> {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, most, most).context("cannot raise the limit of open files")
}
