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
    /// What rows are told apart by, several as in user,unit [default: user]
    #[arg(long, value_name = "WHAT", value_delimiter = ',')]
    by: Vec<answer::Dimension>,

    #[command(flatten)]
    period: PeriodArgs,

    /// Cut the period into parts, with rows for each
    #[arg(long, value_name = "PART")]
    each: Option<Each>,

    /// This user only, or one of these
    #[arg(long = "user", value_name = "NAME|UID", value_delimiter = ',')]
    users: Vec<String>,

    /// This systemd unit or container only, or one of these
    #[arg(long = "unit", value_name = "NAME", value_delimiter = ',')]
    units: Vec<String>,

    /// This program only, or one of these
    #[arg(long = "program", value_name = "NAME", value_delimiter = ',')]
    programs: Vec<String>,

    /// Only what moved from and to networks of this class, or one of these
    #[arg(long = "class", value_name = "NAME", value_delimiter = ',')]
    classes: Vec<String>,

    /// Without the classes of networks that the configuration says are not billed
    #[arg(long)]
    billed: bool,

    /// Show only the N with the most traffic, and the others as one row
    #[arg(long, value_name = "N", value_parser = RangedI64ValueParser::<u32>::new().range(1..))]
    top: Option<u32>,

    /// Day on which months begin, 1 to 28 [default: the book's, as configured, else 1]
    #[arg(long, value_name = "DAY", value_parser = value_parser!(i8).range(1..=28))]
    billing_day: Option<i8>,

    /// Time zone of days and hours; another than the book's only as far back as it has rows of five minutes [default: the book's]
    #[arg(long, value_name = "ZONE", value_parser = zone)]
    zone: Option<TimeZone>,

    /// Also show the rate in bit/s that this percentage of all five-minute intervals do not exceed, 1 to 99
    #[arg(long, value_name = "PERCENT", value_parser = value_parser!(u8).range(1..=99))]
    percentile: Option<u8>,

    /// Also show what the period will have at its end, if traffic goes on as it did while it was counted
    #[arg(long, conflicts_with = "each")]
    estimate: bool,

    /// How the answer is shown
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    format: answer::Format,

    /// Show exact figures in a table
    #[arg(long)]
    bytes: bool,

    /// Also draw the answer: who moved how much, or, with --each, how much in each part
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,

    /// The book [default: as configured, else /var/lib/trafcalc/book.db]
    #[arg(long, value_name = "PATH")]
    book: Option<PathBuf>,

    /// Configuration file of the service [default: /etc/trafcalc.toml if present]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// The time that is asked about: one of these, or this month.
#[derive(Debug, Args)]
struct PeriodArgs {
    /// This month, from its billing day to that of the next: this, last, or one as 2026-11 [default: this]
    #[arg(long, value_name = "MONTH", conflicts_with_all = ["day", "from", "last", "since"])]
    month: Option<Month>,

    /// This day: today, yesterday, or a date
    #[arg(long, value_name = "DAY", conflicts_with_all = ["from", "last", "since"])]
    day: Option<Day>,

    /// From this moment on: a day (its beginning), as 2026-11-03 or yesterday; or one with a time, as "yesterday 22:00"
    #[arg(long, value_name = "MOMENT", requires = "to", conflicts_with_all = ["last", "since"])]
    from: Option<Moment>,

    /// Up to this moment; a day is not in the period, as it means its beginning
    #[arg(long, value_name = "MOMENT", requires = "from")]
    to: Option<Moment>,

    /// Up to now, for so long, as 30d or 12h
    #[arg(long, value_name = "TIME", value_parser = answer::length, conflicts_with = "since")]
    last: Option<Duration>,

    /// From this moment to now
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
