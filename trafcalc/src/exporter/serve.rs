//! Metrics over HTTP. A client can only read them. Its memory and time are limited, so slow or hostile clients do not delay others.

use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::io::{self, Write as _};
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ACCEPT, ACCEPT_ENCODING, ALLOW, CONTENT_ENCODING, CONTENT_TYPE, HOST, HeaderName, VARY};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;

use super::error::NoMetrics;
use super::text::TextFormat;
use super::{Exporter, ExporterError};
use crate::figure::printable;

/// Limit of open connections. A further one waits until one ends, or is closed for it.
const MAX_CONNECTIONS: usize = 256;
/// A connection of this age is closed if others wait: an answer takes milliseconds.
const SLOW: Duration = Duration::from_secs(1);
/// The same for one that has not sent a request. Clients on the same network send it at once.
const IDLE: Duration = Duration::from_millis(50);
/// Time between two looks whether a connection has ended.
const LOOK: Duration = Duration::from_millis(10);
/// Time limit for the header of a request.
const HEADER_TIME: Duration = Duration::from_secs(5);
/// Time limit for a connection.
const CONNECTION_TIME: Duration = Duration::from_secs(10);
/// Limit of the header's length, in bytes: the smallest that hyper allows.
const MAX_HEADER_BYTES: usize = 8 << 10;
/// Pause after `accept` failed, for example because no descriptors were left.
const PAUSE: Duration = Duration::from_millis(100);

const PATH: &str = "/metrics";

type Answer = Response<Full<Bytes>>;

/// State that connections share.
struct Shared {
    exporter: Exporter,
    /// The last logged reason why there are no metrics.
    complaint: String,
    /// Bodies of answers, until there is a new report. The second part of the key says whether it is compressed.
    kept: HashMap<(TextFormat, bool), Bytes>,
}

