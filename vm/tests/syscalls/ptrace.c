#include "report.h"
#include <elf.h>

#include <poll.h>
#include <pthread.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>

#ifdef __i386__
#define PC eip
#define SP esp
#define RESULT eax
#define CALL orig_eax
#define FIRST ebx
#else
#define PC rip
#define SP rsp
#define RESULT rax
#define CALL orig_rax
#define FIRST rdi
#endif

// What wait says of a stop.
static int status_of(int pid) {
    int status = 0, got = waitpid(pid, &status, __WALL);
    if (got < 0) printf("wait: %s\n", strerrorname_np(errno));
    else if (WIFSTOPPED(status)) printf("stopped by %d, event %d\n", WSTOPSIG(status), status >> 16);
    else if (WIFSIGNALED(status)) printf("killed by %d\n", WTERMSIG(status));
    else if (WIFEXITED(status)) printf("ended with %d\n", WEXITSTATUS(status));
    fflush(stdout);
    return status;
}

static struct user_regs_struct regs_of(int pid) {
    struct user_regs_struct regs = {0};
    if (ptrace(PTRACE_GETREGS, pid, 0, &regs) < 0) printf("registers: %s\n", strerrorname_np(errno));
    return regs;
}

static void proc_state(int pid) {
    char path[40], line[200];
    sprintf(path, "/proc/%d/status", pid);
    FILE *f = fopen(path, "r");
    while (f && fgets(line, sizeof line, f)) {
        if (!strncmp(line, "State:", 6)) printf("%s", line);
        if (!strncmp(line, "TracerPid:", 10)) printf("traced %d\n", atoi(line + 10) == getpid());
    }
    if (f) fclose(f);
    fflush(stdout);
}

// Waits until a process sleeps.
static void until_asleep(int pid) {
    char path[40], state = 0;
    sprintf(path, "/proc/%d/stat", pid);
    while (state != 'S') {
        usleep(1000);
        FILE *f = fopen(path, "r");
        fscanf(f, "%*d (%*[^)]) %c", &state);
        fclose(f);
    }
}

static void info_of(int pid) {
    siginfo_t info = {0};
    if (ptrace(PTRACE_GETSIGINFO, pid, 0, &info) < 0) printf("info: %s\n", strerrorname_np(errno));
    else printf("info: %d %d %s\n", info.si_signo, info.si_code, info.si_pid == pid ? "own" : "other");
    fflush(stdout);
}

static int start(void (*what)(void)) {
    fflush(stdout);
    int pid = fork();
    if (pid == 0) {
        ptrace(PTRACE_TRACEME, 0, 0, 0);
        raise(SIGSTOP);
        what();
        fflush(stdout);
        _exit(5);
    }
    status_of(pid);
    return pid;
}

static const char *call_name(long long number) {
    switch (number) {
    case SYS_getppid: return "getppid";
    case SYS_dup: return "dup";
    case SYS_getsid: return "getsid";
    case SYS_read: return "read";
    case SYS_pause: return "pause";
    case SYS_exit_group: return "exit_group";
    case -1: return "none";
    }
    return "other";
}

static void show_call(int pid) {
    struct __ptrace_syscall_info info = {0};
    long n = ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof info, &info);
    struct user_regs_struct regs = regs_of(pid);
    printf("%ld op %d arch %x ", n, info.op, info.arch);
    if (info.op == PTRACE_SYSCALL_INFO_ENTRY)
        printf("%s rax %ld", call_name(info.entry.nr), (long)regs.RESULT);
    if (info.op == PTRACE_SYSCALL_INFO_ENTRY && (info.entry.nr == SYS_dup || info.entry.nr == SYS_read))
        printf(" of %d %d", (int)info.entry.args[0], (int)regs.FIRST);
    if (info.op == PTRACE_SYSCALL_INFO_EXIT)
        printf("result %lld error %d of %s", info.exit.rval < 0 ? info.exit.rval : info.exit.rval > 0, info.exit.is_error,
               call_name((long)regs.CALL));
    printf(" pc %d sp %d\n", info.instruction_pointer == (unsigned long)regs.PC, info.stack_pointer == (unsigned long)regs.SP);
    fflush(stdout);
}

// ---- calls ----

