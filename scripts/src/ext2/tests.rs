//! The writer against e2fsprogs: e2fsck judges the whole, debugfs reads the parts.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::{FreeSpace, write};
use crate::command::Cmd;
use crate::image::section::Section;
use crate::image::tree::{Content, Data, DeviceKind, Metadata, Node, Tree};
use crate::progress::Progress;

const FREE: FreeSpace = FreeSpace { min_bytes: 1 << 20, percent: 25 };

fn file(bytes: &[u8]) -> Node {
    Node { metadata: Metadata::of_root(0o644), content: Content::File(Data::Bytes(bytes.to_vec())) }
}

fn node(content: Content) -> Node {
    Node { metadata: Metadata::of_root(0o755), content }
}

/// Writes `tree` and lets e2fsck look at it.
fn checked(tree: &mut Tree, directory: &Path) -> std::path::PathBuf {
    let path = directory.join("image.ext2");
    write(tree, &path, FREE, &Progress::new()).expect("written");
    let verdict = Cmd::new("e2fsck").args(["-f", "-n"]).path(&path).output().expect("e2fsck is content");
    assert!(!verdict.contains("Fix"), "{verdict}");
    path
}

fn debugfs(image: &Path, request: &str) -> String {
    Cmd::new("debugfs").args(["-R", request]).path(image).output().expect("debugfs")
}

#[test]
fn every_kind_of_node() {
    let directory = tempfile::tempdir().expect("directory");
    let mut tree = Tree::new();
    let mut setuid = file(b"#!");
    setuid.metadata = Metadata { mode: 0o4755, uid: 70_000, gid: 5, mtime_s: 5_000_000_000, ..setuid.metadata };
    setuid.metadata.xattrs.insert(b"user.colour".to_vec(), b"red".to_vec());
    setuid.metadata.xattrs.insert(b"security.capability".to_vec(), vec![1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0]);
    tree.put(b"bin/tool", setuid).expect("file");
    tree.link(b"bin/tool", b"bin/same").expect("link");
    tree.put(b"fast", node(Content::Symlink(vec![b'f'; 59]))).expect("symlink");
    tree.put(b"slow", node(Content::Symlink(vec![b's'; 60]))).expect("symlink");
    tree.put(b"dev/tty", node(Content::Device { kind: DeviceKind::Character, major: 5, minor: 0 })).expect("device");
    tree.put(b"dev/big", node(Content::Device { kind: DeviceKind::Block, major: 259, minor: 70_000 })).expect("device");
    tree.put(b"pipe", node(Content::Fifo)).expect("fifo");
    tree.put(b"lost+found/stray", file(b"from the layers")).expect("file");
    tree.put("Ünï/漢🙂 name".as_bytes(), file(b"utf-8")).expect("file");
    let image = checked(&mut tree, directory.path());

    let tool = debugfs(&image, "stat /bin/tool");
    for part in ["Mode:  04755", "User: 70000", "Group:     5", "Links: 2", "Size: 2", "2128"] {
        assert!(tool.contains(part), "{part} is not in {tool}");
    }
    let xattrs = debugfs(&image, "ea_list /bin/same");
    assert!(xattrs.contains("user.colour (3) = \"red\"") && xattrs.contains("security.capability (12)"), "{xattrs}");
    assert!(debugfs(&image, "stat /fast").contains(&format!("Fast link dest: \"{}\"", "f".repeat(59))));
    assert_eq!(debugfs(&image, "cat /slow").trim_end(), "s".repeat(60));
    assert!(debugfs(&image, "stat /dev/tty").contains("Device major/minor number: 05:00"));
    assert!(debugfs(&image, "stat /dev/big").contains("Device major/minor number: 259:70000"));
    assert!(debugfs(&image, "stat /pipe").contains("Type: FIFO"));
    assert!(!debugfs(&image, "ls /lost+found").contains("stray"));
    assert_eq!(debugfs(&image, "cat \"/Ünï/漢🙂 name\""), "utf-8");
}

#[test]
fn sizes_around_every_step_of_the_block_map() {
    let directory = tempfile::tempdir().expect("directory");
    let block = 4096;
    let sizes = [0, 1, 4095, 4096, 12 * block, 12 * block + 1, (12 + 1024) * block, (12 + 1024) * block + 1, 9_000_000];
    let mut tree = Tree::new();
    for size in sizes {
        let bytes: Vec<u8> = (0..size).map(|at: usize| (at / 4096 * 7 + at) as u8).collect();
        tree.put(format!("f{size}").as_bytes(), file(&bytes)).expect("file");
    }
    let image = checked(&mut tree, directory.path());
    for size in sizes {
        let copy = directory.path().join("copy");
        debugfs(&image, &format!("dump /f{size} {}", copy.display()));
        let copy = std::fs::read(copy).expect("dumped");
        assert_eq!(copy.len(), size);
        assert!(copy.iter().enumerate().all(|(at, byte)| *byte == (at / 4096 * 7 + at) as u8), "f{size}");
    }
}

