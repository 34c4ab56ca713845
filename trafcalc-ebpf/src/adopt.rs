//! Finds the connections that are older than the programs. Without a stream, no hook would count them.
//!
//! The kernel keeps all TCP sockets that have a peer in one hash table (`struct inet_hashinfo`, `ehash`), for all network namespaces
//! together. The program reaches this table from a socket of the service, and walks its chains by reading. A chain ends with its own
//! number (a nulls marker), so the walk notices when a socket has moved to another chain meanwhile.
//!
//! A socket may end during the walk, and a stream that is inserted after the end would never be removed. The state of the socket does
//! not show the end in time, because programs are called before the kernel writes the new state. So the program that sees an end notes
//! it (`ENDS`) and then looks for the stream again, and the walk inserts the stream and then looks for a note. One of the two always
//! finds the other.
#![expect(unsafe_code, reason = "the kernel calls back with raw memory")]

use core::ffi::c_void;

use aya_ebpf::helpers::generated::bpf_get_current_task;
use aya_ebpf::programs::RawTracePointContext;
use trafcalc_common::maps::adoption::{ASK, BEGIN, DONE, FAILED, WALK};
use trafcalc_common::maps::table as words;
use trafcalc_common::tcp::state;

use crate::bounded_loop::{self, GO_ON, STOP};
use crate::life;
use crate::maps::{STEPS, sweep_offset};
use crate::sock::{Sock, read_kernel};
use crate::table;

/// Walks some chains of the table to which the service's socket with descriptor `arg(0)` leads, from number `arg(1)` on. Returns the
/// chain to continue with, or a value of `trafcalc_common::maps::adoption`. Unless `arg(2)` is `WALK`, it walks nothing.
///
/// Written without aya's macro, which would discard the return value.
#[unsafe(no_mangle)]
#[unsafe(link_section = "raw_tp")]
extern "C" fn adopt(context: *mut c_void) -> u32 {
    let context = RawTracePointContext::new(context);
    match context.arg(2) {
        WALK => begin(context.arg(0), context.arg(1)).map_or(FAILED, walk),
        ASK => u32::from(table::word(words::ADOPTING) != 0),
        task => {
            table::set_word(words::ADOPTING, (task == BEGIN).into());
            DONE
        }
    }
}

/// Where the walk through the table stands.
struct Way {
    lists: u64,
    /// The number of the last chain.
    last: u32,
    /// The current chain; at the end of a call its return value.
    list: u32,
    /// The next node of the chain; with the lowest bit set, the end of the chain.
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

/// The next call restarts a chain that this one could not finish.
#[inline(always)]
fn walk(mut way: Way) -> u32 {
    bounded_loop::each(&STEPS, step, &mut way);
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
    /// Advances by one node. Returns whether the table is done.
    #[inline(always)]
    fn step(&mut self) -> Option<bool> {
        if self.node & 1 == 0 {
            consider(self.node - u64::from(sweep_offset!(skc_nulls_node)));
            self.node = read_kernel(self.node)?;
            return Some(false);
        }
        // Otherwise the walk ended in another chain, and starts this one again.
        if self.node >> 1 == u64::from(self.list) {
            if self.list == self.last {
                return Some(true);
            }
            self.list += 1;
        }
        self.node = self.first()?;
        Some(false)
    }

    /// The first node of the chain. `struct inet_ehash_bucket` has no other field.
    #[inline(always)]
    fn first(&self) -> Option<u64> {
        read_kernel(self.lists + u64::from(self.list) * 8)
    }
}

/// Adopts one socket of the table. The table also has sockets in `TIME_WAIT` and those whose handshake is not over.
#[inline(never)]
fn consider(address: u64) -> i32 {
    let sk = Sock::of(address);
    let now = sk.state();
    // The hooks will see the beginning of connections whose handshake is not over.
    let is_whole =
        !matches!(now, 0 | state::TIME_WAIT | state::NEW_SYN_RECV | state::SYN_SENT | state::SYN_RECV | state::CLOSE);
    if is_whole && table::find(address).is_none() {
        life::meet(sk, now);
        // The socket is not locked. If it ended before the insertion, no other program removes its stream.
        table::order();
        if let Some(stream) = table::find(address)
            && (sk.state() == state::CLOSE || life::is_noted_as_ended(address, stream))
        {
            life::end(address, stream);
        }
    }
    0
}

/// The socket behind a descriptor of the current process, which is the service.
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
