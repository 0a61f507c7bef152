//! Timers: everything that happens at a time on the monotonic clock.

use std::collections::{BTreeMap, HashMap};
use std::rc::{Rc, Weak};

use abi::process::{RLIM_INFINITY, RLIMIT_CPU};
use abi::signal::*;

use crate::files::timerfd::TimerFd;
use crate::kernel::{Kernel, SECOND_NS};
use crate::net::inet::tcp::TcpSocket;
use crate::signal::SigInfo;
use crate::signal::info::Detail;
use crate::task::{Pid, Process, Tid};

/// What happens then.
#[allow(missing_docs)] // The fields say whom it concerns.
pub enum TimerEvent {
    /// A sleeping task's deadline, if it is still in that sleep.
    Wake { tid: Tid, sleep: u64 },
    /// `setitimer(ITIMER_REAL)`.
    Interval { pid: Pid },
    /// `timer_create`, if it is still set for that.
    Posix { pid: Pid, id: i32 },
    /// A timer that is a file.
    File(Weak<TimerFd>),
    /// A connection that is not accepted.
    Knocking(Weak<TcpSocket>),
    /// A connection that its listener is not told of.
    Deferral(Weak<TcpSocket>),
}

/// What an event belongs to: each has one at most.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Subject {
    Task(Tid),
    Interval(Pid),
    Posix(Pid, i32),
    /// A file or a connection, by its address in our own memory.
    Object(usize),
}

impl TimerEvent {
    fn subject(&self) -> Subject {
        match self {
            TimerEvent::Wake { tid, .. } => Subject::Task(*tid),
            TimerEvent::Interval { pid } => Subject::Interval(*pid),
            TimerEvent::Posix { pid, id } => Subject::Posix(*pid, *id),
            TimerEvent::File(timer) => Subject::Object(timer.as_ptr() as usize),
            TimerEvent::Knocking(socket) | TimerEvent::Deferral(socket) => Subject::Object(socket.as_ptr() as usize),
        }
    }
}

/// When an event is due, and which of those due at that time it is.
type Due = (u64, u64);

/// Events by time. One that is set anew takes the place of what was set before, so there are never more than there are
/// tasks, processes and files; one whose subject is gone finds nothing to do.
#[derive(Default)]
pub struct Timers {
    events: BTreeMap<Due, TimerEvent>,
    by_subject: HashMap<Subject, Due>,
    last: u64,
}

impl Timers {
    /// Adds an event.
    pub fn add(&mut self, at_ns: u64, event: TimerEvent) {
        self.last += 1;
        let due = (at_ns, self.last);
        if let Some(before) = self.by_subject.insert(event.subject(), due) {
            self.events.remove(&before);
        }
        self.events.insert(due, event);
    }

    /// When the next event is due.
    pub fn next_ns(&self) -> Option<u64> {
        self.events.first_key_value().map(|((at_ns, _), _)| *at_ns)
    }

    fn take_due(&mut self, now_ns: u64) -> Option<TimerEvent> {
        let event = self.events.first_entry().filter(|entry| entry.key().0 <= now_ns)?.remove();
        self.by_subject.remove(&event.subject());
        Some(event)
    }
}

/// A time to come, and the period after it; zeroes are "off".
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Schedule {
    /// When it next runs out.
    pub next_ns: u64,
    /// Period afterwards; 0 is once.
    pub interval_ns: u64,
}

impl Schedule {
    /// If it has run out: moves on and returns how often it has.
    pub fn expire(&mut self, now_ns: u64) -> u64 {
        if self.next_ns == 0 || now_ns < self.next_ns {
            return 0;
        }
        if self.interval_ns == 0 {
            self.next_ns = 0;
            return 1;
        }
        let times = 1 + (now_ns - self.next_ns) / self.interval_ns;
        self.next_ns = self.next_ns.saturating_add(times.saturating_mul(self.interval_ns));
        times
    }

    /// Time left; 0 is off.
    pub fn remaining_ns(&self, now_ns: u64) -> u64 {
        if self.next_ns == 0 { 0 } else { self.next_ns.saturating_sub(now_ns).max(1) }
    }
}

/// `setitimer(2)`: real time, and two counts of processor time.
#[derive(Clone, Copy, Default, Debug)]
pub struct IntervalTimers {
    /// `ITIMER_REAL`, on the monotonic clock.
    pub real: Schedule,
    /// `ITIMER_VIRTUAL`, on the process's own clock.
    pub user: Schedule,
    /// `ITIMER_PROF`, on the process's own clock.
    pub profile: Schedule,
}

/// `timer_create(2)`.
#[derive(Clone, Copy, Debug)]
pub struct PosixTimer {
    /// `CLOCK_*`.
    pub clock: u32,
    /// When.
    pub schedule: Schedule,
    /// Signal to send; 0 is none.
    pub signal: u32,
    /// `sigev_value`.
    pub value: u64,
    /// A thread to send it to.
    pub thread: Option<Tid>,
    /// Expirations that had no signal of their own.
    pub overrun: i32,
}

impl Kernel {
    /// Does what is due.
    pub(crate) fn fire_timers(&mut self) {
        if self.timers.next_ns().is_none() {
            return;
        }
        let now_ns = self.host.monotonic_ns();
        while let Some(event) = self.timers.take_due(now_ns) {
            match event {
                TimerEvent::Wake { tid, sleep } => {
                    if let Some(task) = self.tasks.task(tid).filter(|task| task.sleep_count.get() == sleep) {
                        self.wake_task(&task);
                    }
                }
                TimerEvent::Interval { pid } => self.fire_interval(pid, now_ns),
                TimerEvent::Posix { pid, id } => self.fire_posix(pid, id, now_ns),
                TimerEvent::Knocking(socket) => {
                    if let Some(socket) = socket.upgrade() {
                        socket.give_up(self, now_ns);
                    }
                }
                TimerEvent::Deferral(socket) => {
                    if let Some(socket) = socket.upgrade() {
                        socket.appear(self);
                    }
                }
                TimerEvent::File(timer) => {
                    if let Some(timer) = timer.upgrade() {
                        self.fire_file(&timer, now_ns);
                    }
                }
            }
        }
    }

