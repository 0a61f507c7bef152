// One program executes the next, 32-bit or 64-bit: what each finds, and what signals say between them.
#include "report.h"
#include <sys/auxv.h>
#include <sys/personality.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <spawn.h>

static volatile int got, value, code, who;

static void handler(int signal, siginfo_t *info, void *context) {
    got = signal;
    value = info->si_value.sival_int;
    code = info->si_code;
    who = info->si_pid;
}

static void print_maps(void) {
    char line[512];
    FILE *maps = fopen("/proc/self/maps", "r");
    int stack = 0, vdso = 0, high = 0;
    while (fgets(line, sizeof line, maps)) {
        unsigned long long start = strtoull(line, NULL, 16);
        stack += strstr(line, "[stack]") != NULL;
        // Ours has none for 64-bit programs.
        vdso += sizeof(long) == 4 && strstr(line, "[vdso]") != NULL;
        high += sizeof(long) == 4 && start >> 32;
    }
    fclose(maps);
    printf("stack %d vdso %d high %d\n", stack, vdso, high);
}

static void print_auxv(void) {
    unsigned long words[128];
    int fd = open("/proc/self/auxv", O_RDONLY);
    int count = read(fd, words, sizeof words) / sizeof *words;
    close(fd);
    for (int i = 0; i + 1 < count; i += 2)
        if (words[i] == AT_PAGESZ || words[i] == AT_PHENT || words[i] == AT_CLKTCK || words[i] == AT_UID)
            printf("aux %lu: %lu\n", words[i], words[i + 1]);
    printf("platform %s, program %s\n", (char *)getauxval(AT_PLATFORM), strrchr((char *)getauxval(AT_EXECFN), '/'));
}

int main(int argc, char **argv) {
    struct utsname names;
    uname(&names);
    printf("%zu bits, %d left, %s, personality %x, X=%s\n", 8 * sizeof(long), argc - 1, names.machine, personality(-1), getenv("X"));
    print_auxv();
    print_maps();
    char line[4096] = {0};
    int fd = open("/proc/self/cmdline", O_RDONLY);
    int len = read(fd, line, sizeof line);
    close(fd);
    printf("%s\n", strrchr(line, '/'));
    struct rlimit limit;
    getrlimit(RLIMIT_DATA, &limit);
    printf("limit %d\n", limit.rlim_cur == RLIM_INFINITY);
    stack_t stack;
    sigaltstack(NULL, &stack);
    struct sigaction action;
    sigaction(SIGUSR1, NULL, &action);
    printf("stack %d handler %d\n", stack.ss_flags, action.sa_handler == SIG_DFL);
    fflush(stdout);
    if (getenv("REPORT_TO")) {
        union sigval v = {.sival_int = 0x1234567};
        sigqueue(atoi(getenv("REPORT_TO")), SIGUSR1, v);
        return 7;
    }
    if (argc == 1) return 5;
    // A child of the next kind reports by a signal, and by how it ends.
    action = (struct sigaction){.sa_sigaction = handler, .sa_flags = SA_SIGINFO | SA_RESTART};
    sigaction(SIGUSR1, &action, NULL);
    char to[40];
    sprintf(to, "REPORT_TO=%d", getpid());
    char *args[] = {argv[1], NULL}, *env[] = {to, "X=child", NULL};
    pid_t pid;
    int spawned = posix_spawn(&pid, argv[1], NULL, NULL, args, env);
    int status;
    siginfo_t info;
    TRY(waitid(P_PID, pid, &info, WEXITED | WNOWAIT));
    TRY(spawned);
    printf("%d %d %d %d\n", info.si_signo, info.si_code, info.si_status, info.si_pid == pid);
    waitpid(pid, &status, 0);
    printf("%x, signal %d code %d value %x from it %d\n", status, got, code, value, who == pid);
    fflush(stdout);
    if (sizeof(long) == 4) personality(PER_LINUX32);
    setenv("X", "next", 1);
    static char alternate[65536];
    sigaltstack(&(stack_t){.ss_sp = alternate, .ss_size = sizeof alternate}, NULL);
    execv(argv[1], argv + 1);
    perror("execv");
    return 1;
}
