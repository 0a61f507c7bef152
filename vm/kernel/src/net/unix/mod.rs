//! Unix sockets (`unix(7)`): streams, datagrams and sequenced packets between processes of this machine.
//!
//! | module | subject |
//! |---|---|
//! | [`names`] | addresses, and who has them |
//! | [`passing`] | files on their way |
//! | [`transfer`] | what they carry |

pub mod names;
pub mod passing;
pub mod transfer;

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::{Rc, Weak};

use abi::poll::*;
use abi::socket::*;
use abi::{Errno, Reader, Writer};

use super::file::owner;
use super::inbox::{PeerCredentials, RawAddress, Received};
use super::memory::Account;
use super::options::{BUFFER_BYTES, number};
use super::{BACKLOG_MAX, Core, Outgoing, Socket};
use crate::files::Io;
use crate::kernel::Kernel;
use crate::stop::Outcome;
use crate::task::Task;
use crate::vfs::{At, FileKind};
use crate::wait::WaitQueue;
use names::{Name, find, is_abstract, name_of, raw};
use transfer::tell_sender;

/// Who made a socket.
#[derive(Clone)]
pub struct Owner {
    /// `SO_PEERCRED`.
    pub credentials: PeerCredentials,
    /// `SO_PEERGROUPS`.
    pub groups: Rc<[u32]>,
}

/// A unix socket.
pub struct UnixSocket {
    core: Core,
    name: RefCell<Option<Name>>,
    /// Who made it.
    owner: RefCell<Owner>,
    /// Who made the other side, when it was connected.
    peer_owner: RefCell<Option<Owner>>,
    peer: RefCell<Weak<UnixSocket>>,
    /// The address of the other side, once that is gone.
    gone_address: RefCell<Option<RawAddress>>,
    /// It has been connected at some time.
    connected: Cell<bool>,
    /// Connections to be accepted; `None` unless it listens.
    backlog: RefCell<Option<VecDeque<Rc<UnixSocket>>>>,
    backlog_max: Cell<usize>,
    /// What it has sent and nobody has received.
    sent: Account,
    /// Woken when enough of that has been received for it to send again.
    sendable: WaitQueue,
}

impl UnixSocket {
    /// An unconnected socket.
    pub fn new(kind: u32, owner: Owner) -> Rc<Self> {
        Rc::new(Self {
            core: Core::new(AF_UNIX, kind, 0, BUFFER_BYTES, BUFFER_BYTES),
            name: RefCell::default(),
            owner: RefCell::new(owner),
            peer_owner: RefCell::default(),
            peer: RefCell::default(),
            gone_address: RefCell::default(),
            connected: Cell::new(false),
            backlog: RefCell::default(),
            backlog_max: Cell::new(0),
            sent: Account::default(),
            sendable: WaitQueue::default(),
        })
    }

    /// Connects two sockets with each other.
    pub fn pair(one: &Rc<Self>, other: &Rc<Self>) {
        for (this, that) in [(one, other), (other, one)] {
            *this.peer.borrow_mut() = Rc::downgrade(that);
            *this.peer_owner.borrow_mut() = Some(that.owner.borrow().clone());
            this.connected.set(true);
        }
    }

    /// Its address.
    pub fn name(&self) -> Option<Name> {
        self.name.borrow().clone()
    }

    /// Whether it accepts connections.
    pub fn is_listening(&self) -> bool {
        self.backlog.borrow().is_some()
    }

    /// Whether it has another side.
    pub fn is_connected(&self) -> bool {
        self.connected.get()
    }

    fn is_datagram(&self) -> bool {
        self.core.kind == SOCK_DGRAM
    }

    fn peer(&self) -> Option<Rc<UnixSocket>> {
        self.peer.borrow().upgrade()
    }

    /// Wakes everyone who waits for anything here.
    fn wake(&self, k: &mut Kernel) {
        self.core.wake(k);
        k.wake(&self.sendable);
    }

    /// Forgets the connection; the inbox is lost.
    fn leave(&self, k: &mut Kernel) {
        let (senders, unread, files) = {
            let mut inbox = self.core.inbox.borrow_mut();
            (inbox.senders(), !inbox.is_empty(), inbox.clear())
        };
        files.into_iter().for_each(|file| k.close_file(file));
        senders.into_iter().for_each(|sender| tell_sender(k, &sender));
        if let Some(peer) = self.peer().filter(|_| !self.is_datagram()) {
            peer.core.shut_in.set(true);
            peer.core.shut_out.set(true);
            if unread {
                peer.core.error.set(Some(Errno::ECONNRESET));
            }
            peer.peer.take();
            *peer.gone_address.borrow_mut() = Some(self.local_address());
            peer.wake(k);
            k.tell_listeners(&peer.core.listeners, Io::HangUp);
        }
        self.wake(k);
    }
}

