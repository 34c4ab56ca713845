//! A real Prometheus for tests: Debian's package, unpacked below the target folder. Its data are in a temporary folder.
//!
//! Shared by `it` and `kernel`.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

/// Longest time an answer may take.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);
/// After so many seconds a server ends, even if its test was killed.
const LONGEST_RUN_S: &str = "600";

/// The folder with the programs `prometheus` and `promtool`, or the reason why they are not available.
pub(crate) fn programs() -> Result<&'static Path, &'static str> {
    static PROGRAMS: OnceLock<Option<PathBuf>> = OnceLock::new();
    let programs = PROGRAMS.get_or_init(|| package("prometheus", "promtool").ok());
    programs.as_deref().ok_or("needs the package prometheus of Debian, and can neither find nor download it")
}

/// The folder with the programs of a package of Debian, which is downloaded unless it is there. One of them is `program`.
pub(crate) fn package(name: &str, program: &str) -> Result<PathBuf> {
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("a workspace")?.join("target");
    let ours = target.join(name);
    ensure!(target.parent().is_some_and(Path::exists), "the tests run elsewhere than they were built");
    let programs = ours.join("usr/bin");
    if !programs.join(program).exists() {
        fs::create_dir_all(&target)?;
        let folder = tempfile::tempdir_in(&target)?;
        let run = |command: &mut Command| -> Result<()> {
            let output = command.current_dir(folder.path()).output()?;
            ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
            Ok(())
        };
        run(Command::new("timeout").args(["120", "apt-get", "download", name]))?;
        let files: Vec<_> = fs::read_dir(folder.path())?.collect::<std::io::Result<_>>()?;
        let [package] = &files[..] else { bail!("no package") };
        run(Command::new("dpkg-deb").arg("-x").arg(package.path()).arg("unpacked"))?;
        // Fails if another test was faster.
        let _ = fs::rename(folder.path().join("unpacked"), &ours);
    }
    let runs = Command::new(programs.join(program)).arg("--version").output()?.status.success();
    ensure!(runs, "{program} does not run here");
    Ok(programs)
}

/// Sends a request to a server; returns the header and the body of the answer.
pub(crate) fn ask(address: SocketAddr, request: &str) -> Result<(String, Vec<u8>)> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    // Fails if the server has answered and closed the connection already.
    let _ = stream.write_all(request.as_bytes());
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").context("an answer without a header")?;
    let body = answer.split_off(end + 4);
    Ok((String::from_utf8(answer)?, body))
}

/// A command that ends after a while, even if its test was killed. It passes SIGTERM on.
pub(crate) fn bounded(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new("timeout");
    command.args(["--kill-after=10", LONGEST_RUN_S]).arg(program);
    command
}

/// A server that writes its address to standard error. It is stopped when dropped.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl Server {
    /// Starts a [`bounded`] command on this thread, and waits until it has written a line with `text` and, at any place of that line,
    /// the address after `before`.
    pub(crate) fn start(command: &mut Command, text: &str, before: &str) -> Result<Self> {
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
        // From now on it is stopped even if this function fails.
        let mut server = Self { child, address: SocketAddr::from(([127, 0, 0, 1], 0)) };
        let mut lines = BufReader::new(server.child.stderr.take().context("no standard error")?).lines();
        let mut told = String::new();
        server.address = loop {
            let line = lines.next().with_context(|| format!("it has ended: {told}"))??;
            if let Some(address) = address(&line, text, before) {
                break address.parse().with_context(|| line.clone())?;
            }
            told += &line;
        };
        // A full pipe must not stop it.
        std::thread::spawn(move || lines.for_each(drop));
        Ok(server)
    }
}

/// The address after `before` in a line that contains `text`.
fn address<'a>(line: &'a str, text: &str, before: &str) -> Option<&'a str> {
    let (_, rest) = line.split_once(before).filter(|_| line.contains(text))?;
    let end = rest.find(|letter: char| !letter.is_ascii_digit() && !".:[]".contains(letter));
    Some(&rest[..end.unwrap_or(rest.len())])
}

