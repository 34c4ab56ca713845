//! The fields of a record beyond the user.
#![expect(clippy::option_option, reason = "a field that was not asked for is another thing than one that is not known")]

use std::time::{Duration, SystemTime};

use serde::ser::SerializeMap as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Names, Source, rfc3339};
use crate::capture::{By, Dimension, Owner, Process, Unit};

/// The fields of a record beyond the user: those that were asked for, empty if they are unknown.
#[derive(Clone, Debug, PartialEq)]
pub struct Detail {
    /// What was asked for.
    pub by: By,
    /// The process id.
    pub pid: Option<u32>,
    /// When the process was started.
    pub start_time: Option<SystemTime>,
    /// The base name of the program's path.
    pub program: Option<String>,
    /// The path of the process's executable, if the process still runs and may be inspected.
    pub exe: Option<String>,
    /// The name of the systemd unit or container, or the id of a cgroup that was removed before it was looked up.
    pub unit: Option<String>,
    /// The name of the container that is the unit, if its runtime provides one. It need not be unique.
    pub container: Option<String>,
    /// The class of the peer's network, if classes are told apart.
    pub class: Option<String>,
}

impl Detail {
    pub(super) fn new(owner: &Owner, source: &Source, names: &mut impl Names) -> Self {
        let start = |process: Process| source.booted + Duration::from_nanos(process.started_ns);
        let exe = owner.process.zip(owner.program.as_ref()).and_then(|(process, program)| names.exe(process, program));
        let unit = |unit: &Unit| match unit {
            Unit::Named(name) => name.to_string(),
            Unit::Cgroup(id) => id.to_string(),
        };
        Self {
            by: source.by,
            pid: owner.process.map(|process| process.pid),
            start_time: owner.process.map(start),
            program: owner.program.as_deref().map(str::to_owned),
            exe,
            unit: owner.unit.as_ref().map(unit),
            container: owner.unit.as_ref().and_then(|_| names.container(owner)),
            class: owner.class.as_deref().map(str::to_owned),
        }
    }
}

impl Serialize for Detail {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { by, pid, start_time, program, exe, unit, container, class } = self;
        let mut fields = serializer.serialize_map(None)?;
        if by.tells(Dimension::Process) {
            fields.serialize_entry("pid", pid)?;
            fields.serialize_entry("start_time", &start_time.and_then(rfc3339::text))?;
        }
        if by.tells(Dimension::Program) {
            fields.serialize_entry("program", program)?;
        }
        if by.tells(Dimension::Process) {
            fields.serialize_entry("exe", exe)?;
        }
        if by.tells(Dimension::Unit) {
            fields.serialize_entry("unit", unit)?;
        }
        if let Some(container) = container {
            fields.serialize_entry("container", container)?;
        }
        if let Some(class) = class {
            fields.serialize_entry("class", class)?;
        }
        fields.end()
    }
}

/// The fields as they are written. A missing field was not asked for; a null field is unknown.
#[derive(Deserialize)]
struct Fields {
    #[serde(default, deserialize_with = "asked_for")]
    pid: Option<Option<u32>>,
    #[serde(default)]
    start_time: Option<String>,
    #[serde(default, deserialize_with = "asked_for")]
    program: Option<Option<String>>,
    #[serde(default)]
    exe: Option<String>,
    #[serde(default, deserialize_with = "asked_for")]
    unit: Option<Option<String>>,
    #[serde(default)]
    container: Option<String>,
    #[serde(default)]
    class: Option<String>,
}

fn asked_for<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

impl<'de> Deserialize<'de> for Detail {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Fields { pid, start_time, program, exe, unit, container, class } = Fields::deserialize(deserializer)?;
        let told = [
            (Dimension::Process, pid.is_some()),
            (Dimension::Program, program.is_some()),
            (Dimension::Unit, unit.is_some()),
        ];
        let by = told.into_iter().filter(|told| told.1).fold(By::USER, |by, told| by.and(told.0));
        Ok(Self {
            by,
            pid: pid.flatten(),
            start_time: start_time.as_deref().and_then(rfc3339::time),
            program: program.flatten(),
            exe,
            unit: unit.flatten(),
            container,
            class,
        })
    }
}
