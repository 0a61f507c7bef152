//! `Kernel`: everything the kernel layer knows.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::{Rc, Weak};

use memory::SpaceId;

use crate::files::OpenFile;
use crate::files::anonymous::AnonymousFiles;
use crate::files::count::FileCount;
use crate::files::inotify::Inotify;
use crate::files::lock::Locks;
use crate::files::mqueue::MessageQueues;
use crate::files::pipe::Fifos;
use crate::fs::devpts::DevPts;
use crate::fs::mqueue::QueueFs;
use crate::futex::Futexes;
use crate::host::{Host, MemoryPool};
use crate::hosted::Hosted;
use crate::ipc::Ipc;
use crate::load::LoadAverages;
use crate::log::Log;
use crate::mm::{Mm, SharedObjects};
use crate::net::Net;
use crate::stop::Outcome;
use crate::syscall::aio::Contexts;
use crate::task::{Pid, Task, TaskTable, Tid};
use crate::timer::Timers;
use crate::tty::{PtyTable, Tty};
use crate::vfs::{FileSystem, Mount, Timestamp, Vfs};
use crate::wait::Waiters;

/// Nanoseconds in a second.
pub const SECOND_NS: u64 = 1_000_000_000;

/// The kernel layer of one machine.
pub struct Kernel {
    pub(crate) host: Box<dyn Host>,
    pub(crate) pool: Box<dyn MemoryPool>,
    pub(crate) vfs: Rc<Vfs>,
    pub(crate) tasks: Rc<TaskTable>,
    /// Tasks that can run, in the order they will.
    pub(crate) ready: VecDeque<Tid>,
    pub(crate) waiters: Waiters,
    /// Tasks that wait for the disk.
    pub(crate) disk_waiters: Vec<Tid>,
    pub(crate) timers: Timers,
    pub(crate) futexes: Futexes,
    pub(crate) ipc: Ipc,
    pub(crate) aio: Contexts,
    pub(crate) message_queues: Rc<MessageQueues>,
    /// Where they have their names.
    pub(crate) queues_mount: Rc<Mount>,
    /// Where memfds are.
    pub(crate) memory_files: Rc<Mount>,
    /// Pages that all tmpfs may still take.
    pub(crate) tmpfs_pages: Rc<Cell<u64>>,
    /// What has been said.
    pub(crate) log: Log,
    pub(crate) shared: SharedObjects,
    pub(crate) anonymous: AnonymousFiles,
    pub(crate) fifos: Fifos,
    pub(crate) net: Net,
    pub(crate) locks: Locks,
    pub(crate) inotify_instances: Vec<Weak<Inotify>>,
    pub(crate) console: Rc<Tty>,
    /// The terminal that has taken what is written to `/dev/console`, and how often it had been hung up then.
    pub(crate) console_taken: Option<(Rc<Tty>, u32)>,
    pub(crate) ptys: Rc<PtyTable>,
    pub(crate) hosted: BTreeMap<Pid, Hosted>,
    /// What the engine has to be told at the next opportunity.
    pub(crate) dead_spaces: Vec<SpaceId>,
    pub(crate) forked_spaces: Vec<(SpaceId, Weak<Mm>)>,
    pub(crate) moved_spaces: Vec<SpaceId>,
    /// Files that are closed but not yet released.
    pub(crate) closing: VecDeque<OpenFile>,
    /// They are being released.
    pub(crate) is_releasing: bool,
    /// How many files are open.
    pub(crate) file_count: FileCount,
    pub(crate) host_name: RefCell<Vec<u8>>,
    pub(crate) domain_name: RefCell<Vec<u8>>,
    /// Guest memory in use beyond which a process is killed.
    pub(crate) memory_limit_bytes: u64,
    /// `/proc/loadavg`.
    pub(crate) load: LoadAverages,
    pub(crate) boot_ns: u64,
    /// `/proc/sys/kernel/random/boot_id`.
    pub(crate) boot_id: [u8; 16],
    /// Time no task could run, for `/proc/uptime`.
    pub(crate) idle_ns: u64,
    /// Since when there has been nothing to run.
    pub(crate) idle_since_ns: Option<u64>,
    /// Offset that `clock_settime` has put on the host's clock.
    pub(crate) realtime_shift_ns: i64,
    /// Pages have been brought in since memory in use was last counted.
    pub(crate) faulted: bool,
    /// Log every system call.
    pub traces_calls: bool,
    /// Things said once.
    pub(crate) said: BTreeSet<String>,
    pub(crate) context_switches: u64,
    /// Tasks that are traced.
    pub(crate) tracees: usize,
}

