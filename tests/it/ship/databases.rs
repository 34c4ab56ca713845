//! The same with real databases, from `PyPI`: `PostgreSQL`, and `ClickHouse` as a library.

use std::fs;
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use super::super::support::{from_pypi, leave_out};
use super::{HOSTILE, Host, Sums, shipped_in_three_batches, user};

const PATIENCE: Duration = Duration::from_mins(1);
/// After so many seconds a server ends, even if its test was killed.
const LONGEST_RUN_S: &str = "600";
/// `PostgreSQL` does not run as root, nor as a user without a name: `nobody`.
const UID: u32 = 65_534;

fn dist(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("dist").join(path)
}

/// A `PostgreSQL` with the table, at a socket in a folder of its own. It is stopped when dropped.
struct Postgres {
    server: Child,
    programs: PathBuf,
    folder: tempfile::TempDir,
}

impl Postgres {
    fn start() -> Result<Self> {
        let package = from_pypi(&["pgserver==0.1.4"])?;
        let folder = tempfile::tempdir()?;
        let is_root = nix::unistd::getuid().is_root();
        if is_root {
            std::os::unix::fs::chown(folder.path(), Some(UID), Some(UID))?;
        }
        let own = |command: &mut Command| {
            command.current_dir("/");
            if is_root {
                command.uid(UID).gid(UID);
            }
        };
        // Its own user must be able to run it.
        let copied = folder.path().join("package");
        let copy = Command::new("cp").arg("-a").arg(&package).arg(&copied).output()?;
        ensure!(copy.status.success(), "{copy:?}");
        let programs = copied.join("pgserver/pginstall/bin");
        if is_root {
            Command::new("chmod").args(["-R", "a+rX"]).arg(&copied).output()?;
        }
        let data = folder.path().join("data");
        let mut initdb = Command::new(programs.join("initdb"));
        initdb.args(["--no-sync", "--encoding=UTF8", "--locale=C", "--auth=trust", "--username=test", "-D"]).arg(&data);
        own(&mut initdb);
        let made = initdb.output()?;
        ensure!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let mut postgres = Command::new("timeout");
        postgres.args(["--kill-after=10", LONGEST_RUN_S]).arg(programs.join("postgres")).arg("-D").arg(&data);
        postgres.args(["-c", "listen_addresses=", "-c", "fsync=off", "-k"]).arg(folder.path());
        own(&mut postgres);
        let log = fs::File::create(folder.path().join("log"))?;
        let server = postgres.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn()?;
        let postgres = Self { server, programs, folder };
        let deadline = Instant::now() + PATIENCE;
        while !postgres.psql(&["-c", "SELECT 1"], "")?.status.success() {
            let log = fs::read_to_string(postgres.folder.path().join("log"))?;
            ensure!(Instant::now() < deadline, "PostgreSQL does not start: {log}");
            std::thread::sleep(Duration::from_millis(100));
        }
        postgres.must(&["-f", dist("postgresql/schema.sql").to_str().context("UTF-8")?], "")?;
        Ok(postgres)
    }

    fn command(&self) -> Command {
        let mut psql = Command::new(self.programs.join("psql"));
        psql.args(["-X", "-q", "-U", "test", "-d", "postgres", "-h"]).arg(self.folder.path());
        psql
    }

    fn psql(&self, arguments: &[&str], input: &str) -> Result<Output> {
        let mut psql = self.command();
        psql.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut psql = psql.spawn()?;
        psql.stdin.take().context("a pipe")?.write_all(input.as_bytes())?;
        Ok(psql.wait_with_output()?)
    }

    fn must(&self, arguments: &[&str], input: &str) -> Result<String> {
        let output = self.psql(arguments, input)?;
        ensure!(output.status.success() && output.stderr.is_empty(), "{output:?}");
        Ok(String::from_utf8(output.stdout)?)
    }

    fn load(&self, rows: &[Value]) -> Result<String> {
        self.must(&["-f", dist("postgresql/load.sql").to_str().context("UTF-8")?], &lines(rows))
    }

