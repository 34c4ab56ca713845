//! A loom model of the protocol between the programs of `trafcalc-ebpf` that write streams and those that look at them, on a weakly
//! ordered processor such as arm64: `table.rs`, `life.rs`, `look.rs` and `sweep.rs` with one place in one bucket.
//!
//! A plain load or store of theirs is relaxed here. A BPF atomic operation that returns a value is ordered with everything before and
//! after it; one that returns none is relaxed. An address dependency is an acquire load: it orders the loads that depend on it. The
//! model cannot delay a load past a later store.

use loom::sync::Arc;
use loom::sync::atomic::Ordering::{Acquire, Relaxed, SeqCst};
use loom::sync::atomic::{AtomicU64, fence};
use loom::thread;

const NOWHERE: u64 = u64::MAX;

/// A connection that has moved `bytes` in each direction. Its key is not 0.
#[derive(Clone, Copy)]
struct Connection {
    key: u64,
    base: u64,
    bytes: u64,
}

const FIRST: Connection = Connection { key: 1, base: 1_000, bytes: 7 };
/// Begins within the numbers of the first, where a mixture of the two is hardest to recognise.
const SECOND: Connection = Connection { key: 2, base: 1_003, bytes: 30 };

/// What the protocol relies on. Tests remove one rule to show that it is needed.
#[derive(Clone, Copy)]
#[expect(clippy::struct_excessive_bools, reason = "independent rules")]
struct Rules {
    /// The exchange that writes `sent` is ordered.
    orders_writing: bool,
    /// The exchange that takes the bits of a word is ordered.
    orders_taking: bool,
    /// `sent` is read after `received`, and the rest after `sent`, by addresses that depend on them.
    orders_reading: bool,
    /// The key is cleared by an ordered exchange.
    orders_clearing: bool,
    /// A look gives up if `received` is `NOWHERE`.
    minds_received: bool,
    /// A look gives up if a cursor is before the connection's beginning.
    minds_beginning: bool,
    /// A beginning stream marks its bucket.
    marks: bool,
    /// A sweep sets the bits of buckets that have a stream again.
    puts_back: bool,
    /// The program that sees an end while older connections are adopted notes it.
    notes_ends: bool,
    /// That note is visible before the table is read again.
    orders_noting: bool,
}

const ALL: Rules = Rules {
    orders_writing: true,
    orders_taking: true,
    orders_reading: true,
    orders_clearing: true,
    minds_received: true,
    minds_beginning: true,
    marks: true,
    puts_back: true,
    notes_ends: true,
    orders_noting: true,
};

/// One place, zeroed as the kernel allocates it, and the word of the bitmap.
struct Table {
    rules: Rules,
    word: AtomicU64,
    key: AtomicU64,
    sent: AtomicU64,
    received: AtomicU64,
    base: AtomicU64,
    owner: AtomicU64,
    /// `table::order`.
    order: AtomicU64,
}

fn exchange(place: &AtomicU64, new: u64, is_ordered: bool) -> u64 {
    if !is_ordered {
        return place.swap(new, Relaxed);
    }
    fence(SeqCst);
    let old = place.swap(new, SeqCst);
    fence(SeqCst);
    old
}

/// A comparison that fails orders nothing.
fn replace(place: &AtomicU64, old: u64, new: u64) -> bool {
    fence(SeqCst);
    let has = place.compare_exchange(old, new, SeqCst, Relaxed).is_ok();
    if has {
        fence(SeqCst);
    }
    has
}

impl Table {
    /// With `word` 1 the bucket is marked, as if another stream is or was in it.
    fn new(rules: Rules, word: u64) -> Arc<Self> {
        let zero = || AtomicU64::new(0);
        let word = AtomicU64::new(word);
        Arc::new(Self {
            rules,
            word,
            key: zero(),
            sent: zero(),
            received: zero(),
            base: zero(),
            owner: zero(),
            order: zero(),
        })
    }

