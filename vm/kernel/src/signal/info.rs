//! `SigInfo`: what came with a signal; `SignalQueue`: signals that wait for a task.

use std::collections::VecDeque;

use abi::signal::*;
use abi::{Layout, Writer};

use super::SignalSet;
use crate::task::Pid;

/// Real-time signals that can wait for one task: `RLIMIT_SIGPENDING` is per user, this bounds each queue.
pub const QUEUE_MAX: usize = 1024;

/// What a handler learns about a signal (`sigaction(2)`, `siginfo_t`).
#[derive(Clone, Debug)]
pub struct SigInfo {
    /// The signal.
    pub signal: u32,
    /// `si_code`.
    pub code: i32,
    /// What else is known.
    pub detail: Detail,
}

/// The part of `siginfo_t` that differs by `si_code`.
#[derive(Clone, Debug)]
pub enum Detail {
    /// Nothing, or sent by the kernel for a reason of its own.
    None,
    /// `kill` and its relatives.
    Sender {
        /// Who.
        pid: Pid,
        /// As whom.
        uid: u32,
    },
    /// Sent by the kernel because of a processor exception that `siginfo_t` says nothing about.
    Exception {
        /// Its number.
        trap: u8,
        /// Its error code.
        error: u16,
    },
    /// A child changed state.
    Child {
        /// Which.
        pid: Pid,
        /// Whose.
        uid: u32,
        /// Exit code or signal.
        status: u32,
    },
    /// An instruction faulted.
    Fault {
        /// Where it pointed.
        addr: u64,
        /// Number of the processor's exception.
        trap: u8,
        /// Its error code.
        error: u16,
    },
    /// A filter has caught a system call.
    Call {
        /// Where the program goes on.
        addr: u64,
        /// The call.
        number: u32,
        /// The table it is in (`AUDIT_ARCH_*`).
        arch: u32,
        /// What the filter says of it.
        errno: i32,
    },
    /// A file can be read or written (`SIGIO`).
    Io {
        /// `POLL*`.
        band: u32,
        /// The descriptor that signals were asked for by.
        fd: i32,
    },
    /// A timer ran out.
    Timer {
        /// `timer_create`'s number.
        id: i32,
        /// Expirations that had no signal of their own.
        overrun: i32,
        /// `sigev_value`.
        value: u64,
    },
    /// Given by `rt_sigqueueinfo`.
    Raw {
        /// Everything after `si_code`, and the padding there.
        bytes: Box<[u8]>,
        /// Whose.
        layout: Layout,
    },
}

impl SigInfo {
    /// A signal sent by the kernel.
    pub fn kernel(signal: u32) -> Self {
        Self { signal, code: SI_KERNEL, detail: Detail::None }
    }

    /// A signal sent by a program.
    pub fn user(signal: u32, code: i32, pid: Pid, uid: u32) -> Self {
        Self { signal, code, detail: Detail::Sender { pid, uid } }
    }

    /// A signal that an instruction causes.
    pub fn fault(signal: u32, code: i32, addr: u64) -> Self {
        Self { signal, code, detail: Detail::Fault { addr, trap: 0, error: 0 } }
    }

    /// The same, with what `struct sigcontext` says of the exception: its number and error code (Intel SDM vol. 3, 6.15).
    #[must_use]
    pub fn with_trap(mut self, number: u8, code: u16) -> Self {
        match &mut self.detail {
            Detail::Fault { trap, error, .. } => (*trap, *error) = (number, code),
            detail => *detail = Detail::Exception { trap: number, error: code },
        }
        self
    }

    /// `siginfo_t`, 128 bytes.
    pub fn encode(&self, layout: Layout) -> Vec<u8> {
        let errno = if let Detail::Call { errno, .. } = self.detail { errno } else { 0 };
        let head = layout.writer().u32(self.signal).i32(errno).i32(self.code).align();
        let all = match &self.detail {
            Detail::None | Detail::Exception { .. } => head,
            Detail::Sender { pid, uid } => head.i32(*pid).u32(*uid),
            Detail::Child { pid, uid, status } => head.i32(*pid).u32(*uid).u32(*status),
            Detail::Fault { addr, .. } => head.word(*addr),
            Detail::Call { addr, number, arch, .. } => head.word(*addr).u32(*number).u32(*arch),
            Detail::Io { band, fd } => head.word(u64::from(*band)).i32(*fd),
            Detail::Timer { id, overrun, value } => head.i32(*id).i32(*overrun).word(*value),
            Detail::Raw { bytes, layout: theirs } if *theirs == layout => head.raw(bytes),
            // Between programs of different kinds, what `sigqueue` sends is understood.
            Detail::Raw { bytes, layout: theirs } => {
                let mut reader = theirs.reader(bytes);
                let (pid, uid) = (reader.i32(), reader.u32());
                head.i32(pid).u32(uid).word(reader.word() & 0xffff_ffff)
            }
        };
        all.pad_to(128).finish()
    }