    fn sums(&self) -> Result<Sums> {
        let sql = "SELECT host, day, coalesce(\"user\", uid::text, account), sum(sent_bytes), sum(received_bytes) \
                   FROM trafcalc_row WHERE type IN ('hour', 'correction') GROUP BY 1, 2, 3";
        sums_of(
            &self
                .must(&["-c", &format!("SELECT jsonb_agg(to_jsonb(x)) FROM ({sql}) AS x(a, b, c, d, e)"), "-At"], "")?,
        )
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // Both fail if it has ended already. SIGINT is its fast shutdown, and `timeout` passes it on.
        let _ = kill(Pid::from_raw(self.server.id().cast_signed()), Signal::SIGINT);
        let _ = self.server.wait();
    }
}

fn lines(rows: &[Value]) -> String {
    let lines: Vec<_> = rows.iter().map(|row| row.to_string() + "\n").collect();
    lines.concat()
}

/// A list of objects with host, day, name, sent and received as `a` to `e`.
fn sums_of(json: &str) -> Result<Sums> {
    let rows: Vec<Value> = serde_json::from_str(json.trim())?;
    let text = |value: &Value| value.as_str().map(str::to_owned).context("a text");
    let number = |value: &Value| value.to_string().trim_matches('"').parse::<i64>().context("a number");
    let sum = |row: &Value| {
        Ok(((text(&row["a"])?, text(&row["b"])?, text(&row["c"])?), (number(&row["d"])?, number(&row["e"])?)))
    };
    rows.iter().map(sum).collect()
}

/// Three hosts, each with three batches, and one with names that are hard to write.
fn hosts() -> Vec<Host> {
    let mut hosts: Vec<_> = ["a", "b", "c'\\"].map(shipped_in_three_batches).into();
    let hostile = hosts.last_mut().unwrap();
    for (uid, name) in (2_000..).zip(HOSTILE) {
        hostile.moved("2026-10-25T03:00:00Z", "2026-10-25", &user(uid, Some(name)), 1, 2);
    }
    hostile.must_ship();
    hosts
}

fn truth(hosts: &[Host]) -> Sums {
    hosts.iter().flat_map(|host| host.truth.clone()).collect()
}

/// All batches of all hosts, twice: in order, and backwards.
fn twice(hosts: &[Host]) -> Vec<Vec<Value>> {
    let once: Vec<_> = hosts.iter().flat_map(Host::batches).collect();
    once.iter().chain(once.iter().rev()).cloned().collect()
}

#[test]
fn a_real_postgresql_has_every_byte_of_three_hosts() {
    let postgres = match Postgres::start() {
        Ok(postgres) => postgres,
        Err(error) => return leave_out("a_real_postgresql_has_every_byte_of_three_hosts", &format!("{error:#}")),
    };
    let hosts = hosts();
    for batch in twice(&hosts) {
        postgres.load(&batch).unwrap();
        // Half a batch of a loader that was killed: the connection ends in the middle.
        let text = lines(&batch);
        let half =
            postgres.psql(&["-f", dist("postgresql/load.sql").to_str().unwrap()], &text[..text.len() - 20]).unwrap();
        assert!(!half.status.success(), "half a row is accepted");
    }
    assert_eq!(postgres.sums().unwrap(), truth(&hosts));
    // The command that fleet.md shows, and then nothing is new.
    let host = &hosts[0];
    let psql = format!("{:?}", postgres.command()).replace('"', "'");
    host.command(&format!("exec {psql} -f '{}'", dist("postgresql/load.sql").display()));
    fs::remove_dir_all(host.path("state")).unwrap();
    assert_eq!(host.ship(&[]).status.code(), Some(0));
    assert_eq!(postgres.sums().unwrap(), truth(&hosts));
    let queries = dist("postgresql/queries.sql");
    let told = postgres
        .must(&["-v", "month=2026-10-01", "-v", "ON_ERROR_STOP=1", "-f", queries.to_str().unwrap()], "")
        .unwrap();
    // Ada of each host: 5333 bytes sent, less the correction.
    assert_eq!(told.lines().filter(|line| line.contains("ada") && line.contains(" 4333 ")).count(), 3, "{told}");
}

