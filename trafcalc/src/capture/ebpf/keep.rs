//! The folder of a BPF file system in which programs and maps are pinned, so that they continue to count when the process ends.
//!
//! Each *generation* of programs has a folder in it with its maps, `programs` and `links`. `CURRENT` is a map with the number of the
//! active generation: see `is_acting` in the kernel half. A folder gets its name once it is complete. The name contains everything that
//! is needed to read the generation. Former generations stay as long as they have unreported bytes or streams to take over.
//!
//! A folder's name also has a hash of the object and of all that it was loaded with. A process that would load the same continues with
//! the existing programs and maps, and nothing changes in the kernel. Otherwise it attaches a new generation beside the old one. Every
//! program first asks whether its generation is the active one, so the new programs are dormant; one store of the new number activates
//! them and makes the old ones dormant. Then each stream moves from the old table to the new one (`takeover` in the kernel half).
//!
//! What was reported is noted beside the counters. The next process reports how far the counters have moved since, according to the
//! `Baseline` that was stored with the batches (`Settings::former`), or else to the map `REPORTED` (`reports`). A former generation is
//! removed once all its bytes are reported and no stream is left in it.

use std::cmp::Ordering;
use std::fs::{self, DirBuilder};
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use aya::maps::{Array, Map, MapData};

use super::hooks::TAKE_OVER;
use super::programs::system;
use crate::capture::{By, CaptureError};

/// The layout of streams, tallies, keys and notes. Another version cannot be taken over.
const VERSION: &str = "v3";
/// The folder of a generation that is not complete.
const NEW: &str = "new";
/// The prefix of the names of generations' folders.
const GENERATION: &str = "generation";
/// The map with the number of the active generation.
pub(super) const CURRENT: &str = "CURRENT";
/// Folders in the folder of a generation.
pub(super) const LINKS: &str = "links";
pub(super) const PROGRAMS: &str = "programs";

/// A generation, as its folder's name describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Generation {
    pub(super) folder: PathBuf,
    pub(super) number: u32,
    /// Whether this program knows its layout.
    pub(super) is_known: bool,
    /// Hash of the programs and of all that they were loaded with.
    pub(super) identity: u64,
    /// Distinguishes its counters from all others since the host was started.
    pub(super) counters: u64,
    pub(super) by: By,
    pub(super) bucket_bits: u32,
    pub(super) loopback: bool,
}

impl Generation {
    fn name(&self) -> String {
        let Self { number, identity, counters, by, bucket_bits, loopback, .. } = self;
        let loopback = u32::from(*loopback);
        format!("{GENERATION}-{number}-{VERSION}-{identity:016x}-{counters:016x}-{by}-{bucket_bits}-{loopback}")
    }

    fn parse(folder: PathBuf) -> Option<Self> {
        let name = folder.file_name()?.to_str()?.to_owned();
        let mut words = name.split('-');
        (words.next()? == GENERATION).then_some(())?;
        let number = words.next()?.parse().ok()?;
        let is_version = words.next()? == VERSION;
        let unknown = Self { folder, number, ..Self::UNKNOWN };
        Some(if is_version { unknown.clone().rest(words).unwrap_or(unknown) } else { unknown })
    }

    const UNKNOWN: Self = Self {
        folder: PathBuf::new(),
        number: 0,
        is_known: false,
        identity: 0,
        counters: 0,
        by: By::USER,
        bucket_bits: 0,
        loopback: false,
    };

    /// Parses what follows the version.
    fn rest<'a>(self, mut words: impl Iterator<Item = &'a str>) -> Option<Self> {
        let identity = u64::from_str_radix(words.next()?, 16).ok()?;
        let counters = u64::from_str_radix(words.next()?, 16).ok()?;
        let by = By::parse(words.next()?)?;
        let bucket_bits = words.next()?.parse().ok()?;
        let loopback = words.next()? == "1";
        Some(Self { is_known: true, identity, counters, by, bucket_bits, loopback, ..self })
    }

    /// The name of its counters in a [`crate::capture::Baseline`].
    pub(super) fn map(&self) -> Arc<str> {
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        format!("{}-{:016x}", boot.trim(), self.counters).into()
    }

    /// Opens one of its maps.
    pub(super) fn open(&self, name: &str) -> Result<Map, CaptureError> {
        open(&self.folder.join(name))
    }

    /// Whether it still has the programs that take over streams of the generation before it.
    pub(super) fn takes_over(&self) -> bool {
        self.folder.join(PROGRAMS).join(TAKE_OVER).exists()
    }

    /// Detaches its programs.
    pub(super) fn detach(&self) -> Result<(), CaptureError> {
        for folder in [LINKS, PROGRAMS] {
            remove(&self.folder.join(folder))?;
        }
        Ok(())
    }

    /// Removes all its programs and maps.
    pub(super) fn remove(&self) -> Result<(), CaptureError> {
        remove(&self.folder)
    }
}

