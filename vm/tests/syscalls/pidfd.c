#include "report.h"
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

static int pidfd_open(int pid, unsigned flags) { return syscall(SYS_pidfd_open, pid, flags); }
static int pidfd_signal(int fd, int signal, siginfo_t *info, unsigned flags) {
    return syscall(SYS_pidfd_send_signal, fd, signal, info, flags);
}
static int pidfd_getfd(int fd, int other, unsigned flags) { return syscall(SYS_pidfd_getfd, fd, other, flags); }

static int go[2];

// A child that ends when told to.
static int start(void) {
    pipe(go);
    int pid = fork();
    if (pid == 0) {
        char c;
        close(go[1]);
        read(go[0], &c, 1);
        _exit(7);
    }
    close(go[0]);
    return pid;
}

static void events(int fd, int timeout) {
    struct pollfd p = {fd, POLLIN};
    int n = poll(&p, 1, timeout);
    printf("poll %d %x\n", n, p.revents);
    fflush(stdout);
}

static void waited(int kind, int id, int options) {
    siginfo_t info = {0};
    if (waitid(kind, id, &info, options) < 0) printf("waitid: %s\n", strerrorname_np(errno));
    else printf("waitid: %d %d %d\n", info.si_signo, info.si_code, info.si_status);
    fflush(stdout);
}

static void got(int signal, siginfo_t *info, void *context) {
    (void)context;
    printf("signal %d code %d\n", signal, info->si_code);
    fflush(stdout);
}

static void opening(void) {
    int pid = start(), fd = pidfd_open(pid, 0);
    ok("pidfd_open", fd);
    TRY(fcntl(fd, F_GETFD));
    TRY(pidfd_open(-1, 0));
    TRY(pidfd_open(0, 0));
    TRY(pidfd_open(pid, 1));
    TRY(pidfd_open(4000000, 0));
    events(fd, 0);
    int e = epoll_create1(0);
    epoll_ctl(e, EPOLL_CTL_ADD, fd, &(struct epoll_event){.events = EPOLLIN});
    struct epoll_event event;
    TRY(epoll_wait(e, &event, 1, 0));
    TRY(pidfd_signal(fd, 0, NULL, 0));
    waited(P_PIDFD, fd, WEXITED | WNOHANG);
    close(go[1]);
    events(fd, 10000);
    TRY(epoll_wait(e, &event, 1, 10000));
    TRY(pidfd_signal(fd, 0, NULL, 0));
    waited(P_PIDFD, fd, WEXITED | WNOWAIT);
    waited(P_PIDFD, fd, WEXITED);
    waited(P_PIDFD, fd, WEXITED);
    events(fd, 0);
    TRY(pidfd_signal(fd, 0, NULL, 0));
    TRY(pidfd_getfd(fd, 0, 0));
    TRY(pidfd_open(pid, 0));
    char c;
    TRY(read(fd, &c, 1));
    close(fd), close(e);
    waited(P_PIDFD, 99, WEXITED);
    waited(P_PIDFD, 0, WEXITED);
    waited(P_PIDFD, -1, WEXITED);
}

static void nonblocking(void) {
    int pid = start(), fd = pidfd_open(pid, O_NONBLOCK);
    waited(P_PIDFD, fd, WEXITED);
    waited(P_PIDFD, fd, WEXITED | WNOHANG);
    close(go[1]);
    events(fd, 10000);
    waited(P_PIDFD, fd, WEXITED);
    close(fd);
}

static void signals(void) {
    struct sigaction action = {.sa_sigaction = got, .sa_flags = SA_SIGINFO};
    sigaction(SIGUSR1, &action, NULL);
    int self = pidfd_open(getpid(), 0);
    TRY(pidfd_signal(self, SIGUSR1, NULL, 0));
    siginfo_t info = {.si_signo = SIGUSR1, .si_code = SI_QUEUE};
    TRY(pidfd_signal(self, SIGUSR1, &info, 0));
    TRY(pidfd_signal(self, SIGUSR2, &info, 0));
    TRY(pidfd_signal(self, SIGUSR1, NULL, 0x100));
    TRY(pidfd_signal(self, 65, NULL, 0));
    TRY(pidfd_signal(0, SIGUSR1, NULL, 0));
    TRY(pidfd_signal(99, SIGUSR1, NULL, 0));
    int pid = start(), fd = pidfd_open(pid, 0);
    info.si_code = SI_USER;
    TRY(pidfd_signal(fd, SIGUSR1, &info, 0));
    TRY(pidfd_signal(fd, SIGKILL, NULL, 0));
    waited(P_PIDFD, fd, WEXITED);
    close(fd), close(self), close(go[1]);
}

