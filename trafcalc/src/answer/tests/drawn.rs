//! The content of drawings.

use super::*;
use crate::answer::svg::svg;

/// Position and size of a drawing's rectangles of one colour.
fn rectangles(drawing: &str, colour: &str) -> Vec<[i32; 4]> {
    let rectangles =
        drawing.split("<rect ").skip(1).filter(|rectangle| rectangle.contains(&format!("fill=\"{colour}\"")));
    let number = |rectangle: &str, name: &str| {
        rectangle.split(&format!("{name}=\"")).nth(1).unwrap().split('"').next().unwrap().parse().unwrap()
    };
    rectangles.map(|rectangle| ["x", "y", "width", "height"].map(|name| number(rectangle, name))).collect()
}

#[test]
fn a_list_has_a_bar_for_each_row_that_is_as_long_as_what_moved() {
    let history = History::of_berlin();
    let answer = history.ask(&question()).unwrap();
    let drawing = svg(&answer);
    for text in ["2026-11-01 00:00 to 2026-12-01 00:00 (Europe/Berlin)", "; 1 gap", "alice", "(unattributed)", "carol"]
    {
        assert!(drawing.contains(text), "{text}: {drawing}");
    }
    let (sent, received) = (rectangles(&drawing, "#4682B4"), rectangles(&drawing, "#E69646"));
    // The legend has one of each colour.
    assert_eq!((sent.len(), received.len()), (answer.rows.len() + 1, answer.rows.len() + 1));
    let most = u128::from(answer.rows[0].figures.bytes.sent + answer.rows[0].figures.bytes.received);
    for ((row, sent), received) in answer.rows.iter().zip(&sent[1..]).zip(&received[1..]) {
        let pixels = |bytes: u64| i32::try_from(u128::from(bytes) * 500 / most).unwrap();
        let (told, drawn) = ([row.figures.bytes.sent, row.figures.bytes.received].map(pixels), [sent[2], received[2]]);
        assert!((told[0] - drawn[0]).abs() <= 1 && (told[1] - drawn[1]).abs() <= 1, "{told:?} {drawn:?}");
    }
}

#[test]
fn parts_have_bars_at_their_time_and_gaps_are_behind_them() {
    let history = History::of_berlin();
    let drawing = svg(&history.ask(&Question { each: Some(Each::Day), ..question() }).unwrap());
    let gaps = rectangles(&drawing, "#E8E8E8");
    // From the 4th at 4:12 to the 6th at noon: 2.32 of 30 days, on 890 pixels.
    assert_eq!(gaps, [[90 + 94, 84, 69, 316]]);
    assert!(drawing.contains("11-01") && drawing.contains("11-28") && drawing.contains("alice"), "{drawing}");
    let by_hour = Question { each: Some(Each::Hour), by: vec![Dimension::User, Dimension::Program], ..question() };
    let drawing = svg(&history.ask(&by_hour).unwrap());
    assert!(drawing.contains("alice, nginx") && drawing.contains("11-01 00:00"), "{drawing}");
}

#[test]
fn nothing_is_drawn_of_nothing_and_no_name_is_markup() {
    let history = History::of_berlin();
    let mut answer = history.ask(&question()).unwrap();
    let Label::One(whose) = &mut answer.rows[0].label else { panic!("there are others") };
    whose.user = Some("<script>&\"\u{202e}".to_owned());
    let drawing = svg(&answer);
    assert!(!drawing.contains("<script>") && !drawing.contains('\u{202e}'), "{drawing}");
    answer.rows.clear();
    for each in [None, Some(Each::Month)] {
        let drawing = svg(&Answer { each, ..answer.clone() });
        assert!(drawing.starts_with("<svg ") && drawing.trim_end().ends_with("</svg>"), "{drawing}");
    }
}
