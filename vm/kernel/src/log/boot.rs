//! What is said while the machine starts.

use abi::file::{device_major, device_minor};

use super::level::{INFO, NOTICE};
use crate::kernel::Kernel;
use crate::syscall::system::{RELEASE, VERSION};

impl Kernel {
    /// The first messages: who we are, and on what.
    pub(crate) fn say_hello(&mut self) {
        use cpu::features::{FAMILY, MODEL, NAME, STEPPING};
        self.say(NOTICE, format!("Linux version {RELEASE} (edgebox) {VERSION}"));
        self.say(INFO, format!("Command line: {}", COMMAND_LINE));
        self.say(INFO, format!("CPU0: {NAME} (family: {FAMILY:#x}, model: {MODEL:#x}, stepping: {STEPPING:#x})"));
    }

    /// The standard file systems are mounted: the machine is complete.
    pub(crate) fn say_mounted(&mut self) {
        let total = self.memory_limit_bytes;
        let available = total.saturating_sub(self.used_memory_bytes());
        self.say(INFO, format!("Memory: {}K/{}K available", available >> 10, total >> 10));
        let root = self.vfs.root();
        let (kind, device) = (root.mount().type_name(), root.device());
        let read_only = if root.mount().flags().read_only { " readonly" } else { "" };
        let (major, minor) = (device_major(device), device_minor(device));
        self.say(INFO, format!("VFS: Mounted root ({kind} filesystem){read_only} on device {major}:{minor}."));
    }

    /// The first program runs.
    pub(crate) fn say_init(&mut self, path: &[u8]) {
        self.say(INFO, [b"Run ", path, b" as init process"].concat());
    }
}

/// `/proc/cmdline`.
pub const COMMAND_LINE: &str = "edgebox";
