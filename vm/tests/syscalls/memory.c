#include "report.h"
#include <linux/mman.h>
#include <sys/mman.h>

static long where(void *p) { return p == MAP_FAILED ? -1 : 0; }

// What flags that are younger than mmap ask for: pages of another size, which there are none of; that flags be looked at.
static void younger_flags(int fd) {
    int anonymous = MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, rw = PROT_READ | PROT_WRITE;
    TRY(where(mmap(NULL, 2 << 20, rw, anonymous, -1, 0)));
    TRY(where(mmap(NULL, 4096, PROT_NONE, anonymous, -1, 0)));
    TRY(where(mmap(NULL, 2 << 20, rw, anonymous | 21 << MAP_HUGE_SHIFT, -1, 0)));
    TRY(where(mmap(NULL, 2 << 20, rw, anonymous | 16 << MAP_HUGE_SHIFT, -1, 0)));
    TRY(where(mmap(NULL, 2 << 20, rw, MAP_SHARED | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0)));
    TRY(where(mmap(NULL, 4096, rw, MAP_SHARED | MAP_HUGETLB, fd, 0)));
    TRY(where(mmap(NULL, 4096, rw, MAP_SHARED | MAP_HUGETLB, 99, 0)));
    TRY(where(mmap(NULL, 4096, rw, MAP_SHARED_VALIDATE, fd, 0)));
    TRY(where(mmap(NULL, 4096, rw, MAP_SHARED_VALIDATE | MAP_NORESERVE | MAP_POPULATE | MAP_STACK, fd, 0)));
    TRY(where(mmap(NULL, 4096, rw, MAP_SHARED_VALIDATE | MAP_SYNC, fd, 0)));
    TRY(where(mmap(NULL, 4096, rw, MAP_SHARED_VALIDATE | 0x400000, fd, 0)));
    TRY(where(mmap(NULL, 4096, rw, MAP_SHARED_VALIDATE | MAP_ANONYMOUS, -1, 0)));
    TRY(where(mmap(NULL, 4096, rw, MAP_SHARED | MAP_GROWSDOWN, fd, 0)));
    TRY(where(mmap(NULL, 4096, rw, MAP_PRIVATE | MAP_GROWSDOWN, fd, 0)));
    TRY(where(mmap(NULL, 4096, rw, MAP_SHARED | MAP_ANONYMOUS | MAP_GROWSDOWN, -1, 0)));
}

int main(void) {
    char *a = mmap(NULL, 16384, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    TRY(where(a));
    a[4096] = 1;
    TRY(munmap(a + 4096, 4096));
    TRY(mprotect(a, 16384, PROT_READ));
    TRY(munmap(a + 1, 4096));
    TRY(munmap(a, 0));
    TRY(where(mmap(NULL, 0, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)));
    TRY(where(mmap(NULL, 4096, PROT_READ, MAP_ANONYMOUS, -1, 0)));
    TRY(where(mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, 99, 0)));
    TRY(where(mmap(a, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0)));
    TRY(where(mmap((void *)4096, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 1)));
    int fd = open("/tmp/memory-file", O_RDWR | O_CREAT | O_TRUNC, 0600);
    TRY(ftruncate(fd, 6000));
    pwrite(fd, "file", 4, 0);
    char *shared = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    char *private = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    printf("%s %s\n", shared, private);
    strcpy(shared, "shared");
    private[100] = 7;
    char buf[20] = {0};
    TRY(pread(fd, buf, 10, 0));
    printf("%s\n", buf);
    pwrite(fd, "WRITTEN", 7, 0);
    printf("%s\n", shared);
    if (fork() == 0) {
        strcpy(shared + 4096, "from child");
        private[100] = 9;
        _exit(private[100]);
    }
    int status;
    wait(&status);
    printf("%s %d %d\n", shared + 4096, private[100], WEXITSTATUS(status));
    TRY(msync(shared, 8192, MS_SYNC));
    TRY(munmap(shared, 8192));
    TRY(pread(fd, buf, 10, 4096));
    printf("%s\n", buf);
    char *beyond = mmap(NULL, 16384, PROT_READ, MAP_PRIVATE, fd, 0);
    printf("%d\n", beyond[6500]);
    pid_t pid = fork();
    if (pid == 0) _exit(beyond[9000]);
    waitpid(pid, &status, 0);
    printf("%x\n", status & 0x7f);
    int readonly = open("/tmp/memory-file", O_RDONLY);
    TRY(where(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, readonly, 0)));
    char *ro = mmap(NULL, 4096, PROT_READ, MAP_SHARED, readonly, 0);
    TRY(mprotect(ro, 4096, PROT_READ | PROT_WRITE));
    younger_flags(fd);
    unlink("/tmp/memory-file");
    int *counter = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    for (int i = 0; i < 4; i++)
        if (fork() == 0) {
            for (int j = 0; j < 1000; j++) __atomic_fetch_add(counter, 1, __ATOMIC_SEQ_CST);
            _exit(0);
        }
    while (wait(NULL) > 0) {}
    printf("%d\n", *counter);
    char *grown = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    strcpy(grown, "grow");
    grown = mremap(grown, 4096, 1 << 20, MREMAP_MAYMOVE);
    grown[(1 << 20) - 1] = 1;
    printf("%s\n", grown);
    grown = mremap(grown, 1 << 20, 4096, 0);
    printf("%s\n", grown);
    TRY(where(mremap(grown + 1, 4096, 8192, 0)));
    TRY(madvise(grown, 4096, MADV_DONTNEED));
    printf("%d\n", grown[0]);
    TRY(madvise(grown, 4096, 12345));
    TRY(madvise(grown + 1, 4096, MADV_DONTNEED));
    unsigned char resident[2];
    TRY(mincore(grown, 4096, resident));
    printf("%d\n", resident[0] & 1);
    char *end = sbrk(0);
    TRY(sbrk(10000) == end);
    end[9999] = 1;
    TRY(sbrk(-10000) == end + 10000);
    TRY(sbrk(0) == end);
    TRY(mlock(grown, 4096));
    // What holds of processors with protection keys and without.
    TRY(pkey_mprotect(grown, 4096, PROT_READ, -1));
    TRY(pkey_mprotect(grown, 4096, PROT_READ, 15));
    TRY(pkey_alloc(1, 0));
    TRY(pkey_alloc(0, 4));
    TRY(pkey_free(15));
    int mem = memfd_create("name", MFD_CLOEXEC);
    TRY(ftruncate(mem, 4096));
    char *m = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, mem, 0);
    strcpy(m, "memfd");
    TRY(read(mem, buf, 6));
    printf("%s\n", buf);
    TRY(write(1, (void *)16, 4));
    TRY(read(mem, (void *)16, 4));
    // A stack that grows far below where it began.
    volatile char deep[4 << 20];
    for (long i = sizeof deep - 1; i >= 0; i -= 4096) deep[i] = 1;
    printf("%d\n", deep[sizeof deep - 1]);
    return 0;
}
