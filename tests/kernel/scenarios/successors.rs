//! Services that follow each other while traffic runs, with what they count kept in between: by a store of descriptors, or in a
//! folder. All of them write one log, of which the intervals must add up to the truth.

use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, Result, ensure};
use tempfile::TempDir;

use super::killed_book::must_agree;
use super::{CLIENT, SERVER, Test, finish_actors};
use crate::running::Running;
use crate::service::{Log, Objects, Options, Service, Store};
use crate::traffic::spec::{CHUNK, Program, Step, receive_all, send};
use crate::truth::By;
use crate::world::{World, address_of, listen_at};

/// How a service ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Kill,
    Stop,
}

/// How services follow each other.
pub(super) struct Succession {
    pub(super) ends: End,
    /// What the sums must be right for; a configuration may tell more apart.
    pub(super) by: By,
    /// Where they keep what they count; `None`: in a store.
    pub(super) folder: Option<PathBuf>,
    /// Lines of the configuration of every service, and, in turn, of this one.
    pub(super) configs: &'static [&'static str],
    pub(super) times: u32,
    /// Longest time without a service, in milliseconds.
    pub(super) longest_pause_ms: u64,
    /// Which of them keep the book.
    pub(super) book: fn(turn: u32) -> bool,
}

/// Each of them does.
pub(super) const EACH: fn(u32) -> bool = |_| true;

/// Bytes of the long connection between two pauses, and pauses of it.
const PORTION: u64 = 20_000_000;
const PORTION_PAUSE_MS: u64 = 20;
/// Pause of each short connection.
const SHORT_PAUSE_MS: u64 = 5;
const SHORT_BYTES: u64 = 7_001;

impl Succession {
    /// Runs it under traffic; every byte of it must be in one report. Gives what kept it, and what the last service had open.
    pub(super) fn run(&self, test: &Test) -> Result<(Store, Objects)> {
        let (world, logs) = (World::new()?, TempDir::with_prefix("trafcalc-successors-")?);
        // A port that a short connection had is not given away for a minute.
        world.near.sysctl("ipv4/ip_local_port_range", "10000 65000")?;
        let (store, log) = (Store::default(), logs.path().join("traffic"));
        let book = logs.path().join("book.db");
        let options = |turn: u32| {
            let book = (self.book)(turn).then(|| book.clone());
            Options { book, ..self.options(turn, &store).log_to(log.clone()) }
        };
        let mut service = self.start(test, &world, &options(0))?;
        let programs = self.start_traffic(test, &world)?;
        let mut random = Random::new();
        let mut said = Vec::new();
        for turn in 1..=self.times {
            sleep(random.up_to(Duration::from_millis(test.volume(500, 2_000))));
            match self.ends {
                End::Kill => said.push(service.kill()?),
                End::Stop => said.push(service.stop()?.stderr),
            }
            sleep(random.up_to(Duration::from_millis(self.longest_pause_ms)));
            if self.ends == End::Kill && turn % 2 == 0 {
                // In the middle of its start, or soon after it.
                let starting = self.spawn(test, &world, &options(turn / 2))?;
                sleep(random.up_to(Duration::from_millis(test.volume(400, 3_000))));
                said.push(starting.kill()?);
            }
            service = self.start(test, &world, &options(turn))?;
        }
        let truth = finish_actors(programs.into_iter().map(|program| (&world.far, program)))?.by(self.by);
        world.near.wait_until_closed()?;
        // A process is told until the report after its end.
        service.report_now()?;
        let objects = Objects::of(service.pid());
        said.push(service.stop()?.stderr);
        let counted = Log::read(&log)?;
        let is_ours = |account: &crate::truth::Account| truth.0.contains_key(account);
        let (ours, _) = counted.sum_of_intervals()?.by(self.by).without_classes().split(is_ours);
        let said = || format!("seed {}\n{}", random.seed, said.join("---\n"));
        if (0..=self.times).all(self.book) {
            must_agree(&counted, &book).with_context(said)?;
        }
        ours.must_equal(&truth).with_context(said)?;
        ensure!(counted.last()?.health("audit_mismatch_total")? == 0, "the audit found something\n{}", said());
        ensure!(counted.last()?.health("gaps")? == 0, "there are gaps\n{}", said());
        ensure!(truth.total().sent > PORTION, "hardly any traffic: {truth:?}");
        Ok((store, objects))
    }

