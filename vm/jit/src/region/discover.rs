//! Finds the blocks of a region: those reached from a hot one by branches, calls and returns, unless they have hardly
//! ever run.
//!
//! Small functions are *inlined*: their blocks are there once for each call, in a [`Context`] that knows where the call
//! returns to. Their `ret` compares the address it pops with that one and branches, which is much cheaper than looking
//! it up, and leaves the caller's loops intact. A context is only a guess about the stack: where the comparison fails,
//! the address is looked up as always.

use rustc_hash::FxHashMap as HashMap;
use std::collections::{BTreeSet, VecDeque};

use cpu::Mode;
use cpu::ir::{Block, Op};
use cpu::lift::{WINDOW_BYTES, lift_part};

use super::reduce::keep_loops_whole;
use super::{Edge, Guard, Node, NodeId, Region};

/// Blocks in one region: the browser's optimising compiler takes 14 ms for 100 and gets slower than linear.
const NODES_MAX: usize = 250;

/// Blocks beyond which a region takes no more in that another region begins with: code would be there many times.
const NODES_SHARED_MAX: usize = 8;

/// Operations in one region, for the same reason as `NODES_MAX`.
const OPS_MAX: usize = 8000;

/// Size of a function that is inlined where it is called often.
const INLINED_MAX: Size = Size { nodes: 20, ops: 240 };

/// Size of a function that is inlined wherever it is called.
const INLINED_ALWAYS_MAX: Size = Size { nodes: 6, ops: 60 };

/// Calls within calls that are inlined.
const DEPTH_MAX: usize = 4;

/// Code by address: its block, and the bytes that comes from.
type Lifted = HashMap<u64, Option<(Block, Box<[u8]>)>>;

/// Functions that an indirect call is compared with; where there are more, they are looked up.
const GUARDS_MAX: usize = 4;

/// Targets of an indirect jump that are searched for, as in a `switch`; where there are more, they become entries.
const JUMP_GUARDS_MAX: usize = 16;

/// Indirect jumps with more than `GUARDS_MAX` targets that are searched for: in the loop of an interpreter, where each
/// instruction's code ends with such a jump, the searches would be longer than the rest.
const WIDE_JUMPS_MAX: usize = 2;

/// Where guest code is looked up.
pub trait Source {
    /// Copies code bytes from an address on; returns how many there are.
    fn fetch(&self, rip: u64, to: &mut [u8]) -> usize;
    /// Whether code at an address has run often enough to be worth compiling along.
    fn is_warm(&self, rip: u64) -> bool;
    /// Whether code at an address has run nearly as often as what is hot.
    fn is_frequent(&self, rip: u64) -> bool;
    /// Whether code at an address has run so seldom that leaving there costs nothing that matters.
    fn is_rare(&self, rip: u64) -> bool;
    /// Whether a region can be entered at an address.
    fn is_compiled(&self, rip: u64) -> bool;
    /// Where an indirect jump at an address has led.
    fn targets(&self, rip: u64) -> &[u64];
}

/// Address of a block's last instruction.
fn last_instruction(block: &Block) -> u64 {
    block.rip + block.marks.last().map_or(0, |mark| u64::from(mark.offset))
}

/// Ends a block before the instruction of its mark number `at`.
fn cut(block: &mut Block, at: usize) {
    let next = block.marks[at];
    block.ops.truncate(next.op.into());
    block.ops.push(Op::Jump { exit: 0 });
    block.marks.truncate(at);
    block.exits = vec![block.rip + u64::from(next.offset)];
    (block.returns_to, block.is_return) = (None, false);
}

/// Blocks and operations.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Size {
    nodes: usize,
    ops: usize,
}

impl Size {
    fn fits(self, limit: Size) -> bool {
        self.nodes <= limit.nodes && self.ops <= limit.ops
    }
}

