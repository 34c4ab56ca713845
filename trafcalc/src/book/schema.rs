//! The files of the book: making, locking and checking them, and setting aside what is no sound book.

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

/// Each takes the book from the version before it to the next; the first from nothing to 1. Only ever appended to.
pub(super) const MIGRATIONS: [&str; 1] = [include_str!("schema_1.sql")];

/// "trfc", at a fixed place of the file.
pub(super) const APPLICATION_ID: i64 = 0x7472_6663;

/// How long to wait for somebody who writes into the book by hand.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(1);
/// The `-wal` file is cut to this length when all of it is in the book: it stays after a clean stop.
const WAL_LIMIT_BYTES: u64 = 16 << 20;
/// A book of more bytes is not read through before it is used: one of 300 MB, which is 10 million rows, takes 2 s if it is in memory
/// and 6 s if not, and nothing is counted meanwhile. [`Check`] does that later.
const CHECKED_AT_ONCE_BYTES: i64 = 16 << 20;
/// As many statements as there are in this module, so that none is prepared twice.
const CACHED_STATEMENTS: usize = 32;

/// What was no sound book, and was put out of the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetAside {
    /// Where it is now, with what belongs to it beside it (`-wal`, `-shm`).
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
    /// Held as long as the connection is.
    pub lock: Lock,
    pub set_aside: Option<SetAside>,
    /// Whether all of it was read through.
    pub is_checked: bool,
}

impl Files {
    /// Sets aside what turned out to be no sound book, and begins another.
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

/// Puts the file of no sound book out of the way; gives where it is now.
pub(super) fn put_aside(path: &Path, now: SystemTime) -> Result<PathBuf, BookError> {
    set_aside(path, now).map_err(|source| file_error(path, "setting it aside", source))
}

/// A book that is to be read through, and may be in use meanwhile.
pub struct Check {
    path: PathBuf,
    /// What is wrong, where that is known without reading through it.
    connection: Result<Connection, String>,
}

impl Check {
    /// Opens the book and the files beside it: once it is set aside, others have their names.
    pub(super) fn open(path: &Path) -> Result<Self, BookError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        // SQLite opens what is beside it when something is read first.
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

    /// Reads through it, which takes seconds for a large one; gives what is wrong.
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

/// What `SQLite` finds wrong in its pages and rows.
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

/// Makes the file if there is none, so that it has its mode before anything is in it. `SQLite` gives the mode and owner
/// of the book to what it makes beside it.
fn make_file(path: &Path) -> io::Result<()> {
    match OpenOptions::new().write(true).create_new(true).mode(0o640).open(path) {
        Ok(made) => made.set_permissions(Permissions::from_mode(0o640)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

/// The book, and whether all of it was read through.
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

/// Gives the version of a sound book, 0 for one that is still empty, and whether all of it was read through.
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

/// The version of a book, if it is one that this program knows.
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
    // Two that answer with a row, which `pragma_update` takes for an error.
    connection.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))?;
    connection.query_row(&format!("PRAGMA journal_size_limit = {WAL_LIMIT_BYTES}"), [], |_| Ok(()))?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    // Its own files are all that a service without privileges may write: large statements have none of their own.
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.pragma_update(None, "foreign_keys", true)
}

/// All steps or none.
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

/// Begins a transaction that will write: waits for others at its beginning, where that costs nothing.
pub(super) fn write(connection: &mut Connection) -> rusqlite::Result<Transaction<'_>> {
    Transaction::new(connection, TransactionBehavior::Immediate)
}

/// Renames the book and what belongs to it, to a name that nothing has.
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
    // The book first: a log without a book is removed by whoever makes the next one, a book without its log looks sound.
    fs::rename(path, &aside)?;
    for end in ["-wal", "-shm"] {
        match fs::rename(beside(path, end), beside(&aside, end)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(aside)
}

/// The file whose name has `end` behind that of `path`.
pub(super) fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    name.into()
}

pub(super) fn file_error(path: &Path, doing: &'static str, source: io::Error) -> BookError {
    BookError::File { path: path.to_owned(), doing, source }
}
