//! The options of `report`.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::RangedI64ValueParser;
use clap::{Args, value_parser};
use jiff::tz::TimeZone;

use crate::answer::{self, Asked, Day, Each, Moment, Month, Question, Request};

/// The options of `report`.
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// How rows are split, several as in user,unit [default: user]
    #[arg(long, value_name = "WHAT", value_delimiter = ',')]
    by: Vec<answer::Dimension>,

    #[command(flatten)]
    period: PeriodArgs,

    /// Divide the period into parts, with rows for each
    #[arg(long, value_name = "PART")]
    each: Option<Each>,

    /// Only this user, or these users
    #[arg(long = "user", value_name = "NAME|UID", value_delimiter = ',')]
    users: Vec<String>,

    /// Only this systemd unit or container, or these
    #[arg(long = "unit", value_name = "NAME", value_delimiter = ',')]
    units: Vec<String>,

    /// Only this program, or these programs
    #[arg(long = "program", value_name = "NAME", value_delimiter = ',')]
    programs: Vec<String>,

    /// Only traffic with networks of this class, or these classes
    #[arg(long = "class", value_name = "NAME", value_delimiter = ',')]
    classes: Vec<String>,

    /// Leave out the classes of networks that the configuration marks as not billed
    #[arg(long)]
    billed: bool,

    /// Show only the N rows with the most traffic, and the others as one row
    #[arg(long, value_name = "N", value_parser = RangedI64ValueParser::<u32>::new().range(1..))]
    top: Option<u32>,

    /// Day of the month on which months begin, 1 to 28 [default: the book's, as configured, else 1]
    #[arg(long, value_name = "DAY", value_parser = value_parser!(i8).range(1..=28))]
    billing_day: Option<i8>,

    /// Time zone of days and hours; for older days another zone than the book's may be refused [default: the book's]
    #[arg(long, value_name = "ZONE", value_parser = zone)]
    zone: Option<TimeZone>,

    /// Also show the rate in bit/s that this percentage of all five-minute intervals does not exceed, 1 to 99
    #[arg(long, value_name = "PERCENT", value_parser = value_parser!(u8).range(1..=99))]
    percentile: Option<u8>,

    /// Also show an estimate for the end of the period, at the average rate so far
    #[arg(long, conflicts_with = "each")]
    estimate: bool,

    /// The output format
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    format: answer::Format,

    /// Show exact bytes in a table
    #[arg(long)]
    bytes: bool,

    /// Also write a drawing (SVG): a bar for each row or, with --each, for each part of the period
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,

    /// The book [default: as configured, else /var/lib/trafcalc/book.db]
    #[arg(long, value_name = "PATH")]
    book: Option<PathBuf>,

    /// Configuration file of the service [default: /etc/trafcalc.toml if present]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// The period: one of these, or this month.
#[derive(Debug, Args)]
struct PeriodArgs {
    /// A month, from billing day to billing day: this, last, or a month such as 2026-11 [default: this]
    #[arg(long, value_name = "MONTH", conflicts_with_all = ["day", "from", "last", "since"])]
    month: Option<Month>,

    /// A day: today, yesterday, or a date
    #[arg(long, value_name = "DAY", conflicts_with_all = ["from", "last", "since"])]
    day: Option<Day>,

    /// Start of the period: a day (its beginning), as 2026-11-03 or yesterday, or a day with a time, as "yesterday 22:00"
    #[arg(long, value_name = "MOMENT", requires = "to", conflicts_with_all = ["last", "since"])]
    from: Option<Moment>,

    /// End of the period; a day means its beginning, so it is not part of the period
    #[arg(long, value_name = "MOMENT", requires = "from")]
    to: Option<Moment>,

    /// The time up to now, of this length, as 30d or 12h
    #[arg(long, value_name = "TIME", value_parser = answer::length, conflicts_with = "since")]
    last: Option<Duration>,

    /// The time from this moment to now
    #[arg(long, value_name = "MOMENT")]
    since: Option<Moment>,
}

impl From<PeriodArgs> for Asked {
    fn from(args: PeriodArgs) -> Self {
        match args {
            PeriodArgs { month: Some(month), .. } => Self::Month(month),
            PeriodArgs { day: Some(day), .. } => Self::Day(day),
            PeriodArgs { from: Some(from), to: Some(to), .. } => Self::Between(from, to),
            PeriodArgs { since: Some(since), .. } => Self::Between(since, Moment::Now),
            PeriodArgs { last: Some(length), .. } => Self::Last(length),
            _ => Self::Month(Month::This),
        }
    }
}

impl From<ReportArgs> for Request {
    fn from(args: ReportArgs) -> Self {
        let mut by = Vec::new();
        for dimension in args.by {
            if !by.contains(&dimension) {
                by.push(dimension);
            }
        }
        if by.is_empty() {
            by.push(answer::Dimension::User);
        }
        let question = Question {
            by,
            asked: args.period.into(),
            each: args.each,
            only: answer::Only {
                users: args.users,
                units: args.units,
                programs: args.programs,
                classes: args.classes,
                ..answer::Only::default()
            },
            top: args.top.map(|top| usize::try_from(top).unwrap_or(usize::MAX)),
            billing_day: args.billing_day,
            zone: args.zone,
            percentile: args.percentile,
            is_estimated: args.estimate,
        };
        Self {
            book: args.book,
            config: args.config,
            question,
            is_billed: args.billed,
            format: args.format,
            is_exact: args.bytes,
            drawing: args.svg,
        }
    }
}

fn zone(name: &str) -> Result<TimeZone, String> {
    // jiff takes Etc/Unknown for a name.
    let known = TimeZone::get(name).ok().filter(|zone| !zone.is_unknown());
    known.ok_or_else(|| format!("{name:?} is no time zone such as Europe/Vienna"))
}
