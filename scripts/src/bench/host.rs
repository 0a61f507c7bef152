//! Programs run on this machine: with a limit on their time, and their output kept.

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use super::task::{CpuTime, complaint};
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
    command.stdin(Stdio::null()).stdout(stdout.try_clone()?).stderr(stderr.try_clone()?);
    let mut child = spawn(command)?;
    let status = wait(&mut child, limit)?;
    Ok(Finished { status, stdout: read_all(&mut stdout)?, stderr: read_all(&mut stderr)? })
}

fn spawn(command: &mut Command) -> Result<Child> {
    let program = command.get_program().display().to_string();
    command.process_group(0).spawn().with_context(|| format!("can't run {program}"))
}

fn wait(child: &mut Child, limit: Duration) -> Result<i32> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status.code().or_else(|| Some(128 + status.signal()?)).unwrap_or(-1));
        }
        if Instant::now() > deadline {
            kill(child)?;
            bail!("took more than {} s", limit.as_secs());
        }
        sleep(POLL);
    }
}

/// Ends a program and all it has started.
fn kill(child: &mut Child) -> Result<()> {
    if let Some(group) = Pid::from_raw(child.id().cast_signed()) {
        let _ = kill_process_group(group, Signal::KILL);
    }
    child.wait()?;
    Ok(())
}

/// Runs a program that says READY now and then and waits for a line; returns its CPU time between those moments.
pub fn run_in_steps(command: &mut Command, limit: Duration) -> Result<(Finished, Vec<CpuTime>)> {
    let mut stderr = tempfile::tempfile()?;
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(stderr.try_clone()?);
    let mut child = spawn(command)?;
    let (Some(mut input), Some(output)) = (child.stdin.take(), child.stdout.take()) else { bail!("no pipes") };
    let pid = child.id();
    let steps = thread::spawn(move || -> Result<(String, Vec<CpuTime>)> {
        let (mut text, mut marks) = (String::new(), Vec::new());
        for line in BufReader::new(output).lines() {
            let line = line?;
            if line == "READY" {
                marks.push(cpu_time(pid)?);
                input.write_all(b"\n")?;
            }
            text.push_str(&line);
            text.push('\n');
        }
        let between = |pair: &[CpuTime]| CpuTime {
            own_ms: pair[1].own_ms - pair[0].own_ms,
            all_ms: pair[1].all_ms - pair[0].all_ms,
        };
        Ok((text, marks.windows(2).map(between).collect()))
    });
    let status = wait(&mut child, limit)?;
    let Ok(read) = steps.join() else { bail!("reading its output failed") };
    let (stdout, steps) = read?;
    Ok((Finished { status, stdout, stderr: read_all(&mut stderr)? }, steps))
}

/// What the kernel has charged to a process's first thread and to all of them.
fn cpu_time(pid: u32) -> Result<CpuTime> {
    let (mut own_ms, mut all_ms) = (0.0, 0.0);
    for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
        let thread = thread?;
        // One that has just ended is not missed.
        let Ok(text) = fs::read_to_string(thread.path().join("schedstat")) else { continue };
        let ms = text.split(' ').next().and_then(|ns| ns.parse::<f64>().ok()).unwrap_or_default() / 1e6;
        all_ms += ms;
        if thread.file_name().to_str() == Some(&pid.to_string()) {
            own_ms = ms;
        }
    }
    Ok(CpuTime { own_ms, all_ms })
}

/// What was written, as text; the page decodes what programs print in the same way.
fn read_all(file: &mut fs::File) -> Result<String> {
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
    pub all_cpu_us: Option<f64>,
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
        let noted = fs::read_to_string(note.path())?;
        let (wall_us, cpu_us) =
            parse_times(&noted).with_context(|| format!("timed.c failed: {}", complaint(&stderr)))?;
        Ok(Executed { status, stdout, stderr, wall_us, cpu_us, all_cpu_us: None })
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
    fn steps() {
        let mut command =
            shell("echo READY; read line; i=0; while [ $i -lt 20000 ]; do i=$((i + 1)); done; echo READY; read line");
        let (finished, steps) = run_in_steps(&mut command, LIMIT).unwrap();
        assert_eq!((finished.status, finished.stdout.as_str(), steps.len()), (0, "READY\nREADY\n", 1));
        assert!(steps[0].own_ms > 0.0 && steps[0].own_ms <= steps[0].all_ms, "{steps:?}");
    }

    #[test]
    fn times() {
        assert_eq!(parse_times("12 3\n"), Some((12.0, 3.0)));
        assert_eq!(parse_times(""), None);
    }

    #[test]
    fn programs_are_found_in_the_root() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("usr/bin")).unwrap();
        std::os::unix::fs::symlink("/nowhere", root.path().join("usr/bin/tool")).unwrap();
        let env = ["PATH=/bin:/usr/bin".to_owned()];
        assert_eq!(find(root.path(), &env, "tool"), Some("/usr/bin/tool".into()));
        assert_eq!(find(root.path(), &[], "/usr/bin/tool"), Some("/usr/bin/tool".into()));
        assert_eq!(find(root.path(), &env, "sh"), None);
    }
}
