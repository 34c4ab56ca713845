//! Finds the offsets of the fields that the eBPF programs read, in the running kernel's type information (BTF).
//!
//! They differ on every kernel, so a field that is not found or has another size is a reason not to count: an offset must never be
//! guessed.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::fd::AsRawFd as _;

use btf_rs::{Backend, Btf, Member, Struct, Type};
use nix::sys::memfd::{MFdFlags, memfd_create};
use trafcalc_common::offsets::{Offsets, SweepOffsets, TaskOffsets};
use trafcalc_common::record;

use crate::capture::CaptureError;

const VMLINUX: &str = "/sys/kernel/btf/vmlinux";
/// The limit of typedefs, qualifiers and anonymous members that are followed; the kernel nests them some five deep.
const MAX_DEPTH: usize = 16;

/// What the programs have to know of the kernel's types.
pub(super) struct Layout {
    pub(super) sockets: Offsets,
    pub(super) tasks: TaskOffsets,
    /// Offsets for finding sockets without a hook.
    pub(super) sweep: SweepOffsets,
    pub(super) cast: Option<Cast>,
    /// Whether a program at a tracepoint can be preempted: since Linux 7 tracepoints call programs in a read-side section of sleepable
    /// RCU. Only `true` if the copy that perf calls can be used.
    pub(super) preemptible: bool,
}

/// The BTF ids by which programs can load from a socket: see `trafcalc_common::cast`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cast {
    pub(super) function: u32,
    pub(super) tcp_sock: u32,
}

/// Reads the layout of the running kernel; that of tasks only on request.
///
/// # Errors
/// The kernel has no type information, or lacks a field.
pub(super) fn of_running_kernel(with_tasks: bool) -> Result<Layout, CaptureError> {
    let bytes = fs::read(VMLINUX).map_err(|source| CaptureError::System {
        what: "reading the kernel's types from /sys/kernel/btf/vmlinux",
        source,
    })?;
    let btf = parse(&bytes)?;
    let tasks = if with_tasks { of_tasks(&btf)? } else { TaskOffsets::UNSET };
    Ok(Layout {
        sockets: of_sockets(&btf)?,
        tasks,
        sweep: of_sweep(&btf)?,
        cast: cast(&btf),
        preemptible: has_preemptible_tracepoints(&btf) && has_known_records(&btf),
    })
}

/// The BTF ids for a cast, if this kernel has it.
fn cast(btf: &Btf) -> Option<Cast> {
    let find = |name, is_it: fn(&Type) -> bool| {
        let mut numbers = btf.resolve_ids_by_name(name).ok()?.into_iter();
        numbers.find(|&number| btf.resolve_type_by_id(number).is_ok_and(|found| is_it(&found)))
    };
    Some(Cast {
        function: find("bpf_rdonly_cast", |found| matches!(found, Type::Func(_)))?,
        tcp_sock: find("tcp_sock", |found| matches!(found, Type::Struct(_)))?,
    })
}

/// Recognised by the variable behind `DEFINE_SRCU(tracepoint_srcu)` (`kernel/tracepoint.c`). Before Linux 6.13 a variable of this name
/// had another purpose, but there was no fast SRCU yet (`struct srcu_ctr`, 6.15).
fn has_preemptible_tracepoints(btf: &Btf) -> bool {
    let has = |name, is_it: fn(&Type) -> bool| btf.resolve_types_by_name(name).unwrap_or_default().iter().any(is_it);
    has("tracepoint_srcu_srcu_data", |found| matches!(found, Type::Var(_)))
        && has("srcu_ctr", |found| matches!(found, Type::Struct(_)))
}

/// Whether the fields of the tracepoint's record are where the program reads them.
fn has_known_records(btf: &Btf) -> bool {
    let is_at = |structure, field, bytes, at: u64| {
        Structure::find(btf, structure)
            .and_then(|found| found.field(field, bytes))
            .inspect_err(|reason| tracing::debug!(%reason, "no copies of programs"))
            .is_ok_and(|offset| u64::from(offset) == at)
    };
    is_at("trace_event_raw_inet_sock_set_state", "skaddr", 8, record::SK)
        && is_at("trace_event_raw_inet_sock_set_state", "oldstate", 4, record::OLD)
        && is_at("trace_event_raw_inet_sock_set_state", "newstate", 4, record::NEW)
}

