//! The whole way from a Dockerfile to a disk, by the tool itself and the builder that is here.

use std::path::Path;
use std::process::{Command, Output};

use disk::{BlockDevice, DirectorySource, Disk};

/// A base nobody can pull, so that the one supplied is used.
const BASE: &str = "edgebox-test-base:1";

const DOCKERFILE: &str = "FROM edgebox-test-base:1\n\
    COPY hello.txt /srv/hello.txt\n\
    ENV GREETING=\"h\u{e9}llo \u{1f642}\"\n\
    LABEL maker=test\n\
    USER 1000:1000\n\
    WORKDIR /srv\n\
    ENTRYPOINT [\"/bin/prog\"]\n\
    CMD [\"an argument\"]\n";

fn write(path: &Path, bytes: &[u8]) {
    std::fs::write(path, bytes).expect("written");
}

/// A root file system with a setuid program and a link to it.
fn base_tar() -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_mode(0o4755);
    header.set_size(4);
    header.set_mtime(1_000_000_000);
    builder.append_data(&mut header, "bin/prog", &b"prog"[..]).expect("appended");
    header.set_entry_type(tar::EntryType::Link);
    header.set_size(0);
    builder.append_link(&mut header, "bin/same", "bin/prog").expect("appended");
    builder.into_inner().expect("tar")
}

