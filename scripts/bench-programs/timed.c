/* Runs a program and notes how long it took.
 *
 *   timed FILE ROOT PROGRAM [ARGUMENT...]
 *
 * Writes `wall_us cpu_us` to FILE; the CPU time is the program's and its children's.  ROOT becomes the program's root
 * directory; for those who may not do that, in a user namespace of its own.  The exit status is the program's, 128 +
 * signal as in a shell, or 125 if it could not be started.
 */
#define _GNU_SOURCE
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { NOT_STARTED = 125 };

static void die(const char *what)
{
    perror(what);
    _exit(NOT_STARTED);
}

static void write_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    if (!f || fputs(text, f) < 0 || fclose(f))
        die(path);
}

static void change_root(const char *root)
{
    char map[64];
    unsigned uid = geteuid();
    if (uid != 0) {
        if (unshare(CLONE_NEWUSER))
            die("a user namespace");
        snprintf(map, sizeof map, "0 %u 1", uid);
        write_file("/proc/self/uid_map", map);
    }
    if (chroot(root) || chdir("/tmp"))
        die(root);
}

static uint64_t now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000u + (uint64_t)t.tv_nsec / 1000u;
}

int main(int argc, char **argv)
{
    struct rusage r;
    char line[64];
    uint64_t wall, cpu;
    int status;
    pid_t pid;
    if (argc < 4) {
        fprintf(stderr, "usage: %s FILE ROOT PROGRAM [ARGUMENT...]\n", argv[0]);
        return NOT_STARTED;
    }
    /* Whoever waits for it may be interrupted. */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    wall = now_us();
    pid = fork();
    if (pid < 0)
        die("fork");
    if (!pid) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        change_root(argv[2]);
        execvp(argv[3], argv + 3);
        die(argv[3]);
    }
    if (waitpid(pid, &status, 0) != pid)
        die("waitpid");
    wall = now_us() - wall;
    getrusage(RUSAGE_CHILDREN, &r);
    cpu = (uint64_t)(r.ru_utime.tv_sec + r.ru_stime.tv_sec) * 1000000u +
          (uint64_t)(r.ru_utime.tv_usec + r.ru_stime.tv_usec);
    snprintf(line, sizeof line, "%llu %llu\n", (unsigned long long)wall, (unsigned long long)cpu);
    write_file(argv[1], line);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
