//! The book of a running service, in trouble and out of it. The packet backend counts, nobody makes traffic.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, geteuid};
use rusqlite::{Connection, OpenFlags, Row};
use serde_json::Value;

use super::support::{can_capture, leave_out, trafcalc};

/// Longest anything here may take, on a machine that is busy with something else.
const PATIENCE: Duration = Duration::from_secs(20);

/// A report's epoch and number.
type Name = (u64, u64);

/// A service with a book, that reports every 100 ms.
struct Service {
    child: Child,
    folder: PathBuf,
    book: PathBuf,
    log: PathBuf,
}

impl Service {
    fn start(folder: &Path, book: &Path) -> Self {
        Self::start_with(folder, book, &folder.join("log"))
    }

    fn start_with(folder: &Path, book: &Path, log: &Path) -> Self {
        let child = trafcalc(&["run", "--backend=packet", "--interval=100ms", "--format=json"])
            .args(["--book".as_ref(), book.as_os_str()])
            .args(["--log".as_ref(), log.as_os_str()])
            .args(["--status-socket".as_ref(), folder.join("status").as_os_str()])
            .stderr(Stdio::from(fs::File::create(folder.join("messages")).unwrap()))
            .spawn()
            .unwrap();
        Self { child, folder: folder.to_owned(), book: book.to_owned(), log: log.to_owned() }
    }

    fn wait_for(&self, what: &str, condition: impl Fn(&Self) -> bool) {
        let start = Instant::now();
        while !condition(self) {
            assert!(start.elapsed() < PATIENCE, "{what} never comes: {}", self.messages());
            sleep(Duration::from_millis(20));
        }
    }

    fn messages(&self) -> String {
        fs::read_to_string(self.folder.join("messages")).unwrap_or_default()
    }

    /// The records of this type in the log.
    fn records(&self, kind: &str) -> Vec<Value> {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let whole = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
        let records = whole.map(|line| serde_json::from_str::<Value>(line).unwrap());
        records.filter(|record| record["type"] == kind).collect()
    }

    /// The names of the reports in the log.
    fn logged(&self) -> Vec<Name> {
        let number = |record: &Value, name: &str| record[name].as_u64().unwrap();
        self.records("summary").iter().map(|record| (number(record, "epoch"), number(record, "seq"))).collect()
    }

    /// Those of the reports in the book.
    fn booked(&self) -> Vec<Name> {
        self.ask("SELECT epoch, seq FROM report ORDER BY epoch, seq", |row| Ok((row.get(0)?, row.get(1)?)))
    }