    /// `struct signalfd_siginfo`, 128 bytes.
    pub fn encode_for_signalfd(&self) -> Vec<u8> {
        let head = Writer::new().u32(self.signal).i32(0).i32(self.code);
        let all = match &self.detail {
            Detail::Sender { pid, uid } => head.i32(*pid).u32(*uid),
            Detail::Child { pid, uid, status } => head.i32(*pid).u32(*uid).pad_to(40).u32(*status),
            Detail::Io { band, fd } => head.pad_to(20).i32(*fd).pad_to(28).u32(*band),
            Detail::Fault { addr, .. } => head.pad_to(72).u64(*addr),
            Detail::Timer { id, overrun, value } => {
                head.pad_to(24).i32(*id).pad_to(32).i32(*overrun).pad_to(44).u32(*value as u32).u64(*value)
            }
            _ => head,
        };
        all.pad_to(128).finish()
    }
}

/// Signals that have been sent and not yet acted on, oldest first.
#[derive(Clone, Default)]
pub struct SignalQueue {
    set: SignalSet,
    infos: VecDeque<SigInfo>,
}

impl SignalQueue {
    /// The signals in it.
    pub fn set(&self) -> SignalSet {
        self.set
    }

    /// How many are in it.
    pub fn len(&self) -> usize {
        self.infos.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.infos.is_empty()
    }

    /// Adds one. Signals below `SIGRTMIN` wait at most once. Returns false if it is lost because the queue is full.
    pub fn push(&mut self, info: SigInfo) -> bool {
        if info.signal < SIGRTMIN && self.set.has(info.signal) {
            return true;
        }
        if self.infos.len() >= QUEUE_MAX {
            return false;
        }
        self.set = self.set.with(SignalSet::of(&[info.signal]));
        self.infos.push_back(info);
        true
    }

    /// Puts back one that has just been taken.
    pub fn push_front(&mut self, info: SigInfo) {
        self.set = self.set.with(SignalSet::of(&[info.signal]));
        self.infos.push_front(info);
    }

    /// Takes the next one of those in `wanted`: synchronous ones first, then by number.
    pub fn take(&mut self, wanted: SignalSet) -> Option<SigInfo> {
        let ready = SignalSet(self.set.0 & wanted.0);
        let signal = SignalSet(ready.0 & SignalSet::SYNCHRONOUS.0).first().or(ready.first())?;
        let index = self.infos.iter().position(|info| info.signal == signal)?;
        let info = self.infos.remove(index);
        self.recount();
        info
    }

    /// Forgets all of these signals.
    pub fn discard(&mut self, signals: SignalSet) {
        self.infos.retain(|info| !signals.has(info.signal));
        self.recount();
    }

    fn recount(&mut self) {
        self.set = self.infos.iter().fold(SignalSet::default(), |set, info| set.with(SignalSet::of(&[info.signal])));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn standard_signals_wait_once_and_real_time_ones_queue() {
        let mut queue = SignalQueue::default();
        for signal in [SIGUSR1, SIGUSR1, 40, 40, SIGSEGV] {
            assert!(queue.push(SigInfo::kernel(signal)));
        }
        let mut order = Vec::new();
        while let Some(info) = queue.take(SignalSet(u64::MAX)) {
            order.push(info.signal);
        }
        assert_eq!(order, [SIGSEGV, SIGUSR1, 40, 40]);
        assert!(queue.set().is_empty());
    }

    #[test]
    fn siginfo_has_the_layout_of_the_c_library() {
        for (layout, at) in [(Layout::X86_64, 16), (Layout::I386, 12)] {
            let bytes = SigInfo::fault(SIGSEGV, SEGV_MAPERR, 0x1234).encode(layout);
            assert_eq!(bytes.len(), 128);
            assert_eq!((bytes[0], bytes[8], bytes[at], bytes[at + 1]), (11, 1, 0x34, 0x12));
        }
    }
}
