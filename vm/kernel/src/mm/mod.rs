//! Memory maps: what each page of a process's address space stands for.
//!
//! An [`Mm`] couples a [`memory::AddressSpace`] (bytes and page states, all an engine sees) with the mappings that
//! say what belongs there. Pages come in one by one when an engine or a system call faults on them.
//!
//! `fork` copies no bytes. The child's pages are `INHERITED` and the parent's are `COW`: a child fetches a page from
//! its nearest ancestor on first use, and an ancestor hands a page to the children that still inherit it before it
//! changes or drops it. Shared mappings move pages between spaces the way processor caches move lines: any number of
//! readers, or one writer (see [`shared`]).
//!
//! | module | subject |
//! |---|---|
//! | [`vma`] | mappings and the set of them |
//! | [`map`] | `mmap`, `munmap`, `mprotect`, `mremap`, `brk`, `madvise` |
//! | [`fault`] | bringing pages in |
//! | [`fork`] | inheriting pages |
//! | [`high`] | what programs reserve beyond 4 GiB, and use a little of |
//! | [`shared`] | memory shared between processes |
//! | `swap` | more spaces than memories |
//! | [`user`] | the kernel's own access to guest memory |

pub mod fault;
pub mod fork;
pub mod high;
pub mod map;
pub mod shared;
mod swap;
pub mod user;
pub mod vma;

use std::cell::{Cell, RefCell};
use std::ops::Range;
use std::rc::{Rc, Weak};

use memory::{AddressSpace, GUEST_TOP, HIGH_END, HostMemory, PAGE_SIZE, PageIndex};

pub use fault::FaultError;
pub use map::{Moving, Placement};
pub use shared::{SharedObject, SharedObjects};
pub use vma::{Backing, Vma, VmaFlags, VmaSet};

use crate::vfs::Location;

/// Lowest address a program may map (`vm.mmap_min_addr`): NULL plus a large field offset still faults.
pub const MAP_MIN: u64 = 0x1_0000;
/// Where position-independent executables go. A fixed place: what an engine translated for one process fits another.
pub const PIE_BASE: u64 = 0x1000_0000;
/// End of the initial stack. New mappings go below it, downward, with room for it to grow: so all lies below 2 GiB, where
/// addresses of code fit a signed 32-bit field, and AddressSanitizer finds the addresses free that it keeps its records at.
pub const STACK_TOP: u64 = 0x7fff_0000;
/// When the lower area is full, mappings go here, upward.
pub const UPPER_AREA: Range<u64> = 0x8000_0000..GUEST_TOP;
/// Room for the stack, at least, whatever its limit is; and at most (Linux's `mmap_base`).
const STACK_ROOM_BYTES: Range<u64> = 128 << 20..1 << 30;

/// One process's memory (several tasks may share it: threads, `vfork`).
pub struct Mm {
    /// Bytes and page states. Borrowed while an engine runs.
    pub space: RefCell<AddressSpace>,
    /// The mappings below [`GUEST_TOP`].
    pub maps: RefCell<VmaSet>,
    /// Those from [`GUEST_TOP`] on.
    high: RefCell<VmaSet>,
    /// Start of the heap.
    pub heap_start: Cell<u64>,
    /// End of the heap, as `brk` set it.
    pub heap_end: Cell<u64>,
    /// Where the program's arguments are, for `/proc/PID/cmdline`.
    pub arguments: Cell<(u64, u64)>,
    /// Where the initial environment is, for `/proc/PID/environ`.
    pub environment: Cell<(u64, u64)>,
    /// The auxiliary vector, for `/proc/PID/auxv`.
    pub auxiliary: RefCell<Vec<u8>>,
    /// The program.
    pub executable: RefCell<Option<Location>>,
    /// Where the vDSO is; 0 is nowhere.
    pub vdso: Cell<u64>,
    /// Soft `RLIMIT_STACK`.
    pub stack_limit_bytes: Cell<u64>,
    /// There was no place for something that was touched: nothing more fits.
    pub is_full: Cell<bool>,
    /// When it was last run, in context switches.
    last_run: Cell<u64>,
    /// Past the last address that the program can name.
    addresses_end: Cell<u64>,
    /// Past the area where new mappings go first.
    map_top: Cell<u64>,
    /// Files that are mapped shared somewhere.
    shared: SharedObjects,
    /// Whom this space still inherits pages from.
    parent: RefCell<Weak<Mm>>,
    /// Who may still inherit pages from this space.
    children: RefCell<Vec<Weak<Mm>>>,
}

impl Mm {
    /// An empty address space; `shared` are the files mapped shared somewhere.
    pub fn new(host: HostMemory, shared: SharedObjects) -> Rc<Self> {
        Rc::new(Self {
            space: RefCell::new(AddressSpace::new(host)),
            maps: RefCell::default(),
            high: RefCell::default(),
            is_full: Cell::new(false),
            last_run: Cell::new(0),
            addresses_end: Cell::new(HIGH_END),
            map_top: Cell::new(STACK_TOP - STACK_ROOM_BYTES.start),
            heap_start: Cell::new(0),
            heap_end: Cell::new(0),
            arguments: Cell::default(),
            environment: Cell::default(),
            auxiliary: RefCell::default(),
            executable: RefCell::default(),
            vdso: Cell::new(0),
            stack_limit_bytes: Cell::new(8 << 20),
            shared,
            parent: RefCell::default(),
            children: RefCell::default(),
        })
    }

    /// Sets how far the stack may grow (`RLIMIT_STACK`); there are other things below it at the latest then.
    pub fn set_stack_limit(&self, bytes: u64) {
        self.stack_limit_bytes.set(bytes.min(STACK_ROOM_BYTES.end));
    }

    /// Lays an empty space out for a program with addresses of so many bits, after its stack's limit is set.
    pub fn lay_out(&self, address_bits: u32) {
        self.addresses_end.set(if address_bits == 32 { GUEST_TOP } else { HIGH_END });
        self.map_top.set(STACK_TOP - self.stack_limit_bytes.get().max(STACK_ROOM_BYTES.start));
    }

    /// Where new mappings go first: over the heap, unless that is that of a program above them all.
    fn low_area(&self) -> Range<u64> {
        let (heap_end, top) = (self.heap_end.get().next_multiple_of(PAGE_SIZE), self.map_top.get());
        if heap_end > top { MAP_MIN..top } else { MAP_MIN.max(heap_end)..top }
    }

    /// What the heap can't grow beyond.
    fn heap_top(&self) -> u64 {
        if self.heap_start.get() > self.map_top.get() { HIGH_END } else { self.map_top.get() }
    }

    /// Unmaps everything and returns the memory, all zero, if it has one.
    pub fn into_host(self: Rc<Self>) -> Option<HostMemory> {
        self.unmap_all();
        Rc::into_inner(self).and_then(|mm| mm.space.into_inner().into_host())
    }
}

/// The pages of an address range.
pub fn pages(range: Range<u64>) -> impl Iterator<Item = PageIndex> {
    let end = range.end.min(memory::GUEST_TOP) / PAGE_SIZE;
    (range.start / PAGE_SIZE..end).map(|page| PageIndex(page as u32))
}
