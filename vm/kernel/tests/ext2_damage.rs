//! Damaged disks: whatever the bytes say, no operation panics, and each ends.

mod common;

use std::panic::{AssertUnwindSafe, catch_unwind};

use common::operations::Maker;
use common::ours::Ours;
use common::{Disk, Random, mke2fs};
use kernel::credentials::Credentials;
use kernel::fs::ext2::{Ext2, Superblock};
use kernel::vfs::{MountFlags, Timestamp, Vfs};

/// A small disk with something of everything.
fn image(options: &[&str]) -> Vec<u8> {
    let tree = tempfile::tempdir().unwrap();
    let write = |path: &str, len: usize| std::fs::write(tree.path().join(path), vec![b'c'; len]).unwrap();
    for dir in ["dir0", "dir0/dir1", "dir1", "a0"] {
        std::fs::create_dir(tree.path().join(dir)).unwrap();
    }
    for (index, len) in [0, 10, 5000, 300_000, 20_000].into_iter().enumerate() {
        write(&format!("a{}", index + 1), len);
        write(&format!("dir0/é{index}"), len);
    }
    for (index, target) in ["a1", "dir0/dir1", &"long/".repeat(30)].into_iter().enumerate() {
        std::os::unix::fs::symlink(target, tree.path().join(format!("longer name {index}"))).unwrap();
    }
    rustix::fs::setxattr(tree.path().join("a2"), "user.x", &[b'v'; 700], rustix::fs::XattrFlags::empty()).unwrap();
    mke2fs(options, Some(tree.path()), "2M")
}

/// Where damage does most: superblock, descriptors, bitmaps, inodes, directories; and anywhere else.
fn damage(image: &mut [u8], random: &mut Random) {
    for _ in 0..1 + random.below(12) {
        let end = if random.one_in(4) { image.len() as u64 } else { 96 << 10 };
        let at = random.below(end) as usize;
        match random.below(4) {
            0 => image[at] ^= 1 << random.below(8),
            1 => image[at] = random.next() as u8,
            2 => image[at / 4 * 4..at / 4 * 4 + 4].copy_from_slice(&(random.below(2100) as u32).to_le_bytes()),
            _ => image[at / 4 * 4..at / 4 * 4 + 4].fill(0xff),
        }
    }
}

#[test]
fn damage_is_survived() {
    let images =
        [image(&["-b", "1024", "-I", "128"]), image(&["-b", "4096", "-I", "256"]), image(&["-b", "1024", "-g", "512"])];
    let seeds = std::env::var("EXT2_DAMAGE_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(1500);
    let mut mounted = 0;
    for seed in 0..seeds {
        let mut random = Random(seed);
        let mut bytes = images[seed as usize % images.len()].clone();
        damage(&mut bytes, &mut random);
        let Ok(superblock) = Superblock::read(&mut bytes) else { continue };
        mounted += 1;
        let result = catch_unwind(AssertUnwindSafe(|| {
            let disk = Disk::new(bytes);
            let ext2 = Ext2::new(Box::new(disk), superblock, false);
            let vfs = Vfs::new(Box::new(ext2), "disk", MountFlags::default());
            vfs.set_time(Timestamp { seconds: 1_700_000_000, nanoseconds: 0 });
            let mut ours = Ours::new(vfs);
            let mut maker = Maker {
                random,
                size_max: 500_000,
                names: 5,
                xattr_len_max: 800,
                short_times: false,
                single_user: false,
            };
            for _ in 0..150 {
                let _ = ours.apply(&maker.next());
            }
            let _ = ours.vfs.root().list_xattrs(&Credentials::root());
            let _ = ours.vfs.sync();
        }));
        assert!(result.is_ok(), "seed {seed}");
    }
    assert!(mounted > seeds / 2, "only {mounted} could be mounted");
}
