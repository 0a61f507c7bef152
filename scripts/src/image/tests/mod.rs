//! Archives as builders write them, made here by hand: layers over layers, and everything that can be wrong.

mod hostile;
mod inputs;

use std::io::Write;
use std::path::Path;

use tar::{Builder, EntryType, Header};

use crate::image::archive::{self, Image};
use crate::image::platform::Platform;
use crate::image::tree::{Content, Tree};

/// A tar entry: type, path, link target or content.
type Entry<'a> = (EntryType, &'a str, &'a str);

fn tar_of(entries: &[Entry<'_>]) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    for (kind, path, content) in entries {
        let mut header = Header::new_gnu();
        header.set_entry_type(*kind);
        header.set_mode(if *kind == EntryType::Directory { 0o755 } else { 0o640 });
        header.set_uid(1000);
        header.set_gid(100);
        header.set_mtime(1_700_000_000);
        // Written raw: the builder refuses the very paths that must be refused when they are read.
        let name = &mut header.as_old_mut().name;
        name[..path.len()].copy_from_slice(path.as_bytes());
        let data = match kind {
            EntryType::Symlink | EntryType::Link => {
                header.set_link_name_literal(content).expect("link name");
                ""
            }
            _ => content,
        };
        header.set_size(data.len() as u64);
        header.set_cksum();
        builder.append(&header, data.as_bytes()).expect("appended");
    }
    builder.into_inner().expect("tar")
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).expect("written");
    encoder.finish().expect("gzip")
}

const CONFIG: &str = r#"{"architecture": "amd64", "os": "linux", "config": {
    "Entrypoint": ["/init"], "Cmd": ["a", "b"], "Env": ["A=1"], "WorkingDir": "/w", "User": "u:g",
    "Labels": {"k": "v"}, "Hostname": "", "Volumes": null}}"#;

fn archive_of(config: &str, layers: &[Vec<u8>]) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    let mut add = |path: &str, bytes: &[u8]| {
        let mut header = Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o444);
        builder.append_data(&mut header, path, bytes).expect("appended");
    };
    let names: Vec<String> = (0..layers.len()).map(|number| format!("\"{number}/layer.tar\"")).collect();
    for (number, layer) in layers.iter().enumerate() {
        add(&format!("{number}/layer.tar"), layer);
    }
    add("config.json", config.as_bytes());
    let manifest = format!(r#"[{{"Config": "config.json", "RepoTags": ["x:y"], "Layers": [{}]}}]"#, names.join(","));
    add("manifest.json", manifest.as_bytes());
    builder.into_inner().expect("tar")
}

fn read(archive: &[u8]) -> anyhow::Result<Image> {
    read_wanted(archive, None)
}

fn read_wanted(archive: &[u8], platform: Option<Platform>) -> anyhow::Result<Image> {
    let scratch = tempfile::tempdir().expect("directory");
    let path = scratch.path().join("image.tar");
    std::fs::write(&path, archive).expect("written");
    archive::read(&path, scratch.path(), platform)
}

fn text(tree: &Tree, path: &str) -> Option<String> {
    match &tree.node(tree.find(path.as_bytes())?).content {
        Content::File(data) => {
            let mut bytes = vec![0; data.len() as usize];
            data.read_at(0, &mut bytes).expect("read");
            Some(String::from_utf8(bytes).expect("text"))
        }
        _ => None,
    }
}

