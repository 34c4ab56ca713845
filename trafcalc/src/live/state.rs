//! What the user chose to see, and how each key changes it. Pure.

use std::time::SystemTime;

use super::classes::Shown;
use super::model::Whose;
use crate::status::ClassOf;

/// What rows are told apart by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Users.
    User,
    /// Units of one user.
    Unit,
    /// Programs of one unit, or of one user.
    Program,
    /// Processes of one program.
    Process,
}

impl Level {
    /// The levels of a service that tells accounts apart by `by`.
    #[must_use]
    pub fn of(by: &[impl AsRef<str>]) -> Vec<Self> {
        let tells = |word| by.iter().any(|known| known.as_ref() == word);
        let levels = [
            (Self::User, true),
            (Self::Unit, tells("unit")),
            (Self::Program, tells("program") || tells("process")),
            (Self::Process, tells("process")),
        ];
        levels.into_iter().filter(|level| level.1).map(|level| level.0).collect()
    }

    /// The word for one of its rows.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Unit => "unit",
            Self::Program => "program",
            Self::Process => "process",
        }
    }

    /// The word for its rows.
    #[must_use]
    pub const fn plural(self) -> &'static str {
        match self {
            Self::User => "users",
            Self::Unit => "units",
            Self::Program => "programs",
            Self::Process => "processes",
        }
    }
}

/// What a row stands for; `None` means unknown.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Key {
    /// A user.
    User(Whose),
    /// A unit.
    Unit(Option<String>),
    /// A program.
    Program(Option<String>),
    /// A process, by its number and start.
    Process(Option<(u32, Option<SystemTime>)>),
}

/// A row.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RowKey {
    /// What the row stands for.
    pub key: Key,
    /// The only class whose bytes it has, if rows are told apart by classes; empty if unknown.
    pub class: Option<String>,
}

/// The order of rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sort {
    /// By bytes sent and received now.
    #[default]
    Rate,
    /// By bytes sent now.
    Sent,
    /// By bytes received now.
    Received,
    /// By today's bytes.
    Today,
    /// By this month's bytes.
    Month,
    /// By name, from A to Z.
    Name,
}

impl Sort {
    const fn next(self) -> Self {
        match self {
            Self::Rate => Self::Sent,
            Self::Sent => Self::Received,
            Self::Received => Self::Today,
            Self::Today => Self::Month,
            Self::Month => Self::Name,
            Self::Name => Self::Rate,
        }
    }

    /// The word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rate => "rate",
            Self::Sent => "sent/s",
            Self::Received => "received/s",
            Self::Today => "today",
            Self::Month => "month",
            Self::Name => "name",
        }
    }
}

/// What the user chose.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
pub struct State {
    /// The order.
    pub sort: Sort,
    /// The order is reversed.
    pub is_reversed: bool,
    /// Rows stay in this order.
    pub frozen: Option<Vec<RowKey>>,
    /// The screen is not updated.
    pub is_paused: bool,
    /// The text that selects rows.
    pub filter: String,
    /// The filter is being typed.
    pub is_typing: bool,
    /// The rows that were entered.
    pub path: Vec<RowKey>,
    /// The row that is chosen.
    pub cursor: Option<RowKey>,
    /// Which classes are shown.
    pub classes: Shown,
    /// Rates are shown in bits.
    pub is_bits: bool,
    /// The help is shown.
    pub is_help: bool,
    /// The user wants to quit.
    pub is_over: bool,
}

/// A key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Press {
    /// One row up.
    Up,
    /// One row down.
    Down,
    /// One screen up.
    PageUp,
    /// One screen down.
    PageDown,
    /// To the first row.
    Home,
    /// To the last row.
    End,
    /// Into the row.
    Enter,
    /// Out of it; while typing, deletes a character.
    Back,
    /// Clears the filter, or out of the row.
    Escape,
    /// A character.
    Char(char),
    /// Ctrl-C.
    Interrupt,
}

/// What is on the screen when a key is pressed.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// The rows in their order.
    pub rows: &'a [RowKey],
    /// How many levels there are.
    pub levels: usize,
    /// The classes of the service.
    pub classes: &'a [ClassOf],
    /// How many rows there is room for.
    pub page: usize,
}

impl State {
    /// The state after a key was pressed.
    #[must_use]
    pub fn press(mut self, press: Press, seen: Seen<'_>) -> Self {
        match press {
            Press::Interrupt => self.is_over = true,
            // Any key closes the help.
            _ if self.is_help => self.is_help = false,
            Press::Up => self.step(-1, seen),
            Press::Down => self.step(1, seen),
            Press::PageUp => self.step(-signed(seen.page), seen),
            Press::PageDown => self.step(signed(seen.page), seen),
            Press::Home => self.cursor = seen.rows.first().cloned(),
            Press::End => self.cursor = seen.rows.last().cloned(),
            _ if self.is_typing => self.type_filter(press),
            Press::Enter => self.enter(seen),
            Press::Back => self.leave(),
            Press::Escape if self.filter.is_empty() => self.leave(),
            Press::Escape => self.filter.clear(),
            Press::Char(character) => self.command(character, seen),
        }
        self
    }

    fn command(&mut self, character: char, seen: Seen<'_>) {
        match character {
            'q' => self.is_over = true,
            's' => self.sort = self.sort.next(),
            'r' => self.is_reversed = !self.is_reversed,
            'f' => self.frozen = if self.frozen.is_some() { None } else { Some(seen.rows.to_vec()) },
            'p' | ' ' => self.is_paused = !self.is_paused,
            'b' => self.is_bits = !self.is_bits,
            'c' => (self.classes, self.frozen) = (self.classes.next(seen.classes), None),
            '/' => self.is_typing = true,
            '?' | 'h' => self.is_help = true,
            'j' => self.step(1, seen),
            'k' => self.step(-1, seen),
            _ => {}
        }
    }

    fn type_filter(&mut self, press: Press) {
        match press {
            Press::Char(character) if !character.is_control() => self.filter.push(character),
            Press::Back => {
                self.filter.pop();
            }
            Press::Escape => {
                self.filter.clear();
                self.is_typing = false;
            }
            Press::Enter => self.is_typing = false,
            _ => {}
        }
    }

    /// Moves the cursor down by this many rows.
    fn step(&mut self, rows: isize, seen: Seen<'_>) {
        let place = self.cursor.as_ref().and_then(|cursor| seen.rows.iter().position(|row| row == cursor));
        let place = match place {
            Some(place) => place.saturating_add_signed(rows),
            None if rows < 0 => seen.rows.len(),
            None => 0,
        };
        self.cursor = seen.rows.get(place.min(seen.rows.len().saturating_sub(1))).cloned();
    }

    fn enter(&mut self, seen: Seen<'_>) {
        let is_last = self.path.len() + 1 >= seen.levels;
        if let Some(cursor) = self.cursor.take_if(|cursor| !is_last && seen.rows.contains(cursor)) {
            self.path.push(cursor);
            (self.filter, self.frozen) = (String::new(), None);
        }
    }

    fn leave(&mut self) {
        if let Some(row) = self.path.pop() {
            self.cursor = Some(row);
            (self.filter, self.frozen) = (String::new(), None);
        }
    }
}

fn signed(rows: usize) -> isize {
    isize::try_from(rows.max(1)).unwrap_or(isize::MAX)
}

#[cfg(test)]
mod tests;
