//! Suggestions for names that nothing on this host has.

use std::path::Path;

use super::containers::Runtimes;
use crate::capture::Hierarchy;
use crate::container::{Container, is_meant};
use crate::near::{MAX_SUGGESTIONS, near};

/// The users that are known without asking a server.
pub const PASSWD: &str = "/etc/passwd";
/// The groups that are known without asking a server.
pub const GROUP: &str = "/etc/group";
/// Most containers whose names are looked up.
const MAX_CONTAINERS: usize = 1_024;
/// Folders of programs that people call by name.
pub const FOLDERS: [&str; 4] = ["/usr/local/bin", "/usr/local/sbin", "/usr/bin", "/usr/sbin"];

/// Users or groups with names similar to `name`, from a file in the format of passwd(5) or group(5).
#[must_use]
pub fn users(name: &str, passwd: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(passwd).unwrap_or_default();
    near(name, text.lines().filter_map(|line| line.split(':').next()))
}

/// Existing units and containers that `name` means or whose names are similar.
#[must_use]
pub fn units(name: &str, hierarchy: &Hierarchy, runtimes: &Runtimes) -> Vec<String> {
    let cgroups = hierarchy.cgroups();
    let mut parts: Vec<_> = cgroups.values().flat_map(|path| path.split('/')).filter(|part| !part.is_empty()).collect();
    parts.sort_unstable();
    parts.dedup();
    let is_called = |part: &str| runtimes.name(part).as_deref() == Some(name);
    let containers = parts.iter().filter(|part| Container::of(part).is_some()).take(MAX_CONTAINERS);
    let meant: Vec<_> = containers.filter(|part| is_meant(part, name) || is_called(part)).collect();
    if !meant.is_empty() {
        return meant.into_iter().take(MAX_SUGGESTIONS).map(|part| (*part).to_owned()).collect();
    }
    // A unit named without its type most likely means the service.
    let service = format!("{name}.service");
    if parts.binary_search(&service.as_str()).is_ok() { vec![service] } else { near(name, parts) }
}

/// The name of the program that `name` starts, if `name` is a link to a file with another name: a program has the name
/// of its file.
#[must_use]
pub fn link(name: &str, folders: &[&Path]) -> Option<String> {
    let path = folders.iter().map(|folder| folder.join(name)).find(|path| path.exists())?;
    let program = std::fs::canonicalize(path).ok()?.file_name()?.to_str()?.to_owned();
    (program != name).then_some(program)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_units_and_links_are_found() {
        let host = tempfile::tempdir().unwrap();
        let path = |name: &str| host.path().join(name);
        std::fs::write(path("passwd"), "root:x:0:0::/root:/bin/sh\nalice:x:1000:1000::/:/bin/sh\n").unwrap();
        assert_eq!(users("alcie", &path("passwd")), ["alice"]);
        assert_eq!(users("alice", &path("missing")), [""; 0]);

        std::fs::create_dir_all(path("cgroups/system.slice/nginx.service")).unwrap();
        std::fs::create_dir_all(path("cgroups/system.slice/nginx-debug.service")).unwrap();
        std::fs::write(path("mounts"), format!("cgroup2 {} cgroup2 rw 0 0\n", path("cgroups").display())).unwrap();
        let hierarchy = Hierarchy::mounted(&path("mounts"));
        let runtimes = Runtimes::at(host.path().to_owned(), nix::unistd::geteuid().as_raw());
        assert_eq!(units("nginx", &hierarchy, &runtimes), ["nginx.service"]);
        let id = "0123456789abcdef".repeat(4);
        let container = format!("docker-{id}.scope");
        std::fs::create_dir_all(path("cgroups/system.slice").join(&container)).unwrap();
        assert_eq!(units("0123456789ab", &hierarchy, &runtimes), [container.as_str()]);
        let folder = path("var/lib/docker/containers").join(&id);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("config.v2.json"), r#"{"Name":"/web"}"#).unwrap();
        assert_eq!(units("web", &hierarchy, &runtimes), [container.as_str()]);
        assert_eq!(units("docker:0123456789ab", &hierarchy, &runtimes), [container.as_str()]);
        assert_eq!(units("nginx-debg.service", &hierarchy, &runtimes), ["nginx-debug.service", "nginx.service"]);

        std::fs::create_dir(path("bin")).unwrap();
        std::fs::write(path("bin/python3.11"), "").unwrap();
        std::os::unix::fs::symlink("python3.11", path("bin/python3")).unwrap();
        let bin = path("bin");
        assert_eq!(link("python3", &[&bin]).as_deref(), Some("python3.11"));
        assert_eq!(link("python3.11", &[&bin]), None);
        assert_eq!(link("perl", &[&bin]), None);
    }
}
