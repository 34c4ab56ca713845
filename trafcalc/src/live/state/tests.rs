use super::super::testing::classes;
use super::*;

fn key(uid: u32) -> RowKey {
    RowKey { key: Key::User(Whose::User(uid)), class: None }
}

/// Presses keys on a screen of three rows, two on a page, with two levels.
fn press(state: State, presses: &[Press]) -> State {
    let rows = [key(1), key(2), key(3)];
    let seen = Seen { rows: &rows, levels: 2, classes: &classes(), page: 2 };
    presses.iter().fold(state, |state, press| state.press(*press, seen))
}

fn after(presses: &[Press]) -> State {
    press(State::default(), presses)
}

fn typed(text: &str) -> Vec<Press> {
    text.chars().map(Press::Char).collect()
}

#[test]
fn levels_are_those_that_the_service_tells_apart() {
    use Level::{Process, Program, Unit, User};
    for (by, levels) in [
        (&["user"][..], &[User][..]),
        (&["user", "unit"], &[User, Unit]),
        (&["user", "program", "unit"], &[User, Unit, Program]),
        (&["user", "process"], &[User, Program, Process]),
    ] {
        assert_eq!(Level::of(by), levels);
    }
}

#[test]
fn the_end_comes_with_q_and_with_an_interrupt_wherever_one_is() {
    assert!(after(&typed("q")).is_over);
    assert!(!after(&typed("/q")).is_over, "it is a part of the filter");
    for before in ["", "/", "?", "p"] {
        assert!(press(after(&typed(before)), &[Press::Interrupt]).is_over);
    }
}

#[test]
fn the_order_goes_round_and_can_be_turned() {
    use Sort::{Month, Name, Rate, Received, Sent, Today};
    let orders: Vec<_> = (0..7).map(|count| after(&typed(&"s".repeat(count))).sort).collect();
    assert_eq!(orders, [Rate, Sent, Received, Today, Month, Name, Rate]);
    assert!(after(&typed("r")).is_reversed && !after(&typed("rr")).is_reversed);
}

#[test]
fn rows_are_chosen_within_those_there_are() {
    let cursor = |presses: &[Press]| after(presses).cursor;
    assert_eq!(cursor(&[Press::Down]), Some(key(1)));
    assert_eq!(cursor(&[Press::Up]), Some(key(3)));
    assert_eq!(cursor(&[Press::Down, Press::Down]), Some(key(2)));
    assert_eq!(cursor(&[Press::Home, Press::PageDown, Press::PageDown]), Some(key(3)));
    assert_eq!(cursor(&[Press::End, Press::PageUp]), Some(key(1)));
    assert_eq!(cursor(&typed("jjk")), Some(key(1)));
    let nothing = Seen { rows: &[], levels: 2, classes: &[], page: 2 };
    for press in [Press::Up, Press::Down, Press::PageUp, Press::PageDown, Press::Home, Press::End, Press::Enter] {
        let state = State { cursor: Some(key(1)), ..State::default() }.press(press, nothing);
        assert_eq!(state.path, []);
    }
}

#[test]
fn one_goes_into_a_row_and_out_again_but_no_deeper_than_there_is() {
    let inside = after(&[Press::Down, Press::Down, Press::Enter]);
    assert_eq!((inside.path.as_slice(), inside.cursor.as_ref()), (&[key(2)][..], None));
    let deeper = press(inside.clone(), &[Press::Down, Press::Enter]);
    assert_eq!(deeper.path, [key(2)], "there are two levels");
    for out in [Press::Back, Press::Escape] {
        let outside = press(inside.clone(), &[out]);
        assert_eq!((outside.path.as_slice(), outside.cursor), (&[][..], Some(key(2))));
    }
    assert_eq!(after(&[Press::Enter]).path, [], "no row is chosen");
    assert_eq!(after(&[Press::Back]), State::default());
}

#[test]
fn a_filter_is_typed_kept_and_cleared() {
    let typing = after(&typed("/al q"));
    assert_eq!((typing.filter.as_str(), typing.is_typing), ("al q", true));
    assert_eq!(press(typing.clone(), &[Press::Back]).filter, "al ");
    let kept = press(typing.clone(), &[Press::Enter]);
    assert_eq!((kept.filter.as_str(), kept.is_typing), ("al q", false));
    assert_eq!(press(kept, &[Press::Escape]).filter, "");
    let cleared = press(typing, &[Press::Escape]);
    assert_eq!((cleared.filter.as_str(), cleared.is_typing), ("", false));
    assert_eq!(press(after(&typed("/")), &[Press::Char('\u{1b}')]).filter, "", "no control character");
    let inside = press(after(&typed("/a")), &[Press::Enter, Press::Down, Press::Enter]);
    assert_eq!((inside.path.len(), inside.filter.as_str()), (1, ""), "it was for the rows outside");
}

#[test]
fn rows_freeze_as_they_are_seen() {
    let frozen = after(&typed("f"));
    assert_eq!(frozen.frozen, Some(vec![key(1), key(2), key(3)]));
    assert_eq!(press(frozen, &typed("f")).frozen, None);
}

#[test]
fn classes_are_chosen_by_a_key_and_rows_thaw_as_they_are_others_then() {
    assert_eq!(after(&typed("c")).classes, Shown::Apart);
    assert_eq!(after(&typed("ccccc")).classes, Shown::Together);
    assert_eq!(after(&typed("fc")).frozen, None);
    assert_eq!(after(&typed("/c")).classes, Shown::Together, "it is a part of the filter");
}

#[test]
fn pause_bits_and_help_are_switches_and_any_key_closes_the_help() {
    assert!(after(&typed("p")).is_paused && !after(&typed("p ")).is_paused);
    assert!(after(&typed("b")).is_bits && !after(&typed("bb")).is_bits);
    assert!(after(&typed("?")).is_help && after(&typed("h")).is_help);
    assert_eq!(after(&typed("?q")), State::default());
    assert_eq!(after(&typed("?s")).sort, Sort::Rate);
    assert_eq!(after(&typed("x")), State::default());
}
