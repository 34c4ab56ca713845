//! Finding the connections that are older than the program, where no hook in the way of their bytes would meet them.
//!
//! The kernel keeps all TCP sockets that have a peer in one table of lists (`struct inet_hashinfo`, `ehash`), those of all
//! network namespaces together. The table is reached from a socket of the service, and walked through by reading. A list
//! ends with its own number, so that one knows when a socket in it was moved to another meanwhile.
//!
//! A socket may end meanwhile, and nobody would forget a stream that it gets behind its end. Programs are called before the kernel
//! writes the new state, so the state does not tell. Whoever sees an end notes it (`ENDS`), and looks for the stream again; who
//! puts a stream into the table looks for a note then. So one of the two finds the other.
#![expect(unsafe_code, reason = "the kernel calls back with raw memory")]

use core::ffi::c_void;

use aya_ebpf::helpers::generated::bpf_get_current_task;
use aya_ebpf::programs::RawTracePointContext;
use trafcalc_common::maps::adoption::{BEGIN, DONE, FAILED, WALK};
use trafcalc_common::maps::table as words;
use trafcalc_common::tcp::state;

use crate::life;
use crate::maps::{STEPS, sweep_offset};
use crate::sock::{Sock, read_kernel};
use crate::steps::{self, GO_ON, STOP};
use crate::table;

/// Looks at some lists of the table to which the service's socket with descriptor `arg(0)` leads, from number `arg(1)` on;
/// gives where to go on, or one of `trafcalc_common::maps::adoption`. With `arg(2)` it does no more than begin or end.
///
/// aya's macro would throw away what it gives.
#[unsafe(no_mangle)]
#[unsafe(link_section = "raw_tp")]
extern "C" fn adopt(context: *mut c_void) -> u32 {
    let context = RawTracePointContext::new(context);
    let task: u32 = context.arg(2);
    if task != WALK {
        table::set_word(words::ADOPTING, (task == BEGIN).into());
        return DONE;
    }
    begin(context.arg(0), context.arg(1)).map_or(FAILED, walk)
}

/// How far the way through the table has come.
struct Way {
    lists: u64,
    /// The number of the last list.
    last: u32,
    /// The list it is in, or what the call gives at its end.
    list: u32,
    /// The next node of it; with the lowest bit set its end.
    node: u64,
}

#[inline(always)]
fn begin(descriptor: u64, list: u64) -> Option<Way> {
    let net: u64 = own_socket(descriptor)?.read(sweep_offset!(skc_net))?;
    let death_row = match sweep_offset!(net_death_row_pointer) {
        0 => net,
        pointer => read_kernel(net + u64::from(pointer))?,
    };
    let table: u64 = read_kernel(death_row + u64::from(sweep_offset!(death_row_hashinfo)))?;
    let mut way = Way {
        lists: read_kernel(table + u64::from(sweep_offset!(hashinfo_ehash)))?,
        last: read_kernel(table + u64::from(sweep_offset!(hashinfo_ehash_mask)))?,
        list: list as u32,
        node: 0,
    };
    way.node = way.first()?;
    Some(way)
}

/// A list that a call cannot finish is begun again by the next.
#[inline(always)]
fn walk(mut way: Way) -> u32 {
    steps::each(&STEPS, step, &mut way);
    way.list
}

extern "C" fn step(_map: *mut c_void, _step: *const u32, _element: *mut u64, way: *mut Way) -> i64 {
    // SAFETY: lives in the frame of `walk`.
    let way = unsafe { &mut *way };
    match way.step() {
        Some(false) => return GO_ON,
        Some(true) => way.list = DONE,
        None => way.list = FAILED,
    }
    STOP
}

impl Way {
    /// One node further; whether the table is done.
    #[inline(always)]
    fn step(&mut self) -> Option<bool> {
        if self.node & 1 == 0 {
            consider(self.node - u64::from(sweep_offset!(skc_nulls_node)));
            self.node = read_kernel(self.node)?;
            return Some(false);
        }
        // Else the way led into another list, and this one is looked at again.
        if self.node >> 1 == u64::from(self.list) {
            if self.list == self.last {
                return Some(true);
            }
            self.list += 1;
        }
        self.node = self.first()?;
        Some(false)
    }

    /// The first node of the list. `struct inet_ehash_bucket` has nothing else.
    #[inline(always)]
    fn first(&self) -> Option<u64> {
        read_kernel(self.lists + u64::from(self.list) * 8)
    }
}

/// A socket of the table, which also has those that wait for an end, and those whose handshake is not over.
#[inline(never)]
fn consider(address: u64) -> i32 {
    let sk = Sock::of(address);
    let now = sk.state();
    // The beginning of those whose handshake is not over is to come.
    let is_whole =
        !matches!(now, 0 | state::TIME_WAIT | state::NEW_SYN_RECV | state::SYN_SENT | state::SYN_RECV | state::CLOSE);
    if is_whole && table::find(address).is_none() {
        life::meet(sk, now);
        // It is not locked: if it ended before it was met, nobody else will forget it.
        table::order();
        if let Some(stream) = table::find(address)
            && (sk.state() == state::CLOSE || life::is_noted_as_ended(address, stream))
        {
            life::end(address, stream);
        }
    }
    0
}

/// The socket behind a descriptor of the service.
#[inline(always)]
fn own_socket(descriptor: u64) -> Option<Sock> {
    // SAFETY: takes nothing and cannot fail.
    let task = unsafe { bpf_get_current_task() };
    let files: u64 = read_kernel(task + u64::from(sweep_offset!(task_files)))?;
    let table: u64 = read_kernel(files + u64::from(sweep_offset!(files_fdt)))?;
    let descriptors: u64 = read_kernel(table + u64::from(sweep_offset!(fdt_fd)))?;
    let file: u64 = read_kernel(descriptors + descriptor * 8)?;
    let socket: u64 = read_kernel(file + u64::from(sweep_offset!(file_private_data)))?;
    Some(Sock::of(read_kernel(socket + u64::from(sweep_offset!(socket_sk)))?))
}
