use std::net::Ipv6Addr;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::sync::mpsc::sync_channel;

use tempfile::TempDir;

use super::super::finding::Question;
use super::super::segment::Endpoints;
use super::super::testing::capture_settings;
use super::*;

const UID: u32 = 1000;

/// A `/proc` with the processes 10, its child 20, and 30, with their programs and cgroups. Ticks are 10 ms.
fn proc() -> TempDir {
    let root = TempDir::new().unwrap();
    for (pid, parent, program, cgroup) in
        [(10, 1, "nginx", "/a.slice/a.service"), (20, 10, "curl", "/a.slice/b.service"), (30, 1, "curl", "/c.service")]
    {
        let dir = root.path().join(pid.to_string());
        fs::create_dir(&dir).unwrap();
        let fields = (5..52).map(|field| if field == 22 { "7".to_owned() } else { "0".to_owned() });
        let fields: Vec<_> = fields.collect();
        fs::write(dir.join("stat"), format!("{pid} (x) S {parent} {}", fields.join(" "))).unwrap();
        fs::write(dir.join("cgroup"), format!("1:name=systemd:/x\n0::{cgroup}\n")).unwrap();
        symlink(format!("/usr/bin/{program}"), dir.join("exe")).unwrap();
    }
    root
}

fn search(root: &TempDir, wanted: Wanted) -> Search {
    search_by(root, By::PROGRAM, wanted)
}

fn search_by(root: &TempDir, by: By, wanted: Wanted) -> Search {
    let settings = Settings { by, wanted, ..capture_settings() };
    let ((_, sought), (found, _)) = (sync_channel(1), sync_channel(1));
    Search::new(root.path(), &settings, sought, found)
}

/// Which of the three processes, and one that does not exist, are wanted.
fn fits(wanted: Wanted) -> [Option<bool>; 4] {
    let root = proc();
    let search = search(&root, wanted);
    [10, 20, 30, 40].map(|pid| search.fits(pid))
}

fn question(birth: u32) -> Question {
    let address = Ipv6Addr::LOCALHOST;
    let endpoints = Endpoints { local: address, remote: address, local_port: 1, remote_port: 2 };
    Question { endpoints, birth, interface: 0 }
}

fn process(pid: u32, started_ns: u64) -> Process {
    Process { pid, started_ns }
}

#[test]
fn a_process_is_chosen_with_its_children_or_without() {
    let wanted =
        |children, started_ns| Wanted { processes: vec![process(10, started_ns)], children, ..Wanted::default() };
    assert_eq!(fits(wanted(false, 70_000_000)), [Some(true), Some(false), Some(false), Some(false)]);
    assert_eq!(fits(wanted(true, 70_000_000)), [Some(true), Some(true), Some(false), Some(false)]);
    assert_eq!(fits(wanted(true, 80_000_000)), [Some(false); 4], "the number is another process's now");
}

#[test]
fn programs_and_units_are_chosen_by_name_and_all_kinds_have_to_fit() {
    let programs = Wanted { programs: vec!["curl".into(), "wget".into()], ..Wanted::default() };
    assert_eq!(fits(programs.clone()), [Some(false), Some(true), Some(true), None]);
    let units = |name: &str| Wanted { units: vec![name.into()], ..Wanted::default() };
    assert_eq!(fits(units("b.service")), [Some(false), Some(true), Some(false), None]);
    assert_eq!(fits(units("a.slice")), [Some(true), Some(true), Some(false), None]);
    assert_eq!(
        fits(Wanted { units: units("a.slice").units, ..programs }),
        [Some(false), Some(true), Some(false), None]
    );
}

#[test]
fn the_owner_is_told_in_the_detail_that_was_asked_for() {
    let root = proc();
    let search = search(&root, Wanted { programs: vec!["curl".into()], ..Wanted::default() });
    assert_eq!(search.outcome(UID, 20), Outcome::Owner(Owner { program: Some("curl".into()), ..Owner::user(UID) }));
    assert_eq!(search.outcome(UID, 10), Outcome::Unwanted);
    assert_eq!(search.outcome(UID, 40), Outcome::Nothing);
}

