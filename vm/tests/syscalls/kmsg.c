// The kernel log: /dev/kmsg, syslog(2), and what is said of programs that an exception ends.
// Others write to this computer's log meanwhile, and some of it may be lost to its rate limit: only our own records are
// looked at, and what is missing is tried again.
// Numbers of files in /proc have more than 32 bits.
#define _FILE_OFFSET_BITS 64
#include "report.h"
#include <poll.h>
#include <sys/epoll.h>
#include <sys/klog.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <ucontext.h>

#define RECORD_MAX 8192
enum { READ_ALL = 3, CONSOLE_LEVEL = 8, SIZE_UNREAD = 9, SIZE_BUFFER = 10 };

static int log_fd;
static char record[RECORD_MAX];

// The next record; its length, or -1 at the end. What has been overwritten is passed over.
static long next_record(int fd) {
    for (;;) {
        long len = read(fd, record, sizeof record - 1);
        if (len >= 0) return record[len] = 0, len;
        if (errno != EPIPE) return -1;
    }
}

// Looks for the next record that has a text in it.
static char *find(int fd, const char *text) {
    while (next_record(fd) >= 0)
        if (strstr(record, text)) return record;
    return NULL;
}

static char tag[64];

// Shows a record of ours: what is not the same each time is left out.
static void show(const char *what, char *line) {
    if (!line) return (void)printf("%s: none\n", what);
    unsigned priority;
    unsigned long long sequence, time;
    int at = 0, fields = sscanf(line, "%u,%llu,%llu,%n", &priority, &sequence, &time, &at);
    char *text = strstr(line, tag);
    printf("%s: %d fields, priority %u, flags %.*s, text %s", what, fields, priority, (int)strcspn(line + at, ";"), line + at,
           text ? text + strlen(tag) : "?\n");
}

static void written(const char *prefix, const char *text, size_t len) {
    static int open_count;
    // No more than a few by each file: there is a limit.
    int fd = open("/dev/kmsg", O_WRONLY);
    char line[2000], what[32];
    int head = sprintf(line, "%s%s", prefix, tag);
    memcpy(line + head, text, len);
    lseek(log_fd, 0, SEEK_END);
    long done = write(fd, line, head + len);
    printf("%s: %s\n", prefix, done == head + len ? "all of it" : done < 0 ? strerrorname_np(errno) : "a part");
    if (done > 0) show(prefix, find(log_fd, tag));
    close(fd);
}

static void writing(void) {
#define WRITE(prefix, text) written(prefix, text, sizeof(text) - 1)
    WRITE("", " plain\n");
    WRITE("<3>", " an error\n");
    WRITE("<0>", " the kernel's\n");
    WRITE("<30>", " a daemon\n");
    WRITE("<191>", " local7, debug\n");
    WRITE("<2047>", " facility 255\n");
    WRITE("<2051>", " facility 256\n");
    WRITE("<4294967299>", " more than 32 bits\n");
    WRITE("<>", " no number\n");
    WRITE("<x>", " no digits\n");
    WRITE("<12", " not closed\n");
    WRITE("<-1>", " negative\n");
    WRITE("<14>", " several\nlines\n\n");
    WRITE("<14>", " \t\\ \x1b[31m \x7f\x80\xc3\xa4\n");
    WRITE("<14>", " nothing after\n\0this");
    char longest[1100];
    memset(longest, 'x', sizeof longest);
    written("<14>", longest, 1100);
    OK(write(log_fd, longest, 1025));
    // As one, whatever it is made of.
    struct iovec { void *base; size_t len; } parts[3] = {{"<11>", 4}, {tag, strlen(tag)}, {" of parts\n", 10}};
    int fd = open("/dev/kmsg", O_RDWR | O_NONBLOCK);
    lseek(fd, 0, SEEK_END);
    printf("writev: %d\n", syscall(SYS_writev, fd, parts, 3) == 14 + strlen(tag));
    show("writev", find(fd, tag));
    OK(write(fd, NULL, 10));
    close(fd);
}

