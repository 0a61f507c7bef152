// Tracers that answer calls themselves, are asked by filters, and watch memory.
#include "report.h"
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>

#ifdef __x86_64__
#define RESULT rax
#define NUMBER orig_rax
#define FIRST rdi
#define IP rip
#else
#define RESULT eax
#define NUMBER orig_eax
#define FIRST ebx
#define IP eip
#endif
#ifndef PTRACE_SYSEMU
#define PTRACE_SYSEMU 31
#define PTRACE_SYSEMU_SINGLESTEP 32
#endif
#define DEBUG(n) (offsetof(struct user, u_debugreg) + (n) * sizeof(long))

static int wait_for(pid_t pid) {
    int status;
    if (waitpid(pid, &status, __WALL) < 0) { printf("wait: %s\n", strerrorname_np(errno)); return -1; }
    if (WIFSTOPPED(status)) printf("stopped: %d event %d\n", WSTOPSIG(status), status >> 16);
    else if (WIFEXITED(status)) printf("exited: %d\n", WEXITSTATUS(status));
    else printf("killed: %d\n", WTERMSIG(status));
    fflush(stdout);
    return status;
}

static pid_t child(void (*work)(void)) {
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        ptrace(PTRACE_TRACEME, 0, 0, 0);
        raise(SIGSTOP);
        work();
        _exit(7);
    }
    wait_for(pid);
    return pid;
}

static struct user_regs_struct regs_of(pid_t pid) {
    struct user_regs_struct regs;
    ptrace(PTRACE_GETREGS, pid, 0, &regs);
    return regs;
}

static void set_result(pid_t pid, long result) {
    struct user_regs_struct regs = regs_of(pid);
    regs.RESULT = result;
    ptrace(PTRACE_SETREGS, pid, 0, &regs);
}

// ---- SYSEMU ----

static void emulated_work(void) {
    long answer = syscall(SYS_getpid);
    syscall(SYS_exit_group, answer == 4242 ? 42 : 1);
}

static void emulate(void) {
    pid_t pid = child(emulated_work);
    TRY(ptrace(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACESYSGOOD));
    TRY(ptrace(PTRACE_SYSEMU, pid, 0, 0));
    wait_for(pid);
    struct user_regs_struct regs = regs_of(pid);
    printf("getpid: %d, result %ld\n", (long)regs.NUMBER == SYS_getpid, (long)regs.RESULT);
    set_result(pid, 4242);
    TRY(ptrace(PTRACE_SYSEMU, pid, 0, 0));
    wait_for(pid);
    regs = regs_of(pid);
    printf("exit_group: %d, %ld\n", (long)regs.NUMBER == SYS_exit_group, (long)regs.FIRST);
    // It is not made either: the child goes on, to its other call.
    TRY(ptrace(PTRACE_SYSCALL, pid, 0, 0));
    wait_for(pid);
    printf("result %ld\n", (long)regs_of(pid).RESULT);
    TRY(ptrace(PTRACE_SYSEMU_SINGLESTEP, pid, 0, 0));
    wait_for(pid);
    TRY(ptrace(PTRACE_CONT, pid, 0, 0));
    wait_for(pid);
}

// ---- filters that ask ----

static void filter(void) {
    struct sock_filter instructions[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getppid, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRACE | 99),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getpgid, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | 33),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {6, instructions};
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

static void filtered_work(void) {
    filter();
    for (int i = 0; i < 5; i++) {
        errno = 0;
        long result = syscall(SYS_getppid);
        printf("child: %s\n", result == getpid() ? "itself" : result > 0 ? "parent" : strerrorname_np(errno));
        fflush(stdout);
    }
}

static void asked(pid_t pid) {
    unsigned long message = 0;
    ptrace(PTRACE_GETEVENTMSG, pid, 0, &message);
    struct user_regs_struct regs = regs_of(pid);
    printf("says %lu; getppid: %d, result %ld\n", message, (long)regs.NUMBER == SYS_getppid, (long)regs.RESULT);
    struct __ptrace_syscall_info info;
    long len = ptrace(0x420e, pid, sizeof info, &info);
    printf("%ld %d %d\n", len, info.op, info.seccomp.ret_data);
}

static void ask(void) {
    pid_t pid = child(filtered_work);
    TRY(ptrace(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACESECCOMP | PTRACE_O_TRACESYSGOOD));
    // Made as it is.
    ptrace(PTRACE_CONT, pid, 0, 0);
    wait_for(pid);
    asked(pid);
    // Another instead.
    ptrace(PTRACE_CONT, pid, 0, 0);
    wait_for(pid);
    struct user_regs_struct regs = regs_of(pid);
    regs.NUMBER = SYS_getpid;
    ptrace(PTRACE_SETREGS, pid, 0, &regs);
    // None, with a result.
    ptrace(PTRACE_CONT, pid, 0, 0);
    wait_for(pid);
    regs = regs_of(pid);
    regs.NUMBER = -1;
    regs.RESULT = -EXDEV;
    ptrace(PTRACE_SETREGS, pid, 0, &regs);
    // One that a filter refuses.
    ptrace(PTRACE_CONT, pid, 0, 0);
    wait_for(pid);
    regs = regs_of(pid);
    regs.NUMBER = SYS_getpgid;
    ptrace(PTRACE_SETREGS, pid, 0, &regs);
    // With stops at calls as well: before the filter, and after the call.
    ptrace(PTRACE_SYSCALL, pid, 0, 0);
    for (int i = 0; i < 40; i++) {
        int status = wait_for(pid);
        if (!WIFSTOPPED(status)) return;
        if (status >> 16 == 7) break;
        ptrace(PTRACE_SYSCALL, pid, 0, 0);
    }
    ptrace(PTRACE_SYSCALL, pid, 0, 0);
    wait_for(pid);
    TRY(ptrace(PTRACE_SETOPTIONS, pid, 0, 0));
    ptrace(PTRACE_CONT, pid, 0, 0);
    wait_for(pid);
}