impl Kernel {
    /// A machine whose root file system is `root`; `source` is what `/proc/mounts` calls it.
    pub fn new(host: Box<dyn Host>, pool: Box<dyn MemoryPool>, root: Box<dyn FileSystem>, source: &str) -> Self {
        let vfs = Rc::new(Vfs::new(root, source, crate::vfs::MountFlags::default()));
        let ptys = Rc::new(PtyTable::default());
        let console = Tty::console();
        let mut host = host;
        let boot_ns = host.monotonic_ns();
        let mut boot_id = [0; 16];
        host.fill_random(&mut boot_id);
        let anonymous = AnonymousFiles::new(&vfs);
        let tmpfs_pages = crate::fs::standard::tmpfs_pages();
        let memory_files = crate::fs::standard::memory_files(&vfs, &tmpfs_pages);
        let message_queues = Rc::<MessageQueues>::default();
        let queues = Box::new(QueueFs::new(message_queues.clone()));
        let queues_mount = vfs.mount_nowhere(queues, crate::fs::mqueue::TYPE, crate::vfs::MountFlags::default());
        let mut kernel = Self {
            host,
            pool,
            tasks: Rc::default(),
            ready: VecDeque::new(),
            waiters: Waiters::default(),
            disk_waiters: Vec::new(),
            timers: Timers::default(),
            futexes: Futexes::default(),
            ipc: Ipc::default(),
            aio: Contexts::default(),
            message_queues,
            queues_mount,
            memory_files,
            tmpfs_pages,
            shared: SharedObjects::default(),
            anonymous,
            fifos: Fifos::default(),
            net: Net::default(),
            locks: Locks::default(),
            inotify_instances: Vec::new(),
            console,
            console_taken: None,
            ptys,
            hosted: BTreeMap::new(),
            dead_spaces: Vec::new(),
            forked_spaces: Vec::new(),
            moved_spaces: Vec::new(),
            closing: VecDeque::new(),
            is_releasing: false,
            file_count: FileCount::default(),
            host_name: RefCell::new(b"edgebox".to_vec()),
            domain_name: RefCell::new(b"(none)".to_vec()),
            memory_limit_bytes: crate::oom::MEMORY_LIMIT_BYTES,
            load: LoadAverages::default(),
            boot_ns,
            boot_id,
            idle_ns: 0,
            idle_since_ns: None,
            realtime_shift_ns: 0,
            faulted: false,
            traces_calls: false,
            said: BTreeSet::new(),
            log: Log::default(),
            context_switches: 0,
            tracees: 0,
            vfs,
        };
        kernel.say_hello();
        kernel
    }

    /// The tree of files, for the host: it sets up what the image does not have.
    pub fn vfs(&self) -> &Vfs {
        &self.vfs
    }

    /// Time since the machine started.
    pub fn uptime_ns(&self) -> u64 {
        self.host.monotonic_ns().saturating_sub(self.boot_ns)
    }

    /// Time since 1970, UTC.
    pub fn realtime_ns(&self) -> u64 {
        self.host.realtime_ns().saturating_add_signed(self.realtime_shift_ns)
    }

    /// Tells the file systems what time it is.
    pub(crate) fn set_file_time(&self) {
        let now_ns = self.realtime_ns();
        let seconds = (now_ns / SECOND_NS) as i64;
        self.vfs.set_time(Timestamp { seconds, nanoseconds: (now_ns % SECOND_NS) as u32 });
    }

    /// Tells whoever runs the machine, the first time it comes up, what it can't do: a Linux has no such messages.
    pub fn log_once(&mut self, line: String) {
        /// Different lines that are remembered: the guest can make up any number of them.
        const SAID_MAX: usize = 1000;
        if self.said.len() < SAID_MAX && self.said.insert(line.clone()) {
            self.host.log(&line);
        }
    }

    /// Mounts what a running Linux always has: `/proc`, `/sys`, `/dev` with its nodes, `/dev/pts`, `/dev/shm`,
    /// `/run` and `/tmp`.
    pub fn mount_standard(&mut self) -> Outcome<()> {
        self.set_file_time();
        crate::fs::mount_standard(self)?;
        self.say_mounted();
        Ok(())
    }

    pub(crate) fn devpts(&self) -> DevPts {
        DevPts::new(self.ptys.clone())
    }

    pub(crate) fn random_bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.host.fill_random(&mut bytes);
        bytes
    }

    /// The task that makes the call being answered.
    pub(crate) fn current(&self) -> Outcome<Rc<Task>> {
        self.tasks.current().ok_or(abi::Errno::ESRCH.into())
    }

    /// The task with that number.
    pub(crate) fn task(&self, tid: Tid) -> Option<Rc<Task>> {
        self.tasks.task(tid)
    }
}
