//! The executables of processes.

use std::collections::HashMap;
use std::path::PathBuf;

use trafcalc_common::actor::NAME_BYTES;

use crate::capture::Process;

/// Most paths cached; beyond it the cache is cleared. A path takes some 200 bytes, so all take 2 MB.
const MAX_PATHS: usize = 8192;

/// Paths of the executables of processes, each looked up once.
pub struct Processes {
    proc: PathBuf,
    known: HashMap<(Process, Box<str>), Option<String>>,
}

impl Processes {
    /// Uses the `/proc` at `proc`.
    #[must_use]
    pub fn at(proc: PathBuf) -> Self {
        Self { proc, known: HashMap::new() }
    }

    /// The path of the executable of a process whose program has this name, if the process still runs and may be
    /// inspected (`CAP_SYS_PTRACE` for other users' processes). Bytes that are not UTF-8 are replaced.
    pub fn exe(&mut self, process: Process, program: &str) -> Option<String> {
        let key = (process, program.into());
        if let Some(path) = self.known.get(&key) {
            return path.clone();
        }
        if self.known.len() >= MAX_PATHS {
            self.known.clear();
        }
        let path = self.look_up(process, program);
        self.known.insert(key, path.clone());
        path
    }

    /// The executable of the process that has this pid now, if its name still is `program`. Otherwise it is another process, or the
    /// process has started another program.
    fn look_up(&self, process: Process, program: &str) -> Option<String> {
        let link = std::fs::read_link(self.proc.join(process.pid.to_string()).join("exe")).ok()?;
        let path = link.to_string_lossy();
        let runs = path.strip_suffix(" (deleted)").unwrap_or(&path).rsplit('/').next()?;
        // Long program names are truncated.
        let is_same = runs == program || program.len() >= NAME_BYTES - 1 && runs.starts_with(program);
        is_same.then(|| path.into_owned())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    const fn process(pid: u32) -> Process {
        Process { pid, started_ns: 1 }
    }

    #[test]
    fn the_path_is_told_only_where_it_leads_to_the_same_program() {
        let proc = tempfile::tempdir().unwrap();
        std::fs::create_dir(proc.path().join("7")).unwrap();
        symlink("/usr/sbin/nginx (deleted)", proc.path().join("7/exe")).unwrap();
        let mut processes = Processes::at(proc.path().to_owned());
        assert_eq!(processes.exe(process(7), "nginx").as_deref(), Some("/usr/sbin/nginx (deleted)"));
        assert_eq!(processes.exe(process(7), "curl"), None);
        assert_eq!(processes.exe(process(7), "ngin"), None, "another program whose name begins like that");
        let long = "n".repeat(NAME_BYTES);
        std::fs::create_dir(proc.path().join("9")).unwrap();
        symlink(format!("/usr/bin/{long}"), proc.path().join("9/exe")).unwrap();
        assert!(processes.exe(process(9), &long[1..]).is_some());
        assert_eq!(processes.exe(process(8), "nginx"), None);
    }

    #[test]
    fn memory_is_bounded() {
        let mut processes = Processes::at("/nonexistent".into());
        for pid in 0..20_000 {
            assert_eq!(processes.exe(process(pid), "a"), None);
            assert!(processes.known.len() <= MAX_PATHS);
        }
    }
}
