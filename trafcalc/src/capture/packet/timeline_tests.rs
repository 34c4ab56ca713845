use proptest::prelude::*;

use super::super::finding::{Outcome, Standing};
use super::super::segment::Segment;
use super::super::testing::{segment, sighting};
use super::*;

/// The number of their connection distinguishes answers.
fn question(birth: u32) -> Question {
    Question { endpoints: segment(0, 0, 0).endpoints, birth, interface: 2 }
}

fn finding(birth: u32) -> Event {
    let (standing, listener) = (Standing::Gone, None);
    Event::Finding(Finding { question: question(birth), standing, inode: 0, listener, forwards: false })
}

fn found(birth: u32) -> Event {
    Event::Found(Found { question: question(birth), outcome: Outcome::Nothing })
}

fn anchor(time_ns: u64) -> Event {
    Event::Anchor(sighting((time_ns, segment(7, 7, 7))))
}

fn hold(timeline: &mut Timeline, time_ns: u64) {
    timeline.hold(sighting((time_ns, segment(7, 7, 7))));
}

fn released(timeline: &mut Timeline, until_ns: u64) -> Vec<Event> {
    let mut events = Vec::new();
    timeline.release(until_ns, |event| events.push(event));
    events
}

#[test]
fn nothing_goes_before_its_time() {
    let mut timeline = Timeline::default();
    for time_ns in [10, 20, 30] {
        hold(&mut timeline, time_ns);
    }
    timeline.hold_answer(15, finding(1));
    timeline.hold_answer(25, found(2));
    assert_eq!(released(&mut timeline, 9), []);
    assert_eq!(released(&mut timeline, 20), [anchor(10), finding(1), anchor(20)]);
    assert_eq!(released(&mut timeline, 20), []);
    assert_eq!(released(&mut timeline, u64::MAX), [found(2), anchor(30)]);
}

#[test]
fn a_fin_of_the_peer_is_known_a_moment_before_its_time() {
    let fin = |direction| sighting((FIN_AHEAD_NS, Segment { fin: true, direction, ..segment(7, 7, 7) }));
    for (direction, is_early) in [(Direction::Incoming, true), (Direction::Outgoing, false)] {
        let mut timeline = Timeline::default();
        timeline.hold(fin(direction));
        let early = released(&mut timeline, 0);
        assert_eq!(early, [Event::PeerFin(fin(direction))][..usize::from(is_early)], "{direction:?}");
        assert_eq!(released(&mut timeline, FIN_AHEAD_NS), [Event::Anchor(fin(direction))]);
    }
}

#[test]
fn nothing_but_the_beginning_of_its_connection_holds_a_fin_up() {
    let fin = sighting((FIN_AHEAD_NS, Segment { fin: true, direction: Direction::Incoming, ..segment(7, 7, 7) }));
    let own = sighting((100, Segment { syn: true, ..segment(6, 6, 6) }));
    let mut other = own;
    other.segment.endpoints.remote_port += 1;
    for (syn, is_own) in [(own, true), (other, false)] {
        let mut timeline = Timeline::default();
        timeline.hold(syn);
        timeline.hold_answer(200, finding(1));
        timeline.hold(fin);
        let early = Event::PeerFin(fin);
        assert_eq!(released(&mut timeline, 0), [early.clone()][..usize::from(!is_own)]);
        let begun = [Event::Anchor(syn), early];
        assert_eq!(released(&mut timeline, 100), begun[..=usize::from(is_own)]);
        assert_eq!(released(&mut timeline, FIN_AHEAD_NS), [finding(1), Event::Anchor(fin)]);
        assert_eq!(released(&mut timeline, u64::MAX), []);
    }
}

