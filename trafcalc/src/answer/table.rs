//! An answer for people. Pure.

use std::fmt::Write as _;

use jiff::Timestamp;

use super::figure::{length, printable, scaled};
use super::names::{Names, TOTAL, labelled};
use super::rows::volume;
use super::times::{moment, name};
use super::{Answer, Dimension, Each, Figures, Row};
use crate::book::Gap;
use crate::capture::Bytes;

/// Most gaps that are told one by one.
const MAX_GAPS: usize = 5;

/// The answer as a table: what is asked, the rows, their sum, and the gaps.
pub(super) fn table(answer: &Answer, is_exact: bool) -> String {
    let mut text = heading(answer);
    let lines = lines(answer, is_exact);
    let widths = widths(&lines);
    for line in &lines {
        match line {
            Line::Blank => text.push('\n'),
            Line::Part(part) => {
                let _ = writeln!(text, "\n{part}");
            }
            Line::Cells(cells) => text += &padded(cells, &widths, answer.by.len()),
        }
    }
    text + "\n" + &gaps(answer)
}

fn heading(answer: &Answer) -> String {
    let Answer { period, counted, zone, .. } = answer;
    let (from, to) = (moment(period.start, zone), moment(period.end, zone));
    let mut text = format!("{from} to {to} ({})", printable(&name(zone, period.start)));
    if counted.is_empty() {
        text += ", nothing of it counted";
    } else if counted.end < period.end {
        let _ = write!(text, ", counted until {}", moment(counted.end, zone));
    }
    text.push('\n');
    let only: Vec<_> = answer.only.lists().map(|(dimension, names)| only(dimension, names)).collect();
    if !only.is_empty() {
        let _ = writeln!(text, "Only {}.", only.join(" and "));
    }
    for note in &answer.notes {
        let _ = writeln!(text, "{}", printable(note));
    }
    text + "\n"
}

/// As in: user "ada" or "bob".
fn only(dimension: Dimension, names: &[String]) -> String {
    let names: Vec<_> = names.iter().map(|name| format!("\"{}\"", printable(name))).collect();
    format!("{} {}", dimension.name(), names.join(" or "))
}

enum Line {
    Blank,
    /// The heading of a part of the period.
    Part(String),
    Cells(Vec<String>),
}

fn lines(answer: &Answer, is_exact: bool) -> Vec<Line> {
    let mut lines = vec![Line::Cells(titles(answer))];
    let mut part = None;
    let names = Names::of(answer);
    for row in &answer.rows {
        if let Some(each) = answer.each
            && part != Some(row.part.start)
        {
            part = Some(row.part.start);
            lines.push(Line::Part(part_name(answer, row, each)));
        }
        lines.push(Line::Cells(names.cells(&row.label).into_iter().chain(figures(&row.figures, is_exact)).collect()));
    }
    if answer.each.is_some() {
        lines.push(Line::Blank);
    }
    let total = labelled(TOTAL, answer.by.len());
    lines.push(Line::Cells(total.into_iter().chain(figures(&answer.total, is_exact)).collect()));
    lines
}

fn titles(answer: &Answer) -> Vec<String> {
    let mut titles: Vec<String> = answer.by.iter().map(|dimension| dimension.name().to_owned()).collect();
    titles.extend(["sent", "received", "total"].map(str::to_owned));
    if answer.total.estimate.is_some() {
        titles.extend(["sent at end", "received at end", "total at end"].map(str::to_owned));
    }
    if let Some(percent) = answer.percentile {
        titles.extend(["sent", "received", "higher"].map(|what| format!("p{percent} {what}")));
    }
    titles
}

fn figures(figures: &Figures, is_exact: bool) -> Vec<String> {
    let bytes = |bytes: Bytes| [bytes.sent, bytes.received, volume(bytes)].map(|value| scaled(value, "B", is_exact));
    let mut cells = bytes(figures.bytes).to_vec();
    cells.extend(figures.estimate.into_iter().flat_map(bytes));
    cells.extend(
        figures.rates.into_iter().flat_map(|rates| {
            [rates.sent, rates.received, rates.highest()].map(|value| scaled(value, "bit/s", is_exact))
        }),
    );
    cells
}

fn part_name(answer: &Answer, row: &Row, each: Each) -> String {
    let begin = moment(row.part.start, &answer.zone);
    match each {
        Each::Hour => begin,
        Each::Day => begin.chars().take("2026-11-03".len()).collect(),
        Each::Month => format!("{begin} to {}", moment(row.part.end, &answer.zone)),
    }
}

fn widths(lines: &[Line]) -> Vec<usize> {
    let mut widths = Vec::new();
    for line in lines {
        let Line::Cells(cells) = line else { continue };
        widths.resize(cells.len(), 0);
        for (width, cell) in widths.iter_mut().zip(cells) {
            *width = cell.chars().count().max(*width);
        }
    }
    widths
}

/// Names to the left, numbers to the right.
fn padded(cells: &[String], widths: &[usize], names: usize) -> String {
    let mut line = String::new();
    for (column, (cell, width)) in cells.iter().zip(widths).enumerate() {
        let gap = if column == 0 { "" } else { "  " };
        let _ = if column < names { write!(line, "{gap}{cell:<width$}") } else { write!(line, "{gap}{cell:>width$}") };
    }
    line.push('\n');
    line
}

fn gaps(answer: &Answer) -> String {
    let gaps = &answer.gaps;
    let count = gaps.0.len();
    if count == 0 && answer.is_doubtful {
        return "No gaps; what else is known of this time is told above.\n".to_owned();
    }
    if count == 0 {
        let counted =
            if answer.counted == answer.period { "All of this time" } else { "All of it that is in the book" };
        return format!("No gaps. {counted} was counted.\n");
    }
    let mut text = format!("{count} {}, {} in all", if count == 1 { "gap" } else { "gaps" }, length(gaps.length()));
    text += if count > MAX_GAPS { "; the longest:\n" } else { ":\n" };
    for Gap { from, to, cause } in gaps.longest(MAX_GAPS) {
        let said = |at: std::time::SystemTime| {
            let at = Timestamp::try_from(at).map_or(0, Timestamp::as_second);
            moment(at, &answer.zone)
        };
        let lasted = length(to.duration_since(*from).unwrap_or_default());
        let _ = writeln!(text, "  {} to {} ({lasted}): {}", said(*from), said(*to), printable(cause));
    }
    text
}
