//! The keys and rows of accounts that are finer than a user's: by process, program or cgroup.

/// What accounts are told apart by besides the user, as bits.
pub mod by {
    /// The process.
    pub const PROCESS: u32 = 1;
    /// The program.
    pub const PROGRAM: u32 = 1 << 1;
    /// The cgroup.
    pub const UNIT: u32 = 1 << 2;
}

/// Which filters are set, as bits.
pub mod filter {
    /// By user.
    pub const USERS: u32 = 1;
    /// By process.
    pub const PROCESSES: u32 = 1 << 1;
    /// By program.
    pub const PROGRAMS: u32 = 1 << 2;
    /// By cgroup, descendants included.
    pub const UNITS: u32 = 1 << 3;
}

/// The row of streams that the filters exclude for good. No account has it.
pub const SKIPPED_ROW: u32 = u32::MAX;
/// The row of streams that the filters exclude until their actor changes. No account has it.
pub const PASSED_ROW: u32 = u32::MAX - 1;

/// The unit, in nanoseconds, in which a filter gives the start of a process: that of /proc.
pub const START_UNIT_NS: u64 = 10_000_000;

/// Bytes kept of a program's name, including the terminating zero. Longer names are cut.
pub const NAME_BYTES: usize = 64;

/// The key of an account that is finer than a user's. Fields by which accounts are not told apart are 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Actor {
    /// The user, and in the upper half the process id (`tgid`) in the initial pid namespace.
    pub who: u64,
    /// When the process was started, in nanoseconds since boot.
    pub start: u64,
    /// The id of the cgroup.
    pub unit: u64,
    /// The base name of the executable, as words of 8 bytes in memory order. The last byte, which no name reaches, is the number of the
    /// class of the peer's network.
    pub name: [u64; NAME_BYTES / 8],
}

/// Shift of a class's number in the last word of a name, so that it is the last byte in memory.
const CLASS_SHIFT: u32 = if cfg!(target_endian = "little") { 56 } else { 0 };
const LAST: usize = NAME_BYTES / 8 - 1;

/// Number of words in [`Actor`].
pub const ACTOR_WORDS: usize = size_of::<Actor>() / size_of::<u64>();

/// A name as it is stored: cut, and padded with zeroes.
#[must_use]
pub fn name_words(name: &[u8]) -> [u64; NAME_BYTES / 8] {
    let mut words = [0; NAME_BYTES / 8];
    let kept = name.len().min(NAME_BYTES - 1);
    for (word, bytes) in words.iter_mut().zip(name[..kept].chunks(8)) {
        let mut whole = [0; 8];
        whole[..bytes.len()].copy_from_slice(bytes);
        *word = u64::from_ne_bytes(whole);
    }
    words
}

impl Actor {
    /// The actor from the words of the map.
    #[must_use]
    pub const fn from_words(words: [u64; ACTOR_WORDS]) -> Self {
        let [who, start, unit, name @ ..] = words;
        Self { who, start, unit, name }
    }

    /// The words of the map.
    #[must_use]
    pub fn words(&self) -> [u64; ACTOR_WORDS] {
        let mut words = [0; ACTOR_WORDS];
        (words[0], words[1], words[2]) = (self.who, self.start, self.unit);
        words[3..].copy_from_slice(&self.name);
        words
    }

    /// The user.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "the lower half")]
    pub const fn uid(&self) -> u32 {
        self.who as u32
    }

    /// The class of the peer's network.
    #[must_use]
    #[inline]
    pub const fn class(&self) -> u32 {
        (self.name[LAST] >> CLASS_SHIFT & 0xff) as u32
    }

    /// Sets the class, a number of one byte, of an actor that has none yet.
    #[inline]
    pub const fn set_class(&mut self, class: u32) {
        self.name[LAST] |= (class as u64) << CLASS_SHIFT;
    }

    /// The name of the program, up to the first zero.
    pub fn name_bytes(&self) -> impl Iterator<Item = u8> {
        let bytes = self.name.into_iter().flat_map(u64::to_ne_bytes);
        bytes.take(NAME_BYTES - 1).take_while(|&byte| byte != 0)
    }

    /// The process.
    #[must_use]
    pub const fn pid(&self) -> u32 {
        (self.who >> 32) as u32
    }
}

/// The user and the references of a row of an actor's account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Seat {
    /// The user.
    pub uid: u32,
    /// Keeps the size a multiple of 8 without hidden bytes.
    pub unused: u32,
    /// How many streams remember the row. The row may get a new owner only when there is none.
    pub streams: u64,
}

/// The number of epoch counters is 2 to the power of this.
pub const EPOCH_BITS: u32 = 16;

/// The index of a process's epoch counter. The counter advances when a process with such an id ends, executes another program, or moves
/// to another cgroup where that matters, so that marks with that id no longer match.
#[must_use]
#[inline]
pub const fn epoch_index(pid: u32) -> u32 {
    pid & ((1 << EPOCH_BITS) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_cut_and_filled_up() {
        let bytes = |name: &str| name_words(name.as_bytes()).map(u64::to_ne_bytes).concat();
        assert_eq!(bytes("nginx-worker")[..16], *b"nginx-worker\0\0\0\0");
        let long = "x".repeat(70);
        assert_eq!(bytes(&long), [&[b'x'; 63][..], &[0]].concat());
    }

    #[test]
    fn an_actor_survives_its_way_through_the_map() {
        let name = [1, 2, 3, 4, 5, 6, 7, u64::MAX];
        let actor = Actor { who: (4_194_303 << 32) + 70_020_001, start: (1 << 63) + 7, unit: 9, name };
        assert_eq!((actor.uid(), actor.pid()), (70_020_001, 4_194_303));
        assert_eq!(Actor::from_words(actor.words()), actor);
        assert_eq!(size_of::<Actor>(), 88);
    }

    #[test]
    fn a_class_does_not_touch_the_longest_name() {
        let long = [b'x'; 70];
        let mut actor = Actor { name: name_words(&long), ..Actor::default() };
        assert_eq!(actor.class(), 0);
        actor.set_class(255);
        assert_eq!((actor.class(), actor.name_bytes().count()), (255, NAME_BYTES - 1));
        assert!(actor.name_bytes().all(|byte| byte == b'x'));
    }
}
