//! Programs that the host starts, and what it does with them: the console, the page's and the runner's commands.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use abi::Errno;
use abi::file::{O_CREAT, O_RDWR, O_TRUNC, O_WRONLY};
use abi::inotify::{IN_CLOSE_WRITE, IN_MODIFY};
use cpu::CpuState;

use crate::credentials::Credentials;
use crate::exec::Arguments;
use crate::files::pipe::PipeEnd;
use crate::files::{FdTable, OpenFile};
use crate::kernel::Kernel;
use crate::signal::{AltStack, SigInfo};
use crate::stop::{Outcome, Stop};
use crate::task::{Call, ExitStatus, FsState, Pid, Process, RunState, Task};
use crate::tty::{TtyFile, WindowSize};
use crate::vfs::{Access, At, FileKind, Location};
use crate::wait::WaitQueue;

/// A program to start.
pub struct SpawnRequest {
    /// Its arguments; the first names it, and is looked up along `PATH` if it has no slash.
    pub argv: Vec<Vec<u8>>,
    /// Its environment, `NAME=value` each.
    pub env: Vec<Vec<u8>>,
    /// Its working directory.
    pub cwd: Vec<u8>,
    /// Whose it is: `name`, `uid`, and after a colon group name or gid; empty is root.
    pub user: String,
    /// What its standard streams are.
    pub stdio: Stdio,
}

/// Standard streams of a hosted program.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stdio {
    /// The console, as its controlling terminal.
    Console,
    /// Pipes to the host.
    Pipes,
}

/// The host's side of a program it has started.
#[derive(Default)]
pub struct Hosted {
    stdin: Option<Rc<OpenFile>>,
    stdout: Option<Rc<OpenFile>>,
    stderr: Option<Rc<OpenFile>>,
    status: Option<ExitStatus>,
}

/// Which stream the host reads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Output {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// Bytes of `/etc/passwd` and `/etc/group` that are looked at.
const DATABASE_BYTES_MAX: u64 = 1 << 20;
const DEFAULT_PATH: &[u8] = b"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

impl Kernel {
    /// Starts a program. `Err(Stop::Wait)` means that the disk has to be waited for: call again when it has news.
    pub fn spawn(&mut self, request: &SpawnRequest) -> Outcome<Pid> {
        let root = self.vfs.root();
        let base = FsState { root: root.clone(), cwd: root, umask: 0o022 };
        let who = self.user(&base, &request.user)?;
        let cwd = self.vfs.resolve(&base.context(&Credentials::root()), At::cwd(&request.cwd), true)?;
        if !cwd.is_directory() {
            return Err(Errno::ENOTDIR.into());
        }
        let fs = FsState { cwd, ..base };
        let (path, file) = self.find_on_path(&fs, &who, request)?;
        let pid = self.tasks.free_number().ok_or(Errno::EAGAIN)?;
        let task = self.first_task(pid, fs, who);
        // Loading may have to wait, and then all of this is done again: nothing is visible to others before it has
        // succeeded.
        self.tasks.add(&task);
        let arguments = Arguments { args: request.argv.clone(), env: request.env.clone() };
        if let Err(stop) = self.execute(&task, &path, file, arguments) {
            self.tasks.remove_task(pid);
            self.tasks.remove_process(pid);
            self.tasks.return_number(pid);
            return Err(stop);
        }
        match self.attach(&task, request.stdio) {
            Ok(hosted) => {
                self.hosted.insert(pid, hosted);
                task.process.has_executed.set(true);
                self.make_ready(&task);
                if pid == 1 {
                    self.say_init(&path);
                }
                Ok(pid)
            }
            Err(stop) => {
                self.hosted.insert(pid, Hosted::default());
                self.exit_process(&task.process, ExitStatus::Code(255));
                self.hosted.remove(&pid);
                Err(stop)
            }
        }
    }

    fn first_task(&self, pid: Pid, fs: FsState, who: Credentials) -> Rc<Task> {
        let process = Rc::new(Process::new(pid, 0, self.host.monotonic_ns()));
        Rc::new(Task {
            number: Cell::new(pid),
            process,
            cpu: RefCell::new(CpuState::default()),
            run_state: Cell::new(RunState::Sleeping),
            call: RefCell::new(Some(Call::default())),
            waiting_on: RefCell::default(),
            sleep_count: Cell::new(0),
            mm: RefCell::default(),
            files: RefCell::new(Some(Rc::new(RefCell::new(FdTable::default())))),
            fs: RefCell::new(Rc::new(RefCell::new(fs))),
            credentials: RefCell::new(Rc::new(who)),
            blocked: Cell::default(),
            saved_blocked: Cell::default(),
            pending: RefCell::default(),
            alt_stack: Cell::new(AltStack::default()),
            name: RefCell::default(),
            clear_child_tid: Cell::new(0),
            robust_lists: Default::default(),
            vfork_done: WaitQueue::default(),
            vfork_pending: Cell::new(false),
            cpu_time_ns: Cell::new(0),
            futex: RefCell::default(),
            parent_death_signal: Cell::new(0),
            no_new_privileges: Cell::new(false),
            remarks: Default::default(),
            scheduling: Cell::new((0, 0)),
            seccomp: RefCell::default(),
            io_priority: Cell::default(),
            memory_policy: Cell::default(),
            trace: RefCell::default(),
            call_number: Cell::default(),
            call_abi: Cell::default(),
            interrupted: Cell::default(),
        })
    }

