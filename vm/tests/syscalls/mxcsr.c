// What SSE's arithmetic notes in MXCSR and how it obeys it: <fenv.h>, denormals flushed, exceptions that are not masked.
#include "report.h"
#include <fenv.h>
#include <math.h>
#include <setjmp.h>
#include <ucontext.h>
#include <xmmintrin.h>

static volatile double zero, one = 1, three = 3, tiny = 0x1p-1060, least = 0x1p-1022, huge = 0x1p1000, nan_ = NAN;
static volatile float single_tiny = 0x1p-140f;
static sigjmp_buf back;

static void show(const char *what, double value) {
    unsigned noted = fetestexcept(FE_ALL_EXCEPT);
    unsigned denormal = _mm_getcsr() >> 1 & 1;
    printf("%s: %a%s%s%s%s%s%s\n", what, value, noted & FE_INVALID ? " invalid" : "", denormal ? " denormal" : "",
           noted & FE_DIVBYZERO ? " zero" : "", noted & FE_OVERFLOW ? " overflow" : "",
           noted & FE_UNDERFLOW ? " underflow" : "", noted & FE_INEXACT ? " inexact" : "");
    feclearexcept(FE_ALL_EXCEPT);
    _mm_setcsr(_mm_getcsr() & ~0x3fu);
}
#define SHOW(expression) show(#expression, expression)

static void all(void) {
    SHOW(one + one);
    SHOW(one / three);
    SHOW(one / zero);
    SHOW(zero / zero);
    SHOW(huge * huge);
    SHOW(least / three);
    SHOW(tiny * tiny);
    SHOW(tiny + one);
    SHOW(tiny + tiny);
    SHOW((float)huge);
    SHOW((float)(one / three));
    SHOW(single_tiny * 2.0f);
    SHOW((double)single_tiny);
    SHOW((int)(one * 1e10));
    SHOW((int)(one * 2.5));
    SHOW(sqrt(-one));
    SHOW(sqrt(three));
    SHOW(nan_ < one);
    SHOW(nan_ == one);
    SHOW(tiny < one);
    SHOW(isless(nan_, one));
    SHOW(fmin(nan_, one));
    SHOW(nearbyint(2.5));
    SHOW(rint(one * 2.5));
    SHOW(exp(one));
    SHOW(sin(one));
    SHOW(log(zero));
    SHOW(pow(huge, 2));
}

// Much the same often enough to be compiled, the exceptions of the last iterations looked at.
static void hot(void) {
    for (int round = 0; round < 2; round++) {
        double sum = 0;
        for (int i = 1; i < 4000; i++) sum += one / i;
        show("sum", sum);
        for (int i = 1; i < 4000; i++) sum = sum + 1;
        show("whole", round == 0 ? 0 : 1);
        for (int i = 0; i < 4000; i++) sum = i < 3999 ? one : tiny;
        show("moved", sum * one);
        float single = 0;
        for (int i = 1; i < 4000; i++) single += i == 3999 ? 1e38f * 10 * (float)one : 1.0f;
        show("single", single);
        double least_of = huge;
        for (int i = 0; i < 4000; i++) least_of = fmin(least_of, three - i * 0.5);
        show("least", least_of);
    }
}

static void handler(int signal, siginfo_t *info, void *context) {
    ucontext_t *uc = context;
#ifdef __i386__
    unsigned mxcsr = ((unsigned *)uc->uc_mcontext.fpregs)[28 + 6];
#else
    unsigned mxcsr = uc->uc_mcontext.fpregs->mxcsr;
#endif
    printf("signal %d code %d trap %d mxcsr %04x; here %04x\n", signal, info->si_code,
           (int)uc->uc_mcontext.gregs[REG_TRAPNO], mxcsr, _mm_getcsr());
    siglongjmp(back, 1);
}

#define RAISES(expression)                                                                                             \
    do {                                                                                                               \
        _mm_setcsr(0x1f80 & ~(exceptions << 7));                                                                       \
        if (sigsetjmp(back, 1) == 0) printf(#expression ": %a\n", (double)(expression));                               \
        else puts(#expression);                                                                                        \
        _mm_setcsr(0x1f80);                                                                                            \
    } while (0)

static void raised(unsigned exceptions) {
    printf("not masked: %x\n", exceptions);
    RAISES(one + one);
    RAISES(one / three);
    RAISES(one / zero);
    RAISES(zero / zero);
    RAISES(huge * huge);
    RAISES(least / three);
    RAISES(tiny + tiny);
    RAISES((int)(one * 1e10));
    RAISES(nan_ < one);
    RAISES((float)tiny);
    RAISES(sqrt(-one));
}

int main(void) {
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};
    sigaction(SIGFPE, &action, NULL);
    feclearexcept(FE_ALL_EXCEPT);
    static const int modes[] = {FE_TONEAREST, FE_DOWNWARD, FE_UPWARD, FE_TOWARDZERO};
    for (int i = 0; i < 4; i++) {
        printf("mode %d: %d\n", i, fesetround(modes[i]));
        all();
        hot();
    }
    fesetround(FE_TONEAREST);
    for (unsigned flush = 1; flush < 4; flush++) {
        printf("flush %u\n", flush);
        _mm_setcsr(0x1f80 | (flush & 1) << 15 | (flush >> 1) << 6);
        all();
        hot();
    }
    _mm_setcsr(0x1f80);
    for (unsigned exceptions = 1; exceptions < 0x40; exceptions <<= 1) raised(exceptions);
    raised(0x3f);
    hot();
    fenv_t held;
    feholdexcept(&held);
    show("held", one / zero);
    volatile double quotient = one / zero;
    feupdateenv(&held);
    show("updated", quotient);
    return 0;
}