    fn start(&self, test: &Test, world: &World, options: &Options) -> Result<Service> {
        let mut service = self.spawn(test, world, options)?;
        service.wait_until_ready()?;
        Ok(service)
    }

    /// As systemd starts it, which runs another program before.
    fn spawn(&self, test: &Test, world: &World, options: &Options) -> Result<Service> {
        if self.folder.is_none() {
            options.store.prepare()?;
        }
        Service::spawn(test.target, &world.near, options)
    }

    fn options(&self, turn: u32, store: &Store) -> Options {
        let keep = match &self.folder {
            Some(folder) => format!("--keep={}", folder.display()),
            None => "--keep=systemd".to_owned(),
        };
        let options = Options { interval: "100ms", store: store.clone(), ..Options::default() };
        let config = self.configs.get(turn as usize % self.configs.len().max(1)).unwrap_or(&"");
        let options = options.argument(&keep).config(config);
        // Users are what is told apart unless a configuration says otherwise.
        if self.by == By::USER { options } else { options.argument(&self.by.option()) }
    }

    /// One long connection at full rate with short pauses, and many short ones, for about as long as all this takes.
    pub(super) fn start_traffic(&self, test: &Test, world: &World) -> Result<Vec<Running>> {
        let seconds = u64::from(self.times) * (test.volume(600, 4_000) + self.longest_pause_ms / 2) / 1_000 + 1;
        let portions = seconds * 1_000 / (PORTION_PAUSE_MS + test.volume(20, 200));
        let portion = [send(test.volume(PORTION, PORTION / 10), CHUNK), Step::Pause(PORTION_PAUSE_MS)];
        let long: Vec<Step> = portion.into_iter().cycle().take(2 * usize::try_from(portions)?).collect();
        let short = [send(SHORT_BYTES, CHUNK), Step::Pause(SHORT_PAUSE_MS)];
        let connections = 4 * u32::try_from(seconds * 1_000 / (SHORT_PAUSE_MS + test.volume(5, 100)))?;
        let at = address_of(test.family, 0, 2);
        let listen = |steps: Vec<Step>, port| Program::listen(SERVER, listen_at(test.family), steps).on_port(port);
        let servers = [listen(vec![receive_all()], 7_100), listen(vec![receive_all()], 7_101).times(connections, 4)];
        let clients = [
            Program::connect(CLIENT, at, long).on_port(7_100),
            Program::connect(CLIENT, at, short.to_vec()).on_port(7_101).times(connections, 4),
        ];
        let far = servers.iter().map(|program| Running::start(program, &world.far));
        let mut programs = far.collect::<Result<Vec<_>>>()?;
        for program in &clients {
            programs.push(Running::start(program, &world.near)?);
        }
        Ok(programs)
    }
}

/// Checks that nothing of these is left in the kernel, a moment after what kept them is gone.
pub(super) fn must_be_gone(objects: &Objects) -> Result<()> {
    ensure!(!objects.programs.is_empty() && !objects.maps.is_empty(), "nothing was there: {objects:?}");
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let left = objects.left();
        if left == Objects::default() {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "of {objects:?} is left {left:?}");
        sleep(Duration::from_millis(20));
    }
}

/// The same for something that is kept.
pub(super) fn must_be_there(objects: &Objects) -> Result<()> {
    ensure!(!objects.left().programs.is_empty(), "no program was kept: {objects:?}");
    Ok(())
}

/// Times that nobody can foresee.
struct Random {
    seed: u64,
    state: u64,
}

impl Random {
    fn new() -> Self {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let seed = u64::try_from(now.as_nanos() % u128::from(u64::MAX)).expect("it is a remainder");
        Self { seed, state: seed }
    }

    /// Knuth's MMIX generator.
    fn up_to(&mut self, longest: Duration) -> Duration {
        self.state = self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        longest.mul_f64(f64::from(u32::try_from(self.state >> 32).expect("32 bits")) / f64::from(u32::MAX))
    }
}
