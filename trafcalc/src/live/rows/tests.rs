use serde_json::{Value, json};

use super::super::model::Whose;
use super::super::testing::{hello, in_classes, sample, three, user};
use super::*;

fn names(table: &Table) -> Vec<&str> {
    table.rows.iter().map(|row| row.name.as_str()).collect()
}

fn row(key: Key) -> RowKey {
    RowKey { key, class: None }
}

fn sorted(sort: Sort) -> State {
    State { sort, ..State::default() }
}

#[test]
fn users_are_in_the_order_that_was_chosen() {
    let model = three();
    for (sort, order) in [
        (Sort::Rate, ["alice", "bob", "carol"]),
        (Sort::Sent, ["alice", "carol", "bob"]),
        (Sort::Received, ["bob", "alice", "carol"]),
        (Sort::Today, ["carol", "alice", "bob"]),
        (Sort::Month, ["alice", "carol", "bob"]),
        (Sort::Name, ["alice", "bob", "carol"]),
    ] {
        assert_eq!(names(&table(&model, &sorted(sort))), order, "{sort:?}");
    }
    let reversed = State { is_reversed: true, ..sorted(Sort::Today) };
    assert_eq!(names(&table(&model, &reversed)), ["bob", "alice", "carol"]);
}

#[test]
fn the_sums_are_those_of_the_rows_that_are_shown() {
    let model = three();
    let all = table(&model, &State::default());
    assert_eq!((all.total.rate, all.total.today), ([2_000_000, 500_010], Some([14_001_000, 0])));
    let some = table(&model, &State { filter: "B".to_owned(), ..State::default() });
    assert_eq!((names(&some), some.total.rate), (vec!["bob"], [0, 500_000]));
}

#[test]
fn frozen_rows_stay_where_they_are_and_new_ones_come_behind() {
    let mut model = three();
    let order = [2, 1].map(|uid| row(Key::User(Whose::User(uid)))).to_vec();
    let state = State { frozen: Some(order), ..State::default() };
    assert_eq!(names(&table(&model, &state)), ["bob", "alice", "carol"]);
    model.take(sample(12.0, json!([user(4, "dave", 9_000_000, 0)]), json!([])));
    assert_eq!(names(&table(&model, &state)), ["bob", "alice", "dave", "carol"]);
}

#[test]
fn a_row_that_ended_stays_for_a_minute() {
    let mut model = Model::new(hello(&["user"]));
    let later = |second: u32, accounts: Value| {
        let mut sample = sample(second.into(), accounts, json!([]));
        sample.date = None;
        sample
    };
    model.take(later(0, json!([])));
    model.take(later(1, json!([user(1, "alice", 5, 0)])));
    for second in 2..=60 {
        model.take(later(second, json!([])));
        assert_eq!(names(&table(&model, &State::default())), ["alice"], "{second}");
    }
    model.take(later(61, json!([])));
    assert!(table(&model, &State::default()).rows.is_empty());
    assert_eq!(table(&model, &State::default()).total.today, None);
}

/// Alice's units, programs and processes.
fn deep() -> Model {
    let mut model = Model::new(hello(&["user", "process", "unit"]));
    let process = |pid: u32, program: &str, unit: Option<&str>, sent: u64| {
        json!({
            "uid": 1, "user": "alice", "pid": pid, "start_time": "2026-11-26T10:00:00.000Z", "program": program, "unit": unit,
            "sent_bytes": sent, "received_bytes": 0,
        })
    };
    let of_day = json!({
        "uid": 1, "user": "alice", "program": "curl", "unit": "a.service", "sent_bytes_today": 100, "received_bytes_today": 1,
        "sent_bytes_month": 1_000, "received_bytes_month": 2,
    });
    model.take(sample(0.0, json!([]), json!([of_day])));
    let accounts = json!([
        process(10, "curl", Some("a.service"), 1),
        process(11, "curl", Some("a.service"), 2),
        process(12, "scp", Some("a.service"), 4),
        process(13, "curl", Some("b.service"), 8),
        process(14, "curl", None, 16),
        user(2, "bob", 32, 0),
    ]);
    model.take(sample(1.0, accounts, json!([])));
    model
}

