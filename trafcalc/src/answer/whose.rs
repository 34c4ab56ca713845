//! The owners in an answer: selects the accounts asked for, and groups them by the dimensions that rows are told apart
//! by. Pure.

use std::collections::HashMap;
use std::sync::Arc;

use super::users::{HostUser, is_uid};
use crate::book::{AccountKey, AccountKind};
use crate::container;
use crate::near;

/// What rows are told apart by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dimension {
    /// The user.
    User,
    /// The systemd unit or container.
    Unit,
    /// The program.
    Program,
    /// The class of the peer's network.
    Class,
}

impl Dimension {
    /// The word on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Unit => "unit",
            Self::Program => "program",
            Self::Class => "class",
        }
    }
}

/// Which accounts are asked for; an empty list does not restrict.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Only {
    /// Names or numbers of users.
    pub users: Vec<String>,
    /// Units.
    pub units: Vec<String>,
    /// Programs.
    pub programs: Vec<String>,
    /// Classes.
    pub classes: Vec<String>,
    /// Classes to leave out.
    pub left_out: Vec<String>,
    /// The users among `users` that the host has and the book does not.
    pub host_users: Vec<HostUser>,
}

/// The book has no such name.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no {what} {text:?} in the book{}", suggestion(.near, what))]
pub struct Unknown {
    what: &'static str,
    text: String,
    near: Vec<String>,
}

fn suggestion(near: &[String], what: &str) -> String {
    if let Some(question) = near::question(near) {
        return format!("; {question}");
    }
    let several = if what == "class" { "classes".to_owned() } else { format!("{what}s") };
    format!(": it has what moved while it was kept, by {what} if the service told {several} apart")
}

impl Only {
    /// The restrictions by dimension, without empty lists.
    pub(super) fn lists(&self) -> impl Iterator<Item = (Dimension, &[String])> {
        let lists = [
            (Dimension::User, &self.users),
            (Dimension::Unit, &self.units),
            (Dimension::Program, &self.programs),
            (Dimension::Class, &self.classes),
        ];
        lists.into_iter().map(|(dimension, names)| (dimension, names.as_slice())).filter(|(_, names)| !names.is_empty())
    }

    /// Checks that each name is in the book; a class may instead be one of `classes`.
    pub(crate) fn check(&self, accounts: &[(i64, AccountKey)], classes: &[String]) -> Result<(), Unknown> {
        let names = |of: fn(&AccountKey) -> Option<&str>| -> Vec<&str> {
            let mut names: Vec<_> = accounts.iter().filter_map(|(_, key)| of(key)).collect();
            names.sort_unstable();
            names.dedup();
            names
        };
        let units = names(|key| key.unit.as_deref());
        let unknown = self.units.iter().filter(|text| !units.iter().any(|unit| container::is_meant(unit, text)));
        check("unit", &unknown.cloned().collect::<Vec<_>>(), &units)?;
        check("program", &self.programs, &names(|key| key.program.as_deref()))?;
        let mut known = names(|key| key.class.as_deref());
        known.extend(classes.iter().map(String::as_str));
        known.sort_unstable();
        check("class", &self.classes, &known)?;
        let is_uid = |text: &str| accounts.iter().any(|(_, key)| is_uid(key, text));
        let is_known = |text: &&String| is_uid(text) || self.host_users.iter().any(|user| user.text == **text);
        let users: Vec<_> = self.users.iter().filter(|text| !is_known(text)).cloned().collect();
        check("user", &users, &names(|key| key.user.as_deref()))
    }

    /// A sentence for each user and class that is asked for but has no bytes in the book under this name.
    pub(super) fn without_traffic(&self, accounts: &[(i64, AccountKey)]) -> Vec<String> {
        let has_class = |class: &str| accounts.iter().any(|(_, key)| key.class.as_deref() == Some(class));
        let classes = self.classes.iter().filter(|class| !has_class(class));
        let classes = classes.map(|class| format!("The class {class} has no traffic in this book."));
        self.host_users.iter().map(|user| user.sentence(accounts)).chain(classes).collect()
    }

