//! The screen at any size. Pure: what is drawn follows from its arguments.

use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};

use super::columns::{Columns, put, rate_text, text_width};
use super::model::Model;
use super::rows::{Table, sum};
use super::state::State;
use crate::figure::printable;
use crate::report::Summary;
use crate::status;

/// How it looks.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    /// Use colours; otherwise only bold, dim and reversed text.
    pub has_colour: bool,
}

impl Look {
    pub(super) fn coloured(self, colour: Color, or: Modifier) -> Style {
        if self.has_colour { Style::new().fg(colour) } else { Style::new().add_modifier(or) }
    }
}

/// What is shown.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// What is known.
    pub model: &'a Model,
    /// What the user chose.
    pub state: &'a State,
    /// What follows from both.
    pub table: &'a Table,
    /// Why the service cannot be followed, if so.
    pub lost: Option<&'a str>,
}

/// What the keys do.
const HELP: [&str; 17] = [
    "q, Ctrl-C    quit",
    "up, down     choose a row (k, j; page up and down, home, end)",
    "Enter        into the row: user, unit, program, process",
    "Backspace    out of it",
    "s            next order: rate, sent/s, received/s, today, month, name",
    "r            the other way round",
    "f            freeze the order of rows",
    "p, space     pause",
    "/            show rows with a text; class:lan those of a class; Escape shows all",
    "c            classes: each in rows of its own, one alone, the billed ones",
    "b            rates in bit/s or in B/s",
    "?            this",
    "",
    "Rates are of the last second. The bars are a minute, each row on its",
    "own scale. Today and month are sent and received together, as in the",
    "book. Rows that ended stay for a minute, or as long as the month. Behind a",
    "class, $ says that it is billed.",
];

const KEYS: &str = "q quit  ? help  Enter into  Backspace out  / filter  s sort  r reverse  p pause  f freeze  b bits";
const KEYS_WITH_CLASSES: &str =
    "q quit  ? help  c classes  Enter into  Backspace out  / filter  s sort  r reverse  p pause  f freeze  b bits";

/// With fewer lines, only the head and rows have room.
const SMALL_HEIGHT: u16 = 8;

/// How many rows there is room for.
#[must_use]
pub fn page(height: u16) -> usize {
    usize::from(height.saturating_sub(if height < SMALL_HEIGHT { 1 } else { 6 }).max(1))
}

/// Draws the screen.
pub fn draw(frame: &mut Frame<'_>, view: View<'_>, look: Look) {
    let area = frame.area();
    if area.is_empty() {
        return;
    }
    let buffer = frame.buffer_mut();
    head(buffer, area, view, look);
    if view.state.is_help {
        let lines = area.height.saturating_sub(2);
        for (line, text) in (2..).zip(HELP).take(usize::from(lines)) {
            put(buffer, area, line, text, Style::new());
        }
        return;
    }
    let is_small = area.height < SMALL_HEIGHT;
    let columns = Columns::of(area.width, view.table);
    let first = if is_small {
        1
    } else {
        notes(buffer, area, view, look);
        put(buffer, area, 2, &place(view), Style::new());
        columns.titles(buffer, area, 3, view);
        4
    };
    let room = page(area.height);
    let chosen = view.state.cursor.as_ref();
    let chosen = chosen.and_then(|cursor| view.table.rows.iter().position(|row| row.key == *cursor));
    let skipped = chosen.map_or(0, |place| (place + 1).saturating_sub(room));
    for (line, (number, row)) in (first..).zip(view.table.rows.iter().enumerate().skip(skipped).take(room)) {
        let is_idle = sum(row.rate) == 0;
        let style = if is_idle { Style::new().add_modifier(Modifier::DIM) } else { Style::new() };
        let style = if chosen == Some(number) { style.add_modifier(Modifier::REVERSED) } else { style };
        columns.row(buffer, area, line, row, view.state.is_bits, style, look);
    }
    if !is_small {
        let bold = Style::new().add_modifier(Modifier::BOLD);
        columns.row(buffer, area, area.height - 2, &view.table.total, view.state.is_bits, bold, look);
        let keys = if view.model.hello.classes.is_empty() { KEYS } else { KEYS_WITH_CLASSES };
        put(buffer, area, area.height - 1, keys, look.coloured(Color::DarkGray, Modifier::DIM));
    }
}

/// The service, and the total rates.
fn head(buffer: &mut Buffer, area: Rect, view: View<'_>, look: Look) {
    let summary = view.model.summary.as_ref();
    let backend = summary.map_or_else(|| printable(&view.model.hello.backend), status::backend);
    let bold = look.coloured(Color::Cyan, Modifier::BOLD);
    put(buffer, area, 0, &format!("trafcalc {}  {backend}", printable(&view.model.hello.version)), bold);
    let [sent, received] = view.table.total.rate.map(|rate| rate_text(rate, view.state.is_bits));
    let rates = format!("  sent {sent}  received {received}");
    let width = text_width(&rates).min(area.width);
    put(buffer, Rect { x: area.x + area.width - width, width, ..area }, 0, &rates, Style::new());
}

/// How far the figures can be trusted, and what is unusual.
fn notes(buffer: &mut Buffer, area: Rect, view: View<'_>, look: Look) {
    let State { is_paused, frozen, .. } = view.state;
    let mut words: Vec<String> = view.lost.map(|why| format!("not heard: {}", printable(why))).into_iter().collect();
    let troubles = view.model.summary.as_ref().map(Summary::troubles).unwrap_or_default();
    let is_well = words.is_empty() && troubles.is_empty();
    if let Some(uid) = view.model.hello.only_uid {
        words.push(format!("you see yourself (user {uid}) alone"));
    } else if troubles.is_empty() {
        words.push("healthy".to_owned());
    }
    words.extend(troubles);
    words.extend(is_paused.then(|| "paused".to_owned()));
    words.extend(frozen.as_ref().map(|_| "frozen".to_owned()));
    if view.model.dropped > 0 {
        words.push(format!("{} samples came too fast", view.model.dropped));
    }
    let style = if is_well {
        look.coloured(Color::Green, Modifier::empty())
    } else {
        look.coloured(Color::Red, Modifier::BOLD)
    };
    put(buffer, area, 1, &words.join("  "), style);
}

/// The rows' path, order and filter.
fn place(view: View<'_>) -> String {
    let State { sort, is_reversed, filter, is_typing, classes, .. } = view.state;
    let mut words: Vec<String> = view.table.path.clone();
    words.push(format!(
        "{} by {}{}",
        view.table.level.plural(),
        sort.name(),
        if *is_reversed { ", reversed" } else { "" }
    ));
    let mut place = words.join(" > ");
    place.extend(classes.text(&view.model.hello.classes).map(|text| format!(", {text}")));
    if *is_typing || !filter.is_empty() {
        format!("{place}, with \"{}{}\"", printable(filter), if *is_typing { "_" } else { "" })
    } else {
        place
    }
}

#[cfg(test)]
mod tests;
