//! What procfs says about a process.

use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering};

use abi::Errno;
use abi::capability::{CAP_AUDIT_CONTROL, CAP_SYS_RESOURCE};
use abi::process::*;
use abi::time::USER_HZ;
use memory::PAGE_SIZE;

use super::{maps, mounts};
use crate::credentials::Credentials;
use crate::kernel::{Kernel, SECOND_NS};
use crate::stop::Outcome;
use crate::task::{Process, ProcessState, RunState, Task};
use crate::vfs::{FileKind, Location};

/// What a name in a process's directory stands for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)] // Each is the name beside it in the table below.
pub enum Entry {
    Auxiliary,
    ControlGroup,
    CommandLine,
    Name,
    WorkingDirectory,
    Environment,
    Executable,
    Descriptors,
    DescriptorInfo,
    IdMap,
    InputOutput,
    Limits,
    LoginId,
    Maps,
    Memory,
    MountInfo,
    Mounts,
    Network,
    OomScore,
    OomScoreAdjustment,
    Personality,
    Root,
    SetGroups,
    ScheduleStatistics,
    SessionId,
    DetailedMaps,
    Statistics,
    MemoryStatistics,
    Status,
    Tasks,
    WaitChannel,
}

/// The names.
pub const ENTRIES: &[(&str, Entry)] = &[
    ("auxv", Entry::Auxiliary),
    ("cgroup", Entry::ControlGroup),
    ("cmdline", Entry::CommandLine),
    ("comm", Entry::Name),
    ("cwd", Entry::WorkingDirectory),
    ("environ", Entry::Environment),
    ("exe", Entry::Executable),
    ("fd", Entry::Descriptors),
    ("fdinfo", Entry::DescriptorInfo),
    ("gid_map", Entry::IdMap),
    ("io", Entry::InputOutput),
    ("limits", Entry::Limits),
    ("loginuid", Entry::LoginId),
    ("maps", Entry::Maps),
    ("mem", Entry::Memory),
    ("mountinfo", Entry::MountInfo),
    ("mounts", Entry::Mounts),
    ("net", Entry::Network),
    ("oom_score", Entry::OomScore),
    ("oom_score_adj", Entry::OomScoreAdjustment),
    ("personality", Entry::Personality),
    ("root", Entry::Root),
    ("schedstat", Entry::ScheduleStatistics),
    ("sessionid", Entry::SessionId),
    ("setgroups", Entry::SetGroups),
    ("smaps", Entry::DetailedMaps),
    ("stat", Entry::Statistics),
    ("statm", Entry::MemoryStatistics),
    ("status", Entry::Status),
    ("task", Entry::Tasks),
    ("uid_map", Entry::IdMap),
    ("wchan", Entry::WaitChannel),
];

impl Entry {
    /// Kind of the file.
    pub fn kind(self) -> FileKind {
        match self {
            Entry::Descriptors | Entry::DescriptorInfo | Entry::Tasks => FileKind::Directory,
            Entry::WorkingDirectory | Entry::Executable | Entry::Network | Entry::Root => FileKind::Symlink,
            _ => FileKind::Regular,
        }
    }

    /// Permissions of the file.
    pub fn mode(self) -> u16 {
        match self {
            Entry::Descriptors | Entry::DescriptorInfo => 0o500,
            Entry::Tasks => 0o555,
            Entry::WorkingDirectory | Entry::Executable | Entry::Network | Entry::Root => 0o777,
            Entry::Auxiliary | Entry::Environment | Entry::InputOutput | Entry::Personality => 0o400,
            Entry::Memory => 0o600,
            Entry::Name | Entry::OomScoreAdjustment | Entry::LoginId => 0o644,
            _ => 0o444,
        }
    }

    /// Whether it is the process's memory, or says what is in it and where.
    pub fn is_of_memory(self) -> bool {
        matches!(self, Entry::Auxiliary | Entry::Environment | Entry::Maps | Entry::DetailedMaps | Entry::Memory)
    }
}