    /// Gives a new program its standard streams.
    fn attach(&mut self, task: &Rc<Task>, stdio: Stdio) -> Outcome<Hosted> {
        let mut hosted = Hosted::default();
        let streams = match stdio {
            Stdio::Console => {
                let location = self.console_location(task)?;
                let tty = self.console.clone();
                self.take_tty(&task.process, &tty);
                let file = OpenFile::new(Rc::new(TtyFile::new(tty)), location, O_RDWR);
                [file.clone(), file.clone(), file]
            }
            Stdio::Pipes => {
                let (input, feed) = self.make_pipe(task, 0);
                let (output, from_output) = self.make_pipe(task, 0);
                let (errors, from_errors) = self.make_pipe(task, 0);
                hosted.stdin = Some(feed);
                hosted.stdout = Some(output);
                hosted.stderr = Some(errors);
                [input, from_output, from_errors]
            }
        };
        for stream in streams {
            self.add_file(task, stream, false)?;
        }
        Ok(hosted)
    }

    fn console_location(&self, task: &Rc<Task>) -> Outcome<Location> {
        let fs = task.fs_state();
        let root = Credentials::root();
        let context = fs.context(&root);
        let location = self.vfs.resolve(&context, At::cwd(b"/dev/tty1"), true)?;
        // A login gives the terminal to its user.
        let who = task.credentials();
        location.chown(&root, Some(who.fsuid), None)?;
        Ok(location)
    }

    fn find_on_path(&self, fs: &FsState, who: &Credentials, request: &SpawnRequest) -> Outcome<(Vec<u8>, Location)> {
        let name = request.argv.first().filter(|name| !name.is_empty()).ok_or(Errno::EINVAL)?;
        let context = fs.context(who);
        if name.contains(&b'/') {
            let file = self.vfs.resolve(&context, At::cwd(name), true)?;
            return Ok((name.clone(), file));
        }
        let path = request.env.iter().find_map(|entry| entry.strip_prefix(b"PATH="));
        let mut result = Stop::Errno(Errno::ENOENT);
        for directory in path.unwrap_or(DEFAULT_PATH).split(|byte| *byte == b':') {
            let directory = if directory.is_empty() { b"." } else { directory };
            let candidate = [directory, b"/", name].concat();
            let found = self.vfs.resolve(&context, At::cwd(&candidate), true).and_then(|file| {
                let executable = file.kind() == FileKind::Regular;
                file.check_access(who, Access::EXECUTE)?;
                if executable { Ok(file) } else { Err(Errno::EACCES.into()) }
            });
            match found {
                Ok(file) => return Ok((candidate, file)),
                Err(wait @ Stop::Wait(_)) => return Err(wait),
                Err(stop) if stop.is(Errno::EACCES) => result = stop,
                Err(_) => {}
            }
        }
        Err(result)
    }

    // ---- users ----

    /// Looks a user up in the guest's own `/etc/passwd` and `/etc/group`.
    fn user(&self, fs: &FsState, user: &str) -> Outcome<Credentials> {
        let (name, group) = user.split_once(':').map_or((user, None), |(name, group)| (name, Some(group)));
        let passwd = self.database(fs, "/etc/passwd")?;
        let groups = self.database(fs, "/etc/group")?;
        let name = if name.is_empty() { "0" } else { name };
        let number = |text: &str| text.parse::<u32>().ok();
        let entry = passwd.lines().map(|line| line.split(':').collect::<Vec<_>>()).find(|fields| {
            fields.len() >= 4 && (fields[0] == name || (number(name).is_some() && number(fields[2]) == number(name)))
        });
        let (uid, gid, login) = match &entry {
            Some(fields) => (number(fields[2]), number(fields[3]), fields[0]),
            None => (number(name), Some(0), name),
        };
        let uid = uid.ok_or(Errno::ENOENT)?;
        let gid = match group {
            Some(group) => group_id(&groups, group).ok_or(Errno::ENOENT)?,
            None => gid.unwrap_or(0),
        };
        let supplementary = if group.is_some() { Vec::new() } else { groups_of(&groups, login) };
        Ok(Credentials::user(uid, gid, supplementary))
    }

