//! Months are closed while the billing day changes: each day is closed once, and none is left out.

use super::*;

/// A service begins its months on another day.
const LATER: &str = "2026-03-01T00:00:00Z";

impl Case {
    /// The closed days in their order, each month with the first day that is not in it.
    fn closed(&self) -> Vec<(String, String)> {
        let book = Connection::open(self.path("book.db")).unwrap();
        let mut ask = book.prepare("SELECT from_date, to_date FROM closed ORDER BY from_date").unwrap();
        let months = ask.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        months.map(Result::unwrap).collect()
    }

    #[track_caller]
    fn close(&self, month: &str, told: &str) {
        let closed = self.printed(&["close", "--month", month]);
        assert!(closed.starts_with(told), "{closed}");
    }
}

fn months(days: &[&str]) -> Vec<(String, String)> {
    days.windows(2).map(|pair| (pair[0].to_owned(), pair[1].to_owned())).collect()
}

#[test]
fn a_later_billing_day_closes_no_day_twice_and_leaves_none_out() {
    let mut case = Case::new();
    case.close("2025-10", "2025-10 is closed: 5340 bytes sent, 100 received; SHA-256 ");
    case.open_with(LATER, 15);
    case.close("2025-09", "2025-09 (2025-09-15 to 2025-09-30) is closed: 0 bytes sent");
    let told = case.printed(&["close", "--month=2025-10"]);
    assert!(told.starts_with("2025-10 (2025-11-01 to 2025-11-14) is closed: 7000 bytes sent"), "{told}");
    assert!(told.ends_with("\nthe other days of 2025-10-15 to 2025-11-14 were closed before\n"), "{told}");
    case.close("2025-11", "2025-11 (2025-11-15 to 2025-12-14) is closed: 1 bytes sent");
    assert_eq!(case.closed(), months(&["2025-09-15", "2025-10-01", "2025-11-01", "2025-11-15", "2025-12-15"]));
    let again = "2025-10 (2025-10-15 to 2025-11-14) is closed already: 2025-10-01 to 2025-10-31 (SHA-256 ";
    case.refused(64, again, &["close", "--month=2025-10"]);
    case.refused(64, "), 2025-11-01 to 2025-11-14 (SHA-256 ", &["close", "--month=2025-10"]);
    let checked = case.printed(&["history", "check"]);
    assert!(checked.contains("\n2025-10: as it was closed, 5340 bytes"), "{checked}");
    assert!(checked.contains("\n2025-10 (2025-11-01 to 2025-11-14): as it was closed, 7000 bytes"), "{checked}");
}

#[test]
fn an_earlier_billing_day_closes_no_day_twice_and_leaves_none_out() {
    let mut case = Case::new();
    case.open_with(LATER, 15);
    case.close("2025-10", "2025-10 (2025-10-15 to 2025-11-14) is closed: 7040 bytes sent");
    case.open_with("2026-03-02T00:00:00Z", 5);
    case.close("2025-09", "2025-09 (2025-09-05 to 2025-10-04) is closed: 0 bytes sent");
    case.close("2025-10", "2025-10 (2025-10-05 to 2025-10-14) is closed: 5300 bytes sent");
    case.close("2025-11", "2025-11 (2025-11-15 to 2025-12-04) is closed: 1 bytes sent");
    assert_eq!(case.closed(), months(&["2025-09-05", "2025-10-05", "2025-10-15", "2025-11-15", "2025-12-05"]));
    case.refused(64, "2025-10 (2025-10-05 to 2025-11-04) is closed already", &["close", "--month=2025-10"]);
    case.printed(&["history", "check"]);
}

#[test]
fn a_report_says_which_days_were_closed_where_they_are_not_its_own() {
    let mut case = Case::new();
    case.close("2025-10", "2025-10 is closed");
    case.open_with(LATER, 15);
    let month = ["report", "--month=2025-10", "--bytes"];
    let table = case.printed(&month);
    assert!(table.contains("\n2025-10 (2025-10-01 to 2025-10-31) was closed at "), "{table}");
    let table = case.printed(&[&month[..], &["--billing-day=1"]].concat());
    assert!(table.contains("\n2025-10 was closed at "), "{table}");
    let table = case.printed(&[&month[..], &["--billing-day=1", "--zone=UTC"]].concat());
    assert!(table.contains("\n2025-10 (2025-10-01 to 2025-10-31, Europe/Berlin) was closed at "), "{table}");
    let json: Value = serde_json::from_str(&case.printed(&["report", "--month=2025-10", "--format=json"])).unwrap();
    let closed = &json["closed"][0];
    let days = (&closed["month"], &closed["from"], &closed["to"]);
    assert_eq!(days, (&"2025-10".into(), &"2025-10-01T00:00:00+02:00".into(), &"2025-11-01T00:00:00+01:00".into()));
}