/// `ClickHouse` as a library: each call is a process that runs queries over a folder.
struct ClickHouse {
    package: PathBuf,
    folder: tempfile::TempDir,
}

/// Runs the queries of standard input, one a line as JSON, and prints the result of each.
const SESSION: &str = "
import json, sys
from chdb import session
session = session.Session(sys.argv[1])
for line in sys.stdin:
    sys.stdout.write(str(session.query(json.loads(line), 'JSONEachRow')))
";

impl ClickHouse {
    fn start() -> Result<Self> {
        let clickhouse = Self { package: from_pypi(&["chdb-core==26.9.0"])?, folder: tempfile::tempdir()? };
        clickhouse.ask(&[fs::read_to_string(dist("clickhouse/schema.sql"))?])?;
        Ok(clickhouse)
    }

    fn ask(&self, queries: &[String]) -> Result<String> {
        let mut python = Command::new("timeout");
        python.args([LONGEST_RUN_S, "python3", "-c", SESSION]).arg(self.folder.path().join("data"));
        python.env("PYTHONPATH", &self.package).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut python = python.spawn()?;
        let queries: String = queries.iter().map(|query| Value::from(query.as_str()).to_string() + "\n").collect();
        python.stdin.take().context("a pipe")?.write_all(queries.as_bytes())?;
        let output = python.wait_with_output()?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8(output.stdout)?)
    }

    /// The query that loads rows as an HTTP client does: its body is what `ship` writes.
    fn load(rows: &[Value]) -> String {
        format!(
            "INSERT INTO trafcalc_row SETTINGS date_time_input_format='best_effort' FORMAT JSONEachRow {}",
            lines(rows)
        )
    }

    fn sums(&self) -> Result<Sums> {
        let told = self.ask(&["SELECT host AS a, toString(day) AS b, multiIf(user != '', user, account != '', account, \
             toString(uid)) AS c, toString(sum(sent_bytes)) AS d, toString(sum(received_bytes)) AS e FROM trafcalc_row FINAL \
             WHERE type IN ('hour', 'correction') GROUP BY a, b, c"
            .to_owned()])?;
        sums_of(&format!("[{}]", told.trim().replace("}\n{", "},{")))
    }
}

#[test]
fn a_real_clickhouse_has_every_byte_of_three_hosts() {
    let clickhouse = match ClickHouse::start() {
        Ok(clickhouse) => clickhouse,
        Err(error) => return leave_out("a_real_clickhouse_has_every_byte_of_three_hosts", &format!("{error:#}")),
    };
    let hosts = hosts();
    let loads: Vec<_> = twice(&hosts).iter().map(|rows| ClickHouse::load(rows)).collect();
    clickhouse.ask(&loads).unwrap();
    assert_eq!(clickhouse.sums().unwrap(), truth(&hosts));
    // Half a batch, and then the whole of it.
    let text = &loads[1];
    assert!(clickhouse.ask(&[text[..text.len() - 20].to_owned()]).is_err(), "half a row is accepted");
    clickhouse.ask(&loads[1..2]).unwrap();
    assert_eq!(clickhouse.sums().unwrap(), truth(&hosts));
    let queries =
        fs::read_to_string(dist("clickhouse/queries.sql")).unwrap().replace("{month:Date}", "toDate('2026-10-01')");
    let queries: Vec<_> = queries.split(";\n").filter(|query| query.contains("SELECT")).map(str::to_owned).collect();
    assert_eq!(queries.len(), 5);
    let told = clickhouse.ask(&queries).unwrap();
    assert_eq!(told.lines().filter(|line| line.contains("\"ada\"") && line.contains("4333")).count(), 3, "{told}");
}