    pub(super) fn wants(&self, key: &AccountKey) -> bool {
        let is_one_of = |names: &[String], name: Option<&str>| {
            names.is_empty() || names.iter().any(|wanted| Some(&**wanted) == name)
        };
        let is_user = || {
            is_one_of(&self.users, key.user.as_deref())
                || self.users.iter().any(|text| is_uid(key, text))
                || self.host_users.iter().any(|user| user.has(key))
        };
        is_user()
            && (is_one_of(&self.units, key.unit.as_deref()) || self.wants_container(key))
            && is_one_of(&self.programs, key.program.as_deref())
            && is_one_of(&self.classes, key.class.as_deref())
            && !self.left_out.iter().any(|class| Some(&**class) == key.class.as_deref())
    }

    fn wants_container(&self, key: &AccountKey) -> bool {
        key.unit.as_deref().is_some_and(|unit| self.units.iter().any(|text| container::is_meant(unit, text)))
    }
}

fn check(what: &'static str, asked: &[String], names: &[&str]) -> Result<(), Unknown> {
    match asked.iter().find(|text| names.binary_search(&text.as_str()).is_err()) {
        None => Ok(()),
        Some(text) => Err(Unknown { what, text: text.clone(), near: near::near(text, names.iter().copied()) }),
    }
}

/// The owner of a row. Dimensions that rows are not told apart by are `None`, as are unknown names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Whose {
    /// A user, or one of the accounts without a user.
    pub kind: AccountKind,
    /// The user's number.
    pub uid: Option<u32>,
    /// The user's name.
    pub user: Option<String>,
    /// The unit.
    pub unit: Option<Arc<str>>,
    /// The program.
    pub program: Option<Arc<str>>,
    /// The class of the peer's network.
    pub class: Option<Arc<str>>,
}

impl Whose {
    fn of(key: &AccountKey, by: &[Dimension]) -> Self {
        let is_by = |dimension| by.contains(&dimension);
        let (uid, user) = if is_by(Dimension::User) { (key.uid, key.user.clone()) } else { (None, None) };
        let unit = key.unit.clone().filter(|_| is_by(Dimension::Unit));
        let program = key.program.clone().filter(|_| is_by(Dimension::Program));
        let class = key.class.clone().filter(|_| is_by(Dimension::Class));
        Self { kind: key.kind, uid, user, unit, program, class }
    }

    /// The name in the log of an account that belongs to no user.
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
    /// The owners, each once.
    pub whose: Vec<Whose>,
    /// The account numbers that are asked for, sorted, each with its index in `whose`.
    places: Vec<(i64, usize)>,
}

impl Groups {
    pub fn new(accounts: &[(i64, AccountKey)], by: &[Dimension], only: &Only) -> Self {
        let mut groups = Self { whose: Vec::new(), places: Vec::new() };
        let mut known = HashMap::new();
        for (id, key) in accounts.iter().filter(|(_, key)| only.wants(key)) {
            let place = *known.entry(Whose::of(key, by)).or_insert_with_key(|whose| {
                groups.whose.push(whose.clone());
                groups.whose.len() - 1
            });
            groups.places.push((*id, place));
        }
        groups.places.sort_unstable();
        groups
    }

    pub fn places(&self) -> Places<'_> {
        Places { places: &self.places, next: 0 }
    }
}

/// Finds indices in [`Groups`]. Accounts mostly come in the order of their numbers, so the next one is tried first.
pub(super) struct Places<'a> {
    places: &'a [(i64, usize)],
    next: usize,
}

impl Places<'_> {
    /// The index of an account in [`Groups::whose`], if it is asked for.
    pub fn of(&mut self, account: i64) -> Option<usize> {
        let is_next = self.places.get(self.next).is_some_and(|(id, _)| *id == account);
        let at = if is_next { self.next } else { self.places.binary_search_by_key(&account, |(id, _)| *id).ok()? };
        self.next = at + 1;
        Some(self.places[at].1)
    }
}

#[cfg(test)]
mod tests;
