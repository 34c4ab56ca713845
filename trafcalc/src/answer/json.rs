//! An answer as one JSON object on one line, with exact figures. Pure.

use std::collections::BTreeMap;
use std::time::SystemTime;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;

use super::rows::volume;
use super::times::{at as at_second, iso, name};
use super::{Answer, Figures, Label, Row};
use crate::book::{Change, Closed, Correction, Gap};
use crate::sinks::write_json;

/// Incremented when a field changes its meaning or is removed, not when fields are added.
const SCHEMA: u32 = 1;

#[derive(Serialize)]
struct Document<'a> {
    schema: u32,
    from: String,
    to: String,
    zone: String,
    /// The part of the period between the book's beginning and its last report; null if there is none.
    counted_from: Option<String>,
    counted_to: Option<String>,
    by: Vec<&'static str>,
    /// Names or numbers, by dimension; absent if there is no restriction.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    only: BTreeMap<&'static str, &'a [String]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    percentile: Option<u8>,
    notes: &'a [String],
    rows: Vec<RowFields<'a>>,
    total: FigureFields,
    gaps: GapsFields<'a>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    corrections: Vec<CorrectionFields<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    closed: Vec<ClosedFields<'a>>,
}

#[derive(Serialize)]
struct RowFields<'a> {
    from: String,
    to: String,
    #[serde(flatten)]
    label: LabelFields<'a>,
    #[serde(flatten)]
    figures: FigureFields,
}

#[derive(Default, Serialize)]
struct LabelFields<'a> {
    uid: Option<u32>,
    user: Option<&'a str>,
    unit: Option<&'a str>,
    program: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    class: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    others: Option<usize>,
}

#[derive(Serialize)]
struct FigureFields {
    /// With corrections; negative if they take away more than moved.
    sent_bytes: i128,
    received_bytes: i128,
    total_bytes: i128,
    #[serde(skip_serializing_if = "Option::is_none", flatten)]
    change: Option<ChangeFields>,
    #[serde(skip_serializing_if = "Option::is_none", flatten)]
    estimate: Option<EstimateFields>,
    #[serde(skip_serializing_if = "Option::is_none", flatten)]
    rates: Option<RateFields>,
}

/// The corrections that are in the figures.
#[derive(Serialize)]
struct ChangeFields {
    correction_sent_bytes: i64,
    correction_received_bytes: i64,
}

#[derive(Serialize)]
struct CorrectionFields<'a> {
    id: i64,
    date: String,
    booked: String,
    uid: Option<u32>,
    user: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    class: Option<&'a str>,
    sent_bytes: i64,
    received_bytes: i64,
    reason: &'a str,
    by_uid: u32,
    made: String,
}

#[derive(Serialize)]
struct ClosedFields<'a> {
    month: &'a str,
    from: String,
    to: String,
    closed: String,
    sent_bytes: i64,
    received_bytes: i64,
    sha256: &'a str,
}

#[derive(Serialize)]
struct EstimateFields {
    estimated_sent_bytes: u64,
    estimated_received_bytes: u64,
    estimated_total_bytes: u64,
}

#[derive(Serialize)]
struct RateFields {
    percentile_sent_bits_per_s: u64,
    percentile_received_bits_per_s: u64,
    percentile_higher_bits_per_s: u64,
}

#[derive(Serialize)]
struct GapsFields<'a> {
    count: usize,
    total_us: u128,
    list: Vec<GapFields<'a>>,
}

#[derive(Serialize)]
struct GapFields<'a> {
    from: String,
    to: String,
    cause: &'a str,
}

/// The answer as JSON.
pub(super) fn json(answer: &Answer) -> String {
    let mut out = Vec::new();
    write_json(&document(answer), &mut out);
    out.push(b'\n');
    String::from_utf8(out).expect("JSON is text")
}

