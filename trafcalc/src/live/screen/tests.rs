mod picture;

use ratatui::Terminal;
use ratatui::backend::TestBackend;

use super::super::classes::Shown;
use super::super::columns::MAX_NAME;
use super::super::rows::table;
use super::super::state::{Press, Seen};
use super::super::testing::{in_classes, three};
use super::*;

/// The lines of a screen, without the blanks at their ends.
fn screen(width: u16, height: u16, model: &Model, state: &State, lost: Option<&str>) -> Vec<String> {
    let buffer = drawn(width, height, model, state, lost, true);
    let line = |y| (0..width).map(|x| buffer[(x, y)].symbol()).collect::<String>();
    (0..height).map(|y| line(y).trim_end().to_owned()).collect()
}

fn drawn(width: u16, height: u16, model: &Model, state: &State, lost: Option<&str>, has_colour: bool) -> Buffer {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    let table = table(model, state);
    let view = View { model, state, table: &table, lost };
    terminal.draw(|frame| draw(frame, view, Look { has_colour })).unwrap();
    terminal.backend().buffer().clone()
}

#[test]
fn eighty_columns_have_all_of_it() {
    let lines = screen(80, 24, &three(), &State::default(), None);
    assert_eq!(
        lines[..8],
        [
            "trafcalc 0.1.0  ebpf (tracepoint, sweep)       sent 2.00 MB/s  received 500 kB/s",
            "healthy",
            "users by rate",
            "user                    sent/s received/s               minute    today    month",
            "alice                2.00 MB/s     10 B/s                    █  5.00 MB  7.00 GB",
            "bob                      0 B/s   500 kB/s                    █  1.00 kB  1.00 kB",
            "carol                    0 B/s      0 B/s                       9.00 MB  9.00 MB",
            "",
        ]
    );
    assert_eq!(lines[22], "total                2.00 MB/s   500 kB/s                    █  14.0 MB  7.01 GB");
    assert!(lines[23].starts_with("q quit  ? help"));
}

#[test]
fn forty_columns_have_what_moves_now() {
    let lines = screen(40, 10, &three(), &State::default(), None);
    assert_eq!(
        lines[3..6],
        [
            "user                   sent/s received/s",
            "alice               2.00 MB/s     10 B/s",
            "bob                     0 B/s   500 kB/s",
        ]
    );
    assert!(lines[0].ends_with("sent 2.00 MB/s  received 500 kB/s"), "{}", lines[0]);
}

#[test]
fn two_hundred_columns_have_a_bar_for_each_second() {
    let lines = screen(200, 50, &three(), &State::default(), None);
    let name = usize::from(MAX_NAME);
    assert_eq!(lines[4].chars().nth(name + 22 + 60), Some('█'), "{}", lines[4]);
    assert_eq!(lines[4].chars().count(), name + 22 + 61 + 18);
    assert!(lines[48].starts_with("total") && lines[49].starts_with("q quit"));
}

#[test]
fn classes_have_a_column_with_the_mark_of_those_that_are_billed() {
    let apart = State { classes: Shown::Apart, ..State::default() };
    let lines = screen(80, 24, &in_classes(), &apart, None);
    assert_eq!(
        lines[2..8],
        [
            "users by rate, by class",
            "user             class          sent/s received/s       minute    today    month",
            "alice            lan          300 kB/s      0 B/s            █  5.00 MB  7.00 GB",
            "alice            internet $  20.0 kB/s      0 B/s            █  1.00 kB  1.00 kB",
            "bob              internet $  1.00 kB/s      0 B/s            █      0 B      0 B",
            "bob              -               0 B/s      0 B/s                  10 B     10 B",
        ]
    );
    assert!(lines[22].starts_with("total                         321 kB/s"), "{}", lines[22]);
    let lines = screen(40, 10, &in_classes(), &apart, None);
    assert_eq!(
        lines[3..9],
        [
            "user               class          both/s",
            "alice              lan          300 kB/s",
            "alice              internet $  20.0 kB/s",
            "bob                internet $  1.00 kB/s",
            "bob                -               0 B/s",
            "total                           321 kB/s",
        ]
    );
    let lines = screen(200, 50, &in_classes(), &apart, None);
    assert_eq!(lines[5].chars().nth(MAX_NAME.into()), Some(' '));
    assert!(lines[5][usize::from(MAX_NAME)..].starts_with("  internet $  20.0 kB/s      0 B/s "), "{}", lines[5]);
    assert_eq!(lines[5].chars().nth(usize::from(MAX_NAME) + 12 + 22 + 60), Some('█'), "{}", lines[5]);
    let tiny = screen(26, 3, &in_classes(), &apart, None);
    assert_eq!(tiny[1..], ["alice lan         300 kB/s", "alice internet   20.0 kB/s"], "no room for a column");
}

