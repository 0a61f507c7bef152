//! Mounts, paths as seen from inside, and what else needs no oracle.

mod common;

use std::cell::Cell;
use std::rc::Rc;

use abi::Errno;
use common::{context, retry};
use kernel::credentials::Credentials;
use kernel::fs::tmpfs::Tmpfs;
use kernel::stop::{Outcome, Stop};
use kernel::vfs::{
    Access, At, Attributes, Context, DirEntry, FileKind, FileSystem, FileSystemStatus, Ino, Location, MountFlags,
    OpenHow, RenameMode, Timestamp, Unmount, Vfs,
};

struct Tree {
    vfs: Vfs,
    root: Location,
    user: Credentials,
}

impl Tree {
    fn new() -> Self {
        let vfs = Vfs::new(tmpfs(), "tmpfs", MountFlags::default());
        Self { root: vfs.root(), vfs, user: Credentials::root() }
    }

    fn context(&self) -> Context<'_> {
        context(&self.root, &self.user)
    }

    fn find(&self, path: &str) -> Result<Location, Errno> {
        retry(|| self.vfs.resolve(&self.context(), At::cwd(path.as_bytes()), true))
    }

    fn mkdir(&self, path: &str) -> Location {
        retry(|| self.vfs.mkdir(&self.context(), At::cwd(path.as_bytes()), 0o755)).unwrap()
    }

    fn create(&self, path: &str) -> Result<Location, Errno> {
        let how = OpenHow { access: Access::WRITE, create: Some(0o644), ..OpenHow::default() };
        retry(|| self.vfs.open(&self.context(), At::cwd(path.as_bytes()), &how)).map(|opened| opened.location)
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), Errno> {
        let (from, to) = (At::cwd(from.as_bytes()), At::cwd(to.as_bytes()));
        retry(|| self.vfs.rename(&self.context(), from, to, RenameMode::Replace))
    }

    fn path(&self, location: &Location) -> String {
        String::from_utf8(location.path(&self.root)).unwrap()
    }
}

fn tmpfs() -> Box<Tmpfs> {
    Box::new(Tmpfs::new(1 << 20, 0o755))
}

#[test]
fn mounts_are_crossed_both_ways() {
    let tree = Tree::new();
    tree.mkdir("/a");
    let point = tree.mkdir("/a/mnt");
    tree.create("/a/mnt/hidden").unwrap();
    tree.vfs.mount(tmpfs(), "inner", &point, MountFlags::default()).unwrap();
    assert_eq!(tree.find("/a/mnt/hidden").err(), Some(Errno::ENOENT));
    tree.mkdir("/a/mnt/in");
    let inside = tree.create("/a/mnt/in/file").unwrap();
    assert_eq!(tree.path(&inside), "/a/mnt/in/file");
    assert_ne!(inside.device(), point.device());
    assert!(tree.find("/a/mnt/in/../..").unwrap().is(&tree.find("/a").unwrap()));
    assert_eq!(tree.rename("/a/mnt/in/file", "/a/file"), Err(Errno::EXDEV));
    assert_eq!(tree.rename("/a/mnt", "/b"), Err(Errno::EBUSY));
    assert_eq!(retry(|| tree.vfs.rmdir(&tree.context(), At::cwd(b"/a/mnt"))), Err(Errno::EBUSY));
    // The directory a mount is in moves, and its path with it.
    tree.rename("/a", "/renamed").unwrap();
    assert_eq!(tree.path(&inside), "/renamed/mnt/in/file");
    assert_eq!(tree.vfs.unmount(tree.find("/renamed/mnt").unwrap(), Unmount::Unused), Err(Errno::EBUSY.into()));
    drop(inside);
    tree.vfs.unmount(tree.find("/renamed/mnt").unwrap(), Unmount::Unused).unwrap();
    assert!(tree.find("/renamed/mnt/hidden").is_ok());
    assert_eq!(tree.vfs.unmount(tree.find("/renamed").unwrap(), Unmount::Unused), Err(Errno::EINVAL.into()));
    assert_eq!(tree.vfs.mounts().len(), 1);
}