// ---- debug registers ----

static volatile int watched = 1, other;
static volatile long long wide;
static volatile char text[16];

static void __attribute__((noinline)) reached(void) { other += 2; }

static void watched_work(void) {
    other = 1;
    watched = 5;
    other = 2;
    watched = 6;
    wide = 1ll << 40;
    text[5] = 'x';
    text[6] = 'y';
    reached();
    reached();
}

static void trapped(pid_t pid) {
    siginfo_t info;
    ptrace(PTRACE_GETSIGINFO, pid, 0, &info);
    struct user_regs_struct regs = regs_of(pid);
    long status = ptrace(PTRACE_PEEKUSER, pid, DEBUG(6), 0);
    printf("code %d here %d; status %lx; %ld %ld\n", info.si_code, (long)info.si_addr == (long)regs.IP, status & 0x400f,
        ptrace(PTRACE_PEEKDATA, pid, &watched, 0) & 0xffffffff, ptrace(PTRACE_PEEKDATA, pid, &other, 0) & 0xffffffff);
}

static void watch(void) {
    pid_t pid = child(watched_work);
    printf("%ld\n", ptrace(PTRACE_PEEKUSER, pid, DEBUG(7), 0));
    TRY(ptrace(PTRACE_POKEUSER, pid, DEBUG(4), 0));
    TRY(ptrace(PTRACE_POKEUSER, pid, DEBUG(0), &watched));
    TRY(ptrace(PTRACE_POKEUSER, pid, DEBUG(7), 0x000d0001));
    printf("%lx\n", ptrace(PTRACE_PEEKUSER, pid, DEBUG(7), 0));
    printf("%d\n", ptrace(PTRACE_PEEKUSER, pid, DEBUG(0), 0) == (long)&watched);
    // Not aligned, and for ports.
    TRY(ptrace(PTRACE_POKEUSER, pid, DEBUG(1), (char *)&other + 1));
    TRY(ptrace(PTRACE_POKEUSER, pid, DEBUG(7), 0x00dd0005));
    TRY(ptrace(PTRACE_POKEUSER, pid, DEBUG(7), 0x000e0001));
    TRY(ptrace(PTRACE_CONT, pid, 0, 0));
    wait_for(pid);
    trapped(pid);
    ptrace(PTRACE_POKEUSER, pid, DEBUG(6), 0);
    ptrace(PTRACE_CONT, pid, 0, 0);
    wait_for(pid);
    trapped(pid);
    // Several, of several lengths; and where code is.
    TRY(ptrace(PTRACE_POKEUSER, pid, DEBUG(7), 0));
    ptrace(PTRACE_POKEUSER, pid, DEBUG(0), (char *)&wide + 4);
    ptrace(PTRACE_POKEUSER, pid, DEBUG(1), text + 5);
    ptrace(PTRACE_POKEUSER, pid, DEBUG(2), text + 6);
    ptrace(PTRACE_POKEUSER, pid, DEBUG(3), reached);
    TRY(ptrace(PTRACE_POKEUSER, pid, DEBUG(7), 0x011d0055));
    for (int i = 0; i < 5; i++) {
        ptrace(PTRACE_CONT, pid, 0, 0);
        wait_for(pid);
        trapped(pid);
        if (i >= 3) printf("reached: %d\n", (void *)regs_of(pid).IP == (void *)reached);
    }
    ptrace(PTRACE_SINGLESTEP, pid, 0, 0);
    wait_for(pid);
    trapped(pid);
    ptrace(PTRACE_CONT, pid, 0, 0);
    wait_for(pid);
}

// ---- programs with rights of their own ----

static const char PRIVILEGED[] = "/tmp/ptrace-more-privileged";

static void execute_as_user(int tracer_too) {
    fflush(stdout);
    pid_t tracer = fork();
    if (tracer == 0) {
        if (tracer_too && setuid(1000) < 0) _exit(1);
        pid_t pid = fork();
        if (pid == 0) {
            if (!tracer_too && setuid(1000) < 0) _exit(1);
            ptrace(PTRACE_TRACEME, 0, 0, 0);
            execl(PRIVILEGED, PRIVILEGED, "ids", NULL);
            _exit(2);
        }
        wait_for(pid);
        ptrace(PTRACE_CONT, pid, 0, 0);
        wait_for(pid);
        _exit(0);
    }
    waitpid(tracer, NULL, 0);
}

static void privileged(void) {
    unlink(PRIVILEGED);
    int from = open("/proc/self/exe", O_RDONLY), to = open(PRIVILEGED, O_WRONLY | O_CREAT | O_EXCL, 0755);
    char bytes[65536];
    ssize_t n;
    while ((n = read(from, bytes, sizeof bytes)) > 0) write(to, bytes, n);
    TRY(fchmod(to, 04755));
    close(to);
    close(from);
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        setuid(1000);
        execl(PRIVILEGED, PRIVILEGED, "ids", NULL);
        _exit(2);
    }
    waitpid(pid, NULL, 0);
    execute_as_user(0);
    execute_as_user(1);
    unlink(PRIVILEGED);
}

int main(int argc, char **argv) {
    if (argc > 1) {
        uid_t real, effective, saved;
        getresuid(&real, &effective, &saved);
        printf("ids: %d %d %d\n", real, effective, saved);
        return 0;
    }
    emulate();
    ask();
    watch();
    privileged();
    return 0;
}
