//! Finds all descendants of processes in `/proc`.

use std::collections::BTreeMap;
use std::path::Path;

use crate::capture::{Process, stat};

/// The current descendants of these processes: their ids and starts.
pub(super) fn of(proc: &Path, processes: &[Process]) -> BTreeMap<u32, u64> {
    let entries = std::fs::read_dir(proc).into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let all: Vec<_> = pids.filter_map(|pid| Some((pid, stat(proc, pid)?))).collect();
    let roots: Vec<u32> = processes.iter().map(|process| process.pid).collect();
    let mut found = BTreeMap::new();
    loop {
        let before = found.len();
        for (pid, stat) in &all {
            if roots.contains(&stat.parent) || found.contains_key(&stat.parent) {
                found.entry(*pid).or_insert(stat.started_ns());
            }
        }
        if found.len() == before {
            return found;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descendants_are_found_whatever_their_order() {
        let proc = tempfile::tempdir().unwrap();
        for (pid, parent) in [(1, 0), (9, 8), (8, 7), (7, 1), (6, 1)] {
            std::fs::create_dir(proc.path().join(pid.to_string())).unwrap();
            let rest = (5..30).map(|field| if field == 22 { (100 * pid).to_string() } else { "0".to_owned() });
            let stat = format!("{pid} (a) S {parent} {}", rest.collect::<Vec<_>>().join(" "));
            std::fs::write(proc.path().join(format!("{pid}/stat")), stat).unwrap();
        }
        let found = of(proc.path(), &[Process { pid: 7, started_ns: 7_000_000_000 }]);
        assert_eq!(found.into_iter().collect::<Vec<_>>(), [(8, 8_000_000_000), (9, 9_000_000_000)]);
    }
}
