//! `Jit`: an engine that interprets what is cold and compiles what is hot.

use std::rc::Rc;

use cpu::helper::Trap;
use cpu::state::Floats;
use cpu::{CpuState, Engine, Exit, Interpreter};
use memory::{AddressSpace, GuestAddr, HostMemory, SpaceId};

use crate::area::Jump;
use crate::cache::{Cache, Code, Entry, RegionId, Variant};
use crate::emit::{self, Body, ExitPoint, Settings};
use crate::host::CodeHost;
use crate::ops::OpTable;
use crate::region::discover::{Source, discover};
use crate::region::flags;
use crate::running::{self, Services};

/// Runs of a block after which it is compiled.
const HOT_RUNS: u32 = 1000;

/// Runs of a block after which it is compiled along with a hot one.
const WARM_RUNS: u32 = 4;

/// How many times the runs of a warm block make a frequent one.
const FREQUENT_WARM: u32 = 64;

/// Below how many times the runs of a warm block one is rare.
const RARE_WARM: u32 = 16;

/// Runs of a hot block that begins no region, but is in one, after which it begins one.
const AGAIN_RUNS: u32 = 500;

/// Regions compiled at a time, unless one is urgent: a module costs a browser some 50 KB and 0.2 ms whatever is in it.
const BATCH: usize = 12;

/// Runs of a hot block after which it waits for no others.
const URGENT_RUNS: u32 = 200;

/// Runs that count, besides the one interpreted, for a block to which compiled code has led: leaving it and coming back
/// costs something too.
const EXCURSION_RUNS: u32 = 1;

/// Most fuel at a time: it has 32 bits in generated code, and may go below 0 there.
const FUEL_MAX: i64 = 1 << 30;

/// What has been compiled, for measuring.
#[derive(Clone, Copy, Default, Debug)]
pub struct Stats {
    /// Regions compiled.
    pub regions: u64,
    /// Bytes of WebAssembly.
    pub wasm_bytes: u64,
    /// Guest instructions in them.
    pub guest_instructions: u64,
    /// Regions the host refused.
    pub refused: u64,
    /// Time it took to find and emit regions, in nanoseconds.
    pub emit_ns: u64,
    /// Time the host took to compile and bind them, in nanoseconds.
    pub host_ns: u64,
    /// Times compiled code was entered from here.
    pub entered: u64,
    /// Times an address with compiled code was not in the jump cache.
    pub jump_misses: u64,
    /// Guest instructions interpreted.
    pub interpreted: u64,
    /// Times it came back because of one instruction.
    pub side_exits: u64,
}

/// See the module.
pub struct Jit<H: CodeHost> {
    interpreter: Interpreter,
    host: H,
    cache: Cache<H::Module>,
    table: OpTable,
    exits: Vec<ExitPoint>,
    /// Where regions are to be compiled.
    waiting: Vec<Waiting>,
    time_stamp: Rc<dyn Fn() -> u64>,
    warm_runs: u32,
    batch: usize,
    instructions: u64,
    stats: Stats,
}

/// A place where a region is to be compiled.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Waiting {
    space: SpaceId,
    /// Where it begins.
    start: u64,
    /// The block that is hot.
    head: u64,
    variant: Variant,
}

/// Addresses and bytes of code.
type Pieces = Vec<(u64, Box<[u8]>)>;

/// The code of a space, as far as the interpreter has seen it.
struct Seen<'a, M> {
    interpreter: &'a Interpreter,
    cache: &'a Cache<M>,
    /// Where regions are being compiled.
    heads: &'a [Waiting],
    space: &'a AddressSpace,
    variant: Variant,
    warm_runs: u32,
}

impl<M> Source for Seen<'_, M> {
    fn fetch(&self, rip: u64, to: &mut [u8]) -> usize {
        self.space.fetch(GuestAddr(rip), to).unwrap_or(0)
    }

    fn is_warm(&self, rip: u64) -> bool {
        self.interpreter.runs(rip, self.variant.mode).unwrap_or(0) >= self.warm_runs
    }

    fn is_frequent(&self, rip: u64) -> bool {
        self.interpreter.runs(rip, self.variant.mode).unwrap_or(0) >= self.warm_runs.saturating_mul(FREQUENT_WARM)
    }

    fn is_rare(&self, rip: u64) -> bool {
        self.interpreter.runs(rip, self.variant.mode).unwrap_or(0) < self.warm_runs.saturating_mul(RARE_WARM)
    }

    fn is_compiled(&self, rip: u64) -> bool {
        self.heads.iter().any(|waiting| waiting.start == rip)
            || self.cache.entry(rip, self.variant, self.space.id()).is_some()
    }

    fn targets(&self, rip: u64) -> &[u64] {
        self.interpreter.targets(rip)
    }
}

