//! A quota: how much some accounts may move in a month or a day, and at which steps this is reported. Pure.

use std::ops::Range;

use jiff::Span;
use jiff::civil::Date;

use super::accounts::{AccountKey, AccountKind};
use super::billing::{billing_month, month_name};
use crate::container;

/// How much some accounts may move together in a period.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Its name, which is unique.
    pub name: String,
    /// Names or numbers of users.
    pub users: Vec<String>,
    /// Groups whose members count in addition to `users`. If both lists are empty, everybody counts.
    pub groups: Vec<String>,
    /// Systemd units or containers; if the list is empty, all traffic counts.
    pub units: Vec<String>,
    /// Classes of networks; if the list is empty, all traffic counts.
    pub classes: Vec<String>,
    /// When it starts again from 0.
    pub period: QuotaPeriod,
    /// Which bytes count.
    pub direction: Direction,
    /// In bytes, at least 1.
    pub limit: u64,
    /// The steps that are reported, in percent of the limit, ascending.
    pub warn: Vec<u32>,
}

/// When a quota starts again from 0, in days of the book's zone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum QuotaPeriod {
    /// On the billing day of a month.
    #[default]
    Month,
    /// Every day.
    Day,
}

/// Which bytes count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Direction {
    /// What this host sent.
    Sent,
    /// What this host received.
    Received,
    /// The sum of both.
    #[default]
    Both,
}

/// A step of a quota was reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reached {
    /// The name of the quota.
    pub quota: String,
    /// When it starts again from 0.
    pub period: QuotaPeriod,
    /// The period, in seconds since 1970.
    pub seconds: Range<i64>,
    /// Which bytes count.
    pub direction: Direction,
    /// In percent of the limit.
    pub step: u32,
    /// What moved in the period, in bytes.
    pub used: u64,
    /// In bytes.
    pub limit: u64,
}

/// Knows which groups users are in. Answers at once from what it knows.
pub trait GroupMembers: Send + Sync {
    /// Whether the user of this name is known to be in the group of that name.
    fn is_member(&self, user: &str, group: &str) -> bool;

    /// A number that changes when answers change.
    fn version(&self) -> u64;
}

impl QuotaPeriod {
    /// The dates of the period that contains `date`, where months begin on `billing_day`.
    #[must_use]
    pub fn dates(self, date: Date, billing_day: i8) -> Range<Date> {
        match self {
            Self::Month => billing_month(date, billing_day),
            Self::Day => date..date.saturating_add(Span::new().days(1)),
        }
    }

    /// The name of the period that begins with `first`: `2026-11` or `2026-11-26`.
    #[must_use]
    pub fn name_of(self, first: Date) -> String {
        match self {
            Self::Month => month_name(first),
            Self::Day => first.to_string(),
        }
    }

    /// The word in records and in the configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Month => "month",
            Self::Day => "day",
        }
    }
}

impl Direction {
    /// The word in records and in the configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Received => "received",
            Self::Both => "both",
        }
    }

    pub(super) const fn of(self, sent: i128, received: i128) -> i128 {
        match self {
            Self::Sent => sent,
            Self::Received => received,
            Self::Both => sent + received,
        }
    }
}

impl Quota {
    /// Whether the bytes of an account count.
    #[must_use]
    pub fn has(&self, account: &AccountKey, members: &dyn GroupMembers) -> bool {
        let is_one_of =
            |names: &[String], name: Option<&str>| names.is_empty() || names.iter().any(|wanted| name == Some(wanted));
        let is_container = |unit: &str| self.units.iter().any(|text| container::is_meant(unit, text));
        let is_unit =
            is_one_of(&self.units, account.unit.as_deref()) || account.unit.as_deref().is_some_and(is_container);
        let is_kind = is_unit && is_one_of(&self.classes, account.class.as_deref());
        let is_anybody = self.users.is_empty() && self.groups.is_empty();
        is_kind && (is_anybody || account.kind == AccountKind::User && self.has_user(account, members))
    }

    fn has_user(&self, account: &AccountKey, members: &dyn GroupMembers) -> bool {
        let AccountKey { uid, user, .. } = account;
        let is_named = |name: &String| user.as_ref() == Some(name) || uid.is_some_and(|uid| name.parse() == Ok(uid));
        let is_in = |group: &String| user.as_ref().is_some_and(|user| members.is_member(user, group));
        self.users.iter().any(is_named) || self.groups.iter().any(is_in)
    }

    /// `used` bytes in percent of the limit, rounded down.
    #[must_use]
    pub fn percent(&self, used: u64) -> u64 {
        u64::try_from(u128::from(used) * 100 / u128::from(self.limit.max(1))).unwrap_or(u64::MAX)
    }

    /// The steps that `used` bytes reach.
    pub fn steps(&self, used: u64) -> impl Iterator<Item = u32> {
        let percent = self.percent(used);
        self.warn.iter().copied().filter(move |step| u64::from(*step) <= percent)
    }
}
