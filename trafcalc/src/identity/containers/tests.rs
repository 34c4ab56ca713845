use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::time::{Duration, Instant};

use nix::unistd::geteuid;

use super::*;

const WEB: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
const MAIL: &str = "1123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
const PATIENCE: Duration = Duration::from_secs(20);

/// A host on which docker runs `web` and podman `mail`, and its cgroup hierarchy.
struct Host(tempfile::TempDir);

impl Host {
    fn new() -> Self {
        let host = Self(tempfile::tempdir().unwrap());
        host.write(&format!("{DOCKER}/{WEB}/config.v2.json"), r#"{"ID":"0123","Name":"/web","State":{"Pid":7}}"#);
        let podman = format!(r#"[{{"id":"ff","names":["other"]}},{{"id":"{MAIL}","names":["mail","more"]}}]"#);
        host.write(PODMAN, &podman);
        host.folder("cgroup/system.slice", 0o755);
        host
    }

    fn path(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    fn folder(&self, path: &str, mode: u32) {
        fs::create_dir_all(self.path(path)).unwrap();
        fs::set_permissions(self.path(path), fs::Permissions::from_mode(mode)).unwrap();
    }

    /// Writes a file with mode 0600 into folders with mode 0755, so that only the owner may write them.
    fn write(&self, path: &str, text: &str) {
        let file = self.path(path);
        let parts: Vec<_> = Path::new(path).ancestors().skip(1).collect();
        parts.iter().rev().for_each(|folder| self.folder(folder.to_str().unwrap(), 0o755));
        fs::write(&file, text).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    }

    fn mode(&self, path: &str, mode: u32) {
        fs::set_permissions(self.path(path), fs::Permissions::from_mode(mode)).unwrap();
    }

    fn runtimes(&self) -> Runtimes {
        Runtimes::at(self.0.path().to_owned(), geteuid().as_raw())
    }
}

fn docker(id: &str) -> String {
    format!("docker-{id}.scope")
}

#[test]
fn a_container_has_the_name_that_its_runtime_gave_it() {
    let runtimes = Host::new();
    let name = |unit: &str| runtimes.runtimes().name(unit);
    assert_eq!(name(&docker(WEB)).as_deref(), Some("web"));
    assert_eq!(name(&format!("libpod-{MAIL}.scope")).as_deref(), Some("mail"));
    for nobody in [docker(MAIL), format!("libpod-{WEB}.scope"), format!("crio-{WEB}.scope"), "nginx.service".to_owned()]
    {
        assert_eq!(name(&nobody), None, "{nobody}");
    }
}

#[test]
fn what_others_may_write_is_not_believed() {
    let file = format!("{DOCKER}/{WEB}/config.v2.json");
    for (path, mode) in [(&*file, 0o620), (&*file, 0o602), (DOCKER, 0o777), (DOCKER, 0o770), ("var", 0o757)] {
        let host = Host::new();
        assert_eq!(host.runtimes().name(&docker(WEB)).as_deref(), Some("web"));
        host.mode(path, mode);
        assert_eq!(host.runtimes().name(&docker(WEB)), None, "{path} {mode:o}");
    }
    let host = Host::new();
    let other = Runtimes::at(host.0.path().to_owned(), geteuid().as_raw() + 1);
    assert_eq!(other.name(&docker(WEB)), None, "it is of another user");
    fs::rename(host.path(&file), host.path("elsewhere")).unwrap();
    symlink(host.path("elsewhere"), host.path(&file)).unwrap();
    assert_eq!(host.runtimes().name(&docker(WEB)), None, "a link is not followed");
}

#[test]
fn what_is_no_file_of_a_runtime_gives_no_name() {
    let long = format!(r#"{{"Name":"/{}"}}"#, "n".repeat(MAX_NAME_BYTES + 1));
    let longer = format!(r#"{{"Name":"/web","X":"{}"}}"#, "x".repeat(usize::try_from(MAX_FILE_BYTES).unwrap()));
    for text in ["", "{", "[]", r#"{"Name":7}"#, r#"{"Name":""}"#, r#"{"Name":"/"}"#, &long, &longer] {
        let host = Host::new();
        host.write(&format!("{DOCKER}/{WEB}/config.v2.json"), text);
        assert_eq!(host.runtimes().name(&docker(WEB)), None, "{}", &text[..text.len().min(40)]);
    }
    let host = Host::new();
    for text in ["[{}]", r#"[{"id":"1","names":null}]"#, "{}"] {
        host.write(PODMAN, text);
        assert_eq!(host.runtimes().name(&format!("libpod-{MAIL}.scope")), None, "{text}");
    }
    fs::remove_file(host.path(PODMAN)).unwrap();
    nix::unistd::mkfifo(&host.path(PODMAN), nix::sys::stat::Mode::from_bits_truncate(0o600)).unwrap();
    assert_eq!(host.runtimes().name(&format!("libpod-{MAIL}.scope")), None, "it does not wait for who writes a pipe");
}

/// Waits for the thread's answer and returns the name.
fn answered(containers: &mut Containers, uid: u32, unit: &Arc<str>) -> Option<Arc<str>> {
    let start = Instant::now();
    loop {
        let name = containers.name(Some(uid), unit);
        if matches!(containers.told.get(&(Some(uid), Arc::clone(unit))), Some(Told::Answered(_)) | None) {
            return name;
        }
        assert!(start.elapsed() < PATIENCE, "no answer");
        std::thread::yield_now();
    }
}

#[test]
fn a_user_who_makes_a_cgroup_of_that_name_does_not_get_the_name() {
    let host = Host::new();
    host.folder("cgroup/user", 0o777);
    let mut containers = Containers::of(host.runtimes());
    let unit: Arc<str> = docker(WEB).into();
    containers.expect(Some(7), &unit, &host.path("cgroup/system.slice"));
    containers.expect(Some(1000), &unit, &host.path("cgroup/user"));
    containers.expect(Some(1001), &unit, &host.path("cgroup/gone"));
    assert_eq!(answered(&mut containers, 7, &unit).as_deref(), Some("web"));
    assert_eq!(answered(&mut containers, 1000, &unit), None);
    assert_eq!(answered(&mut containers, 1001, &unit), None);
    assert_eq!(answered(&mut containers, 5, &unit), None, "he was never seen in it");
}

#[test]
fn no_more_is_remembered_than_there_is_room_for_and_units_are_no_containers() {
    let mut containers = Containers::of(Host::new().runtimes());
    containers.expect(Some(1), &"nginx.service".into(), Path::new("/"));
    assert!(containers.told.is_empty());
    let unit: Arc<str> = docker(WEB).into();
    for uid in 0..40_000 {
        containers.expect(Some(uid), &unit, Path::new("/nonexistent"));
        assert!(containers.told.len() <= MAX_NAMES);
    }
    for uid in 39_000..40_000 {
        containers.name(Some(uid), &unit);
    }
    assert_eq!(answered(&mut containers, 39_999, &unit), None, "what found no room was asked later");
}
