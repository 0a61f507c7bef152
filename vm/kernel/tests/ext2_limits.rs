//! What ext2 refuses, and where it ends: features by name, full disks, link counts, sizes; shared attribute blocks,
//! orphans, large directories.

mod common;

use std::cell::RefCell;
use std::rc::Rc;

use abi::Errno;
use common::{Disk, context, e2fsck, mke2fs, mount, retry, run};
use disk::{BlockDevice, BlockError};
use kernel::credentials::Credentials;
use kernel::fs::ext2::{Ext2, MountError, Superblock};
use kernel::vfs::{Access, At, Context, FileKind, Location, MountFlags, OpenHow, Vfs};

/// A mounted disk and the superuser on it.
struct Machine {
    disk: Disk,
    vfs: Vfs,
    root: Location,
    user: Credentials,
}

impl Machine {
    fn new(options: &[&str], size: &str) -> Self {
        Self::with(mke2fs(options, None, size))
    }

    fn with(image: Vec<u8>) -> Self {
        let disk = Disk::new(image);
        let vfs = mount(&disk);
        let root = vfs.root();
        Self { disk, vfs, root, user: Credentials::root() }
    }

    fn context(&self) -> Context<'_> {
        context(&self.root, &self.user)
    }

    fn create(&self, path: &str) -> Result<Location, Errno> {
        let how = OpenHow { access: Access::WRITE, create: Some(0o644), ..OpenHow::default() };
        retry(|| self.vfs.open(&self.context(), At::cwd(path.as_bytes()), &how)).map(|opened| opened.location)
    }

    fn find(&self, path: &str) -> Result<Location, Errno> {
        retry(|| self.vfs.resolve(&self.context(), At::cwd(path.as_bytes()), true))
    }

    fn unlink(&self, path: &str) -> Result<(), Errno> {
        retry(|| self.vfs.unlink(&self.context(), At::cwd(path.as_bytes())))
    }

    fn free(&self) -> (u64, u64) {
        let status = retry(|| self.root.status()).unwrap();
        (status.blocks_free, status.files_free)
    }

    /// Unmounts, and checks what is left.
    fn check(self) -> Rc<RefCell<Vec<u8>>> {
        retry(|| self.vfs.sync()).unwrap();
        e2fsck(&self.disk.image.borrow());
        self.disk.image.clone()
    }
}

#[test]
fn refuses_by_name() {
    let refused = |options: &[&str]| {
        let file = tempfile::NamedTempFile::new().unwrap();
        let path = file.path().to_str().unwrap();
        run("mke2fs", &[&["-q", "-F"], options, &[path, "16M"]].concat());
        Superblock::read(&mut std::fs::read(path).unwrap()).err().map(|error| error.to_string()).unwrap_or_default()
    };
    let ext4 = refused(&["-t", "ext4"]);
    assert!(ext4.contains("extents") && ext4.contains("64bit"), "{ext4}");
    for feature in ["meta_bg,^resize_inode", "inline_data", "encrypt", "casefold", "mmp"] {
        let name = feature.split(',').next().unwrap();
        let error = refused(&["-t", "ext2", "-O", feature]);
        assert!(error.contains(name), "{name}: {error}");
    }
    assert_eq!(refused(&["-t", "ext3"]), "");
    assert!(matches!(Superblock::read(&mut vec![0u8; 8192]), Err(MountError::NotExt2)));
    assert!(matches!(Superblock::read(&mut vec![0u8; 8]), Err(MountError::NotExt2)));
    let mut short = mke2fs(&[], None, "8M");
    short.truncate(4 << 20);
    assert!(matches!(Superblock::read(&mut short), Err(MountError::Corrupt(_))));
}

#[test]
fn mounts_read_only_what_it_can_only_read() {
    let mut image = mke2fs(&["-O", "quota"], None, "8M");
    let superblock = Superblock::read(&mut image).unwrap();
    let ext2 = Ext2::new(Box::new(image), superblock, false);
    assert_eq!(ext2.unwritable_features(), ["quota"]);
    let vfs = Vfs::new(Box::new(ext2), "disk", MountFlags::default());
    let (root, user) = (vfs.root(), Credentials::root());
    let made = vfs.mkdir(&context(&root, &user), At::cwd(b"new"), 0o755);
    assert_eq!(made.err(), Some(Errno::EROFS.into()));
}

