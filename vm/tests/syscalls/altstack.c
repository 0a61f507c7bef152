// The alternate signal stack: what handlers find there, and what comes back with them.
#include "report.h"
#include <sys/ucontext.h>

#ifndef SS_AUTODISARM
#define SS_AUTODISARM (1u << 31)
#endif

static char stack[2][65536];

static void show(const char *what, stack_t s) {
    int which = s.ss_sp == stack[0] ? 0 : s.ss_sp == stack[1] ? 1 : s.ss_sp ? 2 : -1;
    printf("%s: %d flags %x size %ld\n", what, which, (unsigned)s.ss_flags, (long)s.ss_size);
}

static void now(const char *what) {
    stack_t s;
    sigaltstack(NULL, &s);
    show(what, s);
}

static int is_on(int which) {
    char here;
    return &here >= stack[which] && &here < stack[which] + sizeof stack[which];
}

static int change;
static void handler(int signal, siginfo_t *info, void *context) {
    ucontext_t *uc = context;
    (void)info;
    printf("handler on %d\n", is_on(0) ? 0 : is_on(1) ? 1 : -1);
    show("frame", uc->uc_stack);
    now("in handler");
    stack_t other = {.ss_sp = stack[1], .ss_size = sizeof stack[1]};
    TRY(sigaltstack(&other, NULL));
    if (change == 1) uc->uc_stack = (stack_t){.ss_sp = stack[1], .ss_size = 30000};
    if (change == 2) uc->uc_stack = (stack_t){.ss_flags = SS_DISABLE};
    if (change == 3) uc->uc_stack = (stack_t){.ss_sp = stack[1], .ss_size = 3};
    if (change == 4) uc->uc_stack.ss_flags = 77;
    if (change == 5 && is_on(0)) {
        change = 0;
        raise(signal);
    }
}

static void plain(int signal) {
    (void)signal;
    now("in plain handler");
}

int main(void) {
    now("at first");
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
    sigaction(SIGUSR1, &action, NULL);
    action = (struct sigaction){.sa_handler = plain, .sa_flags = SA_ONSTACK};
    sigaction(SIGUSR2, &action, NULL);
    unsigned flags[] = {0, SS_ONSTACK, SS_AUTODISARM, SS_AUTODISARM | SS_ONSTACK};
    for (int i = 0; i < 4; i++)
        for (int kind = 0; kind <= 5; kind++) {
            printf("flags %x change %d\n", flags[i], change = kind);
            stack_t first = {.ss_sp = stack[0], .ss_flags = flags[i], .ss_size = sizeof stack[0]};
            TRY(sigaltstack(&first, NULL));
            now("set");
            raise(SIGUSR1);
            now("after");
            raise(SIGUSR2);
            now("after plain");
        }
    stack_t bad[] = {{.ss_sp = stack[0], .ss_flags = 8, .ss_size = 65536}, {.ss_sp = stack[0], .ss_size = 100},
                     {.ss_flags = SS_DISABLE}, {.ss_flags = SS_DISABLE | SS_AUTODISARM}, {.ss_flags = SS_DISABLE | SS_ONSTACK}};
    for (int i = 0; i < 5; i++) {
        stack_t before = {.ss_sp = (void *)1, .ss_flags = 99};
        TRY(sigaltstack(&bad[i], &before));
        show("before", before);
        now("then");
    }
    TRY(sigaltstack((void *)8, NULL));
    TRY(sigaltstack(NULL, (void *)8));
    return 0;
}
