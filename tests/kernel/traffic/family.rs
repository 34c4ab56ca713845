//! Other processes of this program that get a socket from it.
//!
//! Started anew instead of forked: to the kernel it is the same socket in another process either way.

use std::net::TcpStream;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::process::{self, Command, Stdio};

use anyhow::{Context as _, Result, ensure};

use super::spec::{Program, Role, Step};
use super::sys;

/// A process of this program; it shares our standard output.
pub(super) struct Child(process::Child);

impl Child {
    /// Starts it with `stdin` as its standard input.
    pub(super) fn start(program: &Program, stdin: OwnedFd) -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("traffic").arg(serde_json::to_string(program)?).stdin(Stdio::from(stdin));
        command.spawn().map(Self).context("cannot start a child")
    }

    pub(super) fn finish(mut self) -> Result<()> {
        let status = self.0.wait()?;
        ensure!(status.success(), "a child ended with {status}");
        Ok(())
    }
}

/// Goes on as `program`, whose executable has this name and lies beside our own, with `stdin` as standard input. Gives why
/// that cannot be.
pub(super) fn become_program(name: &str, program: &Program, stdin: OwnedFd) -> anyhow::Error {
    let exec = || -> Result<std::io::Error> {
        let own = std::env::current_exe()?;
        let other = own.with_file_name(name);
        std::fs::hard_link(&own, &other)?;
        let mut command = Command::new(other);
        command.arg("traffic").arg(serde_json::to_string(program)?).stdin(Stdio::from(stdin));
        Ok(command.exec())
    };
    exec().map_or_else(|error| error, anyhow::Error::from)
}

/// What a child finds on its standard input.
pub(super) fn standard_input() -> Result<OwnedFd> {
    Ok(std::io::stdin().as_fd().try_clone_to_owned()?)
}

/// The connection that somebody passes to us.
pub(super) fn passed_connection() -> Result<TcpStream> {
    Ok(sys::receive_descriptor(&standard_input()?)?.into())
}

/// The way to the process that will be passed our connection.
pub(super) struct Passage {
    child: Child,
    socket: UnixStream,
}

impl Passage {
    /// Starts that process, if there is a step that needs it, while we still may choose its user.
    pub(super) fn for_steps(program: &Program) -> Result<Option<Self>> {
        let pass = program.steps.iter().find_map(|step| match step {
            Step::Pass { uid, steps } => Some((*uid, steps.clone())),
            _ => None,
        });
        let Some((uid, steps)) = pass else { return Ok(None) };
        let (socket, theirs) = UnixStream::pair()?;
        let recipient = Program { uid, owner: Some(program.owner()), role: Role::Recipient, steps, ..program.clone() };
        Ok(Some(Self { child: Child::start(&recipient, theirs.into())?, socket }))
    }

    pub(super) fn pass(&self, connection: &TcpStream) -> Result<()> {
        Ok(sys::send_descriptor(&self.socket, connection)?)
    }

    pub(super) fn finish(self) -> Result<()> {
        self.child.finish()
    }
}