/// The opened folder.
#[derive(Debug)]
pub(super) struct Kept {
    root: PathBuf,
    /// The active generation.
    pub(super) acting: Option<Generation>,
    /// The former generations that are still there, oldest first.
    pub(super) former: Vec<Generation>,
}

impl Kept {
    /// Reads the folder `root`. Removes generations that a process left behind before they were activated.
    pub(super) fn open(root: &Path) -> Result<Self, CaptureError> {
        let failed = |source| CaptureError::Keep { folder: root.to_owned(), what: "reading the folder", source };
        remove(&root.join(NEW))?;
        let mut generations = Vec::new();
        for entry in fs::read_dir(root).map_err(failed)? {
            generations.extend(Generation::parse(entry.map_err(failed)?.path()));
        }
        generations.sort_by_key(|generation| generation.number);
        let number = acting(root)?;
        let mut kept = Self { root: root.to_owned(), acting: None, former: Vec::new() };
        for generation in generations {
            match generation.number.cmp(&number) {
                Ordering::Equal => kept.acting = Some(generation),
                Ordering::Less => kept.former.push(generation),
                Ordering::Greater => generation.remove()?,
            }
        }
        Ok(kept)
    }

    /// Removes what former processes left, because this process will not continue it: otherwise the next process would report again
    /// what this one counts.
    pub(super) fn abandon(self) -> Result<(), CaptureError> {
        if self.acting.is_some() {
            tracing::warn!("what a former process counted and did not report is lost");
        }
        release(&self.root)
    }

    /// Makes the folder in which the next generation is built.
    pub(super) fn begin(&self) -> Result<PathBuf, CaptureError> {
        let folder = self.root.join(NEW);
        remove(&folder)?;
        for folder in [folder.clone(), folder.join(LINKS), folder.join(PROGRAMS)] {
            make(&folder)?;
        }
        Ok(folder)
    }

    /// Removes what [`Self::begin`] made.
    pub(super) fn give_up(&self) {
        if let Err(error) = remove(&self.root.join(NEW)) {
            tracing::warn!("{error}");
        }
    }

    /// The path of `CURRENT`.
    pub(super) fn current(&self) -> PathBuf {
        self.root.join(CURRENT)
    }

    /// The number of the next generation, which no other generation has.
    pub(super) fn next_number(&self) -> Result<u32, CaptureError> {
        acting(&self.root).map(|number| number + 1)
    }

    /// Gives the folder of the next generation, which is complete, its name.
    pub(super) fn complete(
        &self,
        number: u32,
        identity: u64,
        (by, bucket_bits, loopback): (By, u32, bool),
    ) -> Result<Generation, CaptureError> {
        let mut generation = Generation {
            folder: PathBuf::new(),
            number,
            is_known: true,
            identity,
            counters: RandomState::new().build_hasher().finish(),
            by,
            bucket_bits,
            loopback,
        };
        generation.folder = self.root.join(generation.name());
        let failed =
            |source| CaptureError::Keep { folder: generation.folder.clone(), what: "naming the folder", source };
        fs::rename(self.root.join(NEW), &generation.folder).map_err(failed)?;
        Ok(generation)
    }

    /// Activates a generation by one store, and waits until no program of another one is still running.
    pub(super) fn act(&self, generation: &Generation) -> Result<(), CaptureError> {
        if let Some(mut current) = current(&self.root)? {
            current.set(0, generation.number, 0).map_err(|error| unkept(&self.root, &error))?;
        }
        if self.acting.is_some() {
            wait_for_programs();
        }
        Ok(())
    }
}

/// Waits until every program that has started has returned.
///
/// Programs run in RCU read-side critical sections, and `MEMBARRIER_CMD_GLOBAL` waits for those, except on hosts with one processor or
/// with `nohz_full` processors: there the pause has to suffice. A program that takes even longer changes no count as long as it returns
/// before the second report: see `trafcalc_ebpf::takeover`.
pub(super) fn wait_for_programs() {
    const PAUSE: Duration = Duration::from_millis(10);
    membarrier();
    thread::sleep(PAUSE);
}

