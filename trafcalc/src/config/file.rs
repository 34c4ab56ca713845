//! The configuration file. The only file that knows TOML.

use std::fs;
use std::io::{self, Read as _};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use jiff::tz::TimeZone;
use serde::de::{Deserialize, Deserializer, Error as _};

use super::{
    Backend, BaseName, ConfigError, DEFAULT_CONNECTIONS, DEFAULT_LOG, DEFAULT_REPORTS, DEFAULT_RING_BYTES,
    DEFAULT_STATUS, Format, Interval, Keep, MAX_ACCOUNTS, MAX_CONNECTIONS, MAX_RING_BYTES, MethodChoice, Subordinate,
    classes, quota, value,
};
use crate::book::{BILLING_DAYS, Quota};
use crate::capture::packet::MIN_RING_BYTES;
use crate::capture::{Attach, By, CreditTo, EbpfSettings};
use crate::near;
use crate::sinks::is_unsafe;

/// Length of the largest file.
const MAX_FILE_BYTES: u64 = 1 << 20;
/// Most characters of an error message that quotes the file: the file may be the wrong one, and may be private.
const MAX_MESSAGE: usize = 400;
/// Longest name of a network interface (`IFNAMSIZ` without the final zero).
const MAX_INTERFACE_NAME: usize = 15;

/// The file as it is written; every key is optional.
#[derive(Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct File {
    #[serde(deserialize_with = "value::word")]
    pub(super) backend: Backend,
    #[serde(deserialize_with = "value::text")]
    pub(super) interval: Interval,
    pub(super) loopback: bool,
    #[serde(deserialize_with = "value::by")]
    pub(super) by: By,
    #[serde(deserialize_with = "value::word")]
    pub(super) owner: CreditTo,
    #[serde(deserialize_with = "value::word")]
    pub(super) subordinate: Subordinate,
    #[serde(deserialize_with = "classes::read")]
    pub(super) class: classes::Written,
    pub(super) only: OnlySection,
    pub(super) log: LogSection,
    pub(super) book: BookSection,
    #[serde(deserialize_with = "quota::quotas")]
    pub(super) quota: Vec<Quota>,
    pub(super) service: ServiceSection,
    pub(super) status: StatusSection,
    pub(super) packet: PacketSection,
    pub(super) ebpf: EbpfSection,
}

#[derive(Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct OnlySection {
    pub(super) users: Vec<String>,
    #[serde(deserialize_with = "value::texts")]
    pub(super) programs: Vec<BaseName>,
    #[serde(deserialize_with = "value::texts")]
    pub(super) units: Vec<BaseName>,
    pub(super) later: bool,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct LogSection {
    #[serde(deserialize_with = "log_path")]
    pub(super) path: PathBuf,
    #[serde(deserialize_with = "value::word")]
    pub(super) format: Format,
    pub(super) host: Option<String>,
}

