/* Micro-benchmarks: the same work on the real processor, in an emulator, and in our engine.
 *
 *   bench list                           names, kinds and default amounts of work
 *   bench NAME [SCALE [REPEATS [step]]]  run one; SCALE is a percentage of the default work
 *   bench all [SCALE [REPEATS [step]]]   run every one
 *
 * Each run prints one line:
 *   RESULT name checksum work wall_us cpu_us
 * work is the number of iterations done (scales are rounded to whole ones, at least 1), wall_us is what
 * CLOCK_MONOTONIC says, cpu_us the CPU time the kernel charged to this process and its children (on a busy machine
 * the steadier of the two).  Repeated runs are in one process: the first shows what warming up costs.  Checksums
 * depend on the work only (floating-point ones may differ between x87 and SSE builds).
 *
 * With "step" it prints READY before each run and after the last, and waits for a line of input: whoever runs it can
 * look meanwhile at what the run took from the outside.
 *
 * If BENCH_LAUNCHER is set, execwait starts its children with the program it names: an emulator that works on single
 * processes is to emulate the new program too.  Built for WASI, only the computing benchmarks are there.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#ifndef __wasi__
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#endif

#define NOINLINE __attribute__((noinline))

static uint64_t now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000u + (uint64_t)t.tv_nsec / 1000u;
}

#ifdef __wasi__
static uint64_t cpu_us(void)
{
    return now_us(); /* WASI has no other clock */
}
#else
static uint64_t cpu_us(void)
{
    struct timespec t;
    struct rusage r;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    getrusage(RUSAGE_CHILDREN, &r);
    return (uint64_t)t.tv_sec * 1000000u + (uint64_t)t.tv_nsec / 1000u +
           (uint64_t)(r.ru_utime.tv_sec + r.ru_stime.tv_sec) * 1000000u +
           (uint64_t)(r.ru_utime.tv_usec + r.ru_stime.tv_usec);
}
#endif

static uint32_t mix(uint32_t h, uint32_t v)
{
    h ^= v;
    h *= 0x01000193u;
    return h ^ (h >> 15);
}

struct rng { uint32_t s; };

static uint32_t rnd(struct rng *r)
{
    uint32_t x = r->s;
    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    return r->s = x;
}

static void *need(size_t n)
{
    void *p = malloc(n);
    if (!p) {
        fputs("bench: out of memory\n", stderr);
        exit(2);
    }
    return p;
}

/* ---- mixint: list handling, integer matrix, number scanner, CRC-16 ---- */

struct cell { struct cell *next; int16_t key; int16_t tag; };

static uint16_t crc16_byte(uint16_t crc, uint8_t b)
{
    int i;
    crc ^= b;
    for (i = 0; i < 8; i++)
        crc = (crc & 1) ? (uint16_t)((crc >> 1) ^ 0xa001) : (uint16_t)(crc >> 1);
    return crc;
}

static NOINLINE struct cell *merge_cells(struct cell *a, struct cell *b)
{
    struct cell head, *t = &head;
    while (a && b) {
        if (a->key <= b->key) { t->next = a; t = a; a = a->next; }
        else { t->next = b; t = b; b = b->next; }
    }
    t->next = a ? a : b;
    return head.next;
}

static NOINLINE struct cell *sort_cells(struct cell *l)
{
    struct cell *slow, *fast, *right;
    if (!l || !l->next)
        return l;
    slow = l;
    fast = l->next;
    while (fast && fast->next) { slow = slow->next; fast = fast->next->next; }
    right = slow->next;
    slow->next = NULL;
    return merge_cells(sort_cells(l), sort_cells(right));
}

static NOINLINE uint32_t scan_numbers(const char *s)
{
    enum { START, SIGN, INT, DOT, FRAC, EXP, EXPSIGN, EXPNUM, BAD } st = START;
    uint32_t seen[BAD + 1] = {0}, h = 0;
    int i;
    for (; *s; s++) {
        char c = *s;
        if (c == ',') {
            seen[st]++;
            st = START;
            continue;
        }
        switch (st) {
        case START:
            if (c == '+' || c == '-') st = SIGN;
            else if (c >= '0' && c <= '9') st = INT;
            else if (c == '.') st = DOT;
            else st = BAD;
            break;
        case SIGN:
            st = (c >= '0' && c <= '9') ? INT : c == '.' ? DOT : BAD;
            break;
        case INT:
            if (c == '.') st = FRAC;
            else if (c == 'e') st = EXP;
            else if (c < '0' || c > '9') st = BAD;
            break;
        case DOT:
            st = (c >= '0' && c <= '9') ? FRAC : BAD;
            break;
        case FRAC:
            if (c == 'e') st = EXP;
            else if (c < '0' || c > '9') st = BAD;
            break;
        case EXP:
            st = (c == '+' || c == '-') ? EXPSIGN : (c >= '0' && c <= '9') ? EXPNUM : BAD;
            break;
        case EXPSIGN:
        case EXPNUM:
            st = (c >= '0' && c <= '9') ? EXPNUM : BAD;
            break;
        default:
            break;
        }
    }
    for (i = 0; i <= BAD; i++)
        h = mix(h, seen[i]);
    return h;
}