    fn ask<T>(&self, sql: &str, read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>) -> Vec<T> {
        let book = Connection::open_with_flags(&self.book, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
        book.prepare(sql).unwrap().query_map([], read).unwrap().collect::<Result<_, _>>().unwrap()
    }

    fn status(&self) -> String {
        let output = trafcalc(&["status", "--socket"]).arg(self.folder.join("status")).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    }

    fn stop(mut self) -> (Option<i32>, Self) {
        kill(Pid::from_raw(self.child.id().cast_signed()), Signal::SIGTERM).unwrap();
        (self.child.wait().unwrap().code(), self)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_book_that_is_corrupt_is_set_aside_and_another_is_begun() {
    if !can_capture("a_book_that_is_corrupt_is_set_aside_and_another_is_begun") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let book = folder.path().join("book.db");
    fs::write(&book, "this is no book\n".repeat(1_000)).unwrap();
    let service = Service::start(folder.path(), &book);
    service.wait_for("a report", |service| !service.logged().is_empty());
    let aside = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path());
    let aside: Vec<_> = aside.filter(|path| path.to_str().unwrap().contains("corrupt")).collect();
    assert_eq!(aside.len(), 1, "{aside:?}");
    assert!(fs::read_to_string(&aside[0]).unwrap().starts_with("this is no book"));
    assert!(service.messages().contains(aside[0].to_str().unwrap()), "{}", service.messages());
    let (code, service) = service.stop();
    assert_eq!(code, Some(0));
    assert_eq!(service.booked(), service.logged());
}

/// The files that were set aside.
fn set_aside(folder: &Path) -> Vec<PathBuf> {
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    paths.filter(|path| path.to_str().unwrap().contains(".corrupt-")).filter(|path| !is_beside(path)).collect()
}

fn is_beside(path: &Path) -> bool {
    ["-wal", "-shm"].iter().any(|end| path.to_str().unwrap().ends_with(end))
}

#[test]
fn a_book_that_breaks_while_it_is_written_is_set_aside_and_counting_goes_on_in_another() {
    if !can_capture("a_book_that_breaks_while_it_is_written_is_set_aside_and_counting_goes_on_in_another") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let service = Service::start(folder.path(), &folder.path().join("book.db"));
    service.wait_for("reports", |service| service.logged().len() > 3);
    let broken = vec![0xa5; 8192];
    service.wait_for("its end", |service| {
        // What others write has it forget what it remembers of the file, and all of it is in the file.
        if let Ok(other) = Connection::open(&service.book) {
            let _ = other.execute_batch("UPDATE meta SET value = value; PRAGMA wal_checkpoint(TRUNCATE)");
        }
        if set_aside(folder.path()).is_empty() {
            let book = fs::OpenOptions::new().write(true).open(&service.book).unwrap();
            std::os::unix::fs::FileExt::write_all_at(&book, &broken, 0).unwrap();
        }
        !set_aside(folder.path()).is_empty()
    });
    let before = service.logged().len();
    service.wait_for("reports", |service| service.logged().len() > before + 3);
    let aside = set_aside(folder.path());
    assert_eq!(aside.len(), 1, "{aside:?}");
    assert!(fs::read(&aside[0]).unwrap().starts_with(&broken), "it is kept as it was");
    let told = format!("it is now {}", aside[0].display());
    assert!(service.messages().contains(&told), "{}", service.messages());
    let status = service.status();
    assert!(status.contains(&told) && status.contains("book_errors_total="), "{status}");
    let (code, service) = service.stop();
    assert_eq!(code, Some(0), "{}", service.messages());
    let (logged, booked) = (service.logged(), service.booked());
    let seqs: Vec<_> = logged.iter().map(|name| name.1).collect();
    assert_eq!(seqs, (1..=seqs.len() as u64).collect::<Vec<_>>(), "each report is in the log once");
    let booked_seqs: Vec<_> = booked.iter().map(|name| name.1).collect();
    assert!(seqs.ends_with(&booked_seqs) && booked_seqs.len() > 3, "{booked:?}");
}

#[test]
fn a_time_that_was_not_counted_is_in_the_log_too_where_the_book_is_opened_late() {
    on_a_small_disk("a_time_that_was_not_counted_is_in_the_log_too_where_the_book_is_opened_late", 1 << 20, |disk| {
        let none: Option<&str> = None;
        let remount = |flags| mount(none, disk, none, MsFlags::MS_REMOUNT | flags, none).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let service = Service::start(folder.path(), &disk.join("book.db"));
        service.wait_for("a report", |service| !service.logged().is_empty());
        drop(service);
        remount(MsFlags::MS_RDONLY);
        let service = Service::start(folder.path(), &disk.join("book.db"));
        service.wait_for("trouble", |service| service.messages().contains("each report tries again"));
        remount(MsFlags::empty());
        let before = service.logged().len();
        service.wait_for("reports", |service| service.logged().len() > before + 3);
        let (code, service) = service.stop();
        assert_eq!(code, Some(0), "{}", service.messages());
        let gaps = service.records("gap");
        assert_eq!(gaps.len(), 1, "{gaps:?}");
        assert_eq!(gaps[0]["cause"], "the service was killed");
        let booked =
            service.ask("SELECT from_us / 1000, to_us / 1000 FROM gap", |row| Ok([row.get::<_, i64>(0)?, row.get(1)?]));
        let logged = ["from", "to"].map(|name| gaps[0][name].as_str().unwrap().parse().unwrap());
        assert_eq!(booked, [logged.map(|time: jiff::Timestamp| time.as_millisecond())]);
        assert_eq!(service.booked(), service.logged());
    });
}

#[test]
fn a_second_service_may_not_write_the_same_book() {
    if !can_capture("a_second_service_may_not_write_the_same_book") {
        return;
    }
    let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let book = folder.path().join("book.db");
    let service = Service::start(folder.path(), &book);
    service.wait_for("a report", |service| !service.logged().is_empty());
    let mut second = Service::start(other.path(), &book);
    assert_eq!(second.child.wait().unwrap().code(), Some(78));
    assert!(second.messages().contains("is in use by another trafcalc"), "{}", second.messages());
    assert_eq!(service.stop().0, Some(0));
}

#[test]
fn a_second_service_of_another_user_takes_nothing_from_the_first() {
    let name = "a_second_service_of_another_user_takes_nothing_from_the_first";
    if !can_capture(name) {
        return;
    }
    if !geteuid().is_root() {
        leave_out(name, "needs root, which may give files away");
        return;
    }
    let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (book, log) = (folder.path().join("book.db"), folder.path().join("log"));
    let service = Service::start(folder.path(), &book);
    service.wait_for("a report", |service| !service.logged().is_empty());
    let config = other.path().join("config.toml");
    fs::write(&config, "service.run_as = \"daemon\"\n").unwrap();
    let owners = || fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().metadata().unwrap().uid());
    assert!(owners().all(|uid| uid == 0));
    for (book, log, told) in [
        (book.as_os_str(), other.path().join("log"), "is in use by another trafcalc"),
        ("none".as_ref(), log, "another trafcalc is writing to this log"),
    ] {
        let second = trafcalc(&["run", "--backend=packet", "--book"])
            .arg(book)
            .args(["--log".as_ref(), log.as_os_str(), "--config".as_ref(), config.as_os_str()])
            .args(["--status-socket".as_ref(), other.path().join("status").as_os_str()])
            .output()
            .unwrap();
        let message = String::from_utf8_lossy(&second.stderr);
        assert_eq!(second.status.code(), Some(78), "{message}");
        assert!(message.contains(told), "{message}");
        assert!(owners().all(|uid| uid == 0), "{:?}", owners().collect::<Vec<_>>());
    }
    assert_eq!(service.stop().0, Some(0));
}

/// Runs `test` in a file system of its own of so many bytes, which nobody else sees.
fn on_a_small_disk(name: &str, bytes: usize, test: impl FnOnce(&Path) + Send) {
    if !can_capture(name) {
        return;
    }
    if !geteuid().is_root() {
        leave_out(name, "needs root, to mount a small disk");
        return;
    }
    let run = || {
        unshare(CloneFlags::CLONE_NEWNS).unwrap();
        let none: Option<&str> = None;
        mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).unwrap();
        let disk = tempfile::tempdir().unwrap();
        let size = format!("size={bytes}");
        mount(none, disk.path(), Some("tmpfs"), MsFlags::empty(), Some(size.as_str())).unwrap();
        test(disk.path());
        umount2(disk.path(), MntFlags::MNT_DETACH).unwrap();
    };
    std::thread::scope(|scope| scope.spawn(run).join().unwrap());
}

