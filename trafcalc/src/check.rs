//! `trafcalc check`: what a configuration means on this host, without starting anything.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use jiff::tz::TimeZone;

use crate::book::Quota;
use crate::capture::{Attach, BackendKind, By, Class, CreditTo, Hierarchy, Method};
use crate::config::{
    self, Choice as _, ConfigError, DEFAULT_FILE, Keep, Only, Overrides, STDOUT, Settings, Subordinate,
};
use crate::figure::scaled;
use crate::identity::containers::Runtimes;
use crate::identity::directory::{self, Answer};
use crate::identity::hints;
use crate::near;
use crate::service::privileges::RunAs;

/// What the configuration in `file` means, as lines for a person; in the default file, or where there is none, without one.
///
/// # Errors
/// It is wrong, or cannot be read.
pub fn check(file: Option<PathBuf>) -> Result<String, ConfigError> {
    let named = file.clone().unwrap_or_else(|| DEFAULT_FILE.into());
    let settings = config::resolve(&Overrides { config: file, ..Overrides::default() })?;
    let head = if named.exists() { "is right, and means:" } else { "is not there; without it:" };
    let mut text = format!("{} {head}\n", named.display());
    for (what, meaning) in meanings(&settings) {
        let _ = writeln!(text, "  {what:<8}  {meaning}");
    }
    let doubts = doubts(&settings.only).into_iter().chain(config::unkept_quotas(&settings));
    let kept = (settings.run_as == RunAs::AsStarted).then(|| ALL_KEPT.to_owned());
    for doubt in doubts.chain(quota_doubts(&settings.quotas)).chain(kept) {
        let _ = writeln!(text, "but {doubt}");
    }
    Ok(text)
}

/// What an empty name means, which looks like the default.
const ALL_KEPT: &str = "with service.run_as = \"\" the service keeps all privileges that it is started with; leave the line out to give them up";

/// What is set, and what it means.
fn meanings(settings: &Settings) -> Vec<(&'static str, String)> {
    let capture = &settings.capture;
    let mut lines = vec![("counts", counted(settings))];
    lines.extend(capture.classes.0.iter().map(|of| ("class", class(of, &settings.unbilled))));
    lines.push(("with", counting(settings)));
    let format = settings.log.format.word();
    let path = &settings.log.path;
    let to = if path == Path::new(STDOUT) { "standard output".to_owned() } else { path.display().to_string() };
    let interval = humantime::format_duration(settings.interval.get());
    lines.push(("reports", format!("every {interval}, to {to}, as {format}")));
    lines.push((
        "book",
        match &settings.book {
            None => "none: nothing is kept but the log".to_owned(),
            Some(book) => {
                let months = match book.billing_day {
                    1 => String::new(),
                    day => format!(", and months from day {day} on"),
                };
                format!("{}, with hours and days of {}{months}", book.path.display(), zone(&book.zone))
            }
        },
    ));
    lines.extend(settings.quotas.iter().map(|of| ("quota", quota(of))));
    for (what, path) in [("status", &settings.status), ("top", &settings.reports)] {
        let path = path.as_ref().map(|path| format!("connects to {}", path.display()));
        lines.push((what, path.unwrap_or_else(|| "told nowhere".to_owned())));
    }
    if capture.backend != Some(BackendKind::Packet) {
        lines.push((
            "restarts",
            match &settings.keep {
                None => "counting stops when the process ends; the unit uses --keep, so it continues there".to_owned(),
                Some(Keep::Systemd) => "the count goes on, kept by systemd until the unit is stopped".to_owned(),
                Some(Keep::Folder(folder)) => {
                    format!("the count goes on, kept in {} until it is released", folder.display())
                }
            },
        ));
    }
    lines
}

/// Most networks of a class that are named.
const MAX_NETWORKS: usize = 8;

fn class(class: &Class, unbilled: &[String]) -> String {
    let Class { name, networks } = class;
    let mut named: Vec<_> = networks.iter().take(MAX_NETWORKS).map(ToString::to_string).collect();
    if networks.len() > MAX_NETWORKS {
        named.push(format!("and {} more", networks.len() - MAX_NETWORKS));
    }
    let of = if named.is_empty() { "no network".to_owned() } else { named.join(", ") };
    let billed = if unbilled.iter().any(|unbilled| **unbilled == **name) { "not billed" } else { "billed" };
    format!("{name:?}: {of}; {billed}")
}

/// In three digits, and in all of them where these say less.
fn limit(bytes: u64) -> String {
    let scaled = scaled(bytes, "B", false);
    if config::bytes(&scaled) == Some(bytes) { scaled } else { format!("{scaled} ({bytes} bytes)") }
}

fn quota(quota: &Quota) -> String {
    let Quota { name, users, groups, units, classes, period, direction, warn, .. } = quota;
    let lists = [("users", users), ("groups", groups), ("units", units), ("classes", classes)];
    let lists = lists.iter().filter(|(_, names)| !names.is_empty());
    let lists: Vec<_> = lists.map(|(what, names)| format!("{what} {}", names.join(", "))).collect();
    let whose = if lists.is_empty() { "everybody".to_owned() } else { lists.join("; ") };
    let steps: Vec<_> = warn.iter().map(ToString::to_string).collect();
    let (limit, direction, period) = (limit(quota.limit), direction.name(), period.name());
    format!("{name:?}: {limit}, {direction}, each {period}, of {whose}; reported at {} %", steps.join(", "))
}

