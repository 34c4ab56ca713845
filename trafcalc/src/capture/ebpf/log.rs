//! What the programs say of single connections, for somebody who looks for the reason of a count. They are loaded to say
//! nothing, unless the filter of messages lets the target `trafcalc_ebpf` through.

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

/// Bytes of the ring in which messages wait: a page where there are none.
const NO_ROOM: u32 = 4_096;
const ROOM: u32 = 1 << 22;

/// How long it may take until the reader notices that it is to end.
const TICK_MS: u16 = 100;

/// What makes a message is long: the verifiers of Linux 6.1 and 6.12 give up on it, that of this version does not.
const OLDEST: (u32, u32) = (6, 18);

/// The most detailed messages that are wanted and that this kernel takes, as the programs' constant says it; 0 for none.
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

/// The ring.
pub(super) const MAP: &str = "AYA_LOGS";

/// The size of the ring.
pub(super) fn entries() -> (&'static str, u32) {
    (MAP, if level() == 0 { NO_ROOM } else { ROOM })
}

/// Passes messages on as long as it lives.
pub(super) struct Messages {
    must_end: Arc<AtomicBool>,
    reader: Option<JoinHandle<()>>,
}

impl Messages {
    /// Starts to, if there are any.
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

/// Has messages of the programs shown as our own are.
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
