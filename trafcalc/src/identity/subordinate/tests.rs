use std::cell::Cell;
use std::fmt::Write as _;

use super::*;

/// A directory with two users, which counts the questions.
#[derive(Default)]
struct Two {
    asked: Cell<u32>,
}

impl Directory for Two {
    fn uid(&self, name: &str) -> Owner {
        self.asked.set(self.asked.get() + 1);
        match name {
            "alice" => Owner::Known(1000),
            "bob" => Owner::Known(1001),
            number => number.parse().map_or(Owner::NoSuchUser, Owner::Known),
        }
    }

    fn is_user(&self, uid: u32) -> Option<bool> {
        Some([0, 1000, 1001].contains(&uid))
    }
}

/// A directory that does not answer.
struct Down;

impl Directory for Down {
    fn uid(&self, _: &str) -> Owner {
        Owner::NoAnswer
    }

    fn is_user(&self, _: u32) -> Option<bool> {
        None
    }
}

fn parsed(text: &str) -> (Vec<(u32, u32, u32)>, Vec<usize>) {
    let Parsed { ranges, skipped, .. } = parse(text, &Two::default(), &HashMap::new());
    (ranges.iter().map(|range| (range.first, range.count, range.owner)).collect(), skipped)
}

#[test]
fn lines_are_ranges_of_names_or_numbers_and_come_sorted() {
    let text = "bob:165536:65536\n\n# a comment\nalice:100000:65536\n1007:300000:1\n";
    let ranges = vec![(100_000, 65_536, 1000), (165_536, 65_536, 1001), (300_000, 1, 1007)];
    assert_eq!(parsed(text), (ranges, vec![]));
    assert_eq!(parsed(""), (vec![], vec![]));
    assert_eq!(parsed("alice:1:4294967294").0, [(1, 4_294_967_294, 1000)], "up to the largest user id");
}

#[test]
fn bad_lines_are_skipped_and_told_by_number() {
    let bad = [
        "carol:100000:65536",
        "alice:100000",
        "alice",
        "alice:100000:65536:7",
        "alice:100000:0",
        "alice:-1:65536",
        "alice:x:65536",
        "alice:100000:many",
        "alice:4294967295:1",
        "alice:4294901760:65536",
        ":100000:65536",
        "alice:99999999999:1",
    ];
    let text = format!("bob:5000:10\n{}\nbob:6000:10\n", bad.join("\n"));
    assert_eq!(parsed(&text), (vec![(5000, 10, 1001), (6000, 10, 1001)], (2..=13).collect()));
}

#[test]
fn an_id_in_two_lines_is_the_first_ones() {
    let first = "alice:1000000:10\nalice:1000020:10\n";
    for (line, bobs) in [
        ("bob:1000000:10", vec![]),
        ("bob:1000002:3", vec![]),
        ("bob:999995:10", vec![(999_995, 5)]),
        ("bob:1000005:10", vec![(1_000_010, 5)]),
        ("bob:1000005:20", vec![(1_000_010, 10)]),
        ("bob:999990:60", vec![(999_990, 10), (1_000_010, 10), (1_000_030, 20)]),
        ("bob:1000010:10", vec![(1_000_010, 10)]),
    ] {
        let (ranges, skipped) = parsed(&format!("{first}{line}"));
        let of = |owner| {
            let ranges = ranges.iter().filter(move |range| range.2 == owner);
            ranges.map(|range| (range.0, range.1)).collect::<Vec<_>>()
        };
        assert_eq!(of(1000), [(1_000_000, 10), (1_000_020, 10)], "{line}");
        assert_eq!(of(1001), bobs, "{line}");
        assert!(skipped.is_empty() && ranges.is_sorted(), "{line}");
    }
}

#[test]
fn a_user_of_this_host_whose_id_root_may_map_stays_himself() {
    assert_eq!(parsed("root:1000:1\n0:1000:1\n0:1002:1"), (vec![(1002, 1, 0)], vec![1]));
}

