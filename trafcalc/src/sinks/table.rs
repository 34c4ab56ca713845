//! Reports as tables for people on a terminal: one for each period, and one of the totals at the end.

use std::fmt::Write as _;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Deserialize;

use super::Format;
use crate::container;
use crate::figure::{printable, scaled};
use crate::report::{AccountRecord, GapRecord, Report, Stamp, Summary};

/// Most rows of a period; the rest is summed in one.
const MAX_ROWS: usize = 20;

/// The format for terminals. Times are in this zone.
pub struct Table(pub TimeZone);

/// A name, and its bytes sent and received.
struct Row(String, [u64; 2]);

impl Format for Table {
    fn encode(&self, report: &Report, out: &mut Vec<u8>) {
        let summary = &report.summary;
        let mut text = String::new();
        let moved = |account: &AccountRecord| [account.sent_bytes, account.received_bytes];
        let rows = report.accounts.iter().filter(|account| moved(account) != [0; 2]);
        let rows: Vec<_> = rows.map(|account| Row(name(account), moved(account))).collect();
        if rows.is_empty() {
            let _ = writeln!(text, "{}  nothing moved", self.time(&summary.stamp));
        } else {
            text += &table(&self.time(&summary.stamp), rows, MAX_ROWS);
        }
        let troubles = summary.troubles();
        if !troubles.is_empty() {
            let _ = writeln!(text, "  {}", printable(&troubles.join(" ")));
        }
        out.extend_from_slice(text.as_bytes());
    }

    fn encode_json(&self, records: &str, out: &mut Vec<u8>) {
        let mut accounts = Vec::new();
        for record in records.lines().filter_map(|line| serde_json::from_str(line).ok()) {
            match record {
                Record::Account(account) => accounts.push(*account),
                Record::Summary(summary) => {
                    let accounts = std::mem::take(&mut accounts);
                    self.encode(&Report { steps: Vec::new(), accounts, summary: *summary }, out);
                }
                Record::Gap(gap) => {
                    let cause = printable(&gap.cause);
                    out.extend_from_slice(
                        format!("{}  a time before this was not counted: {cause}\n", self.time(&gap.stamp)).as_bytes(),
                    );
                }
                Record::Other => {}
            }
        }
    }
}

/// A record in JSON, as the book keeps it.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Record {
    Account(Box<AccountRecord>),
    Summary(Box<Summary>),
    Gap(Box<GapRecord>),
    #[serde(other)]
    Other,
}

impl Table {
    /// The totals of all accounts.
    #[must_use]
    pub fn totals(&self, report: &Report) -> String {
        let total = |account: &AccountRecord| [account.sent_bytes_total, account.received_bytes_total];
        let rows = report.accounts.iter().map(|account| Row(name(account), total(account)));
        let since = self.0.to_datetime(Timestamp::try_from(report.summary.since).unwrap_or_default());
        format!("\nSince {}:\n{}", since.strftime("%F %T"), table("", rows.collect(), usize::MAX))
    }

    /// The local time at which the period ended.
    fn time(&self, stamp: &Stamp) -> String {
        let time = Timestamp::try_from(stamp.time).unwrap_or_default();
        self.0.to_datetime(time).strftime("%T").to_string()
    }
}

/// Whose record it is: the user, and more details if known.
fn name(account: &AccountRecord) -> String {
    let detail = &account.detail;
    let user = account.user.as_deref().or(account.account.as_deref()).unwrap_or("(other)");
    let mut name = user.to_owned();
    let unit = detail.unit.as_deref().map(|unit| container::told(unit, detail.container.as_deref()).into_owned());
    for more in [&unit, &detail.program, &detail.pid.map(|pid| pid.to_string())].into_iter().flatten() {
        name.push(' ');
        name += more;
    }
    printable(&name)
}

/// Rows sorted by volume, with their sum if there are several.
fn table(title: &str, mut rows: Vec<Row>, most: usize) -> String {
    let volume = |row: &Row| row.1[0].saturating_add(row.1[1]);
    rows.sort_by(|one, other| volume(other).cmp(&volume(one)).then_with(|| one.0.cmp(&other.0)));
    let sum = |rows: &[Row]| {
        rows.iter().fold([0_u64; 2], |sum, row| [sum[0].saturating_add(row.1[0]), sum[1].saturating_add(row.1[1])])
    };
    let total = (rows.len() > 1).then(|| Row("total".to_owned(), sum(&rows)));
    if rows.len() > most {
        let others = rows.split_off(most - 1);
        rows.push(Row(format!("({} others)", others.len()), sum(&others)));
    }
    rows.extend(total);
    let width = rows.iter().map(|row| row.0.chars().count() + 2).max().unwrap_or(0).max(title.len()).max(22);
    let mut text = format!("{title:<width$}  {:>9}  {:>9}\n", "sent", "received");
    for Row(name, bytes) in &rows {
        let [sent, received] = bytes.map(|bytes| scaled(bytes, "B", false));
        let _ = writeln!(text, "{:<width$}  {sent:>9}  {received:>9}", format!("  {name}"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::samples;
    use crate::sinks::Json;

    fn encoded(report: &Report) -> String {
        let mut out = Vec::new();
        Table(TimeZone::UTC).encode(report, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_period_is_a_table_by_volume_with_its_sum_and_what_is_wrong() {
        let told = "\
02:05:10                     sent   received
  alice                     123 B      456 B
  (unattributed)              1 B        2 B
  total                     124 B      458 B
  unattributed_bytes_total=7
";
        assert_eq!(encoded(&samples::report()), told);
        let mut records = Vec::new();
        Json.encode(&samples::report(), &mut records);
        let mut out = Vec::new();
        Table(TimeZone::UTC).encode_json(std::str::from_utf8(&records).unwrap(), &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), told, "the book's records tell the same");
    }

    #[test]
    fn accounts_that_have_not_moved_are_left_out_of_a_period() {
        let mut report = samples::report();
        report.summary.unattributed_bytes_total = 0;
        for account in &mut report.accounts {
            (account.sent_bytes, account.received_bytes) = (0, 0);
        }
        assert_eq!(encoded(&report), "02:05:10  nothing moved\n");
    }

    #[test]
    fn all_accounts_are_told_at_the_end() {
        let told = "
Since 2026-11-23 02:00:00:
                             sent   received
  alice                   9.12 kB    9.46 kB
  (unattributed)              3 B        4 B
  total                   9.13 kB    9.46 kB
";
        assert_eq!(Table(TimeZone::UTC).totals(&samples::report()), told);
    }

    #[test]
    fn many_rows_of_a_period_are_told_as_one_and_no_name_drives_the_terminal() {
        let mut report = samples::report();
        let alice = report.accounts[0].clone();
        report.accounts = (1..=30)
            .map(|uid| AccountRecord {
                user: Some(format!("u{uid}\u{1b}")),
                sent_bytes: uid,
                received_bytes: 0,
                ..alice.clone()
            })
            .collect();
        let text = encoded(&report);
        assert_eq!(text.lines().count(), 1 + MAX_ROWS + 1 + 1);
        for (name, bytes) in [("  (11 others) ", " 66 B        0 B"), ("  total ", " 465 B        0 B")] {
            assert!(text.lines().any(|line| line.starts_with(name) && line.ends_with(bytes)), "{text}");
        }
        assert!(text.lines().nth(1).unwrap().starts_with("  u30\\u001b ") && !text.contains('\u{1b}'), "{text}");
    }
}