/// Reads the offsets for counting from a kernel's type information.
fn of_sockets(btf: &Btf) -> Result<Offsets, CaptureError> {
    let sock = Structure::find(btf, "sock")?;
    let common = sock.inner("__sk_common")?;
    let (connection, tcp) = (Structure::find(btf, "inet_connection_sock")?, Structure::find(btf, "tcp_sock")?);
    Ok(Offsets {
        sk_type: sock.field("sk_type", 2)?,
        sk_protocol: sock.field("sk_protocol", 2)?,
        sk_uid: sock.field("sk_uid", 4)?,
        sk_lock_owned: sock.inner("sk_lock")?.field("owned", 4)?,
        sk_max_ack_backlog: sock.field("sk_max_ack_backlog", 4)?,
        sk_socket: sock.field("sk_socket", 8)?,
        sk_dst_cache: sock.field("sk_dst_cache", 8)?,
        sk_rx_dst: sock.field("sk_rx_dst", 8)?,
        sk_rx_dst_ifindex: sock
            .field("sk_rx_dst_ifindex", 4)
            .or_else(|_| Structure::find(btf, "inet_sock")?.field("rx_dst_ifindex", 4))?,
        skc_flags: common.field("skc_flags", 8)?,
        skc_family: common.field("skc_family", 2)?,
        skc_state: common.field("skc_state", 1)?,
        inet_sport: Structure::find(btf, "inet_sock")?.field("inet_sport", 2)?,
        skc_dport: common.field("skc_dport", 2)?,
        skc_daddr: common.field("skc_daddr", 4)?,
        skc_rcv_saddr: common.field("skc_rcv_saddr", 4)?,
        skc_v6_daddr: common.field("skc_v6_daddr", 16)?,
        skc_v6_rcv_saddr: common.field("skc_v6_rcv_saddr", 16)?,
        icsk_ulp_ops: connection.field("icsk_ulp_ops", 8)?,
        icsk_ulp_data: connection.field("icsk_ulp_data", 8)?,
        snd_una: tcp.field("snd_una", 4)?,
        snd_nxt: tcp.field("snd_nxt", 4)?,
        write_seq: tcp.field("write_seq", 4)?,
        rcv_nxt: tcp.field("rcv_nxt", 4)?,
        bytes_acked: tcp.field("bytes_acked", 8)?,
        bytes_received: tcp.field("bytes_received", 8)?,
        bytes_sent: tcp.field("bytes_sent", 8)?,
        dst_dev: Structure::find(btf, "dst_entry")?.field("dev", 8)?,
        dev_flags: Structure::find(btf, "net_device")?.field("flags", 4)?,
    })
}

/// Reads the offsets for finding sockets from a kernel's type information.
fn of_sweep(btf: &Btf) -> Result<SweepOffsets, CaptureError> {
    let common = Structure::find(btf, "sock")?.inner("__sk_common")?;
    let death_row = DeathRow::find(btf)?;
    let mptcp = Mptcp::find(btf).unwrap_or_default();
    let table = Structure::find(btf, "inet_hashinfo")?;
    Structure::find(btf, "inet_ehash_bucket")?.has_nothing_but("chain", 8)?;
    let allocated = Structure::find(btf, "socket_alloc")?;
    Ok(SweepOffsets {
        skc_net: common.inner("skc_net")?.field("net", 8)?,
        skc_nulls_node: common.inner("skc_nulls_node")?.field("next", 8)?,
        net_death_row_pointer: death_row.pointer,
        death_row_hashinfo: death_row.hashinfo,
        hashinfo_ehash: table.field("ehash", 8)?,
        hashinfo_ehash_mask: table.field("ehash_mask", 4)?,
        task_files: Structure::find(btf, "task_struct")?.field("files", 8)?,
        files_fdt: Structure::find(btf, "files_struct")?.field("fdt", 8)?,
        fdt_fd: Structure::find(btf, "fdtable")?.field("fd", 8)?,
        file_private_data: Structure::find(btf, "file")?.field("private_data", 8)?,
        socket_sk: Structure::find(btf, "socket")?.field("sk", 8)?,
        socket_inode: allocated.inner("vfs_inode")?.start - allocated.inner("socket")?.start,
        dentry_inode: Structure::find(btf, "dentry")?.field("d_inode", 8)?,
        inode_sb: Structure::find(btf, "inode")?.field("i_sb", 8)?,
        sb_magic: Structure::find(btf, "super_block")?.field("s_magic", 8)?,
        iattr_valid: Structure::find(btf, "iattr")?.field("ia_valid", 4)?,
        mptcp_conn_list: mptcp.conn_list,
        subflow_node: mptcp.node,
        subflow_tcp_sock: mptcp.tcp_sock,
        subflow_conn: mptcp.conn,
        ulp_name: mptcp.ulp_name,
    })
}