#[expect(unsafe_code, reason = "a call that no crate makes")]
fn membarrier() {
    /// `MEMBARRIER_CMD_GLOBAL` of include/uapi/linux/membarrier.h.
    const GLOBAL: libc::c_int = 1;
    // SAFETY: takes two numbers, and touches no memory.
    unsafe { libc::syscall(libc::SYS_membarrier, GLOBAL, 0) };
}

/// The number of the active generation; 0 if there is none.
fn acting(root: &Path) -> Result<u32, CaptureError> {
    current(root)?.map_or(Ok(0), |current| current.get(&0, 0)).map_err(|error| unkept(root, &error))
}

fn current(root: &Path) -> Result<Option<Array<MapData, u32>>, CaptureError> {
    let path = root.join(CURRENT);
    if !path.exists() {
        return Ok(None);
    }
    Array::try_from(open(&path)?).map(Some).map_err(|error| unkept(root, &error))
}

fn open(path: &Path) -> Result<Map, CaptureError> {
    MapData::from_pin(path).and_then(Map::from_map_data).map_err(|error| unkept(path, &error))
}

/// An error of aya's about something that is pinned.
pub(super) fn unkept(path: &Path, error: &(dyn std::error::Error + 'static)) -> CaptureError {
    let CaptureError::System { what, source } = system("a call about it", error) else {
        return CaptureError::NotBuilt;
    };
    CaptureError::Keep { folder: path.to_owned(), what, source }
}

fn make(folder: &Path) -> Result<(), CaptureError> {
    let failed = |source| CaptureError::Keep { folder: folder.to_owned(), what: "making the folder", source };
    DirBuilder::new().mode(0o700).create(folder).map_err(failed)
}

fn remove(folder: &Path) -> Result<(), CaptureError> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(CaptureError::Keep { folder: folder.to_owned(), what: "removing the folder", source: error })
        }
        _ => Ok(()),
    }
}

/// Removes everything that is pinned in a folder. Programs that nobody else holds are gone when this returns.
///
/// # Errors
/// Something is still there.
pub fn release(root: &Path) -> Result<(), CaptureError> {
    let kept = Kept::open(root)?;
    for generation in kept.former.iter().chain(&kept.acting) {
        generation.remove()?;
    }
    match fs::remove_file(root.join(CURRENT)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(CaptureError::Keep { folder: root.to_owned(), what: "removing CURRENT", source: error });
        }
        _ => {}
    }
    // The folder may be the root of the file system, or contain something else.
    let _ = fs::remove_dir(root);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::Dimension;

    #[test]
    fn a_name_has_what_reading_a_generation_takes() {
        let generation = Generation {
            folder: PathBuf::new(),
            number: 7,
            is_known: true,
            identity: 0xfeed,
            counters: 1 << 63,
            by: By::PROGRAM.and(Dimension::Unit),
            bucket_bits: 16,
            loopback: true,
        };
        let folder = Path::new("/a-process-b").join(generation.name());
        // A BPF file system has no names with dots.
        assert!(!generation.name().contains('.'));
        assert_eq!(Generation::parse(folder.clone()), Some(Generation { folder, ..generation.clone() }));
        let other = Path::new("/").join(generation.name().replace("-v3-", "-v9-"));
        assert_eq!(Generation::parse(other).map(|other| (other.number, other.is_known)), Some((7, false)));
        for name in ["new", "CURRENT", "generation-", "generation-x-v1"] {
            assert_eq!(Generation::parse(Path::new("/").join(name)), None, "{name}");
        }
    }

    #[test]
    fn what_was_never_complete_is_removed() {
        let root = tempfile::tempdir().unwrap();
        let kept = Kept::open(root.path()).unwrap();
        assert_eq!((kept.next_number().unwrap(), kept.acting.is_none()), (1, true));
        let folder = kept.begin().unwrap();
        assert!(folder.join(LINKS).is_dir());
        Kept::open(root.path()).unwrap();
        assert!(!folder.exists());
    }

    #[test]
    fn a_generation_that_never_acted_is_removed() {
        let root = tempfile::tempdir().unwrap();
        let kept = Kept::open(root.path()).unwrap();
        kept.begin().unwrap();
        let generation = kept.complete(1, 9, (By::USER, 3, false)).unwrap();
        assert!(generation.folder.is_dir());
        assert!(Kept::open(root.path()).unwrap().acting.is_none());
        assert!(!generation.folder.exists());
    }
}
