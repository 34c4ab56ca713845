//! The systemd units and containers that cgroups belong to.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use super::containers::{Containers, Runtimes};
use crate::capture::{Hierarchy, Owner, Unit};
use crate::container;

/// Most owners in cgroups, and most names, that are cached; beyond it the cache is cleared. An owner takes some 300
/// bytes, so all take 20 MB.
const MAX_NAMES: usize = 65_536;

/// The paths of cgroups by id, read when first needed.
pub type Cgroups = OnceCell<HashMap<u64, String>>;

/// Unit names of owners' cgroups. A name is looked up once, and kept after the cgroup is removed.
pub struct Units {
    hierarchy: Hierarchy,
    names: HashMap<u64, (Arc<str>, Option<Arc<Path>>)>,
    containers: Containers,
    /// Maps owners as backends report them to owners with unit names.
    named: HashMap<Owner, Owner>,
    /// How many owners of the former map to the same owner with a unit name.
    cgroups: HashMap<Owner, usize>,
}

impl Units {
    /// Uses the cgroups in `hierarchy`, and the containers of these runtimes.
    #[must_use]
    pub fn of(hierarchy: Hierarchy, runtimes: Runtimes) -> Self {
        let containers = Containers::of(runtimes);
        Self { hierarchy, containers, names: HashMap::new(), named: HashMap::new(), cgroups: HashMap::new() }
    }

    /// Replaces the cgroup of an owner by the name of its unit, or by the cgroup's id as a name if the cgroup no longer
    /// exists. `now` is filled when it is first needed.
    pub fn name(&mut self, owner: &mut Owner, now: &Cgroups) {
        let Some(Unit::Cgroup(id)) = owner.unit else { return };
        if let Some(named) = self.named.get(owner) {
            owner.clone_from(named);
            return;
        }
        if self.named.len() >= MAX_NAMES || self.names.len() >= MAX_NAMES {
            self.names.clear();
            self.named.clear();
            self.cgroups.clear();
        }
        let (name, folder) = self.name_of(id, now);
        if let Some(folder) = folder {
            self.containers.expect(owner.uid(), &name, &folder);
        }
        let named = Owner { unit: Some(Unit::Named(name)), ..owner.clone() };
        let former = std::mem::replace(owner, named.clone());
        *self.cgroups.entry(named.clone()).or_default() += 1;
        self.named.insert(former, named);
    }

    /// The name of the container that is an owner's unit, if it is known.
    pub fn container(&mut self, owner: &Owner) -> Option<String> {
        let Some(Unit::Named(unit)) = &owner.unit else { return None };
        self.containers.name(owner.uid(), unit).map(|name| (*name).to_owned())
    }

    /// The unit name of a cgroup, and the folder that contains the unit's cgroup, if the cgroup exists.
    fn name_of(&mut self, id: u64, now: &Cgroups) -> (Arc<str>, Option<Arc<Path>>) {
        let look_up = || {
            let Some(path) = now.get_or_init(|| self.hierarchy.cgroups()).get(&id) else {
                return (id.to_string().into(), None);
            };
            let name = unit(path);
            let folder = parent(path, &name).and_then(|parent| self.hierarchy.folder(parent));
            (name.into(), folder.map(Into::into))
        };
        self.names.entry(id).or_insert_with(look_up).clone()
    }

    /// Forgets an owner that is gone. Returns it with its unit name, unless another cgroup with that name has the same
    /// owner.
    pub fn forget(&mut self, owner: Owner) -> Option<Owner> {
        let Some(Unit::Cgroup(id)) = owner.unit else { return Some(owner) };
        self.names.remove(&id);
        let named = self.named.remove(&owner)?;
        let left = self.cgroups.get_mut(&named)?;
        *left -= 1;
        if *left > 0 {
            return None;
        }
        self.cgroups.remove(&named);
        Some(named)
    }
}

/// The unit in a cgroup's path: the outermost container, else the innermost systemd unit, else the path itself.
fn unit(path: &str) -> String {
    let parts: Vec<&str> = path.split('/').collect();
    let container = parts.windows(2).find(|pair| is_container(pair[0], pair[1])).map(|pair| pair[1]);
    let is_unit = |part: &&&str| matches!(part.rsplit_once('.'), Some((_, "service" | "scope")));
    let service = || parts.iter().rev().find(is_unit).copied();
    container.or_else(service).unwrap_or(path).to_owned()
}

/// The path of the cgroup that contains the outermost cgroup with this name.
fn parent<'a>(path: &'a str, name: &str) -> Option<&'a str> {
    let mut ends = path.match_indices('/').map(|(at, _)| at);
    ends.find(|&at| path[at + 1..].split('/').next() == Some(name)).map(|at| &path[..at])
}

