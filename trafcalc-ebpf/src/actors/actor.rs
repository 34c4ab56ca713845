//! The actor of a stream: the process, program or cgroup that sends or reads, where accounts are told apart by more than the user.
//!
//! A stream remembers its last actor by a *mark*: the process id with its epoch, or the id of the cgroup. While the mark stays the
//! same, nothing else is read. Bytes that are first seen in an interrupt, in a kernel thread or at the end of the connection belong to
//! the last actor.
#![expect(unsafe_code, reason = "map values are raw memory shared by all CPUs")]

use core::ptr::{read_volatile, write_volatile};

use aya_ebpf::helpers::generated::{bpf_get_current_cgroup_id, bpf_get_current_pid_tgid};
use trafcalc_common::actor::{Actor, NAME_BYTES, PASSED_ROW, SKIPPED_ROW, by, epoch_index, filter};
use trafcalc_common::maps::{OTHER_ROW, Place, Stream, owner};

use crate::accounts;
use crate::actor_maps::{EPOCHS, acting, marks_processes, tells};
use crate::atomic;
use crate::class;
use crate::maps::{filters, offset};
use crate::owner;
use crate::row_refs;
use crate::settle;
use crate::sock::Sock;
use crate::task::Task;
use crate::wanted;

/// The context in which a hook runs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    /// In a system call, or in a kernel thread.
    Call,
    /// As `Call` if a task owns the socket lock; otherwise in an interrupt.
    Any,
}

/// The place whose first field is `stream`.
#[inline(always)]
pub(crate) fn place(stream: *mut Stream) -> *mut Place {
    stream.cast()
}

/// The row to credit for the current actor of a stream.
///
/// While the mark stays the same, so does the user of the socket, because a change of that user [clears the mark](expire). The
/// effective user of a process may change at any time, so with `acting` it is read at each event.
#[inline(always)]
pub(crate) fn row(sk: Sock, stream: *mut Stream, moment: Moment) -> u32 {
    let mark = mark();
    let last = last(stream);
    let row = last as u32;
    let is_same = row != OTHER_ROW && is_of(stream, last, mark);
    if is_same && !acting() {
        return row;
    }
    let uid = if acting() { Task::current().effective_user() } else { None };
    let uid = accounts::account_holder(uid.unwrap_or_else(|| owner::of(sk)));
    if is_same && if row == PASSED_ROW { !filters(filter::USERS) } else { row_refs::has(row, uid) } {
        return row;
    }
    let who = u64::from(uid) | u64::from(moment == Moment::Call) << 32;
    another(sk, stream, who, mark)
}

/// The socket is about to have another user: clears the mark, so that the next event evaluates its actor, even if it is the same.
#[inline(always)]
pub(crate) fn expire(stream: *mut Stream) {
    let last = last(stream);
    let row = last as u32;
    if row == SKIPPED_ROW {
        take(stream, 0, OTHER_ROW);
    } else if row != OTHER_ROW {
        // SAFETY: `stream` points to a map value. Who acts meanwhile keeps a row of the former user, which gets no bytes of the next.
        unsafe { atomic::replace(&raw mut (*place(stream)).owner, last, owner(0, row)) };
    }
}

/// The row of the last actor; that of the account for others if there was none.
#[inline(always)]
pub(crate) fn last_row(stream: *mut Stream) -> u32 {
    last(stream) as u32
}

/// The lower half of the last actor's mark, and its row. Read as one word, because another CPU may replace both at any time.
#[inline(always)]
fn last(stream: *mut Stream) -> u64 {
    // SAFETY: `stream` points to a map value.
    unsafe { read_volatile(&raw const (*place(stream)).owner) }
}

/// Whether the last actor has this mark.
#[inline(always)]
fn is_of(stream: *mut Stream, last: u64, mark: u64) -> bool {
    last >> 32 == u64::from(mark as u32) && mark_and_writer(stream) >> 32 == mark >> 32
}

/// The row of the last writer; that of the account for others if there was none.
#[inline(always)]
pub(crate) fn writer(stream: *mut Stream) -> u32 {
    mark_and_writer(stream) as u32
}

/// The upper half of the last actor's mark, and the row of the last writer.
#[inline(always)]
fn mark_and_writer(stream: *mut Stream) -> u64 {
    // SAFETY: `stream` points to a map value.
    unsafe { read_volatile(&raw const (*place(stream)).writer) }
}

