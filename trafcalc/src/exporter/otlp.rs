//! Metrics as a message of OTLP, the protocol of OpenTelemetry. Pure.
//!
//! The messages are those of opentelemetry-proto 1.0 (`collector/metrics/v1`, `metrics/v1`, `common/v1`, `resource/v1`) with the fields that
//! are used here. A field that is one of several is an option.

use std::time::SystemTime;

use prost::Message as _;

use super::text::{Family, Kind, Labels, Value};
use crate::host::Host;

/// Values are sums since the start (`AGGREGATION_TEMPORALITY_CUMULATIVE`).
const CUMULATIVE: i32 = 2;

/// Attributes of the semantic conventions, by the label that has the same meaning. Other labels keep their names.
const ATTRIBUTES: [(&str, &str); 3] =
    [("uid", "user.id"), ("user", "user.name"), ("program", "process.executable.name")];

#[derive(Clone, PartialEq, prost::Message)]
struct Request {
    #[prost(message, repeated, tag = "1")]
    resource_metrics: Vec<ResourceMetrics>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct ResourceMetrics {
    #[prost(message, optional, tag = "1")]
    resource: Option<Resource>,
    #[prost(message, repeated, tag = "2")]
    scope_metrics: Vec<ScopeMetrics>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Resource {
    #[prost(message, repeated, tag = "1")]
    attributes: Vec<KeyValue>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct ScopeMetrics {
    #[prost(message, optional, tag = "1")]
    scope: Option<Scope>,
    #[prost(message, repeated, tag = "2")]
    metrics: Vec<Metric>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Scope {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    version: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Metric {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    description: String,
    #[prost(string, tag = "3")]
    unit: String,
    #[prost(message, optional, tag = "5")]
    gauge: Option<Gauge>,
    #[prost(message, optional, tag = "7")]
    sum: Option<Sum>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Gauge {
    #[prost(message, repeated, tag = "1")]
    data_points: Vec<Point>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Sum {
    #[prost(message, repeated, tag = "1")]
    data_points: Vec<Point>,
    #[prost(int32, tag = "2")]
    aggregation_temporality: i32,
    #[prost(bool, tag = "3")]
    is_monotonic: bool,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Point {
    #[prost(fixed64, tag = "2")]
    start_time_unix_nano: u64,
    #[prost(fixed64, tag = "3")]
    time_unix_nano: u64,
    #[prost(double, optional, tag = "4")]
    as_double: Option<f64>,
    #[prost(sfixed64, optional, tag = "6")]
    as_int: Option<i64>,
    #[prost(message, repeated, tag = "7")]
    attributes: Vec<KeyValue>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct KeyValue {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(message, optional, tag = "2")]
    value: Option<AnyValue>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct AnyValue {
    #[prost(string, optional, tag = "1")]
    string_value: Option<String>,
}

/// What the receiver answers.
#[derive(Clone, PartialEq, prost::Message)]
struct Response {
    #[prost(message, optional, tag = "1")]
    partial_success: Option<PartialSuccess>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct PartialSuccess {
    #[prost(int64, tag = "1")]
    rejected_data_points: i64,
    #[prost(string, tag = "2")]
    error_message: String,
}

/// The times of values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Times {
    /// When the book was begun.
    pub book: SystemTime,
    /// When the service was started.
    pub service: SystemTime,
    /// When the last report ended.
    pub end: SystemTime,
}

/// All metrics in one message.
pub(super) fn request(families: &[Family], host: &Host, times: Times) -> Vec<u8> {
    let of_host = [
        ("service.name", "trafcalc"),
        ("service.version", env!("CARGO_PKG_VERSION")),
        // Of this, receivers such as Prometheus make the label `instance`.
        ("service.instance.id", &host.id),
        ("host.id", &host.id),
        ("host.name", &host.name),
    ];
    let resource = Resource { attributes: of_host.map(|(key, value)| attribute(key, value)).into() };
    let scope = Scope { name: "trafcalc".to_owned(), version: env!("CARGO_PKG_VERSION").to_owned() };
    let metrics = families.iter().filter(|family| !family.series.is_empty());
    let metrics = metrics.map(|family| metric(family, times)).collect();
    let scope_metrics = vec![ScopeMetrics { scope: Some(scope), metrics }];
    Request { resource_metrics: vec![ResourceMetrics { resource: Some(resource), scope_metrics }] }.encode_to_vec()
}

/// How many values the receiver has not taken, and why, by its answer.
pub(super) fn rejected(answer: &[u8]) -> Option<(i64, String)> {
    let PartialSuccess { rejected_data_points, error_message } = Response::decode(answer).ok()?.partial_success?;
    (rejected_data_points > 0).then_some((rejected_data_points, error_message))
}

fn metric(family: &Family, times: Times) -> Metric {
    let Family { name, kind, help, is_of_service, series } = family;
    let start = match kind {
        Kind::Gauge => SystemTime::UNIX_EPOCH,
        Kind::Counter if *is_of_service => times.service,
        Kind::Counter => times.book,
    };
    // The clock may have been set back since.
    let period = [start.min(times.end), times.end];
    let data_points = series.iter().map(|(labels, value)| point(labels, *value, period)).collect();
    let (gauge, sum) = match kind {
        Kind::Gauge => (Some(Gauge { data_points }), None),
        Kind::Counter => (None, Some(Sum { data_points, aggregation_temporality: CUMULATIVE, is_monotonic: true })),
    };
    // Prometheus makes its own name of these again: it appends the unit, unless it is there, and `_total`.
    let name = name.strip_suffix("_total").unwrap_or(name);
    let unit = if name.ends_with("_bytes") {
        "By"
    } else if name.ends_with("_seconds") {
        "s"
    } else {
        ""
    };
    Metric { name: name.to_owned(), description: help.clone(), unit: unit.to_owned(), gauge, sum }
}

fn point(labels: &Labels, value: Value, period: [SystemTime; 2]) -> Point {
    let (as_int, as_double) = match value {
        Value::Whole(number) => (Some(i64::try_from(number).unwrap_or(i64::MAX)), None),
        Value::Real(number) => (None, Some(number)),
    };
    let named = |label: &str| ATTRIBUTES.iter().find(|(name, _)| *name == label).map(|(_, attribute)| *attribute);
    let attributes = labels.iter().map(|(label, value)| attribute(named(label).unwrap_or(label), value)).collect();
    let [start_time_unix_nano, time_unix_nano] = period.map(nanoseconds);
    Point { start_time_unix_nano, time_unix_nano, as_double, as_int, attributes }
}

fn attribute(key: &str, value: &str) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { string_value: Some(value.to_owned()) }) }
}

fn nanoseconds(time: SystemTime) -> u64 {
    let since_epoch = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_epoch.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_taken_is_read_from_the_answer() {
        assert_eq!(rejected(&[]), None);
        let answer = |rejected_data_points| {
            let partial_success = Some(PartialSuccess { rejected_data_points, error_message: "full".to_owned() });
            Response { partial_success }.encode_to_vec()
        };
        assert_eq!(rejected(&answer(0)), None);
        assert_eq!(rejected(&answer(7)), Some((7, "full".to_owned())));
        assert_eq!(rejected(b"<html>"), None);
    }
}