#[test]
fn one_class_alone_is_told_above_the_rows() {
    let only = State { classes: Shown::Only(1), ..State::default() };
    let lines = screen(80, 24, &in_classes(), &only, None);
    assert_eq!(lines[2], "users by rate, class internet $");
    assert!(lines[3].starts_with("user          ") && lines[4].contains("20.0 kB/s"), "{lines:?}");
    assert!(lines[23].starts_with("q quit  ? help  c classes"), "{}", lines[23]);
    let billed = State { classes: Shown::Billed, ..State::default() };
    assert_eq!(screen(80, 24, &in_classes(), &billed, None)[2], "users by rate, billed classes");
}

#[test]
fn whatever_the_size_it_is_drawn_and_every_line_fits() {
    let model = three();
    let states =
        [State::default(), State { is_help: true, ..State::default() }, State { is_typing: true, ..State::default() }];
    let apart = State { classes: Shown::Apart, ..State::default() };
    for width in [1, 2, 5, 8, 12, 19, 25, 29, 30, 36, 44, 60, 100, 300] {
        for height in [1, 2, 3, 5, 7, 8, 9, 20] {
            for state in &states {
                drawn(width, height, &model, state, Some("gone"), true);
            }
            drawn(width, height, &in_classes(), &apart, Some("gone"), true);
        }
    }
    assert_eq!(screen(20, 3, &model, &State::default(), None)[1..], ["alice      2.00 MB/s", "bob         500 kB/s"]);
}

#[test]
fn what_is_not_as_usual_is_told_above_the_rows() {
    let mut model = three();
    model.summary.as_mut().unwrap().health.gaps = 3;
    model.dropped = 4;
    let state = State { is_paused: true, frozen: Some(Vec::new()), ..State::default() };
    assert_eq!(screen(80, 24, &model, &state, None)[1], "gaps=3  paused  frozen  4 samples came too fast");
    model.hello.only_uid = Some(1000);
    let lines = screen(80, 24, &model, &State::default(), Some("/run/x: it has\u{1b} ended"));
    assert!(
        lines[1].starts_with(r"not heard: /run/x: it has\u001b ended  you see yourself (user 1000) alone"),
        "{}",
        lines[1]
    );
}

#[test]
fn one_sees_where_one_is_and_what_was_typed() {
    let state = State { filter: "al".to_owned(), is_typing: true, is_reversed: true, ..State::default() };
    let lines = screen(80, 24, &three(), &state, None);
    assert_eq!((lines[2].as_str(), &lines[5][..]), ("users by rate, reversed, with \"al_\"", ""));
}

#[test]
fn rates_are_told_in_bits() {
    let lines = screen(80, 24, &three(), &State { is_bits: true, ..State::default() }, None);
    assert!(lines[4].contains("16.0 Mbit/s") && lines[4].contains("5.00 MB"), "{}", lines[4]);
}

#[test]
fn the_help_has_every_key_and_is_closed_by_any() {
    let help = State { is_help: true, ..State::default() };
    let lines = screen(80, 24, &three(), &help, None);
    for key in ["q, Ctrl-C", "Enter", "Backspace", "s  ", "r  ", "f  ", "p, space", "/  ", "c  ", "b  ", "?  "] {
        assert!(lines.iter().any(|line| line.starts_with(key)), "{key} is missing");
    }
    assert!(HELP.iter().all(|line| line.chars().count() <= 80));
    let closed = help.press(Press::Up, Seen { rows: &[], levels: 1, classes: &[], page: 1 });
    assert!(screen(80, 24, &three(), &closed, None)[4].starts_with("alice"));
}

#[test]
fn the_chosen_row_is_reversed_and_always_on_the_screen() {
    let model = three();
    let last = table(&model, &State::default()).rows[2].key.clone();
    let state = State { cursor: Some(last), ..State::default() };
    let small = drawn(30, 3, &model, &state, None, true);
    assert_eq!(small[(0, 2)].symbol(), "c");
    assert!(small[(0, 2)].modifier.contains(Modifier::REVERSED));
    assert!(!small[(0, 1)].modifier.contains(Modifier::REVERSED));
}

#[test]
fn without_colours_there_are_none() {
    for has_colour in [true, false] {
        let buffer = drawn(80, 24, &three(), &State::default(), Some("gone"), has_colour);
        let is_coloured = buffer.content().iter().any(|cell| cell.fg != Color::Reset || cell.bg != Color::Reset);
        assert_eq!(is_coloured, has_colour);
    }
}
