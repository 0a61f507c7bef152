//! Runs one program in a machine as if it were a program of the host: standard streams, signals, exit status, and the
//! terminal if there is one.

use std::io::{self, IsTerminal, Read, Write};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use kernel::stop::Stop;
use kernel::{Output, Pid};
use rustix::termios::{self, OptionalActions, Termios};
use signal_hook::consts::signal::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGWINCH};
use signal_hook::iterator::Signals;

use crate::machine::{Event, Machine, Next, Program};

/// Exit status when the program can't be started, as shells have it.
const NOT_FOUND: i32 = 127;
const NOT_EXECUTABLE: i32 = 126;

/// Bytes of standard input read at once.
const INPUT_BYTES: usize = 64 << 10;

/// How long the machine runs before it looks for input and signals.
const TURN_MS: u64 = 5;

enum Message {
    Input(Vec<u8>),
    InputEnd,
    Signal(i32),
}

/// The terminal of this process, raw while it lives.
struct RawTerminal {
    before: Termios,
}

impl RawTerminal {
    fn enter() -> io::Result<Self> {
        let before = termios::tcgetattr(io::stdin())?;
        let mut raw = before.clone();
        raw.make_raw();
        termios::tcsetattr(io::stdin(), OptionalActions::Flush, &raw)?;
        Ok(Self { before })
    }
}

impl Drop for RawTerminal {
    fn drop(&mut self) {
        let _ = termios::tcsetattr(io::stdin(), OptionalActions::Flush, &self.before);
    }
}

/// Whether this process has a terminal to lend.
pub fn has_terminal() -> bool {
    io::stdin().is_terminal() && io::stdout().is_terminal()
}

/// Runs `program` to its end; returns its exit status. The disk is local, so nothing ever waits for it for long.
///
/// # Errors
/// The host's, about its own terminal and signals.
pub fn run(machine: &mut Machine, start: Instant, program: &Program) -> io::Result<i32> {
    let pid = match machine.spawn(program) {
        Ok(pid) => pid,
        Err(stop) => return Ok(not_started(program, stop)),
    };
    let (sender, messages) = channel();
    let (acknowledge, taken) = channel();
    watch_signals(sender.clone())?;
    std::thread::spawn(move || read_input(&sender, &taken));
    let _raw = if program.on_console { Some(RawTerminal::enter()?) } else { None };
    let mut runner = Runner { machine, start, pid, on_console: program.on_console, pending: Vec::new(), ended: false };
    runner.resize();
    Ok(runner.run(&messages, &acknowledge))
}

fn not_started(program: &Program, stop: Stop) -> i32 {
    let name = program.argv.first().map_or("the image's command", String::as_str);
    match stop {
        Stop::Errno(abi::Errno::ENOENT) => {
            eprintln!("edgebox: {name}: not found (or its user or working directory)");
            NOT_FOUND
        }
        Stop::Errno(errno) => {
            eprintln!("edgebox: {name}: {errno}");
            NOT_EXECUTABLE
        }
        Stop::Wait(_) => {
            eprintln!("edgebox: {name}: the disk does not answer");
            NOT_EXECUTABLE
        }
    }
}

/// Reads standard input, each piece only after the one before has been taken.
fn read_input(sender: &Sender<Message>, taken: &Receiver<()>) {
    let mut buffer = vec![0; INPUT_BYTES];
    loop {
        let message = match io::stdin().read(&mut buffer) {
            Ok(len) if len > 0 => Message::Input(buffer[..len].to_vec()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            _ => Message::InputEnd,
        };
        let is_end = matches!(message, Message::InputEnd);
        if sender.send(message).is_err() || is_end || taken.recv().is_err() {
            return;
        }
    }
}

fn watch_signals(sender: Sender<Message>) -> io::Result<()> {
    let mut signals = Signals::new([SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGWINCH])?;
    std::thread::spawn(move || {
        for signal in signals.forever() {
            if sender.send(Message::Signal(signal)).is_err() {
                return;
            }
        }
    });
    Ok(())
}

struct Runner<'a> {
    machine: &'a mut Machine,
    start: Instant,
    pid: Pid,
    on_console: bool,
    /// Input that the program has not taken yet.
    pending: Vec<u8>,
    /// Standard input has ended.
    ended: bool,
}

impl Runner<'_> {
    fn run(&mut self, messages: &Receiver<Message>, acknowledge: &Sender<()>) -> i32 {
        loop {
            while let Ok(message) = messages.try_recv() {
                self.take(message, acknowledge);
            }
            let fed = self.feed(acknowledge);
            let end = Instant::now() + Duration::from_millis(TURN_MS);
            let (pid, mut status) = (self.pid, None);
            let next = self.machine.run(&|| Instant::now() >= end, &mut |event| match event {
                Event::Output { output, bytes, .. } => show(output, &bytes),
                Event::Exit { pid: ended, status: code, .. } if ended == pid => status = Some(code),
                Event::Exit { .. } => {}
            });
            if let Some(status) = status {
                return status;
            }
            let pause = match next {
                Next::Now => continue,
                Next::At { ns } => Duration::from_nanos(ns).saturating_sub(self.start.elapsed()),
                Next::Event => Duration::from_secs(3600),
                Next::Halted => return 0,
            };
            // A program that took input may have room for more.
            if fed && !self.pending.is_empty() {
                continue;
            }
            if let Ok(message) = messages.recv_timeout(pause) {
                self.take(message, acknowledge);
            }
        }
    }

    fn take(&mut self, message: Message, acknowledge: &Sender<()>) {
        match message {
            Message::Input(bytes) if self.on_console => {
                self.machine.kernel().console_input(&bytes);
                let _ = acknowledge.send(());
            }
            Message::Input(bytes) => self.pending = bytes,
            Message::InputEnd => self.ended = true,
            Message::Signal(SIGWINCH) => self.resize(),
            Message::Signal(signal) => self.machine.kernel().host_signal(self.pid, signal as u32),
        }
    }

    /// Gives the program what it can take of its input; returns whether it took something.
    fn feed(&mut self, acknowledge: &Sender<()>) -> bool {
        let mut fed = false;
        if !self.pending.is_empty() {
            let count = self.machine.kernel().feed_stdin(self.pid, &self.pending);
            self.pending.drain(..count);
            fed = count > 0;
            if self.pending.is_empty() {
                let _ = acknowledge.send(());
            }
        }
        if self.ended && self.pending.is_empty() && !self.on_console {
            self.machine.kernel().close_stdin(self.pid);
        }
        fed
    }

    /// Tells the guest the size of our window.
    fn resize(&mut self) {
        if let Ok(size) = termios::tcgetwinsize(io::stdout())
            && self.on_console
        {
            self.machine.kernel().console_resize(size.ws_col, size.ws_row);
        }
    }
}

fn show(output: Output, bytes: &[u8]) {
    let result = match output {
        Output::Stdout => {
            let mut stdout = io::stdout().lock();
            stdout.write_all(bytes).and_then(|()| stdout.flush())
        }
        Output::Stderr => io::stderr().lock().write_all(bytes),
    };
    if result.is_err_and(|error| error.kind() == io::ErrorKind::BrokenPipe) {
        // As a program of the host would end here.
        std::process::exit(128 + signal_hook::consts::signal::SIGPIPE);
    }
}
