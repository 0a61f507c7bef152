// `int $0x80` in 64-bit code: an i386 call, whose arguments are the low halves of registers.
#include "report.h"
#include "int80.h"
#include <sys/mman.h>
#include <sys/uio.h>
#include <ucontext.h>

// Numbers of i386; the headers have those of x86-64.
enum { WRITE = 4, GETPID = 20, PIPE = 42, KILL = 37, READV = 145, RT_SIGACTION = 174, RT_SIGPROCMASK = 175, MMAP2 = 192,
       SET_THREAD_AREA = 243, EXIT_GROUP = 252 };

static char *low;
static int calls;

static void handler(int signal) { calls++; }

// Which registers a call changes.
static void registers(void) {
    uint64_t in[8] = {~0ull, 1ull << 40 | 1, 3ull << 33, ~1ull, 0x1234567800000000, 5, 6, 7}, out[8];
    long result = 0xffffffff00000000 | GETPID;
    __asm__ volatile("mov (%[in]), %%r8\n mov 8(%[in]), %%r9\n mov 16(%[in]), %%r10\n mov 24(%[in]), %%r11\n"
                     "mov 32(%[in]), %%r12\n int $0x80\n mov %%r8, (%[out])\n mov %%r9, 8(%[out])\n mov %%r10, 16(%[out])\n"
                     "mov %%r11, 24(%[out])\n mov %%r12, 32(%[out])"
                     : "+a"(result) : [in] "S"(in), [out] "D"(out) : "r8", "r9", "r10", "r11", "r12", "memory");
    printf("%d", result == getpid());
    for (int i = 0; i < 5; i++) printf(" %lx", out[i]);
    printf("\n");
}

int main(void) {
    low = mmap((void *)0x30000000, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    registers();
    strcpy(low, "written\n");
    fflush(stdout);
    CALL(WRITE, 1, low, 8);
    CALL(WRITE, 1ull << 40 | 1, (uintptr_t)low | 7ull << 32, 1ull << 63 | 8);
    // All of rax is set.
    printf("%lx\n", INT80(WRITE, -1, low, 8));
    printf("%lx\n", INT80(5000));
    CALL(1ull << 32 | PIPE, low);
    int *fds = (int *)low;
    printf("%d %d\n", fds[0], fds[1]);
    write(fds[1], "abcdef", 6);
    uint32_t *iov = (uint32_t *)(low + 64);
    iov[0] = (uint32_t)(uintptr_t)low + 256, iov[1] = 2, iov[2] = iov[0] + 8, iov[3] = 3;
    CALL(READV, fds[0], iov, 2);
    printf("%.2s %.3s\n", low + 256, low + 264);
    long at = INT80(MMAP2, 0, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    printf("%d\n", at > 0 && at < 1l << 32);
    // A handler of i386's kind can't run here; what is asked can be seen by both kinds of call.
    struct sigaction action = {.sa_handler = handler};
    sigaction(SIGUSR1, &action, NULL);
    uint32_t *old = (uint32_t *)(low + 512);
    memset(old, 0x55, 32);
    CALL(RT_SIGACTION, SIGUSR1, 0, old, 8);
    printf("%d %x %x\n", old[0] == (uint32_t)(uintptr_t)handler, old[3], old[4]);
    CALL(KILL, getpid(), SIGUSR1);
    printf("%d\n", calls);
    uint64_t *set = (uint64_t *)(low + 1024);
    *set = 1ull << 40;
    CALL(RT_SIGPROCMASK, SIG_BLOCK, set, set, 8);
    sigset_t now;
    sigprocmask(SIG_BLOCK, NULL, &now);
    printf("%d\n", sigismember(&now, 41));
    CALL(SET_THREAD_AREA, 4);
    fflush(stdout);
    int pid = fork();
    if (pid == 0) INT80(EXIT_GROUP, 1ull << 35 | 7);
    int status;
    waitpid(pid, &status, 0);
    printf("%x\n", status);
    return 0;
}
