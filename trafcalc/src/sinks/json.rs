//! Records as JSON, one object a line.

use super::Format;
use crate::report::Report;

/// The format `json`.
pub struct Json;

impl Format for Json {
    fn encode(&self, report: &Report, out: &mut Vec<u8>) {
        for account in &report.accounts {
            line(account, out);
        }
        line(&report.summary, out);
    }
}

fn line(record: &impl serde::Serialize, out: &mut Vec<u8>) {
    serde_json::to_writer(&mut *out, record).expect("records are plain data, and memory does not fail to be written");
    out.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::samples;

    #[test]
    fn records_are_the_lines_of_the_contract() {
        let mut out = Vec::new();
        Json.encode(&samples::report(), &mut out);
        let text = String::from_utf8(out).unwrap();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(
            lines[0],
            r#"{"type":"account","time":"2026-11-23T02:05:10Z","interval_s":10.0,"uid":1000,"user":"alice","sent_bytes":123,"received_bytes":456,"sent_bytes_total":9123,"received_bytes_total":9456}"#
        );
        assert_eq!(
            lines[1],
            r#"{"type":"account","time":"2026-11-23T02:05:10Z","interval_s":10.0,"uid":null,"user":null,"account":"(unattributed)","sent_bytes":1,"received_bytes":2,"sent_bytes_total":3,"received_bytes_total":4}"#
        );
        assert_eq!(
            lines[2],
            r#"{"type":"summary","time":"2026-11-23T02:05:10Z","since":"2026-11-23T02:00:00Z","interval_s":10.0,"backend":"packet","accounts":2,"sent_bytes":124,"received_bytes":458,"sent_bytes_total":9126,"received_bytes_total":9460,"unattributed_bytes_total":7,"overflow_bytes_total":0,"lost_events_total":0,"gaps":0,"pending_bytes":0,"listener_bytes_total":0,"malformed_packets_total":0,"delayed_lookups_total":0,"late_connections_total":0,"unfollowed_connections_total":0,"coarse_bytes_total":0,"audited_total":0,"audit_mismatch_total":0,"log_errors_total":0,"declined":["ebpf: no"]}"#
        );
        assert_eq!(lines.len(), 3);
    }
}