fn edgebox(directory: &Path, args: &[&str]) -> Output {
    let build = directory.join("build");
    let mut command = Command::new(env!("CARGO_BIN_EXE_edgebox"));
    command.current_dir(directory).arg("--build-dir").arg(build).args(args).output().expect("started")
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn debugfs(image: &Path, request: &str) -> String {
    let output = Command::new("debugfs").args(["-R", request]).arg(image).output().expect("debugfs");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn a_dockerfile_over_a_supplied_base() {
    let directory = tempfile::tempdir().expect("directory");
    let path = directory.path();
    std::fs::create_dir(path.join("context")).expect("directory");
    write(&path.join("context/tiny.Dockerfile"), DOCKERFILE.as_bytes());
    write(&path.join("context/hello.txt"), "h\u{e9}llo\n".as_bytes());
    write(&path.join("base.tar"), &base_tar());
    let base = format!("{BASE}=base.tar");
    let build = ["image", "context/tiny.Dockerfile", "--base", &base, "--free", "1"];

    let output = edgebox(path, &build);
    assert!(output.status.success(), "{}", said(&output));
    let again = edgebox(path, &build);
    assert!(said(&again).contains("up to date"), "{}", said(&again));

    let raw = path.join("build/images/tiny.ext2");
    let verdict = Command::new("e2fsck").args(["-f", "-n"]).arg(&raw).output().expect("e2fsck");
    assert!(verdict.status.success(), "{}", said(&verdict));
    assert_eq!(debugfs(&raw, "cat /srv/hello.txt"), "h\u{e9}llo\n");
    let program = debugfs(&raw, "stat /bin/same");
    assert!(program.contains("Mode:  04755") && program.contains("Links: 2"), "{program}");

    let source = DirectorySource::new(path.join("build/disk"));
    let manifest = source.manifest("tiny").expect("manifest");
    assert_eq!(manifest.config.command(), ["/bin/prog", "an argument"]);
    assert!(manifest.config.env.contains(&"GREETING=h\u{e9}llo \u{1f642}".to_owned()), "{:?}", manifest.config.env);
    assert_eq!((manifest.config.user.as_str(), manifest.config.workdir.as_str()), ("1000:1000", "/srv"));
    assert_eq!(manifest.config.labels.get("maker").map(String::as_str), Some("test"));

    let raw = std::fs::read(raw).expect("raw image");
    let mut disk = Disk::new(&manifest, source);
    assert_eq!(disk.size_bytes(), raw.len() as u64);
    let mut chunk = vec![0; 1 << 20];
    for (position, expected) in raw.chunks(chunk.len()).enumerate() {
        let got = &mut chunk[..expected.len()];
        disk.read((position << 20) as u64, got).expect("read");
        assert!(got == expected, "MiB {position}");
    }

    // The same layers once more: the same bytes.
    let output = edgebox(path, &["image", "--force", "context/tiny.Dockerfile", "--free", "1"]);
    assert!(output.status.success() && said(&output).contains(" 0 of them new"), "{}", said(&output));
}

fn manifest(directory: &Path, build: &str, name: &str) -> Vec<u8> {
    let path = directory.join(build).join(format!("disk/manifests/{name}.json"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", said(&output));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// A real builder's layers, saved in all the forms it knows, make one and the same image, whenever and wherever.
#[test]
fn the_same_layers_make_the_same_image_in_every_form() {
    let directory = tempfile::tempdir().expect("directory");
    let path = directory.path();
    write(&path.join("base.tar"), &base_tar());
    std::fs::create_dir(path.join("tree")).expect("directory");
    write(&path.join("tree/large"), &b"a large file\n".repeat(100_000));
    std::os::unix::fs::symlink("large", path.join("tree/link")).expect("link");
    let dockerfile = "FROM scratch\nADD base.tar /\nCOPY tree /srv/tree\nCOPY base.tar /srv/\nCMD [\"/bin/prog\"]\n";
    write(&path.join("Dockerfile"), dockerfile.as_bytes());
    let buildah =
        |args: &[&str]| run(Command::new("buildah").env("STORAGE_DRIVER", "vfs").current_dir(path).args(args));
    let tag = format!("edgebox-test-forms:{}", std::process::id());
    buildah(&["build", "--quiet", "--isolation", "chroot", "--layers", "--tag", &tag, "."]);
    for (file, target, options) in [
        ("docker.tar", "docker-archive:docker.tar", &[][..]),
        ("oci.tar", "oci-archive:oci.tar", &["--format", "oci"]),
        ("layout", "oci:layout", &["--format", "oci"]),
        ("zstd", "oci:zstd", &["--format", "oci", "--compression-format", "zstd"]),
    ] {
        buildah(&[&["push", "--quiet"], options, &[&tag, target]].concat());
        assert!(path.join(file).exists());
    }
    buildah(&["rmi", "--force", &tag]);
    run(Command::new("gzip").args(["--keep", "docker.tar"]).current_dir(path));
    let zstd = std::fs::read_dir(path.join("zstd/blobs/sha256")).expect("blobs");
    let is_zstd = |path: &Path| std::fs::read(path).expect("blob").starts_with(&[0x28, 0xb5, 0x2f, 0xfd]);
    assert!(
        zstd.filter(|blob| is_zstd(&blob.as_ref().expect("blob").path())).count() >= 2,
        "buildah did as it was told"
    );

    let first = edgebox(path, &["image", "docker.tar", "-t", "x"]);
    assert!(first.status.success(), "{}", said(&first));
    let expected = manifest(path, "build", "x");
    for (number, input) in ["docker.tar", "docker.tar.gz", "oci.tar", "layout", "zstd"].into_iter().enumerate() {
        let build = format!("other/{number}");
        let mut command = Command::new(env!("CARGO_BIN_EXE_edgebox"));
        command.current_dir(path).args(["--build-dir", &build, "image", input, "-t", "x"]);
        // Neither clock nor place nor order of files on this machine.
        run(command.env("TZ", "Pacific/Apia").env("LC_ALL", "C").env("SOURCE_DATE_EPOCH", "1"));
        assert!(manifest(path, &build, "x") == expected, "{input}");
    }
}

#[test]
fn mistakes_are_explained() {
    let directory = tempfile::tempdir().expect("directory");
    let path = directory.path();
    write(&path.join("none.Dockerfile"), b"FROM no-such-image-anywhere:1\n");
    write(&path.join("no.tar"), b"no tar");
    for (args, expected) in [
        (vec!["image", "none.Dockerfile"], "--base no-such-image-anywhere:1=TAR"),
        (vec!["image", "absent.Dockerfile"], "absent.Dockerfile"),
        (vec!["image", "no.tar"], "no.tar"),
        (vec!["image", "none.Dockerfile", "-t", "../x"], "can't name an image"),
        (vec!["pack", "no.tar", "-t", "x", "--quality", "12"], "levels 0 to 11"),
        (vec!["pack", "no.tar", "-t", "x", "--chunk-kib", "3"], "power of two"),
    ] {
        let output = edgebox(path, &args);
        assert!(!output.status.success() && said(&output).contains(expected), "{args:?}: {}", said(&output));
    }
}