static void makes_calls(void) {
    syscall(SYS_getppid);
    long bad = syscall(SYS_dup, 99);
    printf("dup %ld %s\n", bad, bad < 0 ? strerrorname_np(errno) : "");
    long changed = syscall(SYS_dup, 98);
    printf("dup %ld %s\n", changed, changed < 0 ? strerrorname_np(errno) : "");
    long none = syscall(SYS_getppid);
    printf("getppid %ld %s\n", none, none < 0 ? strerrorname_np(errno) : "");
    long result = syscall(SYS_getppid);
    printf("getppid %ld\n", result);
    long other = syscall(SYS_dup, 97);
    printf("dup %d\n", other == getppid());
    fflush(stdout);
}

static void next_call(int pid) {
    TRY(ptrace(PTRACE_SYSCALL, pid, 0, 0));
    status_of(pid);
}

static void calls(void) {
    int pid = start(makes_calls);
    TRY(ptrace(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACESYSGOOD));
    TRY(ptrace(PTRACE_SETOPTIONS, pid, 0, 0x1000000));
    show_call(pid);
    for (int i = 0; i < 4; i++) {
        next_call(pid);
        show_call(pid);
        info_of(pid);
    }
    struct user_regs_struct regs;
    int done = 0;
    while (done < 4) {
        ptrace(PTRACE_SYSCALL, pid, 0, 0);
        int status;
        waitpid(pid, &status, 0);
        if (!WIFSTOPPED(status)) break;
        struct __ptrace_syscall_info info = {0};
        ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof info, &info);
        regs = regs_of(pid);
        if (info.op == PTRACE_SYSCALL_INFO_ENTRY && info.entry.nr == SYS_dup && info.entry.args[0] == 98) {
            // Another argument.
            regs.FIRST = 1;
            ptrace(PTRACE_SETREGS, pid, 0, &regs);
            done++;
        } else if (info.op == PTRACE_SYSCALL_INFO_ENTRY && info.entry.nr == SYS_getppid && done == 1) {
            // No call at all.
            ptrace(PTRACE_POKEUSER, pid, offsetof(struct user_regs_struct, CALL), -1L);
            done++;
        } else if (info.op == PTRACE_SYSCALL_INFO_EXIT && (long)regs.CALL == SYS_getppid && done == 2) {
            // Another result.
            ptrace(PTRACE_POKEUSER, pid, offsetof(struct user_regs_struct, RESULT), 4711);
            done++;
        } else if (info.op == PTRACE_SYSCALL_INFO_ENTRY && info.entry.nr == SYS_dup && info.entry.args[0] == 97) {
            // Another call.
            ptrace(PTRACE_POKEUSER, pid, offsetof(struct user_regs_struct, CALL), SYS_getppid);
            done++;
        }
    }
    TRY(done);
    ptrace(PTRACE_CONT, pid, 0, 0);
    status_of(pid);
}

// ---- signals ----

static void handler(int signal) { printf("handler %d\n", signal), fflush(stdout); }

static void raises(void) {
    signal(SIGUSR1, handler), signal(SIGUSR2, handler), signal(SIGWINCH, SIG_IGN);
    for (int i = 0; i < 4; i++) raise(SIGUSR1);
    raise(SIGWINCH);
    printf("over\n");
}

static void signals(void) {
    int pid = start(raises);
    proc_state(pid);
    info_of(pid);
    ptrace(PTRACE_CONT, pid, 0, 0);
    status_of(pid);
    info_of(pid);
    ptrace(PTRACE_CONT, pid, 0, 0);
    status_of(pid);
    ptrace(PTRACE_CONT, pid, 0, SIGUSR1);
    status_of(pid);
    ptrace(PTRACE_CONT, pid, 0, SIGUSR2);
    status_of(pid);
    siginfo_t info;
    ptrace(PTRACE_GETSIGINFO, pid, 0, &info);
    info.si_code = SI_QUEUE;
    TRY(ptrace(PTRACE_SETSIGINFO, pid, 0, &info));
    info_of(pid);
    TRY(ptrace(PTRACE_CONT, pid, 0, 65));
    ptrace(PTRACE_CONT, pid, 0, SIGUSR1);
    status_of(pid);
    ptrace(PTRACE_CONT, pid, 0, SIGWINCH);
    status_of(pid);
    // One that kills.
    pid = start(raises);
    ptrace(PTRACE_CONT, pid, 0, SIGTERM);
    status_of(pid);
    ptrace(PTRACE_CONT, pid, 0, SIGTERM);
    status_of(pid);
    TRY(ptrace(PTRACE_CONT, pid, 0, 0));
    pid = start(raises);
    kill(pid, SIGKILL);
    status_of(pid);
}