/// The offsets that lead from an MPTCP socket to the sockets of its subflows; zeroes where the kernel has no MPTCP.
#[derive(Default)]
struct Mptcp {
    conn_list: u32,
    node: u32,
    tcp_sock: u32,
    conn: u32,
    ulp_name: u32,
}

impl Mptcp {
    fn find(btf: &Btf) -> Result<Self, CaptureError> {
        let subflow = Structure::find(btf, "mptcp_subflow_context")?;
        Ok(Self {
            conn_list: Structure::find(btf, "mptcp_sock")?.inner("conn_list")?.field("next", 8)?,
            node: subflow.inner("node")?.field("next", 8)?,
            tcp_sock: subflow.field("tcp_sock", 8)?,
            conn: subflow.field("conn", 8)?,
            ulp_name: Structure::find(btf, "tcp_ulp_ops")?.field("name", 16)?,
        })
    }
}

/// The offsets that lead from a network namespace to `inet_timewait_death_row.hashinfo`.
struct DeathRow {
    /// The offset of the pointer to the structure, in Linux 5.18 to 6.0; 0 where the structure itself is in the namespace.
    pointer: u32,
    /// The offset in the structure pointed to, or else in the namespace.
    hashinfo: u32,
}

impl DeathRow {
    fn find(btf: &Btf) -> Result<Self, CaptureError> {
        let ipv4 = Structure::find(btf, "net")?.inner("ipv4")?;
        if let Ok(within) = ipv4.inner("tcp_death_row") {
            return Ok(Self { pointer: 0, hashinfo: within.field("hashinfo", 8)? });
        }
        let hashinfo = Structure::find(btf, "inet_timewait_death_row")?.field("hashinfo", 8)?;
        Ok(Self { pointer: ipv4.field("tcp_death_row", 8)?, hashinfo })
    }
}

/// Reads the offsets for tasks from a kernel's type information.
fn of_tasks(btf: &Btf) -> Result<TaskOffsets, CaptureError> {
    let task = Structure::find(btf, "task_struct")?;
    let node = Structure::find(btf, "kernfs_node")?;
    Ok(TaskOffsets {
        task_tgid: task.field("tgid", 4)?,
        task_cred: task.field("cred", 8)?,
        cred_euid: Structure::find(btf, "cred")?.field("euid", 4)?,
        task_cgroups: task.field("cgroups", 8)?,
        cgroups_default: Structure::find(btf, "css_set")?.field("dfl_cgrp", 8)?,
        cgroup_node: Structure::find(btf, "cgroup")?.field("kn", 8)?,
        node_name: node.field("name", 8)?,
        node_parent: node.field("parent", 8).or_else(|_| node.field("__parent", 8))?,
        task_flags: task.field("flags", 4)?,
        task_mm: task.field("mm", 8)?,
        task_group_leader: task.field("group_leader", 8)?,
        task_start_boottime: task.field("start_boottime", 8)?,
        task_signal: task.field("signal", 8)?,
        signal_live: Structure::find(btf, "signal_struct")?.field("live", 4)?,
        mm_exe_file: Structure::find(btf, "mm_struct")?.field("exe_file", 8)?,
        file_dentry: Structure::find(btf, "file")?.inner("f_path")?.field("dentry", 8)?,
        dentry_name: Structure::find(btf, "dentry")?.inner("d_name")?.field("name", 8)?,
    })
}

/// Parses type information in place, a tenth of the work of creating values for all types. The kernel's own file can be mapped only
/// since Linux 6.16, so this maps a copy.
fn parse(bytes: &[u8]) -> Result<Btf, CaptureError> {
    let mapped = copy(bytes).ok().and_then(|copy| {
        let path = format!("/proc/self/fd/{}", copy.as_raw_fd());
        Btf::from_file_with_backend(path, Backend::Mmap).ok()
    });
    mapped
        .map_or_else(|| Btf::from_bytes(bytes), Ok)
        .map_err(|_| CaptureError::NoField { structure: "sock", field: "sk_protocol" })
}

/// A file without a name.
fn copy(bytes: &[u8]) -> io::Result<File> {
    let mut file = File::from(memfd_create("btf", MFdFlags::MFD_CLOEXEC)?);
    file.write_all(bytes)?;
    Ok(file)
}

