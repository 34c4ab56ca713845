//! A real `VictoriaMetrics` for tests: Debian's package. Its data are in a temporary folder.
//!
//! Shared by `it` and `kernel`.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::monitoring::{PATIENCE, Series, Server, ask, bounded, package};

/// The folder with its programs, or the reason why they are not available.
pub(crate) fn programs() -> Result<&'static Path, &'static str> {
    static PROGRAMS: OnceLock<Option<PathBuf>> = OnceLock::new();
    let programs = PROGRAMS.get_or_init(|| package("victoria-metrics", "victoria-metrics").ok());
    programs.as_deref().ok_or("needs the package victoria-metrics of Debian, and can neither find nor download it")
}

/// A `VictoriaMetrics`, which gets its values by remote write.
pub(crate) struct VictoriaMetrics {
    server: Server,
    _folder: tempfile::TempDir,
}

impl VictoriaMetrics {
    /// Starts it on this thread.
    pub(crate) fn start() -> Result<Self> {
        let programs = programs().map_err(anyhow::Error::msg)?;
        let folder = tempfile::tempdir()?;
        // It does not tell which port it has chosen itself.
        let free = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let mut command = bounded(programs.join("victoria-metrics"));
        command.arg(format!("-httpListenAddr={free}")).args(["-storageDataPath=data", "-memory.allowedBytes=64MB"]);
        let server = Server::start(command.current_dir(folder.path()), "starting http server", "http://")?;
        let (started, deadline) = (Self { server, _folder: folder }, Instant::now() + PATIENCE);
        // It tells its address before it listens there.
        while ask(free, "GET /health HTTP/1.0\r\n\r\n").is_err() {
            ensure!(Instant::now() < deadline, "VictoriaMetrics does not listen at {free}");
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(started)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.server.address
    }

    /// All values of the series with a name, as soon as `is_there` holds. Fails after a minute.
    pub(crate) fn series_when(&self, name: &str, is_there: impl Fn(&[Series]) -> bool) -> Result<Vec<Series>> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let series = self.series(name)?;
            if is_there(&series) {
                return Ok(series);
            }
            ensure!(Instant::now() < deadline, "after {PATIENCE:?} VictoriaMetrics still has {series:?}");
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    fn series(&self, name: &str) -> Result<Vec<Series>> {
        ask(self.server.address, "GET /internal/force_flush HTTP/1.0\r\n\r\n")?;
        let request = format!("GET /api/v1/export?match%5B%5D={name} HTTP/1.0\r\n\r\n");
        let (_, body) = ask(self.server.address, &request)?;
        let series = |line: &str| -> Result<Series> {
            let series: Value = serde_json::from_str(line)?;
            let labels = series["metric"].as_object().with_context(|| line.to_owned())?;
            let labels =
                labels.iter().map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned()));
            let values = series["values"].as_array().with_context(|| line.to_owned())?;
            // A missed scrape has no value.
            let values = values.iter().filter(|value| !value.is_null());
            Ok((labels.collect(), values.map(Value::to_string).collect()))
        };
        String::from_utf8(body)?.lines().map(series).collect()
    }
}