static int go[2];

static void sleeps(void) {
    char c;
    struct sigaction restart = {.sa_handler = handler, .sa_flags = SA_RESTART};
    sigaction(SIGUSR1, &restart, NULL);
    signal(SIGUSR2, handler);
    siginterrupt(SIGUSR2, 1);
    long n = syscall(SYS_read, go[0], &c, 1);
    printf("read %ld %s\n", n, n < 0 ? strerrorname_np(errno) : "");
    n = syscall(SYS_read, go[0], &c, 1);
    printf("read %ld %s\n", n, n < 0 ? strerrorname_np(errno) : "");
    n = syscall(SYS_pause);
    printf("pause %ld %s\n", n, strerrorname_np(errno));
}

// Goes on to the start of a call that sleeps, and interrupts it.
static void interrupt(int pid, int with, int deliver) {
    for (;;) {
        ptrace(PTRACE_SYSCALL, pid, 0, 0);
        waitpid(pid, NULL, 0);
        struct user_regs_struct regs = regs_of(pid);
        if ((long)regs.RESULT == -ENOSYS && ((long)regs.CALL == SYS_read || (long)regs.CALL == SYS_pause)) break;
    }
    show_call(pid);
    ptrace(PTRACE_SYSCALL, pid, 0, 0);
    until_asleep(pid);
    kill(pid, with);
    status_of(pid);
    show_call(pid);
    ptrace(PTRACE_SYSCALL, pid, 0, 0);
    status_of(pid);
    struct user_regs_struct regs = regs_of(pid);
    printf("%s result %ld\n", call_name((long)regs.CALL), (long)regs.RESULT);
    ptrace(PTRACE_SYSCALL, pid, 0, deliver);
    status_of(pid);
    show_call(pid);
}

static void interruptions(void) {
    pipe(go);
    int pid = start(sleeps);
    ptrace(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACESYSGOOD);
    // Suppressed: the call is made again.
    interrupt(pid, SIGUSR1, 0);
    write(go[1], "x", 1);
    next_call(pid);
    show_call(pid);
    interrupt(pid, SIGUSR2, SIGUSR2);
    interrupt(pid, SIGUSR2, SIGUSR2);
    ptrace(PTRACE_CONT, pid, 0, 0);
    status_of(pid);
    // With a handler that restarts.
    pid = start(sleeps);
    ptrace(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACESYSGOOD);
    interrupt(pid, SIGUSR1, SIGUSR1);
    write(go[1], "xy", 2);
    ptrace(PTRACE_DETACH, pid, 0, 0);
    until_asleep(pid);
    kill(pid, SIGUSR2);
    status_of(pid);
    close(go[0]), close(go[1]);
}

// ---- events ----

static void *thread(void *argument) { return argument; }

static void makes_tasks(void) {
    int pid = fork();
    if (pid == 0) _exit(1);
    waitpid(pid, NULL, 0);
    pid = vfork();
    if (pid == 0) _exit(2);
    waitpid(pid, NULL, 0);
    pid = syscall(SYS_clone, SIGUSR1, NULL, NULL, NULL, NULL);
    if (pid == 0) _exit(3);
    waitpid(pid, NULL, __WALL);
    execl("/proc/self/exe", "ptrace", "again", NULL);
}

