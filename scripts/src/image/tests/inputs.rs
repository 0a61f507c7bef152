//! The forms images come in: compressed in every way builders do it, as OCI layouts, with long names and attributes.

use std::io::Write;
use std::process::{Command, Stdio};

use sha2::{Digest, Sha256};
use tar::EntryType::Regular;
use tar::{Builder, Header};

use super::{CONFIG, archive_of, gzip, read, read_wanted, tar_of, text};
use crate::image::archive::{self, Image};
use crate::image::platform::Platform;
use crate::image::section::Section;
use crate::image::tree::Tree;
use crate::image::{layers, tree::Content};

fn blob(builder: &mut Builder<Vec<u8>>, bytes: &[u8]) -> String {
    let hex: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    member(builder, &format!("blobs/sha256/{hex}"), bytes);
    format!("sha256:{hex}")
}

fn member(builder: &mut Builder<Vec<u8>>, path: &str, bytes: &[u8]) {
    let mut header = Header::new_gnu();
    header.set_size(bytes.len() as u64);
    header.set_mode(0o444);
    builder.append_data(&mut header, path, bytes).expect("appended");
}

fn manifest(builder: &mut Builder<Vec<u8>>, config: &str, layers: &[Vec<u8>]) -> String {
    let config = blob(builder, config.as_bytes());
    let layers: Vec<_> = layers.iter().map(|layer| format!(r#"{{"digest": "{}"}}"#, blob(builder, layer))).collect();
    let manifest = format!(r#"{{"config": {{"digest": "{config}"}}, "layers": [{}]}}"#, layers.join(","));
    blob(builder, manifest.as_bytes())
}

/// An OCI archive of one image.
pub fn oci_archive_of(config: &str, layers: &[Vec<u8>]) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    let manifest = manifest(&mut builder, config, layers);
    member(&mut builder, "oci-layout", br#"{"imageLayoutVersion": "1.0.0"}"#);
    member(&mut builder, "index.json", format!(r#"{{"manifests": [{{"digest": "{manifest}"}}]}}"#).as_bytes());
    builder.into_inner().expect("tar")
}

/// What the command-line program `program` makes of `bytes`.
pub fn piped(program: &str, args: &[&str], bytes: &[u8]) -> Vec<u8> {
    let mut command = Command::new(program);
    let mut child = command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect(program);
    let mut stdin = child.stdin.take().expect("a pipe");
    let bytes = bytes.to_vec();
    let writer = std::thread::spawn(move || stdin.write_all(&bytes).expect("written"));
    let output = child.wait_with_output().expect("ended");
    writer.join().expect("written");
    assert!(output.status.success());
    output.stdout
}

fn is_right(image: &Image) {
    assert_eq!(text(&image.tree, "large").map(|text| text.len()), Some(700_000));
    assert_eq!(text(&image.tree, "second").as_deref(), Some("2"));
    assert_eq!(image.config.command(), ["/init", "a", "b"]);
}

fn layers() -> [Vec<u8>; 2] {
    [tar_of(&[(Regular, "large", &"0123456".repeat(100_000))]), tar_of(&[(Regular, "second", "2")])]
}

#[test]
fn layers_and_archives_in_all_compressions() {
    let zstd = |bytes: &[u8]| piped("zstd", &["--quiet", "-3"], bytes);
    // Two members or frames, cut anywhere, and a frame that decoders are to skip.
    let halves = |pack: &dyn Fn(&[u8]) -> Vec<u8>, bytes: &[u8]| {
        let (first, second) = bytes.split_at(bytes.len() / 3);
        [pack(first), pack(second)]
    };
    let skipped = [&[0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0][..], b"xyz"].concat();
    let in_parts = layers().map(|layer| halves(&gzip, &layer).concat());
    let in_frames = layers().map(|layer| {
        let [first, second] = halves(&zstd, &layer);
        [skipped.clone(), first, skipped.clone(), second].concat()
    });
    let real_gzip = layers().map(|layer| piped("gzip", &["-9"], &layer));
    for layers in [layers(), layers().map(|layer| gzip(&layer)), in_parts, in_frames, real_gzip] {
        for archive in [archive_of(CONFIG, &layers), oci_archive_of(CONFIG, &layers)] {
            for archive in [gzip(&archive), zstd(&archive), archive] {
                is_right(&read(&archive).expect("image"));
            }
        }
    }
    let cut = |bytes: Vec<u8>| bytes[..bytes.len() - 9].to_vec();
    for layer in [cut(zstd(&layers()[0])), cut(gzip(&layers()[0])), [zstd(&layers()[0]), b"garbage".to_vec()].concat()]
    {
        let error = read(&archive_of(CONFIG, &[layer])).err().expect("refused");
        assert!(format!("{error:#}").contains("unpacking"), "{error:#}");
    }
}

#[test]
fn a_layout_in_a_directory() {
    let directory = tempfile::tempdir().expect("directory");
    let root = directory.path().join("layout");
    tar::Archive::new(&oci_archive_of(CONFIG, &layers())[..]).unpack(&root).expect("unpacked");
    assert!(archive::is_layout(&root) && !archive::is_layout(directory.path()));
    is_right(&archive::read(&root, directory.path(), None).expect("image"));
    // Docker's own description must not lead out of the directory.
    let outside = r#"[{"Config": "../config.json", "Layers": []}]"#;
    std::fs::write(root.join("manifest.json"), outside).expect("written");
    std::fs::write(directory.path().join("config.json"), CONFIG).expect("written");
    let error = archive::read(&root, directory.path(), None).err().expect("refused");
    assert!(format!("{error:#}").contains("outside"), "{error:#}");
}

#[test]
fn of_several_images_the_one_that_is_wanted_is_taken() {
    let build = |platforms: &[&str], wanted: Option<Platform>| {
        let mut builder = Builder::new(Vec::new());
        let mut entries = Vec::new();
        for platform in platforms {
            let config = CONFIG.replace("amd64", platform).replace(r#""k""#, &format!(r#""for": "{platform}", "k""#));
            let digest = manifest(&mut builder, &config, &layers());
            // So attestations are described; and what several images are for may not be.
            let os = match *platform {
                "unknown" => "unknown",
                "undescribed" => "",
                _ => "linux",
            };
            let platform = format!(r#", "platform": {{"architecture": "{platform}", "os": "{os}"}}"#);
            let platform = if os.is_empty() { String::new() } else { platform };
            entries.push(format!(r#"{{"digest": "{digest}"{platform}}}"#));
        }
        let inner = blob(&mut builder, format!(r#"{{"manifests": [{}]}}"#, entries.join(",")).as_bytes());
        let kind = "application/vnd.oci.image.index.v1+json";
        let index = format!(r#"{{"manifests": [{{"mediaType": "{kind}", "digest": "{inner}"}}]}}"#);
        member(&mut builder, "index.json", index.as_bytes());
        read_wanted(&builder.into_inner().expect("tar"), wanted).map_err(|error| format!("{error:#}"))
    };
    let all = &["arm64", "386", "unknown", "amd64", "unknown"][..];
    for (platforms, wanted, architecture) in [
        (all, None, "amd64"),
        (all, Some(Platform::Amd64), "amd64"),
        (all, Some(Platform::I386), "386"),
        (&["386", "arm64"], None, "386"),
        (&["amd64", "unknown"], None, "amd64"),
    ] {
        let image = build(platforms, wanted).expect("image");
        is_right(&image);
        assert_eq!(image.config.labels["for"], architecture);
    }
    let i386 = Some(Platform::I386);
    for (platforms, wanted, expected) in [
        (
            &["arm64", "s390x"][..],
            None,
            "images for linux/arm64, linux/s390x only: build or pull it with --platform linux/amd64",
        ),
        (
            &["arm64", "amd64"],
            i386,
            "images for linux/arm64, linux/amd64 only: build or pull it with --platform linux/386",
        ),
        (&["arm64", "unknown"], None, "the image is for linux/arm64: build or pull it with --platform linux/amd64 or"),
        (&["amd64"], i386, "the image is for linux/amd64: build or pull it with --platform linux/386"),
        (&["amd64", "amd64"], None, "2 images for linux/amd64; save one at a time"),
        (&["undescribed", "undescribed"], None, "2 images and does not say what they are for; save one at a time"),
        (&["unknown"], None, "the archive has no images"),
    ] {
        let error = build(platforms, wanted).err().expect("refused");
        assert!(error.contains(expected), "{error}");
    }
}

/// What `docker save` wrote until version 24: a directory for each layer, where a layer that several images share is a link;
/// and since version 25: an OCI layout with an attestation, beside which `manifest.json` names the same blobs.
#[test]
fn what_docker_saves_old_and_new() {
    let mut old = Builder::new(Vec::new());
    let [first, second] = layers();
    member(&mut old, "first.tar", &first);
    for (name, to) in [("a/layer.tar", "../first.tar"), ("b/layer.tar", "../b/second.tar")] {
        let mut link = Header::new_gnu();
        link.set_entry_type(tar::EntryType::Symlink);
        link.set_size(0);
        old.append_link(&mut link, name, to).expect("appended");
    }
    member(&mut old, "b/second.tar", &second);
    member(&mut old, "a/json", b"{}");
    member(&mut old, "config.json", CONFIG.as_bytes());
    let manifest_json = |config: &str, layers: [&str; 2]| {
        let [first, second] = layers;
        format!(r#"[{{"Config": "{config}", "RepoTags": null, "Layers": ["{first}", "{second}"]}}]"#)
    };
    member(&mut old, "manifest.json", manifest_json("config.json", ["a/layer.tar", "b/layer.tar"]).as_bytes());
    member(&mut old, "repositories", b"{}");
    is_right(&read(&old.into_inner().expect("tar")).expect("the old form"));

    let mut new = Builder::new(Vec::new());
    let image = manifest(&mut new, CONFIG, &layers());
    let attestation = manifest(&mut new, "{}", &[]);
    let described = |digest: &str, architecture: &str, os: &str| {
        format!(r#"{{"digest": "{digest}", "platform": {{"architecture": "{architecture}", "os": "{os}"}}}}"#)
    };
    let manifests = [described(&image, "amd64", "linux"), described(&attestation, "unknown", "unknown")].join(",");
    member(&mut new, "index.json", format!(r#"{{"manifests": [{manifests}]}}"#).as_bytes());
    member(&mut new, "oci-layout", br#"{"imageLayoutVersion": "1.0.0"}"#);
    let path = |bytes: &[u8]| blob(&mut Builder::new(Vec::new()), bytes).replace("sha256:", "blobs/sha256/");
    let [first, second] = layers().map(|layer| path(&layer));
    let beside = manifest_json(&path(CONFIG.as_bytes()), [&first, &second]);
    let with_both = {
        let mut both = Builder::new(new.get_ref().clone());
        member(&mut both, "manifest.json", beside.as_bytes());
        both.into_inner().expect("tar")
    };
    is_right(&read(&with_both).expect("the new form"));
    is_right(&read(&new.into_inner().expect("tar")).expect("the same without Docker's own manifest"));
}

#[test]
fn blobs_are_what_their_names_say() {
    let archive = oci_archive_of(CONFIG, &layers());
    let at = archive.windows(8).position(|bytes| bytes == b"01234560").expect("the layer");
    let mut damaged = archive.clone();
    damaged[at + 1] ^= 1;
    let error = read(&damaged).err().expect("refused");
    assert!(format!("{error:#}").contains("is damaged"), "{error:#}");
    for digest in ["sha256:../../etc/passwd", "md5:00", "sha256:00", "sha512:"] {
        let mut builder = Builder::new(Vec::new());
        member(&mut builder, "index.json", format!(r#"{{"manifests": [{{"digest": "{digest}"}}]}}"#).as_bytes());
        let error = read(&builder.into_inner().expect("tar")).err().expect("refused");
        assert!(format!("{error:#}").contains("no SHA-256 digest"), "{error:#}");
    }
}

/// A layer of one file with extended headers.
pub fn with_records(records: &[(&str, &[u8])]) -> anyhow::Result<Tree> {
    let mut builder = Builder::new(Vec::new());
    builder.append_pax_extensions(records.iter().copied()).expect("appended");
    let mut header = Header::new_ustar();
    header.set_size(1);
    header.set_mode(0o600);
    header.set_uid(1);
    header.set_gid(1);
    header.set_mtime(5);
    builder.append_data(&mut header, "file", &b"x"[..]).expect("appended");
    let file = tempfile::NamedTempFile::new()?;
    std::fs::write(file.path(), builder.into_inner()?)?;
    let mut tree = Tree::new();
    layers::apply(&mut tree, &Section::of_file(std::fs::File::open(file.path())?)?)?;
    Ok(tree)
}

#[test]
fn extended_headers() {
    let long = "d".repeat(200) + "/" + &"n".repeat(255);
    let tree = with_records(&[
        ("path", long.as_bytes()),
        ("uid", b"4000000000"),
        ("gid", b"70000"),
        ("mtime", b"-1.5"),
        ("SCHILY.xattr.user.colour", b"r\0d"),
        ("comment", b"nobody asks"),
    ]);
    let tree = tree.expect("a layer");
    let node = tree.node(tree.find(long.as_bytes()).expect("the file"));
    assert!(matches!(node.content, Content::File(_)));
    let metadata = &node.metadata;
    assert_eq!((metadata.uid, metadata.gid, metadata.mtime_s), (4_000_000_000, 70_000, -2));
    assert_eq!(metadata.xattrs[&b"user.colour"[..]], b"r\0d");
    let time = |mtime: &str| {
        let tree = with_records(&[("mtime", mtime.as_bytes())]).ok()?;
        Some(tree.node(tree.find(b"file")?).metadata.mtime_s)
    };
    assert_eq!(
        [time("1700000000.999"), time("-3.000"), time("7"), time("x")],
        [Some(1_700_000_000), Some(-3), Some(7), None]
    );
    assert!(with_records(&[("GNU.sparse.major", b"1")]).is_err(), "a file with holes is not what it seems");
    assert!(with_records(&[("uid", b"5000000000")]).is_err());
}
