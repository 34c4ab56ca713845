//! Man pages and completions are complete and well-formed.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use super::support::{leave_out, trafcalc};

fn documents() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let output = trafcalc(&["documents", "--date", "2026-11-26"]).arg(folder.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    folder
}

fn files(folder: &Path) -> BTreeMap<String, String> {
    let file =
        |entry: fs::DirEntry| (entry.file_name().into_string().unwrap(), fs::read_to_string(entry.path()).unwrap());
    fs::read_dir(folder).unwrap().map(|entry| file(entry.unwrap())).collect()
}

fn help(words: &[&str]) -> String {
    let output = trafcalc(words).arg("--help").output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    String::from_utf8(output.stdout).unwrap()
}

/// The commands that help shows below a command.
fn commands(help: &str) -> Vec<String> {
    let Some((_, list)) = help.split_once("Commands:\n") else { return Vec::new() };
    let lines = list.lines().take_while(|line| !line.is_empty());
    let names = lines.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    names.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help").map(str::to_owned).collect()
}

/// The options that help shows.
fn options(help: &str) -> impl Iterator<Item = &str> {
    help.lines().filter_map(|line| {
        let option = line.trim_start().trim_start_matches("-h, ").trim_start_matches("-V, ");
        option.starts_with("--").then(|| option.split([' ', '=']).next()).flatten()
    })
}

/// Each command as its words, the program itself first.
fn all_commands() -> Vec<Vec<String>> {
    let mut all = vec![Vec::new()];
    let mut next = 0;
    while next < all.len() {
        let words = all[next].clone();
        let text = help(&words.iter().map(String::as_str).collect::<Vec<_>>());
        all.extend(commands(&text).into_iter().map(|name| [&words[..], &[name]].concat()));
        next += 1;
    }
    all
}

#[test]
fn each_command_has_a_page_with_each_of_its_options() {
    let folder = documents();
    let mut pages = files(&folder.path().join("man"));
    assert!(pages.remove("trafcalc.toml.5").is_some());
    let all = all_commands();
    assert!(all.len() > 15, "{all:?}");
    for words in all {
        let name = [&["trafcalc".to_owned()][..], &words].concat().join("-") + ".8";
        let page = pages.remove(&name).unwrap_or_else(|| panic!("{name} is missing"));
        for option in options(&help(&words.iter().map(String::as_str).collect::<Vec<_>>())) {
            let written = option.replace('-', "\\-");
            assert!(page.contains(&written), "{option} is missing in {name}\n{page}");
        }
    }
    assert!(pages.is_empty(), "pages of no command: {:?}", pages.keys());
}

#[test]
fn the_page_of_the_configuration_has_every_key_that_the_program_knows() {
    let folder = documents();
    let page = fs::read_to_string(folder.path().join("man/trafcalc.toml.5")).unwrap();
    let config = folder.path().join("wrong.toml");
    for section in ["", "[only]", "[log]", "[book]", "[status]", "[packet]", "[ebpf]", "[[class]]", "[[quota]]"] {
        fs::write(&config, format!("{section}\nxyzzy_qqq = 1\n")).unwrap();
        let output = trafcalc(&["check"]).arg(&config).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        let keys: Vec<_> =
            said.split_once("expected").map_or("", |(_, keys)| keys).split('`').skip(1).step_by(2).collect();
        assert!(!keys.is_empty(), "{said}");
        for key in keys {
            let is_there = page.contains(&format!("\\fB{key}\\fR ("))
                || page.contains(&format!("\n{key} = "))
                || page.contains(&format!("[{key}]"));
            assert!(is_there, "{section} {key} is missing in\n{page}");
        }
    }
}

#[test]
fn no_page_has_a_mistake_that_mandoc_finds() {
    let folder = documents();
    for name in files(&folder.path().join("man")).keys() {
        let page = folder.path().join("man").join(name);
        match Command::new("mandoc").args(["-T", "lint", "-W", "warning"]).arg(&page).output() {
            Ok(output) => assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout)),
            Err(_) => return leave_out("no_page_has_a_mistake_that_mandoc_finds", "needs mandoc"),
        }
    }
}

#[test]
fn completions_offer_the_commands_and_not_the_hidden_ones() {
    let folder = documents();
    let completions = files(&folder.path().join("completions"));
    assert_eq!(completions.keys().collect::<Vec<_>>(), ["_trafcalc", "trafcalc.bash", "trafcalc.fish"]);
    for (name, text) in &completions {
        for word in ["report", "selftest", "billing-day", "import-log"] {
            assert!(text.contains(word), "{word} is missing in {name}");
        }
        assert!(!text.contains("selftest-traffic") && !text.contains("documents"), "{name}");
    }
}

#[test]
fn bash_completes_a_command_and_an_option() {
    let folder = documents();
    let complete = |words: &[&str]| {
        let script = format!(
            "source {}/completions/trafcalc.bash; COMP_WORDS=({}); COMP_CWORD={}; _trafcalc trafcalc '{}' '{}'; echo ${{COMPREPLY[@]}}",
            folder.path().display(),
            words.join(" "),
            words.len() - 1,
            words[words.len() - 1],
            words[words.len() - 2],
        );
        let output = Command::new("bash").args(["-c", &script]).output().expect("bash starts");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    assert_eq!(complete(&["trafcalc", "repo"]), "report");
    assert_eq!(complete(&["trafcalc", "report", "--perc"]), "--percentile");
}
