//! Messages of the programs about single connections, for finding out why a count is what it is. The programs are loaded without
//! messages unless the log filter admits the target `trafcalc_ebpf`.

use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use aya::Ebpf;
use aya_log::{EbpfLogger, Level};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::programs::system;
use super::version;
use crate::capture::CaptureError;

/// Bytes of the ring buffer of messages: one page if there are no messages.
const NO_ROOM: u32 = 4_096;
const ROOM: u32 = 1 << 22;

/// How long it may take until the reader notices that it has to end.
const TICK_MS: u16 = 100;

/// The code for a message is long. The verifiers of Linux 6.1 and 6.12 reject it; that of this version does not.
const OLDEST: (u32, u32) = (6, 18);

/// The most detailed level that is enabled and that this kernel supports, as a value of the programs' constant; 0 for none.
pub(super) fn level() -> u8 {
    if version() < OLDEST { 0 } else { wanted() }
}

fn wanted() -> u8 {
    macro_rules! is_wanted {
        ($level:ident) => {
            tracing::enabled!(target: "trafcalc_ebpf", tracing::Level::$level)
        };
    }
    if is_wanted!(TRACE) {
        Level::Trace as u8
    } else if is_wanted!(DEBUG) {
        Level::Debug as u8
    } else {
        0
    }
}

/// The ring buffer.
pub(super) const MAP: &str = "AYA_LOGS";

/// The size of the ring buffer.
pub(super) fn entries() -> (&'static str, u32) {
    (MAP, if level() == 0 { NO_ROOM } else { ROOM })
}

/// Forwards messages as long as it lives.
pub(super) struct Messages {
    must_end: Arc<AtomicBool>,
    reader: Option<JoinHandle<()>>,
}

impl Messages {
    /// Starts forwarding, if messages are enabled.
    pub(super) fn start(ebpf: &mut Ebpf) -> Result<Option<Self>, CaptureError> {
        if level() == 0 {
            if wanted() != 0 {
                tracing::warn!(
                    "the eBPF programs log no single connections: that needs Linux {}.{}",
                    OLDEST.0,
                    OLDEST.1
                );
            }
            return Ok(None);
        }
        let what = "reading the messages of the programs";
        let logger = EbpfLogger::init_with_logger(ebpf, Tracing).map_err(|error| system(what, &error))?;
        let must_end = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&must_end);
        let reader = thread::Builder::new().name("ebpf messages".into()).spawn(move || pass_on(logger, &told));
        let reader = reader.map_err(|error| system(what, &error))?;
        Ok(Some(Self { must_end, reader: Some(reader) }))
    }
}

impl Drop for Messages {
    fn drop(&mut self) {
        self.must_end.store(true, Ordering::Relaxed);
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }
}

fn pass_on(mut logger: EbpfLogger<Tracing>, must_end: &AtomicBool) {
    loop {
        let is_last = must_end.load(Ordering::Relaxed);
        logger.flush();
        if is_last {
            return;
        }
        let _ = poll(&mut [PollFd::new(logger.as_fd(), PollFlags::POLLIN)], PollTimeout::from(TICK_MS));
    }
}

/// Forwards messages of the programs to `tracing`.
struct Tracing;

impl log::Log for Tracing {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        if record.level() == log::Level::Trace {
            tracing::trace!(target: "trafcalc_ebpf", "{}", record.args());
        } else {
            tracing::debug!(target: "trafcalc_ebpf", "{}", record.args());
        }
    }

    fn flush(&self) {}
}
