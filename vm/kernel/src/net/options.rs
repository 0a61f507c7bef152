//! Options that every socket has (`socket(7)`, `SOL_SOCKET`).

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use abi::capability::CAP_NET_ADMIN;
use abi::socket::*;
use abi::{Errno, Layout, Reader, Writer};

use crate::credentials::Credentials;
use crate::kernel::SECOND_NS;
use crate::net::filter::Filter;
use crate::net::stamps::{Stamps, is_about_stamps};
use crate::net::{Core, interface};
use crate::stop::Outcome;

/// Bytes of a buffer unless told otherwise (`net.core.rmem_default`, `wmem_default`).
pub const BUFFER_BYTES: u32 = 212_992;
/// Most that a program can ask for (`net.core.rmem_max`, `wmem_max`); what it gets is twice that.
pub const BUFFER_BYTES_MAX: u32 = 212_992;
/// Least it gets (`SOCK_MIN_SNDBUF`, `SOCK_MIN_RCVBUF`).
const SEND_BYTES_MIN: u32 = 4608;
const RECEIVE_BYTES_MIN: u32 = 2304;
/// Most that a privileged program gets (`SO_SNDBUFFORCE`): what one socket may hold of the tab's memory.
const FORCED_BYTES_MAX: u32 = 8 << 20;
/// Longest option value looked at.
pub const VALUE_BYTES_MAX: usize = 4096;

/// Options that are on or off, and mean nothing else to set.
const SWITCHES: [u32; 16] = [
    SO_DEBUG,
    SO_REUSEADDR,
    SO_DONTROUTE,
    SO_BROADCAST,
    SO_KEEPALIVE,
    SO_OOBINLINE,
    SO_NO_CHECK,
    SO_REUSEPORT,
    SO_PASSCRED,
    SO_RXQ_OVFL,
    SO_PASSSEC,
    SO_SELECT_ERR_QUEUE,
    SO_WIFI_STATUS,
    SO_NOFCS,
    SO_LOCK_FILTER,
    SO_ZEROCOPY,
];

/// Values of a socket's options.
pub struct Options {
    /// Switches that are on, a bit each.
    switches: Cell<u128>,
    /// `SO_SNDBUF`.
    pub send_bytes: Cell<u32>,
    /// `SO_RCVBUF`.
    pub receive_bytes: Cell<u32>,
    /// `SO_LINGER`: whether it is on, and seconds.
    pub linger: Cell<(bool, u32)>,
    /// `SO_RCVTIMEO`.
    pub receive_timeout_ns: Cell<Option<u64>>,
    /// `SO_SNDTIMEO`.
    pub send_timeout_ns: Cell<Option<u64>>,
    /// `SO_PEEK_OFF`: where looks begin, if not where reads do (negative).
    pub peek_offset: Cell<i32>,
    /// `SO_TIMESTAMP` and its relatives.
    pub stamps: Stamps,
    /// `SO_ATTACH_FILTER`.
    pub filter: RefCell<Option<Rc<Filter>>>,
    /// Options with a number, by level: those that have been set.
    numbers: RefCell<BTreeMap<(u32, u32), i32>>,
}

impl Options {
    /// As they are at first, with buffers of so many bytes.
    pub fn new(send_bytes: u32, receive_bytes: u32) -> Self {
        Self {
            switches: Cell::new(0),
            send_bytes: Cell::new(send_bytes),
            receive_bytes: Cell::new(receive_bytes),
            linger: Cell::default(),
            receive_timeout_ns: Cell::default(),
            send_timeout_ns: Cell::default(),
            peek_offset: Cell::new(-1),
            stamps: Stamps::default(),
            filter: RefCell::default(),
            numbers: RefCell::default(),
        }
    }

    /// Whether a switch is on.
    pub fn is_on(&self, option: u32) -> bool {
        self.switches.get() >> option & 1 != 0
    }

    /// Turns a switch on or off.
    pub fn turn(&self, option: u32, on: bool) {
        let others = self.switches.get() & !(1 << option);
        self.switches.set(others | u128::from(on) << option);
    }

    /// Refuses a change of the filter if that is locked (`SO_LOCK_FILTER`).
    ///
    /// # Errors
    /// `EPERM`.
    pub fn check_filter_unlocked(&self) -> Outcome<()> {
        if self.is_on(SO_LOCK_FILTER) { Err(Errno::EPERM.into()) } else { Ok(()) }
    }

    /// A number that has been set.
    pub fn number(&self, level: u32, option: u32) -> Option<i32> {
        self.numbers.borrow().get(&(level, option)).copied()
    }

    /// Sets a number. Only options that a table lists get here, so there are not many.
    pub fn set_number(&self, level: u32, option: u32, value: i32) {
        self.numbers.borrow_mut().insert((level, option), value);
    }

