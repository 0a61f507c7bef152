//! More address spaces than the host has memories: who has not run for longest is swapped out, and gets a memory again when
//! it is to run.

use std::cmp::Reverse;
use std::rc::Rc;

use abi::Errno;
use memory::HostMemory;

use super::Mm;
use crate::kernel::Kernel;
use crate::stop::Outcome;

/// Spaces with more pages than that are swapped out only if there are no others: copying 64 MiB takes some 10 ms.
const LARGE_PAGES: u32 = 16 * 1024;

impl Kernel {
    /// A memory, all zero; somebody else's if there is no other left.
    ///
    /// # Errors
    /// `ENOMEM` if there is none that could be taken from anybody.
    pub(crate) fn allocate_memory(&mut self) -> Outcome<HostMemory> {
        if let Some(host) = self.pool.allocate() {
            return Ok(host);
        }
        let victim = self.swap_victim().ok_or(Errno::ENOMEM)?;
        let host = victim.space.borrow_mut().swap_out().ok_or(Errno::ENOMEM)?;
        Ok(host)
    }

    /// Gives a space a memory to run in, if it has none.
    pub(crate) fn swap_in(&mut self, mm: &Rc<Mm>) -> Outcome<()> {
        mm.last_run.set(self.context_switches);
        if !mm.space.borrow().is_swapped_out() {
            return Ok(());
        }
        let host = self.allocate_memory()?;
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