/// The text of an entry. `task` is the thread it is about, if it still lives.
pub fn render(
    kernel: &mut Kernel,
    process: &Rc<Process>,
    task: Option<Rc<Task>>,
    entry: Entry,
    one_thread: bool,
) -> Outcome<Vec<u8>> {
    let root = kernel.current()?.fs_state().root;
    let mm = task.as_ref().and_then(|task| task.mm().ok());
    let text = match (entry, &task) {
        (Entry::Statistics, task) => statistics(kernel, process, task.as_ref(), one_thread),
        (Entry::Status, task) => return Ok(status(kernel, process, task.as_ref())),
        (Entry::Name, Some(task)) => return Ok([&task.name.borrow()[..], b"\n"].concat()),
        (Entry::Mounts, _) => return Ok(mounts::table(kernel, &root)),
        (Entry::MountInfo, _) => return Ok(mounts::information(kernel, &root)),
        (Entry::Limits, _) => limits(process),
        (Entry::ControlGroup, _) => "0::/\n".to_owned(),
        (Entry::IdMap, _) => format!("{:>10} {:>10} {:>10}\n", 0, 0, u32::MAX),
        (Entry::InputOutput, _) => transfers(process),
        (Entry::LoginId, _) => process.login.get().0.to_string(),
        (Entry::SessionId, _) => process.login.get().1.to_string(),
        (Entry::OomScore, _) => format!("{}\n", kernel.oom_score(process)),
        (Entry::OomScoreAdjustment, _) => format!("{}\n", process.oom_score_adjustment.get()),
        (Entry::Personality, _) => format!("{:08x}\n", process.personality.get()),
        (Entry::SetGroups, _) => "allow\n".to_owned(),
        (Entry::ScheduleStatistics, Some(task)) => format!("{} 0 0\n", task.cpu_time_ns.get()),
        (Entry::WaitChannel, _) => "0".to_owned(),
        (entry, _) => return memory_text(entry, mm, &root),
    };
    Ok(text.into_bytes())
}

/// Entries that come from a program's memory; a process that has ended has none.
fn memory_text(entry: Entry, mm: Option<Rc<crate::mm::Mm>>, root: &Location) -> Outcome<Vec<u8>> {
    let Some(mm) = mm else { return Ok(Vec::new()) };
    let range = |(start, end): (u64, u64)| mm.peek(start, end.saturating_sub(start).min(1 << 20) as usize);
    match entry {
        Entry::Auxiliary => Ok(mm.auxiliary.borrow().clone()),
        Entry::CommandLine => range(mm.arguments.get()),
        Entry::Environment => range(mm.environment.get()),
        Entry::Maps => Ok(maps::maps(&mm, root)),
        Entry::DetailedMaps => Ok(maps::smaps(&mm, root)),
        Entry::MemoryStatistics => Ok(maps::statm(&mm).into_bytes()),
        _ => Err(Errno::EINVAL.into()),
    }
}

fn state_letter(process: &Process, task: Option<&Rc<Task>>) -> (char, &'static str) {
    match (process.state.get(), task.map(|task| task.run_state.get())) {
        (ProcessState::Zombie(_), _) | (_, None) => ('Z', "zombie"),
        (_, Some(RunState::Traced)) => ('t', "tracing stop"),
        (ProcessState::Stopped(_), _) | (_, Some(RunState::Stopped)) => ('T', "stopped"),
        (_, Some(RunState::Ready)) => ('R', "running"),
        (_, Some(RunState::SleepingOnDisk | RunState::SleepingHard)) => ('D', "disk sleep"),
        _ => ('S', "sleeping"),
    }
}

fn ticks(ns: u64) -> u64 {
    ns / (SECOND_NS / USER_HZ)
}

fn statistics(kernel: &Kernel, process: &Rc<Process>, task: Option<&Rc<Task>>, one_thread: bool) -> String {
    let name = task.map(|task| task.name.borrow().clone()).unwrap_or_default();
    let name = String::from_utf8_lossy(&name).into_owned();
    let (letter, _) = state_letter(process, task);
    let tty = process.tty.borrow().clone();
    let (tty_number, foreground) = tty.map_or((0, -1), |tty| (tty.rdev, tty.foreground.get()));
    let own_ns = match task {
        Some(task) if one_thread => task.cpu_time_ns.get(),
        _ => kernel.process_cpu_time_ns(process),
    };
    let mm = task.and_then(|task| task.mm().ok());
    let size = mm.as_ref().map_or(0, |mm| mm.mapped_bytes());
    let resident = mm.as_ref().map_or(0, |mm| mm.space.borrow().present_pages());
    let (arg_start, arg_end) = mm.as_ref().map_or((0, 0), |mm| mm.arguments.get());
    let (env_start, env_end) = mm.as_ref().map_or((0, 0), |mm| mm.environment.get());
    let heap = mm.as_ref().map_or(0, |mm| mm.heap_start.get());
    let (ignored, caught) = signal_sets(process);
    let (pending, blocked) = task.map_or((0, 0), |task| (task.pending.borrow().set().0, task.blocked.get().0));
    let (policy, priority) = task.map_or((0, 0), |task| task.scheduling.get());
    let number = if one_thread { task.map_or(process.pid, |task| task.tid()) } else { process.pid };
    let nice = process.nice.get();
    let threads = process.threads.borrow().len().max(1);
    let start = ticks(process.start_ns.get().saturating_sub(kernel.boot_ns));
    let exit_code = match process.state.get() {
        ProcessState::Zombie(status) => status.wait_status(),
        _ => 0,
    };
    let fields = [
        format!("{number} ({name}) {letter} {} {}", kernel.shown_parent(process), process.group.get()),
        format!("{} {tty_number} {foreground} 0 0 0 0 0", process.session.get()),
        format!("{} 0 {} 0 {} {nice}", ticks(own_ns), ticks(process.children_cpu_time_ns.get()), 20 + nice),
        format!("{threads} 0 {start} {size} {resident} {RLIM_INFINITY} 0 0 0 0 0"),
        format!("{pending} {blocked} {ignored} {caught} 0 0 0 {} 0 {priority} {policy}", process.exit_signal.get()),
        format!("0 0 0 0 0 {heap} {arg_start} {arg_end} {env_start} {env_end} {exit_code}\n"),
    ];
    fields.join(" ")
}

