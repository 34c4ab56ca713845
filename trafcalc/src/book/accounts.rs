//! Finds the row of `account` that bytes belong to, and caches it, because each report needs the same rows.

use std::borrow::Cow;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension as _, params};

/// Most accounts cached; beyond it the cache is cleared. Twice as many as a ledger has; 300 bytes each, 40 MB.
const MAX_REMEMBERED: usize = 131_072;

/// The kind of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AccountKind {
    /// A user, with the further details in the key. If details were asked for, an account without them has the user's
    /// bytes of which no more is known.
    User,
    /// Local connections whose owner could not be found.
    Unattributed,
    /// Bytes that had no room for an account of their own.
    Other,
}

/// All kinds. The index of each is its number in the book, which never changes.
const KINDS: [AccountKind; 3] = [AccountKind::User, AccountKind::Unattributed, AccountKind::Other];

/// What identifies an account.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountKey {
    /// The kind.
    pub kind: AccountKind,
    /// The uid, if the account belongs to a user.
    pub uid: Option<u32>,
    /// The user's name. `None` means that it is not known *yet*: such bytes go to the account with the last known name
    /// of this uid, or to one without a name until the first name is known. If the system says that a uid has no name,
    /// this is the number: a user who is given that uid later must not get these bytes.
    pub user: Option<String>,
    /// The program, if programs or processes are told apart and it is known.
    pub program: Option<Arc<str>>,
    /// The systemd unit or container, if units are told apart and it is known.
    pub unit: Option<Arc<str>>,
    /// The class of the peer's network, if classes are told apart.
    pub class: Option<Arc<str>>,
}

impl AccountKey {
    /// Whether it says that its user has no name: the name is the uid.
    pub(super) fn has_number_for_name(&self) -> bool {
        self.uid.zip(self.user.as_deref()).is_some_and(|(uid, user)| user.parse() == Ok(uid))
    }
}

/// A cache of the tables `account` and `uid`.
#[derive(Default)]
pub(super) struct Accounts {
    ids: HashMap<AccountKey, i64>,
    users: HashMap<u32, Option<String>>,
}

impl Accounts {
    /// To be called after a failed transaction: what was cached in it may not be in the book.
    pub fn forget(&mut self) {
        *self = Self::default();
    }

    /// Notes the name of each user before bytes are booked under it. Accounts of a uid that had no name get its first
    /// one; returns whether any did.
    pub fn learn<'a>(
        &mut self,
        book: &Connection,
        keys: impl Iterator<Item = &'a AccountKey>,
    ) -> rusqlite::Result<bool> {
        let mut renamed = 0;
        if self.ids.len() > MAX_REMEMBERED {
            self.forget();
        }
        for key in keys {
            let (Some(uid), Some(user)) = (key.uid, &key.user) else { continue };
            if self.user(book, uid)? == Some(user) {
                continue;
            }
            book.prepare_cached("INSERT OR REPLACE INTO uid(uid, user) VALUES(?1, ?2)")?.execute(params![uid, user])?;
            // If an account with this name exists already, as from an imported log, the nameless one stays: it must
            // never keep a report out.
            renamed += book
                .prepare_cached("UPDATE OR IGNORE account SET user = ?2 WHERE uid = ?1 AND user IS NULL")?
                .execute(params![uid, user])?;
            self.users.insert(uid, Some(user.clone()));
        }
        Ok(renamed > 0)
    }

    /// The same for names from imported logs. It never changes a known name, and ignores that a user had no name then.
    pub fn learn_former<'a>(
        &mut self,
        book: &Connection,
        keys: impl Iterator<Item = &'a AccountKey>,
    ) -> rusqlite::Result<()> {
        for key in keys {
            if let Some(uid) = key.uid
                && !key.has_number_for_name()
                && self.user(book, uid)?.is_none()
            {
                self.learn(book, std::iter::once(key))?;
            }
        }
        Ok(())
    }

    /// The row of the account, which is created if it is missing.
    pub fn id(&mut self, book: &Connection, key: &AccountKey, now_us: i64) -> rusqlite::Result<i64> {
        let key = self.with_last_name(book, key)?;
        if let Some(id) = self.ids.get(&*key) {
            return Ok(*id);
        }
        let id = match find(book, &key)? {
            Some(id) => id,
            None => insert(book, &key, now_us)?,
        };
        self.ids.insert(key.into_owned(), id);
        Ok(id)
    }

    fn with_last_name<'a>(&mut self, book: &Connection, key: &'a AccountKey) -> rusqlite::Result<Cow<'a, AccountKey>> {
        if let AccountKey { uid: Some(uid), user: None, .. } = key
            && let Some(user) = self.user(book, *uid)?
        {
            return Ok(Cow::Owned(AccountKey { user: Some(user.clone()), ..key.clone() }));
        }
        Ok(Cow::Borrowed(key))
    }

    /// The last known name of this uid.
    fn user(&mut self, book: &Connection, uid: u32) -> rusqlite::Result<Option<&String>> {
        let known = match self.users.entry(uid) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(place) => {
                let mut ask = book.prepare_cached("SELECT user FROM uid WHERE uid = ?1")?;
                place.insert(ask.query_row([uid], |row| row.get(0)).optional()?)
            }
        };
        Ok(known.as_ref())
    }
}

fn find(book: &Connection, key: &AccountKey) -> rusqlite::Result<Option<i64>> {
    // Written as in the index; SQLite does not use the index otherwise.
    let mut ask = book.prepare_cached(
        "SELECT id FROM account WHERE kind = ?1 AND ifnull(uid, -1) = ifnull(?2, -1) AND ifnull(user, 0) = ifnull(?3, 0) \
         AND ifnull(program, 0) = ifnull(?4, 0) AND ifnull(unit, 0) = ifnull(?5, 0) AND ifnull(class, 0) = ifnull(?6, 0)",
    )?;
    let AccountKey { kind, uid, user, program, unit, class } = key;
    let key = params![number(*kind), uid, user, program.as_deref(), unit.as_deref(), class.as_deref()];
    ask.query_row(key, |row| row.get(0)).optional()
}

fn insert(book: &Connection, key: &AccountKey, now_us: i64) -> rusqlite::Result<i64> {
    let AccountKey { kind, uid, user, program, unit, class } = key;
    let insert =
        "INSERT INTO account(kind, uid, user, program, unit, class, first_us) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    let (program, unit, class) = (program.as_deref(), unit.as_deref(), class.as_deref());
    book.prepare_cached(insert)?.insert(params![number(*kind), uid, user, program, unit, class, now_us])
}

const fn number(kind: AccountKind) -> i64 {
    kind as i64
}

/// The kind with this number; [`AccountKind::Other`] if no version has written it.
pub(super) fn kind(number: i64) -> AccountKind {
    usize::try_from(number).ok().and_then(|place| KINDS.get(place).copied()).unwrap_or(AccountKind::Other)
}