#[test]
fn several_things_are_told_of_an_owner_at_once_or_none() {
    let root = proc();
    let cgroups = root.path().join("unified");
    fs::create_dir_all(cgroups.join("a.slice/b.service")).unwrap();
    fs::write(cgroups.join("cgroup.procs"), "").unwrap();
    fs::write(root.path().join("mounts"), format!("cgroup2 {} cgroup2 rw 0 0\n", cgroups.display())).unwrap();
    let id = fs::metadata(cgroups.join("a.slice/b.service")).unwrap().ino();
    let curl = Owner { program: Some("curl".into()), unit: Some(Unit::Cgroup(id)), ..Owner::user(UID) };
    let by_program = search_by(&root, By::PROGRAM.and(Dimension::Unit), Wanted::default());
    assert_eq!(by_program.outcome(UID, 20), Outcome::Owner(curl.clone()));
    assert_eq!(by_program.outcome(UID, 30), Outcome::Nothing, "its cgroup is gone");
    let by_process = search_by(&root, By::PROCESS.and(Dimension::Unit), Wanted::default());
    let process = Some(process(20, 70_000_000));
    assert_eq!(by_process.outcome(UID, 20), Outcome::Owner(Owner { process, ..curl }));
    assert_eq!(search_by(&root, By::USER, Wanted::default()).outcome(UID, 20), Outcome::Owner(Owner::user(UID)));
}

/// As in the middle of `accept(2)`. A socket that nobody ever holds is answered, too.
#[test]
fn a_socket_that_nobody_holds_yet_is_looked_for_again() {
    let root = proc();
    let descriptors = root.path().join("20/fd");
    fs::create_dir(&descriptors).unwrap();
    let ((ask, sought), (found, answers)) = (sync_channel(1), sync_channel(2));
    let mut search = Search::new(root.path(), &Settings { by: By::PROGRAM, ..capture_settings() }, sought, found);
    let [first, second] =
        [(1, 70), (2, 71)].map(|(birth, inode)| Sought { question: question(birth), uid: UID, inode });
    ask.send(second).unwrap();
    let (now, mut again) = (Instant::now(), Again::new());
    search.look(Some(first), &mut again, now);
    symlink("socket:[70]", descriptors.join("3")).unwrap();
    search.look(None, &mut again, now + SECOND_LOOK / 2);
    assert_eq!(answers.try_iter().count(), 0, "the second look is later");
    search.look(None, &mut again, now + SECOND_LOOK);
    let outcomes = [Outcome::Owner(Owner { program: Some("curl".into()), ..Owner::user(UID) }), Outcome::Nothing];
    let expected = [1, 2].map(question).into_iter().zip(outcomes);
    let expected: Vec<_> = expected.map(|(question, outcome)| Found { question, outcome }).collect();
    assert_eq!(answers.try_iter().collect::<Vec<_>>(), expected);
    assert!(again.is_empty());
}

#[test]
fn a_tenth_of_the_time_may_be_spent_and_a_burst_now_and_then() {
    let start = Instant::now();
    let mut allowance = Allowance::new(start);
    allowance.spend(BURST);
    assert_eq!(allowance.rest(start), Duration::ZERO);
    allowance.spend(Duration::from_millis(30));
    assert_eq!(allowance.rest(start), Duration::from_millis(300));
    assert_eq!(allowance.rest(start + Duration::from_millis(300)), Duration::ZERO);
    allowance.spend(Duration::from_millis(5));
    assert_eq!(allowance.rest(start + Duration::from_millis(400)), Duration::ZERO, "10 ms were earned meanwhile");
    allowance.rest(start + Duration::from_hours(1));
    allowance.spend(BURST + Duration::from_millis(1));
    assert_eq!(allowance.rest(start + Duration::from_hours(1)), Duration::from_millis(10));
}
