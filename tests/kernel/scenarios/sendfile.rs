//! `sendfile` to the socket, which before kernel 6.5 does not pass `tcp_sendmsg`.

use anyhow::Result;

use super::{Scenario, Test};
use crate::traffic::spec::{Sending, receive_all, send_by};

pub(super) const SCENARIO: Scenario = Scenario::new("sendfile", run).over_both();

fn run(test: &Test) -> Result<()> {
    let client = test.client([send_by(Sending::File, test.volume(50_000_000, 5_000_000), 300_000)]);
    test.exchange(client, test.server([receive_all()]))
}
