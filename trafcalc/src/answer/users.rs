//! Users in a question whom the book does not have by this name or number: looks them up in the host's directory. The
//! directory may be a slow or unreachable server, so it is not asked about users whom the book has. Pure.

use super::error::AnswerError;
use crate::book::{AccountKey, AccountKind};
use crate::near;

/// The directory's answer for a name or number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// The user has this uid.
    User(u32),
    /// There is no such user.
    Nobody,
    /// The directory cannot answer, and why.
    Unclear(String),
}

/// A user of this host whom the book does not have by this name or number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostUser {
    /// The name or number in the question.
    pub text: String,
    /// The user's number.
    pub uid: u32,
}

/// The users among `users` that the host has and the book does not.
pub(super) fn of_host(
    users: &[String],
    accounts: &[(i64, AccountKey)],
    directory: &dyn Fn(&str) -> Found,
) -> Result<Vec<HostUser>, AnswerError> {
    let is_in_book = |text: &str| accounts.iter().any(|(_, key)| is_of(key, text));
    let mut known = Vec::new();
    for text in users.iter().filter(|text| !is_in_book(text)) {
        match directory(text) {
            Found::User(uid) => known.push(HostUser { text: text.clone(), uid }),
            Found::Nobody => {}
            Found::Unclear(reason) => {
                let near = near::near(text, accounts.iter().filter_map(|(_, key)| key.user.as_deref()));
                return Err(AnswerError::NoDirectory { text: text.clone(), reason, near });
            }
        }
    }
    Ok(known)
}

/// Whether an account belongs to the user with this name or number.
pub(super) fn is_of(key: &AccountKey, text: &str) -> bool {
    key.user.as_deref() == Some(text) || is_uid(key, text)
}

pub(super) fn is_uid(key: &AccountKey, text: &str) -> bool {
    key.uid.is_some_and(|uid| text.parse() == Ok(uid))
}

impl HostUser {
    /// Whether an account is this user's: the book has the uid and no name for it yet. An account of this uid with
    /// another name belongs to a former user with that uid, or to a user who still has it.
    pub(super) fn has(&self, key: &AccountKey) -> bool {
        key.kind == AccountKind::User && key.uid == Some(self.uid) && key.user.is_none()
    }

    /// A note for an answer about this user.
    pub(super) fn sentence(&self, accounts: &[(i64, AccountKey)]) -> String {
        let Self { text, uid } = self;
        let of_uid = || accounts.iter().map(|(_, key)| key).filter(|key| key.uid == Some(*uid));
        let mut names: Vec<_> = of_uid().filter_map(|key| key.user.as_deref()).collect();
        names.sort_unstable();
        names.dedup();
        let others = format!("uid {uid} is in the book as {}", names.join(" and "));
        match (of_uid().any(|key| self.has(key)), names.is_empty()) {
            (true, true) => format!("{text} is in the book as uid {uid}, without a name."),
            (true, false) => format!("{text} is in the book as uid {uid}, without a name; what {others} is left out."),
            (false, true) => format!("{text} has no traffic in this book."),
            (false, false) => format!("{text} has no traffic by this name: {others}."),
        }
    }
}
