//! A table of results, whatever was measured. Pure.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use super::figures::Figures;

/// One table.
pub(super) struct Table {
    pub(super) title: String,
    /// What it contains and how it was measured.
    pub(super) about: String,
    /// What the rows are.
    pub(super) rows_are: &'static str,
    pub(super) columns: Vec<Column>,
    /// In order of first appearance: the name, and the values of each column.
    pub(super) rows: Vec<(String, Vec<Vec<f64>>)>,
    /// The index of the column that is drawn.
    pub(super) drawn: usize,
}

/// One column.
#[derive(Clone, Copy)]
pub(super) struct Column {
    /// The name with its unit.
    pub(super) name: &'static str,
    /// Digits after the decimal point.
    pub(super) digits: usize,
}

/// A column with its name and its digits after the decimal point.
pub(super) const fn column(name: &'static str, digits: usize) -> Column {
    Column { name, digits }
}

impl Table {
    /// A table without rows.
    pub(super) fn new(title: &str, about: &str, rows_are: &'static str, columns: &[Column]) -> Self {
        let (title, about) = (title.to_owned(), about.to_owned());
        Self { title, about, rows_are, columns: columns.to_vec(), rows: Vec::new(), drawn: 0 }
    }

    /// Draws this column instead of the first.
    pub(super) fn drawing(self, drawn: usize) -> Self {
        Self { drawn, ..self }
    }

    /// Adds the values of a turn to a row.
    pub(super) fn add(&mut self, row: &str, values: &[f64]) {
        let index = self.rows.iter().position(|(name, _)| name == row).unwrap_or_else(|| {
            self.rows.push((row.to_owned(), vec![Vec::new(); self.columns.len()]));
            self.rows.len() - 1
        });
        for (cell, value) in self.rows[index].1.iter_mut().zip(values) {
            cell.push(*value);
        }
    }

    /// The values of a cell.
    pub(super) fn figures(&self, row: &str, column: usize) -> Figures {
        let cell = self.rows.iter().find(|(name, _)| name == row).map(|(_, cells)| cells[column].clone());
        Figures::new(cell.unwrap_or_default())
    }

    /// The table in Markdown.
    pub(super) fn markdown(&self) -> String {
        let mut text = format!("\n### {}\n\n{}\n\n| {} |", self.title, self.about, self.rows_are);
        for column in &self.columns {
            let _ = write!(text, " {} |", column.name);
        }
        text += "\n|---|";
        text += &"---|".repeat(self.columns.len());
        for (name, cells) in &self.rows {
            let _ = write!(text, "\n| {name} |");
            for (column, cell) in self.columns.iter().zip(cells) {
                let _ = write!(text, " {} |", Figures::new(cell.iter().copied()).text(column.digits));
            }
        }
        text + "\n"
    }

    /// The table in JSON, with every turn.
    pub(super) fn json(&self) -> Value {
        let row = |(name, cells): &(String, Vec<Vec<f64>>)| {
            let figures = self.columns.iter().zip(cells);
            let figures = figures.map(|(column, cell)| (column.name.to_owned(), Figures::new(cell.clone()).json()));
            json!({ "name": name, "figures": figures.collect::<Map<_, _>>() })
        };
        json!({ "title": self.title, "rows": self.rows.iter().map(row).collect::<Vec<_>>() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_of_a_row_are_put_together() {
        let mut table = Table::new("t", "a", "tool", &[column("x", 0), column("y", 1)]);
        table.add("one", &[1.0, 0.0]);
        table.add("two", &[5.0, 2.0]);
        table.add("one", &[3.0, 0.5]);
        assert!(table.markdown().ends_with(
            "| tool | x | y |\n|---|---|---|\n| one | 2 (1 to 3) | 0.2 (0.0 to 0.5) |\n| two | 5 | 2.0 |\n"
        ));
        assert_eq!(table.json()["rows"][0]["figures"]["x"]["turns"], json!([1.0, 3.0]));
        assert_eq!(table.figures("one", 0).median(), Some(2.0));
    }
}
