//! procfs: processes and the machine as files (`proc(5)`).
//!
//! An inode number says what it stands for ([`Node`]), so nothing is stored. The file system itself knows names and
//! links; texts are made by [`render`] when an open file is read, with the whole kernel at hand.
//!
//! | module | subject |
//! |---|---|
//! | [`machine`] | what is said about the machine |
//! | [`sysvipc`] | `/proc/sysvipc` |
//! | [`process`] | what is said about a process |
//! | [`maps`] | `/proc/PID/maps` and its relatives |
//! | [`mounts`] | what is mounted |

pub mod machine;
pub mod maps;
mod mounts;
pub mod process;
pub mod sysvipc;

use std::rc::Rc;

use abi::Errno;
use abi::file::{NAME_MAX, PROC_SUPER_MAGIC};

use crate::kernel::Kernel;
use crate::mm::Mm;
use crate::stop::Outcome;
use crate::task::{Pid, Process, Task, TaskTable, Tid};
use crate::vfs::{
    Attributes, DirEntry, FileKind, FileSystem, FileSystemStatus, Ino, Location, SetAttributes, Timestamp,
};
use machine::{Item, MACHINE};
use process::{ENTRIES, Entry};

/// What an inode stands for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)] // The fields are what their types are named.
pub enum Node {
    /// A file or directory about the machine: its index in [`machine::MACHINE`].
    Machine(u32),
    /// A process's directory, or with a thread that thread's below `task`.
    Process { pid: Pid, tid: Tid },
    /// An entry of such a directory: its index in [`process::ENTRIES`].
    Entry { pid: Pid, tid: Tid, entry: u8 },
    /// A descriptor: a link below `fd`, or a file below `fdinfo`.
    Descriptor { pid: Pid, fd: i32, info: bool },
}

const CLASS_MACHINE: u64 = 1;
const CLASS_PROCESS: u64 = 2;
const CLASS_FD: u64 = 3;
const CLASS_FDINFO: u64 = 4;
const CLASS_ENTRY: u64 = 16;

impl Node {
    /// The root directory.
    pub const ROOT: Node = Node::Machine(0);

    /// What an inode stands for.
    pub fn of(ino: Ino) -> Option<Node> {
        let (class, pid, extra) = (ino.0 & 0xff, (ino.0 >> 8 & 0xff_ffff) as i32, (ino.0 >> 32 & 0xff_ffff) as i32);
        match class {
            CLASS_MACHINE => Some(Node::Machine(extra as u32)),
            CLASS_PROCESS => Some(Node::Process { pid, tid: extra }),
            CLASS_FD | CLASS_FDINFO => Some(Node::Descriptor { pid, fd: extra, info: class == CLASS_FDINFO }),
            class if class >= CLASS_ENTRY => {
                let entry = (class - CLASS_ENTRY) as u8;
                (usize::from(entry) < ENTRIES.len()).then_some(Node::Entry { pid, tid: extra, entry })
            }
            _ => None,
        }
    }

    /// Whether it is the kernel log, which is another kind of open file than all others here.
    pub fn is_kernel_log(self) -> bool {
        matches!(self, Node::Machine(index) if matches!(MACHINE.get(index as usize), Some((_, Item::KernelLog))))
    }

    /// Its inode.
    pub fn ino(self) -> Ino {
        let pack = |class: u64, pid: i32, extra: i32| Ino(class | (pid as u64) << 8 | (extra as u64) << 32);
        match self {
            Node::Machine(index) => pack(CLASS_MACHINE, 0, index as i32),
            Node::Process { pid, tid } => pack(CLASS_PROCESS, pid, tid),
            Node::Entry { pid, tid, entry } => pack(CLASS_ENTRY + u64::from(entry), pid, tid),
            Node::Descriptor { pid, fd, info } => pack(if info { CLASS_FDINFO } else { CLASS_FD }, pid, fd),
        }
    }

