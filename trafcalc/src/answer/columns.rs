//! Aligns cells in columns. Pure.

use std::fmt::Write as _;

/// The greatest width of each column.
pub(super) fn widths<'a>(lines: impl Iterator<Item = &'a [String]>) -> Vec<usize> {
    let mut widths = Vec::new();
    for cells in lines {
        widths.resize(cells.len().max(widths.len()), 0);
        for (width, cell) in widths.iter_mut().zip(cells) {
            *width = cell.chars().count().max(*width);
        }
    }
    widths
}

/// A line of a table. The first `names` columns are aligned to the left, the numbers after them to the right.
pub(super) fn padded(cells: &[String], widths: &[usize], names: usize) -> String {
    let mut line = String::new();
    for (column, (cell, width)) in cells.iter().zip(widths).enumerate() {
        let gap = if column == 0 { "" } else { "  " };
        let _ = if column < names { write!(line, "{gap}{cell:<width$}") } else { write!(line, "{gap}{cell:>width$}") };
    }
    line.push('\n');
    line
}

/// All lines, without trailing blanks.
pub(super) fn aligned(lines: &[Vec<String>], names: usize) -> String {
    let widths = widths(lines.iter().map(Vec::as_slice));
    lines.iter().fold(String::new(), |text, cells| text + padded(cells, &widths, names).trim_end() + "\n")
}