    fn database(&self, fs: &FsState, path: &str) -> Outcome<String> {
        let root = Credentials::root();
        match self.vfs.resolve(&fs.context(&root), At::cwd(path.as_bytes()), true) {
            Ok(file) => {
                let mut bytes = vec![0; file.attributes()?.size_bytes.min(DATABASE_BYTES_MAX) as usize];
                let len = file.read(0, &mut bytes)?;
                Ok(String::from_utf8_lossy(&bytes[..len]).into_owned())
            }
            Err(Stop::Errno(_)) => Ok(String::new()),
            Err(wait) => Err(wait),
        }
    }

    /// Home directory, login shell and name of a user, for `HOME`, `SHELL` and `USER`.
    pub fn login_of(&self, user: &str) -> Outcome<Login> {
        let root = self.vfs.root();
        let fs = FsState { root: root.clone(), cwd: root, umask: 0 };
        let who = self.user(&fs, user)?;
        let passwd = self.database(&fs, "/etc/passwd")?;
        let entry = passwd.lines().map(|line| line.split(':').collect::<Vec<_>>());
        let mut entry = entry.filter(|fields| fields.len() >= 7 && fields[2].parse() == Ok(who.uid));
        Ok(match entry.next() {
            Some(fields) => Login { name: fields[0].into(), home: fields[5].into(), shell: fields[6].into() },
            None => Login { name: who.uid.to_string(), home: "/".into(), shell: "/bin/sh".into() },
        })
    }

    // ---- streams ----

    /// Gives a program input; returns how many bytes were taken: the rest is to be offered again after it has run.
    pub fn feed_stdin(&mut self, pid: Pid, bytes: &[u8]) -> usize {
        let Some(file) = self.hosted.get(&pid).and_then(|hosted| hosted.stdin.clone()) else { return bytes.len() };
        let Some(end) = file.object_as::<PipeEnd>() else { return bytes.len() };
        match end.pipe.write_some(self, bytes) {
            Ok(len) => len,
            Err(Stop::Wait(_)) => 0,
            // Nobody reads any more: the bytes are lost, as they are in a shell's pipeline.
            Err(Stop::Errno(_)) => bytes.len(),
        }
    }

    /// Ends a program's input.
    pub fn close_stdin(&mut self, pid: Pid) {
        if let Some(file) = self.hosted.get_mut(&pid).and_then(|hosted| hosted.stdin.take()) {
            self.close_file(file);
        }
    }

    /// Takes what a program has written.
    pub fn take_output(&mut self, pid: Pid, output: Output) -> Vec<u8> {
        let Some(hosted) = self.hosted.get(&pid) else { return Vec::new() };
        let file = if output == Output::Stdout { &hosted.stdout } else { &hosted.stderr };
        let Some(file) = file.clone() else { return Vec::new() };
        let Some(end) = file.object_as::<PipeEnd>() else { return Vec::new() };
        let mut bytes = vec![0; end.pipe.len()];
        let len = end.pipe.read(self, &mut bytes).unwrap_or(0);
        bytes.truncate(len);
        bytes
    }

    /// How a program has ended, if it has.
    pub fn exit_status(&self, pid: Pid) -> Option<ExitStatus> {
        self.hosted.get(&pid)?.status
    }

    /// Whether nobody can write to a program's outputs any more: its background children may, after its end.
    pub fn outputs_closed(&self, pid: Pid) -> bool {
        let finished = |file: &Option<Rc<OpenFile>>| {
            file.as_ref().and_then(|file| file.object_as::<PipeEnd>().map(|end| end.pipe.is_finished())).unwrap_or(true)
        };
        self.hosted.get(&pid).is_none_or(|hosted| finished(&hosted.stdout) && finished(&hosted.stderr))
    }

    /// Forgets a program that has ended, and its streams.
    pub fn forget(&mut self, pid: Pid) {
        if let Some(hosted) = self.hosted.remove(&pid) {
            let streams = [hosted.stdin, hosted.stdout, hosted.stderr];
            streams.into_iter().flatten().for_each(|file| self.close_file(file));
        }
    }

    pub(crate) fn hosted_exit(&mut self, pid: Pid, status: ExitStatus) {
        if let Some(hosted) = self.hosted.get_mut(&pid) {
            hosted.status = Some(status);
        }
    }

    /// Sends a signal to a program and, if it leads one, its process group.
    pub fn host_signal(&mut self, pid: Pid, signal: u32) {
        if !crate::signal::valid_signal(signal) {
            return;
        }
        match self.tasks.group(pid).is_empty() {
            false => self.signal_group(pid, &SigInfo::kernel(signal)),
            true => {
                if let Some(process) = self.tasks.process(pid) {
                    self.signal_process(&process, SigInfo::kernel(signal));
                }
            }
        }
    }

