//! The log of the service under test, read back.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::truth::{Account, Bytes, Table};

/// All that one service wrote.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log {
    /// Complete reports, the oldest first.
    pub(crate) reports: Vec<Report>,
    /// Where a step of a quota was reached.
    pub(crate) quotas: Vec<Value>,
    /// What it wrote to standard error.
    pub(crate) stderr: String,
}

/// Account records and the summary that closes them.
#[derive(Clone, Debug)]
pub(crate) struct Report {
    pub(crate) accounts: Vec<Value>,
    pub(crate) summary: Value,
}

impl Log {
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        Self::of(&text, |line| serde_json::from_str(line).with_context(|| format!("not a record: {line:?}")))
    }

    /// A log in logfmt, as far as this tells: what is quoted has no blank that matters here.
    pub(crate) fn of_logfmt(text: &str) -> Result<Self> {
        Self::of(text, |line| {
            let fields = line.split_whitespace().filter_map(|field| field.split_once('='));
            let value = |text: &str| text.parse::<u64>().map_or_else(|_| Value::from(text), Value::from);
            Ok(Value::Object(fields.map(|(key, text)| (key.to_owned(), value(text))).collect()))
        })
    }

    fn of(text: &str, record_of: impl Fn(&str) -> Result<Value>) -> Result<Self> {
        let mut log = Self::default();
        let mut accounts = Vec::new();
        for line in text.split_inclusive('\n').filter(|line| line.ends_with('\n')) {
            let record = record_of(line)?;
            match record["type"].as_str() {
                Some("account") => accounts.push(record),
                Some("clock" | "gap") => (),
                Some("quota") => log.quotas.push(record),
                Some("summary") => {
                    log.reports.push(Report { accounts: std::mem::take(&mut accounts), summary: record });
                }
                _ => ensure!(false, "a record of no known type: {line:?}"),
            }
        }
        Ok(log)
    }

    /// Both as one log.
    pub(crate) fn followed_by(mut self, later: Self) -> Self {
        self.reports.extend(later.reports);
        self.quotas.extend(later.quotas);
        Self { stderr: later.stderr, ..self }
    }

    /// Whose a record is, and its bytes.
    pub(crate) fn account_of(record: &Value) -> Result<(Account, Bytes)> {
        Ok((account(record)?, bytes(record, "sent_bytes", "received_bytes")?))
    }

    /// The last report, which has every account.
    pub(crate) fn last(&self) -> Result<&Report> {
        self.reports.last().context("the service wrote no report")
    }

    /// The latest totals of every account.
    pub(crate) fn totals(&self) -> Result<Table> {
        let mut table = Table::default();
        for report in &self.reports {
            table.0.extend(report.totals()?.0);
        }
        Ok(table)
    }

    /// The sum over all reports of what each says its interval brought.
    pub(crate) fn sum_of_intervals(&self) -> Result<Table> {
        let mut table = Table::default();
        for record in self.reports.iter().flat_map(|report| &report.accounts) {
            table.add(account(record)?, bytes(record, "sent_bytes", "received_bytes")?);
        }
        Ok(table)
    }
}

impl Report {
    /// The totals since the start of every account in this report.
    pub(crate) fn totals(&self) -> Result<Table> {
        let mut table = Table::default();
        for record in &self.accounts {
            table.add(account(record)?, bytes(record, "sent_bytes_total", "received_bytes_total")?);
        }
        Ok(table)
    }

    /// A number of the summary, which leaves out those that are 0.
    pub(crate) fn health(&self, name: &str) -> Result<u64> {
        if self.summary.get(name).is_none() { Ok(0) } else { number(&self.summary, name) }
    }
}

fn account(record: &Value) -> Result<Account> {
    match (record["uid"].as_u64(), record["account"].as_str()) {
        (Some(uid), _) => of_user(u32::try_from(uid)?, record),
        (None, Some(name)) => Ok(Account::named(name)),
        (None, None) => anyhow::bail!("whose record is {record}?"),
    }
}

fn of_user(uid: u32, record: &Value) -> Result<Account> {
    let text = |name: &str| record[name].as_str().map(str::to_owned);
    let pid = record["pid"].as_u64().map(u32::try_from).transpose()?;
    let account =
        Account { pid, program: text("program"), unit: text("unit"), class: text("class"), ..Account::user(uid) };
    ensure!(account.pid.is_none() || account.program.is_some(), "a process without a program: {record}");
    Ok(account)
}

fn bytes(record: &Value, sent: &str, received: &str) -> Result<Bytes> {
    Ok(Bytes { sent: number(record, sent)?, received: number(record, received)? })
}

fn number(record: &Value, name: &str) -> Result<u64> {
    record[name].as_u64().with_context(|| format!("no number {name} in {record}"))
}
