//! A client of the reports socket that is another user, who prints all that he is told: `kernel follow SOCKET`.

use std::fs::{self, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};

use anyhow::{Context as _, Result};
use serde_json::Value;

/// The word that chooses it.
pub(crate) const WORD: &str = "follow";

/// Prints what the service at this socket tells until it ends.
pub(crate) fn main(socket: Option<&str>) -> ExitCode {
    let copy = |socket: &str| {
        let mut stream = UnixStream::connect(socket)?;
        stream.write_all(b"{\"every_ms\":1000}\n")?;
        let copied = io::copy(&mut stream, &mut io::stdout())?;
        io::Result::Ok(copied)
    };
    match socket.map(copy) {
        Some(Ok(_)) => ExitCode::SUCCESS,
        failed => {
            eprintln!("{failed:?}");
            ExitCode::FAILURE
        }
    }
}

/// Such a client; killed when dropped.
pub(crate) struct Follower(Child);

impl Follower {
    /// Starts it as this user, with a copy of its program in `folder`, where he may run it.
    pub(crate) fn start(socket: &Path, folder: &Path, uid: u32) -> Result<Self> {
        let copy = folder.join(format!("follow-{uid}"));
        fs::copy(std::env::current_exe()?, &copy)?;
        fs::set_permissions(&copy, Permissions::from_mode(0o755))?;
        let mut command = Command::new(copy);
        command.arg(WORD).arg(socket).current_dir("/").stdout(Stdio::piped()).uid(uid).gid(uid);
        Ok(Self(command.spawn().context("cannot start a client")?))
    }

    /// Waits for its end, which comes with that of the service; gives all lines.
    pub(crate) fn lines(mut self) -> Result<Vec<Value>> {
        let mut text = String::new();
        self.0.stdout.take().context("no standard output")?.read_to_string(&mut text)?;
        text.lines().map(|line| serde_json::from_str(line).with_context(|| format!("not JSON: {line:?}"))).collect()
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        // It ends with the service, too.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