fn signal_sets(process: &Process) -> (u64, u64) {
    let actions = process.actions();
    let actions = actions.borrow();
    (actions.ignored().0, actions.caught().0)
}

fn status(kernel: &Kernel, process: &Rc<Process>, task: Option<&Rc<Task>>) -> Vec<u8> {
    let mut text = b"Name:\t".to_vec();
    text.extend(task.map(|task| task.name.borrow().clone()).unwrap_or_default());
    let (letter, word) = state_letter(process, task);
    let tid = task.map_or(process.pid, |task| task.tid());
    let who = task.map(|task| task.credentials());
    let umask = task.map_or(0o22, |task| task.fs_state().umask);
    let parent = kernel.shown_parent(process);
    let tracer = task.and_then(|task| task.tracer_process()).unwrap_or(0);
    let mut add = |line: String| text.extend(format!("\n{line}").bytes());
    add(format!("Umask:\t{umask:04o}\nState:\t{letter} ({word})\nTgid:\t{}\nNgid:\t0", process.pid));
    add(format!("Pid:\t{tid}\nPPid:\t{parent}\nTracerPid:\t{tracer}"));
    if let Some(who) = who {
        add(format!("Uid:\t{}\t{}\t{}\t{}", who.uid, who.euid, who.suid, who.fsuid));
        add(format!("Gid:\t{}\t{}\t{}\t{}", who.gid, who.egid, who.sgid, who.fsgid));
        let groups: String = who.groups.iter().map(|gid| format!("{gid} ")).collect();
        add(format!("FDSize:\t64\nGroups:\t{groups}"));
        let caps = &who.capabilities;
        let (inheritable, permitted, effective) = (caps.inheritable.0, caps.permitted.0, caps.effective.0);
        add(format!("CapInh:\t{inheritable:016x}\nCapPrm:\t{permitted:016x}\nCapEff:\t{effective:016x}"));
        add(format!("CapBnd:\t{:016x}\nCapAmb:\t{:016x}", caps.bounding.0, caps.ambient.0));
    }
    if let Some(mm) = task.and_then(|task| task.mm().ok()) {
        let size = mm.mapped_bytes() / 1024;
        let resident = u64::from(mm.space.borrow().present_pages()) * PAGE_SIZE / 1024;
        add(format!("VmPeak:\t{size:>8} kB\nVmSize:\t{size:>8} kB\nVmLck:\t{:>8} kB", 0));
        add(format!("VmHWM:\t{resident:>8} kB\nVmRSS:\t{resident:>8} kB\nVmSwap:\t{:>8} kB", 0));
    }
    let (ignored, caught) = signal_sets(process);
    let pending = task.map_or(0, |task| task.pending.borrow().set().0);
    let blocked = task.map_or(0, |task| task.blocked.get().0);
    let shared = process.pending.borrow().set().0;
    add(format!("Threads:\t{}\nSigQ:\t0/4096", process.threads.borrow().len().max(1)));
    add(format!("SigPnd:\t{pending:016x}\nShdPnd:\t{shared:016x}\nSigBlk:\t{blocked:016x}"));
    add(format!("SigIgn:\t{ignored:016x}\nSigCgt:\t{caught:016x}"));
    let no_new = task.is_some_and(|task| task.no_new_privileges.get());
    let (mode, filters) = task.map_or((0, 0), |task| {
        let seccomp = task.seccomp.borrow();
        (seccomp.mode(), seccomp.filter_count())
    });
    add(format!(
        "NoNewPrivs:\t{}\nSeccomp:\t{mode}\nSeccomp_filters:\t{filters}\nCpus_allowed:\t1\nCpus_allowed_list:\t0",
        u8::from(no_new)
    ));
    add("Mems_allowed:\t1\nMems_allowed_list:\t0".to_owned());
    add("voluntary_ctxt_switches:\t0\nnonvoluntary_ctxt_switches:\t0\n".to_owned());
    text
}