    /// The number that programs see: one of 32 bits, since 32-bit ones can't have others (`EOVERFLOW`). As in Linux the
    /// root's is 1; the others say nothing, and two may have the same, which is unlikely for directories above each other.
    fn shown_ino(self) -> Ino {
        /// 2 to the 64 over the golden ratio: in a product with it, the upper bits depend on all of the other factor.
        const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
        if self == Node::ROOT { Ino(1) } else { Ino(self.ino().0.wrapping_mul(FACTOR) >> 32) }
    }

    fn entry(self) -> Option<Entry> {
        match self {
            Node::Entry { entry, .. } => ENTRIES.get(usize::from(entry)).map(|(_, entry)| *entry),
            _ => None,
        }
    }

    fn kind(self) -> FileKind {
        match self {
            Node::Machine(index) => machine::kind(index),
            Node::Process { .. } => FileKind::Directory,
            Node::Entry { .. } => self.entry().map_or(FileKind::Regular, Entry::kind),
            Node::Descriptor { info: true, .. } => FileKind::Regular,
            Node::Descriptor { info: false, .. } => FileKind::Symlink,
        }
    }

    fn pid(self) -> Option<Pid> {
        match self {
            Node::Machine(_) => None,
            Node::Process { pid, .. } | Node::Entry { pid, .. } | Node::Descriptor { pid, .. } => Some(pid),
        }
    }
}

/// Where an entry stands in its directory's order, `index` being how many were listed before it. What has a number stands
/// there by it, so that none is missed while others vanish: programs close descriptors while they read `fd`.
fn child_place(directory: Node, child: Node, index: u64) -> u64 {
    const DOTS: u64 = 2;
    // Behind the machine's own, which have no numbers.
    const FIRST_PROCESS: u64 = 256;
    match (directory, child) {
        (Node::Entry { .. }, Node::Descriptor { fd, .. }) => DOTS + fd as u64,
        (Node::Entry { .. }, Node::Process { tid, .. }) if index >= DOTS => DOTS + tid as u64,
        (Node::Machine(_), Node::Process { pid, .. }) if index >= DOTS => FIRST_PROCESS + pid as u64,
        _ => index,
    }
}

/// The process that an open directory of its in a `/proc` stands for.
pub fn process_of(location: &Location) -> Option<Pid> {
    match Node::of(location.ino()) {
        Some(Node::Process { pid, tid: 0 }) if location.type_name() == "proc" => Some(pid),
        _ => None,
    }
}

/// The file system.
pub struct ProcFs {
    tasks: Rc<TaskTable>,
    now: Timestamp,
}

impl ProcFs {
    /// A view of a kernel's processes.
    pub fn new(kernel: &Kernel) -> Self {
        Self { tasks: kernel.tasks.clone(), now: Timestamp::default() }
    }

    fn process(&self, pid: Pid) -> Outcome<Rc<Process>> {
        self.tasks.process(pid).ok_or(Errno::ENOENT.into())
    }

    /// The thread that an entry speaks of: the named one, or the process's first.
    fn task(&self, pid: Pid, tid: Tid) -> Outcome<Rc<Task>> {
        let task = match tid {
            0 => self.tasks.main_thread(&*self.process(pid)?),
            tid => self.tasks.task(tid).filter(|task| task.process.pid == pid),
        };
        task.ok_or(Errno::ENOENT.into())
    }

    fn descriptors(&self, pid: Pid) -> Outcome<Vec<i32>> {
        let task = self.task(pid, 0)?;
        let Ok(table) = task.fd_table() else { return Ok(Vec::new()) };
        let fds = table.borrow().iter().map(|(fd, _)| fd).collect();
        Ok(fds)
    }

