//! Pushes metrics to a collector, by OTLP over HTTP.

use std::io;
use std::str::FromStr;
use std::thread;
use std::time::Duration;

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, CONTENT_TYPE, HOST};
use hyper::{Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::{Exporter, otlp};
use crate::host::Host;

/// Time between two checks whether the book has a new report.
const POLL: Duration = Duration::from_secs(1);
/// Pause before metrics that were not taken are pushed again.
const PAUSE: Duration = Duration::from_secs(10);
/// Time limit for a push.
const LONGEST: Duration = Duration::from_secs(10);
/// Limit of the answer's length, in bytes.
const MAX_ANSWER_BYTES: usize = 64 << 10;
/// Characters of a reason that are logged.
const LONGEST_REASON: usize = 200;
/// Where collectors take metrics, if the address has no path.
const PATH: &str = "/v1/metrics";

/// The address of a collector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Collector {
    /// Host and port.
    authority: String,
    host: String,
    port: u16,
    path: String,
}

impl FromStr for Collector {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        let uri: Uri = text.parse().map_err(|_| "not an address such as http://127.0.0.1:4318")?;
        match uri.scheme_str() {
            Some("http") => {}
            Some("https") => {
                return Err("there is no TLS here: push to a collector on this host, which forwards with TLS");
            }
            _ => return Err("not an address such as http://127.0.0.1:4318"),
        }
        let authority = uri.authority().ok_or("the address has no host")?;
        if authority.as_str().contains('@') {
            return Err("an address with a password: there is no authentication here");
        }
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        Ok(Self {
            authority: authority.to_string(),
            host: authority.host().trim_matches(['[', ']']).to_owned(),
            port: authority.port_u16().unwrap_or(80),
            path: if path == "/" { PATH } else { path }.to_owned(),
        })
    }
}

/// Why a push failed.
#[derive(Debug, thiserror::Error)]
enum PushError {
    #[error("{0}")]
    Connect(#[from] io::Error),
    #[error("{0}")]
    Http(#[from] hyper::Error),
    #[error("the answer cannot be read: {0}")]
    Answer(Box<dyn std::error::Error + Send + Sync>),
    #[error("the answer was {0}")]
    Refused(StatusCode),
    #[error("{0} values were refused: {1}")]
    Partly(i64, String),
    #[error("no answer within {} s", LONGEST.as_secs())]
    Late,
}

impl PushError {
    /// Whether the same values may be taken later.
    fn is_temporary(&self) -> bool {
        match self {
            Self::Connect(_) | Self::Http(_) | Self::Answer(_) | Self::Late => true,
            // OTLP/HTTP names these.
            Self::Refused(status) => matches!(status.as_u16(), 429 | 502 | 503 | 504),
            Self::Partly(..) => false,
        }
    }
}

/// Pushes each report until the process is killed. What was not taken is in the next push, too: values are totals.
pub(super) fn push(collector: &Collector, host: &Host, mut exporter: Exporter) -> ! {
    let (mut pushed, mut unread, mut complaint) = (None, String::new(), String::new());
    loop {
        if let Err(error) = exporter.renew() {
            super::complain(&error, &mut unread);
        }
        let report = exporter.report().filter(|report| pushed != Some(*report));
        let Some((families, times)) = report.and_then(|_| exporter.metrics()) else {
            thread::sleep(POLL);
            continue;
        };
        match in_time(collector, otlp::request(&families, host, times)) {
            Ok(()) => {
                complaint.clear();
                pushed = report;
            }
            Err(error) => {
                super::log_once(&collector.authority, &error.to_string(), &mut complaint);
                if error.is_temporary() {
                    thread::sleep(PAUSE);
                } else {
                    pushed = report;
                }
            }
        }
    }
}

/// Pushes within the time limit. The connection is closed when this returns, because the runtime ends.
fn in_time(collector: &Collector, message: Vec<u8>) -> Result<(), PushError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let pushed = runtime.block_on(async {
        tokio::time::timeout(LONGEST, send(collector, message)).await.unwrap_or(Err(PushError::Late))
    });
    // Looking up a name can take longer, in a thread that cannot be stopped.
    runtime.shutdown_background();
    pushed
}

async fn send(collector: &Collector, message: Vec<u8>) -> Result<(), PushError> {
    let stream = TcpStream::connect((collector.host.as_str(), collector.port)).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let request = Request::post(&collector.path).header(HOST, &collector.authority).header(CONNECTION, "close");
    let request = request.header(CONTENT_TYPE, "application/x-protobuf").body(Full::new(Bytes::from(message)));
    let answer = sender.send_request(request.expect("a path and an authority of an address")).await?;
    let status = answer.status();
    let body =
        Limited::new(answer.into_body(), MAX_ANSWER_BYTES).collect().await.map_err(PushError::Answer)?.to_bytes();
    if !status.is_success() {
        return Err(PushError::Refused(status));
    }
    let partly = |(values, why): (i64, String)| PushError::Partly(values, why.chars().take(LONGEST_REASON).collect());
    otlp::rejected(&body).map_or(Ok(()), |rejected| Err(partly(rejected)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_those_of_http() {
        let collector = |text: &str| text.parse::<Collector>();
        let local = collector("http://127.0.0.1:4318").unwrap();
        assert_eq!((local.host.as_str(), local.port, local.path.as_str()), ("127.0.0.1", 4318, PATH));
        let other = collector("http://[::1]/api/v1/otlp/v1/metrics?x=1").unwrap();
        assert_eq!((other.host.as_str(), other.port, other.path.as_str()), ("::1", 80, "/api/v1/otlp/v1/metrics?x=1"));
        assert_eq!(other.authority, "[::1]");
        for text in [
            "",
            "127.0.0.1:4318",
            "https://127.0.0.1",
            "http://user:secret@127.0.0.1",
            "ftp://x",
            "http://",
            "/v1/metrics",
        ] {
            assert!(collector(text).is_err(), "{text}");
        }
    }
}
