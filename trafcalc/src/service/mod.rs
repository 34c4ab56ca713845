//! What a well-behaved service needs: signals, readiness, privileges, logging, exit codes. Never what it counts.

pub mod events;
pub mod exit;
pub mod keep;
pub mod last_words;
pub mod logging;
pub mod notify;
pub mod peer;
pub mod privileges;