#[test]
fn layers_whiteouts_links_and_configuration() {
    use EntryType::{Directory, Link, Regular, Symlink};
    let base = tar_of(&[
        (Directory, "./etc/", ""),
        (Regular, "etc/keep", "kept"),
        (Regular, "etc/gone", "gone"),
        (Regular, "opaque/old", "old"),
        (Regular, "usr/lib/a", "a"),
        (Symlink, "lib", "usr/lib"),
        (Link, "etc/second", "etc/keep"),
    ]);
    let upper = gzip(&tar_of(&[
        (Regular, "opaque/new", "new"),
        (Regular, "etc/.wh.gone", ""),
        (Regular, "opaque/.wh..wh..opq", ""),
        (Regular, ".wh..wh.aufs", ""),
        (Regular, "lib/b", "b"),
        (Regular, "etc/keep", "changed"),
    ]));
    let image = read(&archive_of(CONFIG, &[base, upper])).expect("image");
    let tree = &image.tree;
    assert_eq!(text(tree, "etc/keep").as_deref(), Some("changed"));
    assert_eq!(text(tree, "etc/second").as_deref(), Some("kept"), "the other name keeps the old file");
    assert_eq!(text(tree, "usr/lib/b").as_deref(), Some("b"));
    assert_eq!(text(tree, "opaque/new").as_deref(), Some("new"));
    for absent in ["etc/gone", "etc/.wh.gone", "opaque/old", ".wh..wh.aufs"] {
        assert!(tree.find(absent.as_bytes()).is_none(), "{absent}");
    }
    let metadata = &tree.node(tree.find(b"etc/keep").expect("file")).metadata;
    assert_eq!((metadata.mode, metadata.uid, metadata.gid, metadata.mtime_s), (0o640, 1000, 100, 1_700_000_000));
    assert_eq!(image.config.command(), ["/init", "a", "b"]);
    assert_eq!((image.config.env[0].as_str(), image.config.workdir.as_str()), ("A=1", "/w"));
    assert_eq!((image.config.user.as_str(), image.config.labels["k"].as_str()), ("u:g", "v"));
}

#[test]
fn what_is_wrong_is_said() {
    use EntryType::{Link, Regular, Symlink};
    let layer = |entries: &[Entry<'_>]| archive_of(CONFIG, &[tar_of(entries)]);
    let good = layer(&[(Regular, "a", "x")]);
    let cases = [
        (layer(&[(Regular, "../escape", "x")]), "can't be in an image"),
        (layer(&[(Regular, "a/../../escape", "x")]), "can't be in an image"),
        (layer(&[(Link, "a", "/etc/passwd")]), "which does not exist"),
        (layer(&[(Regular, "a", "x"), (Regular, "a/b", "x")]), "not a directory"),
        (layer(&[(Symlink, "a", "b"), (Symlink, "b", "a"), (Regular, "a/c", "x")]), "too many symbolic links"),
        (layer(&[(EntryType::new(b'Z'), "a", "x")]), "not supported"),
        (archive_of(&CONFIG.replace("amd64", "arm64"), &[]), "--platform linux/amd64"),
        (archive_of("{}", &[]), "the image's configuration"),
        (archive_of(CONFIG, &[vec![0x28, 0xb5, 0x2f, 0xfd, 0]]), "unpacking"),
        (archive_of(CONFIG, &[vec![0x1f, 0x8b, 0, 0]]), "unpacking"),
        (archive_of(CONFIG, &[b"no tar at all".repeat(100)]), "layer 0/layer.tar"),
        (good[..good.len() / 2].to_vec(), "reading the image archive"),
        (tar_of(&[(Regular, "some", "tar")]), "neither a `docker save` nor an OCI archive"),
    ];
    for (archive, expected) in cases {
        let error = format!("{:#}", read(&archive).err().unwrap_or_else(|| panic!("accepted: {expected}")));
        assert!(error.contains(expected), "{expected} is not in {error}");
    }
}

/// The host's own tree read back: owners, modes, links, devices where tests run as root.
#[test]
fn a_directory_becomes_a_tree() {
    let root = tempfile::tempdir().expect("directory");
    let path = |name: &str| root.path().join(name);
    std::fs::create_dir(path("d")).expect("directory");
    std::fs::write(path("d/f"), "text").expect("file");
    std::fs::hard_link(path("d/f"), path("g")).expect("link");
    std::os::unix::fs::symlink("d/f", path("s")).expect("symlink");
    let _socket = std::os::unix::net::UnixListener::bind(path("socket")).expect("socket");
    let tree = crate::image::directory::read(Path::new(root.path())).expect("tree");
    assert_eq!(tree.find(b"d/f"), tree.find(b"g"));
    assert_eq!(text(&tree, "g").as_deref(), Some("text"));
    assert!(matches!(&tree.node(tree.find(b"s").expect("s")).content, Content::Symlink(to) if to == b"d/f"));
    assert!(tree.find(b"socket").is_none());
}