/// Serves clients at `address` until the process is killed.
pub(super) fn serve(address: SocketAddr, exporter: Exporter) -> Result<Infallible, ExporterError> {
    let unheard = |source| ExporterError::Listen { address, source };
    // One thread is enough: readers of the book take turns anyway.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(unheard)?;
    runtime.block_on(async {
        let listener = TcpListener::bind(address).await.map_err(unheard)?;
        tracing::info!("metrics are at http://{}{PATH}", listener.local_addr().map_err(unheard)?);
        let shared = Arc::new(Mutex::new(Shared { exporter, complaint: String::new(), kept: HashMap::new() }));
        let (mut connections, mut complaint) = (VecDeque::new(), String::new());
        loop {
            make_room(&mut connections).await;
            match listener.accept().await {
                Ok((stream, _)) => {
                    let is_asking = Arc::new(AtomicBool::new(false));
                    let task = tokio::spawn(converse(stream, Arc::clone(&shared), Arc::clone(&is_asking)));
                    connections.push_back(Open { since: Instant::now(), task: task.abort_handle(), is_asking });
                    // Lets it answer a request that is there already.
                    tokio::task::yield_now().await;
                }
                Err(error) => {
                    super::log_once("accepting a connection failed", &error.to_string(), &mut complaint);
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    })
}

/// An open connection.
struct Open {
    since: Instant,
    task: AbortHandle,
    /// It has sent a request.
    is_asking: Arc<AtomicBool>,
}

/// Waits until there is room for another connection.
async fn make_room(connections: &mut VecDeque<Open>) {
    loop {
        connections.retain(|open| !open.task.is_finished());
        if connections.len() < MAX_CONNECTIONS {
            return;
        }
        let is_late =
            |open: &Open| open.since.elapsed() >= if open.is_asking.load(Ordering::Relaxed) { SLOW } else { IDLE };
        if let Some(late) = connections.iter().position(is_late).and_then(|place| connections.remove(place)) {
            late.task.abort();
            return;
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Answers one request.
async fn converse(stream: TcpStream, shared: Arc<Mutex<Shared>>, is_asking: Arc<AtomicBool>) {
    let service = service_fn(|request| {
        is_asking.store(true, Ordering::Relaxed);
        let answer = answer(&request, &shared);
        async move { Ok::<_, Infallible>(answer) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIME)
        .max_buf_size(MAX_HEADER_BYTES)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    // A client that hangs up, is too slow or does not speak HTTP is no problem of the exporter.
    let _ = tokio::time::timeout(CONNECTION_TIME, connection).await;
}

fn answer(request: &Request<Incoming>, shared: &Mutex<Shared>) -> Answer {
    let named = request.uri().authority().map_or_else(|| header(request, &HOST), ToString::to_string);
    if !named.is_empty() && !is_own(&named) {
        return plain(StatusCode::MISDIRECTED_REQUEST, "address this host by number or as localhost\n".to_owned());
    }
    if request.uri().path() != PATH {
        return plain(StatusCode::NOT_FOUND, format!("metrics are at {PATH}\n"));
    }
    if request.method() != Method::GET {
        let mut answer = plain(StatusCode::METHOD_NOT_ALLOWED, "metrics can be read only\n".to_owned());
        answer.headers_mut().insert(ALLOW, hyper::header::HeaderValue::from_static("GET"));
        return answer;
    }
    let format = TextFormat::preferred(&header(request, &ACCEPT));
    let is_gzip = takes_gzip(&header(request, &ACCEPT_ENCODING));
    let mut shared = shared.lock().unwrap_or_else(PoisonError::into_inner);
    match shared.body(format, is_gzip) {
        Ok(body) => {
            shared.complaint.clear();
            metrics(body, format, is_gzip)
        }
        Err(error) => {
            super::complain(&error, &mut shared.complaint);
            plain(StatusCode::SERVICE_UNAVAILABLE, format!("{}\n", printable(&error.to_string())))
        }
    }
}

impl Shared {
    /// The body of an answer. Never former values if the book cannot be read: they would look like users without traffic.
    fn body(&mut self, format: TextFormat, is_gzip: bool) -> Result<Bytes, NoMetrics> {
        if self.exporter.renew()? {
            self.kept.clear();
        }
        if let Some(body) = self.kept.get(&(format, is_gzip)) {
            return Ok(body.clone());
        }
        let text = self.exporter.text(format).unwrap_or_default();
        let body = if is_gzip { gzip(&text).expect("memory takes what is written to it") } else { text.into_bytes() };
        let body = Bytes::from(body);
        self.kept.insert((format, is_gzip), body.clone());
        Ok(body)
    }
}

/// Whether a `Host` is an address or localhost. A page of another host can give its own name the address of the exporter, and would then
/// be allowed to read the answers that a browser gets.
fn is_own(host: &str) -> bool {
    let is_port = |port: &str| port.bytes().all(|digit| digit.is_ascii_digit());
    let name = host.rsplit_once(':').filter(|(_, port)| is_port(port)).map_or(host, |(name, _)| name);
    let address = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    name.eq_ignore_ascii_case("localhost") || address.parse::<IpAddr>().is_ok()
}

/// The values of a header, joined by commas if there are several.
fn header(request: &Request<Incoming>, name: &HeaderName) -> String {
    // What is not ASCII is no value that means anything here.
    let values = request.headers().get_all(name).iter().map(|value| value.to_str().unwrap_or("?"));
    let values: Vec<_> = values.collect();
    values.join(",")
}

/// Whether this `Accept-Encoding` allows gzip.
fn takes_gzip(encodings: &str) -> bool {
    let mut encodings = encodings.split(',').map(|encoding| encoding.split(';').map(str::trim));
    let is_refusal = |part: &str| part.strip_prefix("q=").is_some_and(|q| q.trim().parse() == Ok(0.0));
    encodings.any(|mut parts| parts.next() == Some("gzip") && !parts.any(is_refusal))
}

fn metrics(body: Bytes, format: TextFormat, is_gzip: bool) -> Answer {
    let answer =
        Response::builder().header(CONTENT_TYPE, format.content_type()).header(VARY, "Accept, Accept-Encoding");
    let answer = if is_gzip { answer.header(CONTENT_ENCODING, "gzip") } else { answer };
    answer.body(Full::from(body)).expect("these headers are well formed")
}

fn gzip(text: &str) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text.as_bytes())?;
    encoder.finish()
}

fn plain(status: StatusCode, text: String) -> Answer {
    let answer = Response::builder().status(status).header(CONTENT_TYPE, "text/plain; charset=utf-8");
    answer.body(Full::from(text)).expect("these headers are well formed")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_and_localhost_are_hosts_of_the_exporter() {
        for (host, is) in [
            ("127.0.0.1:9469", true),
            ("192.0.2.7", true),
            ("[::1]:9469", true),
            ("[2001:db8::7]", true),
            ("LocalHost:9469", true),
            ("attacker.example:9469", false),
            ("localhost.attacker.example", false),
            ("127.0.0.1.attacker.example", false),
            ("127.0.0.1:9469,attacker.example", false),
            ("[127.0.0.1", false),
            ("127.0.0.1:9469:x", false),
        ] {
            assert_eq!(is_own(host), is, "{host}");
        }
    }

    #[test]
    fn gzip_is_sent_only_to_clients_that_accept_it() {
        for (encodings, takes) in [
            ("gzip", true),
            ("deflate, gzip;q=0.5", true),
            ("br,gzip", true),
            ("", false),
            ("gzip;q=0", false),
            ("gzip; q=0.000", false),
            ("xgzip", false),
        ] {
            assert_eq!(takes_gzip(encodings), takes, "{encodings:?}");
        }
    }
}
