//! `/proc/sysvipc`: what `ipcs` shows.

use memory::PAGE_SIZE;

use crate::ipc::sem::{OPERATIONS_MAX, SEMAPHORES_MAX, SET_LEN_MAX, SETS_MAX};
use crate::kernel::Kernel;

/// A text of a heading and rows.
fn table(head: &str, rows: impl Iterator<Item = String>) -> String {
    std::iter::once(format!("{head}\n")).chain(rows).collect()
}

/// `shm`.
pub fn segments(kernel: &mut Kernel) -> String {
    kernel.sweep_segments();
    let rows = kernel.ipc.segments.iter().map(|(id, s)| {
        let p = &s.perm;
        let head = format!("{:>10} {id:>10}  {:>4o} {:>21}", p.key, p.mode, s.size_bytes);
        let (creator, count) = (s.created.pid, s.object.mapping_count());
        let ids = format!("{creator:>5} {:>5}  {count:>5} {:>5} {:>5}", s.last_pid, p.uid, p.gid);
        let times = format!("{:>10} {:>10} {:>10}", s.attached_at, s.detached_at, s.created.time);
        let resident = s.object.page_count() * PAGE_SIZE;
        format!("{head} {ids} {:>5} {:>5} {times} {resident:>21} {:>21}\n", p.creator_uid, p.creator_gid, 0)
    });
    let head = "       key      shmid perms                  size  cpid  lpid nattch   uid   gid  cuid  cgid      atime      \
                dtime      ctime                   rss                  swap";
    table(head, rows)
}

/// `sem`.
pub fn semaphores(kernel: &mut Kernel) -> String {
    let rows = kernel.ipc.semaphores.iter().map(|(id, s)| {
        let p = &s.perm;
        let head = format!("{:>10} {id:>10}  {:>4o} {:>10}", p.key, p.mode, s.semaphores.len());
        let ids = format!("{:>5} {:>5} {:>5} {:>5}", p.uid, p.gid, p.creator_uid, p.creator_gid);
        format!("{head} {ids} {:>10} {:>10}\n", s.operated_at, s.changed_at)
    });
    table("       key      semid perms      nsems   uid   gid  cuid  cgid      otime      ctime", rows)
}

/// `msg`.
pub fn queues(kernel: &mut Kernel) -> String {
    let rows = kernel.ipc.queues.iter().map(|(id, q)| {
        let p = &q.perm;
        let head = format!("{:>10} {id:>10}  {:>4o}  {:>10} {:>10}", p.key, p.mode, q.bytes, q.messages.len());
        let users = format!("{:>5} {:>5} {:>5} {:>5}", q.sent.pid, q.received.pid, p.uid, p.gid);
        let times = format!("{:>10} {:>10} {:>10}", q.sent.time, q.received.time, q.changed_at);
        format!("{head} {users} {:>5} {:>5} {times}\n", p.creator_uid, p.creator_gid)
    });
    let head = "       key      msqid perms      cbytes       qnum lspid lrpid   uid   gid  cuid  cgid      stime      \
                rtime      ctime";
    table(head, rows)
}

/// `/proc/sys/kernel/sem`: semaphores in a set and in all, operations in a call, sets.
pub fn semaphore_limits(_kernel: &mut Kernel) -> String {
    format!("{SET_LEN_MAX}\t{SEMAPHORES_MAX}\t{OPERATIONS_MAX}\t{SETS_MAX}\n")
}
