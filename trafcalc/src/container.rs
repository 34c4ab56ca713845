//! Cgroups of containers as people read them. Pure. Accounts keep the whole name of the cgroup: what is told here need not be unique.

use std::borrow::Cow;

/// Length of the id of a container, in hexadecimal digits (docker, podman, containerd and CRI-O).
const ID_DIGITS: usize = 64;
/// So many of them are told, as by `docker ps`.
const SHORT_DIGITS: usize = 12;

/// A container, as the name of its cgroup tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Container<'a> {
    /// What runs it, as its users call it; `container` if the name does not tell.
    pub(crate) runtime: &'a str,
    /// Its id, or else its name.
    pub(crate) id: &'a str,
}

impl<'a> Container<'a> {
    /// That of a cgroup with this name, if it is one.
    pub(crate) fn of(unit: &'a str) -> Option<Self> {
        if let Some(name) = unit.strip_prefix("lxc.payload.") {
            return Some(Self { runtime: "lxc", id: name });
        }
        let scope = unit.strip_suffix(".scope");
        if let Some(name) = scope.and_then(|scope| scope.strip_prefix("machine-")) {
            return Some(Self { runtime: "machine", id: name });
        }
        let (runtime, id) = scope.and_then(|scope| scope.rsplit_once('-')).unwrap_or(("container", unit));
        let runtime = match runtime {
            "libpod" => "podman",
            "cri-containerd" => "containerd",
            "crio" => "cri-o",
            other => other,
        };
        is_id(id).then_some(Self { runtime, id })
    }

    /// The first digits of its id, or its name.
    pub(crate) fn short(self) -> Cow<'a, str> {
        if is_id(self.id) { self.id[..SHORT_DIGITS].into() } else { unescaped(self.id) }
    }
}

/// What a cgroup is called where people read it: a container by its runtime and its `name`, if that is known, or else the beginning
/// of its id.
pub(crate) fn told<'a>(unit: &'a str, name: Option<&str>) -> Cow<'a, str> {
    let Some(container) = Container::of(unit) else { return unit.into() };
    let short = container.short();
    format!("{}:{}", container.runtime, name.unwrap_or(&short)).into()
}

/// Whether a container's cgroup of this name is meant by `text`: its id, 12 digits of it or more, or what [`told`] makes of it.
pub(crate) fn is_meant(unit: &str, text: &str) -> bool {
    Container::of(unit).is_some_and(|container| {
        let is_id = text.len() >= SHORT_DIGITS && is_id(container.id) && container.id.starts_with(text);
        is_id || told(unit, None) == text
    })
}

/// Whether this is the whole id of a container.
pub(crate) fn is_id(id: &str) -> bool {
    id.len() == ID_DIGITS && id.bytes().all(|digit| digit.is_ascii_hexdigit())
}

/// A name as before systemd escaped it: `\x` and two hexadecimal digits are a byte (`systemd-escape(1)`).
fn unescaped(name: &str) -> Cow<'_, str> {
    if !name.contains("\\x") {
        return name.into();
    }
    let mut bytes = Vec::new();
    let mut rest = name.as_bytes();
    while let [first, behind @ ..] = rest {
        let byte = rest.strip_prefix(b"\\x").and_then(|digits| digits.get(..2));
        let byte = byte.filter(|digits| digits.iter().all(u8::is_ascii_hexdigit));
        let byte = byte.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        bytes.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { &rest[4..] } else { behind };
    }
    String::from_utf8_lossy(&bytes).into_owned().into()
}

#[cfg(test)]
mod tests;
