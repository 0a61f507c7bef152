//! Booting an image headlessly, or running a program of it, to see which of its blocks are read, and in which order.
//!
//! The machine's clock and entropy are made up, so that the same image has the same profile every time: a boot's order
//! would otherwise depend on how fast this computer is.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::ops::Range;
use std::path::Path;
use std::rc::Rc;

use anyhow::{Context, Result, bail};
use disk::overlay::BLOCK_BYTES;
use disk::{BlockDevice, BlockError, ImageConfig};
use kernel::Host;
use kernel::stop::{Outcome, Stop};
use vm::native::raw_disk::RawDisk;
use vm::native::world::Memories;
use vm::{Machine, Next, Program, root};

/// Guest instructions after which a boot counts as over: far more than any shell's, half a minute of interpreting.
const INSTRUCTIONS_MAX: u64 = 2_000_000_000;
/// Guest time after which it does: whoever still waits for a timer then is a program at work.
const GUEST_NS_MAX: u64 = 10_000_000_000;
/// Guest time between two looks at the clock.
const CLOCK_STEP_NS: u64 = 1000;
/// The guest's time of day when it starts, in nanoseconds since 1970: the middle of 2026.
const REALTIME_NS: u64 = 1_782_900_000_000_000_000;

/// A host that is the same each time.
struct Rehearsal {
    clock_ns: Rc<Cell<u64>>,
    random: u64,
}

impl Host for Rehearsal {
    fn monotonic_ns(&self) -> u64 {
        self.clock_ns.set(self.clock_ns.get() + CLOCK_STEP_NS);
        self.clock_ns.get()
    }

    fn realtime_ns(&self) -> u64 {
        REALTIME_NS + self.monotonic_ns()
    }

    /// Nothing secret comes of this machine: SplitMix64 (Steele, Lea and Flood, 2014).
    fn fill_random(&mut self, to: &mut [u8]) {
        for piece in to.chunks_mut(8) {
            self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut mixed = self.random;
            mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            piece.copy_from_slice(&(mixed ^ (mixed >> 31)).to_le_bytes()[..piece.len()]);
        }
    }

    fn console_output(&mut self, _bytes: &[u8]) {}

    fn log(&mut self, _line: &str) {}
}

/// What a block has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// The file system's own: tables, bitmaps, directories. Any change of an image changes some.
    Structure,
    /// Contents of a file. They are what they are as long as the layer of the image is that has them.
    Contents,
}

/// Blocks of an image that had to be read, in the order in which they were, each once.
pub type Order = Vec<(u64, Kind)>;

#[derive(Default)]
struct Touched {
    order: Order,
    /// Those, and those that the guest has written as a whole before it ever read them.
    known: BTreeSet<u64>,
}

impl Touched {
    fn read(&mut self, bytes: &Range<u64>, kind: Kind) {
        for block in blocks_of(bytes) {
            if self.known.insert(block) {
                self.order.push((block, kind));
            }
        }
    }
}

/// A disk that notes what is read of its image.
struct Recorder {
    disk: RawDisk,
    touched: Rc<RefCell<Touched>>,
}

/// The blocks that a range of bytes touches.
fn blocks_of(bytes: &Range<u64>) -> Range<u64> {
    bytes.start / BLOCK_BYTES as u64..bytes.end.div_ceil(BLOCK_BYTES as u64)
}

impl BlockDevice for Recorder {
    fn size_bytes(&self) -> u64 {
        self.disk.size_bytes()
    }

    fn read(&mut self, offset: u64, to: &mut [u8]) -> Result<(), BlockError> {
        self.disk.read(offset, to)?;
        let read = offset..offset + to.len() as u64;
        self.touched.borrow_mut().read(&read, Kind::Structure);
        Ok(())
    }

    fn read_contents(&mut self, offset: u64, to: &mut [u8]) -> Result<(), BlockError> {
        self.disk.read(offset, to)?;
        let read = offset..offset + to.len() as u64;
        self.touched.borrow_mut().read(&read, Kind::Contents);
        Ok(())
    }