/// What the jump cache has for a space: which one, and by the top bits how it does floating-point arithmetic and whether it
/// reaches high addresses. Spaces are counted up from 1, so the bits are free.
fn jump_space(space: SpaceId, variant: Variant) -> u32 {
    space.0 | u32::from(variant.floats == Floats::Exact) << 31 | u32::from(variant.reaches_high) << 30
}

/// Whether that is of a space, in whatever variant.
fn is_jump_space(key: u32, space: SpaceId) -> bool {
    key << 2 == space.0 << 2
}

/// What compiled code came back for.
enum Back {
    /// Look for compiled code at rip first.
    Anywhere,
    /// Interpret at rip.
    Interpret,
    Exit(Exit),
}

/// How execution came to the block at rip.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Came {
    /// From the kernel layer.
    Fresh,
    /// From compiled code.
    Back,
    /// The interpreter reports it as hot.
    Hot,
}

impl<H: CodeHost> Jit<H> {
    /// `time_stamp` is what RDTSC reads.
    pub fn new(host: H, time_stamp: Rc<dyn Fn() -> u64>) -> Self {
        let for_interpreter = time_stamp.clone();
        let mut interpreter = Interpreter::new(Box::new(move || for_interpreter()));
        interpreter.report_hot_after(HOT_RUNS);
        Self {
            interpreter,
            host,
            cache: Cache::default(),
            table: OpTable::default(),
            exits: vec![ExitPoint::Go],
            waiting: Vec::new(),
            time_stamp,
            warm_runs: WARM_RUNS,
            batch: BATCH,
            instructions: 0,
            stats: Stats::default(),
        }
    }

    /// Compiles after this many runs of a block instead of the usual number.
    #[must_use]
    pub fn hot_after(mut self, runs: u32) -> Self {
        self.interpreter.report_hot_after(runs);
        self
    }

    /// Keeps this many regions instead of the usual number.
    #[must_use]
    pub fn keep_regions(mut self, limit: usize) -> Self {
        self.cache.limit = limit;
        self
    }

    /// Compiles blocks along with a hot one that have run this often instead of the usual number; with 0 also those never
    /// seen.
    #[must_use]
    pub fn warm_after(mut self, runs: u32) -> Self {
        self.warm_runs = runs;
        self
    }

    /// Compiles this many regions at a time instead of the usual number.
    #[must_use]
    pub fn together(mut self, regions: usize) -> Self {
        self.batch = regions;
        self
    }

    /// Compiles the code at rip at once, if it can be.
    pub fn compile_now(&mut self, cpu: &CpuState, space: &mut AddressSpace) {
        self.interpreter.enter(space);
        self.drop_stale(space);
        let variant = Variant::of(cpu, space);
        if self.cache.entry(cpu.rip, variant, space.id()).is_none() {
            self.waiting.push(Waiting { space: space.id(), start: cpu.rip, head: cpu.rip, variant });
            self.compile(space);
        }
    }

    /// What has been compiled so far.
    pub fn stats(&self) -> Stats {
        self.stats
    }

    /// Forgets compiled code on pages that have changed.
    fn drop_stale(&mut self, space: &mut AddressSpace) {
        if space.has_stale_code() {
            self.interpreter.drop_stale(space);
        }
        for page in self.interpreter.take_dropped_pages() {
            for region in self.cache.drop_page(page, space.id()) {
                for rip in &self.cache.region(region).code.entries {
                    self.host.area().forget_jump(*rip, region);
                }
            }
        }
    }

    /// The registers, while a task runs.
    fn cpu(&mut self) -> &mut CpuState {
        &mut self.host.area().cpu
    }

