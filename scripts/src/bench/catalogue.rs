//! Start-up figures and real programs.

use std::fs;
use std::path::Path;

use super::kit::{Kit, PACKED_TEXT, PLAIN_TEXT};
use super::task::{Command, Group, Task, What};
use anyhow::Result;

/// How often /bin/true is started to know how often it can be in a second.
const STARTS: u32 = 100;

/// Starting programs.
pub fn start_up() -> Vec<Task> {
    // Qemu runs single processes: what they start is to be given to it again.
    let script = format!("for ((i = 0; i < {STARTS}; i++)); do $LAUNCH /bin/true; done");
    let starts = Command { argv: words(&["bash", "-c", &script]), starts: Some(STARTS), ..Command::default() };
    vec![
        task("bash -c :", Group::Start, simple(&["bash", "-c", ":"])),
        task(&format!("{STARTS} × /bin/true"), Group::Start, starts),
        task("python3 -c pass", Group::Start, simple(&["python3", "-c", "pass"])),
    ]
}

/// Programs people use, and their files staged. `root` has the image's files.
pub fn programs(kit: &Kit, root: Option<&Path>) -> Result<Vec<Task>> {
    for source in ["work.py", "work.pl", "work.sql", "bench.c"] {
        kit.stage(source)?;
    }
    kit.stage_texts()?;
    let packed = format!("/tmp/{PACKED_TEXT}");
    let program = |name: &str, argv: &[&str], file: &str, result: &str| {
        let check = if result.is_empty() { Vec::new() } else { words(&["cksum", result]) };
        let command = Command { argv: words(argv), files: vec![file.into()], check, ..Command::default() };
        task(name, Group::Program, command)
    };
    let compiler = root.and_then(compiler).unwrap_or("/usr/lib/gcc/x86_64-linux-gnu/12/cc1".into());
    // The compiler proper: qemu would not follow the driver into it.
    let compile = [&compiler, "-quiet", "-imultiarch", "x86_64-linux-gnu", "-O2", "/tmp/bench.c", "-o", "/tmp/bench.s"];
    let gzip = ["gzip", "-kfn6", "-S", ".packed", &format!("/tmp/{PLAIN_TEXT}")];
    Ok(vec![
        program("python3", &["python3", "/tmp/work.py"], "work.py", ""),
        program("perl", &["perl", "/tmp/work.pl"], "work.pl", ""),
        program("gzip", &gzip, PLAIN_TEXT, &format!("/tmp/{PLAIN_TEXT}.packed")),
        program("gunzip", &["gzip", "-dkf", &packed], PACKED_TEXT, packed.trim_end_matches(".gz")),
        program("sqlite3", &["sqlite3", ":memory:", ".read /tmp/work.sql"], "work.sql", ""),
        program("gcc", &compile, "bench.c", "/tmp/bench.s"),
        task("find", Group::Program, simple(&["find", "/usr", "-path", "*/linux/limits.h"])),
        task("git status", Group::Program, simple(&["git", "-C", "/srv/repository", "status", "--short"])),
    ])
}

/// A command given by the user.
pub fn command(argv: &[String]) -> Task {
    let command = Command { argv: argv.to_vec(), may_fail: true, ..Command::default() };
    task(&argv.join(" "), Group::Command, command)
}

fn task(name: &str, group: Group, command: Command) -> Task {
    Task { name: name.into(), group, what: What::Command(command) }
}

fn simple(argv: &[&str]) -> Command {
    Command { argv: words(argv), ..Command::default() }
}

fn words(argv: &[&str]) -> Vec<String> {
    argv.iter().map(|&word| word.to_owned()).collect()
}

/// The C compiler proper of an image: its path has the compiler's version in it.
fn compiler(root: &Path) -> Option<String> {
    let directory = "usr/lib/gcc/x86_64-linux-gnu";
    let versions = fs::read_dir(root.join(directory)).ok()?;
    let found = versions.flatten().find(|version| version.path().join("cc1").exists())?;
    Some(format!("/{directory}/{}/cc1", found.file_name().display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compilers_are_found() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(compiler(root.path()), None);
        let directory = root.path().join("usr/lib/gcc/x86_64-linux-gnu/13");
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join("cc1"), "").unwrap();
        assert_eq!(compiler(root.path()), Some("/usr/lib/gcc/x86_64-linux-gnu/13/cc1".into()));
    }

    #[test]
    fn commands_have_their_words_for_a_name() {
        let argv: Vec<String> = vec!["ls".into(), "-l".into()];
        let task = command(&argv);
        assert_eq!(task.name, "ls -l");
        assert!(matches!(task.what, What::Command(command) if command.argv == argv && command.may_fail));
    }
}
