#include "report.h"
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define IF(value, result) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, 1), BPF_STMT(BPF_RET | BPF_K, result)
#define OTHERWISE(result) BPF_STMT(BPF_RET | BPF_K, result)

static int apply(struct sock_filter *filter, int count, int flags) {
    struct sock_fprog program = {count, filter};
    return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
}
#define APPLY(flags, ...) apply((struct sock_filter[]){__VA_ARGS__}, sizeof((struct sock_filter[]){__VA_ARGS__}) / sizeof(struct sock_filter), flags)

static void in_child(void (*what)(void)) {
    fflush(stdout);
    int pid = fork(), status;
    if (pid == 0) {
        what();
        fflush(stdout);
        _exit(7);
    }
    waitpid(pid, &status, 0);
    printf("-> %x\n", status & ~0x80);
}

static void strict(void) {
    TRY(syscall(SYS_seccomp, SECCOMP_SET_MODE_STRICT, 1, NULL));
    TRY(prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT));
    write(1, "still writes\n", 13);
    syscall(SYS_getppid);
    write(1, "never\n", 6);
}

static void strict_exit(void) {
    prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT);
    syscall(SYS_exit, 3);
}

static void errors(void) {
    TRY(prctl(PR_GET_SECCOMP));
    TRY(APPLY(0, LOAD(nr), IF(SYS_getppid, SECCOMP_RET_ERRNO | 77), IF(SYS_getsid, SECCOMP_RET_ERRNO | 0),
              IF(SYS_getpgid, SECCOMP_RET_ERRNO | 0xffff), IF(SYS_umask, SECCOMP_RET_TRACE | 5), OTHERWISE(SECCOMP_RET_ALLOW)));
    TRY(prctl(PR_GET_SECCOMP));
    TRY(syscall(SYS_getppid));
    printf("%d\n", errno);
    TRY(syscall(SYS_getsid, 0));
    TRY(syscall(SYS_getpgid, 0));
    TRY(syscall(SYS_umask, 0));
    // By its arguments, and with a second filter on top.
    TRY(APPLY(SECCOMP_FILTER_FLAG_LOG, LOAD(nr), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_dup, 0, 3), LOAD(args[0]), IF(97, SECCOMP_RET_ERRNO | 33),
              OTHERWISE(SECCOMP_RET_ALLOW)));
    TRY(syscall(SYS_dup, 97));
    TRY(syscall(SYS_dup, 98));
    TRY(syscall(SYS_getppid));
    fflush(stdout);
    int pid = fork();
    if (pid == 0) {
        TRY(syscall(SYS_getppid));
        fflush(stdout);
        _exit(0);
    }
    waitpid(pid, NULL, 0);
    char line[200];
    FILE *f = fopen("/proc/self/status", "r");
    while (fgets(line, sizeof line, f))
        if (!strncmp(line, "Seccomp", 7) || !strncmp(line, "NoNew", 5)) printf("%s", line);
    TRY(syscall(SYS_seccomp, SECCOMP_SET_MODE_STRICT, 0, NULL));
}

static void computing(void) {
    // (nr * 2 + 1) ^ 1 - 1 in several ways, through memory and X.
    TRY(APPLY(0, LOAD(nr), BPF_STMT(BPF_ALU | BPF_MUL | BPF_K, 2), BPF_STMT(BPF_ST, 3), BPF_STMT(BPF_LDX | BPF_MEM, 3),
              BPF_STMT(BPF_LD | BPF_IMM, 1), BPF_STMT(BPF_ALU | BPF_ADD | BPF_X, 0), BPF_STMT(BPF_ALU | BPF_XOR | BPF_K, 1),
              BPF_STMT(BPF_MISC | BPF_TAX, 0), BPF_STMT(BPF_LD | BPF_W | BPF_LEN, 0), BPF_STMT(BPF_ALU | BPF_SUB | BPF_K, 63),
              BPF_STMT(BPF_ALU | BPF_NEG, 0), BPF_STMT(BPF_ALU | BPF_ADD | BPF_X, 0), BPF_STMT(BPF_ALU | BPF_ADD | BPF_K, 1),
              BPF_STMT(BPF_ALU | BPF_RSH | BPF_K, 1), BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, SYS_getppid, 2, 0),
              BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, SYS_getppid, 0, 1), OTHERWISE(SECCOMP_RET_ERRNO | 44), OTHERWISE(SECCOMP_RET_ALLOW)));
    TRY(syscall(SYS_getppid));
    TRY(syscall(SYS_getpid) == getpid());
}