    /// What an accepted connection has from its listener: everything.
    pub fn inherit(&self, listener: &Options) {
        self.switches.set(listener.switches.get());
        self.send_bytes.set(listener.send_bytes.get());
        self.receive_bytes.set(listener.receive_bytes.get());
        self.linger.set(listener.linger.get());
        self.receive_timeout_ns.set(listener.receive_timeout_ns.get());
        self.send_timeout_ns.set(listener.send_timeout_ns.get());
        self.peek_offset.set(listener.peek_offset.get());
        self.stamps.inherit(&listener.stamps);
        *self.filter.borrow_mut() = listener.filter.borrow().clone();
        *self.numbers.borrow_mut() = listener.numbers.borrow().clone();
    }
}

/// A number as option values have it.
pub fn number(value: u32) -> Vec<u8> {
    value.to_le_bytes().to_vec()
}

/// The `int` in an option's value.
pub fn int_value(value: &[u8]) -> Outcome<i32> {
    if value.len() < 4 { Err(Errno::EINVAL.into()) } else { Ok(Reader::new(value).i32()) }
}

fn timeout(value: &[u8], layout: Layout) -> Outcome<Option<u64>> {
    if (value.len() as u64) < layout.timeval_bytes() {
        return Err(Errno::EINVAL.into());
    }
    let (seconds, micros) = layout.reader(value).timeval();
    if !(0..1_000_000).contains(&micros) {
        return Err(Errno::EDOM.into());
    }
    match u64::try_from(seconds) {
        Ok(0) if micros == 0 => Ok(None),
        Ok(seconds) => Ok(Some(seconds.saturating_mul(SECOND_NS).saturating_add(micros as u64 * 1000))),
        Err(_) => Ok(Some(0)),
    }
}

/// `getsockopt` at level `SOL_SOCKET`.
pub fn get(core: &Core, layout: Layout, option: u32) -> Outcome<Vec<u8>> {
    let options = &core.options;
    let timeval = |layout: Layout, ns: Option<u64>| layout.writer().timeval(ns.unwrap_or(0)).finish();
    Ok(match option {
        SO_TYPE => number(core.kind),
        SO_DOMAIN => number(core.family),
        SO_PROTOCOL => number(core.protocol),
        SO_ERROR => number(core.error.take().map_or(0, |errno| errno.0.into())),
        SO_SNDBUF => number(options.send_bytes.get()),
        SO_RCVBUF => number(options.receive_bytes.get()),
        SO_LINGER => {
            let (on, seconds) = options.linger.get();
            Writer::new().u32(on.into()).u32(seconds).finish()
        }
        SO_RCVTIMEO => timeval(layout, options.receive_timeout_ns.get()),
        SO_SNDTIMEO => timeval(layout, options.send_timeout_ns.get()),
        SO_RCVTIMEO_NEW => timeval(Layout::X86_64, options.receive_timeout_ns.get()),
        SO_SNDTIMEO_NEW => timeval(Layout::X86_64, options.send_timeout_ns.get()),
        SO_PEERCRED => Writer::new().i32(0).u32(u32::MAX).u32(u32::MAX).finish(),
        SO_RCVLOWAT => number(options.number(SOL_SOCKET, SO_RCVLOWAT).unwrap_or(1) as u32),
        SO_SNDLOWAT => number(1),
        SO_PRIORITY | SO_MARK | SO_BUSY_POLL | SO_BINDTOIFINDEX => {
            number(options.number(SOL_SOCKET, option).unwrap_or(0) as u32)
        }
        SO_BSDCOMPAT | SO_ACCEPTCONN => number(0),
        SO_PEEK_OFF if core.has_looks() => number(options.peek_offset.get() as u32),
        SO_PEEK_OFF => return Err(Errno::EOPNOTSUPP.into()),
        option if is_about_stamps(option) => options.stamps.get(option),
        SO_INCOMING_CPU => number(0),
        SO_COOKIE => core.cookie.to_le_bytes().to_vec(),
        SO_BINDTODEVICE if options.is_on(SO_BINDTODEVICE) => b"lo\0".to_vec(),
        SO_BINDTODEVICE => Vec::new(),
        SO_MEMINFO => core.memory(),
        SO_PASSCRED | SO_PASSSEC if matches!(core.family, AF_INET | AF_INET6) => {
            return Err(Errno::ENOPROTOOPT.into());
        }
        option if SWITCHES.contains(&option) => number(options.is_on(option).into()),
        _ => return Err(Errno::ENOPROTOOPT.into()),
    })
}

