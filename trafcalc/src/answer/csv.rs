//! An answer as CSV (RFC 4180), with exact figures. Pure.
//!
//! It is one table, so that nothing is left out. The column `record` says what a line is: a row, the total, the zone, a
//! restriction of the question, a gap, a correction, a closed month, or a note.

use std::time::SystemTime;

use jiff::Timestamp;

use super::rows::volume;
use super::times::{at, iso, name as zone_name};
use super::{Answer, Dimension, Figures, Label};
use crate::book::{Closed, Correction, Gap, day_row};
use crate::figure::printable;

/// The columns that say whose bytes a row has.
const LABELS: [&str; 7] = ["uid", "user", "unit", "program", "class", "account", "others"];

/// The answer as CSV.
pub(super) fn csv(answer: &Answer) -> String {
    let figure_columns = figure_columns(answer);
    let header =
        ["record", "from", "to"].into_iter().chain(LABELS).chain(figure_columns.iter().copied()).chain(["cause"]);
    let second = |second: i64| iso(at(second), &answer.zone);
    let mut text = line(header.map(str::to_owned));
    for row in &answer.rows {
        let times = [second(row.part.start), second(row.part.end)];
        text += &line(record("row", times, label(&row.label), figures(&row.figures), ""));
    }
    let nobody = || [const { String::new() }; LABELS.len()];
    let period = [second(answer.period.start), second(answer.period.end)];
    let no_figures = || vec![String::new(); figure_columns.len()];
    text += &line(record("total", period.clone(), nobody(), figures(&answer.total), ""));
    text +=
        &line(record("zone", period.clone(), nobody(), no_figures(), &zone_name(&answer.zone, answer.period.start)));
    for (dimension, names) in answer.only.lists() {
        for only in names {
            text += &line(record("only", period.clone(), filter(dimension, only), no_figures(), ""));
        }
    }
    let mut gaps: Vec<_> = answer.outside.iter().chain(&answer.gaps.0).collect();
    gaps.sort_by_key(|gap| gap.from);
    for Gap { from, to, cause } in gaps {
        let times = [*from, *to].map(|time| moment(answer, time));
        text += &line(record("gap", times, nobody(), no_figures(), cause));
    }
    text += &by_hand(answer, figure_columns.len());
    for note in &answer.notes {
        text += &line(record("note", period.clone(), nobody(), no_figures(), note));
    }
    text
}

/// A restriction of the question, in its column.
fn filter(dimension: Dimension, text: &str) -> [String; LABELS.len()] {
    let mut label = [const { String::new() }; LABELS.len()];
    let column = LABELS.iter().position(|title| *title == dimension.name()).unwrap_or_default();
    label[column] = name(text);
    label
}

fn moment(answer: &Answer, time: SystemTime) -> String {
    Timestamp::try_from(time).map_or_else(|_| String::new(), |at| iso(at, &answer.zone))
}

fn record(
    kind: &str,
    times: [String; 2],
    label: [String; LABELS.len()],
    figures: Vec<String>,
    cause: &str,
) -> impl Iterator<Item = String> {
    let cause = name(cause);
    [kind.to_owned()].into_iter().chain(times).chain(label).chain(figures).chain([cause])
}

fn label(label: &Label) -> [String; LABELS.len()] {
    let text = |text: Option<&str>| text.map(name).unwrap_or_default();
    match label {
        Label::Others(count) => ["", "", "", "", "", "", &count.to_string()].map(str::to_owned),
        Label::One(whose) => [
            whose.uid.map(|uid| uid.to_string()).unwrap_or_default(),
            text(whose.user.as_deref()),
            text(whose.unit.as_deref()),
            text(whose.program.as_deref()),
            text(whose.class.as_deref()),
            text(whose.nobody()),
            String::new(),
        ],
    }
}

fn figure_columns(answer: &Answer) -> Vec<&'static str> {
    let mut columns = vec!["sent_bytes", "received_bytes", "total_bytes"];
    if answer.total.estimate.is_some() {
        columns.extend(["estimated_sent_bytes", "estimated_received_bytes", "estimated_total_bytes"]);
    }
    if answer.percentile.is_some() {
        columns.extend([
            "percentile_sent_bits_per_s",
            "percentile_received_bits_per_s",
            "percentile_higher_bits_per_s",
        ]);
    }
    columns
}

fn figures(figures: &Figures) -> Vec<String> {
    let mut numbers = Vec::new();
    numbers.extend(figures.estimate.into_iter().flat_map(|bytes| [bytes.sent, bytes.received, volume(bytes)]));
    numbers.extend(figures.rates.into_iter().flat_map(|rates| [rates.sent, rates.received, rates.highest()]));
    let corrected = [figures.sent(), figures.received(), figures.volume()].map(|number| number.to_string());
    corrected.into_iter().chain(numbers.iter().map(ToString::to_string)).collect()
}

/// What a person has changed: corrections, which are in the rows already, and closed months.
fn by_hand(answer: &Answer, columns: usize) -> String {
    let second = |second: i64| iso(at(second), &answer.zone);
    let sums = |sent: i64, received: i64| {
        let sums =
            [sent.into(), received.into(), i128::from(sent) + i128::from(received)].map(|sum: i128| sum.to_string());
        sums.into_iter().chain(std::iter::repeat(String::new())).take(columns).collect::<Vec<_>>()
    };
    let mut text = String::new();
    for Correction { booked, key, change, reason, .. } in &answer.corrections {
        let (day, uid) = (day_row(*booked, &answer.zone), key.uid.map(|uid| uid.to_string()).unwrap_or_default());
        let [user, class] = [key.user.as_deref(), key.class.as_deref()].map(|text| text.map(name).unwrap_or_default());
        let whose = [&uid, &user, "", "", &class, "", ""].map(str::to_owned);
        let times = [second(day.start), second(day.end)];
        text += &line(record("correction", times, whose, sums(change.sent, change.received), reason));
    }
    for Closed { seconds, sent, received, sha256, .. } in &answer.closed {
        let (times, nobody) = ([second(seconds.start), second(seconds.end)], [const { String::new() }; LABELS.len()]);
        text += &line(record("closed", times, nobody, sums(*sent, *received), sha256));
    }
    text
}

/// A name that controls no terminal and that no spreadsheet takes for a formula. In locales with a decimal comma,
/// spreadsheets separate fields with a semicolon.
pub(crate) fn name(text: &str) -> String {
    let mut name = String::with_capacity(text.len());
    let mut is_beginning = true;
    for character in printable(text).chars() {
        if is_beginning && matches!(character, '=' | '+' | '-' | '@') {
            name.push('\'');
        }
        // Some spreadsheets skip blanks and quotation marks.
        is_beginning = character == ';' || is_beginning && (character.is_whitespace() || character == '"');
        name.push(character);
    }
    name
}

/// A line of RFC 4180.
pub(crate) fn line(fields: impl Iterator<Item = String>) -> String {
    fields.map(|field| quoted(&field)).collect::<Vec<_>>().join(",") + "\r\n"
}

fn quoted(field: &str) -> String {
    if field.contains([',', ';', '"', '\r', '\n']) || field.starts_with(' ') || field.ends_with(' ') {
        format!("\"{}\"", field.replace('"', "\"\""))
    } else {
        field.to_owned()
    }
}
