//! The page trafcalc.toml(5), generated from the shipped file, which has every key with its default and meaning.

use clap_mangen::roff::{Roff, bold, roman};

/// The shipped file. A test of `config` keeps it complete.
const SHIPPED: &str = include_str!("../../../dist/trafcalc.toml");

/// The lines between two empty lines of the shipped file.
#[derive(Debug, Default, PartialEq, Eq)]
struct Block<'a> {
    /// `[log]` or `[[quota]]`, if a section begins here.
    section: Option<&'a str>,
    text: Vec<&'a str>,
    /// Lines `key = default`. For a key without a default the value is an example.
    keys: Vec<&'a str>,
    is_example: bool,
}

/// The page in roff.
pub(super) fn page(date: &str) -> String {
    let mut page = Roff::new();
    let source = concat!("trafcalc ", env!("CARGO_PKG_VERSION"));
    page.control("TH", ["trafcalc.toml", "5", date, source, super::MANUAL]);
    page.control("SH", ["NAME"]).text([roman("trafcalc.toml - configuration of trafcalc")]);
    page.control("SH", ["DESCRIPTION"]);
    let mut blocks = SHIPPED.split("\n\n").map(Block::of);
    let introduction = blocks.next().unwrap_or_default();
    page.text([roman(introduction.text.join(" "))]);
    page.control("SH", ["KEYS"]);
    for block in blocks {
        block.render(&mut page);
    }
    page.control("SH", ["FILES"]).text([bold(crate::config::DEFAULT_FILE)]);
    page.control("SH", ["SEE ALSO"]).text([roman("trafcalc(8), trafcalc-run(8), trafcalc-check(8)")]);
    page.to_roff()
}

impl<'a> Block<'a> {
    fn of(written: &'a str) -> Self {
        let mut block = Self::default();
        for line in written.lines().filter(|line| !line.is_empty()) {
            if let Some(text) = line.strip_prefix("# ") {
                block.text.push(text);
                continue;
            }
            let setting = line.trim_start_matches('#');
            block.is_example |= line.starts_with('#');
            if setting.starts_with('[') {
                block.section = Some(setting);
            } else {
                block.keys.push(setting);
            }
        }
        block
    }

    fn render(&self, page: &mut Roff) {
        if let Some(section) = self.section {
            page.control("SS", [section]);
        }
        let text = self.text.join(" ");
        if self.section.is_some_and(|section| section.starts_with("[[")) {
            page.text([roman(text)]).control("PP", []).control("EX", []);
            page.text([roman(self.section.unwrap_or_default())]);
            for key in &self.keys {
                page.text([roman(*key)]);
            }
            page.control("EE", []);
            return;
        }
        for (number, key) in self.keys.iter().enumerate() {
            let (name, value) = key.split_once(" = ").unwrap_or((key, ""));
            let meaning = if self.is_example { " (no default; for example " } else { " (default " };
            page.control(if number == 0 { "TP" } else { "TQ" }, []);
            page.text([bold(name), roman(format!("{meaning}{value})"))]);
        }
        page.text([roman(text)]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_its_text_and_its_keys() {
        let block = Block::of("[log]\n# Where to.\n# And how.\npath = \"/var\"\n");
        assert_eq!(
            (block.section, &block.text[..], &block.keys[..]),
            (Some("[log]"), &["Where to.", "And how."][..], &["path = \"/var\""][..])
        );
        assert!(!block.is_example);
        let block = Block::of("# Several.\n#[[quota]]\n#name = \"a\"");
        assert_eq!(
            (block.section, block.is_example, &block.keys[..]),
            (Some("[[quota]]"), true, &["name = \"a\""][..])
        );
    }

    #[test]
    fn every_key_of_the_shipped_file_is_a_term_of_the_page() {
        let page = page("2026-11-26");
        for block in SHIPPED.split("\n\n").map(Block::of) {
            for key in block.keys {
                let name = key.split_once(" = ").expect("a key has a value").0;
                let is_term = page.contains(&format!("\\fB{name}\\fR (")) || page.contains(&format!("\n{name} = "));
                assert!(is_term, "{name} is missing in\n{page}");
            }
        }
    }
}
