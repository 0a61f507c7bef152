// Pointers that are none, in every call that takes one: what is said, and that a byte too far is too far.
#include "report.h"
#include <linux/aio_abi.h>
#include <linux/futex.h>
#include <mqueue.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/time.h>
#include <termios.h>
#include <time.h>

#ifndef SYS_semtimedop
#define SYS_semtimedop SYS_semtimedop_time64
#endif

enum { PAGE = 4096 };
// The pointer under test: into nothing, into the kernel's half, to a page that can't be written, to the last bytes
// of a page with none behind it. The latter two hold zeroes.
static char *p;
static char *hole, *fixed, *brink;
static int file, directory, stream[2], datagram[2], pipes[2], epoll, timer;
static const char *const NAMES[] = {"null", "hole", "kernel", "fixed", "brink"};

static void make_pages(void) {
    char *pages = mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    fixed = pages + PAGE;
    hole = pages + 3 * PAGE;
    brink = pages + 5 * PAGE - 1;
    mprotect(fixed, PAGE, PROT_READ);
    munmap(hole, PAGE);
    munmap(pages + 5 * PAGE, PAGE);
}

static void choose(int kind) {
    char *const choices[] = {NULL, hole + 8, (char *)-4096l, fixed, brink};
    p = choices[kind];
    *brink = 0;
    errno = 0;
}

// What the call says to the first `kinds` of them.
#define SAY(what, kinds, call) do { \
    printf("%s:", what); \
    for (int kind_ = 0; kind_ < (kinds); kind_++) { \
        choose(kind_); \
        long result_ = (call); \
        printf(" %s=%s", NAMES[kind_], result_ >= 0 ? "ok" : strerrorname_np(errno)); \
    } \
    printf("\n"); \
    fflush(stdout); \
} while (0)
#define SYS(name, ...) SAY(#name "(" #__VA_ARGS__ ")", 5, syscall(SYS_##name, __VA_ARGS__))
// Calls that would do something to this computer, were the pointer a good one.
#define SYS_HARMLESS(name, ...) SAY(#name "(" #__VA_ARGS__ ")", 3, syscall(SYS_##name, __VA_ARGS__))