#[test]
fn binds_show_the_same_files() {
    let tree = Tree::new();
    for dir in ["/one", "/one/sub", "/one/mnt", "/two", "/three"] {
        tree.mkdir(dir);
    }
    tree.vfs.mount(tmpfs(), "inner", &tree.find("/one/mnt").unwrap(), MountFlags::default()).unwrap();
    tree.create("/one/mnt/inner").unwrap();
    let at = |path| tree.find(path).unwrap();
    tree.vfs.bind(&at("/one"), &at("/two"), false).unwrap();
    tree.vfs.bind(&at("/one"), &at("/three"), true).unwrap();
    tree.create("/two/sub/file").unwrap();
    assert!(at("/one/sub/file").same_file(&at("/three/sub/file")));
    assert_eq!(tree.path(&at("/two/sub/file")), "/two/sub/file");
    assert!(at("/two/sub/../..").is(&tree.root));
    assert_eq!(tree.find("/two/mnt/inner").err(), Some(Errno::ENOENT));
    assert_eq!(tree.path(&at("/three/mnt/inner")), "/three/mnt/inner");
    assert_eq!(tree.rename("/two/sub/file", "/one/file"), Err(Errno::EXDEV));
    tree.vfs.remount_bound(&at("/two"), MountFlags { read_only: true, ..MountFlags::default() }).unwrap();
    assert_eq!(tree.create("/two/new").err(), Some(Errno::EROFS));
    assert_eq!(at("/two/sub").chmod(&tree.user, 0).err(), Some(Errno::EROFS.into()));
    tree.create("/one/new").unwrap();
    tree.vfs.unmount(at("/three"), Unmount::Detach).unwrap();
    assert_eq!(tree.find("/three/sub").err(), Some(Errno::ENOENT));
}

#[test]
fn a_task_stays_below_its_root() {
    let tree = Tree::new();
    let jail = tree.mkdir("/jail");
    tree.mkdir("/jail/etc");
    tree.create("/secret").unwrap();
    retry(|| tree.vfs.symlink(&tree.context(), b"/etc", At::cwd(b"/jail/link"))).unwrap();
    let inside = Context { root: &jail, cwd: &jail, credentials: &tree.user, umask: 0 };
    let find = |path: &[u8]| retry(|| tree.vfs.resolve(&inside, At::cwd(path), true));
    assert!(find(b"../../..").unwrap().is(&jail));
    assert_eq!(find(b"/secret").err(), Some(Errno::ENOENT));
    assert_eq!(find(b"link").unwrap().path(&jail), b"/etc");
    // What it has got from elsewhere has its path from the root of all.
    assert_eq!(tree.root.path(&jail), b"/");
    assert_eq!(tree.find("/secret").unwrap().path(&jail), b"/secret");
}

#[test]
fn removed_names_are_marked() {
    let tree = Tree::new();
    let dir = tree.mkdir("/dir");
    let file = tree.create("/dir/file").unwrap();
    retry(|| tree.vfs.unlink(&tree.context(), At::cwd(b"/dir/file"))).unwrap();
    assert_eq!(tree.path(&file), "/dir/file (deleted)");
    retry(|| tree.vfs.rmdir(&tree.context(), At::cwd(b"/dir"))).unwrap();
    assert!(dir.is_deleted());
    let inside = Context { cwd: &dir, ..tree.context() };
    let how = OpenHow { access: Access::WRITE, create: Some(0o644), ..OpenHow::default() };
    let made = retry(|| tree.vfs.open(&inside, At::cwd(b"new"), &how).map(|_| ()));
    assert_eq!(made, Err(Errno::ENOENT));
    assert!(retry(|| tree.vfs.resolve(&inside, At::cwd(b".."), true)).unwrap().is(&tree.root));
}

