//! Programs run on this machine: with a limit on their time, and their output kept.

use std::ffi::OsStr;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::task::complaint;
use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process_group};

/// What a program that has ended left.
#[derive(Debug)]
pub struct Finished {
    /// As a shell has it: 128 + signal.
    pub status: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Finished {
    /// What it printed, if it succeeded.
    pub fn text(&self) -> Result<&str> {
        if self.status != 0 {
            bail!("status {}: {}", self.status, complaint(&self.stderr));
        }
        Ok(&self.stdout)
    }
}

/// How often a running program is looked after.
const POLL: Duration = Duration::from_millis(2);

/// Runs `command` to its end; everything it has started ends with it after `limit`.
pub fn run(command: &mut Command, limit: Duration) -> Result<Finished> {
    let (mut stdout, mut stderr) = (tempfile::tempfile()?, tempfile::tempfile()?);
    command.stdin(Stdio::null()).stdout(stdout.try_clone()?).stderr(stderr.try_clone()?).process_group(0);
    let program = command.get_program().display().to_string();
    let mut child = command.spawn().with_context(|| format!("can't run {program}"))?;
    let deadline = Instant::now() + limit;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if Instant::now() > deadline {
            if let Some(group) = Pid::from_raw(child.id().cast_signed()) {
                let _ = kill_process_group(group, Signal::KILL);
            }
            child.wait()?;
            bail!("took more than {} s", limit.as_secs());
        }
        sleep(POLL);
    };
    let status = status.code().or_else(|| Some(128 + status.signal()?)).unwrap_or(-1);
    Ok(Finished { status, stdout: read_all(&mut stdout)?, stderr: read_all(&mut stderr)? })
}

/// What was written, as text; the page decodes what programs print in the same way.
fn read_all(file: &mut std::fs::File) -> Result<String> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(0))?;
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Programs run in the root file system of an image, and timed.
pub struct Chroot {
    /// `timed.c`, compiled.
    pub timed: PathBuf,
    pub root: PathBuf,
    /// Variables of the image.
    pub env: Vec<String>,
    pub limit: Duration,
}

/// What a program of an image left and took, wherever it ran.
pub struct Executed {
    pub status: i32,
    pub stdout: String,
    pub stderr: String,
    pub wall_us: f64,
    pub cpu_us: f64,
    /// See [`Run`](super::task::Run).
    pub tab_cpu_us: Option<f64>,
}

impl Chroot {
    /// Runs `argv` with `extra` variables besides the image's.
    pub fn run<S: AsRef<OsStr>>(&self, argv: &[S], extra: &[(&str, &str)]) -> Result<Executed> {
        let note = tempfile::NamedTempFile::new()?;
        let mut command = Command::new(&self.timed);
        command.arg(note.path()).arg(&self.root).args(argv).env_clear();
        command.env("HOME", "/root").envs(self.env.iter().filter_map(|variable| variable.split_once('=')));
        command.envs(extra.iter().copied());
        let Finished { status, stdout, stderr } = run(&mut command, self.limit)?;
        let noted = std::fs::read_to_string(note.path())?;
        let (wall_us, cpu_us) =
            parse_times(&noted).with_context(|| format!("timed.c failed: {}", complaint(&stderr)))?;
        Ok(Executed { status, stdout, stderr, wall_us, cpu_us, tab_cpu_us: None })
    }

    /// The path of `program` in the root file system, as a shell would find it.
    pub fn find(&self, program: &str) -> Option<String> {
        find(&self.root, &self.env, program)
    }
}

fn parse_times(text: &str) -> Option<(f64, f64)> {
    let (wall, cpu) = text.trim().split_once(' ')?;
    Some((wall.parse().ok()?, cpu.parse().ok()?))
}

/// Where programs are if the image does not say.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

fn find(root: &Path, env: &[String], program: &str) -> Option<String> {
    if program.contains('/') {
        return exists(root, program).then(|| program.into());
    }
    let path = env.iter().find_map(|variable| variable.strip_prefix("PATH=")).unwrap_or(PATH);
    path.split(':').map(|directory| format!("{directory}/{program}")).find(|candidate| exists(root, candidate))
}

/// Links count as they are: absolute ones point elsewhere outside the image.
fn exists(root: &Path, path: &str) -> bool {
    root.join(path.trim_start_matches('/')).symlink_metadata().is_ok_and(|status| !status.is_dir())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(20);

    fn shell(script: &str) -> Command {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn output_and_status() {
        let finished = run(&mut shell("echo out; echo err >&2; exit 3"), LIMIT).unwrap();
        assert_eq!((finished.status, finished.stdout.as_str()), (3, "out\n"));
        assert_eq!(finished.text().unwrap_err().to_string(), "status 3: err");
    }

    #[test]
    fn signals() {
        assert_eq!(run(&mut shell("kill -9 $$"), LIMIT).unwrap().status, 128 + 9);
    }

    #[test]
    fn a_limit_ends_children_too() {
        let start = Instant::now();
        let error = run(&mut shell("sleep 100 & sleep 100"), Duration::from_millis(50)).unwrap_err();
        assert!(error.to_string().starts_with("took more than"), "{error}");
        assert!(start.elapsed() < LIMIT);
    }

    #[test]
    fn times() {
        assert_eq!(parse_times("12 3\n"), Some((12.0, 3.0)));
        assert_eq!(parse_times(""), None);
    }

    #[test]
    fn programs_are_found_in_the_root() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("usr/bin")).unwrap();
        std::os::unix::fs::symlink("/nowhere", root.path().join("usr/bin/tool")).unwrap();
        let env = ["PATH=/bin:/usr/bin".to_owned()];
        assert_eq!(find(root.path(), &env, "tool"), Some("/usr/bin/tool".into()));
        assert_eq!(find(root.path(), &[], "/usr/bin/tool"), Some("/usr/bin/tool".into()));
        assert_eq!(find(root.path(), &env, "sh"), None);
    }
}
