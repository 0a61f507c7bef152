// Floating-point exceptions that are not masked: SIGFPE at the next instruction that waits, what its handler is told,
// and what the unit is like in the handler.
#include "report.h"
#include <setjmp.h>
#include <signal.h>
#include <ucontext.h>

#ifdef __i386__
#define STATUS(unit) ((unsigned)(unit)->sw & 0xffff)
#define CONTROL(unit) ((unsigned)(unit)->cw & 0xffff)
#else
#define STATUS(unit) ((unsigned)(unit)->swd)
#define CONTROL(unit) ((unsigned)(unit)->cwd)
#endif

static sigjmp_buf back;
static float sink;

static void handler(int signal, siginfo_t *info, void *context) {
    ucontext_t *uc = context;
    unsigned short control;
    unsigned mxcsr;
    __asm__ volatile("fnstcw %0\n\tstmxcsr %1" : "=m"(control), "=m"(mxcsr));
    long long trap = uc->uc_mcontext.gregs[REG_TRAPNO];
    printf("signal %d code %d trap %lld address %s status %04x control %04x; here %04x %04x\n", signal, info->si_code, trap,
           (long)info->si_addr == uc->uc_mcontext.gregs[REG_RIP] ? "rip" : "other", STATUS(uc->uc_mcontext.fpregs),
           CONTROL(uc->uc_mcontext.fpregs), control, mxcsr);
    siglongjmp(back, 1);
}

// Unmasks everything; the instructions in `text` run with a above b on the stack.
#define EXCEPTION(what, text, a, b)                                                                                    \
    do {                                                                                                               \
        long double x = a, y = b;                                                                                      \
        unsigned short control = 0x340;                                                                                \
        if (sigsetjmp(back, 1) == 0) {                                                                                 \
            __asm__ volatile("fninit\n\tfldt %1\n\tfldt %0\n\tfldcw %2\n\t" text "\n\tnop\n\tfwait\n\tfninit"          \
                             :                                                                                         \
                             : "m"(x), "m"(y), "m"(control), "m"(sink)                                                            \
                             : "memory", "st", "st(1)", "st(2)", "st(3)", "st(4)", "st(5)", "st(6)", "st(7)");         \
            puts(what ": nothing");                                                                                    \
        } else {                                                                                                       \
            puts(what);                                                                                                \
        }                                                                                                              \
        __asm__ volatile("fninit");                                                                                    \
    } while (0)

static void all(void) {
    const long double huge = 0x1p10000L, tiny = 0x1p-10000L;
    EXCEPTION("exact", "fadd %%st(1), %%st", 1.0L, 2.0L);
    EXCEPTION("invalid", "fsqrt", -1.0L, 2.0L);
    EXCEPTION("stack", "fstp %%st\n\tfstp %%st\n\tfstp %%st", 1.0L, 2.0L);
    EXCEPTION("zero", "fdivp", 2.0L, 0.0L);
    EXCEPTION("overflow", "fmul %%st(0), %%st\n\tfmul %%st(1), %%st", huge, huge);
    EXCEPTION("underflow", "fmul %%st(0), %%st", tiny, 2.0L);
    EXCEPTION("inexact", "fdivp", 1.0L, 3.0L);
    EXCEPTION("store", "fstps %3", 1.1L, 1.0L);
    EXCEPTION("ignored", "fdivp\n\tfnclex", 2.0L, 0.0L);
    EXCEPTION("mmx", "fdivp\n\tmovd %%mm0, %%eax", 2.0L, 0.0L);
}

int main(void) {
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};
    sigaction(SIGFPE, &action, NULL);
    for (int round = 0; round < 2; round++) all();
    return 0;
}
