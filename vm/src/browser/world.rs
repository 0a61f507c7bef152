//! What the kernel layer gets from the browser.

use std::cell::Cell;
use std::rc::Rc;

use kernel::Host;
use wasm_bindgen::prelude::*;

#[wasm_bindgen]
extern "C" {
    /// The object the worker passes to `new Machine`; see `site/worker/main.js`.
    pub type Callbacks;

    /// Console output, to be answered by `consoleShown`.
    #[wasm_bindgen(method, js_name = consoleOutput)]
    pub fn console_output(this: &Callbacks, bytes: &[u8]);

    /// Output of a program's pipe.
    #[wasm_bindgen(method, js_name = processOutput)]
    pub fn process_output(this: &Callbacks, pid: i32, stream: u32, bytes: &[u8]);

    /// A program has ended.
    #[wasm_bindgen(method, js_name = processExit)]
    pub fn process_exit(this: &Callbacks, pid: i32, status: i32, signal: u32);

    /// A message of the kernel layer.
    #[wasm_bindgen(method)]
    pub fn log(this: &Callbacks, line: &str);

    /// A part of the disk can't be had, and why.
    #[wasm_bindgen(method, js_name = diskFailure)]
    pub fn disk_failure(this: &Callbacks, why: &str);

    /// Starts fetching a chunk.
    #[wasm_bindgen(method, js_name = fetchChunk)]
    pub fn fetch_chunk(this: &Callbacks, digest: &str, refetch: bool);

    #[wasm_bindgen(js_namespace = performance, js_name = now)]
    fn performance_now() -> f64;
}

/// Nanoseconds since the worker started.
pub fn monotonic_ns() -> u64 {
    (performance_now() * 1e6) as u64
}

/// The browser as the machine's host.
pub struct World {
    /// Copied out of the caller's object: a JavaScript value.
    pub callbacks: Callbacks,
    /// Bytes on their way to the screen.
    pub unshown_bytes: Rc<Cell<usize>>,
}

/// Bytes that may be on their way to the screen: what a terminal shows in a frame or two, so that Ctrl-C ends what is
/// seen and not only what is run.
const UNSHOWN_BYTES_MAX: usize = 128 * 1024;

impl Host for World {
    fn monotonic_ns(&self) -> u64 {
        monotonic_ns()
    }

    fn realtime_ns(&self) -> u64 {
        (js_sys::Date::now() * 1e6) as u64
    }

    fn fill_random(&mut self, to: &mut [u8]) {
        // Fails only where there is no `crypto`, which no browser with shared memory lacks.
        if let Err(error) = getrandom::fill(to) {
            wasm_bindgen::throw_str(&format!("the browser gives no random numbers: {error}"));
        }
    }

    fn heap_bytes(&self) -> u64 {
        crate::heap::bytes()
    }

    fn console_output(&mut self, bytes: &[u8]) {
        self.unshown_bytes.set(self.unshown_bytes.get() + bytes.len());
        self.callbacks.console_output(bytes);
    }

    fn console_room(&self) -> usize {
        UNSHOWN_BYTES_MAX.saturating_sub(self.unshown_bytes.get())
    }

    fn log(&mut self, line: &str) {
        self.callbacks.log(line);
    }
}
