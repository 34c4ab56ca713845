//! Short names of containers' cgroups for people. Pure. They need not be unique; accounts keep the full name of the
//! cgroup.

use std::borrow::Cow;

/// Length of a container id in hexadecimal digits (docker, podman, containerd and CRI-O).
const ID_DIGITS: usize = 64;
/// Number of digits shown, as by `docker ps`.
const SHORT_DIGITS: usize = 12;

/// A container, parsed from the name of its cgroup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Container<'a> {
    /// The runtime, as its users call it; `container` if the name does not say.
    pub(crate) runtime: &'a str,
    /// Its id, or its name if there is no id.
    pub(crate) id: &'a str,
}

impl<'a> Container<'a> {
    /// The container whose cgroup has this name, if it is one.
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

/// The name of a cgroup for people: a container is shown by its runtime and its `name`, or by the beginning of its id
/// if the name is unknown.
pub(crate) fn told<'a>(unit: &'a str, name: Option<&str>) -> Cow<'a, str> {
    let Some(container) = Container::of(unit) else { return unit.into() };
    let short = container.short();
    format!("{}:{}", container.runtime, name.unwrap_or(&short)).into()
}

/// Whether `text` means the container whose cgroup is `unit`: its id, at least its first 12 digits, or the result of
/// [`told`].
pub(crate) fn is_meant(unit: &str, text: &str) -> bool {
    Container::of(unit).is_some_and(|container| {
        let is_id = text.len() >= SHORT_DIGITS && is_id(container.id) && container.id.starts_with(text);
        is_id || told(unit, None) == text
    })
}

/// Whether this is a full container id.
pub(crate) fn is_id(id: &str) -> bool {
    id.len() == ID_DIGITS && id.bytes().all(|digit| digit.is_ascii_hexdigit())
}

/// Undoes systemd's escaping of a name: `\x` and two hexadecimal digits are a byte (`systemd-escape(1)`).
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
