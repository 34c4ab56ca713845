//! What a book covers, for readers: from when, until when, and from when on it has each kind of row.

use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::error::BookError;
use super::reader::Reader;
use super::{FINE_KEPT, HOURS_KEPT};

/// A book may have been trimmed this much later than its last report.
const TRIMMED_LATER_S: i64 = 3600;

/// What a book covers, in seconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contents {
    /// When it was begun, or when the earliest imported log begins.
    pub begun_s: i64,
    /// When the last report ended, rounded up; when the book was begun, if there is no report.
    pub until_s: i64,
    /// The epochs in order; those of imported logs come first.
    pub lives: Vec<Life>,
    /// The day on which months begin, 1 to 28, in the last epoch.
    pub billing_day: i8,
    /// The first and the last day that have rows.
    pub days: Option<(Date, Date)>,
    /// No five-minute row from this time on was removed.
    pub fine_from_s: i64,
    /// No hourly row from this time on was removed.
    pub hours_from_s: i64,
}

/// An epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Life {
    /// When the bytes it booked first began to move, in seconds since 1970.
    pub from_s: i64,
    /// The zone of its hours and days, if that has a name.
    pub zone: Option<String>,
}

impl Contents {
    /// The zone of the last epoch, if its name is known on this host.
    #[must_use]
    pub fn zone(&self) -> Option<TimeZone> {
        let name = self.lives.last()?.zone.as_deref()?;
        TimeZone::get(name).ok().filter(|zone| !zone.is_unknown())
    }
}

impl Reader {
    /// What the book covers.
    pub fn contents(&self) -> Result<Contents, BookError> {
        let booked_us = self.number("SELECT value FROM meta WHERE key = 'begun_us'")?;
        let begun_us = self.row("SELECT min(from_us) FROM imported")?.unwrap_or(booked_us).min(booked_us);
        let last = self.row("SELECT end_us FROM report ORDER BY epoch DESC, seq DESC LIMIT 1")?;
        let until_s = last.unwrap_or(booked_us).saturating_add(999_999).div_euclid(1_000_000);
        // Trimming removes the oldest rows first.
        let kept_from = |kept_s: u64, first: Option<i64>| {
            let kept_from = until_s.saturating_add(TRIMMED_LATER_S).saturating_sub_unsigned(kept_s);
            first.map_or(kept_from, |first| first.min(kept_from))
        };
        Ok(Contents {
            begun_s: begun_us.div_euclid(1_000_000),
            until_s,
            lives: self.lives()?,
            billing_day: self.row("SELECT billing_day FROM epoch ORDER BY id DESC LIMIT 1")?.unwrap_or(1),
            days: self.first_and_last_day()?,
            fine_from_s: kept_from(FINE_KEPT.as_secs(), self.row("SELECT min(start_s) FROM past_fine")?),
            hours_from_s: kept_from(HOURS_KEPT.as_secs(), self.row("SELECT min(start_s) FROM past_hour")?),
        })
    }

    /// The classes of networks that any epoch told apart, also those in which nothing moved; in order.
    pub fn configured_classes(&self) -> Result<Vec<String>, BookError> {
        let classes = "json_each(iif(json_valid(settings), settings, '{}'), '$.classes')";
        self.list(&format!("SELECT DISTINCT value FROM epoch, {classes} ORDER BY value"), |row| row.get(0))
    }

    fn lives(&self) -> Result<Vec<Life>, BookError> {
        // The first report of an epoch may contain what moved since the former epoch.
        let begun = "min(started_us, ifnull((SELECT start_us FROM report WHERE epoch = epoch.id ORDER BY seq LIMIT 1), started_us))";
        let sql = format!(
            "SELECT * FROM (SELECT from_us, zone FROM imported ORDER BY from_us) \
             UNION ALL SELECT * FROM (SELECT {begun}, zone FROM epoch ORDER BY id)"
        );
        self.list(&sql, |row| Ok(Life { from_s: row.get::<_, i64>(0)?.div_euclid(1_000_000), zone: row.get(1)? }))
    }

    fn first_and_last_day(&self) -> Result<Option<(Date, Date)>, BookError> {
        // Negative years begin with a minus. The tables are asked one by one: on the view, SQLite would read all rows.
        let date = |which: &str| -> Result<Option<Date>, BookError> {
            let first_of = |table: &str| format!("SELECT {which}(date) AS date FROM {table} WHERE date >= '0'");
            let dates = format!("{} UNION ALL {}", first_of("past_day"), first_of("recent_row"));
            let date: Option<String> = self.row(&format!("SELECT {which}(date) FROM ({dates})"))?;
            Ok(date.and_then(|date| date.parse().ok()))
        };
        let (first, last) = (date("min")?, date("max")?);
        Ok(first.zip(last))
    }
}
