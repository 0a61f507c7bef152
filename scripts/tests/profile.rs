//! Boot profiles, by the tool itself: an image is booted when it is made, the same way each time.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use disk::{DirectorySource, Manifest};

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn busybox() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut files = std::env::split_paths(&path).map(|directory| directory.join("busybox"));
    files.find(|file| file.is_file()).expect("busybox is not installed: run ./scripts/test")
}

fn append(archive: &mut tar::Builder<Vec<u8>>, path: &str, bytes: &[u8]) {
    let mut header = tar::Header::new_gnu();
    header.set_mode(0o755);
    header.set_size(bytes.len() as u64);
    header.set_mtime(1_000_000_000);
    header.set_uid(0);
    header.set_gid(0);
    archive.append_data(&mut header, path, bytes).expect("appended");
}

/// An image as `docker save` writes it: busybox as a shell, and `command`.
fn write_archive(path: &Path, command: &[&str], label: &str) {
    let mut layer = tar::Builder::new(Vec::new());
    append(&mut layer, "bin/sh", &std::fs::read(busybox()).expect("busybox"));
    // Another program: the same code, in other blocks.
    append(&mut layer, "bin/uname", &std::fs::read(busybox()).expect("busybox"));
    append(&mut layer, "etc/greeting", b"hello\n");
    append(&mut layer, "usr/lib/unused", &vec![7; 1 << 20]);
    let config = serde_json::json!({
        "architecture": "amd64", "os": "linux", "config": { "Cmd": command, "Labels": { "edgebox.profile": label } },
        "rootfs": { "type": "layers", "diff_ids": [] },
    });
    let manifest = serde_json::json!([{ "Config": "config.json", "RepoTags": null, "Layers": ["layer.tar"] }]);
    let mut archive = tar::Builder::new(Vec::new());
    append(&mut archive, "layer.tar", &layer.into_inner().expect("layer"));
    append(&mut archive, "config.json", config.to_string().as_bytes());
    append(&mut archive, "manifest.json", manifest.to_string().as_bytes());
    std::fs::write(path, archive.into_inner().expect("archive")).expect("written");
}

/// Makes the image `box`; returns its manifest, and what the tool said.
fn image(directory: &Path, build: &str, options: &[&str]) -> (Manifest, String) {
    let build = directory.join(build);
    let mut tool = Command::new(env!("CARGO_BIN_EXE_edgebox"));
    tool.current_dir(directory).arg("--build-dir").arg(&build);
    let output = tool.args(["image", "box.tar", "--free", "1"]).args(options).output().expect("started");
    assert!(output.status.success(), "{}", said(&output));
    (DirectorySource::new(build.join("disk")).manifest("box").expect("manifest"), said(&output))
}

#[test]
fn the_same_image_has_the_same_profile() {
    let directory = tempfile::tempdir().expect("directory");
    let path = directory.path();
    // Random numbers, process ids and the time decide what it reads and how.
    let script =
        "for n in 1 2 3; do (cat /etc/greeting; echo $$ $RANDOM; date +%N) > /tmp/$RANDOM & done; wait; read line";
    write_archive(&path.join("box.tar"), &["/bin/sh", "-c", script], "uname -a; absent; sh");
    let (first, text) = image(path, "a", &[]);
    assert!(text.contains("its boot reads") && text.contains("uname -a reads"), "{text}");
    assert!(
        text.contains("no profile of \"absent\"") && text.contains("no profile of \"sh\": its boot has it"),
        "{text}"
    );
    let (of_boot, of_programs): (Vec<_>, Vec<_>) = first.packs.iter().partition(|pack| pack.on.is_none());
    let blocks: u64 = of_boot.iter().map(|pack| pack.blocks.count()).sum();
    assert!(blocks > 20 && blocks < 600, "{blocks} blocks: most of busybox and the tables, nothing of the unused file");
    let with_index: Vec<_> = of_boot.iter().map(|pack| pack.index.is_some()).collect();
    assert!(with_index.len() > 1 && with_index[0] && !with_index[1..].contains(&true), "{with_index:?}");
    let signs: Vec<_> = of_programs.iter().map(|pack| pack.on.expect("a block")).collect();
    assert!(signs.len() > 1 && of_programs[0].blocks.contains(signs[0]), "uname, from the beginning: {signs:?}");
    assert!(signs.iter().all(|on| *on == signs[0]), "and nothing else: {signs:?}");
    for pack in &first.packs {
        assert!(path.join("a/disk").join(disk::directory::chunk_path(&pack.digest)).exists());
    }
    assert_eq!(image(path, "b", &[]).0, first);
    let without = image(path, "a", &["--force", "--no-profile"]).0;
    assert_eq!(without, Manifest { packs: Vec::new(), ..first });
}

#[test]
fn commands_that_end_fail_or_never_wait() {
    for (command, is_profiled) in [
        (vec!["/bin/sh", "-c", "exit 3"], true),
        (vec!["/bin/sh", "-c", "kill -SEGV $$"], true),
        (vec!["/bin/sh", "-c", "sleep 1000"], true),
        (vec!["/bin/absent"], false),
        (vec![], false),
    ] {
        let directory = tempfile::tempdir().expect("directory");
        write_archive(&directory.path().join("box.tar"), &command, "");
        let (manifest, text) = image(directory.path(), "build", &[]);
        assert_eq!(!manifest.packs.is_empty(), is_profiled, "{command:?}: {text}");
        assert_eq!(text.contains("no boot profile"), !is_profiled, "{text}");
    }
}
