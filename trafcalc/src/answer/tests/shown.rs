use serde_json::Value;

use super::*;
use crate::answer::{csv::csv, json::json, table::table};

/// A row as any format shows it: owner, sent, received, total.
type Shown = (String, u64, u64, u64);

fn of_answer(answer: &Answer) -> Vec<Shown> {
    let rows = answer.rows.iter().map(|row| {
        let Label::One(whose) = &row.label else { panic!("there are others") };
        let name = whose.nobody().map(str::to_owned).or(whose.user.clone());
        (name.unwrap_or_else(|| whose.uid.unwrap().to_string()), row.figures.bytes)
    });
    let all = rows.chain([("total".to_owned(), answer.total.bytes)]);
    all.map(|(who, Bytes { sent, received })| (who, sent, received, sent + received)).collect()
}

fn of_table(text: &str) -> Vec<Shown> {
    let lines = text.lines().filter_map(|line| {
        let words: Vec<_> = line.split_whitespace().collect();
        let numbers: Vec<u64> = words.get(1..4)?.iter().map(|word| word.parse().ok()).collect::<Option<_>>()?;
        Some((words[0].to_owned(), numbers[0], numbers[1], numbers[2]))
    });
    lines.collect()
}

fn of_json(text: &str) -> Vec<Shown> {
    let document: Value = serde_json::from_str(text).unwrap();
    let number = |row: &Value, name: &str| row[name].as_u64().unwrap();
    let shown = |who: String, row: &Value| {
        (who, number(row, "sent_bytes"), number(row, "received_bytes"), number(row, "total_bytes"))
    };
    let rows = document["rows"].as_array().unwrap().iter().map(|row| {
        let name = row["account"].as_str().or(row["user"].as_str()).map(str::to_owned);
        shown(name.unwrap_or_else(|| row["uid"].to_string()), row)
    });
    rows.chain([shown("total".to_owned(), &document["total"])]).collect()
}

fn of_csv(text: &str) -> Vec<Shown> {
    let mut lines = text.split("\r\n").map(|line| line.split(',').collect::<Vec<_>>());
    let titles = lines.next().unwrap();
    let lines = lines.filter(|fields| ["row", "total"].contains(&fields[0])).map(|fields| {
        let field = |name: &str| fields[titles.iter().position(|title| *title == name).unwrap()];
        let number = |name: &str| field(name).parse().unwrap();
        let who = [field("account"), field("user"), field("uid"), field("record")];
        let who = who.into_iter().find(|text| !text.is_empty()).unwrap();
        (who.to_owned(), number("sent_bytes"), number("received_bytes"), number("total_bytes"))
    });
    lines.collect()
}

#[test]
fn all_formats_have_the_same_figures() {
    let history = History::of_berlin();
    for each in [None, Some(Each::Day)] {
        let answer = history.ask(&Question { each, ..question() }).unwrap();
        let shown = of_answer(&answer);
        assert_eq!(of_table(&table(&answer, true)), shown);
        assert_eq!(of_json(&json(&answer)), shown);
        assert_eq!(of_csv(&csv(&answer)), shown);
    }
}

#[test]
fn gaps_and_what_is_asked_are_in_every_format() {
    let history = History::of_berlin();
    let answer = history.ask(&question()).unwrap();
    let shown = table(&answer, false);
    assert!(
        shown.starts_with("2026-11-01 00:00 to 2026-12-01 00:00 (Europe/Berlin), counted until 2026-11-26 09:03\n"),
        "{shown}"
    );
    let gap = "1 gap, 2 d 7 h in all:\n  2026-11-04 04:12:30 to 2026-11-06 12:00 (2 d 7 h): the host went down\n";
    assert!(shown.ends_with(gap), "{shown}");
    let document: Value = serde_json::from_str(&json(&answer)).unwrap();
    assert_eq!(document["from"], "2026-11-01T00:00:00+01:00");
    assert_eq!((&document["zone"], &document["schema"]), (&BERLIN.into(), &1.into()));
    assert_eq!(document["counted_to"], "2026-11-26T09:03:00+01:00");
    assert_eq!(document["gaps"]["count"], 1);
    assert_eq!(document["gaps"]["total_us"], 200_850_000_000_u64);
    assert_eq!(document["gaps"]["list"][0]["from"], "2026-11-04T04:12:30+01:00");
    let gap = "gap,2026-11-04T04:12:30+01:00,2026-11-06T12:00:00+01:00,,,,,,,,,,,the host went down\r\n";
    assert!(csv(&answer).contains(gap), "{}", csv(&answer));
}

