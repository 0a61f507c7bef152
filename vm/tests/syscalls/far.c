// Far calls, jumps and returns between 64-bit and 32-bit code of one process, as translators and sandboxes make them.
#include "report.h"
#include <setjmp.h>
#include <sys/mman.h>

static unsigned char *page;

static void put(int at, const char *bytes, int count) { memcpy(page + at, bytes, count); }
static void put_addr(int at, int to) {
    uint32_t addr = (uint32_t)(uintptr_t)page + to;
    memcpy(page + at, &addr, 4);
}

enum { CALLS = 0, CALLED = 0x40, JUMPS = 0xa0, JUMPED = 0xc0, BACK = 0xe0, CALL_TO = 0x80, JUMP_TO = 0x90, STACK = 0xff00, BYTES = 0x10000 };

// 64-bit code on a stack that 32-bit code can use too.
static void entry(int at, unsigned char form, int pointer) {
    put(at, "\x48\x89\xe3\x48\xc7\xc4", 6);           // mov rbx,rsp; mov rsp,STACK
    put_addr(at + 6, STACK);
    put(at + 10, "\xff\0\x25", 3);                    // call or jmp far [pointer]
    page[at + 11] = form;
    put_addr(at + 13, pointer);
    put(at + 17, "\x48\x89\xdc\xc3", 4);              // mov rsp,rbx; ret
}

static void write_code(void) {
    entry(CALLS, 0x1c, CALL_TO);
    put(CALLED, "\xb8\5\0\0\0\x48\x8c\xc9\x01\xc8\xcb", 11); // mov eax,5; dec eax; mov ecx,cs; add eax,ecx; retf
    put_addr(CALL_TO, CALLED);
    put(CALL_TO + 4, "\x23\0", 2);
    entry(JUMPS, 0x2c, JUMP_TO);
    put(JUMPED, "\xb8\7\0\0\0\x48\xea", 7);           // mov eax,7; dec eax; jmp far 33h:BACK
    put_addr(JUMPED + 7, BACK);
    put(JUMPED + 11, "\x33\0", 2);
    put(BACK, "\x48\xff\xc0\x48\x89\xdc\xc3", 7);     // inc rax; mov rsp,rbx; ret
    put_addr(JUMP_TO, JUMPED);
    put(JUMP_TO + 4, "\x23\0", 2);
}

__attribute__((noinline)) static long run(int at) {
    long result;
    __asm__ volatile("call *%1" : "=a"(result) : "r"(page + at) : "rbx", "rcx", "memory", "cc");
    return result;
}

static sigjmp_buf back;
static void jump(int signal) { siglongjmp(back, signal); }

int main(void) {
    page = mmap(NULL, BYTES, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
    write_code();
    long sum = 0;
    for (int i = 0; i < 3000; i++) sum += run(CALLS) + run(JUMPS);
    printf("call %ld jump %ld sum %ld\n", run(CALLS), run(JUMPS), sum);
    // Selectors of nothing, of data, of the kernel.
    signal(SIGSEGV, jump);
    for (int selector = 0; selector < 0x40; selector += 5) {
        page[CALL_TO + 4] = selector;
        int signal = sigsetjmp(back, 1);
        if (signal == 0) printf("%x: %ld\n", selector, run(CALLS));
        else printf("%x: %s\n", selector, strsignal(signal));
    }
    return 0;
}
