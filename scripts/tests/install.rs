//! Installing what is missing: several of us at a time, as tests and terminals do it, do not get in each other's way.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A package manager that can't be run twice at a time, as `apt-get update` can't.
const APT_GET: &str = r#"#!/bin/sh
PATH=/usr/bin:/bin
mkdir "$TEST_DIR/running" || { echo "E: Could not get lock" >&2; exit 100; }
echo "$*" >> "$TEST_DIR/installed"
sleep 1
ln "$TEST_DIR/buildah" "$TEST_DIR/bin/buildah"
rmdir "$TEST_DIR/running"
"#;

/// Runs what it is asked to: `sudo -n COMMAND`.
const SUDO: &str = "#!/bin/sh\nshift\nexec \"$@\"\n";

/// Works, but has no image and can't pull any.
const BUILDAH: &str = "#!/bin/sh\n[ \"$1\" = info ]\n";

fn program(path: &Path, text: &str) {
    std::fs::write(path, text).expect("written");
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).expect("made executable");
}

/// Starts a build that needs buildah, with no programs but those in `directory/bin`.
fn start_build(directory: &Path, build: &str) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_edgebox"));
    command.current_dir(directory).args(["--build-dir", build, "image", "none.Dockerfile"]);
    command.env("PATH", directory.join("bin")).env("TEST_DIR", directory);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("started")
}

#[test]
fn two_that_need_the_same_package_install_it_once() {
    let directory = tempfile::tempdir().expect("directory");
    let path = directory.path();
    std::fs::create_dir(path.join("bin")).expect("directory");
    program(&path.join("bin/apt-get"), APT_GET);
    program(&path.join("bin/sudo"), SUDO);
    program(&path.join("buildah"), BUILDAH);
    std::fs::write(path.join("none.Dockerfile"), "FROM no-such-image-anywhere:1\n").expect("written");

    for build in ["one", "two"].map(|build| start_build(path, build)) {
        let output = build.wait_with_output().expect("ended");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("--base no-such-image-anywhere:1=TAR"), "{said}");
    }
    let installed = std::fs::read_to_string(path.join("installed")).expect("something was installed");
    assert_eq!(installed.lines().count(), 1, "{installed}");
    assert!(installed.trim_end().ends_with(" --no-install-recommends buildah"), "{installed}");
}