impl Socket for UnixSocket {
    fn core(&self) -> &Core {
        &self.core
    }

    fn bind(self: Rc<Self>, k: &mut Kernel, t: &Rc<Task>, address: &[u8]) -> Outcome<()> {
        let mut name = name_of(address)?;
        if self.name.borrow().is_some() {
            return Err(Errno::EINVAL.into());
        }
        if name.is_empty() {
            let number = u32::from_le_bytes(k.random_bytes()) & 0xf_ffff;
            name = format!("\0{number:05x}").into_bytes();
        }
        if is_abstract(&name) {
            k.net.unix_names.bind_abstract(&name, &self)?;
        } else {
            let (fs, who) = (t.fs_state(), t.credentials());
            let made = k.vfs.mknod(&fs.context(&who), At::cwd(&name), FileKind::Socket, 0o777, 0);
            let location = made.map_err(|stop| match stop {
                stop if stop.is(Errno::EEXIST) => Errno::EADDRINUSE.into(),
                stop => stop,
            })?;
            k.net.unix_names.bind_node(&location, &self);
        }
        *self.name.borrow_mut() = Some(name);
        Ok(())
    }

    fn connect(self: Rc<Self>, k: &mut Kernel, t: &Rc<Task>, address: &[u8], _nonblocking: bool) -> Outcome<()> {
        if self.is_datagram() && u32::from(Reader::new(address).u16()) == AF_UNSPEC {
            self.peer.take();
            self.connected.set(false);
            return Ok(());
        }
        let to = find(k, t, &name_of(address)?)?;
        if self.core.kind != to.core.kind {
            return Err(Errno::EPROTOTYPE.into());
        }
        if self.is_datagram() {
            if to.peer().is_some_and(|peer| !Rc::ptr_eq(&peer, &self)) {
                return Err(Errno::EPERM.into());
            }
            *self.peer.borrow_mut() = Rc::downgrade(&to);
            self.connected.set(true);
            return Ok(());
        }
        if self.is_connected() || self.is_listening() {
            return Err(if self.is_listening() { Errno::EINVAL } else { Errno::EISCONN }.into());
        }
        let server = UnixSocket::new(self.core.kind, to.owner.borrow().clone());
        for option in [SO_PASSCRED, SO_PASSSEC] {
            server.core.options.turn(option, to.core.options.is_on(option));
        }
        match &mut *to.backlog.borrow_mut() {
            None => return Err(Errno::ECONNREFUSED.into()),
            Some(_) if to.core.shut_in.get() => return Err(Errno::ECONNREFUSED.into()),
            Some(backlog) if backlog.len() >= to.backlog_max.get() => return Err(to.core.room.stop()),
            Some(backlog) => backlog.push_back(server.clone()),
        }
        *server.name.borrow_mut() = to.name();
        UnixSocket::pair(&self, &server);
        to.core.announce(k, Io::Input);
        Ok(())
    }

    fn listen(self: Rc<Self>, _k: &mut Kernel, t: &Rc<Task>, backlog: usize) -> Outcome<()> {
        if self.is_datagram() {
            return Err(Errno::EOPNOTSUPP.into());
        }
        if self.name.borrow().is_none() || self.connected.get() {
            return Err(Errno::EINVAL.into());
        }
        *self.owner.borrow_mut() = owner(t);
        self.backlog_max.set(backlog.min(BACKLOG_MAX) + 1);
        self.backlog.borrow_mut().get_or_insert_default();
        Ok(())
    }

    fn accept(self: Rc<Self>, k: &mut Kernel) -> Outcome<Rc<dyn Socket>> {
        if self.is_datagram() {
            return Err(Errno::EOPNOTSUPP.into());
        }
        let taken = match &mut *self.backlog.borrow_mut() {
            None => return Err(Errno::EINVAL.into()),
            Some(backlog) => backlog.pop_front(),
        };
        match taken {
            Some(socket) => {
                k.wake(&self.core.room);
                Ok(socket)
            }
            None if self.core.shut_in.get() => Err(Errno::EINVAL.into()),
            None => Err(self.core.arrivals.stop()),
        }
    }

