//! Summarises the values of several turns: the median and the range. Pure.

use serde_json::{Value, json};

/// The values of all turns, sorted.
#[derive(Clone, Debug, Default)]
pub(super) struct Figures(Vec<f64>);

impl Figures {
    /// A figure of these values.
    pub(super) fn new(values: impl IntoIterator<Item = f64>) -> Self {
        let mut sorted: Vec<_> = values.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        Self(sorted)
    }

    /// The median; `None` without values.
    pub(super) fn median(&self) -> Option<f64> {
        let Self(sorted) = self;
        let last = sorted.len().checked_sub(1)?;
        Some(f64::midpoint(sorted[last / 2], sorted[sorted.len() / 2]))
    }

    /// The value above the lowest tenth; `None` without values.
    pub(super) fn lowest_tenth(&self) -> Option<f64> {
        self.0.get(self.0.len() / 10).copied()
    }

    /// The least and the greatest value.
    pub(super) fn range(&self) -> Option<(f64, f64)> {
        Some((*self.0.first()?, *self.0.last()?))
    }

    /// The median, and the range if there are several values.
    pub(super) fn text(&self, digits: usize) -> String {
        match (self.median(), self.range()) {
            (Some(median), Some((least, most))) if self.0.len() > 1 => {
                format!("{median:.digits$} ({least:.digits$} to {most:.digits$})")
            }
            (Some(median), _) => format!("{median:.digits$}"),
            (None, _) => "–".to_owned(),
        }
    }

    /// All values, with median and range.
    pub(super) fn json(&self) -> Value {
        json!({ "median": self.median(), "least": self.range().map(|range| range.0),
                "most": self.range().map(|range| range.1), "turns": self.0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_is_between_the_middle_ones() {
        assert_eq!(Figures::new([4.0, 1.0, 2.0, 3.0]).text(1), "2.5 (1.0 to 4.0)");
        assert_eq!(Figures::new([7.0]).text(0), "7");
        assert_eq!(Figures::new([]).text(1), "–");
    }

    #[test]
    fn a_tenth_is_below_the_lowest_tenth() {
        assert_eq!(Figures::new((0..100).rev().map(f64::from)).lowest_tenth(), Some(10.0));
        assert_eq!(Figures::new([3.0]).lowest_tenth(), Some(3.0));
        assert_eq!(Figures::new([]).lowest_tenth(), None);
    }
}
