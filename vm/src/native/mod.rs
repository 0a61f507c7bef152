//! Hosts the machine in a shell.
//!
//! | module | subject |
//! |---|---|
//! | [`world`] | clocks, entropy, standard output, memory |
//! | [`runner`] | one program as if it were the host's |
//! | [`raw_disk`] | a raw image in a file |
//! | [`hostdir`] | a directory of the host as a file system of the guest |

#[cfg(target_os = "linux")]
pub mod hostdir;
#[cfg(unix)]
pub mod raw_disk;
#[cfg(target_os = "linux")]
pub mod runner;
pub mod world;

/// The JIT, for this process.
///
/// # Errors
/// What the WebAssembly runtime lacks here.
#[cfg(feature = "native-jit")]
pub fn jit(time_stamp: impl Fn() -> u64 + 'static) -> Result<Box<dyn cpu::Engine>, String> {
    Ok(Box::new(jit::Jit::new(jit::native::Wasmtime::new()?, std::rc::Rc::new(time_stamp))))
}
