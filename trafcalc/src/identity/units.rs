//! The systemd units and containers that cgroups belong to.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::sync::Arc;

use crate::capture::Hierarchy;

/// Most names remembered; beyond it all are looked up again. A name takes some 200 bytes, so all take 13 MB.
const MAX_NAMES: usize = 65_536;

/// Cgroups by their ids, looked for when first needed.
pub type Cgroups = OnceCell<HashMap<u64, String>>;

/// Names of the cgroups of users. A name is looked up once, and kept when the cgroup is removed.
pub struct Units {
    hierarchy: Hierarchy,
    names: HashMap<(u32, u64), Arc<str>>,
    /// How many of a user's cgroups have a name.
    cgroups: HashMap<(u32, Arc<str>), usize>,
}

impl Units {
    /// Those of the cgroups in `hierarchy`.
    #[must_use]
    pub fn of(hierarchy: Hierarchy) -> Self {
        Self { hierarchy, names: HashMap::new(), cgroups: HashMap::new() }
    }

    /// The unit that a user's cgroup belongs to; its id where there is no such cgroup any more. `now` is empty where the
    /// cgroups have not been looked for yet.
    pub fn name(&mut self, uid: u32, id: u64, now: &Cgroups) -> Arc<str> {
        if let Some(name) = self.names.get(&(uid, id)) {
            return Arc::clone(name);
        }
        if self.names.len() >= MAX_NAMES {
            self.names.clear();
            self.cgroups.clear();
        }
        let path = now.get_or_init(|| self.hierarchy.cgroups()).get(&id);
        let name: Arc<str> = path.map_or_else(|| id.to_string(), |path| unit(path)).into();
        self.names.insert((uid, id), Arc::clone(&name));
        *self.cgroups.entry((uid, Arc::clone(&name))).or_default() += 1;
        name
    }

    /// Forgets a user's cgroup that is gone, and gives its name if none of his others has it.
    pub fn forget(&mut self, uid: u32, id: u64) -> Option<Arc<str>> {
        let name = self.names.remove(&(uid, id))?;
        let key = (uid, name);
        let left = self.cgroups.get_mut(&key)?;
        *left -= 1;
        if *left > 0 {
            return None;
        }
        self.cgroups.remove(&key);
        Some(key.1)
    }
}

/// The unit in a cgroup's path: the outermost container, else the innermost unit of systemd, else the path itself.
fn unit(path: &str) -> String {
    let parts: Vec<&str> = path.split('/').collect();
    let container = parts.windows(2).find(|pair| is_container(pair[0], pair[1])).map(|pair| pair[1]);
    let is_unit = |part: &&&str| matches!(part.rsplit_once('.'), Some((_, "service" | "scope")));
    let service = || parts.iter().rev().find(is_unit).copied();
    container.or_else(service).unwrap_or(path).to_owned()
}

/// Whether a folder is what an engine made for a container: what is inside is the container's own business.
fn is_container(parent: &str, name: &str) -> bool {
    let scope = name.strip_suffix(".scope").and_then(|name| name.rsplit_once('-'));
    let id = scope.map_or(name, |(_, id)| id);
    let is_id = id.len() == 64 && id.bytes().all(|digit| digit.is_ascii_hexdigit());
    is_id || parent == "machine.slice" || name.starts_with("lxc.payload.")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;
    use std::path::{Path, PathBuf};

    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    #[test]
    fn a_unit_is_found_in_the_path() {
        let docker = format!("docker-{ID}.scope");
        let inner = format!("/system.slice/{docker}/system.slice/cron.service");
        let bare = format!("/kubepods/besteffort/pod7/{ID}");
        for (path, name) in [
            ("/system.slice/nginx.service", "nginx.service"),
            ("/user.slice/user-7.slice/session-3.scope", "session-3.scope"),
            ("/user.slice/user-7.slice/user@7.service/app.slice/mail.service", "mail.service"),
            ("/system.slice/nginx.service/workers", "nginx.service"),
            ("/machine.slice/systemd-nspawn@web.service/payload/a.service", "systemd-nspawn@web.service"),
            ("/lxc.payload.web/system.slice/a.service", "lxc.payload.web"),
            (&inner, &docker),
            (&bare, ID),
            ("/jobs/a", "/jobs/a"),
            ("/", "/"),
        ] {
            assert_eq!(unit(path), name);
        }
    }

    /// A hierarchy with two cgroups in it, and the table of mounts that leads there.
    fn hierarchy() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("unified");
        std::fs::create_dir_all(root.join("system.slice/a.service")).unwrap();
        std::fs::create_dir_all(root.join("other.slice/a.service")).unwrap();
        std::fs::write(root.join("cgroup.procs"), "").unwrap();
        let mounts = format!("tmpfs /tmp tmpfs rw 0 0\ncgroup2 {} cgroup2 rw 0 0\n", root.display());
        std::fs::write(folder.path().join("mounts"), mounts).unwrap();
        (folder, root)
    }

    #[test]
    fn a_cgroup_is_found_by_its_number_and_its_name_outlives_it() {
        let (folder, root) = hierarchy();
        let mut units = Units::of(Hierarchy::mounted(&folder.path().join("mounts")));
        let mut name = |id| units.name(7, id, &Cgroups::new());
        let id = |path: &str| std::fs::metadata(root.join(path)).unwrap().ino();
        let (first, second) = (id("system.slice/a.service"), id("other.slice/a.service"));
        assert_eq!(&*name(id("")), "/");
        assert_eq!(&*name(id("system.slice")), "/system.slice");
        assert_eq!(&*name(first), "a.service");
        assert_eq!(&*name(second), "a.service");
        std::fs::remove_dir(root.join("system.slice/a.service")).unwrap();
        assert_eq!(&*name(first), "a.service");
        assert_eq!(units.forget(7, first), None, "another cgroup has that name");
        assert_eq!(units.forget(7, second).as_deref(), Some("a.service"));
        assert_eq!(*units.name(7, first, &Cgroups::new()), first.to_string(), "it was gone before it was asked for");
    }

    fn nowhere() -> Units {
        Units::of(Hierarchy::mounted(Path::new("/nonexistent")))
    }

    #[test]
    fn without_a_hierarchy_a_cgroup_is_its_id() {
        assert_eq!(&*nowhere().name(0, 7, &Cgroups::new()), "7");
    }

    #[test]
    fn a_cgroup_of_two_users_is_forgotten_user_by_user() {
        let mut units = nowhere();
        for uid in [1, 2] {
            units.name(uid, 7, &Cgroups::new());
        }
        assert_eq!(units.forget(1, 7).as_deref(), Some("7"));
        assert_eq!(units.forget(1, 7), None);
        assert_eq!(units.forget(2, 7).as_deref(), Some("7"));
    }

    #[test]
    fn memory_is_bounded() {
        let mut units = nowhere();
        let now = Cgroups::new();
        for id in 0..100_000 {
            units.name(0, id, &now);
            assert!(units.names.len() <= MAX_NAMES && units.cgroups.len() <= MAX_NAMES);
        }
    }
}