#[test]
fn each_level_has_what_belongs_to_the_row_that_was_entered() {
    let model = deep();
    let mut state = sorted(Sort::Name);
    let mut shown = |key: Option<Key>| {
        state.path.extend(key.map(super::tests::row));
        let table = table(&model, &state);
        let rows = table.rows.iter().map(|row| (row.name.clone(), row.rate[0], row.today.map(sum)));
        (table.level, rows.collect::<Vec<_>>(), table.path.clone())
    };
    let row = |name: &str, rate, today| (name.to_owned(), rate, today);
    assert_eq!(shown(None).1, [row("alice", 31, Some(101)), row("bob", 32, Some(0))]);
    let units = shown(Some(Key::User(Whose::User(1))));
    assert_eq!((units.0, units.2), (Level::Unit, vec!["alice".to_owned()]));
    assert_eq!(
        units.1,
        [row("(not known)", 16, Some(0)), row("a.service", 7, Some(101)), row("b.service", 8, Some(0))]
    );
    let programs = shown(Some(Key::Unit(Some("a.service".to_owned())))).1;
    assert_eq!(programs, [row("curl", 3, Some(101)), row("scp", 4, Some(0))]);
    let processes = shown(Some(Key::Program(Some("curl".to_owned()))));
    assert_eq!((processes.0, processes.1), (Level::Process, vec![row("10 curl", 1, None), row("11 curl", 2, None)]));
}

/// Name, class, bytes sent per second, and bytes moved today.
fn shown(state: &State) -> Vec<(String, String, u64, u64)> {
    let rows = table(&in_classes(), state).rows.into_iter();
    rows.map(|row| (row.name, row.class, row.rate[0], row.today.map_or(0, sum))).collect()
}

#[test]
fn rows_have_the_classes_that_were_chosen() {
    let row = |name: &str, class: &str, rate, today| (name.to_owned(), class.to_owned(), rate, today);
    let of = |classes| shown(&State { classes, ..sorted(Sort::Name) });
    assert_eq!(of(Shown::Together), [row("alice", "", 320_000, 5_001_000), row("bob", "", 1_000, 10)]);
    assert_eq!(
        shown(&State { classes: Shown::Apart, ..sorted(Sort::Rate) }),
        [
            row("alice", "lan", 300_000, 5_000_000),
            row("alice", "internet $", 20_000, 1_000),
            row("bob", "internet $", 1_000, 0),
            row("bob", "-", 0, 10),
        ]
    );
    assert_eq!(of(Shown::Only(0)), [row("alice", "", 300_000, 5_000_000)]);
    assert_eq!(of(Shown::Billed), [row("alice", "", 20_000, 1_000), row("bob", "", 1_000, 10)]);
}

#[test]
fn a_class_is_found_by_text_whether_rows_are_told_apart_by_it_or_not() {
    let names = |filter: &str, classes| {
        let state = State { filter: filter.to_owned(), classes, ..sorted(Sort::Name) };
        shown(&state).into_iter().map(|row| (row.0, row.2)).collect::<Vec<_>>()
    };
    let row = |name: &str, rate| (name.to_owned(), rate);
    assert_eq!(names("class:inter", Shown::Together), [row("alice", 20_000), row("bob", 1_000)]);
    assert_eq!(names("bo class:inter", Shown::Together), [row("bob", 1_000)]);
    assert_eq!(names("lan", Shown::Apart), [row("alice", 300_000)]);
    assert_eq!(names("lan", Shown::Together), []);
}

#[test]
fn what_is_entered_stays_in_its_class() {
    let path = vec![RowKey { key: Key::User(Whose::User(1)), class: Some("lan".to_owned()) }];
    let mut state = State { path, classes: Shown::Apart, ..sorted(Sort::Name) };
    let table = table(&in_classes(), &state);
    assert_eq!((table.total.rate[0], table.path), (300_000, vec!["alice lan".to_owned()]));
    state.classes = Shown::Together;
    assert_eq!(shown(&state)[0].2, 300_000, "it was entered with its class");
}

#[test]
fn no_name_drives_the_terminal() {
    let mut model = Model::new(hello(&["user"]));
    model.take(sample(0.0, json!([]), json!([])));
    model.take(sample(1.0, json!([user(1, "a\u{1b}[2J\u{202e}", 1, 0)]), json!([])));
    assert_eq!(names(&table(&model, &State::default())), [r"a\u001b[2J\u202e"]);
}

#[test]
fn a_container_is_told_by_its_runtime_and_by_its_name_where_that_is_known() {
    let mut model = Model::new(hello(&["user", "unit"]));
    let unit = format!("docker-{}.scope", "0123456789abcdef".repeat(4));
    let account = |uid: u32, container: Option<&str>, sent: u64| {
        let mut account = user(uid, "someone", sent, 0);
        account["unit"] = unit.clone().into();
        account["container"] = container.into();
        account
    };
    model.take(sample(0.0, json!([]), json!([])));
    // The name comes with a later sample than the first bytes.
    model.take(sample(1.0, json!([account(0, None, 1), account(1000, None, 1)]), json!([])));
    model.take(sample(2.0, json!([account(0, Some("web\u{1b}"), 2), account(1000, None, 2)]), json!([])));
    let within = |uid: u32| {
        let path = vec![row(Key::User(Whose::User(uid)))];
        names(&table(&model, &State { path, ..State::default() })).join(" ")
    };
    assert_eq!(within(0), r"docker:web\u001b");
    assert_eq!(within(1000), "docker:0123456789ab", "of another user of that cgroup it is not known");
}
