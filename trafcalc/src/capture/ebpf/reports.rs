//! How much of each row is reported, noted in the kernel's memory, where the next process finds it.
//!
//! The map is mapped into our memory, so a note is a store without a system call. So only a few stores come between a report and the
//! notes of its rows, and none of them can fail.
#![expect(unsafe_code, reason = "maps the memory of a BPF map")]

use std::num::NonZeroUsize;
use std::os::fd::AsFd as _;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

use aya::maps::MapData;
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};
use trafcalc_common::maps::Reported;

use super::programs::system;
use crate::capture::{Bytes, CaptureError};

/// Bytes of a note.
const NOTE: usize = size_of::<Reported>();
/// Flag: the other bits are the key of a user's account.
const IS_LEFT: u64 = 1 << 63;

/// The fields of [`Reported`]. This process may end at any time, and the next one reads them.
#[repr(C)]
struct Note {
    sent: AtomicU64,
    received: AtomicU64,
    left_by: AtomicU64,
    _spare: AtomicU64,
}

const _: () = assert!(size_of::<Note>() == NOTE, "a note has the fields of the map's value");

/// The notes of all rows.
pub(super) struct Reports {
    memory: NonNull<Note>,
    rows: usize,
    bytes: NonZeroUsize,
}

// SAFETY: the mapping is owned until it is dropped, and accessed by atomic operations only.
unsafe impl Send for Reports {}

impl Reports {
    /// The notes in this map.
    pub(super) fn of(map: &MapData) -> Result<Self, CaptureError> {
        let what = "mapping the kernel's note of what was reported";
        let rows = map.info().map_err(|error| system(what, &error))?.max_entries() as usize;
        let bytes = NonZeroUsize::new(rows * NOTE).unwrap_or(NonZeroUsize::MIN);
        let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: a new mapping, which overlaps nothing.
        let memory = unsafe { mmap(None, bytes, protection, MapFlags::MAP_SHARED, map.fd().as_fd(), 0) };
        let memory = memory.map_err(|error| CaptureError::System { what, source: error.into() })?;
        Ok(Self { memory: memory.cast(), rows, bytes })
    }

    fn note(&self, row: u32) -> Option<&Note> {
        // SAFETY: the mapping has `rows` notes, lives as long as `self`, and its pages are aligned. All bit patterns are valid.
        ((row as usize) < self.rows).then(|| unsafe { self.memory.add(row as usize).as_ref() })
    }

    /// Notes how much of a row is reported.
    pub(super) fn set(&self, row: u32, bytes: Bytes) {
        if let Some(note) = self.note(row) {
            note.sent.store(bytes.sent, Ordering::Relaxed);
            note.received.store(bytes.received, Ordering::Relaxed);
        }
    }

    /// Notes that a row is about to be taken from the user of this account, or that it is free.
    pub(super) fn set_left(&self, row: u32, key: Option<u64>) {
        if let Some(note) = self.note(row) {
            note.left_by.store(key.map_or(0, |key| IS_LEFT | key), Ordering::Relaxed);
        }
    }

    /// The notes of all rows that have one.
    pub(super) fn all(&self) -> Vec<(u32, Bytes)> {
        let read = |(row, note): (u32, &Note)| {
            let sent = note.sent.load(Ordering::Relaxed);
            (row, Bytes { sent, received: note.received.load(Ordering::Relaxed) })
        };
        self.notes().map(read).filter(|(_, bytes)| !bytes.is_zero()).collect()
    }

    /// The rows that were taken from a user and are not free yet, with the key of that user's account.
    pub(super) fn left(&self) -> Vec<(u32, u64)> {
        let left = self.notes().map(|(row, note)| (row, note.left_by.load(Ordering::Relaxed)));
        left.filter(|(_, by)| by & IS_LEFT != 0).map(|(row, by)| (row, by & !IS_LEFT)).collect()
    }

    fn notes(&self) -> impl Iterator<Item = (u32, &Note)> {
        (0..).map_while(|row| Some((row, self.note(row)?)))
    }
}

impl Drop for Reports {
    fn drop(&mut self) {
        // SAFETY: no reference into the mapping is left.
        let _ = unsafe { munmap(self.memory.cast(), self.bytes.get()) };
    }
}
