//! The files of the book: creates, locks and checks them, and sets aside a book that is not sound.

use std::fmt;
use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior};

use super::borders::micros;
use super::error::{BookError, Trouble, of_database};
use super::persist_wal::persist_wal;
use super::{database_error, fine, layout};
use crate::lock::{Lock, NotLocked, is_taken};

/// Each migrates the book from one version to the next; the first creates version 1. Append only.
pub(super) const MIGRATIONS: [&str; 1] = [include_str!("schema_1.sql")];

/// "trfc", at a fixed place of the file (`PRAGMA application_id`).
pub(super) const APPLICATION_ID: i64 = 0x7472_6663;

/// How long to wait for another process that writes to the book.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(1);
/// The `-wal` file, which stays after a clean stop, is truncated to this length after a checkpoint.
const WAL_LIMIT_BYTES: u64 = 16 << 20;
/// A larger book is not checked before it is used: one of 300 MB, which is 10 million rows, takes 2 s if it is in
/// memory and 6 s if not, and nothing is counted meanwhile. [`Check`] does that later.
const CHECKED_AT_ONCE_BYTES: i64 = 16 << 20;
/// More prepared statements than an ordinary commit uses, so that it prepares none twice.
const CACHED_STATEMENTS: usize = 64;

/// A book that was not sound and was renamed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetAside {
    /// Its path now; its `-wal` and `-shm` files are beside it.
    pub path: PathBuf,
    /// What was wrong with it.
    pub why: String,
}

impl fmt::Display for SetAside {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, why } = self;
        write!(formatter, "the book was no sound one ({why}); it is now {}, and a new one is begun", path.display())
    }
}

/// An open book of this version.
pub(super) struct Files {
    pub connection: Connection,
    /// Held as long as the connection.
    pub lock: Lock,
    pub set_aside: Option<SetAside>,
    /// Whether the whole book was checked.
    pub is_checked: bool,
}

impl Files {
    /// Sets aside a book that turned out not to be sound, and begins another.
    pub fn begin_anew(self, path: &Path, now: SystemTime, why: String) -> Result<Self, BookError> {
        let Self { connection, lock, .. } = self;
        drop(connection);
        begin_anew(path, lock, now, why)
    }
}

enum Refused {
    Damaged(String),
    Error(BookError),
}

pub(super) fn open(path: &Path, now: SystemTime) -> Result<Files, BookError> {
    make_folder(path).map_err(|source| file_error(path, "making its folder", source))?;
    let lock = lock(path)?;
    match connect(path) {
        Ok((connection, is_checked)) => Ok(Files { connection, lock, set_aside: None, is_checked }),
        Err(Refused::Error(error)) => Err(error),
        Err(Refused::Damaged(why)) => begin_anew(path, lock, now, why),
    }
}

fn begin_anew(path: &Path, lock: Lock, now: SystemTime, why: String) -> Result<Files, BookError> {
    let set_aside = Some(SetAside { path: put_aside(path, now)?, why });
    match connect(path) {
        Ok((connection, is_checked)) => Ok(Files { connection, lock, set_aside, is_checked }),
        Err(Refused::Error(error)) => Err(error),
        Err(Refused::Damaged(why)) => Err(file_error(path, "beginning a new one", io::Error::other(why))),
    }
}

/// Renames the files of a book that is not sound; returns the new path.
pub(super) fn put_aside(path: &Path, now: SystemTime) -> Result<PathBuf, BookError> {
    set_aside(path, now).map_err(|source| file_error(path, "setting it aside", source))
}

/// A check of a whole book, which may be in use meanwhile.
pub struct Check {
    path: PathBuf,
    /// The connection, or what is wrong if opening already showed it.
    connection: Result<Connection, String>,
}