#[test]
fn the_address_is_found_in_lines_of_prometheus_2_and_3() {
    for line in [
        r#"ts=2026-11-26T01:00:00.000Z caller=web.go:566 level=info component=web msg="Listening on" address=127.0.0.1:9090"#,
        r#"time=2026-11-26T01:00:00.000Z level=INFO source=web.go:654 msg="Listening on" component=web address=127.0.0.1:9090"#,
    ] {
        assert_eq!(address(line, "Listening on", "address="), Some("127.0.0.1:9090"));
    }
    assert_eq!(address("msg=\"Start listening\" address=0.0.0.0:9090", "Listening on", "address="), None);
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail when it has ended already.
        let _ = kill(Pid::from_raw(self.child.id().cast_signed()), Signal::SIGTERM);
        let _ = self.child.wait();
    }
}

/// A Prometheus that scrapes exporters five times a second.
pub(crate) struct Prometheus {
    server: Server,
    _folder: tempfile::TempDir,
}

/// A series: its labels, and all of its values in their order.
pub(crate) type Series = (BTreeMap<String, String>, Vec<String>);

impl Prometheus {
    /// Starts it on this thread, with the names and addresses of its jobs, and of a copy that gets all values by remote write.
    pub(crate) fn start(programs: &Path, jobs: &[(&str, SocketAddr)], copy: Option<SocketAddr>) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let jobs = jobs.iter().map(|(name, address)| {
            serde_json::json!({"job_name": name, "static_configs": [{"targets": [address.to_string()]}]})
        });
        let config = serde_json::json!({
            "global": {"scrape_interval": "200ms", "scrape_timeout": "200ms"},
            "scrape_configs": jobs.collect::<Vec<_>>(),
            "remote_write": copy.map(|address| serde_json::json!({
                "url": format!("http://{address}/api/v1/write"), "queue_config": {"batch_send_deadline": "200ms"},
            })).into_iter().collect::<Vec<_>>(),
        });
        // YAML understands JSON.
        fs::write(folder.path().join("config.yml"), config.to_string())?;
        let mut command = bounded(programs.join("prometheus"));
        command.args(["--config.file=config.yml", "--storage.tsdb.path=data", "--web.listen-address=127.0.0.1:0"]);
        command.args(["--web.console.templates=none", "--web.console.libraries=none"]).current_dir(folder.path());
        let server = Server::start(&mut command, "Listening on", "address=")?;
        Ok(Self { server, _folder: folder })
    }

    /// The result of a query; empty while it is still starting.
    pub(crate) fn ask(&self, query: &str) -> Result<Vec<Value>> {
        let query = query.bytes().fold(String::new(), |text, byte| text + &format!("%{byte:02X}"));
        let request = format!("GET /api/v1/query?query={query} HTTP/1.0\r\n\r\n");
        let (header, body) = ask(self.server.address, &request)?;
        if header.contains(" 503 ") {
            return Ok(Vec::new());
        }
        let answer: Value = serde_json::from_slice(&body).with_context(|| header.clone())?;
        answer["data"]["result"].as_array().cloned().with_context(|| answer.to_string())
    }

    /// All values of the last hour of the series that `query` selects.
    pub(crate) fn series(&self, query: &str) -> Result<Vec<Series>> {
        let text = |value: &Value| value.as_str().map(str::to_owned).with_context(|| value.to_string());
        let series = |series: &Value| -> Result<Series> {
            let labels = series["metric"].as_object().with_context(|| series.to_string())?;
            let labels = labels.iter().map(|(name, value)| Ok((name.clone(), text(value)?)));
            let values = series["values"].as_array().with_context(|| series.to_string())?;
            Ok((labels.collect::<Result<_>>()?, values.iter().map(|value| text(&value[1])).collect::<Result<_>>()?))
        };
        self.ask(&format!("{query}[1h]"))?.iter().map(series).collect()
    }

    /// The same, as soon as `is_there` holds. Fails after a minute.
    pub(crate) fn series_when(&self, query: &str, is_there: impl Fn(&[Series]) -> bool) -> Result<Vec<Series>> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let series = self.series(query)?;
            if is_there(&series) {
                return Ok(series);
            }
            ensure!(Instant::now() < deadline, "after {PATIENCE:?} Prometheus still has {series:?}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}
