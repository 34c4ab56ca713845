//! One row of the screen: which columns there is room for, and what they contain. Pure.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};

use super::model::{MINUTE, Pair};
use super::rows::{Row, Table, sum};
use super::screen::{Look, View};
use crate::figure::scaled;

/// Which columns there is room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Columns {
    name: u16,
    /// 0 if rows are not told apart by classes, or only the name column has room for them.
    class: u16,
    /// Both directions in one column, if there is no room for two.
    is_one_rate: bool,
    has_today: bool,
    has_month: bool,
    minute: u16,
}

/// Width of a rate: `999 Mbit/s` and a blank before it.
const RATE: u16 = 11;
/// Width of bytes: `1.23 GB` and two blanks before it.
const BYTES: u16 = 9;
/// Least width of a class: `class` and two blanks before it.
const MIN_CLASS: u16 = 7;
const MAX_CLASS: u16 = 20;
const MIN_NAME: u16 = 14;
pub(super) const MAX_NAME: u16 = 40;

impl Columns {
    pub(super) fn of(width: u16, table: &Table) -> Self {
        let class = table.rows.iter().filter(|row| !row.class.is_empty()).map(|row| text_width(&row.class) + 2).max();
        let class = class.map_or(0, |width| width.clamp(MIN_CLASS, MAX_CLASS));
        let is_one_rate = width < 8 + 2 * RATE + class;
        let mut left = width.saturating_sub(if is_one_rate { RATE } else { 2 * RATE });
        let class = if left >= 8 + class { class } else { 0 };
        left -= class;
        let mut take = |is_wanted: bool, room: u16| {
            let is_taken = is_wanted && left >= MIN_NAME + room;
            left -= if is_taken { room } else { 0 };
            is_taken
        };
        let has_today = take(table.total.today.is_some(), BYTES);
        let has_month = take(table.total.month.is_some(), BYTES);
        // A blank, and a bar for one or more samples.
        let minute = [60_u16, 30, 20, 15, 12].into_iter().find(|bars| take(true, bars + 1)).map_or(0, |bars| bars + 1);
        Self { name: left.min(MAX_NAME), class, is_one_rate, has_today, has_month, minute }
    }

    fn cells<'a>(self, rates: &'a [String; 3], bytes: [Option<&'a str>; 2], bars: &'a str) -> Vec<(u16, &'a str)> {
        let [sent, received, both] = rates;
        let mut cells = if self.is_one_rate {
            vec![(RATE, both.as_str())]
        } else {
            vec![(RATE, sent.as_str()), (RATE, received.as_str())]
        };
        if self.minute > 0 {
            cells.push((self.minute, bars));
        }
        cells.extend(self.has_today.then(|| (BYTES, bytes[0].unwrap_or("-"))));
        cells.extend(self.has_month.then(|| (BYTES, bytes[1].unwrap_or("-"))));
        cells
    }

    pub(super) fn titles(self, buffer: &mut Buffer, area: Rect, line: u16, view: View<'_>) {
        let style = Style::new().add_modifier(Modifier::UNDERLINED);
        let rates = ["sent/s", "received/s", "both/s"].map(str::to_owned);
        let name = [view.table.level.name(), "class"];
        self.put_cells(buffer, area, line, name, &self.cells(&rates, [Some("today"), Some("month")], "minute"), style);
    }

    #[expect(clippy::too_many_arguments, reason = "a row, where it is, and how it looks")]
    pub(super) fn row(
        self,
        buffer: &mut Buffer,
        area: Rect,
        line: u16,
        row: &Row,
        is_bits: bool,
        style: Style,
        look: Look,
    ) {
        let [sent, received] = row.rate;
        let rates = [sent, received, sum(row.rate)].map(|rate| rate_text(rate, is_bits));
        let bytes = [row.today, row.month].map(|pair: Option<Pair>| pair.map(|pair| scaled(sum(pair), "B", false)));
        let bars = bars(&row.minute, self.minute.saturating_sub(1));
        let bytes = [bytes[0].as_deref(), bytes[1].as_deref()];
        let title = row.title();
        let name = if self.class == 0 { &title } else { &row.name };
        self.put_cells(buffer, area, line, [name, &row.class], &self.cells(&rates, bytes, &bars), style);
        if self.minute > 0 {
            let x = area.x + self.name + self.class + if self.is_one_rate { RATE } else { 2 * RATE };
            let bars = Rect { x, width: self.minute, y: area.y + line, height: 1 };
            buffer.set_style(bars.intersection(area), look.coloured(Color::Cyan, Modifier::empty()));
        }
    }

    /// The names of a row and of its class to the left, and cells to the right of them.
    fn put_cells(
        self,
        buffer: &mut Buffer,
        area: Rect,
        line: u16,
        [name, class]: [&str; 2],
        cells: &[(u16, &str)],
        style: Style,
    ) {
        let name_area = Rect { width: self.name.min(area.width), ..area };
        put(buffer, name_area, line, name, style);
        if self.class > 0 {
            let class_area = Rect { x: area.x + self.name + 2, width: self.class - 2, ..area };
            put(buffer, class_area.intersection(area), line, class, style);
        }
        let mut x = self.name + self.class;
        for (width, text) in cells {
            let shift = width.saturating_sub(text_width(text));
            let left = area.width.saturating_sub(x + shift);
            put(buffer, Rect { x: area.x + x + shift, width: left, ..area }, line, text, style);
            x += width;
        }
        buffer.set_style(Rect { y: area.y + line, height: 1, ..area }.intersection(area), style);
    }
}

/// One line of text, as much of it as there is room for.
pub(super) fn put(buffer: &mut Buffer, area: Rect, line: u16, text: &str, style: Style) {
    if line < area.height && area.width > 0 {
        buffer.set_stringn(area.x, area.y + line, text, usize::from(area.width), style);
    }
}

pub(super) fn text_width(text: &str) -> u16 {
    u16::try_from(text.chars().count()).unwrap_or(u16::MAX)
}

/// Bytes per second for people.
pub fn rate_text(rate: u64, is_bits: bool) -> String {
    if is_bits { scaled(rate.saturating_mul(8), "bit/s", false) } else { scaled(rate, "B/s", false) }
}

/// A minute in `count` bars; the tallest is the greatest rate.
fn bars(minute: &[u64; MINUTE], count: u16) -> String {
    const BARS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    if count == 0 {
        return String::new();
    }
    let each = MINUTE / usize::from(count);
    let rates: Vec<u64> = minute.chunks(each).map(|part| part.iter().copied().max().unwrap_or(0)).collect();
    let greatest = rates.iter().copied().max().unwrap_or(0).max(1);
    let bar = |rate: u64| {
        let eighths = (u128::from(rate) * 8).div_ceil(u128::from(greatest));
        BARS[usize::try_from(eighths).unwrap_or(8).min(8)]
    };
    rates.into_iter().map(bar).collect()
}
