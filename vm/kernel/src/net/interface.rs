//! The loopback interface, the only one there is, and the `ioctl`s that ask for it (`netdevice(7)`).

use std::rc::Rc;

use abi::socket::*;
use abi::{Errno, Reader, Writer};

use super::inet::options::MTU_BYTES;
use crate::kernel::Kernel;
use crate::stop::Outcome;
use crate::task::Task;

/// Its number and name.
pub const INDEX: u32 = 1;
#[allow(missing_docs)]
pub const NAME: &[u8] = b"lo";
/// Packets that wait to be sent, as is said of it; none do.
pub const QUEUE_PACKETS: u32 = 1000;
/// `IFF_*`: it is up.
pub const FLAGS: u32 = IFF_UP | IFF_LOOPBACK | IFF_RUNNING | IFF_LOWER_UP;
/// Bits of its IPv4 network.
pub const PREFIX_BITS: u8 = 8;

/// What it has carried. Every piece that is put into an inbox counts as one packet.
#[derive(Clone, Copy, Default, Debug)]
pub struct Carried {
    /// Pieces.
    pub packets: u64,
    /// Bytes in them.
    pub bytes: u64,
}

impl Carried {
    /// Counts a piece.
    pub fn count(&mut self, bytes: usize) {
        self.packets += 1;
        self.bytes += bytes as u64;
    }
}

/// A `struct sockaddr_in` with an address of IPv4.
fn sockaddr(ip: [u8; 4]) -> Vec<u8> {
    Writer::new().u16(AF_INET as u16).u16(0).raw(&ip).pad_to(16).finish()
}

/// An `ioctl` of a socket about the interface.
pub fn ioctl(_k: &mut Kernel, task: &Rc<Task>, family: u32, request: u32, arg: u64) -> Outcome<u64> {
    let about_addresses = [SIOCGIFADDR, SIOCGIFDSTADDR, SIOCGIFBRDADDR, SIOCGIFNETMASK];
    match request {
        SIOCGIFCONF => list(task, arg),
        SIOCADDRT | SIOCDELRT => Err(Errno::EPERM.into()),
        _ if about_addresses.contains(&request) && !matches!(family, AF_INET | AF_INET6) => Err(Errno::ENOTTY.into()),
        _ if about_addresses.contains(&request) && family == AF_INET6 => Err(Errno::EINVAL.into()),
        0x8910..=0x894f | SIOCGIFMAP => about_one(task, request, arg),
        _ => Err(Errno::ENOTTY.into()),
    }
}

/// Bytes of a `struct ifreq`: a name and a union that holds pointers.
fn request_bytes(task: &Task) -> usize {
    if task.layout().is_32() { 32 } else { 40 }
}

/// `SIOCGIFCONF`: the interfaces that have an address of IPv4.
fn list(task: &Rc<Task>, arg: u64) -> Outcome<u64> {
    let layout = task.layout();
    let mm = task.mm()?;
    let bytes = task.struct_arg(arg, 2 * layout.word_bytes)?;
    let mut reader = layout.reader(&bytes);
    let room = reader.i32();
    reader.align();
    let buffer = reader.word();
    let entry = Writer::new().raw(NAME).pad_to(IFNAMSIZ as usize).raw(&sockaddr([127, 0, 0, 1]));
    let entry = entry.pad_to(request_bytes(task)).finish();
    let len = match usize::try_from(room) {
        _ if buffer == 0 => entry.len(),
        Ok(room) if room >= entry.len() => {
            mm.write_user(buffer, &entry)?;
            entry.len()
        }
        _ => 0,
    };
    mm.write_u32(arg, len as u32).map(|()| 0)
}

/// The `ioctl`s that name an interface, in a `struct ifreq`.
fn about_one(task: &Rc<Task>, request: u32, arg: u64) -> Outcome<u64> {
    let mm = task.mm()?;
    let name_bytes = IFNAMSIZ as usize;
    let bytes = task.struct_arg(arg, request_bytes(task) as u64)?;
    let value_addr = arg.wrapping_add(name_bytes as u64);
    if request == SIOCGIFNAME {
        let index = Reader::new(&bytes[name_bytes..]).u32();
        let name = Writer::new().raw(NAME).pad_to(name_bytes).finish();
        return if index == INDEX { mm.write_user(arg, &name).map(|()| 0) } else { Err(Errno::ENODEV.into()) };
    }
    let name = bytes[..name_bytes].split(|byte| *byte == 0).next().unwrap_or_default();
    if name.split(|byte| *byte == b':').next() != Some(NAME) {
        return Err(Errno::ENODEV.into());
    }
    let value = match request {
        // Flags are 16 bits wide here.
        SIOCGIFFLAGS => Writer::new().u16((FLAGS & 0xffff) as u16).finish(),
        SIOCGIFADDR | SIOCGIFDSTADDR => sockaddr([127, 0, 0, 1]),
        SIOCGIFBRDADDR => sockaddr([0; 4]),
        SIOCGIFNETMASK => sockaddr([255, 0, 0, 0]),
        SIOCGIFINDEX => INDEX.to_le_bytes().to_vec(),
        SIOCGIFMETRIC => 0u32.to_le_bytes().to_vec(),
        SIOCGIFMTU => MTU_BYTES.to_le_bytes().to_vec(),
        SIOCGIFTXQLEN => QUEUE_PACKETS.to_le_bytes().to_vec(),
        SIOCGIFHWADDR => Writer::new().u16(ARPHRD_LOOPBACK as u16).pad_to(16).finish(),
        SIOCGIFMAP => task.layout().writer().word(0).word(0).u64(0).finish(),
        SIOCETHTOOL => return Err(Errno::EOPNOTSUPP.into()),
        // Nothing about it can be changed.
        0x8914 | 0x8916 | 0x8918 | 0x891a | 0x891c | 0x891e | 0x8922..=0x8926 | 0x8943 => {
            return Err(Errno::EPERM.into());
        }
        _ => return Err(Errno::EINVAL.into()),
    };
    mm.write_user(value_addr, &value).map(|()| 0)
}
