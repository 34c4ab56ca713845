//! Offsets of the fields in perf's record of the tracepoint `inet_sock_set_state` (`struct trace_event_raw_inet_sock_set_state`). The
//! loader compares them with the kernel's own.

/// `skaddr`, the address of the socket, 8 bytes.
pub const SK: u64 = 8;
/// `oldstate`, 4 bytes.
pub const OLD: u64 = 16;
/// `newstate`, 4 bytes.
pub const NEW: u64 = 20;
