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
        let error = archive::read_bounded(&path, scratch.path(), None, 16 << 20).err().expect("refused");
        assert!(format!("{error:#}").contains("unpacks to more than"), "{error:#}");
    }
    // Layers count together.
    let half = || gzip(&zeros[..10 << 20]);
    std::fs::write(&path, archive_of(CONFIG, &[half(), half()])).expect("written");
    assert!(archive::read_bounded(&path, scratch.path(), None, 16 << 20).is_err());
    assert!(archive::read_bounded(&path, scratch.path(), None, 20 << 20).is_ok());
}

/// Zstd has frames that say they unpack to exabytes, or that need as much memory to be unpacked.
#[test]
fn a_bomb_of_zstd_is_refused_before_it_fills_disk_or_memory() {
    let scratch = tempfile::tempdir().expect("directory");
    let path = scratch.path().join("bomb.tar");
    let zeros = vec![0; 32 << 20];
    let bomb = super::inputs::piped("zstd", &["--quiet"], &zeros);
    assert!(bomb.len() < 10_000);
    std::fs::write(&path, archive_of(CONFIG, &[bomb])).expect("written");
    let error = archive::read_bounded(&path, scratch.path(), None, 16 << 20).err().expect("refused");
    assert!(format!("{error:#}").contains("unpacks to more than"), "{error:#}");
    assert!(archive::read_bounded(&path, scratch.path(), None, 33 << 20).is_ok());

    // RFC 8878, 3.1.1.1: a window of 3.75 TB; then content of 2^60 bytes, which is the window as well. One block of a byte.
    let block = [1 | 1 << 3, 0, 0, 0];
    let window = [&[0x28, 0xb5, 0x2f, 0xfd, 0, 0xff][..], &block].concat();
    let content = [&[0x28, 0xb5, 0x2f, 0xfd, 0xe0][..], &(1u64 << 60).to_le_bytes(), &block].concat();
    for layer in [window, content] {
        let error = read(&archive_of(CONFIG, &[layer])).err().expect("refused");
        assert!(format!("{error:#}").contains("unpacking"), "{error:#}");
    }
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

/// A layer of one entry whose header is changed before its checksum is made.
fn with_header(change: impl FnOnce(&mut tar::Header)) -> anyhow::Result<Tree> {
    let mut header = tar::Header::new_gnu();
    header.set_path("file").expect("path");
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_size(0);
    change(&mut header);
    header.set_cksum();
    applied_to_nothing(&[header.as_bytes(), &[0; 2048][..]].concat())
}

fn applied_to_nothing(layer: &[u8]) -> anyhow::Result<Tree> {
    let file = tempfile::NamedTempFile::new()?;
    std::fs::write(file.path(), layer)?;
    let mut tree = Tree::new();
    layers::apply(&mut tree, &Section::of_file(File::open(file.path())?)?)?;
    Ok(tree)
}

/// Numbers that are negative or have more bits than anybody needs: in octal, in the binary form of GNU tar (whose first byte
/// is 0x80, or 0xff if it is negative), and as PAX records, which replace those of the header.
#[test]
fn sizes_and_numbers_that_can_not_be_are_refused() {
    assert!(with_header(|_| {}).is_ok());
    let negative = |field: &mut [u8]| field.fill(0xff);
    let huge = |field: &mut [u8]| {
        field.fill(0x7f);
        field[0] = 0x80;
    };
    let text = |text: &'static str| move |field: &mut [u8]| field[..text.len()].copy_from_slice(text.as_bytes());
    for (what, outcome) in [
        ("negative", with_header(|header| negative(&mut header.as_old_mut().size))),
        ("huge", with_header(|header| huge(&mut header.as_old_mut().size))),
        ("-1", with_header(|header| text("-0000000001\0")(&mut header.as_old_mut().size))),
        ("more than there is", with_header(|header| text("77777777777\0")(&mut header.as_old_mut().size))),
        ("no number", with_header(|header| text("0x7fff\0")(&mut header.as_old_mut().size))),
        ("negative user", with_header(|header| negative(&mut header.as_old_mut().uid))),
        ("huge group", with_header(|header| huge(&mut header.as_old_mut().gid))),
        ("mode", with_header(|header| text("99999\0")(&mut header.as_old_mut().mode))),
    ] {
        assert!(outcome.is_err(), "{what}");
    }
    for record in [
        ("size", "18446744073709551615"),
        ("size", "9223372036854775808"),
        ("size", "1000000"),
        ("size", "-1"),
        ("uid", "-1"),
        ("gid", "x"),
    ] {
        let outcome = super::inputs::with_records(&[(record.0, record.1.as_bytes())]);
        assert!(outcome.is_err(), "{record:?}");
    }
}

/// Records whose length leads elsewhere, and paths in records that no header could have.
#[test]
fn damaged_records_are_refused() {
    let records = |records: &str| {
        let mut builder = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(EntryType::XHeader);
        header.set_size(records.len() as u64);
        header.set_cksum();
        builder.append(&header, records.as_bytes()).expect("appended");
        let file = tar_of(&[(Regular, "file", "x")]);
        applied_to_nothing(&[builder.into_inner().expect("tar")[..1024].to_vec(), file].concat())
    };
    assert!(records("12 path=abc\n").expect("a layer").find(b"abc").is_some());
    for damaged in [
        "99999 path=abc\n",
        "0 path=abc\n",
        "-12 path=abc\n",
        "12path=abc\n",
        "99999999999999999999 path=abc\n",
        "15 path=../abc\n",
        "13 path=a\0bc\n",
    ] {
        let outcome = records(damaged);
        let harmless = outcome.as_ref().is_ok_and(|tree| tree.find(b"file").is_some() && tree.find(b"abc").is_none());
        assert!(outcome.is_err() || harmless, "{damaged:?}");
    }
}

/// Files with holes, as GNU tar describes them in headers: their stretches could overlap, or go on for petabytes.
#[test]
fn files_with_holes_are_refused() {
    for (offset, len, size) in [(0, 0, 0), (1 << 50, 1, 1 << 50), (0, 1 << 60, 1 << 60), (5, u64::MAX, 4)] {
        let outcome = with_header(|header| {
            header.set_entry_type(EntryType::GNUSparse);
            let gnu = header.as_gnu_mut().expect("a header of GNU tar");
            gnu.sparse[0].offset = binary(offset);
            gnu.sparse[0].numbytes = binary(len);
            gnu.realsize = binary(size);
        });
        assert!(outcome.is_err(), "{offset} {len} {size}");
    }
}

/// A number in GNU tar's binary form.
fn binary(number: u64) -> [u8; 12] {
    let mut field = [0; 12];
    field[0] = 0x80;
    field[4..].copy_from_slice(&number.to_be_bytes());
    field
}

/// Devices are entries like others: nothing is made on this machine, and their numbers are such as Linux has.
#[test]
fn devices_stay_in_the_image() {
    let device = |major, minor| {
        with_header(|header| {
            header.set_entry_type(Block);
            header.set_device_major(major).expect("major");
            header.set_device_minor(minor).expect("minor");
        })
    };
    let directory = tempfile::tempdir().expect("directory");
    let image = directory.path().join("image");
    let mut tree = device(0xfff, 0xfffff).expect("a layer");
    ext2::write(&mut tree, &image, NOTHING_FREE, &Progress::new()).expect("written");
    e2fsck(&image);
    let shown = Cmd::new("debugfs").args(["-R", "stat /file"]).path(&image).output().expect("debugfs");
    assert!(shown.contains("Device major/minor number: 4095:1048575"), "{shown}");
    for (major, minor) in [(0x1000, 0), (0, 0x10_0000), (0x1f_ffff, 0x1f_ffff)] {
        let error = device(major, minor).expect_err("refused");
        assert!(format!("{error:#}").contains("Linux has numbers up to"), "{error:#}");
    }
}

/// Members of the archive itself: links in a circle, and more of everything than an image can have.
#[test]
fn archives_are_bounded() {
    let circle = tar_of(&[(Symlink, "manifest.json", "../index.json"), (Symlink, "index.json", "../manifest.json")]);
    let member = |path: &str, size: u64| {
        let mut header = tar::Header::new_gnu();
        header.set_path(path).expect("path");
        header.set_size(size);
        header.set_mode(0o644);
        header.set_cksum();
        header.as_bytes().to_vec()
    };
    let long_json = [member("manifest.json", 17 << 20), vec![b' '; 17 << 20], vec![0; 1024]].concat();
    let deep_json = format!(r#"[{{"Config": "config.json", "Layers": [], "deep": {}"#, "[".repeat(10_000));
    let deep_json = tar_of(&[(Regular, "manifest.json", &deep_json)]);
    let many_members = (0..=100_000).flat_map(|number| member(&number.to_string(), 0)).collect();
    let many_layers = archive_of(CONFIG, &vec![Vec::new(); 1001]);
    for (archive, expected) in [
        (circle, "neither a `docker save` nor an OCI archive"),
        (long_json, "bytes, more than"),
        (deep_json, "EOF while parsing"),
        (many_members, "more than 100000 files"),
        (many_layers, "1001 layers, more than"),
    ] {
        let error = format!("{:#}", read(&archive).err().expect("refused"));
        assert!(error.contains(expected), "{expected} is not in {error}");
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