    /// Kills every process, as a computer that shuts down does: the next slices run until none is left.
    pub fn kill_all(&mut self) {
        for process in self.tasks.processes() {
            self.signal_process(&process, SigInfo::kernel(abi::signal::SIGKILL));
        }
    }

    /// Takes away what processes leave though they are gone ([`Self::kill_all`]): sockets on their way, mounts, and with
    /// those the deleted files that they hold. Then brings all file systems to their devices.
    pub fn shut_down(&mut self) -> Outcome<()> {
        self.net.passing.look_now();
        self.release_closed();
        self.vfs.shut_down()
    }

    /// Bytes typed at the console.
    pub fn console_input(&mut self, bytes: &[u8]) {
        let tty = self.console.clone();
        self.tty_input(&tty, bytes);
    }

    /// The console has room again.
    pub fn console_drained(&mut self) {
        let tty = self.console.clone();
        self.wake(&tty.queue);
    }

    /// The console's window has another size.
    pub fn console_resize(&mut self, columns: u16, rows: u16) {
        let tty = self.console.clone();
        self.tty_resize(&tty, WindowSize { rows, columns, pixels: (0, 0) });
    }

    // ---- files ----

    /// Reads a whole file, as root.
    pub fn get_file(&mut self, path: &[u8]) -> Outcome<Vec<u8>> {
        let root = self.vfs.root();
        let fs = FsState { root: root.clone(), cwd: root, umask: 0 };
        let file = self.vfs.resolve(&fs.context(&Credentials::root()), At::cwd(path), true)?;
        if file.kind() != FileKind::Regular {
            return Err(if file.is_directory() { Errno::EISDIR } else { Errno::EINVAL }.into());
        }
        let size = usize::try_from(file.attributes()?.size_bytes).map_err(|_| Errno::EFBIG)?;
        let mut bytes = vec![0; size];
        let len = file.read(0, &mut bytes)?;
        bytes.truncate(len);
        Ok(bytes)
    }

    /// Makes a directory, as root.
    pub fn make_directory(&mut self, path: &[u8], mode: u16) -> Outcome<()> {
        let root = self.vfs.root();
        let fs = FsState { root: root.clone(), cwd: root, umask: 0 };
        self.vfs.mkdir(&fs.context(&Credentials::root()), At::cwd(path), mode).map(|_| ())
    }

    /// Writes a whole file, as root, replacing what is there.
    pub fn put_file(&mut self, path: &[u8], bytes: &[u8], mode: u16) -> Outcome<()> {
        self.set_file_time();
        let root = self.vfs.root();
        let fs = FsState { root: root.clone(), cwd: root, umask: 0 };
        let how = crate::files::open::open_how(O_WRONLY | O_CREAT | O_TRUNC, u32::from(mode));
        let opened = self.vfs.open(&fs.context(&Credentials::root()), At::cwd(path), &how)?;
        let mut done = 0;
        while done < bytes.len() {
            match opened.location.write(done as u64, &bytes[done..])? {
                0 => return Err(Errno::ENOSPC.into()),
                len => done += len,
            }
        }
        [IN_MODIFY, IN_CLOSE_WRITE].iter().for_each(|event| opened.location.notify(*event));
        self.tell_watchers();
        Ok(())
    }
}

/// What `/etc/passwd` says about a user.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Login {
    /// Login name.
    pub name: String,
    /// Home directory.
    pub home: String,
    /// Login shell.
    pub shell: String,
}

fn group_id(groups: &str, wanted: &str) -> Option<u32> {
    let number = |line: &str| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        let gid = fields.nth(1)?.parse().ok()?;
        (name == wanted).then_some(gid)
    };
    groups.lines().find_map(number).or_else(|| wanted.parse().ok())
}

fn groups_of(groups: &str, login: &str) -> Vec<u32> {
    let member = |line: &str| {
        let fields: Vec<&str> = line.split(':').collect();
        let is_member = fields.len() >= 4 && fields[3].split(',').any(|name| name == login);
        if is_member { fields[2].parse().ok() } else { None }
    };
    groups.lines().filter_map(member).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_found_by_name_number_and_member() {
        let groups = "root:x:0:\nadm:x:4:user,other\nuser:x:1000:\n";
        assert_eq!(group_id(groups, "adm"), Some(4));
        assert_eq!(group_id(groups, "77"), Some(77));
        assert_eq!(group_id(groups, "nobody"), None);
        assert_eq!(groups_of(groups, "user"), [4]);
    }
}