impl Check {
    /// Opens the book and the files beside it now: once the book is set aside, these names belong to others.
    pub(super) fn open(path: &Path) -> Result<Self, BookError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        // SQLite opens the files beside the book at the first read.
        let opened = Connection::open_with_flags(path, flags).and_then(|connection| {
            connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
            Ok(connection)
        });
        let connection = match opened {
            Ok(connection) => Ok(connection),
            Err(error) if of_database(&error) == Trouble::Corrupt => Err(error.to_string()),
            Err(source) => return Err(database_error(path, "opening it to read through it", source)),
        };
        Ok(Self { path: path.to_owned(), connection })
    }

    /// Checks the whole book, which takes seconds if it is large; returns what is wrong.
    pub fn read_through(self) -> Result<Option<String>, BookError> {
        let connection = match self.connection {
            Ok(connection) => connection,
            Err(why) => return Ok(Some(why)),
        };
        match quick_check(&connection).and_then(|damage| match damage {
            None => fine::check(&connection).map(|()| None),
            damage => Ok(damage),
        }) {
            Err(error) if of_database(&error) == Trouble::Corrupt => Ok(Some(error.to_string())),
            read => read.map_err(|source| database_error(&self.path, "reading through it", source)),
        }
    }
}

/// What `PRAGMA quick_check` finds wrong in pages and rows.
fn quick_check(connection: &Connection) -> rusqlite::Result<Option<String>> {
    let said: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    Ok(Some(said).filter(|said| said != "ok"))
}

fn make_folder(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => DirBuilder::new().recursive(true).mode(0o750).create(folder),
        _ => Ok(()),
    }
}

/// Checks that no other process writes the book at `path`. Makes and changes nothing.
///
/// # Errors
/// [`BookError::InUse`] if one does.
pub fn require_free(path: &Path) -> Result<(), BookError> {
    if is_taken(&beside(path, "-lock")) { Err(BookError::InUse { path: path.to_owned() }) } else { Ok(()) }
}

fn lock(path: &Path) -> Result<Lock, BookError> {
    Lock::take(&beside(path, "-lock")).map_err(|refused| match refused {
        NotLocked::Taken => BookError::InUse { path: path.to_owned() },
        NotLocked::Foreign(uid) => {
            file_error(path, "locking it", io::Error::other(format!("its lock belongs to user {uid}")))
        }
        NotLocked::Failed(source) => file_error(path, "locking it", source),
    })
}

