//! Whose bytes a row of an answer has: the accounts that are asked for, put together by what they are told apart by. Pure.

use std::collections::HashMap;
use std::sync::Arc;

use crate::book::{AccountKey, AccountKind};

/// What rows are told apart by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dimension {
    /// The user.
    User,
    /// The systemd unit or container.
    Unit,
    /// The program.
    Program,
}

impl Dimension {
    /// How it is written.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Unit => "unit",
            Self::Program => "program",
        }
    }
}

/// Which accounts are asked for; where a list is empty, all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Only {
    /// Names or numbers of users.
    pub users: Vec<String>,
    /// Units.
    pub units: Vec<String>,
    /// Programs.
    pub programs: Vec<String>,
}

/// There is nothing of that name in the book.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no {what} {text:?} in the book{}", suggestion(.near, what))]
pub struct Unknown {
    what: &'static str,
    text: String,
    near: Vec<String>,
}

fn suggestion(near: &[String], what: &str) -> String {
    if near.is_empty() {
        return format!(": it has what moved while it was kept, by {what} if the service told {what}s apart");
    }
    format!("; did you mean {}?", near.iter().map(|name| format!("{name:?}")).collect::<Vec<_>>().join(" or "))
}

/// Most names that are suggested.
const MAX_SUGGESTIONS: usize = 3;
/// From where on two names are alike, of 1.
const ALIKE: f64 = 0.8;

impl Only {
    /// What is asked for, by what it is; empty lists are left out.
    pub(super) fn lists(&self) -> impl Iterator<Item = (Dimension, &[String])> {
        let lists =
            [(Dimension::User, &self.users), (Dimension::Unit, &self.units), (Dimension::Program, &self.programs)];
        lists.into_iter().map(|(dimension, names)| (dimension, names.as_slice())).filter(|(_, names)| !names.is_empty())
    }

    /// Checks that each name that is asked for is in the book.
    pub(super) fn check(&self, accounts: &[(i64, AccountKey)]) -> Result<(), Unknown> {
        let names = |of: fn(&AccountKey) -> Option<&str>| -> Vec<&str> {
            let mut names: Vec<_> = accounts.iter().filter_map(|(_, key)| of(key)).collect();
            names.sort_unstable();
            names.dedup();
            names
        };
        check("unit", &self.units, &names(|key| key.unit.as_deref()))?;
        check("program", &self.programs, &names(|key| key.program.as_deref()))?;
        let is_uid = |text: &&String| accounts.iter().any(|(_, key)| is_uid(key, text));
        let users: Vec<_> = self.users.iter().filter(|text| !is_uid(text)).cloned().collect();
        check("user", &users, &names(|key| key.user.as_deref()))
    }

    fn wants(&self, key: &AccountKey) -> bool {
        let is_one_of = |names: &[String], name: Option<&str>| {
            names.is_empty() || names.iter().any(|wanted| Some(&**wanted) == name)
        };
        let is_user = || self.users.iter().any(|text| is_uid(key, text)) || is_one_of(&self.users, key.user.as_deref());
        is_user() && is_one_of(&self.units, key.unit.as_deref()) && is_one_of(&self.programs, key.program.as_deref())
    }
}

fn is_uid(key: &AccountKey, text: &str) -> bool {
    key.uid.is_some_and(|uid| text.parse() == Ok(uid))
}

fn check(what: &'static str, asked: &[String], names: &[&str]) -> Result<(), Unknown> {
    match asked.iter().find(|text| names.binary_search(&text.as_str()).is_err()) {
        None => Ok(()),
        Some(text) => Err(Unknown { what, text: text.clone(), near: near(text, names) }),
    }
}

/// The names that are most like `text`, the likest first.
fn near(text: &str, names: &[&str]) -> Vec<String> {
    let mut near: Vec<_> = names.iter().map(|name| (strsim::jaro_winkler(text, name), *name)).collect();
    near.retain(|(alike, _)| *alike >= ALIKE);
    near.sort_by(|one, other| other.0.total_cmp(&one.0));
    near.into_iter().take(MAX_SUGGESTIONS).map(|(_, name)| name.to_owned()).collect()
}

/// Whose a row is. What rows are not told apart by is absent, as is what is not known.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Whose {
    /// Of a user, or of nobody who is known.
    pub kind: AccountKind,
    /// The user's number.
    pub uid: Option<u32>,
    /// The user's name.
    pub user: Option<String>,
    /// The unit.
    pub unit: Option<Arc<str>>,
    /// The program.
    pub program: Option<Arc<str>>,
}

impl Whose {
    fn of(key: &AccountKey, by: &[Dimension]) -> Self {
        let is_by = |dimension| by.contains(&dimension);
        let (uid, user) = if is_by(Dimension::User) { (key.uid, key.user.clone()) } else { (None, None) };
        let unit = key.unit.clone().filter(|_| is_by(Dimension::Unit));
        let program = key.program.clone().filter(|_| is_by(Dimension::Program));
        Self { kind: key.kind, uid, user, unit, program }
    }

    /// The accounts that belong to nobody, as they are called in the log.
    #[must_use]
    pub const fn nobody(&self) -> Option<&'static str> {
        match self.kind {
            AccountKind::User => None,
            AccountKind::Unattributed => Some("(unattributed)"),
            AccountKind::Other => Some("(other)"),
        }
    }
}

/// The accounts that are asked for.
pub(super) struct Groups {
    /// Whose they are, each once.
    pub whose: Vec<Whose>,
    /// Of each account that is asked for, its place in `whose`.
    places: HashMap<i64, usize>,
}

impl Groups {
    pub fn new(accounts: &[(i64, AccountKey)], by: &[Dimension], only: &Only) -> Self {
        let mut groups = Self { whose: Vec::new(), places: HashMap::new() };
        let mut known = HashMap::new();
        for (id, key) in accounts.iter().filter(|(_, key)| only.wants(key)) {
            let place = *known.entry(Whose::of(key, by)).or_insert_with_key(|whose| {
                groups.whose.push(whose.clone());
                groups.whose.len() - 1
            });
            groups.places.insert(*id, place);
        }
        groups
    }

    /// The place of an account in `whose`, if it is asked for.
    pub fn place(&self, account: i64) -> Option<usize> {
        self.places.get(&account).copied()
    }
}

#[cfg(test)]
mod tests;
