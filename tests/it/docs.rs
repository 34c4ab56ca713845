//! The documents: links lead somewhere, commands can be typed as they are there, and tables have what the program has.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use trafcalc::capture::Health;

use super::support::trafcalc;

/// Most lines of README.md and of ARCHITECTURE.md, which are to be read as a whole.
const MAX_LINES: usize = 150;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn docs() -> PathBuf {
    root().join("trafcalc/docs")
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every document, with its text.
fn documents() -> Vec<(PathBuf, String)> {
    let in_docs = fs::read_dir(docs()).unwrap().map(|entry| entry.unwrap().path());
    let in_docs = in_docs.filter(|path| path.extension().is_some_and(|extension| extension == "md"));
    let in_root = ["README.md", "ARCHITECTURE.md", "CHANGELOG.md"].map(|name| root().join(name));
    let documents: Vec<_> = in_root.into_iter().chain(in_docs).map(|path| (path.clone(), read(&path))).collect();
    assert!(documents.len() > 10, "{} documents", documents.len());
    documents
}

/// Lines that are no example.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter(|line| !line.starts_with("    "))
}

/// What is between backquotes in a line.
fn code_spans(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}

/// The targets of links in a line, outside of code.
fn links(line: &str) -> Vec<String> {
    let plain: String = line.split('`').step_by(2).collect();
    let targets = plain.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
    targets.map(|(target, _)| target.to_owned()).collect()
}

/// The anchor that a heading gets: in small letters, without punctuation, with hyphens instead of blanks.
fn anchor(heading: &str) -> String {
    let kept = heading.trim_start_matches('#').trim().chars();
    let kept = kept.filter(|letter| letter.is_alphanumeric() || matches!(letter, ' ' | '-' | '_'));
    kept.map(|letter| if letter == ' ' { '-' } else { letter.to_ascii_lowercase() }).collect()
}

fn anchors(text: &str) -> BTreeSet<String> {
    prose(text).filter(|line| line.starts_with('#')).map(anchor).collect()
}

