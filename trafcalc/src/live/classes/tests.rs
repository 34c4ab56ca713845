use super::super::testing::classes;
use super::*;

#[test]
fn the_key_goes_round_all_that_can_be_shown() {
    let round = |classes: &[ClassOf]| {
        let mut shown = Shown::default();
        let mut texts = Vec::new();
        while texts.len() < 8 {
            shown = shown.next(classes);
            texts.push(shown.text(classes));
            if shown == Shown::Together {
                break;
            }
        }
        texts.into_iter().map(Option::unwrap_or_default).collect::<Vec<_>>()
    };
    assert_eq!(round(&classes()), ["by class", "class lan", "class internet $", "billed classes", ""]);
    let all_billed: Vec<_> = classes().into_iter().map(|class| ClassOf { billed: true, ..class }).collect();
    assert_eq!(round(&all_billed), ["by class", "class lan $", "class internet $", ""]);
    assert_eq!(round(&[]), [""], "there is nothing to choose");
}

#[test]
fn what_has_no_class_is_billed_as_in_the_report() {
    let shown =
        |shown: Shown| [None, Some("lan"), Some("internet"), Some("gone")].map(|class| shown.shows(class, &classes()));
    assert_eq!(shown(Shown::Together), [true; 4]);
    assert_eq!(shown(Shown::Apart), [true; 4]);
    assert_eq!(shown(Shown::Only(0)), [false, true, false, false]);
    assert_eq!(shown(Shown::Billed), [true, false, true, true]);
    assert_eq!(shown(Shown::Only(7)), [true; 4], "of a former service");
}

#[test]
fn words_of_classes_are_told_from_the_text() {
    let filter = Filter::new("Al class:NET");
    assert!(filter.shows_class(Some("internet")) && !filter.shows_class(Some("lan")) && !filter.shows_class(None));
    assert!(filter.shows_name("aLice") && !filter.shows_name("bob"));
    assert!(Filter::new("class:").shows_class(None), "it is still being typed");
    assert!(Filter::new("a b").shows_name("xa b") && !Filter::new("a b").shows_name("ab"));
}

#[test]
fn no_name_of_a_class_drives_the_terminal() {
    assert_eq!(label("a\u{1b}[2J", &[]), r"a\u001b[2J");
    assert_eq!(label("", &classes()), "-");
}