/// A processor that is delayed between taking its place in a ring and reading the clock stamps its packet late.
#[test]
fn a_late_stamp_holds_up_nothing_that_came_behind_it() {
    let fin =
        |time_ns, seq| sighting((time_ns, Segment { fin: true, direction: Direction::Incoming, ..segment(seq, 7, 7) }));
    let late_ns = 100 + 9 * FIN_AHEAD_NS;
    for late in [sighting((late_ns, Segment { syn: true, ..segment(6, 6, 6) })), fin(late_ns, 6)] {
        let mut timeline = Timeline::default();
        let in_time = fin(100, 7);
        timeline.hold(late);
        timeline.hold(in_time);
        let passed = [late, in_time].map(|anchor| Event::Anchor(Sighting { time_ns: 100, ..anchor }));
        assert_eq!(released(&mut timeline, 101), passed);
        assert_eq!(released(&mut timeline, u64::MAX), []);
    }
}

#[test]
fn an_answer_goes_behind_the_syn_that_it_is_about() {
    let mut timeline = Timeline::default();
    timeline.hold_answer(20, finding(1));
    hold(&mut timeline, 20);
    assert_eq!(released(&mut timeline, 20), [anchor(20), finding(1)]);
}

#[test]
fn what_was_stamped_before_the_clock_was_set_back_does_not_wait_for_that_time_to_come_again() {
    let mut timeline = Timeline::default();
    for time_ns in [3_000, 3_001, 100] {
        hold(&mut timeline, time_ns);
    }
    timeline.hold_answer(3_002, finding(1));
    let mut events = Vec::new();
    timeline.release_at(105, 55, |event| events.push(event));
    assert_eq!(events, [], "what passed just now waits, and what passed before it");
    timeline.release_at(155, 105, |event| events.push(event));
    assert_eq!(events, [anchor(100), anchor(100), anchor(100), finding(1)]);
    hold(&mut timeline, 3_000);
    timeline.release_at(2_000, 1_000, |event| events.push(event));
    assert_eq!(events[4..], [anchor(3_000)]);
}

#[test]
fn sources_wait_when_too_much_is_held() {
    let mut timeline = Timeline::default();
    for time_ns in 0..MAX_HELD as u64 {
        assert!(timeline.has_room_for_anchors());
        hold(&mut timeline, time_ns);
    }
    assert!(!timeline.has_room_for_anchors());
    for birth in 0..5 {
        timeline.hold_answer(9, finding(birth));
    }
    assert_eq!(timeline.room_for_answers(), MAX_HELD - 5);
    assert_eq!(released(&mut timeline, 9).len(), 10 + 5);
    assert!(timeline.has_room_for_anchors());
}

proptest! {
    /// Whatever is held, and whenever it is released.
    #[test]
    fn everything_comes_once_and_in_order(
        mut anchors in prop::collection::vec(0..1_000_u64, 0..30), mut answers in prop::collection::vec(0..1_000_u64, 0..30),
        mut looks in prop::collection::vec(0..1_000_u64, 0..10),
    ) {
        for times in [&mut anchors, &mut answers, &mut looks] {
            times.sort_unstable();
        }
        let mut timeline = Timeline::default();
        for time_ns in &anchors {
            hold(&mut timeline, *time_ns);
        }
        for time_ns in &answers {
            timeline.hold_answer(*time_ns, finding(u32::try_from(*time_ns).unwrap()));
        }
        let time = |event: &Event| match event {
            Event::Anchor(sighting) => sighting.time_ns,
            Event::Finding(finding) => u64::from(finding.question.birth),
            Event::PeerFin(_) | Event::Found(_) | Event::Totals { .. } => unreachable!(),
        };
        let mut all = Vec::new();
        for until_ns in looks.into_iter().chain([u64::MAX]) {
            let now = released(&mut timeline, until_ns);
            prop_assert!(now.iter().all(|event| time(event) <= until_ns));
            all.extend(now.iter().map(time));
            let left = anchors.iter().chain(&answers).filter(|time_ns| **time_ns <= until_ns).count();
            prop_assert_eq!(all.len(), left);
        }
        prop_assert!(all.is_sorted());
    }
}