/// A call that has been inlined; the first one stands for none.
#[derive(Clone, Copy, Default)]
struct Context {
    parent: usize,
    /// The function called.
    callee: u64,
    /// Where the call returns to.
    back: u64,
    depth: usize,
}

/// No call.
const ROOT: usize = 0;

/// Code by address, lifted once.
struct Code<'a> {
    source: &'a dyn Source,
    mode: Mode,
    blocks: Lifted,
    /// Sizes of functions, where they are small.
    sizes: HashMap<u64, Option<Size>>,
}

impl Code<'_> {
    fn block(&mut self, rip: u64) -> Option<&(Block, Box<[u8]>)> {
        let Self { source, mode, blocks, .. } = self;
        let lift = || {
            let mut window = [0; WINDOW_BYTES];
            let length = source.fetch(rip, &mut window);
            let block = lift_part(&window[..length], rip, *mode)?;
            let bytes = window[..usize::from(block.depends_on).min(length)].into();
            Some((block, bytes))
        };
        blocks.entry(rip).or_insert_with(lift).as_ref()
    }

    /// Whether a function is worth inlining, with all it calls, where the block at `caller` calls it.
    fn is_inlined(&mut self, callee: u64, caller: u64) -> bool {
        let limit = if self.source.is_frequent(caller) { INLINED_MAX } else { INLINED_ALWAYS_MAX };
        self.source.is_warm(callee) && self.size(callee).is_some_and(|size| size.fits(limit))
    }

    /// Size of a function with all it calls, if it is small.
    fn size(&mut self, callee: u64) -> Option<Size> {
        if let Some(known) = self.sizes.get(&callee) {
            return *known;
        }
        // While it is being measured, a function that calls itself is not small.
        self.sizes.insert(callee, None);
        let size = self.measure(callee);
        self.sizes.insert(callee, size);
        size
    }

    fn measure(&mut self, callee: u64) -> Option<Size> {
        let source = self.source;
        let (mut seen, mut queue) = (BTreeSet::from([callee]), VecDeque::from([callee]));
        let mut size = Size { nodes: 1, ops: 0 };
        while let Some(rip) = queue.pop_front() {
            let (block, _) = self.block(rip)?;
            size.ops += block.ops.len();
            let (exits, back, is_return) = (block.exits.clone(), block.returns_to, block.is_return);
            let jumps = matches!(block.ops.last(), Some(Op::JumpIndirect { .. })) && !is_return;
            let targets = if jumps { source.targets(last_instruction(block)).to_vec() } else { Vec::new() };
            if jumps && targets.len() != 1 {
                return None;
            }
            let next: Vec<u64> = match back {
                Some(back) => {
                    let inner = self.size(*exits.first().or(targets.first())?)?;
                    size = Size { nodes: size.nodes + inner.nodes, ops: size.ops + inner.ops };
                    vec![back]
                }
                None => exits.into_iter().chain(targets).collect(),
            };
            let before = seen.len();
            queue.extend(next.into_iter().filter(|rip| source.is_warm(*rip)).filter(|rip| seen.insert(*rip)));
            size.nodes += seen.len() - before;
            if !size.fits(INLINED_MAX) {
                return None;
            }
        }
        Some(size)
    }
}

/// What the search has found.
struct Search<'a> {
    code: Code<'a>,
    contexts: Vec<Context>,
    nodes: Vec<Node>,
    index: HashMap<(u64, usize), NodeId>,
    /// Context of each node.
    context_of: Vec<usize>,
    /// Nodes whose exits have not been followed yet.
    queue: VecDeque<NodeId>,
    entries: Vec<NodeId>,
    /// Where the region's function returns to when it has called itself.
    recursive: Vec<u64>,
    /// Indirect jumps with many targets that are searched for.
    wide_jumps: usize,
    ops: usize,
}

