//! The rows that are shown: accounts of a level added up, filtered and in order. Pure.

use std::cmp::Ordering;
use std::collections::HashMap;

use super::classes::{Filter, Shown, label};
use super::model::{Flow, MINUTE, Model, Pair};
use super::state::{Key, Level, RowKey, Sort, State};
use crate::container;
use crate::figure::printable;
use crate::status::Booked;

/// One row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// What the row stands for.
    pub key: RowKey,
    /// Its name, without characters that move a terminal's cursor.
    pub name: String,
    /// The same for its class; empty if rows are not told apart by classes.
    pub class: String,
    /// Bytes per second in the last sample.
    pub rate: Pair,
    /// Bytes per second, both directions, in each of the last samples, the newest last.
    pub minute: [u64; MINUTE],
    /// Bytes of this day, if they are known.
    pub today: Option<Pair>,
    /// Bytes of this month, if they are known.
    pub month: Option<Pair>,
}

/// What is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// What its rows are.
    pub level: Level,
    /// The rows in their order.
    pub rows: Vec<Row>,
    /// Their sums.
    pub total: Row,
    /// The names of the rows that were entered.
    pub path: Vec<String>,
}

/// What `state` shows of `model`.
#[must_use]
pub fn table(model: &Model, state: &State) -> Table {
    let levels = Level::of(&model.hello.by);
    let level = levels.get(state.path.len()).or(levels.last()).copied().unwrap_or(Level::User);
    let filter = Filter::new(&state.filter);
    let mut rows: HashMap<RowKey, Row> = HashMap::new();
    let is_within = |flow: &&Flow| {
        let class = flow.class.as_deref();
        let is_within = |row: &RowKey| row.key == key_of(flow, key_level(&row.key)) && is_of_class(row, class);
        is_shown(class, model, state, &filter) && state.path.iter().all(is_within)
    };
    for flow in model.flows.values().filter(is_within) {
        let key = row_key(key_of(flow, level), flow.class.as_deref(), state);
        let row = rows.entry(key).or_insert_with_key(|key| empty(key, Some(flow), model));
        row.rate = add(row.rate, flow.rate(model.count));
        flow.add_minute(model.count, &mut row.minute);
    }
    if model.date.is_some() && level != Level::Process {
        add_booked(model, state, level, &filter, &mut rows);
    }
    let is_shown = |row: &Row| filter.shows_name(&row.title()) && !is_over(row, level);
    let mut rows: Vec<_> = rows.into_values().filter(is_shown).collect();
    order(&mut rows, state);
    let path = state.path.iter().map(|row| empty(row, None, model).title()).collect();
    Table { level, total: total(&rows), rows, path }
}

impl Row {
    /// Its name, with that of its class.
    #[must_use]
    pub fn title(&self) -> String {
        format!("{} {}", self.name, self.class).trim_end().to_owned()
    }
}

/// The row of `key` that bytes of `class` belong to.
fn row_key(key: Key, class: Option<&str>, state: &State) -> RowKey {
    RowKey { key, class: (state.classes == Shown::Apart).then(|| class.unwrap_or_default().to_owned()) }
}

fn is_of_class(row: &RowKey, class: Option<&str>) -> bool {
    row.class.as_deref().is_none_or(|only| only == class.unwrap_or_default())
}

fn is_shown(class: Option<&str>, model: &Model, state: &State, filter: &Filter) -> bool {
    state.classes.shows(class, &model.hello.classes) && filter.shows_class(class)
}

/// An ended row stays for a minute, or as long as it has bytes of today or this month.
fn is_over(row: &Row, level: Level) -> bool {
    let is_idle = row.minute.iter().all(|rate| *rate == 0);
    let none_today = row.today.is_none_or(|today| today == [0; 2]);
    // Other rows are few, and stay with what they moved this month.
    is_idle && none_today && (level == Level::Process || row.month.is_none_or(|month| month == [0; 2]))
}

fn add_booked(model: &Model, state: &State, level: Level, filter: &Filter, rows: &mut HashMap<RowKey, Row>) {
    for row in rows.values_mut() {
        (row.today, row.month) = (Some([0; 2]), Some([0; 2]));
    }
    let is_within = |booked: &&Booked| {
        let class = booked.class.as_deref();
        let is_within = |row: &RowKey| row.key == booked_key(booked, key_level(&row.key)) && is_of_class(row, class);
        is_shown(class, model, state, filter) && state.path.iter().all(is_within)
    };
    for booked in model.booked.iter().filter(is_within) {
        let key = row_key(booked_key(booked, level), booked.class.as_deref(), state);
        let row = rows.entry(key).or_insert_with_key(|key| empty(key, None, model));
        let sum = |known: Option<Pair>, more| Some(add(known.unwrap_or_default(), more));
        row.today = sum(row.today, [booked.sent_bytes_today, booked.received_bytes_today]);
        row.month = sum(row.month, [booked.sent_bytes_month, booked.received_bytes_month]);
    }
}

