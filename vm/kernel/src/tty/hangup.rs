//! Ends: of a terminal's other side, of a session, of a session's hold on its terminal.

use std::rc::Rc;

use abi::signal::{SIGCONT, SIGHUP};

use super::{Screen, Tty};
use crate::kernel::Kernel;
use crate::signal::SigInfo;
use crate::task::{Pid, Process, Task};

impl Kernel {
    /// A session leader gives up its terminal, or has ended. The foreground is hung up, and nobody in the session has the
    /// terminal any more. The console is hung up as a whole when its session ends; of a pseudo-terminal whoever has the
    /// other side decides.
    pub(crate) fn give_up_tty(&mut self, leader: &Rc<Process>, has_ended: bool) {
        let tty = leader.tty.borrow().clone();
        match &tty {
            Some(tty) if has_ended && matches!(tty.screen, Screen::Console) => self.hang_up(tty, true),
            Some(tty) => {
                let (foreground, signals): (Pid, &[u32]) = (tty.foreground.get(), &[SIGHUP, SIGCONT]);
                self.signal_foreground(foreground, if has_ended { &signals[..1] } else { signals });
            }
            None if has_ended => return self.signal_foreground(leader.lost_foreground.take(), &[SIGHUP, SIGCONT]),
            None => {}
        }
        leader.lost_foreground.set(0);
        if let Some(tty) = leader.tty.take() {
            tty.session.set(0);
            tty.foreground.set(0);
        }
        self.take_from_session(leader.session.get());
    }

    fn signal_foreground(&mut self, group: Pid, signals: &[u32]) {
        for signal in signals.iter().filter(|_| group > 0) {
            self.signal_group(group, &SigInfo::kernel(*signal));
        }
    }

    /// Whoever has a terminal open loses it: reads end, writes fail (`vhangup(2)`). Its session has none any more, and its
    /// leader is told; with `ends_session` the foreground is, too.
    pub(super) fn hang_up(&mut self, tty: &Rc<Tty>, ends_session: bool) {
        let (session, foreground) = (tty.session.replace(0), tty.foreground.replace(0));
        let members =
            self.tasks.processes().into_iter().filter(|member| session != 0 && member.session.get() == session);
        for member in members.collect::<Vec<_>>() {
            let has_it = member.tty.borrow().as_ref().is_some_and(|own| Rc::ptr_eq(own, tty));
            if has_it {
                member.tty.take();
            }
            if member.pid == session {
                member.lost_foreground.set(foreground);
                self.signal_process(&member, SigInfo::kernel(SIGHUP));
                self.signal_process(&member, SigInfo::kernel(SIGCONT));
            }
        }
        if ends_session {
            self.signal_foreground(foreground, &[SIGHUP]);
        }
        if let Screen::Pty(shown) = &tty.screen {
            shown.drop_waiting();
        }
        tty.discipline.borrow_mut().reset(tty.first_settings());
        tty.detached.set(true);
        tty.hangups.set(tty.hangups.get() + 1);
        self.wake(&tty.queue);
    }

    /// The side that plays screen and keyboard is gone.
    pub(super) fn lose_master(&mut self, tty: &Rc<Tty>) {
        tty.other_gone.set(true);
        self.hang_up(tty, false);
    }

    /// `vhangup(2)`: hangs up the caller's terminal.
    pub(crate) fn hang_up_own(&mut self, task: &Rc<Task>) {
        let tty = task.process.tty.borrow().clone();
        if let Some(tty) = tty {
            self.hang_up(&tty, false);
        }
    }
}