/// Whether a container engine created this cgroup; cgroups inside belong to the container.
fn is_container(parent: &str, name: &str) -> bool {
    let scope = name.strip_suffix(".scope").and_then(|name| name.rsplit_once('-'));
    let id = scope.map_or(name, |(_, id)| id);
    container::is_id(id) || parent == "machine.slice" || name.starts_with("lxc.payload.")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;
    use std::path::PathBuf;

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

    /// A hierarchy with two cgroups, and the mount table that refers to it.
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

    fn inside(uid: u32, id: u64) -> Owner {
        Owner { unit: Some(Unit::Cgroup(id)), ..Owner::user(uid) }
    }

    /// The unit name of a user's cgroup.
    fn name(units: &mut Units, uid: u32, id: u64) -> String {
        let mut owner = inside(uid, id);
        units.name(&mut owner, &Cgroups::new());
        assert_eq!(owner.uid(), Some(uid));
        name_of(owner)
    }

    fn name_of(owner: Owner) -> String {
        match owner.unit {
            Some(Unit::Named(name)) => name.to_string(),
            other => panic!("no name: {other:?}"),
        }
    }

    #[test]
    fn a_cgroup_is_found_by_its_number_and_its_name_outlives_it() {
        let (folder, root) = hierarchy();
        let mut units = Units::of(Hierarchy::mounted(&folder.path().join("mounts")), runtimes());
        let id = |path: &str| std::fs::metadata(root.join(path)).unwrap().ino();
        let (first, second) = (id("system.slice/a.service"), id("other.slice/a.service"));
        assert_eq!(name(&mut units, 7, id("")), "/");
        assert_eq!(name(&mut units, 7, id("system.slice")), "/system.slice");
        assert_eq!(name(&mut units, 7, first), "a.service");
        assert_eq!(name(&mut units, 7, second), "a.service");
        std::fs::remove_dir(root.join("system.slice/a.service")).unwrap();
        assert_eq!(name(&mut units, 7, first), "a.service");
        assert_eq!(name(&mut units, 8, first), "a.service", "another owner in it comes later");
        assert_eq!(units.forget(inside(7, first)), None, "another cgroup has that name");
        assert_eq!(units.forget(inside(7, second)).map(name_of).as_deref(), Some("a.service"));
        assert_eq!(name(&mut units, 7, first), first.to_string(), "it was gone before it was asked for");
    }

    fn runtimes() -> Runtimes {
        Runtimes::at("/nonexistent".into(), 0)
    }

    #[test]
    fn a_container_is_in_the_folder_that_its_engine_made_it_in() {
        let docker = format!("docker-{ID}.scope");
        let path = format!("/system.slice/{docker}/user.slice/{docker}");
        assert_eq!(parent(&path, &unit(&path)), Some("/system.slice"));
        assert_eq!(parent(&format!("/{docker}"), &docker), Some(""));
        assert_eq!(parent("/a/b", "c"), None);
    }

    fn nowhere() -> Units {
        Units::of(Hierarchy::mounted(Path::new("/nonexistent")), runtimes())
    }

    #[test]
    fn without_a_hierarchy_a_cgroup_is_its_id() {
        assert_eq!(name(&mut nowhere(), 0, 7), "7");
    }

    #[test]
    fn a_cgroup_of_two_owners_is_forgotten_owner_by_owner() {
        let mut units = nowhere();
        let curl = Owner { program: Some("curl".into()), ..inside(1, 7) };
        let owners = [inside(1, 7), inside(2, 7), curl];
        for owner in owners.clone() {
            units.name(&mut owner.clone(), &Cgroups::new());
        }
        for owner in owners {
            let named = units.forget(owner.clone());
            assert_eq!(named.as_ref().map(|named| (named.uid(), &named.program)), Some((owner.uid(), &owner.program)));
            assert_eq!(named.map(name_of).as_deref(), Some("7"));
            assert_eq!(units.forget(owner), None);
        }
    }

    #[test]
    fn an_owner_without_a_cgroup_stays_as_it_is() {
        let (mut units, mut owner) = (nowhere(), Owner::user(1));
        units.name(&mut owner, &Cgroups::new());
        assert_eq!(units.forget(owner), Some(Owner::user(1)));
    }

    #[test]
    fn memory_is_bounded() {
        let mut units = nowhere();
        for id in 0..100_000 {
            name(&mut units, 0, id);
            assert!([units.names.len(), units.named.len(), units.cgroups.len()].iter().all(|&len| len <= MAX_NAMES));
        }
    }
}
