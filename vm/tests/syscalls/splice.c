// Bytes between pipes and memory, and calls about the machine that have little to say here.
#include "report.h"
#include <sched.h>
#include <time.h>
#include <sys/klog.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/timex.h>
#include <sys/uio.h>

static void show(int fd) {
    char buf[100];
    long n = read(fd, buf, sizeof buf);
    printf("  %ld %.*s\n", n, n > 0 ? (int)n : 0, buf);
    fflush(stdout);
}

static void tees(void) {
    int a[2], b[2];
    pipe2(a, O_NONBLOCK), pipe2(b, O_NONBLOCK);
    TRY(tee(a[0], b[1], 100, 0));
    write(a[1], "hello world", 11);
    TRY(tee(a[0], b[1], 5, 0));
    show(b[0]);
    TRY(tee(a[0], b[1], 100, 0));
    show(b[0]);
    show(a[0]);
    TRY(tee(a[0], b[1], 100, SPLICE_F_NONBLOCK));
    TRY(tee(a[0], a[1], 100, 0));
    int null = open("/dev/null", O_RDWR);
    TRY(tee(a[0], null, 100, 0));
    close(null);
    TRY(tee(a[1], b[1], 100, 0));
    TRY(tee(a[0], b[0], 100, 0));
    TRY(tee(99, b[1], 100, 0));
    TRY(tee(a[0], b[1], 100, 0x100));
    TRY(tee(a[0], b[1], 0, 0));
    close(a[1]);
    TRY(tee(a[0], b[1], 100, 0));
    close(a[0]), close(b[0]), close(b[1]);
}

static void waits(void) {
    int a[2], b[2];
    pipe(a), pipe(b);
    fflush(stdout);
    int pid = fork();
    if (pid == 0) {
        usleep(10000);
        write(a[1], "late", 4);
        _exit(0);
    }
    TRY(tee(a[0], b[1], 100, 0));
    waitpid(pid, NULL, 0);
    show(b[0]);
    show(a[0]);
}

static void memory(void) {
    int p[2];
    pipe2(p, O_NONBLOCK);
    struct iovec v[] = {{"from ", 5}, {"memory", 6}};
    TRY(vmsplice(p[1], v, 2, 0));
    show(p[0]);
    TRY(vmsplice(p[1], v, 2, SPLICE_F_GIFT));
    char buf[20] = {0};
    struct iovec to = {buf, 8};
    TRY(vmsplice(p[0], &to, 1, 0));
    puts(buf);
    show(p[0]);
    TRY(vmsplice(p[0], &to, 1, SPLICE_F_NONBLOCK));
    int null = open("/dev/null", O_RDWR);
    TRY(vmsplice(null, &to, 1, 0));
    close(null);
    TRY(vmsplice(99, &to, 1, 0));
    TRY(vmsplice(p[1], v, 2, 0x100));
    TRY(vmsplice(p[1], v, 0, 0));
    int file = open("/tmp/splice-file", O_CREAT | O_RDWR, 0600);
    unlink("/tmp/splice-file");
    TRY(sync_file_range(file, 0, 0, 0));
    TRY(sync_file_range(file, 0, 100, SYNC_FILE_RANGE_WRITE));
    TRY(sync_file_range(file, -1, 0, 0));
    TRY(sync_file_range(file, 0, -1, 0));
    TRY(sync_file_range(file, 0, 0, 0x100));
    TRY(sync_file_range(p[0], 0, 0, 0));
    TRY(sync_file_range(99, 0, 0, 0));
}

// What can't be given to its reader stays in the pipe, page by page.
static void refused(void) {
    int p[2];
    pipe2(p, O_NONBLOCK);
    char *pages = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    mprotect(pages + 4096, 4096, PROT_READ);
    static char many[12000];
    TRY(write(p[1], "refused", 7));
    TRY(read(p[0], pages + 4096, 7));
    TRY(read(p[0], pages + 4093, 7));
    struct iovec to = {pages + 4096, 7};
    TRY(vmsplice(p[0], &to, 1, 0));
    int sealed = memfd_create("sealed", MFD_ALLOW_SEALING);
    fcntl(sealed, F_ADD_SEALS, F_SEAL_WRITE);
    TRY(splice(p[0], NULL, sealed, NULL, 7, 0));
    close(sealed);
    show(p[0]);
    TRY(write(p[1], many, sizeof many));
    TRY(read(p[0], pages, 8192));
    struct iovec parts[] = {{pages + 4000, 50}, {pages + 5000, 10}};
    TRY(readv(p[0], parts, 2));
    TRY(read(p[0], many, sizeof many));
    TRY(read(p[0], many, sizeof many));
}

static void machine(void) {
    struct timex t = {0};
    int state = adjtimex(&t);
    TRY(state == TIME_OK || state == TIME_ERROR);
    TRY(t.tick);
    TRY(t.precision);
    TRY(t.time.tv_sec > 1700000000);
    t.modes = 0;
    state = clock_adjtime(CLOCK_REALTIME, &t);
    TRY(state == TIME_OK || state == TIME_ERROR);
    TRY(clock_adjtime(77, &t));
    TRY(klogctl(10, NULL, 0) > 0);
    TRY(klogctl(9, NULL, 0) >= 0);
    static char text[1 << 16];
    TRY(klogctl(3, text, sizeof text) > 0);
    TRY(klogctl(3, NULL, 10));
    TRY(klogctl(3, text, -1));
    TRY(klogctl(77, text, 10));
    TRY(klogctl(8, NULL, 99));
    fflush(stdout);
    int pid = fork();
    if (pid == 0) {
        setgid(1000), setuid(1000);
        t.modes = ADJ_TICK;
        TRY(adjtimex(&t));
        TRY(klogctl(5, NULL, 0));
        fflush(stdout);
        _exit(0);
    }
    waitpid(pid, NULL, 0);
    TRY(syscall(SYS_restart_syscall));
    TRY(syscall(SYS_setns, 99, 0));
    int null = open("/dev/null", O_RDWR);
    TRY(syscall(SYS_setns, null, 0));
    close(null);
    TRY(unshare(0x10));
    TRY(unshare(0));
    TRY(unshare(CLONE_FILES | CLONE_FS));
}

int main(void) {
    tees();
    waits();
    memory();
    refused();
    machine();
    return 0;
}
