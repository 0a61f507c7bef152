//! Disks made by mke2fs, and what several tests do with them.
#![allow(dead_code)] // Each test uses its part.

pub mod host;
pub mod operations;
pub mod ours;
pub mod tree;

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::path::Path;
use std::process::Command;
use std::rc::Rc;

use disk::{BlockDevice, BlockError};
use kernel::credentials::Credentials;
use kernel::fs::ext2::{Ext2, Superblock};
use kernel::stop::{Outcome, Stop, Wait};
use kernel::vfs::{Context, Location, MountFlags, Vfs};

/// Runs a program that must succeed; its output.
pub fn run(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).output().unwrap_or_else(|why| panic!("{program}: {why}"));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{program} {args:?}: {text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

/// Whether the tests may make device nodes and act as other users; says so if not.
pub fn is_root() -> bool {
    let is_root = rustix::process::geteuid().is_root();
    if !is_root {
        eprintln!("skipped: needs root");
    }
    is_root
}

/// An image of a directory tree, by mke2fs.
pub fn mke2fs(options: &[&str], tree: Option<&Path>, size: &str) -> Vec<u8> {
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().to_str().unwrap();
    let mut args = vec!["-q", "-F", "-t", "ext2"];
    args.extend_from_slice(options);
    if let Some(tree) = tree {
        args.extend_from_slice(&["-d", tree.to_str().unwrap()]);
    }
    args.extend_from_slice(&[path, size]);
    run("mke2fs", &args);
    std::fs::read(path).unwrap()
}

/// Fails with what e2fsck has to say against an image.
pub fn e2fsck(image: &[u8]) {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), image).unwrap();
    run("e2fsck", &["-fn", file.path().to_str().unwrap()]);
}

/// A disk whose bytes the test sees, and which can be slow: every part is `Pending` when first touched.
#[derive(Clone, Default)]
pub struct Disk {
    pub image: Rc<RefCell<Vec<u8>>>,
    pub slow: Rc<Cell<bool>>,
    here: Rc<RefCell<HashSet<u64>>>,
    pub reads: Rc<Cell<u64>>,
}

/// What is fetched at a time from a slow disk.
const PART: u64 = 8192;

impl Disk {
    pub fn new(image: Vec<u8>) -> Self {
        Self { image: Rc::new(RefCell::new(image)), ..Self::default() }
    }

    /// Makes everything absent again.
    pub fn forget(&self) {
        self.here.borrow_mut().clear();
    }

    fn touch(&self, offset: u64, len: usize) -> Result<(), BlockError> {
        self.reads.set(self.reads.get() + 1);
        if !self.slow.get() {
            return Ok(());
        }
        let mut here = self.here.borrow_mut();
        let absent = (offset / PART..=(offset + len as u64 - 1) / PART).filter(|part| here.insert(*part)).count();
        if absent > 0 { Err(BlockError::Pending) } else { Ok(()) }
    }
}

impl BlockDevice for Disk {
    fn size_bytes(&self) -> u64 {
        self.image.borrow().len() as u64
    }

    fn read(&mut self, offset: u64, to: &mut [u8]) -> Result<(), BlockError> {
        self.touch(offset, to.len())?;
        self.image.borrow_mut().read(offset, to)
    }

    fn write(&mut self, offset: u64, from: &[u8]) -> Result<(), BlockError> {
        self.touch(offset, from.len())?;
        self.image.borrow_mut().write(offset, from)
    }
}

/// Mounts a disk as the root of a tree.
pub fn mount(disk: &Disk) -> Vfs {
    let mut device = disk.clone();
    let superblock = loop {
        match Superblock::read(&mut device) {
            Err(kernel::fs::ext2::MountError::Pending) => {}
            result => break result.unwrap(),
        }
    };
    Vfs::new(Box::new(Ext2::new(Box::new(device), superblock, false)), "/dev/vda", MountFlags::default())
}

/// Repeats an operation as long as it waits for the disk.
pub fn retry<T>(mut operation: impl FnMut() -> Outcome<T>) -> Result<T, abi::Errno> {
    for _ in 0..100_000 {
        match operation() {
            Ok(value) => return Ok(value),
            Err(Stop::Errno(errno)) => return Err(errno),
            Err(Stop::Wait(Wait::Disk)) => {}
            #[allow(unreachable_patterns)] // There will be more to wait for.
            Err(Stop::Wait(_)) => panic!("waits for something else"),
        }
    }
    panic!("waits for ever");
}

/// A context at the root.
pub fn context<'a>(root: &'a Location, credentials: &'a Credentials) -> Context<'a> {
    Context { root, cwd: root, credentials, umask: 0 }
}

/// Random numbers that are the same each time (SplitMix64).
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Less than `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    pub fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    pub fn pick<'t, T>(&mut self, from: &'t [T]) -> &'t T {
        &from[self.below(from.len() as u64) as usize]
    }

    pub fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.next() as u8).collect()
    }
}
