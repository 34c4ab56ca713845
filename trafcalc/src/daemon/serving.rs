//! What clients get: the greeting, and samples of the ledger between reports.

use std::time::Duration;

use super::{Daemon, Flow, Now};
use crate::config::Settings;
use crate::report::{AccountTotals, Source};
use crate::service::events::Events;
use crate::status::{self, Audience, ClassOf, Hello, Look, SocketName, Sockets, Told};

/// Serves clients as long as the return value lives. If that fails, the service counts all the same.
pub(super) fn serve(
    sockets: Sockets,
    (audience, privileges): (Audience, String),
    daemon: &Daemon,
    events: &Events,
    settings: &Settings,
) -> Option<Vec<SocketName>> {
    let Source { epoch, by, backend, attach, method, .. } = &daemon.source;
    let class = |name: std::sync::Arc<str>| {
        let billed = !settings.unbilled.iter().any(|unbilled| **unbilled == *name);
        ClassOf { name: name.as_ref().to_owned(), billed }
    };
    let hello = Hello {
        schema: status::SCHEMA,
        version: env!("CARGO_PKG_VERSION").into(),
        epoch: *epoch,
        interval_s: settings.interval.get().as_secs_f64(),
        zone: settings.book.as_ref().and_then(|book| book.zone.iana_name()).map(str::to_owned),
        by: by.dimensions().map(|dimension| dimension.name().into()).collect(),
        classes: settings.capture.classes.names().map(class).collect(),
        backend: (*backend).into(),
        attach: attach.map(Into::into),
        method: method.map(Into::into),
        only_uid: None,
    };
    let (latest, watches) = (daemon.latest.clone(), daemon.writing.watch());
    let told = Told { latest, privileges, watches, hello, audience, set_every: Box::new(events.set_every()) };
    let served = status::serve(sockets, told);
    served.inspect_err(|error| tracing::warn!("{error}; no client can reach this service")).ok()
}

impl Daemon {
    /// Sends clients what was counted until now. As with [`look`](Self::look), reports stay the same.
    pub(super) fn sample(&mut self, now: Now) -> Flow {
        self.look(now)?;
        let Some(audience) = self.audience.clone() else { return Flow::Continue(()) };
        let (period, is_booked) = (self.period(now), self.writing.is_idle(Duration::ZERO));
        let names = &mut self.identity.at(now.monotonic);
        let snapshot = self.ledger.snapshot();
        let accounts = snapshot.accounts.iter().map(|account| {
            let bytes = [account.moved, account.total].map(|bytes| [bytes.sent, bytes.received]);
            (
                AccountTotals::new(account, period, &self.source, names),
                [bytes[0][0], bytes[0][1], bytes[1][0], bytes[1][1]],
            )
        });
        let accounts = accounts.collect();
        let days = self.days.as_mut();
        let booked = days.and_then(|days| days.look(self.source.epoch, now, is_booked, self.ledger.uncut(), names));
        let at_s = (now.since_boot.as_secs_f64() * 1_000.0).round() / 1_000.0;
        audience.look(Look { at_s, summary: self.latest.get(), accounts, booked });
        Flow::Continue(())
    }
}