#[test]
fn full_disk() {
    for options in [&["-b", "1024"][..], &["-b", "4096", "-m", "0"]] {
        let machine = Machine::new(options, "4M");
        let before = machine.free();
        let file = machine.create("big").unwrap();
        let bytes = vec![7; 100_000];
        let mut len = 0;
        let error = loop {
            match retry(|| file.write(len, &bytes)) {
                Ok(written) => len += written as u64,
                Err(errno) => break errno,
            }
        };
        assert_eq!(error, Errno::ENOSPC);
        assert_eq!(retry(|| file.attributes()).unwrap().size_bytes, len);
        assert!(machine.free().0 < 4, "{:?}", machine.free());
        let mut back = vec![0; len as usize];
        assert_eq!(retry(|| file.read(0, &mut back)), Ok(len as usize));
        assert!(back.iter().all(|byte| *byte == 7));
        drop(file);
        machine.unlink("big").unwrap();
        assert_eq!(machine.free(), before);
        machine.check();
    }
}

/// A disk with memory for so many different blocks to be written.
struct Short {
    image: Vec<u8>,
    written: std::collections::HashSet<u64>,
    blocks_max: usize,
}

impl BlockDevice for Short {
    fn size_bytes(&self) -> u64 {
        self.image.len() as u64
    }

    fn read(&mut self, offset: u64, to: &mut [u8]) -> Result<(), BlockError> {
        self.image.read(offset, to)
    }

    fn write(&mut self, offset: u64, from: &[u8]) -> Result<(), BlockError> {
        if !self.written.contains(&(offset / 4096)) && self.written.len() == self.blocks_max {
            return Err(BlockError::Full);
        }
        self.written.insert(offset / 4096);
        self.image.write(offset, from)
    }
}

#[test]
fn no_memory_for_what_is_written() {
    let mut image = mke2fs(&["-b", "4096"], None, "32M");
    let superblock = Superblock::read(&mut image).unwrap();
    let short = Short { image, written: Default::default(), blocks_max: 1000 };
    let vfs = Vfs::new(Box::new(Ext2::new(Box::new(short), superblock, false)), "disk", MountFlags::default());
    let (root, user) = (vfs.root(), Credentials::root());
    let context = context(&root, &user);
    let how = OpenHow { access: Access::WRITE, create: Some(0o644), ..OpenHow::default() };
    let file = retry(|| vfs.open(&context, At::cwd(b"f"), &how)).unwrap().location;
    let mut len = 0;
    let error = loop {
        match retry(|| file.write(len, &[len as u8; 10_000])) {
            Ok(written) => len += written as u64,
            Err(errno) => break errno,
        }
    };
    assert_eq!(error, Errno::ENOSPC);
    assert!((900..1400).contains(&(len / 4096)), "{len}");
    for offset in (0..len - 10_000).step_by(10_000) {
        let mut bytes = [0; 10_000];
        assert_eq!(retry(|| file.read(offset, &mut bytes)), Ok(10_000));
        assert_eq!(bytes, [offset as u8; 10_000]);
    }
    assert_eq!(retry(|| vfs.sync()), Err(Errno::ENOSPC));
}

#[test]
fn no_inodes_left() {
    let machine = Machine::new(&["-N", "64"], "4M");
    let mut count = 0;
    let error = loop {
        match machine.create(&format!("f{count}")) {
            Ok(_) => count += 1,
            Err(errno) => break errno,
        }
    };
    assert_eq!(error, Errno::ENOSPC);
    assert!(count > 40 && machine.free().1 == 0);
    machine.unlink("f3").unwrap();
    machine.create("again").unwrap();
    machine.check();
}

