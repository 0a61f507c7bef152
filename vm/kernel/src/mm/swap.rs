//! More address spaces than the host has memories: who has not run for longest is swapped out, and gets a memory again when
//! it is to run.

use std::cmp::Reverse;
use std::rc::Rc;

use abi::Errno;
use abi::capability::CAP_SYS_ADMIN;
use memory::HostMemory;

use super::Mm;
use crate::kernel::Kernel;
use crate::stop::Outcome;

/// Spaces with more pages than that are swapped out only if there are no others: copying 64 MiB takes some 10 ms.
const LARGE_PAGES: u32 = 16 * 1024;
/// Heap in use beyond which nobody is swapped out for others' new spaces: half of what kills somebody ([`crate::oom`]).
const SWAP_HEAP_BYTES_MAX: u64 = 3 << 29;
/// What administrators may use of it beyond that.
const ADMIN_RESERVE_BYTES: u64 = 64 << 20;

impl Kernel {
    /// A memory, all zero, for another space.
    ///
    /// # Errors
    /// `ENOMEM` if there is none, and no room either for what is swapped out.
    pub(crate) fn allocate_memory(&mut self) -> Outcome<HostMemory> {
        match self.pool.allocate() {
            Some(host) => Ok(host),
            None if self.host.heap_bytes() > self.swap_limit_bytes() => Err(Errno::ENOMEM.into()),
            None => self.take_memory(),
        }
    }

    /// A space is run, or will be soon: it is new.
    pub(crate) fn note_run(&self, mm: &Mm) {
        mm.last_run.set(self.context_switches);
    }

    /// Heap in use beyond which nobody is swapped out for a new space. Administrators have some more, so that they can see
    /// and end what the others do (`vm.admin_reserve_kbytes`).
    fn swap_limit_bytes(&self) -> u64 {
        let is_administrator = self.tasks.current().is_some_and(|task| task.credentials().has(CAP_SYS_ADMIN));
        SWAP_HEAP_BYTES_MAX + if is_administrator { ADMIN_RESERVE_BYTES } else { 0 }
    }

    /// Somebody else's memory.
    fn take_memory(&mut self) -> Outcome<HostMemory> {
        let victim = self.swap_victim().ok_or(Errno::ENOMEM)?;
        let host = victim.space.borrow_mut().swap_out().ok_or(Errno::ENOMEM)?;
        Ok(host)
    }

    /// Gives a space a memory to run in, if it has none.
    pub(crate) fn swap_in(&mut self, mm: &Rc<Mm>) -> Outcome<()> {
        self.note_run(mm);
        if !mm.space.borrow().is_swapped_out() {
            return Ok(());
        }
        // What comes in makes room for what goes out.
        let host = self.pool.allocate().map_or_else(|| self.take_memory(), Ok)?;
        let mut space = mm.space.borrow_mut();
        space.swap_in(host);
        self.moved_spaces.push(space.id());
        Ok(())
    }

    /// The space that has not run for longest, of those with a memory: not the one for whom a memory is looked for.
    fn swap_victim(&self) -> Option<Rc<Mm>> {
        let current = self.tasks.current().and_then(|task| task.mm().ok());
        let others = self.tasks.tasks().into_iter().filter_map(|task| task.mm().ok());
        let has_memory = |mm: &Rc<Mm>| !mm.space.borrow().is_swapped_out();
        let candidates = others.filter(|mm| !current.as_ref().is_some_and(|current| Rc::ptr_eq(current, mm)));
        candidates.filter(has_memory).max_by_key(|mm| {
            let is_large = mm.space.borrow().present_pages() > LARGE_PAGES;
            (!is_large, Reverse(mm.last_run.get()))
        })
    }
}
