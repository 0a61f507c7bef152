//! Archives that mean harm: they are refused or survived, within bounded memory and disk.

use std::fs::File;
use std::path::Path;

use proptest::prelude::*;
use tar::EntryType::{self, Block, Char, Directory, Fifo, Link, Regular, Symlink};

use super::{CONFIG, Entry, archive_of, gzip, read, tar_of, text};
use crate::command::Cmd;
use crate::ext2::{self, FreeSpace};
use crate::image::archive;
use crate::image::layers;
use crate::image::section::Section;
use crate::image::tree::Tree;
use crate::progress::Progress;

const NOTHING_FREE: FreeSpace = FreeSpace { min_bytes: 0, percent: 0 };

#[test]
fn a_bomb_is_refused_before_it_fills_the_disk() {
    let scratch = tempfile::tempdir().expect("directory");
    let zeros = vec![0; 32 << 20];
    let bomb = gzip(&zeros);
    assert!(bomb.len() < 200_000);
    let path = scratch.path().join("bomb.tar");
    for archive in [archive_of(CONFIG, std::slice::from_ref(&bomb)), bomb, gzip(&archive_of(CONFIG, &[gzip(&zeros)]))] {
        std::fs::write(&path, archive).expect("written");
        let error = archive::read_bounded(&path, scratch.path(), 16 << 20).err().expect("refused");
        assert!(format!("{error:#}").contains("unpacks to more than"), "{error:#}");
    }
    // Layers count together.
    let half = || gzip(&zeros[..10 << 20]);
    std::fs::write(&path, archive_of(CONFIG, &[half(), half()])).expect("written");
    assert!(archive::read_bounded(&path, scratch.path(), 16 << 20).is_err());
    assert!(archive::read_bounded(&path, scratch.path(), 20 << 20).is_ok());
}

/// A header that says its name, or its attributes, have gigabytes: they must not be read into memory.
#[test]
fn endless_names_and_attributes_are_refused() {
    for kind in [b'L', b'K', b'x'] {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(EntryType::new(kind));
        header.set_size(8 << 30);
        header.set_cksum();
        let file = tempfile::tempfile().expect("file");
        std::os::unix::fs::FileExt::write_all_at(&file, header.as_bytes(), 0).expect("written");
        file.set_len(9 << 30).expect("length");
        let layer = Section::of_file(file).expect("section");
        let error = layers::apply(&mut Tree::new(), &layer).expect_err("refused");
        assert!(format!("{error:#}").contains("bytes of names and attributes"), "{error:#}");
    }
}

#[test]
fn names_that_lead_elsewhere_stay_inside() {
    let layers = [
        tar_of(&[
            (Symlink, "host", "/"),
            (Symlink, "up", "../../.."),
            (Symlink, "etc", "/real"),
            (Directory, "real", ""),
        ]),
        tar_of(&[(Regular, "host/a", "a"), (Regular, "up/b", "b"), (Regular, "/c", "c"), (Regular, "etc/d", "d")]),
    ];
    let image = read(&archive_of(CONFIG, &layers)).expect("image");
    for (path, content) in [("a", "a"), ("b", "b"), ("c", "c"), ("real/d", "d")] {
        assert_eq!(text(&image.tree, path).as_deref(), Some(content), "{path}");
    }
}

#[test]
fn of_duplicates_the_last_one_counts() {
    let layer = tar_of(&[
        (Regular, "a", "first"),
        (Directory, "b", ""),
        (Regular, "b/inside", "x"),
        (Regular, "a", "second"),
        (Regular, "b", "a file now"),
        (Link, "c", "a"),
        (Regular, "a", "third"),
    ]);
    let tree = read(&archive_of(CONFIG, &[layer])).expect("image").tree;
    for (path, content) in [("a", "third"), ("b", "a file now"), ("c", "second")] {
        assert_eq!(text(&tree, path).as_deref(), Some(content), "{path}");
    }
}

#[test]
fn paths_and_links_longer_than_linux_has_are_refused() {
    let long = "d/".repeat(2100);
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(0);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    builder.append_data(&mut header, &long, &b""[..]).expect("appended");
    let path = builder.into_inner().expect("tar");
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(Symlink);
    header.set_size(0);
    header.set_mode(0o777);
    header.set_uid(0);
    header.set_gid(0);
    builder.append_link(&mut header, "link", &long).expect("appended");
    for layer in [path, builder.into_inner().expect("tar")] {
        let error = read(&archive_of(CONFIG, &[layer])).err().expect("refused");
        assert!(format!("{error:#}").contains("4095"), "{error:#}");
    }
}

