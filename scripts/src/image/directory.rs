//! A root file system that lies in a directory of the host.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};

use super::tree::{Content, Data, DeviceKind, Metadata, Node, Tree};

/// Linux's own limit on a list of names and on a value (`XATTR_LIST_MAX`, `XATTR_SIZE_MAX`).
const XATTR_BYTES_MAX: usize = 64 << 10;

/// Reads the directory `root` with all below it, as far as it lies on the same file system. Sockets are left out:
/// they mean nothing without the process behind them.
pub fn read(root: &Path) -> Result<Tree> {
    let mut reader = Reader { tree: Tree::new(), links: HashMap::new(), device: fs::metadata(root)?.dev() };
    reader.read(root, b"")?;
    Ok(reader.tree)
}

struct Reader {
    tree: Tree,
    /// First path of every file that has several, by inode number.
    links: HashMap<u64, Vec<u8>>,
    device: u64,
}

impl Reader {
    fn read(&mut self, host: &Path, guest: &[u8]) -> Result<()> {
        let status = fs::symlink_metadata(host).with_context(|| host.display().to_string())?;
        if status.nlink() > 1 && !status.is_dir() {
            if let Some(first) = self.links.get(&status.ino()) {
                let first = first.clone();
                return self.tree.link(&first, guest);
            }
            self.links.insert(status.ino(), guest.to_vec());
        }
        let Some(content) = content(host, &status).with_context(|| host.display().to_string())? else {
            return Ok(());
        };
        let is_directory = matches!(content, Content::Directory(_));
        self.tree.put(guest, Node { metadata: metadata(host, &status)?, content })?;
        if is_directory && status.dev() == self.device {
            for entry in fs::read_dir(host).with_context(|| host.display().to_string())? {
                let entry = entry?;
                self.read(&entry.path(), &[guest, b"/", entry.file_name().as_bytes()].concat())?;
            }
        }
        Ok(())
    }
}

fn content(host: &Path, status: &fs::Metadata) -> Result<Option<Content>> {
    let kind = status.file_type();
    let device = |kind| {
        let (major, minor) = (rustix::fs::major(status.rdev()), rustix::fs::minor(status.rdev()));
        Content::Device { kind, major, minor }
    };
    Ok(if kind.is_dir() {
        Some(Content::Directory(Default::default()))
    } else if kind.is_file() {
        // Opened when it is read: a tree has more files than a process may have open.
        Some(Content::File(Data::Path { path: Arc::from(host), len: status.len() }))
    } else if kind.is_symlink() {
        Some(Content::Symlink(fs::read_link(host)?.into_os_string().into_vec()))
    } else if kind.is_char_device() {
        Some(device(DeviceKind::Character))
    } else if kind.is_block_device() {
        Some(device(DeviceKind::Block))
    } else if kind.is_fifo() {
        Some(Content::Fifo)
    } else {
        None
    })
}

fn metadata(host: &Path, status: &fs::Metadata) -> Result<Metadata> {
    Ok(Metadata {
        mode: (status.mode() & 0o7777) as u16,
        uid: status.uid(),
        gid: status.gid(),
        mtime_s: status.mtime(),
        xattrs: xattrs(host)?,
    })
}

/// Extended attributes; none where the host's file system has none.
fn xattrs(host: &Path) -> Result<BTreeMap<Vec<u8>, Vec<u8>>> {
    let mut names = vec![0; XATTR_BYTES_MAX];
    let Ok(len) = rustix::fs::llistxattr(host, &mut names) else {
        return Ok(BTreeMap::new());
    };
    let mut xattrs = BTreeMap::new();
    for name in names[..len].split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        let mut value = vec![0; XATTR_BYTES_MAX];
        let len = rustix::fs::lgetxattr(host, OsStr::from_bytes(name), &mut value)?;
        value.truncate(len);
        xattrs.insert(name.to_vec(), value);
    }
    Ok(xattrs)
}
