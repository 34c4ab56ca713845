//! Runs programs: prints the command line first, and fails if the program fails.

use std::env;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};

/// The root folder of the workspace.
pub(crate) fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask is a folder of the workspace")
}

/// cargo, to be run in the workspace.
pub(crate) fn cargo<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(workspace()).args(arguments);
    cargo
}

/// Runs a program and waits for it.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    show(command);
    let status = command.status().with_context(|| format!("cannot start {}", words(command)))?;
    ensure!(status.success(), "{} failed: {status}", words(command));
    Ok(())
}

/// Runs a program and returns its standard output.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("cannot start {}", words(command)))?;
    if !output.status.success() {
        bail!("{} failed: {}\n{}", words(command), output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs a program, passes on its output, and calls `line` for each line of it.
pub(crate) fn run_reading(command: &mut Command, mut line: impl FnMut(&str)) -> Result<()> {
    show(command);
    let (said, writer) = std::io::pipe()?;
    command.stdout(writer.try_clone()?).stderr(writer);
    let mut child = command.spawn().with_context(|| format!("cannot start {}", words(command)))?;
    // Drops this process's ends of the pipe: reading would never end otherwise.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    for text in BufReader::new(said).lines() {
        let text = text?;
        println!("{text}");
        line(&text);
    }
    let status = child.wait()?;
    ensure!(status.success(), "{} failed: {status}", words(command));
    Ok(())
}

/// The executables that `cargo build` or `cargo test --no-run` makes, with the names of their targets.
pub(crate) fn executables(cargo: &mut Command) -> Result<Vec<(String, PathBuf)>> {
    show(cargo);
    cargo.arg("--message-format=json-render-diagnostics").stderr(Stdio::inherit());
    let messages = output(cargo)?;
    Ok(messages.lines().filter_map(|message| Some((target_name(message)?, executable(message)?))).collect())
}

/// The executable of a target in the result of [`executables`].
pub(crate) fn executable_of(executables: &[(String, PathBuf)], target: &str) -> Result<PathBuf> {
    let found = executables.iter().find_map(|(name, path)| (name == target).then(|| path.clone()));
    found.with_context(|| format!("cargo made no executable of target {target}"))
}

fn target_name(message: &str) -> Option<String> {
    let target = &message[message.find("\"target\":{")?..];
    Some(text_after(target, "\"name\":\"")?.to_owned())
}

fn executable(message: &str) -> Option<PathBuf> {
    text_after(message, "\"executable\":\"").map(PathBuf::from)
}

/// The text between `key` and the next quotation mark. The names and paths used here have no escapes in cargo's
/// messages.
fn text_after<'a>(message: &'a str, key: &str) -> Option<&'a str> {
    message[message.find(key)? + key.len()..].split('"').next()
}

fn show(command: &Command) {
    eprintln!("$ {}", words(command));
}

fn words(command: &Command) -> String {
    let words = [command.get_program()].into_iter().chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_executable_is_found_in_a_message_of_cargo() {
        let message = r#"{"reason":"compiler-artifact","target":{"kind":["test"],"name":"kernel","src_path":"/s"},"executable":"/t/kernel-1","fresh":true}"#;
        assert_eq!(target_name(message).as_deref(), Some("kernel"));
        assert_eq!(executable(message), Some(PathBuf::from("/t/kernel-1")));
        assert_eq!(executable(&message.replace("\"/t/kernel-1\"", "null")), None);
    }
}
