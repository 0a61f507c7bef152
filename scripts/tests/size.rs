//! Images of 20 GB: packed within bounded memory, whatever is in them. Disks of a terabyte: made, opened and used.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Command, Output};

use disk::directory::{chunk_path, manifest_path};
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

/// Runs the tool, within bounded memory, until it has succeeded.
fn edgebox(directory: &Path, args: &[&str]) -> Output {
    let limited = format!("ulimit -v {ADDRESS_SPACE_KIB} && exec \"$@\"");
    let mut command = Command::new("sh");
    command.args(["-c", &limited, "sh", env!("CARGO_BIN_EXE_edgebox"), "--build-dir", "build"]).args(args);
    let output = command.current_dir(directory).output().expect("started");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output
}

#[test]
fn twenty_gigabytes_are_packed_in_bounded_memory() {
    let directory = tempfile::tempdir().expect("directory");
    write_archive(&directory.path().join("large.tar"));
    edgebox(directory.path(), &["image", "large.tar"]);

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

/// Looks at the disk it is on, and uses it.
const PROGRAM: &str = r#"
#include <stdio.h>
#include <sys/statvfs.h>

int main(void)
{
	struct statvfs disk;
	char line[16] = "";
	FILE *file = fopen("/file", "w+");
	if (statvfs("/", &disk) || !file || fputs("kept", file) < 0 || fseek(file, 0, SEEK_SET) || !fgets(line, 16, file))
		return 1;
	printf("%d TiB free, %s\n", (int)(disk.f_bavail * disk.f_frsize >> 40), line);
	return 0;
}
"#;

/// A file system of a terabyte, nearly all of it free, in less than 2 MB: opening it costs little, and it works.
#[test]
fn a_terabyte_is_made_opened_and_used() {
    let directory = tempfile::tempdir().expect("directory");
    let path = directory.path();
    std::fs::create_dir(path.join("root")).expect("directory");
    std::fs::write(path.join("program.c"), PROGRAM).expect("written");
    let compiler =
        Command::new("musl-gcc").args(["-static", "-o", "root/program", "program.c"]).current_dir(path).output();
    let compiler = compiler.expect("musl-gcc");
    assert!(compiler.status.success(), "{}", String::from_utf8_lossy(&compiler.stderr));
    edgebox(path, &["image", "root", "-t", "terabyte", "--free", "1048576"]);

    let store = path.join("build/disk");
    let manifest = DirectorySource::new(&store).manifest("terabyte").expect("manifest");
    assert!(manifest.layout.size_bytes() > 1 << 40);
    let size = |path: &Path| std::fs::metadata(store.join(path)).expect("a file of the store").len();
    let opening = size(&manifest_path("terabyte")) + size(&chunk_path(&manifest.index_root));
    assert!(opening < 100_000, "{opening} bytes for manifest and root page");
    let all: u64 = objects(&store.join("chunks"));
    assert!(all < 2_000_000, "{all} bytes");

    let mut vm = Command::new(env!("CARGO_BIN_EXE_edgebox"));
    vm.args(["--build-dir", "build", "vm", "--image", "terabyte", "--", "/program"]).current_dir(path);
    let output = vm.output().expect("started");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "1 TiB free, kept\n", "{output:?}");
}

/// Bytes of all files below a directory.
fn objects(directory: &Path) -> u64 {
    let entries = std::fs::read_dir(directory).expect("a directory").map(|entry| entry.expect("an entry"));
    let size = |entry: std::fs::DirEntry| match entry.metadata().expect("metadata") {
        status if status.is_dir() => objects(&entry.path()),
        status => status.len(),
    };
    entries.map(size).sum()
}
