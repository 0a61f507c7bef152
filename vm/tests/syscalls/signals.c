#include "report.h"
#include <setjmp.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/signalfd.h>

static volatile int count, last, code;
static void *volatile where;
static sigjmp_buf back;

static void handler(int signal, siginfo_t *info, void *context) {
    (void)context;
    count++;
    last = signal;
    code = info->si_code;
    where = info->si_addr;
}

static void jump(int signal, siginfo_t *info, void *context) {
    handler(signal, info, context);
    siglongjmp(back, 1);
}

static void catch(int signal, void (*how)(int, siginfo_t *, void *), int flags) {
    struct sigaction action = {.sa_sigaction = how, .sa_flags = SA_SIGINFO | flags};
    sigemptyset(&action.sa_mask);
    sigaction(signal, &action, NULL);
}

int main(void) {
    sigset_t set, old;
    char buf[10];
    int p[2];
    pipe(p);
    catch(SIGUSR1, handler, 0);
    TRY(raise(SIGUSR1));
    printf("%d %d %d\n", count, last, code);
    TRY(kill(getpid(), SIGUSR1));
    printf("%d %d %d\n", count, last, code);
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    TRY(sigprocmask(SIG_BLOCK, &set, &old));
    kill(getpid(), SIGUSR1);
    kill(getpid(), SIGUSR1);
    printf("%d\n", count);
    sigpending(&old);
    TRY(sigismember(&old, SIGUSR1));
    sigemptyset(&old);
    TRY(sigsuspend(&old));
    printf("%d\n", count);
    union sigval value = {.sival_int = 42};
    sigqueue(getpid(), SIGUSR1, value);
    siginfo_t info;
    TRY(sigwaitinfo(&set, &info));
    printf("%d %d %d\n", info.si_code, info.si_value.sival_int, info.si_pid == getpid());
    struct timespec soon = {0, 1000000};
    TRY(sigtimedwait(&set, &info, &soon));
    int fd = signalfd(-1, &set, SFD_NONBLOCK);
    struct signalfd_siginfo record;
    TRY(read(fd, &record, sizeof record));
    kill(getpid(), SIGUSR1);
    TRY(read(fd, &record, sizeof record));
    printf("%d %d\n", record.ssi_signo, record.ssi_code);
    TRY(sigprocmask(SIG_UNBLOCK, &set, NULL));
    // Interrupted calls: with and without SA_RESTART.
    struct itimerval timer = {{0, 0}, {0, 20000}};
    catch(SIGALRM, handler, 0);
    setitimer(ITIMER_REAL, &timer, NULL);
    TRY(read(p[0], buf, 1));
    catch(SIGALRM, handler, SA_RESTART);
    pid_t pid = fork();
    if (pid == 0) {
        usleep(60000);
        write(p[1], "z", 1);
        _exit(0);
    }
    setitimer(ITIMER_REAL, &timer, NULL);
    TRY(read(p[0], buf, 1));
    waitpid(pid, NULL, 0);
    setitimer(ITIMER_REAL, &timer, NULL);
    struct timespec second = {1, 0}, left = {0, 0};
    TRY(nanosleep(&second, &left));
    printf("%d\n", left.tv_nsec > 0);
    alarm(1);
    TRY(pause());
    // Faults.
    catch(SIGSEGV, jump, 0);
    catch(SIGFPE, jump, 0);
    catch(SIGILL, jump, 0);
    catch(SIGBUS, jump, 0);
    catch(SIGTRAP, handler, 0);
    if (sigsetjmp(back, 1) == 0) *(volatile char *)8 = 1;
    printf("%d %d %p\n", last, code, where);
    char *page = mmap(NULL, 8192, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (sigsetjmp(back, 1) == 0) page[5] = 1;
    printf("%d %d %ld\n", last, code, (long)((char *)where - page));
    volatile int zero = 0;
    if (sigsetjmp(back, 1) == 0) zero = 1 / zero;
    printf("%d %d\n", last, code);
    if (sigsetjmp(back, 1) == 0) __builtin_trap();
    printf("%d %d\n", last, code);
    __asm__ volatile("int3");
    printf("%d %d\n", last, code);
    if (sigsetjmp(back, 1) == 0) *(volatile char *)0xffff800000000000 = 1;
    printf("%d %d %p\n", last, code, where);
    if (sigsetjmp(back, 1) == 0) *(volatile char *)0x8000000000000000 = 1;
    printf("%d %d %p\n", last, code, where);
    // The alternate stack.
    static char stack[65536];
    stack_t alt = {.ss_sp = stack, .ss_size = sizeof stack};
    TRY(sigaltstack(&alt, NULL));
    catch(SIGUSR2, handler, SA_ONSTACK | SA_RESETHAND);
    raise(SIGUSR2);
    struct sigaction action;
    sigaction(SIGUSR2, NULL, &action);
    printf("%d\n", action.sa_handler == SIG_DFL);
    TRY(sigaction(SIGKILL, &action, NULL));
    alt.ss_size = 100;
    TRY(sigaltstack(&alt, NULL));
    double x = 1.5;
    for (int i = 0; i < 3; i++) {
        raise(SIGUSR1);
        x *= 2;
    }
    printf("%f %d\n", x, count);
    signal(SIGCHLD, SIG_IGN);
    if (fork() == 0) _exit(1);
    TRY(wait(NULL));
    return 0;
}