static void files(void) {
    struct iovec whole = {.iov_len = 10};
#define THROUGH (whole.iov_base = p, &whole)
    SYS(read, file, (lseek(file, 0, SEEK_SET), p), 10);
    SYS(write, file, p, 10);
    SYS(pread64, file, p, 10, 0, 0);
    SYS(pwrite64, file, p, 10, 0, 0);
    SYS(readv, file, p, 1);
    SYS(writev, file, p, 1);
    SYS(readv, file, (lseek(file, 0, SEEK_SET), THROUGH), 1);
    SYS(writev, file, THROUGH, 1);
    SYS(preadv, file, p, 1, 0, 0);
    SYS(pwritev2, file, THROUGH, 1, 0, 0, 0);
    SYS(open, p, O_RDONLY);
    SYS(openat, AT_FDCWD, p, O_RDONLY);
    SYS(openat, AT_FDCWD, p, O_CREAT | O_RDWR, 0600);
    SYS(openat2, AT_FDCWD, p, p, 24);
    SYS(openat2, AT_FDCWD, "/tmp", p, 24);
    SYS(creat, p, 0600);
    SYS(mkdir, p, 0700);
    SYS(mkdirat, directory, p, 0700);
    SYS(rmdir, p);
    SYS(unlink, p);
    SYS(unlinkat, directory, p, 0);
    SYS(link, p, "/tmp/none");
    SYS(link, "/tmp", p);
    SYS(linkat, directory, p, directory, "x", 0);
    SYS(symlink, p, "/tmp/none/none");
    SYS(symlink, "x", p);
    SYS(symlinkat, "x", directory, p);
    SYS(rename, p, "/tmp/none");
    SYS(rename, "/tmp/none", p);
    SYS(renameat2, directory, p, directory, "x", 0);
    SYS(readlink, p, fixed, 10);
    SYS(readlink, "/proc/self/exe", p, 10);
    SYS(readlinkat, AT_FDCWD, "/proc/self/exe", p, 10);
    SYS(chmod, p, 0600);
    SYS(fchmodat, directory, p, 0600);
    SYS(chown, p, 0, 0);
    SYS(lchown, p, 0, 0);
    SYS(fchownat, directory, p, 0, 0, 0);
    SYS(access, p, F_OK);
    SYS(faccessat, directory, p, F_OK);
    SYS(faccessat2, directory, p, F_OK, 0);
    SYS(mknod, p, S_IFREG | 0600, 0);
    SYS(mknodat, directory, p, S_IFREG | 0600, 0);
    SYS(truncate, p, 0);
    SYS(chdir, p);
    SYS(chroot, p);
    SYS(getcwd, p, 100);
    SYS(utime, p, NULL);
    SYS(utime, "/tmp/none", p);
    SYS(utimes, "/tmp/none", p);
    SYS(futimesat, directory, p, NULL);
    SYS(utimensat, directory, "none", p, 0);
    SYS(statfs, p, fixed);
    SYS(statx, directory, p, 0, 0, fixed);
    SYS(statx, directory, "", AT_EMPTY_PATH, 0, p);
    SYS(getdents64, directory, p, 1000);
    SYS(getdents, directory, p, 1000);
    SYS(name_to_handle_at, directory, p, fixed, fixed, 0);
    SYS(copy_file_range, file, p, file, NULL, 1, 0);
    SYS(sendfile, stream[0], file, p, 1);
    SYS(splice, pipes[0], NULL, file, p, 1, SPLICE_F_NONBLOCK);
    SYS(setxattr, p, "user.a", "b", 1, 0);
    SYS(setxattr, "/tmp", p, "b", 1, 0);
    SYS(fsetxattr, file, "user.a", p, 3, 0);
    SYS(getxattr, p, "user.a", fixed, 1);
    SYS(getxattr, "/tmp", p, fixed, 1);
    SYS(listxattr, p, fixed, 1);
    SYS(removexattr, p, "user.a");
    SYS(removexattr, "/tmp", p);
    SYS(memfd_create, p, 0);
    SYS(inotify_add_watch, file, p, 1);
    SYS(fcntl, file, F_GETLK, p);
    SYS(fcntl, file, F_SETLK, p);
    SYS(fcntl, file, F_GETOWN_EX, p);
    SYS(fcntl, file, F_SETOWN_EX, p);
    SYS(pipe, p);
    SYS(pipe2, p, 0);
    SYS(vmsplice, pipes[1], p, 1, SPLICE_F_NONBLOCK);
    SYS(ioctl, pipes[0], FIONREAD, p);
    SYS(ioctl, pipes[0], FIONBIO, p);
}

// The same reads and writes of what is no regular file.
static void streams(void) {
    write(pipes[1], "0123456789abcdefghijklmnopqrstuvwxyz", 36);
    SYS(read, pipes[0], p, 4);
    SYS(write, pipes[1], p, 4);
    int zero = open("/dev/zero", O_RDWR), null = open("/dev/null", O_RDWR), random = open("/dev/urandom", O_RDONLY);
    SYS(read, zero, p, 4);
    SYS(write, zero, p, 4);
    SYS(write, null, p, 4);
    SYS(read, null, p, 4);
    SYS(read, random, p, 4);
    int event = syscall(SYS_eventfd2, 5, O_NONBLOCK);
    SYS(read, event, p, 8);
    SYS(write, event, p, 8);
    SYS(timerfd_settime, timer, 0, p, NULL);
    SYS(timerfd_settime, timer, 0, fixed, p);
    SYS(timerfd_gettime, timer, p);
    SYS(signalfd4, -1, p, 8, 0);
    int master = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK);
    SYS(ioctl, master, TIOCGWINSZ, p);
    SYS(ioctl, master, TIOCGPTN, p);
    SYS(ioctl, master, TCGETS, p);
    SYS_HARMLESS(ioctl, master, TCSETS, p);
    SYS_HARMLESS(ioctl, master, TIOCSWINSZ, p);
    SYS(write, master, p, 4);
    int self = open("/proc/self/status", O_RDONLY);
    SYS(read, self, p, 4);
}

