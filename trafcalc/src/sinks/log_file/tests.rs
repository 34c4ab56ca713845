use std::fs;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use super::*;

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

#[test]
fn records_are_appended_to_what_is_there() {
    let folder = folder();
    let path = folder.path().join("log");
    fs::write(&path, "old\n").unwrap();
    let mut log = LogFile::open(&path).unwrap();
    log.append(b"new\n").unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "old\nnew\n");
}

#[test]
fn half_a_line_from_before_a_crash_gets_a_line_of_its_own() {
    let folder = folder();
    let path = folder.path().join("log");
    fs::write(&path, "old\nhal").unwrap();
    let mut log = LogFile::open(&path).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "old\nhal", "opening changes nothing");
    log.append(b"new\n").unwrap();
    log.append(b"more\n").unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "old\nhal\nnew\nmore\n");
}

#[test]
fn a_new_log_is_not_for_everybody_to_read() {
    let folder = folder();
    let path = folder.path().join("log");
    LogFile::open(&path).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o137, 0);
}

#[test]
fn a_second_one_is_refused_until_the_first_lets_go() {
    let folder = folder();
    let path = folder.path().join("log");
    let first = LogFile::open(&path).unwrap();
    let Err(error) = LogFile::open(&path) else { panic!("two logs on one file") };
    assert_eq!(error.to_string(), format!("{}: another trafcalc is writing to this log", path.display()));
    drop(first);
    LogFile::open(&path).unwrap();
}

#[test]
fn who_may_read_the_log_cannot_keep_it_from_being_written() {
    let folder = folder();
    let path = folder.path().join("log");
    fs::write(&path, "old\n").unwrap();
    let reader = File::open(&path).unwrap();
    reader.try_lock().unwrap();
    let _log = LogFile::open(&path).unwrap();
    let lock = folder.path().join(".log-lock");
    assert_eq!(fs::metadata(lock).unwrap().permissions().mode() & 0o7777, 0o600);
}

#[test]
fn a_log_that_was_rotated_is_still_ours_alone() {
    let folder = folder();
    let path = folder.path().join("log");
    let mut log = LogFile::open(&path).unwrap();
    fs::rename(&path, folder.path().join("log.1")).unwrap();
    assert!(matches!(LogFile::open(&path), Err(SinkError::Taken(_))));
    log.reopen().unwrap();
    assert!(matches!(LogFile::open(&path), Err(SinkError::Taken(_))));
}

#[test]
fn a_rotated_log_is_opened_anew_and_another_is_kept() {
    let folder = folder();
    let (path, rotated) = (folder.path().join("log"), folder.path().join("log.1"));
    let mut log = LogFile::open(&path).unwrap();
    log.append(b"1\n").unwrap();
    log.reopen().unwrap();
    log.append(b"2\n").unwrap();
    fs::rename(&path, &rotated).unwrap();
    log.reopen().unwrap();
    log.append(b"3\n").unwrap();
    assert_eq!(fs::read_to_string(&rotated).unwrap(), "1\n2\n");
    assert_eq!(fs::read_to_string(&path).unwrap(), "3\n");
    LogFile::open(&rotated).expect("the old log is let go");
}

#[test]
fn a_failed_reopening_leaves_the_old_log_open() {
    let folder = folder();
    let path = folder.path().join("log");
    let mut log = LogFile::open(&path).unwrap();
    let rotated = folder.path().join("log.1");
    fs::rename(&path, &rotated).unwrap();
    fs::create_dir(&path).unwrap();
    assert!(matches!(log.reopen(), Err(SinkError::Open { .. })));
    log.append(b"1\n").unwrap();
    assert_eq!(fs::read_to_string(&rotated).unwrap(), "1\n");
    fs::remove_file(&rotated).unwrap();
    assert!(
        matches!(log.append(b"2\n"), Err(SinkError::Deleted { .. })),
        "nobody would find it in a file without a name"
    );
}

