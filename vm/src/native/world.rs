//! What the kernel layer gets from a shell's process: clocks, entropy, standard output, memory.

use std::io::Write;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use kernel::{Host, MemoryPool};
use memory::HostMemory;

/// Address spaces at the same time: each reserves 4 GiB of addresses, of which a process has 128 TiB.
const MEMORIES_MAX: u32 = 4096;

/// This process as the machine's host.
pub struct World {
    start: Instant,
}

impl World {
    /// A host whose monotonic clock starts at `start`.
    pub fn new(start: Instant) -> Self {
        Self { start }
    }
}

impl Host for World {
    fn monotonic_ns(&self) -> u64 {
        self.start.elapsed().as_nanos() as u64
    }

    fn realtime_ns(&self) -> u64 {
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64)
    }

    fn fill_random(&mut self, to: &mut [u8]) {
        getrandom::fill(to).expect("the kernel has random numbers");
    }

    fn heap_bytes(&self) -> u64 {
        crate::heap::bytes()
    }

    fn console_output(&mut self, bytes: &[u8]) {
        // Whoever reads may be gone; the guest's programs then write to a terminal nobody looks at.
        let mut stdout = std::io::stdout().lock();
        let _ = stdout.write_all(bytes).and_then(|()| stdout.flush());
    }

    fn log(&mut self, line: &str) {
        eprintln!("edgebox: {line}");
    }
}

/// Memories made when needed, and kept for the next process: compiled code is bound to them.
#[derive(Default)]
pub struct Memories {
    free: Vec<HostMemory>,
    lent: u32,
}

impl MemoryPool for Memories {
    fn allocate(&mut self) -> Option<HostMemory> {
        if self.lent >= MEMORIES_MAX {
            return None;
        }
        let memory = self.free.pop().or_else(|| HostMemory::new().ok())?;
        self.lent += 1;
        Some(memory)
    }

    fn give_back(&mut self, memory: HostMemory) {
        self.lent -= 1;
        self.free.push(memory);
    }
}