static void events(int options, int seized) {
    fflush(stdout);
    int pid = fork();
    if (pid == 0) {
        if (!seized) ptrace(PTRACE_TRACEME, 0, 0, 0);
        raise(SIGSTOP);
        signal(SIGUSR1, SIG_DFL);
        makes_tasks();
        _exit(9);
    }
    int status, children[10], known = 0;
    if (seized) {
        waitpid(pid, &status, WUNTRACED);
        TRY(ptrace(PTRACE_SEIZE, pid, 0, options));
        if (seized == 2) {
            // As strace does it.
            TRY(ptrace(PTRACE_INTERRUPT, pid, 0, 0));
            kill(pid, SIGCONT);
            status_of(pid);
            TRY(ptrace(PTRACE_LISTEN, pid, 0, 0));
            status_of(pid);
        } else {
            status_of(pid);
            kill(pid, SIGCONT);
        }
    } else {
        status_of(pid);
        ptrace(PTRACE_SETOPTIONS, pid, 0, options);
    }
    ptrace(PTRACE_CONT, pid, 0, 0);
    // The main one's stops in order; what its children do is told only when it has been collected.
    for (;;) {
        int got = waitpid(pid, &status, __WALL);
        if (got < 0 || !WIFSTOPPED(status)) break;
        unsigned long message = 0;
        int event = status >> 16;
        ptrace(PTRACE_GETEVENTMSG, pid, 0, &message);
        printf("%d event %d", WSTOPSIG(status), event);
        if (event == PTRACE_EVENT_FORK || event == PTRACE_EVENT_VFORK || event == PTRACE_EVENT_CLONE) {
            int child = message, one;
            waitpid(child, &one, __WALL);
            printf(", child %d event %d", WSTOPSIG(one), one >> 16);
            ptrace(PTRACE_CONT, child, 0, 0);
            waitpid(child, &one, __WALL);
            while (WIFSTOPPED(one)) {
                printf(", %d event %d", WSTOPSIG(one), one >> 16);
                ptrace(PTRACE_CONT, child, 0, 0);
                waitpid(child, &one, __WALL);
            }
            printf(", %x", one);
        } else if (event == PTRACE_EVENT_EXEC) {
            printf(", was itself %d", message == (unsigned long)pid);
        } else if (event == PTRACE_EVENT_EXIT) {
            printf(", status %lx", message);
        }
        printf("\n");
        fflush(stdout);
        ptrace(PTRACE_CONT, pid, 0, event == 0 && WSTOPSIG(status) != SIGTRAP ? WSTOPSIG(status) : 0);
    }
    printf("%x\n", status);
    fflush(stdout);
    while (waitpid(-1, NULL, __WALL) > 0) continue;
}

static void runs_thread(void) {
    pthread_t id;
    pthread_create(&id, NULL, thread, NULL);
    pthread_join(id, NULL);
    // What is left of it ends before its process does.
    usleep(20000);
}

static void threads(void) {
    int pid = start(runs_thread);
    ptrace(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACECLONE);
    ptrace(PTRACE_CONT, pid, 0, 0);
    status_of(pid);
    unsigned long tid = 0;
    ptrace(PTRACE_GETEVENTMSG, pid, 0, &tid);
    TRY(tid > 0 && tid != (unsigned long)pid);
    status_of(tid);
    ptrace(PTRACE_CONT, tid, 0, 0);
    ptrace(PTRACE_CONT, pid, 0, 0);
    status_of(tid);
    status_of(pid);
}

// ---- instructions and memory ----

void stepped(void);
extern char step_here[], step_there[], step_end[];
__asm__(".globl stepped, step_here, step_there, step_end\n"
        "stepped: nop\n"
        "step_here: xor %eax, %eax\n"
        "inc %eax\n"
        "jmp 1f\n"
        "nop\n"
        "1: call 2f\n"
        "step_there: nop\n"
        "ret\n"
        "2: cmp $1, %eax\n"
        "jne 1b\n"
        "step_end: ret\n");

static int counted;
__attribute__((noinline)) static int counts(int by) {
    __asm__ volatile("");
    return counted += by;
}

static volatile long variable = 0x1234;

static void works(void) {
    for (int i = 0; i < 3000; i++) counts(1);
    kill(getpid(), SIGUSR1);
    for (int i = 0; i < 10; i++) counts(1);
    printf("counted %d, variable %lx\n", counted, variable);
    __asm__ volatile("int3");
    stepped();
    stepped();
}

