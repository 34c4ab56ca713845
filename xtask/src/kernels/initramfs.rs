//! An initramfs in memory, in the cpio format "newc" (Documentation/driver-api/early-userspace/buffer-format.rst of the
//! kernel).

use std::collections::BTreeSet;

/// File types, as in `st_mode`.
const DIRECTORY: u32 = 0o040_000;
const REGULAR: u32 = 0o100_000;
const SYMLINK: u32 = 0o120_000;

/// The files of a guest. Everything belongs to root.
#[derive(Default)]
pub(super) struct Initramfs {
    archive: Vec<u8>,
    names: BTreeSet<String>,
    is_merged: bool,
}

/// Folders that are links to folders below /usr in current Debian.
const MERGED: [&str; 4] = ["bin", "lib", "lib64", "sbin"];

impl Initramfs {
    /// An initramfs in which `/bin` and similar folders are links to folders below `/usr`.
    pub(super) fn merged() -> Self {
        let mut files = Self::default();
        for folder in MERGED {
            files.link(&format!("/{folder}"), &format!("usr/{folder}"));
        }
        Self { is_merged: true, ..files }
    }

    /// Adds a file under an absolute path, and its parent folders. Of several files with one path, the first is kept.
    pub(super) fn file(&mut self, path: &str, permissions: u32, contents: &[u8]) {
        self.entry(path, REGULAR | permissions, contents);
    }

    /// Adds an empty folder.
    pub(super) fn folder(&mut self, path: &str) {
        self.entry(path, DIRECTORY | 0o755, &[]);
    }

    /// Adds a symbolic link.
    pub(super) fn link(&mut self, path: &str, target: &str) {
        self.entry(path, SYMLINK | 0o777, target.as_bytes());
    }

    /// The archive.
    pub(super) fn finish(mut self) -> Vec<u8> {
        self.record("TRAILER!!!", 0, &[]);
        self.archive
    }

    fn entry(&mut self, path: &str, mode: u32, contents: &[u8]) {
        let path = self.place(path.trim_start_matches('/'));
        let path = path.as_str();
        if self.names.contains(path) {
            return;
        }
        if let Some((folder, _)) = path.rsplit_once('/') {
            // Users other than root must be able to enter it.
            self.entry(folder, DIRECTORY | 0o755, &[]);
        }
        self.names.insert(path.to_owned());
        self.record(path, mode, contents);
    }

    /// Where a path is stored.
    fn place(&self, path: &str) -> String {
        let first = path.split('/').next().unwrap_or_default();
        let is_moved = self.is_merged && path != first && MERGED.contains(&first);
        if is_moved { format!("usr/{path}") } else { path.to_owned() }
    }

    fn record(&mut self, name: &str, mode: u32, contents: &[u8]) {
        let inode = self.names.len();
        let fields = [inode, mode as usize, 0, 0, 1, 0, contents.len(), 0, 0, 0, 0, name.len() + 1, 0];
        self.archive.extend(b"070701");
        for field in fields {
            self.archive.extend(format!("{field:08X}").bytes());
        }
        self.archive.extend(name.bytes().chain([0]));
        self.pad();
        self.archive.extend(contents);
        self.pad();
    }

    fn pad(&mut self) {
        self.archive.resize(self.archive.len().next_multiple_of(4), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_below_a_link_lies_where_it_leads() {
        let mut files = Initramfs::merged();
        files.file("/bin/a", 0o755, b"");
        files.file("/usr/bin/a", 0o755, b"");
        let text = String::from_utf8(files.finish()).unwrap();
        assert_eq!(text.matches("usr/bin/a\0").count(), 1);
        assert!(text.contains("bin\0\0\0\0usr/bin") || text.contains("bin\0\0\0usr/bin"), "the link itself");
    }

    #[test]
    fn folders_come_before_what_is_in_them_and_once() {
        let mut files = Initramfs::default();
        files.file("/a/b", 0o644, b"text");
        files.file("/a/c", 0o644, b"");
        let archive = files.finish();
        assert_eq!(archive.len() % 4, 0);
        let text = String::from_utf8(archive).unwrap();
        let headers = text.matches("070701").count();
        assert_eq!(headers, 4, "a, a/b, a/c and the trailer");
        assert!(text.find("a\0").unwrap() < text.find("a/b\0").unwrap());
        assert!(text.contains("a/b\0\0\0text"), "names end on a multiple of four after the header of 110 bytes");
    }
}
