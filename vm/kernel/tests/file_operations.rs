//! Random file operations by several users, on the host's kernel and on ours: every result must be the same, and so
//! must be the trees in the end. With ext2 below, e2fsck must find nothing, and debugfs must read what we wrote.

mod common;

use std::os::unix::fs::PermissionsExt;

use common::host::{Host, has_default_protection};
use common::operations::{Maker, Operation};
use common::ours::Ours;
use common::{Disk, Random, context, e2fsck, mke2fs, mount, run, tree};
use kernel::credentials::Credentials;
use kernel::fs::tmpfs::Tmpfs;
use kernel::vfs::{At, MountFlags, Timestamp, Vfs};

/// Makes `count` operations on both sides.
fn compare(vfs: Vfs, count: usize, mut maker: Maker) -> (Vfs, tempfile::TempDir) {
    let host_dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(host_dir.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
    rustix::process::umask(rustix::fs::Mode::empty());
    let root = vfs.root();
    let user = Credentials::root();
    let top = vfs.resolve(&context(&root, &user), At::cwd(b"/"), true).unwrap();
    common::retry(|| top.chmod(&user, 0o777)).unwrap();
    let mut host = Host::new(host_dir.path());
    let mut ours = Ours::new(vfs);
    let seed = maker.random.0;
    for step in 0..count {
        ours.vfs.set_time(Timestamp { seconds: 1_700_000_000 + step as i64, nanoseconds: 5 });
        let operation = maker.next();
        let (expected, seen) = (host.apply(&operation), ours.apply(&operation));
        assert_eq!(seen, expected, "seed {seed}, step {step}: {}", text(&operation));
    }
    let (Ok(_), Ok(_)) = (host.apply(&Operation::Become(0)), ours.apply(&Operation::Become(0))) else { panic!() };
    let (mut seen, mut expected) = (tree::of_vfs(&ours.vfs), tree::of_host(host_dir.path()));
    for file in seen.iter_mut().chain(&mut expected) {
        file.modified = (0, 0);
    }
    tree::assert_same(&seen, &expected, &format!("seed {seed}"));
    (ours.vfs, host_dir)
}

/// An operation, without long contents.
fn text(operation: &Operation) -> String {
    let text = format!("{operation:?}");
    let paths = |path: &[u8]| String::from_utf8_lossy(path).into_owned();
    let named = match operation {
        Operation::Rename(from, to, _) | Operation::Link(from, to, _) | Operation::Symlink(from, to) => {
            format!("{} -> {}", paths(from), paths(to))
        }
        Operation::Write { path, .. } | Operation::Stat(path, _) | Operation::Mkdir(path, _) => paths(path),
        _ => String::new(),
    };
    format!("{} {named}", text.chars().take(600).collect::<String>())
}

/// `count` seeds from `first` on; more of them if `SEEDS_TIMES` says how many times as many.
fn seeds(first: u64, count: u64) -> std::ops::Range<u64> {
    let times = std::env::var("SEEDS_TIMES").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
    first..first + count * times
}

#[test]
fn tmpfs_does_as_linux() {
    if !common::is_root() {
        return;
    }
    for seed in seeds(0, 12) {
        let vfs = Vfs::new(Box::new(Tmpfs::new(1 << 30, 0o777)), "tmpfs", MountFlags::default());
        let names = 2 + seed % 5;
        compare(
            vfs,
            3000,
            Maker {
                random: Random(seed),
                size_max: 10 << 20,
                names,
                xattr_len_max: 800,
                short_times: false,
                single_user: !has_default_protection(),
            },
        );
    }
}

/// Runs on ext2, and judges the result with e2fsck.
fn on_ext2(options: &[&str], seed: u64, count: usize, names: u64) {
    let disk = Disk::new(mke2fs(options, None, "192M"));
    disk.slow.set(seed % 2 == 1);
    let vfs = mount(&disk);
    {
        let (root, user) = (vfs.root(), Credentials::root());
        common::retry(|| vfs.rmdir(&context(&root, &user), At::cwd(b"lost+found"))).unwrap();
    }
    let xattr_len_max = if options[1] == "4096" { 800 } else { 50 };
    let short_times = options[3] == "128";
    let maker = Maker {
        random: Random(seed),
        size_max: 9 << 20,
        names,
        xattr_len_max,
        short_times,
        single_user: !has_default_protection(),
    };
    let (vfs, host) = compare(vfs, count, maker);
    common::retry(|| vfs.sync()).unwrap();
    drop(vfs);
    e2fsck(&disk.image.borrow());
    debugfs_agrees(&disk.image.borrow(), host.path());
}

/// Contents and links, as another implementation reads them.
fn debugfs_agrees(image: &[u8], host: &std::path::Path) {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), image).unwrap();
    let copy = tempfile::tempdir().unwrap();
    run("debugfs", &["-R", &format!("rdump / {}", copy.path().display()), file.path().to_str().unwrap()]);
    let simple = |path: &std::path::Path| -> Vec<_> {
        let files = tree::of_host(path).into_iter().filter(|file| matches!(file.kind, 'f' | 'l' | 'd'));
        files.map(|file| (file.path, file.kind, file.size_bytes, file.target, file.contents)).collect()
    };
    for (ours, theirs) in simple(copy.path()).iter().zip(&simple(host)) {
        assert_eq!(ours, theirs, "rdump: {}", String::from_utf8_lossy(&ours.0));
    }
}

#[test]
fn ext2_1k_does_as_linux() {
    if !common::is_root() {
        return;
    }
    for seed in seeds(1000, 5) {
        on_ext2(&["-b", "1024", "-I", "256", "-N", "20000"], seed, 3000, 2 + seed % 5);
    }
}

#[test]
fn ext2_4k_does_as_linux() {
    if !common::is_root() {
        return;
    }
    for seed in seeds(2000, 5) {
        on_ext2(&["-b", "4096", "-I", "256"], seed, 3000, 2 + seed % 5);
    }
}

#[test]
fn ext2_with_small_inodes_does_as_linux() {
    if !common::is_root() {
        return;
    }
    // Without room for nanoseconds, and seconds up to 2038.
    on_ext2(&["-b", "1024", "-I", "128"], 400, 3000, 4);
    on_ext2(&["-b", "4096", "-I", "128"], 401, 3000, 4);
}

#[test]
fn ext2_with_large_directories_does_as_linux() {
    if !common::is_root() {
        return;
    }
    // Names enough for directories of many blocks, which are indexed in memory.
    for seed in seeds(3000, 2) {
        on_ext2(&["-b", "1024", "-I", "256", "-N", "20000"], seed, 8000, 60 + seed % 2 * 200);
    }
}

#[test]
fn ext2_odd_does_as_linux() {
    if !common::is_root() {
        return;
    }
    on_ext2(&["-b", "1024", "-I", "256", "-O", "^filetype,^resize_inode", "-g", "512"], 300, 2500, 3);
    on_ext2(&["-b", "2048", "-I", "512", "-O", "^sparse_super,^resize_inode", "-g", "1024"], 301, 2500, 40);
}
