// XSAVE and its relatives, and the floating-point state in signal frames. Only x87 and SSE are asked for: what else the
// processor has, we have not.
#include "report.h"
#include <setjmp.h>
#include <stddef.h>
#include <ucontext.h>

enum { AREA = 4096, HEADER = 512, END = 576 };
static unsigned char area[AREA] __attribute__((aligned(64)));
static unsigned char other[AREA] __attribute__((aligned(64)));

#define PASTE(name, at, mask) __asm__ volatile(name " %0" : "+m"(*(unsigned char(*)[AREA])(at)) : "a"(mask), "d"(0) : "memory")

// Registers nobody else touches between here and the instruction: all in one statement.
static void fill_and(int kind, unsigned mask, void *at) {
    static const double pi = 3.25;
    static const unsigned words[8] = {1, 2, 3, 4, 0x7f800001, 6, 7, 8};
    unsigned mxcsr = 0x5f80;
    unsigned short control = 0x027f;
    __asm__ volatile("fninit\n fldl %0\n fld1\n fldz\n fldcw %3\n movups %1, %%xmm0\n movups 16+%1, %%xmm7\n ldmxcsr %2"
                     : : "m"(pi), "m"(words), "m"(mxcsr), "m"(control) : "memory");
    if (kind == 0) PASTE("xsave", at, mask);
    if (kind == 1) PASTE("xsaveopt", at, mask);
    if (kind == 2) PASTE("xsavec", at, mask);
    unsigned usual = 0x1f80;
    __asm__ volatile("fninit\n ldmxcsr %0" : : "m"(usual));
}

// What a processor counts as in use when it is as after a reset is its own affair: then `is_used` is 0.
static void show(const char *what, const unsigned char *at, int is_used) {
    unsigned short control, status;
    unsigned mxcsr;
    uint64_t present, compaction;
    memcpy(&control, at, 2);
    memcpy(&status, at + 2, 2);
    memcpy(&mxcsr, at + 24, 4);
    memcpy(&present, at + HEADER, 8);
    memcpy(&compaction, at + HEADER + 8, 8);
    printf("%s: control %x status %x tags %x mxcsr %x", what, control, status, at[4], mxcsr);
    if (is_used) printf(" present %llx compaction %llx", (unsigned long long)present, (unsigned long long)compaction);
    puts("");
    for (int i = 0; i < 3; i++) {
        printf(" st%d", i);
        for (int j = 9; j >= 0; j--) printf("%s%02x", j == 7 ? " " : "", at[32 + 16 * i + j]);
    }
    for (int i = 0; i < 8; i += 7) {
        printf(" xmm%d ", i);
        for (int j = 15; j >= 0; j--) printf("%02x", at[160 + 16 * i + j]);
    }
    int rest = 1;
    for (int i = HEADER + 16; i < END; i++) rest &= at[i] == 0xa5 || at[i] == 0;
    for (int i = END; i < END + 64; i++) rest &= at[i] == 0xa5;
    printf(" rest %s\n", rest ? "untouched" : "changed");
}

static void saves(void) {
    static const char *const names[] = {"xsave", "xsaveopt", "xsavec"};
    for (int kind = 0; kind < 3; kind++)
        for (unsigned mask = 1; mask <= 3; mask++) {
            char what[32];
            memset(area, 0xa5, AREA);
            memset(area + HEADER, 0, 64);
            fill_and(kind, mask, area);
            snprintf(what, sizeof what, "%s %u", names[kind], mask);
            show(what, area, 1);
        }
    // Bits that were not asked for stay.
    memset(area, 0xa5, AREA);
    memset(area + HEADER, 0, 64);
    area[HEADER] = 2;
    fill_and(0, 1, area);
    printf("bits %x\n", area[HEADER]);
}

// Restores, and shows what the registers are then.
static void restored(const char *what, unsigned mask) {
    memset(other, 0xa5, AREA);
    memset(other + HEADER, 0, 64);
    unsigned usual = 0x1f80;
    __asm__ volatile("fninit\n fldpi\n pcmpeqd %%xmm0, %%xmm0\n pcmpeqd %%xmm7, %%xmm7\n"
                     "movl %2, %%eax\n xrstor %1\n movl $3, %%eax\n xsave %0\n fninit\n ldmxcsr %3"
                     : "+m"(other) : "m"(area), "r"(mask), "m"(usual), "d"(0) : "eax", "memory", "xmm0", "xmm7");
    show(what, other, 0);
}

