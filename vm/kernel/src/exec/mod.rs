//! Starting programs (`execve(2)`).
//!
//! Everything that can fail, or wait for the disk, happens on a new address space before the old one is given up.
//!
//! | module | subject |
//! |---|---|
//! | [`elf`] | the executable format |
//! | [`script`] | `#!` |
//! | [`load`] | mapping an executable |
//! | [`stack`] | arguments, environment, auxiliary vector |
//! | [`vdso`] | what 32-bit programs find in their memory |

pub mod elf;
pub mod load;
pub mod script;
pub mod stack;
pub mod vdso;

use std::rc::Rc;

use abi::Errno;
use abi::inotify::{IN_ACCESS, IN_CLOSE_NOWRITE, IN_OPEN};
use abi::memory::{PROT_EXEC, PROT_READ, PROT_WRITE};
use abi::process::{READ_IMPLIES_EXEC, RLIM_INFINITY, RLIMIT_STACK};
use cpu::{CpuState, reg};
use memory::PAGE_SIZE;

pub use stack::Arguments;

use crate::credentials::{Credentials, FileCapabilities};
use crate::kernel::Kernel;
use crate::mm::{Backing, Mm, Placement, STACK_TOP, VmaFlags};
use crate::signal::AltStack;
use crate::stop::Outcome;
use crate::task::Task;
use crate::trace::watch::DebugRegisters;
use crate::vfs::{Access, At, FileKind, Location, OpenHow};
use load::Image;

/// Bytes of a file's start that decide what it is (`BINPRM_BUF_SIZE`).
const HEAD_BYTES: usize = 256;
/// Stack mapped at first; it grows.
const STACK_BYTES: u64 = 32 * PAGE_SIZE;
/// Bytes of a task's name (`TASK_COMM_LEN`, without the terminator).
pub const NAME_BYTES_MAX: usize = 15;

/// A new program, ready to replace the old one.
struct Prepared {
    mm: Rc<Mm>,
    cpu: CpuState,
    credentials: Rc<Credentials>,
    gained_privileges: bool,
    /// What can be read can be executed (`READ_IMPLIES_EXEC`).
    executes_data: bool,
}

impl Kernel {
    /// Replaces the program of `task` by `file`; `path` is what it was called by.
    pub fn execute(&mut self, task: &Rc<Task>, path: &[u8], file: Location, arguments: Arguments) -> Outcome<()> {
        check_executable(&file, &task.credentials())?;
        let mut arguments = arguments;
        if arguments.args.is_empty() {
            arguments.args.push(Vec::new());
        }
        let (file, arguments) = self.resolve_scripts(task, path, file, arguments)?;
        arguments.check(task.process.limits.borrow().soft(RLIMIT_STACK))?;
        let host = self.allocate_memory()?;
        let mm = Mm::new(host, self.shared.clone());
        self.note_run(&mm);
        match self.prepare(task, mm.clone(), &file, path, &arguments) {
            Ok(prepared) => {
                drop(mm);
                let former = task.tid();
                self.commit(task, prepared, path);
                self.trace_exec(task, former);
                [IN_OPEN, IN_ACCESS, IN_CLOSE_NOWRITE].iter().for_each(|event| file.notify(*event));
                Ok(())
            }
            Err(stop) => {
                self.release_mm(mm);
                Err(stop)
            }
        }
    }

    /// Opens the program that another one needs: a script's or an executable's interpreter.
    pub(super) fn open_interpreter(&mut self, task: &Rc<Task>, path: &[u8]) -> Outcome<Location> {
        let (fs, who) = (task.fs_state(), task.credentials());
        let how = OpenHow { access: Access::EXECUTE, ..OpenHow::default() };
        let opened = self.vfs.open(&fs.context(&who), At::cwd(path), &how)?;
        check_executable(&opened.location, &who)?;
        Ok(opened.location)
    }

    fn prepare(
        &mut self,
        task: &Rc<Task>,
        mm: Rc<Mm>,
        file: &Location,
        path: &[u8],
        arguments: &Arguments,
    ) -> Outcome<Prepared> {
        let image = Image::read(file)?;
        let interpreter = match &image.interpreter {
            Some(path) => {
                let file = self.open_interpreter(task, path)?;
                let interpreter = Image::read(&file).map_err(|stop| match stop {
                    stop if stop.is(Errno::ENOEXEC) => Errno::ELIBBAD.into(),
                    stop => stop,
                })?;
                if interpreter.header.words != image.header.words {
                    return Err(Errno::ELIBBAD.into());
                }
                Some(interpreter)
            }
            None => None,
        };
        // A program must not get more rights than the one that traces it has.
        let may_gain = task.with_trace(|trace| trace.privileged) != Some(false);
        let (credentials, gained_privileges) = new_credentials(task, file, may_gain)?;
        let stack_limit_bytes = task.process.limits.borrow().soft(RLIMIT_STACK);
        mm.set_stack_limit(stack_limit_bytes);
        let words = image.header.words;
        mm.lay_out(if words.is_32() { 32 } else { 64 });
        if words.is_32() {
            vdso::map(&mm)?;
        }
        let loaded = load::map(&mm, &image, interpreter.as_ref())?;
        // Old 32-bit programs say nothing, and may run code anywhere.
        let executes_data = words.is_32() && image.layout.executable_stack.is_none();
        map_stack(&mm, image.layout.executable_stack.unwrap_or(executes_data))?;
        *mm.executable.borrow_mut() = Some(file.clone());
        let auxiliary = stack::Auxiliary {
            words,
            program_headers: (loaded.program_headers, image.header.program_headers as u64),
            interpreter_base: loaded.interpreter_base,
            entry: loaded.entry,
            ids: [credentials.uid, credentials.euid, credentials.gid, credentials.egid],
            secure: gained_privileges,
            random: self.random_bytes(),
            path,
        };
        let stack_pointer = stack::build(&mm, arguments, &auxiliary)?;
        let mut cpu = CpuState::default();
        cpu.set_gpr(reg::RSP, stack_pointer);
        cpu.rip = loaded.start;
        if words.is_32() {
            cpu.enter_compat();
        }
        cpu.set_rflags(cpu::rflags::IF | cpu::rflags::FIXED);
        Ok(Prepared { mm, cpu, credentials, gained_privileges, executes_data })
    }