    fn local_address(&self) -> RawAddress {
        raw(self.name.borrow().as_ref())
    }

    fn peer_address(&self) -> Outcome<RawAddress> {
        match self.peer() {
            Some(peer) => Ok(peer.local_address()),
            None => self.gone_address.borrow().clone().ok_or(Errno::ENOTCONN.into()),
        }
    }

    fn shutdown(&self, k: &mut Kernel, input: bool, output: bool) -> Outcome<()> {
        let peer = self.peer().filter(|_| !self.is_datagram());
        let core = &self.core;
        core.shut_in.set(core.shut_in.get() | input);
        core.shut_out.set(core.shut_out.get() | output);
        if let Some(peer) = peer {
            peer.core.shut_out.set(peer.core.shut_out.get() | input);
            peer.core.shut_in.set(peer.core.shut_in.get() | output);
            peer.wake(k);
            match (input, output) {
                (true, true) => k.tell_listeners(&peer.core.listeners, Io::HangUp),
                (_, true) => k.tell_listeners(&peer.core.listeners, Io::Input),
                _ => {}
            }
        }
        self.wake(k);
        Ok(())
    }

    fn send(self: Rc<Self>, k: &mut Kernel, t: &Rc<Task>, out: &mut Outgoing) -> Outcome<usize> {
        self.send_some(k, t, out)
    }

    fn receive(&self, k: &mut Kernel, len: usize, flags: u32) -> Outcome<Received> {
        self.receive_some(k, len, flags)
    }

    /// What was sent and not received, as Linux counts it: with what is around it.
    fn unsent_bytes(&self) -> Outcome<usize> {
        if self.is_listening() { Err(Errno::EINVAL.into()) } else { Ok(self.sent.bytes() as usize) }
    }

    fn get_option(&self, _k: &mut Kernel, level: u32, option: u32) -> Outcome<Vec<u8>> {
        match (level, option) {
            (SOL_SOCKET, SO_ACCEPTCONN) => Ok(number(self.is_listening().into())),
            (SOL_SOCKET, SO_PEERCRED) => {
                let nobody = PeerCredentials { pid: 0, uid: u32::MAX, gid: u32::MAX };
                let peer = self.peer_owner.borrow().as_ref().map_or(nobody, |owner| owner.credentials);
                Ok(Writer::new().i32(peer.pid).u32(peer.uid).u32(peer.gid).finish())
            }
            (SOL_SOCKET, SO_PEERGROUPS) => {
                let peer = self.peer_owner.borrow();
                let groups = &peer.as_ref().ok_or(Errno::ENODATA)?.groups;
                Ok(groups.iter().flat_map(|group| group.to_le_bytes()).collect())
            }
            (SOL_SOCKET, _) => Err(Errno::ENOPROTOOPT.into()),
            _ => Err(Errno::EOPNOTSUPP.into()),
        }
    }

    fn receiver(&self) -> Option<Rc<dyn Socket>> {
        self.peer().map(|peer| peer as Rc<dyn Socket>)
    }

    fn own_room(&self) -> Option<&WaitQueue> {
        Some(&self.sendable)
    }

    fn readiness(&self) -> u32 {
        if let Some(backlog) = &*self.backlog.borrow() {
            return if backlog.is_empty() { 0 } else { POLLIN | POLLRDNORM };
        }
        let core = &self.core;
        let is_stream = !self.is_datagram();
        let mut events = if core.error.get().is_some() { POLLERR } else { 0 };
        if !core.inbox.borrow().is_empty() || core.shut_in.get() {
            events |= POLLIN | POLLRDNORM;
        }
        if core.shut_in.get() {
            events |= POLLRDHUP;
        }
        if (core.shut_in.get() && core.shut_out.get()) || (is_stream && !self.connected.get()) {
            events |= POLLHUP;
        }
        if self.is_writable() && self.peer().is_none_or(|peer| !self.is_kept_waiting_by(&peer)) {
            events |= POLLOUT | POLLWRNORM | POLLWRBAND;
        }
        events
    }

    fn close(&self, k: &mut Kernel) {
        k.net.unix_names.forget(self);
        let waiting: Vec<Rc<UnixSocket>> = self.backlog.take().into_iter().flatten().collect();
        for socket in waiting {
            if let Some(client) = socket.peer() {
                client.core.error.set(Some(Errno::ECONNRESET));
            }
            socket.close(k);
        }
        self.leave(k);
        k.net.passing.note_close();
    }
}