    /// Entries of a directory, `.` and `..` left out.
    fn children(&self, node: Node) -> Outcome<Vec<(Vec<u8>, Node)>> {
        let number = |number: i32| number.to_string().into_bytes();
        Ok(match node {
            Node::Machine(index) => {
                let mut all: Vec<_> = machine::children(index).collect();
                if node == Node::ROOT {
                    let process = |p: Rc<Process>| (number(p.pid), Node::Process { pid: p.pid, tid: 0 });
                    all.extend(self.tasks.processes().into_iter().map(process));
                }
                all
            }
            Node::Process { pid, tid } => {
                self.process(pid)?;
                let shown = ENTRIES.iter().enumerate().filter(|(_, (_, entry))| tid == 0 || *entry != Entry::Tasks);
                let entry = |index: usize| Node::Entry { pid, tid, entry: index as u8 };
                shown.map(|(index, (name, _))| (name.as_bytes().to_vec(), entry(index))).collect()
            }
            Node::Entry { pid, .. } => match node.entry() {
                Some(Entry::Tasks) => {
                    let process = self.process(pid)?;
                    let threads = process.threads.borrow();
                    threads.iter().map(|tid| (number(*tid), Node::Process { pid, tid: *tid })).collect()
                }
                Some(kind @ (Entry::Descriptors | Entry::DescriptorInfo)) => {
                    let info = kind == Entry::DescriptorInfo;
                    let fds = self.descriptors(pid)?.into_iter();
                    fds.map(|fd| (number(fd), Node::Descriptor { pid, fd, info })).collect()
                }
                _ => return Err(Errno::ENOTDIR.into()),
            },
            Node::Descriptor { .. } => return Err(Errno::ENOTDIR.into()),
        })
    }

    /// Who owns a node: the process's user, unless others must not look into it.
    fn owner(&self, node: Node) -> (u32, u32) {
        let Some(process) = node.pid().and_then(|pid| self.tasks.process(pid)) else { return (0, 0) };
        let Some(task) = self.tasks.main_thread(&process).filter(|_| process.dumpable.get()) else { return (0, 0) };
        let who = task.credentials();
        (who.euid, who.egid)
    }
}

impl FileSystem for ProcFs {
    fn root(&self) -> Ino {
        Node::ROOT.ino()
    }

    fn set_time(&mut self, now: Timestamp) {
        self.now = now;
    }

    fn lookup(&mut self, dir: Ino, name: &[u8]) -> Outcome<Ino> {
        let node = Node::of(dir).ok_or(Errno::ENOENT)?;
        let number = std::str::from_utf8(name).ok().and_then(|name| name.parse::<i32>().ok());
        // Threads have directories here too, only not listed ones.
        if let (Node::ROOT, Some(tid)) = (node, number)
            && let Some(task) = self.tasks.task(tid)
        {
            let pid = task.process.pid;
            return Ok(Node::Process { pid, tid: if pid == tid { 0 } else { tid } }.ino());
        }
        let found = self.children(node)?.into_iter().find(|(entry, _)| entry == name);
        found.map(|(_, node)| node.ino()).ok_or(Errno::ENOENT.into())
    }

    fn attributes(&mut self, ino: Ino) -> Outcome<Attributes> {
        let node = Node::of(ino).ok_or(Errno::ENOENT)?;
        if let Some(pid) = node.pid() {
            self.process(pid)?;
        }
        let kind = node.kind();
        let (uid, gid) = self.owner(node);
        let mode = match node {
            Node::Machine(index) => machine::mode(index),
            Node::Process { .. } => 0o555,
            Node::Entry { .. } => node.entry().map_or(0o444, Entry::mode),
            Node::Descriptor { info: true, .. } => 0o444,
            Node::Descriptor { info: false, .. } => 0o700,
        };
        let time = self.now;
        Ok(Attributes {
            ino: node.shown_ino(),
            kind,
            mode,
            uid,
            gid,
            links: if kind == FileKind::Directory { 2 } else { 1 },
            size_bytes: 0,
            blocks: 0,
            block_size: 1024,
            rdev: 0,
            accessed: time,
            modified: time,
            changed: time,
        })
    }