#[test]
fn endless_links_and_endless_paths() {
    let tree = Tree::new();
    let link = |target: &str, path: &str| {
        retry(|| tree.vfs.symlink(&tree.context(), target.as_bytes(), At::cwd(path.as_bytes()))).unwrap();
    };
    link("loop", "/loop");
    assert_eq!(tree.find("/loop").err(), Some(Errno::ELOOP));
    tree.create("/l0").unwrap();
    for index in 1..=41 {
        link(&format!("l{}", index - 1), &format!("/l{index}"));
    }
    assert!(tree.find("/l40").is_ok());
    assert_eq!(tree.find("/l41").err(), Some(Errno::ELOOP));
    assert_eq!(tree.find(&"/".repeat(4096)).err(), Some(Errno::ENAMETOOLONG));
    assert!(tree.find(&"/".repeat(4095)).is_ok());
    // Deeper than any stack: made and left one by one.
    let vfs = Vfs::new(Box::new(Tmpfs::new(1 << 30, 0o755)), "tmpfs", MountFlags::default());
    let tree = Tree { root: vfs.root(), vfs, user: Credentials::root() };
    let mut at = tree.root.clone();
    for _ in 0..200_000 {
        let below = Context { cwd: &at, ..tree.context() };
        at = retry(|| tree.vfs.mkdir(&below, At::cwd(b"d"), 0o755)).unwrap();
    }
    assert_eq!(at.path(&tree.root).len(), 400_000);
}

#[test]
fn relatime() {
    let tree = Tree::new();
    let day = 24 * 60 * 60;
    let at = |seconds| tree.vfs.set_time(Timestamp { seconds, nanoseconds: 0 });
    at(1000);
    let file = tree.create("/f").unwrap();
    retry(|| file.write(0, b"x")).unwrap();
    let read = || {
        retry(|| file.read(0, &mut [0; 1])).unwrap();
        retry(|| file.attributes()).unwrap().accessed.seconds
    };
    at(2000);
    assert_eq!(read(), 2000);
    at(3000);
    assert_eq!(read(), 2000);
    at(2000 + day);
    assert_eq!(read(), 2000 + day);
    retry(|| file.write(0, b"y")).unwrap();
    at(2001 + day);
    assert_eq!(read(), 2001 + day);
    assert_eq!(retry(|| file.attributes()).unwrap().changed.seconds, 2000 + day);
}

#[test]
fn tmpfs_is_limited() {
    let tree = Tree::new();
    let file = tree.create("/f").unwrap();
    assert_eq!(retry(|| file.write(0, &vec![1; 2 << 20])), Ok(1 << 20));
    assert_eq!(retry(|| file.write(1 << 20, b"x")), Err(Errno::ENOSPC));
    assert_eq!(retry(|| file.write(5, b"x")), Ok(1));
    retry(|| file.truncate(&tree.user, 4096)).unwrap();
    assert_eq!(retry(|| file.write(1 << 30, b"x")), Ok(1));
    assert_eq!(retry(|| file.attributes()).unwrap().blocks, 16);
    drop(file);
    retry(|| tree.vfs.unlink(&tree.context(), At::cwd(b"/f"))).unwrap();
    assert_eq!(retry(|| tree.root.status()).unwrap().blocks_free, 256);
    let error = (0..).find_map(|index| tree.create(&format!("/{index}")).err());
    assert_eq!(error, Some(Errno::ENOSPC));
}

/// A directory of one link that leads to a file, and of names that come and go by themselves: what procfs is like.
struct Magic {
    leads_to: Location,
    lookups: u64,
    is_empty: Rc<Cell<bool>>,
}

impl FileSystem for Magic {
    fn root(&self) -> Ino {
        Ino(1)
    }

    fn lookup(&mut self, _dir: Ino, name: &[u8]) -> Outcome<Ino> {
        self.lookups += 1;
        match name {
            b"link" => Ok(Ino(2)),
            b"gone" => Err(Errno::ENOENT.into()),
            _ => Ok(Ino(2 + self.lookups)),
        }
    }