fn document(answer: &Answer) -> Document<'_> {
    let Answer { period, counted, zone, .. } = answer;
    let second = |second: i64| iso(at_second(second), zone);
    let counted = (!counted.is_empty()).then(|| (second(counted.start), second(counted.end)));
    let (counted_from, counted_to) = counted.unzip();
    Document {
        schema: SCHEMA,
        from: second(period.start),
        to: second(period.end),
        zone: name(zone, period.start),
        counted_from,
        counted_to,
        by: answer.by.iter().map(|dimension| dimension.name()).collect(),
        only: answer.only.lists().map(|(dimension, names)| (dimension.name(), names)).collect(),
        percentile: answer.percentile,
        notes: &answer.notes,
        rows: answer.rows.iter().map(|row| row_fields(answer, row)).collect(),
        total: figure_fields(&answer.total),
        gaps: gaps(answer),
        corrections: answer.corrections.iter().map(|correction| correction_fields(correction, zone)).collect(),
        closed: answer.closed.iter().map(|closed| closed_fields(closed, zone)).collect(),
    }
}

fn correction_fields<'a>(correction: &'a Correction, zone: &TimeZone) -> CorrectionFields<'a> {
    let Correction { id, made, by_uid, date, booked, key, change, reason, .. } = correction;
    CorrectionFields {
        id: *id,
        date: date.to_string(),
        booked: booked.to_string(),
        uid: key.uid,
        user: key.user.as_deref(),
        class: key.class.as_deref(),
        sent_bytes: change.sent,
        received_bytes: change.received,
        reason,
        by_uid: *by_uid,
        made: said(*made, zone),
    }
}

fn closed_fields<'a>(closed: &'a Closed, zone: &TimeZone) -> ClosedFields<'a> {
    let Closed { month, seconds, at, sent, received, sha256, .. } = closed;
    ClosedFields {
        month,
        from: iso(at_second(seconds.start), zone),
        to: iso(at_second(seconds.end), zone),
        closed: said(*at, zone),
        sent_bytes: *sent,
        received_bytes: *received,
        sha256,
    }
}

fn said(time: SystemTime, zone: &TimeZone) -> String {
    Timestamp::try_from(time).map_or_else(|_| String::new(), |at| iso(at, zone))
}

fn row_fields<'a>(answer: &Answer, row: &'a Row) -> RowFields<'a> {
    let second = |second: i64| iso(at_second(second), &answer.zone);
    let label = match &row.label {
        Label::Others(count) => LabelFields { others: Some(*count), ..LabelFields::default() },
        Label::One(whose) => LabelFields {
            uid: whose.uid,
            user: whose.user.as_deref(),
            unit: whose.unit.as_deref(),
            program: whose.program.as_deref(),
            class: whose.class.as_deref(),
            account: whose.nobody(),
            others: None,
        },
    };
    RowFields { from: second(row.part.start), to: second(row.part.end), label, figures: figure_fields(&row.figures) }
}

fn figure_fields(figures: &Figures) -> FigureFields {
    let Change { sent, received } = figures.change;
    let is_corrected = figures.change != Change::default();
    FigureFields {
        sent_bytes: figures.sent(),
        received_bytes: figures.received(),
        total_bytes: figures.volume(),
        change: is_corrected
            .then_some(ChangeFields { correction_sent_bytes: sent, correction_received_bytes: received }),
        estimate: figures.estimate.map(|bytes| EstimateFields {
            estimated_sent_bytes: bytes.sent,
            estimated_received_bytes: bytes.received,
            estimated_total_bytes: volume(bytes),
        }),
        rates: figures.rates.map(|rates| RateFields {
            percentile_sent_bits_per_s: rates.sent,
            percentile_received_bits_per_s: rates.received,
            percentile_higher_bits_per_s: rates.highest(),
        }),
    }
}

fn gaps(answer: &Answer) -> GapsFields<'_> {
    let said = |time| said(time, &answer.zone);
    let list = answer.gaps.0.iter();
    let list = list.map(|Gap { from, to, cause }| GapFields { from: said(*from), to: said(*to), cause });
    GapsFields { count: answer.gaps.0.len(), total_us: answer.gaps.length().as_micros(), list: list.collect() }
}
