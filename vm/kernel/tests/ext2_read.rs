//! Reads images made by mke2fs with odd options from a tree of the host's, and compares what is seen in both.

mod common;

use std::ffi::CString;
use std::os::unix::fs::{FileExt, symlink};
use std::path::Path;

use common::{Disk, Random, e2fsck, mke2fs, mount, run, tree};
use rustix::fs::{FileType, Mode, XattrFlags};

/// A tree with everything that a file system can hold.
fn make_tree(top: &Path) {
    let mut random = Random(1);
    let write = |path: &str, bytes: &[u8]| std::fs::write(top.join(path), bytes).unwrap();
    for dir in ["etc", "deep", "many", "empty", "set", "deep/a/b/c/d/e/f/g"] {
        std::fs::create_dir_all(top.join(dir)).unwrap();
    }
    for len in [0, 1, 1023, 1024, 1025, 4095, 4096, 4097, 12 * 1024, 13 * 1024 + 5, 300 * 1024, 5 << 20] {
        write(&format!("etc/{len}"), &random.bytes(len));
    }
    write("grüße 漢字 🙂", b"utf-8");
    write(&"n".repeat(255), b"long name");
    for index in 0..2500 {
        write(&format!("many/file number {index} {}", "x".repeat(index % 40)), format!("{index}").as_bytes());
    }
    for len in [1, 58, 59, 60, 61, 500, 1000] {
        symlink("t".repeat(len), top.join(format!("deep/link{len}"))).unwrap();
    }
    symlink("loop", top.join("loop")).unwrap();
    std::fs::hard_link(top.join("etc/1025"), top.join("deep/a/hard")).unwrap();
    for (name, kind, rdev) in [
        ("null", FileType::CharacterDevice, rustix::fs::makedev(1, 3)),
        ("big", FileType::BlockDevice, rustix::fs::makedev(300, 70_000)),
        ("wide", FileType::CharacterDevice, rustix::fs::makedev(5, 256)),
        ("fifo", FileType::Fifo, 0),
        ("socket", FileType::Socket, 0),
    ] {
        let path = CString::new(top.join("deep").join(name).to_str().unwrap()).unwrap();
        rustix::fs::mknodat(rustix::fs::CWD, path, kind, Mode::from_raw_mode(0o640), rdev).unwrap();
    }
    let sparse = std::fs::File::create(top.join("sparse")).unwrap();
    for offset in [0, 5000, 11 << 10, 12 << 10, 268 << 10, (268 << 10) + 9, 70 << 20, (5 << 30) - 3] {
        sparse.write_all_at(&random.bytes(3), offset).unwrap();
    }
    std::fs::File::create(top.join("hole")).unwrap().set_len(5 << 30).unwrap();
    let mode = |path: &str, mode: u32| {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(top.join(path), std::fs::Permissions::from_mode(mode)).unwrap();
    };
    std::os::unix::fs::chown(top.join("etc/1"), Some(70_000), Some(100_000)).unwrap();
    mode("etc/1", 0o6755);
    mode("set", 0o3770);
    let set = |path: &str, name: &str, len: usize| {
        let value = vec![b'v'; len];
        rustix::fs::setxattr(top.join(path), name, &value, XattrFlags::empty()).unwrap();
    };
    set("etc/1", "user.small", 3);
    set("etc/1", "user.empty", 0);
    set("etc/1023", "user.large", 600);
    set("etc/1024", "trusted.a", 20);
    set("etc/1024", "security.b", 200);
    set("etc/1024", "user.c", 77);
    set("set", "user.dir", 10);
    for (path, seconds) in [("etc/0", 0), ("etc/1", 1_234_567_890), ("etc/1023", 2_000_000_000)] {
        let time = rustix::fs::Timespec { tv_sec: seconds, tv_nsec: 0 };
        let times = rustix::fs::Timestamps { last_access: time, last_modification: time };
        rustix::fs::utimensat(rustix::fs::CWD, top.join(path), &times, rustix::fs::AtFlags::empty()).unwrap();
    }
}

/// mke2fs stores whole seconds only.
fn whole_seconds(files: &mut [tree::File]) {
    for file in files {
        file.modified.1 = 0;
    }
}

#[test]
fn reads_what_mke2fs_wrote() {
    if !common::is_root() {
        return;
    }
    let host = tempfile::tempdir().unwrap();
    make_tree(host.path());
    let mut theirs = tree::of_host(host.path());
    whole_seconds(&mut theirs);
    let options: [&[&str]; 8] = [
        &["-b", "1024", "-I", "128"],
        &["-b", "1024", "-I", "256", "-O", "^filetype"],
        &["-b", "2048", "-I", "256", "-O", "^sparse_super,^resize_inode"],
        &["-b", "4096", "-I", "256", "-O", "dir_index,large_file"],
        &["-b", "4096", "-I", "512", "-g", "1024"],
        &["-b", "1024", "-I", "256", "-g", "256", "-O", "^dir_index,^resize_inode"],
        &["-b", "4096", "-O", "flex_bg,has_journal"],
        &["-b", "1024", "-N", "50000", "-m", "0"],
    ];
    for options in options {
        for index_directories in [false, true] {
            let mut image = mke2fs(options, Some(host.path()), "48M");
            if index_directories {
                image = with_indexed_directories(&image);
            }
            let disk = Disk::new(image);
            disk.slow.set(index_directories);
            let vfs = mount(&disk);
            let mut ours = tree::of_vfs(&vfs);
            // mke2fs adds a directory for e2fsck, and makes the root its own.
            ours.retain(|file| file.path != b"lost+found");
            whole_seconds(&mut ours);
            for files in [&mut ours, &mut theirs] {
                let root = files.iter_mut().find(|file| file.path.is_empty()).unwrap();
                (root.links, root.mode, root.modified, root.owner) = (0, 0, (0, 0), (0, 0));
            }
            tree::assert_same(&ours, &theirs, &format!("{options:?}"));
            vfs.sync().unwrap();
            e2fsck(&disk.image.borrow());
        }
    }
}

/// e2fsck -D gives large directories a hash index.
fn with_indexed_directories(image: &[u8]) -> Vec<u8> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), image).unwrap();
    let path = file.path().to_str().unwrap();
    let _ = std::process::Command::new("e2fsck").args(["-fyD", path]).output().unwrap();
    run("e2fsck", &["-fn", path]);
    std::fs::read(path).unwrap()
}
