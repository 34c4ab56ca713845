//! Shared by the kernel half and the service: the arithmetic of cursors, the decisions about a connection, the keys and values of the
//! maps, and their limits.
//!
//! The eBPF programs and the packet backend use the same arithmetic of sequence numbers, whatever the source of the bytes. Nothing here
//! allocates, does I/O or knows an operating system.
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
