//! Images of 20 GB: packed within bounded memory, whatever is in them.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;

use disk::{BlockDevice, DirectorySource, Disk};

/// Address space that packing may take, in KiB: program, stacks and allocator take most of it. What grows with the image is
/// 250 bytes for each file, 4 for each block of the file that is being written, 32 for each chunk.
const ADDRESS_SPACE_KIB: u64 = 512 << 10;

const LARGE_FILES: u64 = 10;
const LARGE_FILE_BYTES: u64 = 2 << 30;
const SMALL_FILES: u64 = 100_000;

const CONFIG: &str = r#"{"architecture": "amd64", "config": {"Cmd": ["/bin/sh"]}}"#;
const MANIFEST: &str = r#"[{"Config": "config.json", "Layers": ["layer.tar"]}]"#;

/// Writes a tar file with holes for what is zero.
struct SparseTar {
    file: File,
    position: u64,
}

impl SparseTar {
    fn header(&mut self, path: &str, len: u64) {
        let mut header = tar::Header::new_gnu();
        header.set_path(path).expect("path");
        header.set_size(len);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(1_700_000_000);
        header.set_cksum();
        self.file.write_all_at(header.as_bytes(), self.position).expect("written");
        self.position += 512;
    }

    fn member(&mut self, path: &str, bytes: &[u8]) {
        self.header(path, bytes.len() as u64);
        self.file.write_all_at(bytes, self.position).expect("written");
        self.position += (bytes.len() as u64).next_multiple_of(512);
    }
}

/// An image archive with one layer of 20 GB, nearly all of it zeros.
fn write_archive(path: &Path) {
    let file = File::create(path).expect("file");
    let mut tar = SparseTar { file, position: 0 };
    tar.member("manifest.json", MANIFEST.as_bytes());
    tar.member("config.json", CONFIG.as_bytes());
    let layer_header = tar.position;
    tar.position += 512;
    let layer = tar.position;
    for number in 0..LARGE_FILES {
        tar.header(&format!("srv/large-{number}"), LARGE_FILE_BYTES);
        for gigabyte in 0..2 {
            let text = format!("gigabyte {gigabyte} of file {number}");
            tar.file.write_all_at(text.as_bytes(), tar.position + (gigabyte << 30) + 12_345).expect("written");
        }
        tar.position += LARGE_FILE_BYTES;
    }
    for number in 0..SMALL_FILES {
        tar.member(&format!("usr/{}/{number}", number % 100), &number.to_le_bytes());
    }
    let end = tar.position + 1024;
    tar.position = layer_header;
    tar.header("layer.tar", end - layer);
    tar.file.set_len(end.next_multiple_of(512) + 1024).expect("length");
}

#[test]
fn twenty_gigabytes_are_packed_in_bounded_memory() {
    let directory = tempfile::tempdir().expect("directory");
    write_archive(&directory.path().join("large.tar"));
    let limited = format!("ulimit -v {ADDRESS_SPACE_KIB} && exec \"$@\"");
    let mut command = Command::new("sh");
    command.args(["-c", &limited, "sh", env!("CARGO_BIN_EXE_edgebox"), "--build-dir", "build", "image", "large.tar"]);
    let output = command.current_dir(directory.path()).output().expect("started");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    let source = DirectorySource::new(directory.path().join("build/disk"));
    let manifest = source.manifest("large").expect("manifest");
    let mut disk = Disk::new(&manifest, source);
    assert!(disk.size_bytes() > LARGE_FILES * LARGE_FILE_BYTES);
    disk.read(1024, &mut [0; 1024]).expect("the superblock");
    let raw = directory.path().join("build/images/large.ext2");
    let cat = |path: &str, offset: u64| {
        let inode = Command::new("debugfs").args(["-R", &format!("bmap {path} {}", offset / 4096)]).arg(&raw).output();
        let block: u64 = String::from_utf8_lossy(&inode.expect("debugfs").stdout).trim().parse().expect("a block");
        let mut bytes = [0; 24];
        disk.read(block * 4096 + offset % 4096, &mut bytes).expect("read");
        String::from_utf8_lossy(&bytes).trim_end_matches('\0').to_owned()
    };
    let mut cat = cat;
    assert_eq!(cat("/srv/large-7", (1 << 30) + 12_345), "gigabyte 1 of file 7");
    let verdict = Command::new("e2fsck").args(["-f", "-n"]).arg(&raw).output().expect("e2fsck");
    assert!(verdict.status.success(), "{}", String::from_utf8_lossy(&verdict.stdout));
}