    /// Compiled code at rip: its function and label.
    fn compiled(&mut self, space: &AddressSpace) -> Option<(u32, u32)> {
        let area = self.host.area();
        let (rip, variant) = (area.cpu.rip, Variant::of(&area.cpu, space));
        let key = jump_space(space.id(), variant);
        area.space = key;
        if let Some(jump) = area.jump(rip, key) {
            return Some((jump.function, jump.label));
        }
        let Entry { region, label } = self.cache.entry(rip, variant, space.id())?;
        self.stats.jump_misses += 1;
        let function = self.bound(region, space)?;
        self.host.area().add_jump(Jump { rip, space: key, region, function, label, unused: [0; 2] });
        Some((function, label))
    }

    /// A region's function for a space's memory.
    fn bound(&mut self, region: RegionId, space: &AddressSpace) -> Option<u32> {
        if let Some(function) = self.cache.bound(region, space.host()?.slot()) {
            return Some(function);
        }
        let start = (self.time_stamp)();
        let bound = self.cache.bind(region, space, &mut self.host);
        self.stats.host_ns += (self.time_stamp)().saturating_sub(start);
        self.stats.refused += u64::from(bound.is_err());
        bound.ok()
    }

    /// Runs compiled code.
    fn run_compiled(&mut self, (function, label): (u32, u32), space: &mut AddressSpace, fuel: &mut i64) -> Back {
        self.stats.entered += 1;
        let given = (*fuel).clamp(0, FUEL_MAX) as i32;
        let (number, trap) = self.call(function, label, given, space);
        *fuel -= i64::from(given) - i64::from(self.host.area().fuel);
        let point = self.exits.get(number as usize).copied().unwrap_or(ExitPoint::Go);
        let cpu = self.cpu();
        match point {
            ExitPoint::Go => Back::Anywhere,
            ExitPoint::Pause { rip } => {
                cpu.rip = rip;
                Back::Anywhere
            }
            ExitPoint::Side { rip } => {
                cpu.rip = rip;
                self.stats.side_exits += 1;
                Back::Interpret
            }
            ExitPoint::Syscall { rip } => {
                cpu.enter_syscall(rip);
                Back::Exit(Exit::Syscall)
            }
            ExitPoint::Interrupt { rip, vector } => {
                cpu.rip = rip + 2;
                Back::Exit(Exit::Interrupt(vector))
            }
            ExitPoint::Trap { rip } => {
                cpu.rip = rip;
                match trap {
                    Some(Trap::Fault(fault)) => Back::Exit(Exit::Fault(fault)),
                    Some(Trap::Exception(exception)) => {
                        cpu.rip += exception.bytes_past();
                        Back::Exit(Exit::Exception(exception))
                    }
                    Some(Trap::Again) => Back::Exit(Exit::Interrupted),
                    None => Back::Interpret,
                }
            }
        }
    }

    fn call(&mut self, function: u32, label: u32, fuel: i32, space: &mut AddressSpace) -> (u32, Option<Trap>) {
        let Self { host, table, time_stamp, cache, .. } = self;
        let (variant, id) = (Variant::of(&host.area().cpu, space), space.id());
        let memory = space.host().map(HostMemory::slot);
        let find = |rip| {
            let Entry { region, label } = cache.entry(rip, variant, id)?;
            let function = cache.bound(region, memory?)?;
            Some(Jump { rip, space: jump_space(id, variant), region, function, label, unused: [0; 2] })
        };
        let area = std::ptr::from_mut(host.area());
        let services = Services { time_stamp: &**time_stamp, table, find: &find };
        running::with(area, space, &services, || host.call(function, label, fuel))
    }

    /// Interprets from rip on.
    fn interpret(&mut self, space: &mut AddressSpace, fuel: &mut i64, must_run: bool) -> Option<Exit> {
        let before = *fuel;
        let Self { interpreter, host, .. } = self;
        let exit = interpreter.run_cold(&mut host.area().cpu, space, fuel, must_run);
        self.stats.interpreted += (before - *fuel) as u64;
        exit
    }

    /// Compiled code has led to the block at rip. Whether that is certainly not compiled; then it counts.
    fn is_excursion(&mut self) -> bool {
        let (rip, mode) = (self.cpu().rip, self.cpu().mode);
        self.interpreter.is_cold(rip, mode, EXCURSION_RUNS)
    }

