//! The compiled kernel half: sets its constants and the sizes of its maps before it is loaded.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::Read as _;

use aya::{Ebpf, EbpfLoader, VerifierLogLevel};
use flate2::read::GzDecoder;
use trafcalc_common::cast;
use trafcalc_common::maps::{MAX_ENDED, SPILL_PLACE};
use trafcalc_common::offsets::{OFFSETS_WORDS, SWEEP_OFFSETS_WORDS, TASK_OFFSETS_WORDS};

use super::candidates::Candidate;
use super::offsets::Cast;
use super::plan::filter_entries;
use super::programs::{Place, system};
use super::sizes::Sizes;
use super::{Kernel, classes, keep, log, notes, subordinates};
use crate::capture::{CaptureError, EbpfSettings, Method, Settings};

/// The object for the method `sweep`, as `build.rs` packed it.
const USERS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/users.gz"));
/// The object for the method `events`.
const ACTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/actors.gz"));

/// Hash of the programs and of all that they are loaded with. If it is the same, a new process continues with the programs of the
/// former one.
pub(super) fn identity(candidate: &Candidate, kernel: &Kernel, settings: &Settings) -> u64 {
    let mut hasher = DefaultHasher::new();
    object(candidate, kernel).hash(&mut hasher);
    let EbpfSettings { max_connections, max_accounts, test_leave_out_states, .. } = &settings.ebpf;
    let Settings { loopback, by, classes, wanted, credit_to, subordinates, .. } = settings;
    let loaded_with = (candidate, max_connections, max_accounts, test_leave_out_states);
    let subordinates = (subordinates::first(subordinates), subordinates::entries(subordinates));
    let meant = (loopback, by, classes, wanted, credit_to, subordinates, log::level());
    let layout = &kernel.layout;
    let offsets = (layout.sockets.words(), layout.tasks.words(), layout.sweep.words());
    format!("{loaded_with:?} {meant:?} {offsets:?}").hash(&mut hasher);
    hasher.finish()
}

/// Loads an object with all constants that its programs need. This creates its maps.
pub(super) fn load(
    candidate: &Candidate,
    kernel: &Kernel,
    settings: &Settings,
    place: Option<&Place<'_>>,
) -> Result<Ebpf, CaptureError> {
    let words: [u32; OFFSETS_WORDS] = kernel.layout.sockets.words();
    let task_words: [u32; TASK_OFFSETS_WORDS] = kernel.layout.tasks.words();
    let sweep_words: [u32; SWEEP_OFFSETS_WORDS] = kernel.layout.sweep.words();
    let tcp_sock = candidate.cast.map_or(0, |cast| cast.tcp_sock);
    let (loopback, plan) = (u32::from(settings.loopback), &kernel.plan);
    let sizes = Sizes::new(&settings.ebpf, plan.reads_tasks());
    let (user_rows, first_subordinate) = (sizes.accounts, subordinates::first(&settings.subordinates));
    let mut loader = EbpfLoader::new();
    let entries = sizes.entries().into_iter().chain(filter_entries(&settings.wanted));
    let subordinates = ("SUBORDINATES", subordinates::entries(&settings.subordinates));
    for (map, entries) in entries.chain(classes::entries(&settings.classes)).chain([subordinates, log::entries()]) {
        loader.map_max_entries(map, entries);
    }
    let former = place.and_then(|place| place.former);
    if let Some(place) = place {
        loader.map_max_entries("REPORTED", sizes.rows());
        loader.map_pin_path(keep::CURRENT, place.kept.current());
    }
    loader.map_max_entries(notes::NOTES, u32::try_from(settings.open.streams.len()).unwrap_or(u32::MAX).max(1));
    if let Some(former) = former {
        loader.map_max_entries("ENDED", MAX_ENDED);
        loader.map_pin_path("OLD_BUCKETS", former.folder.join("BUCKETS"));
        loader.map_pin_path("OLD_SPILL", former.folder.join("SPILL"));
    }
    let tell_classes = u32::from(!settings.classes.is_empty());
    let generation = place.map_or(1, |place| place.number);
    let old_bucket_bits = former.map_or(0, |former| former.bucket_bits);
    loader
        .override_global("OFFSETS", &words, true)
        .override_global("SWEEP_OFFSETS", &sweep_words, true)
        .override_global("TCP_SOCK_TYPE", &tcp_sock, true)
        .override_global("FILTERS", &plan.filters, true)
        .override_global("COUNT_LOOPBACK", &loopback, true)
        .override_global("USER_ROWS", &user_rows, true)
        .override_global("FIRST_SUBORDINATE", &first_subordinate, true)
        .override_global("TELL_CLASSES", &tell_classes, true)
        .override_global("BUCKET_BITS", &sizes.bucket_bits, true)
        .override_global("GENERATION", &generation, true)
        .override_global("OLD_BUCKET_BITS", &old_bucket_bits, true)
        .override_global(aya_log::LEVEL, &log::level(), true)
        .override_global("TASK_OFFSETS", &task_words, false)
        .override_global("BY", &plan.by, false)
        .override_global("ACTING", &plan.acting, false)
        .override_global("ACTORS_MATTER", &plan.actors_matter, false)
        .override_global("MARK_PROCESSES", &plan.mark_processes, false)
        .verifier_log_level(log_level())
        .load(&object(candidate, kernel))
        .map_err(|error| system("loading the eBPF object", &error))
}

