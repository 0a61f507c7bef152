//! What JavaScript calls. Nothing here blocks: what has to wait for the disk says so, and is called again when a chunk
//! has arrived.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use cpu::{Engine, Interpreter};
use disk::{ChunkDigest, Delivery, Disk, FetchError, Manifest};
use jit::Jit;
use kernel::Output;
use kernel::stop::{Outcome, Stop};
use wasm_bindgen::prelude::*;

use super::chunks::BrowserChunks;
use super::code::BrowserCode;
use super::memories::BrowserMemories;
use super::world::{Callbacks, World, monotonic_ns};
use crate::machine::{self, Event, Next, Program};
use crate::root::{self, SharedDisk};

/// Bytes of a program's standard input on their way; more are kept here until it reads.
struct Input {
    pid: i32,
    bytes: Vec<u8>,
    ended: bool,
}

/// A machine whose disk comes over the network.
#[wasm_bindgen]
pub struct Machine {
    callbacks: Callbacks,
    manifest: Manifest,
    disk: Rc<RefCell<Disk<BrowserChunks>>>,
    machine: Option<machine::Machine>,
    is_set_up: bool,
    inputs: Vec<Input>,
    console: (u16, u16),
    unshown_bytes: Rc<Cell<usize>>,
    engine: EngineKind,
}

/// What runs the guest's instructions.
#[wasm_bindgen]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EngineKind {
    /// The interpreter alone.
    Interpreter,
    /// The interpreter, and hot code as WebAssembly.
    Jit,
}

/// A result for JavaScript, or `None`: wait for the disk.
fn ready<T>(what: &str, outcome: Outcome<T>) -> Result<Option<T>, JsError> {
    match outcome {
        Ok(value) => Ok(Some(value)),
        Err(Stop::Wait(_)) => Ok(None),
        Err(Stop::Errno(errno)) => Err(JsError::new(&format!("{what}: {errno}"))),
    }
}

fn clone(callbacks: &Callbacks) -> Callbacks {
    AsRef::<JsValue>::as_ref(callbacks).clone().unchecked_into()
}

#[wasm_bindgen]
impl Machine {
    /// A machine for a manifest's image, its console of this size.
    #[wasm_bindgen(constructor)]
    pub fn new(
        manifest: &[u8],
        callbacks: Callbacks,
        engine: EngineKind,
        columns: u16,
        rows: u16,
    ) -> Result<Machine, JsError> {
        console_error_panic_hook::set_once();
        let manifest = Manifest::parse(manifest).map_err(|error| JsError::new(&error.to_string()))?;
        let disk = Disk::new(&manifest, BrowserChunks { callbacks: clone(&callbacks) });
        Ok(Machine {
            callbacks,
            manifest,
            disk: Rc::new(RefCell::new(disk)),
            machine: None,
            is_set_up: false,
            inputs: Vec::new(),
            console: (columns, rows),
            unshown_bytes: Rc::default(),
            engine,
        })
    }

    /// Mounts the disk; `false`: call again when a chunk has arrived.
    pub fn mount(&mut self) -> Result<bool, JsError> {
        if self.machine.is_none() && !self.make_machine()? {
            return Ok(false);
        }
        let machine = self.machine()?;
        let set_up = machine.set_up();
        self.is_set_up = ready("setting the machine up", set_up)?.is_some();
        Ok(self.is_set_up)
    }

    fn make_machine(&mut self) -> Result<bool, JsError> {
        let callbacks = clone(&self.callbacks);
        let failures = clone(&self.callbacks);
        let on_failure = Box::new(move |why: &str| failures.disk_failure(why));
        let device = Box::new(SharedDisk { disk: self.disk.clone(), on_failure });
        let mounted = root::mount(device, &mut |line| callbacks.log(line)).map_err(|error| JsError::new(&error))?;
        let Some(root) = mounted else { return Ok(false) };
        let world = World { callbacks: clone(&self.callbacks), unshown_bytes: self.unshown_bytes.clone() };
        let memories = BrowserMemories::new().map_err(|error| {
            JsError::new(&format!("this browser lacks something that guest memories need: {error:?}"))
        })?;
        let engine: Box<dyn Engine> = match self.engine {
            EngineKind::Interpreter => Box::new(Interpreter::new(Box::new(monotonic_ns))),
            EngineKind::Jit => {
                let code = BrowserCode::new().map_err(|error| JsError::new(&format!("the JIT: {error:?}")))?;
                Box::new(Jit::new(code, Rc::new(monotonic_ns)))
            }
        };
        let config = self.manifest.config.clone();
        let boxed = (Box::new(world), Box::new(memories), Box::new(root), engine);
        let mut machine = machine::Machine::new(boxed.0, boxed.1, boxed.2, "/dev/vda", config, boxed.3);
        machine.kernel().console_resize(self.console.0, self.console.1);
        self.machine = Some(machine);
        Ok(true)
    }