    fn fire_interval(&mut self, pid: Pid, now_ns: u64) {
        let Some(process) = self.tasks.process(pid) else { return };
        let times = process.interval_timers.borrow_mut().real.expire(now_ns);
        if times > 0 {
            let next_ns = process.interval_timers.borrow().real.next_ns;
            if next_ns != 0 {
                self.timers.add(next_ns, TimerEvent::Interval { pid });
            }
            self.signal_process(&process, SigInfo::kernel(SIGALRM));
        }
    }

    fn fire_posix(&mut self, pid: Pid, id: i32, now_ns: u64) {
        let Some(process) = self.tasks.process(pid) else { return };
        let fired = process.posix_timers.borrow_mut().get_mut(&id).and_then(|timer| {
            let times = timer.schedule.expire(now_ns);
            timer.overrun = i32::try_from(times.saturating_sub(1)).unwrap_or(i32::MAX);
            (times > 0).then_some(*timer)
        });
        let Some(timer) = fired else { return };
        if timer.schedule.next_ns != 0 {
            self.timers.add(timer.schedule.next_ns, TimerEvent::Posix { pid, id });
        }
        if timer.signal == 0 {
            return;
        }
        let detail = Detail::Timer { id, overrun: timer.overrun, value: timer.value };
        let info = SigInfo { signal: timer.signal, code: SI_TIMER, detail };
        match timer.thread.map(|tid| self.tasks.task(tid)) {
            Some(Some(task)) => self.signal_task(&task, info),
            Some(None) => {}
            None => self.signal_process(&process, info),
        }
    }

    fn fire_file(&mut self, timer: &Rc<TimerFd>, now_ns: u64) {
        if timer.expire(now_ns) {
            self.wake(&timer.queue);
            self.schedule_file_timer(timer);
        }
    }

    /// Sets the event for when a timer that is a file runs out next.
    pub(crate) fn schedule_file_timer(&mut self, timer: &Rc<TimerFd>) {
        let next_ns = timer.schedule.get().next_ns;
        if next_ns != 0 {
            self.timers.add(next_ns, TimerEvent::File(Rc::downgrade(timer)));
        }
    }

    /// Counts processor time, and sends the signals that depend on it.
    pub(crate) fn charge_cpu_time(&mut self, process: &Rc<Process>) {
        self.check_cpu_limit(process);
        let timers = *process.interval_timers.borrow();
        if timers.user.next_ns == 0 && timers.profile.next_ns == 0 {
            return;
        }
        let used_ns = self.process_cpu_time_ns(process);
        let (user, profile) = {
            let mut timers = process.interval_timers.borrow_mut();
            (timers.user.expire(used_ns), timers.profile.expire(used_ns))
        };
        for (times, signal) in [(user, SIGVTALRM), (profile, SIGPROF)] {
            if times > 0 {
                self.signal_process(process, SigInfo::kernel(signal));
            }
        }
    }

    /// `RLIMIT_CPU`: a signal each second from the soft limit on, and the end at the hard one.
    fn check_cpu_limit(&mut self, process: &Rc<Process>) {
        let limit = process.limits.borrow().0[RLIMIT_CPU];
        if limit.soft == RLIM_INFINITY || process.is_zombie() {
            return;
        }
        let used_ns = self.process_cpu_time_ns(process);
        let reached = |seconds: u64| seconds != RLIM_INFINITY && used_ns >= seconds.saturating_mul(SECOND_NS);
        if reached(limit.hard) {
            self.signal_process(process, SigInfo::kernel(SIGKILL));
        } else if reached(limit.soft) {
            process.limits.borrow_mut().0[RLIMIT_CPU].soft = used_ns / SECOND_NS + 1;
            self.signal_process(process, SigInfo::kernel(SIGXCPU));
        }
    }

    /// Time the threads of a process have had on the processor.
    pub fn process_cpu_time_ns(&self, process: &Process) -> u64 {
        let living: u64 = self.tasks.threads(process).iter().map(|task| task.cpu_time_ns.get()).sum();
        living + process.ended_cpu_time_ns.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_set_anew_takes_the_place_of_what_was() {
        let mut timers = Timers::default();
        for at_ns in 0..1000 {
            timers.add(5000 - at_ns, TimerEvent::Interval { pid: 1 });
            timers.add(at_ns, TimerEvent::Wake { tid: 1, sleep: at_ns });
        }
        assert_eq!(timers.events.len(), 2);
        assert!(matches!(timers.take_due(u64::MAX), Some(TimerEvent::Wake { tid: 1, sleep: 999 })));
        assert!(matches!(timers.take_due(u64::MAX), Some(TimerEvent::Interval { pid: 1 })));
        assert!(timers.take_due(u64::MAX).is_none() && timers.by_subject.is_empty());
    }

    #[test]
    fn periods_missed_are_counted_and_the_next_lies_ahead() {
        let mut schedule = Schedule { next_ns: 100, interval_ns: 10 };
        assert_eq!(schedule.expire(99), 0);
        assert_eq!(schedule.expire(125), 3);
        assert_eq!(schedule.next_ns, 130);
        let mut once = Schedule { next_ns: 100, interval_ns: 0 };
        assert_eq!((once.expire(100), once.expire(200)), (1, 0));
    }
}