    /// `table::insert`.
    fn insert(&self, of: Connection) -> bool {
        if self.key.load(Relaxed) != 0 || !replace(&self.key, 0, of.key) {
            return false;
        }
        self.base.store(of.base, Relaxed);
        self.owner.store(of.key, Relaxed);
        self.received.store(of.base, Relaxed);
        exchange(&self.sent, of.base, self.rules.orders_writing);
        if self.rules.marks && self.word.load(Relaxed) == 0 {
            self.word.fetch_or(1, Relaxed);
        }
        true
    }

    /// `life::ends`: the rest of both directions.
    fn end(&self, of: Connection) -> u64 {
        let received = exchange(&self.received, NOWHERE, true);
        let sent = exchange(&self.sent, NOWHERE, true);
        assert_eq!(self.owner.load(Relaxed), of.key, "the owner of another connection");
        // The actors of the stream are cleared with the connection.
        self.owner.store(0, Relaxed);
        if self.rules.orders_clearing {
            exchange(&self.key, 0, true);
        } else {
            self.key.store(0, Relaxed);
        }
        let end = of.base + of.bytes;
        end.wrapping_sub(sent).wrapping_add(end.wrapping_sub(received))
    }

    /// `life::end`: a stream that is removed, by one or both of the programs that find its connection ended.
    fn leave(&self) {
        exchange(&self.received, NOWHERE, true);
        exchange(&self.sent, NOWHERE, true);
        exchange(&self.key, 0, true);
    }

    /// `look::at`.
    fn look(&self, at: Connection) -> u64 {
        let depended_on = if self.rules.orders_reading { Acquire } else { Relaxed };
        let received = self.received.load(depended_on);
        let sent = self.sent.load(depended_on);
        let base = self.base.load(Relaxed);
        if sent == NOWHERE || self.rules.minds_received && received == NOWHERE || base != at.base {
            return 0;
        }
        if self.rules.minds_beginning && (sent < base || received < base) {
            return 0;
        }
        let credit = |cursor: &AtomicU64, from: u64| {
            let moved = (at.base + at.bytes).wrapping_sub(from);
            let is_forward = moved.cast_signed() > 0;
            if is_forward && replace(cursor, from, from.wrapping_add(moved)) { moved } else { 0 }
        };
        credit(&self.sent, sent).wrapping_add(credit(&self.received, received))
    }

    /// `sweep::word`: what it credits to the user of each connection.
    fn sweep(&self) -> [u64; 2] {
        if self.word.load(Relaxed) == 0 {
            return [0, 0];
        }
        exchange(&self.word, 0, self.rules.orders_taking);
        let credited = match self.key.load(Relaxed) {
            0 => return [0, 0],
            1 => [self.look(FIRST), 0],
            _ => [0, self.look(SECOND)],
        };
        if self.rules.puts_back {
            self.word.fetch_or(1, Relaxed);
        }
        credited
    }
}

fn explore(scenario: impl Fn() + Sync + Send + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(scenario);
}

fn beside<T: 'static>(table: &Arc<Table>, act: impl FnOnce(&Table) -> T + 'static) -> thread::JoinHandle<T> {
    let table = table.clone();
    thread::spawn(move || act(&table))
}

/// Looks and the end of a connection together credit to its user what it moved.
fn check(looks: &[[u64; 2]], of: Connection, ended: u64) {
    let index = usize::from(of.key == SECOND.key);
    let credited = looks.iter().fold(ended, |sum, look| sum.wrapping_add(look[index]));
    assert_eq!(credited, 2 * of.bytes, "credited to the user of {}", of.key);
}

/// A connection ends and its place is reused, on one processor; another sweeps. The place has never had a stream.
fn lives_beside_a_sweep(rules: Rules) {
    explore(move || {
        let table = Table::new(rules, 1);
        let sweeping = beside(&table, Table::sweep);
        assert!(table.insert(FIRST));
        let ended = table.end(FIRST);
        assert!(table.insert(SECOND));
        let looks = [sweeping.join().unwrap(), table.sweep()];
        check(&looks, FIRST, ended);
        check(&looks, SECOND, table.end(SECOND));
    });
}