const fn key_level(key: &Key) -> Level {
    match key {
        Key::User(_) => Level::User,
        Key::Unit(_) => Level::Unit,
        Key::Program(_) => Level::Program,
        Key::Process(_) => Level::Process,
    }
}

fn key_of(flow: &Flow, level: Level) -> Key {
    match level {
        Level::User => Key::User(flow.whose.clone()),
        Level::Unit => Key::Unit(flow.unit.clone()),
        Level::Program => Key::Program(flow.program.clone()),
        Level::Process => Key::Process(flow.process),
    }
}

fn booked_key(row: &Booked, level: Level) -> Key {
    match level {
        Level::User => Key::User(Model::whose(row)),
        Level::Unit => Key::Unit(row.unit.clone()),
        Level::Program => Key::Program(row.program.clone()),
        Level::Process => Key::Process(None),
    }
}

/// The name of a key. A process has its program's name too; a container has its own, if that of `flow` is known.
fn key_name(key: &Key, flow: Option<&Flow>, model: &Model) -> String {
    let program = flow.and_then(|flow| flow.program.as_deref());
    let name = match key {
        Key::User(whose) => model.name(whose),
        Key::Unit(Some(unit)) => container::told(unit, flow.and_then(|flow| flow.container.as_deref())).into_owned(),
        Key::Program(Some(name)) => name.clone(),
        Key::Process(Some((pid, _))) => format!("{pid} {}", program.unwrap_or_default()).trim_end().to_owned(),
        Key::Unit(None) | Key::Program(None) | Key::Process(None) => "(not known)".to_owned(),
    };
    printable(&name)
}

fn empty(key: &RowKey, flow: Option<&Flow>, model: &Model) -> Row {
    let name = key_name(&key.key, flow, model);
    let class = key.class.as_deref().map_or_else(String::new, |class| label(class, &model.hello.classes));
    Row { key: key.clone(), name, class, rate: [0; 2], minute: [0; MINUTE], today: None, month: None }
}

fn add(one: Pair, other: Pair) -> Pair {
    std::array::from_fn(|place| one[place].saturating_add(other[place]))
}

/// Both directions.
#[must_use]
pub const fn sum([sent, received]: Pair) -> u64 {
    sent.saturating_add(received)
}

fn total(rows: &[Row]) -> Row {
    let mut total = Row {
        key: RowKey { key: Key::Process(None), class: None },
        name: "total".to_owned(),
        class: String::new(),
        rate: [0; 2],
        minute: [0; MINUTE],
        today: None,
        month: None,
    };
    for row in rows {
        total.rate = add(total.rate, row.rate);
        total.minute.iter_mut().zip(row.minute).for_each(|(sum, rate)| *sum = sum.saturating_add(rate));
        let sum =
            |known: Option<Pair>, more: Option<Pair>| more.map(|more| add(known.unwrap_or_default(), more)).or(known);
        (total.today, total.month) = (sum(total.today, row.today), sum(total.month, row.month));
    }
    total
}

/// Puts the greatest first; equal rows are ordered by today's bytes, then by name.
fn order(rows: &mut [Row], state: &State) {
    rows.sort_by(|one, other| {
        let order = compare(one, other, state.sort);
        let order = if state.is_reversed { order.reverse() } else { order };
        order.then_with(|| compare(one, other, Sort::Today)).then_with(|| compare(one, other, Sort::Name))
    });
    if let Some(frozen) = &state.frozen {
        let places: HashMap<_, _> = frozen.iter().zip(0..).collect();
        // Rows that came later are behind the others, in order.
        rows.sort_by_key(|row| places.get(&row.key).copied().unwrap_or(usize::MAX));
    }
}

fn compare(one: &Row, other: &Row, sort: Sort) -> Ordering {
    let of_day = |pair: Option<Pair>| pair.map_or(0, sum);
    match sort {
        Sort::Rate => sum(other.rate).cmp(&sum(one.rate)),
        Sort::Sent => other.rate[0].cmp(&one.rate[0]),
        Sort::Received => other.rate[1].cmp(&one.rate[1]),
        Sort::Today => of_day(other.today).cmp(&of_day(one.today)),
        Sort::Month => of_day(other.month).cmp(&of_day(one.month)),
        Sort::Name => one.name.cmp(&other.name).then_with(|| one.key.cmp(&other.key)),
    }
}

#[cfg(test)]
mod tests;
