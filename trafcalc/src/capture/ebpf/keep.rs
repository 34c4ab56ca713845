//! The folder of a BPF file system that keeps programs and maps when the process ends, so that they go on counting.
//!
//! Each *generation* of programs has a folder in it with its maps, `programs` and `links`. `CURRENT` is a map with the number of
//! the one that acts: see `is_acting` in the kernel half. A folder has its name once it is complete; what reading it takes is in
//! the name. Generations before the one that acts are there as long as something of theirs is to be told or taken over.
//!
//! A folder's name also has a hash of the object and of all that it was loaded with. A process that would load the same continues with
//! the programs and maps that are there, and nothing changes in the kernel. Otherwise it attaches a new generation beside the old one.
//! Every program first asks whether its generation is the one that acts, so the new ones sleep; one store of the new number has them
//! act and the old ones sleep. Then each stream moves from the old table to the new one (`takeover` in the kernel half).
//!
//! What was reported is noted beside the counters. The next process reports what the counters moved since, by the `Baseline` that was
//! stored with the batches (`Settings::former`), or else by the map `REPORTED` (`reports`). A former generation is removed once all of
//! it is reported and no stream is left in it.

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

/// The shape of streams, tallies, keys and notes. Another one cannot be taken over.
const VERSION: &str = "v3";
/// The folder of a generation that is not complete.
const NEW: &str = "new";
/// Folders of generations begin with it.
const GENERATION: &str = "generation";
/// The map with the number of the generation that acts.
pub(super) const CURRENT: &str = "CURRENT";
/// Folders in that of a generation.
pub(super) const LINKS: &str = "links";
pub(super) const PROGRAMS: &str = "programs";

/// What a generation is, as its name has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Generation {
    pub(super) folder: PathBuf,
    pub(super) number: u32,
    /// Whether it has shapes that this program knows.
    pub(super) is_known: bool,
    /// Stands for the programs and all that they were loaded with.
    pub(super) identity: u64,
    /// Tells its counters from all others since the host was started.
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

    /// What is behind the version.
    fn rest<'a>(self, mut words: impl Iterator<Item = &'a str>) -> Option<Self> {
        let identity = u64::from_str_radix(words.next()?, 16).ok()?;
        let counters = u64::from_str_radix(words.next()?, 16).ok()?;
        let by = By::parse(words.next()?)?;
        let bucket_bits = words.next()?.parse().ok()?;
        let loopback = words.next()? == "1";
        Some(Self { is_known: true, identity, counters, by, bucket_bits, loopback, ..self })
    }

    /// Which counters it has, as a [`crate::capture::Baseline`] names them.
    pub(super) fn map(&self) -> Arc<str> {
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        format!("{}-{:016x}", boot.trim(), self.counters).into()
    }

    /// A map of it.
    pub(super) fn open(&self, name: &str) -> Result<Map, CaptureError> {
        open(&self.folder.join(name))
    }

    /// Whether it has programs that take over streams of the generation before it.
    pub(super) fn takes_over(&self) -> bool {
        self.folder.join(PROGRAMS).join(TAKE_OVER).exists()
    }

    /// Has its programs called no more.
    pub(super) fn detach(&self) -> Result<(), CaptureError> {
        for folder in [LINKS, PROGRAMS] {
            remove(&self.folder.join(folder))?;
        }
        Ok(())
    }

    /// Gives back all that it has.
    pub(super) fn remove(&self) -> Result<(), CaptureError> {
        remove(&self.folder)
    }
}

/// The folder.
#[derive(Debug)]
pub(super) struct Kept {
    root: PathBuf,
    /// The generation that acts.
    pub(super) acting: Option<Generation>,
    /// Those before it of which something is left, in order.
    pub(super) former: Vec<Generation>,
}

impl Kept {
    /// What is in the folder `root`. What a process left that ended before its generation acted is removed.
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

    /// Frees what former processes left, where nobody goes on with it: else what this one counts would be told again by the
    /// next one that does.
    pub(super) fn abandon(self) -> Result<(), CaptureError> {
        if self.acting.is_some() {
            tracing::warn!("what a former process counted and did not report is lost");
        }
        release(&self.root)
    }

    /// The folder in which the next generation is made.
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

    /// Where `CURRENT` is.
    pub(super) fn current(&self) -> PathBuf {
        self.root.join(CURRENT)
    }

    /// The number of the next generation: one that no program of another has.
    pub(super) fn next_number(&self) -> Result<u32, CaptureError> {
        acting(&self.root).map(|number| number + 1)
    }

    /// Gives the next generation, which is complete, its name.
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

    /// Has a generation act, by one store, and waits until no program of another one is still under way.
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

/// Waits until every program that has begun is over.
///
/// Programs run within RCU's read side, and `MEMBARRIER_CMD_GLOBAL` waits for that, unless there is one processor, or one without
/// ticks: there they have the time of the pause. One that takes even longer changes no count as long as it ends before the
/// second report: see `trafcalc_ebpf::takeover`.
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

/// The number of the generation that acts; 0 if there is none.
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

/// An error of aya's about something that is kept.
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

/// Frees all that is kept in a folder: programs that nobody else holds are gone when this returns.
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
    // It may be the file system itself, or have something else in it.
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
