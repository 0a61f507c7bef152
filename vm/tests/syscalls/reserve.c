// Room that is reserved and mostly never used, as WebAssembly's engines and garbage collectors take it.
#include "report.h"
#include <setjmp.h>
#include <sys/mman.h>
#include <sys/wait.h>

#define KIB (1l << 10)
#define MIB (1l << 20)
#define GIB (1l << 30)

static char *reserve(long bytes) {
    char *at = mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return at == MAP_FAILED ? NULL : at;
}

static sigjmp_buf back;
static siginfo_t what;
static void jump(int signal, siginfo_t *info, void *context) {
    (void)signal, (void)context;
    what = *info;
    siglongjmp(back, 1);
}

static void touch(const char *name, volatile char *at) {
    if (sigsetjmp(back, 1)) printf("%s: signal %d code %d there %d\n", name, what.si_signo, what.si_code, what.si_addr == at);
    else printf("%s: %d\n", name, *at), *at = 1;
}

// Long enough to be compiled.
static unsigned long sum(volatile unsigned char *at, long bytes, int rounds) {
    unsigned long total = 0;
    for (int round = 0; round < rounds; round++)
        for (long i = 0; i < bytes; i += 8) total = total * 31 + at[i] + *(volatile unsigned short *)(at + i + 1), at[i] += round;
    return total;
}

// What the list of mappings says of a range: sizes and rights.
static void list(const char *from, const char *to) {
    FILE *maps = fopen("/proc/self/maps", "r");
    char line[512], rights[8];
    unsigned long start, end;
    while (fgets(line, sizeof line, maps))
        if (sscanf(line, "%lx-%lx %7s", &start, &end, rights) == 3 && start < (unsigned long)to && end > (unsigned long)from)
            printf("  %lx %lx %s\n", start < (unsigned long)from ? 0 : start - (unsigned long)from,
                   (end > (unsigned long)to ? (unsigned long)to : end) - (unsigned long)from, rights);
    fclose(maps);
}

