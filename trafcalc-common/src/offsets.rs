//! Offsets of the fields that the programs read in this kernel's structures, in bytes from the start of each.
//!
//! The loader fills them from the running kernel's BTF and passes them as arrays of words.

/// Defines a structure of offsets, so that its fields and its words are listed once.
macro_rules! offsets {
    ($(#[$about:meta])* $name:ident, $words:ident { $($(#[$doc:meta])* $field:ident,)+ }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[repr(C)]
        pub struct $name {
            $($(#[$doc])* pub $field: u32,)+
        }

        #[doc = concat!("Number of words in [`", stringify!($name), "`].")]
        pub const $words: usize = size_of::<$name>() / size_of::<u32>();

        impl $name {
            /// All zero, until the loader sets them.
            pub const UNSET: Self = Self { $($field: 0,)+ };

            /// The fields in memory order.
            #[must_use]
            pub const fn words(&self) -> [u32; $words] {
                [$(self.$field,)+]
            }
        }
    };
}

offsets! {
    /// Fields of a socket, and of structures that it points to.
    Offsets, OFFSETS_WORDS {
        /// `sock.sk_type`, 16 bits.
        sk_type,
        /// `sock.sk_protocol`, 16 bits.
        sk_protocol,
        /// `sock.sk_uid`, 32 bits.
        sk_uid,
        /// `sock.sk_lock.owned`, 32 bits.
        sk_lock_owned,
        /// `sock.sk_max_ack_backlog`, 32 bits.
        sk_max_ack_backlog,
        /// `sock.sk_socket`, a pointer.
        sk_socket,
        /// `sock.sk_dst_cache`, a pointer.
        sk_dst_cache,
        /// `sock.sk_rx_dst`, a pointer.
        sk_rx_dst,
        /// `sock.sk_rx_dst_ifindex`, 32 bits; `inet_sock.rx_dst_ifindex` before Linux 5.16.
        sk_rx_dst_ifindex,
        /// `sock.__sk_common.skc_flags`, a long.
        skc_flags,
        /// `sock.__sk_common.skc_family`, 16 bits.
        skc_family,
        /// `sock.__sk_common.skc_state`, 8 bits.
        skc_state,
        /// `inet_sock.inet_sport`, 16 bits in network order: the local port, until the connection is over.
        inet_sport,
        /// `sock.__sk_common.skc_dport`, 16 bits in network order: the remote port.
        skc_dport,
        /// `sock.__sk_common.skc_daddr`, 4 bytes.
        skc_daddr,
        /// `sock.__sk_common.skc_rcv_saddr`, 4 bytes.
        skc_rcv_saddr,
        /// `sock.__sk_common.skc_v6_daddr`, 16 bytes.
        skc_v6_daddr,
        /// `sock.__sk_common.skc_v6_rcv_saddr`, 16 bytes.
        skc_v6_rcv_saddr,
        /// `inet_connection_sock.icsk_ulp_ops`, a pointer: the protocol on TCP.
        icsk_ulp_ops,
        /// `inet_connection_sock.icsk_ulp_data`, a pointer.
        icsk_ulp_data,
        /// `tcp_sock.snd_una`, 32 bits.
        snd_una,
        /// `tcp_sock.snd_nxt`, 32 bits.
        snd_nxt,
        /// `tcp_sock.write_seq`, 32 bits.
        write_seq,
        /// `tcp_sock.rcv_nxt`, 32 bits.
        rcv_nxt,
        /// `tcp_sock.bytes_acked`, 64 bits.
        bytes_acked,
        /// `tcp_sock.bytes_received`, 64 bits.
        bytes_received,
        /// `tcp_sock.bytes_sent`, 64 bits.
        bytes_sent,
        /// `dst_entry.dev`, a pointer.
        dst_dev,
        /// `net_device.flags`, 32 bits.
        dev_flags,
    }
}

offsets! {
    /// Fields for finding sockets without a hook.
    SweepOffsets, SWEEP_OFFSETS_WORDS {
        /// `sock.__sk_common.skc_net.net`, a pointer.
        skc_net,
        /// `sock.__sk_common.skc_nulls_node`, a pointer first.
        skc_nulls_node,
        /// `net.ipv4.tcp_death_row`, where that is a pointer (Linux 5.18 to 6.0); else 0.
        net_death_row_pointer,
        /// `inet_timewait_death_row.hashinfo`, a pointer; from the beginning of what is pointed to, or else of `net`.
        death_row_hashinfo,
        /// `inet_hashinfo.ehash`, a pointer to lists.
        hashinfo_ehash,
        /// `inet_hashinfo.ehash_mask`, 32 bits.
        hashinfo_ehash_mask,
        /// `task_struct.files`, a pointer.
        task_files,
        /// `files_struct.fdt`, a pointer.
        files_fdt,
        /// `fdtable.fd`, a pointer to pointers.
        fdt_fd,
        /// `file.private_data`, a pointer.
        file_private_data,
        /// `socket.sk`, a pointer.
        socket_sk,
        /// `socket_alloc.vfs_inode`, from `socket_alloc.socket` on.
        socket_inode,
        /// `dentry.d_inode`, a pointer.
        dentry_inode,
        /// `inode.i_sb`, a pointer.
        inode_sb,
        /// `super_block.s_magic`, a long.
        sb_magic,
        /// `iattr.ia_valid`, 32 bits.
        iattr_valid,
        /// `mptcp_sock.conn_list`, a list head; 0 where the kernel has no MPTCP.
        mptcp_conn_list,
        /// `mptcp_subflow_context.node`, a list head.
        subflow_node,
        /// `mptcp_subflow_context.tcp_sock`, a pointer.
        subflow_tcp_sock,
        /// `mptcp_subflow_context.conn`, a pointer.
        subflow_conn,
        /// `tcp_ulp_ops.name`, 16 bytes.
        ulp_name,
    }
}

offsets! {
    /// Fields of a task and of what it points to. Read only where accounts or filters need more than the user.
    TaskOffsets, TASK_OFFSETS_WORDS {
        /// `task_struct.tgid`, 32 bits.
        task_tgid,
        /// `task_struct.cred`, a pointer.
        task_cred,
        /// `cred.euid`, 32 bits.
        cred_euid,
        /// `task_struct.cgroups`, a pointer.
        task_cgroups,
        /// `css_set.dfl_cgrp`, a pointer.
        cgroups_default,
        /// `cgroup.kn`, a pointer.
        cgroup_node,
        /// `kernfs_node.name`, a pointer.
        node_name,
        /// `kernfs_node.parent`, a pointer; `__parent` since Linux 6.15.
        node_parent,
        /// `task_struct.flags`, 32 bits.
        task_flags,
        /// `task_struct.mm`, a pointer.
        task_mm,
        /// `task_struct.group_leader`, a pointer.
        task_group_leader,
        /// `task_struct.start_boottime`, 64 bits.
        task_start_boottime,
        /// `task_struct.signal`, a pointer.
        task_signal,
        /// `signal_struct.live`, 32 bits.
        signal_live,
        /// `mm_struct.exe_file`, a pointer.
        mm_exe_file,
        /// `file.f_path.dentry`, a pointer.
        file_dentry,
        /// `dentry.d_name.name`, a pointer.
        dentry_name,
    }
}