#[test]
fn a_file_that_needs_triple_indirection() {
    let directory = tempfile::tempdir().expect("directory");
    let path = directory.path().join("data");
    let data = File::options().create_new(true).read(true).write(true).open(path).expect("file");
    let len = (12 + 1024 + 1024 * 1024 + 3) * 4096 + 5;
    data.set_len(len).expect("length");
    data.write_all_at(b"the end", len - 7).expect("write");
    let mut tree = Tree::new();
    let data = Data::Section(Section::of_file(data).expect("section"));
    tree.put(b"huge", node(Content::File(data))).expect("file");
    let image = checked(&mut tree, directory.path());
    let stat = debugfs(&image, "stat /huge");
    assert!(stat.contains("(TIND)") && stat.contains(&format!("Size: {len}")), "{stat}");
}

#[test]
fn directories_of_many_entries_and_long_names() {
    let directory = tempfile::tempdir().expect("directory");
    let mut tree = Tree::new();
    for number in 0..3000 {
        let name = format!("many/{number:04}-{}", "n".repeat(number % 200));
        tree.put(name.as_bytes(), file(name.as_bytes())).expect("file");
    }
    for len in [1, 4, 255] {
        tree.put(format!("deep/{}/x", "d".repeat(len)).as_bytes(), file(b"x")).expect("file");
    }
    let image = checked(&mut tree, directory.path());
    assert_eq!(debugfs(&image, "ls -p /many").lines().filter(|line| line.contains('-')).count(), 3000);
    let last = format!("many/2999-{}", "n".repeat(2999 % 200));
    assert_eq!(debugfs(&image, &format!("cat /{last}")), last);
}

#[test]
fn the_same_tree_gives_the_same_bytes() {
    let directory = tempfile::tempdir().expect("directory");
    let image_of = |names: [&str; 3]| {
        let mut tree = Tree::new();
        for name in names {
            tree.put(name.as_bytes(), file(name.as_bytes())).expect("file");
        }
        std::fs::read(checked(&mut tree, directory.path())).expect("image")
    };
    let first = image_of(["a/1", "b", "a/2"]);
    assert!(first == image_of(["b", "a/2", "a/1"]), "whatever order the layers have them in");
    assert!(first != image_of(["b", "a/2", "a/3"]));
}

#[test]
fn what_ext2_can_not_hold_is_refused() {
    let directory = tempfile::tempdir().expect("directory");
    let refused = |tree: &mut Tree| {
        let outcome = write(tree, &directory.path().join("image"), FREE, &Progress::new());
        format!("{:#}", outcome.expect_err("refused"))
    };
    let mut tree = Tree::new();
    let mut with_xattr = file(b"");
    with_xattr.metadata.xattrs.insert(b"user.long".to_vec(), vec![0; 4096]);
    tree.put(b"f", with_xattr).expect("file");
    assert!(refused(&mut tree).contains("bytes of extended attributes"));
    for len in [0, 4096] {
        let refused = Tree::new().put(b"link", node(Content::Symlink(vec![b'x'; len]))).expect_err("refused");
        assert!(refused.to_string().contains("symbolic link"));
    }
    let mut tree = Tree::new();
    tree.put(b"f", file(b"")).expect("file");
    for number in 0..32_000 {
        tree.link(b"f", format!("l{number}").as_bytes()).expect("link");
    }
    assert!(refused(&mut tree).contains("32001 links"));
}

/// Bytes that no other `seed` and `len` give, and that don't compress to nothing.
fn noise(seed: usize, len: usize) -> Vec<u8> {
    let mut state = seed as u64 * 2 + 1;
    let next = |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..len).map(next).collect()
}

fn put(tree: &mut Tree, path: &str, bytes: &[u8]) {
    tree.put(path.as_bytes(), file(bytes)).expect("file");
}

