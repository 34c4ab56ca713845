//! The services that count a world, and what they counted.

use std::sync::{Mutex, MutexGuard};

use anyhow::{Context as _, Result, anyhow, ensure};

use crate::service::{Log, Options, Service};
use crate::target::Target;
use crate::truth::{Account, Table};
use crate::world::Namespace;

/// Uids from here to `LAST_UID` belong to the traffic programs.
const FIRST_UID: u32 = 70_020_000;
const LAST_UID: u32 = 70_020_999;

/// The services that together count both ends of a world.
pub(super) enum Counters {
    /// Started for this scenario.
    Own(Vec<Service>),
    /// The lasting one; what it had counted before.
    Lasting(Counted),
}

/// A service that outlives scenarios, because an emulated machine takes seconds to start one. ebpf only: its scope is
/// the whole host, in whatever namespace the traffic is.
static LASTING: Mutex<Option<(Target, Service)>> = Mutex::new(None);

impl Counters {
    /// Counts by a service that may have run for a while.
    pub(super) fn lasting(target: Target) -> Result<Self> {
        let mut lasting = lock();
        if !matches!(&*lasting, Some((its_target, _)) if *its_target == target) {
            stop(&mut lasting)?;
            let options = Options { interval: "1d", ..Options::default() };
            *lasting = Some((target, Service::start(target, &Namespace::new()?, &options)?));
        }
        report(&mut lasting).map(Self::Lasting)
    }

    /// Connections that had been audited when the counting began.
    pub(super) fn audited(&self) -> Result<u64> {
        match self {
            Self::Own(_) => Ok(0),
            Self::Lasting(before) => before.health("audited_total"),
        }
    }

    /// The last report, of services that end or of the one that goes on.
    pub(super) fn stop(self) -> Result<Counted> {
        match self {
            Self::Own(services) => {
                services.iter().try_for_each(Service::terminate)?;
                let logs = services.into_iter().map(Service::finish).collect::<Result<Vec<_>>>()?;
                Counted::new(logs)?.with_every_account_in_the_last_report()
            }
            Self::Lasting(before) => {
                let Counted { table, foreign, logs } = report(&mut lock())?;
                Ok(Counted { table: table.since(&before.table), foreign: foreign.since(&before.foreign), logs })
            }
        }
    }
}

/// Ends the lasting service, if there is one.
pub(crate) fn stop_lasting() -> Result<()> {
    stop(&mut lock())
}

fn lock() -> MutexGuard<'static, Option<(Target, Service)>> {
    LASTING.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn stop(lasting: &mut Option<(Target, Service)>) -> Result<()> {
    lasting.take().map_or(Ok(()), |(_, service)| service.stop().map(drop))
}

/// Counts what others on the host move in the meantime, which `(other)` of an ebpf service with small tables has, too.
pub(super) struct Bystander(Option<Counters>);

impl Bystander {
    pub(super) fn new(target: Target) -> Result<Self> {
        let counters = (target != Target::Packet).then(|| Counters::lasting(target));
        counters.transpose().map(Self)
    }

    /// Checks that `counted` has all of `truth` and no more than that and what others moved.
    pub(super) fn must_have_all(self, counted: &Counted, truth: &Table) -> Result<()> {
        let foreign =
            self.0.map(Counters::stop).transpose()?.map(|counted| counted.foreign.total()).unwrap_or_default();
        let (total, least) = (counted.table.total(), truth.total());
        let is_within = |total, least, foreign| (least..=least + foreign).contains(&total);
        let is_right = is_within(total.sent, least.sent, foreign.sent)
            && is_within(total.received, least.received, foreign.received);
        let beside = || counted.table.beside(truth);
        ensure!(is_right, "{total:?} in all is not {least:?}; others moved {foreign:?}\n{}", beside());
        Ok(())
    }
}

/// What the lasting service has counted up to now. One that does not answer is not used again.
fn report(lasting: &mut Option<(Target, Service)>) -> Result<Counted> {
    let (target, service) = lasting.take().context("the lasting service is gone")?;
    let counted = Counted::new(vec![service.report_now()?])?;
    *lasting = Some((target, service));
    Ok(counted)
}

