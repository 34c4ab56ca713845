//! What several turns say: the median and how far they are apart. Pure.

use serde_json::{Value, json};

/// One figure of every turn.
#[derive(Clone, Debug, Default)]
pub(super) struct Figures(Vec<f64>);

impl Figures {
    /// Those of `values` that were measured.
    pub(super) fn new(values: impl IntoIterator<Item = f64>) -> Self {
        let mut sorted: Vec<_> = values.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        Self(sorted)
    }

    /// The one in the middle; `None` of nothing.
    pub(super) fn median(&self) -> Option<f64> {
        let Self(sorted) = self;
        let last = sorted.len().checked_sub(1)?;
        Some(f64::midpoint(sorted[last / 2], sorted[sorted.len() / 2]))
    }

    /// The least and the most.
    pub(super) fn range(&self) -> Option<(f64, f64)> {
        Some((*self.0.first()?, *self.0.last()?))
    }

    /// Where the median of endless turns is, with 95 % confidence, whatever the distribution: between the order
    /// statistics about one standard deviation of a binomial distribution times 1.96 from the middle.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "few turns"
    )]
    pub(super) fn confidence(&self) -> Option<(f64, f64)> {
        let turns = self.0.len();
        let below = (turns as f64 / 2.0 - 1.96 * (turns as f64).sqrt() / 2.0).floor().max(1.0) as usize - 1;
        Some((*self.0.get(below)?, *self.0.get(turns.checked_sub(below + 1)?)?))
    }

    /// Median, and the range if there is one.
    pub(super) fn text(&self, digits: usize) -> String {
        match (self.median(), self.range()) {
            (Some(median), Some((least, most))) if self.0.len() > 1 => {
                format!("{median:.digits$} ({least:.digits$} to {most:.digits$})")
            }
            (Some(median), _) => format!("{median:.digits$}"),
            (None, _) => "–".to_owned(),
        }
    }

    /// All of it.
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

    /// Of 25 turns the 7th and the 19th; tables of the sign test have the 8th and the 18th, which is a little bolder.
    #[test]
    fn the_median_lies_between_two_turns() {
        let figures = Figures::new((1..=25).map(f64::from));
        assert_eq!(figures.confidence(), Some((7.0, 19.0)));
        assert_eq!(Figures::new([1.0, 2.0]).confidence(), Some((1.0, 2.0)));
        assert_eq!(Figures::new([]).confidence(), None);
    }
}
