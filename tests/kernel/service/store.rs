//! Stands in for systemd's store of descriptors: keeps what services hand over, and gives it to those that are started later.
#![expect(unsafe_code, reason = "descriptors come as numbers, and the kernel is asked for programs by their numbers")]

use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Result, ensure};
use nix::libc;
use tempfile::TempDir;

use super::readiness::Readiness;

/// A store; all clones are the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Store(Arc<Mutex<Vec<(String, OwnedFd)>>>);

impl Store {
    /// What a service said, and the descriptors that came with it.
    pub(super) fn note(&self, lines: &[&[u8]], descriptors: &[i32]) {
        // SAFETY: the kernel has just opened them for us.
        let opened = |&number: &i32| unsafe { OwnedFd::from_raw_fd(number) };
        // All of them, so that those that are not kept are closed.
        let descriptors: Vec<_> = descriptors.iter().map(opened).collect();
        let name = lines.iter().find_map(|line| line.strip_prefix(b"FDNAME="));
        let name = String::from_utf8_lossy(name.unwrap_or(b"stored")).into_owned();
        let is_told = |what: &[u8]| lines.contains(&what);
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if is_told(b"FDSTOREREMOVE=1") {
            kept.retain(|(its_name, _)| *its_name != name);
        }
        // systemd takes some kinds for closed unless it is told not to look.
        if is_told(b"FDSTORE=1") && is_told(b"FDPOLL=0") {
            kept.extend(descriptors.into_iter().map(|descriptor| (name.clone(), descriptor)));
        }
    }

    /// Puts a BPF file system into it that is mounted nowhere, and gives the way to it.
    pub(crate) fn make(&self, name: &str) -> PathBuf {
        let opened = |number: libc::c_long| {
            assert!(number >= 0, "no BPF file system: {}", std::io::Error::last_os_error());
            // SAFETY: the kernel has just opened it for us.
            unsafe { OwnedFd::from_raw_fd(i32::try_from(number).expect("a small number")) }
        };
        let nothing = std::ptr::null::<libc::c_char>();
        // SAFETY: takes the name of a file system, and a number.
        let context = opened(unsafe { libc::syscall(libc::SYS_fsopen, c"bpf".as_ptr(), 1) });
        // SAFETY: takes numbers and two pointers that are not used.
        unsafe { libc::syscall(libc::SYS_fsconfig, context.as_raw_fd(), 6, nothing, nothing, 0) };
        // SAFETY: takes numbers.
        let mount = opened(unsafe { libc::syscall(libc::SYS_fsmount, context.as_raw_fd(), 1, 0) });
        let path = format!("/proc/{}/fd/{}", std::process::id(), mount.as_raw_fd());
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push((name.to_owned(), mount));
        path.into()
    }

    /// Has the program under test put a new file system into it, as the unit does before each start.
    pub(crate) fn prepare(&self) -> Result<()> {
        let folder = TempDir::with_prefix("trafcalc-store-")?;
        let socket = folder.path().join("notify");
        let readiness = Readiness::new(&socket, self.clone())?;
        let mut child = Command::new(super::program()).arg("store").env("NOTIFY_SOCKET", &socket).spawn()?;
        loop {
            // It waits until its last message is read.
            readiness.is_ready()?;
            if let Some(status) = child.try_wait()? {
                ensure!(status.success(), "trafcalc store ended with {status}");
                return Ok(());
            }
        }
    }

    /// The names of the descriptors in it.
    pub(crate) fn names(&self) -> Vec<String> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.iter().map(|(name, _)| name.clone()).collect()
    }

    /// Closes all.
    pub(crate) fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// A command that runs `program` with what is in the store.
    pub(super) fn command(&self, program: std::ffi::OsString) -> Command {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.is_empty() {
            return Command::new(program);
        }
        let own = std::process::id();
        let opened = |(number, (_, descriptor)): (usize, &(String, OwnedFd))| {
            format!("exec {}</proc/{own}/fd/{}; ", number + 3, descriptor.as_raw_fd())
        };
        let opened: String = kept.iter().enumerate().map(opened).collect();
        let names: Vec<_> = kept.iter().map(|(name, _)| name.as_str()).collect();
        let (names, count) = (names.join(":"), names.len());
        let script =
            format!("{opened} export LISTEN_PID=$$ LISTEN_FDS={count} LISTEN_FDNAMES={names}; exec \"$0\" \"$@\"");
        let mut command = Command::new("sh");
        command.arg("-c").arg(script).arg(program);
        command
    }
}

/// Whether the kernel has a program or map of this number.
fn is_there(command: libc::c_int, id: u32) -> bool {
    /// The part of `union bpf_attr` that `BPF_PROG_GET_FD_BY_ID` and `BPF_MAP_GET_FD_BY_ID` read.
    #[repr(C)]
    struct Attributes {
        id: u32,
        next: u32,
        flags: u32,
    }
    let attributes = Attributes { id, next: 0, flags: 0 };
    // SAFETY: the kernel reads `size_of::<Attributes>()` bytes there.
    let fd = unsafe { libc::syscall(libc::SYS_bpf, command, &raw const attributes, size_of::<Attributes>()) };
    if let Ok(fd @ 0..) = i32::try_from(fd) {
        // SAFETY: it is new, and nobody else's.
        drop(unsafe { OwnedFd::from_raw_fd(fd) });
        return true;
    }
    false
}

/// Programs and maps of the kernel by their numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Objects {
    pub(crate) programs: Vec<u32>,
    pub(crate) maps: Vec<u32>,
}

impl Objects {
    /// Those that a process has open.
    pub(crate) fn of(pid: u32) -> Self {
        let mut objects = Self::default();
        for file in std::fs::read_dir(format!("/proc/{pid}/fdinfo")).into_iter().flatten().flatten() {
            let info = std::fs::read_to_string(file.path()).unwrap_or_default();
            let number = |key: &str| info.lines().find_map(|line| line.strip_prefix(key)?.trim().parse::<u32>().ok());
            objects.programs.extend(number("prog_id:"));
            objects.maps.extend(number("map_id:"));
        }
        objects
    }

    /// Those of them that are there.
    pub(crate) fn left(&self) -> Self {
        let left = |command, ids: &[u32]| ids.iter().copied().filter(|&id| is_there(command, id)).collect();
        Self { programs: left(13, &self.programs), maps: left(14, &self.maps) }
    }
}