#[test]
fn a_book_whose_disk_is_full_is_made_good_when_there_is_room() {
    on_a_small_disk("a_book_whose_disk_is_full_is_made_good_when_there_is_room", 1 << 20, |disk| {
        let folder = tempfile::tempdir().unwrap();
        let service = Service::start(folder.path(), &disk.join("book.db"));
        service.wait_for("a report", |service| !service.logged().is_empty());
        let waste = fill(disk);
        service.wait_for("trouble", |service| service.messages().contains("counting goes on"));
        service.wait_for("its mention in the status", |service| {
            let status = service.status();
            status.contains("book: ") && !status.contains("nothing was lost")
        });
        let before = service.logged().len();
        sleep(Duration::from_millis(500));
        fs::remove_file(&waste).unwrap();
        service.wait_for("the book", |service| service.messages().contains("the book is written again"));
        service.wait_for("the log", |service| service.logged().len() > before + 5);
        let (code, service) = service.stop();
        assert_eq!(code, Some(0), "{}", service.messages());
        let logged = service.logged();
        assert_eq!(service.booked(), logged);
        assert!(logged.windows(2).all(|pair| pair[0].1 + 1 == pair[1].1), "{logged:?}");
    });
}

#[test]
fn a_book_that_cannot_be_written_yet_is_begun_when_it_can() {
    on_a_small_disk("a_book_that_cannot_be_written_yet_is_begun_when_it_can", 1 << 20, |disk| {
        let none: Option<&str> = None;
        let remount = |flags| mount(none, disk, none, MsFlags::MS_REMOUNT | flags, none).unwrap();
        remount(MsFlags::MS_RDONLY);
        let folder = tempfile::tempdir().unwrap();
        let service = Service::start(folder.path(), &disk.join("book.db"));
        service.wait_for("trouble", |service| service.messages().contains("each report tries again"));
        sleep(Duration::from_millis(500));
        assert!(service.logged().is_empty(), "the log follows the book");
        remount(MsFlags::empty());
        service.wait_for("the log", |service| service.logged().len() > 5);
        let (code, service) = service.stop();
        assert_eq!(code, Some(0), "{}", service.messages());
        let logged = service.logged();
        assert_eq!(service.booked(), logged);
        assert_eq!(logged[0].1, 1, "what was counted before is in it, too");
        assert_eq!(fs::metadata(disk.join("book.db")).unwrap().permissions().mode() & 0o137, 0);
    });
}

/// Fills what is left of a disk.
fn fill(disk: &Path) -> PathBuf {
    let path = disk.join("waste");
    let chunk = vec![1; 512];
    let mut waste = fs::File::create(&path).unwrap();
    while std::io::Write::write_all(&mut waste, &chunk).is_ok() {}
    path
}

#[test]
fn a_log_that_was_full_for_long_is_told_each_report_by_itself() {
    on_a_small_disk("a_log_that_was_full_for_long_is_told_each_report_by_itself", 64 << 10, |disk| {
        let folder = tempfile::tempdir().unwrap();
        let service = Service::start_with(folder.path(), &folder.path().join("book.db"), &disk.join("log"));
        service.wait_for("a report", |service| !service.logged().is_empty());
        let waste = fill(disk);
        service.wait_for("trouble", |service| service.messages().contains("counting goes on"));
        // More than wait anywhere but in the book.
        service.wait_for("many reports", |service| service.booked().len() > 90);
        fs::remove_file(&waste).unwrap();
        service.wait_for("the log", |service| service.logged().len() > 95);
        let (code, service) = service.stop();
        assert_eq!(code, Some(0), "{}", service.messages());
        assert_eq!(service.logged(), service.booked());
        let book = Connection::open_with_flags(&service.book, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
        let untold: u64 = book.query_row("SELECT count(*) FROM outbox", [], |row| row.get(0)).unwrap();
        assert_eq!(untold, 0, "what the log has is noted");
    });
}