static void memory(void) {
    int pid = start(works);
    TRY(ptrace(PTRACE_CONT, pid, 0, 0));
    status_of(pid);
    errno = 0;
    printf("%lx\n", ptrace(PTRACE_PEEKDATA, pid, &variable, 0));
    TRY(ptrace(PTRACE_POKEDATA, pid, &variable, 0x5678));
    TRY(ptrace(PTRACE_PEEKDATA, pid, 8, 0));
    TRY(ptrace(PTRACE_POKEDATA, pid, 8, 0));
    TRY(ptrace(PTRACE_PEEKUSER, pid, 1, 0));
    TRY(ptrace(PTRACE_PEEKUSER, pid, 100000, 0));
    // A breakpoint where code has run often.
    long code = ptrace(PTRACE_PEEKTEXT, pid, counts, 0);
    TRY(ptrace(PTRACE_POKETEXT, pid, counts, (code & ~0xffL) | 0xcc));
    int hits = 0;
    for (int i = 0; i < 3; i++) {
        ptrace(PTRACE_CONT, pid, 0, 0);
        int status;
        waitpid(pid, &status, 0);
        struct user_regs_struct regs = regs_of(pid);
        hits += WIFSTOPPED(status) && WSTOPSIG(status) == SIGTRAP && (unsigned long)regs.PC == (unsigned long)counts + 1;
        ptrace(PTRACE_POKETEXT, pid, counts, code);
        regs.PC--;
        ptrace(PTRACE_SETREGS, pid, 0, &regs);
        ptrace(PTRACE_SINGLESTEP, pid, 0, 0);
        waitpid(pid, &status, 0);
        ptrace(PTRACE_POKETEXT, pid, counts, (code & ~0xffL) | 0xcc);
    }
    TRY(hits);
    ptrace(PTRACE_POKETEXT, pid, counts, code);
    // Through /proc.
    char path[40];
    sprintf(path, "/proc/%d/mem", pid);
    int mem = open(path, O_RDWR);
    long value = 0;
    TRY(pread(mem, &value, sizeof value, (off_t)(uintptr_t)&variable) == sizeof value);
    printf("%lx\n", value);
    value = 0x9abc;
    TRY(pwrite(mem, &value, sizeof value, (off_t)(uintptr_t)&variable) == sizeof value);
    unsigned char byte;
    pread(mem, &byte, 1, (off_t)(uintptr_t)stepped);
    printf("%x\n", byte);
    TRY(pwrite(mem, &byte, 1, (off_t)(uintptr_t)stepped));
    TRY(pread(mem, &byte, 1, 8));
    close(mem);
    ptrace(PTRACE_CONT, pid, 0, 0);
    status_of(pid);
    info_of(pid);
    // Steps.
    for (int i = 0; i < 40; i++) {
        ptrace(PTRACE_SINGLESTEP, pid, 0, 0);
        int status;
        waitpid(pid, &status, 0);
        unsigned long at = regs_of(pid).PC;
        if (at < (unsigned long)stepped || at > (unsigned long)step_end) continue;
        siginfo_t info;
        ptrace(PTRACE_GETSIGINFO, pid, 0, &info);
        printf("%x at +%ld code %d\n", status, at - (unsigned long)stepped, info.si_code);
        if (at == (unsigned long)step_there) break;
    }
    ptrace(PTRACE_CONT, pid, 0, 0);
    status_of(pid);
}

static void steps_calls(void) {
    signal(SIGUSR1, handler);
#ifdef __i386__
    __asm__ volatile("int3; int $0x80" ::"a"(SYS_getppid) : "memory");
#else
    __asm__ volatile("int3; syscall" ::"a"(SYS_getppid) : "rcx", "r11", "memory");
#endif
}