/// A structure of the kernel, and its offset in the outermost one that was looked up.
struct Structure<'a> {
    btf: &'a Btf,
    name: &'static str,
    start: u32,
    members: Struct,
}

impl<'a> Structure<'a> {
    fn find(btf: &'a Btf, name: &'static str) -> Result<Self, CaptureError> {
        let is_struct = |found| match found {
            Type::Struct(members) => Some(members),
            _ => None,
        };
        let types = btf.resolve_types_by_name(name).unwrap_or_default();
        let members = types.into_iter().find_map(is_struct);
        let members = members.ok_or(CaptureError::NoField { structure: name, field: "" })?;
        Ok(Self { btf, name, start: 0, members })
    }

    /// The structure that is a member of this one.
    fn inner(&self, field: &'static str) -> Result<Self, CaptureError> {
        let missing = || CaptureError::NoField { structure: self.name, field };
        let (offset, member) = find_member(self.btf, &self.members, field, MAX_DEPTH).ok_or_else(missing)?;
        let members = structure(self.btf, &member, MAX_DEPTH).ok_or_else(missing)?;
        Ok(Self { btf: self.btf, name: self.name, start: self.start + offset, members })
    }

    /// Checks that it consists of one member of `bytes` bytes.
    fn has_nothing_but(&self, field: &'static str, bytes: usize) -> Result<(), CaptureError> {
        let is_so = self.field(field, bytes)? == 0 && self.members.size() == bytes;
        if is_so { Ok(()) } else { Err(CaptureError::NoField { structure: self.name, field }) }
    }

    /// The offset of a member of `bytes` bytes.
    fn field(&self, field: &'static str, bytes: usize) -> Result<u32, CaptureError> {
        find_member(self.btf, &self.members, field, MAX_DEPTH)
            .filter(|(_, member)| size(self.btf, member, MAX_DEPTH) == Some(bytes))
            .map(|(offset, _)| self.start + offset)
            .ok_or(CaptureError::NoField { structure: self.name, field })
    }
}

/// Finds a member by name, also in anonymous structures and unions. Returns its offset in bytes.
fn find_member(btf: &Btf, within: &Struct, name: &str, depth: usize) -> Option<(u32, Member)> {
    within.members.iter().find_map(|member| {
        let offset = member.bit_offset() / u8::BITS;
        let own_name = btf.resolve_name(member).unwrap_or_default();
        if own_name == name {
            return is_whole(member).then(|| (offset, member.clone()));
        }
        if !own_name.is_empty() || depth == 0 {
            return None;
        }
        match btf.resolve_chained_type(member).ok()? {
            Type::Struct(inner) | Type::Union(inner) => {
                find_member(btf, &inner, name, depth - 1).map(|(inside, found)| (offset + inside, found))
            }
            _ => None,
        }
    })
}

/// Whether a member is not a bit field.
fn is_whole(member: &Member) -> bool {
    member.bit_offset().is_multiple_of(u8::BITS) && matches!(member.bitfield_size(), None | Some(0))
}

/// The structure that a member or a type's alias refers to.
fn structure<T: btf_rs::BtfType + ?Sized>(btf: &Btf, of: &T, depth: usize) -> Option<Struct> {
    match btf.resolve_chained_type(of).ok()? {
        Type::Struct(found) => Some(found),
        alias @ (Type::Typedef(_) | Type::Const(_) | Type::Volatile(_) | Type::TypeTag(_)) if depth > 0 => {
            structure(btf, alias.as_btf_type()?, depth - 1)
        }
        _ => None,
    }
}

/// The size in bytes of what a member or a type's alias refers to.
fn size<T: btf_rs::BtfType + ?Sized>(btf: &Btf, of: &T, depth: usize) -> Option<usize> {
    match btf.resolve_chained_type(of).ok()? {
        Type::Int(int) => Some(int.size()),
        Type::Ptr(_) => Some(size_of::<u64>()),
        Type::Struct(inner) | Type::Union(inner) => Some(inner.size()),
        Type::Array(array) if depth > 0 => Some(size(btf, &array, depth - 1)? * array.len()),
        alias @ (Type::Typedef(_) | Type::Const(_) | Type::Volatile(_) | Type::TypeTag(_)) if depth > 0 => {
            size(btf, alias.as_btf_type()?, depth - 1)
        }
        _ => None,
    }
}

#[cfg(test)]
#[path = "offsets_tests.rs"]
mod tests;