static NOINLINE uint32_t int_matrix(int16_t *a, int16_t *b, int32_t *c, int n)
{
    uint32_t h = 0;
    int i, j, k;
    for (i = 0; i < n; i++)
        for (j = 0; j < n; j++) {
            int32_t s = 0;
            for (k = 0; k < n; k++)
                s += (int32_t)a[i * n + k] * b[k * n + j];
            c[i * n + j] = s;
        }
    for (i = 0; i < n * n; i++)
        h += (uint32_t)(c[i] >> 3) & 0xffffu;
    return h;
}

static uint32_t b_mixint(long n)
{
    enum { CELLS = 200, DIM = 12 };
    static struct cell pool[CELLS];
    static const char text[] =
        "12,-4.5,+77.01e3,x1,.5,1e-9,--3,0.0,99999,3.14159,2e,2e+,7e77,abc,-0,";
    int16_t a[DIM * DIM], b[DIM * DIM];
    int32_t c[DIM * DIM];
    struct rng r = {12345};
    uint32_t h = 1;
    uint16_t crc = 0;
    int i;
    for (i = 0; i < DIM * DIM; i++) {
        a[i] = (int16_t)(rnd(&r) & 0xff);
        b[i] = (int16_t)(rnd(&r) & 0xff);
    }
    while (n--) {
        struct cell *l = NULL, *p;
        for (i = 0; i < CELLS; i++) {
            pool[i].key = (int16_t)(rnd(&r) & 0x7fff);
            pool[i].tag = (int16_t)i;
            pool[i].next = l;
            l = &pool[i];
        }
        l = sort_cells(l);
        for (p = l; p; p = p->next)
            crc = crc16_byte(crc, (uint8_t)p->tag);
        h = mix(h, scan_numbers(text));
        h = mix(h, int_matrix(a, b, c, DIM));
        a[n % (DIM * DIM)] ^= (int16_t)crc & 0xff;
        h = mix(h, crc);
    }
    return h;
}

/* ---- records: structure copies, short strings, calls (Dhrystone's mix) ---- */

enum kind { K_ONE, K_TWO, K_THREE };
struct record {
    struct record *link;
    enum kind kind;
    int value;
    char name[32];
};

static NOINLINE int pick_kind(enum kind in, enum kind *out, int v)
{
    switch (in) {
    case K_ONE: *out = v > 100 ? K_TWO : K_THREE; return 1;
    case K_TWO: *out = K_ONE; return v & 1;
    default: *out = K_TWO; return 0;
    }
}

static NOINLINE int same_prefix(const char *a, const char *b)
{
    int i = 0;
    while (a[i] && a[i] == b[i])
        i++;
    return i;
}

static NOINLINE void step_record(struct record *p, int v)
{
    struct record *q = p->link;
    *q = *p;
    q->value = v + p->value;
    q->link = p->link;
    if (pick_kind(p->kind, &q->kind, q->value & 255))
        q->value -= 7;
    p->value ^= q->value >> 3;
}

static uint32_t b_records(long n)
{
    struct record one, two;
    uint32_t h = 7;
    long i;
    memset(&one, 0, sizeof one);
    memset(&two, 0, sizeof two);
    strcpy(one.name, "A RECORD THAT IS USED FIRST....");
    one.link = &two;
    two.link = &one;
    for (i = 0; i < n; i++) {
        char text[32];
        strcpy(text, "A RECORD THAT IS USED SECOND...");
        text[22 + (i & 7)] = '!';
        step_record(&one, (int)i);
        two.link = &one;
        if (strcmp(text, two.name) > 0)
            one.kind = two.kind;
        h = mix(h, (uint32_t)(two.value + same_prefix(text, one.name)));
    }
    return h;
}

/* ---- sha256 ---- */

static uint32_t sha_k[64], sha_h0[8];