static void waiting(void) {
    struct epoll_event event = {.events = EPOLLOUT, .data.fd = stream[0]};
    epoll_ctl(epoll, EPOLL_CTL_ADD, stream[0], &event);
    SYS(epoll_ctl, epoll, EPOLL_CTL_ADD, datagram[0], p);
    SYS(epoll_wait, epoll, p, 1, 0);
    SYS(epoll_pwait, epoll, fixed, 1, 0, p, 8);
    SYS(epoll_pwait2, epoll, &event, 1, p, NULL, 8);
    SYS(poll, p, 1, 0);
    SYS(ppoll, p, 1, p, NULL, 8);
    SYS(ppoll, NULL, 0, fixed, p, 8);
    struct timeval none = {0};
#ifdef __x86_64__
    SYS(select, 1, p, NULL, NULL, &none);
    SYS(select, 0, NULL, NULL, NULL, p == NULL ? (char *)&none : p);
    SYS(pselect6, 1, NULL, p, NULL, fixed, NULL);
#endif
    SYS(pselect6, 0, NULL, NULL, NULL, fixed, p);
    SYS(nanosleep, p, NULL);
    SYS(clock_nanosleep, CLOCK_MONOTONIC, 0, p, NULL);
    SYS(futex, p, FUTEX_WAIT, 1, NULL, NULL, 0);
    SYS(futex, p, FUTEX_WAKE, 1, NULL, NULL, 0);
    SYS(futex, fixed, FUTEX_WAIT, 0, p == NULL ? fixed : p, NULL, 0);
    SYS(futex, fixed, FUTEX_REQUEUE, 1, 1, p, 0);
    SYS(futex, p, FUTEX_CMP_REQUEUE, 1, 1, fixed, 0);
    SYS(futex, fixed, FUTEX_WAKE_OP, 1, 1, p, 0);
    SYS(wait4, -1, p, WNOHANG, NULL);
    SYS(waitid, P_ALL, 0, p, WNOHANG | WEXITED, NULL);
}

static void processes(void) {
    SYS(execve, p, NULL, NULL);
    SYS(execve, "/proc/self/exe", p == NULL ? hole : p == brink || p == fixed ? hole : p, NULL);
    SYS(execveat, AT_FDCWD, p, NULL, NULL, 0);
    SYS_HARMLESS(clone3, p, 64);
    SYS(get_robust_list, 0, p, fixed);
    SYS(get_robust_list, 0, fixed, p);
    SYS(prctl, PR_SET_NAME, p);
    SYS(prctl, PR_GET_NAME, p);
    SYS(prctl, PR_GET_PDEATHSIG, p);
    SYS(getrlimit, RLIMIT_CORE, p);
    SYS(setrlimit, RLIMIT_CORE, p);
    SYS(prlimit64, 0, RLIMIT_CORE, NULL, p);
    SYS(prlimit64, 0, RLIMIT_CORE, p, NULL);
    SYS(getrusage, RUSAGE_SELF, p);
    SYS(times, p);
    SYS(getresuid, p, fixed, fixed);
    SYS(getresgid, p, p, p);
    SYS(getgroups, 10, p);
    SYS_HARMLESS(setgroups, 1, p);
    SYS(capget, p, fixed);
    SYS(capset, p, fixed);
    SYS(sched_getparam, 0, p);
    SYS_HARMLESS(sched_setparam, 0, p);
    SYS_HARMLESS(sched_setscheduler, 0, SCHED_OTHER, p);
    SYS(sched_getattr, 0, p, 48, 0);
    SYS_HARMLESS(sched_setattr, 0, p, 0);
    SYS(sched_getaffinity, 0, 128, p);
    SYS_HARMLESS(sched_setaffinity, 0, 8, p);
    SYS(sched_rr_get_interval, 0, p);
    SYS(getcpu, p, NULL, NULL);
    SYS(process_vm_readv, getpid(), p, 1, fixed, 1, 0);
    SYS(process_vm_readv, getpid(), fixed, 1, p, 1, 0);
    SYS(get_mempolicy, p, NULL, 0, 0, 0);
    SYS(seccomp, 2, 0, p);
}