static void cloning(void) {
    int fd = -1;
    struct clone_args args = {.flags = CLONE_PIDFD, .pidfd = (uintptr_t)&fd, .exit_signal = SIGCHLD};
    int pid = syscall(SYS_clone3, &args, sizeof args);
    if (pid == 0) _exit(3);
    TRY(fd >= 0);
    TRY(fcntl(fd, F_GETFD));
    events(fd, 10000);
    waited(P_PIDFD, fd, WEXITED);
    close(fd);
    pid = syscall(SYS_clone, CLONE_PIDFD | SIGCHLD, NULL, &fd, NULL, NULL);
    if (pid == 0) _exit(4);
    waited(P_PIDFD, fd, WEXITED);
    close(fd);
    int tid;
    TRY(syscall(SYS_clone, CLONE_PIDFD | CLONE_PARENT_SETTID | SIGCHLD, NULL, &tid, NULL, NULL));
    TRY(syscall(SYS_clone, CLONE_PIDFD | CLONE_DETACHED | SIGCHLD, NULL, &tid, NULL, NULL));
    args.pidfd = 8;
    TRY(syscall(SYS_clone3, &args, sizeof args));
}

static char shared_text[] = "what the child says", other_text[100];

static void looking(void) {
    int child = start(), fd = pidfd_open(child, 0);
    int there = pidfd_getfd(fd, 1, 0);
    TRY(there >= 0);
    TRY(fcntl(there, F_GETFD));
    TRY(pidfd_getfd(fd, 99, 0));
    TRY(pidfd_getfd(fd, 1, 1));
    TRY(pidfd_getfd(0, 1, 0));
    shared_text[0] = 'W';
    char a[5] = {0}, b[30] = {0};
    struct iovec local[] = {{a, 4}, {b, 20}}, remote[] = {{shared_text, 10}, {shared_text + 10, 9}};
    TRY(process_vm_readv(child, local, 2, remote, 2, 0));
    printf("%s|%s\n", a, b);
    strcpy(b, "written");
    struct iovec from = {b, 8}, to = {other_text, 8}, bad[] = {{other_text, 8}, {(void *)8, 8}};
    TRY(process_vm_writev(child, &from, 1, &to, 1, 0));
    memset(b, 0, sizeof b);
    TRY(process_vm_readv(child, &from, 1, &to, 1, 0));
    printf("%s|%s\n", b, other_text);
    from.iov_len = 16;
    TRY(process_vm_readv(child, &from, 1, bad, 2, 0));
    TRY(process_vm_readv(child, &from, 1, bad + 1, 1, 0));
    TRY(process_vm_readv(child, bad + 1, 1, &to, 1, 0));
    TRY(process_vm_readv(child, &from, 1, &to, 1, 1));
    TRY(process_vm_readv(child, &from, 1025, &to, 1, 0));
    TRY(process_vm_readv(4000000, &from, 1, &to, 1, 0));
    TRY(process_vm_readv(child, &from, 0, &to, 1, 0));
    TRY(process_vm_readv(child, NULL, 1, &to, 1, 0));
    TRY(process_vm_writev(child, &from, 1, &(struct iovec){(void *)looking, 4}, 1, 0));
    int other = fork();
    if (other == 0) {
        setgid(1000), setuid(1000);
        TRY(process_vm_readv(child, &from, 1, &to, 1, 0));
        TRY(pidfd_getfd(fd, 1, 0));
        TRY(pidfd_signal(fd, SIGTERM, NULL, 0));
        fflush(stdout);
        _exit(0);
    }
    waitpid(other, NULL, 0);
    close(go[1]);
    waited(P_PIDFD, fd, WEXITED);
    TRY(process_vm_readv(child, &from, 1, &to, 1, 0));
}

static void comparing(void) {
    int child = start(), self = getpid(), copy = dup(0), again = open("/dev/null", O_RDONLY);
    TRY(syscall(SYS_kcmp, self, self, 0, 0, copy));
    TRY(syscall(SYS_kcmp, self, self, 0, 0, again) > 0);
    TRY(syscall(SYS_kcmp, self, child, 0, 0, 0));
    TRY(syscall(SYS_kcmp, self, child, 0, 0, 99));
    TRY(syscall(SYS_kcmp, self, self, 1, 0, 0));
    TRY(syscall(SYS_kcmp, self, child, 1, 0, 0) > 0);
    TRY(syscall(SYS_kcmp, self, child, 2, 0, 0) > 0);
    TRY(syscall(SYS_kcmp, self, child, 3, 0, 0) > 0);
    TRY(syscall(SYS_kcmp, self, child, 4, 0, 0) > 0);
    TRY(syscall(SYS_kcmp, self, child, 6, 0, 0));
    TRY(syscall(SYS_kcmp, self, child, 99, 0, 0));
    TRY(syscall(SYS_kcmp, self, 4000000, 1, 0, 0));
    close(go[1]);
    waitpid(child, NULL, 0);
}

int main(void) {
    opening();
    nonblocking();
    signals();
    cloning();
    looking();
    comparing();
    // A directory of /proc stands for its process here, and nowhere else.
    int directory = open("/proc/self", O_RDONLY | O_DIRECTORY);
    TRY(syscall(SYS_pidfd_send_signal, directory, 0, NULL, 0));
    TRY(syscall(SYS_pidfd_getfd, directory, 1, 0));
    TRY(syscall(SYS_pidfd_send_signal, open("/proc", O_RDONLY | O_DIRECTORY), 0, NULL, 0));
    return 0;
}