static void sha_tables(void)
{
    /* First 32 bits of the fractions of cube and square roots of primes. */
    int n = 0, p;
    for (p = 2; n < 64; p++) {
        int d, prime = 1;
        for (d = 2; d * d <= p; d++)
            if (p % d == 0) { prime = 0; break; }
        if (!prime)
            continue;
        {
            /* Integer roots: floor(root(p) * 2^32), by bisection on 128-bit-safe parts. */
            uint64_t lo = 0, hi = (uint64_t)8 << 32;
            while (lo + 1 < hi) {
                uint64_t mid = (lo + hi) / 2;
                long double m = (long double)mid / 4294967296.0L;
                if (m * m * m <= (long double)p) lo = mid; else hi = mid;
            }
            sha_k[n] = (uint32_t)lo;
        }
        if (n < 8) {
            uint64_t lo = 0, hi = (uint64_t)8 << 32;
            while (lo + 1 < hi) {
                uint64_t mid = (lo + hi) / 2;
                long double m = (long double)mid / 4294967296.0L;
                if (m * m <= (long double)p) lo = mid; else hi = mid;
            }
            sha_h0[n] = (uint32_t)lo;
        }
        n++;
    }
}

#define ROR(x, k) (((x) >> (k)) | ((x) << (32 - (k))))

