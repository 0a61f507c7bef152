//! The sockets there are, as `/proc/net` ([`super::report`]) and `sock_diag(7)` ([`super::netlink::diag`]) list them.

use std::net::SocketAddr;
use std::rc::Rc;

use super::inet::ping::PingSocket;
use super::inet::raw::RawSocket;
use super::inet::tcp::{State, TcpSocket};
use super::inet::udp::UdpSocket;
use super::{Core, Socket, downcast};
use crate::kernel::Kernel;

/// Numbers of states (`net/tcp_states.h`): UDP's sockets have them, too.
pub const ESTABLISHED: u32 = 1;
const FIN_WAIT2: u32 = 5;
const TIME_WAIT: u32 = 6;
const CLOSE: u32 = 7;
/// The other side has sent its last byte.
pub const CLOSE_WAIT: u32 = 8;

/// What is told of one.
pub struct Entry {
    /// The socket, unless it is gone but for its addresses.
    pub socket: Option<Rc<dyn Socket>>,
    /// `AF_*`.
    pub family: u32,
    /// Its own address.
    pub local: SocketAddr,
    /// The other side's.
    pub remote: Option<SocketAddr>,
    /// `TCP_*` (`net/tcp_states.h`), of UDP too.
    pub state: u32,
    /// Bytes received and not read; of a listener connections that wait.
    pub received: u32,
    /// Of a listener, how many connections may wait.
    pub backlog_max: Option<u32>,
    /// Nanoseconds until its addresses are free again.
    pub left_ns: Option<u64>,
}

impl Entry {
    fn new(socket: Rc<dyn Socket>, (local, remote): (SocketAddr, Option<SocketAddr>), state: u32) -> Self {
        let core = socket.core();
        let (family, received) = (core.family, core.inbox.borrow().bytes() as u32);
        Self { socket: Some(socket), family, local, remote, state, received, backlog_max: None, left_ns: None }
    }

    fn of_datagrams(addresses: (SocketAddr, Option<SocketAddr>), socket: Rc<dyn Socket>) -> Self {
        let state = if addresses.1.is_some() { ESTABLISHED } else { CLOSE };
        Self::new(socket, addresses, state)
    }

    /// What all sockets have, if it is one still.
    pub fn core(&self) -> Option<&Core> {
        self.socket.as_ref().map(|socket| socket.core())
    }
}

/// All sockets of a kind and family.
pub fn of_family<S: Socket>(kernel: &Kernel, family: u32) -> Vec<Rc<S>> {
    let sockets = kernel.net.sockets();
    sockets.iter().filter_map(downcast::<S>).filter(|socket| socket.core().family == family).collect()
}

/// TCP's that have a port, and those that have ended but for that.
pub fn tcp(kernel: &mut Kernel, family: u32) -> Vec<Entry> {
    let mut entries = Vec::new();
    for socket in of_family::<TcpSocket>(kernel, family) {
        let (addresses, state) = (socket.addresses(), socket.state());
        if addresses.0.port() == 0 || (state == State::Close && addresses.1.is_none()) {
            continue;
        }
        let mut entry = Entry::new(socket.clone(), addresses, state as u32);
        if state == State::Listen {
            entry.received = socket.waiting() as u32;
            entry.backlog_max = Some(socket.backlog_max() as u32);
        }
        entries.push(entry);
    }
    let now_ns = kernel.host.monotonic_ns();
    for (local, remote, ended, left_ns) in kernel.net.time_waits.list(now_ns) {
        if ended.family == family {
            let state = if ended.half_open { FIN_WAIT2 } else { TIME_WAIT };
            let (socket, remote, received, left_ns) = (None, Some(remote), 0, Some(left_ns));
            entries.push(Entry { socket, family, local, remote, state, received, backlog_max: None, left_ns });
        }
    }
    entries
}

/// UDP's, or UDP-Lite's, that have a port.
pub fn udp(kernel: &Kernel, family: u32, protocol: u32) -> Vec<Entry> {
    let mut entries = Vec::new();
    for socket in of_family::<UdpSocket>(kernel, family) {
        let addresses = socket.addresses();
        if addresses.0.port() != 0 && socket.core().protocol == protocol {
            entries.push(Entry::of_datagrams(addresses, socket));
        }
    }
    entries
}

/// Raw sockets: their port is their protocol.
pub fn raw(kernel: &Kernel, family: u32) -> Vec<Entry> {
    let sockets = of_family::<RawSocket>(kernel, family).into_iter();
    sockets.map(|socket| Entry::of_datagrams(socket.addresses(), socket)).collect()
}

/// Sockets of ping: their port is their number.
pub fn ping(kernel: &Kernel, family: u32) -> Vec<Entry> {
    let sockets = of_family::<PingSocket>(kernel, family).into_iter();
    sockets
        .map(|socket| Entry::of_datagrams(socket.addresses(), socket))
        .filter(|entry| entry.local.port() != 0)
        .collect()
}