static void restores(void) {
    for (int kind = 0; kind < 3; kind += 2)
        for (unsigned mask = 1; mask <= 3; mask++)
            for (unsigned present = 0; present <= 3; present++) {
                char what[32];
                memset(area, 0, AREA);
                fill_and(kind, 3, area);
                area[HEADER] = present;
                snprintf(what, sizeof what, "xrstor %d %u %u", kind, mask, present);
                restored(what, mask);
            }
}

static sigjmp_buf back;
static void jump(int signal) { siglongjmp(back, signal); }

static void refused(const char *what, void (*body)(void)) {
    int signal = sigsetjmp(back, 1);
    if (signal == 0) {
        body();
        printf("%s: done\n", what);
    } else {
        printf("%s: %s\n", what, strsignal(signal));
    }
}

static void misaligned(void) { PASTE("xsave", area + 16, 3); }
static void restore(void) { PASTE("xrstor", area, 3); }
static void no_control(void) { unsigned a, d; __asm__ volatile("xgetbv" : "=a"(a), "=d"(d) : "c"(77)); }

static void traps(void) {
    signal(SIGSEGV, jump);
    refused("misaligned", misaligned);
    memset(area, 0, AREA);
    fill_and(0, 3, area);
    refused("valid", restore);
    area[HEADER + 7] = 0x40;
    refused("a component nobody has", restore);
    area[HEADER + 7] = 0;
    area[HEADER + 20] = 1;
    refused("a reserved byte", restore);
    area[HEADER + 20] = 0;
    area[26] = 1;
    refused("a reserved bit of MXCSR", restore);
    area[26] = 0;
    area[HEADER + 15] = 0x80;
    refused("compacted without the components it has", restore);
    area[HEADER + 8] = 3;
    refused("compacted", restore);
    area[HEADER + 30] = 1;
    refused("compacted with a reserved byte", restore);
    refused("no such register", no_control);
    signal(SIGSEGV, SIG_DFL);
    unsigned a, d;
    __asm__ volatile("xgetbv" : "=a"(a), "=d"(d) : "c"(0));
    printf("enabled %x\n", a & 3);
}

// What the frame says of itself, and that changes to it count.
static int drops;
static void handler(int signal, siginfo_t *info, void *context) {
    ucontext_t *uc = context;
    unsigned char *state = (unsigned char *)uc->uc_mcontext.fpregs;
#ifdef __i386__
    state += 112;
#endif
    unsigned magic, size, area_size, end;
    uint64_t components;
    memcpy(&magic, state + 464, 4);
    memcpy(&size, state + 468, 4);
    memcpy(&components, state + 472, 8);
    memcpy(&area_size, state + 480, 4);
    memcpy(&end, state + area_size, 4);
    printf("flags %lx magic %x, end %x, %u bytes more, components %x, aligned %d\n", uc->uc_flags & 1, magic, end,
           size - area_size, (unsigned)components & 3, (int)((uintptr_t)state % 64));
    if (drops == 1) state[HEADER] &= ~2;
    if (drops == 2) memset(state + area_size, 0, 4);
    if (drops == 3) memset(state + 160, 0x11, 16);
    (void)signal;
    (void)info;
}

static void frames(void) {
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};
    sigaction(SIGUSR1, &action, NULL);
    pid_t self = getpid();
    for (drops = 0; drops <= 3; drops++) {
        unsigned words[4] = {1, 2, 3, 4};
        long result;
#ifdef __i386__
        __asm__ volatile("movups %1, %%xmm0\n int $0x80\n movups %%xmm0, %1"
                         : "=a"(result), "+m"(words) : "a"(37), "b"(self), "c"(SIGUSR1) : "memory", "xmm0");
#else
        __asm__ volatile("movups %1, %%xmm0\n syscall\n movups %%xmm0, %1"
                         : "=a"(result), "+m"(words) : "a"(62L), "D"((long)self), "S"((long)SIGUSR1)
                         : "memory", "xmm0", "rcx", "r11");
#endif
        printf("%d: %ld, %x %x %x %x\n", drops, result, words[0], words[1], words[2], words[3]);
    }
}

int main(void) {
    saves();
    restores();
    traps();
    frames();
    return 0;
}