/// The writer before the last one.
#[derive(Clone, Copy)]
pub(crate) struct Former(u64);

impl Former {
    /// Its row.
    #[inline(always)]
    pub(crate) fn row(self) -> u32 {
        self.0 as u32
    }

    /// The sequence number behind its last byte.
    #[inline(always)]
    pub(crate) fn end(self) -> u32 {
        (self.0 >> 32) as u32
    }
}

/// The writer before the last one, if there was one.
#[inline(always)]
pub(crate) fn former(stream: *mut Stream) -> Option<Former> {
    // SAFETY: `stream` points to a map value.
    let former = Former(unsafe { read_volatile(&raw const (*place(stream)).former) });
    (former.row() != OTHER_ROW).then_some(former)
}

/// Makes the stream forget the former writer, unless another CPU has already recorded the next one.
#[inline(always)]
pub(crate) fn forget_former(stream: *mut Stream, former: Former) {
    // SAFETY: `stream` points to a map value.
    if unsafe { atomic::replace(&raw mut (*place(stream)).former, former.0, owner(0, OTHER_ROW)) } {
        exit(former.row());
    }
}

/// Releases the rows that the stream remembers, because the stream ends.
#[inline(always)]
pub(crate) fn leave(stream: *mut Stream) {
    take(stream, 0, OTHER_ROW);
    if writer(stream) != OTHER_ROW {
        set_writer(stream, OTHER_ROW);
    }
    // The former writer may have a row even if the last writer has none.
    if former(stream).is_some() {
        set_former(stream, OTHER_ROW, 0);
    }
}

/// Records the last writer.
#[inline(always)]
pub(crate) fn set_writer(stream: *mut Stream, row: u32) {
    let former = mark_and_writer(stream);
    enter(row);
    // SAFETY: `stream` points to a map value.
    let is_set =
        unsafe { atomic::replace(&raw mut (*place(stream)).writer, former, owner((former >> 32) as u32, row)) };
    // If another CPU was faster, its writer is the last one.
    exit(if is_set { former as u32 } else { row });
}

/// Records the former writer, and the sequence number behind its last byte.
#[inline(always)]
pub(crate) fn set_former(stream: *mut Stream, row: u32, number: u32) {
    enter(row);
    // SAFETY: `stream` points to a map value.
    exit(unsafe { atomic::swap(&raw mut (*place(stream)).former, owner(number, row)) } as u32);
}

/// Adds a stream to the count of streams that remember a row, before it does.
#[inline(always)]
fn enter(row: u32) {
    if row != OTHER_ROW {
        row_refs::count(row, 1);
    }
}

/// Removes a stream from the count of streams that remember a row.
#[inline(always)]
fn exit(row: u32) {
    if row != OTHER_ROW {
        row_refs::count(row, u64::MAX);
    }
}

/// Makes streams evaluate a process again: the marks of its former epoch no longer match.
#[inline(always)]
pub(crate) fn next_epoch(pid: u32) {
    if let Some(epoch) = EPOCHS.get_ptr_mut(epoch_index(pid)) {
        // SAFETY: points to a map value; a number that two CPUs set at once still moves.
        unsafe { write_volatile(epoch, read_volatile(epoch).wrapping_add(1)) };
    }
}

/// The mark of the current task.
#[inline(always)]
fn mark() -> u64 {
    if !marks_processes() {
        return if tells(by::UNIT) || filters(filter::UNITS) { cgroup() } else { 0 };
    }
    let pid = pid();
    // SAFETY: points to a map value.
    let epoch = EPOCHS.get_ptr(epoch_index(pid)).map_or(0, |epoch| unsafe { read_volatile(epoch) });
    u64::from(pid) | u64::from(epoch) << 32
}

/// The cgroup of the current task.
#[inline(always)]
fn cgroup() -> u64 {
    // SAFETY: takes nothing and cannot fail.
    unsafe { bpf_get_current_cgroup_id() }
}

/// The current process; in an interrupt the interrupted one.
#[inline(always)]
pub(crate) fn pid() -> u32 {
    // SAFETY: takes nothing and cannot fail.
    unsafe { (bpf_get_current_pid_tgid() >> 32) as u32 }
}

