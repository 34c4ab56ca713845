//! What an account moved since the service was started.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::{AccountRecord, Detail, Names, Period, Source, UserName, Who};
use crate::capture::{Owner, Process};
use crate::ledger::Account;

/// What an account moved in this epoch. Accounts without an entry have moved nothing in it; one that ended and returned
/// starts again from 0.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AccountTotals {
    /// The uid.
    pub uid: Option<u32>,
    /// The user's name; the uid if the user has no name, or if it is not known yet.
    pub user: Option<String>,
    /// The name of an account that belongs to no user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<Cow<'static, str>>,
    /// What was asked for beyond the user, except `exe`.
    #[serde(flatten)]
    pub detail: Detail,
    /// Bytes sent since the service was started.
    pub sent_bytes: u64,
    /// Bytes received since the service was started.
    pub received_bytes: u64,
}

impl AccountTotals {
    /// Adds names to an account.
    pub fn new(account: &Account, period: Period, source: &Source, names: &mut impl Names) -> Self {
        let of_life = account.of_life;
        let record = AccountRecord::new(account, period, source, &mut WithoutExe(names));
        let AccountRecord { uid, user, account, detail, .. } = record;
        Self { uid, user, account, detail, sent_bytes: of_life.sent, received_bytes: of_life.received }
    }

    /// The identity of the account.
    #[must_use]
    pub fn who(&self) -> Who {
        Who::new(self.uid, self.account.as_ref(), &self.detail)
    }
}

/// Does not look up executables, which takes a system call for each process.
struct WithoutExe<'a, N>(&'a mut N);

impl<N: Names> Names for WithoutExe<'_, N> {
    fn user(&mut self, uid: u32) -> UserName {
        self.0.user(uid)
    }

    fn exe(&mut self, _: Process, _: &str) -> Option<String> {
        None
    }

    fn container(&mut self, owner: &Owner) -> Option<String> {
        self.0.container(owner)
    }
}
