//! Draws one column of a table: a bar for each median, and a line for the range of the turns. Pure.

use anyhow::Result;
use plotters::prelude::*;

use super::figures::Figures;
use super::table::Table;

const WIDTH: i32 = 900;
const ROW_HEIGHT: i32 = 26;
const HEAD_HEIGHT: i32 = 50;
/// Where names end and bars begin, and where bars end and numbers begin.
const LEFT: i32 = 260;
const RIGHT: i32 = 640;
const FONT: &str = "sans-serif";
const BAR: RGBColor = RGBColor(70, 130, 180);

/// The drawing as SVG.
pub(super) fn svg(table: &Table) -> Result<String> {
    let height = HEAD_HEIGHT + ROW_HEIGHT * i32::try_from(table.rows.len())? + ROW_HEIGHT / 2;
    let mut text = String::new();
    {
        let root =
            SVGBackend::with_string(&mut text, (WIDTH.unsigned_abs(), height.unsigned_abs())).into_drawing_area();
        root.fill(&WHITE)?;
        let column = table.columns[table.drawn];
        let head = format!("{}: {}", table.title, column.name);
        root.draw(&Text::new(head, (10, 14), (FONT, 18)))?;
        let rows: Vec<_> = table.rows.iter().map(|(name, _)| (name, table.figures(name, table.drawn))).collect();
        let scale = Scale::of(rows.iter().filter_map(|(_, figures)| figures.range()));
        for (index, (name, figures)) in rows.iter().enumerate() {
            let top = HEAD_HEIGHT + ROW_HEIGHT * i32::try_from(index)?;
            root.draw(&Text::new((*name).clone(), (10, top), (FONT, 14)))?;
            root.draw(&Text::new(figures.text(column.digits), (RIGHT + 10, top), (FONT, 14)))?;
            draw(&root, figures, &scale, top)?;
        }
        root.present()?;
    }
    Ok(text)
}

fn draw<D: DrawingBackend>(
    root: &DrawingArea<D, plotters::coord::Shift>,
    of: &Figures,
    scale: &Scale,
    top: i32,
) -> Result<()>
where
    D::ErrorType: 'static,
{
    let (Some(median), Some((least, most))) = (of.median(), of.range()) else { return Ok(()) };
    let (zero, end) = (scale.place(0.0), scale.place(median));
    root.draw(&Rectangle::new([(zero.min(end), top), (zero.max(end).max(zero + 1), top + 14)], BAR.filled()))?;
    root.draw(&PathElement::new(vec![(scale.place(least), top + 7), (scale.place(most), top + 7)], BLACK))?;
    Ok(())
}

/// Converts values to positions. 0 is always included.
struct Scale {
    least: f64,
    most: f64,
}

impl Scale {
    fn of(ranges: impl Iterator<Item = (f64, f64)>) -> Self {
        let scale = ranges.fold(Self { least: 0.0, most: 0.0 }, |scale, (least, most)| Self {
            least: scale.least.min(least),
            most: scale.most.max(most),
        });
        if scale.least < scale.most { scale } else { Self { least: 0.0, most: 1.0 } }
    }

    #[expect(clippy::cast_possible_truncation, reason = "between LEFT and RIGHT")]
    fn place(&self, value: f64) -> i32 {
        let share = (value - self.least) / (self.most - self.least);
        LEFT + (f64::from(RIGHT - LEFT) * share).round() as i32
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::table::column;

    #[test]
    fn a_drawing_has_every_row_and_figure() {
        let mut table = Table::new("Cost", "", "tool", &[column("CPU, s", 1)]);
        table.add("one", &[1.0]);
        table.add("two", &[-3.0]);
        let svg = svg(&table).unwrap();
        for text in ["Cost: CPU, s", "one", "1.0", "two", "-3.0"] {
            assert!(svg.contains(text), "{text} is missing in {svg}");
        }
    }

    #[test]
    fn zero_is_always_in_the_drawing() {
        let scale = Scale::of([(2.0, 4.0)].into_iter());
        assert_eq!((scale.place(0.0), scale.place(4.0)), (LEFT, RIGHT));
        let scale = Scale::of([(-1.0, 1.0)].into_iter());
        assert_eq!(scale.place(-1.0), LEFT);
        assert_eq!(scale.place(0.0), i32::midpoint(LEFT, RIGHT));
    }
}