#[test]
fn each_name_is_asked_for_once() {
    let directory = Two::default();
    let mut text = String::new();
    for first in 1..500 {
        writeln!(text, "alice:{}:10\ncarol:{first}:1", first * 100_000).unwrap();
    }
    assert_eq!(parse(&text, &directory, &HashMap::new()).skipped.len(), 499);
    assert_eq!(directory.asked.get(), 2);
}

#[test]
fn a_directory_that_hangs_is_not_waited_for() {
    let moment = Duration::from_millis(20);
    let system = System::within(moment);
    let (hang, hangs) = sync_channel::<()>(1);
    let start = Instant::now();
    let answer = system.ask(move || {
        let _ = hangs.recv();
        Answer::Known(7)
    });
    assert_eq!(answer, None);
    assert!(start.elapsed() >= moment);
    assert_eq!(system.uid("root"), Owner::NoAnswer, "the time is over");
    assert_eq!(system.uid("1007"), Owner::Known(1007));
    assert_eq!(system.is_user(3_999_999_999), None);
    drop(hang);
}

#[test]
fn a_file_is_read_up_to_its_limit_and_may_be_missing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("subuid");
    let read = |path: &Path| {
        let read = super::read(path, &System::within(PATIENCE), &HashMap::new());
        read.map(|read| read.ranges)
    };
    assert_eq!(read(&path), Some(vec![]));
    assert_eq!(read(folder.path()), None, "a folder cannot be read");
    let (good, cut_off) = ("root:100000:65536\n", "root:500000:20");
    let comment = "#".repeat(MAX_BYTES - good.len() - cut_off.len() - 1);
    std::fs::write(&path, format!("{good}{comment}\n{cut_off}00\n")).unwrap();
    assert_eq!(read(&path), Some(vec![SubordinateRange { first: 100_000, count: 65_536, owner: 0 }]));
    std::fs::write(&path, b"root:1\xff:7\nroot:200000:7\n").unwrap();
    assert_eq!(read(&path), Some(vec![SubordinateRange { first: 200_000, count: 7, owner: 0 }]));
}

#[test]
fn a_file_that_is_changed_is_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("subuid");
    let mut watched = Watched::new(path.clone());
    assert!(watched.ranges.is_empty() && !watched.look());
    std::fs::write(&path, "7:100000:10\n").unwrap();
    assert!(watched.look());
    let ranges = vec![SubordinateRange { first: 100_000, count: 10, owner: 7 }];
    assert_eq!(watched.ranges, ranges);
    assert!(!watched.look(), "nothing has changed");
    // As tools do: replaces the file by another one.
    std::fs::write(folder.path().join("next"), "# new\n7:100000:10\n").unwrap();
    std::fs::rename(folder.path().join("next"), &path).unwrap();
    assert!(!watched.look(), "the ranges are the same");
    std::fs::write(&path, "7:100000:20\n").unwrap();
    assert!(watched.look());
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    assert!(!watched.look() && watched.ranges.len() == 1, "what cannot be read changes nothing");
    std::fs::remove_dir(&path).unwrap();
    assert!(watched.look() && watched.ranges.is_empty());
}
#[test]
fn a_name_without_an_answer_keeps_its_owner_and_is_asked_for_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("subuid");
    std::fs::write(&path, "alice:100000:10\n").unwrap();
    let mut watched = Watched { path: path.clone(), ..Watched::new(PathBuf::new()) };
    assert!(watched.look_with(Two::default));
    std::fs::write(&path, "alice:100000:20\nbob:200000:10\n1007:300000:1\n").unwrap();
    assert!(watched.look_with(|| Down));
    let range = |first, count, owner| SubordinateRange { first, count, owner };
    assert_eq!(watched.ranges, [range(100_000, 20, 1000)]);
    assert!(!watched.look_with(|| Down));
    assert!(watched.look_with(Two::default), "the file is the same, but the directory answers");
    let all = [range(100_000, 20, 1000), range(200_000, 10, 1001), range(300_000, 1, 1007)];
    assert_eq!(watched.ranges, all);
    assert!(!watched.look_with(|| -> Two { panic!("all was answered") }));
}