    /// The block at rip is hot: there is compiled code for it, or there will be soon.
    fn heat(&mut self, space: &mut AddressSpace) {
        let (rip, variant) = (self.cpu().rip, Variant::of(self.cpu(), space));
        let mode = variant.mode;
        if self.cache.entry(rip, variant, space.id()).is_some() {
            return;
        }
        if let Some(region) = self.cache.find_same(rip, variant, space) {
            return self.validate(region, space);
        }
        let start = self.start_for(rip, variant, space);
        if start != rip
            && let Some(region) = self.cache.find_same(start, variant, space)
        {
            self.interpreter.cool(rip, mode, AGAIN_RUNS);
            return self.validate(region, space);
        }
        // Several at a time: a module of its own for each would cost a browser more than the code in it.
        let waiting = Waiting { space: space.id(), start, head: rip, variant };
        let is_urgent = self.waiting.contains(&waiting);
        self.waiting.push(waiting);
        if is_urgent || self.waiting.iter().filter(|waiting| waiting.space == space.id()).count() >= self.batch {
            self.compile(space);
        } else {
            self.interpreter.cool(rip, mode, URGENT_RUNS);
        }
    }

    /// Where the region for a hot block begins: with its function, if that is called often enough for execution to come
    /// by soon, and is not compiled already without the block.
    fn start_for(&self, head: u64, variant: Variant, space: &AddressSpace) -> u64 {
        let is_called = |start: &u64| self.interpreter.runs(*start, variant.mode).unwrap_or(0) >= self.warm_runs.max(1);
        let is_compiled = |start: u64| self.cache.entry(start, variant, space.id()).is_some();
        self.interpreter.function(head).filter(is_called).filter(|start| !is_compiled(*start)).unwrap_or(head)
    }

    fn validate(&mut self, region: RegionId, space: &mut AddressSpace) {
        self.cache.validate(region, space);
        let mode = self.cache.region(region).code.variant.mode;
        for rip in self.cache.region(region).code.entries.clone() {
            self.interpreter.always_hot(rip, mode);
        }
    }

    /// Compiles what waits in a space.
    fn compile(&mut self, space: &mut AddressSpace) {
        if self.cache.is_full() {
            self.clear();
        }
        let start = (self.time_stamp)();
        let (waiting, others): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.waiting).into_iter().partition(|waiting| waiting.space == space.id());
        self.waiting = others;
        waiting.iter().for_each(|waiting| self.interpreter.cool(waiting.head, waiting.variant.mode, AGAIN_RUNS));
        let (bodies, regions) = self.emit_all(&waiting, space);
        let wasm = emit::assemble(&bodies.iter().collect::<Vec<_>>(), self.host.shares_memory());
        let emitted_at = (self.time_stamp)();
        self.stats.emit_ns += emitted_at.saturating_sub(start);
        let module = self.host.compile(&wasm);
        self.stats.host_ns += (self.time_stamp)().saturating_sub(emitted_at);
        let Ok(module) = module else {
            self.stats.refused += regions.len() as u64;
            waiting.iter().for_each(|waiting| self.interpreter.never_hot(waiting.start, waiting.variant.mode));
            return;
        };
        self.stats.regions += regions.len() as u64;
        self.stats.wasm_bytes += wasm.len() as u64;
        let first = self.cache.next_id();
        self.cache.add(module, regions);
        for region in first..self.cache.next_id() {
            self.validate(region, space);
        }
    }

    /// The functions of all regions that wait.
    fn emit_all(&mut self, waiting: &[Waiting], space: &AddressSpace) -> (Vec<Body>, Vec<Code>) {
        let (mut bodies, mut regions) = (Vec::new(), Vec::<Code>::new());
        for (index, Waiting { start, variant, .. }) in waiting.iter().copied().enumerate() {
            let is_repeated = waiting[..index].iter().any(|other| (other.start, other.variant) == (start, variant));
            // What comes after an earlier one in the code became hot with it.
            let is_covered = regions.iter().any(|region| region.pieces.iter().any(|(rip, _)| *rip == start));
            if is_repeated || is_covered && self.interpreter.function(start) != Some(start) {
                continue;
            }
            match self.emit(start, variant, bodies.len() as u32, waiting, space) {
                Some((body, pieces)) => {
                    regions.push(Code { variant, entries: body.entries.clone(), pieces });
                    bodies.push(body);
                }
                None => self.interpreter.never_hot(start, variant.mode),
            }
        }
        (bodies, regions)
    }

    /// The function of the region around an address, which will be `number` regions after the last, and the code it was
    /// lifted from.
    fn emit(
        &mut self,
        rip: u64,
        variant: Variant,
        number: u32,
        heads: &[Waiting],
        space: &AddressSpace,
    ) -> Option<(Body, Pieces)> {
        let (interpreter, cache) = (&self.interpreter, &self.cache);
        let seen = Seen { interpreter, cache, heads, space, variant, warm_runs: self.warm_runs };
        let mut region = discover(&seen, rip, variant.mode)?;
        flags::remove_dead(&mut region);
        let settings = Settings {
            area: self.host.area_offset(),
            shared: self.host.shares_memory(),
            region: self.cache.next_id() + number,
            first_exit: self.exits.len() as u32,
            floats: variant.floats,
            reaches_high: variant.reaches_high,
        };
        let body = emit::emit_body(&region, settings, &mut self.table);
        self.exits.extend(&body.exits);
        self.stats.guest_instructions += region.nodes.iter().map(|node| node.block.marks.len() as u64).sum::<u64>();
        Some((body, region.pieces))
    }

    fn clear(&mut self) {
        self.cache.clear(&mut self.host);
        self.exits.truncate(1);
        self.interpreter.forget_hot();
        self.host.area().jumps.fill(Jump::default());
    }
}