impl<'a> Search<'a> {
    fn new(source: &'a dyn Source, mode: Mode) -> Self {
        Self {
            code: Code { source, mode, blocks: Lifted::default(), sizes: HashMap::default() },
            contexts: vec![Context::default()],
            nodes: Vec::new(),
            index: HashMap::default(),
            context_of: Vec::new(),
            queue: VecDeque::new(),
            entries: Vec::new(),
            recursive: Vec::new(),
            wide_jumps: 0,
            ops: 0,
        }
    }

    fn run(&mut self, head: u64) {
        if let Some(head) = self.node(head, ROOT) {
            self.entries.push(head);
        }
        while let Some(node) = self.queue.pop_front() {
            self.follow(node);
        }
        self.guard_recursion();
    }

    /// Lets a function that calls itself compare its return address with where it has done so.
    fn guard_recursion(&mut self) {
        let back: Vec<Guard> = self
            .recursive
            .iter()
            .take(GUARDS_MAX)
            .filter_map(|rip| Some(Guard { rip: *rip, to: *self.index.get(&(*rip, ROOT))? }))
            .collect();
        for (node, context) in self.nodes.iter_mut().zip(&self.context_of) {
            if *context == ROOT && node.block.is_return {
                node.guards.extend(&back);
            }
        }
    }

    /// The node for a block in a context, if there is such code and room for it.
    fn node(&mut self, rip: u64, context: usize) -> Option<NodeId> {
        if let Some(node) = self.index.get(&(rip, context)) {
            return Some(*node);
        }
        if self.nodes.len() >= NODES_MAX || self.ops >= OPS_MAX {
            return None;
        }
        if self.nodes.len() >= NODES_SHARED_MAX && context == ROOT && self.code.source.is_compiled(rip) {
            return None;
        }
        let (block, _) = self.code.block(rip)?.clone();
        self.ops += block.ops.len();
        let edges = block.exits.iter().map(|rip| Edge::Out(*rip)).collect();
        self.nodes.push(Node { block, edges, guards: Vec::new() });
        self.context_of.push(context);
        let node = self.nodes.len() - 1;
        self.index.insert((rip, context), node);
        self.queue.push_back(node);
        Some(node)
    }

    fn warm_node(&mut self, rip: u64, context: usize) -> Option<NodeId> {
        if self.code.source.is_warm(rip) { self.node(rip, context) } else { None }
    }

    fn add_entry(&mut self, rip: u64) {
        if let Some(node) = self.warm_node(rip, ROOT)
            && !self.entries.contains(&node)
        {
            self.entries.push(node);
        }
    }

    /// The context of a call, if the function is to be inlined there.
    fn inlined(&mut self, callee: u64, node: NodeId, back: u64) -> Option<usize> {
        let parent = self.context_of[node];
        let depth = self.contexts[parent].depth + 1;
        let allowed = depth <= DEPTH_MAX && self.nodes.len() + INLINED_MAX.nodes <= NODES_MAX;
        if !allowed || !self.code.is_inlined(callee, self.nodes[node].block.rip) {
            return None;
        }
        let known = self.contexts.iter().position(|context| {
            context.depth > 0 && context.parent == parent && context.callee == callee && context.back == back
        });
        Some(known.unwrap_or_else(|| {
            self.contexts.push(Context { parent, callee, back, depth });
            self.contexts.len() - 1
        }))
    }

    fn follow(&mut self, node: NodeId) {
        let context = self.context_of[node];
        let block = &self.nodes[node].block;
        let (exits, returns_to, is_return) = (block.exits.clone(), block.returns_to, block.is_return);
        let jumps = matches!(block.ops.last(), Some(Op::JumpIndirect { .. }));
        let targets = if jumps { self.code.source.targets(last_instruction(block)).to_vec() } else { Vec::new() };
        match returns_to {
            Some(back) if jumps => self.follow_indirect_call(node, context, back, &targets),
            Some(back) => self.follow_call(node, context, exits[0], back),
            None if is_return => self.follow_return(node, context),
            None if jumps => self.follow_jump(node, context, &targets),
            None => {
                for (exit, rip) in exits.into_iter().enumerate() {
                    if let Some(to) = self.warm_node(rip, context) {
                        self.nodes[node].edges[exit] = Edge::To(to);
                    }
                }
            }
        }
    }