fn counted(settings: &Settings) -> String {
    let Only { users, programs, units, .. } = &settings.only;
    let parts = |parts: &[config::BaseName]| parts.iter().map(|part| part.as_str().to_owned()).collect::<Vec<_>>();
    let lists = [("users", users.clone()), ("programs", parts(programs)), ("units", parts(units))];
    let mut of: Vec<_> = lists.iter().filter(|(_, names)| !names.is_empty()).collect();
    let whose = if of.is_empty() {
        "everybody's TCP payload".to_owned()
    } else {
        let list = |(what, names): &(&str, Vec<String>)| format!("{what} {}", names.join(", "));
        format!("TCP payload of {}", of.drain(..).map(list).collect::<Vec<_>>().join(", and of these the "))
    };
    let by = match settings.capture.by {
        By::USER => "by user".to_owned(),
        by => format!("by user,{by}"),
    };
    let classes = match settings.capture.classes.0.len() {
        0 => String::new(),
        _ => format!(" and class ({})", settings.capture.classes.names().collect::<Vec<_>>().join(", ")),
    };
    let loopback = if settings.capture.loopback { "with" } else { "without" };
    let owner = match settings.capture.credit_to {
        CreditTo::Socket => "",
        CreditTo::Acting => "; whose bytes are is who acts, not who has the socket",
    };
    let apart = match settings.subordinate {
        Subordinate::User => "",
        Subordinate::Apart => "; subordinate users apart",
    };
    format!("{whose}, {by}{classes}, {loopback} connections within this host{owner}{apart}")
}

fn counting(settings: &Settings) -> String {
    let capture = &settings.capture;
    let hooks = || {
        let attach = capture.attach.map(Attach::name).into_iter();
        let method = capture.ebpf.method.map(Method::name).into_iter();
        let forced: Vec<_> = attach.chain(method).collect();
        if forced.is_empty() { String::new() } else { format!(" ({})", forced.join(", ")) }
    };
    match capture.backend {
        None => "ebpf where the kernel allows it, else packet".to_owned(),
        Some(BackendKind::Ebpf) => format!("ebpf{}", hooks()),
        Some(BackendKind::Packet) if capture.packet.interfaces.is_empty() => "packet, on all interfaces".to_owned(),
        Some(BackendKind::Packet) => format!("packet, on {}", capture.packet.interfaces.join(", ")),
    }
}

fn zone(zone: &TimeZone) -> &str {
    zone.iana_name().unwrap_or("this host's zone, which has no name")
}

/// What may be meant.
fn asks(near: &[String]) -> String {
    near::question(near).map(|question| format!(" ({question})")).unwrap_or_default()
}

/// A sentence for each user who is not there now, with `then`: what that means.
fn users_not_there(users: &[String], then: &str) -> Vec<String> {
    let not_there = |name: &String| match directory::uid(name) {
        Answer::Known(_) => None,
        Answer::NoSuchUser | Answer::Unclear(_) => {
            let near = asks(&hints::users(name, Path::new(hints::PASSWD)));
            Some(format!("there is no user {name:?} now, {then}{near}"))
        }
        Answer::Failed(errno) => Some(format!("the directory of users cannot say who {name:?} is: {errno}")),
    };
    users.iter().filter(|name| name.parse::<u32>().is_err()).filter_map(not_there).collect()
}

/// The same of units.
fn units_not_there(units: &[String], then: &str) -> Vec<String> {
    let hierarchy = Hierarchy::mounted(Path::new("/proc/mounts"));
    let is_there = hierarchy.has_parts(units);
    let missing = units.iter().zip(is_there).filter(|(_, is_there)| !is_there).map(|(unit, _)| unit);
    let sentence = |unit: &String| {
        format!(
            "there is no unit or cgroup {unit:?} now, {then}{}",
            asks(&hints::units(unit, &hierarchy, &Runtimes::of_host()))
        )
    };
    missing.map(sentence).collect()
}

/// Whom quotas name and who is not there now: such a quota is as right as one of a user who moves nothing.
fn quota_doubts(quotas: &[Quota]) -> Vec<String> {
    let mut doubts = Vec::new();
    for Quota { name, users, groups, units, .. } in quotas {
        doubts.extend(users_not_there(users, &format!("whom the quota {name:?} names")));
        for group in groups {
            match directory::gid(group) {
                Answer::Known(_) => {}
                Answer::NoSuchUser | Answer::Unclear(_) => {
                    let near = asks(&hints::users(group, Path::new(hints::GROUP)));
                    doubts.push(format!("there is no group {group:?} now, which the quota {name:?} names{near}"));
                }
                Answer::Failed(errno) => {
                    doubts.push(format!("the directory of users cannot say what the group {group:?} is: {errno}"));
                }
            }
        }
        doubts.extend(units_not_there(units, &format!("which the quota {name:?} names")));
    }
    doubts
}

/// Whom the configuration names and who is not there now.
fn doubts(only: &Only) -> Vec<String> {
    let mut doubts = users_not_there(&only.users, "who is waited for");
    let units: Vec<_> = only.units.iter().map(|unit| unit.as_str().to_owned()).collect();
    doubts.extend(units_not_there(&units, "which is waited for"));
    for name in only.programs.iter().map(config::BaseName::as_str) {
        if let Some(program) = hints::link(name, &hints::FOLDERS.map(Path::new)) {
            doubts.push(format!("{name:?} is a link: the program that it starts is {program:?}"));
        }
    }
    doubts
}
