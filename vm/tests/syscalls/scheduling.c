// Scheduling, I/O priorities, and where memory is to be: what a machine with one processor and one node answers.
#include "report.h"
#include <linux/mempolicy.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#define IO_PROCESS 1
#define IO_GROUP 2
#define IO_USER 3
#define IO_PRIORITY(class, level) ((class) << 13 | (level))

struct attributes {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime, deadline, period;
    uint32_t least, most;
};

static void io_priorities(void) {
    TRY(syscall(SYS_ioprio_get, IO_PROCESS, 0));
    TRY(syscall(SYS_ioprio_set, IO_PROCESS, 0, IO_PRIORITY(2, 3)));
    TRY(syscall(SYS_ioprio_get, IO_PROCESS, getpid()));
    TRY(syscall(SYS_ioprio_set, IO_PROCESS, 0, IO_PRIORITY(3, 0)));
    TRY(syscall(SYS_ioprio_get, IO_PROCESS, 0));
    TRY(syscall(SYS_ioprio_set, IO_PROCESS, 0, IO_PRIORITY(1, 4)));
    TRY(syscall(SYS_ioprio_get, IO_PROCESS, 0));
    TRY(syscall(SYS_ioprio_set, IO_PROCESS, 0, IO_PRIORITY(0, 1)));
    TRY(syscall(SYS_ioprio_set, IO_PROCESS, 0, IO_PRIORITY(4, 1)));
    TRY(syscall(SYS_ioprio_set, IO_PROCESS, 4000000, IO_PRIORITY(2, 1)));
    TRY(syscall(SYS_ioprio_get, 0, 0));
    TRY(syscall(SYS_ioprio_get, 4, 0));
    TRY(syscall(SYS_ioprio_get, IO_GROUP, 4000000));
    fflush(stdout);
    int pid = fork();
    if (pid == 0) {
        TRY(syscall(SYS_ioprio_get, IO_PROCESS, 0));
        setgid(1000), setuid(1000);
        TRY(syscall(SYS_ioprio_set, IO_PROCESS, 0, IO_PRIORITY(1, 1)));
        TRY(syscall(SYS_ioprio_set, IO_PROCESS, getppid(), IO_PRIORITY(2, 1)));
        TRY(syscall(SYS_ioprio_set, IO_PROCESS, 0, IO_PRIORITY(2, 1)));
        fflush(stdout);
        _exit(0);
    }
    waitpid(pid, NULL, 0);
}

static void show(int pid) {
    struct attributes a = {0};
    report("sched_getattr", syscall(SYS_sched_getattr, pid, &a, sizeof a, 0));
    printf("  size %u policy %u flags %llx nice %d priority %u\n", a.size, a.policy, (long long)a.flags, a.nice, a.priority);
}

static void attributes(void) {
    struct attributes a = {.size = sizeof a, .policy = SCHED_BATCH, .nice = 3};
    show(0);
    TRY(syscall(SYS_sched_setattr, 0, &a, 0));
    show(getpid());
    a = (struct attributes){.size = 48, .policy = SCHED_OTHER};
    TRY(syscall(SYS_sched_setattr, 0, &a, 0));
    show(0);
    a.priority = 5;
    TRY(syscall(SYS_sched_setattr, 0, &a, 0));
    a = (struct attributes){.size = 48, .policy = 77};
    TRY(syscall(SYS_sched_setattr, 0, &a, 0));
    a = (struct attributes){.size = 40};
    TRY(syscall(SYS_sched_setattr, 0, &a, 0));
    printf("%u\n", a.size > 40);
    a = (struct attributes){.size = 0};
    TRY(syscall(SYS_sched_setattr, 0, &a, 0));
    TRY(syscall(SYS_sched_setattr, 0, &a, 1));
    TRY(syscall(SYS_sched_setattr, -1, &a, 0));
    TRY(syscall(SYS_sched_setattr, 0, NULL, 0));
    TRY(syscall(SYS_sched_setattr, 4000000, &a, 0));
    TRY(syscall(SYS_sched_getattr, 0, &a, 20, 0));
    TRY(syscall(SYS_sched_getattr, 0, &a, 48, 1));
    TRY(syscall(SYS_sched_getattr, 4000000, &a, 48, 0));
    TRY(syscall(SYS_sched_getattr, 0, &a, 48, 0));
    printf("%u\n", a.size);
}