    fn machine(&mut self) -> Result<&mut machine::Machine, JsError> {
        self.machine.as_mut().ok_or_else(|| JsError::new("the machine is not mounted yet"))
    }

    /// The image's own command line.
    pub fn command(&self) -> Vec<String> {
        self.manifest.config.command()
    }

    /// Runs for about `budget_ms`. Returns in how many milliseconds to call again: 0 is at once, infinity when
    /// something comes from outside, -1 never.
    pub fn run(&mut self, budget_ms: f64) -> Result<f64, JsError> {
        self.offer_input();
        let end_ns = monotonic_ns() + (budget_ms * 1e6) as u64;
        let callbacks = clone(&self.callbacks);
        let next = self.machine()?.run(&|| monotonic_ns() >= end_ns, &mut |event| match event {
            Event::Output { pid, output, bytes } => {
                callbacks.process_output(pid, if output == Output::Stdout { 1 } else { 2 }, &bytes);
            }
            Event::Exit { pid, status, signal } => callbacks.process_exit(pid, status, signal.unwrap_or(0)),
        });
        if self.offer_input() {
            return Ok(0.0);
        }
        Ok(match next {
            Next::Now => 0.0,
            Next::At { ns } => ns.saturating_sub(monotonic_ns()) as f64 / 1e6,
            Next::Event => f64::INFINITY,
            Next::Halted => -1.0,
        })
    }

    // ---- disk ----

    /// A chunk has arrived: as it is stored, or decoded by the browser if the host labelled it.
    #[wasm_bindgen(js_name = chunkArrived)]
    pub fn chunk_arrived(&mut self, digest: &str, bytes: Vec<u8>) {
        self.settle(digest, Ok(Delivery { encoding: None, bytes }));
    }

    /// The server has no such chunk.
    #[wasm_bindgen(js_name = chunkMissing)]
    pub fn chunk_missing(&mut self, digest: &str, why: String) {
        self.settle(digest, Err(FetchError::Missing(why)));
    }

    /// The server can't be reached: whoever waits goes on waiting until `retryStalled`.
    #[wasm_bindgen(js_name = chunkUnreachable)]
    pub fn chunk_unreachable(&mut self, digest: &str, why: String) {
        self.settle(digest, Err(FetchError::Unreachable(why)));
    }

    fn settle(&mut self, digest: &str, result: Result<Delivery, FetchError>) {
        // The digest is one that `fetchChunk` was given.
        let Ok(digest) = digest.parse::<ChunkDigest>() else { return };
        self.disk.borrow_mut().arrived(&digest, result);
        if let Some(machine) = &mut self.machine {
            machine.kernel().disk_arrived();
        }
    }

    /// Fetches again what could not be reached.
    #[wasm_bindgen(js_name = retryStalled)]
    pub fn retry_stalled(&mut self) {
        self.disk.borrow_mut().retry_stalled();
    }

    // ---- console and programs ----

    /// Starts the image's own command on the console; `undefined`: call again when a chunk has arrived.
    pub fn boot(&mut self) -> Result<Option<i32>, JsError> {
        self.start("starting the image's command", &Program { on_console: true, ..Program::default() })
    }

    /// Starts a program described by JSON: `{ argv, env: {NAME: value}, cwd, user, tty }`.
    pub fn spawn(&mut self, request: &str) -> Result<Option<i32>, JsError> {
        let request: Request = serde_json::from_str(request)?;
        let program = Program {
            env: request.env.iter().map(|(name, value)| format!("{name}={value}")).collect(),
            argv: request.argv,
            cwd: request.cwd,
            user: request.user,
            on_console: request.tty,
        };
        let name = program.argv.first().cloned().unwrap_or_default();
        self.start(&name, &program)
    }

    fn start(&mut self, name: &str, program: &Program) -> Result<Option<i32>, JsError> {
        let outcome = self.machine()?.spawn(program);
        ready(name, outcome)
    }

