//! Where the fields are in the records of the tracepoints `inet_sock_set_state` and `tcp_destroy_sock`, as perf has them
//! (`struct trace_event_raw_...`). The loader compares them with the kernel's own.

/// `skaddr`, the address of the socket, 8 bytes; in both.
pub const SK: u64 = 8;
/// `oldstate`, 4 bytes.
pub const OLD: u64 = 16;
/// `newstate`, 4 bytes.
pub const NEW: u64 = 20;