static void signals(void) {
    SYS(rt_sigaction, SIGUSR1, p, NULL, 8);
    SYS(rt_sigaction, SIGUSR1, NULL, p, 8);
    SYS(rt_sigprocmask, SIG_BLOCK, p, NULL, 8);
    SYS(rt_sigprocmask, SIG_BLOCK, NULL, p, 8);
    SYS(rt_sigpending, p, 8);
    SYS(rt_sigtimedwait, p, NULL, fixed, 8);
    SYS(rt_sigtimedwait, fixed, NULL, p == NULL ? hole : p, 8);
    SYS(rt_sigsuspend, p == brink || p == fixed ? hole : p, 8);
    SYS(rt_sigqueueinfo, getpid(), 0, p);
    SYS(sigaltstack, p, NULL);
    SYS(sigaltstack, NULL, p);
}

static void times_and_names(void) {
    SYS(gettimeofday, p, NULL);
    SYS(gettimeofday, NULL, p);
    SYS_HARMLESS(settimeofday, p, NULL);
    SYS_HARMLESS(clock_settime, CLOCK_REALTIME, p);
    SYS(clock_gettime, CLOCK_MONOTONIC, p);
    SYS(clock_getres, CLOCK_MONOTONIC, p);
    SYS(time, p);
    SYS(getitimer, ITIMER_REAL, p);
    SYS(setitimer, ITIMER_REAL, p, NULL);
    SYS(setitimer, ITIMER_REAL, fixed, p);
    SYS(timer_create, CLOCK_MONOTONIC, p, fixed);
    SYS(timer_create, CLOCK_MONOTONIC, NULL, p);
    int id = -1;
    syscall(SYS_timer_create, CLOCK_MONOTONIC, NULL, &id);
    SYS(timer_settime, id, 0, p, NULL);
    SYS(timer_settime, id, 0, fixed, p);
    SYS(timer_gettime, id, p);
    SYS(uname, p);
    SYS(sysinfo, p);
    SYS_HARMLESS(sethostname, p, 4);
    SYS_HARMLESS(setdomainname, p, 4);
    SYS_HARMLESS(mount, "none", p, "tmpfs", 0, NULL);
    SYS_HARMLESS(umount2, p, 0);
    SYS_HARMLESS(adjtimex, p);
    SYS(getrandom, p, 4, 0);
}

static void sockets(void) {
    SYS(socketpair, AF_UNIX, SOCK_STREAM, 0, p);
    int unbound = socket(AF_INET, SOCK_STREAM, 0), udp = socket(AF_INET, SOCK_DGRAM, 0);
    SYS(bind, unbound, p, 16);
    SYS(connect, unbound, p, 16);
    SYS(getsockname, udp, p, fixed);
    SYS(getsockname, udp, fixed, p);
    SYS(getpeername, stream[0], p, p);
    SYS(setsockopt, udp, SOL_SOCKET, SO_REUSEADDR, p, 4);
    SYS(getsockopt, udp, SOL_SOCKET, SO_REUSEADDR, p, fixed);
    SYS(getsockopt, udp, SOL_SOCKET, SO_REUSEADDR, fixed, p);
    SYS(sendto, stream[0], p, 4, MSG_DONTWAIT, NULL, 0);
    SYS(sendto, datagram[0], p, 4, MSG_DONTWAIT, NULL, 0);
    SYS(sendto, udp, "x", 1, MSG_DONTWAIT, p == NULL ? hole : p, 16);
    socketpair(AF_UNIX, SOCK_STREAM, 0, stream);
    write(stream[0], "0123456789", 10);
    SYS(recvfrom, stream[1], p, 4, MSG_DONTWAIT | MSG_PEEK, NULL, NULL);
    for (int i = 0; i < 8; i++) write(datagram[0], "0123456789", 10);
    SYS(recvfrom, datagram[1], p, 4, MSG_DONTWAIT | MSG_PEEK, NULL, NULL);
    SYS(recvfrom, datagram[1], NULL, 0, MSG_DONTWAIT | MSG_PEEK, p, fixed);
    SYS(sendmsg, stream[0], p, MSG_DONTWAIT);
    SYS(recvmsg, stream[1], p, MSG_DONTWAIT);
    struct msghdr message = {.msg_iovlen = 1};
    SYS(sendmsg, stream[0], (message.msg_iov = (void *)p, &message), MSG_DONTWAIT);
    SYS(recvmsg, stream[1], (message.msg_iov = (void *)p, &message), MSG_DONTWAIT);
    message = (struct msghdr){.msg_controllen = 24};
    SYS(sendmsg, stream[0], (message.msg_control = p, &message), MSG_DONTWAIT);
    SYS(sendmmsg, stream[0], p, 1, MSG_DONTWAIT);
    SYS(recvmmsg, stream[1], p, 1, MSG_DONTWAIT, NULL);
    SYS(accept4, unbound, p, p, 0);
}

