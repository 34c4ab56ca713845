//! `trafcalc exporter --otlp`: what a collector gets, decoded by another implementation.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use trafcalc::book::AccountKey;

use super::super::monitoring::bounded;
use super::super::support::{from_pypi, leave_out};
use super::{BEGIN, Case, HOSTILE, PATIENCE, Running, user};

/// Decodes the message of standard input, and prints each value: its name, attributes, start, time, and whether it is a cumulative sum.
const DECODE: &str = "
import json, sys
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
request = ExportMetricsServiceRequest()
request.ParseFromString(sys.stdin.buffer.read())
[of_host] = request.resource_metrics
values = lambda attributes: {a.key: a.value.string_value for a in attributes}
print(json.dumps({'resource': values(of_host.resource.attributes)}))
for metric in of_host.scope_metrics[0].metrics:
    kind = metric.WhichOneof('data')
    for point in getattr(metric, kind).data_points:
        number = point.as_int if point.WhichOneof('value') == 'as_int' else point.as_double
        is_sum = kind == 'sum' and metric.sum.is_monotonic and metric.sum.aggregation_temporality == 2
        print(json.dumps({'name': metric.name, 'unit': metric.unit, 'is_sum': is_sum, 'value': number,
            'start': point.start_time_unix_nano, 'time': point.time_unix_nano, 'attributes': values(point.attributes)}))
";

/// Accepts a push and answers it; returns its body.
fn receive(collector: &std::net::TcpListener, answer: &str) -> Vec<u8> {
    collector.set_nonblocking(true).unwrap();
    let start = Instant::now();
    let mut stream = loop {
        match collector.accept() {
            Ok((stream, _)) => break stream,
            Err(error) => assert!(start.elapsed() < PATIENCE, "no push: {error}"),
        }
        thread::sleep(Duration::from_millis(20));
    };
    stream.set_nonblocking(false).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let (mut read, mut part) = (Vec::new(), [0; 4096]);
    loop {
        let bytes = stream.read(&mut part).unwrap();
        assert!(bytes > 0, "a push without an end");
        read.extend_from_slice(&part[..bytes]);
        let Some(end) = read.windows(4).position(|bytes| bytes == b"\r\n\r\n") else { continue };
        let header = String::from_utf8(read[..end].to_vec()).unwrap().to_lowercase();
        assert!(header.starts_with("post /v1/metrics http/1.1\r\n"), "{header}");
        assert!(header.contains("content-type: application/x-protobuf"), "{header}");
        let length = header.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
        let body = &read[end + 4..];
        if body.len() == length.parse::<usize>().unwrap() {
            let _ = write!(stream, "HTTP/1.1 {answer}\r\ncontent-length: 0\r\n\r\n");
            return body.to_vec();
        }
    }
}

#[test]
fn a_collector_gets_the_totals_by_otlp_and_gets_them_again_if_it_refuses_them() {
    const TEST: &str = "a_collector_gets_the_totals_by_otlp_and_gets_them_again_if_it_refuses_them";
    let mut case = Case::new();
    let mut accounts: Vec<_> =
        HOSTILE.iter().zip(1..).map(|(name, uid)| (user(uid, name), u64::from(uid), 7)).collect();
    let program = AccountKey { program: Some("curl".into()), class: Some("lan".into()), ..user(3_000, "p") };
    accounts.push((program, (1 << 60) + 1, 0));
    case.report(&accounts);
    let collector = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut command = bounded(env!("CARGO_BIN_EXE_trafcalc"));
    command.args(["exporter", "--otlp", &format!("http://{}", collector.local_addr().unwrap()), "--config"]);
    command.arg(case.path("trafcalc.toml")).arg("--book").arg(case.path("book.db")).stderr(Stdio::null());
    let Ok(_machine) = fs::read_to_string("/etc/machine-id") else { return leave_out(TEST, "needs a machine id") };
    let _running = Running(command.spawn().unwrap());
    receive(&collector, "503 Service Unavailable");
    let message = receive(&collector, "200 OK");
    let packages = ["opentelemetry-proto==1.45.2", "protobuf==7.36.2"];
    let packages = match from_pypi(&packages) {
        Ok(packages) => packages,
        Err(error) => return leave_out(TEST, &format!("{error:#}")),
    };
    let mut python = Command::new("python3");
    python.args(["-c", DECODE]).env("PYTHONPATH", packages).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut python = python.spawn().unwrap();
    python.stdin.take().unwrap().write_all(&message).unwrap();
    let decoded = String::from_utf8(python.wait_with_output().unwrap().stdout).unwrap();
    let decoded: Vec<serde_json::Value> = decoded.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let resource = &decoded[0]["resource"];
    assert_eq!(resource["service.name"], "trafcalc");
    assert_eq!(resource["service.instance.id"], resource["host.id"]);
    assert_eq!(resource["host.id"].as_str().unwrap().len(), 32);
    let sent = decoded.iter().filter(|point| point["name"] == "trafcalc_sent_bytes");
    let sent: BTreeMap<_, _> =
        sent.map(|point| (point["attributes"]["user.id"].as_str().unwrap().to_owned(), point)).collect();
    assert_eq!(sent.len(), accounts.len());
    let nanoseconds = |time: Duration| u64::try_from(time.as_nanos()).unwrap();
    for (key, bytes, _) in &accounts {
        let point = sent[&key.uid.unwrap().to_string()];
        assert_eq!(point["value"], *bytes, "{point}");
        assert_eq!(point["attributes"]["user.name"], key.user.clone().unwrap());
        assert_eq!((&point["unit"], &point["is_sum"]), (&"By".into(), &true.into()));
        assert_eq!(point["start"], nanoseconds(BEGIN));
        assert_eq!(point["time"], nanoseconds(BEGIN + Duration::from_mins(1)));
    }
    let attributes = &sent["3000"]["attributes"];
    assert_eq!((&attributes["process.executable.name"], &attributes["class"]), (&"curl".into(), &"lan".into()));
    let quota = decoded.iter().find(|point| point["name"] == "trafcalc_quota_used_ratio").unwrap();
    assert_eq!((&quota["is_sum"], &quota["start"]), (&false.into(), &0.into()));
    let audits = decoded.iter().find(|point| point["name"] == "trafcalc_audit_mismatch").unwrap();
    assert_eq!(
        (&audits["value"], &audits["is_sum"], &audits["start"]),
        (&3.into(), &true.into(), &nanoseconds(BEGIN).into())
    );
    // The next report is pushed, too, and not again if the collector cannot take it.
    case.report(&[(user(1, HOSTILE[0]), 500, 0)]);
    let refused = receive(&collector, "400 Bad Request");
    case.report(&[(user(1, HOSTILE[0]), 500, 0)]);
    assert_ne!(receive(&collector, "200 OK"), refused);
}
