//! A real Prometheus scrapes the exporters of services that are killed and restarted between the traffic of several users. The last value
//! of every series is the truth, and no series ever decreases, so the difference between two values is exact, too. `VictoriaMetrics`, which
//! gets all values by remote write, has the same.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use tempfile::TempDir;

use super::{Scenario, Test, run_all};
use crate::monitoring::{Prometheus, Series, Server, bounded, programs};
use crate::service::{Options, Service, program};
use crate::target::Target;
use crate::traffic::spec::{CHUNK, Program, receive, receive_all, send};
use crate::truth::Bytes;
use crate::victoria_metrics::{self, VictoriaMetrics};
use crate::world::{Namespace, World, address_of, listen_at};

pub(super) const SCENARIO: Scenario = Scenario::new("scraped", run).behind_the_hooks().needs(|_| programs().err());

/// The number of rounds of traffic. Between two rounds services are killed.
const LIVES: u64 = 3;

/// Bytes of each user, by number.
type Users = BTreeMap<String, Bytes>;

fn run(test: &Test) -> Result<()> {
    let worlds = [World::new()?, World::new()?];
    let folder = TempDir::with_prefix("trafcalc-test-")?;
    let scopes = match test.target {
        Target::Packet => worlds.iter().flat_map(|world| [&world.near, &world.far]).collect(),
        Target::Ebpf(_) | Target::Events(_) => vec![&worlds[0].near],
    };
    let options = |place: usize| Options {
        book: Some(folder.path().join(format!("{place}.db"))),
        log: Some(folder.path().join(format!("{place}.log"))),
        ..Options::default()
    };
    let start = |place: usize| Service::start(test.target, scopes[place], &options(place));
    let mut services = (0..scopes.len()).map(|place| start(place).map(Some)).collect::<Result<Vec<_>>>()?;
    // Exporters read the books, in whichever namespace the services count.
    let monitoring = Namespace::new()?;
    let exporters =
        (0..scopes.len()).map(|place| export(&monitoring, folder.path(), place)).collect::<Result<Vec<_>>>()?;
    let jobs: Vec<_> =
        exporters.iter().enumerate().map(|(place, server)| (place.to_string(), server.address)).collect();
    let copy = match victoria_metrics::programs() {
        Ok(_) => Some(monitoring.enter(VictoriaMetrics::start)??),
        Err(why) => {
            println!("without VictoriaMetrics: {why}");
            None
        }
    };
    let prometheus = watch(&monitoring, &jobs, copy.as_ref().map(VictoriaMetrics::address))?;
    let mut truth = Users::new();
    for life in 1..=LIVES {
        for (uid, bytes) in traffic(test, &worlds, life)? {
            *truth.entry(uid).or_default() += bytes;
        }
        let query = "{__name__=~\"trafcalc_(sent|received)_bytes_total\"}";
        let is_there = |series: &[Series]| last(series).is_ok_and(|last| of(last, &truth) == truth);
        let series = monitoring.enter(|| prometheus.series_when(query, is_there))?;
        let series = series.with_context(|| format!("round {life}: the truth is {truth:?}"))?;
        series.iter().try_for_each(never_falls)?;
        if let Some(copy) = &copy {
            monitoring
                .enter(|| has_the_same(copy, &truth))?
                .with_context(|| format!("round {life}, by remote write"))?;
        }
        if life < LIVES {
            // If there are several services, half of them go on running.
            for (place, service) in services.iter_mut().enumerate().take(scopes.len().div_ceil(2)) {
                service.take().context("a service")?.kill()?;
                *service = Some(start(place)?);
            }
        }
    }
    ensure!(truth.len() == 6, "not the expected number of users: {truth:?}");
    Ok(())
}

/// Starts an exporter of the book of this number.
fn export(namespace: &Namespace, folder: &Path, place: usize) -> Result<Server> {
    let (book, config) = (folder.join(format!("{place}.db")), folder.join("exporter.toml"));
    std::fs::write(&config, "")?;
    let mut command = bounded(program());
    command.args(["exporter", "--listen", "127.0.0.1:0", "--book"]).arg(book).arg("--config").arg(config);
    namespace.enter(|| Server::start(&mut command, "metrics are at", "http://"))?
}