    fn attributes(&mut self, ino: Ino) -> Outcome<Attributes> {
        let kind = match ino.0 {
            1 => FileKind::Directory,
            2 => FileKind::Symlink,
            _ if self.is_empty.get() => return Err(Errno::ENOENT.into()),
            _ => FileKind::Regular,
        };
        let time = Timestamp::default();
        let (accessed, modified, changed) = (time, time, time);
        let (mode, uid, gid, links, size_bytes, blocks, block_size, rdev) = (0o777, 0, 0, 1, 0, 0, 4096, 0);
        Ok(Attributes {
            ino,
            kind,
            mode,
            uid,
            gid,
            links,
            size_bytes,
            blocks,
            block_size,
            rdev,
            accessed,
            modified,
            changed,
        })
    }

    fn read(&mut self, _ino: Ino, _offset: u64, _to: &mut [u8]) -> Outcome<usize> {
        Ok(0)
    }

    fn magic_link(&mut self, ino: Ino) -> Outcome<Option<Location>> {
        Ok((ino.0 == 2).then(|| self.leads_to.clone()))
    }

    fn read_dir(&mut self, _dir: Ino, _cookie: u64, _each: &mut dyn FnMut(DirEntry) -> bool) -> Outcome<()> {
        Ok(())
    }

    fn status(&mut self) -> Outcome<FileSystemStatus> {
        Err(Stop::Errno(Errno::ENOSYS))
    }

    fn is_volatile(&self) -> bool {
        true
    }
}

#[test]
fn magic_links_lead_to_files_without_names() {
    let tree = Tree::new();
    let point = tree.mkdir("/proc");
    let file = tree.create("/file").unwrap();
    retry(|| file.write(0, b"contents")).unwrap();
    retry(|| tree.vfs.unlink(&tree.context(), At::cwd(b"/file"))).unwrap();
    let magic = Magic { leads_to: file.clone(), lookups: 0, is_empty: Rc::default() };
    tree.vfs.mount(Box::new(magic), "proc", &point, MountFlags::default()).unwrap();
    assert!(tree.find("/proc/link").unwrap().is(&file));
    let link = retry(|| tree.vfs.resolve(&tree.context(), At::cwd(b"/proc/link"), false)).unwrap();
    assert_eq!(retry(|| link.read_link(&tree.root)).unwrap(), b"/file (deleted)");
    assert_eq!(tree.find("/proc/link/x").err(), Some(Errno::ENOTDIR));
    // What it says is asked for each time.
    assert_ne!(tree.find("/proc/x").unwrap().ino(), tree.find("/proc/x").unwrap().ino());
    // A pipe has no path.
    let mount = tree.vfs.mount_nowhere(tmpfs(), "pipefs", MountFlags::default());
    let pipe = retry(|| tree.vfs.anonymous_file(&mount, &tree.user, 0o600, b"/memfd:x (deleted)")).unwrap();
    assert_eq!(pipe.path(&tree.root), b"/memfd:x (deleted)");
    assert_eq!(retry(|| pipe.write(0, b"12345")), Ok(5));
}

#[test]
fn what_is_mounted_on_something_that_goes_by_itself_goes_with_it() {
    let tree = Tree::new();
    let point = tree.mkdir("/proc");
    let file = tree.create("/file").unwrap();
    let is_empty = Rc::new(Cell::new(false));
    let magic = Magic { leads_to: file.clone(), lookups: 0, is_empty: is_empty.clone() };
    tree.vfs.mount(Box::new(magic), "proc", &point, MountFlags::default()).unwrap();
    let before = tree.vfs.mounts().len();
    retry(|| tree.vfs.bind(&file, &tree.find("/proc/x").unwrap(), false)).unwrap();
    tree.vfs.unmount_gone();
    assert_eq!(tree.vfs.mounts().len(), before + 1);
    is_empty.set(true);
    tree.vfs.unmount_gone();
    assert_eq!(tree.vfs.mounts().len(), before);
}