    /// The point of no return.
    fn commit(&mut self, task: &Rc<Task>, prepared: Prepared, path: &[u8]) {
        self.end_other_threads(task);
        self.release_futexes(task);
        self.drop_mm(task);
        *task.mm.borrow_mut() = Some(prepared.mm);
        *task.cpu.borrow_mut() = prepared.cpu;
        let old = task.credentials.replace(prepared.credentials);
        let new = task.credentials();
        let guards = new.guards_against_others(&old);
        task.process.dumpable.set(!guards && (old.uid, old.gid) == (old.euid, old.egid));
        if prepared.gained_privileges || guards {
            task.parent_death_signal.set(0);
        }
        task.alt_stack.set(AltStack::default());
        task.with_trace(|trace| trace.debug = DebugRegisters::default());
        // The call is over: its result must not reach the new program's registers.
        task.call.take();
        let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
        *task.name.borrow_mut() = name[..name.len().min(NAME_BYTES_MAX)].to_vec();
        let process = &task.process;
        let mut actions = process.actions().borrow().clone();
        actions.reset_handlers();
        *process.actions.borrow_mut() = Rc::new(std::cell::RefCell::new(actions));
        let kept = process.personality.get() & !READ_IMPLIES_EXEC;
        process.personality.set(kept | if prepared.executes_data { READ_IMPLIES_EXEC } else { 0 });
        process.posix_timers.take();
        process.has_executed.set(true);
        self.close_on_exec(task);
    }

    fn end_other_threads(&mut self, task: &Rc<Task>) {
        for thread in self.tasks.threads(&task.process) {
            if !Rc::ptr_eq(&thread, task) {
                self.end_task(&thread);
            }
        }
        if !task.is_leader() {
            let old = task.number.replace(task.process.pid);
            self.tasks.replace(old, task);
        }
    }

    /// Closes what is not to be inherited; a table shared with another process is copied first.
    fn close_on_exec(&mut self, task: &Rc<Task>) {
        let Ok(table) = task.fd_table() else { return };
        if Rc::strong_count(&table) > 2 {
            let own = table.borrow().clone();
            *task.files.borrow_mut() = Some(Rc::new(std::cell::RefCell::new(own)));
        }
        drop(table);
        let Ok(table) = task.fd_table() else { return };
        let closed = table.borrow_mut().remove_where(|_, close_on_exec| close_on_exec);
        for file in closed {
            self.drop_descriptor(file, task.process.pid);
        }
    }
}

/// A regular file that `who` may execute, on a mount that allows it.
fn check_executable(location: &Location, who: &Credentials) -> Outcome<()> {
    match location.kind() {
        FileKind::Regular => {}
        FileKind::Symlink => return Err(Errno::ELOOP.into()),
        _ => return Err(Errno::EACCES.into()),
    }
    if location.mount().flags().no_exec {
        return Err(Errno::EACCES.into());
    }
    location.check_access(who, Access::EXECUTE)
}

/// Credentials after `execve`, and whether setuid or setgid bits or capabilities gave more than there was (`AT_SECURE`). With `may_gain`
/// they may.
fn new_credentials(task: &Rc<Task>, file: &Location, may_gain: bool) -> Outcome<(Rc<Credentials>, bool)> {
    const SETUID: u16 = 0o4000;
    const SETGID_EXECUTABLE: u16 = 0o2010;
    let old = task.credentials();
    let mut new = (*old).clone();
    let attributes = file.attributes()?;
    let may_gain = may_gain && !task.no_new_privileges.get();
    let gives = !file.mount().flags().no_suid;
    let value = if gives { file.file_capabilities()? } else { None };
    let file_capabilities = value.map(|value| FileCapabilities::parse(&value)).transpose()?.flatten();
    if gives && may_gain {
        if attributes.mode & SETUID != 0 {
            new.euid = attributes.uid;
        }
        if attributes.mode & SETGID_EXECUTABLE == SETGID_EXECUTABLE {
            new.egid = attributes.gid;
        }
    }
    (new.suid, new.fsuid, new.sgid, new.fsgid) = (new.euid, new.euid, new.egid, new.egid);
    let secure = new.adjust_to_program(&old, file_capabilities, may_gain)?;
    Ok((Rc::new(new), secure))
}

fn map_stack(mm: &Rc<Mm>, executable: bool) -> Outcome<()> {
    let prot = PROT_READ | PROT_WRITE | if executable { PROT_EXEC } else { 0 };
    let flags = VmaFlags { grows_down: true, ..VmaFlags::default() };
    let placement = Placement::Fixed(STACK_TOP - STACK_BYTES);
    mm.map(placement, STACK_BYTES, prot, flags, Backing::Anonymous, RLIM_INFINITY)?;
    Ok(())
}

/// The first bytes of a file, zeroes after its end.
fn head_of(file: &Location) -> Outcome<[u8; HEAD_BYTES]> {
    let mut head = [0; HEAD_BYTES];
    file.read(0, &mut head)?;
    Ok(head)
}
