// System calls at random, made by a program: `calls SEED ROUNDS user|root|any`.
//
// In each round some children make calls with arguments that are likely to hurt, all at a time, sharing what they have
// open. They may damage themselves as they like; the parent ends what is left of them. A bystander meanwhile looks at
// its memory and its file: nothing of it may change. The last line is "survived", or what went wrong.
//
// Not for the Linux of a computer that is still needed.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "descriptors.h"
#include "arguments.h"

enum {
    CHILDREN = 3,
    CALLS_PER_CHILD = 3000,
    CALLS_OF_A_CHILDS_CHILD = 20,
    // A child that has damaged itself so often is replaced.
    RECOVERIES_MAX = 40,
    CHILDREN_PER_ROUND = 16,
    ROUND_MS_MAX = 10000,
    STANDSTILL_MS_MAX = 50,
    // A process that still is there so long after SIGKILL will never go.
    DEATH_MS_MAX = 20000,
    BYSTANDER_BYTES = 1 << 20,
    PID_LIMIT = 32768,
};

static long now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void fail(const char *what, long detail) {
    printf("%s: %ld\n", what, detail);
    fflush(stdout);
    _exit(1);
}

// ---- the bystander ----

static unsigned char pattern(unsigned at) { return at * 2654435761u >> 13; }

static int is_pattern(const unsigned char *bytes) {
    for (unsigned i = 0; i < BYSTANDER_BYTES; i++)
        if (bytes[i] != pattern(i)) return 0;
    return 1;
}

// Answers each byte from `asked` with '+' as long as all is as it was.
static void stand_by(int asked, int answers) {
    setsid();
    unsigned char *memory = mmap(NULL, BYSTANDER_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    unsigned char *copy = malloc(BYSTANDER_BYTES);
    for (unsigned i = 0; i < BYSTANDER_BYTES; i++) memory[i] = pattern(i);
    mkdir("/bystander", 0700);
    int file = open("/bystander/file", O_RDWR | O_CREAT | O_TRUNC, 0600);
    if (write(file, memory, BYSTANDER_BYTES) != BYSTANDER_BYTES) _exit(1);
    char byte;
    while (read(asked, &byte, 1) == 1) {
        memset(copy, 0, BYSTANDER_BYTES);
        int read_all = pread(file, copy, BYSTANDER_BYTES, 0) == BYSTANDER_BYTES;
        byte = !is_pattern(memory) ? 'm' : !read_all || !is_pattern(copy) ? 'f' : '+';
        if (write(answers, &byte, 1) != 1) break;
    }
    _exit(0);
}

static int to_bystander, from_bystander;
static pid_t bystander;

static void start_bystander(void) {
    int questions[2], answers[2];
    if (pipe2(questions, O_CLOEXEC) < 0 || pipe2(answers, O_CLOEXEC) < 0) fail("pipe", errno);
    bystander = fork();
    if (bystander == 0) {
        close(questions[1]);
        close(answers[0]);
        stand_by(questions[0], answers[1]);
    }
    close(questions[0]);
    close(answers[1]);
    to_bystander = questions[1];
    from_bystander = answers[0];
}

static void ask_bystander(void) {
    char byte = '?';
    struct pollfd answer = {from_bystander, POLLIN, 0};
    if (write(to_bystander, &byte, 1) != 1) fail("the bystander is gone", errno);
    if (poll(&answer, 1, DEATH_MS_MAX) != 1) fail("the bystander hangs", 0);
    if (read(from_bystander, &byte, 1) != 1) fail("the bystander has ended", errno);
    if (byte != '+') fail("the bystander has been changed", byte);
}

// ---- children ----

static sigjmp_buf recovery;
static volatile int recoveries;

static void recover(int signal) {
    (void)signal;
    if (++recoveries > RECOVERIES_MAX) _exit(0);
    if (arena_map() < 0) _exit(0);
    siglongjmp(recovery, 1);
}

static void look_up(int signal) { (void)signal; }

// Faults mend the arena; an alarm every few milliseconds ends calls that wait.
static void guard(void) {
    static char stack[65536];
    stack_t alternate = {.ss_sp = stack, .ss_size = sizeof stack};
    sigaltstack(&alternate, NULL);
    struct sigaction faults = {.sa_handler = recover, .sa_flags = SA_ONSTACK | SA_NODEFER};
    int signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGSYS};
    for (unsigned i = 0; i < sizeof signals / sizeof *signals; i++) sigaction(signals[i], &faults, NULL);
    struct sigaction alarm = {.sa_handler = look_up, .sa_flags = SA_ONSTACK};
    sigaction(SIGALRM, &alarm, NULL);
    signal(SIGPIPE, SIG_IGN);
    struct itimerval often = {{0, 3000}, {0, 3000}};
    setitimer(ITIMER_REAL, &often, NULL);
}