static void caught(int signal, siginfo_t *info, void *context) {
    printf("signal %d code %d errno %d call %d arch %x\n", signal, info->si_code, info->si_errno, info->si_syscall == SYS_getppid, info->si_arch);
    fflush(stdout);
}

static void trap(void) {
    struct sigaction action = {.sa_sigaction = caught, .sa_flags = SA_SIGINFO};
    sigaction(SIGSYS, &action, NULL);
    TRY(APPLY(0, LOAD(nr), IF(SYS_getppid, SECCOMP_RET_TRAP | 12), OTHERWISE(SECCOMP_RET_ALLOW)));
    printf("%d\n", syscall(SYS_getppid) == SYS_getppid);
    signal(SIGSYS, SIG_IGN);
    fflush(stdout);
    syscall(SYS_getppid);
    printf("never\n");
}

static void kill_process(void) {
    APPLY(0, LOAD(nr), IF(SYS_getppid, SECCOMP_RET_KILL_PROCESS), OTHERWISE(SECCOMP_RET_ALLOW));
    syscall(SYS_getppid);
}

static void kill_thread(void) {
    APPLY(0, LOAD(nr), IF(SYS_getppid, SECCOMP_RET_KILL_THREAD), OTHERWISE(SECCOMP_RET_ALLOW));
    syscall(SYS_getppid);
}

static void *calls(void *result) {
    usleep(20000);
    *(long *)result = syscall(SYS_getppid) < 0 ? errno : 0;
    return NULL;
}

static void threads(void) {
    pthread_t id;
    long result = -1;
    pthread_create(&id, NULL, calls, &result);
    TRY(APPLY(SECCOMP_FILTER_FLAG_TSYNC, LOAD(nr), IF(SYS_getppid, SECCOMP_RET_ERRNO | 66), OTHERWISE(SECCOMP_RET_ALLOW)));
    pthread_join(id, NULL);
    printf("%ld\n", result);
}

static void refused(void) {
    TRY(APPLY(0, LOAD(nr)));
    TRY(APPLY(0, BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 64), OTHERWISE(0)));
    TRY(APPLY(0, BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 2), OTHERWISE(0)));
    TRY(APPLY(0, BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 4), OTHERWISE(0)));
    TRY(APPLY(0, BPF_STMT(BPF_LD | BPF_MEM, 4), OTHERWISE(0)));
    TRY(APPLY(0, BPF_STMT(BPF_ALU | BPF_DIV | BPF_K, 0), OTHERWISE(0)));
    TRY(APPLY(0, BPF_STMT(BPF_ALU | BPF_LSH | BPF_K, 32), OTHERWISE(0)));
    TRY(APPLY(0, BPF_STMT(BPF_ALU | BPF_MOD | BPF_K, 3), OTHERWISE(0)));
    TRY(APPLY(0, BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 5, 0), OTHERWISE(0)));
    TRY(APPLY(0, BPF_STMT(BPF_JMP | BPF_JA, 1), OTHERWISE(0)));
    TRY(APPLY(0x100, OTHERWISE(SECCOMP_RET_ALLOW)));
    TRY(apply(NULL, 0, 0));
    TRY(apply(NULL, 1, 0));
    TRY(apply(NULL, 5000, 0));
    TRY(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, NULL));
    TRY(syscall(SYS_seccomp, 99, 0, NULL));
    TRY(prctl(PR_SET_SECCOMP, 99, 0));
    unsigned action = SECCOMP_RET_ERRNO;
    TRY(syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action));
    action = 5;
    TRY(syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action));
    TRY(syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 1, &action));
    setgid(1000), setuid(1000);
    TRY(APPLY(0, OTHERWISE(SECCOMP_RET_ALLOW)));
    TRY(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
    TRY(APPLY(0, OTHERWISE(SECCOMP_RET_ALLOW)));
}

int main(void) {
    in_child(strict);
    in_child(strict_exit);
    in_child(errors);
    in_child(computing);
    in_child(trap);
    in_child(kill_process);
    in_child(kill_thread);
    in_child(threads);
    in_child(refused);
    return 0;
}
