//! What the host lends the kernel layer: clocks, entropy, the console's screen, memory for address spaces.

use memory::HostMemory;

/// The world outside the machine.
pub trait Host {
    /// Nanoseconds since some fixed moment; never goes back.
    fn monotonic_ns(&self) -> u64;

    /// Nanoseconds since 1970, UTC.
    fn realtime_ns(&self) -> u64;

    /// Fills a buffer from the host's cryptographic random source.
    fn fill_random(&mut self, to: &mut [u8]);

    /// Shows bytes that a program wrote to the console.
    fn console_output(&mut self, bytes: &[u8]);

    /// Bytes the console takes now; programs that write more wait for [`crate::Kernel::console_drained`]. A little more
    /// may come all the same: what is typed is echoed at once.
    fn console_room(&self) -> usize {
        usize::MAX
    }

    /// Bytes that the kernel layer and the engine take for themselves; 0 if nobody counts them.
    fn heap_bytes(&self) -> u64 {
        0
    }

    /// Takes a message for whoever runs the machine, as `dmesg` would show it.
    fn log(&mut self, line: &str);
}

/// Where memories for address spaces come from.
pub trait MemoryPool {
    /// An all-zero memory, or `None` when the limit is reached.
    fn allocate(&mut self) -> Option<HostMemory>;

    /// Takes back an all-zero memory.
    fn give_back(&mut self, memory: HostMemory);
}
