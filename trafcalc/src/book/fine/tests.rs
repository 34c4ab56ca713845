use proptest::prelude::*;

use super::*;

fn decoded(text: &str) -> Option<Vec<Moved>> {
    let mut moved = Vec::new();
    decode(text.as_bytes(), |account, sent, received| moved.push((account, sent, received)))?;
    Some(moved)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_is_read(
        moved in prop::collection::vec(
            (0..1_i64 << 40, prop_oneof![0..100_i64, 0..=i64::MAX], (0..64_u32).prop_map(|bits| i64::MAX >> bits)), 1..40,
        ),
    ) {
        let text = encode(&moved);
        prop_assert_eq!(decoded(&text), Some(moved.clone()));
        // As SQLite reads it.
        let json: Vec<Moved> = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(json, moved);
    }

    #[test]
    fn what_is_cut_or_changed_does_not_crash(text in "[\\[\\],0-9x-]{0,60}") {
        if let Some(moved) = decoded(&text).filter(|moved| !moved.is_empty()) {
            let numbers: Vec<Moved> = serde_json::from_str(&text).unwrap_or_else(|_| moved.clone());
            prop_assert_eq!(moved, numbers);
        }
    }
}

#[test]
fn what_was_not_written_so_is_refused() {
    for text in [
        "",
        "[",
        "[[1,2]]",
        "[[1,2,3]",
        "[[1,2,3]]]",
        "[[1,2,3],]",
        "[[1,2,-3]]",
        "[[1,,3]]",
        "[[1, 2,3]]",
        "[[1,2,3.5]]",
        "[[1,2,9223372036854775808]]",
        "[[1,2,99999999999999999999999999]]",
        "[[1,2,3],[4,5,6]x",
    ] {
        assert_eq!(decoded(text), None, "{text}");
    }
    assert_eq!(decoded("[[1,2,9223372036854775807]]"), Some(vec![(1, 2, i64::MAX)]));
}

#[test]
fn lists_are_added_up_by_account_and_stay_in_order() {
    let sums = both(&[(1, i64::MAX - 1, 2), (3, 4, 5)], &[(0, 1, 1), (1, 7, 7), (2, 9, 9)]);
    assert_eq!(sums, [(0, 1, 1), (1, i64::MAX, 9), (2, 9, 9), (3, 4, 5)]);
}
