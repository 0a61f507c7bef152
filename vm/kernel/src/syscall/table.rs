//! The table of system calls of x86-64: a row each.

use std::rc::Rc;

use super::args::Arg;
use super::*;

/// A system call.
pub struct Row {
    /// Its number.
    pub number: u16,
    /// Its name.
    pub name: &'static str,
    /// What answers it.
    pub handler: Handler,
    /// What is partial about it; empty if nothing is.
    pub note: &'static str,
}

/// Answers a call: the kernel, the task that makes it, the argument registers.
pub type Handler = fn(&mut Kernel, &Rc<Task>, [u64; 6]) -> Outcome<u64>;

/// The row of a number.
pub fn lookup(number: u64) -> Option<&'static Row> {
    let index = TABLE.binary_search_by_key(&number, |row| u64::from(row.number)).ok()?;
    Some(&TABLE[index])
}

/// Turns a handler with so many typed arguments into one that takes registers.
macro_rules! handler {
    ($call:path, 0) => {
        |k, t, _| $call(k, t)
    };
    ($call:path, 1) => {
        |k, t, a| $call(k, t, Arg::of(a[0]))
    };
    ($call:path, 2) => {
        |k, t, a| $call(k, t, Arg::of(a[0]), Arg::of(a[1]))
    };
    ($call:path, 3) => {
        |k, t, a| $call(k, t, Arg::of(a[0]), Arg::of(a[1]), Arg::of(a[2]))
    };
    ($call:path, 4) => {
        |k, t, a| $call(k, t, Arg::of(a[0]), Arg::of(a[1]), Arg::of(a[2]), Arg::of(a[3]))
    };
    ($call:path, 5) => {
        |k, t, a| $call(k, t, Arg::of(a[0]), Arg::of(a[1]), Arg::of(a[2]), Arg::of(a[3]), Arg::of(a[4]))
    };
    ($call:path, 6) => {
        |k, t, a| {
            let [a0, a1, a2, a3, a4, a5] = a;
            $call(k, t, Arg::of(a0), Arg::of(a1), Arg::of(a2), Arg::of(a3), Arg::of(a4), Arg::of(a5))
        }
    };
}

/// Rows: number, name, handler, how many arguments it takes, and what is partial about it.
macro_rules! table {
    ($($number:literal $name:ident $call:path, $count:tt $($note:literal)?;)*) => {
        &[$( Row {
            number: $number,
            name: stringify!($name),
            handler: handler!($call, $count),
            note: concat!($($note)?),
        } ),*]
    };
}

