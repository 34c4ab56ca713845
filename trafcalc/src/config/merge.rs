//! Merges the command line and the configuration file; the command line takes precedence.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::tz::TimeZone;

use super::file::{self, File};
use super::{
    Backend, Book, ConfigError, DEFAULT_BOOK, Log, MethodChoice, NO_BOOK, NeedsActor, Only, Overrides, STDOUT, Settings,
};
use crate::capture::{self, BackendKind, By, CreditTo, Dimension, EbpfSettings, Method, PacketSettings, Wanted};
use crate::service::privileges::RunAs;

/// Merges the command line and the file.
pub(super) fn merge(overrides: &Overrides, file: File) -> Result<Settings, ConfigError> {
    let attach = overrides.attach.or(file.ebpf.attach);
    let method = overrides.method.unwrap_or(file.ebpf.method).forced();
    let backend = match overrides.backend.unwrap_or(file.backend) {
        // A forced attach mode or method rules out the packet backend, which has neither.
        Backend::Auto => (attach.is_some() || method.is_some()).then_some(BackendKind::Ebpf),
        Backend::Only(kind) => Some(kind),
    };
    let (by, credit_to) = (by(&overrides.by, file.by)?, overrides.owner.unwrap_or(file.owner));
    let only = merge_only(&overrides.only, &file.only);
    if backend == Some(BackendKind::Packet) {
        check_packet(overrides, credit_to)?;
    } else if method == Some(Method::Sweep)
        && let Some(needs_actor) = NeedsActor::of(by, credit_to, &only)
    {
        let is_usage = overrides.method.is_some() || needs_actor.is_typed(overrides);
        return Err(ConfigError::SweepWithoutActor { needs_actor, is_usage });
    }
    if overrides.only.children && overrides.only.pids.is_empty() {
        return Err(ConfigError::ChildrenOfNobody);
    }
    let path = overrides.log.clone().unwrap_or(file.log.path);
    let log = Log {
        is_for_people: overrides.format.is_none() && path == Path::new(STDOUT),
        path,
        format: overrides.format.unwrap_or(file.log.format),
        host: file.log.host.map(Arc::from),
    };
    let book = book(overrides.book.clone(), file.book, &log);
    Ok(Settings {
        only,
        unbilled: file.class.unbilled,
        subordinate: file.subordinate,
        capture: capture::Settings {
            backend,
            attach,
            loopback: overrides.loopback || file.loopback,
            by,
            classes: file.class.classes,
            wanted: Wanted::default(),
            credit_to,
            subordinates: Vec::new(),
            former: None,
            open: capture::OpenNotes::default(),
            ebpf: EbpfSettings {
                method,
                max_connections: file.ebpf.max_connections,
                max_accounts: file.ebpf.max_accounts,
                ..EbpfSettings::default()
            },
            packet: PacketSettings {
                interfaces: file.packet.interfaces,
                ring_bytes: file.packet.ring_bytes,
                max_connections: file.packet.max_connections,
                test_drop_percent: 0,
                test_stall_ms: 0,
                test_lose_fins: false,
            },
        },
        keep: overrides.keep.clone().or(file.ebpf.keep),
        run_as: match file.service.run_as {
            None => RunAs::Usual,
            Some(user) if user.is_empty() => RunAs::AsStarted,
            Some(user) => RunAs::User(user),
        },
        interval: overrides.interval.unwrap_or(file.interval),
        duration: overrides.duration,
        log,
        book,
        quotas: file.quota,
        status: socket(overrides.status_socket.as_ref(), file.status.socket),
        reports: socket(overrides.reports_socket.as_ref(), file.status.reports),
    })
}

/// The path of a socket from the command line, or else from the file; `None` if it is empty.
pub(super) fn socket(typed: Option<&PathBuf>, written: PathBuf) -> Option<PathBuf> {
    Some(typed.cloned().unwrap_or(written)).filter(|path| !path.as_os_str().is_empty())
}

/// The dimensions of accounts from the command line, or else from the file.
fn by(typed: &[Dimension], written: By) -> Result<By, ConfigError> {
    if typed.is_empty() { Ok(written) } else { By::of(typed).map_err(ConfigError::RepeatedBy) }
}

/// The book that is asked for. Without a setting it is the default book if reports go to a log, and none if they go to
/// standard output.
fn book(typed: Option<PathBuf>, written: file::BookSection, log: &Log) -> Option<Book> {
    let file::BookSection { path, zone, billing_day } = written;
    let path = typed.or(path).or_else(|| (log.path != Path::new(STDOUT)).then(|| DEFAULT_BOOK.into()))?;
    // If the host's zone is unknown, it is UTC under that name, so that readers find it.
    let host = || Some(TimeZone::system()).filter(|zone| !zone.is_unknown()).unwrap_or(TimeZone::UTC);
    let zone = zone.unwrap_or_else(host);
    (path != Path::new(NO_BOOK)).then_some(Book { path, zone, billing_day })
}

/// Checks that nothing is asked of the packet backend that it cannot do. An attach mode or a method that is only in the
/// file is meant for the other backend, and is ignored.
fn check_packet(overrides: &Overrides, credit_to: CreditTo) -> Result<(), ConfigError> {
    if let Some(attach) = overrides.attach {
        return Err(ConfigError::AttachWithoutEbpf(attach));
    }
    if let Some(method) = overrides.method.and_then(MethodChoice::forced) {
        return Err(ConfigError::MethodWithoutEbpf(method));
    }
    if credit_to == CreditTo::Acting {
        let is_usage = overrides.owner.is_some() || overrides.backend.is_some();
        return Err(ConfigError::ActingWithoutEbpf { is_usage });
    }
    Ok(())
}

/// Each list is that of the command line, or else that of the file. Users and units in the file may appear later,
/// because a configuration that will become right is no error.
fn merge_only(typed: &Only, file: &file::OnlySection) -> Only {
    fn first<T: Clone>(typed: &[T], written: &[T]) -> Vec<T> {
        if typed.is_empty() { written.to_vec() } else { typed.to_vec() }
    }
    Only {
        users: first(&typed.users, &file.users),
        pids: typed.pids.clone(),
        children: typed.children,
        programs: first(&typed.programs, &file.programs),
        units: first(&typed.units, &file.units),
        later_users: typed.later_users || file.later || typed.users.is_empty(),
        later_units: typed.later_units || file.later || typed.units.is_empty(),
    }
}