/// Seconds of each query of a file, and of a repetition.
fn seconds(run: impl Fn()) -> String {
    let time = || {
        let begin = Instant::now();
        run();
        begin.elapsed().as_secs_f64()
    };
    format!("{:.2} s, again {:.2} s", time(), time())
}

/// Prints what a day of 10,000 hosts with 20 users each takes. To be run alone: `cargo test --test it -- --ignored --nocapture a_day_of`.
#[test]
#[ignore = "takes minutes and gigabytes"]
fn a_day_of_ten_thousand_hosts_in_postgresql() {
    let postgres = Postgres::start().unwrap();
    let rows = "INSERT INTO trafcalc_row (host, host_name, book, type, id, \"from\", day, uid, \"user\", sent_bytes, received_bytes, revision) \
                SELECT md5(host::text), 'host-' || host, 1795772400000000, 'hour', uid, \
                timestamptz '2026-11-01T00:00:00Z' + hour * interval '1 hour', '2026-11-01', 1000 + uid, 'user-' || uid, \
                (random() * 1e9)::bigint, (random() * 1e9)::bigint, 1 \
                FROM generate_series(1, 10000) AS host, generate_series(0, 23) AS hour, generate_series(1, 20) AS uid";
    let must = |sql: &str| postgres.must(&["-At", "-c", sql], "").unwrap();
    println!("PostgreSQL: rows {}", seconds_once(|| drop(must(rows))));
    println!("PostgreSQL: {} bytes", must("SELECT pg_total_relation_size('trafcalc_row')").trim());
    must("VACUUM ANALYZE trafcalc_row");
    for (number, query) in fs::read_to_string(dist("postgresql/queries.sql")).unwrap().split(";\n").enumerate() {
        let query = query.replace(":'month'", "'2026-11-01'");
        if query.contains("SELECT") {
            println!("PostgreSQL: query {}: {}", number + 1, seconds(|| drop(must(&query))));
        }
    }
}

#[test]
#[ignore = "takes minutes and gigabytes"]
fn a_day_of_ten_thousand_hosts_in_clickhouse() {
    let clickhouse = ClickHouse::start().unwrap();
    let rows = "INSERT INTO trafcalc_row (host, host_name, book, type, id, `from`, day, uid, user, sent_bytes, received_bytes, revision) \
                SELECT lower(hex(MD5(toString(intDiv(number, 480))))), concat('host-', toString(intDiv(number, 480))), 1795772400000000, \
                'hour', number % 20, toDateTime64('2026-11-01 00:00:00', 6, 'UTC') + toIntervalHour(intDiv(number, 20) % 24), \
                '2026-11-01', 1000 + number % 20, concat('user-', toString(number % 20)), rand64(1) % 1000000000, rand64(2) % 1000000000, 1 \
                FROM numbers(4800000)";
    let must = |queries: &[String]| clickhouse.ask(queries).unwrap();
    println!(
        "ClickHouse: rows {}",
        seconds_once(|| drop(must(&[rows.to_owned(), "OPTIMIZE TABLE trafcalc_row FINAL".to_owned()])))
    );
    println!(
        "ClickHouse: {}",
        must(&[
            "SELECT sum(bytes_on_disk) AS bytes FROM system.parts WHERE active AND table = 'trafcalc_row'".to_owned()
        ])
    );
    println!("ClickHouse: start and end of the process: {}", seconds(|| drop(must(&["SELECT 1".to_owned()]))));
    let queries =
        fs::read_to_string(dist("clickhouse/queries.sql")).unwrap().replace("{month:Date}", "toDate('2026-11-01')");
    for (number, query) in queries.split(";\n").filter(|query| query.contains("SELECT")).enumerate() {
        println!("ClickHouse: query {}: {}", number + 1, seconds(|| drop(must(&[query.to_owned()]))));
    }
}

fn seconds_once(run: impl FnOnce()) -> String {
    let begin = Instant::now();
    run();
    format!("{:.1} s", begin.elapsed().as_secs_f64())
}