static void ipc_and_memory(void) {
    int queue = msgget(IPC_PRIVATE, 0600), set = semget(IPC_PRIVATE, 1, 0600), segment = shmget(IPC_PRIVATE, PAGE, 0600);
    SYS(msgsnd, queue, p, 1, IPC_NOWAIT);
    SYS(msgctl, queue, IPC_STAT, p);
    SYS_HARMLESS(msgctl, queue, IPC_SET, p);
    struct { long type; char text[4]; } message = {1, "abc"};
    for (int i = 0; i < 5; i++) msgsnd(queue, &message, 4, 0);
    SYS(msgrcv, queue, p, 4, 0, IPC_NOWAIT);
    SYS(semtimedop, set, p, 1, NULL);
    SYS(semctl, set, 0, IPC_STAT, p);
    SYS(semctl, set, 0, GETALL, p);
    SYS(semctl, set, 0, SETALL, p);
    SYS(shmctl, segment, IPC_STAT, p);
    msgctl(queue, IPC_RMID, NULL);
    semctl(set, 0, IPC_RMID);
    shmctl(segment, IPC_RMID, NULL);
    SYS(mincore, fixed, PAGE, p);
    SYS(madvise, hole, PAGE, MADV_DONTNEED);
    SYS(mprotect, hole, PAGE, PROT_READ);
    SYS(msync, hole, PAGE, MS_SYNC);
    SYS(mremap, hole, PAGE, 2 * PAGE, MREMAP_MAYMOVE);
    SYS(mlock, hole, PAGE);
    SYS(move_pages, 0, 1, p, NULL, fixed, 0);
    aio_context_t context = 0;
    SYS(io_setup, 1, p == fixed || p == brink ? hole : p);
    syscall(SYS_io_setup, 4, &context);
    SYS(io_submit, context, 1, p);
    SYS(io_getevents, context, 0, 1, p, p);
    syscall(SYS_io_destroy, context);
}

int main(void) {
    make_pages();
    char path[] = "/tmp/bad_pointers.XXXXXX", name[64];
    mkdtemp(path);
    directory = open(path, O_RDONLY | O_DIRECTORY);
    file = openat(directory, "file", O_RDWR | O_CREAT, 0600);
    write(file, "0123456789abcdefghijklmnopqrstuvwxyz", 36);
    socketpair(AF_UNIX, SOCK_STREAM, 0, stream);
    socketpair(AF_UNIX, SOCK_DGRAM, 0, datagram);
    pipe2(pipes, O_NONBLOCK);
    epoll = epoll_create1(0);
    timer = syscall(SYS_timerfd_create, CLOCK_MONOTONIC, 0);
    files();
    streams();
    waiting();
    processes();
    signals();
    times_and_names();
    sockets();
    ipc_and_memory();
    unlinkat(directory, "file", 0);
    rmdir(path);
    return 0;
}