/// All calls that are answered, ascending by number. Any other is `ENOSYS`, and logged once by name.
#[rustfmt::skip]
pub const TABLE: &[Row] = table! {
    0 read rw::read, 3;
    1 write rw::write, 3;
    2 open fd::open, 3;
    3 close fd::close, 1;
    4 stat stat::stat, 2;
    5 fstat stat::fstat, 2;
    6 lstat stat::lstat, 2;
    7 poll poll::poll, 3;
    8 lseek rw::lseek, 3;
    9 mmap memory::mmap, 6;
    10 mprotect memory::mprotect, 3;
    11 munmap memory::munmap, 2;
    12 brk memory::brk, 1;
    13 rt_sigaction signal::rt_sigaction, 4;
    14 rt_sigprocmask signal::rt_sigprocmask, 4;
    15 rt_sigreturn signal::rt_sigreturn, 0;
    16 ioctl fd::ioctl, 3;
    17 pread64 rw::pread64, 4;
    18 pwrite64 rw::pwrite64, 4;
    19 readv rw::readv, 3;
    20 writev rw::writev, 3;
    21 access path::access, 2;
    22 pipe fd::pipe, 1;
    23 select poll::select, 5;
    24 sched_yield system::sched_yield, 0;
    25 mremap memory::mremap, 5;
    26 msync memory::msync, 3;
    27 mincore memory::mincore, 3;
    28 madvise memory::madvise, 3;
    32 dup fd::dup, 1;
    33 dup2 fd::dup2, 2;
    34 pause process::pause, 0;
    35 nanosleep time::nanosleep, 2;
    36 getitimer time::getitimer, 2;
    37 alarm time::alarm, 1;
    38 setitimer time::setitimer, 3;
    39 getpid ids::getpid, 0;
    40 sendfile transfer::sendfile, 4;
    41 socket socket::socket, 3;
    42 connect socket::connect, 3;
    43 accept socket::accept, 3;
    44 sendto message::sendto, 6;
    45 recvfrom message::recvfrom, 6;
    46 sendmsg message::sendmsg, 3;
    47 recvmsg message::recvmsg, 3;
    48 shutdown socket::shutdown, 2;
    49 bind socket::bind, 3;
    50 listen socket::listen, 2;
    51 getsockname socket::getsockname, 3;
    52 getpeername socket::getpeername, 3;
    53 socketpair socket::socketpair, 4;
    54 setsockopt socket::setsockopt, 3;
    55 getsockopt socket::getsockopt, 5;
    56 clone process::clone, 5;
    57 fork process::fork, 0;
    58 vfork process::vfork, 0;
    59 execve process::execve, 3;
    60 exit process::exit, 1;
    61 wait4 process::wait4, 4;
    62 kill signal::kill, 2;
    63 uname system::uname, 1;
    72 fcntl fd::fcntl, 3;
    73 flock fd::flock, 2;
    74 fsync rw::fsync, 1;
    75 fdatasync rw::fsync, 1;
    76 truncate attributes::truncate, 2;
    77 ftruncate attributes::ftruncate, 2;
    79 getcwd path::getcwd, 2;
    80 chdir path::chdir, 1;
    81 fchdir path::fchdir, 1;
    82 rename path::rename, 2;
    83 mkdir path::mkdir, 2;
    84 rmdir path::rmdir, 1;
    85 creat fd::creat, 2;
    86 link path::link, 2;
    87 unlink path::unlink, 1;
    88 symlink path::symlink, 2;
    89 readlink path::readlink, 3;
    90 chmod attributes::chmod, 2;
    91 fchmod attributes::fchmod, 2;
    92 chown attributes::chown, 3;
    93 fchown attributes::fchown, 3;
    94 lchown attributes::lchown, 3;
    95 umask path::umask, 1;
    96 gettimeofday time::gettimeofday, 2;
    97 getrlimit limits::getrlimit, 2;
    98 getrusage limits::getrusage, 2;
    99 sysinfo system::sysinfo, 1;
    100 times time::times, 1;
    102 getuid ids::getuid, 0;
    104 getgid ids::getgid, 0;
    105 setuid ids::setuid, 1;
    106 setgid ids::setgid, 1;
    107 geteuid ids::geteuid, 0;
    108 getegid ids::getegid, 0;
    109 setpgid ids::setpgid, 2;
    110 getppid ids::getppid, 0;
    111 getpgrp ids::getpgrp, 0;
    112 setsid ids::setsid, 0;
    113 setreuid ids::setreuid, 2;
    114 setregid ids::setregid, 2;
    115 getgroups ids::getgroups, 2;
    116 setgroups ids::setgroups, 2;
    117 setresuid ids::setresuid, 3;
    118 getresuid ids::getresuid, 3;
    119 setresgid ids::setresgid, 3;
    120 getresgid ids::getresgid, 3;
    121 getpgid ids::getpgid, 1;
    122 setfsuid ids::setfsuid, 1;
    123 setfsgid ids::setfsgid, 1;
    124 getsid ids::getsid, 1;
    125 capget ids::capget, 2;
    126 capset ids::capset, 2 "accepted without effect";
    127 rt_sigpending signal::rt_sigpending, 2;
    128 rt_sigtimedwait signal::rt_sigtimedwait, 4;
    129 rt_sigqueueinfo signal::rt_sigqueueinfo, 3;
    130 rt_sigsuspend signal::rt_sigsuspend, 2;
    131 sigaltstack signal::sigaltstack, 2;
    132 utime attributes::utime, 2;
    133 mknod path::mknod, 3;
    135 personality prctl::personality, 1 "remembered without effect";
    137 statfs stat::statfs, 2;
    138 fstatfs stat::fstatfs, 2;
    140 getpriority limits::getpriority, 2;
    141 setpriority limits::setpriority, 3 "remembered without effect";
    142 sched_setparam system::sched_setparam, 2;
    143 sched_getparam system::sched_getparam, 2;
    144 sched_setscheduler system::sched_setscheduler, 3 "remembered without effect";
    145 sched_getscheduler system::sched_getscheduler, 1;
    146 sched_get_priority_max system::sched_get_priority_max, 1;
    147 sched_get_priority_min system::sched_get_priority_min, 1;
    148 sched_rr_get_interval system::sched_rr_get_interval, 2;
    149 mlock memory::mlock, 2 "nothing is ever paged out";
    150 munlock memory::mlock, 2;
    151 mlockall memory::mlockall, 0;
    152 munlockall memory::mlockall, 0;
    155 pivot_root system::privileged, 0;
    157 prctl prctl::prctl, 3 "see its handler for the options";
    158 arch_prctl prctl::arch_prctl, 2;
    160 setrlimit limits::setrlimit, 2;
    161 chroot path::chroot, 1;
    162 sync rw::sync, 0;
    164 settimeofday time::settimeofday, 2;
    165 mount path::mount, 5;
    166 umount2 path::umount2, 2;
    169 reboot system::privileged, 0;
    170 sethostname system::sethostname, 2;
    171 setdomainname system::setdomainname, 2;
    186 gettid ids::gettid, 0;
    187 readahead rw::fadvise64, 1;
    188 setxattr attributes::setxattr, 5;
    189 lsetxattr attributes::lsetxattr, 5;
    190 fsetxattr attributes::fsetxattr, 5;
    191 getxattr attributes::getxattr, 4;
    192 lgetxattr attributes::lgetxattr, 4;
    193 fgetxattr attributes::fgetxattr, 4;
    194 listxattr attributes::listxattr, 3;
    195 llistxattr attributes::llistxattr, 3;
    196 flistxattr attributes::flistxattr, 3;
    197 removexattr attributes::removexattr, 2;
    198 lremovexattr attributes::lremovexattr, 2;
    199 fremovexattr attributes::fremovexattr, 2;
    200 tkill signal::tkill, 2;
    201 time time::time, 1;
    202 futex futex::futex, 6 "no priority inheritance";
    203 sched_setaffinity system::sched_setaffinity, 3;
    204 sched_getaffinity system::sched_getaffinity, 3;
    213 epoll_create epoll::epoll_create, 1;
    217 getdents64 stat::getdents64, 3;
    218 set_tid_address futex::set_tid_address, 1;
    221 fadvise64 rw::fadvise64, 1;
    222 timer_create time::timer_create, 3;
    223 timer_settime time::timer_settime, 4;
    224 timer_gettime time::timer_gettime, 2;
    225 timer_getoverrun time::timer_getoverrun, 1;
    226 timer_delete time::timer_delete, 1;
    227 clock_settime time::clock_settime, 2;
    228 clock_gettime time::clock_gettime, 2;
    229 clock_getres time::clock_getres, 2;
    230 clock_nanosleep time::clock_nanosleep, 4;
    231 exit_group process::exit_group, 1;
    232 epoll_wait epoll::epoll_wait, 4;
    233 epoll_ctl epoll::epoll_ctl, 4;
    234 tgkill signal::tgkill, 3;
    235 utimes attributes::utimes, 2;
    247 waitid process::waitid, 5;
    257 openat fd::openat, 4;
    258 mkdirat path::mkdirat, 3;
    259 mknodat path::mknodat, 4;
    260 fchownat attributes::fchownat, 5;
    261 futimesat attributes::futimesat, 3;
    262 newfstatat stat::newfstatat, 4;
    263 unlinkat path::unlinkat, 3;
    264 renameat path::renameat, 4;
    265 linkat path::linkat, 5;
    266 symlinkat path::symlinkat, 3;
    267 readlinkat path::readlinkat, 4;
    268 fchmodat attributes::fchmodat, 3;
    269 faccessat path::faccessat, 3;
    270 pselect6 poll::pselect6, 6;
    271 ppoll poll::ppoll, 5;
    272 unshare process::unshare, 1 "no namespaces";
    273 set_robust_list futex::set_robust_list, 2;
    274 get_robust_list futex::get_robust_list, 3;
    275 splice transfer::splice, 6;
    280 utimensat attributes::utimensat, 4;
    281 epoll_pwait epoll::epoll_pwait, 5;
    282 signalfd event::signalfd, 3;
    283 timerfd_create event::timerfd_create, 2;
    284 eventfd event::eventfd, 1;
    285 fallocate attributes::fallocate, 4;
    286 timerfd_settime event::timerfd_settime, 4;
    287 timerfd_gettime event::timerfd_gettime, 2;
    288 accept4 socket::accept4, 4;
    289 signalfd4 event::signalfd4, 4;
    290 eventfd2 event::eventfd2, 2;
    291 epoll_create1 epoll::epoll_create1, 1;
    292 dup3 fd::dup3, 3;
    293 pipe2 fd::pipe2, 2;
    295 preadv rw::preadv, 4;
    296 pwritev rw::pwritev, 4;
    297 rt_tgsigqueueinfo signal::rt_tgsigqueueinfo, 4;
    299 recvmmsg message::recvmmsg, 4;
    302 prlimit64 limits::prlimit64, 4;
    306 syncfs rw::syncfs, 1;
    307 sendmmsg message::sendmmsg, 4;
    309 getcpu system::getcpu, 2;
    316 renameat2 path::renameat2, 5;
    318 getrandom system::getrandom, 3;
    319 memfd_create fd::memfd_create, 2 "no seals";
    322 execveat process::execveat, 5;
    324 membarrier system::membarrier, 1;
    325 mlock2 memory::mlock, 2;
    326 copy_file_range transfer::copy_file_range, 6;
    327 preadv2 rw::preadv2, 6;
    328 pwritev2 rw::pwritev2, 6;
    332 statx stat::statx, 5;
    334 rseq system::absent, 0 "the C library does without";
    435 clone3 process::clone3, 2;
    436 close_range fd::close_range, 3;
    437 openat2 fd::openat2, 4 "no RESOLVE flags";
    439 faccessat2 path::faccessat2, 4;
    441 epoll_pwait2 epoll::epoll_pwait2, 5;
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_ascend_and_have_their_proper_names() {
        assert!(TABLE.windows(2).all(|pair| pair[0].number < pair[1].number));
        for row in TABLE {
            assert_eq!(abi::x86_64::name(u64::from(row.number)), Some(row.name));
        }
    }
}