impl Default for LogSection {
    fn default() -> Self {
        Self { path: DEFAULT_LOG.into(), format: Format::default(), host: None }
    }
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct BookSection {
    pub(super) path: Option<PathBuf>,
    #[serde(deserialize_with = "value::zone")]
    pub(super) zone: Option<TimeZone>,
    #[serde(deserialize_with = "billing_day")]
    pub(super) billing_day: i8,
}

impl Default for BookSection {
    fn default() -> Self {
        Self { path: None, zone: None, billing_day: *BILLING_DAYS.start() }
    }
}

fn billing_day<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i8, D::Error> {
    let day = i64::deserialize(deserializer)?;
    let known = i8::try_from(day).ok().filter(|day| BILLING_DAYS.contains(day));
    known.ok_or_else(|| D::Error::custom(format_args!("{day} is not a day that every month has, 1 to 28")))
}

#[derive(Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ServiceSection {
    /// Empty: do not switch users and keep all privileges.
    pub(super) run_as: Option<String>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct StatusSection {
    /// Empty: no socket.
    pub(super) socket: PathBuf,
    /// Empty: no socket.
    pub(super) reports: PathBuf,
}

impl Default for StatusSection {
    fn default() -> Self {
        Self { socket: DEFAULT_STATUS.into(), reports: DEFAULT_REPORTS.into() }
    }
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct PacketSection {
    #[serde(deserialize_with = "interfaces")]
    pub(super) interfaces: Vec<String>,
    #[serde(deserialize_with = "value::within::<_, MIN_RING_BYTES, MAX_RING_BYTES>")]
    pub(super) ring_bytes: usize,
    #[serde(deserialize_with = "value::within::<_, 1, MAX_CONNECTIONS>")]
    pub(super) max_connections: usize,
}

impl Default for PacketSection {
    fn default() -> Self {
        Self { interfaces: Vec::new(), ring_bytes: DEFAULT_RING_BYTES, max_connections: DEFAULT_CONNECTIONS }
    }
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct EbpfSection {
    #[serde(deserialize_with = "value::some_word")]
    pub(super) attach: Option<Attach>,
    #[serde(deserialize_with = "value::word")]
    pub(super) method: MethodChoice,
    #[serde(deserialize_with = "value::within::<_, 1, MAX_CONNECTIONS>")]
    pub(super) max_connections: usize,
    #[serde(deserialize_with = "value::within::<_, 1, MAX_ACCOUNTS>")]
    pub(super) max_accounts: usize,
    #[serde(deserialize_with = "value::some_text")]
    pub(super) keep: Option<Keep>,
}

impl Default for EbpfSection {
    fn default() -> Self {
        let EbpfSettings { max_connections, max_accounts, .. } = EbpfSettings::default();
        Self { attach: None, method: MethodChoice::default(), max_connections, max_accounts, keep: None }
    }
}

fn log_path<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PathBuf, D::Error> {
    let path = PathBuf::deserialize(deserializer)?;
    if path.as_os_str().is_empty() { Err(D::Error::custom("a path must not be empty")) } else { Ok(path) }
}

/// Most interfaces: the kernel filter tests them one after the other, and can jump over 255 instructions.
const MAX_INTERFACES: usize = 64;

fn interfaces<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let names = Vec::<String>::deserialize(deserializer)?;
    if names.len() > MAX_INTERFACES {
        let found = names.len();
        return Err(D::Error::custom(format_args!("{found} names are more than the {MAX_INTERFACES} there may be")));
    }
    match names.iter().find(|name| !is_interface_name(name)) {
        Some(name) => Err(D::Error::custom(format_args!("{name:?} cannot be the name of a network interface"))),
        None => Ok(names),
    }
}

/// The rules of the kernel's `dev_valid_name`.
fn is_interface_name(name: &str) -> bool {
    (1..=MAX_INTERFACE_NAME).contains(&name.len())
        && name != "."
        && name != ".."
        && !name.contains(|c: char| c == '/' || c == ':' || c.is_whitespace() || c == '\0')
}

pub(super) fn read_if_present(path: &Path) -> Result<File, ConfigError> {
    match read(path) {
        Err(ConfigError::Unreadable { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
            Ok(File::default())
        }
        other => other,
    }
}

/// The same for users who may not be allowed to read it.
pub(super) fn read_if_allowed(path: &Path) -> Result<File, ConfigError> {
    match read_if_present(path) {
        Err(ConfigError::Unreadable { source, .. }) if source.kind() == std::io::ErrorKind::PermissionDenied => {
            Ok(File::default())
        }
        other => other,
    }
}

pub(super) fn read(path: &Path) -> Result<File, ConfigError> {
    let text = read_text(path).map_err(|source| ConfigError::Unreadable { file: path.to_owned(), source })?;
    parse(path, &text)
}

/// Reads a file, up to the longest possible configuration: the user may have named any file.
fn read_text(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    fs::File::open(path)?.take(MAX_FILE_BYTES + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MAX_FILE_BYTES {
        let reason = format!("it has more than {MAX_FILE_BYTES} bytes, so it is no configuration");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, reason));
    }
    Ok(text)
}

pub(super) fn parse(path: &Path, text: &str) -> Result<File, ConfigError> {
    let wrong = |error: &toml::de::Error, key: String| ConfigError::Wrong {
        file: path.to_owned(),
        line: line_of(text, error.span().map_or(0, |span| span.start)),
        key: one_line(&key),
        message: with_hint(error.message()),
    };
    let document = toml::Deserializer::parse(text).map_err(|error| wrong(&error, String::new()))?;
    serde_path_to_error::deserialize(document).map_err(|error| {
        let key = error.path().to_string();
        wrong(error.inner(), if key == "." { String::new() } else { key })
    })
}

/// Shortens a text to one line without control characters.
fn one_line(text: &str) -> String {
    let line: String = text.chars().map(|c| if is_unsafe(c) { ' ' } else { c }).collect();
    match line.char_indices().nth(MAX_MESSAGE) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

/// The error message, followed by a suggestion that is never cut off.
fn with_hint(message: &str) -> String {
    // serde's message is: unknown field `colour`, expected one of `path`, `format`.
    let mut quoted = message.split('`').skip(1).step_by(2);
    if message.starts_with("unknown field") {
        let unknown = quoted.next().unwrap_or_default();
        let question = near::question(&near::near(unknown, quoted));
        let message = one_line(message);
        return question.map_or_else(|| message.clone(), |question| format!("{message}; {question}"));
    }
    let section = message.rsplit_once("expected struct ").and_then(|(_, name)| name.strip_suffix("Section"));
    match section.map(str::to_lowercase) {
        None => one_line(message),
        Some(name) => {
            let keys = match &*name {
                "log" | "book" => "path = \"…\"",
                "status" => "socket = \"…\"",
                "service" => "run_as = \"…\"",
                _ => "its keys",
            };
            format!("this is a table: write [{name}] on a line, and below it {keys}")
        }
    }
}

fn line_of(text: &str, offset: usize) -> NonZeroUsize {
    NonZeroUsize::MIN.saturating_add(text.char_indices().filter(|&(at, c)| at < offset && c == '\n').count())
}
