//! What crosses the kernel line: the arithmetic of the cursor, the keys and values of the maps, their limits.
//!
//! Both the eBPF program and the packet backend count with what is here, so there is one arithmetic whatever the
//! source of the bytes. Nothing here allocates, does I/O or knows an operating system.
#![cfg_attr(not(test), no_std)]

pub mod actor;
pub mod audit;
pub mod cast;
pub mod connection;
mod cursor;
pub mod maps;
pub mod offsets;
mod position;
pub mod record;
pub mod tcp;

pub use cursor::{Cursor, distance};
pub use position::nearest;
