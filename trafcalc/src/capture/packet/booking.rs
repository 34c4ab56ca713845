//! Where a connection's bytes go: to its owner, to wait for one, or to whoever most likely owns them. Pure.

use std::collections::HashMap;

use super::flow::{Flow, Holder, Origin, Pending};
use super::ports::{PortHistory, Served};
use super::searches::Searches;
use super::segment::Endpoints;
use crate::capture::{Bytes, Owner};

/// Bytes that `flow` moved go to its owner, or wait for one.
pub fn book(booked: &mut HashMap<Owner, Bytes>, flow: &mut Flow, bytes: Bytes) {
    flow.moved += bytes;
    credit(booked, flow, bytes);
}

fn credit(booked: &mut HashMap<Owner, Bytes>, flow: &mut Flow, bytes: Bytes) {
    if bytes.is_zero() {
        return;
    }
    match &mut flow.holder {
        Holder::Pending(Pending { bytes: waiting, .. })
        | Holder::Searching(_, waiting)
        | Holder::Undecided(waiting) => *waiting += bytes,
        Holder::Fine(owner) => *booked.entry(Owner::clone(owner).in_class(flow.class.clone())).or_default() += bytes,
        Holder::User(uid) => *booked.entry(Owner::user(*uid).in_class(flow.class.clone())).or_default() += bytes,
        Holder::Overflow => *booked.entry(Owner::OTHER).or_default() += bytes,
        Holder::Nobody => *booked.entry(Owner::UNATTRIBUTED).or_default() += bytes,
        Holder::Foreign | Holder::Unwanted => {}
    }
}

/// The owner of `flow` is known: what waited for it is booked.
pub fn settle_holder(booked: &mut HashMap<Owner, Bytes>, flow: &mut Flow, holder: Holder) {
    let holder = if flow.overflow { Holder::Overflow } else { holder };
    let before = std::mem::replace(&mut flow.holder, holder);
    if let Holder::Pending(Pending { bytes, .. }) | Holder::Searching(_, bytes) = before {
        credit(booked, flow, bytes);
    }
}

/// Decides about a connection whose search was not answered: its user; and about one that has no owner: whoever served its port so far, or else the listener's user, or else
/// nobody. Gives the bytes that were booked on the word of the port.
pub fn guess(
    booked: &mut HashMap<Owner, Bytes>,
    ports: &PortHistory,
    searches: &Searches,
    endpoints: &Endpoints,
    flow: &mut Flow,
) -> u64 {
    let pending = match flow.holder {
        Holder::Pending(pending) => pending,
        Holder::Searching(uid, _) => {
            settle_holder(booked, flow, searches.without(uid));
            return 0;
        }
        _ => return 0,
    };
    let server = match ports.served(endpoints.local, endpoints.local_port, pending.listener) {
        _ if flow.origin == Origin::Active => None,
        Some(Served::BySeveral) => None,
        Some(Served::By(uid)) => Some(uid),
        None => pending.listener,
    };
    settle_holder(booked, flow, server.map_or(Holder::Nobody, |uid| searches.without(uid)));
    if matches!(flow.holder, Holder::User(_)) { pending.bytes.sent + pending.bytes.received } else { 0 }
}