    /// A process reaches its own descriptors, whoever it has become meanwhile, as Linux's `proc_fd_permission` has it: Samba
    /// opens directories by way of `/proc/self/fd` on behalf of its clients.
    fn is_askers_own(&mut self, ino: Ino) -> bool {
        let Some(node) = Node::of(ino) else { return false };
        let is_asker = || self.tasks.current().map(|task| task.process.pid) == node.pid();
        matches!(node.entry(), Some(Entry::Descriptors | Entry::DescriptorInfo)) && is_asker()
    }

    fn set_attributes(&mut self, ino: Ino, set: &SetAttributes) -> Outcome<()> {
        // Opening with O_TRUNC changes nothing.
        let only_size = set.mode.is_none() && set.uid.is_none() && set.gid.is_none();
        if only_size && Node::of(ino).is_some() { Ok(()) } else { Err(Errno::EPERM.into()) }
    }

    fn create(&mut self, _dir: Ino, _name: &[u8], _new: &crate::vfs::NewFile<'_>) -> Outcome<Ino> {
        Err(Errno::ENOENT.into())
    }

    fn unlink(&mut self, _dir: Ino, _name: &[u8]) -> Outcome<()> {
        Err(Errno::EPERM.into())
    }

    fn remove_dir(&mut self, _dir: Ino, _name: &[u8]) -> Outcome<()> {
        Err(Errno::EPERM.into())
    }

    fn read(&mut self, _ino: Ino, _offset: u64, _to: &mut [u8]) -> Outcome<usize> {
        // Texts are made by open files, which have the kernel at hand.
        Err(Errno::EINVAL.into())
    }

    fn read_link(&mut self, ino: Ino) -> Outcome<Vec<u8>> {
        let current = self.tasks.current().ok_or(Errno::ENOENT)?;
        let pid = current.process.pid;
        match Node::of(ino) {
            Some(Node::Machine(index)) => match MACHINE[index as usize].1 {
                machine::Item::Own => Ok(pid.to_string().into_bytes()),
                machine::Item::OwnThread => Ok(format!("{pid}/task/{}", current.tid()).into_bytes()),
                machine::Item::Link(target) => Ok(target.as_bytes().to_vec()),
                _ => Err(Errno::EINVAL.into()),
            },
            // All processes have the same network.
            Some(node @ Node::Entry { tid, .. }) if node.entry() == Some(Entry::Network) => {
                Ok(if tid == 0 { &b"../net"[..] } else { b"../../../net" }.to_vec())
            }
            // A process that has ended has nothing these could lead to.
            Some(_) => Err(Errno::ENOENT.into()),
            None => Err(Errno::EINVAL.into()),
        }
    }

    fn magic_link(&mut self, ino: Ino) -> Outcome<Option<Location>> {
        let Some(node) = Node::of(ino) else { return Ok(None) };
        match node {
            Node::Descriptor { pid, fd, info: false } => {
                let task = self.task(pid, 0)?;
                self.tasks.check_look(&task)?;
                let file = task.file(fd).map_err(|_| Errno::ENOENT)?;
                Ok(Some(file.location.clone()))
            }
            Node::Entry { pid, tid, .. } => {
                if !matches!(node.entry(), Some(Entry::Executable | Entry::WorkingDirectory | Entry::Root)) {
                    return Ok(None);
                }
                let task = self.task(pid, tid)?;
                self.tasks.check_look(&task)?;
                match node.entry() {
                    Some(Entry::Executable) => {
                        let mm = task.mm().map_err(|_| Errno::ENOENT)?;
                        let executable = mm.executable.borrow().clone();
                        executable.map(Some).ok_or(Errno::ENOENT.into())
                    }
                    Some(Entry::WorkingDirectory) => Ok(Some(task.fs_state().cwd)),
                    _ => Ok(Some(task.fs_state().root)),
                }
            }
            _ => Ok(None),
        }
    }

