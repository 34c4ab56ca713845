//! A traffic program that runs: what it says, and its end.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;
use tempfile::{NamedTempFile, TempDir};

use crate::traffic::spec::Program;
use crate::truth::{Account, Bytes, Table};
use crate::world::Namespace;

/// Longest silence of a traffic program. The longest step takes some seconds natively and a minute under emulation.
const SILENCE: Duration = Duration::from_mins(3);

/// A traffic program in a namespace; killed when dropped.
pub(crate) struct Running {
    child: Child,
    stdin: ChildStdin,
    lines: Receiver<Value>,
    table: Table,
    /// Where its executable lies, if that has a name of its own.
    _folder: Option<TempDir>,
    _spec: Spec,
}

/// What a program is told to do.
struct Spec {
    /// The specification, or, behind `@`, where it is: an argument has no more than 128 KiB.
    argument: String,
    _file: Option<NamedTempFile>,
}

/// Longest specification that is an argument.
const LONGEST_ARGUMENT: usize = 100_000;

impl Spec {
    fn of(program: &Program) -> Result<Self> {
        let argument = serde_json::to_string(program)?;
        if argument.len() <= LONGEST_ARGUMENT {
            return Ok(Self { argument, _file: None });
        }
        let mut file = NamedTempFile::with_prefix("trafcalc-spec-")?;
        file.write_all(argument.as_bytes())?;
        Ok(Self { argument: format!("@{}", file.path().display()), _file: Some(file) })
    }
}

impl Running {
    /// Starts it; one that listens is ready for connections when this returns.
    pub(crate) fn start(program: &Program, namespace: &Namespace) -> Result<Self> {
        let folder = program.name.as_deref().map(executable).transpose()?;
        let executable = match (&folder, &program.name) {
            (Some(folder), Some(name)) => folder.path().join(name),
            _ => std::env::current_exe()?,
        };
        let mut command = Command::new(executable);
        let spec = Spec::of(program)?;
        command.arg("traffic").arg(&spec.argument);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = namespace.enter(|| command.spawn())?.context("cannot start a traffic program")?;
        let stdin = child.stdin.take().context("no standard input")?;
        let lines = lines_of(&mut child)?;
        let mut running = Self { child, stdin, lines, table: Table::default(), _folder: folder, _spec: spec };
        if program.listens() {
            running.wait_for("ready")?;
        }
        Ok(running)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until it stands at a [`Step::Hold`](crate::traffic::spec::Step::Hold).
    pub(crate) fn wait_for_hold(&mut self) -> Result<()> {
        self.wait_for("hold")
    }

    /// Waits until the kernel has mapped a page for it.
    pub(crate) fn wait_for_mapping(&mut self) -> Result<()> {
        self.wait_for("mapped")
    }

    /// Lets it go on from where it holds.
    pub(crate) fn go_on(&mut self) -> Result<()> {
        Ok(self.stdin.write_all(b"go on\n")?)
    }

    /// Waits for its end and gives what it says it sent and read, process by process.
    pub(crate) fn finish(mut self) -> Result<Table> {
        while let Some(line) = self.next_line()? {
            self.note(&line)?;
        }
        let status = self.child.wait()?;
        ensure!(status.success(), "a traffic program ended with {status}");
        Ok(std::mem::take(&mut self.table))
    }

    fn wait_for(&mut self, word: &str) -> Result<()> {
        while let Some(line) = self.next_line()? {
            if line["say"] == word {
                return Ok(());
            }
            self.note(&line)?;
        }
        bail!("a traffic program ended before it said {word:?}")
    }

    fn next_line(&self) -> Result<Option<Value>> {
        match self.lines.recv_timeout(SILENCE) {
            Ok(line) => Ok(Some(line)),
            Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => Ok(None),
            Err(std::sync::mpsc::RecvTimeoutError::Timeout) => bail!("a traffic program said nothing for {SILENCE:?}"),
        }
    }

    fn note(&mut self, line: &Value) -> Result<()> {
        if let Some(uid) = line["uid"].as_u64() {
            let number = |name: &str| line[name].as_u64().with_context(|| format!("no {name} in {line}"));
            let bytes = Bytes { sent: number("sent")?, received: number("received")? };
            let text = |name: &str| line[name].as_str().with_context(|| format!("no {name} in {line}"));
            let (program, unit) = (text("program")?.to_owned(), text("unit")?.to_owned());
            let (uid, pid, acting) = (u32::try_from(uid)?, number("pid")?, number("acting")?);
            let (pid, acting) = (u32::try_from(pid)?, u32::try_from(acting)?);
            let (pid, program, unit, acting) = (Some(pid), Some(program), Some(unit), Some(acting));
            self.table.add(Account { pid, program, unit, acting, ..Account::user(uid) }, bytes);
        }
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail when it has ended already, which is the usual case.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A folder with this executable under another name.
fn executable(name: &str) -> Result<TempDir> {
    let own = std::env::current_exe()?;
    let folder = TempDir::with_prefix("trafcalc-program-")?;
    let path = folder.path().join(name);
    // Another file system wants a copy.
    std::fs::hard_link(&own, &path).or_else(|_| std::fs::copy(&own, &path).map(drop))?;
    Ok(folder)
}

fn lines_of(child: &mut Child) -> Result<Receiver<Value>> {
    let stdout = child.stdout.take().context("no standard output")?;
    let (sender, receiver) = channel();
    thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            let Ok(value) = serde_json::from_str(&line) else { break };
            if sender.send(value).is_err() {
                break;
            }
        }
    });
    Ok(receiver)
}