/// One processor ends a connection, another reuses the place for the next, and a third may sweep.
fn a_place_goes_to_another_processor(rules: Rules, is_swept: bool) {
    explore(move || {
        let table = Table::new(rules, 0);
        assert!(table.insert(FIRST));
        let sweeping = is_swept.then(|| beside(&table, Table::sweep));
        let inserting = beside(&table, |table| table.insert(SECOND));
        let ended = table.end(FIRST);
        let looks = [sweeping.map_or([0, 0], |sweeping| sweeping.join().unwrap())];
        check(&looks, FIRST, ended);
        if inserting.join().unwrap() {
            check(&looks, SECOND, table.end(SECOND));
        }
    });
}

/// A connection begins beside a sweep. A sweep that starts after the insertion looks at it, and the next one does in any case.
fn a_beginning_beside_a_sweep(rules: Rules, word: u64) {
    explore(move || {
        let table = Table::new(rules, word);
        let is_in = Arc::new(AtomicU64::new(0));
        let follows = is_in.clone();
        let sweeping = beside(&table, move |table| (follows.load(Acquire) != 0, table.sweep()));
        assert!(table.insert(FIRST));
        exchange(&is_in, 1, true);
        let (follows, [looked, _]) = sweeping.join().unwrap();
        assert!(!follows || looked == 2 * FIRST.bytes, "missed by a sweep that follows");
        assert_eq!(table.word.load(Relaxed), 1, "missed for ever");
        assert_eq!(looked + table.sweep()[0], 2 * FIRST.bytes, "credited");
    });
}

/// A connection without a stream ends while another processor adopts it: `life::ends_while_adopting` and `adopt::consider`. The
/// programs are called before the socket has its new state.
fn an_end_beside_an_adoption(rules: Rules) {
    explore(move || {
        let table = Table::new(rules, 0);
        let is_closed = Arc::new(AtomicU64::new(0));
        let note = Arc::new(AtomicU64::new(0));
        let (state, noted) = (is_closed.clone(), note.clone());
        let ending = beside(&table, move |table| {
            if table.key.load(Relaxed) == 0 && rules.notes_ends {
                noted.store(FIRST.base, Relaxed);
                if rules.orders_noting {
                    exchange(&table.order, 0, true);
                }
            }
            if table.key.load(Relaxed) != 0 {
                table.leave();
            }
            state.store(1, Relaxed);
        });
        if is_closed.load(Relaxed) == 0 && table.insert(FIRST) {
            exchange(&table.order, 0, true);
            if is_closed.load(Relaxed) != 0 || note.load(Relaxed) == FIRST.base {
                table.leave();
            }
        }
        ending.join().unwrap();
        assert_eq!(table.key.load(Relaxed), 0, "a stream without a connection");
    });
}

#[test]
fn no_stream_outlives_its_connection() {
    an_end_beside_an_adoption(ALL);
}

#[test]
fn no_byte_is_lost_or_credited_twice() {
    lives_beside_a_sweep(ALL);
}

#[test]
fn a_place_is_not_given_away_before_its_stream_is_left() {
    a_place_goes_to_another_processor(ALL, false);
    a_place_goes_to_another_processor(ALL, true);
}

#[test]
fn no_stream_is_missed() {
    for word in [0, 1] {
        a_beginning_beside_a_sweep(ALL, word);
    }
}

/// Tests that a scenario fails without a rule.
macro_rules! without {
    ($($rule:ident: $fails:literal in $scenario:expr;)*) => {
        $(
            #[test]
            #[should_panic(expected = $fails)]
            fn $rule() {
                let scenario: fn(Rules) = $scenario;
                scenario(Rules { $rule: false, ..ALL });
            }
        )*
    };
}

without! {
    orders_writing: "credited" in lives_beside_a_sweep;
    orders_taking: "missed" in |rules| a_beginning_beside_a_sweep(rules, 1);
    orders_reading: "credited" in lives_beside_a_sweep;
    orders_clearing: "the owner of another" in |rules| a_place_goes_to_another_processor(rules, false);
    minds_received: "credited" in lives_beside_a_sweep;
    minds_beginning: "credited" in lives_beside_a_sweep;
    marks: "missed" in |rules| a_beginning_beside_a_sweep(rules, 0);
    puts_back: "missed" in |rules| a_beginning_beside_a_sweep(rules, 1);
    notes_ends: "without a connection" in an_end_beside_an_adoption;
    orders_noting: "without a connection" in an_end_beside_an_adoption;
}
