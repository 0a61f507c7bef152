//! `TCP_DEFER_ACCEPT` (`tcp(7)`): a listener is told of a connection when something comes through it, its end included,
//! or when it has waited long enough.
//!
//! Linux counts the time in answers to the client's first packet, each sent twice as long after the one before, so that
//! it is longer than asked for: 5 seconds are 1 + 2 + 4.

use std::rc::{Rc, Weak};

use abi::socket::*;

use super::options::value;
use super::tcp::TcpSocket;
use crate::files::Io;
use crate::kernel::{Kernel, SECOND_NS};
use crate::timer::TimerEvent;

/// Longest time between two answers (`TCP_RTO_MAX`), and the most of them.
const BETWEEN_SECONDS_MAX: u32 = 120;
const ANSWERS_MAX: u32 = 255;

/// The seconds that a deferral of `wanted` seconds takes; none if it is zero or less (`secs_to_retrans`).
pub(super) fn rounded_seconds(wanted: i32) -> i32 {
    let Some(wanted) = u32::try_from(wanted).ok().filter(|wanted| *wanted > 0) else { return 0 };
    let (mut answers, mut between, mut total) = (1, 1, 1);
    while wanted > total && answers < ANSWERS_MAX {
        between = (between * 2).min(BETWEEN_SECONDS_MAX);
        total += between;
        answers += 1;
    }
    total as i32
}

/// What a connection waits for that its listener has not been told of.
#[derive(Default)]
pub struct Deferral {
    /// The listener.
    listener: Option<Weak<TcpSocket>>,
    /// It may be told as soon as there is room in its backlog.
    is_due: bool,
}

impl TcpSocket {
    /// Whether its listener has not been told of it.
    pub(super) fn is_deferred(&self) -> bool {
        self.deferral.borrow().listener.is_some()
    }

    /// Puts off telling this listener of a connection, if that is wanted. Beyond the backlog it is told at once, as Linux
    /// does with connections that it keeps no record of ("SYN cookies").
    pub(super) fn defer(self: &Rc<Self>, k: &mut Kernel, server: &Rc<TcpSocket>) -> bool {
        let seconds = value(&self.core, IPPROTO_TCP, TCP_DEFER_ACCEPT);
        let mut backlog = self.backlog.borrow_mut();
        if seconds <= 0 || backlog.deferred.len() >= backlog.max {
            return false;
        }
        *server.deferral.borrow_mut() = Deferral { listener: Some(Rc::downgrade(self)), is_due: false };
        backlog.deferred.push(server.clone());
        let until_ns = k.host.monotonic_ns().saturating_add(seconds as u64 * SECOND_NS);
        k.timers.add(until_ns, TimerEvent::Deferral(Rc::downgrade(server)));
        true
    }

    /// Its listener may be told of this connection: something has come, or the time is over.
    pub(crate) fn appear(&self, k: &mut Kernel) {
        let listener = {
            let mut deferral = self.deferral.borrow_mut();
            deferral.is_due = true;
            deferral.listener.as_ref().and_then(Weak::upgrade)
        };
        if let Some(listener) = listener {
            listener.take_deferred(k);
        }
    }

    /// The client has given this connection up before the listener was told.
    pub(super) fn vanish(&self, k: &mut Kernel) {
        let Some(listener) = self.deferral.take().listener.and_then(|listener| listener.upgrade()) else { return };
        listener.backlog.borrow_mut().deferred.retain(|server| !std::ptr::eq(&**server, self));
        k.net.tcp.remove(self);
        k.net.forget(self.core.cookie);
    }

    /// Tells this listener of connections that it may be told of, as far as there is room.
    pub(super) fn take_deferred(&self, k: &mut Kernel) {
        while !self.is_full() {
            let server = {
                let deferred = &mut self.backlog.borrow_mut().deferred;
                let first = deferred.iter().position(|server| server.deferral.borrow().is_due);
                first.map(|index| deferred.remove(index))
            };
            let Some(server) = server else { break };
            server.deferral.take();
            self.backlog.borrow_mut().ready.push_back(server);
            self.core.announce(k, Io::Input);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_sums_of_doubling_ones() {
        let cases = [(-1, 0), (0, 0), (1, 1), (2, 3), (3, 3), (4, 7), (5, 7), (127, 127), (128, 247), (248, 367)];
        for (wanted, seconds) in cases {
            assert_eq!(rounded_seconds(wanted), seconds, "{wanted}");
        }
        assert_eq!(rounded_seconds(i32::MAX), 127 + 248 * 120);
    }
}