#[test]
fn most_links() {
    let machine = Machine::new(&["-b", "4096", "-N", "33000"], "300M");
    let file = machine.create("f").unwrap();
    let link =
        |index: u32| retry(|| machine.vfs.link(&machine.context(), &file, At::cwd(format!("l{index}").as_bytes())));
    for index in 1..200 {
        link(index).unwrap();
    }
    assert_eq!(retry(|| file.attributes()).unwrap().links, 200);
    retry(|| machine.vfs.mkdir(&machine.context(), At::cwd(b"d"), 0o755)).unwrap();
    let mkdir =
        |index: u32| retry(|| machine.vfs.mkdir(&machine.context(), At::cwd(format!("d/{index}").as_bytes()), 0o755));
    for index in 0..31_998 {
        mkdir(index).unwrap();
    }
    assert_eq!(mkdir(31_998).err(), Some(Errno::EMLINK));
    assert_eq!(retry(|| machine.find("d").unwrap().attributes()).unwrap().links, 32_000);
    machine.check();
}

#[test]
fn largest_file() {
    for (block_size, size_max) in [("1024", 17_247_252_480u64), ("4096", 2_196_873_666_560)] {
        let machine = Machine::new(&["-b", block_size], "16M");
        let file = machine.create("f").unwrap();
        assert_eq!(retry(|| file.write(size_max - 1, b"xy")), Ok(1));
        assert_eq!(retry(|| file.attributes()).unwrap().size_bytes, size_max);
        assert_eq!(retry(|| file.write(size_max, b"x")), Err(Errno::EFBIG));
        assert_eq!(retry(|| file.resize(&machine.user, size_max + 1)), Err(Errno::EFBIG));
        let mut end = [9; 4];
        assert_eq!(retry(|| file.read(size_max - 3, &mut end)), Ok(3));
        assert_eq!(end, [0, 0, b'x', 9]);
        for size in [3 << 30, 70_000_000, 300_000, 5000] {
            retry(|| file.resize(&machine.user, size)).unwrap();
            assert_eq!(retry(|| file.write(size - 2, b"end")), Ok(3));
        }
        drop(file);
        machine.check();
    }
}

#[test]
fn orphans_live_and_are_found_again() {
    let machine = Machine::new(&["-b", "1024"], "8M");
    let before = machine.free();
    let (one, two) = (machine.create("one").unwrap(), machine.create("two").unwrap());
    for file in [&one, &two] {
        retry(|| file.write(0, &vec![1; 400_000])).unwrap();
    }
    machine.unlink("one").unwrap();
    machine.unlink("two").unwrap();
    assert_eq!(machine.find("one").err(), Some(Errno::ENOENT));
    assert_eq!(one.path(&machine.root), b"/one (deleted)");
    let mut bytes = [0; 10];
    assert_eq!(retry(|| one.read(399_995, &mut bytes)), Ok(5));
    assert!(machine.free().0 < before.0 - 700);
    // The machine stops while they are open: the next mount cleans up.
    let image = machine.disk.image.borrow().clone();
    let next = Machine::with(image);
    assert_eq!(next.free(), before);
    next.check();
    drop(one);
    drop(two);
    assert_eq!(machine.free(), before);
    machine.check();
}

#[test]
fn unnamed_files_get_names() {
    let machine = Machine::new(&[], "8M");
    let open = |exclusive| {
        let access = Access { read: true, write: true, execute: false };
        let how = OpenHow { access, unnamed: Some(0o600), exclusive, ..OpenHow::default() };
        retry(|| machine.vfs.open(&machine.context(), At::cwd(b"/"), &how)).unwrap().location
    };
    let (file, never) = (open(false), open(true));
    retry(|| file.write(0, b"contents")).unwrap();
    let link =
        |file: &Location, name: &str| retry(|| machine.vfs.link(&machine.context(), file, At::cwd(name.as_bytes())));
    assert_eq!(link(&never, "never"), Err(Errno::ENOENT));
    link(&file, "named").unwrap();
    let mut bytes = [0; 8];
    retry(|| machine.find("named").unwrap().read(0, &mut bytes)).unwrap();
    assert_eq!(&bytes, b"contents");
    drop((file, never));
    machine.check();
}