static void reading(void) {
    char few[8];
    int fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK);
    OK(lseek(fd, 0, SEEK_SET));
    long len;
    while ((len = read(fd, few, sizeof few)) < 0 && errno == EPIPE);
    report("too small", len);
    while ((len = read(fd, NULL, RECORD_MAX)) < 0 && errno == EPIPE);
    report("nowhere", len);
    OK(next_record(fd));
    TRY(lseek(fd, 0, SEEK_CUR));
    TRY(lseek(fd, 0, SEEK_HOLE));
    TRY(lseek(fd, 1, SEEK_SET));
    TRY(lseek(fd, -1, SEEK_END));
    TRY(lseek(fd, 0, 17));
    TRY(lseek(fd, 1, 17));
    TRY(lseek(fd, 0, SEEK_DATA));
    TRY(lseek(fd, 0, SEEK_END));
    while (next_record(fd) >= 0);
    printf("at the end: %s\n", strerrorname_np(errno));

    // Readers have their own positions, and keep them when they share a description.
    int other = open("/dev/kmsg", O_RDONLY | O_NONBLOCK), same = dup(fd);
    lseek(other, 0, SEEK_END);
    written("<13>", " for two\n", 9);
    show("one", find(fd, tag));
    show("other", find(other, tag));
    printf("same again: %d\n", find(same, tag) != NULL);
    close(same);
    close(other);
    TRY(ioctl(fd, 0x5401, few));
    OK(mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED ? -1 : 0);
    close(fd);
    fd = open("/dev/kmsg", O_WRONLY);
    TRY(read(fd, few, sizeof few));
    close(fd);
}

static void waiting(void) {
    int fd = open("/dev/kmsg", O_RDONLY), epoll = epoll_create1(0);
    lseek(fd, 0, SEEK_END);
    struct pollfd polled = {fd, POLLIN | POLLOUT | POLLPRI};
    struct epoll_event event = {EPOLLIN | EPOLLET};
    TRY(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event));
    pid_t child = fork();
    if (!child) {
        usleep(20000);
        int out = open("/dev/kmsg", O_WRONLY);
        char line[100];
        write(out, line, sprintf(line, "<12>%s wakes\n", tag));
        _exit(0);
    }
    show("waited for", find(fd, tag));
    waitpid(child, NULL, 0);
    // All of ours has been read; what others write meanwhile is read, too.
    int events;
    fcntl(fd, F_SETFL, O_NONBLOCK);
    while ((events = epoll_wait(epoll, &event, 1, 200)) == 1 && next_record(fd) >= 0);
    printf("events without a record: %d\n", events);
    fcntl(fd, F_SETFL, 0);
    lseek(fd, 0, SEEK_END);
    written("<12>", " to poll for\n", 13);
    TRY(poll(&polled, 1, 1000));
    printf("events: %x\n", polled.revents);
    close(epoll);
    close(fd);
}

static void calls(void) {
    static char all[1 << 22];
    OK(klogctl(SIZE_BUFFER, NULL, 0));
    TRY(klogctl(11, NULL, 0));
    TRY(klogctl(-1, NULL, 0));
    TRY(klogctl(0, NULL, 0));
    TRY(klogctl(1, NULL, 0));
    TRY(klogctl(READ_ALL, NULL, 10));
    TRY(klogctl(READ_ALL, all, -1));
    TRY(klogctl(READ_ALL, all, 0));
    TRY(klogctl(2, NULL, 10));
    TRY(klogctl(2, all, 0));
    TRY(klogctl(CONSOLE_LEVEL, NULL, 0));
    TRY(klogctl(CONSOLE_LEVEL, NULL, 9));
    OK(klogctl(SIZE_UNREAD, NULL, 0));
    OK(klogctl(READ_ALL, (char *)16, 1 << 20));
    written("<14>", " first\nsecond\n", 14);
    long len = klogctl(READ_ALL, all, sizeof all - 1);
    all[len] = 0;
    char *line = NULL;
    for (char *at = all; (at = strstr(at, tag)); at++) line = at;
    printf("read: %d\n", line != NULL);
    if (!line) return;
    // Each line has its own priority, and all the same time.
    char *start = line, *second = strchr(line, '\n') + 1;
    while (start > all && start[-1] != '\n') start--;
    unsigned priorities[2], micros[2];
    unsigned long seconds[2];
    int fields = sscanf(start, "<%u>[%lu.%6u]", priorities, seconds, micros);
    fields += sscanf(second, "<%u>[%lu.%6u]", priorities + 1, seconds + 1, micros + 1);
    printf("%d fields, priorities %u %u, same time %d\n", fields, priorities[0], priorities[1],
           seconds[0] == seconds[1] && micros[0] == micros[1]);
    printf("%.*s", (int)(strchr(second, '\n') - strchr(second, ']')), strchr(second, ']'));
    printf("%.*s\n", (int)(second - line - strlen(tag) - 1), line + strlen(tag));
    // Whole lines only.
    printf("a few bytes: %d\n", klogctl(READ_ALL, all, 3));
}