/// The verifier's log of a rejected program appears among our messages at level `debug` only.
fn log_level() -> VerifierLogLevel {
    if tracing::enabled!(tracing::Level::DEBUG) { VerifierLogLevel::VERBOSE } else { VerifierLogLevel::DISABLE }
}

fn unpack(packed: &[u8]) -> Vec<u8> {
    let mut object = Vec::new();
    GzDecoder::new(packed).read_to_end(&mut object).expect("build.rs packed the object");
    object
}

/// The object of a method, with its placeholders for casts replaced.
fn object(candidate: &Candidate, kernel: &Kernel) -> Vec<u8> {
    let mut object = unpack(match candidate.method {
        Method::Sweep => USERS,
        Method::Events => ACTORS,
    });
    fill_casts(&mut object, candidate.cast);
    if !kernel.has_growing_hashes {
        allocate_whole(&mut object);
    }
    object
}

fn fill_casts(object: &mut [u8], cast: Option<Cast>) {
    let instruction = cast::instruction(cast.map(|cast| cast.function));
    // Instructions are aligned in the file.
    for place in object.as_chunks_mut().0.iter_mut().filter(|place| **place == cast::PLACE.to_ne_bytes()) {
        *place = instruction;
    }
}

/// Clears the flag `BPF_F_NO_PREALLOC` of the hash of streams, which follows its number of entries (`bpf_map_def`).
fn allocate_whole(object: &mut [u8]) {
    let words = object.as_chunks_mut::<4>().0;
    if let Some(at) = words.iter().position(|word| *word == SPILL_PLACE.to_ne_bytes())
        && let Some(flags) = words.get_mut(at + 1)
    {
        *flags = [0; 4];
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::Attach;
    use crate::capture::ebpf::hooks::{self, FORKS, MOVES, PROCESSES, RUN_BY_US, TAKE, TAKE_OVER};

    fn is_in(object: &[u8], bytes: &[u8]) -> bool {
        object.windows(bytes.len()).any(|window| window == bytes)
    }

    #[test]
    fn every_place_of_a_cast_is_filled() {
        let place = cast::PLACE.to_ne_bytes();
        for object in [USERS, ACTORS].map(unpack) {
            assert!(is_in(&object, &place));
            let (mut with, mut without) = (object.clone(), object.clone());
            fill_casts(&mut with, Some(Cast { function: 0x1234_5678, tcp_sock: 1 }));
            assert!(!is_in(&with, &place) && is_in(&with, &cast::instruction(Some(0x1234_5678))));
            fill_casts(&mut without, None);
            assert!(!is_in(&without, &place));
            assert_eq!((with.len(), without.len()), (object.len(), object.len()));
        }
    }

    #[test]
    fn the_hash_of_streams_is_allocated_whole_where_the_kernel_wants_it() {
        let growing = [SPILL_PLACE.to_ne_bytes(), 1_u32.to_ne_bytes()].concat();
        for object in [USERS, ACTORS].map(unpack) {
            assert!(is_in(&object, &growing));
            let mut whole = object.clone();
            allocate_whole(&mut whole);
            assert!(!is_in(&whole, &growing));
            assert_eq!(whole.iter().zip(&object).filter(|(a, b)| a != b).count(), 1);
        }
    }

    #[test]
    fn every_program_that_a_way_names_is_in_its_object() {
        let is_there = |object: &[u8], name: &str| is_in(object, &[b"\0", name.as_bytes(), b"\0"].concat());
        let (users, actors) = (unpack(USERS), unpack(ACTORS));
        assert!(!is_there(&actors, "raw_nothing"));
        for attach in [Attach::Fentry, Attach::Kprobe, Attach::Tracepoint] {
            for (method, object) in [(Method::Sweep, &users), (Method::Events, &actors)] {
                for hook in hooks::of(attach, method) {
                    assert!(is_there(object, hook.program), "{} of {}", hook.program, attach.name());
                }
                let take = TAKE.iter().map(|hook| hook.program).chain([TAKE_OVER]);
                assert!(RUN_BY_US.into_iter().chain(take).all(|name| is_there(object, name)));
            }
        }
        assert!(PROCESSES.iter().chain(MOVES).chain(FORKS).all(|hook| is_there(&actors, hook.program)));
    }
}