static void nodes(void) {
    int mode = -1;
    unsigned long mask[128 / sizeof(long)] = {99}, one = 1, two = 2, none = 0;
    char *page = mmap(NULL, 100 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    *page = 1;
    TRY(syscall(SYS_get_mempolicy, &mode, mask, 1024, NULL, 0));
    printf("%d %lx\n", mode, mask[0]);
    TRY(syscall(SYS_get_mempolicy, NULL, mask, 1024, NULL, MPOL_F_MEMS_ALLOWED));
    printf("%lx\n", mask[0]);
    TRY(syscall(SYS_get_mempolicy, NULL, mask, 2, NULL, MPOL_F_MEMS_ALLOWED));
    TRY(syscall(SYS_get_mempolicy, &mode, NULL, 0, page, MPOL_F_NODE | MPOL_F_ADDR));
    printf("%d\n", mode);
    TRY(syscall(SYS_get_mempolicy, &mode, NULL, 0, page, 0));
    TRY(syscall(SYS_get_mempolicy, &mode, NULL, 0, (void *)8, MPOL_F_ADDR));
    TRY(syscall(SYS_get_mempolicy, &mode, NULL, 0, NULL, 99));
    TRY(syscall(SYS_set_mempolicy, MPOL_BIND, &one, 8 * sizeof one));
    TRY(syscall(SYS_get_mempolicy, &mode, mask, 1024, NULL, 0));
    printf("%d %lx\n", mode, mask[0]);
    TRY(syscall(SYS_set_mempolicy, MPOL_BIND, &two, 8 * sizeof two));
    TRY(syscall(SYS_set_mempolicy, MPOL_BIND, &none, 8 * sizeof none));
    TRY(syscall(SYS_set_mempolicy, MPOL_DEFAULT, &one, 8 * sizeof one));
    TRY(syscall(SYS_set_mempolicy, MPOL_INTERLEAVE, &one, 8 * sizeof one));
    TRY(syscall(SYS_set_mempolicy, 77, &one, 8 * sizeof one));
    TRY(syscall(SYS_set_mempolicy, MPOL_DEFAULT, NULL, 0));
    TRY(syscall(SYS_mbind, page, 8192, MPOL_BIND, &one, 8 * sizeof one, 0));
    TRY(syscall(SYS_mbind, page, 8192, MPOL_DEFAULT, NULL, 0, 0));
    TRY(syscall(SYS_mbind, page + 1, 8192, MPOL_DEFAULT, NULL, 0, 0));
    TRY(syscall(SYS_mbind, page, 8192, MPOL_DEFAULT, NULL, 0, 99));
    TRY(syscall(SYS_mbind, (void *)4096, 8192, MPOL_BIND, &one, 8 * sizeof one, 0));
    TRY(syscall(SYS_migrate_pages, 0, 8 * sizeof one, &one, &one));
    void *pages[] = {page, page + 64 * 4096, (void *)4096};
    int status[3] = {77, 77, 77}, to[3] = {0, 0, 0};
    TRY(syscall(SYS_move_pages, 0, 3, pages, NULL, status, 0));
    printf("%d %d %d\n", status[0], status[1], status[2]);
    TRY(syscall(SYS_move_pages, 0, 1, pages, to, status, MPOL_MF_MOVE));
    printf("%d\n", status[0]);
    to[0] = 7;
    TRY(syscall(SYS_move_pages, 0, 1, pages, to, status, MPOL_MF_MOVE));
    TRY(syscall(SYS_move_pages, 0, 1, pages, to, status, 77));
    TRY(syscall(SYS_move_pages, 4000000, 1, pages, NULL, status, 0));
}

int main(void) {
    // Whoever runs the tests may have made them nice.
    setpriority(PRIO_PROCESS, 0, 0);
    io_priorities();
    attributes();
    nodes();
    unsigned long processors[16];
    TRY(syscall(SYS_sched_getaffinity, -1, sizeof processors, processors));
    TRY(syscall(SYS_sched_getaffinity, -1, 0, processors));
    TRY(syscall(SYS_sched_setaffinity, -1, sizeof processors, processors));
    return 0;
}
