//! What `top --once` and `top --json` print. Pure.

use std::fmt::Write as _;

use serde::Serialize;

use super::columns::rate_text;
use super::model::{Model, Pair};
use super::rows::{Row, Table, sum};
use crate::figure::{printable, scaled};
use crate::report::{AccountTotals, Summary};
use crate::sinks::write_json;
use crate::status::Booked;

/// The table of one moment, and what puts it in doubt.
#[must_use]
pub fn once(model: &Model, table: &Table, is_bits: bool) -> String {
    let mut cells = vec![["user", "sent/s", "received/s", "today", "month"].map(str::to_owned)];
    cells.extend(table.rows.iter().chain([&table.total]).map(|row| line(row, is_bits)));
    let width = |column: usize| cells.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; 5] = std::array::from_fn(width);
    let columns = if table.total.today.is_some() { 5 } else { 3 };
    let mut text = String::new();
    for line in &cells {
        let _ = write!(text, "{:<width$}", line[0], width = widths[0]);
        for (cell, width) in line.iter().zip(widths).take(columns).skip(1) {
            let _ = write!(text, "  {cell:>width$}");
        }
        text.push('\n');
    }
    if let Some(uid) = model.hello.only_uid {
        let _ = writeln!(text, "You see yourself (user {uid}) alone.");
    }
    let troubles = model.summary.as_ref().map(Summary::troubles).unwrap_or_default();
    if !troubles.is_empty() {
        let _ = writeln!(text, "Health: {}", printable(&troubles.join(" ")));
    }
    text
}

fn line(row: &Row, is_bits: bool) -> [String; 5] {
    let [sent, received] = row.rate.map(|rate| rate_text(rate, is_bits));
    let bytes = |pair: Option<Pair>| pair.map_or_else(|| "-".to_owned(), |pair| scaled(sum(pair), "B", false));
    [row.name.clone(), sent, received, bytes(row.today), bytes(row.month)]
}

/// All accounts at one moment.
#[derive(Debug, Serialize)]
struct Moment<'a> {
    at_s: f64,
    summary: &'a Summary,
    accounts: Vec<Rated<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    date: Option<&'a str>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    booked: &'a [Booked],
}

#[derive(Debug, Serialize)]
struct Rated<'a> {
    #[serde(flatten)]
    account: &'a AccountTotals,
    sent_bytes_per_s: u64,
    received_bytes_per_s: u64,
}

/// One line of JSON with everything known of all accounts.
#[must_use]
pub fn json(model: &Model) -> String {
    let Some((at_s, summary)) = model.at_s().zip(model.summary.as_ref()) else { return String::new() };
    let accounts = model.flows.values().map(|flow| {
        let [sent_bytes_per_s, received_bytes_per_s] = flow.rate(model.count);
        Rated { account: &flow.account, sent_bytes_per_s, received_bytes_per_s }
    });
    let moment =
        Moment { at_s, summary, accounts: accounts.collect(), date: model.date.as_deref(), booked: &model.booked };
    let mut text = Vec::new();
    write_json(&moment, &mut text);
    text.push(b'\n');
    String::from_utf8(text).unwrap_or_default()
}