fn e2fsck(image: &Path) {
    Cmd::new("e2fsck").args(["-f", "-n"]).path(image).output().expect("e2fsck is content");
}

/// Entries that get in each other's way as much as possible.
fn entry() -> impl Strategy<Value = (EntryType, String, String)> {
    let name =
        || prop::sample::select(vec!["a", "b", "c", ".wh.a", ".wh.b", ".wh..wh..opq", "..", "a-long-name-of-a-file"]);
    let path = || prop::collection::vec(name(), 1..4).prop_map(|names| names.join("/"));
    let kind = prop::sample::select(vec![Regular, Regular, Directory, Directory, Symlink, Link, Char, Block, Fifo]);
    (kind, path(), path(), any::<bool>()).prop_map(|(kind, path, target, is_absolute)| match kind {
        Symlink if is_absolute => (kind, path, format!("/{target}")),
        _ => (kind, path, target),
    })
}

/// Reads layers until one is refused; returns the tree before that one.
fn applied(layers: &[Vec<(EntryType, String, String)>]) -> Tree {
    let mut tree = Tree::new();
    for entries in layers {
        let entries: Vec<Entry<'_>> =
            entries.iter().map(|(kind, path, to)| (*kind, path.as_str(), to.as_str())).collect();
        let file = tempfile::NamedTempFile::new().expect("file");
        std::fs::write(file.path(), tar_of(&entries)).expect("written");
        let layer = Section::of_file(File::open(file.path()).expect("file")).expect("section");
        if layers::apply(&mut tree, &layer).is_err() {
            break;
        }
        tree.end_layer();
    }
    tree
}

/// Few enough for every run of the tests; `PROPTEST_CASES=10000 cargo test -p scripts hostile` looks for longer.
fn cases() -> ProptestConfig {
    let wanted = std::env::var("PROPTEST_CASES").ok().and_then(|number| number.parse().ok());
    ProptestConfig::with_cases(wanted.unwrap_or(64))
}

proptest! {
    #![proptest_config(cases())]

    /// Whatever is wrong with an archive, reading it ends, and what was read can be written.
    #[test]
    fn damaged_archives_are_survived(
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        keep in any::<prop::sample::Index>(),
        is_cut in any::<bool>(),
        is_compressed in any::<bool>(),
        is_oci in any::<bool>(),
    ) {
        let entries = [(Regular, "a/b", "text"), (Link, "c", "a/b"), (Symlink, "d", "a"), (Char, "e", "")];
        let layers = [tar_of(&entries), tar_of(&[(Regular, "a/.wh.b", "")])];
        let layers = if is_compressed { layers.map(|layer| gzip(&layer)) } else { layers };
        let archive_of = if is_oci { super::inputs::oci_archive_of } else { archive_of };
        let mut archive = archive_of(CONFIG, &layers);
        for (position, byte) in damage {
            let position = position.index(archive.len());
            archive[position] = byte;
        }
        if is_cut {
            archive.truncate(keep.index(archive.len()));
        }
        if let Ok(mut image) = read(&archive) {
            let path = tempfile::NamedTempFile::new().expect("file");
            let _ = ext2::write(&mut image.tree, path.path(), NOTHING_FREE, &Progress::new());
        }
    }

    /// Layers of entries that contradict each other: each is refused, or the image is one e2fsck accepts; and what a layer
    /// puts somewhere stays there with whatever is put over it.
    #[test]
    fn contradictory_layers_make_sound_images(
        layers in prop::collection::vec(prop::collection::vec(entry(), 0..12), 1..5),
    ) {
        let directory = tempfile::tempdir().expect("directory");
        let image = directory.path().join("image");
        let mut whole = applied(&layers);
        ext2::write(&mut whole, &image, NOTHING_FREE, &Progress::new()).expect("written");
        e2fsck(&image);
        let lower = applied(&layers[..layers.len() - 1]);
        for (position, layer) in lower.layers().iter().enumerate() {
            prop_assert_eq!(Some(layer), whole.layers().get(position), "layer {}", position);
        }
    }
}
