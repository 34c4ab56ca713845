//! The hooks of this object.

#[path = "../hooks/cgroup_attach_task.rs"]
mod cgroup_attach_task;
#[path = "../hooks/inet_sock_set_state.rs"]
mod inet_sock_set_state;
#[path = "../hooks/release_sock.rs"]
mod release_sock;
#[path = "../hooks/sched_process_exec.rs"]
mod sched_process_exec;
#[path = "../hooks/sched_process_exit.rs"]
mod sched_process_exit;
#[path = "../hooks/sched_process_fork.rs"]
mod sched_process_fork;
#[path = "../hooks/sock_send_length.rs"]
mod sock_send_length;
#[path = "../hooks/sockfs_setattr.rs"]
mod sockfs_setattr;
#[path = "../hooks/tcp_cleanup_rbuf.rs"]
mod tcp_cleanup_rbuf;
#[path = "../hooks/tcp_rcv_space_adjust.rs"]
mod tcp_rcv_space_adjust;
#[path = "../hooks/tcp_sendmsg.rs"]
mod tcp_sendmsg;
#[path = "../hooks/tcp_sendpage.rs"]
mod tcp_sendpage;
#[path = "../hooks/writeback_mark_inode_dirty.rs"]
mod writeback_mark_inode_dirty;