static void settings(void) {
    const char *files[] = {"kernel/dmesg_restrict", "kernel/printk", "kernel/printk_devkmsg", "kernel/printk_ratelimit",
                           "kernel/printk_ratelimit_burst", "debug/exception-trace"};
    for (int i = 0; i < 6; i++) {
        char path[100], text[100] = "";
        sprintf(path, "/proc/sys/%s", files[i]);
        struct stat status;
        int fd = open(path, O_RDWR);
        if (fd < 0 || fstat(fd, &status)) {
            printf("%s: %s\n", files[i], strerrorname_np(errno));
            continue;
        }
        long len = read(fd, text, sizeof text - 1);
        int numbers = 0, at, number;
        for (char *rest = text; sscanf(rest, "%d%n", &number, &at) == 1; rest += at) numbers++;
        printf("%s: mode %o, %d numbers, ends with %x\n", files[i], status.st_mode & 07777, numbers, text[len - 1]);
        // As it was; nonsense changes nothing.
        printf("%d\n", pwrite(fd, text, len, 0) == len);
        report("nonsense", pwrite(fd, "nonsense", 8, 0));
        close(fd);
    }
    int fd = open("/proc/sys/kernel/dmesg_restrict", O_WRONLY);
    TRY(write(fd, "2", 1));
    TRY(write(fd, "-1", 2));
    close(fd);
    struct stat status;
    TRY(stat("/proc/kmsg", &status));
    printf("%o\n", status.st_mode);
}

// What a user who is not the superuser may do.
static void unprivileged(void) {
    char restricted = '?';
    int fd = open("/proc/sys/kernel/dmesg_restrict", O_RDONLY), setting;
    read(fd, &restricted, 1);
    close(fd);
    setting = open("/proc/sys/kernel/dmesg_restrict", O_WRONLY);
    if (setuid(1000)) return;
    int expected = restricted == '1' ? EPERM : 0;
    errno = 0, fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK);
    printf("open: %d\n", fd >= 0 ? !expected : errno == expected);
    TRY(open("/dev/kmsg", O_WRONLY));
    TRY(open("/proc/kmsg", O_RDONLY));
    errno = 0;
    printf("size: %d\n", klogctl(SIZE_BUFFER, NULL, 0) > 0 ? !expected : errno == expected);
    for (int action = 0; action < 12; action++)
        if (action != READ_ALL && action != SIZE_BUFFER) TRY(klogctl(action, NULL, 0));
    TRY(write(setting, &restricted, 1));
}

// ---- programs that end ----

static int *shared_zero, *volatile nowhere;
__attribute__((noinline)) static void null_write(void) { *nowhere = 1; }
__attribute__((noinline)) static void far_read(void) { (void)*(volatile int *)0x123000; }
__attribute__((noinline)) static void text_write(void) { *(volatile char *)null_write = 1; }
__attribute__((noinline)) static void jump(void) { ((void (*)(void))0x123456)(); }
__attribute__((noinline)) static void divide(void) { __asm__ volatile("xorl %%ecx, %%ecx; divl %%ecx" ::: "eax", "ecx", "edx"); }
__attribute__((noinline)) static void undefined(void) { __asm__ volatile("ud2"); }
__attribute__((noinline)) static void breakpoint(void) { __asm__ volatile("int3"); }
__attribute__((noinline)) static void privileged(void) { __asm__ volatile("hlt"); }
__attribute__((noinline)) static void interrupt(void) { __asm__ volatile("int $0x42"); }
#ifdef __i386__
__attribute__((noinline)) static void overflow(void) { __asm__ volatile("movb $0x7f, %%al; addb $1, %%al; into" ::: "eax"); }
#endif
#ifdef __i386__
__attribute__((noinline)) static void bad_frame(void) { __asm__ volatile("movl $16, %esp; movl $119, %eax; int $0x80"); }
__attribute__((noinline)) static void bad_rt_frame(void) { __asm__ volatile("movl $16, %esp; movl $173, %eax; int $0x80"); }
#else
__attribute__((noinline)) static void bad_rt_frame(void) { __asm__ volatile("movl $16, %esp; movl $15, %eax; syscall"); }
#endif
__attribute__((noinline)) static void abort_it(void) { abort(); }
__attribute__((noinline)) static void past_end(void) { (void)*(volatile int *)shared_zero; }

static void on_signal(int number) { _exit(7); }
static void handled(void) { signal(SIGSEGV, on_signal); null_write(); }
static void ignored(void) { signal(SIGSEGV, SIG_IGN); null_write(); }