/// Creates the file if it is missing, so that it has its mode before anything is in it. `SQLite` gives the `-wal` and
/// `-shm` files the mode and owner of the book.
fn make_file(path: &Path) -> io::Result<()> {
    match OpenOptions::new().write(true).create_new(true).mode(0o640).open(path) {
        Ok(made) => made.set_permissions(Permissions::from_mode(0o640)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

/// The connection, and whether the whole book was checked.
fn connect(path: &Path) -> Result<(Connection, bool), Refused> {
    let refuse = |doing| {
        move |source: rusqlite::Error| match of_database(&source) {
            Trouble::Corrupt => Refused::Damaged(source.to_string()),
            _ => Refused::Error(BookError::Database { path: path.to_owned(), doing, source }),
        }
    };
    make_file(path).map_err(|source| Refused::Error(file_error(path, "making it", source)))?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags).map_err(refuse("opening it"))?;
    connection.busy_timeout(BUSY_TIMEOUT).map_err(refuse("opening it"))?;
    let (version, is_checked) = check(&connection, path, refuse("checking it"))?;
    set_up(&connection).map_err(refuse("setting it up"))?;
    migrate(&mut connection, version, &MIGRATIONS).map_err(refuse("bringing it to this version"))?;
    Ok((connection, is_checked))
}

/// Returns the version of a sound book, 0 for an empty one, and whether the whole book was checked.
fn check(
    connection: &Connection,
    path: &Path,
    refuse: impl Fn(rusqlite::Error) -> Refused + Copy,
) -> Result<(usize, bool), Refused> {
    let ask = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, i64>(0)).map_err(refuse);
    let (application, version) = (ask("PRAGMA application_id")?, ask("PRAGMA user_version")?);
    let is_empty = application == 0 && version == 0 && ask("SELECT count(*) FROM sqlite_schema")? == 0;
    let bytes = ask("PRAGMA page_count")?.saturating_mul(ask("PRAGMA page_size")?);
    let is_checked = bytes <= CHECKED_AT_ONCE_BYTES;
    if !is_empty {
        if is_checked && let Some(damage) = quick_check(connection).map_err(refuse)? {
            return Err(Refused::Damaged(damage));
        }
        if application != APPLICATION_ID {
            return Err(Refused::Error(BookError::Foreign { path: path.to_owned() }));
        }
    }
    let version = known_version(path, version).map_err(Refused::Error)?;
    if !is_empty {
        if let Some(what) = layout::difference(connection, version).map_err(refuse)? {
            return Err(Refused::Error(BookError::OtherLayout { path: path.to_owned(), what }));
        }
        if is_checked && version > 0 {
            fine::check(connection).map_err(refuse)?;
        }
    }
    Ok((version, is_checked))
}

/// The version of a book, if this program knows it.
pub(super) fn known_version(path: &Path, version: i64) -> Result<usize, BookError> {
    match usize::try_from(version) {
        Ok(known) if known <= MIGRATIONS.len() => Ok(known),
        _ => {
            let known = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
            Err(BookError::Newer { path: path.to_owned(), found: version, known })
        }
    }
}

fn set_up(connection: &Connection) -> rusqlite::Result<()> {
    persist_wal(connection)?;
    connection.set_prepared_statement_cache_capacity(CACHED_STATEMENTS);
    // These two return a row, which `pragma_update` takes for an error.
    connection.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))?;
    connection.query_row(&format!("PRAGMA journal_size_limit = {WAL_LIMIT_BYTES}"), [], |_| Ok(()))?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    // The unprivileged service may write nothing but the book's own files, so SQLite must not create temporary ones.
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.pragma_update(None, "foreign_keys", true)
}

/// Runs all missing migrations, or none.
pub(super) fn migrate(connection: &mut Connection, version: usize, migrations: &[&str]) -> rusqlite::Result<()> {
    let steps = migrations.get(version..).unwrap_or_default();
    if steps.is_empty() {
        return Ok(());
    }
    let transaction = write(connection)?;
    for step in steps {
        transaction.execute_batch(step)?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", i64::try_from(migrations.len()).unwrap_or(i64::MAX))?;
    transaction.commit()
}

/// Begins a transaction that will write. It takes the write lock at once, because waiting for others costs nothing yet.
pub(super) fn write(connection: &mut Connection) -> rusqlite::Result<Transaction<'_>> {
    Transaction::new(connection, TransactionBehavior::Immediate)
}

/// Renames the book and its `-wal` and `-shm` files to an unused name.
fn set_aside(path: &Path, now: SystemTime) -> io::Result<PathBuf> {
    let second = jiff::Timestamp::from_microsecond(micros(now)).unwrap_or_default();
    let name = format!(".corrupt-{}", second.strftime("%Y%m%dT%H%M%SZ"));
    let mut aside = beside(path, &name);
    for copy in 1.. {
        if !aside.try_exists()? {
            break;
        }
        aside = beside(path, &format!("{name}.{copy}"));
    }
    // The book first: a WAL without its book is removed when the next book is created, but a book without its WAL looks
    // sound.
    fs::rename(path, &aside)?;
    for end in ["-wal", "-shm"] {
        match fs::rename(beside(path, end), beside(&aside, end)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(aside)
}

/// The path with `end` appended to its name.
pub(super) fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    name.into()
}

pub(super) fn file_error(path: &Path, doing: &'static str, source: io::Error) -> BookError {
    BookError::File { path: path.to_owned(), doing, source }
}
