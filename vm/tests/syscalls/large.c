// Mappings larger than 4 GiB, or where no lower address is free: files, what is shared, and what is moved.
#include "report.h"
#include <setjmp.h>
#include <sys/mman.h>

#define KIB (1l << 10)
#define MIB (1l << 20)
#define GIB (1l << 30)

static const int rw = PROT_READ | PROT_WRITE;

static sigjmp_buf back;
static volatile int got, expected;
static void jump(int signal) {
    got = signal;
    if (!expected) printf("signal %d\n", signal), _exit(1);
    siglongjmp(back, 1);
}

static void touch(const char *name, volatile char *at) {
    expected = 1;
    if (sigsetjmp(back, 1)) printf("%s: signal %d\n", name, got);
    else printf("%s: %d\n", name, *at), *at = 1;
    expected = 0;
}

static int residence(char *at, long bytes) {
    unsigned char pages[64] = {0};
    report("mincore", mincore(at, bytes, pages));
    int count = 0;
    for (int i = 0; i < 64; i++) count += pages[i] & 1;
    return count;
}

static const long places[] = {0, 3 * GIB, 4 * GIB - 2, 4 * GIB + 65 * KIB, 6 * GIB - 4};
enum { PLACES = sizeof places / sizeof *places };

static void show(const char *name, const char *at) {
    printf("%s:", name);
    for (int i = 0; i < PLACES; i++) printf(" %.3s", at + places[i]);
    printf("\n");
    fflush(stdout);
}

// A file of which a little is filled, as databases map them.
static void file(int fd) {
    char bytes[4] = "";
    OK(ftruncate(fd, 6 * GIB));
    char *shared = mmap(NULL, 6 * GIB, rw, MAP_SHARED, fd, 0);
    char *private = mmap(NULL, 6 * GIB, rw, MAP_PRIVATE | MAP_NORESERVE, fd, 0);
    printf("mapped %d %d\n", shared != MAP_FAILED, private != MAP_FAILED);
    for (int i = 0; i < PLACES; i++) sprintf(bytes, "n%02d", i), memcpy(shared + places[i], bytes, 3);
    show("shared", shared);
    for (int i = 0; i < PLACES; i++) pread(fd, bytes, 3, places[i]), printf("read %s\n", bytes);
    pwrite(fd, "new", 3, 3 * GIB);
    show("private", private);
    // What is written to the file by others is not promised to show in pages that are not written.
    memcpy(private + 4 * GIB - 2, "own", 3), private[6 * GIB - 4] = 'P';
    show("shared", shared);
    show("private", private);
    if (fork() == 0) {
        memcpy(private + 3 * GIB, "KID", 3), memcpy(private + 6 * GIB - 4, "KID", 3);
        memcpy(shared + 6 * GIB - 4, "kid", 3);
        memcpy(shared + 5 * GIB, "far", 3);
        show("child's shared", shared);
        show("child's private", private);
        _exit(0);
    }
    wait(NULL);
    printf("%.3s\n", shared + 5 * GIB);
    show("parent's shared", shared);
    show("parent's private", private);
    OK(msync(shared, 6 * GIB, MS_SYNC));
    printf("%d\n", residence(shared + 5 * GIB, 4096));

    OK(ftruncate(fd, 5 * GIB));
    signal(SIGBUS, jump);
    touch("past the end", shared + 5 * GIB + 4096);
    OK(ftruncate(fd, 8 * GIB));
    touch("zeroes again", shared + 6 * GIB - 4);
    char *larger = mremap(shared, 6 * GIB, 8 * GIB, MREMAP_MAYMOVE);
    printf("larger %d\n", larger != MAP_FAILED);
    show("larger", larger);
    touch("its end", larger + 8 * GIB - 1);
    char *moved = mremap(larger + 2 * GIB, 6 * GIB, 6 * GIB, MREMAP_MAYMOVE | MREMAP_FIXED, (char *)0x123456003000);
    printf("moved %d %.3s %d\n", moved == (char *)0x123456003000, moved + GIB, moved[6 * GIB - 1]);
    signal(SIGSEGV, jump);
    touch("no longer", larger + 3 * GIB);
    char *smaller = mremap(private, 6 * GIB, 4 * GIB, 0);
    printf("smaller %d %.3s\n", smaller == private, private + 3 * GIB);
    touch("cut off", private + 4 * GIB + 65 * KIB);
    char *carried = mremap(private + 3 * GIB, GIB, GIB, MREMAP_MAYMOVE | MREMAP_FIXED, (char *)0x223456001000);
    printf("carried %d %.3s %.2s\n", carried == (char *)0x223456001000, carried, carried + GIB - 2);
    report("munmap", munmap(larger, 2 * GIB) | munmap(moved, 6 * GIB) | munmap(private, 3 * GIB) | munmap(carried, GIB));
    touch("unmapped", moved);
}