/// Whether the scenarios answer for an account: the programs' users, and those that are no user's.
fn is_ours(account: &Account) -> bool {
    account.uid.is_none_or(|uid| (FIRST_UID..=LAST_UID).contains(&uid))
}

/// Whether an account is told about to the end: those of processes that are gone leave.
const fn is_lasting(account: &Account) -> bool {
    account.pid.is_none()
}

/// What the services of a world counted.
pub(super) struct Counted {
    /// Of the accounts that the scenarios answer for.
    pub(super) table: Table,
    /// Of all others.
    pub(super) foreign: Table,
    logs: Vec<Log>,
}

impl Counted {
    /// Reads the latest totals of each account; the intervals of all reports must add up to them.
    pub(super) fn new(logs: Vec<Log>) -> Result<Self> {
        let mut counted = Self { table: Table::default(), foreign: Table::default(), logs };
        let mut intervals = Table::default();
        for log in &counted.logs {
            let (ours, foreign) = log.totals()?.split(is_ours);
            counted.table.merge(ours);
            counted.foreign.merge(foreign);
            intervals.merge(log.sum_of_intervals()?.split(is_ours).0);
        }
        let sums = intervals.must_equal(&counted.table).context("the intervals do not add up to the totals");
        counted.explain(sums)?;
        counted.explain(counted.agrees_with_the_kernel())?;
        Ok(counted)
    }

    /// Checks that no connection's audit found the kernel's totals to be others.
    fn agrees_with_the_kernel(&self) -> Result<()> {
        let mismatches = self.health("audit_mismatch_total")?;
        ensure!(mismatches == 0, "of {mismatches} connections the kernel has other totals");
        Ok(())
    }

    /// Checks that nobody has to look further back than the last report, which is what it is for.
    fn with_every_account_in_the_last_report(self) -> Result<Self> {
        let mut last = Table::default();
        for log in &self.logs {
            last.merge(log.last()?.totals()?.split(is_ours).0);
        }
        let (last, all) = (last.split(is_lasting).0, self.table.clone().split(is_lasting).0);
        let is_complete = last.must_equal(&all).context("the last report does not have every account");
        self.explain(is_complete)?;
        Ok(self)
    }

    /// All records of accounts, as they were written.
    pub(super) fn records(&self) -> impl Iterator<Item = &serde_json::Value> {
        self.logs.iter().flat_map(|log| &log.reports).flat_map(|report| &report.accounts)
    }

    /// The sum of a number of health over all services.
    pub(super) fn health(&self, name: &str) -> Result<u64> {
        self.logs.iter().map(|log| log.last()?.health(name)).sum()
    }

    /// Whether one of the services said this among its messages; only those that have ended are asked.
    pub(super) fn said(&self, words: &str) -> bool {
        self.logs.iter().any(|log| log.stderr.contains(words))
    }

    /// Whether a service swept connections.
    pub(super) fn is_swept(&self) -> bool {
        self.logs.iter().flat_map(|log| &log.reports).any(|report| report.summary["method"] == "sweep")
    }

    pub(super) fn must_equal(&self, truth: &Table) -> Result<()> {
        self.explain(self.table.must_equal(truth))
    }

    /// Checks that it has all of `truth`, and nothing else of anybody on the host.
    pub(super) fn must_be_only(&self, truth: &Table) -> Result<()> {
        self.must_equal(truth)?;
        let others = || self.foreign.beside(&Table::default());
        self.explain(if self.foreign.0.is_empty() { Ok(()) } else { Err(anyhow!("others were counted\n{}", others())) })
    }

    /// Adds what the services said to a failure.
    pub(super) fn explain<T>(&self, result: Result<T>) -> Result<T> {
        let said = |log: &Log| {
            let summary = log.reports.last().map(|report| report.summary.to_string());
            format!("{}\n{}", summary.unwrap_or_default(), log.stderr)
        };
        let all = || self.logs.iter().map(said).collect::<Vec<_>>().join("\n");
        result.map_err(|error| anyhow!("{error:#}\n{}", all()))
    }
}