    fn read_dir(&mut self, dir: Ino, cookie: u64, each: &mut dyn FnMut(DirEntry) -> bool) -> Outcome<()> {
        let node = Node::of(dir).ok_or(Errno::ENOENT)?;
        let mut entries = vec![(b".".to_vec(), node), (b"..".to_vec(), Node::ROOT)];
        entries.extend(self.children(node)?);
        let place = |(index, (name, child))| (child_place(node, child, index as u64), name, child);
        let mut entries: Vec<_> = entries.into_iter().enumerate().map(place).collect();
        entries.sort_by_key(|(place, ..)| *place);
        for (place, name, node) in entries.into_iter().skip_while(|(place, ..)| *place < cookie) {
            let entry = DirEntry { ino: node.shown_ino(), kind: node.kind(), name, next_cookie: place + 1 };
            if !each(entry) {
                break;
            }
        }
        Ok(())
    }

    fn status(&mut self) -> Outcome<FileSystemStatus> {
        let name_len_max = NAME_MAX as u64;
        Ok(FileSystemStatus { magic: PROC_SUPER_MAGIC, block_size: 4096, name_len_max, ..Default::default() })
    }

    fn type_name(&self) -> &'static str {
        "proc"
    }

    fn is_volatile(&self) -> bool {
        true
    }
}

/// The text of a file.
pub fn render(kernel: &mut Kernel, node: Node) -> Outcome<Vec<u8>> {
    match node {
        Node::Machine(index) => machine::render(kernel, index),
        Node::Entry { pid, tid, .. } => {
            let entry = node.entry().ok_or(Errno::ENOENT)?;
            let process = kernel.tasks.process(pid).ok_or(Errno::ESRCH)?;
            let task = if tid == 0 { kernel.tasks.main_thread(&process) } else { kernel.tasks.task(tid) };
            process::render(kernel, &process, task, entry, tid != 0)
        }
        Node::Descriptor { pid, fd, .. } => {
            let process = kernel.tasks.process(pid).ok_or(Errno::ENOENT)?;
            let task = kernel.tasks.main_thread(&process).ok_or(Errno::ENOENT)?;
            process::descriptor_info(kernel, &task, fd)
        }
        Node::Process { .. } => Err(Errno::EISDIR.into()),
    }
}

/// Writing to a file.
pub fn store(kernel: &mut Kernel, node: Node, bytes: &[u8]) -> Outcome<()> {
    let text = std::str::from_utf8(bytes).map_err(|_| Errno::EINVAL)?.trim();
    match node {
        Node::Machine(index) => machine::store(kernel, index, text),
        Node::Entry { pid, tid, .. } => {
            let process = kernel.tasks.process(pid).ok_or(Errno::ESRCH)?;
            let task = if tid == 0 { kernel.tasks.main_thread(&process) } else { kernel.tasks.task(tid) };
            let current = kernel.current()?;
            process::store(&current, &process, task, node.entry().ok_or(Errno::ENOENT)?, text)
        }
        _ => Err(Errno::EIO.into()),
    }
}

impl Kernel {
    /// Whether the task that runs may open that file, if it is a process's memory or tells of it.
    pub fn check_proc_memory(&self, node: Node) -> Outcome<()> {
        let (Node::Entry { pid, .. }, Some(entry)) = (node, node.entry()) else { return Ok(()) };
        let main = self.tasks.process(pid).and_then(|process| self.tasks.main_thread(&process));
        match main {
            Some(main) if entry.is_of_memory() => self.tasks.check_look(&main),
            _ => Ok(()),
        }
    }

    /// The memory behind `/proc/PID/mem`; `None` for any other file.
    pub fn proc_memory(&self, node: Node) -> Outcome<Option<Rc<Mm>>> {
        let (Node::Entry { pid, .. }, Some(Entry::Memory)) = (node, node.entry()) else { return Ok(None) };
        let process = self.tasks.process(pid).ok_or(Errno::ESRCH)?;
        let task = self.tasks.main_thread(&process).ok_or(Errno::ESRCH)?;
        task.mm().map(Some)
    }
}