/// 40 MB in two layers, the second of which changes, deletes and replaces what the first has.
fn two_layers() -> Tree {
    let mut tree = Tree::new();
    for number in 0..6000 {
        put(&mut tree, &format!("usr/{}/{number}", number % 70), &noise(number, number % 11_000));
    }
    put(&mut tree, "usr/lib/large", &noise(10_001, 3 << 20));
    put(&mut tree, "etc/passwd", b"root");
    tree.end_layer();
    for number in 0..300 {
        put(&mut tree, &format!("opt/{number}"), &noise(number, 9000));
        put(&mut tree, &format!("usr/3/added-with-a-long-name-{number}"), b"x");
    }
    tree.remove(b"usr/7");
    tree.remove(b"usr/lib/large");
    tree.clear(b"usr/9");
    put(&mut tree, "usr/9/1809", b"again");
    put(&mut tree, "etc/passwd", b"root user");
    tree.end_layer();
    tree
}

/// Positions of chunks in which two images differ.
fn differing_chunks(first: &Path, second: &Path) -> Vec<usize> {
    let chunk_bytes = disk::layout::CHUNK_BYTES as usize;
    let (first, second) = (std::fs::read(first).expect("image"), std::fs::read(second).expect("image"));
    let empty: &[u8] = &[];
    let count = first.len().max(second.len()).div_ceil(chunk_bytes);
    let chunk = |image: &[u8], number: usize| {
        let bytes = image.chunks(chunk_bytes).nth(number).unwrap_or(empty).to_vec();
        bytes.iter().any(|byte| *byte != 0).then_some(bytes)
    };
    (0..count).filter(|number| chunk(&first, *number) != chunk(&second, *number)).collect()
}

#[test]
fn a_change_in_the_last_layer_changes_few_chunks() {
    let directory = tempfile::tempdir().expect("directory");
    let image_of = |name: &str, change: &dyn Fn(&mut Tree)| {
        let mut tree = two_layers();
        change(&mut tree);
        let path = directory.path().join(name);
        std::fs::rename(checked(&mut tree, directory.path()), &path).expect("renamed");
        path
    };
    let base = image_of("base", &|_| ());
    let hi = image_of("hi", &|tree| put(tree, "etc/motd", b"hi\n"));
    // Superblock, descriptors and bitmaps; tables of inodes of the layer and of /etc; blocks of directories; data.
    let added = differing_chunks(&base, &hi);
    assert!(added.len() <= 5, "a file more: {added:?}");
    let hello = image_of("hello", &|tree| put(tree, "etc/motd", b"hello, edgebox\n"));
    assert_eq!(differing_chunks(&hi, &hello).len(), 2, "the inode and the data");
    let large = image_of("large", &|tree| put(tree, "srv/large", &noise(5, 1 << 20)));
    let added = differing_chunks(&base, &large);
    assert!(added.len() <= 5 + 9, "a megabyte more: {added:?}");
    let without = image_of("without", &|tree| tree.remove(b"usr/33/33"));
    let removed = differing_chunks(&base, &without);
    assert!(removed.len() <= 5, "a file less: {removed:?}");
}

#[test]
fn layers_are_merged_and_what_is_gone_leaves_no_trace() {
    let directory = tempfile::tempdir().expect("directory");
    let mut tree = two_layers();
    let image = checked(&mut tree, directory.path());
    assert_eq!(debugfs(&image, "cat /etc/passwd"), "root user");
    assert_eq!(debugfs(&image, "cat /usr/9/1809"), "again");
    assert!(debugfs(&image, "ls -p /usr/3").contains("/added-with-a-long-name-299/"));
    assert!(!debugfs(&image, "ls -p /usr").contains("/7/"));
    let bytes = std::fs::read(&image).expect("image");
    let gone = &noise(10_001, 3 << 20)[4096..4096 + 64];
    assert!(!bytes.chunks(4096).any(|block| block.starts_with(gone)), "blocks of a deleted file are not in the image");
}

#[test]
fn a_lost_superblock_is_restored_from_its_copy() {
    let directory = tempfile::tempdir().expect("directory");
    let mut tree = two_layers();
    let image = checked(&mut tree, directory.path());
    let damaged = File::options().write(true).open(&image).expect("image");
    damaged.write_all_at(&[0; 8192], 0).expect("written");
    // One: it was damaged and is repaired.
    let repair = Cmd::new("e2fsck").args(["-f", "-y", "-b", "32768", "-B", "4096"]).path(&image).to_command().output();
    assert_eq!(repair.expect("e2fsck").status.code(), Some(1));
    Cmd::new("e2fsck").args(["-f", "-n"]).path(&image).output().expect("e2fsck is content");
    assert_eq!(debugfs(&image, "cat /etc/passwd"), "root user");
}