// Numbers that differ are replaced by what they are: where the code is, the stack, the mapping.
static void show_crash(pid_t child, char *line, char *code) {
    char *text = strchr(line, ';') + 1, pid[24];
    sprintf(pid, "[%d]", child);
    unsigned long ip = 0, sp = 0, start = 0, size = 0;
    unsigned priority = atoi(line);
    char *at;
    if ((at = strstr(text, " ip"))) ip = strtoul(at + 4, NULL, 16);
    if ((at = strstr(text, " sp"))) sp = strtoul(at + 4, NULL, 16);
    char *comm = strstr(text, pid), *place = strstr(strstr(text, " ip"), " in ");
    printf("priority %u: %.*s", priority, (int)(comm - text), text);
    int len = strcspn(comm + strlen(pid), "\n"), digits = 0;
    // The address of a frame is a secret.
    char *head_end = strstr(text, " frame:") ?: strstr(text, " ip");
    printf("[pid]%.*s, ", (int)(head_end - comm - strlen(pid)), comm + strlen(pid));
    if ((at = strstr(text, " orax"))) printf("%.*s, ", (int)strcspn(at + 1, " \n"), at + 1);
    if ((at = strstr(text, " error"))) printf("%.*s, ", (int)strspn(at + 1, "error: 0123456789abcdef"), at + 1);
    // 64 bits of each of a page fault's pointers are shown.
    if ((at = strstr(text, " ip "))) digits = strspn(at + 4, "0123456789abcdef");
    printf("%d digits, stack %d, ", digits, sp / 65536 == (unsigned long)&at / 65536 || sp / 65536 + 1 == (unsigned long)&at / 65536);
    if (place) {
        char *bracket = strchr(place, '['), *plus = strchr(bracket, '+'), *base = plus;
        while (base[-1] != ',' && base[-1] != '[') base--;
        start = strtoul(base, NULL, 16), size = strtoul(plus + 1, NULL, 16);
        printf("in %.*s, there %d, ", (int)(bracket - place - 4), place + 4, ip >= start && ip < start + size);
    } else printf("nowhere, ");
    unsigned char *bytes = (unsigned char *)ip;
    char expected[300] = "Code:";
    if (place && code)
        for (int i = -42; i < 22; i++) sprintf(expected + strlen(expected), i ? " %02x" : " <%02x>", bytes[i]);
    else if (code) sprintf(expected, "Code: Unable to access opcode bytes at 0x%lx.", ip - 42);
    char *shown = code ? strchr(code, ';') + 1 : NULL;
    if (shown) shown[strcspn(shown, "\n")] = 0;
    printf("code: %s\n", !shown ? "none" : !strcmp(shown, expected) ? "right" : shown);
}

static void crash(const char *name, void (*how)(void), int is_logged) {
    char pid[24], line[RECORD_MAX];
    // What is said may be too much at a time: then later.
    for (int attempt = 0; attempt < 60; attempt++) {
        lseek(log_fd, 0, SEEK_END);
        pid_t child = fork();
        if (!child) {
            how();
            _exit(1);
        }
        int status;
        waitpid(child, &status, 0);
        sprintf(pid, "[%d]", child);
        char *found = find(log_fd, pid);
        // Other kernels than ours say more of what a filter does.
        while (found && strstr(found, "audit")) found = find(log_fd, pid);
        if (!found && is_logged) {
            usleep(500000);
            continue;
        }
        printf("%s: status %x\n", name, status & ~0x80);
        if (!found) return;
        strcpy(line, found);
        int is_fault = strstr(line, "segfault") != NULL;
        return show_crash(child, line, is_fault ? find(log_fd, "Code: ") : NULL);
    }
    printf("%s: nothing in the log\n", name);
}

static void crashes(void) {
    int fd = open(".", O_TMPFILE | O_RDWR, 0600);
    shared_zero = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
#define CRASH(how) crash(#how, how, 1)
    CRASH(null_write);
    CRASH(far_read);
    CRASH(text_write);
    CRASH(jump);
    CRASH(divide);
    CRASH(undefined);
    CRASH(breakpoint);
    CRASH(privileged);
    CRASH(interrupt);
#ifdef __i386__
    CRASH(overflow);
    CRASH(bad_frame);
#endif
    CRASH(bad_rt_frame);
    CRASH(ignored);
    crash("abort", abort_it, 0);
    crash("past_end", past_end, 0);
    crash("handled", handled, 0);
}

int main(int argc, char **argv) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    sprintf(tag, "edgebox test %d.%ld:", getpid(), now.tv_nsec);
    log_fd = open("/dev/kmsg", O_RDWR | O_NONBLOCK);
    OK(log_fd);
    writing();
    reading();
    waiting();
    calls();
    settings();
    if (argc > 1) crashes();
    fflush(stdout);
    pid_t child = fork();
    if (!child) {
        unprivileged();
        fflush(stdout);
        _exit(0);
    }
    waitpid(child, NULL, 0);
    return 0;
}