static void unblock(void) {
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

// Calls made, calls that did not fail, and calls made by each child.
static volatile long *counts;
enum { COUNTS_OF_CHILDREN = 2 };

static void one_call(int number, int as_root) {
    long words[7];
    int by_interrupt = sizeof(long) == 8 && chance(8);
    // Signals are not to stay blocked: the alarm is one of them.
    if (chance(8)) unblock();
    choose_call(words, as_root, by_interrupt);
    pid_t before = syscall(SYS_gettid);
    long result = by_interrupt ? interrupt_call(words)
                               : syscall(words[0], words[1], words[2], words[3], words[4], words[5], words[6]);
    counts[0]++;
    counts[COUNTS_OF_CHILDREN + number]++;
    counts[1] += (unsigned long)result < -4095ul;
    // It may be a child's child now, or a thread, if it lives on this stack at all.
    if (syscall(SYS_gettid) != before) {
        for (int i = 0; i < CALLS_OF_A_CHILDS_CHILD; i++) {
            choose_call(words, as_root, 0);
            if (!makes_tasks(words[0])) syscall(words[0], words[1], words[2], words[3], words[4], words[5], words[6]);
        }
        syscall(SYS_exit, 0);
    }
}

static void child(uint64_t seed, int number, int as_root) {
    seed_random(seed);
    setsid();
    if (arena_map() < 0) _exit(1);
    struct rlimit size = {32 << 20, 32 << 20};
    setrlimit(RLIMIT_FSIZE, &size);
    if (!as_root && (setgroups(0, NULL) < 0 || setgid(1000) < 0 || setuid(1000) < 0)) _exit(1);
    open_descriptors();
    guard();
    volatile int calls = 0;
    sigsetjmp(recovery, 1);
    while (calls++ < CALLS_PER_CHILD) {
        fill_arena();
        one_call(number, as_root);
    }
    _exit(0);
}

// Ends whatever the children have left behind, wherever it has gone.
static void clean_up(void) {
    long deadline = now_ms() + DEATH_MS_MAX;
    pid_t self = getpid();
    for (;;) {
        int killed = 0;
        for (pid_t pid = 1; pid < PID_LIMIT; pid++)
            if (pid != self && pid != bystander && kill(pid, SIGKILL) == 0) killed++;
        while (waitpid(-1, NULL, WNOHANG) > 0) continue;
        if (killed == 0) return;
        if (now_ms() > deadline) fail("processes that do not die", killed);
        usleep(1000);
    }
}

// A child, and how far it had come when.
typedef struct { pid_t pid; long calls, since_ms; } Slot;

// Starts a child where there is none. One that waits for ever, its alarm being gone, is ended.
static int tend(Slot *slot, int number, uint64_t *seed, int as_root) {
    if (slot->pid > 0 && waitpid(slot->pid, NULL, WNOHANG) != 0) slot->pid = 0;
    if (slot->pid > 0 && counts[COUNTS_OF_CHILDREN + number] != slot->calls) {
        slot->calls = counts[COUNTS_OF_CHILDREN + number];
        slot->since_ms = now_ms();
    } else if (slot->pid > 0 && now_ms() - slot->since_ms > STANDSTILL_MS_MAX) {
        kill(slot->pid, SIGKILL);
    }
    if (slot->pid > 0) return 1;
    if (*seed % CHILDREN_PER_ROUND == 0) return 0;
    *slot = (Slot){.since_ms = now_ms()};
    counts[COUNTS_OF_CHILDREN + number] = 0;
    slot->pid = fork();
    if (slot->pid == 0) child(*seed, number, as_root);
    ++*seed;
    return 1;
}

static void one_round(uint64_t round, int as_root) {
    fflush(stdout);
    Slot slots[CHILDREN] = {0};
    uint64_t seed = round * CHILDREN_PER_ROUND + 1;
    long deadline = now_ms() + ROUND_MS_MAX;
    for (int busy = 1; busy && now_ms() < deadline; usleep(1000)) {
        busy = 0;
        for (int i = 0; i < CHILDREN; i++) busy += tend(&slots[i], i, &seed, as_root);
    }
    clean_up();
    ask_bystander();
}

int main(int argc, char **argv) {
    // A child may start this program anew, with any arguments.
    if (argc != 4) return 2;
    uint64_t seed = strtoull(argv[1], NULL, 10);
    long rounds = strtol(argv[2], NULL, 10);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    counts = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    make_files();
    start_bystander();
    for (long round = 0; round < rounds; round++) {
        int as_root = !strcmp(argv[3], "any") ? round % 2 : !strcmp(argv[3], "root");
        one_round(seed + round, as_root);
    }
    // What is mounted on, or bound, would outlive its last name.
    for (int i = 0; i < PATH_COUNT; i++)
        while (PATHS[i][0] == '/' && umount2(PATHS[i], MNT_DETACH) == 0) continue;
    kill(bystander, SIGKILL);
    waitpid(bystander, NULL, 0);
    fprintf(stderr, "%ld calls, %ld of them did something\n", counts[0], counts[1]);
    printf("survived\n");
    return 0;
}
