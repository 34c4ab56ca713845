//! Which classes of networks are shown, and what they are called. Pure.

use crate::figure::printable;
use crate::status::ClassOf;

/// Prefix of the words in a filter that select classes.
const WORD: &str = "class:";
/// Follows the name of a billed class.
pub const BILLED: &str = "$";

/// Which classes are shown, and whether rows are told apart by them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Shown {
    /// All, added up.
    #[default]
    Together,
    /// All, each in rows of its own.
    Apart,
    /// Only the class at this place in the service's list.
    Only(usize),
    /// Only those that are billed, added up.
    Billed,
}

impl Shown {
    /// The choice after the next press of the key, if the service has these classes.
    #[must_use]
    pub fn next(self, classes: &[ClassOf]) -> Self {
        let only = |place: usize| (place < classes.len()).then_some(Self::Only(place));
        let billed = classes.iter().any(|class| !class.billed).then_some(Self::Billed);
        match self {
            _ if classes.is_empty() => Self::Together,
            Self::Together => Self::Apart,
            Self::Apart => Self::Only(0),
            Self::Only(place) => only(place + 1).or(billed).unwrap_or_default(),
            Self::Billed => Self::Together,
        }
    }

    /// Whether bytes of `class` are shown. As in `trafcalc report`, an unknown class (`None`) is billed.
    #[must_use]
    pub fn shows(self, class: Option<&str>, classes: &[ClassOf]) -> bool {
        let is = |known: &ClassOf| class == Some(known.name.as_str());
        match self {
            Self::Together | Self::Apart => true,
            Self::Only(place) => classes.get(place).is_none_or(is),
            Self::Billed => !classes.iter().any(|known| is(known) && !known.billed),
        }
    }

    /// What is shown of it beside the order of rows.
    #[must_use]
    pub fn text(self, classes: &[ClassOf]) -> Option<String> {
        match self {
            Self::Together => None,
            Self::Apart => Some("by class".to_owned()),
            Self::Only(place) => classes.get(place).map(|class| format!("class {}", label(&class.name, classes))),
            Self::Billed => Some("billed classes".to_owned()),
        }
    }
}

/// What a class is called: its name, with a mark if it is billed; `-` if it is not known.
#[must_use]
pub fn label(name: &str, classes: &[ClassOf]) -> String {
    let is_billed = classes.iter().any(|class| class.name == name && class.billed);
    match (name, is_billed) {
        ("", _) => "-".to_owned(),
        (_, true) => format!("{} {BILLED}", printable(name)),
        (_, false) => printable(name),
    }
}

/// What was typed to filter rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    text: String,
    classes: Vec<String>,
}

impl Filter {
    /// Words that begin with `class:` select classes, the others form one text. Case is ignored.
    #[must_use]
    pub fn new(typed: &str) -> Self {
        let typed = typed.to_lowercase();
        let (classes, text): (Vec<&str>, Vec<&str>) = typed.split(' ').partition(|word| word.starts_with(WORD));
        let classes = classes.iter().map(|word| word[WORD.len()..].to_owned()).collect();
        Self { text: text.join(" "), classes }
    }

    /// Whether the name of a class contains all words about classes.
    #[must_use]
    pub fn shows_class(&self, class: Option<&str>) -> bool {
        let class = class.unwrap_or_default().to_lowercase();
        self.classes.iter().all(|word| class.contains(word))
    }

    /// Whether the name of a row contains the text.
    #[must_use]
    pub fn shows_name(&self, name: &str) -> bool {
        // Blanks around the words about classes are not part of the text.
        let text = if self.classes.is_empty() { &self.text[..] } else { self.text.trim() };
        name.to_lowercase().contains(text)
    }
}

#[cfg(test)]
mod tests;