/// Starts a Prometheus, and waits until it has scraped all jobs.
fn watch(namespace: &Namespace, jobs: &[(String, SocketAddr)], copy: Option<SocketAddr>) -> Result<Prometheus> {
    let jobs: Vec<_> = jobs.iter().map(|(name, address)| (name.as_str(), *address)).collect();
    let programs = programs().map_err(anyhow::Error::msg)?;
    namespace.enter(|| {
        let prometheus = Prometheus::start(programs, &jobs, copy)?;
        prometheus.series_when("trafcalc_build_info", |series| series.len() == jobs.len())?;
        Ok(prometheus)
    })?
}

/// Waits until a copy has every byte, and checks that none of its series falls.
fn has_the_same(copy: &VictoriaMetrics, truth: &Users) -> Result<()> {
    for (name, bytes_of) in [
        ("trafcalc_sent_bytes_total", (|bytes| Bytes { received: 0, ..bytes }) as fn(Bytes) -> Bytes),
        ("trafcalc_received_bytes_total", |bytes| Bytes { sent: 0, ..bytes }),
    ] {
        let truth: Users = truth.iter().map(|(uid, bytes)| (uid.clone(), bytes_of(*bytes))).collect();
        let is_there = |series: &[Series]| last(series).is_ok_and(|last| of(last, &truth) == truth);
        copy.series_when(name, is_there)?.iter().try_for_each(never_falls)?;
    }
    Ok(())
}

/// Traffic of six users in four namespaces.
fn traffic(test: &Test, worlds: &[World; 2], life: u64) -> Result<Users> {
    let server = |uid, port| {
        let steps = test.lasting([receive(50_000), send(20_000 + life, 5_000), receive_all()]);
        Program::listen(uid, listen_at(test.family), steps).times(4, 2).on_port(port)
    };
    let client = |uid, host, port| {
        let steps = test.lasting([send(50_000, CHUNK), receive(20_000 + life), send(u64::from(uid) - 70_020_000, 3)]);
        Program::connect(uid, address_of(test.family, 0, host), steps).times(4, 2).on_port(port)
    };
    let [first, second] = worlds;
    let table = run_all([
        (&first.far, server(70_020_061, 7001)),
        (&first.near, server(70_020_062, 7002)),
        (&second.near, server(70_020_063, 7003)),
        (&first.near, client(70_020_064, 2, 7001)),
        (&first.far, client(70_020_065, 1, 7002)),
        (&second.far, client(70_020_066, 1, 7003)),
    ])?;
    let users = table.0.into_iter().map(|(account, bytes)| Ok((account.uid.context("a user")?.to_string(), bytes)));
    users.collect()
}

/// The last values of each user's series. Series without a uid are those of (unattributed) and (other).
fn last(series: &[Series]) -> Result<Users> {
    let mut users = Users::new();
    for (labels, values) in series {
        let last: u64 = values.last().context("a value")?.parse()?;
        let user = users.entry(labels.get("uid").or(labels.get("user")).cloned().unwrap_or_default()).or_default();
        match labels.get("__name__").map(String::as_str) {
            Some("trafcalc_sent_bytes_total") => user.sent += last,
            _ => user.received += last,
        }
    }
    Ok(users)
}

fn never_falls((labels, values): &Series) -> Result<()> {
    let numbers = values.iter().map(|value| value.parse::<u64>().map_err(anyhow::Error::from));
    let numbers = numbers.collect::<Result<Vec<_>>>()?;
    ensure!(numbers.is_sorted(), "{labels:?} falls: {numbers:?}");
    Ok(())
}

/// The users of the truth. If the whole host is counted, there is traffic of other users.
fn of(mut users: Users, truth: &Users) -> Users {
    users.retain(|uid, _| truth.contains_key(uid));
    users
}