/// `setsockopt` at level `SOL_SOCKET`.
pub fn set(core: &Core, who: &Credentials, layout: Layout, option: u32, value: &[u8]) -> Outcome<()> {
    let options = &core.options;
    match option {
        SO_BINDTODEVICE => {
            let name = value.split(|byte| *byte == 0).next().unwrap_or_default();
            let known = name.is_empty() || name == b"lo";
            if !known {
                return Err(Errno::ENODEV.into());
            }
            options.turn(SO_BINDTODEVICE, !name.is_empty());
            options.set_number(SOL_SOCKET, SO_BINDTOIFINDEX, i32::from(!name.is_empty()));
            return Ok(());
        }
        SO_LINGER if value.len() >= 8 => {
            let mut reader = Reader::new(value);
            options.linger.set((reader.u32() != 0, reader.u32()));
            return Ok(());
        }
        SO_RCVTIMEO => return timeout(value, layout).map(|ns| options.receive_timeout_ns.set(ns)),
        SO_SNDTIMEO => return timeout(value, layout).map(|ns| options.send_timeout_ns.set(ns)),
        SO_RCVTIMEO_NEW => return timeout(value, Layout::X86_64).map(|ns| options.receive_timeout_ns.set(ns)),
        SO_SNDTIMEO_NEW => return timeout(value, Layout::X86_64).map(|ns| options.send_timeout_ns.set(ns)),
        _ => {}
    }
    let value = int_value(value)?;
    let is_internet = matches!(core.family, AF_INET | AF_INET6);
    let doubled = |max: u32| (value as u32).min(max) * 2;
    match option {
        SO_TYPE | SO_PROTOCOL | SO_DOMAIN | SO_ERROR | SO_ACCEPTCONN | SO_SNDLOWAT | SO_LINGER => {
            let is_length = option == SO_LINGER;
            return Err(if is_length { Errno::EINVAL } else { Errno::ENOPROTOOPT }.into());
        }
        SO_SNDBUF => options.send_bytes.set(doubled(BUFFER_BYTES_MAX).max(SEND_BYTES_MIN)),
        SO_RCVBUF => options.receive_bytes.set(doubled(BUFFER_BYTES_MAX).max(RECEIVE_BYTES_MIN)),
        SO_SNDBUFFORCE | SO_RCVBUFFORCE | SO_DEBUG | SO_MARK if value != 0 && !who.has(CAP_NET_ADMIN) => {
            return Err(if option == SO_DEBUG { Errno::EACCES } else { Errno::EPERM }.into());
        }
        SO_SNDBUFFORCE => options.send_bytes.set(doubled(FORCED_BYTES_MAX / 2).max(SEND_BYTES_MIN)),
        SO_RCVBUFFORCE => options.receive_bytes.set(doubled(FORCED_BYTES_MAX / 2).max(RECEIVE_BYTES_MIN)),
        SO_PRIORITY if !(0..=6).contains(&value) && !who.has(CAP_NET_ADMIN) => return Err(Errno::EPERM.into()),
        SO_BUSY_POLL if value < 0 => return Err(Errno::EINVAL.into()),
        SO_PRIORITY | SO_MARK | SO_BUSY_POLL => options.set_number(SOL_SOCKET, option, value),
        SO_RCVLOWAT => {
            let bytes = if value < 0 { i32::MAX } else { value.max(1) };
            options.set_number(SOL_SOCKET, option, bytes);
        }
        SO_BSDCOMPAT | SO_INCOMING_CPU => {}
        SO_PEEK_OFF if core.has_looks() => options.peek_offset.set(value),
        SO_PEEK_OFF => return Err(Errno::EOPNOTSUPP.into()),
        option if is_about_stamps(option) => options.stamps.set(option, value)?,
        SO_BINDTOIFINDEX if value < 0 => return Err(Errno::EINVAL.into()),
        SO_BINDTOIFINDEX => {
            options.set_number(SOL_SOCKET, option, value);
            options.turn(SO_BINDTODEVICE, value as u32 == interface::INDEX);
        }
        SO_DETACH_FILTER => {
            options.check_filter_unlocked()?;
            options.filter.take().ok_or(Errno::ENOENT)?;
        }
        SO_LOCK_FILTER if value == 0 && options.is_on(option) => return Err(Errno::EPERM.into()),
        SO_REUSEPORT if value != 0 && !is_internet => return Err(Errno::EOPNOTSUPP.into()),
        SO_ZEROCOPY if !is_internet || core.kind == SOCK_RAW => return Err(Errno::EOPNOTSUPP.into()),
        SO_ZEROCOPY if !(0..=1).contains(&value) => return Err(Errno::EINVAL.into()),
        SO_PASSCRED | SO_PASSSEC if is_internet => return Err(Errno::ENOPROTOOPT.into()),
        option if SWITCHES.contains(&option) => options.turn(option, value != 0),
        _ => return Err(Errno::ENOPROTOOPT.into()),
    }
    Ok(())
}