static NOINLINE void sha_block(uint32_t *s, const uint8_t *p)
{
    uint32_t w[64], a, b, c, d, e, f, g, h;
    int i;
    for (i = 0; i < 16; i++)
        w[i] = (uint32_t)p[4 * i] << 24 | (uint32_t)p[4 * i + 1] << 16 |
               (uint32_t)p[4 * i + 2] << 8 | p[4 * i + 3];
    for (; i < 64; i++) {
        uint32_t x = w[i - 15], y = w[i - 2];
        w[i] = w[i - 16] + w[i - 7] + (ROR(x, 7) ^ ROR(x, 18) ^ (x >> 3)) +
               (ROR(y, 17) ^ ROR(y, 19) ^ (y >> 10));
    }
    a = s[0]; b = s[1]; c = s[2]; d = s[3];
    e = s[4]; f = s[5]; g = s[6]; h = s[7];
    for (i = 0; i < 64; i++) {
        uint32_t t1 = h + (ROR(e, 6) ^ ROR(e, 11) ^ ROR(e, 25)) + ((e & f) ^ (~e & g)) +
                      sha_k[i] + w[i];
        uint32_t t2 = (ROR(a, 2) ^ ROR(a, 13) ^ ROR(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
        h = g; g = f; f = e; e = d + t1;
        d = c; c = b; b = a; a = t1 + t2;
    }
    s[0] += a; s[1] += b; s[2] += c; s[3] += d;
    s[4] += e; s[5] += f; s[6] += g; s[7] += h;
}

static uint32_t b_sha256(long n)
{
    enum { LEN = 65536 };
    uint8_t *buf = need(LEN);
    uint32_t s[8], h = 0;
    int i;
    sha_tables();
    for (i = 0; i < LEN; i++)
        buf[i] = (uint8_t)(i * 7 + (i >> 8));
    memcpy(s, sha_h0, sizeof s);
    while (n--)
        for (i = 0; i < LEN; i += 64)
            sha_block(s, buf + i);
    for (i = 0; i < 8; i++)
        h = mix(h, s[i]);
    free(buf);
    return h;
}

/* ---- crc32, a table look-up per byte ---- */

static uint32_t b_crc32(long n)
{
    enum { LEN = 65536 };
    static uint32_t tab[256];
    uint8_t *buf = need(LEN);
    uint32_t crc = 0xffffffffu, i, j;
    for (i = 0; i < 256; i++) {
        uint32_t c = i;
        for (j = 0; j < 8; j++)
            c = (c & 1) ? 0xedb88320u ^ (c >> 1) : c >> 1;
        tab[i] = c;
    }
    for (i = 0; i < LEN; i++)
        buf[i] = (uint8_t)(i ^ (i >> 7));
    while (n--)
        for (i = 0; i < LEN; i++)
            crc = tab[(crc ^ buf[i]) & 255] ^ (crc >> 8);
    free(buf);
    return crc;
}

/* ---- sieve ---- */

static uint32_t b_sieve(long n)
{
    enum { LIM = 1000000 };
    uint8_t *f = need(LIM + 1);
    uint32_t h = 0;
    while (n--) {
        uint32_t i, j, count = 0;
        memset(f, 1, LIM + 1);
        for (i = 2; i * i <= LIM; i++)
            if (f[i])
                for (j = i * i; j <= LIM; j += i)
                    f[j] = 0;
        for (i = 2; i <= LIM; i++)
            count += f[i];
        h = mix(h, count);
    }
    free(f);
    return h;
}

/* ---- quicksort ---- */

static NOINLINE void sort_ints(int32_t *a, int lo, int hi)
{
    while (lo < hi) {
        int32_t p = a[lo + (hi - lo) / 2];
        int i = lo, j = hi;
        while (i <= j) {
            while (a[i] < p) i++;
            while (a[j] > p) j--;
            if (i <= j) {
                int32_t t = a[i];
                a[i++] = a[j];
                a[j--] = t;
            }
        }
        if (j - lo < hi - i) {
            sort_ints(a, lo, j);
            lo = i;
        } else {
            sort_ints(a, i, hi);
            hi = j;
        }
    }
}

static uint32_t b_quicksort(long n)
{
    enum { LEN = 200000 };
    int32_t *a = need(LEN * sizeof *a);
    struct rng r = {99};
    uint32_t h = 0;
    while (n--) {
        int i;
        for (i = 0; i < LEN; i++)
            a[i] = (int32_t)rnd(&r);
        sort_ints(a, 0, LEN - 1);
        for (i = 0; i < LEN; i += 997)
            h = mix(h, (uint32_t)a[i]);
    }
    free(a);
    return h;
}

/* ---- chase: follow a shuffled linked list ---- */

struct link { struct link *next; uint32_t v; uint32_t pad; };

static uint32_t b_chase(long n)
{
    enum { LEN = 65536 };
    struct link *l = need(LEN * sizeof *l), *p;
    uint32_t *order = need(LEN * sizeof *order), h = 0;
    struct rng r = {4242};
    int i;
    for (i = 0; i < LEN; i++)
        order[i] = (uint32_t)i;
    for (i = LEN - 1; i > 0; i--) {
        uint32_t j = rnd(&r) % (uint32_t)(i + 1), t = order[i];
        order[i] = order[j];
        order[j] = t;
    }
    for (i = 0; i < LEN; i++) {
        l[order[i]].next = &l[order[(i + 1) % LEN]];
        l[order[i]].v = (uint32_t)i;
    }
    for (p = l; n--;)
        for (i = 0; i < LEN; i++) {
            h += p->v;
            p = p->next;
        }
    free(order);
    free(l);
    return h;
}

/* ---- nbody ---- */

struct body { double p[3], v[3], m; };

static uint32_t b_nbody(long n)
{
    struct body b[5];
    double e = 0;
    long step;
    int i, j, k;
    for (i = 0; i < 5; i++) {
        double a = 1.3 * i, d = i ? 4.0 + 7.0 * i : 0.0, s = i ? 6.2832 / sqrt(d) : 0.0;
        b[i].p[0] = d * cos(a);
        b[i].p[1] = d * sin(a);
        b[i].p[2] = 0.1 * i;
        b[i].v[0] = -s * sin(a);
        b[i].v[1] = s * cos(a);
        b[i].v[2] = 0.01 * i;
        b[i].m = i ? 0.003 * i : 39.478;
    }
    for (step = 0; step < n; step++) {
        for (i = 0; i < 5; i++)
            for (j = i + 1; j < 5; j++) {
                double dx = b[i].p[0] - b[j].p[0], dy = b[i].p[1] - b[j].p[1],
                       dz = b[i].p[2] - b[j].p[2];
                double d2 = dx * dx + dy * dy + dz * dz;
                double mag = 0.001 / (d2 * sqrt(d2));
                b[i].v[0] -= dx * b[j].m * mag;
                b[i].v[1] -= dy * b[j].m * mag;
                b[i].v[2] -= dz * b[j].m * mag;
                b[j].v[0] += dx * b[i].m * mag;
                b[j].v[1] += dy * b[i].m * mag;
                b[j].v[2] += dz * b[i].m * mag;
            }
        for (i = 0; i < 5; i++)
            for (k = 0; k < 3; k++)
                b[i].p[k] += 0.001 * b[i].v[k];
    }
    for (i = 0; i < 5; i++)
        for (k = 0; k < 3; k++)
            e += b[i].m * b[i].v[k] * b[i].v[k] + b[i].p[k];
    return (uint32_t)(int64_t)(e * 1e5);
}

/* ---- mandel ---- */

static uint32_t b_mandel(long n)
{
    enum { DIM = 160, MAXIT = 100 };
    uint32_t h = 0;
    while (n--) {
        int x, y;
        uint32_t total = 0;
        for (y = 0; y < DIM; y++)
            for (x = 0; x < DIM; x++) {
                double cr = 2.8 * x / DIM - 2.05, ci = 2.4 * y / DIM - 1.17, zr = 0, zi = 0;
                int k = 0;
                while (k < MAXIT) {
                    double r2 = zr * zr, i2 = zi * zi;
                    if (r2 + i2 > 4.0)
                        break;
                    zi = 2 * zr * zi + ci;
                    zr = r2 - i2 + cr;
                    k++;
                }
                total += (uint32_t)k;
            }
        h = mix(h, total);
    }
    return h;
}

/* ---- matmul: double matrices ---- */

static uint32_t b_matmul(long n)
{
    enum { DIM = 120 };
    double *a = need(DIM * DIM * sizeof *a), *b = need(DIM * DIM * sizeof *b),
           *c = need(DIM * DIM * sizeof *c), t = 0;
    int i, j, k;
    for (i = 0; i < DIM * DIM; i++) {
        a[i] = (i % 17) * 0.25;
        b[i] = (i % 13) * 0.5;
    }
    while (n--) {
        for (i = 0; i < DIM; i++)
            for (j = 0; j < DIM; j++) {
                double s = 0;
                for (k = 0; k < DIM; k++)
                    s += a[i * DIM + k] * b[k * DIM + j];
                c[i * DIM + j] = s;
            }
        a[n % (DIM * DIM)] = c[(n * 31) % (DIM * DIM)] / 4096.0;
    }
    for (i = 0; i < DIM * DIM; i++)
        t += c[i];
    free(a);
    free(b);
    free(c);
    return (uint32_t)(int64_t)t;
}

/* ---- strops: the C library's string routines ---- */

static uint32_t b_strops(long n)
{
    enum { LEN = 4096 };
    char *a = need(LEN + 64), *b = need(LEN + 64);
    uint32_t h = 3;
    long i;
    int j;
    for (j = 0; j < LEN; j++)
        a[j] = (char)('a' + j % 23);
    a[LEN] = 0;
    for (i = 0; i < n; i++) {
        int off = (int)(i & 15), len = 16 << (i & 7);
        char *p;
        memcpy(b + off, a, (size_t)len);
        b[off + len] = 0;
        h = mix(h, (uint32_t)strlen(b + off));
        p = strchr(b + off, 'w');
        h = mix(h, p ? (uint32_t)(p - b) : 5);
        h += (uint32_t)(strncmp(a, b + off, (size_t)len) == 0);
        p = memchr(a, '?', (size_t)len);
        h += p != NULL;
        memset(b + off, 'z', (size_t)len / 2);
        memmove(b + off + 3, b + off, (size_t)len / 2);
        h = mix(h, (uint8_t)b[off + len / 2]);
    }
    free(a);
    free(b);
    return h;
}

/* ---- fib ---- */

static NOINLINE uint32_t fib(uint32_t n)
{
    return n < 2 ? n : fib(n - 1) + fib(n - 2);
}

static uint32_t b_fib(long n)
{
    volatile uint32_t arg = 25;
    uint32_t h = 0;
    while (n--)
        h = mix(h, fib(arg));
    return h;
}

/* ---- interp: a bytecode machine with a switch ---- */

enum { OP_LIT, OP_LOAD, OP_STORE, OP_ADD, OP_SUB, OP_MUL, OP_XOR, OP_SHR, OP_JNZ, OP_DUP,
       OP_SWAP, OP_GETM, OP_PUTM, OP_END };

static NOINLINE uint32_t run_code(const uint8_t *code, uint32_t count)
{
    uint32_t stack[16], var[8] = {0}, mem[64] = {0}, *sp = stack;
    const uint8_t *pc = code;
    var[0] = count;
    for (;;) {
        switch (*pc++) {
        case OP_LIT: *sp++ = *pc++; break;
        case OP_LOAD: *sp++ = var[*pc++ & 7]; break;
        case OP_STORE: var[*pc++ & 7] = *--sp; break;
        case OP_ADD: sp--; sp[-1] += sp[0]; break;
        case OP_SUB: sp--; sp[-1] -= sp[0]; break;
        case OP_MUL: sp--; sp[-1] *= sp[0]; break;
        case OP_XOR: sp--; sp[-1] ^= sp[0]; break;
        case OP_SHR: sp--; sp[-1] >>= sp[0] & 31; break;
        case OP_JNZ: pc = *--sp ? code + *pc : pc + 1; break;
        case OP_DUP: sp[0] = sp[-1]; sp++; break;
        case OP_SWAP: { uint32_t t = sp[-1]; sp[-1] = sp[-2]; sp[-2] = t; break; }
        case OP_GETM: sp[-1] = mem[sp[-1] & 63]; break;
        case OP_PUTM: sp -= 2; mem[sp[1] & 63] = sp[0]; break;
        case OP_END: return var[1] ^ mem[5];
        default: abort();
        }
    }
}

static uint32_t b_interp(long n)
{
    static const uint8_t code[] = {
        /*  0 */ OP_LOAD, 1, OP_LIT, 31, OP_MUL, OP_LOAD, 0, OP_ADD, OP_STORE, 1,
        /* 10 */ OP_LOAD, 1, OP_DUP, OP_LIT, 7, OP_SHR, OP_XOR, OP_STORE, 1,
        /* 19 */ OP_LOAD, 0, OP_GETM, OP_LOAD, 1, OP_ADD, OP_LOAD, 0, OP_PUTM,
        /* 28 */ OP_LOAD, 0, OP_LIT, 1, OP_SUB, OP_DUP, OP_STORE, 0, OP_JNZ, 0,
        /* 37 */ OP_LIT, 1, OP_LIT, 2, OP_SWAP, OP_STORE, 2, OP_STORE, 3, OP_END};
    return run_code(code, (uint32_t)n);
}

/* ---- icall: calls through a table of function pointers ---- */

struct obj { uint32_t (*op)(uint32_t, uint32_t); uint32_t arg; };
static NOINLINE uint32_t op_add(uint32_t a, uint32_t b) { return a + b; }
static NOINLINE uint32_t op_xor(uint32_t a, uint32_t b) { return a ^ b; }
static NOINLINE uint32_t op_rot(uint32_t a, uint32_t b) { return (a << 5 | a >> 27) + b; }
static NOINLINE uint32_t op_mul(uint32_t a, uint32_t b) { return a * (b | 1); }

static uint32_t b_icall(long n)
{
    static uint32_t (*const ops[4])(uint32_t, uint32_t) = {op_add, op_xor, op_rot, op_mul};
    enum { LEN = 1024 };
    static struct obj o[LEN];
    struct rng r = {77};
    uint32_t h = 1;
    int i;
    for (i = 0; i < LEN; i++) {
        o[i].op = ops[rnd(&r) & 3];
        o[i].arg = rnd(&r);
    }
    while (n--)
        for (i = 0; i < LEN; i++)
            h = o[i].op(h, o[i].arg);
    return h;
}

/* ---- arith64: 64-bit multiply, shift, divide ---- */

static uint32_t b_arith64(long n)
{
    volatile uint64_t seed = 0x9e3779b97f4a7c15ull;
    uint64_t x = seed, acc = 1;
    while (n--) {
        x = x * 6364136223846793005ull + 1442695040888963407ull;
        acc += (x >> 33) ^ (x << 11);
        acc ^= (x | 1) / (((acc >> 40) & 0xffff) + 3);
    }
    return (uint32_t)(acc ^ (acc >> 32));
}

#ifndef __wasi__
static const char *self_path, *launcher;

static void die(const char *what)
{
    perror(what);
    exit(2);
}

/* ---- jitcode: write instructions, run them, rewrite them ---- */

static uint32_t b_jitcode(long n)
{
    uint8_t *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
                         MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    uint32_t h = 0;
    long i;
    if (page == MAP_FAILED)
        die("mmap");
    for (i = 0; i < n; i++) {
        uint8_t *p = page + (i & 15) * 16;
        uint32_t imm = (uint32_t)i * 2654435761u, k;
        p[0] = 0xb8;                       /* mov eax, imm32 */
        memcpy(p + 1, &imm, 4);
        p[5] = 0x83; p[6] = 0xc0; p[7] = 3; /* add eax, 3 */
        p[8] = 0xc3;                       /* ret */
        for (k = 0; k < 50; k++)
            h = mix(h, ((uint32_t(*)(void))(uintptr_t)p)());
    }
    munmap(page, 4096);
    return h;
}

/* ---- kernel paths ---- */

static uint32_t b_getppid(long n)
{
    uint32_t bad = 0;
    long first = syscall(SYS_getppid);
    while (n--)
        bad += syscall(SYS_getppid) != first;
    return bad;
}

static uint32_t b_readzero(long n)
{
    static char buf[4096];
    int fd = open("/dev/zero", O_RDONLY);
    uint32_t total = 0;
    if (fd < 0)
        die("/dev/zero");
    while (n--)
        total += (uint32_t)read(fd, buf, sizeof buf);
    close(fd);
    return total;
}

static uint32_t b_forkwait(long n)
{
    uint32_t total = 0;
    while (n--) {
        int st;
        pid_t pid = fork();
        if (pid < 0)
            die("fork");
        if (!pid)
            _exit(3);
        if (waitpid(pid, &st, 0) != pid)
            die("waitpid");
        total += (uint32_t)WEXITSTATUS(st);
    }
    return total;
}

static uint32_t b_execwait(long n)
{
    uint32_t total = 0;
    while (n--) {
        int st;
        pid_t pid = fork();
        if (pid < 0)
            die("fork");
        if (!pid) {
            if (launcher)
                execl(launcher, launcher, self_path, "exit", (char *)NULL);
            else
                execl(self_path, self_path, "exit", (char *)NULL);
            _exit(99);
        }
        if (waitpid(pid, &st, 0) != pid)
            die("waitpid");
        total += (uint32_t)WEXITSTATUS(st);
    }
    return total;
}

static uint32_t b_pipepong(long n)
{
    int a[2], b[2];
    uint32_t v = 0, h = 0;
    pid_t pid;
    long i;
    if (pipe(a) || pipe(b))
        die("pipe");
    pid = fork();
    if (pid < 0)
        die("fork");
    if (!pid) {
        while (read(a[0], &v, 4) == 4 && v != 0xffffffffu) {
            v = v * 3 + 1;
            if (write(b[1], &v, 4) != 4)
                _exit(4);
        }
        _exit(0);
    }
    for (i = 0; i < n; i++) {
        v = (uint32_t)i;
        if (write(a[1], &v, 4) != 4 || read(b[0], &v, 4) != 4)
            die("pipe io");
        h = mix(h, v);
    }
    v = 0xffffffffu;
    if (write(a[1], &v, 4) != 4)
        die("pipe io");
    waitpid(pid, NULL, 0);
    close(a[0]); close(a[1]); close(b[0]); close(b[1]);
    return h;
}

/* One byte at a time through a pipe, by one process. */
static uint32_t b_pipebyte(long n)
{
    int p[2];
    uint8_t v = 7;
    uint32_t h = 0;
    if (pipe(p))
        die("pipe");
    while (n--) {
        if (write(p[1], &v, 1) != 1 || read(p[0], &v, 1) != 1)
            die("pipe io");
        h += v;
    }
    close(p[0]); close(p[1]);
    return h;
}

enum { BLOCK = 65536, MEBIBYTE = 1 << 20 };
static char block[BLOCK];

/* Mebibytes from one process to another, 64 KiB at a time. */
static uint32_t b_pipeblock(long n)
{
    int p[2];
    pid_t pid;
    uint64_t left = (uint64_t)n * MEBIBYTE;
    uint32_t h = 0;
    if (pipe(p))
        die("pipe");
    pid = fork();
    if (pid < 0)
        die("fork");
    if (!pid) {
        close(p[0]);
        for (; left; left -= BLOCK)
            if (write(p[1], block, BLOCK) != BLOCK)
                _exit(4);
        _exit(0);
    }
    close(p[1]);
    for (;;) {
        ssize_t got = read(p[0], block, BLOCK);
        if (got < 0)
            die("pipe io");
        if (!got)
            break;
        h += (uint32_t)got;
    }
    close(p[0]);
    waitpid(pid, NULL, 0);
    return h;
}

static int scratch_file(void)
{
    char name[] = "/tmp/bench-XXXXXX";
    int fd = mkstemp(name), i;
    if (fd < 0)
        die("mkstemp");
    unlink(name);
    for (i = 0; i < MEBIBYTE / BLOCK; i++)
        if (write(fd, block, BLOCK) != BLOCK)
            die("write");
    return fd;
}

/* One byte at a time to and from a file in memory. */
static uint32_t b_filebyte(long n)
{
    int fd = scratch_file();
    uint8_t v = 9;
    uint32_t h = 0;
    long i;
    for (i = 0; i < n; i++) {
        off_t at = (off_t)(i * 4099 % MEBIBYTE);
        if (pwrite(fd, &v, 1, at) != 1 || pread(fd, &v, 1, at) != 1)
            die("file io");
        h += v;
    }
    close(fd);
    return h;
}

/* Mebibytes from a file in memory, 64 KiB at a time. */
static uint32_t b_fileblock(long n)
{
    int fd = scratch_file();
    uint32_t h = 0;
    long i;
    for (i = 0; i < n * (MEBIBYTE / BLOCK); i++) {
        if (pread(fd, block, BLOCK, (off_t)(i % (MEBIBYTE / BLOCK)) * BLOCK) != BLOCK)
            die("file io");
        h += (uint8_t)block[i % BLOCK];
    }
    close(fd);
    return h;
}

/* Two processes wake each other by futex. */
static uint32_t b_futexpong(long n)
{
    enum { WAIT = 0, WAKE = 1 };
    volatile uint32_t *turn = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    uint32_t me, h = 0;
    pid_t pid;
    long i;
    if (turn == MAP_FAILED)
        die("mmap");
    pid = fork();
    if (pid < 0)
        die("fork");
    me = pid ? 0 : 1;
    for (i = 0; i < n; i++) {
        while (*turn % 2 != me)
            syscall(SYS_futex, turn, WAIT, *turn / 2 * 2 + (1 - me), NULL, NULL, 0);
        h = mix(h, *turn);
        __sync_fetch_and_add(turn, 1);
        syscall(SYS_futex, turn, WAKE, 1, NULL, NULL, 0);
    }
    if (!pid)
        _exit(0);
    waitpid(pid, NULL, 0);
    munmap((void *)turn, 4096);
    return h;
}

static uint32_t b_openclose(long n)
{
    uint32_t total = 0;
    struct stat st;
    while (n--) {
        int fd = open("/etc/passwd", O_RDONLY);
        if (fd < 0 || fstat(fd, &st))
            die("/etc/passwd");
        total += st.st_size != 0;
        close(fd);
    }
    return total;
}

static uint32_t b_pagefault(long n)
{
    enum { PAGES = 256 };
    uint32_t h = 0;
    while (n--) {
        uint8_t *p = mmap(NULL, PAGES * 4096, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        int i;
        if (p == MAP_FAILED)
            die("mmap");
        for (i = 0; i < PAGES; i++)
            p[i * 4096] = (uint8_t)i;
        for (i = 0; i < PAGES; i++)
            h += p[i * 4096];
        munmap(p, PAGES * 4096);
    }
    return h;
}
#endif /* __wasi__ */

/* ---- table ---- */

enum group { COMPUTE, SYSTEM };

static const struct test {
    const char *name;
    uint32_t (*fn)(long);
    long work;
    enum group group;
} tests[] = {
    {"mixint", b_mixint, 4000, COMPUTE},
    {"records", b_records, 4000000, COMPUTE},
    {"sha256", b_sha256, 300, COMPUTE},
    {"crc32", b_crc32, 600, COMPUTE},
    {"sieve", b_sieve, 50, COMPUTE},
    {"quicksort", b_quicksort, 8, COMPUTE},
    {"chase", b_chase, 300, COMPUTE},
    {"fib", b_fib, 500, COMPUTE},
    {"interp", b_interp, 1500000, COMPUTE},
    {"icall", b_icall, 20000, COMPUTE},
    {"arith64", b_arith64, 10000000, COMPUTE},
    {"nbody", b_nbody, 250000, COMPUTE},
    {"mandel", b_mandel, 20, COMPUTE},
    {"matmul", b_matmul, 40, COMPUTE},
    {"strops", b_strops, 500000, COMPUTE},
#ifndef __wasi__
    {"jitcode", b_jitcode, 30000, SYSTEM},
    {"getppid", b_getppid, 300000, SYSTEM},
    {"readzero", b_readzero, 200000, SYSTEM},
    {"pagefault", b_pagefault, 150, SYSTEM},
    {"forkwait", b_forkwait, 500, SYSTEM},
    {"execwait", b_execwait, 250, SYSTEM},
    {"pipepong", b_pipepong, 10000, SYSTEM},
    {"futexpong", b_futexpong, 10000, SYSTEM},
    {"pipebyte", b_pipebyte, 100000, SYSTEM},
    {"pipeblock", b_pipeblock, 256, SYSTEM},
    {"filebyte", b_filebyte, 100000, SYSTEM},
    {"fileblock", b_fileblock, 512, SYSTEM},
    {"openclose", b_openclose, 30000, SYSTEM},
#endif
};
enum { NTESTS = sizeof tests / sizeof tests[0] };

static void run(const struct test *t, double percent)
{
    long work = (long)((double)t->work * percent / 100.0);
    uint64_t wall, cpu;
    uint32_t sum;
    if (work < 1)
        work = 1;
    wall = now_us();
    cpu = cpu_us();
    sum = t->fn(work);
    cpu = cpu_us() - cpu;
    wall = now_us() - wall;
    printf("RESULT %s %08x %ld %llu %llu\n", t->name, sum, work, (unsigned long long)wall,
           (unsigned long long)cpu);
    fflush(stdout);
}

static void step(void)
{
    int c;
    puts("READY");
    fflush(stdout);
    do
        c = getchar();
    while (c != '\n' && c != EOF);
}

int main(int argc, char **argv)
{
    double percent = argc > 2 ? atof(argv[2]) : 100.0;
    int repeats = argc > 3 ? atoi(argv[3]) : 1;
    int steps = argc > 4 && !strcmp(argv[4], "step");
    int i, k, hit = 0;
    if (argc < 2) {
        fprintf(stderr, "usage: %s list | all|NAME [SCALE [REPEATS [step]]]\n", argv[0]);
        return 2;
    }
#ifndef __wasi__
    self_path = argv[0];
    launcher = getenv("BENCH_LAUNCHER");
#endif
    if (!strcmp(argv[1], "exit"))
        return 5;
    if (!strcmp(argv[1], "list")) {
        for (i = 0; i < NTESTS; i++)
            printf("%s %s %ld\n", tests[i].name, tests[i].group == COMPUTE ? "compute" : "system",
                   tests[i].work);
        return 0;
    }
    for (i = 0; i < NTESTS; i++)
        if (!strcmp(argv[1], "all") || !strcmp(argv[1], tests[i].name)) {
            for (k = 0; k < repeats; k++) {
                if (steps)
                    step();
                run(&tests[i], percent);
            }
            hit = 1;
        }
    if (steps)
        step();
    if (!hit)
        fprintf(stderr, "%s: no test named %s\n", argv[0], argv[1]);
    return hit ? 0 : 2;
}
