//! Black-box tests of the program, without privileges: what it says, how it exits, what it leaves on the disk.
//!
//! Those in `running` need `CAP_NET_RAW` and are left out by name where it is missing. No test makes traffic.

mod bad_input;
mod book;
mod help;
mod house;
mod report;
mod running;
mod shipped;
mod status;
mod stuck;
mod support;
