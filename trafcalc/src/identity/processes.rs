//! The programs of processes.

use std::collections::HashMap;
use std::path::PathBuf;

use crate::capture::Process;

/// Most paths remembered; beyond it all are asked for again. A path takes some 200 bytes, so all take 2 MB.
const MAX_PATHS: usize = 8192;

/// Paths of the programs of processes, asked for once each.
pub struct Processes {
    proc: PathBuf,
    known: HashMap<(Process, Box<str>), Option<String>>,
}

impl Processes {
    /// Those that `/proc` at `proc` tells about.
    #[must_use]
    pub fn at(proc: PathBuf) -> Self {
        Self { proc, known: HashMap::new() }
    }

    /// The path of the process's program of this name, if it is still running and may be looked at (`CAP_SYS_PTRACE` for
    /// other users' processes); bytes that are no text are replaced.
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

    /// What runs under this number now, if it still has the program's name: else it is another process, or has become
    /// another program.
    fn look_up(&self, process: Process, program: &str) -> Option<String> {
        let link = std::fs::read_link(self.proc.join(process.pid.to_string()).join("exe")).ok()?;
        let path = link.to_string_lossy();
        let runs = path.strip_suffix(" (deleted)").unwrap_or(&path).rsplit('/').next()?;
        // Long names are cut.
        (!program.is_empty() && runs.starts_with(program)).then(|| path.into_owned())
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
