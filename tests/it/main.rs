//! Black-box tests of the program, without privileges: what it says, how it exits, what it leaves on the disk.
//!
//! Those in `running` need `CAP_NET_RAW` and are left out by name where it is missing. No test makes traffic.

mod alert;
mod bad_input;
mod book;
mod check;
mod dashboard;
mod docs;
mod exporter;
mod help;
mod history;
mod house;
mod live;
mod man_pages;
mod monitoring;
mod month;
mod quota;
mod report;
mod running;
mod ship;
mod shipped;
mod status;
mod stuck;
mod support;
mod terminal;
mod victoria_metrics;