    /// Bytes typed at the console.
    #[wasm_bindgen(js_name = consoleInput)]
    pub fn console_input(&mut self, bytes: &[u8]) -> Result<(), JsError> {
        self.machine()?.kernel().console_input(bytes);
        Ok(())
    }

    /// The console has another size.
    #[wasm_bindgen(js_name = consoleResize)]
    pub fn console_resize(&mut self, columns: u16, rows: u16) {
        self.console = (columns, rows);
        if let Some(machine) = &mut self.machine {
            machine.kernel().console_resize(columns, rows);
        }
    }

    /// So many bytes of console output are on the screen.
    #[wasm_bindgen(js_name = consoleShown)]
    pub fn console_shown(&mut self, len: usize) -> Result<(), JsError> {
        self.unshown_bytes.set(self.unshown_bytes.get().saturating_sub(len));
        self.machine()?.kernel().console_drained();
        Ok(())
    }

    /// Standard input for a program.
    pub fn input(&mut self, pid: i32, bytes: &[u8]) {
        match self.inputs.iter_mut().find(|input| input.pid == pid) {
            Some(input) => input.bytes.extend_from_slice(bytes),
            None => self.inputs.push(Input { pid, bytes: bytes.to_vec(), ended: false }),
        }
        self.offer_input();
    }

    /// Ends a program's standard input.
    #[wasm_bindgen(js_name = closeInput)]
    pub fn close_input(&mut self, pid: i32) {
        match self.inputs.iter_mut().find(|input| input.pid == pid) {
            Some(input) => input.ended = true,
            None => self.inputs.push(Input { pid, bytes: Vec::new(), ended: true }),
        }
        self.offer_input();
    }

    /// Gives programs what they can take; returns whether any took something.
    fn offer_input(&mut self) -> bool {
        let Some(machine) = &mut self.machine else { return false };
        let mut taken = false;
        self.inputs.retain_mut(|input| {
            let count = machine.kernel().feed_stdin(input.pid, &input.bytes);
            input.bytes.drain(..count);
            taken |= count > 0;
            if input.bytes.is_empty() && input.ended {
                machine.kernel().close_stdin(input.pid);
                taken = true;
            }
            !input.bytes.is_empty()
        });
        taken
    }

    /// Sends a program a signal.
    pub fn signal(&mut self, pid: i32, number: u32) -> Result<(), JsError> {
        self.machine()?.kernel().host_signal(pid, number);
        Ok(())
    }

    // ---- files ----

    /// Writes a file; `false`: call again when a chunk has arrived.
    #[wasm_bindgen(js_name = putFile)]
    pub fn put_file(&mut self, path: &str, bytes: &[u8], mode: u16) -> Result<bool, JsError> {
        let outcome = self.machine()?.kernel().put_file(path.as_bytes(), bytes, mode);
        Ok(ready(path, outcome)?.is_some())
    }

    /// Reads a file; `undefined`: call again when a chunk has arrived.
    #[wasm_bindgen(js_name = getFile)]
    pub fn get_file(&mut self, path: &str) -> Result<Option<Vec<u8>>, JsError> {
        let outcome = self.machine()?.kernel().get_file(path.as_bytes());
        ready(path, outcome)
    }

    /// Counters, as JSON.
    pub fn stats(&self) -> String {
        let disk = self.disk.borrow().stats();
        let instructions = self.machine.as_ref().map_or(0, machine::Machine::instructions);
        let counters = self.machine.as_ref().map(machine::Machine::counters).unwrap_or_default();
        let counters: String = counters.iter().map(|(name, count)| format!(r#","{name}":{count}"#)).collect();
        format!(
            r#"{{"chunks":{},"chunkBytes":{},"refetches":{},"packsLost":{},"waiting":{},"overlayBytes":{},"instructions":{}{}}}"#,
            disk.chunks_arrived,
            disk.bytes_arrived,
            disk.refetches,
            disk.packs_lost,
            disk.chunks_waiting,
            disk.overlay_bytes,
            instructions,
            counters
        )
    }
}

/// What [`Machine::spawn`] is given.
#[derive(serde::Deserialize)]
struct Request {
    argv: Vec<String>,
    #[serde(default)]
    env: std::collections::BTreeMap<String, String>,
    cwd: Option<String>,
    user: Option<String>,
    #[serde(default)]
    tty: bool,
}
