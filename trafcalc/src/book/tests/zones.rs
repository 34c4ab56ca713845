use jiff::{Timestamp, ZonedDateTime};
use proptest::prelude::*;

use super::super::borders::{self, rows_before};
use super::*;

const ZONES: [&str; 8] = [
    "UTC",
    "Europe/Berlin",
    "Asia/Kolkata",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "America/St_Johns",
    "Pacific/Apia",
    "Africa/Monrovia",
];

fn zone(name: &str) -> TimeZone {
    TimeZone::get(name).unwrap()
}

fn moment(text: &str) -> SystemTime {
    text.parse::<Timestamp>().unwrap().try_into().unwrap()
}

/// Hour and day of a report that ends at `end`.
fn booked(end: &str, name: &str) -> (String, String) {
    let rows = rows_before(moment(end), &zone(name));
    (Timestamp::from_second(rows.hour_s).unwrap().to_string(), rows.date)
}

#[test]
fn hours_and_days_are_those_of_the_zone() {
    for (end, name, hour, date) in [
        ("2026-11-25T18:30:00Z", "Asia/Kolkata", "2026-11-25T17:30:00Z", "2026-11-25"),
        ("2026-11-25T18:30:00.000001Z", "Asia/Kolkata", "2026-11-25T18:30:00Z", "2026-11-26"),
        ("2026-11-25T18:15:00.000001Z", "Asia/Kathmandu", "2026-11-25T18:15:00Z", "2026-11-26"),
        ("2026-07-01T02:30:00Z", "America/St_Johns", "2026-07-01T01:30:00Z", "2026-06-30"),
        ("2026-01-01T03:30:01Z", "America/St_Johns", "2026-01-01T03:30:00Z", "2026-01-01"),
        // Lord Howe's clocks go back from 02:00 to 01:30 at 15:00Z, which makes an hour of 30 minutes.
        ("2026-04-04T15:00:00Z", "Australia/Lord_Howe", "2026-04-04T14:00:00Z", "2026-04-05"),
        ("2026-04-04T15:00:01Z", "Australia/Lord_Howe", "2026-04-04T15:00:00Z", "2026-04-05"),
        ("2026-04-04T15:30:01Z", "Australia/Lord_Howe", "2026-04-04T15:30:00Z", "2026-04-05"),
        // They go forward from 02:00 to 02:30 at 15:30Z.
        ("2026-10-03T15:30:01Z", "Australia/Lord_Howe", "2026-10-03T15:30:00Z", "2026-10-04"),
        ("2026-10-03T16:00:01Z", "Australia/Lord_Howe", "2026-10-03T16:00:00Z", "2026-10-04"),
        // The hour that occurs twice in Berlin is two rows.
        ("2026-10-25T01:00:00Z", "Europe/Berlin", "2026-10-25T00:00:00Z", "2026-10-25"),
        ("2026-10-25T01:00:01Z", "Europe/Berlin", "2026-10-25T01:00:00Z", "2026-10-25"),
        // A day that Samoa skipped.
        ("2011-12-30T10:00:00Z", "Pacific/Apia", "2011-12-30T09:00:00Z", "2011-12-29"),
        ("2011-12-30T10:00:01Z", "Pacific/Apia", "2011-12-30T10:00:00Z", "2011-12-31"),
        ("1969-12-31T18:30:00Z", "Asia/Kolkata", "1969-12-31T17:30:00Z", "1969-12-31"),
        ("1969-12-31T23:59:59.999999Z", "UTC", "1969-12-31T23:00:00Z", "1969-12-31"),
        ("1970-01-01T00:00:00Z", "UTC", "1969-12-31T23:00:00Z", "1969-12-31"),
    ] {
        assert_eq!(booked(end, name), (hour.to_owned(), date.to_owned()), "{end} {name}");
    }
}