impl<H: CodeHost> Engine for Jit<H> {
    fn run(&mut self, cpu: &mut CpuState, space: &mut AddressSpace, budget: u64) -> Exit {
        self.interpreter.enter(space);
        let budget = budget.min(i64::MAX as u64) as i64;
        let mut fuel = budget;
        self.cpu().copy_guest_state(cpu);
        let mut came = Came::Fresh;
        let exit = loop {
            self.drop_stale(space);
            let mut at = if came == Came::Back && self.is_excursion() { None } else { self.compiled(space) };
            if at.is_none() && came == Came::Hot {
                self.heat(space);
                at = self.compiled(space);
            }
            let must_run = match at {
                Some(at) => match self.run_compiled(at, space, &mut fuel) {
                    Back::Exit(exit) => break exit,
                    Back::Anywhere if fuel <= 0 => break Exit::Interrupted,
                    Back::Anywhere => {
                        came = Came::Back;
                        continue;
                    }
                    // Even without fuel, so that every run gets ahead.
                    Back::Interpret => true,
                },
                // What is hot but not compiled (yet) would be reported again at once.
                None => came == Came::Hot,
            };
            if let Some(exit) = self.interpret(space, &mut fuel, must_run) {
                break exit;
            }
            came = Came::Hot;
        };
        cpu.copy_guest_state(self.cpu());
        self.instructions = self.instructions.wrapping_add(budget.wrapping_sub(fuel) as u64);
        exit
    }

    fn step(&mut self, cpu: &mut CpuState, space: &mut AddressSpace) -> Exit {
        self.interpreter.enter(space);
        self.drop_stale(space);
        self.instructions = self.instructions.wrapping_add(1);
        self.interpreter.step(cpu, space)
    }

    fn forked(&mut self, parent: SpaceId, child: &mut AddressSpace) {
        self.interpreter.forked(parent, child);
        self.cache.forked(parent, child);
    }

    /// What the jump cache has for it works on the memory it had.
    fn moved(&mut self, space: SpaceId) {
        self.interpreter.moved(space);
        for jump in self.host.area().jumps.iter_mut().filter(|jump| is_jump_space(jump.space, space)) {
            *jump = Jump::default();
        }
    }

    fn forget(&mut self, space: SpaceId) {
        self.interpreter.forget(space);
        self.waiting.retain(|waiting| waiting.space != space);
        self.cache.forget(space);
    }

    fn instructions(&self) -> u64 {
        self.instructions
    }

    fn counters(&self) -> Vec<(&'static str, u64)> {
        let s = self.stats;
        vec![
            ("regions", s.regions),
            ("wasmBytes", s.wasm_bytes),
            ("compiledInstructions", s.guest_instructions),
            ("refused", s.refused),
            ("emitMs", s.emit_ns / 1_000_000),
            ("hostMs", s.host_ns / 1_000_000),
            ("entered", s.entered),
            ("jumpMisses", s.jump_misses),
            ("interpreted", s.interpreted),
            ("sideExits", s.side_exits),
        ]
    }
}
