//! An answer as a drawing: who moved how much, or, if the period is cut into parts, how much moved in each. Pure. The
//! only file of the program that uses plotters.

use std::collections::BTreeMap;
use std::ops::Range;

use jiff::Timestamp;
use plotters::coord::Shift;
use plotters::prelude::*;

use super::names::Names;
use super::parts::Parts;
use super::times::{at, moment, name};
use super::{Answer, Each, Row};
use crate::figure::{printable, scaled, signed};

const WIDTH: i32 = 1_000;
const MARGIN: i32 = 16;
const FONT: &str = "sans-serif";
/// Approximate width of a character of a label, in pixels.
const CHARACTER: i32 = 7;
/// Height of the heading's two lines.
const HEAD: i32 = 60;
const GRAY: RGBColor = RGBColor(110, 110, 110);
/// The background of gaps.
const GAP: RGBColor = RGBColor(232, 232, 232);
const SENT: RGBColor = RGBColor(70, 130, 180);
const RECEIVED: RGBColor = RGBColor(230, 150, 70);

/// The height of a row of the list, in pixels.
const ROW: i32 = 24;
/// Most rows; of the rest, only their number is shown.
const MAX_ROWS: usize = 50;
/// Where the bars of a list begin and end.
const BARS: Range<i32> = 260..760;

/// The area of the bars of parts.
const PLOT: (Range<i32>, Range<i32>) = (90..980, 84..400);
/// Most owners with a colour of their own; the rest share one.
const MAX_COLOURS: usize = 8;
/// Colours that people with colour blindness can tell apart (Okabe and Ito).
const COLOURS: [RGBColor; MAX_COLOURS] = [
    RGBColor(0, 114, 178),
    RGBColor(230, 159, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
    RGBColor(213, 94, 0),
    RGBColor(240, 228, 66),
    RGBColor(90, 90, 90),
];
const OTHERS: RGBColor = RGBColor(190, 190, 190);
/// Most labels below the bars.
const MAX_LABELS: usize = 10;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// The answer as SVG.
pub(super) fn svg(answer: &Answer) -> String {
    let mut text = String::new();
    let drawn = match answer.each {
        None => list(answer, &mut text),
        Some(each) => parts(answer, each, &mut text),
    };
    drawn.expect("memory takes a drawing");
    text
}

type Drawn = Result<(), DrawingAreaErrorKind<<SVGBackend<'static> as DrawingBackend>::ErrorType>>;

fn area(text: &mut String, height: i32) -> Area<'_> {
    SVGBackend::with_string(text, (WIDTH.unsigned_abs(), height.unsigned_abs())).into_drawing_area()
}

fn write(area: &Area<'_>, text: &str, place: (i32, i32), colour: RGBColor) -> Drawn {
    area.draw(&Text::new(text.to_owned(), place, (FONT, 13).into_font().color(&colour)))
}

fn heading(area: &Area<'_>, answer: &Answer) -> Drawn {
    let Answer { period, zone, total, .. } = answer;
    let (from, to) = (moment(period.start, zone), moment(period.end, zone));
    let title = format!("{from} to {to} ({})", printable(&name(zone, period.start)));
    area.draw(&Text::new(title, (MARGIN, 12), (FONT, 17).into_font().color(&BLACK)))?;
    let bytes = |bytes| signed(bytes, "B", false);
    let mut told = format!("{} sent, {} received", bytes(total.sent()), bytes(total.received()));
    let gaps = answer.gaps.0.len();
    if gaps > 0 {
        told = told + "; " + &gaps.to_string() + if gaps == 1 { " gap" } else { " gaps" };
    }
    write(area, &told, (MARGIN, 36), GRAY)
}

/// A name, truncated to the width.
fn fitting(text: &str, width: i32) -> String {
    let most = usize::try_from(width / CHARACTER).unwrap_or(0).max(2);
    if text.chars().count() <= most { text.to_owned() } else { text.chars().take(most - 1).chain(['…']).collect() }
}

fn label(names: &Names<'_>, row: &Row) -> String {
    let cells: Vec<_> = names.cells(&row.label).into_iter().filter(|cell| !cell.is_empty()).collect();
    cells.join(", ")
}

/// Drawings show negative sums as 0.
fn positive(bytes: i128) -> u64 {
    u64::try_from(bytes.max(0)).unwrap_or(u64::MAX)
}

/// The position of `value` between 0 and `most`, in pixels of `length`.
fn share(value: u64, most: u64, length: i32) -> i32 {
    let place = u128::from(value) * u128::from(length.unsigned_abs()) / u128::from(most.max(1));
    i32::try_from(place).unwrap_or(length)
}

