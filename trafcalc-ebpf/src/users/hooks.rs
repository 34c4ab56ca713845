//! The hooks of this object.

#[path = "../hooks/inet_sock_set_state.rs"]
mod inet_sock_set_state;
#[path = "../hooks/sockfs_setattr.rs"]
mod sockfs_setattr;
#[path = "../hooks/writeback_mark_inode_dirty.rs"]
mod writeback_mark_inode_dirty;