#[test]
fn only_an_empty_log_of_our_own_making_is_discarded() {
    let folder = folder();
    let (new, old, used) = (folder.path().join("new"), folder.path().join("old"), folder.path().join("used"));
    fs::write(&old, "").unwrap();
    let mut used_log = LogFile::open(&used).unwrap();
    used_log.append(b"1\n").unwrap();
    used_log.discard();
    LogFile::open(&new).unwrap().discard();
    LogFile::open(&old).unwrap().discard();
    assert!(!new.exists() && old.exists() && used.exists());
    assert!(!folder.path().join(".new-lock").exists());
}

#[test]
fn a_place_that_takes_nothing_is_an_error_of_the_write() {
    let mut log = LogFile::open(Path::new("/dev/full")).unwrap();
    let error = log.append(b"1\n").unwrap_err();
    assert_eq!(error.to_string(), "/dev/full: cannot be written: No space left on device (os error 28)");
}

#[test]
fn a_directory_and_a_pipe_are_no_logs() {
    let folder = folder();
    assert!(matches!(LogFile::open(folder.path()), Err(SinkError::Open { .. })));
    let pipe = folder.path().join("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    assert!(matches!(LogFile::open(&pipe), Err(SinkError::Open { .. })));
    let _reader = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(&pipe).unwrap();
    assert!(matches!(LogFile::open(&pipe), Err(SinkError::NotAFile(_))));
}

/// The environment variable with the path of the child's log.
const CHILD_LOG: &str = "TRAFCALC_TEST_CHILD_LOG";

/// Run by a test with a file size limit of 1024 bytes; does nothing on its own.
#[test]
fn child_with_a_limited_file() {
    let Some(path) = std::env::var_os(CHILD_LOG) else { return };
    let mut log = LogFile::open(Path::new(&path)).unwrap();
    log.append(&[b'1'; 600]).unwrap();
    let error = log.append(&[b'2'; 600]).unwrap_err();
    assert!(matches!(error, SinkError::Write { .. }));
    log.append(&[b'3'; 100]).unwrap();
}

#[test]
fn half_a_record_is_cut_off_again() {
    let folder = folder();
    let path = folder.path().join("log");
    // dash and POSIX use units of 512 bytes; the signal would kill the child before it sees the error.
    let script = "trap '' XFSZ; ulimit -f 2; exec \"$0\" --exact sinks::log_file::tests::child_with_a_limited_file";
    let child = Command::new("sh")
        .args(["-c", script])
        .arg(std::env::current_exe().unwrap())
        .env(CHILD_LOG, &path)
        .output()
        .unwrap();
    assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stdout));
    let expected = ["1".repeat(600), "3".repeat(100)].concat();
    assert_eq!(fs::read_to_string(&path).unwrap(), expected);
}

/// Run by a test with a file size limit of 1024 bytes that can be lifted; does nothing on its own.
#[test]
fn child_with_a_log_that_cannot_be_cut() {
    if std::env::var_os(CHILD_LOG).is_none() {
        return;
    }
    let memory = memfd_create(c"log", MFdFlags::MFD_ALLOW_SEALING).unwrap();
    fcntl(&memory, FcntlArg::F_ADD_SEALS(SealFlag::F_SEAL_SHRINK)).unwrap();
    let path = PathBuf::from(format!("/proc/self/fd/{}", memory.as_raw_fd()));
    let file = File::from(memory);
    let mut log =
        LogFile { path: path.clone(), file, regular: true, created: false, torn_at: None, unended: false, lock: None };
    log.append(&[b'1'; 600]).unwrap();
    log.append(&[b'2'; 600]).unwrap_err();
    let (_, hard) = getrlimit(Resource::RLIMIT_FSIZE).unwrap();
    setrlimit(Resource::RLIMIT_FSIZE, hard, hard).unwrap();
    log.append(&[b'3'; 100]).unwrap();
    log.append(&[b'4'; 100]).unwrap();
    let expected = ["1".repeat(600), "2".repeat(424), "\n".to_owned(), "3".repeat(100), "4".repeat(100)].concat();
    assert_eq!(fs::read_to_string(&path).unwrap(), expected);
}

#[test]
fn half_a_record_that_cannot_be_cut_off_gets_a_line_of_its_own() {
    let child = "sinks::log_file::tests::child_with_a_log_that_cannot_be_cut";
    let child = Command::new("sh")
        .args(["-c", &format!("trap '' XFSZ; ulimit -S -f 2; exec \"$0\" --exact {child}")])
        .arg(std::env::current_exe().unwrap())
        .env(CHILD_LOG, "in memory")
        .output()
        .unwrap();
    assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stdout));
}

