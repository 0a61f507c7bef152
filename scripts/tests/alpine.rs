//! Alpine, as far as Debian's packages have it: the project's own Dockerfile over a supplied base of busybox and musl
//! builds, and boots in the engine.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// Not the real name: what is tested here must not be taken for Alpine later.
const BASE: &str = "edgebox-test-alpine:3.20";

/// Alpine's busybox has this, Debian's may not.
const ADDUSER: &str = r#"#!/bin/sh
# adduser -D -u UID -s SHELL NAME
echo "$6:x:$3:$3::/home/$6:$5" >> /etc/passwd
echo "$6:x:$3:" >> /etc/group
mkdir -p "/home/$6" && chown "$3:$3" "/home/$6"
"#;

/// Linked to musl dynamically: threads, long doubles, name lookup, and busybox as a child.
const PROGRAM: &str = r#"
#include <pthread.h>
#include <pwd.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

static void *square(void *argument)
{
	long number = (long)argument;
	return (void *)(number * number);
}

int main(void)
{
	pthread_t thread;
	void *squared;
	char line[64] = "";
	if (pthread_create(&thread, NULL, square, (void *)12L) || pthread_join(thread, &squared))
		return 1;
	FILE *pipe = popen("echo from busybox | tr a-z A-Z; exit 5", "r");
	if (!pipe || !fgets(line, sizeof line, pipe))
		return 2;
	int status = pclose(pipe);
	printf("%ld %.3Lf %s %d %s", (long)squared, 2.0L / 3, getpwuid(getuid())->pw_name, WEXITSTATUS(status), line);
	return 0;
}
"#;

fn output(command: &mut Command) -> Output {
    command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn find(program: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut files = std::env::split_paths(&path).map(|directory| directory.join(program));
    files.find(|file| file.is_file()).unwrap_or_else(|| panic!("{program} is not installed: run ./scripts/test"))
}

/// The shared libraries a program of the host names; none if it is linked statically.
fn libraries(program: &Path) -> Vec<PathBuf> {
    let listed = output(Command::new("ldd").arg(program));
    let text = String::from_utf8_lossy(&listed.stdout).into_owned();
    text.split_whitespace().filter(|word| word.starts_with('/')).map(PathBuf::from).collect()
}

fn compiled(directory: &Path) -> Vec<u8> {
    let (source, program) = (directory.join("program.c"), directory.join("program"));
    std::fs::write(&source, PROGRAM).expect("written");
    let compiler = output(Command::new("musl-gcc").arg("-o").args([&program, &source]));
    assert!(compiler.status.success(), "{}", said(&compiler));
    std::fs::read(program).expect("program")
}

/// A base image's root file system.
struct Base(tar::Builder<Vec<u8>>);

impl Base {
    fn add(&mut self, path: &str, mode: u32, bytes: &[u8]) {
        let mut header = tar::Header::new_gnu();
        header.set_mode(mode);
        header.set_size(bytes.len() as u64);
        self.0.append_data(&mut header, path, bytes).expect("appended");
    }

    fn copy(&mut self, host: &Path, path: &str) {
        self.add(path, 0o755, &std::fs::read(host).unwrap_or_else(|error| panic!("{}: {error}", host.display())));
    }

    fn link(&mut self, path: &str, to: &str) {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_size(0);
        self.0.append_link(&mut header, path, to).expect("appended");
    }
}

fn base_tar(directory: &Path) -> Vec<u8> {
    let mut base = Base(tar::Builder::new(Vec::new()));
    let busybox = find("busybox");
    base.copy(&busybox, "bin/busybox");
    for library in libraries(&busybox) {
        base.copy(&library, &library.to_string_lossy()[1..]);
    }
    let applets = output(Command::new(&busybox).arg("--list"));
    let applets: Vec<_> = std::str::from_utf8(&applets.stdout).expect("names").lines().collect();
    for applet in applets.iter().filter(|applet| !matches!(**applet, "busybox" | "adduser")) {
        base.link(&format!("bin/{applet}"), "/bin/busybox");
    }
    base.add("usr/sbin/adduser", 0o755, ADDUSER.as_bytes());
    base.copy(Path::new("/lib/ld-musl-x86_64.so.1"), "lib/ld-musl-x86_64.so.1");
    base.link("lib/libc.musl-x86_64.so.1", "ld-musl-x86_64.so.1");
    base.add("usr/bin/program", 0o755, &compiled(directory));
    base.add("etc/passwd", 0o644, b"root:x:0:0:root:/root:/bin/sh\n");
    base.add("etc/group", 0o644, b"root:x:0:\n");
    base.add("etc/alpine-release", 0o644, b"3.20.0\n");
    base.0.into_inner().expect("tar")
}

fn edgebox(directory: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_edgebox"));
    command.current_dir(directory).arg("--build-dir").arg(directory.join("build"));
    command
}

/// Runs the image's own command, fed with `script`.
fn login(directory: &Path, script: &str) -> Output {
    let mut command = edgebox(directory);
    command.args(["vm", "--image", "alpine-like"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("started");
    child.stdin.take().expect("a pipe").write_all(script.as_bytes()).expect("written");
    child.wait_with_output().expect("ended")
}

#[test]
fn alpine_builds_and_boots() {
    let directory = tempfile::tempdir().expect("directory");
    let path = directory.path();
    let real = Path::new(env!("CARGO_MANIFEST_DIR")).join("images/alpine.Dockerfile");
    let dockerfile = std::fs::read_to_string(real).expect("Dockerfile");
    assert!(dockerfile.contains("FROM alpine:3.20\n"), "{dockerfile}");
    let dockerfile = dockerfile.replace("FROM alpine:3.20\n", &format!("FROM {BASE}\n"));
    std::fs::create_dir(path.join("context")).expect("directory");
    std::fs::write(path.join("context/alpine-like.Dockerfile"), dockerfile).expect("written");
    std::fs::write(path.join("base.tar"), base_tar(path)).expect("written");

    let base = format!("{BASE}=base.tar");
    let built = output(edgebox(path).args(["image", "context/alpine-like.Dockerfile", "--base", &base, "--free", "1"]));
    assert!(built.status.success(), "{}", said(&built));

    // Who, where and in which language is the Dockerfile's; the shell reads its profile as the command says.
    let script = "id -un; pwd; echo $LANG $0; cat /etc/alpine-release; seq 100 | grep 7 | sort -rn | head -n 2\n\
                  program; exit 3\n";
    let outcome = login(path, script);
    let expected = "user\n/home/user\nC.UTF-8 /bin/sh\n3.20.0\n97\n87\n144 0.667 user 5 FROM BUSYBOX\n";
    assert_eq!((said(&outcome).as_str(), outcome.status.code()), (expected, Some(3)));

    // The dynamic linker is a program, too.
    let linker = ["vm", "--image", "alpine-like", "--user", "root", "--", "/lib/ld-musl-x86_64.so.1", "--list"];
    let listed = output(edgebox(path).args(linker).arg("/usr/bin/program"));
    assert!(listed.status.success() && said(&listed).contains("ld-musl-x86_64.so.1 (0x"), "{}", said(&listed));
}