#[test]
fn every_relative_link_leads_to_a_file_and_a_heading_that_are_there() {
    let mut broken = Vec::new();
    let mut count = 0;
    for (path, text) in documents() {
        for target in prose(&text).flat_map(links).filter(|target| !target.contains("://")) {
            count += 1;
            let (file, heading) = target.split_once('#').unwrap_or((&target, ""));
            let file = if file.is_empty() { path.clone() } else { path.parent().unwrap().join(file) };
            let is_there = file.exists() && (heading.is_empty() || anchors(&read(&file)).contains(heading));
            if !is_there {
                broken.push(format!("{}: {target}", path.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
    assert!(count > 50, "{count} links");
}

#[test]
fn readme_leads_to_every_document() {
    let readme = read(&root().join("README.md"));
    let linked: BTreeSet<String> = readme.lines().flat_map(links).collect();
    for entry in fs::read_dir(docs()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(linked.contains(&format!("trafcalc/docs/{name}")), "{name}");
    }
}

#[test]
fn what_is_read_as_a_whole_is_short() {
    for name in ["README.md", "ARCHITECTURE.md"] {
        let lines = read(&root().join(name)).lines().count();
        assert!(lines <= MAX_LINES, "{name} has {lines} lines");
    }
}

/// The words of a command as a shell would take them, up to a comment, a pipe or a redirection.
fn words(command: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = None::<String>;
    let mut quote = None;
    for letter in command.chars() {
        match (quote, letter) {
            (Some(end), _) if letter == end => quote = None,
            (None, '\'' | '"') => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            (None, '#' | '|' | '>' | '&' | ';') => break,
            (None, ' ') => words.extend(word.take()),
            _ => word.get_or_insert_default().push(letter),
        }
    }
    words.extend(word);
    words
}

/// What follows `trafcalc` in the commands of a document: in its examples, and between backquotes.
fn commands(text: &str) -> Vec<Vec<String>> {
    let examples = text.lines().filter_map(|line| line.strip_prefix("    "));
    let spans = prose(text).flat_map(code_spans);
    let commands = examples.chain(spans).filter_map(|line| {
        let line = line.strip_prefix("$ ").unwrap_or(line);
        line.strip_prefix("sudo ").unwrap_or(line).strip_prefix("trafcalc ")
    });
    // The first line of what `top` prints is no command.
    commands.filter(|command| !command.starts_with(|first: char| first.is_ascii_digit())).map(words).collect()
}

#[test]
fn every_command_of_the_documents_is_one_that_the_program_takes() {
    let mut refused = Vec::new();
    let mut tried = BTreeSet::new();
    for (path, text) in documents() {
        for command in commands(&text) {
            if !tried.insert(command.clone()) {
                continue;
            }
            // Everything before --help is looked at before the help is shown.
            let args: Vec<_> = command.iter().map(String::as_str).chain(["--help"]).collect();
            let output = trafcalc(&args).output().unwrap();
            if !output.status.success() {
                let error = String::from_utf8_lossy(&output.stderr).into_owned();
                refused.push(format!("{}: trafcalc {}: {error}", path.display(), command.join(" ")));
            }
        }
    }
    assert!(refused.is_empty(), "{}", refused.join("\n"));
    assert!(tried.len() > 30, "{} commands", tried.len());
}

/// The rows of the table with this heading, as cells. `\|` is no end of a cell.
fn table(document: &str, heading: &str) -> Vec<Vec<String>> {
    let text = read(&docs().join(document));
    let rows = text.lines().skip_while(|line| *line != heading).skip(2).take_while(|line| line.starts_with('|'));
    let rows: Vec<Vec<String>> = rows
        .map(|row| row.replace("\\|", "\u{1}").split('|').map(|cell| cell.trim().replace('\u{1}', "|")).collect())
        .collect();
    assert!(!rows.is_empty(), "{document} has no table {heading}");
    rows
}

/// The options that a command's help has, but for those that every command has.
fn options(command: &str) -> BTreeSet<String> {
    let output = trafcalc(&[command, "--help"]).output().unwrap();
    let help = String::from_utf8(output.stdout).unwrap();
    let long = help.lines().filter_map(|line| {
        let line = line.trim_start();
        let line = line.strip_prefix("-h, ").unwrap_or(line);
        line.starts_with("--").then(|| line.split([' ', '=', '[']).next().unwrap().to_owned())
    });
    long.filter(|option| option != "--help").collect()
}

fn options_told(rows: &[Vec<String>]) -> BTreeSet<String> {
    let spans = rows.iter().flat_map(|row| code_spans(&row[1]).map(str::to_owned).collect::<Vec<_>>());
    spans.filter_map(|span| Some(span.split(' ').next()?.to_owned())).collect()
}

#[test]
fn every_option_of_run_is_in_its_table_and_no_other() {
    let rows = table("configuration.md", "| option | key | default | meaning |");
    assert_eq!(options_told(&rows), options("run"));
}

#[test]
fn every_option_of_report_is_in_its_table_and_no_other() {
    let told = options_told(&table("reports.md", "| option | meaning |"));
    let of_every_question = ["--book", "--config"].map(str::to_owned);
    assert_eq!(told.into_iter().chain(of_every_question).collect::<BTreeSet<_>>(), options("report"));
}

#[test]
fn every_key_of_the_configuration_is_in_its_table_and_no_other() {
    let file = read(&root().join("trafcalc/dist/trafcalc.toml"));
    let mut keys = BTreeSet::new();
    let mut section = String::new();
    for line in file.lines() {
        let line = line.strip_prefix('#').unwrap_or(line);
        if line.starts_with("[[") {
            keys.insert(line.to_owned());
            section = line.to_owned();
        } else if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = format!("{name}.");
        } else if let Some((key, _)) = line.split_once(" = ").filter(|(key, _)| !key.contains([' ', '`']))
            && !section.starts_with("[[")
        {
            keys.insert(format!("{section}{key}"));
        }
    }
    let rows = table("configuration.md", "| option | key | default | meaning |");
    let told: BTreeSet<String> =
        rows.iter().flat_map(|row| code_spans(&row[2]).map(str::to_owned).collect::<Vec<_>>()).collect();
    assert_eq!(told, keys);
}

#[test]
fn every_number_of_health_is_in_its_table() {
    let text = read(&docs().join("records.md"));
    let (_, health) = text.split_once("## Health").unwrap();
    let (health, _) = health.split_once("\n## ").unwrap();
    let rows = health.lines().filter_map(|line| line.strip_prefix("| ")?.split_once(" |"));
    let told: BTreeSet<&str> = rows.flat_map(|(cell, _)| code_spans(cell)).collect();
    for name in Health::NAMES {
        assert!(told.contains(name), "{name}");
    }
}

#[test]
fn every_exit_code_is_in_its_table_and_no_other() {
    let source = read(&root().join("trafcalc/src/service/exit.rs"));
    let codes = source.lines().filter_map(|line| line.strip_suffix(',')?.split_once(" = ")?.1.parse().ok());
    let codes: BTreeSet<u8> = codes.collect();
    let rows = table("operations.md", "| exit code | meaning |");
    assert_eq!(rows.iter().map(|row| row[1].parse().unwrap()).collect::<BTreeSet<u8>>(), codes);
}

#[test]
fn every_variable_for_tests_is_in_its_table_and_no_other() {
    let source = read(&root().join("trafcalc/src/config/test_knobs.rs"));
    let names = source.split('"').filter(|text| text.starts_with("TRAFCALC_TEST_")).map(str::to_owned);
    let rows = table("development.md", "| variable | effect |");
    let told = rows.iter().map(|row| row[1].trim_matches('`').to_owned());
    assert_eq!(told.collect::<BTreeSet<_>>(), names.collect());
}

#[test]
fn a_broken_link_a_wrong_command_and_a_heading_would_be_seen() {
    assert_eq!(links("see [a](b.md#c) and `[x](y)`, [d](e)"), ["b.md#c", "e"]);
    assert_eq!(anchor("## `trafcalc top`: who now"), "trafcalc-top-who-now");
    assert_eq!(
        commands("    $ sudo trafcalc report --from 'a b' # c\nor `trafcalc top`, and `top`"),
        [vec!["report", "--from", "a b"], vec!["top"]]
    );
    assert_eq!(trafcalc(&["report", "--no-such", "--help"]).output().unwrap().status.code(), Some(64));
}