#[test]
fn a_log_that_was_renamed_or_deleted_is_begun_anew() {
    let folder = folder();
    let (path, moved) = (folder.path().join("log"), folder.path().join("moved"));
    let mut log = LogFile::open(&path).unwrap();
    log.append(b"1\n").unwrap();
    fs::rename(&path, &moved).unwrap();
    log.append(b"2\n").unwrap();
    fs::remove_file(&path).unwrap();
    log.append(b"3\n").unwrap();
    assert_eq!((fs::read_to_string(&moved).unwrap(), fs::read_to_string(&path).unwrap()), ("1\n".into(), "3\n".into()));
}

#[test]
fn a_log_is_not_where_others_may_lead_it() {
    let folder = folder();
    let (path, target) = (folder.path().join("log"), folder.path().join("target"));
    std::os::unix::fs::symlink(&target, &path).unwrap();
    let refused = |path: &Path| LogFile::open(path).map(|_| ()).unwrap_err().to_string();
    assert!(refused(&path).ends_with("is a symbolic link; name the file itself"));
    assert!(!target.exists());

    let open = folder.path().join("open");
    fs::create_dir(&open).unwrap();
    fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).unwrap();
    assert!(refused(&open.join("log")).contains("every user may create files in this folder"));
    fs::set_permissions(&open, fs::Permissions::from_mode(0o1777)).unwrap();
    LogFile::open(&open.join("log")).unwrap();
    if geteuid().is_root() {
        nix::unistd::chown(&open.join("log"), Some(nix::unistd::Uid::from_raw(4_242)), None).unwrap();
        assert!(refused(&open.join("log")).contains("belongs to user 4242"));
    }
}

#[test]
fn what_was_written_before_a_crash_is_not_written_again() {
    let folder = folder();
    let (path, rotated) = (folder.path().join("log"), folder.path().join("log.1"));
    let reports: Vec<_> = ["one\n1\n", "two\n2\n", "three\n3\n"].map(|text| text.as_bytes().to_vec()).into();
    for (tail, there, left) in [
        ("", 0, "old\n"),
        ("one\n1\n", 1, "old\none\n1\n"),
        ("one\n1\ntwo\n2\n", 2, "old\none\n1\ntwo\n2\n"),
        ("one\n1\ntw", 1, "old\none\n1\n"),
        ("on", 0, "old\n"),
        ("another's\n", 0, "old\nanother's\n"),
    ] {
        let _ = fs::remove_file(&path);
        let mut log = LogFile::open(&path).unwrap();
        log.append(b"old\n").unwrap();
        let mark = log.mark().unwrap();
        log.append(tail.as_bytes()).unwrap();
        drop(log);
        let mut log = LogFile::open(&path).unwrap();
        assert_eq!(log.resume(&mark, &reports).unwrap(), there, "{tail:?}");
        assert_eq!(fs::read_to_string(&path).unwrap(), left);
        if there == 1 {
            fs::rename(&path, &rotated).unwrap();
            log.reopen().unwrap();
            assert_eq!(log.resume(&mark, &reports).unwrap(), there, "where it was rotated meanwhile");
            log.append(&reports[1]).unwrap();
            log.append(b"thr").unwrap();
            assert_eq!(log.resume(&mark, &reports).unwrap(), 2, "and the next was written behind that");
            assert_eq!(fs::read(&path).unwrap(), reports[1], "a part of the third is taken away");
        }
    }
}

#[test]
fn a_deleted_log_that_cannot_be_made_again_says_what_makes_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("folder/log");
    fs::create_dir(folder.path().join("folder")).unwrap();
    let mut log = LogFile::open(&path).unwrap();
    fs::remove_dir_all(folder.path().join("folder")).unwrap();
    let error = log.append(b"1\n").unwrap_err();
    assert!(error.to_string().contains("was deleted, and cannot be made again"), "{error}");
    assert!(error.to_string().contains("systemctl reload trafcalc"), "{error}");
}