static void steps(void) {
    int pid = start(steps_calls);
    ptrace(PTRACE_CONT, pid, 0, 0);
    status_of(pid);
    // Over a call, and into a handler.
    int calls = 0, traps = 0;
    for (int i = 0; i < 300 && !calls; i++) {
        errno = 0;
        unsigned long pc = regs_of(pid).PC;
        long code = ptrace(PTRACE_PEEKTEXT, pid, pc, 0);
        int is_call = (code & 0xffff) == 0x050f || (code & 0xffff) == 0x80cd;
        ptrace(PTRACE_SINGLESTEP, pid, 0, 0);
        int status;
        waitpid(pid, &status, 0);
        traps += WSTOPSIG(status) == SIGTRAP;
        if (is_call) {
            calls++;
            siginfo_t info;
            ptrace(PTRACE_GETSIGINFO, pid, 0, &info);
            printf("after a call: %lu, code %d\n", (unsigned long)regs_of(pid).PC - pc, info.si_code);
        }
    }
    TRY(calls > 0);
    kill(pid, SIGUSR1);
    ptrace(PTRACE_CONT, pid, 0, 0);
    status_of(pid);
    ptrace(PTRACE_SINGLESTEP, pid, 0, SIGUSR1);
    status_of(pid);
    info_of(pid);
    TRY((unsigned long)regs_of(pid).PC == (unsigned long)handler);
    ptrace(PTRACE_CONT, pid, 0, 0);
    status_of(pid);
}

static void register_sets(void) {
    int pid = start(raises);
    struct user_regs_struct regs;
    struct iovec v = {&regs, sizeof regs};
    TRY(ptrace(PTRACE_GETREGSET, pid, NT_PRSTATUS, &v));
    printf("%d %d\n", v.iov_len == sizeof regs, !memcmp(&regs, (struct user_regs_struct[]){regs_of(pid)}, sizeof regs));
    v.iov_len = 2 * sizeof(long);
    TRY(ptrace(PTRACE_GETREGSET, pid, NT_PRSTATUS, &v));
    printf("%d\n", (int)(v.iov_len / sizeof(long)));
    v.iov_len = 3;
    TRY(ptrace(PTRACE_GETREGSET, pid, NT_PRSTATUS, &v));
    TRY(ptrace(PTRACE_GETREGSET, pid, 99, &v));
    char fp[4096];
    v = (struct iovec){fp, sizeof fp};
    TRY(ptrace(PTRACE_GETREGSET, pid, NT_FPREGSET, &v));
    printf("%d\n", (int)v.iov_len);
    // Processors have areas of different sizes.
    char *area = calloc(1, 16384);
    v = (struct iovec){area, 16384};
    TRY(ptrace(PTRACE_GETREGSET, pid, 0x202, &v));
    printf("%d enabled %d control %x mxcsr %x\n", v.iov_len >= 576, area[464] & 3, *(uint16_t *)area, *(uint32_t *)(area + 24));
    area[160] = 77;
    area[512] |= 2;
    size_t whole = v.iov_len;
    TRY(ptrace(PTRACE_SETREGSET, pid, 0x202, &v));
    v.iov_len = 512;
    TRY(ptrace(PTRACE_SETREGSET, pid, 0x202, &v));
    v.iov_len = whole;
    area[26] = 1;
    TRY(ptrace(PTRACE_SETREGSET, pid, 0x202, &v));
    memset(area, 0, whole);
    TRY(ptrace(PTRACE_GETREGSET, pid, 0x202, &v));
    printf("xmm0 %d\n", area[160]);
    struct user_fpregs_struct fpregs;
    TRY(ptrace(PTRACE_GETFPREGS, pid, 0, &fpregs));
    TRY(ptrace(PTRACE_SETFPREGS, pid, 0, &fpregs));
    uint64_t mask = 0;
    TRY(ptrace(0x420a, pid, 8, &mask));
    printf("%llx\n", (unsigned long long)mask);
    mask = 1ull << (SIGUSR1 - 1);
    TRY(ptrace(0x420b, pid, 8, &mask));
    TRY(ptrace(0x420a, pid, 4, &mask));
    ptrace(PTRACE_CONT, pid, 0, 0);
    status_of(pid);
    ptrace(PTRACE_DETACH, pid, 0, 0);
    status_of(pid);
}

// ---- attaching ----

static void ends_when_told(void) {
    char c;
    while (read(go[0], &c, 1) < 0) continue;
    _exit(6);
}

static int other(void) {
    pipe(go);
    fflush(stdout);
    int pid = fork();
    if (pid == 0) ends_when_told();
    until_asleep(pid);
    return pid;
}

