//! An answer as a table for people. Pure.

use std::fmt::Write as _;

use jiff::Timestamp;

use super::names::{Names, TOTAL, labelled};
use super::rows::volume;
use super::times::{moment, name};
use super::{Answer, Dimension, Each, Figures, Row, columns, corrections};
use crate::book::Gap;
use crate::capture::Bytes;
use crate::figure::{length, printable, scaled, signed};

/// Most gaps that are listed one by one.
const MAX_GAPS: usize = 5;

/// The answer as a table: the question, the rows, their sum, and the gaps.
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
            Line::Cells(cells) => text += &columns::padded(cells, &widths, answer.by.len()),
        }
    }
    text + "\n" + &gaps(answer) + &by_hand(answer, is_exact)
}

/// What a person has changed in the figures.
fn by_hand(answer: &Answer, is_exact: bool) -> String {
    let count = answer.corrections.len();
    let mut text = match count {
        0 => String::new(),
        1 => "1 correction is in these figures:\n".to_owned(),
        _ => format!("{count} corrections are in these figures:\n"),
    };
    for correction in &answer.corrections {
        let _ = writeln!(text, "  {}", printable(&corrections::sentence(correction, is_exact)));
    }
    for closed in &answer.closed {
        let _ = writeln!(
            text,
            "{}",
            printable(&corrections::closed_sentence(closed, &answer.period, &answer.zone, is_exact))
        );
    }
    text
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

/// For example: user "ada" or "bob".
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
    let corrected = [figures.sent(), figures.received(), figures.volume()];
    let mut cells = corrected.map(|value| signed(value, "B", is_exact)).to_vec();
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
    columns::widths(lines.iter().filter_map(|line| if let Line::Cells(cells) = line { Some(&cells[..]) } else { None }))
}

fn gaps(answer: &Answer) -> String {
    let gaps = &answer.gaps;
    let count = gaps.0.len();
    if count == 0 && answer.is_doubtful {
        return "No gaps, but see the notes above.\n".to_owned();
    }
    if count == 0 && answer.counted.is_empty() {
        // The first line already says so.
        return String::new();
    }
    if count == 0 {
        let is_all = answer.counted == answer.period;
        let said =
            if is_all { "No gaps. All of this time was counted." } else { "No gaps in the part that was counted." };
        return format!("{said}\n");
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