    fn follow_call(&mut self, node: NodeId, context: usize, callee: u64, back: u64) {
        let inlined = self.inlined(callee, node, back);
        // A function that calls itself goes on at the region's own start.
        let is_head = self.nodes[0].block.rip == callee;
        let to = match inlined {
            Some(inner) => self.node(callee, inner),
            None if is_head => Some(0),
            None => None,
        };
        if let Some(to) = to {
            self.nodes[node].edges[0] = Edge::To(to);
        }
        if inlined.is_none() && context == ROOT {
            self.add_entry(back);
            if is_head {
                self.recursive.push(back);
            }
        }
    }

    fn follow_indirect_call(&mut self, node: NodeId, context: usize, back: u64, targets: &[u64]) {
        let mut all = targets.len() <= GUARDS_MAX && !targets.is_empty();
        if all {
            for target in targets {
                match self.inlined(*target, node, back).and_then(|inner| self.node(*target, inner)) {
                    Some(to) => self.nodes[node].guards.push(Guard { rip: *target, to }),
                    None => all = false,
                }
            }
        }
        if !all && context == ROOT {
            self.add_entry(back);
        }
    }

    fn follow_return(&mut self, node: NodeId, context: usize) {
        let Context { parent, back, depth, .. } = self.contexts[context];
        if depth > 0
            && let Some(to) = self.warm_node(back, parent)
        {
            self.nodes[node].guards.push(Guard { rip: back, to });
        }
    }

    fn follow_jump(&mut self, node: NodeId, context: usize, targets: &[u64]) {
        let is_wide = targets.len() > GUARDS_MAX;
        self.wide_jumps += usize::from(is_wide);
        if context == ROOT && (targets.len() > JUMP_GUARDS_MAX || self.wide_jumps > WIDE_JUMPS_MAX && is_wide) {
            targets.iter().for_each(|target| self.add_entry(*target));
            return;
        }
        for target in targets.iter().take(JUMP_GUARDS_MAX) {
            if let Some(to) = self.warm_node(*target, context) {
                self.nodes[node].guards.push(Guard { rip: *target, to });
            }
        }
        self.nodes[node].guards.sort_by_key(|guard| guard.rip);
    }

    /// Ends blocks where others begin.
    fn cut_overlaps(&mut self) {
        for node in 0..self.nodes.len() {
            let block = &self.nodes[node].block;
            let context = self.context_of[node];
            let inside = |at: &usize| self.index.get(&(block.rip + u64::from(block.marks[*at].offset), context));
            let Some((at, to)) = (1..block.marks.len()).find_map(|at| Some((at, *inside(&at)?))) else { continue };
            let Node { block, edges, guards } = &mut self.nodes[node];
            cut(block, at);
            *edges = vec![Edge::To(to)];
            guards.clear();
        }
    }

    fn finish(mut self, mode: Mode) -> Option<Region> {
        self.cut_overlaps();
        let Self { code, nodes, entries, .. } = self;
        let mut region = Region { mode, nodes, entries, pieces: Vec::new() };
        region.drop_unreached();
        keep_loops_whole(&mut region, code.source);
        let used: BTreeSet<u64> = region.nodes.iter().map(|node| node.block.rip).collect();
        let bytes = |rip: u64| Some((rip, code.blocks.get(&rip)?.as_ref()?.1.clone()));
        region.pieces = used.into_iter().filter_map(bytes).collect();
        (!region.nodes.is_empty()).then_some(region)
    }
}

/// The region around the block at `head`; `None` if there is no code.
pub fn discover(source: &dyn Source, head: u64, mode: Mode) -> Option<Region> {
    let mut search = Search::new(source, mode);
    search.run(head);
    search.finish(mode)
}