/// The slow path of [`row`]: the actor is not the one that the stream remembers, or no process is known to act.
#[inline(never)]
fn another(sk: Sock, stream: *mut Stream, who: u64, mark: u64) -> u32 {
    let uid = who as u32;
    let row = row_of_task(sk.key(), who, mark);
    if row == NO_ROW {
        return remembered(sk, stream, if acting() { accounts::account_holder(owner::of(sk)) } else { uid });
    }
    settle::reads_no_more(sk, stream);
    take(stream, mark, row);
    if row == OTHER_ROW { accounts::row_of(uid, class::of(sk)) } else { row }
}

/// What [`row_of_task`] returns where no process is known to act. No row has this number.
const NO_ROW: u32 = u32::MAX - 2;

/// The row of the current task, if it is what uses the socket.
///
/// A separate function, so that the key is not on the stack during other calls: all frames together have 512 bytes at most.
#[inline(never)]
fn row_of_task(key: u64, who: u64, mark: u64) -> u32 {
    let (uid, is_call) = (who as u32, who >> 32 != 0);
    let task = Task::current();
    let mut program = [0; NAME_BYTES / 8];
    let is_known = (is_call || is_held(Sock::of(key))) && !task.is_kernel_thread();
    // A process that is about to end no longer has an executable.
    if !is_known || (marks_processes() && task.program(&mut program).is_none()) {
        return NO_ROW;
    }
    if !accounts::is_wanted(uid) {
        return if acting() { PASSED_ROW } else { SKIPPED_ROW };
    }
    if !wanted::task(task, &program) {
        return PASSED_ROW;
    }
    row_refs::row_of(&actor(Sock::of(key), task, uid, mark, &program))
}

/// Whether a task owns the socket lock. The hook then runs in that task and not in an interrupt.
#[inline(always)]
fn is_held(sk: Sock) -> bool {
    sk.load::<u32>(offset!(sk_lock_owned)) != 0
}

/// The key of the current task's account.
#[inline(always)]
fn actor(sk: Sock, task: Task, uid: u32, mark: u64, program: &[u64; NAME_BYTES / 8]) -> Actor {
    let mut actor = Actor { who: u64::from(uid), start: 0, unit: 0, name: [0; NAME_BYTES / 8] };
    if tells(by::PROCESS) {
        actor.who |= mark << 32;
        actor.start = task.start().unwrap_or(0);
    }
    if tells(by::PROGRAM) {
        actor.name = *program;
    }
    if tells(by::UNIT) {
        actor.unit = cgroup();
    }
    actor.set_class(class::of(sk));
    actor
}

/// The row of the last actor, if it may be credited for `uid`, the user of the socket; otherwise that of the user. See [`still`].
#[inline(always)]
pub(crate) fn remembered(sk: Sock, stream: *mut Stream, uid: u32) -> u32 {
    still(sk, last_row(stream), uid)
}

/// `row`, if it may be credited for a socket of the user; otherwise the row of the user's own account, or [`PASSED_ROW`] if the filters
/// do not admit the user or cannot be evaluated.
#[inline(always)]
pub(crate) fn still(sk: Sock, row: u32, uid: u32) -> u32 {
    if row == PASSED_ROW || row == SKIPPED_ROW || (row != OTHER_ROW && (acting() || row_refs::has(row, uid))) {
        return row;
    }
    if is_unknown() || !accounts::is_wanted(uid) { PASSED_ROW } else { accounts::row_of(uid, class::of(sk)) }
}

/// Whether the filters cannot be evaluated for bytes without a known process: they choose by process, program or unit, or by the user
/// that a process acts as.
#[inline(always)]
pub(crate) fn is_unknown() -> bool {
    filters(!filter::USERS) || (acting() && filters(filter::USERS))
}

/// Makes the stream remember `row` and `mark`, or nothing if `row` is that of the account for others.
#[inline(always)]
fn take(stream: *mut Stream, mark: u64, row: u32) {
    let former = mark_and_writer(stream);
    enter(row);
    // SAFETY: `stream` points to a map value. If one half of the mark is not stored, the next event evaluates the actor again.
    exit(unsafe {
        atomic::replace(&raw mut (*place(stream)).writer, former, owner((mark >> 32) as u32, former as u32));
        atomic::swap(&raw mut (*place(stream)).owner, if row == OTHER_ROW { 0 } else { owner(mark as u32, row) })
    } as u32);
}