/// A bar for each row: what was sent, followed by what was received.
fn list(answer: &Answer, text: &mut String) -> Drawn {
    let names = Names::of(answer);
    let rows = &answer.rows[..answer.rows.len().min(MAX_ROWS)];
    let left_out = answer.rows.len() - rows.len();
    let count = i32::try_from(rows.len()).unwrap_or(0) + i32::from(left_out > 0);
    let root = area(text, HEAD + ROW * (count + 1) + MARGIN);
    root.fill(&WHITE)?;
    heading(&root, answer)?;
    legend(&root, &[("sent".to_owned(), SENT), ("received".to_owned(), RECEIVED)], HEAD)?;
    let most = rows.iter().map(|row| positive(row.figures.volume())).max().unwrap_or(0);
    let mut top = HEAD + ROW;
    for row in rows {
        let (sent, received) = (positive(row.figures.sent()), positive(row.figures.received()));
        let middle = BARS.start + share(sent, most, BARS.end - BARS.start);
        let end = middle + share(received, most, BARS.end - BARS.start);
        write(&root, &fitting(&label(&names, row), BARS.start - 2 * MARGIN), (MARGIN, top + 2), BLACK)?;
        root.draw(&Rectangle::new([(BARS.start, top), (middle, top + ROW - 8)], SENT.filled()))?;
        root.draw(&Rectangle::new([(middle, top), (end.min(BARS.end), top + ROW - 8)], RECEIVED.filled()))?;
        write(&root, &signed(row.figures.volume(), "B", false), (BARS.end + MARGIN, top + 2), BLACK)?;
        top += ROW;
    }
    if left_out > 0 {
        write(&root, &format!("and {left_out} more"), (MARGIN, top + 2), GRAY)?;
    }
    root.present()
}

fn legend(root: &Area<'_>, entries: &[(String, RGBColor)], top: i32) -> Drawn {
    let mut left = MARGIN;
    for (name, colour) in entries {
        let name = fitting(name, 110);
        root.draw(&Rectangle::new([(left, top), (left + 10, top + 10)], colour.filled()))?;
        write(root, &name, (left + 15, top), BLACK)?;
        left += 15 + CHARACTER * i32::try_from(name.chars().count()).unwrap_or(0) + MARGIN;
    }
    Ok(())
}

/// The segments of a part's bar: colour and bytes.
type Stack = Vec<(usize, u64)>;

/// A bar for each part of the period, with segments for the owners that moved the most in the whole period.
fn parts(answer: &Answer, each: Each, text: &mut String) -> Drawn {
    let (x, y) = PLOT;
    let root = area(text, y.end + 40);
    root.fill(&WHITE)?;
    heading(&root, answer)?;
    let (colours, stacks) = stacks(answer);
    let mut entries: Vec<_> = colours.iter().cloned().zip(COLOURS).collect();
    if stacks.values().flatten().any(|(colour, _)| *colour >= entries.len()) {
        entries.push(("others".to_owned(), OTHERS));
    }
    legend(&root, &entries, HEAD)?;
    let places = Places { period: answer.period.clone(), x, y: y.clone() };
    for gap in answer.gaps.0.iter().chain(&answer.outside) {
        let [from, to] = [gap.from, gap.to].map(|at| places.x(Timestamp::try_from(at).map_or(0, Timestamp::as_second)));
        root.draw(&Rectangle::new([(from, y.start), (to.max(from + 1), y.end)], GAP.filled()))?;
    }
    let most = stacks.values().map(|stack| stack.iter().map(|(_, bytes)| *bytes).fold(0, u64::saturating_add)).max();
    let most = most.unwrap_or(0).max(1);
    grid(&root, &places, most)?;
    let mut all = Parts::new(Some(each), &answer.zone, answer.billing_day, answer.period.clone());
    let (mut second, mut begins) = (answer.period.start, Vec::new());
    while second < answer.period.end {
        let part = all.of(second);
        begins.push(part.start);
        if let Some(stack) = stacks.get(&part.start) {
            bar(&root, &places, &part, stack, most)?;
        }
        second = part.end.max(second + 1);
    }
    for begin in begins.iter().step_by(begins.len().div_ceil(MAX_LABELS).max(1)) {
        let left = places.x(*begin);
        root.draw(&PathElement::new(vec![(left, y.end), (left, y.end + 4)], GRAY))?;
        write(&root, &part_label(answer, each, *begin), (left, y.end + 8), GRAY)?;
    }
    root.draw(&PathElement::new(vec![(places.x.start, y.end), (places.x.end, y.end)], GRAY))?;
    root.present()
}

