//! The columns of a table that say whose bytes a row has. Pure.

use std::collections::{HashMap, HashSet};

use super::{Answer, Dimension, Label, Row, Whose};
use crate::container;
use crate::figure::printable;

/// Shown for an unknown name.
const UNKNOWN: &str = "-";
/// The label of the sum.
pub(super) const TOTAL: &str = "total";

/// The name columns, and what is needed to tell users apart.
pub(super) struct Names<'a> {
    by: &'a [Dimension],
    /// Names that several uids have.
    shared: HashSet<&'a str>,
}

impl<'a> Names<'a> {
    pub fn of(answer: &'a Answer) -> Self {
        Self { by: &answer.by, shared: shared(&answer.rows) }
    }

    /// The cells of a row.
    pub fn cells(&self, label: &Label) -> Vec<String> {
        match label {
            Label::Others(count) => labelled(&format!("(others: {count})"), self.by.len()),
            Label::One(whose) => match whose.nobody() {
                Some(nobody) => labelled(nobody, self.by.len()),
                None => self.by.iter().map(|dimension| self.cell(whose, *dimension)).collect(),
            },
        }
    }

    fn cell(&self, whose: &Whose, dimension: Dimension) -> String {
        let text = match dimension {
            Dimension::User => self.user(whose),
            Dimension::Unit => whose.unit.as_deref().map(|unit| quoted(&container::told(unit, None))),
            Dimension::Class => whose.class.as_deref().map(quoted),
            Dimension::Program => whose.program.as_deref().map(quoted),
        };
        text.unwrap_or_else(|| UNKNOWN.to_owned())
    }

    /// The name, followed by the uid if the name alone is ambiguous; the uid if there is no name.
    fn user(&self, whose: &Whose) -> Option<String> {
        let uid = whose.uid.map(|uid| uid.to_string());
        match (&whose.user, uid) {
            (Some(user), Some(uid)) if self.shared.contains(user.as_str()) || is_other_number(user, &uid) => {
                Some(format!("{} ({uid})", quoted(user)))
            }
            (Some(user), _) => Some(quoted(user)),
            (None, uid) => uid,
        }
    }
}

/// Whether a name looks like another user's uid.
fn is_other_number(user: &str, uid: &str) -> bool {
    user != uid && user.parse::<u32>().is_ok()
}

/// A name that is safe to print, quoted if it could be taken for a label or for two columns.
fn quoted(name: &str) -> String {
    let is_blank_pair = |pair: (char, char)| pair.0.is_whitespace() && pair.1.is_whitespace();
    let is_plain = !matches!(name, "" | UNKNOWN | TOTAL)
        && !name.contains(['(', ')', '"'])
        && !name.starts_with(char::is_whitespace)
        && !name.ends_with(char::is_whitespace)
        && !name.chars().zip(name.chars().skip(1)).any(is_blank_pair);
    if is_plain { printable(name) } else { format!("\"{}\"", printable(name).replace('"', "\\\"")) }
}

fn shared(rows: &[Row]) -> HashSet<&str> {
    let mut uids = HashMap::new();
    let users = rows.iter().filter_map(|row| match &row.label {
        Label::One(Whose { uid, user: Some(user), .. }) => Some((user.as_str(), *uid)),
        _ => None,
    });
    let is_shared = |(user, uid): &(_, _)| uids.insert(*user, *uid).is_some_and(|former| former != *uid);
    users.filter(is_shared).map(|(user, _)| user).collect()
}

/// `text` in the first of `columns` cells.
pub(super) fn labelled(text: &str, columns: usize) -> Vec<String> {
    let mut cells = vec![String::new(); columns];
    text.clone_into(&mut cells[0]);
    cells
}
