//! Reports connections for which the kernel's totals differ from what was credited. Each is a bug, in trafcalc or in the kernel.

use trafcalc_common::audit::{EVIDENCE, EVIDENCE_WORDS};

use crate::capture::Attach;

/// The limit of mismatches that are logged one by one. Every report has the number of all.
const MAX_TOLD: usize = 20;

type Words = [u64; EVIDENCE_WORDS];

/// The mismatches that were logged.
#[derive(Default)]
pub(super) struct Mismatches {
    told: Vec<Words>,
}

impl Mismatches {
    /// Warns of each new mismatch, with everything that a bug report needs.
    pub(super) fn tell<'a>(&mut self, attach: Attach, evidence: impl IntoIterator<Item = &'a Words>) {
        for words in self.new_ones(evidence) {
            let kernel = nix::sys::utsname::uname();
            let kernel = kernel.map(|name| name.release().to_string_lossy().into_owned()).unwrap_or_default();
            let (version, attach, evidence) = (env!("CARGO_PKG_VERSION"), attach.name(), text(&words));
            tracing::warn!(
                version,
                kernel,
                attach,
                evidence,
                "the kernel's totals of a connection are not what was counted for it: please report this line"
            );
        }
    }

    fn new_ones<'a>(&mut self, evidence: impl IntoIterator<Item = &'a Words>) -> Vec<Words> {
        let is_new = |words: &&Words| words.iter().any(|word| *word != 0) && !self.told.contains(words);
        let room = MAX_TOLD - self.told.len();
        let new: Vec<_> = evidence.into_iter().filter(is_new).take(room).copied().collect();
        self.told.extend(&new);
        new
    }
}

fn text(words: &Words) -> String {
    let words = EVIDENCE.iter().zip(words).map(|(name, word)| format!("{name}={word}"));
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_told_once_and_not_endlessly_many() {
        let mut mismatches = Mismatches::default();
        let (none, first, second) = ([0; EVIDENCE_WORDS], [1; EVIDENCE_WORDS], [2; EVIDENCE_WORDS]);
        assert_eq!(mismatches.new_ones([&none, &first]), [first]);
        assert_eq!(mismatches.new_ones([&second, &first]), [second]);
        let many: Vec<Words> = (3..1_000).map(|number| [number; EVIDENCE_WORDS]).collect();
        assert_eq!(mismatches.new_ones(&many).len(), MAX_TOLD - 2);
        assert!(mismatches.new_ones(&many[500..]).is_empty());
    }

    #[test]
    fn the_words_have_names() {
        let text = text(&std::array::from_fn(|index| index as u64));
        assert!(text.starts_with("credited_sent=0 credited_received=1 sent_base=2 received_base=3 "), "{text}");
    }
}
