// What every guest program here needs.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

// Registers in a ucontext_t that have other names on i386.
#ifdef __i386__
#define REG_RIP REG_EIP
#define REG_RCX REG_ECX
#endif

// Descriptors left open by whoever started the program would change the numbers of its own.
__attribute__((constructor)) static void close_inherited(void) { close_range(3, ~0u, 0); }

// Prints what a call came to: its result, or the name of its error.
static long report(const char *what, long result) {
    if (result < 0) printf("%s: %s\n", what, strerrorname_np(errno));
    else printf("%s: %ld\n", what, result);
    fflush(stdout);
    return result;
}
#define TRY(call) report(#call, (long)(call))

// As TRY, for calls whose result differs from run to run.
static void ok(const char *what, long result) {
    if (result < 0) printf("%s: %s\n", what, strerrorname_np(errno));
    else printf("%s: ok\n", what);
    fflush(stdout);
}
#define OK(call) ok(#call, (long)(call))
