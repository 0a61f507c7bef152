//! The writer against e2fsprogs: e2fsck judges the whole, debugfs reads the parts.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use super::{FreeSpace, write};
use crate::command::Cmd;
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
fn checked(tree: &Tree, directory: &Path) -> std::path::PathBuf {
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
    let image = checked(&tree, directory.path());

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
    let image = checked(&tree, directory.path());
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
    let data = Data::File { file: Arc::new(data), offset: 0, len };
    tree.put(b"huge", node(Content::File(data))).expect("file");
    let image = checked(&tree, directory.path());
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
    let image = checked(&tree, directory.path());
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
        std::fs::read(checked(&tree, directory.path())).expect("image")
    };
    let first = image_of(["a/1", "b", "a/2"]);
    assert!(first == image_of(["b", "a/2", "a/1"]), "whatever order the layers have them in");
    assert!(first != image_of(["b", "a/2", "a/3"]));
}

#[test]
fn what_ext2_can_not_hold_is_refused() {
    let directory = tempfile::tempdir().expect("directory");
    let refused = |tree: &Tree| {
        let outcome = write(tree, &directory.path().join("image"), FREE, &Progress::new());
        format!("{:#}", outcome.expect_err("refused"))
    };
    let mut tree = Tree::new();
    let mut with_xattr = file(b"");
    with_xattr.metadata.xattrs.insert(b"user.long".to_vec(), vec![0; 4096]);
    tree.put(b"f", with_xattr).expect("file");
    assert!(refused(&tree).contains("bytes of extended attributes"));
    let mut tree = Tree::new();
    tree.put(b"link", node(Content::Symlink(Vec::new()))).expect("symlink");
    assert!(refused(&tree).contains("symbolic link"));
    let mut tree = Tree::new();
    tree.put(b"f", file(b"")).expect("file");
    for number in 0..32_000 {
        tree.link(b"f", format!("l{number}").as_bytes()).expect("link");
    }
    assert!(refused(&tree).contains("32001 links"));
}