static void use(void) {
    char *all = reserve(10 * GIB), *memory = all + 2 * GIB;
    printf("reserved %d\n", all != NULL);
    touch("before", memory);
    OK(mprotect(memory, 64 * KIB, PROT_READ | PROT_WRITE));
    touch("first", memory);
    touch("last", memory + 64 * KIB - 1);
    touch("past the end", memory + 64 * KIB);
    touch("4 GiB on", memory + 4 * GIB);
    printf("grown %d\n", mprotect(memory + 64 * KIB, MIB, PROT_READ | PROT_WRITE));
    memset(memory, 7, MIB);
    printf("sum %lx\n", sum((unsigned char *)memory, MIB, 3));
    memcpy(memory + 64 * KIB - 5, "across pages", 13);
    printf("%s\n", memory + 64 * KIB - 5);
    list(all, all + 10 * GIB);

    int ends[2];
    report("pipe", pipe(ends));
    report("write", write(ends[1], memory + 64 * KIB - 5, 13));
    report("read", read(ends[0], memory + 100, 13));
    report("write of what is reserved", write(ends[1], memory + 4 * GIB, 1));
    write(ends[1], "x", 1);
    report("read to what is reserved", read(ends[0], memory + 2 * MIB, 1));
    close(ends[0]), close(ends[1]);
    printf("%s\n", memory + 100);
    fflush(stdout);
    if (fork() == 0) {
        printf("child %s\n", memory + 100);
        memory[100] = 'C', memory[3 * KIB] = 1;
        report("child's mprotect", mprotect(memory + 2 * MIB, MIB, PROT_READ | PROT_WRITE));
        touch("child's own", memory + 2 * MIB);
        fflush(stdout);
        _exit(0);
    }
    wait(NULL);
    printf("parent %s\n", memory + 100);
    touch("parent's", memory + 2 * MIB);

    report("madvise", madvise(memory, 4096, MADV_DONTNEED));
    printf("discarded %d, next to it %d\n", memory[100], memory[4096 + 1]);
    report("mprotect NONE", mprotect(memory, 4096, PROT_NONE));
    touch("closed", memory + 5);
    report("mprotect READ", mprotect(memory, 4096, PROT_READ));
    if (sigsetjmp(back, 1)) printf("read-only: code %d\n", what.si_code);
    else memory[3] = 1;
    report("mlock", mlock(memory, 8192) || munlock(memory, 8192));
    report("mprotect of a hole", munmap(memory + 128 * KIB, 4096) || mprotect(memory, MIB, PROT_READ));
    touch("in the hole", memory + 128 * KIB);
    char *again = mmap(memory + 128 * KIB, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    printf("filled %d, %d\n", again == memory + 128 * KIB, *again);
    *again = 5;
    again = mmap(memory + 128 * KIB, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    touch("reserved again", memory + 128 * KIB);
    report("no replacing", mmap(memory, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) != MAP_FAILED);
    list(all, all + 10 * GIB);
    report("munmap", munmap(all, 10 * GIB));
    touch("unmapped", memory);
    list(all, all + 10 * GIB);
}

// Several at a time, each with a memory that grows.
static void many(void) {
    enum { COUNT = 12 };
    char *all[COUNT];
    for (int i = 0; i < COUNT; i++) {
        all[i] = reserve(6 * GIB);
        if (!all[i]) printf("no room for %d\n", i);
    }
    for (long size = 0; size < 4; size++)
        for (int i = 0; i < COUNT; i++) {
            char *part = all[i] + (i % 2) * 2 * GIB + size * MIB;
            if (mprotect(part, MIB, PROT_READ | PROT_WRITE)) printf("can't grow %d to %ld MiB\n", i, size + 1);
            memset(part, i * 4 + size, MIB);
        }
    unsigned long total = 0;
    for (int i = 0; i < COUNT; i++) total = total * 31 + sum((unsigned char *)all[i] + (i % 2) * 2 * GIB, 4 * MIB - 8, 1);
    printf("many %lx\n", total);
    for (int i = 0; i < COUNT; i++) munmap(all[i], 6 * GIB);
}

// Room for anything that may be written, of which little is: as AddressSanitizer and allocators have it.
static void sparse(void) {
    enum { COUNT = 24 };
    char *at[COUNT];
    for (int i = 0; i < COUNT; i++) {
        // The lower 36 bits of all are alike.
        at[i] = (char *)((0x600l + i) << 36);
        char *got = mmap(at[i], 4 * GIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
        if (got != at[i]) printf("not there: %d\n", i);
    }
    for (int i = 0; i < COUNT; i++)
        for (long offset = 0; offset < 4 * GIB; offset += 512 * MIB + 12345) at[i][offset] = i + offset % 97;
    unsigned long total = 0;
    for (int round = 0; round < 300; round++)
        for (int i = 0; i < COUNT; i++)
            for (long offset = 0; offset < 4 * GIB; offset += 512 * MIB + 12345) total = total * 31 + at[i][offset] + at[i][offset + 1], at[i][offset] += round;
    printf("sparse %lx\n", total);
    memset(at[0] + 64 * KIB - 3, 'x', 6);
    printf("%.6s %d\n", at[0] + 64 * KIB - 3, at[0][64 * KIB + 3]);
    report("part unmapped", munmap(at[1] + 60 * KIB, 8 * KIB));
    touch("before it", at[1] + 60 * KIB - 1);
    touch("in it", at[1] + 60 * KIB);
    touch("after it", at[1] + 68 * KIB);
    fflush(stdout);
    if (fork() == 0) {
        printf("child %d %d\n", at[2][0], at[2][512 * MIB + 12345]);
        at[2][0] = 99, at[2][MIB] = 7;
        report("child's", munmap(at[3], 4 * GIB));
        touch("gone", at[3]);
        fflush(stdout);
        _exit(0);
    }
    wait(NULL);
    printf("parent %d %d %d\n", at[2][0], at[2][MIB], at[3][0]);
    report("don't fork", madvise(at[4], MIB, MADV_DONTFORK));
    report("wipe on fork", madvise(at[5], MIB, MADV_WIPEONFORK));
    fflush(stdout);
    if (fork() == 0) {
        touch("not forked", at[4]);
        printf("wiped %d %d\n", at[5][0], at[5][512 * MIB + 12345]);
        fflush(stdout);
        _exit(0);
    }
    wait(NULL);
    printf("still %d %d\n", at[4][0], at[5][0]);
    for (int i = 0; i < COUNT; i++) report("munmap", munmap(at[i], 4 * GIB));
    touch("unmapped", at[2]);

    // On both sides of 4 GiB.
    char *across = mmap((char *)(3 * GIB), 3 * GIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
    printf("across %d\n", across == (char *)(3 * GIB));
    for (long offset = MIB; offset < 3 * GIB; offset += 64 * MIB) across[offset] = offset / MIB;
    memset(across + GIB - 100, 'y', 200);
    printf("%c%c %d\n", across[GIB - 1], across[GIB], across[GIB + 64 * MIB + MIB]);
    report("mprotect", mprotect(across + GIB - MIB, 2 * MIB, PROT_READ));
    if (sigsetjmp(back, 1)) printf("read-only: code %d\n", what.si_code);
    else across[GIB + 1] = 1;
    if (sigsetjmp(back, 1)) printf("read-only: code %d\n", what.si_code);
    else across[GIB - 1] = 1;
    list(across, across + 3 * GIB);
    report("munmap", munmap(across, 3 * GIB));
    char *large = mmap(NULL, 1l << 42, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    printf("large %d\n", large != MAP_FAILED);
    touch("in its middle", large + (1l << 41));
    report("munmap", munmap(large, 1l << 42));
}

// Files there, and what is shared: side by side, and not where blocks of ours would begin.
static void shown(void) {
    char *at = (char *)0x700000003000, name[] = "/tmp/reserve-XXXXXX";
    int file = mkstemp(name);
    FILE *stream = fdopen(dup(file), "w");
    for (int i = 0; i < 40 * 1024; i++) fprintf(stream, "%03d\n", i % 1000);
    fclose(stream);
    int rw = PROT_READ | PROT_WRITE, fixed = MAP_FIXED_NOREPLACE;
    printf("private %d\n", mmap(at, 20 * KIB, rw, MAP_PRIVATE | fixed, file, 8 * KIB) == at);
    printf("shared %d\n", mmap(at + 20 * KIB, 100 * KIB, rw, MAP_SHARED | fixed, file, 4 * KIB) == at + 20 * KIB);
    printf("memory %d\n", mmap(at + 120 * KIB, 8 * KIB, rw, MAP_SHARED | MAP_ANONYMOUS | fixed, -1, 0) == at + 120 * KIB);
    printf("own %d\n", mmap(at + 128 * KIB, 8 * KIB, rw, MAP_PRIVATE | MAP_ANONYMOUS | fixed, -1, 0) == at + 128 * KIB);
    printf("%.4s%.4s%.4s\n", at, at + 20 * KIB, at + 100 * KIB);
    memcpy(at, "mine", 4), memcpy(at + 20 * KIB, "ours", 4), memcpy(at + 120 * KIB - 4, "end\n+mem", 8), at[128 * KIB] = 1;
    char bytes[9] = "";
    pread(file, bytes, 8, 4 * KIB);
    printf("in the file: %.8s\n", bytes);
    pwrite(file, "theirs", 6, 50 * KIB);
    printf("written: %.8s\n", at + 66 * KIB);
    fflush(stdout);
    if (fork() == 0) {
        printf("child %.4s %.4s %.8s %d\n", at, at + 20 * KIB, at + 120 * KIB - 4, at[128 * KIB]);
        memcpy(at, "kid1", 4), memcpy(at + 20 * KIB, "kid2", 4), memcpy(at + 120 * KIB, "kid3", 4), at[128 * KIB] = 9;
        fflush(stdout);
        _exit(0);
    }
    wait(NULL);
    printf("parent %.4s %.4s %.4s %d\n", at, at + 20 * KIB, at + 120 * KIB, at[128 * KIB]);
    report("mprotect", mprotect(at + 60 * KIB, 8 * KIB, PROT_READ));
    if (sigsetjmp(back, 1)) printf("read-only: code %d\n", what.si_code);
    else at[61 * KIB] = 1;
    printf("still %.4s\n", at + 61 * KIB);
    report("munmap", munmap(at + 24 * KIB, 8 * KIB));
    touch("hole", at + 25 * KIB);
    report("msync", msync(at + 32 * KIB, 64 * KIB, MS_SYNC));
    report("truncate", ftruncate(file, 64 * KIB));
    touch("past the end", at + 100 * KIB);
    list(at, at + MIB);
    report("munmap", munmap(at, MIB));
    pread(file, bytes, 8, 4 * KIB);
    printf("in the file: %.8s\n", bytes);
    unlink(name), close(file);
}

// Code there, which changes.
static void generated(void) {
    unsigned char *code = mmap((void *)0x1002001000, 64 * KIB, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    printf("code %d\n", code == (void *)0x1002001000);
    long total = 0;
    for (int version = 0; version < 5; version++) {
        // lea eax,[rdi+version]; add eax,[rip+0]; ret; its number
        unsigned char bytes[] = {0x8d, 0x47, version, 0x03, 0x05, 1, 0, 0, 0, 0xc3, version, 0, 1, 0};
        memcpy(code + 4090, bytes, sizeof bytes);
        for (int i = 0; i < 100000; i++) total = total * 31 + ((int (*)(int))(code + 4090))(i);
    }
    printf("generated %lx\n", total);
    fflush(stdout);
    if (fork() == 0) {
        code[4092] = 77;
        printf("child %d\n", ((int (*)(int))(code + 4090))(1));
        fflush(stdout);
        _exit(0);
    }
    wait(NULL);
    printf("parent %d\n", ((int (*)(int))(code + 4090))(1));
    report("mprotect", mprotect(code, 64 * KIB, PROT_READ));
    if (sigsetjmp(back, 1)) printf("not executable: code %d there %d\n", what.si_code, what.si_addr == code + 4090);
    else ((int (*)(int))(code + 4090))(1);
    report("munmap", munmap(code, 64 * KIB));
}

int main(void) {
    struct sigaction action = {.sa_sigaction = jump, .sa_flags = SA_SIGINFO};
    sigaction(SIGSEGV, &action, NULL);
    for (int i = 0; i < 3; i++) use();
    many();
    sparse();
    shown();
    generated();
    printf("too much %d\n", reserve(1l << 47) != NULL);
}