#[test]
fn times_that_no_calendar_has_are_booked_somewhere() {
    let (_folder, path) = folder();
    let far = Duration::from_secs(1 << 42);
    let (mut book, _) = Book::open(&Opening { zone: zone("Asia/Kolkata"), ..opening(&path) }).unwrap();
    let ends = [UNIX_EPOCH - far, UNIX_EPOCH - Duration::from_nanos(1), UNIX_EPOCH + far, at(BEGIN_S)];
    for (seq, end) in ends.into_iter().enumerate() {
        book.commit(&commit(u64::try_from(seq).unwrap(), end, &[(user(1, None), bytes(1, 1))])).unwrap();
    }
    assert_all_sums(&book, bytes(4, 4));
    drop(book);
    Book::open(&Opening { now: UNIX_EPOCH - far, ..opening(&path) }).unwrap();
}

#[test]
fn an_unknown_zone_is_booked_by_the_name_of_the_one_it_behaves_as() {
    let (_folder, path) = folder();
    drop(Book::open(&Opening { zone: TimeZone::unknown(), ..opening(&path) }).unwrap());
    let lives = Reader::open(&path).unwrap().contents().unwrap().lives;
    assert_eq!(lives[0].zone.as_deref(), Some("UTC"));
}

fn zoned(at: SystemTime, zone: &TimeZone) -> ZonedDateTime {
    ZonedDateTime::new(Timestamp::try_from(at).unwrap(), zone.clone())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Everything between two borders is booked in the same rows, and what follows in others; rows never go back in
    /// time.
    #[test]
    fn a_report_cut_at_the_borders_is_in_one_row(place in 0..ZONES.len(), second in -3_000_000_000_i64..4_000_000_000, micro in 0..1_000_000_i64) {
        let zone = zone(ZONES[place]);
        let begin = borders::time(second * 1_000_000 + micro);
        let end = next_border(begin, &zone);
        let step = Duration::from_micros(1);
        prop_assert!(end > begin && end <= begin + Duration::from_mins(5));
        let (first, last, next) = (rows_before(begin + step, &zone), rows_before(end, &zone), rows_before(end + step, &zone));
        prop_assert_eq!(&first, &last);
        prop_assert!(next != last && next.fine_s >= last.fine_s && next.hour_s >= last.hour_s);
        prop_assert!(borders::time(first.hour_s * 1_000_000) <= begin && borders::time(first.fine_s * 1_000_000) <= begin);
        let (hour, now) = (zoned(borders::time(first.hour_s * 1_000_000), &zone), zoned(begin, &zone));
        prop_assert_eq!((hour.date(), hour.hour()), (now.date(), now.hour()));
        prop_assert_eq!(first.date, now.date().to_string());
    }

    #[test]
    fn microseconds_come_back(micros in any::<i64>(), nanos in 0..1000_u64) {
        prop_assert_eq!(borders::micros(borders::time(micros)), micros);
        let micros = micros / 2;
        prop_assert_eq!(borders::micros(borders::time(micros) + Duration::from_nanos(nanos)), micros);
    }
}

#[test]
fn a_report_that_comes_a_moment_late_is_of_the_time_before_the_border() {
    let at = |ms: i64| borders::time((1_795_737_600_000 + ms) * 1_000);
    let folder = TempDir::new().unwrap();
    let (mut book, _) = open(&folder.path().join("book.db"));
    for (seq, (start, end)) in (1_u64..).zip([(-60_000, 3), (3, 60_000), (-200, 300)]) {
        let moved = vec![(user(1, Some("ada")), bytes(seq, 0))];
        book.commit(&Commit { start: at(start), ..commit(seq, at(end), &moved) }).unwrap();
    }
    let rows = |sql: &str| -> Vec<u64> {
        let mut ask = book.connection.prepare(sql).unwrap();
        ask.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
    };
    assert_eq!(rows("SELECT sent FROM day ORDER BY date"), [1, 2 + 3]);
    assert_eq!(rows("SELECT sent FROM fine ORDER BY start_s"), [1, 2 + 3]);
}
