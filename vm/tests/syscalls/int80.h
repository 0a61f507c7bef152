// Calls by `int $0x80`, without the C library between.
#include <stddef.h>

static long int80(long number, long a, long b, long c, long d, long e, long f) {
    long result;
#ifdef __i386__
    // The sixth argument goes to the register that the compiler may be addressing the stack with.
    __asm__ volatile("pushl %[f]\n push %%ebp\n mov 4(%%esp), %%ebp\n int $0x80\n pop %%ebp\n add $4, %%esp"
                     : "=a"(result)
                     : "0"(number), "b"(a), "c"(b), "d"(c), "S"(d), "D"(e), [f] "m"(f) : "memory");
#else
    __asm__ volatile("push %%rbp\n mov %[f], %%rbp\n int $0x80\n pop %%rbp"
                     : "=a"(result)
                     : "0"(number), "b"(a), "c"(b), "d"(c), "S"(d), "D"(e), [f] "r"(f) : "memory");
#endif
    return result;
}

// Prints what a call came to: its result, or the name of its error.
static long show(const char *what, long result) {
    if (result < 0 && result > -4096) printf("%s: %s\n", what, strerrorname_np(-result));
    else printf("%s: %ld\n", what, result);
    fflush(stdout);
    return result;
}

#define ARGUMENTS(n, a, b, c, d, e, f, ...) n, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f)
#define INT80(...) int80(ARGUMENTS(__VA_ARGS__, 0, 0, 0, 0, 0, 0, 0))
#define CALL(...) show(#__VA_ARGS__, INT80(__VA_ARGS__))
