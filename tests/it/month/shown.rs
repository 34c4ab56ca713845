//! The rows of an answer as they are printed, read back from each format.

use serde_json::Value;

use super::truth::{By, Figures, Question, Row, Who};

/// Whose a row is, as the formats tell it: of nobody, uid, user, unit, class.
pub(super) type Label = (bool, String, String, String, String);

/// A row: when its part begins and ends, whose it is, and its figures.
pub(super) type Printed = (String, String, Label, Figures);

const RATES: [&str; 3] =
    ["percentile_sent_bits_per_s", "percentile_received_bits_per_s", "percentile_higher_bits_per_s"];
const BYTES: [&str; 3] = ["sent_bytes", "received_bytes", "total_bytes"];

/// The rows of the truth, as JSON and CSV should tell them.
pub(super) fn expected(question: &Question, rows: impl Iterator<Item = Row>) -> Vec<Printed> {
    let iso = |second| question.zone.iso(second);
    rows.map(|((begin, end), who, figures)| (iso(begin), iso(end), label(who), figures)).collect()
}

fn label(Who { uid, user, unit, class, is_nobody }: Who) -> Label {
    let uid = uid.map(|uid| uid.to_string()).unwrap_or_default();
    (is_nobody, uid, user.to_owned(), unit.to_owned(), class.to_owned())
}

/// The rows of an answer in JSON, and its total.
pub(super) fn json(text: &str) -> (Vec<Printed>, Figures) {
    let answer: Value = serde_json::from_str(text).unwrap();
    let figures = |row: &Value| -> Figures {
        BYTES.iter().chain(&RATES).filter_map(|name| row.get(name)).map(|value| value.as_i64().unwrap()).collect()
    };
    let row = |row: &Value| {
        let text = |name: &str| row[name].as_str().unwrap_or_default().to_owned();
        let uid = row["uid"].as_u64().map(|uid| uid.to_string()).unwrap_or_default();
        let label = (text("account") == "(unattributed)", uid, text("user"), text("unit"), text("class"));
        (text("from"), text("to"), label, figures(row))
    };
    (answer["rows"].as_array().unwrap().iter().map(row).collect(), figures(&answer["total"]))
}

/// The same in CSV.
pub(super) fn csv(text: &str) -> (Vec<Printed>, Figures) {
    let mut lines = text.split("\r\n").map(|line| line.split(',').map(str::to_owned).collect::<Vec<_>>());
    let titles = lines.next().unwrap();
    let column = |title: &str| titles.iter().position(|found| found == title);
    let figures = |cells: &[String]| -> Figures {
        BYTES
            .iter()
            .chain(&RATES)
            .filter_map(|title| column(title))
            .map(|place| cells[place].parse().unwrap())
            .collect()
    };
    let row = |cells: &Vec<String>| {
        let text = |title: &str| cells[column(title).unwrap()].clone();
        let label = (text("account") == "(unattributed)", text("uid"), text("user"), text("unit"), text("class"));
        (text("from"), text("to"), label, figures(cells))
    };
    let lines: Vec<_> = lines.collect();
    let rows = lines.iter().filter(|cells| cells[0] == "row").map(row).collect();
    (rows, figures(lines.iter().find(|cells| cells[0] == "total").unwrap()))
}

/// The rows of the truth, as a table should tell them: the line above the part, names, figures.
pub(super) fn expected_table(
    question: &Question,
    rows: impl Iterator<Item = Row>,
) -> Vec<(String, Vec<String>, Figures)> {
    let names = |who: Who| -> Vec<String> {
        if who.is_nobody {
            return vec!["(unattributed)".to_owned()];
        }
        let name = |by: &By| match by {
            By::User => who.user,
            By::Unit => who.unit,
            By::Class => who.class,
        };
        question.by.iter().map(name).map(|name| if name.is_empty() { "-" } else { name }.to_owned()).collect()
    };
    rows.map(|(part, who, figures)| (question.heading(part), names(who), figures)).collect()
}

/// The same of what is printed, and the total.
pub(super) fn table(text: &str) -> (Vec<(String, Vec<String>, Figures)>, Figures) {
    let cells = |line: &str| -> Vec<String> {
        line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).map(str::to_owned).collect()
    };
    let is_title = |line: &&str| cells(line).windows(3).any(|titles| titles == ["sent", "received", "total"]);
    let mut lines = text.lines().skip_while(|line| !is_title(line));
    let columns = cells(lines.next().unwrap());
    let is_figure = |title: &&String| matches!(&title[..], "sent" | "received" | "total") || title.starts_with("p95 ");
    let figures = columns.iter().filter(is_figure).count();
    let (mut heading, mut rows) = (String::new(), Vec::new());
    for line in lines {
        let mut names = cells(line);
        if names.len() <= 1 {
            heading = names.pop().unwrap_or(heading);
            continue;
        }
        let numbers = names.split_off(names.len() - figures).iter().map(|cell| cell.parse().unwrap()).collect();
        if names == ["total"] {
            return (rows, numbers);
        }
        rows.push((heading.clone(), names, numbers));
    }
    panic!("there is no total: {text}");
}