// Memory that grows as realloc(3) has it.
static void memory(void) {
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    char *at = mmap(NULL, 64 * MIB, rw, flags, -1, 0);
    memset(at + MIB - 5, 'a', 10), at[64 * MIB - 1] = 'z';
    if (fork() == 0) {
        at = mremap(at, 64 * MIB, 5 * GIB, MREMAP_MAYMOVE);
        printf("child's %.10s%c%d\n", at + MIB - 5, at[64 * MIB - 1], at[64 * MIB]);
        fflush(stdout);
        _exit(0);
    }
    wait(NULL);
    char *grown = mremap(at, 64 * MIB, 5 * GIB, MREMAP_MAYMOVE);
    printf("grown %d %.10s%c%d\n", grown != MAP_FAILED, grown + MIB - 5, grown[64 * MIB - 1], grown[64 * MIB]);
    touch("left", at);
    grown[5 * GIB - 1] = 'e';
    char *more = mremap(grown, 5 * GIB, 40 * GIB, MREMAP_MAYMOVE);
    printf("more %d %.10s%c%c\n", more != MAP_FAILED, more + MIB - 5, more[64 * MIB - 1], more[5 * GIB - 1]);
    if (fork() == 0) {
        more[0] = 'c';
        char *kept = mremap(more, MIB, MIB, MREMAP_MAYMOVE | MREMAP_DONTUNMAP);
        printf("child's %d %c %d %.5s\n", kept != MAP_FAILED, kept[0], more[0], kept + MIB - 5);
        fflush(stdout);
        _exit(0);
    }
    wait(NULL);
    char *back = mremap(more, 2 * MIB, 2 * MIB, MREMAP_MAYMOVE | MREMAP_FIXED, at);
    printf("low again %d %d %.10s\n", back == at, back[0], back + MIB - 5);
    report("a hole", mremap(more, 4 * MIB, 8 * MIB, MREMAP_MAYMOVE) == MAP_FAILED ? -1 : 0);
    report("over itself", mremap(more + 4 * MIB, 4 * MIB, 4 * MIB, MREMAP_MAYMOVE | MREMAP_FIXED, more + 6 * MIB) == MAP_FAILED ? -1 : 0);
    report("munmap", munmap(more, 40 * GIB));
    char *shared = mmap(NULL, 9 * GIB, rw, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    printf("shared %d\n", shared != MAP_FAILED);
    shared[GIB] = 3;
    if (fork() == 0) shared[8 * GIB] = shared[GIB] + 1, _exit(0);
    wait(NULL);
    char *again = mremap(shared, 0, GIB + MIB, MREMAP_MAYMOVE);
    printf("seen %d, twice %d\n", shared[8 * GIB], again[GIB]);
    again[GIB] = 9;
    printf("%d\n", shared[GIB]);
    report("munmap", munmap(shared, 9 * GIB) | munmap(again, GIB + MIB));
    report("more than there is", mmap(NULL, 1l << 44, rw, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED ? -1 : 0);
    char *low = mmap(NULL, MIB, rw, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
    printf("below 2 GiB: %d\n", (unsigned long)low + MIB <= 2ul * GIB);
}

// What is left when everything below is taken.
static void crowded(void) {
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    for (int i = 0; i < 8; i++) mmap(NULL, 500 * MIB, rw, flags, -1, 0);
    char *at[4];
    for (int i = 0; i < 4; i++) {
        at[i] = mmap(NULL, 700 * MIB, rw, flags, -1, 0);
        printf("room %d\n", at[i] != MAP_FAILED);
        memset(at[i] + i * MIB, i, MIB);
    }
    for (int i = 0; i < 4; i++) printf("%d %d\n", at[i][i * MIB], at[i][(i + 1) * MIB - 1]);
    char *string = malloc(900 * MIB);
    printf("malloc %d\n", string != NULL);
    strcpy(string + 800 * MIB, "far up");
    printf("%s\n", string + 800 * MIB);
}

int main(void) {
    setlinebuf(stdout);
    char name[] = "/tmp/large-XXXXXX";
    int fd = mkstemp(name);
    unlink(name);
    file(fd);
    file(memfd_create("large", 0));
    memory();
    crowded();
}
