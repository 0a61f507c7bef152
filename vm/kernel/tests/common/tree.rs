//! Trees as lists of lines, to be compared: one of the host's, one through the Vfs.
#![allow(dead_code)]

use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use kernel::credentials::Credentials;
use kernel::vfs::{At, FileKind, Location, Vfs};

use super::{context, retry};

/// A file and all that can be seen of it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct File {
    pub path: Vec<u8>,
    pub kind: char,
    pub mode: u16,
    pub owner: (u32, u32),
    pub links: u64,
    /// Of regular files and symbolic links.
    pub size_bytes: u64,
    pub rdev: u64,
    pub modified: (i64, u32),
    pub target: Vec<u8>,
    /// A hash of contents.
    pub contents: u64,
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

/// Only the first and last of a very large file are looked at.
const READ_MAX: u64 = 64 << 20;

fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

fn ends(size_bytes: u64) -> Vec<(u64, usize)> {
    if size_bytes <= READ_MAX {
        return vec![(0, size_bytes as usize)];
    }
    vec![(0, 1 << 20), (size_bytes - (1 << 20), 1 << 20)]
}

/// The host's files below `top`.
pub fn of_host(top: &Path) -> Vec<File> {
    let mut files = Vec::new();
    let mut rest = vec![top.to_owned()];
    while let Some(path) = rest.pop() {
        let meta = std::fs::symlink_metadata(&path).unwrap();
        let kind = meta.file_type();
        if kind.is_dir() {
            rest.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
        let kind = match () {
            () if kind.is_dir() => 'd',
            () if kind.is_file() => 'f',
            () if kind.is_symlink() => 'l',
            () if kind.is_char_device() => 'c',
            () if kind.is_block_device() => 'b',
            () if kind.is_fifo() => 'p',
            () => 's',
        };
        let mut contents = 0;
        if kind == 'f' {
            use std::os::unix::fs::FileExt;
            let file = std::fs::File::open(&path).unwrap();
            for (offset, len) in ends(meta.size()) {
                let mut bytes = vec![0; len];
                file.read_exact_at(&mut bytes, offset).unwrap();
                contents ^= hash(&bytes);
            }
        }
        let target =
            if kind == 'l' { std::fs::read_link(&path).unwrap().as_os_str().as_bytes().to_vec() } else { vec![] };
        files.push(File {
            path: path.strip_prefix(top).unwrap().as_os_str().as_bytes().to_vec(),
            kind,
            mode: (meta.mode() & 0o7777) as u16,
            owner: (meta.uid(), meta.gid()),
            links: meta.nlink(),
            size_bytes: if matches!(kind, 'f' | 'l') { meta.size() } else { 0 },
            rdev: meta.rdev(),
            modified: (meta.mtime(), meta.mtime_nsec() as u32),
            target,
            contents,
            xattrs: host_xattrs(&path),
        });
    }
    files.sort();
    files
}

fn host_xattrs(path: &Path) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut names = vec![0u8; 65536];
    let len = rustix::fs::llistxattr(path, &mut names[..]).unwrap();
    let names = names[..len].split(|byte| *byte == 0).filter(|name| !name.is_empty());
    let mut xattrs: Vec<_> = names
        .map(|name| {
            let mut value = vec![0u8; 65536];
            let len = rustix::fs::lgetxattr(path, name, &mut value[..]).unwrap();
            (name.to_vec(), value[..len].to_vec())
        })
        .collect();
    xattrs.sort();
    xattrs
}

/// The files below the root of a Vfs.
pub fn of_vfs(vfs: &Vfs) -> Vec<File> {
    let root = vfs.root();
    let mut files = Vec::new();
    let mut rest = vec![Vec::new()];
    while let Some(path) = rest.pop() {
        let at = [b"/", &*path].concat();
        let credentials = Credentials::root();
        let location = retry(|| vfs.resolve(&context(&root, &credentials), At::cwd(&at), false)).unwrap();
        for name in if location.is_directory() { names(&location).unwrap() } else { vec![] } {
            rest.push(if path.is_empty() { name } else { [&*path, b"/", &name].concat() });
        }
        files.push(file(&root, &location, path));
    }
    files.sort();
    files
}

/// Names in a directory, without the dots, read in small pieces.
pub fn names(dir: &Location) -> Result<Vec<Vec<u8>>, abi::Errno> {
    let mut names = Vec::new();
    let mut cookie = 0;
    loop {
        let mut piece = Vec::new();
        let read = retry(|| {
            piece.clear();
            dir.read_dir(cookie, &mut |entry| {
                let more = piece.len() < 7;
                if more {
                    piece.push(entry);
                }
                more
            })
        });
        read?;
        let Some(last) = piece.last() else { break };
        cookie = last.next_cookie;
        names.extend(piece.into_iter().map(|entry| entry.name).filter(|name| name != b"." && name != b".."));
    }
    Ok(names)
}

fn file(root: &Location, location: &Location, path: Vec<u8>) -> File {
    let attributes = retry(|| location.attributes()).unwrap();
    let kind = match attributes.kind {
        FileKind::Directory => 'd',
        FileKind::Regular => 'f',
        FileKind::Symlink => 'l',
        FileKind::CharDevice => 'c',
        FileKind::BlockDevice => 'b',
        FileKind::Fifo => 'p',
        FileKind::Socket => 's',
    };
    let mut contents = 0;
    if kind == 'f' {
        for (offset, len) in ends(attributes.size_bytes) {
            let mut bytes = vec![0; len];
            assert_eq!(retry(|| location.read(offset, &mut bytes)), Ok(len));
            contents ^= hash(&bytes);
        }
    }
    let root_user = Credentials::root();
    let names = retry(|| location.list_xattrs(&root_user)).unwrap();
    let mut xattrs: Vec<_> = names
        .into_iter()
        .map(|name| (name.clone(), retry(|| location.get_xattr(&root_user, &name)).unwrap()))
        .collect();
    xattrs.sort();
    File {
        path,
        kind,
        mode: attributes.mode,
        owner: (attributes.uid, attributes.gid),
        links: u64::from(attributes.links),
        size_bytes: if matches!(kind, 'f' | 'l') { attributes.size_bytes } else { 0 },
        rdev: attributes.rdev,
        modified: (attributes.modified.seconds, attributes.modified.nanoseconds),
        target: if kind == 'l' { retry(|| location.read_link(root)).unwrap() } else { vec![] },
        contents,
        xattrs,
    }
}

/// Fails with the first difference.
pub fn assert_same(ours: &[File], theirs: &[File], what: &str) {
    for (ours, theirs) in ours.iter().zip(theirs) {
        assert_eq!(ours, theirs, "{what}: {}", String::from_utf8_lossy(&ours.path));
    }
    assert_eq!(ours.len(), theirs.len(), "{what}: number of files");
}