fn limits(process: &Process) -> String {
    const NAMES: [(&str, &str); RLIMIT_COUNT] = [
        ("Max cpu time", "seconds"),
        ("Max file size", "bytes"),
        ("Max data size", "bytes"),
        ("Max stack size", "bytes"),
        ("Max core file size", "bytes"),
        ("Max resident set", "bytes"),
        ("Max processes", "processes"),
        ("Max open files", "files"),
        ("Max locked memory", "bytes"),
        ("Max address space", "bytes"),
        ("Max file locks", "locks"),
        ("Max pending signals", "signals"),
        ("Max msgqueue size", "bytes"),
        ("Max nice priority", ""),
        ("Max realtime priority", ""),
        ("Max realtime timeout", "us"),
    ];
    let value = |value: u64| if value == RLIM_INFINITY { "unlimited".to_owned() } else { value.to_string() };
    let mut text = format!("{:<25} {:<20} {:<20} {:<10}\n", "Limit", "Soft Limit", "Hard Limit", "Units");
    for ((name, unit), limit) in NAMES.iter().zip(process.limits.borrow().0) {
        text += &format!("{name:<25} {:<20} {:<20} {unit:<10}\n", value(limit.soft), value(limit.hard));
    }
    text
}

/// The text of a file below `fdinfo`.
pub fn descriptor_info(kernel: &Kernel, task: &Rc<Task>, fd: i32) -> Outcome<Vec<u8>> {
    let file = task.file(fd).map_err(|_| Errno::ENOENT)?;
    let close_on_exec = task.fd_table()?.borrow().close_on_exec(fd)?;
    let flags = file.flags.get() | if close_on_exec { abi::file::O_CLOEXEC } else { 0 };
    let head = format!("pos:\t{}\nflags:\t0{flags:o}\nmnt_id:\t{}\n", file.position.get(), file.location.mount().id);
    let rest = format!("ino:\t{}\n{}", file.location.ino().0, file.object.describe(kernel));
    Ok((head + &rest).into_bytes())
}

/// Writing to an entry.
pub fn store(
    current: &Rc<Task>,
    process: &Rc<Process>,
    task: Option<Rc<Task>>,
    entry: Entry,
    text: &str,
) -> Outcome<()> {
    match entry {
        Entry::Name => {
            let task = task.ok_or(Errno::ESRCH)?;
            *task.name.borrow_mut() = text.bytes().take(crate::exec::NAME_BYTES_MAX).collect();
        }
        Entry::OomScoreAdjustment => {
            let value = text.parse::<i32>().ok().filter(|value| (-1000..=1000).contains(value)).ok_or(Errno::EINVAL)?;
            if current.credentials().has(CAP_SYS_RESOURCE) {
                process.oom_score_adjustment_min.set(value);
            } else if value < process.oom_score_adjustment_min.get() {
                return Err(Errno::EACCES.into());
            }
            process.oom_score_adjustment.set(value);
        }
        Entry::LoginId if !Rc::ptr_eq(&current.process, process) => return Err(Errno::EPERM.into()),
        Entry::LoginId => {
            let uid = text.parse::<u32>().map_err(|_| Errno::EINVAL)?;
            log_in(process, &current.credentials(), uid)?;
        }
        _ => return Err(Errno::EACCES.into()),
    }
    Ok(())
}

/// Says who has logged in, which begins a session; -1 takes that back. Whoever is logged in already may not change it
/// without privilege (`audit_set_loginuid`).
fn log_in(process: &Process, who: &Credentials, uid: u32) -> Outcome<()> {
    static SESSIONS: AtomicU32 = AtomicU32::new(0);
    let is_set = process.login.get().0 != u32::MAX;
    if is_set && !who.has(CAP_AUDIT_CONTROL) {
        return Err(Errno::EPERM.into());
    }
    let session = if uid == u32::MAX { uid } else { SESSIONS.fetch_add(1, Ordering::Relaxed) + 1 };
    process.login.set((uid, session));
    Ok(())
}

/// What has been read and written, by all threads; no disk is behind it.
fn transfers(process: &Process) -> String {
    let (reads, writes) = (&process.reads, &process.writes);
    format!(
        "rchar: {}\nwchar: {}\nsyscr: {}\nsyscw: {}\nread_bytes: 0\nwrite_bytes: 0\ncancelled_write_bytes: 0\n",
        reads.bytes.get(),
        writes.bytes.get(),
        reads.calls.get(),
        writes.calls.get()
    )
}
