use super::super::testing::segment;
use super::*;

fn question(local_port: u16, birth: u32) -> Question {
    let mut endpoints = segment(0, 0, 0).endpoints;
    endpoints.local_port = local_port;
    Question { endpoints, birth, interface: 2 }
}

/// `each` connections at each of two ports that have waited for a minute since their handshakes were finished.
fn long_waiting(each: u32) -> (Waiting, Instant) {
    let start = Instant::now();
    let now = start + Duration::from_mins(1);
    let mut waiting = Waiting::default();
    for number in 0..each {
        for port in [80, 443] {
            let retry = waiting.begin(question(port, number), start);
            waiting.put(retry, true, start);
        }
    }
    for retry in std::iter::from_fn(|| waiting.take_due(now)).collect::<Vec<_>>() {
        waiting.put(retry, true, now);
    }
    assert_eq!(asked(&mut waiting, now), []);
    (waiting, now)
}

fn asked(waiting: &mut Waiting, now: Instant) -> Vec<(u16, u32)> {
    let due = std::iter::from_fn(|| waiting.take_due(now));
    due.map(|retry| (retry.question.endpoints.local_port, retry.question.birth)).collect()
}

#[test]
fn the_end_of_a_connection_has_the_longest_waiting_one_at_its_port_asked_about() {
    let (mut waiting, now) = long_waiting(3);
    waiting.hurry(443, now);
    assert_eq!(asked(&mut waiting, now), [(443, 0)]);
    waiting.hurry(443, now);
    waiting.hurry(443, now);
    assert_eq!(asked(&mut waiting, now), [(443, 1), (443, 2)], "each process that closes one accepts another");
    waiting.hurry(443, now);
    waiting.hurry(22, now);
    assert_eq!(asked(&mut waiting, now), []);
}

#[test]
fn a_connection_whose_handshake_is_finished_is_asked_about_in_quick_succession() {
    let start = Instant::now();
    let mut waiting = Waiting::default();
    let retry = waiting.begin(question(80, 0), start);
    waiting.put(retry, false, start);
    let mut now = start;
    // It takes 20 ms.
    while now < start + Duration::from_millis(20) {
        now = waiting.next_due().unwrap();
        let retry = waiting.take_due(now).unwrap();
        waiting.put(retry, false, now);
    }
    now = waiting.next_due().unwrap();
    let retry = waiting.take_due(now).unwrap();
    waiting.put(retry, true, now);
    let finished = now;
    while now < finished + Duration::from_micros(150) {
        let due = waiting.next_due().unwrap();
        assert!(due - now <= Duration::from_micros(50), "{:?}", due - now);
        now = due;
        let retry = waiting.take_due(now).unwrap();
        waiting.put(retry, true, now);
    }
}

#[test]
fn one_that_was_not_accepted_is_asked_about_a_few_times_more_and_keeps_its_place() {
    let (mut waiting, mut now) = long_waiting(2);
    waiting.hurry(80, now);
    let (end, mut asks) = (now + 10 * HURRY, 0);
    while let Some(due) = waiting.next_due().filter(|due| *due < end) {
        now = due;
        let retry = waiting.take_due(now).unwrap();
        assert_eq!(retry.question, question(80, 0));
        waiting.put(retry, true, now);
        asks += 1;
    }
    assert!((8..=16).contains(&asks), "{asks}");
    waiting.hurry(80, now);
    assert_eq!(asked(&mut waiting, now), [(80, 0)], "it is the first one still");
}

#[test]
fn where_one_was_accepted_the_next_is_asked_about_too() {
    let (mut waiting, now) = long_waiting(3);
    waiting.hurry(80, now);
    for number in 0..3 {
        let retry = waiting.take_due(now).unwrap();
        assert_eq!(retry.question, question(80, number));
        waiting.end(&retry, now);
    }
    assert_eq!(asked(&mut waiting, now), []);
}

#[test]
fn a_connection_waits_as_long_as_the_kernel_keeps_it_and_a_handshake_a_minute() {
    let start = Instant::now();
    for (is_complete, is_kept) in [(true, true), (false, false)] {
        let mut waiting = Waiting::default();
        let retry = waiting.begin(question(80, 0), start);
        waiting.put(retry, is_complete, start);
        let mut now = start;
        for _ in 0..100 {
            now += LAST_PAUSE;
            let Some(retry) = waiting.take_due(now) else { break };
            waiting.put(retry, is_complete, now);
        }
        assert_eq!(waiting.next_due().is_some(), is_kept);
        waiting.hurry(80, now);
        assert_eq!(asked(&mut waiting, now).len(), usize::from(is_kept));
    }
}

#[test]
fn what_the_reader_asks_about_meanwhile_keeps_its_place() {
    let (mut waiting, now) = long_waiting(2);
    for _ in 0..100 {
        let again = waiting.begin(question(80, 0), now);
        waiting.put(again, true, now);
    }
    waiting.hurry(80, now);
    assert_eq!(asked(&mut waiting, now), [(80, 0)]);
    assert_eq!(asked(&mut waiting, now + LAST_PAUSE).len(), 3);
}

#[test]
fn connections_that_wait_for_long_make_room_for_others() {
    let start = Instant::now();
    let now = start + Duration::from_mins(1);
    let mut waiting = Waiting::default();
    for number in 0..u32::try_from(MAX_WAITING).unwrap() {
        let retry = waiting.begin(question(22, number), start);
        waiting.put(retry, true, now);
    }
    let handshake = waiting.begin(question(80, 0), now);
    waiting.put(handshake, false, now);
    assert_eq!((waiting.all.len(), waiting.ids.get(&question(80, 0))), (MAX_WAITING, None));
    let complete = waiting.begin(question(80, 0), now);
    waiting.put(complete, true, now);
    assert_eq!(waiting.all.len(), MAX_WAITING);
    assert_eq!(asked(&mut waiting, now + 2 * SHORTEST_PAUSE).last(), Some(&(80, 0)));
}

#[test]
fn a_flood_fills_no_more_than_its_room() {
    let now = Instant::now();
    let mut waiting = Waiting::default();
    for number in 0..20_000 {
        let retry = waiting.begin(question(80, number), now);
        waiting.put(retry, number % 2 == 0, now);
    }
    assert_eq!(asked(&mut waiting, now + LAST_PAUSE).len(), MAX_WAITING);
    assert_eq!((waiting.all.len(), waiting.ids.len(), waiting.by_port.len(), waiting.next_due()), (0, 0, 0, None));
}
