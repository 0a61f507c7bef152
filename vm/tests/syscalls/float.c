// Floating point in loops long enough to be compiled: rounding modes changed on the way, NaN, infinities, conversions.
#include "report.h"
#include <fenv.h>
#include <float.h>
#include <immintrin.h>
#include <math.h>

static void bits(const char *what, double value) {
    uint64_t raw;
    memcpy(&raw, &value, 8);
    printf("%s %016lx\n", what, raw);
}

// Not inlined, so that all modes run the same code.
__attribute__((noinline)) static double sum(double step, int count) {
    double total = 0;
    for (int i = 1; i <= count; i++) total += step / i;
    return total;
}

__attribute__((noinline)) static float sum_single(float step, int count) {
    float total = 0;
    for (int i = 1; i <= count; i++) total += step * i / 3;
    return total;
}

__attribute__((noinline)) static long convert(double from, int count) {
    long total = 0;
    for (int i = 0; i < count; i++) total += lrint(from + i * 0.25) + (int)(from * i);
    return total;
}

// The mode changes within the loop.
__attribute__((noinline)) static double alternate(int count) {
    double total = 0;
    for (int i = 1; i <= count; i++) {
        fesetround(i & 1 ? FE_UPWARD : FE_DOWNWARD);
        total += 1.0 / i;
    }
    fesetround(FE_TONEAREST);
    return total;
}

__attribute__((noinline)) static int compare(double a, double b, int count) {
    int bits = 0;
    for (int i = 0; i < count; i++)
        bits = (a < b) | (a <= b) << 1 | (a == b) << 2 | (a >= b) << 3 | (a > b) << 4 | (a != b) << 5 | isunordered(a, b) << 6;
    return bits;
}

static volatile double zero = 0.0;

int main(void) {
    static const int modes[] = {FE_TONEAREST, FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO};
    for (int round = 0; round < 3; round++) {
        for (unsigned i = 0; i < 4; i++) {
            fesetround(modes[i]);
            double total = sum(0.1, 500), single = sum_single(0.1f, 500);
            long whole = convert(-3.5, 300);
            fesetround(FE_TONEAREST);
            bits("sum", total);
            bits("single", single);
            printf("convert %ld\n", whole);
        }
        bits("alternate", alternate(400));
    }
    const double values[] = {0.0, -0.0, 1.0, -1.5, INFINITY, -INFINITY, NAN, DBL_MIN / 4, DBL_MAX};
    for (unsigned i = 0; i < 9; i++)
        for (unsigned j = 0; j < 9; j++) printf("%x%c", compare(values[i], values[j], 200), j == 8 ? '\n' : ' ');
    bits("0/0", zero / zero);
    bits("inf-inf", INFINITY * (zero + 1) - INFINITY);
    bits("sqrt", sqrt(zero - 1));
    bits("denormal", DBL_MIN / 3 * (zero + 1));
    printf("%d %ld\n", (int)(zero + 1e20), (long)(zero + NAN));
    // Denormals as zero, as programs compiled for speed ask for.
    _mm_setcsr(_mm_getcsr() | 0x8040);
    printf("mxcsr %x\n", _mm_getcsr() & ~0x3f);
    _mm_setcsr(0x1f80);
    return 0;
}