#[test]
fn attribute_blocks_are_shared() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().to_str().unwrap();
    std::fs::write(path, mke2fs(&["-I", "128", "-b", "1024"], None, "8M")).unwrap();
    {
        let machine = Machine::with(std::fs::read(path).unwrap());
        for name in ["a", "b", "c"] {
            let file = machine.create(name).unwrap();
            if name == "a" {
                retry(|| file.set_xattr(&machine.user, b"user.x", b"shared", None)).unwrap();
            }
        }
        std::fs::write(path, &*machine.check().borrow()).unwrap();
    }
    // Lets b and c have the block of a too.
    let block = run("debugfs", &["-R", "stat a", path]);
    let block = block.split("File ACL: ").nth(1).unwrap().split_whitespace().next().unwrap().to_owned();
    for name in ["b", "c"] {
        run("debugfs", &["-w", "-R", &format!("sif {name} file_acl {block}"), path]);
        run("debugfs", &["-w", "-R", &format!("sif {name} blocks 2"), path]);
    }
    let mut image = std::fs::read(path).unwrap();
    image[block.parse::<usize>().unwrap() * 1024 + 4] = 3;
    e2fsck(&image);
    let machine = Machine::with(image);
    let value = |name: &str| retry(|| machine.find(name).unwrap().get_xattr(&machine.user, b"user.x"));
    assert_eq!(value("c"), Ok(b"shared".to_vec()));
    retry(|| machine.find("b").unwrap().set_xattr(&machine.user, b"user.x", b"own", None)).unwrap();
    retry(|| machine.find("a").unwrap().remove_xattr(&machine.user, b"user.x")).unwrap();
    assert_eq!(
        (value("a"), value("b"), value("c")),
        (Err(Errno::ENODATA), Ok(b"own".to_vec()), Ok(b"shared".to_vec()))
    );
    machine.unlink("c").unwrap();
    machine.check();
}

#[test]
fn hashed_directories_are_written_to() {
    let tree = tempfile::tempdir().unwrap();
    std::fs::create_dir(tree.path().join("dir")).unwrap();
    for index in 0..3000 {
        std::fs::write(tree.path().join(format!("dir/some file {index}")), "").unwrap();
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), mke2fs(&["-b", "1024", "-N", "8000"], Some(tree.path()), "16M")).unwrap();
    let path = file.path().to_str().unwrap();
    let _ = std::process::Command::new("e2fsck").args(["-fyD", path]).output();
    assert!(run("debugfs", &["-R", "htree dir", path]).contains("Number of entries"), "not hashed");
    let machine = Machine::with(std::fs::read(path).unwrap());
    for index in 0..3000 {
        match index % 3 {
            0 => machine.unlink(&format!("dir/some file {index}")).unwrap(),
            1 => drop(machine.create(&format!("dir/new file {index}")).unwrap()),
            _ => {}
        }
    }
    let mut names = common::tree::names(&machine.find("dir").unwrap()).unwrap();
    names.sort();
    let mut expected: Vec<_> =
        (0..3000).filter(|i| i % 3 != 0).map(|i| format!("some file {i}").into_bytes()).collect();
    expected.extend((0..3000).filter(|i| i % 3 == 1).map(|i| format!("new file {i}").into_bytes()));
    expected.sort();
    assert!(names == expected, "{} names", names.len());
    machine.check();
}

#[test]
fn reading_goes_on_while_entries_go() {
    let machine = Machine::new(&["-b", "1024"], "8M");
    for index in 0..300 {
        machine.create(&format!("file {index}")).unwrap();
    }
    // What `rm -r` does: reads some, removes them, reads on.
    let (mut cookie, mut seen) = (0, 0);
    loop {
        let mut names = Vec::new();
        retry(|| {
            names.clear();
            machine.root.read_dir(cookie, &mut |entry| {
                let more = names.len() < 20;
                if more {
                    names.push(entry);
                }
                more
            })
        })
        .unwrap();
        let Some(last) = names.last() else { break };
        cookie = last.next_cookie;
        for entry in names.iter().filter(|entry| entry.kind == FileKind::Regular) {
            seen += 1;
            machine.unlink(std::str::from_utf8(&entry.name).unwrap()).unwrap();
        }
    }
    assert_eq!(seen, 300);
    machine.check();
}