static void attaching(void) {
    int pid = other();
    TRY(ptrace(PTRACE_CONT, pid, 0, 0));
    TRY(ptrace(PTRACE_ATTACH, pid, 0, 0));
    TRY(ptrace(PTRACE_ATTACH, pid, 0, 0));
    status_of(pid);
    proc_state(pid);
    siginfo_t info = {0};
    TRY(ptrace(PTRACE_INTERRUPT, pid, 0, 0));
    TRY(ptrace(PTRACE_DETACH, pid, 0, 0));
    TRY(ptrace(PTRACE_DETACH, pid, 0, 0));
    until_asleep(pid);
    TRY(ptrace(PTRACE_SEIZE, pid, 0, PTRACE_O_TRACESYSGOOD));
    TRY(ptrace(PTRACE_CONT, pid, 0, 0));
    TRY(ptrace(PTRACE_INTERRUPT, pid, 0, 0));
    waitid(P_PID, pid, &info, WSTOPPED);
    printf("%d %d %x\n", info.si_signo, info.si_code, info.si_status);
    info_of(pid);
    struct user_regs_struct regs = regs_of(pid);
    printf("%s %ld\n", call_name((long)regs.CALL), (long)regs.RESULT);
    TRY(ptrace(PTRACE_CONT, pid, 0, 0));
    until_asleep(pid);
    // Stopped with its process.
    kill(pid, SIGSTOP);
    status_of(pid);
    TRY(ptrace(PTRACE_CONT, pid, 0, SIGSTOP));
    status_of(pid);
    proc_state(pid);
    TRY(ptrace(PTRACE_LISTEN, pid, 0, 0));
    TRY(ptrace(PTRACE_CONT, pid, 0, 0));
    kill(pid, SIGCONT);
    status_of(pid);
    TRY(ptrace(PTRACE_LISTEN, pid, 0, 0));
    TRY(ptrace(PTRACE_INTERRUPT, pid, 0, 0));
    status_of(pid);
    TRY(ptrace(PTRACE_CONT, pid, 0, 0));
    status_of(pid);
    TRY(ptrace(PTRACE_CONT, pid, 0, SIGCONT));
    write(go[1], "x", 1);
    status_of(pid);
    TRY(ptrace(PTRACE_ATTACH, getpid(), 0, 0));
    TRY(ptrace(PTRACE_ATTACH, 4000000, 0, 0));
    fflush(stdout);
    if ((pid = fork()) == 0) {
        TRY(ptrace(PTRACE_TRACEME, 0, 0, 0));
        TRY(ptrace(PTRACE_TRACEME, 0, 0, 0));
        _exit(0);
    }
    status_of(pid);
}

// A tracer that is not the parent.
static void third_party(void) {
    int pid = other(), ready[2];
    pipe(ready);
    int tracer = fork();
    if (tracer == 0) {
        TRY(ptrace(PTRACE_SEIZE, pid, 0, 0));
        write(ready[1], "x", 1);
        status_of(pid);
        fflush(stdout);
        _exit(0);
    }
    char c;
    read(ready[0], &c, 1);
    write(go[1], "x", 1);
    waitpid(tracer, NULL, 0);
    status_of(pid);
    // A tracer that ends, and takes its tracee with it or not.
    for (int kills = 0; kills < 2; kills++) {
        pid = other();
        tracer = fork();
        if (tracer == 0) {
            ptrace(PTRACE_SEIZE, pid, 0, kills ? PTRACE_O_EXITKILL : 0);
            ptrace(PTRACE_INTERRUPT, pid, 0, 0);
            status_of(pid);
            fflush(stdout);
            _exit(0);
        }
        waitpid(tracer, NULL, 0);
        write(go[1], "x", 1);
        status_of(pid);
    }
    pid = other();
    tracer = fork();
    if (tracer == 0) {
        setgid(1000), setuid(1000);
        TRY(ptrace(PTRACE_ATTACH, pid, 0, 0));
        fflush(stdout);
        _exit(0);
    }
    waitpid(tracer, NULL, 0);
    write(go[1], "x", 1);
    status_of(pid);
}

int main(int argc, char **argv) {
    if (argc > 1) return 0;
    calls();
    signals();
    interruptions();
    int all = PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC | PTRACE_O_TRACEVFORKDONE |
              PTRACE_O_TRACEEXIT;
    events(all, 0);
    events(all, 1);
    events(all, 2);
    events(0, 0);
    threads();
    memory();
    steps();
    register_sets();
    attaching();
    third_party();
    return 0;
}
