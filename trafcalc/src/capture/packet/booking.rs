//! Credits a connection's bytes: to its owner, to a waiting sum, or to the most likely owner. Pure.

use std::collections::HashMap;

use super::flow::{Flow, Holder, Origin, Pending};
use super::ports::{PortHistory, Served};
use super::searches::Searches;
use super::segment::Endpoints;
use crate::capture::{Bytes, Owner};

/// Credits bytes of `flow` to its owner, or lets them wait.
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

/// Sets the owner of `flow`, and books what waited for it.
pub fn settle_holder(booked: &mut HashMap<Owner, Bytes>, flow: &mut Flow, holder: Holder) {
    let holder = if flow.overflow { Holder::Overflow } else { holder };
    let before = std::mem::replace(&mut flow.holder, holder);
    if let Holder::Pending(Pending { bytes, .. }) | Holder::Searching(_, bytes) = before {
        credit(booked, flow, bytes);
    }
}

/// Decides an open owner. An unanswered search leaves the user. Otherwise it is the port's user so far, else the listener's; nobody if the
/// port had several users or this host opened the connection. Returns the bytes booked by the port.
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