fn part_label(answer: &Answer, each: Each, begin: i64) -> String {
    let local = answer.zone.to_datetime(at(begin));
    let format = match each {
        Each::Hour => "%m-%d %H:%M",
        Each::Day => "%m-%d",
        Each::Month => "%Y-%m-%d",
    };
    local.strftime(format).to_string()
}

/// The owners with a colour, and the segments of each part's bar by the part's beginning.
fn stacks(answer: &Answer) -> (Vec<String>, BTreeMap<i64, Stack>) {
    let names = Names::of(answer);
    let mut totals: BTreeMap<String, u64> = BTreeMap::new();
    for row in &answer.rows {
        let total = totals.entry(label(&names, row)).or_default();
        *total = total.saturating_add(positive(row.figures.volume()));
    }
    let mut ranked: Vec<_> = totals.into_iter().collect();
    ranked.sort_by_key(|(_, total)| std::cmp::Reverse(*total));
    let colours: Vec<_> = ranked.into_iter().take(MAX_COLOURS).map(|(name, _)| name).collect();
    let mut stacks: BTreeMap<i64, Stack> = BTreeMap::new();
    for row in &answer.rows {
        let name = label(&names, row);
        let colour = colours.iter().position(|known| *known == name).unwrap_or(MAX_COLOURS);
        stacks.entry(row.part.start).or_default().push((colour, positive(row.figures.volume())));
    }
    for stack in stacks.values_mut() {
        stack.sort_unstable();
    }
    (colours, stacks)
}

/// Converts seconds and bytes to pixels.
struct Places {
    period: Range<i64>,
    x: Range<i32>,
    y: Range<i32>,
}

impl Places {
    fn x(&self, second: i64) -> i32 {
        let of = |second: i64| u64::try_from(second - self.period.start).unwrap_or(0);
        let second = second.clamp(self.period.start, self.period.end);
        self.x.start + share(of(second), of(self.period.end), self.x.end - self.x.start)
    }

    fn y(&self, bytes: u64, most: u64) -> i32 {
        self.y.end - share(bytes, most, self.y.end - self.y.start)
    }
}

fn bar(root: &Area<'_>, places: &Places, part: &Range<i64>, stack: &Stack, most: u64) -> Drawn {
    let (left, right) = (places.x(part.start), places.x(part.end));
    // Leaves a space between bars if there is room.
    let right = if right - left > 3 { right - 1 } else { right.max(left + 1) };
    let mut below = 0_u64;
    for (colour, bytes) in stack {
        let above = below.saturating_add(*bytes);
        let colour = COLOURS.get(*colour).copied().unwrap_or(OTHERS);
        root.draw(&Rectangle::new([(left, places.y(above, most)), (right, places.y(below, most))], colour.filled()))?;
        below = above;
    }
    Ok(())
}

/// Lines at round numbers.
fn grid(root: &Area<'_>, places: &Places, most: u64) -> Drawn {
    let step = step(most);
    for value in (0..=most / step).map(|number| number * step) {
        let top = places.y(value, most);
        root.draw(&PathElement::new(vec![(places.x.start, top), (places.x.end, top)], GRAY.mix(0.3)))?;
        let text = scaled(value, "B", false);
        let width = CHARACTER * i32::try_from(text.chars().count()).unwrap_or(0);
        write(root, &text, (places.x.start - 6 - width, top - 6), GRAY)?;
    }
    Ok(())
}

/// A round number that fits 2 to 5 times into `most`, or 1.
fn step(most: u64) -> u64 {
    let power = 10_u64.pow(most.checked_ilog10().unwrap_or(0));
    match most / power {
        5.. => power.saturating_mul(2),
        2.. => power,
        _ => (power / 2).max(1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_at_round_numbers() {
        for (most, expected) in [(1, 1), (9, 2), (10, 5), (19, 5), (20, 10), (49, 10), (50, 20), (99, 20), (1_000, 500)]
        {
            assert_eq!(step(most), expected, "{most}");
            assert!((1..=5).contains(&(most / step(most))), "{most}");
        }
        assert_eq!(step(0), 1);
        assert!(u64::MAX / step(u64::MAX) <= 5);
    }

    #[test]
    fn a_share_is_within_its_length() {
        assert_eq!([share(0, 7, 100), share(7, 7, 100), share(u64::MAX, u64::MAX, 100)], [0, 100, 100]);
        assert_eq!(fitting("abcdef", 4 * CHARACTER), "abc…");
    }
}
