//! Character devices that keep nothing (`null(4)`, `zero(4)`, `random(4)`, `full(4)`).

use std::rc::Rc;

use abi::Errno;

use super::{FileObject, OpenFile};
use crate::kernel::Kernel;
use crate::stop::Outcome;

/// Device numbers (`Documentation/admin-guide/devices.txt`).
pub mod number {
    use abi::file::make_device;

    /// `/dev/null`.
    pub const NULL: u64 = make_device(1, 3);
    /// `/dev/zero`.
    pub const ZERO: u64 = make_device(1, 5);
    /// `/dev/full`.
    pub const FULL: u64 = make_device(1, 7);
    /// `/dev/random`.
    pub const RANDOM: u64 = make_device(1, 8);
    /// `/dev/urandom`.
    pub const URANDOM: u64 = make_device(1, 9);
    /// `/dev/kmsg`.
    pub const KMSG: u64 = make_device(1, 11);
    /// `/dev/tty1`, where a person sits.
    pub const TTY1: u64 = make_device(4, 1);
    /// `/dev/tty`, the caller's controlling terminal.
    pub const TTY: u64 = make_device(5, 0);
    /// `/dev/console`.
    pub const CONSOLE: u64 = make_device(5, 1);
    /// `/dev/ptmx`.
    pub const PTMX: u64 = make_device(5, 2);
    /// Major number of `/dev/pts/N`.
    pub const PTS_MAJOR: u32 = 136;
}

/// One of the simple devices.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Device {
    /// Reads nothing, takes everything.
    Null,
    /// Reads zeroes, takes everything.
    Zero,
    /// Reads zeroes, never has room.
    Full,
    /// Reads random bytes.
    Random,
}

impl Device {
    /// The device of a number.
    pub fn of(rdev: u64) -> Option<Rc<Device>> {
        let device = match rdev {
            number::NULL => Device::Null,
            number::ZERO => Device::Zero,
            number::FULL => Device::Full,
            number::RANDOM | number::URANDOM => Device::Random,
            _ => return None,
        };
        Some(Rc::new(device))
    }

    /// Whether it takes everything without looking at it.
    pub fn discards(&self) -> bool {
        matches!(self, Device::Null | Device::Zero)
    }
}

impl FileObject for Device {
    fn read(&self, kernel: &mut Kernel, _file: &OpenFile, _position: u64, to: &mut [u8]) -> Outcome<usize> {
        match self {
            Device::Null => return Ok(0),
            Device::Zero | Device::Full => to.fill(0),
            Device::Random => kernel.host.fill_random(to),
        }
        Ok(to.len())
    }

    fn write(&self, _kernel: &mut Kernel, _file: &OpenFile, _position: u64, from: &[u8]) -> Outcome<usize> {
        if *self == Device::Full { Err(Errno::ENOSPC.into()) } else { Ok(from.len()) }
    }

    fn can_refuse_to_wait(&self) -> bool {
        *self != Device::Full
    }

    fn is_seekable(&self) -> bool {
        true
    }
}