    fn write(&mut self, offset: u64, from: &[u8]) -> Result<(), BlockError> {
        self.disk.write(offset, from)?;
        let written = offset..offset + from.len() as u64;
        let mut touched = self.touched.borrow_mut();
        for block in blocks_of(&written) {
            let start = block * BLOCK_BYTES as u64;
            // What is written in part is read first.
            if written.start <= start && start + BLOCK_BYTES as u64 <= written.end {
                touched.known.insert(block);
            } else {
                touched.read(&(start..start + 1), Kind::Structure);
            }
        }
        Ok(())
    }
}

/// Boots the raw image at `path` as a visitor's page does, with `command` on its console, until that waits for input, ends,
/// or has had its time. Returns the blocks that were read.
pub fn boot(path: &Path, config: &ImageConfig, command: &[String]) -> Result<Order> {
    let touched = Rc::new(RefCell::new(Touched::default()));
    let disk = RawDisk::open(path).with_context(|| path.display().to_string())?;
    let device = Box::new(Recorder { disk, touched: touched.clone() });
    let root = root::mount(device, &mut |_| {}).map_err(anyhow::Error::msg)?.context("the disk does not answer")?;
    let clock_ns = Rc::new(Cell::new(0));
    let host = Box::new(Rehearsal { clock_ns: clock_ns.clone(), random: 0 });
    let time_stamp = clock_ns.clone();
    let engine = Box::new(cpu::Interpreter::new(Box::new(move || time_stamp.get())));
    let memories = Box::new(Memories::default());
    let mut machine = Machine::new(host, memories, Box::new(root), "/dev/vda", config.clone(), engine);
    done("setting the machine up", machine.set_up())?;
    let program = Program { argv: command.to_vec(), on_console: true, ..Program::default() };
    done(&command.join(" "), machine.spawn(&program))?;
    while machine.instructions() < INSTRUCTIONS_MAX {
        match machine.run(&|| true, &mut |_| {}) {
            Next::Now => {}
            Next::At { ns } if ns <= GUEST_NS_MAX => clock_ns.set(clock_ns.get().max(ns)),
            Next::At { .. } | Next::Event | Next::Halted => break,
        }
    }
    drop(machine);
    let order = std::mem::take(&mut touched.borrow_mut().order);
    Ok(order)
}

fn done<T>(what: &str, outcome: Outcome<T>) -> Result<T> {
    match outcome {
        Ok(value) => Ok(value),
        Err(Stop::Errno(errno)) => bail!("{what}: {errno}"),
        Err(Stop::Wait(_)) => bail!("{what}: the disk does not answer"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_as_a_whole_was_never_read() {
        let file = tempfile::NamedTempFile::new().expect("file");
        file.as_file().set_len(20 * BLOCK_BYTES as u64).expect("length");
        let touched = Rc::new(RefCell::new(Touched::default()));
        let disk = RawDisk::open(file.path()).expect("disk");
        let mut recorder = Recorder { disk, touched: touched.clone() };
        recorder.read(3 * 4096 + 4000, &mut [0; 200]).expect("read");
        recorder.write(7 * 4096, &[1; 4096]).expect("written");
        recorder.read(7 * 4096, &mut [0; 10]).expect("read");
        recorder.write(9 * 4096 - 1, &[1; 4098]).expect("written");
        recorder.read_contents(0, &mut [0; 4097]).expect("read");
        recorder.read_contents(3 * 4096, &mut [0; 1]).expect("read");
        recorder.read(4096, &mut []).expect("read");
        assert!(recorder.read(20 * 4096, &mut [0; 1]).is_err());
        assert!(recorder.read_contents(20 * 4096, &mut [0; 1]).is_err());
        let expected = [3, 4, 8, 10].map(|block| (block, Kind::Structure));
        assert_eq!(touched.borrow().order, [&expected[..], &[0, 1].map(|block| (block, Kind::Contents))].concat());
    }
}
