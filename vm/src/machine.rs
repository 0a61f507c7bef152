//! `Machine`: kernel and engine, run in slices, with the programs that the host has started in it.

use abi::Errno;
use cpu::Engine;
use disk::ImageConfig;
use kernel::credentials::Credentials;
use kernel::stop::{Outcome, Stop};
use kernel::vfs::{At, Context, FileSystem, MountFlags};
use kernel::{ExitStatus, Host, Kernel, MemoryPool, Output, Pid, Slice, SpawnRequest, Stdio};

/// Guest instructions between looks at the host's clock: about a millisecond interpreted, a fraction of that compiled.
const SLICE_INSTRUCTIONS: u64 = 200_000;

/// Added to a signal's number for an exit status, as shells do.
const SIGNAL_STATUS: i32 = 128;

/// A program the host wants to run. What is not given comes from the image and from `/etc/passwd`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Program {
    /// Its arguments; the image's own command if there are none.
    pub argv: Vec<String>,
    /// Variables besides the image's, `NAME=value`.
    pub env: Vec<String>,
    /// Working directory.
    pub cwd: Option<String>,
    /// User, as in a Dockerfile.
    pub user: Option<String>,
    /// Whether it runs on the console; otherwise its standard streams are pipes.
    pub on_console: bool,
}

/// What a program has done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// It has written to a pipe.
    Output {
        /// Who.
        pid: Pid,
        /// Where.
        output: Output,
        /// What.
        bytes: Vec<u8>,
    },
    /// It has ended; no more of it follows.
    Exit {
        /// Who.
        pid: Pid,
        /// Its exit status; 128 + n if signal n ended it.
        status: i32,
        /// The signal that ended it.
        signal: Option<u32>,
    },
}

/// When to run again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// There is more to do.
    Now,
    /// At a time of the monotonic clock, or when something comes from outside.
    At {
        /// Nanoseconds.
        ns: u64,
    },
    /// When something comes from outside.
    Event,
    /// Never: every process has ended.
    Halted,
}

/// A machine.
pub struct Machine {
    kernel: Kernel,
    engine: Box<dyn Engine>,
    config: ImageConfig,
    running: Vec<Pid>,
}

impl Machine {
    /// A machine with a root file system (`source` names its device in `/proc/mounts`), nothing running yet.
    pub fn new(
        host: Box<dyn Host>,
        pool: Box<dyn MemoryPool>,
        root: Box<dyn FileSystem>,
        source: &str,
        config: ImageConfig,
        engine: Box<dyn Engine>,
    ) -> Self {
        Self { kernel: Kernel::new(host, pool, root, source), engine, config, running: Vec::new() }
    }

    /// Mounts what every Linux has. To be repeated after the disk has news if it has to wait.
    ///
    /// # Errors
    /// What the disk lacks, or that it has to be waited for.
    pub fn set_up(&mut self) -> Outcome<()> {
        self.kernel.mount_standard()
    }

    /// Mounts a file system of the host's at a directory, which is made if it is not there.
    ///
    /// # Errors
    /// Those of `mkdir(2)` and `mount(2)`, or that the disk has to be waited for.
    pub fn mount(&mut self, file_system: Box<dyn FileSystem>, source: &str, path: &str) -> Outcome<()> {
        let vfs = self.kernel.vfs();
        let credentials = Credentials::root();
        let root = vfs.root();
        let context = Context { root: &root, cwd: &root, credentials: &credentials, umask: 0o022 };
        let ends = path.match_indices('/').map(|(at, _)| at).skip(1).chain([path.len()]);
        for end in ends {
            match vfs.mkdir(&context, At::cwd(&path.as_bytes()[..end]), 0o755) {
                Ok(_) => {}
                Err(stop) if stop.is(Errno::EEXIST) => {}
                Err(stop) => return Err(stop),
            }
        }
        let at = vfs.resolve(&context, At::cwd(path.as_bytes()), true)?;
        vfs.mount(file_system, source, &at, MountFlags::default())
    }

    /// The kernel layer.
    pub fn kernel(&mut self) -> &mut Kernel {
        &mut self.kernel
    }

    /// How the image wants to be run.
    pub fn config(&self) -> &ImageConfig {
        &self.config
    }

    /// Guest instructions run so far.
    pub fn instructions(&self) -> u64 {
        self.engine.instructions()
    }

    /// The engine's further counters.
    pub fn counters(&self) -> Vec<(&'static str, u64)> {
        self.engine.counters()
    }

