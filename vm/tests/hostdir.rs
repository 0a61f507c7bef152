//! A directory of the host seen through the Vfs does as the host does; and nothing leads out of it.
#![cfg(target_os = "linux")]

#[path = "../kernel/tests/common/mod.rs"]
mod common;

use std::os::unix::fs::{PermissionsExt, symlink};

use abi::Errno;
use common::host::Host;
use common::operations::Maker;
use common::ours::Ours;
use common::{Random, context, retry, tree};
use kernel::credentials::Credentials;
use kernel::vfs::{Access, At, MountFlags, OpenHow, Vfs};
use vm::native::hostdir::HostDir;

fn open(path: &std::path::Path, read_only: bool) -> Vfs {
    Vfs::new(
        Box::new(HostDir::new(path, read_only).unwrap()),
        "host",
        MountFlags { no_atime: true, ..MountFlags::default() },
    )
}

#[test]
fn does_as_the_host() {
    if !common::is_root() {
        return;
    }
    rustix::process::umask(rustix::fs::Mode::empty());
    for seed in 0..6 {
        let (theirs, ours_dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for dir in [&theirs, &ours_dir] {
            std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
        }
        let mut host = Host::new(theirs.path());
        let mut ours = Ours::new(open(ours_dir.path(), false));
        let mut maker = Maker {
            random: Random(seed),
            size_max: 5 << 20,
            names: 2 + seed % 5,
            xattr_len_max: 800,
            short_times: false,
            single_user: true,
        };
        for step in 0..2000 {
            let operation = maker.next();
            let (expected, seen) = (host.apply(&operation), ours.apply(&operation));
            assert_eq!(seen, expected, "seed {seed}, step {step}: {operation:?}");
        }
        let mut lists = [tree::of_host(theirs.path()), tree::of_host(ours_dir.path()), tree::of_vfs(&ours.vfs)];
        for file in lists.iter_mut().flatten() {
            file.modified = (0, 0);
        }
        tree::assert_same(&lists[1], &lists[0], "as the host left it");
        tree::assert_same(&lists[2], &lists[0], "as seen through the Vfs");
    }
}

#[test]
fn nothing_leads_out() {
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("secret"), "secret").unwrap();
    let inside = tempfile::tempdir().unwrap();
    std::fs::create_dir(inside.path().join("dir")).unwrap();
    std::fs::write(inside.path().join("dir/secret"), "harmless").unwrap();
    symlink(outside.path(), inside.path().join("link")).unwrap();
    symlink("../../../../../../etc/passwd", inside.path().join("up")).unwrap();
    let vfs = open(inside.path(), false);
    let (root, user) = (vfs.root(), Credentials::root());
    let find = |path: &str| retry(|| vfs.resolve(&context(&root, &user), At::cwd(path.as_bytes()), true));
    for path in ["link", "link/secret", "up", "../../etc/passwd", "/etc/passwd"] {
        assert_eq!(find(path).err(), Some(Errno::ENOENT), "{path}");
    }
    // The host swaps a directory for a link to elsewhere while the guest stands in it.
    let dir = find("dir").unwrap();
    let file = find("dir/secret").unwrap();
    std::fs::rename(inside.path().join("dir"), inside.path().join("moved")).unwrap();
    symlink(outside.path(), inside.path().join("dir")).unwrap();
    let how = OpenHow { access: Access::READ, ..OpenHow::default() };
    let within = kernel::vfs::Context { cwd: &dir, ..context(&root, &user) };
    assert!(retry(|| vfs.open(&within, At::cwd(b"secret"), &how).map(|_| ())).is_err());
    assert!(retry(|| file.read(0, &mut [0; 10])).is_err());
    let create = OpenHow { access: Access::WRITE, create: Some(0o644), ..OpenHow::default() };
    assert!(retry(|| vfs.open(&within, At::cwd(b"new"), &create).map(|_| ())).is_err());
    assert!(!outside.path().join("new").exists());
}

#[test]
fn read_only_and_changed_from_outside() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("file"), "one").unwrap();
    let vfs = open(dir.path(), true);
    let (root, user) = (vfs.root(), Credentials::root());
    let find = |path: &str| retry(|| vfs.resolve(&context(&root, &user), At::cwd(path.as_bytes()), true));
    let contents = || {
        let mut bytes = [0; 10];
        let len = retry(|| find("file").unwrap().read(0, &mut bytes)).unwrap();
        String::from_utf8_lossy(&bytes[..len]).into_owned()
    };
    assert_eq!(contents(), "one");
    assert_eq!(retry(|| find("file").unwrap().write(0, b"x")), Err(Errno::EROFS));
    assert_eq!(find("new").err(), Some(Errno::ENOENT));
    std::fs::write(dir.path().join("new"), "").unwrap();
    assert!(find("new").is_ok());
    std::fs::write(dir.path().join("other"), "two").unwrap();
    std::fs::rename(dir.path().join("other"), dir.path().join("file")).unwrap();
    assert_eq!(contents(), "two");
}

#[test]
fn an_ordinary_user_of_the_host_can_be_root_inside() {
    if !common::is_root() {
        return;
    }
    use rustix::thread::{Uid, set_thread_res_uid};
    let dir = tempfile::tempdir().unwrap();
    std::os::unix::fs::chown(dir.path(), Some(1000), Some(1000)).unwrap();
    let (root_id, id) = (Uid::from_raw(0), Uid::from_raw(1000));
    // This thread only; the test's directory is removed as root again.
    set_thread_res_uid(root_id, id, root_id).unwrap();
    {
        let vfs = open(dir.path(), false);
        let (root, user) = (vfs.root(), Credentials::root());
        let context = context(&root, &user);
        let how = OpenHow { access: Access::WRITE, create: Some(0o444), ..OpenHow::default() };
        let file = retry(|| vfs.open(&context, At::cwd(b"read-only"), &how)).unwrap().location;
        assert_eq!(retry(|| file.write(0, b"contents")), Ok(8));
        let attributes = retry(|| file.attributes()).unwrap();
        assert_eq!((attributes.mode, attributes.uid, attributes.size_bytes), (0o444, 1000, 8));
        retry(|| vfs.mkdir(&context, At::cwd(b"dir"), 0o700)).unwrap();
        assert_eq!(retry(|| file.chown(&user, Some(5), None)), Err(Errno::EPERM));
        let device = retry(|| vfs.mknod(&context, At::cwd(b"null"), kernel::vfs::FileKind::CharDevice, 0o666, 0x103));
        assert_eq!(device.err(), Some(Errno::EPERM));
    }
    set_thread_res_uid(root_id, root_id, root_id).unwrap();
}
