//! What accounts are told apart by: the setting `by`.

use std::fmt;

use trafcalc_common::actor::by;

/// One dimension by which accounts are told apart, with the names that users write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dimension {
    /// The user; accounts are always told apart by user.
    User,
    /// The process, with the name of its program.
    Process,
    /// The program, with all its processes together.
    Program,
    /// The systemd unit or container.
    Unit,
}

impl Dimension {
    /// All of them, in the order in which records have their fields.
    pub const ALL: [Self; 4] = [Self::User, Self::Process, Self::Program, Self::Unit];

    /// The word for it in options and reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Process => "process",
            Self::Program => "program",
            Self::Unit => "unit",
        }
    }

    const fn bits(self) -> u32 {
        match self {
            Self::User => 0,
            // A process is always reported with its program.
            Self::Process => by::PROCESS | by::PROGRAM,
            Self::Program => by::PROGRAM,
            Self::Unit => by::UNIT,
        }
    }
}

/// The dimensions that accounts are told apart by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct By(u32);

impl By {
    /// The user alone.
    pub const USER: Self = Self(0);
    /// The user and the process.
    pub const PROCESS: Self = Self::USER.and(Dimension::Process);
    /// The user and the program.
    pub const PROGRAM: Self = Self::USER.and(Dimension::Program);
    /// The user and the unit.
    pub const UNIT: Self = Self::USER.and(Dimension::Unit);

    /// These dimensions and one more.
    #[must_use]
    pub const fn and(self, dimension: Dimension) -> Self {
        Self(self.0 | dimension.bits())
    }

    /// Whether accounts are told apart by this dimension.
    #[must_use]
    pub const fn tells(self, dimension: Dimension) -> bool {
        self.0 & dimension.bits() == dimension.bits()
    }

    /// Bits of [`trafcalc_common::actor::by`].
    #[must_use]
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// These dimensions and the user.
    ///
    /// # Errors
    /// The first dimension that occurs twice.
    pub fn of(dimensions: &[Dimension]) -> Result<Self, Dimension> {
        let is_repeated = |(place, dimension): &(usize, &Dimension)| dimensions[..*place].contains(dimension);
        match dimensions.iter().enumerate().find(is_repeated) {
            Some((_, repeated)) => Err(*repeated),
            None => Ok(dimensions.iter().fold(Self::USER, |by, dimension| by.and(*dimension))),
        }
    }

    /// Parses a list as [`fmt::Display`] writes it; `None` if a word is unknown or occurs twice.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let named = |word| Dimension::ALL.into_iter().find(|dimension| dimension.name() == word);
        let dimensions = text.split(',').map(named).collect::<Option<Vec<_>>>()?;
        Self::of(&dimensions).ok()
    }

    /// The dimensions that have to be written, the user first.
    pub fn dimensions(self) -> impl Iterator<Item = Dimension> {
        let is_implied = move |dimension| dimension == Dimension::Program && self.tells(Dimension::Process);
        Dimension::ALL.into_iter().filter(move |&dimension| self.tells(dimension) && !is_implied(dimension))
    }
}

/// As the user would write it on the command line.
impl fmt::Display for By {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let skipped = usize::from(*self != Self::USER);
        let words: Vec<_> = self.dimensions().skip(skipped).map(Dimension::name).collect();
        f.write_str(&words.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_user_is_always_told_and_a_process_has_its_program() {
        for (dimensions, by, text) in [
            (&[Dimension::User][..], By::USER, "user"),
            (&[], By::USER, "user"),
            (&[Dimension::Unit], By::UNIT, "unit"),
            (&[Dimension::User, Dimension::Unit], By::UNIT, "unit"),
            (&[Dimension::Unit, Dimension::Program], By::PROGRAM.and(Dimension::Unit), "program,unit"),
            (&[Dimension::Unit, Dimension::Process], By::PROCESS.and(Dimension::Unit), "process,unit"),
            (&[Dimension::Program, Dimension::Process], By::PROCESS, "process"),
        ] {
            assert_eq!(By::of(dimensions), Ok(by));
            assert_eq!(by.to_string(), text);
            assert_eq!(By::parse(text), Some(by));
            assert!(by.tells(Dimension::User));
        }
        assert!(By::PROCESS.tells(Dimension::Program) && !By::PROGRAM.tells(Dimension::Process));
        assert!(!By::UNIT.tells(Dimension::Program));
    }

    #[test]
    fn a_word_that_is_unknown_or_comes_twice_is_refused() {
        let twice = [Dimension::Unit, Dimension::User, Dimension::Unit];
        assert_eq!(By::of(&twice), Err(Dimension::Unit));
        for text in ["", "colour", "unit,", "unit,unit", "user, unit"] {
            assert_eq!(By::parse(text), None, "{text:?}");
        }
    }
}