    /// Starts a program. To be repeated after the disk has news if it has to wait.
    ///
    /// # Errors
    /// Those of `execve(2)`, an unknown user's `ENOENT`, or that the disk has to be waited for.
    pub fn spawn(&mut self, program: &Program) -> Outcome<Pid> {
        let user = program.user.clone().unwrap_or_else(|| self.config.user.clone());
        let login = self.kernel.login_of(&user)?;
        let given = [("HOME", &login.home), ("USER", &login.name), ("LOGNAME", &login.name), ("SHELL", &login.shell)];
        let defaults = given.map(|(name, value)| format!("{name}={value}"));
        let path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_string();
        let term = program.on_console.then(|| "TERM=xterm-256color".to_string());
        let env = defaults.into_iter().chain([path]).chain(term);
        let env = merged(env.chain(self.config.env.clone()).chain(program.env.clone()));
        let argv = if program.argv.is_empty() { self.config.command() } else { program.argv.clone() };
        let cwd = program.cwd.clone().unwrap_or_else(|| self.config.workdir.clone());
        let cwd = if cwd.is_empty() { "/".to_string() } else { cwd };
        let request = SpawnRequest {
            argv: argv.into_iter().map(String::into_bytes).collect(),
            env: env.into_iter().map(String::into_bytes).collect(),
            cwd: cwd.into_bytes(),
            user,
            stdio: if program.on_console { Stdio::Console } else { Stdio::Pipes },
        };
        let pid = self.kernel.spawn(&request)?;
        self.running.push(pid);
        Ok(pid)
    }

    /// Runs until `is_over` says so or nothing can run; events go to `sink` as they happen.
    pub fn run(&mut self, is_over: &dyn Fn() -> bool, sink: &mut dyn FnMut(Event)) -> Next {
        loop {
            let slice = self.kernel.run_slice(&mut *self.engine, SLICE_INSTRUCTIONS);
            let has_taken = self.report(sink);
            match slice {
                Slice::Ran if is_over() => return Next::Now,
                Slice::Ran => {}
                // Output taken makes room in pipes: who waited for it can go on.
                Slice::Idle { .. } if has_taken && is_over() => return Next::Now,
                Slice::Idle { .. } if has_taken => {}
                Slice::Idle { wake_at_ns: Some(ns) } => return Next::At { ns },
                Slice::Idle { wake_at_ns: None } => return Next::Event,
                Slice::AllExited => return Next::Halted,
            }
        }
    }

    /// Ends every process, takes away what is mounted and brings all file systems to their disks, as a computer that
    /// shuts down does. What programs still have to say is lost. Returns whether it is done: if not, to be repeated when
    /// the disk has news.
    ///
    /// # Errors
    /// What the file systems could not write.
    pub fn shut_down(&mut self) -> Result<bool, Errno> {
        self.kernel.kill_all();
        if self.run(&|| false, &mut |_| ()) != Next::Halted {
            return Ok(false);
        }
        match self.kernel.shut_down() {
            Ok(()) => Ok(true),
            Err(Stop::Wait(_)) => Ok(false),
            Err(Stop::Errno(errno)) => Err(errno),
        }
    }

    /// Reports output and ends of programs; returns whether there was output.
    fn report(&mut self, sink: &mut dyn FnMut(Event)) -> bool {
        let (mut index, mut has_taken) = (0, false);
        while let Some(pid) = self.running.get(index).copied() {
            let status = self.kernel.exit_status(pid);
            for output in [Output::Stdout, Output::Stderr] {
                let bytes = self.kernel.take_output(pid, output);
                if !bytes.is_empty() {
                    has_taken = true;
                    sink(Event::Output { pid, output, bytes });
                }
            }
            let Some(status) = status else {
                index += 1;
                continue;
            };
            self.kernel.forget(pid);
            self.running.swap_remove(index);
            sink(match status {
                ExitStatus::Code(code) => Event::Exit { pid, status: code.into(), signal: None },
                ExitStatus::Signal { signal, .. } => {
                    Event::Exit { pid, status: SIGNAL_STATUS + signal as i32, signal: Some(signal) }
                }
            });
        }
        has_taken
    }
}

/// Variables with later ones in place of earlier ones of the same name.
fn merged(env: impl Iterator<Item = String>) -> Vec<String> {
    let name = |entry: &str| entry.split('=').next().unwrap_or_default().to_string();
    let mut all: Vec<String> = Vec::new();
    for entry in env {
        match all.iter_mut().find(|old| name(old) == name(&entry)) {
            Some(old) => *old = entry,
            None => all.push(entry),
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_variables_win() {
        let env = ["A=1", "B=2", "A=3=4"].map(String::from);
        assert_eq!(merged(env.into_iter()), ["A=3=4", "B=2"]);
    }
}
