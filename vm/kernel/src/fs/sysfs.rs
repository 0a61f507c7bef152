//! `/sys`: the little of it that programs look for, all of it fixed.

use abi::Errno;
use abi::file::{NAME_MAX, SYSFS_MAGIC};

use crate::stop::Outcome;
use crate::vfs::{Attributes, DirEntry, FileKind, FileSystem, FileSystemStatus, Ino, Timestamp};

/// Files and their contents. Directories follow from the paths; an empty directory is a path that ends in a slash.
const FILES: [(&str, &str); 28] = [
    ("block/", ""),
    ("bus/", ""),
    ("class/net/lo/addr_len", "6\n"),
    ("class/net/lo/address", "00:00:00:00:00:00\n"),
    ("class/net/lo/broadcast", "00:00:00:00:00:00\n"),
    ("class/net/lo/carrier", "1\n"),
    ("class/net/lo/dormant", "0\n"),
    ("class/net/lo/flags", "0x9\n"),
    ("class/net/lo/ifalias", "\n"),
    ("class/net/lo/ifindex", "1\n"),
    ("class/net/lo/iflink", "1\n"),
    ("class/net/lo/link_mode", "0\n"),
    ("class/net/lo/mtu", "65536\n"),
    ("class/net/lo/name_assign_type", "2\n"),
    ("class/net/lo/operstate", "unknown\n"),
    ("class/net/lo/tx_queue_len", "1000\n"),
    ("class/net/lo/type", "772\n"),
    ("class/tty/", ""),
    ("devices/system/cpu/cpu0/", ""),
    ("devices/system/cpu/kernel_max", "0\n"),
    ("devices/system/cpu/online", "0\n"),
    ("devices/system/cpu/possible", "0\n"),
    ("devices/system/cpu/present", "0\n"),
    ("devices/system/node/online", "0\n"),
    ("devices/system/node/possible", "0\n"),
    ("fs/cgroup/", ""),
    ("kernel/mm/transparent_hugepage/enabled", "always madvise [never]\n"),
    ("kernel/mm/transparent_hugepage/hpage_pmd_size", "2097152\n"),
];

struct Node {
    name: &'static str,
    parent: usize,
    /// `None`: a directory.
    text: Option<&'static str>,
}

/// The file system: nodes by inode, less one.
pub struct SysFs {
    nodes: Vec<Node>,
    now: Timestamp,
}

impl Default for SysFs {
    fn default() -> Self {
        Self::new()
    }
}

impl SysFs {
    /// Builds the tree.
    pub fn new() -> Self {
        let mut file_system = Self { nodes: vec![Node { name: "", parent: 0, text: None }], now: Timestamp::default() };
        for (path, text) in FILES {
            let (directory, name) = path.rsplit_once('/').unwrap_or(("", path));
            let mut at = 0;
            for part in directory.split('/').filter(|part| !part.is_empty()) {
                at = file_system.child(at, part).unwrap_or_else(|| file_system.add(part, at, None));
            }
            if !name.is_empty() {
                file_system.add(name, at, Some(text));
            }
        }
        file_system
    }

    fn add(&mut self, name: &'static str, parent: usize, text: Option<&'static str>) -> usize {
        self.nodes.push(Node { name, parent, text });
        self.nodes.len() - 1
    }

    fn child(&self, parent: usize, name: &str) -> Option<usize> {
        self.children(parent).find(|index| self.nodes[*index].name == name)
    }

    fn children(&self, parent: usize) -> impl Iterator<Item = usize> {
        (1..self.nodes.len()).filter(move |index| self.nodes[*index].parent == parent)
    }

    fn node(&self, ino: Ino) -> Outcome<(usize, &Node)> {
        let index = usize::try_from(ino.0).ok().and_then(|ino| ino.checked_sub(1));
        let index = index.filter(|index| *index < self.nodes.len()).ok_or(Errno::ENOENT)?;
        Ok((index, &self.nodes[index]))
    }
}

fn ino(index: usize) -> Ino {
    Ino(index as u64 + 1)
}

fn kind(node: &Node) -> FileKind {
    if node.text.is_some() { FileKind::Regular } else { FileKind::Directory }
}

impl FileSystem for SysFs {
    fn root(&self) -> Ino {
        ino(0)
    }

    fn set_time(&mut self, now: Timestamp) {
        self.now = now;
    }

    fn lookup(&mut self, dir: Ino, name: &[u8]) -> Outcome<Ino> {
        let (parent, _) = self.node(dir)?;
        let name = std::str::from_utf8(name).map_err(|_| Errno::ENOENT)?;
        self.child(parent, name).map(ino).ok_or(Errno::ENOENT.into())
    }

    fn attributes(&mut self, ino: Ino) -> Outcome<Attributes> {
        let (_, node) = self.node(ino)?;
        let kind = kind(node);
        let (mode, links, size_bytes) = if kind == FileKind::Directory { (0o755, 2, 0) } else { (0o444, 1, 4096) };
        let time = self.now;
        Ok(Attributes {
            ino,
            kind,
            mode,
            uid: 0,
            gid: 0,
            links,
            size_bytes,
            blocks: 0,
            block_size: 4096,
            rdev: 0,
            accessed: time,
            modified: time,
            changed: time,
        })
    }

    fn read(&mut self, ino: Ino, offset: u64, to: &mut [u8]) -> Outcome<usize> {
        let text = self.node(ino)?.1.text.ok_or(Errno::EISDIR)?.as_bytes();
        let rest = usize::try_from(offset).ok().and_then(|start| text.get(start..)).unwrap_or_default();
        let len = rest.len().min(to.len());
        to[..len].copy_from_slice(&rest[..len]);
        Ok(len)
    }

    fn read_dir(&mut self, dir: Ino, cookie: u64, each: &mut dyn FnMut(DirEntry) -> bool) -> Outcome<()> {
        let (index, node) = self.node(dir)?;
        let mut entries = vec![(index, "."), (node.parent, "..")];
        entries.extend(self.children(index).map(|child| (child, self.nodes[child].name)));
        let start = usize::try_from(cookie).unwrap_or(usize::MAX);
        for (position, (index, name)) in entries.into_iter().enumerate().skip(start) {
            let (kind, name) = (kind(&self.nodes[index]), name.as_bytes().to_vec());
            if !each(DirEntry { ino: ino(index), kind, name, next_cookie: position as u64 + 1 }) {
                break;
            }
        }
        Ok(())
    }

    fn status(&mut self) -> Outcome<FileSystemStatus> {
        let name_len_max = NAME_MAX as u64;
        Ok(FileSystemStatus { magic: SYSFS_MAGIC, block_size: 4096, name_len_max, ..Default::default() })
    }

    fn type_name(&self) -> &'static str {
        "sysfs"
    }

    fn is_read_only(&self) -> bool {
        true
    }
}