#[test]
fn csv_has_every_time_that_is_not_in_its_figures_and_the_zone() {
    let history = History::of_berlin();
    // Up to the present, which is after the last report; the future is no gap.
    let lines = csv(&history.ask_at("2026-11-26T08:30:00Z", &question()).unwrap());
    let after = "gap,2026-11-26T09:03:00+01:00,2026-11-26T09:30:00+01:00,,,,,,,,,,,no report covers this time yet\r\n";
    let zone = "zone,2026-11-01T00:00:00+01:00,2026-12-01T00:00:00+01:00,,,,,,,,,,,Europe/Berlin\r\n";
    assert!(lines.contains(zone) && lines.ends_with(after), "{lines}");
    let before = "gap,2026-10-01T00:00:00+02:00,2026-10-11T00:10:00+02:00,,,,,,,,,,,the book was not begun\r\n";
    let gaps = |asked| {
        let lines = csv(&history.ask(&Question { asked, ..question() }).unwrap());
        lines.split_inclusive("\r\n").filter(|line| line.starts_with("gap,")).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(gaps(Asked::Month("2026-10".parse().unwrap())), [before]);
    let all = gaps(Asked::Month("2025-10".parse().unwrap()));
    assert!(all.len() == 1 && all[0].contains("gap,2025-10-01T00:00:00+02:00,2025-11-01T00:00:00+01:00,"), "{all:?}");
    assert!(gaps(Asked::Day("2026-10-20".parse().unwrap())).is_empty());
}

#[test]
fn what_is_asked_for_only_is_in_every_format() {
    let history = History::of_berlin();
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let only = Only { users: names(&["alice", "1001"]), units: names(&["ssh.service"]), ..Only::default() };
    let answer = history.ask(&Question { only, ..question() }).unwrap();
    let shown = table(&answer, true);
    assert!(shown.contains("\nOnly user \"alice\" or \"1001\" and unit \"ssh.service\".\n"), "{shown}");
    let document: Value = serde_json::from_str(&json(&answer)).unwrap();
    assert_eq!(document["only"], serde_json::json!({"user": ["alice", "1001"], "unit": ["ssh.service"]}));
    let lines = csv(&answer);
    let only: Vec<_> = lines.split("\r\n").filter(|line| line.starts_with("only,")).collect();
    assert_eq!(only.len(), 3, "{lines}");
    assert!(only[0].ends_with(",,alice,,,,,,,,,") && only[2].ends_with(",,,ssh.service,,,,,,,,"), "{only:?}");
}

#[test]
fn further_figures_are_in_every_format() {
    let history = History::of_berlin();
    let question = Question { percentile: Some(90), is_estimated: true, top: Some(1), ..question() };
    let answer = history.ask(&question).unwrap();
    let (estimate, rates) = (answer.total.estimate.unwrap(), answer.total.rates.unwrap());
    let numbers =
        [estimate.sent, estimate.received, rows::volume(estimate), rates.sent, rates.received, rates.highest()];
    let words = numbers.map(|number| number.to_string());
    let shown = table(&answer, true);
    let total = shown.lines().find(|line| line.starts_with("total")).unwrap();
    assert_eq!(total.split_whitespace().skip(4).collect::<Vec<_>>(), words);
    assert!(shown.contains("(others: ") && shown.contains("p90 higher") && shown.contains("total at end"), "{shown}");
    let document: Value = serde_json::from_str(&json(&answer)).unwrap();
    assert_eq!(document["total"]["estimated_total_bytes"], numbers[2]);
    assert_eq!(document["total"]["percentile_higher_bits_per_s"], numbers[5]);
    assert!(document["rows"][1]["others"].as_u64().unwrap() > 1 && document["percentile"] == 90);
    let lines = csv(&answer);
    let total = lines.split("\r\n").find(|line| line.starts_with("total")).unwrap();
    assert!(total.contains(&words.join(",")), "{total}");
}
