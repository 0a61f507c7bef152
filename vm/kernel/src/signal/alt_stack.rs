//! The alternate signal stack (`sigaltstack(2)`).

use abi::Errno;
use abi::signal::{MINSIGSTKSZ, SS_AUTODISARM, SS_DISABLE, SS_ONSTACK};

/// See the module. The default is none.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct AltStack {
    /// Lowest address.
    pub start: u64,
    /// Bytes; 0 is none.
    pub len: u64,
    /// `ss_flags` as the program gave them.
    pub flags: u32,
}

impl AltStack {
    /// None, as it is after a handler has come to a stack with `SS_AUTODISARM`.
    pub const DISARMED: AltStack = AltStack { start: 0, len: 0, flags: SS_DISABLE };

    /// Whether a stack pointer is on it.
    pub fn contains(&self, stack_pointer: u64) -> bool {
        let is_inside = stack_pointer.wrapping_sub(self.start).wrapping_sub(1) < self.len;
        self.len > 0 && !self.is_disarmed_by_use() && is_inside
    }

    /// Whether a handler that runs on it finds none.
    pub fn is_disarmed_by_use(&self) -> bool {
        self.flags & SS_AUTODISARM != 0
    }

    /// `ss_flags` as the system call tells them: whether there is one, and whether it is in use.
    pub fn told_flags(&self, stack_pointer: u64) -> u32 {
        let state = match self.len {
            0 => SS_DISABLE,
            _ if self.contains(stack_pointer) => SS_ONSTACK,
            _ => 0,
        };
        state | self.flags & SS_AUTODISARM
    }

    /// What it becomes if the program asks for `wanted`.
    ///
    /// # Errors
    /// `EPERM` while it is in use, `EINVAL` for flags nobody knows, `ENOMEM` if it is too small for a frame.
    pub fn replaced(&self, wanted: AltStack, stack_pointer: u64) -> Result<AltStack, Errno> {
        if self.contains(stack_pointer) {
            return Err(Errno::EPERM);
        }
        match wanted.flags & !SS_AUTODISARM {
            SS_DISABLE => Ok(AltStack { start: 0, len: 0, flags: wanted.flags }),
            0 | SS_ONSTACK if wanted == *self => Ok(wanted),
            0 | SS_ONSTACK if wanted.len < MINSIGSTKSZ => Err(Errno::ENOMEM),
            0 | SS_ONSTACK => Ok(wanted),
            _ => Err(Errno::EINVAL),
        }
    }
}
