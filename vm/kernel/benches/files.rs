//! How long file operations take on an ext2 image in memory: `cargo bench -p kernel --bench files`.

#[path = "../tests/common/mod.rs"]
mod common;

use std::hint::black_box;
use std::time::Instant;

use common::{Disk, context, mke2fs, mount, retry};
use kernel::credentials::Credentials;
use kernel::vfs::{Access, At, OpenHow};

/// Runs `operation` for a while, and prints the time each run took.
fn measure(what: &str, mut operation: impl FnMut(u64)) {
    let mut count = 0;
    let start = Instant::now();
    while start.elapsed().as_millis() < 300 {
        for _ in 0..10 {
            operation(count);
            count += 1;
        }
    }
    println!("{what:48} {:10.3} µs", start.elapsed().as_nanos() as f64 / count as f64 / 1000.0);
}

fn main() {
    let tree = tempfile::tempdir().unwrap();
    let lib = tree.path().join("usr/lib/x86_64-linux-gnu");
    std::fs::create_dir_all(&lib).unwrap();
    for index in 0..3000 {
        std::fs::write(lib.join(format!("libsomething-{index}.so.{}", index % 7)), "x").unwrap();
    }
    std::fs::write(lib.join("libc.so.6"), vec![7; 2 << 20]).unwrap();
    let image = mke2fs(&["-b", "4096"], Some(tree.path()), "256M");
    let path = b"/usr/lib/x86_64-linux-gnu/libc.so.6";

    let disk = Disk::new(image);
    for (name, user) in [("root", Credentials::root()), ("user", Credentials::user(1000, 1000, vec![]))] {
        let vfs = mount(&disk);
        let root = vfs.root();
        let context = context(&root, &user);
        measure(&format!("resolve, {name}"), |_| drop(black_box(vfs.resolve(&context, At::cwd(path), true))));
        measure(&format!("resolve what isn't there, {name}"), |_| {
            let _ = black_box(vfs.resolve(&context, At::cwd(b"/usr/lib/x86_64-linux-gnu/libnone.so"), true));
        });
        let how = OpenHow { access: Access::READ, ..OpenHow::default() };
        measure(&format!("open, stat, read 832 bytes, {name}"), |_| {
            let file = vfs.open(&context, At::cwd(path), &how).unwrap().location;
            black_box(file.attributes().unwrap());
            file.read(0, &mut [0; 832]).unwrap();
        });
    }
    let user = Credentials::root();
    measure("mount, resolve, nothing cached", |_| {
        let vfs = mount(&disk);
        let root = vfs.root();
        drop(black_box(vfs.resolve(&context(&root, &user), At::cwd(path), true)));
    });
    let vfs = mount(&disk);
    let root = vfs.root();
    let context = context(&root, &user);
    measure("resolve another of 3000 files", |count| {
        let path = format!("/usr/lib/x86_64-linux-gnu/libmissing-{count}.so");
        let _ = black_box(vfs.resolve(&context, At::cwd(path.as_bytes()), true));
    });
    let dir = vfs.resolve(&context, At::cwd(b"/usr/lib/x86_64-linux-gnu"), true).unwrap();
    measure("read a directory of 3000 entries", |_| dir.read_dir(0, &mut |entry| black_box(entry).ino.0 != 0).unwrap());
    let file = vfs.resolve(&context, At::cwd(path), true).unwrap();
    let mut bytes = vec![1; 1 << 20];
    for len in [4096, 65536, 1 << 20] {
        measure(&format!("read {len} bytes"), |count| {
            file.read((count * len as u64) % (1 << 20), &mut bytes[..len]).unwrap();
        });
    }
    let how = OpenHow { access: Access::WRITE, create: Some(0o644), ..OpenHow::default() };
    let file = vfs.open(&context, At::cwd(b"/new"), &how).unwrap().location;
    for len in [100, 4096, 65536, 1 << 20] {
        measure(&format!("write {len} bytes, allocated"), |count| {
            file.write((count * len as u64) % (1 << 20), &bytes[..len]).unwrap();
        });
    }
    measure("write 1 MiB to a new file, remove it", |_| {
        let file = vfs.open(&context, At::cwd(b"/once"), &how).unwrap().location;
        file.write(0, &bytes).unwrap();
        drop(file);
        vfs.unlink(&context, At::cwd(b"/once")).unwrap();
    });
    measure("create, remove", |_| {
        drop(vfs.open(&context, At::cwd(b"/once"), &how).unwrap());
        vfs.unlink(&context, At::cwd(b"/once")).unwrap();
    });
    vfs.mkdir(&context, At::cwd(b"/many"), 0o755).unwrap();
    let start = Instant::now();
    for index in 0..5000 {
        drop(vfs.open(&context, At::cwd(format!("/many/file number {index}").as_bytes()), &how).unwrap());
    }
    println!("{:48} {:10.3} µs", "create, each of 5000 in a directory", start.elapsed().as_micros() as f64 / 5000.0);
    let start = Instant::now();
    for index in 0..5000 {
        retry(|| vfs.unlink(&context, At::cwd(format!("/many/file number {index}").as_bytes()))).unwrap();
    }
    println!("{:48} {:10.3} µs", "remove, each of 5000 in a directory", start.elapsed().as_micros() as f64 / 5000.0);
}
